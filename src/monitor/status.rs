//! What is said of a mirror: by the interface, by commands, on pages and in metrics alike.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::{Condition, Newest};

/// A mirror as it was found last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStatus {
    pub name: String,
    /// `git` or `proxy`.
    pub kind: String,
    /// Addresses without credentials.
    pub source: String,
    pub mirror: String,
    pub condition: Condition,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// One line for people: what is the matter, or that all is well.
    pub summary: String,
    /// How the two differ, at the last check that reached both; `None` where they do not.
    pub difference: Option<Difference>,
    /// Why the last attempt came to nothing.
    pub error: Option<String>,
    pub last_attempt: Option<DateTime<Utc>>,
    /// The last check that reached both sides, whatever it found.
    pub last_success: Option<DateTime<Utc>>,
    /// When both were seen to be the same last.
    pub last_in_sync: Option<DateTime<Utc>>,
    /// `None` where it is paused.
    pub next_check: Option<DateTime<Utc>>,
    pub check_every_seconds: u64,
    pub max_lag_seconds: u64,
    pub renewal: Option<RenewalStatus>,
    /// Letters that are not with everybody yet.
    pub undelivered: u64,
}

impl MirrorStatus {
    /// Whether somebody has to do something: what `modvet mirror status` ends with 1 for.
    pub fn is_bad(&self) -> bool {
        self.condition.is_bad() || self.renewal.as_ref().is_some_and(|renewal| renewal.is_overdue)
    }
}

/// What is not the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// When the oldest of it that is still there was seen first.
    pub since: Option<DateTime<Utc>>,
    /// How many refs the mirror has to take over; of a proxy: versions.
    pub behind_refs: u64,
    /// `None` where the histories could not be had.
    pub behind_commits: Option<u64>,
    /// How many refs have what the source lacks.
    pub ahead_refs: u64,
    pub ahead_commits: Option<u64>,
    pub newest: Newest,
    /// The first of them by name; `refs_left_out` says how many more there are.
    pub refs: Vec<RefDifference>,
    pub refs_left_out: u64,
}

/// A ref that is not the same; of a proxy: a version, or `latest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefDifference {
    /// `refs/heads/main`; of a proxy `example.com/m@v1.2.0` or `example.com/m@latest`.
    pub name: String,
    /// What stands there; `None` where nothing does.
    pub source: Option<String>,
    pub mirror: Option<String>,
    pub behind_commits: Option<u64>,
    pub ahead_commits: Option<u64>,
    /// Whether the mirror has what the source lacks, or a tag moved: a sync would overwrite it.
    pub is_diverged: bool,
    /// When it was seen first.
    pub since: Option<DateTime<Utc>>,
}

/// What lapses when, and who renews it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalStatus {
    pub what: String,
    /// The later one of the file's and of what was renewed since.
    pub due: NaiveDate,
    /// Days from today to then; negative: it has lapsed.
    pub days_left: i64,
    pub is_overdue: bool,
    pub every: Option<String>,
    pub owner: Option<String>,
    pub url: Option<String>,
    /// The newest first.
    pub history: Vec<Renewed>,
}

/// Somebody renewed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    pub at: DateTime<Utc>,
    pub until: NaiveDate,
    pub by: Option<String>,
}
