//! Where the code of a module lies.
//! Rules: go.dev/ref/mod#vcs-find and `RepoRoot` in `cmd/go/internal/vcs`.

use serde::{Deserialize, Serialize};

/// What a module path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The leading part of the module path that stands for the repository.
    pub root: String,
    pub kind: LocationKind,
    /// The repository or module proxy, with its scheme, as found: before `instead_of`.
    pub url: String,
    /// The folder of the repository that stands for `root`; empty for the repository's own root.
    pub subdir: String,
    /// It was said of a module above it, and who could say it of this one is out of reach: what is not there may be
    /// elsewhere.
    #[serde(skip)]
    pub is_guess: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LocationKind {
    Git,
    /// A module proxy named by a go-import tag (`mod`).
    Proxy,
    /// `hg`, `svn`, `bzr`, `fossil`: known to the go command, not served here.
    Other(String),
}
