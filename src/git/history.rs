//! The compact history index: ids, parents and committer times of commits, and the tags on them.
//!
//! Parents stand before their children, so a commit's ancestors all have lower positions: a walk is one
//! pass downwards over a bitmap, exact, and in milliseconds where libgit2 takes seconds.

use super::objects::dated;
use crate::error::Result;

use crate::spec::info::{Commit, ObjectId};

/// A set of commits that holds the parents of all its commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub(super) ids: Vec<ObjectId>,
    /// Since 1970.
    pub(super) seconds: Vec<i64>,
    /// Where a commit's parents end in `parents`; they begin where those of the commit before end.
    pub(super) ends: Vec<u32>,
    pub(super) parents: Vec<u32>,
    /// Positions in the order of ids.
    pub(super) sorted: Vec<u32>,
    /// What else refs hold, in the order of ids.
    pub(super) tags: Vec<Tag>,
}

/// A tag object, or a tree or blob that a ref holds without being a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub id: ObjectId,
    /// What the tag is for, itself a tag if they are nested; `None` for a tree or blob.
    pub target: Option<ObjectId>,
}

/// What heads and tags reach at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub(super) commits: Bits,
    /// Tag objects, in the order of ids.
    pub(super) tags: Vec<ObjectId>,
}

/// What digits name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Nothing,
    Commit(u32),
    Many,
}

/// A set of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Bits {
        Bits(vec![0; count.div_ceil(64)])
    }

    fn set(&mut self, position: u32) {
        self.0[position as usize / 64] |= 1 << (position % 64);
    }

    pub fn has(&self, position: u32) -> bool {
        self.0[position as usize / 64] >> (position % 64) & 1 == 1
    }

    /// What is not in another set of the same history.
    pub fn without(&self, other: &Bits) -> Bits {
        Bits(self.0.iter().zip(&other.0).map(|(here, there)| here & !there).collect())
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub fn lowest(&self) -> Option<u32> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some(word as u32 * 64 + self.0[word].trailing_zeros())
    }
}

impl History {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Where a commit stands.
    pub fn position(&self, id: ObjectId) -> Option<u32> {
        let found = self.sorted.binary_search_by(|&position| self.ids[position as usize].cmp(&id));
        found.ok().map(|i| self.sorted[i])
    }

    pub fn tag(&self, id: ObjectId) -> Option<&Tag> {
        self.tags.binary_search_by(|tag| tag.id.cmp(&id)).ok().map(|i| &self.tags[i])
    }

    /// Whether an object that a ref holds is here with all that is below it.
    pub fn holds(&self, id: ObjectId) -> bool {
        self.position(id).is_some() || self.tag(id).is_some()
    }

    /// The commit that an id is or peels to.
    pub fn peel(&self, id: ObjectId) -> Option<u32> {
        let mut id = id;
        while let Some(tag) = self.tag(id) {
            id = tag.target?;
        }
        self.position(id)
    }

    pub fn id(&self, position: u32) -> ObjectId {
        self.ids[position as usize]
    }

    /// `Kind::NotFound` for a commit whose time cannot be read.
    pub fn commit(&self, position: u32) -> Result<Commit> {
        dated(self.id(position), self.seconds[position as usize])
    }

    pub fn parents(&self, position: u32) -> &[u32] {
        let position = position as usize;
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.parents[start as usize..self.ends[position] as usize]
    }

    /// For each candidate: is it the commit itself or one of its ancestors?
    pub fn ancestors(&self, of: u32, candidates: &[Option<u32>]) -> Vec<bool> {
        let Some(lowest) = candidates.iter().flatten().min() else { return vec![false; candidates.len()] };
        let mut seen = Bits::new(self.len());
        seen.set(of);
        self.mark_below(&mut seen, of, *lowest);
        candidates.iter().map(|candidate| candidate.is_some_and(|position| seen.has(position))).collect()
    }

