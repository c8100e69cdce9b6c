//! Everything that a check has to say.

use super::finding::{Finding, Place, Severity};
use super::subject::Subject;
use super::warnings::Unseen;
use crate::spec::verdict::{Standing, Verdict};

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// By the names that are shown.
    pub files: Vec<String>,
    pub judged: Vec<Judged>,
    pub findings: Vec<Finding>,
    /// Of these nobody could say what there is to warn of.
    pub unseen: Vec<Unseen>,
}

/// A pseudo-version and what is said of it.
#[derive(Debug)]
pub struct Judged {
    pub module: String,
    pub version: String,
    pub standing: Standing,
    pub places: Vec<Place>,
}

impl Judged {
    pub fn new(subject: &Subject, verdict: &Verdict) -> Judged {
        Judged {
            module: subject.module.clone(),
            version: subject.version.to_string(),
            standing: verdict.standing,
            places: subject.places.iter().map(|(_, place)| place.clone()).collect(),
        }
    }
}

impl Report {
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.rule.severity() == severity).count()
    }

    /// The whole in a line.
    pub fn summary(&self) -> String {
        let counted = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        let files = counted(self.files.len(), "file", "files");
        let judged = counted(self.judged.len(), "pseudo-version", "pseudo-versions");
        let found: Vec<String> = [
            (Severity::Broken, "broken file", "broken files"),
            (Severity::Wrong, "wrong", "wrong"),
            (Severity::Unverifiable, "unverifiable", "unverifiable"),
            (Severity::Warning, "warning", "warnings"),
            (Severity::Note, "note", "notes"),
        ]
        .into_iter()
        .filter(|(severity, _, _)| self.count(*severity) > 0)
        .map(|(severity, one, many)| counted(self.count(severity), one, many))
        .collect();
        let found = if found.is_empty() { "all well".to_owned() } else { found.join(", ") };
        format!("{files}, {judged}: {found}")
    }
}
