//! A fault told to people: which rule it breaks, what was found, what is right.

use serde::{Deserialize, Serialize};

use super::pseudo::PseudoVersion;
use super::resolution::Fault;

/// What the go command asks of a version, in the order in which a page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    Revision,
    Time,
    Base,
    Major,
    Incompatible,
    GoMod,
    /// A module proxy or the checksum database takes it.
    Accepted,
}

/// A reason why a version is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub rule: Rule,
    /// In the go command's words.
    pub text: String,
    pub found: String,
    pub right: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Rule {
    pub const ALL: [Rule; 7] =
        [Rule::Revision, Rule::Time, Rule::Base, Rule::Major, Rule::Incompatible, Rule::GoMod, Rule::Accepted];

    /// The rule in words.
    pub fn words(self) -> &'static str {
        match self {
            Rule::Revision => "the revision is the first 12 digits of the commit's id, in lower case",
            Rule::Time => "the time is the committer's, in UTC",
            Rule::Base => "the base is tagged on an ancestor, or there is none",
            Rule::Major => "the major version is the module path's, or +incompatible follows",
            Rule::Incompatible => "+incompatible follows v2 and above without go.mod, and nothing else",
            Rule::GoMod => "the module is there, by the path in its go.mod",
            Rule::Accepted => "somebody who knows the revision takes the name for it",
        }
    }
}

impl Fault {
    /// The rule that it breaks.
    pub fn rule(&self) -> Rule {
        match self {
            Fault::RevisionTooLong { .. }
            | Fault::RevisionTooShort { .. }
            | Fault::RevisionDiffers { .. }
            | Fault::RevisionInUpperCase { .. }
            | Fault::RevisionNotHexadecimal { .. } => Rule::Revision,
            Fault::TimeMalformed { .. } | Fault::TimeDiffers { .. } => Rule::Time,
            Fault::MajorWithoutBase
            | Fault::BaseOnRevision { .. }
            | Fault::BaseMissing { .. }
            | Fault::BaseNotAncestor { .. }
            | Fault::BaseNegative { .. }
            | Fault::BuildWithoutBase { .. } => Rule::Base,
            Fault::MajorDiffers { .. } | Fault::SuffixDiffers => Rule::Major,
            Fault::GoModExists { .. } | Fault::IncompatibleNotAllowed { .. } | Fault::IncompatibleMissing => {
                Rule::Incompatible
            }
            Fault::GoModDiffers { .. } => Rule::GoMod,
            Fault::Refused { .. } => Rule::Accepted,
        }
    }

    /// The fault of the version `asked`, whose right one is `canonical`, as far as that is known.
    pub fn reason(&self, asked: &str, canonical: Option<&str>) -> Reason {
        let (found, right) = self.found_and_right(asked, canonical);
        let note = match self {
            Fault::TimeDiffers { note, .. } => note.as_ref().map(ToString::to_string),
            _ => None,
        };
        Reason { rule: self.rule(), text: self.to_string(), found, right, note }
    }

    fn found_and_right(&self, asked: &str, canonical: Option<&str>) -> (String, String) {
        let revision = || PseudoVersion::parse(asked).map(|pseudo| pseudo.revision().to_owned()).unwrap_or_default();
        let right_base = || canonical.map_or_else(|| "no base".to_owned(), base_in_words);
        let major = |text: &str| text.split('.').next().unwrap_or(text).to_owned();
        match self {
            Fault::RevisionTooLong { expected }
            | Fault::RevisionTooShort { expected }
            | Fault::RevisionDiffers { expected }
            | Fault::RevisionInUpperCase { expected }
            | Fault::RevisionNotHexadecimal { expected } => (revision(), expected.clone()),
            Fault::TimeMalformed { found, expected } | Fault::TimeDiffers { found, expected, .. } => {
                (found.clone(), expected.clone())
            }
            Fault::MajorWithoutBase | Fault::BuildWithoutBase { .. } => ("no base".to_owned(), right_base()),
            Fault::BaseOnRevision { tag, .. } => (format!("{tag}, on the revision itself"), right_base()),
            Fault::BaseMissing { base } => (format!("{base}, which is no tag"), right_base()),
            Fault::BaseNotAncestor { tag, .. } => (format!("{tag}, on no ancestor"), right_base()),
            Fault::BaseNegative { version } => (format!("what comes before {version}"), right_base()),
            Fault::MajorDiffers { expected, found } => (found.clone(), expected.clone()),
            Fault::SuffixDiffers => (major(asked), canonical.map_or_else(|| "the path's".to_owned(), major)),
            Fault::GoModExists { path } => (asked.to_owned(), format!("the module path {path}")),
            Fault::IncompatibleNotAllowed { .. } => {
                ("+incompatible".to_owned(), "nothing behind the version".to_owned())
            }
            Fault::IncompatibleMissing => ("nothing behind the version".to_owned(), "+incompatible".to_owned()),
            Fault::GoModDiffers { found, expected, .. } if found.is_empty() => ("none".to_owned(), expected.clone()),
            Fault::GoModDiffers { found, expected, .. } => (found.clone(), expected.clone()),
            Fault::Refused { .. } => {
                (asked.to_owned(), canonical.map_or_else(|| "a name that is taken".to_owned(), str::to_owned))
            }
        }
    }
}

/// What a right version says of its base.
pub fn base_in_words(version: &str) -> String {
    let without_suffix = version.strip_suffix("+incompatible").unwrap_or(version);
    match PseudoVersion::parse(without_suffix).map(|pseudo| pseudo.base()) {
        Some(Ok(Some(base))) => base,
        Some(_) => "no base".to_owned(),
        None => format!("{version}, which is tagged"),
    }
}
