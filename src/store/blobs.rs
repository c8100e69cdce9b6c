//! Blobs by their sha256, each kept once: written before they are believed, checked before they are read,
//! taken away when nobody refers to them and nobody reads them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::Sha256;
use super::database::Database;
use super::files::Files;
use super::intake::{Intake, sha256_of, vanished};
use super::pieces::PieceTable;
use super::reader::{Place, Reader, Reading};
use super::record::Manifest;
use super::turns::{Pin, Pins, Turns, locked};
use crate::error::Result;

/// How much of a blob's file is read at once while its sha256 is checked.
const STRIDE: usize = 128 << 10;

pub(super) struct Blobs {
    database: Arc<Database>,
    pieces: PieceTable,
    pub(super) files: Files,
    /// Blobs above this many bytes are files.
    spill: u64,
    turns: Turns<Sha256>,
    pins: Arc<Pins<Sha256>>,
    reading: Arc<Reading>,
    /// Nobody refers to them, but somebody still read them.
    doomed: Mutex<HashSet<Sha256>>,
}

/// The blobs whose sha256 was checked since the start.
pub(super) type Checked = Mutex<HashSet<Sha256>>;

impl Blobs {
    /// Keeps at most `frames` bytes of what lies in pieces in memory.
    pub(super) fn new(database: Arc<Database>, files: Files, spill: u64, frames: u64) -> Blobs {
        Blobs {
            pieces: PieceTable::new(database.clone()),
            database,
            files,
            spill,
            turns: Turns::new(),
            pins: Pins::new(),
            reading: Reading::new(frames),
            doomed: Mutex::default(),
        }
    }

    /// Whether a body of that size would be a file.
    pub(super) fn spills(&self, size: u64) -> bool {
        size > self.spill
    }

    /// Writes a blob unless it is there. It stays at least until the reader given back is dropped;
    /// whoever wants more refers to it before that, and then persists.
    pub(super) fn keep(&self, intake: Intake) -> Result<Arc<Reader>> {
        let sha256 = intake.sha256()?;
        let pin = self.pins.pin(sha256);
        let _turn = self.turns.take(sha256);
        let before = self.manifest(&sha256)?;
        if let Some(manifest) = before
            && let Some(reader) = self.open_sound(sha256, manifest, &pin)?
        {
            return Ok(reader);
        }
        let size = intake.size();
        let manifest = match self.spills(size) {
            true => self.write_file(&sha256, intake)?,
            false => self.write_pieces(&sha256, &intake)?,
        };
        if matches!((before, manifest), (Some(Manifest::Begun | Manifest::Pieces { .. }), Manifest::File { .. })) {
            self.pieces.remove(&sha256)?;
        }
        self.reading.forget(&sha256, size);
        locked(&self.reading.checked).insert(sha256);
        let reader = self.open_sound(sha256, manifest, &pin)?;
        reader.ok_or_else(vanished)
    }

    /// The file comes first: a manifest never speaks of one that is not there.
    fn write_file(&self, sha256: &Sha256, intake: Intake) -> Result<Manifest> {
        let manifest = Manifest::File { size: intake.size() };
        self.files.keep(sha256, intake.into_file(&self.files)?)?;
        self.database.manifests.insert(sha256, manifest.encode())?;
        Ok(manifest)
    }

    /// Marks the beginning, so that a sweep finds pieces without a manifest and need not read them all.
    fn write_pieces(&self, sha256: &Sha256, intake: &Intake) -> Result<Manifest> {
        self.database.manifests.insert(sha256, Manifest::Begun.encode())?;
        let count = self.pieces.write(sha256, intake)?;
        let manifest = Manifest::Pieces { size: intake.size(), count };
        self.database.manifests.insert(sha256, manifest.encode())?;
        Ok(manifest)
    }

    /// A blob to read; `None` if it is not whole. Its first opening after a start reads it once.
    pub(super) fn open(&self, sha256: Sha256, size: u64) -> Result<Option<Arc<Reader>>> {
        let pin = self.pins.pin(sha256);
        let _turn = self.turns.take(sha256);
        match self.manifest(&sha256)? {
            Some(manifest) if manifest.size() == size => self.open_sound(sha256, manifest, &pin),
            _ => Ok(None),
        }
    }

