//! What the history itself says of a version: every fault, the right version, and the part of the history that matters.
//! Facts only; how they are told is `spec::explanation`'s.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::info::Info;
use super::resolution::Fault;

/// A version held against the history of its repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// The repository's address, without secrets.
    pub url: String,
    /// The version that the go command would give the revision today; `None` where it would give none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical: Option<Info>,
    /// In the order in which the go command looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    pub history: History,
}

/// A commit and the versions tagged on it and before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub commit: String,
    /// The committer's time.
    pub time: DateTime<Utc>,
    /// The author's time, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_time: Option<DateTime<Utc>>,
    /// The tags on the commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The tags before it that are versions of the module, the highest first; only the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<TaggedAncestor>,
    /// How many further ones there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further: usize,
    /// The tag that the version names as its base, where it stands on no ancestor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}

/// A tag on an ancestor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaggedAncestor {
    pub tag: String,
    /// How many steps from commit to parent it takes at least.
    pub distance: u32,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
