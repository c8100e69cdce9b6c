//! What a sync by hand would do, and what came of it.

use serde::{Deserialize, Serialize};

use super::status::MirrorStatus;
use crate::ports::{RefUpdate, Transfer, Updated};

/// What a sync would do, found out just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    /// Addresses without credentials.
    pub source: String,
    pub mirror: String,
    /// By the names of the refs; none where both sides are the same.
    pub updates: Vec<Planned>,
    /// Commits that the source has and the mirror lacks; `None` where the histories could not be had.
    pub behind_commits: Option<u64>,
    /// The source has none of the refs that are compared: whatever the mirror has would be deleted.
    pub is_source_empty: bool,
}

/// What would become of one ref of the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub update: RefUpdate,
    pub kind: UpdateKind,
    /// The mirror would lose what the source does not have: only with `force`.
    pub is_diverged: bool,
    pub behind_commits: Option<u64>,
    pub ahead_commits: Option<u64>,
}

/// In what way a ref changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateKind {
    Create,
    /// What stands there is an ancestor of what comes.
    Forward,
    /// Only with `prune`.
    Delete,
    Overwrite,
}

impl UpdateKind {
    pub fn as_str(self) -> &'static str {
        match self {
            UpdateKind::Create => "create",
            UpdateKind::Forward => "forward",
            UpdateKind::Delete => "delete",
            UpdateKind::Overwrite => "overwrite",
        }
    }
}

/// What a sync may do besides taking over what is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    /// Overwrite what diverged.
    pub force: bool,
    /// Delete what the source does not have (any more).
    pub prune: bool,
}

/// Told how far a sync is; `false` gives it up.
pub type Progress = Box<dyn FnMut(Transfer) -> bool + Send>;

/// What came of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// What was to be done.
    pub plan: Plan,
    /// What the mirror said of each update that was asked of it.
    pub updated: Vec<Updated>,
    /// As the check after it found it.
    pub status: MirrorStatus,
}
