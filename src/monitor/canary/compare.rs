//! The comparison itself: what both sides said, against each other.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Canary, Known};
use crate::monitor::status::{Difference, RefDifference};
use crate::ports::Newest;
use crate::spec::info::Info;
use crate::spec::version::Version;

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

/// Everything that differs, in the order of modules and versions; since when is not said. What only the mirror has is
/// told without a source: nobody waits for it, and it is no divergence.
pub(super) fn compare(canaries: &[Canary]) -> Difference {
    let mut rows = Vec::new();
    canaries.iter().for_each(|canary| canary.compare(&mut rows));
    let count = |wanted: Way| rows.iter().filter(|(way, _)| *way == wanted).count() as u64;
    let newest =
        |side: fn(&Canary) -> &Known| canaries.iter().filter_map(|canary| side(canary).latest.as_ref()?.time).max();
    Difference {
        behind_refs: count(Way::Behind),
        ahead_refs: count(Way::Diverged),
        newest: Newest { source: newest(|canary| &canary.source), mirror: newest(|canary| &canary.mirror) },
        refs: rows.into_iter().map(|(_, row)| row).collect(),
        ..Difference::default()
    }
}

impl Canary {
    fn compare(&self, rows: &mut Vec<(Way, RefDifference)>) {
        let module = self.module.as_str();
        if let Some((way, source, mirror)) = self.latest() {
            rows.push(row(way, format!("{module}@latest"), source, mirror));
        }
        let versions = |known: &Known| known.versions.iter().cloned().collect::<BTreeSet<Version>>();
        let (source, mirror) = (versions(&self.source), versions(&self.mirror));
        for version in source.symmetric_difference(&mirror) {
            let (name, text) = (format!("{module}@{version}"), Some(version.to_string()));
            rows.push(match source.contains(version) {
                true => row(Way::Behind, name, text, None),
                false => row(Way::Kept, name, None, text),
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
            // A version that the source took back, the mirror has still: there is nothing to wait for.
            (Some(source), Some(mirror)) if is_later(mirror, source) => Some((Way::Kept, None, version(mirror))),
            (Some(source), Some(mirror)) => Some((Way::Behind, version(source), version(mirror))),
        }
    }
}

fn row(way: Way, name: String, source: Option<String>, mirror: Option<String>) -> (Way, RefDifference) {
    let (behind_commits, ahead_commits, since) = (None, None, None);
    let is_diverged = way == Way::Diverged;
    (way, RefDifference { name, source, mirror, behind_commits, ahead_commits, is_diverged, since })
}

/// Whether a version is a later one than another; what is no version is not.
fn is_later(info: &Info, than: &Info) -> bool {
    let parsed = Version::parse(&info.version).zip(Version::parse(&than.version));
    parsed.is_some_and(|(version, than)| version > than)
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
