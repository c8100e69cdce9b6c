//! The comparison itself: what both sides said, against each other and against what was seen before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Canary, Known, Sight};
use crate::monitor::status::{Difference, RefDifference};
use crate::ports::Newest;
use crate::spec::info::Info;
use crate::spec::version::Version;

/// So many differences are shown.
const SHOWN: usize = 100;

/// So many states of one module's `latest` are waited for; the oldest of them is what counts.
const AWAITED: usize = 64;

/// What was seen to differ, and since when: kept from one check to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// By what differs.
    since: BTreeMap<String, DateTime<Utc>>,
    /// What the source said is `latest` and the mirror has not reached, by module path, the oldest first.
    awaited: BTreeMap<String, Vec<Awaited>>,
}

/// A state of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Awaited {
    version: String,
    since: DateTime<Utc>,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// `None` where both sides say the same. Of one that only tells what the mirror has kept, nothing is behind and
    /// there is no `since`: the mirror is in sync.
    pub difference: Option<Difference>,
    /// Whether a version is not the same on both sides.
    pub is_diverged: bool,
    /// For the next time.
    pub seen: Seen,
}

/// In which way something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The mirror does not have it yet.
    Behind,
    /// The mirror alone has it (still).
    Kept,
    /// Both have it, and it is not the same.
    Diverged,
}

struct Row {
    way: Way,
    difference: RefDifference,
}

impl Sight {
    /// Holds both sides against each other; `before` is what the comparison before this one gave.
    pub fn compare(&self, before: &Seen, now: DateTime<Utc>) -> Compared {
        let (mut rows, mut seen) = (Vec::new(), Seen::default());
        for canary in &self.modules {
            canary.compare(before, &mut seen, now, &mut rows);
        }
        let count = |way: Way| rows.iter().filter(|row| row.way == way).count() as u64;
        let (behind, kept, diverged) = (count(Way::Behind), count(Way::Kept), count(Way::Diverged));
        let since = rows.iter().filter(|row| row.way != Way::Kept).filter_map(|row| row.difference.since).min();
        let newest = |side: fn(&Canary) -> &Known| {
            self.modules.iter().filter_map(|canary| side(canary).latest.as_ref()?.time).max()
        };
        let (source, mirror) = (newest(|canary| &canary.source), newest(|canary| &canary.mirror));
        let left_out = rows.len().saturating_sub(SHOWN) as u64;
        let difference = (!rows.is_empty()).then(|| Difference {
            since,
            behind_refs: behind,
            ahead_refs: kept + diverged,
            newest: Newest { source, mirror },
            refs: rows.into_iter().take(SHOWN).map(|row| row.difference).collect(),
            refs_left_out: left_out,
            ..Difference::default()
        });
        Compared { difference, is_diverged: diverged > 0, seen }
    }
}

impl Canary {
    fn compare(&self, before: &Seen, seen: &mut Seen, now: DateTime<Utc>, rows: &mut Vec<Row>) {
        let module = self.module.as_str();
        if let Some((way, source, mirror)) = self.latest() {
            let name = format!("{module}@latest");
            let since = match (way, &self.source.latest) {
                (Way::Behind, Some(latest)) => {
                    let awaited = self.awaited(before, latest, now);
                    let since = awaited.first().map_or(now, |oldest| oldest.since);
                    seen.awaited.insert(module.to_owned(), awaited);
                    since
                }
                _ => seen.note(before, &name, now),
            };
            rows.push(row(way, name, source, mirror, since));
        }
        let versions = |known: &Known| known.versions.iter().cloned().collect::<BTreeSet<Version>>();
        let (source, mirror) = (versions(&self.source), versions(&self.mirror));
        for version in source.symmetric_difference(&mirror) {
            let name = format!("{module}@{version}");
            let since = seen.note(before, &name, now);
            let text = Some(version.to_string());
            rows.push(match source.contains(version) {
                true => row(Way::Behind, name, text, None, since),
                false => row(Way::Kept, name, None, text, since),
            });
        }
    }

    /// How `latest` differs, and what each side says.
    fn latest(&self) -> Option<(Way, Option<String>, Option<String>)> {
        let version = |info: &Info| Some(info.version.clone());
        match (&self.source.latest, &self.mirror.latest) {
            (None, None) => None,
            (Some(source), None) => Some((Way::Behind, version(source), None)),
            (None, Some(mirror)) => Some((Way::Kept, None, version(mirror))),
            (Some(source), Some(mirror)) if source.version == mirror.version => {
                let (source, mirror) = contradiction(source, mirror)?;
                Some((Way::Diverged, Some(source), Some(mirror)))
            }
            // A version that the source took back, the mirror has still.
            (Some(source), Some(mirror)) if has_reached(mirror, &source.version) => {
                Some((Way::Kept, version(source), version(mirror)))
            }
            (Some(source), Some(mirror)) => Some((Way::Behind, version(source), version(mirror))),
        }
    }

    /// All that the source said is `latest` and that the mirror has not reached: a mirror that is always an hour
    /// behind a busy source lags by an hour, and not since the first day.
    fn awaited(&self, before: &Seen, latest: &Info, now: DateTime<Utc>) -> Vec<Awaited> {
        let reached = |version: &str| self.mirror.latest.as_ref().is_some_and(|mirror| has_reached(mirror, version));
        // The source may have taken one back.
        let stands = |version: &str| version == latest.version || has_reached(latest, version);
        let kept = before.awaited.get(self.module.as_str()).into_iter().flatten();
        let mut awaited: Vec<Awaited> =
            kept.filter(|old| !reached(&old.version) && stands(&old.version)).cloned().collect();
        if !awaited.iter().any(|old| old.version == latest.version) && awaited.len() < AWAITED {
            awaited.push(Awaited { version: latest.version.clone(), since: now });
        }
        awaited
    }
}

impl Seen {
    /// Since when something differs.
    fn note(&mut self, before: &Seen, name: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        let since = before.since.get(name).copied().unwrap_or(now);
        self.since.insert(name.to_owned(), since);
        since
    }
}

fn row(way: Way, name: String, source: Option<String>, mirror: Option<String>, since: DateTime<Utc>) -> Row {
    let (since, is_diverged) = (Some(since), way == Way::Diverged);
    let (behind_commits, ahead_commits) = (None, None);
    Row { way, difference: RefDifference { name, source, mirror, behind_commits, ahead_commits, is_diverged, since } }
}

/// Whether what a side calls latest is this version or a later one.
fn has_reached(latest: &Info, version: &str) -> bool {
    match (Version::parse(&latest.version), Version::parse(version)) {
        (Some(latest), Some(version)) => latest >= version,
        _ => latest.version == version,
    }
}

/// What two sides say of one version, where they do not say the same. A side that does not tell a time or a commit
/// contradicts nobody.
fn contradiction(source: &Info, mirror: &Info) -> Option<(String, String)> {
    if let (Some(a), Some(b)) = (source.time, mirror.time)
        && a.timestamp() != b.timestamp()
    {
        let told = |info: &Info, time: DateTime<Utc>| format!("{} of {}", info.version, printed(time));
        return Some((told(source, a), told(mirror, b)));
    }
    let hash = |info: &Info| info.origin.as_ref().map(|origin| origin.hash.clone()).filter(|hash| !hash.is_empty());
    let (a, b) = (hash(source)?, hash(mirror)?);
    let told = |info: &Info, hash: &str| format!("{} at {hash}", info.version);
    (a != b).then(|| (told(source, &a), told(mirror, &b)))
}

fn printed(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
