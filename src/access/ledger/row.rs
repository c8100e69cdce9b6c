//! What is written down of one version: the first content of its files, what came later, and where its tag went.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::ReleasedFile;
use crate::spec::verdict::Drift;

/// A version as it was served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Of the go.mod.
    #[serde(default, rename = "mod", skip_serializing_if = "Option::is_none")]
    pub go_mod: Option<Held>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip: Option<Held>,
    /// Where the tag is now, if it is not where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// The one content that a file may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub h1: String,
    /// The upstream that it came from, and that upstream's place in the store.
    pub upstream: String,
    pub shelf: String,
    /// The commit that it is made of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was first served.
    pub since: DateTime<Utc>,
    /// What stood there before it, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    /// Other contents that came, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

/// A content that gave way to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub h1: String,
    pub upstream: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Who let the other one in: somebody's name, or the key of the configuration.
    pub by: String,
}

/// A content that came and was not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub h1: String,
    pub upstream: String,
    pub shelf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// How often it came.
    pub count: u64,
}

/// A content that came, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub h1: String,
    pub upstream: String,
    pub shelf: String,
    pub commit: Option<String>,
}

/// A row has to stay below what the store takes as one value: of more contents than this, which only an upstream
/// that makes each answer anew can have, the first ones and the newest are kept.
const MOST: usize = 20;

impl Row {
    pub fn file(&self, file: ReleasedFile) -> Option<&Held> {
        match file {
            ReleasedFile::Mod => self.go_mod.as_ref(),
            ReleasedFile::Zip => self.zip.as_ref(),
        }
    }

    pub(super) fn place(&mut self, file: ReleasedFile) -> &mut Option<Held> {
        match file {
            ReleasedFile::Mod => &mut self.go_mod,
            ReleasedFile::Zip => &mut self.zip,
        }
    }

    /// What was served with the commit that it is made of; of the zip, if that was ever served.
    pub fn tagged(&self) -> Option<(&Held, &str)> {
        let held = self.zip.as_ref().or(self.go_mod.as_ref())?;
        Some((held, held.commit.as_deref()?))
    }

    /// Forgets a drift to the very commit that is served now; `true` if there was one.
    pub(super) fn settle(&mut self) -> bool {
        let served = self.tagged().map(|(_, commit)| commit.to_owned());
        self.drift.take_if(|drift| drift.now.is_some() && drift.now == served).is_some()
    }

    pub fn is_refused(&self) -> bool {
        self.files().any(|(_, held)| !held.refusals.is_empty())
    }

    pub fn files(&self) -> impl Iterator<Item = (ReleasedFile, &Held)> {
        let both = [(ReleasedFile::Mod, self.go_mod.as_ref()), (ReleasedFile::Zip, self.zip.as_ref())];
        both.into_iter().filter_map(|(file, held)| Some((file, held?)))
    }
}

impl Held {
    pub(super) fn first(content: Content, now: DateTime<Utc>) -> Held {
        let Content { h1, upstream, shelf, commit } = content;
        Held { h1, upstream, shelf, commit, since: now, history: Vec::new(), refusals: Vec::new() }
    }

    /// Whether the same content says of which commit it is, where that was not known: its tag can be looked after then.
    pub(super) fn learns(&self, content: &Content) -> bool {
        self.commit.is_none() && content.commit.is_some() && self.shelf == content.shelf
    }

    /// Puts another content in the place of what stood there.
    pub(super) fn replace(&mut self, content: Content, by: &str, now: DateTime<Utc>) {
        let Content { h1, upstream, shelf, commit } = content;
        self.refusals.retain(|refusal| refusal.h1 != h1);
        let past = Past {
            h1: std::mem::replace(&mut self.h1, h1),
            upstream: std::mem::replace(&mut self.upstream, upstream),
            commit: std::mem::replace(&mut self.commit, commit),
            since: std::mem::replace(&mut self.since, now),
            until: now,
            by: by.to_owned(),
        };
        self.shelf = shelf;
        bounded(&mut self.history, past);
    }

    /// Notes that another content came.
    pub(super) fn refuse(&mut self, content: Content, now: DateTime<Utc>) {
        let Content { h1, upstream, shelf, commit } = content;
        let same = |refusal: &&mut Refusal| refusal.h1 == h1 && refusal.shelf == shelf;
        if let Some(refusal) = self.refusals.iter_mut().find(same) {
            refusal.last = now;
            refusal.count += 1;
            refusal.commit = commit.or(refusal.commit.take());
            return;
        }
        let refusal = Refusal { h1, upstream, shelf, commit, first: now, last: now, count: 1 };
        bounded(&mut self.refusals, refusal);
    }
}

/// Adds to a list; the middle of a full one goes.
fn bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= MOST {
        list.remove(MOST / 2);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(h1: &str) -> Content {
        let text = |text: &str| text.to_owned();
        Content { h1: text(h1), upstream: text("corp"), shelf: text("corp~1"), commit: None }
    }

    #[test]
    fn a_row_stays_small_whatever_an_upstream_makes_up() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let hash = |n: usize| format!("h1:{n:0>43}=");
        let mut held = Held::first(content(&hash(0)), now);
        for n in 1..500 {
            held.refuse(content(&hash(n)), now);
            held.replace(content(&hash(n + 1000)), "on_change", now);
        }
        assert_eq!((held.refusals.len(), held.history.len()), (MOST, MOST));
        assert_eq!((&held.history[0].h1, &held.refusals[0].h1), (&hash(0), &hash(1)), "the first ones stay");
        assert_eq!(held.refusals[MOST - 1].h1, hash(499), "and the newest");
        let row = Row { go_mod: Some(held.clone()), zip: Some(held), drift: None };
        let size = serde_json::to_vec(&row).expect("json").len();
        assert!(size < 32 << 10, "{size} bytes");
    }

    #[test]
    fn what_is_let_in_is_refused_no_more() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let mut held = Held::first(content("h1:a="), now);
        held.refuse(content("h1:b="), now);
        held.refuse(content("h1:c="), now);
        held.refuse(content("h1:b="), now);
        assert_eq!(held.refusals.iter().map(|refusal| refusal.count).collect::<Vec<_>>(), [2, 1]);
        held.replace(content("h1:b="), "ops", now);
        assert_eq!((held.h1.as_str(), held.refusals.len(), held.history.len()), ("h1:b=", 1, 1));
        assert_eq!((held.history[0].h1.as_str(), held.history[0].by.as_str()), ("h1:a=", "ops"));
    }
}
