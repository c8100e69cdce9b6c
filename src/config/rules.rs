//! What may pass, as it is written and as it is meant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::rules::{Action, BY_DEFAULT, COOLDOWN, Cooldown, Exception, FirstSight, Range, Rule, Rules, Until};
use crate::registry::definition::{self, DEFAULT, Fault, printed_duration};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct RulesTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct RuleTable {
    pub name: Option<String>,
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registries: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct CooldownTable {
    pub min_age: Option<String>,
    pub first_sight: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registries: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_modules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exception: Vec<ExceptionTable>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ExceptionTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reads all of it; `note` is told what cannot be meant and where it stands. `registries` are the names of the file's,
/// if all of them can be told.
pub fn read(
    rules: RulesTable,
    rule: Vec<RuleTable>,
    cooldown: Option<CooldownTable>,
    registries: Option<Vec<String>>,
    mut note: impl FnMut(&str, &[Fault]),
) -> Rules {
    let known = registries.map(|names| {
        // It is there whether the file has it or not.
        let named = names.into_iter().filter(|name| name != DEFAULT);
        named.chain([DEFAULT.to_owned()]).collect::<Vec<String>>()
    });
    let known = known.as_deref();
    let mut faults = Vec::new();
    let default = action("default", rules.default.as_deref().unwrap_or("allow"), &mut faults);
    note("rules", &faults);
    let mut all: Vec<Arc<Rule>> = Vec::new();
    for (at, table) in rule.into_iter().enumerate() {
        let mut faults = Vec::new();
        if let Some(rule) = read_rule(table, known, &mut faults) {
            if all.iter().any(|other| other.name == rule.name) {
                faults.push(Fault::wrong("name", &rule.name, "a name that no other rule has"));
            }
            all.push(Arc::new(rule));
        }
        note(&format!("rule.{at}"), &faults);
    }
    let cooldown = cooldown.and_then(|table| read_cooldown(table, known, &mut note));
    Rules { rules: all, default, cooldown: cooldown.map(Arc::new) }
}

fn read_rule(table: RuleTable, known: Option<&[String]>, faults: &mut Vec<Fault>) -> Option<Rule> {
    let name = definition::name(table.name, faults);
    if let Some(name) = name.as_deref().filter(|name| [BY_DEFAULT, COOLDOWN].contains(name)) {
        faults.push(Fault::wrong("name", name, "a name that is no word of modvet's own refusals"));
    }
    let action = match table.action.as_deref() {
        Some(text) => action("action", text, faults),
        None => {
            faults.push(Fault::missing("action"));
            Action::Deny
        }
    };
    let dry_run = table.dry_run.unwrap_or_default();
    if dry_run && action == Action::Allow {
        faults.push(Fault::other("dry_run", "true (expected it of a deny rule only: to allow refuses nothing)"));
    }
    // Whoever has a list written by a program and it comes out empty does not mean all modules.
    for (key, list) in [("registries", &table.registries), ("modules", &table.modules)] {
        if list.as_ref().is_some_and(Vec::is_empty) {
            faults.push(Fault::other(key, "[] (expected at least one; without the key it is about all)"));
        }
    }
    let (registries, modules) = (self::registries(table.registries, known, faults), table.modules);
    let modules = definition::patterns("modules", modules, faults);
    let (versions, until) = (range(table.versions, faults), until(table.until, faults));
    let reason = reason(table.reason, faults);
    Some(Rule { name: name?.into(), action, registries, modules, versions, reason, until, dry_run })
}

fn read_cooldown(
    table: CooldownTable,
    known: Option<&[String]>,
    note: &mut impl FnMut(&str, &[Fault]),
) -> Option<Cooldown> {
    let mut faults = Vec::new();
    if table.min_age.is_none() {
        faults.push(Fault::missing("min_age"));
    }
    let min_age = definition::duration("min_age", table.min_age.as_deref(), Default::default(), &mut faults);
    let first_sight = match table.first_sight.as_deref() {
        None | Some("trust") => FirstSight::Trust,
        Some("wait") => FirstSight::Wait,
        Some(other) => {
            faults.push(Fault::wrong("first_sight", other, "trust or wait"));
            FirstSight::Wait
        }
    };
    let registries = registries(table.registries, known, &mut faults);
    let modules = definition::patterns("modules", table.modules, &mut faults);
    let not_modules = definition::patterns("not_modules", table.not_modules, &mut faults);
    note(COOLDOWN, &faults);
    let mut exceptions = Vec::new();
    for (at, table) in table.exception.into_iter().enumerate() {
        let mut faults = Vec::new();
        if table.modules.as_ref().is_none_or(Vec::is_empty) {
            faults.push(Fault::missing("modules"));
        }
        exceptions.push(Exception {
            modules: definition::patterns("modules", table.modules, &mut faults),
            versions: range(table.versions, &mut faults),
            until: until(table.until, &mut faults),
            reason: reason(table.reason, &mut faults),
        });
        note(&format!("{COOLDOWN}.exception.{at}"), &faults);
    }
    let dry_run = table.dry_run.unwrap_or_default();
    let cooldown = Cooldown { min_age, first_sight, registries, modules, not_modules, exceptions, dry_run };
    // 0 is no least age.
    (!min_age.is_zero()).then_some(cooldown)
}

fn action(key: &str, text: &str, faults: &mut Vec<Fault>) -> Action {
    match text {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => {
            faults.push(Fault::wrong(key, other, "allow or deny"));
            Action::Deny
        }
    }
}

/// A rule of a registry that nobody has would stand for nothing, and everything would pass.
fn registries(names: Option<Vec<String>>, known: Option<&[String]>, faults: &mut Vec<Fault>) -> Vec<String> {
    let names = names.unwrap_or_default();
    let Some(known) = known else { return names };
    for (at, name) in names.iter().enumerate().filter(|(_, name)| !known.contains(name)) {
        let expected = format!("registries of this file: {}", known.join(", "));
        faults.push(Fault::wrong(format!("registries.{at}"), name, &expected));
    }
    names
}

fn range(text: Option<String>, faults: &mut Vec<Fault>) -> Option<Range> {
    let text = text?;
    Range::parse(&text).map_err(|expected| faults.push(Fault::wrong("versions", &text, &expected))).ok()
}

fn until(text: Option<String>, faults: &mut Vec<Fault>) -> Option<Until> {
    let text = text?;
    let until = Until::parse(&text);
    if until.is_none() {
        faults.push(Fault::wrong("until", &text, "a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z"));
    }
    until
}

/// It stands in every refusal, which has one line for it.
const LONGEST_REASON: usize = 200;

fn reason(text: Option<String>, faults: &mut Vec<Fault>) -> String {
    let text = text.unwrap_or_default();
    if text.len() > LONGEST_REASON || text.chars().any(char::is_control) {
        faults.push(Fault::wrong("reason", &text, "one line of at most 200 bytes"));
    }
    text
}

/// What becomes of the rest, as it would be written.
pub fn default_table(rules: &Rules) -> RulesTable {
    RulesTable { default: Some(rules.default.as_str().to_owned()) }
}

/// A rule as it would be written.
pub fn rule_table(rule: &Rule) -> RuleTable {
    RuleTable {
        name: Some(rule.name.to_string()),
        action: Some(rule.action.as_str().to_owned()),
        registries: some(&rule.registries),
        modules: some(&rule.modules),
        versions: rule.versions.as_ref().map(Range::to_string),
        reason: Some(rule.reason.clone()).filter(|reason| !reason.is_empty()),
        until: written(rule.until.as_ref()),
        dry_run: rule.dry_run.then_some(true),
    }
}

/// The cooldown as it would be written.
pub fn cooldown_table(cooldown: &Cooldown) -> CooldownTable {
    let exception = |exception: &Exception| ExceptionTable {
        modules: some(&exception.modules),
        versions: exception.versions.as_ref().map(Range::to_string),
        until: written(exception.until.as_ref()),
        reason: Some(exception.reason.clone()).filter(|reason| !reason.is_empty()),
    };
    CooldownTable {
        min_age: Some(printed_duration(cooldown.min_age)),
        first_sight: Some(cooldown.first_sight.as_str().to_owned()),
        registries: some(&cooldown.registries),
        modules: some(&cooldown.modules),
        not_modules: some(&cooldown.not_modules),
        dry_run: Some(cooldown.dry_run),
        exception: cooldown.exceptions.iter().map(exception).collect(),
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn written(until: Option<&Until>) -> Option<String> {
    until.map(|until| until.as_str().to_owned())
}
