//! Many entries in one go: one flush for all of them.

use super::Sha256;
use super::check;
use super::sled_store::SledStore;
use crate::error::Result;
use crate::ports::ChangeMeta;

impl SledStore {
    /// Replaces the metas that `change` gives and says how many those were.
    ///
    /// What was changed before an error lasts as well.
    pub(super) fn change_metas(&self, keys: &[impl AsRef<str>], change: &mut ChangeMeta<'_>) -> Result<u64> {
        let mut changed = 0;
        let all = keys.iter().try_for_each(|key| {
            changed += u64::from(self.change_meta(key.as_ref(), change)?);
            Ok(())
        });
        if changed > 0 {
            self.database.persist()?;
        }
        all.map(|()| changed)
    }

    fn change_meta(&self, key: &str, change: &mut ChangeMeta<'_>) -> Result<bool> {
        let _turn = self.turns.take(key.to_string());
        let Some(mut record) = self.record(key)? else { return Ok(false) };
        let Some(meta) = change(key, &record.meta) else { return Ok(false) };
        check(key, &meta)?;
        record.meta = meta.into();
        self.database.entries.insert(key.as_bytes(), record.encode())?;
        self.recent.forget(key);
        Ok(true)
    }

    /// Deletes entries, then the blobs that nothing refers to any more, and says how many entries there were.
    pub(super) fn delete_all(&self, keys: &[impl AsRef<str>]) -> Result<u64> {
        let mut deleted = 0;
        let mut blobs = Vec::new();
        let all = keys.iter().try_for_each(|key| {
            let key = key.as_ref();
            let _turn = self.turns.take(key.to_string());
            let blob = self.record(key)?.and_then(|record| record.blob());
            if self.take_away(key)? {
                deleted += 1;
                blobs.extend(blob);
            }
            Ok(())
        });
        if deleted > 0 {
            self.database.persist()?;
            self.release(blobs)?;
        }
        all.map(|()| deleted)
    }

    /// Takes blobs away that nothing refers to any more; those that are being read go later.
    fn release(&self, mut blobs: Vec<Sha256>) -> Result<()> {
        blobs.sort_unstable();
        blobs.dedup();
        self.blobs.release_all(&blobs)?;
        self.blobs.release_doomed()
    }
}
