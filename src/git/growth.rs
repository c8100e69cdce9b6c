//! How the history index grows by what lies in the object store.

use std::collections::{HashMap, HashSet};

use git2::{ErrorCode, ObjectType, Odb};

use super::heads::{Heads, are_too_many_parents};
use super::history::{History, Tag};
use super::objects::{TagHead, commit_head, tag_head};
use crate::error::{Error, Result};
use crate::spec::info::ObjectId;

/// What came of an attempt to grow.
#[derive(Debug)]
pub enum Growth {
    Whole(History),
    /// An object that is not in the store; it has to be fetched first.
    Missing(ObjectId),
}

/// The history with all that the tips reach. `others` are tips known to be no commits; what is in `heads`, of
/// objects that came in just now, is not read again.
pub fn grow(
    history: &History,
    odb: &Odb<'_>,
    heads: &Heads,
    tips: &[ObjectId],
    others: &HashSet<ObjectId>,
) -> Result<Growth> {
    let mut growing = Growing::new(history, odb, heads);
    for &tip in tips {
        let missing = if others.contains(&tip) { growing.other(tip) } else { growing.tip(tip)? };
        if let Some(missing) = missing {
            return Ok(Growth::Missing(missing));
        }
    }
    match growing.commits()? {
        Some(missing) => Ok(Growth::Missing(missing)),
        None => Ok(Growth::Whole(growing.finish())),
    }
}

/// What a tip is.
enum Seen {
    Commit,
    Tag(TagHead),
    Other,
}

struct Growing<'a> {
    old: &'a History,
    odb: &'a Odb<'a>,
    heads: &'a Heads,
    /// New commits in the order in which they were seen; their numbers follow the old positions.
    ids: Vec<ObjectId>,
    numbers: HashMap<ObjectId, u32>,
    seconds: Vec<i64>,
    ends: Vec<u32>,
    parents: Vec<u32>,
    /// With their targets.
    tags: HashMap<ObjectId, Option<ObjectId>>,
}

