//! Reads a blob that was found whole: from its file, or from its pieces by frames, the last of which are kept in memory.
//! What is in memory, ours or the system's, is there at once; only what has to come from the disk is waited for.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Sha256;
use super::blobs::Checked;
use super::buffers::{BUFFER, Buffers};
use super::intake::{read_some, vanished};
use super::pieces::PieceTable;
use super::turns::{Pin, locked};
use crate::error::Result;
use crate::ports::{Blob, Pieces};

/// What is read of pieces at once, and kept.
const FRAME: u64 = 128 << 10;

/// What all readers share.
pub(super) struct Reading {
    pub(super) checked: Checked,
    buffers: Arc<Buffers>,
    /// Frames of pieces by blob and number. Only what was checked comes in, and what a sha256 stands for never changes.
    frames: Cache<(Sha256, u64), Bytes, Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<(Sha256, u64), Bytes> for Weight {
    fn weight(&self, _: &(Sha256, u64), frame: &Bytes) -> u64 {
        128 + frame.len() as u64
    }
}

impl Reading {
    /// Keeps frames of at most so many bytes in memory.
    pub(super) fn new(capacity: u64) -> Arc<Reading> {
        let items = usize::try_from(capacity / FRAME).unwrap_or(usize::MAX);
        let frames = Cache::with_weighter(items, capacity, Weight);
        Arc::new(Reading { checked: Checked::default(), buffers: Arc::default(), frames })
    }

    /// Forgets what was read of a blob that is written anew: it may have been damaged.
    pub(super) fn forget(&self, sha256: &Sha256, size: u64) {
        for number in 0..size.div_ceil(FRAME) {
            self.frames.remove(&(*sha256, number));
        }
    }
}

pub(super) struct Reader {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) place: Place,
    pub(super) reading: Arc<Reading>,
    pub(super) _pin: Pin<Sha256>,
}

pub(super) enum Place {
    Pieces(PieceTable),
    File(File),
}

impl Reader {
    pub(super) fn blob(self: &Arc<Reader>) -> Blob {
        Blob::new(self.size, self.sha256, self.clone())
    }

    /// What lies there now, whatever is kept in memory; `None` if nothing is there.
    pub(super) fn read(&self, offset: u64, limit: usize) -> Result<Option<Bytes>> {
        let limit = self.within(offset, limit);
        match &self.place {
            Place::Pieces(pieces) => pieces.read(&self.sha256, offset, limit),
            Place::File(file) => self.reading.buffers.filled(limit, |buffer| read_some(file, offset, buffer)),
        }
    }

    /// Whether another request may be answered by it: its bytes are not in doubt, and nobody took its file away.
    pub(super) fn is_current(&self) -> bool {
        let linked = match &self.place {
            Place::Pieces(_) => true,
            Place::File(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() > 0),
        };
        linked && locked(&self.reading.checked).contains(&self.sha256)
    }

    fn within(&self, offset: u64, limit: usize) -> usize {
        limit.min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(limit))
    }

    /// From an offset to the end of its frame, or as far as wanted.
    fn part(frame: &Bytes, offset: u64, limit: usize) -> Option<Bytes> {
        let start = usize::try_from(offset % FRAME).ok().filter(|start| *start < frame.len())?;
        Some(frame.slice(start..frame.len().min(start.saturating_add(limit))))
    }

    /// A whole frame of pieces, kept for the next one who asks.
    fn frame(&self, pieces: &PieceTable, number: u64) -> Result<Option<Bytes>> {
        let start = number * FRAME;
        let length = self.within(start, FRAME as usize);
        if length == 0 {
            return Ok(None);
        }
        let mut frame = BytesMut::with_capacity(length);
        while frame.len() < length {
            let at = start + frame.len() as u64;
            if !pieces.append(&self.sha256, at, length - frame.len(), &mut frame)? {
                return Ok(None);
            }
        }
        let frame = frame.freeze();
        // What is in doubt is read anew by everybody.
        if locked(&self.reading.checked).contains(&self.sha256) {
            self.reading.frames.insert((self.sha256, number), frame.clone());
        }
        Ok(Some(frame))
    }
}

impl Pieces for Reader {
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        let read = match &self.place {
            Place::Pieces(pieces) => match self.at_hand(offset, limit) {
                Some(part) => Some(part),
                None => self.frame(pieces, offset / FRAME)?.and_then(|frame| Reader::part(&frame, offset, limit)),
            },
            Place::File(_) => self.read(offset, limit)?,
        };
        read.ok_or_else(|| {
            // The next one to ask finds out what is wrong, and then it counts as absent.
            locked(&self.reading.checked).remove(&self.sha256);
            vanished()
        })
    }

    fn at_hand(&self, offset: u64, limit: usize) -> Option<Bytes> {
        let limit = self.within(offset, limit);
        match &self.place {
            Place::Pieces(_) => {
                let frame = self.reading.frames.get(&(self.sha256, offset / FRAME))?;
                Reader::part(&frame, offset, limit)
            }
            Place::File(file) => {
                let read = |buffer: &mut [u8]| read_cached(file, offset, buffer);
                // An error is the reading thread's to find and to tell.
                self.reading.buffers.filled(limit.min(BUFFER), read).ok().flatten()
            }
        }
    }
}

/// Reads what the system has in memory of a file, without ever waiting for the disk.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    use rustix::io::ReadWriteFlags;
    rustix::io::preadv2(file, &mut [std::io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
}

/// Other systems cannot say what they have in memory.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
    Ok(0)
}
