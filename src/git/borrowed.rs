//! A mirror's refs beside what the origin said before: the newest knowledge wins.

use std::collections::BTreeMap;

use super::history::History;
use super::known::{Known, RawRef};
use crate::ports::{Condition, Staleness, Via};
use crate::spec::info::ObjectId;

/// A ref, and what it peels to where it is an annotated tag.
type Held = (ObjectId, Option<ObjectId>);

/// What a mirror said in the place of its source, together with what is known better. `history` is what is here.
pub(super) fn together(before: &Known, heard: Known, via: Via, history: &History) -> Known {
    let told_by_origin = before.via().is_none();
    // The mirror was looked at before the origin said this.
    let is_older = told_by_origin && via.as_of.is_none_or(|as_of| as_of < before.asked());
    let (old, new) = (held(before.raw()), held(heard.raw()));
    let lacks = |(name, value): (&&str, &Held)| new.get(name) != Some(value);
    let via = match via.stale {
        None if is_older && old.iter().any(lacks) => {
            let stale = Staleness { condition: Condition::Lagging, since: Some(before.asked()) };
            Via { stale: Some(stale), ..via }
        }
        _ => via,
    };
    if via.stale.is_none() {
        return heard.heard_via(Some(via));
    }
    let asked = heard.asked();
    Known::new(merged(&old, &new, history), asked).heard_via(Some(via))
}

/// What is not here cannot be fetched of a mirror that lacks it, so it is left out.
fn merged(old: &BTreeMap<&str, Held>, new: &BTreeMap<&str, Held>, history: &History) -> Vec<RawRef> {
    let mut all: BTreeMap<&str, Held> = BTreeMap::new();
    for (name, theirs) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        all.insert(name, *theirs);
    }
    for (name, ours) in old {
        let is_here = history.holds(ours.0);
        let chosen = match new.get(name) {
            Some(theirs) if theirs == ours => Some(ours),
            // A tag stays where it was first seen; what is on a branch and not here came later.
            Some(_) if is_tag(name) => is_here.then_some(ours),
            Some(theirs) if is_here && history.holds(theirs.0) => Some(ours),
            Some(theirs) => Some(theirs),
            None => is_here.then_some(ours),
        };
        if let Some(chosen) = chosen {
            all.insert(name, *chosen);
        }
    }
    let mut lines = Vec::with_capacity(all.len());
    for (name, (id, peeled)) in all {
        lines.push(RawRef { name: name.to_owned(), id });
        lines.extend(peeled.map(|id| RawRef { name: format!("{name}^{{}}"), id }));
    }
    lines
}

fn held(raw: &[RawRef]) -> BTreeMap<&str, Held> {
    let mut all = BTreeMap::new();
    for line in raw {
        match line.name.strip_suffix("^{}") {
            None => {
                all.insert(line.name.as_str(), (line.id, None));
            }
            Some(tag) => {
                all.entry(tag).and_modify(|held: &mut Held| held.1 = Some(line.id));
            }
        }
    }
    all
}

fn is_tag(name: &str) -> bool {
    name.starts_with("refs/tags/")
}
