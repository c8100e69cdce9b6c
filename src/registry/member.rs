//! One upstream of a registry: what it may be asked for, and what its word is worth.

use std::sync::Arc;

use super::cached::Cached;
use crate::spec::path::ModulePath;
use crate::spec::scope::Scope;

/// What happens when a member fails; an absence always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Go's comma.
    #[default]
    Stop,
    /// Go's bar.
    GoOn,
}

/// Who says whether a pseudo-version is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The member knows the history: names are checked before a file is given.
    Own,
    /// The member is believed: another proxy, a folder.
    Believed,
}

/// One upstream of a registry.
pub struct Member {
    /// Shared by all registries that have this upstream.
    pub source: Arc<Cached>,
    pub on_failure: OnFailure,
    pub judgement: Judgement,
    pub scope: Scope,
    /// Whether it stands in another registry too, so that what is kept of it may be a stranger's here.
    pub shared: bool,
}

impl Member {
    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    /// What bindings know it by.
    pub(super) fn shelf(&self) -> &str {
        self.source.shelf().as_str()
    }

    pub(super) fn may_serve(&self, module: &ModulePath) -> bool {
        self.scope.allows(module)
    }
}
