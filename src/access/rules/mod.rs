//! What may pass: rules by module and version, and the least age of versions from outside.
//! Holds no IO and no clock: when a version was first seen and what time it is are handed in.
//! Rules: docs/rules.md.

mod judge;
mod looked;
mod range;
mod refusal;
mod rulebook;
pub mod sights;
mod view;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::spec::path::{ModulePath, matches_patterns};
use crate::spec::version::Version;

pub use judge::{Judged, Relevant, Whole};
pub use looked::Looked;
pub use range::Range;
pub use refusal::{Denial, Verdict, Young};
pub use rulebook::{Count, Rulebook};
pub use sights::{Seen, Sights};
pub use view::{CooldownView, ExceptionView, RuleView, RulesView};

/// What a refusal names where no rule speaks of a version and `rules.default` is `deny`.
pub const BY_DEFAULT: &str = "default";
/// What it names where a version is too young.
pub const COOLDOWN: &str = "cooldown";

/// The go command fetches other go commands under this path, as versions that are no module's releases. Only a rule
/// that names the very path is about it: who forbids all but a few modules does not mean the tools.
const TOOLCHAIN: &str = "golang.org/toolchain";

/// All rules, in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub rules: Vec<Arc<Rule>>,
    /// What becomes of versions that no rule is about.
    pub default: Action,
    pub cooldown: Option<Arc<Cooldown>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Named in every refusal.
    pub name: Arc<str>,
    pub action: Action,
    /// Empty: all.
    pub registries: Vec<String>,
    /// GOPRIVATE patterns; empty: all modules.
    pub modules: Vec<String>,
    /// `None`: all versions.
    pub versions: Option<Range>,
    pub reason: String,
    pub until: Option<Until>,
    /// It only says what it would refuse.
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    #[default]
    Allow,
    Deny,
}

/// The least age of versions from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    pub min_age: Duration,
    pub first_sight: FirstSight,
    /// Empty: all.
    pub registries: Vec<String>,
    /// GOPRIVATE patterns; empty: all modules.
    pub modules: Vec<String>,
    pub not_modules: Vec<String>,
    pub exceptions: Vec<Exception>,
    /// It only says what it would refuse.
    pub dry_run: bool,
}

/// What the versions in a module's first list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstSight {
    /// Old enough: they were there before anybody here wanted them.
    #[default]
    Trust,
    /// As young as the first sight of them.
    Wait,
}

/// What need not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// GOPRIVATE patterns, at least one.
    pub modules: Vec<String>,
    /// `None`: all versions.
    pub versions: Option<Range>,
    pub until: Option<Until>,
    pub reason: String,
}

/// The end of a rule: a day, which is the last one in UTC, or a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    written: String,
    ends: DateTime<Utc>,
}

impl Until {
    /// `None` for what is neither a date nor a time of RFC 3339.
    pub fn parse(text: &str) -> Option<Until> {
        let ends = match text.parse::<NaiveDate>() {
            Ok(day) => day.succ_opt()?.and_time(NaiveTime::MIN).and_utc(),
            Err(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
        };
        Some(Until { written: text.to_owned(), ends })
    }

    pub fn as_str(&self) -> &str {
        &self.written
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        now >= self.ends
    }
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Deny => "deny",
        }
    }
}

impl FirstSight {
    pub fn as_str(self) -> &'static str {
        match self {
            FirstSight::Trust => "trust",
            FirstSight::Wait => "wait",
        }
    }
}

impl Rules {
    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.default == Action::Allow && self.cooldown.is_none()
    }
}

impl Rule {
    fn stands(&self, now: DateTime<Utc>) -> bool {
        self.until.as_ref().is_none_or(|until| !until.is_over(now))
    }

    fn names(&self, version: &Version) -> bool {
        self.versions.as_ref().is_none_or(|range| range.contains(version))
    }
}

impl Exception {
    fn stands(&self, now: DateTime<Utc>) -> bool {
        self.until.as_ref().is_none_or(|until| !until.is_over(now))
    }

    fn names(&self, version: &Version) -> bool {
        self.versions.as_ref().is_none_or(|range| range.contains(version))
    }
}

/// Whether patterns are about a module; no patterns are about all but the toolchain.
fn about(patterns: &[String], module: &ModulePath) -> bool {
    if module.as_str() == TOOLCHAIN {
        return patterns.iter().any(|pattern| pattern == TOOLCHAIN);
    }
    patterns.is_empty() || patterns.iter().any(|pattern| matches_patterns(pattern, module.as_str()))
}

fn holds_in(registries: &[String], registry: &str) -> bool {
    registries.is_empty() || registries.iter().any(|name| name == registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_ends_with_its_day_and_a_moment_at_once() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).expect(text).to_utc();
        let day = Until::parse("2026-12-31").expect("a date");
        assert!(!day.is_over(at("2026-12-31T23:59:59Z")) && day.is_over(at("2027-01-01T00:00:00Z")));
        let moment = Until::parse("2026-12-31T12:00:00+02:00").expect("a time");
        assert!(!moment.is_over(at("2026-12-31T09:59:59Z")) && moment.is_over(at("2026-12-31T10:00:00Z")));
        for text in ["", "tomorrow", "2026-13-01", "31.12.2026", "2026-12-31 12:00"] {
            assert_eq!(Until::parse(text), None, "{text}");
        }
    }
}