impl<'a> Growing<'a> {
    fn new(old: &'a History, odb: &'a Odb<'a>, heads: &'a Heads) -> Growing<'a> {
        Growing {
            old,
            odb,
            heads,
            ids: Vec::new(),
            numbers: HashMap::new(),
            seconds: Vec::new(),
            ends: Vec::new(),
            parents: Vec::new(),
            tags: HashMap::new(),
        }
    }

    fn other(&mut self, id: ObjectId) -> Option<ObjectId> {
        self.tags.insert(id, None);
        None
    }

    /// Follows a tip through its tags; answers with what is missing.
    fn tip(&mut self, tip: ObjectId) -> Result<Option<ObjectId>> {
        let mut id = tip;
        loop {
            if self.old.holds(id) || self.numbers.contains_key(&id) || self.tags.contains_key(&id) {
                return Ok(None);
            }
            match self.look(id)? {
                None => return Ok(Some(id)),
                Some(Seen::Commit) => {
                    self.number(id);
                    return Ok(None);
                }
                Some(Seen::Tag(head)) => {
                    self.tags.insert(id, Some(head.target));
                    // Trees and blobs below a tag are neither needed nor always here.
                    if !matches!(head.kind, ObjectType::Commit | ObjectType::Tag) {
                        return Ok(self.other(head.target));
                    }
                    id = head.target;
                }
                Some(Seen::Other) => return Ok(self.other(id)),
            }
        }
    }

    /// What an object is; `None` if it is missing.
    fn look(&self, id: ObjectId) -> Result<Option<Seen>> {
        if self.heads.commit(id).is_some() {
            return Ok(Some(Seen::Commit));
        }
        if let Some(head) = self.heads.tag(id) {
            return Ok(Some(Seen::Tag(head)));
        }
        // A tree or blob of any size is told by its header.
        match self.odb.read_header(oid(id)) {
            Ok((_, ObjectType::Commit)) => Ok(Some(Seen::Commit)),
            Ok((_, ObjectType::Tag)) => {
                let object = self.odb.read(oid(id)).map_err(unreadable)?;
                Ok(Some(Seen::Tag(tag_head(object.data()).ok_or_else(|| malformed(id))?)))
            }
            Ok(_) => Ok(Some(Seen::Other)),
            Err(cause) if cause.code() == ErrorCode::NotFound => Ok(None),
            Err(cause) => Err(unreadable(cause)),
        }
    }

    fn number(&mut self, id: ObjectId) -> u32 {
        if let Some(position) = self.old.position(id) {
            return position;
        }
        let next = (self.old.len() + self.ids.len()) as u32;
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            next
        })
    }

    /// Reads the new commits and all theirs; answers with what is missing.
    fn commits(&mut self) -> Result<Option<ObjectId>> {
        while let Some(&id) = self.ids.get(self.seconds.len()) {
            if let Some(head) = self.heads.commit(id) {
                self.add(head.seconds, head.parents)?;
                continue;
            }
            let object = match self.odb.read(oid(id)) {
                Ok(object) => object,
                Err(cause) if cause.code() == ErrorCode::NotFound => return Ok(Some(id)),
                Err(cause) => return Err(unreadable(cause)),
            };
            let head = commit_head(object.data()).ok_or_else(|| malformed(id))?;
            self.add(head.seconds, &head.parents)?;
        }
        Ok(None)
    }

    fn add(&mut self, seconds: i64, parents: &[ObjectId]) -> Result<()> {
        self.seconds.push(seconds);
        for &parent in parents {
            let number = self.number(parent);
            self.parents.push(number);
        }
        self.ends.push(self.parents.len() as u32);
        match are_too_many_parents(self.parents.len(), self.seconds.len()) {
            true => Err(Error::bad_gateway("commits of a git history have too many parents")),
            false => Ok(()),
        }
    }

    fn parents_of(&self, index: u32) -> &[u32] {
        let start = if index == 0 { 0 } else { self.ends[index as usize - 1] };
        &self.parents[start as usize..self.ends[index as usize] as usize]
    }

    fn finish(self) -> History {
        let base = self.old.len() as u32;
        let mut history = self.old.clone();
        let mut positions = vec![u32::MAX; self.ids.len()];
        for index in self.parents_first() {
            positions[index as usize] = history.ids.len() as u32;
            history.ids.push(self.ids[index as usize]);
            history.seconds.push(self.seconds[index as usize]);
            for &parent in self.parents_of(index) {
                let position = if parent < base { parent } else { positions[(parent - base) as usize] };
                history.parents.push(position);
            }
            history.ends.push(history.parents.len() as u32);
        }
        history.tags.extend(self.tags.into_iter().map(|(id, target)| Tag { id, target }));
        history.sort();
        history
    }

    /// The new commits in an order in which none stands before its parents.
    fn parents_first(&self) -> Vec<u32> {
        let base = self.old.len() as u32;
        let count = self.ids.len() as u32;
        let mut order = Vec::with_capacity(count as usize);
        let mut entered = vec![false; count as usize];
        let mut stack: Vec<(u32, u32)> = Vec::new();
        for start in 0..count {
            if !std::mem::replace(&mut entered[start as usize], true) {
                stack.push((start, 0));
            }
            while let Some((index, next)) = stack.last_mut() {
                match self.parents_of(*index).get(*next as usize) {
                    Some(&parent) => {
                        *next += 1;
                        if parent >= base && !std::mem::replace(&mut entered[(parent - base) as usize], true) {
                            stack.push((parent - base, 0));
                        }
                    }
                    None => {
                        order.push(*index);
                        stack.pop();
                    }
                }
            }
        }
        order
    }
}

impl History {
    /// Restores the orders of ids.
    pub(super) fn sort(&mut self) {
        self.sorted.extend(self.sorted.len() as u32..self.ids.len() as u32);
        let ids = &self.ids;
        self.sorted.sort_by_key(|&position| ids[position as usize]);
        self.tags.sort_by_key(|tag| tag.id);
        self.tags.dedup_by_key(|tag| tag.id);
    }
}

pub fn oid(id: ObjectId) -> git2::Oid {
    git2::Oid::from_bytes(&id.0).expect("an object id has twenty bytes")
}

pub fn object_id(oid: git2::Oid) -> ObjectId {
    ObjectId(oid.as_bytes().try_into().expect("an object id has twenty bytes"))
}

/// An object of the store that cannot be read although it is there.
pub fn unreadable(cause: git2::Error) -> Error {
    tracing::error!("git: {cause}");
    Error::internal("an object of a git repository cannot be read")
}

fn malformed(id: ObjectId) -> Error {
    Error::bad_gateway(format!("malformed git object {id}"))
}
