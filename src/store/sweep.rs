//! What a kill left behind: references without entries, blobs without references, files without manifests.

use super::Sha256;
use super::record::Manifest;
use super::sled_store::SledStore;
use crate::error::Result;

/// What a sweep took away.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// References of entries that are not there or refer to another blob.
    pub references: u64,
    /// Blobs that no entry refers to or that were never whole, in pieces or as files.
    pub blobs: u64,
}

impl SledStore {
    /// Takes away what a kill left behind. It is safe while serving; the time for it is after each start.
    ///
    /// Pieces without a whole manifest are found by the mark that every blob begins with, not by reading them.
    pub fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        self.blobs.release_doomed()?;
        self.sweep_references(&mut swept)?;
        for row in self.database.manifests.scan(b"") {
            let (key, value) = row?;
            let Ok(sha256) = Sha256::try_from(&key[..]) else { continue };
            if Manifest::decode(&value) == Manifest::Begun {
                self.lose_blob(sha256)?;
                swept.blobs += u64::from(self.blobs.manifest(&sha256)?.is_none());
            } else if self.database.references.scan(&sha256).next().transpose()?.is_none() {
                swept.blobs += u64::from(self.blobs.release(sha256)?);
            }
        }
        for sha256 in self.blobs.files.blobs()? {
            if !matches!(self.blobs.manifest(&sha256)?, Some(Manifest::File { .. })) {
                swept.blobs += u64::from(self.blobs.remove_stray_file(sha256)?);
            }
        }
        self.database.persist()?;
        Ok(swept)
    }

    fn sweep_references(&self, swept: &mut Swept) -> Result<()> {
        for row in self.database.references.scan(b"") {
            let (reference, _) = row?;
            let Some((sha256, key)) = reference.split_first_chunk::<32>() else { continue };
            let key = String::from_utf8_lossy(key).into_owned();
            let _turn = self.turns.take(key.clone());
            if self.record(&key)?.and_then(|record| record.blob()) != Some(*sha256) {
                self.database.references.remove(&reference)?;
                swept.references += 1;
            }
        }
        Ok(())
    }
}
