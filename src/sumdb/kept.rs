//! Answers of checksum databases as they are kept: entries of the proxy's shelf, which housekeeping counts and removes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::passed::Proxy;
use super::path::Path;
use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Store};

/// Lookups have some hundred bytes, tiles of the usual height at most 8 KiB, data tiles somewhat more.
pub(super) const LIMIT: u64 = 1 << 20;

/// A use is written down only so long after the last one.
const USED_AGAIN: Duration = Duration::from_secs(3600);

/// The shelves of the proxies.
pub(super) struct Shelves {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

/// What is kept at an address.
pub(super) struct Kept {
    pub body: Bytes,
    pub age: Duration,
    /// Only of `supported`: the proxy said that it does not serve the database.
    pub is_refusal: bool,
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
    is_refusal: bool,
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

impl Shelves {
    /// What is kept; that it was wanted is written down.
    pub async fn read(&self, proxy: &Proxy, path: &Path) -> Result<Option<Kept>> {
        let (store, key, now) = (self.store.clone(), key(proxy, path), self.clock.now());
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
            Ok(Some(Kept { body: stored.blob.read_all(LIMIT)?, age, is_refusal: meta.is_refusal }))
        };
        blocking(read).await
    }

    /// Keeps an answer.
    pub async fn keep(&self, proxy: &Proxy, path: &Path, body: Bytes) -> Result<()> {
        self.put(proxy, path, body, false).await
    }

    /// Keeps that the proxy does not serve the database; `supported` is where it was asked.
    pub async fn keep_refusal(&self, proxy: &Proxy, supported: &Path) -> Result<()> {
        self.put(proxy, supported, Bytes::new(), true).await
    }

    async fn put(&self, proxy: &Proxy, path: &Path, body: Bytes, is_refusal: bool) -> Result<()> {
        let (store, key, now) = (self.store.clone(), key(proxy, path), self.clock.now());
        let lasting = path.is_lasting();
        let meta = Meta { fetched_at: now, checked_at: now, last_used: None, lasting, is_refusal };
        blocking(move || store.put(&key, &meta.to_json(), Body::Bytes(body)).map(drop)).await
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

fn key(proxy: &Proxy, path: &Path) -> String {
    format!("upstream/{}/sumdb/{}", proxy.shelf, path.address())
}

/// Runs store work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on the store was cut short").because(cause)),
    }
}
