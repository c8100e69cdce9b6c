//! Writing a module zip in one pass, summing on the way.
//! Rules: `Create` in golang.org/x/mod/zip; the format is PKWARE's APPNOTE, as `archive/zip` reads it.

use std::io::{self, Read, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use sha2::{Digest, Sha256};

use super::inflate::{HEAD, Inflated, TAIL};
use super::{DEFLATED, DIRECTORY, END, END_64, LOCAL, LOCATOR_64, MAX_GO_MOD, MAX_LICENSE, MAX_ZIP, STORED, prefix};
use super::{Why, check};
use crate::error::{Error, Result};
use crate::spec::dirhash::Hash1;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// How much of a stream is copied at once.
const STRIDE: usize = 64 << 10;

/// What a zip says of a file.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    pub method: u16,
    pub crc32: u32,
    /// Of the file itself, in bytes.
    pub size: u64,
    /// As it lies in the zip, in bytes.
    pub compressed: u64,
    pub sha256: [u8; 32],
}

/// A file ready to be written; made by `compress`, on any thread.
#[derive(Debug, Clone)]
pub struct Deflated {
    summary: Summary,
    bytes: Vec<u8>,
}

/// What a finished zip is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// The `h1:` hash of its files.
    pub h1: String,
    /// Of the zip's own bytes.
    pub sha256: [u8; 32],
    /// Of the zip itself, in bytes.
    pub size: u64,
}

/// Deflates a file, or leaves it as it is where that is no longer.
pub fn compress(bytes: &[u8]) -> Deflated {
    Compressor::default().compress(bytes)
}

/// Deflates one file after the other: what it takes to begin is more than a small file takes.
pub struct Compressor(Compress);

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor(Compress::new(Compression::new(6), false))
    }
}

impl Compressor {
    /// The same as [`compress`].
    pub fn compress(&mut self, bytes: &[u8]) -> Deflated {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let (method, compressed) = match self.deflate(bytes) {
            Some(compressed) => (DEFLATED, compressed),
            None => (STORED, bytes.to_vec()),
        };
        let (size, sha256) = (bytes.len() as u64, Sha256::digest(bytes).into());
        let summary = Summary { method, crc32: crc.sum(), size, compressed: compressed.len() as u64, sha256 };
        Deflated { summary, bytes: compressed }
    }

    /// `None` if the result would not be shorter.
    fn deflate(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.reset();
        let mut compressed = Vec::with_capacity(bytes.len());
        let status =
            self.0.compress_vec(bytes, &mut compressed, FlushCompress::Finish).expect("deflate takes any bytes");
        // The room that is left over would be held as long as the file waits.
        compressed.shrink_to_fit();
        (status == Status::StreamEnd && compressed.len() < bytes.len()).then_some(compressed)
    }
}

/// A module zip being written.
///
/// The same files in the same order give the same bytes. The names are taken as they are: `check` has seen them.
pub struct ModuleZip<W> {
    writer: W,
    prefix: String,
    sha256: Sha256,
    h1: Hash1,
    /// Where the next byte goes.
    offset: u64,
    /// The sizes of all files so far.
    content: u64,
    directory: Vec<u8>,
    entries: u64,
}

impl<W: Write> ModuleZip<W> {
    /// Begins the zip of `module@version`.
    pub fn new(writer: W, module: &ModulePath, version: &Version) -> ModuleZip<W> {
        ModuleZip {
            writer,
            prefix: prefix(module, version),
            sha256: Sha256::new(),
            h1: Hash1::new(),
            offset: 0,
            content: 0,
            directory: Vec::new(),
            entries: 0,
        }
    }

