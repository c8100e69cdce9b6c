//! A store in memory that behaves as one on a disk: bodies come in pieces, the disk is full when a test says so, and it is
//! known whether all that was put lasts.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::ports::{
    Blob, Body, ChangeMeta, Compaction, EntryRow, Pieces, Place, Progress, ProgressFn, Store, Stored, Usage, Verified,
};

/// A store in memory that gives bodies in pieces, as one on a disk does.
#[derive(Default)]
pub struct Drawer {
    entries: Mutex<BTreeMap<String, (Bytes, Bytes)>>,
    pub reads: AtomicUsize,
    pub writes: AtomicUsize,
    /// Whether anything was put that need not last yet.
    pub is_unsettled: AtomicBool,
    /// Whether metas are refused.
    pub is_full: AtomicBool,
    /// How many more writes go well, and whether what is deleted then still goes.
    left: Mutex<Option<(usize, bool)>>,
}

impl Drawer {
    pub fn new() -> Arc<Drawer> {
        Arc::default()
    }

    pub fn keys(&self) -> Vec<String> {
        self.entries.lock().expect("lock").keys().cloned().collect()
    }

    /// After so many more writes the disk is full; or the process is as good as dead: nothing goes any more.
    pub fn end_after(&self, writes: usize, deletes_go: bool) {
        *self.left.lock().expect("lock") = Some((writes, deletes_go));
    }

    pub fn mend(&self) {
        *self.left.lock().expect("lock") = None;
    }

    fn allow(&self, deletes: bool) -> Result<()> {
        match &mut *self.left.lock().expect("lock") {
            None => Ok(()),
            Some((_, true)) if deletes => Ok(()),
            Some((0, _)) => Err(Error::internal("disk full")),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    pub fn spoil(&self, key: &str) {
        let mut entries = self.entries.lock().expect("lock");
        entries.get_mut(key).expect(key).0 = Bytes::from_static(b"no meta");
    }
}

struct Paper(Bytes);

impl Pieces for Paper {
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        let start = offset as usize;
        Ok(self.0.slice(start..self.0.len().min(start + limit.min(32 * 1024))))
    }
}

fn stored(meta: &Bytes, body: &Bytes) -> Stored {
    let blob = Blob::new(body.len() as u64, Sha256::digest(body).into(), Arc::new(Paper(body.clone())));
    Stored { meta: meta.clone(), blob }
}

impl Store for Drawer {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.entries.lock().expect("lock").get(key).map(|(meta, body)| stored(meta, body)))
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.allow(false)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.is_unsettled.store(false, Ordering::SeqCst);
        let body = match body {
            Body::Bytes(bytes) => bytes,
            Body::File(mut file) | Body::Hashed(mut file, _) => {
                let mut bytes = Vec::new();
                file.rewind().expect("a file");
                file.read_to_end(&mut bytes).expect("a readable file");
                bytes.into()
            }
        };
        let meta = Bytes::copy_from_slice(meta);
        let put = stored(&meta, &body);
        self.entries.lock().expect("lock").insert(key.to_owned(), (meta, body));
        Ok(put)
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let stored = self.put(key, meta, body)?;
        self.is_unsettled.store(true, Ordering::SeqCst);
        Ok(stored)
    }

    fn persist(&self) -> Result<()> {
        self.is_unsettled.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        let mut entries = self.entries.lock().expect("lock");
        Ok(entries.get_mut(key).map(|entry| entry.0 = Bytes::copy_from_slice(meta)).is_some())
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::unavailable("full"));
        }
        let mut entries = self.entries.lock().expect("lock");
        for key in keys {
            let Some((meta, _)) = entries.get_mut(key) else { continue };
            if let Some(new) = change(key, meta) {
                *meta = new.into();
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<bool> {
        self.allow(true)?;
        Ok(self.entries.lock().expect("lock").remove(key).is_some())
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        self.allow(true)?;
        let mut entries = self.entries.lock().expect("lock");
        Ok(keys.iter().filter(|key| entries.remove(key.as_str()).is_some()).count() as u64)
    }

    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()> {
        let entries = self.entries.lock().expect("lock");
        let mut matching = entries.iter().filter(|(key, _)| key.starts_with(prefix));
        let _ = matching.all(|(key, (meta, _))| visit(key, meta));
        Ok(())
    }

    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        let entries = self.entries.lock().expect("lock");
        let wanted = |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        let rows = entries.iter().filter(|(key, _)| wanted(key)).map(|(key, (meta, body))| EntryRow {
            key,
            meta,
            size: body.len() as u64,
            sha256: Sha256::digest(body).into(),
            place: Place::Memory,
        });
        let _ = { rows }.all(|row| visit(&row));
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        let entries = self.entries.lock().expect("lock");
        let live = entries.iter().map(|(key, (meta, body))| (key.len() + meta.len() + body.len()) as u64).sum();
        Ok(Usage { entries: entries.len() as u64, live, ..Usage::default() })
    }

    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        let entries = self.entries.lock().expect("lock");
        let all = entries.keys().filter(|key| key.starts_with(prefix)).count() as u64;
        progress(Progress { done: all, all });
        Ok(Verified { entries: all, damaged: Vec::new() })
    }

    fn compact(&self, _progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        Ok(Compaction::default())
    }

    fn scratch(&self) -> Result<NamedTempFile> {
        NamedTempFile::new().map_err(|error| Error::internal("no scratch file").because(error))
    }
}
