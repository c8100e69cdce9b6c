//! Reads bodies anew and removes the entries of those that are damaged: they are fetched again.

use std::collections::HashSet;

use bytes::Bytes;
use sha2::Digest;

use super::Sha256;
use super::record::Record;
use super::sled_store::SledStore;
use crate::error::Result;
use crate::ports::{Progress, ProgressFn, Verified};

impl SledStore {
    /// Every body once, however many entries share it; a damaged one takes all of them along.
    pub(super) fn verify_all(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        let mut verified = Verified::default();
        let mut seen = HashSet::new();
        let mut told = Progress { done: 0, all: self.bytes_below(prefix)? };
        for row in self.database.entries.scan(prefix.as_bytes()) {
            let (key, value) = row?;
            let key = String::from_utf8_lossy(&key).into_owned();
            verified.entries += 1;
            match Record::decode(Bytes::copy_from_slice(&value)) {
                Some(record) if self.is_sound(&record, &mut seen)? => told.done += record.size,
                Some(record) => {
                    told.done += record.size;
                    self.remove_damaged(&key, &mut verified.damaged)?;
                }
                None => self.remove_damaged(&key, &mut verified.damaged)?,
            }
            told.done = told.done.min(told.all);
            if !progress(told) {
                break;
            }
        }
        verified.damaged.sort_unstable();
        verified.damaged.dedup();
        Ok(verified)
    }

    fn bytes_below(&self, prefix: &str) -> Result<u64> {
        let mut bytes = 0;
        let visit = &mut |row: &crate::ports::EntryRow<'_>| {
            bytes += row.size;
            true
        };
        self.scan_rows(prefix, None, visit)?;
        Ok(bytes)
    }

    /// Whether the body is what it was when it was put; blobs seen sound before are not read again.
    fn is_sound(&self, record: &Record, seen: &mut HashSet<Sha256>) -> Result<bool> {
        if let Some(body) = &record.inline {
            return Ok(Sha256::from(sha2::Sha256::digest(body)) == record.sha256);
        }
        if seen.contains(&record.sha256) {
            return Ok(true);
        }
        self.blobs.doubt(&record.sha256);
        let sound = self.blobs.open(record.sha256, record.size)?.is_some();
        if sound {
            seen.insert(record.sha256);
        }
        Ok(sound)
    }

    fn remove_damaged(&self, key: &str, damaged: &mut Vec<String>) -> Result<()> {
        self.recent.forget(key);
        damaged.extend(self.lose(key)?);
        Ok(())
    }
}
