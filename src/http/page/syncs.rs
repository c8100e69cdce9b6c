//! Syncs that a page began: they go on while nobody looks, and are told of to who looks again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::http::site::Watching;
use crate::monitor::{Sync, Synced};
use crate::ports::Transfer;

/// The last sync of each mirror since the start.
#[derive(Default)]
pub struct Syncs(Mutex<BTreeMap<String, Run>>);

/// How far a sync is.
#[derive(Debug, Clone)]
pub enum Run {
    Going { since: DateTime<Utc>, transfer: Option<Transfer> },
    Over { at: DateTime<Utc>, outcome: Result<Box<Synced>> },
}

impl Syncs {
    /// `None` where none was begun.
    pub fn of(&self, mirror: &str) -> Option<Run> {
        self.runs().get(mirror).cloned()
    }

    /// Begins one. It does not end with the request: a browser that is closed must not leave it half done.
    pub fn begin(self: &Arc<Syncs>, watching: &Watching, mirror: &str, wanted: Sync) -> Result<()> {
        // A name that no mirror has would stay for ever.
        watching.watch.status(mirror)?;
        let going = Run::Going { since: watching.watch.now(), transfer: None };
        let mut runs = self.runs();
        if let Some(Run::Going { .. }) = runs.get(mirror) {
            return Err(Error::conflict("a sync is under way already").about(mirror));
        }
        runs.insert(mirror.to_owned(), going);
        drop(runs);
        let (syncs, watching, mirror) = (self.clone(), watching.clone(), mirror.to_owned());
        tokio::spawn(async move {
            let task = tokio::spawn(syncs.clone().run(watching.clone(), mirror.clone(), wanted));
            // It is over also where it panicked: else none could be begun again.
            let outcome = task.await.unwrap_or_else(|cause| Err(Error::internal("a sync broke off").because(cause)));
            syncs.runs().insert(mirror, Run::Over { at: watching.watch.now(), outcome });
        });
        Ok(())
    }

    async fn run(self: Arc<Syncs>, watching: Watching, mirror: String, wanted: Sync) -> Result<Box<Synced>> {
        let (syncs, name) = (self, mirror.clone());
        let progress = move |now: Transfer| {
            if let Some(Run::Going { transfer, .. }) = syncs.runs().get_mut(&name) {
                *transfer = Some(now);
            }
            true
        };
        let synced = watching.watch.sync(&mirror, wanted, Box::new(progress)).await;
        watching.settle().await;
        synced.map(Box::new)
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
