//! Verdicts over a registry's members.

use super::walk::Registry;
use crate::error::Result;
use crate::spec::path::ModulePath;
use crate::spec::pseudo::PseudoVersion;
use crate::spec::query::Query;
use crate::spec::verdict::{Evidence, Standing, Verdict};
use crate::spec::version::Version;

impl Registry {
    /// What is to be said of a version. Only what cannot be found out is an error; what is unknown is
    /// `Standing::Unverifiable`.
    pub async fn verdict(&self, module: &ModulePath, version: &Version) -> Result<Verdict> {
        let mut verdict = Verdict {
            module: module.to_string(),
            version: version.to_string(),
            standing: Standing::Unverifiable,
            canonical: None,
            faults: Vec::new(),
            why: None,
            evidence: vec![Evidence::Syntax],
        };
        let resolution = match self.resolve(module, &Query::Version(version.clone())).await {
            Ok(resolution) => resolution,
            Err(error) => {
                verdict.why = Some(error.chain());
                return Ok(verdict);
            }
        };
        let url = resolution.right.origin.as_ref().map(|origin| origin.url.clone());
        verdict.evidence.extend(url.map(|url| Evidence::Git { url }));
        let revision = PseudoVersion::parse(version.as_str()).map(|pseudo| pseudo.revision().to_owned());
        verdict.canonical = match revision {
            Some(revision) if resolution.is_valid() => {
                self.resolve(module, &Query::Revision(revision)).await.ok().map(|found| found.right)
            }
            _ => Some(resolution.right),
        };
        let is_canonical = verdict.canonical.as_ref().is_some_and(|info| info.version == version.as_str());
        verdict.standing = match (resolution.faults.is_empty(), is_canonical) {
            (false, _) => Standing::Wrong,
            (true, true) => Standing::Canonical,
            (true, false) => Standing::Valid,
        };
        verdict.faults = resolution.faults;
        Ok(verdict)
    }
}
