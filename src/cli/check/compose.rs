//! From facts to findings: the words and the commands that put it right.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::finding::{Finding, Rule};
use super::graph::Graph;
use super::judge::{Judge, Key};
use super::read::{Reading, Role};
use super::subject::{Fate, Subject};
use super::warnings::{Warning, Warnings};
use crate::spec::verdict::{Standing, Verdict};

/// How a version comes in.
pub struct Way {
    chain: Vec<String>,
    /// Whether the main module alone asks for it, although it says `// indirect`.
    is_own: bool,
}

/// The ways of all transitive versions of which there is something to say.
pub async fn ways(
    judge: &Judge,
    reading: &Reading,
    subjects: &[Subject],
    verdicts: &HashMap<Key, Verdict>,
    warnings: &Warnings,
) -> HashMap<(String, Key), Way> {
    let mut wanted: BTreeMap<&str, HashSet<Key>> = BTreeMap::new();
    for subject in subjects.iter().filter(|subject| subject.is_transitive() && subject.fate == Fate::Fetched) {
        let key = subject.key();
        let is_well = |verdict: &Verdict| matches!(verdict.standing, Standing::Canonical | Standing::Valid);
        if !verdicts.get(&key).is_none_or(is_well) || warnings.of.contains_key(&key) {
            wanted.entry(&subject.folder).or_default().insert(key);
        }
    }
    let mut ways = HashMap::new();
    for (folder, keys) in wanted {
        let Some((_, main)) = reading.modules.iter().find(|(of, _)| of == folder) else { continue };
        let graph = Graph::search(judge, main, &keys).await;
        for key in keys {
            let way = Way { chain: graph.way(&key), is_own: !graph.is_asked_for(&key) };
            if !way.chain.is_empty() {
                ways.insert((folder.to_owned(), key), way);
            }
        }
    }
    ways
}

/// A version of which there is something to say.
pub struct Compose<'a> {
    pub subject: &'a Subject,
    pub way: Option<&'a Way>,
}

impl Compose<'_> {
    pub fn verdict(&self, verdict: &Verdict) -> Option<Finding> {
        let is_replaced = self.subject.fate == Fate::Replaced;
        match verdict.standing {
            Standing::Canonical | Standing::Valid => None,
            Standing::Unverifiable if is_replaced => None,
            Standing::Unverifiable => {
                let why = verdict.why.as_deref().unwrap_or("nobody could say");
                Some(self.finding(Rule::UnverifiableVersion, vec![one_line(why)]))
            }
            Standing::Wrong => {
                let mut reasons: Vec<String> =
                    verdict.faults.iter().map(|fault| one_line(&fault.to_string())).collect();
                if is_replaced {
                    reasons.push("replaced, so it is never fetched".to_owned());
                    return Some(self.finding(Rule::ReplacedVersion, reasons));
                }
                let right = verdict.right().map(str::to_owned);
                let commands = right.iter().flat_map(|right| self.commands(right)).collect();
                Some(Finding { right, commands, ..self.finding(Rule::WrongVersion, reasons) })
            }
        }
    }

    pub fn warning(&self, warning: Warning) -> Finding {
        let commands = warning.command.into_iter().collect();
        Finding { commands, ..self.finding(warning.rule, vec![one_line(&warning.reason)]) }
    }

    fn finding(&self, rule: Rule, reasons: Vec<String>) -> Finding {
        let subject = self.subject;
        Finding {
            rule,
            module: subject.module.clone(),
            version: subject.version.to_string(),
            places: subject.places.iter().map(|(_, place)| place.clone()).collect(),
            reasons,
            right: None,
            commands: Vec::new(),
            chain: self.way.map(|way| way.chain.clone()).unwrap_or_default(),
        }
    }

    /// What puts the right version in the place of the wrong one, for every role that it has.
    fn commands(&self, right: &str) -> Vec<String> {
        let Subject { module, version, places, .. } = self.subject;
        let mut commands = Vec::new();
        for (role, place) in places {
            let tool = if place.file.ends_with(".work") || place.file.ends_with(".work.sum") { "work" } else { "mod" };
            let edit = match role {
                Role::Require => format!("-require={module}@{right}"),
                // Nobody else asks for it, so nobody's requirement beats the right one.
                Role::Indirect if self.way.is_some_and(|way| way.is_own) => format!("-require={module}@{right}"),
                Role::Replacement { left } => format!("-replace={left}={module}@{right}"),
                Role::Exclude => format!("-dropexclude={module}@{version} -exclude={module}@{right}"),
                // A dependency's requirement may be higher than the right version: only a replacement wins.
                Role::Indirect => format!("-replace={module}@{version}={module}@{right}"),
                Role::Sum if self.subject.is_transitive() && commands.is_empty() => {
                    format!("-replace={module}@{version}={module}@{right}")
                }
                Role::Sum | Role::Replaced => continue,
            };
            let file = edited(&place.file);
            let behind = if matches!(file.as_str(), "go.mod" | "go.work") { String::new() } else { format!(" {file}") };
            let command = format!("go {tool} edit {edit}{behind}");
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

/// The file that is edited for a line of this one.
fn edited(file: &str) -> String {
    file.strip_suffix(".work.sum").map(|stem| format!("{stem}.work")).unwrap_or_else(|| {
        match file.strip_suffix(".sum") {
            Some(stem) => format!("{stem}.mod"),
            None => file.to_owned(),
        }
    })
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
