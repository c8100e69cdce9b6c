//! Which versions their author took back.
//! Rules: `retractedVersions` in `cmd/go/internal/modfetch/coderepo.go` for bases, and `CheckRetractions`
//! in `cmd/go/internal/modload` for queries; the two read different go.mod files.

use super::module::Module;
use crate::error::Result;
use crate::spec::gomod::{GoMod, Interval};
use crate::spec::version::{Semver, Version};

/// Intervals of versions taken back.
#[derive(Debug, Clone, Default)]
pub struct Retractions(Vec<Interval>);

impl Retractions {
    pub fn contains(&self, version: &Semver) -> bool {
        self.0.iter().any(|interval| interval.contains(version))
    }

    fn read(go_mod: &[u8]) -> Retractions {
        // A go.mod that cannot be read takes nothing back: fixtures/retract-unreadable.repo
        let parsed = GoMod::parse_lax(go_mod).unwrap_or_default();
        Retractions(parsed.retract.into_iter().map(|retraction| retraction.interval).collect())
    }
}

impl Module<'_> {
    /// What counts when a base is chosen: the word of the highest release, or of the highest
    /// pre-release where there is no release. What cannot be read takes nothing back.
    pub fn retractions(&self) -> Result<Retractions> {
        let versions = self.versions("")?.versions;
        let compatible = versions.iter().take_while(|v| !v.is_incompatible());
        let (releases, pre_releases): (Vec<&Version>, Vec<&Version>) = compatible.partition(|v| v.is_release());
        match releases.last().or(pre_releases.last()) {
            Some(highest) => self.retractions_of(highest.as_str()),
            None => Ok(Retractions::default()),
        }
    }

    /// What the go.mod of one version takes back; nothing if there is none to read.
    pub fn retractions_of(&self, version: &str) -> Result<Retractions> {
        match self.go_mod(version) {
            Ok(go_mod) => Ok(Retractions::read(&go_mod)),
            Err(error) if error.is_absence() => Ok(Retractions::default()),
            Err(error) => Err(error),
        }
    }
}
