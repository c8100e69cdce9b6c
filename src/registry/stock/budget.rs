//! What comes into the store, noticed where it comes in: so that it is known when room has to be made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tempfile::NamedTempFile;
use tokio::sync::Notify;

use super::entry::Address;
use crate::error::Result;
use crate::ports::{Body, ChangeMeta, Compaction, EntryRow, ProgressFn, Store, Stored, Usage, Verified};

/// What came since the last count.
#[derive(Default)]
pub struct Growth {
    all: AtomicU64,
    /// Since somebody was last told.
    untold: AtomicU64,
    shelves: Mutex<HashMap<String, u64>>,
    step: OnceLock<u64>,
    notify: Notify,
    room: OnceLock<MakeRoom>,
}

/// Frees so many bytes of the disk, if that can be done.
type MakeRoom = Box<dyn Fn(u64) + Send + Sync>;

/// After so many bytes somebody should look, unless a limit asks for less.
const STEP: u64 = 64 << 20;

impl Growth {
    /// Says how much may come before somebody looks. The first to say so is heard.
    pub(super) fn tell_after(&self, step: u64) {
        let _ = self.step.set(step.clamp(1, STEP));
    }

    /// Says who makes room on a full disk. The first to say so is heard.
    pub fn on_full(&self, make_room: impl Fn(u64) + Send + Sync + 'static) {
        let _ = self.room.set(Box::new(make_room));
    }

    /// Waits until much has come since this was last waited for.
    pub(super) async fn wait(&self) {
        self.notify.notified().await;
    }

    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    pub(super) fn of(&self, shelf: &str) -> u64 {
        let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.get(shelf).copied().unwrap_or_default()
    }

    pub(super) fn reset(&self) {
        self.all.store(0, Ordering::Relaxed);
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, key: &str, size: u64) {
        self.all.fetch_add(size, Ordering::Relaxed);
        if let Some(address) = Address::parse(key) {
            let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
            match shelves.get_mut(address.shelf) {
                Some(sum) => *sum += size,
                None => drop(shelves.insert(address.shelf.to_owned(), size)),
            }
        }
        let step = self.step.get().copied().unwrap_or(STEP);
        if self.untold.fetch_add(size, Ordering::Relaxed) + size >= step {
            self.untold.store(0, Ordering::Relaxed);
            self.notify.notify_one();
        }
    }
}

/// A store whose growth is noticed, and whose full disk is not the end while something can go.
pub struct Watched {
    store: Arc<dyn Store>,
    growth: Arc<Growth>,
    missing: Missing,
}

/// How many bytes of the disk are missing for a body of so many.
pub type Missing = Box<dyn Fn(u64) -> Result<u64> + Send + Sync>;

impl Watched {
    pub fn new(store: Arc<dyn Store>, growth: Arc<Growth>, missing: Missing) -> Watched {
        Watched { store, growth, missing }
    }

    /// Makes room for a body, and says how large it is.
    fn expect(&self, body: &Body) -> u64 {
        let size = match body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(file) | Body::Hashed(file, _) => file.as_file().metadata().map_or(0, |metadata| metadata.len()),
        };
        self.make_room(size);
        size
    }

    /// What cannot be measured is left to the store to refuse.
    fn make_room(&self, size: u64) {
        if let (Ok(missing @ 1..), Some(room)) = ((self.missing)(size), self.growth.room.get()) {
            room(missing);
        }
    }
}

impl Store for Watched {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.store.get(key)
    }

    fn at_hand(&self, key: &str) -> Option<Stored> {
        self.store.at_hand(key)
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let size = self.expect(&body);
        let stored = self.store.put(key, meta, body)?;
        self.growth.add(key, (key.len() + meta.len()) as u64 + size);
        Ok(stored)
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let size = self.expect(&body);
        let stored = self.store.put_soon(key, meta, body)?;
        self.growth.add(key, (key.len() + meta.len()) as u64 + size);
        Ok(stored)
    }

    fn persist(&self) -> Result<()> {
        self.store.persist()
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        self.make_room(0);
        self.store.put_meta(key, meta)
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        self.make_room(0);
        self.store.update_metas(keys, change)
    }

    fn delete(&self, key: &str) -> Result<bool> {
        self.store.delete(key)
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        self.store.delete_many(keys)
    }

    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()> {
        self.store.scan(prefix, visit)
    }

    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        self.store.scan_entries(prefix, after, visit)
    }

    fn usage(&self) -> Result<Usage> {
        self.store.usage()
    }

    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        self.store.verify(prefix, progress)
    }

    fn compact(&self, progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        self.store.compact(progress)
    }

    fn scratch(&self) -> Result<NamedTempFile> {
        self.store.scratch()
    }
}
