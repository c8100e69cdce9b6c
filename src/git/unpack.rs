//! Objects read out of a pack while it comes in: each is inflated and hashed once. Rules: gitformat-pack(5).
//!
//! Whatever is unusual is left to libgit2, which has the last word on it: see [`Odd`].

use std::io;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use git2::{ObjectType, Oid};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::delta;
use super::growth::object_id;
use super::recent::{Place, Recent};
use crate::spec::info::ObjectId;

/// Signature, version and number of objects.
const HEAD: usize = 12;
const TRAILER: usize = 20;
/// Commits and tags are smaller; a larger object is libgit2's business.
const LARGEST: usize = 4 << 20;
/// Type, size and base of an object are no longer than this.
const OBJECT_HEAD: usize = 24;
/// How many deltas on top of each other are followed, and how many bytes of them are held meanwhile; git itself makes no
/// longer chains.
const DEEPEST: usize = 4096;
const DELTAS: usize = 2 * LARGEST;

/// Something that is not read here: damaged, unusually large, or a kind that is not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odd;

pub type Result<T> = std::result::Result<T, Odd>;

/// An object of a pack.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub id: ObjectId,
    pub offset: u64,
    /// Of the object's bytes in the pack.
    pub crc: u32,
    kind: ObjectType,
    content: Place,
}

/// Who is given each object with its content.
pub type Visit<'a> = dyn FnMut(ObjectId, ObjectType, &[u8]) -> Result<()> + 'a;
/// Reads what came of the pack so far from an offset on.
pub type Older<'a> = dyn Fn(u64, &mut [u8]) -> io::Result<()> + 'a;

/// A pack that was read to its end.
pub struct Unpacked {
    /// In the order of the pack.
    pub entries: Vec<Entry>,
    /// The pack's own checksum.
    pub sum: [u8; TRAILER],
}

/// A pack that is being read.
pub struct Unpack {
    state: State,
    /// Bytes so far, the trailer not counted.
    offset: u64,
    /// Objects to come.
    left: u32,
    sum: Context,
    crc: Crc,
    inflater: Decompress,
    /// The object that comes in: one byte longer than it is said to be, so that more is noticed.
    inflated: Vec<u8>,
    filled: usize,
    entries: Vec<Entry>,
    recent: Recent,
    /// Another one for what lies far back, since this one may be in the middle of an object.
    rereader: Decompress,
}

enum State {
    Head(Vec<u8>),
    ObjectHead { bytes: Vec<u8>, start: u64 },
    Object { kind: Kind, start: u64 },
    Trailer(Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Whole(ObjectType),
    /// The offset of what it is based on.
    Delta(u64),
}

impl Unpack {
    /// Contents of so many bytes stay in memory, for deltas that are based on them; older ones are read again.
    pub fn new(kept: usize) -> Unpack {
        Unpack {
            state: State::Head(Vec::with_capacity(HEAD)),
            offset: 0,
            left: 0,
            sum: Context::new(&SHA1_FOR_LEGACY_USE_ONLY),
            crc: Crc::new(),
            inflater: Decompress::new(true),
            inflated: Vec::new(),
            filled: 0,
            entries: Vec::new(),
            recent: Recent::new(kept),
            rereader: Decompress::new(true),
        }
    }

