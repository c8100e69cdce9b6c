//! Reading any zip, seeing in it what a go command would see: no names are merged or decoded.
//! Rules: `archive/zip` (`readDirectoryEnd`, `readDirectoryHeader`, `File.Open`).

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};

use super::{DEFLATED, DIRECTORY, END, END_64, LOCAL, LOCATOR_64, STORED};

/// The largest directory read, in bytes: it is held in memory.
const MAX_DIRECTORY: u64 = 64 << 20;

const HEADER: usize = 46;
const LOCAL_HEADER: usize = 30;
const END_RECORD: usize = 22;
const DESCRIBED: u16 = 0x8;

/// An entry of the directory of a zip.
#[derive(Debug)]
pub(super) struct Member {
    pub name: Vec<u8>,
    /// Declared, of the file itself, in bytes.
    pub size: u64,
    flags: u16,
    method: u16,
    crc32: u32,
    compressed: u64,
    offset: u64,
}

pub(super) struct Archive<R> {
    reader: R,
    pub size: u64,
    pub members: Vec<Member>,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn malformed() -> io::Error {
    invalid("zip: not a valid zip file")
}

fn checksum() -> io::Error {
    invalid("zip: checksum error")
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF")
}

/// Little-endian numbers off the front of a record; the caller has seen that it is long enough.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn number<const N: usize>(&mut self) -> [u8; N] {
        let (number, rest) = self.0.split_first_chunk().expect("the record has its full length");
        self.0 = rest;
        *number
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.number())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.number())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.number())
    }
}

/// Where the directory lies and how many entries it should have.
struct End {
    records: u64,
    size: u64,
    offset: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// The size of the zip in bytes, before anything of it is read.
    pub(super) fn measure(reader: &mut R) -> io::Result<u64> {
        reader.seek(SeekFrom::End(0))
    }

    pub(super) fn open(mut reader: R) -> io::Result<Archive<R>> {
        let size = Archive::measure(&mut reader)?;
        let (at, end) = find_end(&mut reader, size)?;
        let (at, end) = match end {
            End { records: 0xffff, .. } | End { size: 0xffff, .. } | End { offset: 0xffff_ffff, .. } => {
                match find_end_64(&mut reader, at)? {
                    Some(at) => (at, read_end_64(&mut reader, at)?),
                    None => (at, end),
                }
            }
            end => (at, end),
        };
        let mut archive = Archive { reader, size, members: Vec::new() };
        let base = archive.base(at, &end)?;
        archive.read_directory(base, &end)?;
        Ok(archive)
    }

    /// How far the offsets are wrong, because something was put before the zip.
    fn base(&mut self, at: u64, end: &End) -> io::Result<u64> {
        let base = i128::from(at) - i128::from(end.size) - i128::from(end.offset);
        let start = base + i128::from(end.offset);
        if start < 0 || start >= i128::from(self.size) {
            return Err(malformed());
        }
        // Where the offset as written leads to an entry, it is right and the directory's size is wrong.
        if base > 0 {
            self.reader.seek(SeekFrom::Start(end.offset))?;
            let header = read_header(&mut BufReader::with_capacity(256, &mut self.reader));
            if matches!(header, Ok(Header::Member(_))) {
                return Ok(0);
            }
        }
        // A negative one is added to every offset with wrapping; such offsets lead nowhere.
        Ok(base as u64)
    }

