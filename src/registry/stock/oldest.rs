//! What was not used for longest, and how much of it: the one rule of what goes first.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use chrono::{DateTime, Utc};

use super::entry::{Address, Row, used_at};
use super::{Repository, Stock, Tenant};
use crate::error::Result;
use crate::ports::{EntryRow, Place};
use crate::registry::Meta;

/// Something that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    used_at: DateTime<Utc>,
    /// What is freed if it goes.
    weight: u64,
    thing: Thing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    Entry { key: String, row: Box<Row>, place: Place },
    Repository { shelf: String, repository: Repository },
}

impl Thing {
    /// What tells it from all others.
    pub fn key(&self) -> String {
        match self {
            Thing::Entry { key, .. } => key.clone(),
            Thing::Repository { shelf, repository } => repository_key(shelf, &repository.name),
        }
    }
}

pub(super) fn repository_key(shelf: &str, name: &str) -> String {
    format!("git/{shelf}/{name}")
}

impl Ord for Candidate {
    /// By last use; the key settles what was used at the same time.
    fn cmp(&self, other: &Candidate) -> Ordering {
        self.used_at.cmp(&other.used_at).then_with(|| self.thing.key().cmp(&other.thing.key()))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The fewest of the oldest that weigh enough together. It holds no more than those, however many are shown.
struct Oldest {
    heap: BinaryHeap<Candidate>,
    weight: u64,
    wanted: u64,
}

impl Oldest {
    fn new(wanted: u64) -> Oldest {
        Oldest { heap: BinaryHeap::new(), weight: 0, wanted }
    }

    /// Whether something of this age could be among them.
    fn takes(&self, used_at: DateTime<Utc>) -> bool {
        self.weight < self.wanted || self.heap.peek().is_some_and(|newest| used_at <= newest.used_at)
    }

    fn show(&mut self, candidate: Candidate) {
        self.weight += candidate.weight;
        self.heap.push(candidate);
        while self.heap.peek().is_some_and(|newest| self.weight - newest.weight >= self.wanted) {
            self.weight -= self.heap.pop().map_or(0, |newest| newest.weight);
        }
    }

    /// The oldest first.
    fn into_vec(self) -> Vec<Thing> {
        self.heap.into_sorted_vec().into_iter().map(|candidate| candidate.thing).collect()
    }
}

/// Among which things to look.
pub(super) struct Among<'a> {
    pub prefix: &'a str,
    pub tenants: &'a [&'a Tenant],
    /// What is gone already, as far as a dry run goes.
    pub without: &'a HashSet<String>,
    /// What is freed if an entry goes; none: it may not go.
    pub weigh: &'a dyn Fn(&EntryRow<'_>) -> Option<u64>,
}

impl Stock {
    /// The oldest that weigh `wanted` together, or all there are.
    pub(super) fn oldest(&self, among: &Among<'_>, wanted: u64) -> Result<Vec<Thing>> {
        let mut oldest = Oldest::new(wanted);
        for tenant in among.tenants {
            for repository in tenant.repositories()? {
                if !among.without.contains(&repository_key(&tenant.shelf, &repository.name)) {
                    let (used_at, weight) = (repository.last_used, repository.bytes);
                    let thing = Thing::Repository { shelf: tenant.shelf.clone(), repository };
                    oldest.show(Candidate { used_at, weight, thing });
                }
            }
        }
        self.store.scan_entries(among.prefix, None, &mut |entry| {
            let Some(weight) = (among.weigh)(entry) else { return true };
            let meta = Address::parse(entry.key).and_then(|_| Meta::parse(entry.meta));
            let used_at = meta.map(|meta| used_at(&meta)).filter(|used_at| oldest.takes(*used_at));
            if let (Some(used_at), false) = (used_at, among.without.contains(entry.key))
                && let Some(row) = Row::read(entry)
            {
                let thing = Thing::Entry { key: entry.key.to_owned(), row: Box::new(row), place: entry.place };
                oldest.show(Candidate { used_at, weight, thing });
            }
            true
        })?;
        Ok(oldest.into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, used: i64, weight: u64) -> Candidate {
        let used_at = DateTime::from_timestamp(used, 0).expect("a moment");
        let (upstream, url) = (String::new(), None);
        let repository = Repository { name: name.to_owned(), url, bytes: weight, last_used: used_at, upstream };
        Candidate { used_at, weight, thing: Thing::Repository { shelf: String::new(), repository } }
    }

    #[test]
    fn the_fewest_of_the_oldest_are_chosen_in_whatever_order_they_are_shown() {
        let things = [("d", 4, 10), ("a", 1, 10), ("c", 3, 10), ("b", 2, 10), ("e", 5, 100)];
        let chosen = |wanted| {
            let mut oldest = Oldest::new(wanted);
            for (name, used, weight) in things {
                if oldest.takes(DateTime::from_timestamp(used, 0).expect("a moment")) {
                    oldest.show(candidate(name, used, weight));
                }
            }
            let names = oldest.into_vec().into_iter().map(|thing| thing.key());
            names.map(|key| key.trim_start_matches("git//").to_owned()).collect::<String>()
        };
        assert_eq!(chosen(1), "a");
        assert_eq!(chosen(10), "a");
        assert_eq!(chosen(11), "ab");
        assert_eq!(chosen(40), "abcd");
        assert_eq!(chosen(41), "abcde");
        assert_eq!(chosen(1000), "abcde");
        assert_eq!(chosen(0), "");
    }
}
