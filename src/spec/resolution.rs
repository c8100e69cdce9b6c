//! What a query turned out to stand for, and every reason why the asked name is wrong.
//! Facts only: what is said and done about them is `vet::mode`'s.
//! Rules: `validatePseudoVersion` and `convert` in `cmd/go/internal/modfetch/coderepo.go`, whose words the texts keep.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::info::Info;

/// What was asked, the right answer, and why the asked name is wrong, if it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    pub asked: String,
    /// The canonical answer; for a valid version that was asked for, that version.
    pub right: Info,
    /// Empty for a valid name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Resolution {
    pub fn valid(asked: impl Into<String>, right: Info) -> Resolution {
        Resolution { asked: asked.into(), right, faults: Vec::new() }
    }

    pub fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A reason why a pseudo-version is wrong although its revision exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    RevisionTooLong {
        expected: String,
    },
    RevisionTooShort {
        expected: String,
    },
    RevisionDiffers {
        expected: String,
    },
    RevisionInUpperCase {
        expected: String,
    },
    /// A branch's name or something else where digits of a commit's id belong.
    RevisionNotHexadecimal {
        expected: String,
    },
    /// Fourteen digits that name no moment.
    TimeMalformed {
        found: String,
        expected: String,
    },
    TimeDiffers {
        found: String,
        expected: String,
        /// Where the wrong time may come from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<TimeNote>,
    },
    /// `v1.0.0-TIME-HASH`: without a base only v0 will do.
    MajorWithoutBase,
    /// The revision has the base's tag itself, so that tag is its version.
    BaseOnRevision {
        tag: String,
        revision: String,
    },
    BaseMissing {
        base: String,
    },
    BaseNotAncestor {
        tag: String,
        revision: String,
    },
    /// `vX.Y.0-0.`: no patch number comes before.
    BaseNegative {
        version: String,
    },
    BuildWithoutBase {
        build: String,
    },
    MajorDiffers {
        expected: String,
        found: String,
    },
    /// The path ends in a major version suffix that the version does not match.
    SuffixDiffers,
    /// The tree has a go.mod, so +incompatible is not to be had for this major version.
    GoModExists {
        path: String,
    },
    IncompatibleNotAllowed {
        major: String,
    },
    /// A major version of two or more without go.mod lacks its +incompatible.
    IncompatibleMissing,
    /// The tree holds no go.mod that makes it this module.
    GoModDiffers {
        /// In the go command's words.
        why: String,
        /// The module path that stands there; empty where there is no go.mod, or none that says.
        found: String,
        expected: String,
    },
    /// Who knows the revision does not take this name for it.
    Refused {
        by: String,
        why: String,
    },
}

/// What a wrong time is, if it is not the committer's in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeNote {
    AuthorTime,
    /// The committer's time as the clock on the wall showed it.
    CommitterLocalTime {
        zone: String,
    },
    AuthorLocalTime {
        zone: String,
    },
    OtherCommit {
        commit: String,
    },
    /// Right but for whole quarters of an hour, as a zone's local time is.
    OtherZone {
        zone: String,
    },
}

impl fmt::Display for TimeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeNote::AuthorTime => f.write_str("the author's time, not the committer's"),
            TimeNote::CommitterLocalTime { zone } => write!(f, "the committer's local time ({zone}), not UTC"),
            TimeNote::AuthorLocalTime { zone } => write!(f, "the author's local time ({zone})"),
            TimeNote::OtherCommit { commit } => write!(f, "the time of another commit ({commit})"),
            TimeNote::OtherZone { zone } => write!(f, "a local time ({zone}), not UTC"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::RevisionTooLong { expected } => write!(f, "revision is longer than canonical (expected {expected})"),
            Fault::RevisionTooShort { expected } => {
                write!(f, "revision is shorter than canonical (expected {expected})")
            }
            Fault::RevisionInUpperCase { expected } => write!(f, "revision is in upper case (expected {expected})"),
            Fault::RevisionDiffers { expected } | Fault::RevisionNotHexadecimal { expected } => {
                write!(f, "does not match short name of revision (expected {expected})")
            }
            Fault::TimeMalformed { found, expected } => write!(f, "malformed time {found:?} (expected {expected})"),
            Fault::TimeDiffers { expected, .. } => {
                write!(f, "does not match version-control timestamp (expected {expected})")
            }
            Fault::MajorWithoutBase => f.write_str("major version without preceding tag must be v0, not v1"),
            Fault::BaseOnRevision { tag, revision } => write!(
                f,
                "tag ({tag}) found on revision {revision} is already canonical, so should not be replaced with a pseudo-version derived from that tag"
            ),
            Fault::BaseMissing { base } => write!(f, "preceding tag ({base}) not found"),
            Fault::BaseNotAncestor { tag, revision } => {
                write!(f, "revision {revision} is not a descendent of preceding tag ({tag})")
            }
            Fault::BaseNegative { version } => write!(f, "version before {version} would have negative patch number"),
            Fault::BuildWithoutBase { build } => write!(f, "lacks base version, but has build metadata {build:?}"),
            Fault::MajorDiffers { expected, found } => write!(f, "should be {expected}, not {found}"),
            Fault::SuffixDiffers => {
                f.write_str("module path includes a major version suffix, so major version must match")
            }
            Fault::GoModExists { path } => {
                write!(f, "module contains a go.mod file, so module path must match major version ({path:?})")
            }
            Fault::IncompatibleNotAllowed { major } => {
                write!(f, "+incompatible suffix not allowed: major version {major} is compatible")
            }
            Fault::IncompatibleMissing => {
                f.write_str("module has no go.mod file, so +incompatible must follow the version")
            }
            Fault::GoModDiffers { why, .. } => f.write_str(why),
            Fault::Refused { by, why } => write!(f, "refused by {by}: {why}"),
        }
    }
}
