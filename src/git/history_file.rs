//! The history index as a file: numbers little-endian, a SHA-256 at the end.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::history::{History, Tag};
use super::known::replace;
use crate::error::Result;
use crate::spec::info::ObjectId;

const FIRST_LINE: &[u8] = b"modvet history 1\n";
const NOTHING: ObjectId = ObjectId([0; 20]);

pub fn save(history: &History, file: &Path) -> Result<()> {
    let commits = history.len();
    let mut bytes = Vec::with_capacity(64 + commits * 32 + history.parents.len() * 4 + history.tags.len() * 40);
    bytes.extend_from_slice(FIRST_LINE);
    for count in [commits, history.parents.len(), history.tags.len()] {
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
    }
    history.ids.iter().for_each(|id| bytes.extend_from_slice(&id.0));
    history.seconds.iter().for_each(|seconds| bytes.extend_from_slice(&seconds.to_le_bytes()));
    let numbers = history.ends.iter().chain(&history.parents);
    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    for tag in &history.tags {
        bytes.extend_from_slice(&tag.id.0);
        bytes.extend_from_slice(&tag.target.unwrap_or(NOTHING).0);
    }
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    replace(file, &bytes)
}

/// What is kept in a file; damaged or of another time is the same as none, since it can be built again.
pub fn load(file: &Path) -> Option<History> {
    let bytes = std::fs::read(file).ok()?;
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Sha256::digest(body).as_slice() != sum {
        tracing::warn!("git: a damaged history index is built again");
        return None;
    }
    let mut rest = Fields(body.strip_prefix(FIRST_LINE)?);
    let [commits, parents, tags] = [rest.number()? as usize, rest.number()? as usize, rest.number()? as usize];
    let mut history = History {
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
    history.sort();
    (rest.0.is_empty() && is_sound(&history)).then_some(history)
}

/// Whether no position leads out of the index or upwards.
fn is_sound(history: &History) -> bool {
    let total = history.parents.len() as u32;
    let ordered = history.ends.is_sorted() && history.ends.last().map_or(total == 0, |&end| end == total);
    ordered
        && (0..history.len() as u32).all(|position| history.parents(position).iter().all(|&parent| parent < position))
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