    fn read_directory(&mut self, base: u64, end: &End) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(base.wrapping_add(end.offset)))?;
        let mut directory = BufReader::with_capacity(1 << 16, (&mut self.reader).take(MAX_DIRECTORY));
        let stop = loop {
            match read_header(&mut directory) {
                Ok(Header::Member(mut member)) => {
                    member.offset = member.offset.wrapping_add(base);
                    self.members.push(member);
                }
                Ok(Header::End) => break malformed(),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break error,
                Err(error) => return Err(error),
            }
        };
        // The count is written with sixteen bits.
        if self.members.len() as u16 == end.records as u16 { Ok(()) } else { Err(stop) }
    }

    /// Reads a member to its end: the SHA-256 of its contents, if they are what the directory says of them.
    pub(super) fn sha256(&mut self, index: usize) -> io::Result<[u8; 32]> {
        let Archive { reader, members, .. } = self;
        let member = &members[index];
        let body = body(reader, member)?;
        if member.name.ends_with(b"/") {
            return if member.size == 0 { Ok(Sha256::digest(b"").into()) } else { Err(malformed()) };
        }
        let section = reader.by_ref().take(member.compressed);
        let (sha256, crc32) = match member.method {
            STORED => drain(section, member.size)?,
            DEFLATED => drain(DeflateDecoder::new(section), member.size)?,
            _ => return Err(invalid("zip: unsupported compression algorithm")),
        };
        let described = member.flags & DESCRIBED != 0;
        if described {
            reader.seek(SeekFrom::Start(body.wrapping_add(member.compressed)))?;
            if descriptor(reader)? != member.crc32 {
                return Err(checksum());
            }
        }
        if crc32 != member.crc32 && (described || member.crc32 != 0) {
            return Err(checksum());
        }
        Ok(sha256)
    }
}

/// Goes to where the bytes of a member begin.
fn body<R: Read + Seek>(reader: &mut R, member: &Member) -> io::Result<u64> {
    reader.seek(SeekFrom::Start(member.offset))?;
    let mut header = [0; LOCAL_HEADER];
    reader.read_exact(&mut header).map_err(|_| short())?;
    let mut lengths = Record(&header[26..]);
    let (name, extra) = (lengths.u16(), lengths.u16());
    if Record(&header).u32() != LOCAL {
        return Err(malformed());
    }
    let body = member.offset + LOCAL_HEADER as u64 + u64::from(name) + u64::from(extra);
    reader.seek(SeekFrom::Start(body))
}

/// Reads exactly `size` bytes and no more than one after them.
fn drain(mut from: impl Read, size: u64) -> io::Result<([u8; 32], u32)> {
    let mut sha256 = Sha256::new();
    let mut crc = flate2::Crc::new();
    let mut left = size;
    let mut buffer = vec![0; 1 << 15];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) if left > 0 => return Err(short()),
            Ok(0) => return Ok((sha256.finalize().into(), crc.sum())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        left = left.checked_sub(count as u64).ok_or_else(malformed)?;
        sha256.update(&buffer[..count]);
        crc.update(&buffer[..count]);
    }
}

/// The checksum behind a member's bytes; its signature may be left out.
fn descriptor(reader: &mut impl Read) -> io::Result<u32> {
    const SIGNATURE: u32 = 0x0807_4b50;
    let mut number = [0; 4];
    reader.read_exact(&mut number).map_err(|_| short())?;
    let first = u32::from_le_bytes(number);
    // The sizes that follow are not looked at, but must be there.
    let mut rest = [0; 12];
    let length = if first == SIGNATURE { 12 } else { 8 };
    reader.read_exact(&mut rest[..length]).map_err(|_| short())?;
    Ok(if first == SIGNATURE { Record(&rest).u32() } else { first })
}

fn find_end<R: Read + Seek>(reader: &mut R, size: u64) -> io::Result<(u64, End)> {
    for window in [1024, 65 * 1024] {
        let window = window.min(size);
        reader.seek(SeekFrom::Start(size - window))?;
        let mut tail = Vec::new();
        reader.by_ref().take(window).read_to_end(&mut tail)?;
        if let Some(at) = find_signature(&tail) {
            let mut record = Record(&tail[at + 10..]);
            let end = End {
                records: u64::from(record.u16()),
                size: u64::from(record.u32()),
                offset: u64::from(record.u32()),
            };
            return Ok((size - window + at as u64, end));
        }
        if window == size {
            break;
        }
    }
    Err(malformed())
}

