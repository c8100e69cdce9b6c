//! Both sides of a mirror held against each other: how they differ, and since when.
//!
//! A difference alone says little: the mirror of a busy repository never is what its source is. So what the source
//! held is kept until the mirror has it, and lag counts from the oldest of that.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::definition::RefPattern;
use super::seen::{RefSeen, Seen};
use super::status::{Difference, RefDifference};
use crate::ports::{Condition, RefPair, RefRelation, Relation, RemoteRef};
use crate::spec::info::ObjectId;

/// So many refs of a difference are named.
const NAMED: usize = 50;

/// The refs that are compared, of each side, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sides {
    pub source: Vec<RemoteRef>,
    pub mirror: Vec<RemoteRef>,
}

impl Sides {
    /// Only what the patterns mean.
    pub fn new(source: Vec<RemoteRef>, mirror: Vec<RemoteRef>, patterns: &[RefPattern]) -> Sides {
        let meant = |refs: Vec<RemoteRef>| {
            let mut refs = refs;
            refs.retain(|one| patterns.iter().any(|pattern| pattern.matches(&one.name)));
            refs.sort_by(|a, b| a.name.cmp(&b.name));
            refs
        };
        Sides { source: meant(source), mirror: meant(mirror) }
    }

    /// What is not the same, by name.
    pub fn differing(&self) -> Vec<RefPair> {
        let held = |refs: &[RemoteRef], name: &str| find(refs, name).map(|one| one.id);
        let names = self.source.iter().chain(self.mirror.iter().filter(|one| find(&self.source, &one.name).is_none()));
        let mut pairs: Vec<RefPair> = names
            .map(|one| RefPair {
                name: one.name.clone(),
                source: held(&self.source, &one.name),
                mirror: held(&self.mirror, &one.name),
            })
            .filter(|pair| pair.source != pair.mirror)
            .collect();
        pairs.sort_by(|a, b| a.name.cmp(&b.name));
        pairs
    }

    /// Whether the two refs of a name lead to the same commit, be one of them an annotated tag and the other not.
    fn is_same_commit(&self, name: &str) -> bool {
        let commit = |one: &RemoteRef| one.peeled.unwrap_or(one.id);
        let (source, mirror) = (find(&self.source, name), find(&self.mirror, name));
        source.is_some() && source.map(commit) == mirror.map(commit)
    }
}

fn find<'a>(refs: &'a [RemoteRef], name: &str) -> Option<&'a RemoteRef> {
    refs.binary_search_by(|one| one.name.as_str().cmp(name)).ok().map(|at| &refs[at])
}

/// What is asked of both histories beside the refs: which of these does the mirror have by now?
///
/// Only refs of the mirror that moved are asked about: a branch that stands still has nothing new, although other
/// branches of the mirror may have all its commits.
pub fn awaited(differing: &[RefPair], seen: &Seen) -> Vec<ObjectId> {
    let moved = differing.iter().filter_map(|pair| {
        let before = seen.refs.get(&pair.name)?;
        (before.mirror != pair.mirror.map(|id| id.to_string())).then_some(before)
    });
    let mut ids: Vec<ObjectId> =
        moved.flat_map(|before| &before.pending).filter_map(|one| ObjectId::parse(one.id.as_deref()?)).collect();
    ids.sort_unstable_by_key(|id| id.0);
    ids.dedup();
    ids
}

/// What was found out of the histories; without one, refs alone are compared.
#[derive(Debug, Clone, Copy)]
pub struct Related<'a> {
    pub relation: &'a Relation,
    /// As it was asked.
    pub awaited: &'a [ObjectId],
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// `None` where both sides are the same.
    pub difference: Option<Difference>,
    /// Whether the mirror has what its source lacks.
    pub is_diverged: bool,
}

