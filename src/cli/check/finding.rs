//! What a check finds: a rule, a version, the places that name it, and the way out.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Relative to the current folder where it lies below it, with slashes.
    pub file: String,
    /// From one; `None` where the whole file is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// What can be found. The names are part of fingerprints and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    BrokenFile,
    WrongVersion,
    UnverifiableVersion,
    RetractedVersion,
    TagDrift,
    IncompatibleVersion,
    ReleasedVersion,
    ReplacedVersion,
}

/// How bad it is; only the first three count for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be checked.
    Broken,
    Wrong,
    Unverifiable,
    Warning,
    Note,
}

impl Rule {
    pub const ALL: [Rule; 8] = [
        Rule::BrokenFile,
        Rule::WrongVersion,
        Rule::UnverifiableVersion,
        Rule::RetractedVersion,
        Rule::TagDrift,
        Rule::IncompatibleVersion,
        Rule::ReleasedVersion,
        Rule::ReplacedVersion,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Rule::BrokenFile => "broken-file",
            Rule::WrongVersion => "wrong-version",
            Rule::UnverifiableVersion => "unverifiable-version",
            Rule::RetractedVersion => "retracted-version",
            Rule::TagDrift => "tag-drift",
            Rule::IncompatibleVersion => "incompatible-version",
            Rule::ReleasedVersion => "released-version",
            Rule::ReplacedVersion => "replaced-version",
        }
    }

    /// The rule in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Rule::BrokenFile => "A file cannot be read, or not as what it is.",
            Rule::WrongVersion => "A pseudo-version does not fit the commit that it names.",
            Rule::UnverifiableVersion => "Whether a pseudo-version is right could not be found out.",
            Rule::RetractedVersion => "A version is used that its author took back.",
            Rule::TagDrift => "A version's tag no longer gives what the checksum says.",
            Rule::IncompatibleVersion => {
                "An +incompatible version is used, and the major version has a module of its own."
            }
            Rule::ReleasedVersion => "A pseudo-version is used, and its commit has a release.",
            Rule::ReplacedVersion => "A wrong pseudo-version is named, and replaced before it is used.",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Rule::BrokenFile => Severity::Broken,
            Rule::WrongVersion => Severity::Wrong,
            Rule::UnverifiableVersion => Severity::Unverifiable,
            Rule::RetractedVersion | Rule::TagDrift | Rule::IncompatibleVersion | Rule::ReleasedVersion => {
                Severity::Warning
            }
            Rule::ReplacedVersion => Severity::Note,
        }
    }
}

impl Severity {
    /// The word before the reason.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Broken => "error",
            Severity::Wrong => "wrong",
            Severity::Unverifiable => "unverifiable",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// Empty for a broken file.
    pub module: String,
    pub version: String,
    /// At least one; the first one is shown where only one can be.
    pub places: Vec<Place>,
    /// At least one.
    pub reasons: Vec<String>,
    /// The version that should stand there.
    pub right: Option<String>,
    /// What puts it right.
    pub commands: Vec<String>,
    /// How it comes in: from the main module, `path@version` by `path@version`, to itself.
    pub chain: Vec<String>,
}

impl Finding {
    /// Says that a file could not be read.
    pub fn broken(place: Place, what: String) -> Finding {
        Finding {
            rule: Rule::BrokenFile,
            module: String::new(),
            version: String::new(),
            places: vec![place],
            reasons: vec![what],
            right: None,
            commands: Vec::new(),
            chain: Vec::new(),
        }
    }

    pub fn place(&self) -> &Place {
        &self.places[0]
    }

    /// `path@version`; nothing for a broken file.
    pub fn subject(&self) -> Option<String> {
        (!self.module.is_empty()).then(|| format!("{}@{}", self.module, self.version))
    }

    /// `path@version: what: why; why`, for those who show one line.
    pub fn message(&self) -> String {
        let reasons = self.reasons.join("; ");
        match self.subject() {
            Some(subject) => format!("{subject}: {}: {reasons}", self.rule.severity().word()),
            None => reasons,
        }
    }

    /// The lines that say how to get out of it.
    pub fn remedy(&self) -> Vec<String> {
        let right = self.right.iter().map(|right| format!("use {right}"));
        right.chain(self.commands.iter().cloned()).collect()
    }

    /// The message, the remedy and the way by which it comes in.
    pub fn lines(&self) -> Vec<String> {
        let way = (!self.chain.is_empty()).then(|| format!("comes in by {}", self.chain.join(" -> ")));
        [self.message()].into_iter().chain(self.remedy()).chain(way).collect()
    }

    /// The same for the same finding, wherever in the file it stands.
    pub fn fingerprint(&self) -> String {
        let place = self.place();
        let what = if self.module.is_empty() { &self.reasons[0] } else { &self.module };
        let mut sum = Sha256::new();
        for part in [self.rule.name(), what, &self.version, &place.file] {
            sum.update(part);
            sum.update([0]);
        }
        hex::encode(sum.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: usize) -> Finding {
        let place = Place { file: "go.mod".to_owned(), line: Some(line) };
        let (module, version) = ("example.com/m".to_owned(), "v1.0.0".to_owned());
        Finding { module, version, rule: Rule::RetractedVersion, ..Finding::broken(place, "retracted".to_owned()) }
    }

    #[test]
    fn a_fingerprint_is_of_rule_module_version_and_file() {
        assert_eq!(finding(3).fingerprint(), finding(4).fingerprint(), "the line does not count");
        let others = [
            Finding { rule: Rule::TagDrift, ..finding(3) },
            Finding { module: "example.com/n".to_owned(), ..finding(3) },
            Finding { version: "v1.0.1".to_owned(), ..finding(3) },
            Finding { places: vec![Place { file: "a/go.mod".to_owned(), line: Some(3) }], ..finding(3) },
        ];
        for other in others {
            assert_ne!(finding(3).fingerprint(), other.fingerprint(), "{}", other.message());
        }
    }
}
