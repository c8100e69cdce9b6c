//! A file's contents as a repository gives them out: as they are, or still deflated where they lie.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};

/// The contents of a file.
#[derive(Debug, Clone)]
pub enum Contents {
    Plain(Bytes),
    Packed(Packed),
}

/// Contents that lie in a file as a zlib stream; more may follow it there.
#[derive(Debug, Clone)]
pub struct Packed {
    file: Arc<File>,
    /// Where the stream begins.
    offset: u64,
    /// The size of the contents, in bytes.
    size: u64,
}

/// Reads a stream piece by piece, and what follows it.
pub struct PackedReader {
    packed: Packed,
    position: u64,
}

impl Contents {
    /// How much memory they take, in bytes.
    pub fn held(&self) -> u64 {
        match self {
            Contents::Plain(bytes) => bytes.len() as u64,
            Contents::Packed(_) => 0,
        }
    }

    /// All of the bytes, in memory.
    pub fn plain(self) -> Result<Bytes> {
        match self {
            Contents::Plain(bytes) => Ok(bytes),
            Contents::Packed(packed) => packed.inflate(),
        }
    }
}

impl Packed {
    pub fn new(file: Arc<File>, offset: u64, size: u64) -> Packed {
        Packed { file, offset, size }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The zlib stream from its beginning, and what follows it.
    pub fn reader(&self) -> PackedReader {
        PackedReader { packed: self.clone(), position: self.offset }
    }

    fn inflate(&self) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(self.size as usize);
        let read = flate2::read::ZlibDecoder::new(self.reader()).take(self.size + 1).read_to_end(&mut bytes);
        match read {
            Ok(_) if bytes.len() as u64 == self.size => Ok(bytes.into()),
            Ok(length) => Err(unreadable(format!("{length} bytes, not {}", self.size))),
            Err(error) => Err(unreadable(error)),
        }
    }
}

impl Read for PackedReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.packed.file.read_at(to, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    tracing::error!("git: a packed file: {why}");
    Error::internal("a file of a git repository cannot be read")
}
