//! Who has entries: an upstream with its shelf, its limits, and its git repositories.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::PREFIX;
use crate::error::Result;
use crate::registry::{Cached, shelf};

/// An upstream as housekeeping sees it.
#[derive(Clone)]
pub struct Tenant {
    /// Its place in the store.
    pub shelf: String,
    /// `None` for what is left of an upstream that is configured no more.
    pub in_memory: Option<Arc<dyn InMemory>>,
    /// Bytes of its entries and its git repositories.
    pub max_size: Option<u64>,
    /// After its last download an entry stays for so long; none: as the limits of all say.
    pub keep: Option<Duration>,
    pub repositories: Option<Arc<dyn Repositories>>,
}

/// What a running process has in memory of an upstream's entries. Blocking.
pub trait InMemory: Send + Sync {
    /// Writes down what the store does not know yet: last uses, downloads.
    fn flush(&self);
    /// Drops an entry that was removed from the store.
    fn forget(&self, key: &str);
}

/// The git repositories of one upstream. Blocking.
pub trait Repositories: Send + Sync {
    fn usage(&self) -> Result<Vec<Repository>>;
    /// `false` if there is none of that name, or somebody works with it.
    fn remove(&self, name: &str) -> Result<bool>;
}

/// A git repository beside the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its folder.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub bytes: u64,
    pub last_used: DateTime<Utc>,
    /// Whose it is.
    pub upstream: String,
}

impl Tenant {
    /// The upstream's name.
    pub fn name(&self) -> &str {
        shelf::name_in(&self.shelf)
    }

    /// What the keys of its entries begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{PREFIX}{}/", self.shelf)
    }

    pub(super) fn flush(&self) {
        if let Some(memory) = &self.in_memory {
            memory.flush();
        }
    }

    /// Drops what is in memory of an entry that was removed.
    pub(super) fn forget(&self, key: &str) {
        if let Some(memory) = &self.in_memory {
            memory.forget(key);
        }
    }

    pub(super) fn repositories(&self) -> Result<Vec<Repository>> {
        match &self.repositories {
            Some(repositories) => {
                let mut all = repositories.usage()?;
                all.iter_mut().for_each(|one| one.upstream = self.name().to_owned());
                Ok(all)
            }
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn remove_repository(&self, name: &str) -> Result<bool> {
        match &self.repositories {
            Some(repositories) => repositories.remove(name),
            None => Ok(false),
        }
    }
}

impl InMemory for Cached {
    fn flush(&self) {
        if let Err(error) = Cached::flush(self) {
            tracing::warn!(upstream = self.name(), %error, "last uses are not written down");
        }
    }

    fn forget(&self, key: &str) {
        Cached::forget(self, key);
    }
}
