//! When versions from outside were first seen, by registry and module; kept in the store under `sight/REGISTRY/`
//! for ever, so that a restart makes no version young.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::cached::blocking;
use crate::access::rules::Sights;
use crate::error::Result;
use crate::ports::{Body, Store};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// The sights of one registry. Registries that follow each other under one name share it.
pub struct SightBook {
    registry: String,
    store: Arc<dyn Store>,
    /// What the store holds, for the modules that are asked for most.
    known: Cache<String, Arc<Sights>, Weight>,
    /// Reading and writing the sights of one module take turns.
    turns: [Mutex<()>; TURNS],
}

const KNOWN: usize = 10_000;
const KNOWN_BYTES: u64 = 16 << 20;
const TURNS: usize = 16;
/// The largest entry that is read: a list has 16 MiB at most, and each version of it takes up to five times as much here,
/// beside its time. What was written must be readable again, else the module answers nothing any more.
const LONGEST: u64 = 256 << 20;

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Sights>> for Weight {
    fn weight(&self, key: &String, sights: &Arc<Sights>) -> u64 {
        key.len() as u64 + sights.weight()
    }
}

impl SightBook {
    pub fn new(registry: impl Into<String>, store: Arc<dyn Store>) -> Arc<SightBook> {
        let known = Cache::with_weighter(KNOWN, KNOWN_BYTES, Weight);
        Arc::new(SightBook { registry: registry.into(), store, known, turns: Default::default() })
    }

    /// What was seen of a module.
    pub(super) async fn find(self: &Arc<Self>, module: &ModulePath) -> Result<Arc<Sights>> {
        if let Some(known) = self.known.get(module.as_str()) {
            return Ok(known);
        }
        let (book, module) = (self.clone(), module.clone());
        blocking(move || {
            let _turn = book.turn(&module);
            book.read(&module)
        })
        .await
    }

    /// Notes a list, and gives all that was seen.
    pub(super) async fn note_list(
        self: &Arc<Self>,
        module: &ModulePath,
        versions: Vec<Version>,
        at: DateTime<Utc>,
    ) -> Result<Arc<Sights>> {
        let known = self.find(module).await?;
        if known.has_list() && versions.iter().all(|version| known.seen(version).is_some()) {
            return Ok(known);
        }
        self.change(module, move |sights| sights.note_list(versions.iter(), at)).await
    }

    /// Notes a version that was seen by its name, and gives all that was seen.
    pub(super) async fn note(
        self: &Arc<Self>,
        module: &ModulePath,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<Arc<Sights>> {
        let version = version.clone();
        self.change(module, move |sights| sights.note(&version, at)).await
    }

    async fn change(
        self: &Arc<Self>,
        module: &ModulePath,
        note: impl FnOnce(&mut Sights) -> bool + Send + 'static,
    ) -> Result<Arc<Sights>> {
        let (book, module) = (self.clone(), module.clone());
        blocking(move || {
            let _turn = book.turn(&module);
            let before = book.read(&module)?;
            let mut sights = (*before).clone();
            if !note(&mut sights) {
                return Ok(before);
            }
            let json = serde_json::to_vec(&sights).expect("times and strings always serialize");
            if let Err(error) = book.store.put(&book.key(&module), b"{}", Body::Bytes(Bytes::from(json))) {
                // It holds as long as this process does; then the version is a little younger.
                tracing::warn!(%module, %error, "the first sight of a version could not be kept");
            }
            let sights = Arc::new(sights);
            book.known.insert(module.as_str().to_owned(), sights.clone());
            Ok(sights)
        })
        .await
    }

    fn key(&self, module: &ModulePath) -> String {
        format!("sight/{}/{}", self.registry, module.escaped())
    }

    fn turn(&self, module: &ModulePath) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        module.as_str().hash(&mut hasher);
        let turn = &self.turns[hasher.finish() as usize % TURNS];
        turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocking, in one's turn.
    fn read(&self, module: &ModulePath) -> Result<Arc<Sights>> {
        if let Some(known) = self.known.get(module.as_str()) {
            return Ok(known);
        }
        let key = self.key(module);
        let sights = match self.store.get(&key)? {
            None => Sights::default(),
            Some(stored) => {
                serde_json::from_slice(&stored.blob.read_all(LONGEST)?).unwrap_or_else(|error| {
                    // To begin anew would trust whatever is listed now.
                    tracing::error!(key, %error, "first sights cannot be read: all versions count as young");
                    Sights::unreadable()
                })
            }
        };
        let sights = Arc::new(sights);
        self.known.insert(module.as_str().to_owned(), sights.clone());
        Ok(sights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::doubles::Drawer;

    #[tokio::test]
    async fn what_was_seen_of_a_module_with_a_very_long_list_can_be_read_again() {
        let (store, module) = (Drawer::new(), ModulePath::parse("example.com/m").expect("a path"));
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let book = SightBook::new("default", store.clone());
        book.note_list(&module, Vec::new(), at).await.expect("an empty list");
        let versions: Vec<Version> =
            (0..500_000).map(|patch| Version::parse(&format!("v1.0.{patch}")).expect("a version")).collect();
        let last = versions.last().cloned().expect("some");
        book.note_list(&module, versions, at).await.expect("seven megabytes of list");
        let again = SightBook::new("default", store);
        let sights = again.find(&module).await.expect("what was written can be read");
        assert!(sights.seen(&last).is_some_and(|seen| seen.at() == at), "and is what it was");
    }
}
