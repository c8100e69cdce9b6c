//! Every rule that was looked at for a version, and why it is about it or not.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::refusal::shown;
use super::{Action, BY_DEFAULT, COOLDOWN, FirstSight, Rule, Rules, Seen, TOOLCHAIN, Until, about, holds_in};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// One rule's part in a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub rule: String,
    /// `allow`, `deny`, `wait` of the cooldown.
    pub action: String,
    /// Whether it is about the version.
    pub matches: bool,
    /// Whether it says what becomes of the version.
    pub decides: bool,
    pub why: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Rules {
    /// In the order in which they are asked: all rules, what becomes of the rest, the cooldown. `version` is `None`
    /// for a module as a whole; `seen` where nobody saw the version.
    pub fn looked(
        &self,
        registry: &str,
        module: &ModulePath,
        is_private: bool,
        version: Option<&Version>,
        seen: Option<Seen>,
        now: DateTime<Utc>,
    ) -> Vec<Looked> {
        let mut all = Vec::new();
        let (mut decided, mut denied) = (false, false);
        for rule in &self.rules {
            let miss = miss(rule, registry, module, version, now);
            let decides = miss.is_none() && !rule.dry_run && !decided;
            denied |= decides && rule.action == Action::Deny;
            let why = miss.clone().unwrap_or_else(|| hit(rule, decided));
            decided |= decides;
            let (name, action) = (rule.name.to_string(), rule.action.as_str().to_owned());
            all.push(Looked { rule: name, action, matches: miss.is_none(), decides, why, dry_run: rule.dry_run });
        }
        let is_toolchain = module.as_str() == TOOLCHAIN;
        let default = if is_toolchain { Action::Allow } else { self.default };
        let why = match (decided, is_toolchain) {
            (true, _) => "a rule before it decides",
            (false, true) => "no rule names the toolchain itself, so it passes",
            (false, false) => "no rule is about it",
        };
        denied |= !decided && default == Action::Deny;
        all.push(Looked {
            rule: BY_DEFAULT.to_owned(),
            action: default.as_str().to_owned(),
            matches: !decided,
            decides: !decided,
            why: why.to_owned(),
            dry_run: false,
        });
        if let Some(cooldown) = &self.cooldown {
            let (matches, why) = self.waiting(registry, module, is_private, version, seen, now);
            let (dry_run, decides) = (cooldown.dry_run, matches && !cooldown.dry_run && !denied);
            all.push(Looked { rule: COOLDOWN.to_owned(), action: "wait".to_owned(), matches, decides, why, dry_run });
        }
        all
    }

    /// Whether the cooldown holds a version back, and why or why not.
    fn waiting(
        &self,
        registry: &str,
        module: &ModulePath,
        is_private: bool,
        version: Option<&Version>,
        seen: Option<Seen>,
        now: DateTime<Utc>,
    ) -> (bool, String) {
        let Some(cooldown) = &self.cooldown else { return (false, String::new()) };
        let no = |why: &str| (false, why.to_owned());
        if is_private {
            return no("the module is private, so it is not from outside");
        }
        if !holds_in(&cooldown.registries, registry) {
            return no("its registries do not name this one");
        }
        if !about(&cooldown.modules, module) {
            return no("its modules do not name the path");
        }
        if !cooldown.not_modules.is_empty() && about(&cooldown.not_modules, module) {
            return no("its not_modules name the path");
        }
        let Some(version) = version else { return no("it depends on the version") };
        let mut exceptions = cooldown.exceptions.iter().filter(|exception| about(&exception.modules, module));
        if let Some(exception) = exceptions.find(|exception| exception.stands(now) && exception.names(version)) {
            let until = ending(exception.until.as_ref());
            let reason = Some(exception.reason.as_str()).filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return (false, format!("an exception lets it pass{until}{reason}"));
        }
        match (seen, seen.and_then(|seen| cooldown.young(seen, now))) {
            (Some(_), Some(young)) => {
                (true, format!("first seen {}, old enough from {} on", shown(young.seen_at), shown(young.until)))
            }
            (Some(Seen::InFirstList(at)), None) if cooldown.first_sight == FirstSight::Trust => {
                (false, format!("it stood in the module's first list ({}), which is trusted", shown(at)))
            }
            (Some(seen), None) => (false, format!("first seen {}, which is long enough ago", shown(seen.at()))),
            (None, _) => no("nobody looked when it was first seen: a rule denies it"),
        }
    }
}

/// Why a rule is not about a version; `None` if it is.
fn miss(
    rule: &Rule,
    registry: &str,
    module: &ModulePath,
    version: Option<&Version>,
    now: DateTime<Utc>,
) -> Option<String> {
    if !holds_in(&rule.registries, registry) {
        return Some("its registries do not name this one".to_owned());
    }
    if !about(&rule.modules, module) {
        return Some("its modules do not name the path".to_owned());
    }
    if !rule.stands(now) {
        return Some(format!("it has ended{}", ending(rule.until.as_ref())));
    }
    match (&rule.versions, version) {
        (Some(range), Some(version)) if !range.contains(version) => {
            Some(format!("{version} is not in its versions {range}"))
        }
        (Some(range), None) => Some(format!("it depends on the version: {range}")),
        _ => None,
    }
}

fn hit(rule: &Rule, decided: bool) -> String {
    let mut why = match (decided, rule.dry_run) {
        (true, _) => "it is about it, and a rule before it decides".to_owned(),
        (false, true) => "it is about it, and is only on trial".to_owned(),
        (false, false) => "it is about it".to_owned(),
    };
    if !rule.reason.is_empty() {
        why.push_str(&format!(": {}", rule.reason));
    }
    why
}

fn ending(until: Option<&Until>) -> String {
    until.map(|until| format!(" (until {})", until.as_str())).unwrap_or_default()
}
