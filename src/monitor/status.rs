//! What is said of a mirror: by the interface, by commands, on pages and in metrics alike.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::outbox::{DeliveryState, Posted};
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
    /// Of those, and of those that may never have been with somebody, whom they did not reach and why: the newest, the
    /// oldest of them first.
    pub notices: Vec<NoticeStatus>,
}

/// A letter that is not, or not certainly, with somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeStatus {
    /// Of the letter.
    pub id: String,
    pub subject: String,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// As it is configured, or `owner`.
    pub channel: String,
    /// Of e-mail.
    pub address: Option<String>,
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it is so.
    pub since: DateTime<Utc>,
    /// When it is tried next; `None` where it is not.
    pub next: Option<DateTime<Utc>>,
    /// Why it did not arrive, in the words of the server where it said some.
    pub error: Option<String>,
}

impl NoticeStatus {
    /// Those of its deliveries that did not go well so far.
    pub fn of(posted: Posted) -> impl Iterator<Item = NoticeStatus> {
        let Posted { letter, deliveries, .. } = posted;
        let missing = deliveries.into_iter().filter(|delivery| delivery.state != DeliveryState::Delivered);
        missing.map(move |delivery| NoticeStatus {
            id: letter.id.clone(),
            subject: letter.subject.clone(),
            at: letter.at,
            channel: delivery.channel,
            address: delivery.address,
            state: delivery.state,
            tries: delivery.tries,
            since: delivery.since,
            next: delivery.next,
            error: delivery.error,
        })
    }

    /// `chat`, or `post to ops@example.com`.
    pub fn to(&self) -> String {
        match &self.address {
            Some(address) => format!("{} to {address}", self.channel),
            None => self.channel.clone(),
        }
    }
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
    /// Whether there is a mail server that mail to the owner can be given to.
    pub is_owner_told: bool,
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
