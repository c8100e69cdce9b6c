//! Who wanted what when: gathered in memory, since a warm answer writes nothing, and written down in batches.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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
    waiting: Mutex<Vec<(String, Arc<Use>)>>,
}

impl Uses {
    /// Notes a use. `true` if it is the first since the last [`Uses::write`]: somebody should see to the next one.
    pub fn note(&self, key: &str, used: &Arc<Use>, now: DateTime<Utc>) -> bool {
        used.last.fetch_max(now.timestamp_millis(), Ordering::Relaxed);
        // Only the first use of an entry takes the lock.
        if used.downloads.fetch_add(1, Ordering::AcqRel) > 0 {
            return false;
        }
        self.wait(key.to_owned(), used.clone())
    }

    fn wait(&self, key: String, used: Arc<Use>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((key, used));
        waiting.len() == 1
    }

    /// Writes all down by one flush of the store. Blocking. What cannot be written waits for the next time.
    pub fn write(&self, store: &dyn Store) -> Result<()> {
        let waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let taken: Vec<(String, Arc<Use>, u64)> = waiting
            .into_iter()
            .map(|(key, used)| {
                let downloads = used.downloads.swap(0, Ordering::AcqRel);
                (key, used, downloads)
            })
            .collect();
        // An entry that was read twice has two of them.
        let mut sums: HashMap<&str, (u64, i64)> = HashMap::new();
        for (key, used, downloads) in &taken {
            let sum = sums.entry(key).or_default();
            *sum = (sum.0 + downloads, sum.1.max(used.last.load(Ordering::Relaxed)));
        }
        let mut keys: Vec<String> = sums.keys().map(|key| (*key).to_owned()).collect();
        keys.sort_unstable();
        let written = store.update_metas(&keys, &mut |key, meta| {
            let mut meta = Meta::parse(meta)?;
            let (downloads, last) = sums.get(key)?;
            meta.downloads += downloads;
            meta.last_used = meta.last_used.max(DateTime::from_timestamp_millis(*last));
            Some(meta.to_json())
        });
        if written.is_err() {
            for (key, used, downloads) in taken {
                if used.downloads.fetch_add(downloads, Ordering::AcqRel) == 0 {
                    self.wait(key, used);
                }
            }
        }
        written
    }
}
