//! Pseudo-versions: what they look like, how they come apart, how they are made.
//! Rules: go.dev/ref/mod#pseudo-versions and golang.org/x/mod/module/pseudo.go.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};

use super::version::Semver;

/// A pseudo-version taken apart. Its time may be no time at all (`20191399…`): see [`PseudoVersion::time`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudoVersion {
    /// `v1.2.4-0` of `v1.2.4-0.20190813064441-fde4db37ae7a`.
    stem: String,
    timestamp: String,
    revision: String,
    /// With its plus sign; empty if there is none.
    build: String,
}

/// Why a pseudo-version has no base that could be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseFault {
    /// Build metadata, but no base version that could have had it.
    BuildWithoutBase { build: String },
    /// `vX.Y.0-0.`: the version before would have a negative patch number.
    NegativePatch { version: String },
}

impl PseudoVersion {
    pub fn parse(text: &str) -> Option<PseudoVersion> {
        if !is_pseudo(text) {
            return None;
        }
        let (core, build) = match text.find('+') {
            Some(plus) => text.split_at(plus),
            None => (text, ""),
        };
        let (head, revision) = core.rsplit_once('-')?;
        let cut = head.rfind(['-', '.'])?;
        Some(PseudoVersion {
            stem: head[..cut].to_owned(),
            timestamp: head[cut + 1..].to_owned(),
            revision: revision.to_owned(),
            build: build.to_owned(),
        })
    }

    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Fourteen digits, as written.
    pub fn timestamp(&self) -> &str {
        &self.timestamp
    }

    /// `None` if the digits name no moment.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        parse_timestamp(&self.timestamp)
    }

    pub fn major(&self) -> &str {
        let end = self.stem.find('.').unwrap_or(self.stem.len());
        &self.stem[..end]
    }

    /// The version that it says it comes after; `None` for the form `vX.0.0-TIME-HASH`.
    pub fn base(&self) -> Result<Option<String>, BaseFault> {
        let Some((core, pre)) = self.stem.split_once('-') else {
            return match self.build.as_str() {
                "" => Ok(None),
                build => Err(BaseFault::BuildWithoutBase { build: build.to_owned() }),
            };
        };
        if pre != "0" {
            let base = self.stem.strip_suffix(".0").unwrap_or(&self.stem);
            return Ok(Some(format!("{base}{}", self.build)));
        }
        let (minor, patch) = core.rsplit_once('.').unwrap_or((core, "0"));
        match decrement(patch) {
            Some(patch) => Ok(Some(format!("{minor}.{patch}{}", self.build))),
            None => Err(BaseFault::NegativePatch { version: core.to_owned() }),
        }
    }
}

/// Whether a text is a pseudo-version by its form alone.
pub fn is_pseudo(text: &str) -> bool {
    let Some(version) = Semver::parse(text).filter(|v| !v.is_short()) else { return false };
    let Some((head, revision)) = version.prerelease().rsplit_once('-') else { return false };
    let timestamp = head.rsplit('.').next().unwrap_or(head);
    let before = &head[..head.len() - timestamp.len()];
    let is_time = timestamp.len() == 14 && timestamp.bytes().all(|b| b.is_ascii_digit());
    let is_revision = !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_alphanumeric());
    // vX.0.0-TIME, vX.Y.Z-0.TIME or vX.Y.Z-pre.0.TIME: `v1.2.0-TIME-HASH` is none.
    let is_form = match before {
        "" => {
            let core = &version.as_str()[version.major().len()..];
            core.starts_with(".0.0-")
        }
        _ => before == "0." || before.ends_with(".0."),
    };
    is_time && is_revision && is_form
}

/// Makes the pseudo-version of a revision: `major` for a module without a base (`v0` if `None`),
/// `base` the highest version before it.
pub fn format(major: Option<&str>, base: Option<&Semver>, time: DateTime<Utc>, revision: &str) -> String {
    let segment = format!("{}-{revision}", timestamp(time));
    let Some(base) = base else {
        return format!("{}.0.0-{segment}", major.unwrap_or("v0"));
    };
    let build = if base.build().is_empty() { String::new() } else { format!("+{}", base.build()) };
    let canonical = base.canonical();
    if !base.prerelease().is_empty() {
        return format!("{canonical}.0.{segment}{build}");
    }
    let minor = canonical.rsplit_once('.').map_or(canonical.as_str(), |(minor, _)| minor);
    format!("{minor}.{}-0.{segment}{build}", increment(base.patch()))
}

