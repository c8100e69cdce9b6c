//! What was seen of the refs of a mirror at earlier checks, so that lag has a beginning and a forced push at the source
//! is no divergence.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// So many of the source's states that the mirror has not are kept of a ref.
const PENDING: usize = 64;

/// So many earlier states of the source's ref are kept: the mirror may still hold one of them.
const PAST: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub refs: BTreeMap<String, RefSeen>,
}

/// What was seen of one ref.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefSeen {
    /// What the source held last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it held before that, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<String>,
    /// What the mirror held when it was found otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// What the mirror held when the source had all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vouched: Option<String>,
    /// What the source held and the mirror has not reached, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged_since: Option<DateTime<Utc>>,
}

/// A state of the source that the mirror has to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// `None`: that there is no such ref any more.
    pub id: Option<String>,
    /// When it was seen first.
    pub since: DateTime<Utc>,
}

impl RefSeen {
    /// Of a ref that is the same on both sides.
    pub fn holding(before: Option<&RefSeen>, id: &str) -> RefSeen {
        let mut now = RefSeen { source: Some(id.to_owned()), ..RefSeen::default() };
        if let Some(before) = before {
            now.past = before.past_beside(id);
        }
        now
    }

    /// Whether the source's ref held this at some time.
    pub fn knows(&self, id: Option<&str>) -> bool {
        let Some(id) = id else { return false };
        let pending = self.pending.iter().filter_map(|one| one.id.as_deref());
        let kept = self.source.as_deref().into_iter().chain(self.vouched.as_deref());
        kept.chain(self.past.iter().map(String::as_str)).chain(pending).any(|known| known == id)
    }

    /// The same ref at a later check that finds it differing. `has` says whether the mirror has a state by now.
    pub fn follow(
        &self,
        (source, mirror): (Option<String>, Option<String>),
        is_awaited: bool,
        at: DateTime<Utc>,
        has: &dyn Fn(&str) -> bool,
    ) -> RefSeen {
        let mut pending = self.pending.clone();
        // Of a clock that was ahead: nothing was seen in the future.
        pending.iter_mut().for_each(|one| one.since = one.since.min(at));
        if self.mirror != mirror {
            let is_reached = |one: &Pending| one.id == mirror || one.id.as_deref().is_some_and(has);
            let reached = pending.iter().rposition(|one| one.id != source && is_reached(one));
            // What is older than what it has was overtaken.
            pending.drain(..reached.map_or(0, |at| at + 1));
        }
        if !is_awaited {
            pending.clear();
        } else if pending.last().map(|one| &one.id) != Some(&source) {
            pending.push(Pending { id: source.clone(), since: at });
        }
        if pending.len() > PENDING {
            // The oldest says since when; the newest, how far it comes. Between them every other one will do.
            let mut index = 0;
            pending.retain(|_| {
                index += 1;
                index == 1 || index % 2 == 0 || index > PENDING / 2
            });
        }
        let (past, source) = match source {
            Some(id) => (self.past_beside(&id), Some(id)),
            // Deleted there: what it held last is what the mirror may still hold.
            None => (self.past.clone(), self.source.clone()),
        };
        RefSeen { source, past, mirror, vouched: self.vouched.clone(), pending, diverged_since: None }
    }

    /// The same ref at a later look that reached the source alone.
    pub fn follow_source(&self, source: Option<String>, at: DateTime<Utc>) -> RefSeen {
        let last = self.pending.last().map_or(&self.source, |last| &last.id);
        if *last == source {
            return self.clone();
        }
        let now = self.follow((source, self.mirror.clone()), true, at, &|_| false);
        RefSeen { diverged_since: self.diverged_since, ..now }
    }

    /// Since when it is not the same.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.pending.first().map(|one| one.since).into_iter().chain(self.diverged_since).min()
    }

    /// What the source held before it held this.
    fn past_beside(&self, id: &str) -> Vec<String> {
        let mut past = self.past.clone();
        if let Some(before) = self.source.as_ref().filter(|before| *before != id) {
            past.retain(|one| one != before);
            past.push(before.clone());
        }
        past.drain(..past.len().saturating_sub(PAST));
        past
    }
}