/// The last end record, if its comment lies within the file.
fn find_signature(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_RECORD)?;
    let at = (0..=last).rev().find(|at| tail[*at..].starts_with(&END.to_le_bytes()))?;
    let comment = Record(&tail[at + END_RECORD - 2..]).u16();
    (at + END_RECORD + usize::from(comment) <= tail.len()).then_some(at)
}

fn find_end_64<R: Read + Seek>(reader: &mut R, end: u64) -> io::Result<Option<u64>> {
    let mut locator = [0; 20];
    let Some(at) = end.checked_sub(locator.len() as u64) else { return Ok(None) };
    reader.seek(SeekFrom::Start(at))?;
    reader.read_exact(&mut locator)?;
    let mut record = Record(&locator);
    let (signature, disk, at, disks) = (record.u32(), record.u32(), record.u64(), record.u32());
    Ok((signature == LOCATOR_64 && disk == 0 && disks == 1).then_some(at))
}

fn read_end_64<R: Read + Seek>(reader: &mut R, at: u64) -> io::Result<End> {
    let mut end = [0; 56];
    if at > i64::MAX as u64 {
        return Err(malformed());
    }
    reader.seek(SeekFrom::Start(at))?;
    reader.read_exact(&mut end).map_err(|_| short())?;
    if Record(&end).u32() != END_64 {
        return Err(malformed());
    }
    let mut record = Record(&end[32..]);
    let end = End { records: record.u64(), size: record.u64(), offset: record.u64() };
    if end.size > i64::MAX as u64 || end.offset > i64::MAX as u64 {
        return Err(malformed());
    }
    Ok(end)
}

enum Header {
    Member(Member),
    /// Something else than an entry.
    End,
}

fn read_header(reader: &mut impl Read) -> io::Result<Header> {
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).map_err(|_| short())?;
    if Record(&header).u32() != DIRECTORY {
        return Ok(Header::End);
    }
    let mut record = Record(&header[8..]);
    let (flags, method) = (record.u16(), record.u16());
    let mut record = Record(&header[16..]);
    let crc32 = record.u32();
    let (compressed, size) = (u64::from(record.u32()), u64::from(record.u32()));
    let (name, extra, comment) = (record.u16(), record.u16(), record.u16());
    let offset = u64::from(Record(&header[42..]).u32());
    let mut rest = vec![0; usize::from(name) + usize::from(extra) + usize::from(comment)];
    reader.read_exact(&mut rest).map_err(|_| short())?;
    let (name, rest) = rest.split_at(usize::from(name));
    let mut member = Member { name: name.to_vec(), size, flags, method, crc32, compressed, offset };
    Ok(match widen(&mut member, &rest[..usize::from(extra)]) {
        Some(()) => Header::Member(member),
        None => Header::End,
    })
}

/// Takes the numbers that do not fit into 32 bits from the extra fields; `None` if they are not there.
fn widen(member: &mut Member, mut extra: &[u8]) -> Option<()> {
    const ZIP_64: u16 = 1;
    const MAXED: u64 = u32::MAX as u64;
    let (mut size, mut compressed, mut offset) =
        (member.size == MAXED, member.compressed == MAXED, member.offset == MAXED);
    while extra.len() >= 4 {
        let mut record = Record(extra);
        let (tag, length) = (record.u16(), usize::from(record.u16()));
        let Some((mut field, rest)) = record.0.split_at_checked(length) else { break };
        extra = rest;
        if tag != ZIP_64 {
            continue;
        }
        for (needed, number) in [
            (&mut size, &mut member.size),
            (&mut compressed, &mut member.compressed),
            (&mut offset, &mut member.offset),
        ] {
            if std::mem::take(needed) {
                let (value, rest) = field.split_first_chunk()?;
                *number = u64::from_le_bytes(*value);
                field = rest;
            }
        }
    }
    // A size of 2^32-1 may be meant as it stands.
    (!compressed && !offset).then_some(())
}