/// How the two sides differ, and what is to be remembered of them.
pub fn compare(sides: &Sides, related: Option<Related<'_>>, seen: &Seen, at: DateTime<Utc>) -> (Compared, Seen) {
    let differing = sides.differing();
    let mut after = Seen::default();
    for one in &sides.source {
        let before = seen.refs.get(&one.name);
        after.refs.insert(one.name.clone(), RefSeen::holding(before, &one.id.to_string()));
    }
    let mut refs = Vec::new();
    for (index, pair) in differing.iter().enumerate() {
        let relation = related.and_then(|related| related.relation.refs.get(index));
        let before = seen.refs.get(&pair.name).cloned().unwrap_or_default();
        let is_diverged = is_diverged(sides, pair, relation, &before);
        let values = (pair.source.map(|id| id.to_string()), pair.mirror.map(|id| id.to_string()));
        let has = |id: &str| has(related, id);
        let is_awaited = pair.source.is_some() || !is_diverged;
        let mut now = before.follow(values.clone(), is_awaited, at, &has);
        now.diverged_since = is_diverged.then(|| before.diverged_since.map_or(at, |since| since.min(at)));
        if !is_diverged && (relation.is_some_and(|relation| relation.ahead == 0) || before.knows(values.1.as_deref())) {
            now.vouched.clone_from(&values.1);
        }
        if relation.is_none() {
            // Nobody could say what it has reached by this move: the next look asks again.
            now.mirror.clone_from(&before.mirror);
        }
        refs.push(RefDifference {
            name: pair.name.clone(),
            source: values.0,
            mirror: values.1,
            behind_commits: relation.map(|relation| relation.behind),
            ahead_commits: relation.map(|relation| relation.ahead),
            is_diverged,
            since: now.since(),
        });
        after.refs.insert(pair.name.clone(), now);
    }
    let relation = related.map(|related| related.relation);
    let difference = Difference {
        behind_commits: relation.map(|relation| relation.behind),
        ahead_commits: relation.map(|relation| relation.ahead),
        newest: relation.map(|relation| relation.newest).unwrap_or_default(),
        // What a source never had and nobody will take over is not behind.
        behind_refs: refs.iter().filter(|one| one.source.is_some() || !one.is_diverged).count() as u64,
        ..Difference::default()
    };
    let is_diverged = refs.iter().any(|one| one.is_diverged);
    (Compared { difference: whole(difference, refs), is_diverged }, after)
}

/// What is to be remembered of the source alone, while nobody knows what its mirror holds.
pub fn of_source(source: &[RemoteRef], seen: &Seen, at: DateTime<Utc>) -> Seen {
    let mut after = Seen::default();
    let gone = seen.refs.keys().filter(|name| find(source, name).is_none()).map(|name| (name, None));
    for (name, id) in source.iter().map(|one| (&one.name, Some(one.id.to_string()))).chain(gone) {
        let before = seen.refs.get(name).cloned().unwrap_or_default();
        after.refs.insert(name.clone(), before.follow_source(id, at));
    }
    after
}

/// What a difference means by the clock.
pub fn condition(compared: &Compared, max_lag: Duration, at: DateTime<Utc>) -> Condition {
    let Some(difference) = &compared.difference else { return Condition::InSync };
    if compared.is_diverged {
        return Condition::Diverged;
    }
    if difference.behind_refs == 0 {
        return Condition::InSync;
    }
    let lag = difference.since.map_or(TimeDelta::zero(), |since| at - since);
    match lag.to_std().unwrap_or_default() > max_lag {
        true => Condition::Stale,
        false => Condition::Lagging,
    }
}

/// Counts and names what differs; what matters most stands first.
fn whole(difference: Difference, mut refs: Vec<RefDifference>) -> Option<Difference> {
    if refs.is_empty() {
        return None;
    }
    let since = refs.iter().filter_map(|one| one.since).min();
    let ahead_refs = refs.iter().filter(|one| one.is_diverged).count() as u64;
    refs.sort_by(|a, b| (!a.is_diverged, &a.name).cmp(&(!b.is_diverged, &b.name)));
    let refs_left_out = refs.len().saturating_sub(NAMED) as u64;
    refs.truncate(NAMED);
    Some(Difference { since, ahead_refs, refs, refs_left_out, ..difference })
}

/// Whether the mirror has what the source lacks, or a tag moved.
fn is_diverged(sides: &Sides, pair: &RefPair, relation: Option<&RefRelation>, before: &RefSeen) -> bool {
    let Some(mirror) = pair.mirror.map(|id| id.to_string()) else { return false };
    let is_known = before.knows(Some(&mirror));
    match (pair.name.starts_with("refs/tags/"), pair.source) {
        // A tag that moved is told, whoever moved it: what people fetched by its name is another thing now.
        (true, Some(_)) => !sides.is_same_commit(&pair.name),
        (true, None) => !is_known,
        (false, _) => match relation {
            Some(relation) => relation.ahead > 0 && !is_known,
            None => before.diverged_since.is_some() && before.mirror.as_ref() == Some(&mirror),
        },
    }
}

fn has(related: Option<Related<'_>>, id: &str) -> bool {
    let Some((related, id)) = related.zip(ObjectId::parse(id)) else { return false };
    let at = related.awaited.binary_search_by_key(&id.0, |awaited| awaited.0);
    at.is_ok_and(|at| related.relation.reached.get(at).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests;
