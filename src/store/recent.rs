//! The entries that are asked for most: small ones in memory whole, of large ones the meta and an open reader, so that a
//! warm answer touches no page.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::reader::Reader;
use super::record::VALUE_LIMIT;
use crate::error::Result;
use crate::ports::{Blob, Pieces, Stored};

/// The largest body kept in memory.
pub(super) const RECENT_LIMIT: usize = VALUE_LIMIT;

/// What an entry takes besides its bytes, roughly.
const OVERHEAD: u64 = 256;

/// What an entry weighs on average, roughly; it sizes the tables of the cache.
const TYPICAL: u64 = 2 << 10;

/// Large entries that are held open; each may hold a file.
const OPENED: usize = 256;

/// Whoever changes an entry changes it here as well, in the turn of its key.
pub(super) struct Recent {
    cache: Cache<String, Stored, Weight>,
    opened: Cache<String, (Bytes, Arc<Reader>)>,
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
        Recent { cache: Cache::with_weighter(items, capacity, Weight), opened: Cache::new(OPENED) }
    }

    /// Waits for nothing.
    pub(super) fn find(&self, key: &str) -> Option<Stored> {
        if let Some(stored) = self.cache.get(key) {
            return Some(stored);
        }
        let (meta, reader) = self.opened.get(key)?;
        // Else whoever asks is to find out what is wrong.
        reader.is_current().then(|| Stored { meta, blob: reader.blob() })
    }

    /// Keeps an entry that lies in memory whole.
    pub(super) fn note(&self, key: &str, stored: &Stored) {
        // One that was larger does not stay.
        self.forget(key);
        self.cache.insert(key.to_string(), stored.clone());
    }

    /// Keeps a larger one by its reader.
    pub(super) fn note_opened(&self, key: &str, meta: Bytes, reader: Arc<Reader>) {
        self.forget(key);
        self.opened.insert(key.to_string(), (meta, reader));
    }

    /// From then on it holds on to no blob of that entry.
    pub(super) fn forget(&self, key: &str) {
        self.cache.remove(key);
        self.opened.remove(key);
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