/// Fourteen digits of UTC: `yyyymmddhhmmss`.
pub fn timestamp(time: DateTime<Utc>) -> String {
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn parse_timestamp(digits: &str) -> Option<DateTime<Utc>> {
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(part(0, 4)?.try_into().ok()?, part(4, 6)?, part(6, 8)?)?;
    let time = date.and_hms_opt(part(8, 10)?, part(10, 12)?, part(12, 14)?)?;
    Some(NaiveDateTime::and_utc(&time))
}

/// Adds one to a number of any length.
fn increment(decimal: &str) -> String {
    let kept = decimal.trim_end_matches('9');
    let zeros = "0".repeat(decimal.len() - kept.len());
    match kept.as_bytes().last() {
        Some(&last) => format!("{}{}{zeros}", &kept[..kept.len() - 1], (last + 1) as char),
        None => format!("1{zeros}"),
    }
}

/// Takes one from a number of any length; `None` below zero.
fn decrement(decimal: &str) -> Option<String> {
    let kept = decimal.trim_end_matches('0');
    let nines = "9".repeat(decimal.len() - kept.len());
    let (head, last) = kept.split_at(kept.len().checked_sub(1)?);
    let last = last.bytes().next()? - 1;
    Some(match (head, last) {
        ("", b'0') if !nines.is_empty() => nines,
        _ => format!("{head}{}{nines}", last as char),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "fde4db37ae7a";

    fn time() -> DateTime<Utc> {
        DateTime::from_timestamp(1565678681, 0).expect("in range")
    }

    /// major, base ("" for none), pseudo-version
    const FORMS: [(&str, &str, &str); 10] = [
        ("v0", "", "v0.0.0-20190813064441-fde4db37ae7a"),
        ("v2", "", "v2.0.0-20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.3", "v1.2.4-0.20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.9", "v1.2.10-0.20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.99", "v1.2.100-0.20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.99999999999999999999", "v1.2.100000000000000000000-0.20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.3-pre", "v1.2.3-pre.0.20190813064441-fde4db37ae7a"),
        ("v1", "v1.2.3-0.a", "v1.2.3-0.a.0.20190813064441-fde4db37ae7a"),
        ("v2", "v2.0.0+incompatible", "v2.0.1-0.20190813064441-fde4db37ae7a+incompatible"),
        ("v2", "v2.0.0-rc.1+incompatible", "v2.0.0-rc.1.0.20190813064441-fde4db37ae7a+incompatible"),
    ];

    #[test]
    fn makes_all_three_forms_and_takes_them_apart() {
        for (major, base, text) in FORMS {
            let semver = Semver::parse(base);
            assert_eq!(format(Some(major), semver.as_ref(), time(), HASH), text);
            let pseudo = PseudoVersion::parse(text).expect(text);
            assert_eq!((pseudo.major(), pseudo.revision(), pseudo.time()), (major, HASH, Some(time())), "{text}");
            assert_eq!(pseudo.base(), Ok((!base.is_empty()).then(|| base.to_owned())), "{text}");
        }
    }

    #[test]
    fn knows_them_by_their_form() {
        let table = [
            ("v1.2.0-20190813064441-fde4db37ae7a", false),
            ("v1.0.0-20190813064441-fde4db37ae7a", true),
            ("v1.0.0-20190813064441-FDE4DB37AE7A", true),
            ("v1.0.0-20190813064441-fde4-db37ae7a", false),
            ("v1.0.0-2019081306444-fde4db37ae7a", false),
            ("v1.0.0-0.20190813064441-fde4db37ae7a", true),
            ("v1.0.0-00.20190813064441-fde4db37ae7a", false),
            ("v1.2.3-x.0.20190813064441-fde4db37ae7a", true),
            ("v1.2.3-x-y.0.20190813064441-fde4db37ae7a", true),
            ("v1.2.3-x.1.20190813064441-fde4db37ae7a", false),
            ("v1.2.3-x0.20190813064441-fde4db37ae7a", false),
            ("v1.2.3-0.20190813064441-abc+meta.x", true),
            ("v1.0-20190813064441-fde4db37ae7a", false),
            ("v1.2.3", false),
            ("master", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_pseudo(text), expected, "{text}");
        }
    }

    #[test]
    fn says_why_there_is_no_base() {
        let base = |text| PseudoVersion::parse(text).expect(text).base();
        assert_eq!(
            base("v1.2.0-0.20190813064441-fde4db37ae7a"),
            Err(BaseFault::NegativePatch { version: "v1.2.0".to_owned() })
        );
        assert_eq!(
            base("v2.0.0-20190813064441-fde4db37ae7a+incompatible"),
            Err(BaseFault::BuildWithoutBase { build: "+incompatible".to_owned() })
        );
    }

    #[test]
    fn a_timestamp_must_name_a_moment() {
        for digits in ["20191313064441", "20190230064441", "20190813246441", "20190813066041", "20190813064460"] {
            let text = format!("v0.0.0-{digits}-{HASH}");
            assert_eq!(PseudoVersion::parse(&text).expect("by form").time(), None, "{digits}");
        }
    }

    proptest! {
        #[test]
        fn finds_the_base_it_was_made_from(patch in "0|[1-9][0-9]{0,22}", pre in "(-[a-z]{1,5}(\\.[1-9]){0,2})?", seconds in 0i64..4102444800) {
            let base = format!("v1.4.{patch}{pre}");
            let time = DateTime::from_timestamp(seconds, 0).expect("in range");
            let text = format(None, Semver::parse(&base).as_ref(), time, HASH);
            let pseudo = PseudoVersion::parse(&text).expect("own make");
            prop_assert_eq!(pseudo.base(), Ok(Some(base)));
            prop_assert_eq!(pseudo.time(), Some(time));
        }

        #[test]
        fn is_greater_than_its_base(patch in 0u64..2000, pre in "(-[a-z]{1,5})?") {
            let base = format!("v1.4.{patch}{pre}");
            let text = format(None, Semver::parse(&base).as_ref(), time(), HASH);
            prop_assert!(super::super::version::compare(&base, &text).is_lt());
        }
    }
}
