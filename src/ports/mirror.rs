//! What the mirror watch reaches the world by, and by what others learn how a mirror stands.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::spec::info::ObjectId;

/// A mirror and its source: two git repositories on servers that should be the same. Blocking.
///
/// An error that is [`unauthorized`](crate::error::Error::is_unauthorized) says that the other side does not accept
/// who we are (any more); every other one, that nothing was heard of it. Where both sides are asked, an error is about
/// one of them.
pub trait Pair: Send + Sync {
    /// The refs of one side, asked for now, in the order of their names. Without `HEAD`.
    fn refs(&self, side: Side) -> Result<Vec<RemoteRef>>;
    /// What each side has that the other lacks. Commits that are not here are fetched, their files are not.
    /// `Kind::Unavailable` if a ref moved since it was asked for: the refs are to be asked for again.
    fn relate(&self, question: &Relate<'_>) -> Result<Relation>;
    /// Fetches from the source all that these refs need and puts them on the mirror. What the mirror says of each is
    /// in the order of `updates`. `progress` gives the work up by `false`.
    fn sync(&self, updates: &[RefUpdate], progress: &mut dyn FnMut(Transfer) -> bool) -> Result<Vec<Updated>>;
}

/// Which of the two repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Source,
    Mirror,
}

impl Side {
    /// As in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Mirror => "mirror",
        }
    }
}

/// A ref as a server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    pub name: String,
    pub id: ObjectId,
    /// What an annotated tag leads to in the end.
    pub peeled: Option<ObjectId>,
}

/// A ref that is not the same on both sides; `None` where there is none of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefPair {
    pub name: String,
    pub source: Option<ObjectId>,
    pub mirror: Option<ObjectId>,
}

/// What is to be found out of two histories.
#[derive(Debug, Clone, Copy)]
pub struct Relate<'a> {
    /// All refs that are compared, of each side.
    pub source: &'a [RemoteRef],
    pub mirror: &'a [RemoteRef],
    pub differing: &'a [RefPair],
    /// Objects that the source's refs held at some time: does the mirror have them by now?
    pub awaited: &'a [ObjectId],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// Commits that the source's refs reach and none of the mirror's does.
    pub behind: u64,
    /// Commits that the mirror's refs reach and none of the source's does.
    pub ahead: u64,
    /// In the order of `Relate::differing`.
    pub refs: Vec<RefRelation>,
    pub newest: Newest,
    /// In the order of `Relate::awaited`: whether one of the mirror's refs reaches it.
    pub reached: Vec<bool>,
}

/// One ref that differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefRelation {
    /// Commits that the source's ref reaches and no ref of the mirror does.
    pub behind: u64,
    /// Commits that the mirror's ref reaches and no ref of the source does.
    pub ahead: u64,
    /// What the mirror holds is an ancestor of what the source holds.
    pub is_forward: bool,
}

/// The committer time of the newest commit of each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    pub source: Option<DateTime<Utc>>,
    pub mirror: Option<DateTime<Utc>>,
}

/// What is to become of a ref of the mirror; `None` where it is not there before, or not to be there after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    pub name: String,
    /// What the mirror must still hold: if it does not, it refuses.
    pub from: Option<ObjectId>,
    pub to: Option<ObjectId>,
}

/// What the mirror said of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    pub name: String,
    /// Its words, where it did not do it.
    pub refused: Option<String>,
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub enum Transfer {
    /// Bytes that came from the source.
    Fetching { bytes: u64 },
    /// Objects that are in the pack for the mirror.
    Packing { done: u64, all: u64 },
    /// Bytes that went to the mirror.
    Pushing { done: u64, all: u64 },
}

