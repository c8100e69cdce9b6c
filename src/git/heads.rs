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
pub fn are_too_many_parents(parents: usize, of_commits: usize) -> bool {
    parents > (1 << 20) + 16 * of_commits
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
                if are_too_many_parents(self.parents.len(), self.seconds.len()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(parents: usize) -> Vec<u8> {
        let (tree, parent) = ("0".repeat(40), format!("parent {}\n", "1".repeat(40)));
        format!("tree {tree}\n{}committer C <c> 7 +0000\n\nx", parent.repeat(parents)).into_bytes()
    }

    #[test]
    fn each_commit_has_its_own_parents_and_only_commits_and_tags_are_taken() {
        let mut heads = Heads::default();
        for parents in 0..4 {
            let id = ObjectId([parents; 20]);
            assert_eq!(heads.add(id, ObjectType::Commit, &commit(usize::from(parents))), Ok(()));
        }
        for parents in 0..4 {
            let head = heads.commit(ObjectId([parents; 20])).expect("added");
            assert_eq!((head.parents.len(), head.seconds), (usize::from(parents), 7));
        }
        assert!(heads.commit(ObjectId([4; 20])).is_none());
        assert_eq!(heads.add(ObjectId([4; 20]), ObjectType::Blob, b"x"), Err(Odd));
        assert_eq!(heads.add(ObjectId([4; 20]), ObjectType::Commit, b"x"), Err(Odd));
    }

    #[test]
    fn parents_that_would_fill_memory_are_refused() {
        let (mut heads, many) = (Heads::default(), commit(1 << 16));
        for number in 0..16 {
            assert_eq!(heads.add(ObjectId([number; 20]), ObjectType::Commit, &many), Ok(()), "{number}");
        }
        assert_eq!(heads.add(ObjectId([16; 20]), ObjectType::Commit, &many), Err(Odd));
    }
}