    pub fn write(&mut self, mut bytes: &[u8], older: &Older<'_>, visit: &mut Visit<'_>) -> Result<()> {
        while !bytes.is_empty() {
            let taken = self.some(bytes, older, visit)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// The end of the pack.
    pub fn finish(self) -> Result<Unpacked> {
        match self.state {
            State::Trailer(found) => {
                let sum: [u8; TRAILER] = found.try_into().map_err(|_| Odd)?;
                if self.sum.finish().as_ref() != sum {
                    return Err(Odd);
                }
                Ok(Unpacked { entries: self.entries, sum })
            }
            _ => Err(Odd),
        }
    }

    /// Takes some of the bytes, at least one; says how many.
    fn some(&mut self, bytes: &[u8], older: &Older<'_>, visit: &mut Visit<'_>) -> Result<usize> {
        match &mut self.state {
            State::Head(head) => {
                head.push(bytes[0]);
                if let Ok(head) = <[u8; HEAD]>::try_from(head.as_slice()) {
                    self.begin(head)?;
                }
                self.passed(&bytes[..1]);
                // The first object begins behind what was just counted.
                if matches!(&self.state, State::Head(head) if head.len() == HEAD) {
                    self.next();
                }
                Ok(1)
            }
            State::ObjectHead { .. } => self.object_head(bytes[0]).map(|()| 1),
            &mut State::Object { kind, start } => {
                let (taken, ended) = inflate(&mut self.inflater, bytes, &mut self.inflated, &mut self.filled)?;
                self.crc.update(&bytes[..taken]);
                self.passed(&bytes[..taken]);
                if ended {
                    self.object(kind, start, older, visit)?;
                    self.next();
                }
                Ok(taken)
            }
            State::Trailer(found) => {
                let taken = bytes.len().min(TRAILER - found.len());
                found.extend_from_slice(&bytes[..taken]);
                // Nothing comes behind the trailer.
                if taken == 0 { Err(Odd) } else { Ok(taken) }
            }
        }
    }

    /// One more byte of what stands before an object.
    fn object_head(&mut self, byte: u8) -> Result<()> {
        let State::ObjectHead { bytes: head, start } = &mut self.state else { return Err(Odd) };
        head.push(byte);
        let start = *start;
        let begun = if byte & 0x80 == 0 { object_head(head)? } else { None };
        if begun.is_none() && head.len() > OBJECT_HEAD {
            return Err(Odd);
        }
        self.crc.update(&[byte]);
        self.passed(&[byte]);
        let Some((kind, size)) = begun else { return Ok(()) };
        let kind = match kind {
            Kind::Delta(distance) => Kind::Delta(start.checked_sub(distance).ok_or(Odd)?),
            whole => whole,
        };
        self.inflater.reset(true);
        self.inflated.clear();
        self.inflated.resize(size + 1, 0);
        self.filled = 0;
        self.state = State::Object { kind, start };
        Ok(())
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.offset += bytes.len() as u64;
    }

    fn begin(&mut self, head: [u8; HEAD]) -> Result<()> {
        let count = head.strip_prefix(b"PACK\0\0\0\x02").ok_or(Odd)?;
        self.left = u32::from_be_bytes(count.try_into().map_err(|_| Odd)?);
        Ok(())
    }

    fn next(&mut self) {
        self.state = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.crc.reset();
                State::ObjectHead { bytes: Vec::with_capacity(OBJECT_HEAD), start: self.offset }
            }
            None => State::Trailer(Vec::with_capacity(TRAILER)),
        };
    }

    /// An object is complete.
    fn object(&mut self, kind: Kind, start: u64, older: &Older<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let buffer = std::mem::take(&mut self.inflated);
        let inflated = &buffer[..self.filled];
        match kind {
            Kind::Whole(kind) => self.add(kind, inflated, start, visit)?,
            Kind::Delta(base) => {
                let index = self.index(base)?;
                let base = self.entries[index];
                let content = match self.recent.content(base.content) {
                    Some(content) => delta::apply(content, inflated, LARGEST)?,
                    None => {
                        let content = self.reread(index, start, older)?;
                        self.entries[index].content = self.recent.keep(&content);
                        delta::apply(&content, inflated, LARGEST)?
                    }
                };
                self.add(base.kind, &content, start, visit)?;
            }
        }
        self.inflated = buffer;
        Ok(())
    }

    fn add(&mut self, kind: ObjectType, content: &[u8], start: u64, visit: &mut Visit<'_>) -> Result<()> {
        // libgit2's own SHA-1 notices collisions that somebody has made.
        let id = object_id(Oid::hash_object(kind, content).map_err(|_| Odd)?);
        visit(id, kind, content)?;
        let content = self.recent.keep(content);
        self.entries.push(Entry { id, offset: start, crc: self.crc.sum(), kind, content });
        Ok(())
    }

    fn index(&self, offset: u64) -> Result<usize> {
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).map_err(|_| Odd)
    }

