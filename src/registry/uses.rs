//! Who wanted what when: gathered in memory, since a warm answer writes nothing, and written down in batches.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::entry::Meta;
use crate::error::Result;
use crate::ports::Store;

/// What was not yet written down of one entry's uses.
#[derive(Debug, Default)]
pub(super) struct Use {
    downloads: AtomicU64,
    /// In milliseconds.
    last: AtomicI64,
}

/// The entries with such uses.
#[derive(Default)]
pub(super) struct Uses {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    used: Vec<(String, Arc<Use>)>,
    /// Downloads and last use by key, of what could not be written.
    unwritten: HashMap<String, (u64, i64)>,
    /// Whether somebody writes them down in a while.
    is_tended: bool,
}

/// Of so many entries uses are kept while they cannot be written; of more, those that were used last.
const MOST_UNWRITTEN: usize = 50_000;

impl Uses {
    /// Notes a use. `true` if nobody tends them: the caller does from now on, until [`Uses::rest`] lets it go.
    pub fn note(&self, key: &str, used: &Arc<Use>, now: DateTime<Utc>) -> bool {
        used.last.fetch_max(now.timestamp_millis(), Ordering::Relaxed);
        // Only the first use of an entry takes the lock.
        if used.downloads.fetch_add(1, Ordering::AcqRel) > 0 {
            return false;
        }
        let mut waiting = self.waiting();
        waiting.used.push((key.to_owned(), used.clone()));
        !mem::replace(&mut waiting.is_tended, true)
    }

    /// Whether nothing is left to be written down: then nobody tends them any more.
    pub fn rest(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.is_tended = !waiting.is_empty();
        !waiting.is_tended
    }

    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Writes all down by one flush of the store. Blocking. What cannot be written waits for the next time, one row for
    /// each entry.
    pub fn write(&self, store: &dyn Store) -> Result<()> {
        let (used, mut sums) = {
            let mut waiting = self.waiting();
            (mem::take(&mut waiting.used), mem::take(&mut waiting.unwritten))
        };
        // An entry that was read twice has two of them.
        for (key, used) in used {
            let downloads = used.downloads.swap(0, Ordering::AcqRel);
            add(&mut sums, key, (downloads, used.last.load(Ordering::Relaxed)));
        }
        if sums.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<String> = sums.keys().cloned().collect();
        keys.sort_unstable();
        let written = store.update_metas(&keys, &mut |key, meta| {
            let mut meta = Meta::parse(meta)?;
            let (downloads, last) = sums.get(key)?;
            meta.downloads += downloads;
            meta.last_used = meta.last_used.max(DateTime::from_timestamp_millis(*last));
            Some(meta.to_json())
        });
        if written.is_err() {
            self.waiting().put_back(sums);
        }
        written
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.used.is_empty() && self.unwritten.is_empty()
    }

    fn put_back(&mut self, sums: HashMap<String, (u64, i64)>) {
        for (key, sum) in sums {
            add(&mut self.unwritten, key, sum);
        }
        if self.unwritten.len() > MOST_UNWRITTEN {
            let mut rows: Vec<_> = mem::take(&mut self.unwritten).into_iter().collect();
            rows.select_nth_unstable_by_key(MOST_UNWRITTEN, |(_, (_, last))| std::cmp::Reverse(*last));
            rows.truncate(MOST_UNWRITTEN);
            self.unwritten = rows.into_iter().collect();
        }
    }
}

fn add(sums: &mut HashMap<String, (u64, i64)>, key: String, (downloads, last): (u64, i64)) {
    let sum = sums.entry(key).or_default();
    *sum = (sum.0 + downloads, sum.1.max(last));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Body;
    use crate::registry::doubles::Drawer;

    fn moment(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a moment")
    }

    #[test]
    fn uses_that_could_not_be_written_are_written_later_and_do_not_grow() {
        let store = Drawer::new();
        let meta = serde_json::json!({"fetched_at": moment(1), "checked_at": moment(1), "lasting": true});
        store.put("k", meta.to_string().as_bytes(), Body::Bytes(Vec::new().into())).expect("a drawer");
        store.is_full.store(true, Ordering::SeqCst);
        let uses = Uses::default();
        for second in 2..10 {
            // Read anew each time.
            let is_first = uses.note("k", &Arc::default(), moment(second));
            assert_eq!(is_first, second == 2, "one tends them");
            uses.write(&*store).expect_err("full");
            assert!(!uses.rest());
        }
        let rows = |waiting: &Waiting| (waiting.used.len(), waiting.unwritten.len());
        assert_eq!(rows(&uses.waiting()), (0, 1));
        store.is_full.store(false, Ordering::SeqCst);
        uses.write(&*store).expect("a drawer");
        let meta = Meta::parse(&store.get("k").expect("a drawer").expect("an entry").meta).expect("a meta");
        assert_eq!((meta.downloads, meta.last_used), (8, Some(moment(9))));
        assert!(uses.rest() && uses.note("k", &Arc::default(), moment(10)), "nobody tends them any more");
    }

    #[test]
    fn of_too_many_unwritten_uses_the_oldest_are_lost() {
        let mut waiting = Waiting::default();
        let rows = 0..MOST_UNWRITTEN as i64 + 10;
        waiting.put_back(rows.map(|row| (row.to_string(), (1, row))).collect());
        assert_eq!(waiting.unwritten.len(), MOST_UNWRITTEN);
        assert!(!waiting.unwritten.contains_key("9") && waiting.unwritten.contains_key("10"));
    }
}
