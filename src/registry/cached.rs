//! A source with a memory: what it said is kept, and asked again when it may have changed.

use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;

use super::change::OnChange;
use super::counters::{Counters, Health, Watch};
use super::entry::{Entry, Freshness, Kept, SMALL};
use super::flight::Flights;
use super::refresh::Renewal;
use super::rounds::Rounds;
use super::shelf::Shelf;
use super::uses::Uses;
use super::validity::{Standing, Validity};
use crate::error::{Error, Result};
use crate::ports::{Blob, Clock, Examiner, Source, Store};
use crate::spec::examination::Examination;
use crate::spec::path::ModulePath;
use crate::spec::question::Question;
use crate::spec::version::Version;

/// An entry taken out of the store by another process is still answered from memory for this long.
const HOT: Duration = Duration::from_secs(10);
const HOT_BYTES: u64 = 8 << 20;
/// What the upstream did not have: clients may ask for as much of it as they like, under names of 4 KiB.
const REMEMBERED: usize = 10_000;
const REMEMBERED_BYTES: u64 = 4 << 20;
/// How long uses wait in memory to be written down.
const UNWRITTEN: Duration = Duration::from_secs(10);
/// Versions whose files are written at the same time without waiting for each other, roughly.
const TURNS: usize = 64;

/// How far an answer may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Upstream,
    /// `Disable-Module-Fetch: true`: only what is kept.
    Cache,
}

/// What becomes of the version that a branch, a hash or `latest` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Its own `.info` is asked for when somebody wants it: what it rests on is not what the query rested on.
    Asked,
    /// The answer to the query is kept for it too, so that it can be had when the upstream is gone.
    Kept,
}

/// An upstream's answers, kept in the store under `upstream/SHELF/`.
pub struct Cached {
    pub(super) inner: Arc<Inner>,
    looks: Flights<Option<Arc<Kept>>>,
    pub(super) renewals: Flights<(Arc<Kept>, Freshness)>,
    pub(super) refreshes: Rounds<Arc<Renewal>>,
    pub(super) examiner: Option<Arc<dyn Examiner>>,
}

pub(super) struct Inner {
    pub shelf: Shelf,
    pub source: Arc<dyn Source>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub validity: Validity,
    pub named: Named,
    pub on_change: OnChange,
    pub hot: Cache<String, (Arc<Kept>, DateTime<Utc>), Weight>,
    /// Absences, and failures where something is kept.
    pub refusals: Cache<String, (Error, DateTime<Utc>), Weight>,
    /// Grows with every entry that was taken away: what was read before must not come back into memory.
    pub removals: AtomicU64,
    /// When a request last waited for the upstream as long as it would.
    pub hung_at: Mutex<Option<DateTime<Utc>>>,
    /// One of them per version while its files are written, so that they fit together.
    pub turns: [Mutex<()>; TURNS],
    pub uses: Uses,
    pub watch: Watch,
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<String, (Arc<Kept>, DateTime<Utc>)> for Weight {
    fn weight(&self, key: &String, (kept, _): &(Arc<Kept>, DateTime<Utc>)) -> u64 {
        // A parsed resolution takes about as much again as its text.
        let info = kept.info.as_ref().map_or(0, Blob::size);
        2 * kept.blob.size() + info + key.len() as u64 + 512
    }
}

impl Weighter<String, (Error, DateTime<Utc>)> for Weight {
    fn weight(&self, key: &String, (error, _): &(Error, DateTime<Utc>)) -> u64 {
        key.len() as u64 + error.weight() + 128
    }
}

impl Cached {
    pub fn new(
        shelf: Shelf,
        source: Arc<dyn Source>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        validity: Validity,
    ) -> Cached {
        let inner = Inner {
            shelf,
            source,
            store,
            clock,
            validity,
            named: Named::Asked,
            on_change: OnChange::Keep,
            hot: Cache::with_weighter(4096, HOT_BYTES, Weight),
            refusals: Cache::with_weighter(REMEMBERED, REMEMBERED_BYTES, Weight),
            removals: AtomicU64::new(0),
            hung_at: Mutex::new(None),
            turns: [const { Mutex::new(()) }; TURNS],
            uses: Uses::default(),
            watch: Watch::default(),
        };
        let (looks, renewals) = (Flights::default(), Flights::default());
        Cached { inner: Arc::new(inner), looks, renewals, refreshes: Rounds::default(), examiner: None }
    }

    /// The same source with somebody who can hold its versions against their history.
    pub fn examined_by(self, examiner: Arc<dyn Examiner>) -> Cached {
        Cached { examiner: Some(examiner), ..self }
    }

