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
                let mut reasons = reasons(verdict);
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
        let better = warning.better.iter().filter_map(|(module, version)| self.better(module, version));
        Finding { commands: better.collect(), ..self.finding(warning.rule, vec![one_line(&warning.reason)]) }
    }

    /// What puts a better version in the place of one that is in use.
    fn better(&self, module: &str, version: &str) -> Option<String> {
        let (role, place) = self.subject.places.first()?;
        Some(match (role, place.file.rsplit_once('/')) {
            (Role::Replacement { left }, _) => edit(&place.file, &format!("-replace={left}={module}@{version}")),
            (_, Some((folder, _))) => format!("go -C {folder} get {module}@{version}"),
            (_, None) => format!("go get {module}@{version}"),
        })
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
            let change = match role {
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
            let command = edit(&place.file, &change);
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

/// Every fault in words, with what is known of where the wrong part comes from.
fn reasons(verdict: &Verdict) -> Vec<String> {
    let canonical = verdict.canonical.as_ref().map(|info| info.version.as_str());
    let told = verdict.faults.iter().map(|fault| fault.reason(&verdict.version, canonical));
    let told = told.map(|reason| match reason.note {
        Some(note) => one_line(&format!("{}: {note}", reason.text)),
        None => one_line(&reason.text),
    });
    // What is wrong by its text alone has no right version where nobody could be asked.
    told.chain(verdict.why.as_deref().map(one_line)).collect()
}

/// The command that edits what a line of this file comes from.
fn edit(file: &str, change: &str) -> String {
    let (tool, edited) = match file.strip_suffix(".sum").unwrap_or(file) {
        stem if stem.ends_with(".work") => ("work", stem.to_owned()),
        _ => ("mod", file.strip_suffix(".sum").map_or_else(|| file.to_owned(), |stem| format!("{stem}.mod"))),
    };
    let behind = if matches!(edited.as_str(), "go.mod" | "go.work") { String::new() } else { format!(" {edited}") };
    format!("go {tool} edit {change}{behind}")
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_unless_go_finds_it_itself() {
        for (file, expected) in [
            ("go.mod", "go mod edit -x"),
            ("go.sum", "go mod edit -x"),
            ("a/go.sum", "go mod edit -x a/go.mod"),
            ("go.work", "go work edit -x"),
            ("go.work.sum", "go work edit -x"),
            ("a/go.work.sum", "go work edit -x a/go.work"),
        ] {
            assert_eq!(edit(file, "-x"), expected, "{file}");
        }
    }
}
