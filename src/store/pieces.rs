//! Blobs inside sled, in the one layout that it bears: pieces of 32 KiB.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::Sha256;
use super::database::Database;
use super::eviction::Passed;
use super::intake::Intake;
use super::record::VALUE_LIMIT;
use crate::error::{Error, Result};

const PIECE: usize = VALUE_LIMIT;

/// What is written waits in memory until it is flushed: a segment's worth at most.
const PIECES_PER_FLUSH: u32 = 128;

/// The pieces of blobs; which blobs are whole, the manifests say.
#[derive(Clone)]
pub(super) struct PieceTable {
    database: Arc<Database>,
    /// One blob is written at a time: the log is one stream anyway.
    turn: Arc<Mutex<()>>,
}

impl PieceTable {
    pub(super) fn new(database: Arc<Database>) -> PieceTable {
        PieceTable { database, turn: Arc::default() }
    }

    /// How many pieces a body of this size has; `None` if they cannot be numbered.
    pub(super) fn count(size: u64) -> Option<u32> {
        u32::try_from(size.div_ceil(PIECE as u64)).ok()
    }

    /// Writes all pieces and hands them to the system.
    pub(super) fn write(&self, sha256: &Sha256, intake: &Intake) -> Result<u32> {
        if Self::count(intake.size()).is_none() {
            return Err(Error::internal(format!("store: blob of {} bytes", intake.size())));
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = 0;
        intake.each(PIECE, |piece| {
            self.database.pieces.insert(&key(sha256, number), piece)?;
            self.database.after_piece(Passed::Written);
            number += 1;
            if number % PIECES_PER_FLUSH == 0 {
                self.database.flush()?;
            }
            Ok(())
        })?;
        self.database.flush()?;
        Ok(number)
    }

    /// At most `limit` bytes from an offset, none beyond the last piece; `None` if the piece is missing.
    pub(super) fn read(&self, sha256: &Sha256, offset: u64, limit: usize) -> Result<Option<Bytes>> {
        let mut bytes = BytesMut::new();
        Ok(self.append(sha256, offset, limit, &mut bytes)?.then(|| bytes.freeze()))
    }

    /// Appends what `read` gives; `false` if the piece is missing.
    pub(super) fn append(&self, sha256: &Sha256, offset: u64, limit: usize, to: &mut BytesMut) -> Result<bool> {
        let Ok(number) = u32::try_from(offset / PIECE as u64) else { return Ok(false) };
        let start = (offset % PIECE as u64) as usize;
        let Some(piece) = self.database.pieces.get_sound(&key(sha256, number))? else { return Ok(false) };
        let end = piece.len().min(start.saturating_add(limit));
        if start >= end {
            return Ok(false);
        }
        to.extend_from_slice(&piece[start..end]);
        if end == piece.len() {
            self.database.after_piece(Passed::Read);
        }
        Ok(true)
    }

    /// Removes whatever pieces of a blob there are.
    pub(super) fn remove(&self, sha256: &Sha256) -> Result<()> {
        for row in self.database.pieces.scan(&prefix(sha256)) {
            let (key, _) = row?;
            self.database.pieces.remove(&key)?;
            self.database.after_piece(Passed::Written);
        }
        Ok(())
    }

    /// The blobs that any piece is there of.
    #[cfg(test)]
    pub(super) fn blobs(&self) -> Result<std::collections::BTreeSet<String>> {
        let hashes = self.database.pieces.scan(b"blob/").map(|row| {
            let (key, _) = row?;
            Ok(String::from_utf8_lossy(&key[5..69]).into_owned())
        });
        hashes.collect()
    }
}

fn prefix(sha256: &Sha256) -> Vec<u8> {
    format!("blob/{}/", hex::encode(sha256)).into_bytes()
}

fn key(sha256: &Sha256, number: u32) -> Vec<u8> {
    let mut key = prefix(sha256);
    key.extend_from_slice(&number.to_be_bytes());
    key
}