    /// The content of an object that is not kept any more; the next one to come begins at `end`.
    fn reread(&mut self, index: usize, end: u64, older: &Older<'_>) -> Result<Vec<u8>> {
        let mut deltas = Vec::new();
        let (mut index, mut held) = (index, 0);
        let mut content = loop {
            let entry = self.entries[index];
            if let Some(content) = self.recent.content(entry.content) {
                break content.to_vec();
            }
            let next = self.entries.get(index + 1).map_or(end, |next| next.offset);
            // Deflate can say nothing at great length.
            let length = usize::try_from(next - entry.offset).ok().filter(|length| *length <= 2 * LARGEST);
            let mut bytes = vec![0; length.ok_or(Odd)?];
            older(entry.offset, &mut bytes).map_err(|_| Odd)?;
            let (kind, inflated) = whole(&mut self.rereader, &bytes)?;
            match kind {
                Kind::Whole(_) => break inflated,
                Kind::Delta(distance) => {
                    held += inflated.len();
                    if held > DELTAS || deltas.len() == DEEPEST {
                        return Err(Odd);
                    }
                    deltas.push(inflated);
                    index = self.index(entry.offset.checked_sub(distance).ok_or(Odd)?)?;
                }
            }
        };
        while let Some(delta) = deltas.pop() {
            content = delta::apply(&content, &delta, LARGEST)?;
        }
        Ok(content)
    }
}

/// Inflates some; says how many bytes were taken and whether the object ended.
fn inflate(inflater: &mut Decompress, bytes: &[u8], to: &mut [u8], filled: &mut usize) -> Result<(usize, bool)> {
    let (taken, made) = (inflater.total_in(), inflater.total_out());
    let status = inflater.decompress(bytes, &mut to[*filled..], FlushDecompress::None).map_err(|_| Odd)?;
    let taken = (inflater.total_in() - taken) as usize;
    let made = (inflater.total_out() - made) as usize;
    *filled += made;
    let ended = status == Status::StreamEnd;
    // One byte more than was said, fewer, or no way on.
    let is_odd = if ended { *filled + 1 != to.len() } else { *filled == to.len() || (taken == 0 && made == 0) };
    if is_odd { Err(Odd) } else { Ok((taken, ended)) }
}

/// An object of which all bytes are here; a delta names its base by the distance.
fn whole(inflater: &mut Decompress, bytes: &[u8]) -> Result<(Kind, Vec<u8>)> {
    let head = (1..=bytes.len().min(OBJECT_HEAD)).find_map(|length| match object_head(&bytes[..length]) {
        Ok(None) => None,
        found => Some(found.map(|found| (length, found))),
    });
    let (length, found) = head.ok_or(Odd)??;
    let (kind, size) = found.ok_or(Odd)?;
    inflater.reset(true);
    let (mut inflated, mut filled, mut rest) = (vec![0; size + 1], 0, &bytes[length..]);
    loop {
        let (taken, ended) = inflate(inflater, rest, &mut inflated, &mut filled)?;
        if ended {
            inflated.truncate(size);
            return Ok((kind, inflated));
        }
        rest = &rest[taken..];
    }
}

/// Kind and size, and for a delta the distance to its base; `None` if there is more to come.
fn object_head(bytes: &[u8]) -> Result<Option<(Kind, usize)>> {
    let mut rest = bytes.iter().copied();
    let Some(first) = rest.next() else { return Ok(None) };
    let mut size = u64::from(first & 0x0f);
    let (mut more, mut shift) = (first & 0x80 != 0, 4);
    while more {
        let Some(byte) = rest.next() else { return Ok(None) };
        if shift > 32 {
            return Err(Odd);
        }
        size |= u64::from(byte & 0x7f) << shift;
        (more, shift) = (byte & 0x80 != 0, shift + 7);
    }
    let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or(Odd)?;
    Ok(Some(match first >> 4 & 7 {
        1 => (Kind::Whole(ObjectType::Commit), size),
        2 => (Kind::Whole(ObjectType::Tree), size),
        3 => (Kind::Whole(ObjectType::Blob), size),
        4 => (Kind::Whole(ObjectType::Tag), size),
        6 => match distance(&mut rest)? {
            Some(distance) => (Kind::Delta(distance), size),
            None => return Ok(None),
        },
        _ => return Err(Odd),
    }))
}

/// How far before a delta its base begins; each continued byte adds one, so that nothing is said in two ways.
fn distance(rest: &mut impl Iterator<Item = u8>) -> Result<Option<u64>> {
    let mut distance = 0_u64;
    loop {
        let Some(byte) = rest.next() else { return Ok(None) };
        distance = distance.checked_mul(128).and_then(|d| d.checked_add(u64::from(byte & 0x7f))).ok_or(Odd)?;
        if byte & 0x80 == 0 {
            return if distance == 0 { Err(Odd) } else { Ok(Some(distance)) };
        }
        distance = distance.checked_add(1).ok_or(Odd)?;
    }
}
