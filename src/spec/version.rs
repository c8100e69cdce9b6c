//! Semantic versions as Go reads and orders them.
//! Rules: golang.org/x/mod/semver and `module.CanonicalVersion`.

use std::cmp::Ordering;
use std::fmt;

/// A valid semantic version as Go means it: `v` in front, `v1` and `v1.2` allowed as short forms,
/// core numbers of any length.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Semver {
    text: String,
    /// Ends of the major, minor and patch digits in `text`; equal to the previous end where a
    /// short form leaves the number out.
    ends: [usize; 3],
    prerelease: semver::Prerelease,
    build: semver::BuildMetadata,
}

impl Semver {
    /// `None` where Go's `semver.IsValid` is false.
    pub fn parse(text: &str) -> Option<Semver> {
        let rest = text.strip_prefix('v')?;
        let mut ends = [0; 3];
        let mut at = 1;
        let mut tail = rest;
        let mut short = false;
        for (i, end) in ends.iter_mut().enumerate() {
            if i > 0 {
                match tail.strip_prefix('.') {
                    Some(after) if !short => {
                        tail = after;
                        at += 1;
                    }
                    _ if tail.is_empty() => {
                        short = true;
                        *end = at;
                        continue;
                    }
                    _ => return None,
                }
            }
            let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || (digits > 1 && tail.starts_with('0')) {
                return None;
            }
            at += digits;
            tail = &tail[digits..];
            *end = at;
        }
        if short && !tail.is_empty() {
            return None;
        }
        let (prerelease, build) = suffix(tail)?;
        Some(Semver { text: text.to_owned(), ends, prerelease, build })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `v1` of `v1.2.3`.
    pub fn major(&self) -> &str {
        &self.text[..self.ends[0]]
    }

    /// `v1.2` of `v1.2.3`, `v1.0` of `v1`.
    pub fn major_minor(&self) -> String {
        format!("{}.{}", self.major(), self.number(1))
    }

    fn number(&self, i: usize) -> &str {
        let start = if i == 0 { 1 } else { self.ends[i - 1] + 1 };
        self.text.get(start..self.ends[i]).unwrap_or("0")
    }

    /// The digits of the patch number, `0` for a short form.
    pub fn patch(&self) -> &str {
        self.number(2)
    }

    /// Without the hyphen; empty for a release.
    pub fn prerelease(&self) -> &str {
        self.prerelease.as_str()
    }

    /// Without the plus sign; empty if there is none.
    pub fn build(&self) -> &str {
        self.build.as_str()
    }

    /// `v1` or `v1.2`: a prefix of versions, not a version.
    pub fn is_short(&self) -> bool {
        self.ends[2] == self.ends[1]
    }

    /// Short forms filled up, build metadata cut off.
    pub fn canonical(&self) -> String {
        if self.is_short() {
            return format!("{}.{}.{}", self.major(), self.number(1), self.number(2));
        }
        match self.text.find('+') {
            Some(plus) => self.text[..plus].to_owned(),
            None => self.text.clone(),
        }
    }

    pub fn is_canonical(&self) -> bool {
        !self.is_short() && self.build.is_empty()
    }

    /// The order of precedence; build metadata does not count.
    pub fn precedence(&self, other: &Semver) -> Ordering {
        (0..3)
            .map(|i| digits(self.number(i), other.number(i)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Compares digit strings without leading zeros.
fn digits(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn suffix(tail: &str) -> Option<(semver::Prerelease, semver::BuildMetadata)> {
    let (pre, build) = match tail.split_once('+') {
        Some((_, "")) => return None,
        Some((pre, build)) => (pre, build),
        None => (tail, ""),
    };
    let pre = match pre {
        "" => "",
        _ => match pre.strip_prefix('-')? {
            "" => return None,
            identifiers => identifiers,
        },
    };
    Some((semver::Prerelease::new(pre).ok()?, semver::BuildMetadata::new(build).ok()?))
}

/// Go's order of two version strings: an invalid one is less than any valid one.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Semver::parse(a), Semver::parse(b)) {
        (Some(a), Some(b)) => a.precedence(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// `module.CanonicalVersion`: short forms filled up, build metadata cut off but for `+incompatible`.
pub fn canonical(text: &str) -> Option<Version> {
    let semver = Semver::parse(text)?;
    let incompatible = if semver.build() == "incompatible" { "+incompatible" } else { "" };
    Version::parse(&format!("{}{incompatible}", semver.canonical()))
}

/// A canonical version: three numbers, no build metadata but `+incompatible`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(Semver);

impl Version {
    /// `None` where `module.CanonicalVersion(text) != text`.
    pub fn parse(text: &str) -> Option<Version> {
        Version::of(Semver::parse(text)?)
    }

    fn of(semver: Semver) -> Option<Version> {
        let canonical = !semver.is_short() && matches!(semver.build(), "" | "incompatible");
        canonical.then_some(Version(semver))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn semver(&self) -> &Semver {
        &self.0
    }

    pub fn major(&self) -> &str {
        self.0.major()
    }

    pub fn is_incompatible(&self) -> bool {
        !self.0.build().is_empty()
    }

    pub fn is_release(&self) -> bool {
        self.0.prerelease().is_empty()
    }

    pub fn is_pseudo(&self) -> bool {
        super::pseudo::is_pseudo(self.as_str())
    }

    /// The version without `+incompatible`.
    pub fn base(&self) -> &str {
        self.as_str().strip_suffix("+incompatible").unwrap_or(self.as_str())
    }

    pub fn escaped(&self) -> String {
        super::path::escape(self.as_str())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// Precedence, then bytes: the order of `semver.Sort`.
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.precedence(&other.0).then_with(|| self.as_str().cmp(other.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_and_completes_as_go_does() {
        // text, canonical form ("" where invalid)
        let table = [
            ("bad", ""),
            ("v1-alpha.beta.gamma", ""),
            ("v1-pre", ""),
            ("v1+meta", ""),
            ("v1-pre+meta", ""),
            ("v1.2-pre", ""),
            ("v1.2+meta", ""),
            ("v1.0.0-alpha", "v1.0.0-alpha"),
            ("v1.0.0-alpha.1", "v1.0.0-alpha.1"),
            ("v1.0.0+build", "v1.0.0"),
            ("v1", "v1.0.0"),
            ("v1.0", "v1.0.0"),
            ("v1.2.3-456", "v1.2.3-456"),
            ("v1.2.3-456-789", "v1.2.3-456-789"),
            ("v1.2.3-pre+meta", "v1.2.3-pre"),
            ("v1.2.3-zzz.01", ""),
            ("v1.2.3-", ""),
            ("v1.2.3+", ""),
            ("v1.2.3-a..b", ""),
            ("v1.2.3+a..b", ""),
            ("v01.2.3", ""),
            ("v1.02.3", ""),
            ("v1.", ""),
            ("v1.2.", ""),
            ("v", ""),
            ("1.2.3", ""),
            ("v1.2.3.4", ""),
            ("v18446744073709551616.2.3", "v18446744073709551616.2.3"),
            ("v1.2.3-18446744073709551616", "v1.2.3-18446744073709551616"),
            ("v1.2.3+01", "v1.2.3"),
            ("v1.2.3-é", ""),
        ];
        for (text, canonical) in table {
            let found = Semver::parse(text).map(|v| v.canonical()).unwrap_or_default();
            assert_eq!(found, canonical, "{text}");
        }
    }

    #[test]
    fn orders_as_go_does() {
        let ascending = [
            "v0.0.0-20190101000000-abcdefabcdef",
            "v0.0.0",
            "v1.0.0-1",
            "v1.0.0-2",
            "v1.0.0-10",
            "v1.0.0-99999999999999999999",
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-alpha.beta",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1",
            "v1.2",
            "v1.2.1",
            "v1.10.0",
            "v99999999999999999999.0.0",
            "v100000000000000000000.0.0",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("v1.0.0+a", "v1.0.0+b"), Ordering::Equal);
        assert_eq!(compare("nonsense", "v0.0.0"), Ordering::Less);
        assert_eq!(compare("nonsense", "rubbish"), Ordering::Equal);
    }

    #[test]
    fn takes_the_major_apart() {
        for (text, major, minor) in [("v1", "v1", "v1.0"), ("v10.2", "v10", "v10.2"), ("v3.4.5-a+b", "v3", "v3.4")] {
            let v = Semver::parse(text).expect(text);
            assert_eq!((v.major(), v.major_minor().as_str()), (major, minor));
        }
    }

    #[test]
    fn only_incompatible_may_follow_a_version() {
        assert!(Version::parse("v2.0.0+incompatible").is_some());
        assert!(Version::parse("v2.0.0+meta").is_none());
        assert!(Version::parse("v2.0").is_none());
    }

    fn version() -> impl Strategy<Value = Version> {
        let number = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,24}"];
        let identifier = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,20}", "[a-zA-Z-][0-9a-zA-Z-]{0,6}"];
        let pre = proptest::collection::vec(identifier, 0..4);
        (number.clone(), number.clone(), number, pre, any::<bool>()).prop_map(|(a, b, c, pre, inc)| {
            let pre = if pre.is_empty() { String::new() } else { format!("-{}", pre.join(".")) };
            let build = if inc { "+incompatible" } else { "" };
            let text = format!("v{a}.{b}.{c}{pre}{build}");
            Version::parse(&text).expect("made by the grammar")
        })
    }

    proptest! {
        #[test]
        fn prints_what_it_parsed(v in version()) {
            prop_assert_eq!(Version::parse(&v.to_string()), Some(v));
        }

        #[test]
        fn the_order_is_total(a in version(), b in version(), c in version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c { prop_assert!(a <= c); }
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        }
    }
}