    /// What the history says of a version; `None` where there is none to be asked. Not kept here: it is only
    /// as good as the refs, which the examiner looks at.
    pub async fn examine(&self, module: &ModulePath, version: &Version) -> Result<Option<Examination>> {
        match &self.examiner {
            Some(examiner) => examiner.examine(module, version).await,
            None => Ok(None),
        }
    }

    /// Says whether the version that a query stands for is asked for again under its own name.
    pub fn named(mut self, named: Named) -> Cached {
        Arc::get_mut(&mut self.inner).expect("no flight has begun").named = named;
        self
    }

    /// Says what is done about a released version that comes back different.
    pub fn on_change(mut self, on_change: OnChange) -> Cached {
        Arc::get_mut(&mut self.inner).expect("no flight has begun").on_change = on_change;
        self
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        self.inner.shelf.name()
    }

    /// Where its answers stand in the store.
    pub fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub fn counters(&self) -> &Counters {
        &self.inner.watch.counters
    }

    pub fn health(&self) -> Health {
        self.inner.watch.health()
    }

    /// Writes down who wanted what since the last time. Blocking; before a stop, and before uses are read.
    pub fn flush(&self) -> Result<()> {
        self.inner.uses.write(&*self.inner.store)
    }

    /// Ends what a kill cut short; once, before anybody asks. Blocking.
    pub fn settle(&self) -> Result<()> {
        self.inner.settle()
    }

    /// Drops what is in memory of an entry that was taken out of the store.
    pub fn forget(&self, key: &str) {
        self.inner.forget(key);
    }

    /// The same for all of them.
    pub fn forget_all(&self) {
        self.inner.removals.fetch_add(1, Ordering::SeqCst);
        self.inner.hot.clear();
        self.inner.refusals.clear();
    }

    /// The kept answer if it is fresh, else the upstream's, else the stale one.
    pub async fn ask(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Entry> {
        let inner = &self.inner;
        let key = inner.key(module, question);
        let (kept, freshness) = self.answer(&key, module, question, reach).await?;
        let now = inner.clock.now();
        let entry = kept.entry(freshness, now);
        inner.watch.counters.answered(entry.freshness, kept.blob.size());
        if inner.uses.note(&key, &kept.used, now) {
            self.write_uses_later();
        }
        Ok(entry)
    }

    async fn answer(
        &self,
        key: &str,
        module: &ModulePath,
        question: &Question,
        reach: Reach,
    ) -> Result<(Arc<Kept>, Freshness)> {
        let inner = &self.inner;
        let now = inner.clock.now();
        match inner.hot(key, now).or_else(|| inner.at_hand(key)) {
            Some(kept) if inner.standing(&kept, now) == Standing::Fresh => Ok((kept, Freshness::Fresh)),
            // Boxed: what this takes would else be part of the state of every answer, the fresh ones too.
            hot => Box::pin(self.found_out(hot, key, module, question, reach)).await,
        }
    }

    /// What is not in memory, or not fresh.
    async fn found_out(
        &self,
        hot: Option<Arc<Kept>>,
        key: &str,
        module: &ModulePath,
        question: &Question,
        reach: Reach,
    ) -> Result<(Arc<Kept>, Freshness)> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let kept = match hot {
            Some(kept) => Some(kept),
            None => self.looks.join(key, || inner.clone().look(key.to_owned())).await?,
        };
        let renewal = || inner.clone().renewed(key.to_owned(), module.clone(), question.clone());
        let Some(kept) = kept else {
            if reach == Reach::Cache {
                let error = Error::not_found("not kept here, and the request forbids fetching");
                return Err(error.about(question.subject(module)));
            }
            return self.renewals.join(key, renewal).await;
        };
        match inner.standing(&kept, now) {
            Standing::Fresh => Ok((kept, Freshness::Fresh)),
            Standing::Differs | Standing::Doubtful => Ok((kept, Freshness::Stale)),
            _ if reach == Reach::Cache => Ok((kept, Freshness::Stale)),
            // A failed upstream is left alone for a while.
            _ if inner.refusal(key, now).is_some() => Ok((kept, Freshness::Stale)),
            standing => {
                if standing == Standing::Aging || inner.is_hanging(now) {
                    self.renewals.start(key, renewal);
                    return Ok((kept, Freshness::Stale));
                }
                let renewed = tokio::time::timeout(inner.validity.patience, self.renewals.join(key, renewal)).await;
                match renewed {
                    Ok(Err(error)) if error.is_absence() && !kept.meta.lasting => Err(error),
                    Ok(Ok(renewed)) => Ok(renewed),
                    Ok(Err(_)) => Ok((kept, Freshness::Stale)),
                    Err(_) => {
                        inner.note_hanging();
                        Ok((kept, Freshness::Stale))
                    }
                }
            }
        }
    }

