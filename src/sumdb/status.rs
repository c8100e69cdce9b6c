//! What there is to say of a database, for people and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::head::{Fork, Signed};
use crate::error::Result;
use crate::spec::note::VerifierKey;

/// A database and how it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub name: String,
    /// `NAME+HASH`.
    pub key: String,
    /// Where it is reached without a proxy.
    pub url: String,
    /// The newest tree that it signed; `None`: nobody asked it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadStatus>,
    /// It contradicted itself: nothing that it says is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork: Option<ForkStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_reach_since: Option<DateTime<Utc>>,
    pub lookups: Lookups,
}

#[derive(Debug, Clone, Serialize)]
pub struct HeadStatus {
    /// How many records.
    pub size: u64,
    pub hash: String,
    pub seen_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ForkStatus {
    pub seen_at: DateTime<Utc>,
    /// The signed tree that was remembered.
    pub ours: String,
    /// The signed tree that contradicts it.
    pub theirs: String,
}

/// Lookups since the start, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lookups {
    /// Answered from what is kept.
    pub kept: u64,
    /// Asked for and proven.
    pub proven: u64,
    /// The database has no such record.
    pub absent: u64,
    /// Nobody could be reached.
    pub failed: u64,
    /// What came was no proven record.
    pub refused: u64,
}

#[derive(Default)]
pub(super) struct Counts {
    kept: AtomicU64,
    proven: AtomicU64,
    absent: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    pub fn count<T>(&self, looked: &Result<T>, was_kept: impl Fn(&T) -> bool) {
        let counter = match looked {
            Ok(record) if was_kept(record) => &self.kept,
            Ok(_) => &self.proven,
            Err(error) if error.is_absence() => &self.absent,
            Err(error) if error.is_conclusive() => &self.refused,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lookups {
    /// With the words of the metric.
    pub fn by_result(&self) -> [(&'static str, u64); 5] {
        let Lookups { kept, proven, absent, failed, refused } = *self;
        [("kept", kept), ("proven", proven), ("absent", absent), ("failed", failed), ("refused", refused)]
    }
}

impl Status {
    pub(super) fn new(
        key: &VerifierKey,
        url: &str,
        head: Option<Signed>,
        fork: Option<Fork>,
        out_of_reach_since: Option<DateTime<Utc>>,
        counts: &Counts,
    ) -> Status {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            name: key.name().to_owned(),
            key: key.shown(),
            url: url.to_owned(),
            head: head.map(|Signed { tree, seen_at, .. }| HeadStatus {
                size: tree.size,
                hash: tree.hash.to_string(),
                seen_at,
            }),
            fork: fork.map(|Fork { seen_at, ours, theirs }| ForkStatus { seen_at, ours, theirs }),
            out_of_reach_since,
            lookups: Lookups {
                kept: read(&counts.kept),
                proven: read(&counts.proven),
                absent: read(&counts.absent),
                failed: read(&counts.failed),
                refused: read(&counts.refused),
            },
        }
    }
}
