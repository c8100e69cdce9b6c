//! Housekeeping of what is kept: what there is, what goes and when, and whether it is still what it was.
//! Must not know which store lies below, nor how git repositories are kept; no clock but the one handed in.
//! Rules: docs/cache.md.

mod budget;
mod entry;
mod figures;
mod keeper;
mod list;
mod oldest;
mod prune;
mod remove;
mod tenant;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use budget::{Growth, Watched};
pub(super) use entry::Address;
pub use entry::Row;
pub use figures::{Figures, Share, Total};
pub use keeper::keep;
pub use list::{Page, Wanted};
pub use prune::{Freed, Pruning};
pub use remove::{Removal, Removed, Unbind};
pub use tenant::{InMemory, Repositories, Repository, Tenant};
pub(super) use verify::zip_h1;
pub use verify::{Checkup, Damage};

use crate::access::ledger::Entered;
use crate::error::Result;
use crate::ports::{Clock, Store};
use crate::registry::Change;
use crate::registry::proof::Mismatch;

/// What all upstreams together may keep.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk.
    pub max_size: Option<u64>,
    /// After its last download an entry stays for so long.
    pub keep: Option<Duration>,
}

/// The kept answers of all upstreams, seen as stock. Blocking.
pub struct Stock {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Mutex<Limits>,
    /// Upstreams come and go while we run.
    tenants: Tenants,
    unbind: Option<Unbind>,
    growth: Arc<Growth>,
    /// Eviction is one person's work: two would count the same bytes twice.
    evicting: Mutex<()>,
    /// There was too much, and nothing could go.
    is_stuck: AtomicBool,
    /// Until then, in milliseconds, no room is looked for on a full disk: there was too little last time.
    rests_until: AtomicI64,
    last: Mutex<Option<Arc<Figures>>>,
}

/// Who has entries now.
pub type Tenants = Arc<dyn Fn() -> Vec<Tenant> + Send + Sync>;

/// One line of what a piece of work tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// So much of so much is done.
    Progress {
        done: u64,
        of: u64,
        what: Doing,
    },
    /// An entry that went, or would go.
    Entry(Box<Row>),
    /// A git repository that went, or would go.
    Repository(Repository),
    Damaged(Damage),
    /// The record of a released version that came back different.
    Changed(Box<Change>),
    /// A kept file that no checksum database could vouch for yet.
    Unverified(Box<Row>),
    /// The record of a file that was refused: the checksum database knows another one.
    Mismatch(Box<Mismatch>),
    /// A version of which other contents came than the one that was served first, or whose tag is not where it was.
    Ledger(Box<Entered>),
    /// The last line of `rm`.
    Removed(Removed),
    /// The last line of `prune`.
    Pruned(Freed),
    /// The last line of `verify`.
    Verified(Checkup),
}

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Copying what lives in the tables; bytes.
    Compacting,
    /// Reading bodies; bytes.
    Reading,
    /// Comparing with the hashes of modules; entries.
    Checking,
}

impl Doing {
    pub fn as_str(self) -> &'static str {
        match self {
            Doing::Compacting => "compacting",
            Doing::Reading => "reading",
            Doing::Checking => "checking",
        }
    }
}

/// Where work says how it goes. An error ends the work: nobody listens any more.
pub type Say<'a> = &'a mut dyn FnMut(Said) -> Result<()>;

impl Stock {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, limits: Limits, tenants: Tenants) -> Stock {
        Stock {
            store,
            clock,
            limits: Mutex::new(limits),
            tenants,
            unbind: None,
            growth: Arc::default(),
            evicting: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            rests_until: AtomicI64::new(i64::MIN),
            last: Mutex::default(),
        }
    }

    /// Puts other limits in the place of those that counted until now.
    pub fn limit(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a module's binding is taken away.
    pub fn unbinding(self, unbind: Unbind) -> Stock {
        Stock { unbind: Some(unbind), ..self }
    }

    /// Who counts what comes into the store.
    pub fn growing(self, growth: Arc<Growth>) -> Stock {
        let of_tenants = (self.tenants)().into_iter().filter_map(|tenant| tenant.max_size);
        if let Some(least) = of_tenants.chain(self.limits().max_size).min() {
            growth.tell_after(least / 100);
        }
        Stock { growth, ..self }
    }

    /// The last figures that were counted, without counting anew.
    pub fn figures(&self) -> Option<Arc<Figures>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down what is only known in memory: last uses, downloads.
    pub fn settle(&self) -> Vec<Tenant> {
        let tenants = (self.tenants)();
        for tenant in &tenants {
            tenant.flush();
        }
        tenants
    }
}
