//! What modvet says of a version.
//! Rules: DESIGN.md, "Verdicts on pseudo-versions".

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::info::Info;
use super::path::ModulePath;
use super::resolution::Fault;
use super::version::Version;

/// What is said of one version of one module, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub module: String,
    /// As asked.
    pub version: String,
    pub standing: Standing,
    /// The version that the go command would give the revision today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical: Option<Info>,
    /// Every reason why it is wrong, in the order in which the go command looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Why it could not be verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Where the version's tag is now, if it is not where it was when the version was first served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// A tag that names another commit than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The commit that the served files are made of.
    pub was: String,
    /// The commit that the tag names; `None` where there is no such tag any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// Whose tag it is.
    pub upstream: String,
    /// When that was first seen.
    pub seen_at: DateTime<Utc>,
}

impl Drift {
    /// In words.
    pub fn reason(&self) -> String {
        let Drift { was, now, upstream, seen_at } = self;
        let day = seen_at.format("%F");
        match now {
            Some(now) => format!("the tag of upstream {upstream} names commit {now} since {day} (expected {was})"),
            None => format!("upstream {upstream} has no such tag since {day} (expected one of commit {was})"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// What the go command would produce today.
    Canonical,
    /// The go command accepts it.
    Valid,
    /// The revision is there, its name is wrong.
    Wrong,
    /// Nobody could be asked, or the revision is unknown.
    Unverifiable,
}

/// Who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The text alone.
    Syntax,
    /// The history, at this URL.
    Git { url: String },
    /// Another module proxy's answer for the revision.
    Upstream { name: String },
    /// The checksum database knows the version, or refuses it.
    ChecksumDatabase { name: String, accepted: bool },
}

impl Verdict {
    /// The right version of a wrong one.
    pub fn right(&self) -> Option<&str> {
        let canonical = self.canonical.as_ref().filter(|_| self.standing == Standing::Wrong)?;
        Some(&canonical.version)
    }

    /// The command that puts the right version into one's own go.mod.
    pub fn require_command(&self) -> Option<String> {
        Some(format!("go mod edit -require={}@{}", self.module, self.right()?))
    }

    /// The command for a wrong version that a dependency asks for: a requirement would lose to one that sorts higher.
    /// None where no go.mod can hold the wrong one, since its major version is not the path's.
    pub fn replace_command(&self) -> Option<String> {
        let path = ModulePath::parse(&self.module).ok()?;
        Version::parse(&self.version).filter(|version| path.major_suffix().matches(version.semver()))?;
        let (module, right) = (&self.module, self.right()?);
        Some(format!("go mod edit -replace={module}@{}={module}@{right}", self.version))
    }
}
