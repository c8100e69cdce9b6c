//! The small entries that are asked for most, in memory, so that a warm answer touches no page.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::record::VALUE_LIMIT;
use crate::error::Result;
use crate::ports::{Blob, Pieces, Stored};

/// The largest body kept in memory.
pub(super) const RECENT_LIMIT: usize = VALUE_LIMIT;

/// What an entry takes besides its bytes, roughly.
const OVERHEAD: u64 = 256;

/// What an entry weighs on average, roughly; it sizes the tables of the cache.
const TYPICAL: u64 = 2 << 10;

/// Whoever changes an entry changes it here as well, in the turn of its key.
pub(super) struct Recent {
    cache: Cache<String, Stored, Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Stored> for Weight {
    fn weight(&self, key: &String, stored: &Stored) -> u64 {
        OVERHEAD + (key.len() + stored.meta.len()) as u64 + stored.blob.size()
    }
}

impl Recent {
    /// Holds at most so many bytes.
    pub(super) fn new(capacity: u64) -> Recent {
        let items = usize::try_from(capacity / TYPICAL).unwrap_or(usize::MAX);
        Recent { cache: Cache::with_weighter(items, capacity, Weight) }
    }

    pub(super) fn find(&self, key: &str) -> Option<Stored> {
        self.cache.get(key)
    }

    /// Keeps an entry that lies in memory whole; any other is forgotten, so that an old one does not stay.
    pub(super) fn note(&self, key: &str, stored: &Stored) {
        match stored.blob.in_memory() {
            Some(_) => self.cache.insert(key.to_string(), stored.clone()),
            None => self.forget(key),
        }
    }

    pub(super) fn forget(&self, key: &str) {
        self.cache.remove(key);
    }
}

/// A body in memory.
pub(super) struct Held(pub(super) Bytes);

impl Held {
    pub(super) fn blob(body: Bytes, sha256: [u8; 32]) -> Blob {
        Blob::new(body.len() as u64, sha256, Arc::new(Held(body)))
    }
}

impl Pieces for Held {
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        let start = self.0.len().min(offset as usize);
        let end = self.0.len().min(start.saturating_add(limit));
        Ok(self.0.slice(start..end))
    }

    fn in_memory(&self) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(body: &'static [u8]) -> Stored {
        Stored { meta: Bytes::from_static(b"meta"), blob: Held::blob(Bytes::from_static(body), [0; 32]) }
    }

    #[test]
    fn holds_no_more_than_its_weight() {
        let recent = Recent::new(1 << 20);
        for number in 0..10_000 {
            recent.note(&format!("key{number}"), &stored(&[b'x'; 4096]));
        }
        assert!(recent.cache.weight() <= 1 << 20, "{}", recent.cache.weight());
        assert!(recent.cache.len() > 100);
    }

    #[test]
    fn no_room_is_no_error() {
        let recent = Recent::new(0);
        recent.note("key", &stored(b"body"));
        assert!(recent.find("key").is_none());
    }

    #[test]
    fn reads_within_the_body() {
        let held = Held(Bytes::from_static(b"0123456789"));
        for (offset, limit, expected) in [(0, 4, "0123"), (8, 4, "89"), (4, usize::MAX, "456789"), (10, 1, "")] {
            assert_eq!(held.read_at(offset, limit).expect("read"), expected, "{limit} from {offset}");
        }
    }
}