    /// For each candidate: how many steps from commit to parent lead to it at least.
    pub fn distances(&self, of: u32, candidates: &[Option<u32>]) -> Vec<Option<u32>> {
        let mut steps = vec![u32::MAX; of as usize + 1];
        steps[of as usize] = 0;
        for position in (0..=of).rev() {
            let next = steps[position as usize].saturating_add(1);
            for &parent in self.parents(position) {
                let known = &mut steps[parent as usize];
                *known = next.min(*known);
            }
        }
        let reached = |position: u32| steps.get(position as usize).copied().filter(|steps| *steps != u32::MAX);
        candidates.iter().map(|candidate| candidate.and_then(reached)).collect()
    }

    /// The commits among all that is reached that were committed in this second.
    pub fn dated(&self, seconds: i64, reach: &Reach) -> Vec<ObjectId> {
        let all = (0..self.len() as u32).zip(&self.seconds);
        let dated = all.filter(|(position, at)| **at == seconds && reach.commits.has(*position));
        dated.map(|(position, _)| self.id(position)).collect()
    }

    /// Marks the ancestors of all that is marked, from one position down to another.
    fn mark_below(&self, seen: &mut Bits, from: u32, to: u32) {
        for position in (to..=from).rev() {
            if seen.has(position) {
                for &parent in self.parents(position) {
                    seen.set(parent);
                }
            }
        }
    }

    /// All that some refs reach.
    pub fn reach(&self, tips: impl Iterator<Item = ObjectId>) -> Reach {
        let mut commits = Bits::new(self.len());
        let mut tags = Vec::new();
        let mut highest = None;
        for tip in tips {
            let mut id = tip;
            while let Some(Tag { target: Some(target), .. }) = self.tag(id) {
                tags.push(id);
                id = *target;
            }
            if let Some(position) = self.position(id) {
                commits.set(position);
                highest = highest.max(Some(position));
            }
        }
        if let Some(highest) = highest {
            self.mark_below(&mut commits, highest, 0);
        }
        tags.sort_unstable();
        tags.dedup();
        Reach { commits, tags }
    }

    /// What hexadecimal digits name among all that is reached: commits, and tags that peel to one.
    pub fn find(&self, digits: &str, reach: &Reach) -> Named {
        let Some((low, high)) = bounds(digits) else { return Named::Nothing };
        let first = self.sorted.partition_point(|&position| self.ids[position as usize] < low);
        let commits = self.sorted[first..]
            .iter()
            .copied()
            .take_while(|&position| self.ids[position as usize] <= high)
            .filter(|&position| reach.commits.has(position));
        let first = reach.tags.partition_point(|id| *id < low);
        let tags = reach.tags[first..].iter().take_while(|id| **id <= high).filter_map(|id| self.peel(*id));
        let mut found = commits.chain(tags);
        match (found.next(), found.next()) {
            (None, _) => Named::Nothing,
            (Some(position), None) => Named::Commit(position),
            (Some(_), Some(_)) => Named::Many,
        }
    }

    /// Commits without children, the latest ones first.
    pub fn leaves(&self) -> Vec<u32> {
        let mut has_children = Bits::new(self.len());
        for &parent in &self.parents {
            has_children.set(parent);
        }
        (0..self.len() as u32).rev().filter(|&position| !has_children.has(position)).collect()
    }

    /// Among some commits the one that is the fewest generations above another, and how many.
    pub fn nearest(&self, below: u32, among: impl Iterator<Item = u32>) -> Option<(u32, u32)> {
        let base = below as usize;
        let mut generations = vec![u32::MAX; self.len() - base];
        generations[0] = 0;
        for position in below + 1..self.len() as u32 {
            let parents = self.parents(position).iter().filter(|parent| **parent >= below);
            let nearest = parents.map(|parent| generations[*parent as usize - base]).min().unwrap_or(u32::MAX);
            generations[position as usize - base] = nearest.saturating_add(1);
        }
        among
            .filter(|position| *position >= below && generations[*position as usize - base] != u32::MAX)
            .map(|position| (position, generations[position as usize - base]))
            .min_by_key(|(_, generations)| *generations)
    }
}

/// The lowest and highest id that begin with these digits.
fn bounds(digits: &str) -> Option<(ObjectId, ObjectId)> {
    if digits.is_empty() || digits.len() > 40 {
        return None;
    }
    let low = ObjectId::parse(&format!("{digits:0<40}"))?;
    let high = ObjectId::parse(&format!("{digits:f<40}"))?;
    Some((low, high))
}
