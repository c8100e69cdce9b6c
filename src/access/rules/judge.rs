//! What the rules say of a module and of its versions.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::refusal::{Denial, Young};
use super::{Action, BY_DEFAULT, Cooldown, Exception, Rule, Rules, Seen, TOOLCHAIN, about, holds_in};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// The rules that are about one module in one registry. Where there are none, everything of it passes.
#[derive(Debug, Clone, Default)]
pub struct Relevant {
    rules: Vec<Arc<Rule>>,
    default: Action,
    cooldown: Option<Arc<Cooldown>>,
    exceptions: Vec<Exception>,
}

/// What rules by name say of a version, its age left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// The rule that lets it pass; `None` where none is about it.
    pub allowed_by: Option<Arc<str>>,
    pub denial: Option<Denial>,
    /// Rules on trial that would have refused it.
    pub would: Vec<Arc<str>>,
}

/// What they say of all versions of a module together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    Passes,
    /// It depends on the version.
    Depends,
    Denied(Denial),
}

impl Rules {
    /// Those that are about a module in a registry. What is private is no version from outside.
    pub fn relevant(&self, registry: &str, module: &ModulePath, is_private: bool) -> Relevant {
        let applies = |rule: &&Arc<Rule>| holds_in(&rule.registries, registry) && about(&rule.modules, module);
        let cooldown = self.cooldown.as_ref().filter(|cooldown| {
            !is_private
                && holds_in(&cooldown.registries, registry)
                && about(&cooldown.modules, module)
                && (cooldown.not_modules.is_empty() || !about(&cooldown.not_modules, module))
        });
        let exceptions = cooldown.iter().flat_map(|cooldown| &cooldown.exceptions);
        Relevant {
            rules: self.rules.iter().filter(applies).cloned().collect(),
            default: if module.as_str() == TOOLCHAIN { Action::Allow } else { self.default },
            cooldown: cooldown.cloned(),
            exceptions: exceptions.filter(|exception| about(&exception.modules, module)).cloned().collect(),
        }
    }
}

impl Relevant {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.default == Action::Allow && self.cooldown.is_none()
    }

    /// Whether versions have to be of some age.
    pub fn cooldown(&self) -> Option<&Cooldown> {
        self.cooldown.as_deref()
    }

    /// The first rule that is about a version says what becomes of it.
    pub fn judge(&self, version: &Version, now: DateTime<Utc>) -> Judged {
        let mut judged = Judged::default();
        for rule in self.rules.iter().filter(|rule| rule.stands(now) && rule.names(version)) {
            match (rule.dry_run, rule.action) {
                (true, _) => judged.would.push(rule.name.clone()),
                (false, Action::Allow) => {
                    judged.allowed_by = Some(rule.name.clone());
                    return judged;
                }
                (false, Action::Deny) => {
                    judged.denial = Some(Denial::by(rule));
                    return judged;
                }
            }
        }
        if self.default == Action::Deny {
            judged.denial = Some(self.by_default(now));
        }
        judged
    }

    /// What is known before any version is: a module that is denied as a whole need not be asked for.
    pub fn whole(&self, now: DateTime<Utc>) -> Whole {
        let (mut some_pass, mut some_fall) = (false, false);
        for rule in self.rules.iter().filter(|rule| !rule.dry_run && rule.stands(now)) {
            match (rule.action, rule.versions.is_some()) {
                (Action::Allow, true) => some_pass = true,
                (Action::Deny, true) => some_fall = true,
                (Action::Allow, false) if some_fall => return Whole::Depends,
                (Action::Allow, false) => return Whole::Passes,
                (Action::Deny, false) if some_pass => return Whole::Depends,
                (Action::Deny, false) => return Whole::Denied(Denial::by(rule)),
            }
        }
        match self.default {
            Action::Allow if some_fall => Whole::Depends,
            Action::Allow => Whole::Passes,
            Action::Deny if some_pass => Whole::Depends,
            Action::Deny => Whole::Denied(self.by_default(now)),
        }
    }

    fn by_default(&self, now: DateTime<Utc>) -> Denial {
        let is_whole = !self.rules.iter().any(|rule| rule.action == Action::Allow && rule.stands(now));
        Denial { rule: BY_DEFAULT.into(), reason: "no rule lets it pass".to_owned(), until: None, is_whole }
    }

    /// The cooldown, where a version has to wait for it: no exception is about it.
    pub fn waits(&self, version: &Version, now: DateTime<Utc>) -> Option<&Cooldown> {
        let excepted = |exception: &Exception| exception.stands(now) && exception.names(version);
        self.cooldown().filter(|_| !self.exceptions.iter().any(excepted))
    }
}

impl Cooldown {
    /// `None` for a version that is old enough.
    pub fn young(&self, seen: Seen, now: DateTime<Utc>) -> Option<Young> {
        let seen_at = match (seen, self.first_sight) {
            (Seen::InFirstList(_), super::FirstSight::Trust) => return None,
            (Seen::InFirstList(at), super::FirstSight::Wait) | (Seen::At(at), _) => at,
        };
        let until = seen_at + self.min_age;
        (now < until).then_some(Young { seen_at, until, min_age: self.min_age })
    }
}