    fn write_uses_later(&self) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut failed = false;
            loop {
                tokio::time::sleep(UNWRITTEN).await;
                // Whoever stopped meanwhile has written them down.
                let Some(inner) = inner.upgrade() else { return };
                let writing = inner.clone();
                let written = blocking(move || writing.uses.write(&*writing.store)).await;
                match &written {
                    Ok(()) if inner.uses.rest() => return,
                    // A full disk may stay so for long: one line is enough.
                    Err(error) if !failed => tracing::warn!(%error, "uses wait to be written down"),
                    _ => {}
                }
                failed = written.is_err();
            }
        });
    }
}

/// What nobody wrote down before the end; not on a thread that answers requests.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.uses.is_empty() {
            return;
        }
        let (uses, store, name) = (mem::take(&mut self.uses), self.store.clone(), self.shelf.name().to_owned());
        let write = move || {
            if let Err(error) = uses.write(&*store) {
                tracing::warn!(upstream = name, %error, "the last uses are not written down");
            }
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(write)),
            Err(_) => write(),
        }
    }
}

impl Inner {
    pub fn key(&self, module: &ModulePath, question: &Question) -> String {
        let (shelf, module, address) = (self.shelf.as_str(), module.escaped(), question.address());
        ["upstream/", shelf, "/", &module, "/", &address].concat()
    }

    pub fn standing(&self, kept: &Kept, now: DateTime<Utc>) -> Standing {
        match self.validity.standing(&kept.meta, now) {
            // It was marked while the first content was to be kept.
            Standing::Differs if self.on_change == OnChange::Replace && !kept.is_verified() => Standing::Expired,
            standing => standing,
        }
    }

    /// From memory, unless it lay there for long.
    pub fn hot(&self, key: &str, now: DateTime<Utc>) -> Option<Arc<Kept>> {
        let (kept, since) = self.hot.get(key)?;
        (now - since).to_std().is_ok_and(|age| age < HOT).then_some(kept)
    }

    /// A large body that the store has open, for which nothing has to be waited for.
    fn at_hand(&self, key: &str) -> Option<Arc<Kept>> {
        let stored = self.store.at_hand(key)?;
        // Of a small one, and of an `.info`, the body is read as well, for which one may have to wait.
        if stored.blob.size() <= SMALL || key.ends_with(".info") {
            return None;
        }
        Kept::read(key, stored).ok().flatten().map(Arc::new)
    }

    /// Puts into memory what was read or written while `removals` was as given.
    pub fn keep_hot(&self, key: &str, kept: &Arc<Kept>, removals: u64) {
        if kept.blob.size() > SMALL {
            return;
        }
        self.hot.insert(key.to_owned(), (kept.clone(), self.clock.now()));
        if self.removals.load(Ordering::SeqCst) != removals {
            self.hot.remove(key);
        }
    }

    pub fn forget(&self, key: &str) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.hot.remove(key);
        self.refusals.remove(key);
    }

    async fn look(self: Arc<Self>, key: String) -> Result<Option<Arc<Kept>>> {
        blocking(move || {
            let removals = self.removals.load(Ordering::SeqCst);
            let kept = self.read(&key)?.map(Arc::new);
            if let Some(kept) = &kept {
                self.keep_hot(&key, kept, removals);
            }
            Ok(kept)
        })
        .await
    }

    /// Blocking.
    pub fn read(&self, key: &str) -> Result<Option<Kept>> {
        match self.store.get(key)? {
            Some(stored) => Kept::read(key, stored),
            None => Ok(None),
        }
    }

    /// What the upstream said lately in the place of an answer.
    pub fn refusal(&self, key: &str, now: DateTime<Utc>) -> Option<Error> {
        let (error, since) = self.refusals.get(key)?;
        (now - since).to_std().is_ok_and(|age| age < self.validity.absence).then_some(error)
    }

    /// Whether the upstream lately let somebody wait: then nobody waits who need not.
    fn is_hanging(&self, now: DateTime<Utc>) -> bool {
        let hung_at = *self.hung_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hung_at.is_some_and(|since| (now - since).to_std().is_ok_and(|age| age < self.validity.absence))
    }

    fn note_hanging(&self) {
        let now = self.clock.now();
        *self.hung_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(now);
        tracing::warn!(upstream = self.shelf.name(), "the upstream is slow: serving what is stale");
    }

    pub fn note_moving(&self) {
        *self.hung_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

/// Runs store work where it may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on the store was cut short").because(cause)),
    }
}
