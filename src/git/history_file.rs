//! The history index as a file that grows at its end: one segment for each time the history grew.
//!
//! A segment ends with a SHA-256 over itself and the sum of the one before it. What a kill left behind the last whole
//! segment, or what is damaged, is cut off by the next write and built again: a history of fewer segments is one too.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::history::{History, Tag};
use super::known::replace;
use crate::error::{Error, Result};
use crate::spec::info::ObjectId;

const FIRST_LINE: &[u8] = b"modvet history 2\n";
const NOTHING: ObjectId = ObjectId([0; 20]);
type Sum = [u8; 32];

/// How far a file holds a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    length: u64,
    /// Of the last segment.
    sum: Sum,
}

/// Writes a history as one segment.
pub fn save(history: &History, file: &Path) -> Result<Saved> {
    let (segment, sum) = segment(&History::default(), history, &Sum::default());
    let bytes = [FIRST_LINE, &segment].concat();
    replace(file, &bytes)?;
    Ok(Saved { length: bytes.len() as u64, sum })
}

/// Writes what a history has more than the one that is saved, behind it.
pub fn append(saved: Saved, old: &History, history: &History, file: &Path) -> Result<Saved> {
    let (segment, sum) = segment(old, history, &saved.sum);
    let write = || -> std::io::Result<bool> {
        let file = File::options().write(true).open(file)?;
        if file.metadata()?.len() < saved.length {
            return Ok(false);
        }
        file.set_len(saved.length)?;
        file.write_all_at(&segment, saved.length)?;
        file.sync_data()?;
        Ok(true)
    };
    match write() {
        Ok(true) => Ok(Saved { length: saved.length + segment.len() as u64, sum }),
        Ok(false) => save(history, file),
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => save(history, file),
        Err(cause) => Err(Error::internal("a file of a repository cannot be written").because(cause)),
    }
}

/// What a file holds of a history; `None` if that is nothing, since all of it can be built again.
pub fn load(file: &Path) -> Option<(History, Saved)> {
    let bytes = std::fs::read(file).ok()?;
    let mut history = History::default();
    let mut saved = Saved { length: FIRST_LINE.len() as u64, sum: Sum::default() };
    let mut rest = bytes.strip_prefix(FIRST_LINE)?;
    while let Some((length, sum)) = next(rest, &saved.sum, &mut history) {
        saved = Saved { length: saved.length + length as u64, sum };
        rest = &rest[length..];
    }
    if !rest.is_empty() {
        let commits = history.len();
        tracing::warn!(commits, "git: a history index is damaged behind some commits: the rest is built again");
    }
    history.sort();
    (saved.sum != Sum::default()).then_some((history, saved))
}

/// What a history has more than an old one that it grew from, and the sum of it.
fn segment(old: &History, history: &History, before: &Sum) -> (Vec<u8>, Sum) {
    let (commits, parents) = (old.len(), old.parents.len());
    let tags: Vec<&Tag> = history.tags.iter().filter(|tag| old.tag(tag.id).is_none()).collect();
    let counts = [history.len() - commits, history.parents.len() - parents, tags.len()];
    let mut bytes = Vec::with_capacity(length(counts).unwrap_or_default());
    for count in counts {
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
    }
    history.ids[commits..].iter().for_each(|id| bytes.extend_from_slice(&id.0));
    history.seconds[commits..].iter().for_each(|seconds| bytes.extend_from_slice(&seconds.to_le_bytes()));
    let numbers = history.ends[commits..].iter().chain(&history.parents[parents..]);
    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    for tag in tags {
        bytes.extend_from_slice(&tag.id.0);
        bytes.extend_from_slice(&tag.target.unwrap_or(NOTHING).0);
    }
    let sum = sum(before, &bytes);
    bytes.extend_from_slice(&sum);
    (bytes, sum)
}

/// The bytes of a segment with so many commits, parents and tags.
fn length(counts: [usize; 3]) -> Option<usize> {
    let [commits, parents, tags] = counts;
    let body = commits.checked_mul(32)?.checked_add(parents.checked_mul(4)?)?.checked_add(tags.checked_mul(40)?)?;
    body.checked_add(12 + size_of::<Sum>())
}

fn sum(before: &Sum, body: &[u8]) -> Sum {
    Sha256::new().chain_update(before).chain_update(body).finalize().into()
}

/// Adds the next segment, if it is whole; says how long it is, and its sum.
fn next(bytes: &[u8], before: &Sum, history: &mut History) -> Option<(usize, Sum)> {
    let mut head = Fields(bytes);
    let counts = [head.number()? as usize, head.number()? as usize, head.number()? as usize];
    let segment = bytes.get(..length(counts)?)?;
    let (body, found) = segment.split_last_chunk()?;
    if sum(before, body) != *found {
        return None;
    }
    let [commits, parents, tags] = counts;
    let mut rest = Fields(&body[12..]);
    let more = History {
        ids: rest.many(commits, Fields::id)?,
        seconds: rest.many(commits, |rest| rest.take().map(i64::from_le_bytes))?,
        ends: rest.many(commits, Fields::number)?,
        parents: rest.many(parents, Fields::number)?,
        sorted: Vec::new(),
        tags: rest.many(tags, |rest| {
            let (id, target) = (rest.id()?, rest.id()?);
            Some(Tag { id, target: (target != NOTHING).then_some(target) })
        })?,
    };
    if !is_sound(history, &more) {
        return None;
    }
    history.ids.extend(more.ids);
    history.seconds.extend(more.seconds);
    history.ends.extend(more.ends);
    history.parents.extend(more.parents);
    history.tags.extend(more.tags);
    Some((segment.len(), *found))
}

/// Whether no position leads out of the index or upwards.
fn is_sound(history: &History, more: &History) -> bool {
    let (mut position, mut from) = (history.len() as u32, history.parents.len());
    let base = from;
    for &end in &more.ends {
        let end = end as usize;
        let Some(parents) = from.checked_sub(base).zip(end.checked_sub(base)) else { return false };
        let Some(parents) = more.parents.get(parents.0..parents.1) else { return false };
        if parents.iter().any(|&parent| parent >= position) {
            return false;
        }
        (position, from) = (position + 1, end);
    }
    from - base == more.parents.len()
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn id(&mut self) -> Option<ObjectId> {
        self.take().map(ObjectId)
    }

    fn many<T>(&mut self, count: usize, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..count).map(|_| one(self)).collect()
    }
}
