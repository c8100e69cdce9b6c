//! A range of versions, as rules name one: `>=1.2.0, <1.4.0 || =1.5.1`.
//! Rules: Go's order of versions (`spec::version`), and docs/rules.md.

use std::cmp::Ordering;
use std::fmt;

use crate::spec::version::{Semver, Version};

/// Alternatives, each of comparisons that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    text: String,
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Semver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Those that begin like another stand before it.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("!=", Operator::NotEqual),
    (">", Operator::More),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Range {
    /// What is expected instead, where it cannot be meant.
    pub fn parse(text: &str) -> Result<Range, String> {
        let mut alternatives = Vec::new();
        for alternative in text.split("||") {
            let comparisons: Vec<Comparison> = alternative.split(',').map(comparison).collect::<Result<_, _>>()?;
            if is_empty(&comparisons) {
                let alternative = alternative.trim();
                return Err(format!(
                    "a range that some version is in; `,` means and, `||` means or: nothing is in {alternative:?}"
                ));
            }
            alternatives.push(comparisons);
        }
        Ok(Range { text: text.trim().to_owned(), alternatives })
    }

    pub fn contains(&self, version: &Version) -> bool {
        let holds = |comparison: &Comparison| comparison.holds(version.semver());
        self.alternatives.iter().any(|alternative| alternative.iter().all(holds))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Comparison {
    fn holds(&self, version: &Semver) -> bool {
        let order = version.precedence(&self.version);
        match self.operator {
            Operator::Equal => self.names(version, order),
            Operator::NotEqual => !self.names(version, order),
            Operator::Less => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::More => order.is_gt(),
            Operator::AtLeast => order.is_ge(),
        }
    }

    /// As a version query does: `v1` and `v1.2` stand for all that begin so.
    fn names(&self, version: &Semver, order: Ordering) -> bool {
        match (self.version.is_short(), self.version.as_str().contains('.')) {
            (false, _) => order.is_eq(),
            (true, false) => version.major() == self.version.major(),
            (true, true) => version.major_minor() == self.version.major_minor(),
        }
    }
}

fn comparison(text: &str) -> Result<Comparison, String> {
    let text = text.trim();
    let known = OPERATORS.iter().find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, *operator)));
    let (rest, operator) = known.unwrap_or((text, Operator::Equal));
    let named = rest.trim();
    let version = Semver::parse(&format!("v{}", named.strip_prefix('v').unwrap_or(named)))
        .filter(|version| matches!(version.build(), "" | "incompatible"))
        .ok_or_else(|| "a range such as \">=1.2.0, <1.4.0 || =1.5.1\"".to_owned())?;
    // Whether `>1.2` begins behind v1.2.0 or behind all of v1.2 nobody can tell; the go command refuses it, too.
    if version.is_short() && matches!(operator, Operator::More | Operator::AtMost) {
        return Err(format!("all three numbers behind > and <=, not {named:?}"));
    }
    Ok(Comparison { operator, version })
}

/// Whether bounds and single versions leave no room: somebody wrote `and` and meant `or`.
fn is_empty(comparisons: &[Comparison]) -> bool {
    let all_hold = |version: &Semver| comparisons.iter().all(|comparison| comparison.holds(version));
    let exact = |comparison: &&Comparison| comparison.operator == Operator::Equal && !comparison.version.is_short();
    if let Some(only) = comparisons.iter().find(exact) {
        return !all_hold(&only.version);
    }
    let of = |operators: [Operator; 2]| comparisons.iter().filter(move |c| operators.contains(&c.operator));
    let (lower, upper) = ([Operator::More, Operator::AtLeast], [Operator::Less, Operator::AtMost]);
    of(lower).any(|low| {
        of(upper).any(|high| match low.version.precedence(&high.version) {
            Ordering::Greater => true,
            Ordering::Equal => low.operator == Operator::More || high.operator == Operator::Less,
            Ordering::Less => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    #[test]
    fn a_range_is_read_in_the_order_of_go() {
        // range, inside, outside
        let table: [(&str, &str, &[&str], &[&str]); 12] = [
            ("between", ">=1.2.0, <1.4.0", &["v1.2.0", "v1.3.9", "v1.3.9+incompatible"], &["v1.1.9", "v1.4.0"]),
            ("a pre-release is before its release", "<1.4.0", &["v1.4.0-rc.1", "v1.3.0"], &["v1.4.0", "v1.4.1-rc.1"]),
            ("and not behind it", ">=1.2.0", &["v1.2.0", "v1.3.0-rc.1"], &["v1.2.0-rc.1"]),
            (
                "a pseudo-version is between its base and the next",
                ">1.3.0, <1.3.1",
                &["v1.3.1-0.20190813064441-fde4db37ae7a"],
                &["v1.3.0", "v1.3.1", "v0.0.0-20190813064441-fde4db37ae7a"],
            ),
            ("without a base it is before all", "<0.0.1", &["v0.0.0-20190813064441-fde4db37ae7a"], &["v0.0.1"]),
            ("+incompatible does not count", "=2.0.0", &["v2.0.0", "v2.0.0+incompatible"], &["v2.0.1"]),
            ("and may be written", "v2.0.0+incompatible", &["v2.0.0+incompatible"], &["v2.0.1+incompatible"]),
            ("a short form is all that begins so", "1.2", &["v1.2.0", "v1.2.9", "v1.2.0-rc.1"], &["v1.20.0", "v1.3.0"]),
            ("a major is all of it", "=v1", &["v1.0.0", "v1.99.0-rc.1"], &["v2.0.0", "v10.0.0"]),
            ("or", "<1.0.0 || =1.5.1", &["v0.9.0", "v1.5.1"], &["v1.0.0", "v1.5.2"]),
            ("but not", ">=1.0.0, !=1.5.1", &["v1.5.0"], &["v1.5.1", "v0.9.0"]),
            ("a bound may be short", ">=1.2, <2", &["v1.2.0", "v2.0.0-rc.1"], &["v1.1.9", "v2.0.0"]),
        ];
        for (row, text, inside, outside) in table {
            let range = Range::parse(text).expect(row);
            assert_eq!(range.to_string(), text);
            inside.iter().for_each(|text| assert!(range.contains(&version(text)), "{row}: {text} is in {range}"));
            outside.iter().for_each(|text| assert!(!range.contains(&version(text)), "{row}: {text} is not in {range}"));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_is_expected() {
        let form = "a range such as \">=1.2.0, <1.4.0 || =1.5.1\"";
        let nothing = |alternative: &str| {
            format!("a range that some version is in; `,` means and, `||` means or: nothing is in {alternative:?}")
        };
        let table = [
            ("", form.to_owned()),
            (">=", form.to_owned()),
            ("~1.2", form.to_owned()),
            ("1.2.0 1.3.0", form.to_owned()),
            (">=1.2.0,", form.to_owned()),
            ("1.2.x", form.to_owned()),
            ("1.2.0+meta", form.to_owned()),
            (">1.2", "all three numbers behind > and <=, not \"1.2\"".to_owned()),
            ("1.2.0, 1.3.0", nothing("1.2.0, 1.3.0")),
            (">=1.4.0, <1.2.0", nothing(">=1.4.0, <1.2.0")),
            ("=1.0.0 || >1.4.0, <=1.4.0", nothing(">1.4.0, <=1.4.0")),
        ];
        for (text, expected) in table {
            assert_eq!(Range::parse(text).expect_err(text), expected, "{text}");
        }
        assert!(Range::parse(">=1.4.0, <=1.4.0").is_ok(), "one version is in it");
    }
}
