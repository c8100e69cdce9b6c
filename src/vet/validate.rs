//! Whether a pseudo-version that was asked for may stand, and every reason why not.
//! Rules: `validatePseudoVersion` in `cmd/go/internal/modfetch/coderepo.go`; cheap questions first.

use super::resolve::Naming;
use crate::error::Result;
use crate::spec::form;
use crate::spec::info::ObjectId;
use crate::spec::pseudo::{self, BaseFault, PseudoVersion};
use crate::spec::resolution::{Fault, Resolution};
use crate::spec::version::compare;

impl Naming<'_> {
    /// Valid as asked, or the right version with all faults, in the order in which the go command looks.
    pub(super) fn judge(&self, pseudo: &PseudoVersion) -> Result<Resolution> {
        self.module.root_at(self.revision.commit.id, self.asked)?;
        let (version, mut faults) = self.faults(pseudo)?;
        if faults.is_empty() {
            return Ok(Resolution::valid(self.asked, self.info(version)));
        }
        let right = Naming::new(self.module, self.revision, "").canonical()?;
        // In a folder the go command takes the root's tag for the module's own and refuses what it
        // itself makes; what it makes is canonical: fixtures/root-tag-on-submodule.repo
        if right.version == self.asked {
            faults.clear();
        }
        Ok(Resolution { asked: self.asked.to_owned(), right, faults })
    }

    /// The version with `+incompatible` where it is needed, and all that is wrong with the asked one but for
    /// where the module lies.
    pub(super) fn faults(&self, pseudo: &PseudoVersion) -> Result<(String, Vec<Fault>)> {
        let (version, fault) = self.suffixed(self.asked)?;
        let mut faults: Vec<Fault> = fault.into_iter().collect();
        faults.extend(form::revision_faults(pseudo, Some(&self.revision.commit.id.short())));
        faults.extend(self.time_fault(pseudo));
        faults.extend(self.base_fault(pseudo)?);
        Ok((version, faults))
    }

    fn time_fault(&self, pseudo: &PseudoVersion) -> Option<Fault> {
        let right = self.revision.commit.time;
        let expected = pseudo::timestamp(right);
        let found = pseudo.timestamp().to_owned();
        match pseudo.time() {
            Some(time) if time == right => None,
            Some(_) => Some(Fault::TimeDiffers { found, expected, note: None }),
            None => Some(Fault::TimeMalformed { found, expected }),
        }
    }

    fn base_fault(&self, pseudo: &PseudoVersion) -> Result<Option<Fault>> {
        let without_suffix = self.asked.strip_suffix("+incompatible").unwrap_or(self.asked);
        let base = match PseudoVersion::parse(without_suffix).unwrap_or_else(|| pseudo.clone()).base() {
            Ok(Some(base)) => base,
            Ok(None) if self.module.place.suffix().major().is_none() && pseudo.major() == "v1" => {
                return Ok(Some(Fault::MajorWithoutBase));
            }
            Ok(None) => return Ok(None),
            Err(BaseFault::NegativePatch { version }) => return Ok(Some(Fault::BaseNegative { version })),
            Err(BaseFault::BuildWithoutBase { build }) => return Ok(Some(Fault::BuildWithoutBase { build })),
        };
        let prefix = self.module.place.tag_prefix();
        let version_in = |tag: &str| tag.strip_prefix(&prefix).unwrap_or(tag).to_owned();
        let revision = pseudo.revision().to_owned();
        if let Some(tag) = self.revision.tags.iter().find(|tag| version_in(tag) == base) {
            return Ok(Some(Fault::BaseOnRevision { tag: tag.clone(), revision }));
        }
        let start = format!("{prefix}{base}");
        let refs = &self.module.snapshot.refs;
        let tags: Vec<(&str, ObjectId)> =
            refs.tags(&start).filter(|(tag, _)| compare(&version_in(tag), &base).is_eq()).collect();
        let Some((last, _)) = tags.last() else { return Ok(Some(Fault::BaseMissing { base })) };
        let ids: Vec<ObjectId> = tags.iter().map(|(_, id)| *id).collect();
        let is_ancestor = self.module.snapshot.repo.ancestors(self.revision.commit.id, &ids)?;
        let fault = Fault::BaseNotAncestor { tag: (*last).to_owned(), revision };
        Ok((!is_ancestor.contains(&true)).then_some(fault))
    }
}
