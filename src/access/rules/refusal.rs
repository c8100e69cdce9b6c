//! What becomes of a version, and the words of a refusal.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{COOLDOWN, Rule};
use crate::error::Error;
use crate::spec::path::ModulePath;

/// What becomes of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// By a rule that says so, if there is one.
    Allowed(Option<Arc<str>>),
    Denied(Denial),
    Young(Young),
}

/// A rule says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub rule: Arc<str>,
    /// Empty if nobody gave one.
    pub reason: String,
    /// The rule's last day or moment.
    pub until: Option<String>,
    /// The rule is about all versions.
    pub is_whole: bool,
}

/// Not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Young {
    pub seen_at: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub min_age: Duration,
}

impl Denial {
    pub(super) fn by(rule: &Rule) -> Denial {
        Denial {
            rule: rule.name.clone(),
            reason: rule.reason.clone(),
            until: rule.until.as_ref().map(|until| until.as_str().to_owned()),
            is_whole: rule.versions.is_none(),
        }
    }

    /// Final: nobody else may be asked in its place. `registry` is one that has to be named; `asked` is what stands
    /// behind the `@`, empty for a list.
    pub fn error(&self, registry: Option<&str>, module: &ModulePath, asked: &str, right: Option<&str>) -> Error {
        let mut what = named(asked, right);
        what.push_str("denied by rule ");
        what.push_str(&self.rule);
        if let Some(until) = &self.until {
            what.push_str(&format!(" until {until}"));
        }
        if !self.reason.is_empty() {
            what.push_str(": ");
            what.push_str(&self.reason);
        }
        let error = Error::forbidden(what).about(subject(module, asked)).rule(self.rule.clone()).conclusive();
        let error = match self.is_whole {
            true => error,
            false => error.remedy(format!("versions that pass: go list -m -versions {module}")),
        };
        error.remedy(test_it(registry, module, asked, right))
    }
}

impl Young {
    /// The same for a version that has to wait; `now` says how long.
    pub fn error(
        &self,
        registry: Option<&str>,
        module: &ModulePath,
        asked: &str,
        right: Option<&str>,
        now: DateTime<Utc>,
    ) -> Error {
        let what = format!(
            "{}too young: first seen {}, passes from {} on (rule {COOLDOWN}: {})",
            named(asked, right),
            shown(self.seen_at),
            shown(self.until),
            humantime::format_duration(self.min_age)
        );
        let wait = (self.until - now).to_std().unwrap_or_default();
        Error::forbidden(what)
            .about(subject(module, asked))
            .rule(COOLDOWN)
            .retry_after(wait.max(Duration::from_secs(1)))
            .conclusive()
            .remedy(format!("versions that pass: go list -m -versions {module}"))
            .remedy("who runs this proxy can let it pass now: [[cooldown.exception]]")
            .remedy(test_it(registry, module, asked, right))
    }
}

/// As people read a moment.
pub(super) fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn subject(module: &ModulePath, asked: &str) -> String {
    if asked.is_empty() { module.to_string() } else { format!("{module}@{asked}") }
}

/// A query names a version: that one is refused.
fn named(asked: &str, right: Option<&str>) -> String {
    right.filter(|right| *right != asked).map(|right| format!("{right} is ")).unwrap_or_default()
}

fn test_it(registry: Option<&str>, module: &ModulePath, asked: &str, right: Option<&str>) -> String {
    // Another registry has other rules.
    let registry = registry.map(|name| format!(" --registry {name}")).unwrap_or_default();
    match right.unwrap_or(asked) {
        "" => format!("why: modvet rules test {module}{registry}"),
        version => format!("why: modvet rules test {module}@{version}{registry}"),
    }
}
