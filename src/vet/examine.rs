//! Everything that the history says of a version, in one go: all faults, the right version, the tags around it.
//! Rules: those of `validate` and `resolve`; here a go.mod that does not fit is a fault like any other.

use super::module::{Misfit, Module};
use super::resolve::Naming;
use super::revision::Revision;
use crate::error::Result;
use crate::spec::examination::{Examination, History, TaggedAncestor};
use crate::spec::info::{Info, ObjectId};
use crate::spec::pseudo::{self, PseudoVersion};
use crate::spec::resolution::{Fault, TimeNote};
use crate::spec::version::{Semver, Version};

/// How many tags before a commit are named.
const TAGS_SHOWN: usize = 4;

/// The zones of the world lie within fourteen hours, in quarters of an hour.
const ZONE_SECONDS: i64 = 14 * 3600;
const ZONE_STEP_SECONDS: i64 = 900;

impl Module<'_> {
    /// Holds a version against the history. A revision that is not there is an absence.
    pub fn examine(&self, version: &Version) -> Result<Examination> {
        let asked = version.as_str();
        let about = |error: crate::error::Error| error.about(format!("{}@{version}", self.place.module()));
        let revision = self.find(asked).map_err(about)?;
        let naming = Naming::new(self, &revision, asked);
        let found = match PseudoVersion::parse(asked) {
            Some(pseudo) => naming.examine_pseudo(&pseudo),
            None => naming.examine_release(version),
        };
        let (faults, canonical) = found.map_err(about)?;
        let history = self.history(&revision, version).map_err(about)?;
        Ok(Examination { url: self.snapshot.repo.url().to_owned(), canonical, faults, history })
    }

    fn history(&self, revision: &Revision, version: &Version) -> Result<History> {
        let commit = revision.commit;
        let prefix = self.place.tag_prefix();
        let mut tags: Vec<(Semver, &str, ObjectId)> = Vec::new();
        for (tag, id) in self.snapshot.refs.tags(&prefix) {
            let semver = Semver::parse(&tag[prefix.len()..]).filter(|semver| !semver.is_short());
            if let Some(semver) = semver.filter(|_| !pseudo::is_pseudo(tag) && id != commit.id) {
                tags.push((semver, tag, id));
            }
        }
        tags.sort_by(|a, b| b.0.precedence(&a.0));
        let ids: Vec<ObjectId> = tags.iter().map(|(_, _, id)| *id).collect();
        let distances = match ids.is_empty() {
            true => Vec::new(),
            false => self.snapshot.repo.distances(commit.id, &ids)?,
        };
        let mut before: Vec<TaggedAncestor> = Vec::new();
        let mut aside = None;
        let base = PseudoVersion::parse(version.base()).and_then(|pseudo| pseudo.base().ok().flatten());
        for ((semver, tag, _), distance) in tags.iter().zip(distances) {
            match distance {
                Some(distance) => before.push(TaggedAncestor { tag: (*tag).to_owned(), distance }),
                None if base.as_deref() == Some(semver.as_str()) => aside = Some((*tag).to_owned()),
                None => {}
            }
        }
        let further = before.len().saturating_sub(TAGS_SHOWN);
        before.truncate(TAGS_SHOWN);
        let author = self.snapshot.repo.signature(commit.id)?.map(|signature| signature.author.to_utc());
        Ok(History {
            commit: commit.id.to_string(),
            time: commit.time,
            author_time: author.filter(|time| *time != commit.time),
            tags: revision.tags.clone(),
            before,
            further,
            aside,
        })
    }
}

impl Naming<'_> {
    fn examine_pseudo(&self, pseudo: &PseudoVersion) -> Result<(Vec<Fault>, Option<Info>)> {
        let (version, mut faults) = self.faults(pseudo)?;
        // The go command adds it unasked to what it resolves, and refuses a go.mod in which it lacks.
        if version != self.asked {
            faults.push(Fault::IncompatibleMissing);
        }
        for fault in &mut faults {
            if let Fault::TimeDiffers { note, .. } = fault {
                *note = self.time_note(pseudo)?;
            }
        }
        faults.extend(self.misfit()?);
        let canonical = Naming::new(self.module, self.revision, "").canonical_or_none()?;
        if canonical.as_ref().is_some_and(|info| info.version == self.asked) {
            faults.clear();
        }
        Ok((faults, canonical))
    }

    fn examine_release(&self, version: &Version) -> Result<(Vec<Fault>, Option<Info>)> {
        let (suffixed, fault) = self.suffixed(self.asked)?;
        let mut faults: Vec<Fault> = fault.into_iter().collect();
        faults.extend(self.misfit()?);
        if suffixed != self.asked {
            faults.push(Fault::IncompatibleMissing);
        }
        if faults.is_empty() {
            return Ok((faults, Some(self.canonical()?)));
        }
        let canonical = match Naming::new(self.module, self.revision, version.base()).canonical_or_none()? {
            Some(info) => Some(info),
            None => Naming::new(self.module, self.revision, "").canonical_or_none()?,
        };
        Ok((faults, canonical))
    }

    fn canonical_or_none(&self) -> Result<Option<Info>> {
        match self.canonical() {
            Err(error) if error.is_absence() => Ok(None),
            found => found.map(Some),
        }
    }

    fn misfit(&self) -> Result<Option<Fault>> {
        let placed = self.module.place_at(self.revision.commit.id, self.asked)?;
        let expected = self.module.place.module().to_string();
        Ok(placed.err().map(|Misfit { why, found }| Fault::GoModDiffers { why, found, expected }))
    }

    /// What the time is that stands where the committer's should.
    fn time_note(&self, pseudo: &PseudoVersion) -> Result<Option<TimeNote>> {
        let Some(found) = pseudo.time() else { return Ok(None) };
        let commit = self.revision.commit;
        let local = found.naive_utc();
        if let Some(signature) = self.module.snapshot.repo.signature(commit.id)? {
            let zone = |time: &chrono::DateTime<chrono::FixedOffset>| format!("UTC{}", time.offset());
            let (author, committer) = (&signature.author, &signature.committer);
            if author.to_utc() == found {
                return Ok(Some(TimeNote::AuthorTime));
            } else if committer.naive_local() == local {
                return Ok(Some(TimeNote::CommitterLocalTime { zone: zone(committer) }));
            } else if author.naive_local() == local {
                return Ok(Some(TimeNote::AuthorLocalTime { zone: zone(author) }));
            }
        }
        if let Some(other) = self.module.snapshot.repo.dated(found)?.first() {
            return Ok(Some(TimeNote::OtherCommit { commit: other.short() }));
        }
        let seconds = (found - commit.time).num_seconds();
        if seconds.abs() > ZONE_SECONDS || seconds % ZONE_STEP_SECONDS != 0 {
            return Ok(None);
        }
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        Ok(Some(TimeNote::OtherZone { zone: format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60) }))
    }
}
