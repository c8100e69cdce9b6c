//! What a sync by hand would do, and what came of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::comparison::Compared;
use super::definition::MirrorDefinition;
use super::look::Sight;
use super::seen::Seen;
use super::status::MirrorStatus;
use super::words::some;
use crate::error::{Error, Result};
use crate::ports::{RefUpdate, Transfer, Updated};
use crate::spec::info::ObjectId;

/// What a sync would do, found out just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    /// Addresses without credentials.
    pub source: String,
    pub mirror: String,
    /// By the names of the refs; none where both sides are the same.
    pub updates: Vec<Planned>,
    /// Commits that the source has and the mirror lacks; `None` where the histories could not be had.
    pub behind_commits: Option<u64>,
    /// The source has none of the refs that are compared: whatever the mirror has would be deleted.
    pub is_source_empty: bool,
    /// Stands for all of `updates`: whoever agreed to them says by it what he agreed to.
    pub digest: String,
}

/// What would become of one ref of the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub update: RefUpdate,
    pub kind: UpdateKind,
    /// The mirror would lose what the source does not have: only with `force`.
    pub is_diverged: bool,
    pub behind_commits: Option<u64>,
    pub ahead_commits: Option<u64>,
}

/// In what way a ref changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateKind {
    Create,
    /// What stands there is an ancestor of what comes.
    Forward,
    /// Only with `prune`.
    Delete,
    Overwrite,
}

impl UpdateKind {
    pub fn as_str(self) -> &'static str {
        match self {
            UpdateKind::Create => "create",
            UpdateKind::Forward => "forward",
            UpdateKind::Delete => "delete",
            UpdateKind::Overwrite => "overwrite",
        }
    }
}

/// What a sync may do besides taking over what is new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    /// Overwrite what diverged.
    pub force: bool,
    /// Delete what the source does not have (any more).
    pub prune: bool,
    /// The digest of the plan that was agreed to: nothing is done if there is another one by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// Told how far a sync is; `false` gives it up.
pub type Progress = Box<dyn FnMut(Transfer) -> bool + Send>;

/// What came of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// What was to be done.
    pub plan: Plan,
    /// What the mirror said of each update that was asked of it.
    pub updated: Vec<Updated>,
    /// As the check after it found it.
    pub status: MirrorStatus,
}

impl Plan {
    /// What a look at both sides says is to be done.
    pub(super) fn new(definition: &MirrorDefinition, sight: &Sight, (compared, after): &(Compared, Seen)) -> Plan {
        let is_diverged = |name: &str| after.refs.get(name).is_some_and(|seen| seen.diverged_since.is_some());
        let updates = sight.differing.iter().enumerate().map(|(index, pair)| {
            let relation = sight.relation.as_ref().and_then(|relation| relation.refs.get(index));
            let kind = match (pair.source, pair.mirror, relation) {
                (None, _, _) => UpdateKind::Delete,
                (_, None, _) => UpdateKind::Create,
                (_, _, Some(relation)) if relation.is_forward && !pair.name.starts_with("refs/tags/") => {
                    UpdateKind::Forward
                }
                _ => UpdateKind::Overwrite,
            };
            Planned {
                update: RefUpdate { name: pair.name.clone(), from: pair.mirror, to: pair.source },
                kind,
                is_diverged: is_diverged(&pair.name)
                    // Without histories nobody can say that nothing would be lost.
                    || (relation.is_none() && kind == UpdateKind::Overwrite),
                behind_commits: relation.map(|relation| relation.behind),
                ahead_commits: relation.map(|relation| relation.ahead),
            }
        });
        let updates: Vec<Planned> = updates.collect();
        Plan {
            name: definition.name.clone(),
            source: definition.source(),
            mirror: definition.mirror(),
            digest: digest(&updates),
            updates,
            behind_commits: compared.difference.as_ref().map_or(Some(0), |difference| difference.behind_commits),
            is_source_empty: sight.sides.source.is_empty() && !sight.sides.mirror.is_empty(),
        }
    }

    /// What is to be done of it; refused where something would be lost that nobody said may be.
    pub(super) fn wanted(&self, wanted: &Sync) -> Result<Vec<RefUpdate>> {
        if wanted.plan.as_ref().is_some_and(|agreed| *agreed != self.digest) {
            return Err(Error::conflict("a side has changed since the plan was shown: nothing was done")
                .about(&self.name)
                .remedy("look at what would be done now, and agree to that"));
        }
        let is_meant = |planned: &&Planned| wanted.prune || planned.kind != UpdateKind::Delete;
        let meant: Vec<&Planned> = self.updates.iter().filter(is_meant).collect();
        if wanted.prune && self.is_source_empty && !wanted.force {
            return Err(Error::conflict("the source has none of the refs: everything on the mirror would be deleted")
                .about(&self.name)
                .remedy("with force it is deleted all the same"));
        }
        let diverged: Vec<&str> =
            meant.iter().filter(|planned| planned.is_diverged).map(|planned| planned.update.name.as_str()).collect();
        if !wanted.force && !diverged.is_empty() {
            let names = some(diverged.iter().copied(), diverged.len() as u64, 5);
            return Err(Error::conflict(format!("the mirror has what its source lacks, which would be lost: {names}"))
                .about(&self.name)
                .remedy("with force it is overwritten"));
        }
        Ok(meant.into_iter().map(|planned| planned.update.clone()).collect())
    }
}

/// The same for the same updates, whatever histories say of them.
fn digest(updates: &[Planned]) -> String {
    let mut hasher = Sha256::new();
    for Planned { update, kind, is_diverged, .. } in updates {
        let id = |id: Option<ObjectId>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let (from, to) = (id(update.from), id(update.to));
        // No name of a ref holds a space or a line's end.
        hasher.update(format!("{} {is_diverged} {from} {to} {}\n", kind.as_str(), update.name));
    }
    hex::encode(&hasher.finalize()[..16])
}
