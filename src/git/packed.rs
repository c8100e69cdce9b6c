//! Where a repository's packs hold a blob, so that its deflated bytes can be taken over as they are.
//! libgit2 gives out inflated objects only. Rules: gitformat-pack(5).

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ports::Packed;
use crate::spec::info::ObjectId;

/// How many packs are looked into; what the others hold is read by libgit2. Each is an open file of every zip that is
/// being built.
const PACKS: usize = 16;
/// Signature and version of an index.
const MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
const FANOUT: u64 = 8;
const IDS: u64 = FANOUT + 256 * 4;
const ID: u64 = 20;
/// The kind of an object that is a blob and no delta.
const BLOB: u8 = 3;
/// What an object's kind and size and the first two bytes of its stream take at most.
const ENTRY: usize = 16;

/// The packs of a repository, as they were when it was looked into.
pub struct Packs {
    packs: Vec<Pack>,
    /// Where the last blob was found: its neighbours mostly lie there too.
    last: Cell<usize>,
}

struct Pack {
    index: File,
    /// Where its objects are; opened when the first of them is found.
    path: PathBuf,
    objects: OnceCell<Option<Arc<File>>>,
    /// How many ids begin with a byte up to this one.
    fanout: [u32; 256],
}

impl Packs {
    /// Opens the largest packs of a repository's folder. One that cannot be read is left out: nothing depends on it.
    pub fn open(repository: &Path) -> Packs {
        let mut found: Vec<_> = std::fs::read_dir(repository.join("objects/pack"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "idx"))
            .filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())))
            .collect();
        found.sort();
        let packs = found.into_iter().rev().take(PACKS).filter_map(|(_, path)| Pack::open(&path).ok().flatten());
        Packs { packs: packs.collect(), last: Cell::new(0) }
    }

    /// A blob whose stream is worth taking over: no delta, and not deflated in haste.
    pub fn blob(&self, id: ObjectId) -> Result<Option<Packed>> {
        let last = self.last.get();
        let all = (0..self.packs.len()).filter(|at| *at != last);
        for at in self.packs.get(last).map(|_| last).into_iter().chain(all) {
            if let Some(offset) = self.packs[at].find(id).map_err(unreadable)? {
                self.last.set(at);
                return self.packs[at].stream(offset).map_err(unreadable);
            }
        }
        Ok(None)
    }
}

impl Pack {
    /// `None` for an index of another version than libgit2 writes.
    fn open(path: &Path) -> io::Result<Option<Pack>> {
        let index = File::open(path)?;
        let mut head = [0; IDS as usize];
        index.read_exact_at(&mut head, 0)?;
        if head[..MAGIC.len()] != MAGIC {
            return Ok(None);
        }
        let mut fanout = [0; 256];
        for (count, bytes) in fanout.iter_mut().zip(head[MAGIC.len()..].chunks_exact(4)) {
            *count = number(bytes);
        }
        // Ids, checksums and places, and two sums behind them.
        let shortest = IDS + u64::from(fanout[255]) * (ID + 8) + 40;
        let is_whole = fanout.is_sorted() && index.metadata()?.len() >= shortest;
        let (path, objects) = (path.with_extension("pack"), OnceCell::new());
        Ok(is_whole.then_some(Pack { index, path, objects, fanout }))
    }

    /// Where in the pack an object begins.
    fn find(&self, id: ObjectId) -> io::Result<Option<u64>> {
        let first = usize::from(id.0[0]);
        let (start, end) = (if first == 0 { 0 } else { self.fanout[first - 1] }, self.fanout[first]);
        let mut ids = vec![0; ((end - start) as u64 * ID) as usize];
        self.index.read_exact_at(&mut ids, IDS + u64::from(start) * ID)?;
        let ids: Vec<&[u8]> = ids.chunks_exact(ID as usize).collect();
        let Ok(at) = ids.binary_search(&&id.0[..]) else { return Ok(None) };
        let (at, count) = (u64::from(start) + at as u64, u64::from(self.fanout[255]));
        // Behind the ids stands a checksum for each object, then the places.
        let places = IDS + count * (ID + 4);
        let mut place = [0; 4];
        self.index.read_exact_at(&mut place, places + at * 4)?;
        const FAR: u32 = 1 << 31;
        match u32::from_be_bytes(place) {
            near if near < FAR => Ok(Some(u64::from(near))),
            far => {
                let mut place = [0; 8];
                self.index.read_exact_at(&mut place, places + count * 4 + u64::from(far - FAR) * 8)?;
                Ok(Some(u64::from_be_bytes(place)))
            }
        }
    }

    /// The stream of the object that begins here, if it is one to take over.
    fn stream(&self, offset: u64) -> io::Result<Option<Packed>> {
        let opened = self.objects.get_or_init(|| File::open(&self.path).ok().map(Arc::new));
        let Some(objects) = opened else { return Ok(None) };
        let mut entry = [0; ENTRY];
        // Behind the last object stands a checksum of twenty bytes.
        objects.read_exact_at(&mut entry, offset)?;
        let mut size = u64::from(entry[0] & 0x0f);
        let (mut length, mut shift) = (1, 4);
        while entry[length - 1] & 0x80 != 0 {
            if length == ENTRY - 2 || shift > 56 {
                return Ok(None);
            }
            size |= u64::from(entry[length] & 0x7f) << shift;
            (length, shift) = (length + 1, shift + 7);
        }
        let is_blob = entry[0] >> 4 & 7 == BLOB;
        let worth_it = is_blob && is_well_deflated([entry[length], entry[length + 1]]);
        Ok(worth_it.then(|| Packed::new(Arc::clone(objects), offset + length as u64, size)))
    }
}

/// Whether a zlib stream is of a level from 6 on, and needs no dictionary: RFC 1950, 2.2.
fn is_well_deflated(head: [u8; 2]) -> bool {
    let is_deflate = head[0] & 0x0f == 8 && u16::from_be_bytes(head).is_multiple_of(31);
    is_deflate && head[1] & 0x20 == 0 && head[1] >> 6 >= 2
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn unreadable(cause: io::Error) -> Error {
    tracing::error!("git pack: {cause}");
    Error::internal("an object of a git repository cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_of_level_6_and_better_are_taken_over() {
        for (level, expected) in [(0, false), (1, false), (5, false), (6, true), (9, true)] {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
            io::Write::write_all(&mut encoder, b"package m\n").expect("memory");
            let stream = encoder.finish().expect("memory");
            assert_eq!(is_well_deflated([stream[0], stream[1]]), expected, "level {level}");
        }
        assert!(!is_well_deflated(*b"PK"));
    }
}
