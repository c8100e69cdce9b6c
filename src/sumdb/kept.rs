//! What is kept of a checksum database: verified records and tiles on a shelf of its own, which housekeeping counts
//! and removes as it does with an upstream's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Store};

/// Lookups have some hundred bytes, tiles of the usual height at most 8 KiB, data tiles somewhat more.
pub(super) const LIMIT: u64 = 1 << 20;

/// A use is written down only so long after the last one.
const USED_AGAIN: Duration = Duration::from_secs(3600);

/// The shelf of one database, under one key.
pub(super) struct Shelf {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What stands in keys between `upstream/` and the addresses.
    pub name: String,
    prefix: String,
}

/// What is kept at an address.
pub(super) struct Kept {
    pub body: Bytes,
    pub age: Duration,
    /// Who it came from.
    pub via: String,
}

/// What is to be kept.
pub(super) struct Brought {
    pub file: String,
    pub body: Bytes,
    pub via: String,
}

/// What stands beside a kept answer: the fields that housekeeping reads (`registry::Meta`), and one more.
#[derive(Serialize, Deserialize)]
struct Meta {
    fetched_at: DateTime<Utc>,
    checked_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<DateTime<Utc>>,
    lasting: bool,
    #[serde(default)]
    via: String,
}

impl Meta {
    fn parse(json: &[u8]) -> Option<Meta> {
        serde_json::from_slice(json).ok()
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("times and truths always serialize")
    }

    fn is_used_again(&self, now: DateTime<Utc>) -> bool {
        (now - self.last_used.unwrap_or(self.fetched_at)).to_std().is_ok_and(|since| since >= USED_AGAIN)
    }
}

impl Shelf {
    /// Another key is another database, whatever its name.
    pub fn new(database: &str, key: &str, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Shelf {
        let name = format!("sumdb~{}", hex::encode(&Sha256::digest(key)[..4]));
        let prefix = format!("upstream/{name}/sumdb/{database}/");
        Shelf { store, clock, name, prefix }
    }

    /// What is kept; that it was wanted is written down.
    pub async fn read(&self, file: &str) -> Result<Option<Kept>> {
        let (store, key, now) = (self.store.clone(), format!("{}{file}", self.prefix), self.clock.now());
        let read = move || -> Result<_> {
            let Some(stored) = store.get(&key)? else { return Ok(None) };
            let Some(meta) = Meta::parse(&stored.meta) else {
                tracing::warn!(key, "the record's meta cannot be read");
                return Ok(None);
            };
            if meta.is_used_again(now) {
                use_at(&*store, key, now);
            }
            let age = (now - meta.checked_at).to_std().unwrap_or_default();
            Ok(Some(Kept { body: stored.blob.read_all(LIMIT)?, age, via: meta.via }))
        };
        blocking(read).await
    }

    /// Keeps what was verified.
    pub async fn keep(&self, all: Vec<Brought>) -> Result<()> {
        let (store, prefix, now) = (self.store.clone(), self.prefix.clone(), self.clock.now());
        let keeping = move || {
            for Brought { file, body, via } in all {
                let meta = Meta { fetched_at: now, checked_at: now, last_used: None, lasting: true, via };
                // What is lost is asked for again, and proven again.
                store.put_soon(&format!("{prefix}{file}"), &meta.to_json(), Body::Bytes(body))?;
            }
            Ok(())
        };
        blocking(keeping).await
    }

    /// Removes all that is kept. Blocking.
    pub fn clear(&self) -> Result<()> {
        let mut keys = Vec::new();
        self.store.scan(&self.prefix, &mut |key, _| {
            keys.push(key.to_owned());
            true
        })?;
        self.store.delete_many(&keys).map(drop)
    }

    /// The address in a key of this shelf.
    pub fn file<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)
    }
}

/// An answer is given also where its use cannot be written down.
fn use_at(store: &dyn Store, key: String, now: DateTime<Utc>) {
    // Changed as it is by then: another answer may have come meanwhile.
    let changed = store.update_metas(&[key], &mut |_, json| {
        let meta = Meta { last_used: Some(now), ..Meta::parse(json)? };
        Some(meta.to_json())
    });
    if let Err(error) = changed {
        tracing::warn!(%error, "the last use of a record is not written down");
    }
}

/// Runs store work where it may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on the store was cut short").because(cause)),
    }
}