    pub(super) fn manifest(&self, sha256: &Sha256) -> Result<Option<Manifest>> {
        Ok(self.database.manifests.get(sha256)?.map(|value| Manifest::decode(&value)))
    }

    /// To be called in the blob's turn.
    fn open_sound(&self, sha256: Sha256, manifest: Manifest, pin: &Pin<Sha256>) -> Result<Option<Arc<Reader>>> {
        let place = match manifest {
            Manifest::Pieces { size, count } if PieceTable::count(size) == Some(count) => {
                Place::Pieces(self.pieces.clone())
            }
            Manifest::Begun | Manifest::Pieces { .. } => return Ok(None),
            Manifest::File { .. } => match self.files.open_blob(&sha256)? {
                Some(file) => Place::File(file),
                None => return Ok(None),
            },
        };
        let size = manifest.size();
        let reader = Reader { sha256, size, place, reading: self.reading.clone(), _pin: pin.another() };
        if !locked(&self.reading.checked).contains(&sha256) {
            if sha256_of(size, |offset| reader.read(offset, STRIDE))? != Some(sha256) {
                return Ok(None);
            }
            locked(&self.reading.checked).insert(sha256);
        }
        Ok(Some(Arc::new(reader)))
    }

    /// The blob is to be read once more before it is believed.
    pub(super) fn doubt(&self, sha256: &Sha256) {
        locked(&self.reading.checked).remove(sha256);
    }

    /// Takes a blob away if nothing refers to it; one that is being read goes later.
    ///
    /// The removal of its last reference has to be persisted before. `true` if it is gone.
    pub(super) fn release(&self, sha256: Sha256) -> Result<bool> {
        self.release_all(&[sha256]).map(|gone| gone == 1)
    }

    /// As `release`, for many by one flush; it says how many are gone.
    ///
    /// First no manifest speaks of them any more, then their bytes go; what lies in files goes only once that lasts.
    pub(super) fn release_all(&self, blobs: &[Sha256]) -> Result<u64> {
        let mut begun = Vec::new();
        let mut files = false;
        for sha256 in blobs {
            let _turn = self.turns.take(*sha256);
            if !self.is_loose(sha256)? {
                continue;
            }
            self.doubt(sha256);
            let manifest = self.manifest(sha256)?;
            if manifest.is_some() {
                self.database.manifests.insert(sha256, Manifest::Begun.encode())?;
            }
            files |= matches!(manifest, Some(Manifest::File { .. }));
            begun.push(*sha256);
        }
        if files {
            self.database.persist()?;
        }
        let mut gone = 0;
        for sha256 in &begun {
            let _turn = self.turns.take(*sha256);
            // Somebody may have written it again meanwhile.
            if matches!(self.manifest(sha256)?, None | Some(Manifest::Begun)) {
                self.files.remove(sha256)?;
                self.pieces.remove(sha256)?;
                self.database.manifests.remove(sha256)?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Whether nothing refers to a blob and nobody reads it, in its turn.
    fn is_loose(&self, sha256: &Sha256) -> Result<bool> {
        if self.pins.is_pinned(sha256) {
            locked(&self.doomed).insert(*sha256);
            return Ok(false);
        }
        Ok(self.database.references.scan(sha256).next().transpose()?.is_none())
    }

    /// Takes away what was still being read when its last reference went.
    pub(super) fn release_doomed(&self) -> Result<()> {
        let doomed = std::mem::take(&mut *locked(&self.doomed));
        self.release_all(&Vec::from_iter(doomed)).map(drop)
    }

    /// Removes a file that no manifest speaks of.
    pub(super) fn remove_stray_file(&self, sha256: Sha256) -> Result<bool> {
        let _turn = self.turns.take(sha256);
        if matches!(self.manifest(&sha256)?, Some(Manifest::File { .. })) {
            return Ok(false);
        }
        self.files.remove(&sha256)?;
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn blobs_with_pieces(&self) -> Result<std::collections::BTreeSet<String>> {
        self.pieces.blobs()
    }
}
