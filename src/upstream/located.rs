//! Where modules lay whose repositories have a mirror: while the page that says so is out of reach, what it said last.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::discover::Discover;
use crate::error::{Error, Kind, Result};
use crate::ports::{Body, Clock, Store};
use crate::spec::location::{Location, LocationKind};
use crate::spec::path::ModulePath;

/// So long a host that failed is left alone where it is known what it said.
const RETRY: Duration = Duration::from_secs(30);

/// So many hosts and modules are remembered before all are forgotten: clients may name as many as they like.
const REMEMBERED: usize = 10_000;

/// Whether the repository at an address has a mirror.
pub type HasMirror = dyn Fn(&str) -> bool + Send + Sync;

/// The same as [`Discover`], with a memory that outlasts its hosts.
pub struct Located {
    discover: Arc<Discover>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shelf: String,
    has_mirror: Arc<HasMirror>,
    /// When hosts failed.
    failed: Mutex<HashMap<String, DateTime<Utc>>>,
    /// The modules whose places are written down as they are.
    written: Mutex<HashSet<(String, String)>>,
}

impl Located {
    pub fn new(
        discover: Arc<Discover>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        shelf: &str,
        has_mirror: Arc<HasMirror>,
    ) -> Located {
        let (failed, written) = Default::default();
        Located { discover, store, clock, shelf: shelf.to_owned(), has_mirror, failed, written }
    }

    pub async fn locate(self: Arc<Self>, module: &ModulePath) -> Result<Location> {
        let host = module.as_str().split('/').next().unwrap_or_default().to_owned();
        if self.failed_lately(&host)
            && let Some(location) = self.clone().kept(module).await?
        {
            return Ok(location);
        }
        match self.discover.locate(module).await {
            Ok(location) => {
                lock(&self.failed).remove(&host);
                if location.kind == LocationKind::Git && (self.has_mirror)(&location.url) {
                    self.keep(module, location.clone()).await?;
                }
                Ok(location)
            }
            Err(error) if matches!(error.kind(), Kind::BadGateway | Kind::Unavailable) => {
                self.note_failure(host);
                self.kept(module).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn failed_lately(&self, host: &str) -> bool {
        let failed_at = lock(&self.failed).get(host).copied();
        failed_at.is_some_and(|since| (self.clock.now() - since).to_std().is_ok_and(|age| age < RETRY))
    }

    async fn keep(self: Arc<Self>, module: &ModulePath, location: Location) -> Result<()> {
        let row = (module.to_string(), location.url.clone());
        if lock(&self.written).contains(&row) {
            return Ok(());
        }
        let key = self.key(module.as_str());
        let own = self.clone();
        blocking(move || {
            let meta = serde_json::to_vec(&location)
                .map_err(|cause| Error::internal("a location does not serialize").because(cause))?;
            if own.store.get(&key)?.is_none_or(|stored| stored.meta != meta) {
                own.store.put(&key, &meta, Body::Bytes(Bytes::new()))?;
            }
            Ok(())
        })
        .await?;
        let mut written = lock(&self.written);
        // What is forgotten is compared with the store once more.
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.insert(row);
        Ok(())
    }

    fn note_failure(&self, host: String) {
        let now = self.clock.now();
        let mut failed = lock(&self.failed);
        if failed.len() >= REMEMBERED {
            // Whoever is forgotten is asked once more.
            failed.clear();
        }
        failed.insert(host, now);
    }

    /// What is written down of a module, or of a repository whose folder it may be.
    async fn kept(self: Arc<Self>, module: &ModulePath) -> Result<Option<Location>> {
        let path = module.as_str().to_owned();
        blocking(move || {
            let mut prefix = path.as_str();
            loop {
                if let Some(stored) = self.store.get(&self.key(prefix))?
                    && let Ok(location) = serde_json::from_slice::<Location>(&stored.meta)
                    && (self.has_mirror)(&location.url)
                {
                    return Ok(Some(Location { is_guess: prefix != path, ..location }));
                }
                match prefix.rsplit_once('/') {
                    Some((above, _)) => prefix = above,
                    None => return Ok(None),
                }
            }
        })
        .await
    }

    fn key(&self, module: &str) -> String {
        format!("located/{}/{module}", self.shelf)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|cause| Error::internal("work on the store was cut short").because(cause))?
}

/// A panic elsewhere leaves nothing half-made behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
