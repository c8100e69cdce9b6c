//! The audit log: who got what, one line of JSON each, in files that turn over.
//! Must not know of HTTP; who asked for what is told by whoever answered.
//! Rules: docs/audit.md.

mod auditor;
mod journal;
mod line;
mod moment;
mod search;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use auditor::Auditor;
pub use line::Line;
pub use moment::moment;
pub use search::{Found, Wanted};

use crate::error::Result;
use crate::ports::Clock;

/// How the log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the log.
    pub folder: PathBuf,
    /// A file that would become larger is closed, and a new one begun.
    pub max_size: u64,
    /// How long lines are kept.
    pub keep: Duration,
    pub what: What,
    /// Whether lines say where a request came from.
    pub addresses: bool,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// Files of versions that went out, and whatever was refused.
    #[default]
    Versions,
    /// Lists, the latest version, and what was not there as well.
    All,
}

/// The log as it is read: what is written right now as well, if this process writes it.
#[derive(Clone)]
pub struct Records {
    pub folder: PathBuf,
    pub clock: Arc<dyn Clock>,
    /// `None` where nobody writes.
    pub auditor: Option<Arc<Auditor>>,
}

impl Records {
    /// Blocking. Newest first.
    pub fn search(&self, wanted: &Wanted) -> Result<Found> {
        if let Some(auditor) = &self.auditor {
            auditor.settle();
        }
        search::search(&self.folder, wanted)
    }
}
