//! A body on its way in: bytes or a file, hashed and read in pieces, never whole in memory if it is large.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use sha2::{Digest, Sha256 as Hasher};
use tempfile::NamedTempFile;

use super::Sha256;
use super::failure::During;
use super::files::Files;
use crate::error::{Error, Result};
use crate::ports::Body;

/// How much of a file is read at once while hashing.
const STRIDE: usize = 128 << 10;

#[derive(Debug)]
pub(super) enum Intake {
    Bytes(Bytes),
    /// With its size, and its sha256 where that is known.
    File(NamedTempFile, u64, Option<Sha256>),
}

impl Intake {
    /// A file of at most `small` bytes is read at once.
    pub(super) fn new(body: Body, small: usize) -> Result<Intake> {
        let (file, sha256) = match body {
            Body::Bytes(bytes) => return Ok(Intake::Bytes(bytes)),
            Body::File(file) => (file, None),
            Body::Hashed(file, sha256) => (file, Some(sha256)),
        };
        let size = file.as_file().metadata().during("read body")?.len();
        if size > small as u64 {
            return Ok(Intake::File(file, size, sha256));
        }
        let mut bytes = vec![0; size as usize];
        file.as_file().read_exact_at(&mut bytes, 0).during("read body")?;
        Ok(Intake::Bytes(bytes.into()))
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Intake::Bytes(bytes) => bytes.len() as u64,
            Intake::File(_, size, _) => *size,
        }
    }

    pub(super) fn sha256(&self) -> Result<Sha256> {
        if let Intake::File(_, _, Some(sha256)) = self {
            return Ok(*sha256);
        }
        let mut hasher = Hasher::new();
        self.each(STRIDE, |piece| {
            hasher.update(piece);
            Ok(())
        })?;
        Ok(hasher.finalize().into())
    }

    /// Visits the body in pieces of `length` bytes; only the last may be shorter.
    pub(super) fn each(&self, length: usize, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match self {
            Intake::Bytes(bytes) => bytes.chunks(length).try_for_each(visit),
            Intake::File(file, size, _) => {
                let mut offset = 0;
                let mut buffer = vec![0; length];
                while offset < *size {
                    let wanted = length.min((size - offset) as usize);
                    let piece = &mut buffer[..wanted];
                    file.as_file().read_exact_at(piece, offset).during("read body")?;
                    visit(piece)?;
                    offset += wanted as u64;
                }
                Ok(())
            }
        }
    }

    /// The body as a file, in the store's own scratch folder if it has to be written.
    pub(super) fn into_file(self, files: &Files) -> Result<NamedTempFile> {
        match self {
            Intake::File(file, ..) => Ok(file),
            Intake::Bytes(bytes) => {
                let file = files.scratch()?;
                file.as_file().write_all_at(&bytes, 0).during("write file")?;
                Ok(file)
            }
        }
    }
}

/// The sha256 of what `read_at` gives for offsets up to `size`; `None` where it gives nothing.
pub(super) fn sha256_of(size: u64, mut read_at: impl FnMut(u64) -> Result<Option<Bytes>>) -> Result<Option<Sha256>> {
    let mut hasher = Hasher::new();
    let mut offset = 0;
    while offset < size {
        let Some(piece) = read_at(offset)?.filter(|piece| !piece.is_empty()) else { return Ok(None) };
        hasher.update(&piece);
        offset += piece.len() as u64;
    }
    Ok((offset == size).then(|| hasher.finalize().into()))
}

/// Reads some bytes of a file from an offset and says how many; none at its end.
pub(super) fn read_some(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Ok(length) => return Ok(length),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).during("read file"),
        }
    }
}

/// Bytes that were there when the blob was opened are not any more.
pub(super) fn vanished() -> Error {
    Error::internal("store: read blob: its bytes changed after they were checked")
}
