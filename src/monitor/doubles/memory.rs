//! A store in memory, and one that dies.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::ports::{
    Blob, Body, ChangeMeta, Compaction, EntryRow, Pieces, Place, Progress, ProgressFn, Store, Stored, Usage, Verified,
};

/// Keeps everything in memory; it stays when what uses it goes, as the disk does.
#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<String, (Bytes, Bytes)>>);

struct Whole(Bytes);

impl Pieces for Whole {
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        let from = usize::try_from(offset).expect("it lies in memory");
        Ok(self.0.slice(from..self.0.len().min(from + limit)))
    }
}

fn stored((meta, body): &(Bytes, Bytes)) -> Stored {
    let blob = Blob::new(body.len() as u64, Sha256::digest(body).into(), Arc::new(Whole(body.clone())));
    Stored { meta: meta.clone(), blob }
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        Ok(self.0.lock().expect("lock").get(key).map(stored))
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let body = match body {
            Body::Bytes(bytes) => bytes,
            Body::File(mut file) | Body::Hashed(mut file, _) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).expect("a readable file");
                bytes.into()
            }
        };
        let entry = (Bytes::copy_from_slice(meta), body);
        self.0.lock().expect("lock").insert(key.to_owned(), entry.clone());
        Ok(stored(&entry))
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.put(key, meta, body)
    }

    fn persist(&self) -> Result<()> {
        Ok(())
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        let mut entries = self.0.lock().expect("lock");
        Ok(entries.get_mut(key).map(|entry| entry.0 = Bytes::copy_from_slice(meta)).is_some())
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        let mut entries = self.0.lock().expect("lock");
        for key in keys {
            let Some(entry) = entries.get_mut(key) else { continue };
            if let Some(meta) = change(key, &entry.0) {
                entry.0 = meta.into();
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.0.lock().expect("lock").remove(key).is_some())
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        let mut entries = self.0.lock().expect("lock");
        Ok(keys.iter().filter(|key| entries.remove(key.as_str()).is_some()).count() as u64)
    }

    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()> {
        self.scan_entries(prefix, None, &mut |row| visit(row.key, row.meta))
    }

    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        // The visitor may use the store.
        let entries = self.0.lock().expect("lock").clone();
        let is_wanted = |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        for (key, (meta, body)) in entries.iter().filter(|(key, _)| is_wanted(key)) {
            let (size, sha256) = (body.len() as u64, Sha256::digest(body).into());
            if !visit(&EntryRow { key, meta, size, sha256, place: Place::Memory }) {
                break;
            }
        }
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        Ok(Usage { entries: self.0.lock().expect("lock").len() as u64, ..Usage::default() })
    }

    fn verify(&self, _prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        progress(Progress { done: 0, all: 0 });
        Ok(Verified::default())
    }

    fn compact(&self, _progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        Ok(Compaction::default())
    }

    fn scratch(&self) -> Result<NamedTempFile> {
        NamedTempFile::new().map_err(|error| Error::internal("no scratch file").because(error))
    }
}

/// A store that takes so many writes and then none, as if the program were killed, until it is revived.
pub struct DyingStore {
    store: MemoryStore,
    left: AtomicU64,
    writes: AtomicU64,
    has_died: AtomicBool,
}

impl DyingStore {
    pub fn after(writes: u64) -> DyingStore {
        let store = MemoryStore::new();
        DyingStore { store, left: writes.into(), writes: 0.into(), has_died: false.into() }
    }

    /// How many there were.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Whether a write was refused.
    pub fn is_dead(&self) -> bool {
        self.has_died.load(Ordering::SeqCst)
    }

    /// From now on it takes all of them.
    pub fn revive(&self) -> bool {
        self.left.store(u64::MAX, Ordering::SeqCst);
        self.has_died.swap(false, Ordering::SeqCst)
    }

    fn write(&self) -> Result<()> {
        if self.left.load(Ordering::SeqCst) == 0 {
            self.has_died.store(true, Ordering::SeqCst);
            return Err(Error::internal("killed"));
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Store for DyingStore {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.store.get(key)
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.write()?;
        self.store.put(key, meta, body)
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.put(key, meta, body)
    }

    fn persist(&self) -> Result<()> {
        self.store.persist()
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        self.write()?;
        self.store.put_meta(key, meta)
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        self.write()?;
        self.store.update_metas(keys, change)
    }

    fn delete(&self, key: &str) -> Result<bool> {
        self.write()?;
        self.store.delete(key)
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        self.write()?;
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
