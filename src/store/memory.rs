//! The store in memory: for tests, and for a proxy that is to keep nothing.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::check;
use super::failure::During;
use super::intake::Intake;
use super::recent::Held;
use super::turns::locked;
use crate::error::Result;
use crate::ports::{
    Body, ChangeMeta, Compaction, EntryRow, Place, Progress, ProgressFn, Store, Stored, Usage, Verified,
};

/// Keeps everything in memory and nothing after it.
#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<String, Stored>>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        Ok(self.at_hand(key))
    }

    fn at_hand(&self, key: &str) -> Option<Stored> {
        locked(&self.entries).get(key).cloned()
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        check(key, meta)?;
        let mut bytes = Vec::new();
        Intake::new(body, 0)?.each(1 << 20, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        let sha256 = Sha256::digest(&bytes).into();
        let stored = Stored { meta: Bytes::copy_from_slice(meta), blob: Held::blob(bytes.into(), sha256) };
        locked(&self.entries).insert(key.to_string(), stored.clone());
        Ok(stored)
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.put(key, meta, body)
    }

    /// Nothing here outlives the process.
    fn persist(&self) -> Result<()> {
        Ok(())
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        check(key, meta)?;
        match locked(&self.entries).get_mut(key) {
            Some(stored) => {
                stored.meta = Bytes::copy_from_slice(meta);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        let mut entries = locked(&self.entries);
        for key in keys {
            let Some(stored) = entries.get_mut(key) else { continue };
            if let Some(meta) = change(key, &stored.meta) {
                check(key, &meta)?;
                stored.meta = meta.into();
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<bool> {
        Ok(locked(&self.entries).remove(key).is_some())
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        let mut entries = locked(&self.entries);
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
        let mut from = match after {
            Some(after) if after > prefix => Bound::Excluded(after.to_string()),
            _ => Bound::Included(prefix.to_string()),
        };
        loop {
            // One step per lock: the visitor may use the store.
            let next = locked(&self.entries)
                .range((from, Bound::Unbounded))
                .next()
                .map(|(key, stored)| (key.clone(), stored.clone()));
            match next {
                Some((key, stored)) if key.starts_with(prefix) && visit(&row(&key, &stored)) => {
                    from = Bound::Excluded(key);
                }
                _ => return Ok(()),
            }
        }
    }

    fn usage(&self) -> Result<Usage> {
        let entries = locked(&self.entries);
        let live = |(key, stored): (&String, &Stored)| (key.len() + stored.meta.len()) as u64 + stored.blob.size();
        Ok(Usage { entries: entries.len() as u64, live: entries.iter().map(live).sum(), ..Usage::default() })
    }

    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        let mut keys = Vec::new();
        let mut told = Progress { done: 0, all: 0 };
        self.scan_entries(prefix, None, &mut |row| {
            told.all += row.size;
            keys.push(row.key.to_string());
            true
        })?;
        let mut verified = Verified::default();
        for key in keys {
            let Some(stored) = self.get(&key)? else { continue };
            let body = stored.blob.in_memory().expect("a body of this store");
            if <[u8; 32]>::from(Sha256::digest(&body)) != stored.blob.sha256() {
                self.delete(&key)?;
                verified.damaged.push(key);
            }
            verified.entries += 1;
            told.done = told.all.min(told.done + stored.blob.size());
            if !progress(told) {
                break;
            }
        }
        Ok(verified)
    }

    /// What was deleted is gone already.
    fn compact(&self, _progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        Ok(Compaction::default())
    }

    fn scratch(&self) -> Result<NamedTempFile> {
        NamedTempFile::new().during("make scratch file")
    }
}

fn row<'a>(key: &'a str, stored: &'a Stored) -> EntryRow<'a> {
    let Stored { meta, blob } = stored;
    EntryRow { key, meta, size: blob.size(), sha256: blob.sha256(), place: Place::Memory }
}
