//! A mirror's refs beside what the origin said before: the newest knowledge wins.

use std::collections::BTreeMap;

use super::history::History;
use super::known::{Known, RawRef};
use crate::ports::{Condition, Staleness, Via};
use crate::spec::info::ObjectId;

/// A ref, and what it peels to where it is an annotated tag.
type Held = (ObjectId, Option<ObjectId>);

/// What a mirror said in the place of its source, together with what is known better. `history` is what is here.
///
/// It is always held against the source's own word, however often the mirror is asked meanwhile: what was put together
/// the last time is worth no more than the mirror.
pub(super) fn together(before: Option<&Known>, heard: Known, via: Via, history: &History) -> Known {
    let Some(word) = before.and_then(Known::word) else {
        let (is_known, at) = (via.stale.is_none(), via.as_of.unwrap_or(heard.asked()));
        let heard = heard.heard_via(Some(via));
        return if is_known { heard.worth(at) } else { heard };
    };
    // The mirror was looked at before its source said this.
    let is_older = via.as_of.is_none_or(|as_of| as_of < word.at);
    let (old, new) = (held(&word.raw), held(heard.raw()));
    let lacks = |(name, value): (&&str, &Held)| new.get(name) != Some(value);
    let via = match via.stale {
        None if is_older && old.iter().any(lacks) => {
            let stale = Staleness { condition: Condition::Lagging, since: Some(word.at) };
            Via { stale: Some(stale), ..via }
        }
        _ => via,
    };
    if via.stale.is_none() {
        let at = via.as_of.map_or(word.at, |as_of| as_of.max(word.at));
        return heard.heard_via(Some(via)).worth(at);
    }
    let asked = heard.asked();
    Known::new(merged(&old, &new, history), asked).heard_via(Some(via)).beside(word.clone())
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
