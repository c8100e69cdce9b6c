//! What two sets of refs reach of one history: who is behind, who is ahead, ref by ref.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::history::{Bits, History, Reach};
use super::objects::NO_TIME;
use crate::ports::{Newest, RefRelation, Relate, Relation, RemoteRef};
use crate::spec::info::ObjectId;

/// So many refs are followed in one pass: one bit of a word for each.
const TOGETHER: usize = 64;

/// From a ref's commit down to another one.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    from: Option<u32>,
    to: Option<u32>,
}

/// What was on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Passed {
    /// Commits among those that are counted.
    counted: u64,
    arrived: bool,
}

/// The history must hold all refs of both sides.
pub fn relation(history: &History, question: &Relate<'_>) -> Relation {
    let reach = |refs: &[RemoteRef]| history.reach(refs.iter().map(|one| one.id));
    let (source, mirror) = (reach(question.source), reach(question.mirror));
    let lacking = source.commits.without(&mirror.commits);
    let surplus = mirror.commits.without(&source.commits);
    let peel = |id: Option<ObjectId>| id.and_then(|id| history.peel(id));
    let differing = || question.differing.iter().map(|pair| (peel(pair.source), peel(pair.mirror)));
    let down: Vec<Way> = differing().map(|(source, mirror)| Way { from: source, to: mirror }).collect();
    let up: Vec<Way> = differing().map(|(_, mirror)| Way { from: mirror, to: None }).collect();
    let refs = follow(history, &down, &lacking).into_iter().zip(follow(history, &up, &surplus));
    Relation {
        behind: lacking.count(),
        ahead: surplus.count(),
        refs: refs
            .map(|(down, up)| RefRelation { behind: down.counted, ahead: up.counted, is_forward: down.arrived })
            .collect(),
        newest: Newest { source: newest(history, &source), mirror: newest(history, &mirror) },
        reached: reached(history, question, &mirror),
    }
}

fn newest(history: &History, reach: &Reach) -> Option<DateTime<Utc>> {
    let all = (0..history.len() as u32).zip(&history.seconds);
    let times = all.filter(|(position, seconds)| **seconds != NO_TIME && reach.commits.has(*position));
    times.map(|(_, seconds)| *seconds).max().and_then(|seconds| DateTime::from_timestamp(seconds, 0))
}

fn reached(history: &History, question: &Relate<'_>, mirror: &Reach) -> Vec<bool> {
    // Trees and blobs are reached by name only.
    let held: HashSet<ObjectId> = question.mirror.iter().map(|one| one.id).collect();
    let has = |id: ObjectId| {
        held.contains(&id)
            || mirror.tags.binary_search(&id).is_ok()
            || history.position(id).is_some_and(|position| mirror.commits.has(position))
    };
    question.awaited.iter().map(|id| has(*id)).collect()
}

/// Follows all ways, counting the commits that are among some.
fn follow(history: &History, ways: &[Way], among: &Bits) -> Vec<Passed> {
    ways.chunks(TOGETHER).flat_map(|ways| follow_together(history, ways, among)).collect()
}

/// One pass downwards: parents stand below their children, so all that lead to a commit were seen before it.
fn follow_together(history: &History, ways: &[Way], among: &Bits) -> Vec<Passed> {
    let highest = ways.iter().filter_map(|way| way.from).max();
    let goals = ways.iter().filter(|way| way.from.is_some()).filter_map(|way| way.to);
    let lowest = goals.chain(among.lowest()).min();
    // Nobody sets out, or there is nothing to count and nowhere to arrive.
    let (Some(highest), Some(lowest)) = (highest, lowest) else { return vec![Passed::default(); ways.len()] };
    let mut seen = vec![0_u64; (highest + 1).saturating_sub(lowest) as usize];
    for (bit, way) in ways.iter().enumerate() {
        if let Some(from) = way.from.filter(|from| *from >= lowest) {
            seen[(from - lowest) as usize] |= 1 << bit;
        }
    }
    let mut counters = Counters::default();
    for position in (lowest..=highest).rev() {
        let here = seen[(position - lowest) as usize];
        if here == 0 {
            continue;
        }
        if among.has(position) {
            counters.add(here);
        }
        for &parent in history.parents(position).iter().filter(|parent| **parent >= lowest) {
            seen[(parent - lowest) as usize] |= here;
        }
    }
    let passed = |bit: usize, way: &Way| {
        let at_goal = way.to.and_then(|to| seen.get((to - lowest) as usize));
        Passed { counted: counters.of(bit), arrived: at_goal.is_some_and(|seen| seen >> bit & 1 == 1) }
    };
    ways.iter()
        .enumerate()
        .map(|(bit, way)| if way.from.is_some() { passed(bit, way) } else { Passed::default() })
        .collect()
}

/// A counter for each bit of a word: the n-th word holds all their n-th digits, so that adding one to many of them
/// is an operation or two.
#[derive(Debug, Default)]
struct Counters(Vec<u64>);

impl Counters {
    fn add(&mut self, bits: u64) {
        let mut carry = bits;
        for digits in &mut self.0 {
            let over = *digits & carry;
            *digits ^= carry;
            carry = over;
            if carry == 0 {
                return;
            }
        }
        self.0.push(carry);
    }

    fn of(&self, bit: usize) -> u64 {
        self.0.iter().enumerate().map(|(place, digits)| (digits >> bit & 1) << place).sum()
    }
}

#[cfg(test)]
mod tests;