/// Tells people something: a webhook, e-mail.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The channel's name in the configuration.
    fn name(&self) -> &str;
    /// The e-mail addresses that it brings every letter to; none where it is no e-mail.
    fn addresses(&self) -> &[String];
    /// Hands a letter over; done is what the other side has said to have. E-mail goes to the addresses of `letter.to`.
    ///
    /// `Kind::Gone` and `Kind::Forbidden` promise that it will never take this one, `Kind::Unavailable` that it does
    /// not have it yet. Any other says that nobody knows whether it has it.
    async fn notify(&self, letter: &Letter) -> Result<()>;
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The same however often it is sent.
    pub id: String,
    pub at: DateTime<Utc>,
    pub subject: String,
    /// Lines of plain text.
    pub text: String,
    /// The same for programs.
    pub data: Value,
    /// E-mail addresses of those whose business it is, besides the channels' own.
    pub to: Vec<String>,
}

/// How mirrors stand, for who reads from them. It answers from memory.
pub trait Mirrors: Send + Sync {
    /// `None` where there is no such mirror.
    fn standing(&self, mirror: &str) -> Option<Standing>;
}

/// A mirror at its last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub condition: Condition,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// When both sides were seen to be the same last.
    pub last_in_sync: Option<DateTime<Utc>>,
    /// What the last check that reached both sides found: while a source is out of reach, this is all that is known.
    pub found: Condition,
}

impl Standing {
    /// How the mirror was to its source when somebody could tell last.
    pub fn known(&self) -> Condition {
        match self.condition {
            Condition::Unreachable | Condition::Refused => self.found,
            condition => condition,
        }
    }
}

/// Asked before a mirror is read: whether it may be, and how what comes of it is to be marked. It answers from memory.
pub type MayRead = dyn Fn() -> Result<Via> + Send + Sync;

/// That an answer was read from a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    pub mirror: String,
    pub reading: Reading,
    /// Set where the mirror is not known to be what its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<Staleness>,
    /// When both were seen to be the same last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<DateTime<Utc>>,
}

/// Why a mirror is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// The configuration leads there and nowhere else.
    Always,
    /// Its source is out of reach; it is asked again soon.
    Instead,
}

/// How a mirror stands that is not known to be what its source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staleness {
    pub condition: Condition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

impl Via {
    /// Whether it is worth less than what the source would have said, which could not be asked.
    pub fn is_doubtful(&self) -> bool {
        self.reading == Reading::Instead && self.stale.is_some()
    }
}

/// As headers and walks say it: `NAME`, or `NAME; stale; condition=lagging; since=2027-02-03T04:05:06Z`.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mirror)?;
        let Some(Staleness { condition, since }) = &self.stale else { return Ok(()) };
        write!(f, "; stale; condition={}", condition.as_str())?;
        match since {
            Some(since) => write!(f, "; since={}", since.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => Ok(()),
        }
    }
}

/// What an upstream does while a mirror that it reads from is stale or diverged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStale {
    /// It reads on, and says so.
    #[default]
    Warn,
    /// It counts as out of reach.
    Refuse,
}

/// How a mirror, or an upstream, is found to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nobody looked yet.
    #[default]
    Unchecked,
    /// Nobody is to look.
    Paused,
    InSync,
    /// Behind for less than is allowed.
    Lagging,
    /// Behind for longer.
    Stale,
    /// It has what its source lacks, or a tag moved.
    Diverged,
    Unreachable,
    /// The credentials are not accepted (any more): a subscription or a token lapsed.
    Refused,
}

impl Condition {
    pub const ALL: [Condition; 8] = [
        Condition::Unchecked,
        Condition::Paused,
        Condition::InSync,
        Condition::Lagging,
        Condition::Stale,
        Condition::Diverged,
        Condition::Unreachable,
        Condition::Refused,
    ];

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Unchecked => "unchecked",
            Condition::Paused => "paused",
            Condition::InSync => "in_sync",
            Condition::Lagging => "lagging",
            Condition::Stale => "stale",
            Condition::Diverged => "diverged",
            Condition::Unreachable => "unreachable",
            Condition::Refused => "refused",
        }
    }

    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Condition::Unchecked => "not checked yet",
            Condition::InSync => "in sync",
            other => other.as_str(),
        }
    }

    /// Whether somebody has to do something about it.
    pub fn is_bad(self) -> bool {
        matches!(self, Condition::Stale | Condition::Diverged | Condition::Unreachable | Condition::Refused)
    }
}
