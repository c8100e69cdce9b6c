//! The kept files that nobody could vouch for yet, and when somebody is asked again. In memory only: the marks beside
//! the files are what it is made from.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A kept file that waits to be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub upstream: String,
    pub module: String,
    pub version: String,
    /// `mod` or `zip`.
    pub file: String,
    pub why: String,
    pub since: DateTime<Utc>,
    /// When it is tried again.
    pub next: DateTime<Utc>,
}

/// All of them, by key.
#[derive(Default)]
pub(super) struct WaitingRoom(Mutex<BTreeMap<String, Waiting>>);

/// How soon a file is looked at again at the earliest, and at the latest: as long as it has waited already.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(60 * 60);

impl WaitingRoom {
    pub fn has(&self, key: &str) -> bool {
        self.all().contains_key(key)
    }

    pub fn len(&self) -> u64 {
        self.all().len() as u64
    }

    pub fn list(&self, limit: usize) -> Vec<Waiting> {
        self.all().values().take(limit).cloned().collect()
    }

    /// It was looked at now, to no avail.
    pub fn enter(&self, key: &str, waiting: Waiting, now: DateTime<Utc>) {
        let next = put_off(waiting.since, now);
        self.all().insert(key.to_owned(), Waiting { next, ..waiting });
    }

    /// It is to be looked at as soon as may be; who waits already waits on.
    pub fn enter_first(&self, key: &str, waiting: Waiting) {
        self.all().entry(key.to_owned()).or_insert(waiting);
    }

    pub fn leave(&self, key: &str) {
        self.all().remove(key);
    }

    /// The keys whose turn it is, who waits longest for it first; so many at most.
    pub fn due(&self, now: DateTime<Utc>, limit: usize) -> Vec<String> {
        let all = self.all();
        let mut due: Vec<(&DateTime<Utc>, &String)> =
            all.iter().filter(|(_, waiting)| waiting.next <= now).map(|(key, waiting)| (&waiting.next, key)).collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// Nothing came of its turn.
    pub fn postpone(&self, key: &str, now: DateTime<Utc>) {
        if let Some(waiting) = self.all().get_mut(key)
            && waiting.next <= now
        {
            waiting.next = put_off(waiting.since, now);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_off(since: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now + (now - since).to_std().unwrap_or_default().clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a moment")
    }

    fn waiting(since: i64, next: i64) -> Waiting {
        let text = String::new;
        let (since, next) = (at(since), at(next));
        Waiting { upstream: text(), module: text(), version: text(), file: text(), why: text(), since, next }
    }

    #[test]
    fn who_waits_long_is_asked_about_seldom() {
        let table =
            [("at once", 0, 60), ("after a minute", 60, 60), ("after ten", 600, 600), ("after a day", 86_400, 3600)];
        for (row, waited, expected) in table {
            assert_eq!(put_off(at(0), at(waited)), at(waited + expected), "{row}");
        }
        assert_eq!(put_off(at(10), at(0)), at(60), "a clock that went back");
    }

    #[test]
    fn the_longest_wait_comes_first_and_everybody_once() {
        let room = WaitingRoom::default();
        room.enter_first("b", waiting(0, 0));
        room.enter_first("a", waiting(0, 1));
        room.enter("c", waiting(0, 0), at(0));
        assert_eq!(room.due(at(1), 10), ["b", "a"], "c has just been looked at");
        assert_eq!(room.due(at(1), 1), ["b"]);
        for key in room.due(at(1), 10) {
            room.postpone(&key, at(1));
        }
        assert!(room.due(at(1), 10).is_empty());
        assert_eq!(room.len(), 3);
        // What was read of the store before does not call back who was looked at since.
        room.enter_first("c", waiting(0, 0));
        assert!(room.due(at(1), 10).is_empty());
        assert_eq!(room.due(at(61), 10), ["c", "a", "b"]);
    }
}
