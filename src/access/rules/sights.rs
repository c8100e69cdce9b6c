//! When the versions of a module were first seen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

use crate::spec::version::Version;

/// What is written down of a module: facts only, so that another cooldown may judge them otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sights {
    /// When its first list was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed_at: Option<DateTime<Utc>>,
    /// The versions in it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    first: BTreeSet<String>,
    /// All others; of the first list those that were seen before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    later: BTreeMap<String, DateTime<Utc>>,
}

/// When a version was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It stood in the module's first list: how long it had been there before, nobody knows.
    InFirstList(DateTime<Utc>),
    At(DateTime<Utc>),
}

impl Seen {
    pub fn at(self) -> DateTime<Utc> {
        match self {
            Seen::InFirstList(at) | Seen::At(at) => at,
        }
    }
}

/// So many are written down besides the first list. Who asks for more pseudo-versions of one module makes those
/// forgotten that have been known the longest.
const MOST: usize = 20_000;

/// Before the first module proxy nobody can have seen a version; clocks that were never set say 1970.
const EARLIEST: i64 = 1_325_376_000;

impl Sights {
    /// In the place of sights that are lost: nothing is trusted that is listed now.
    pub fn unreadable() -> Sights {
        Sights { listed_at: Some(DateTime::UNIX_EPOCH), ..Sights::default() }
    }

    /// Whether the module's list was ever seen.
    pub fn has_list(&self) -> bool {
        self.listed_at.is_some()
    }

    pub fn seen(&self, version: &Version) -> Option<Seen> {
        let named = self.later.get(version.as_str()).copied();
        match self.listed_at.filter(|_| self.first.contains(version.as_str())) {
            Some(listed) => Some(Seen::InFirstList(named.map_or(listed, |named| named.min(listed)))),
            None => named.map(Seen::At),
        }
    }

    /// A list was seen; `false` if it says nothing new.
    pub fn note_list<'v>(&mut self, versions: impl Iterator<Item = &'v Version>, at: DateTime<Utc>) -> bool {
        let at = at.trunc_subsecs(0);
        if self.listed_at.is_none() {
            self.listed_at = Some(at);
            self.first = versions.map(|version| version.as_str().to_owned()).collect();
            return true;
        }
        let mut is_new = false;
        for version in versions.filter(|version| self.seen(version).is_none()).collect::<Vec<_>>() {
            self.later.insert(version.as_str().to_owned(), at);
            is_new = true;
        }
        is_new
    }

    /// A version was seen by its name; `false` if that was known, or earlier.
    pub fn note(&mut self, version: &Version, at: DateTime<Utc>) -> bool {
        let at = at.trunc_subsecs(0);
        if self.seen(version).is_some_and(|seen| seen.at() <= at) {
            return false;
        }
        self.later.insert(version.as_str().to_owned(), at);
        if self.later.len() > MOST {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        let pseudo = self.later.iter().filter(|(text, _)| crate::spec::pseudo::is_pseudo(text));
        if let Some(oldest) = pseudo.min_by_key(|(_, at)| **at).map(|(text, _)| text.clone()) {
            self.later.remove(&oldest);
        }
    }

    /// How much room it takes, roughly.
    pub fn weight(&self) -> u64 {
        let later: usize = self.later.keys().map(|text| text.len() + 64).sum();
        let first: usize = self.first.iter().map(|text| text.len() + 48).sum();
        (later + first + 128) as u64
    }
}

/// What a `Last-Modified` says of the time since when an upstream has had something; `None` where it cannot be so.
pub fn modified(header: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc2822(header).ok()?.to_utc();
    (at <= now && at.timestamp() >= EARLIEST).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a moment")
    }

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    #[test]
    fn a_first_list_is_told_from_what_came_later() {
        let mut sights = Sights::default();
        let (old, new, pseudo) = (version("v1.0.0"), version("v1.1.0"), version("v0.0.0-20190813064441-fde4db37ae7a"));
        assert!(sights.note(&pseudo, at(0)) && !sights.has_list());
        assert!(sights.note_list([&old].into_iter(), at(10)));
        assert!(!sights.note_list([&old].into_iter(), at(20)), "nothing new");
        assert!(sights.note_list([&old, &new].into_iter(), at(30)));
        assert_eq!(sights.seen(&old), Some(Seen::InFirstList(at(10))));
        assert_eq!(sights.seen(&new), Some(Seen::At(at(30))));
        assert_eq!(sights.seen(&pseudo), Some(Seen::At(at(0))));
        assert_eq!(sights.seen(&version("v9.0.0")), None);
        assert!(sights.note(&new, at(25)) && !sights.note(&new, at(40)), "only what is earlier counts");
        assert!(sights.note(&old, at(5)), "the upstream had it before the first list came");
        assert_eq!(sights.seen(&old), Some(Seen::InFirstList(at(5))));
        let json = serde_json::to_string(&sights).expect("json");
        assert_eq!(serde_json::from_str::<Sights>(&json).expect("own json"), sights);
    }

    #[test]
    fn an_empty_first_list_trusts_nothing_that_comes_later() {
        let mut sights = Sights::default();
        assert!(sights.note_list([].into_iter(), at(0)) && sights.has_list());
        let first_tag = version("v1.0.0");
        sights.note_list([&first_tag].into_iter(), at(10));
        assert_eq!(sights.seen(&first_tag), Some(Seen::At(at(10))));
    }

    #[test]
    fn pseudo_versions_do_not_grow_without_end_and_releases_stay() {
        let mut sights = Sights::default();
        let release = version("v1.0.0");
        sights.note(&release, at(-1));
        for number in 0..(MOST as i64 + 5) {
            let text = format!("v0.0.0-20190813064441-{number:012}");
            sights.note(&version(&text), at(number));
        }
        assert_eq!(sights.later.len(), MOST);
        assert!(sights.seen(&release).is_some());
        assert!(sights.seen(&version("v0.0.0-20190813064441-000000000000")).is_none(), "the oldest went");
    }

    #[test]
    fn a_last_modified_counts_only_if_it_can_be_true() {
        let table = [
            ("Wed, 21 Oct 2026 07:28:00 GMT", Some("2026-10-21T07:28:00+00:00")),
            ("Fri, 21 Oct 2050 07:28:00 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("Sat, 31 Dec 2011 23:59:59 GMT", None),
            ("yesterday", None),
        ];
        for (header, expected) in table {
            let found = modified(header, at(0)).map(|time| time.to_rfc3339());
            assert_eq!(found.as_deref(), expected, "{header}");
        }
    }
}