    /// Adds a file by its path below the module's root.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.append(path, &compress(bytes))
    }

    /// Adds a compressed file; refuses what exceeds the limits of a module zip.
    pub fn append(&mut self, path: &str, file: &Deflated) -> Result<()> {
        let name = self.begin(path, &file.summary)?;
        self.write(&file.bytes)?;
        self.h1.add(name, file.summary.sha256)
    }

    /// Adds a file as the zlib stream has it that was inspected before; the same limits.
    pub fn append_inflated(&mut self, path: &str, file: &Inflated, mut stream: impl Read) -> Result<()> {
        let Inflated { summary, stream_crc32 } = file;
        let name = self.begin(path, summary)?;
        let mut buffer = vec![0; usize::try_from(summary.compressed + HEAD + TAIL).unwrap_or(STRIDE).min(STRIDE)];
        let mut crc = flate2::Crc::new();
        let mut read = |piece: &mut [u8]| -> Result<()> {
            stream.read_exact(piece).map_err(unwritable)?;
            crc.update(piece);
            Ok(())
        };
        read(&mut buffer[..HEAD as usize])?;
        let mut left = summary.compressed;
        while left > 0 {
            let piece = buffer.len().min(usize::try_from(left).unwrap_or(STRIDE));
            read(&mut buffer[..piece])?;
            self.write(&buffer[..piece])?;
            left -= piece as u64;
        }
        read(&mut buffer[..TAIL as usize])?;
        if crc.sum() != *stream_crc32 {
            return Err(Error::internal(format!("create zip: {path}: read twice, and not the same")));
        }
        self.h1.add(name, summary.sha256)
    }

    /// Writes what stands before a file's bytes; gives its whole name.
    fn begin(&mut self, path: &str, file: &Summary) -> Result<String> {
        let refused = |what: String| Err(Error::gone(format!("create zip: {what}")));
        match path {
            "go.mod" if file.size > MAX_GO_MOD => return refused(format!("{path}: {}", Why::GoModTooLarge)),
            "LICENSE" if file.size > MAX_LICENSE => return refused(format!("{path}: {}", Why::LicenseTooLarge)),
            _ => {}
        }
        self.content = self.content.saturating_add(file.size);
        if self.content > MAX_ZIP {
            return refused(check::too_large());
        }
        let name = format!("{}{path}", self.prefix);
        let length = u16::try_from(name.len())
            .map_err(|_| Error::gone(format!("create zip: {path}: name of {} bytes is too long", name.len())))?;
        let header = file.header(length, name.is_ascii());
        let offset = u32::try_from(self.offset).expect("a zip within its limits has small offsets");
        self.directory.extend(DIRECTORY.to_le_bytes());
        self.directory.extend(20_u16.to_le_bytes());
        self.directory.extend(&header);
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.entries += 1;
        self.write(&LOCAL.to_le_bytes())?;
        self.write(&header)?;
        self.write(name.as_bytes())?;
        Ok(name)
    }

    /// Writes the directory; gives the writer back.
    pub fn finish(mut self) -> Result<(W, Sums)> {
        let start = self.offset;
        let directory = std::mem::take(&mut self.directory);
        self.write(&directory)?;
        self.end(start)?;
        self.writer.flush().map_err(unwritable)?;
        let sums = Sums { h1: self.h1.finish(), sha256: self.sha256.finalize().into(), size: self.offset };
        Ok((self.writer, sums))
    }

    fn end(&mut self, start: u64) -> Result<()> {
        let size = self.offset - start;
        let mut end = Vec::new();
        // A count of 65535 itself means that the true one is elsewhere.
        let entries = u16::try_from(self.entries).ok().filter(|count| *count != u16::MAX);
        if entries.is_none() {
            end.extend(END_64.to_le_bytes());
            end.extend(44_u64.to_le_bytes());
            end.extend([45, 0, 45, 0]);
            end.extend([0; 8]);
            [self.entries, self.entries, size, start].iter().for_each(|number| end.extend(number.to_le_bytes()));
            end.extend(LOCATOR_64.to_le_bytes());
            end.extend(0_u32.to_le_bytes());
            end.extend(self.offset.to_le_bytes());
            end.extend(1_u32.to_le_bytes());
        }
        let entries = entries.unwrap_or(u16::MAX);
        let small = |number: u64| u32::try_from(number).expect("a zip within its limits is small");
        end.extend(END.to_le_bytes());
        end.extend([0; 4]);
        end.extend(entries.to_le_bytes());
        end.extend(entries.to_le_bytes());
        end.extend(small(size).to_le_bytes());
        end.extend(small(start).to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.offset += bytes.len() as u64;
        if self.offset > MAX_ZIP {
            return Err(Error::gone(format!("create zip: module zip file is too large (limit is {MAX_ZIP} bytes)")));
        }
        self.sha256.update(bytes);
        self.writer.write_all(bytes).map_err(unwritable)
    }
}

impl Summary {
    /// What the local header and the directory have in common: version needed to the length of extra fields.
    fn header(&self, name: u16, ascii: bool) -> Vec<u8> {
        const UTF8: u16 = 0x800;
        let small = |size: u64| u32::try_from(size).expect("a file within the limits is small");
        let mut header = Vec::with_capacity(26);
        header.extend(20_u16.to_le_bytes());
        header.extend(if ascii { 0 } else { UTF8 }.to_le_bytes());
        header.extend(self.method.to_le_bytes());
        // No time, as the go command writes none.
        header.extend([0; 4]);
        header.extend(self.crc32.to_le_bytes());
        header.extend(small(self.compressed).to_le_bytes());
        header.extend(small(self.size).to_le_bytes());
        header.extend(name.to_le_bytes());
        header.extend([0; 2]);
        header
    }
}

fn unwritable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::unavailable("no room for a module zip"),
        _ => Error::internal("module zip cannot be written"),
    }
    .because(error)
}
