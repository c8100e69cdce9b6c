//! What the history needs of the commits and tags of a pack, gathered while it came in.

use std::collections::HashMap;

use git2::ObjectType;

use super::objects::{TagHead, commit_head, tag_head};
use super::unpack::{Odd, Result};
use crate::spec::info::ObjectId;

/// Commits and tags by their ids.
#[derive(Debug, Default)]
pub struct Heads {
    numbers: HashMap<ObjectId, u32>,
    seconds: Vec<i64>,
    /// Where a commit's parents end; they begin where those of the commit before end.
    ends: Vec<u32>,
    parents: Vec<ObjectId>,
    tags: HashMap<ObjectId, TagHead>,
}

/// A commit's parents, and its time as `CommitHead` has it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub parents: &'a [ObjectId],
    pub seconds: i64,
}

/// Whether somebody means to fill memory with them: a delta of a few bytes makes a commit of a hundred thousand parents.
pub fn are_too_many(parents: usize, commits: usize) -> bool {
    parents > (1 << 20) + 16 * commits
}

impl Heads {
    /// Only commits and tags are expected.
    pub fn add(&mut self, id: ObjectId, kind: ObjectType, content: &[u8]) -> Result<()> {
        match kind {
            ObjectType::Commit => {
                let head = commit_head(content).ok_or(Odd)?;
                self.numbers.insert(id, self.seconds.len() as u32);
                self.seconds.push(head.seconds);
                self.parents.extend(head.parents);
                self.ends.push(self.parents.len() as u32);
                if are_too_many(self.parents.len(), self.seconds.len()) {
                    return Err(Odd);
                }
            }
            ObjectType::Tag => {
                self.tags.insert(id, tag_head(content).ok_or(Odd)?);
            }
            _ => return Err(Odd),
        }
        Ok(())
    }

    pub fn commit(&self, id: ObjectId) -> Option<Head<'_>> {
        let number = *self.numbers.get(&id)? as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        Some(Head { parents: &self.parents[start..self.ends[number] as usize], seconds: self.seconds[number] })
    }

    pub fn tag(&self, id: ObjectId) -> Option<TagHead> {
        self.tags.get(&id).copied()
    }
}
