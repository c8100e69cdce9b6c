//! Taking away what somebody names.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::list::Wanted;
use super::{Said, Say, Stock};
use crate::error::{Error, Result};
use crate::spec::path::ModulePath;

/// What is to go.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removal {
    /// These entries. All of one upstream, and nothing narrower: its git repositories too.
    pub wanted: Option<Wanted>,
    pub binding: Option<ModulePath>,
    /// Where the module is bound; without it in every registry.
    pub registry: Option<String>,
    /// Says what would go, and leaves it.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub dry_run: bool,
    pub entries: u64,
    pub bytes: u64,
    pub repositories: u64,
    pub repository_bytes: u64,
    /// The registries in which the module was bound.
    pub bindings: Vec<String>,
}

/// Takes the binding of a module away in one registry or in all, or only looks (`true`), and names the registries
/// that had one.
pub type Unbind = Arc<dyn Fn(&ModulePath, Option<&str>, bool) -> Result<Vec<String>> + Send + Sync>;

/// So many entries go by one flush.
const BATCH: usize = 500;

impl Removal {
    /// Refuses what names nothing: everything is never meant.
    pub fn check(&self) -> Result<()> {
        if self.wanted.as_ref().is_none_or(Wanted::is_all) && self.binding.is_none() {
            let error = Error::gone("nothing is named that is to go");
            return Err(error.remedy("name a module, MODULE@VERSION, an upstream or a binding"));
        }
        if self.registry.is_some() && self.binding.is_none() {
            let error = Error::gone("a registry without a binding: upstreams keep entries, not registries");
            return Err(error.remedy("name the module whose binding is to go"));
        }
        Ok(())
    }
}

impl Stock {
    /// Removes what is named.
    pub fn remove(&self, removal: &Removal, say: Say<'_>) -> Result<Removed> {
        removal.check()?;
        let tenants = self.settle();
        let mut removed = Removed { dry_run: removal.dry_run, ..Removed::default() };
        if let Some(wanted) = &removal.wanted {
            if let Some(name) = &wanted.upstream {
                self.named(&tenants, name)?;
            }
            self.remove_entries(wanted, &mut removed, say)?;
            if let Some(name) = wanted.upstream.as_deref().filter(|name| *wanted == Wanted::of(Some(name))) {
                self.remove_repositories(name, &mut removed, say)?;
            }
        }
        if let (Some(module), Some(unbind)) = (&removal.binding, &self.unbind) {
            removed.bindings = unbind(module, removal.registry.as_deref(), removal.dry_run)?;
        }
        say(Said::Removed(removed.clone()))?;
        Ok(removed)
    }

    fn remove_entries(&self, wanted: &Wanted, removed: &mut Removed, say: Say<'_>) -> Result<()> {
        let tenants = (self.tenants)();
        let mut after = None;
        loop {
            let mut batch = Vec::new();
            self.each(wanted, after.as_deref(), &mut |key, row| {
                batch.push((key.to_owned(), row));
                batch.len() < BATCH
            })?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = Some(last.clone());
            if !removed.dry_run {
                self.delete(&tenants, batch.iter().map(|(key, row)| (key.as_str(), row.shelf.as_str())))?;
            }
            for (_, row) in batch {
                removed.entries += 1;
                removed.bytes += row.size;
                say(Said::Entry(Box::new(row)))?;
            }
        }
    }

    fn remove_repositories(&self, upstream: &str, removed: &mut Removed, say: Say<'_>) -> Result<()> {
        for tenant in (self.tenants)().iter().filter(|tenant| tenant.name() == upstream) {
            for repository in tenant.repositories()? {
                if removed.dry_run || tenant.remove_repository(&repository.name)? {
                    removed.repositories += 1;
                    removed.repository_bytes += repository.bytes;
                    say(Said::Repository(repository))?;
                }
            }
        }
        Ok(())
    }
}
