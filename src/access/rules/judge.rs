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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::rules::{FirstSight, Range, Until};

    fn rule(name: &str, action: Action, modules: &str, versions: &str) -> Rule {
        Rule {
            name: name.into(),
            action,
            registries: Vec::new(),
            modules: modules.split(' ').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect(),
            versions: Some(versions).filter(|text| !text.is_empty()).map(|text| Range::parse(text).expect(text)),
            reason: String::new(),
            until: None,
            dry_run: false,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
    }

    fn relevant(rules: &[Rule], default: Action, registry: &str, path: &str) -> Relevant {
        let rules = Rules { rules: rules.iter().cloned().map(Arc::new).collect(), default, cooldown: None };
        rules.relevant(registry, &ModulePath::parse(path).expect(path), false)
    }

    const ALLOW: Action = Action::Allow;
    const DENY: Action = Action::Deny;

    #[test]
    fn the_first_rule_that_is_about_a_version_decides() {
        let ended = Rule { until: Until::parse("2026-12-31"), ..rule("ended", DENY, "", "") };
        let lasting = Rule { until: Until::parse("2027-12-31"), ..rule("lasting", DENY, "", "") };
        let elsewhere = Rule { registries: vec!["ci".to_owned()], ..rule("ci", DENY, "", "") };
        let trial = Rule { dry_run: true, ..rule("trial", DENY, "", "") };
        let table: [(&str, Vec<Rule>, Action, &str, &str); 12] = [
            ("no rule", vec![], ALLOW, "passes", "passes"),
            ("no rule, and the rest falls", vec![], DENY, "default", "default"),
            ("denied", vec![rule("a", DENY, "x.y/*", "")], ALLOW, "a", "a"),
            ("another module", vec![rule("a", DENY, "x.z", "")], ALLOW, "passes", "passes"),
            ("another version", vec![rule("a", DENY, "", ">=2.0.0")], ALLOW, "passes", "depends"),
            ("allowed first", vec![rule("a", ALLOW, "", ""), rule("b", DENY, "", "")], DENY, "passes", "passes"),
            (
                "allowed in part",
                vec![rule("a", ALLOW, "", "=1.0.0"), rule("b", DENY, "", "")],
                ALLOW,
                "passes",
                "depends",
            ),
            ("denied first", vec![rule("a", DENY, "", "1"), rule("b", ALLOW, "", "")], ALLOW, "a", "depends"),
            ("ended", vec![ended], ALLOW, "passes", "passes"),
            ("lasting", vec![lasting], ALLOW, "lasting", "lasting"),
            ("another registry", vec![elsewhere], ALLOW, "passes", "passes"),
            ("on trial", vec![trial, rule("b", DENY, "", "")], ALLOW, "b", "b"),
        ];
        let version = Version::parse("v1.0.0").expect("a version");
        for (row, rules, default, expected, whole) in table {
            let relevant = relevant(&rules, default, "default", "x.y/m");
            let judged = relevant.judge(&version, now());
            assert_eq!(judged.denial.as_ref().map_or("passes", |denial| &denial.rule), expected, "{row}");
            let found = match relevant.whole(now()) {
                Whole::Passes => "passes".to_owned(),
                Whole::Depends => "depends".to_owned(),
                Whole::Denied(denial) => denial.rule.to_string(),
            };
            assert_eq!(found, whole, "{row}: the module");
        }
    }

    #[test]
    fn only_its_very_name_is_about_the_toolchain() {
        let all = [rule("all", DENY, "", ""), rule("golang", DENY, "golang.org/*", "")];
        assert!(relevant(&all, DENY, "default", TOOLCHAIN).is_empty());
        let named = [rule("named", DENY, "golang.org/toolchain", "")];
        assert!(!relevant(&named, ALLOW, "default", TOOLCHAIN).is_empty());
    }

    #[test]
    fn the_cooldown_is_about_what_is_from_outside_and_not_excepted() {
        let exception = |modules: &str, versions: &str, until: &str| Exception {
            modules: vec![modules.to_owned()],
            versions: Some(versions).filter(|text| !text.is_empty()).map(|text| Range::parse(text).expect(text)),
            until: Until::parse(until),
            reason: String::new(),
        };
        let cooldown = Cooldown {
            min_age: Duration::from_secs(7 * 24 * 3600),
            first_sight: FirstSight::Trust,
            registries: vec!["default".to_owned()],
            modules: vec!["x.y/*".to_owned(), "golang.org/*".to_owned()],
            not_modules: vec!["x.y/free".to_owned()],
            exceptions: vec![
                exception("x.y/m", "=1.1.0", "2027-12-31"),
                exception("x.y/m", "=1.2.0", "2026-12-31"),
                exception("x.y/all", "", ""),
            ],
            dry_run: false,
        };
        let rules = Rules { cooldown: Some(Arc::new(cooldown)), ..Rules::default() };
        let table = [
            ("it waits", "default", "x.y/m", false, "v1.0.0", true),
            ("excepted", "default", "x.y/m", false, "v1.1.0", false),
            ("the exception is over", "default", "x.y/m", false, "v1.2.0", true),
            ("excepted whole", "default", "x.y/all", false, "v1.0.0", false),
            ("another registry", "ci", "x.y/m", false, "v1.0.0", false),
            ("another module", "default", "x.z/m", false, "v1.0.0", false),
            ("let out", "default", "x.y/free/v2", false, "v2.0.0", false),
            ("private", "default", "x.y/m", true, "v1.0.0", false),
            ("the toolchain", "default", TOOLCHAIN, false, "v0.0.1-go1.26.0.linux-amd64", false),
        ];
        for (row, registry, path, is_private, version, waits) in table {
            let module = ModulePath::parse(path).expect(path);
            let relevant = rules.relevant(registry, &module, is_private);
            let version = Version::parse(version).expect(version);
            assert_eq!(relevant.waits(&version, now()).is_some(), waits, "{row}");
        }
    }

    #[test]
    fn a_version_is_young_until_its_day_has_come() {
        let day = |days: i64| now() - chrono::TimeDelta::days(days);
        let cooldown = |first_sight| Cooldown {
            min_age: Duration::from_secs(7 * 24 * 3600),
            first_sight,
            registries: Vec::new(),
            modules: Vec::new(),
            not_modules: Vec::new(),
            exceptions: Vec::new(),
            dry_run: false,
        };
        let table = [
            ("just now", FirstSight::Trust, Seen::At(day(0)), Some(day(-7))),
            ("a moment before", FirstSight::Trust, Seen::At(day(6)), Some(day(-1))),
            ("the day has come", FirstSight::Trust, Seen::At(day(7)), None),
            ("trusted", FirstSight::Trust, Seen::InFirstList(day(0)), None),
            ("not trusted", FirstSight::Wait, Seen::InFirstList(day(0)), Some(day(-7))),
            ("not trusted, and old", FirstSight::Wait, Seen::InFirstList(day(8)), None),
        ];
        for (row, first_sight, seen, until) in table {
            let found = cooldown(first_sight).young(seen, now()).map(|young| young.until);
            assert_eq!(found, until, "{row}");
        }
    }
}
