//! A source with a memory: what it said is kept, and asked again when it may have changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::entry::{Entry, Freshness, Kept, Meta, SMALL};
use super::flight::Flights;
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Content, Examiner, Source, Store, Told};
use crate::spec::examination::Examination;
use crate::spec::info::{Info, Origin};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// How long answers hold without asking again.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// Lists, latest, branches, hashes and verdicts on wrong versions.
    pub listing: Duration,
    /// Absences, and failures where something stale is kept.
    pub absence: Duration,
}

impl Default for Validity {
    fn default() -> Self {
        Validity { listing: Duration::from_secs(60), absence: Duration::from_secs(10) }
    }
}

/// An entry taken out of the store by somebody else is still answered from memory for this long.
const HOT: Duration = Duration::from_secs(10);
const HOT_BYTES: u64 = 8 << 20;
const REMEMBERED: usize = 10_000;

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
    flights: Flights<(Kept, Freshness)>,
    examiner: Option<Arc<dyn Examiner>>,
}

pub(super) struct Inner {
    shelf: Shelf,
    source: Arc<dyn Source>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) validity: Validity,
    named: Named,
    hot: Cache<String, (Kept, DateTime<Utc>), Weight>,
    pub(super) refusals: Cache<String, (Error, DateTime<Utc>)>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, (Kept, DateTime<Utc>)> for Weight {
    fn weight(&self, key: &String, (kept, _): &(Kept, DateTime<Utc>)) -> u64 {
        // A parsed resolution takes about as much again as its text.
        2 * kept.blob.size() + key.len() as u64 + 256
    }
}

/// What a source said, ready for the store.
struct Brought {
    body: Body,
    h1: Option<String>,
    lasting: bool,
    /// The version that a query or `latest` stands for: asked for next.
    names: Option<Info>,
}

impl Cached {
    pub fn new(
        shelf: Shelf,
        source: Arc<dyn Source>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        validity: Validity,
    ) -> Cached {
        let hot = Cache::with_weighter(4096, HOT_BYTES, Weight);
        let refusals = Cache::new(REMEMBERED);
        let inner = Inner { shelf, source, store, clock, validity, named: Named::Asked, hot, refusals };
        Cached { inner: Arc::new(inner), flights: Flights::default(), examiner: None }
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

    /// The upstream's name.
    pub fn name(&self) -> &str {
        self.inner.shelf.name()
    }

    /// Where its answers stand in the store.
    pub fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    /// The kept answer if it is fresh, else the upstream's, else the stale one.
    pub async fn ask(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Entry> {
        let inner = &self.inner;
        let key = inner.key(module, question);
        let now = inner.clock.now();
        if let Some(kept) = inner.hot(&key, now) {
            return Ok(kept.entry(Freshness::Fresh, now));
        }
        if reach == Reach::Cache {
            return inner.clone().only_kept(key, now).await?.ok_or_else(|| {
                Error::not_found("not kept here, and the request forbids fetching").about(question.subject(module))
            });
        }
        let (kept, freshness) =
            self.flights.join(&key, || inner.clone().answer(key.clone(), module.clone(), question.clone())).await?;
        Ok(kept.entry(freshness, inner.clock.now()))
    }
}

impl Inner {
    pub(super) fn key(&self, module: &ModulePath, question: &Question) -> String {
        format!("upstream/{}/{}/{}", self.shelf.as_str(), module.escaped(), question.address())
    }

    pub(super) fn hot(&self, key: &str, now: DateTime<Utc>) -> Option<Kept> {
        let (kept, since) = self.hot.get(key)?;
        let recent = (now - since).to_std().is_ok_and(|age| age < HOT);
        (recent && kept.is_fresh(now, self.validity.listing)).then_some(kept)
    }

    fn keep_hot(&self, key: &str, kept: &Kept) {
        if kept.blob.size() <= SMALL {
            self.hot.insert(key.to_owned(), (kept.clone(), self.clock.now()));
        }
    }

    async fn only_kept(self: Arc<Self>, key: String, now: DateTime<Utc>) -> Result<Option<Entry>> {
        let validity = self.validity.listing;
        let Some(kept) = self.read(key).await? else { return Ok(None) };
        let freshness = if kept.is_fresh(now, validity) { Freshness::Fresh } else { Freshness::Stale };
        Ok(Some(kept.entry(freshness, now)))
    }

    async fn read(self: Arc<Self>, key: String) -> Result<Option<Kept>> {
        blocking(move || match self.store.get(&key)? {
            Some(stored) => Kept::read(&key, stored),
            None => Ok(None),
        })
        .await
    }

    async fn answer(self: Arc<Self>, key: String, module: ModulePath, question: Question) -> Result<(Kept, Freshness)> {
        let kept = self.clone().read(key.clone()).await?;
        let now = self.clock.now();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(now, self.validity.listing)) {
            self.keep_hot(&key, kept);
            return Ok((kept.clone(), Freshness::Fresh));
        }
        let asked = match self.refusal(&key, now) {
            Some(error) => Err(error),
            None => self.bring(&module, &question).await.inspect_err(|error| self.remember(&key, error, &kept)),
        };
        match (asked, kept) {
            (Ok(brought), kept) => {
                let freshness = if kept.is_some() { Freshness::Revalidated } else { Freshness::Absent };
                Ok((self.keep(key, module, brought, kept).await?, freshness))
            }
            (Err(error), Some(kept)) if !error.is_absence() => {
                tracing::warn!(upstream = self.shelf.name(), subject = question.subject(&module), %error, "serving what is stale");
                Ok((kept, Freshness::Stale))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn refusal(&self, key: &str, now: DateTime<Utc>) -> Option<Error> {
        let (error, since) = self.refusals.get(key)?;
        (now - since).to_std().is_ok_and(|age| age < self.validity.absence).then_some(error)
    }

    /// A failure with nothing kept is not remembered: the next client may have more luck.
    fn remember(&self, key: &str, error: &Error, kept: &Option<Kept>) {
        if error.is_absence() || kept.is_some() {
            self.refusals.insert(key.to_owned(), (error.clone(), self.clock.now()));
        }
    }

    async fn bring(&self, module: &ModulePath, question: &Question) -> Result<Brought> {
        tracing::debug!(
            upstream = self.shelf.name(),
            what = question.name(),
            subject = question.subject(module),
            "asking"
        );
        match question {
            Question::List => {
                let versions = self.source.list(module).await?.what;
                let text: String = versions.iter().map(|version| format!("{version}\n")).collect();
                Ok(Brought { body: Body::Bytes(text.into()), h1: None, lasting: false, names: None })
            }
            Question::Latest => {
                let info = self.source.latest(module).await?.what;
                let body = Body::Bytes(info.to_json().into());
                Ok(Brought { body, h1: None, lasting: false, names: Some(info) })
            }
            Question::Info(query) => Ok(Brought::resolution(query, self.source.info(module, query).await?.what)),
            Question::GoMod(version) => Ok(Brought::content(self.source.go_mod(module, version).await?)),
            Question::Zip(version) => Ok(Brought::content(self.source.zip(module, version).await?)),
        }
    }

    /// Puts an answer into the store and gives what the store made of it.
    async fn keep(
        self: Arc<Self>,
        key: String,
        module: ModulePath,
        brought: Brought,
        before: Option<Kept>,
    ) -> Result<Kept> {
        blocking(move || {
            let now = self.clock.now();
            let Brought { body, h1, lasting, names } = brought;
            let mut meta = Meta { fetched_at: now, checked_at: now, lasting, h1 };
            let same = before.filter(|before| is_same(&body, before));
            let kept = match same {
                Some(before) => {
                    meta.fetched_at = before.meta.fetched_at;
                    // The entry may have been evicted meanwhile; then this answer is simply not kept.
                    self.store.put_meta(&key, &meta.to_json())?;
                    Kept { meta, ..before }
                }
                None => {
                    let stored = self.store.put(&key, &meta.to_json(), body)?;
                    let unreadable = || Error::internal("the store did not give back what was put");
                    Kept::read(&key, stored)?.ok_or_else(unreadable)?
                }
            };
            if let Some(info) = names.filter(|_| self.named == Named::Kept) {
                self.keep_named(&module, info, now)?;
            }
            self.keep_hot(&key, &kept);
            Ok(kept)
        })
        .await
    }

    /// Makes the version that a query stands for known under its own name too.
    fn keep_named(&self, module: &ModulePath, info: Info, now: DateTime<Utc>) -> Result<()> {
        let Some(version) = Version::parse(&info.version) else { return Ok(()) };
        let key = self.key(module, &Question::Info(Query::Version(version.clone())));
        // A verdict that is only good for a while gives way: the tags may have changed since.
        let kept = self.store.get(&key)?.map(|stored| Kept::read(&key, stored)).transpose()?.flatten();
        if kept.is_some_and(|kept| kept.meta.lasting) {
            return Ok(());
        }
        let origin = info.origin.map(|origin| origin_of_version(origin, &version));
        let resolution = Resolution::valid(version.as_str(), Info { origin, ..info });
        let meta = Meta { fetched_at: now, checked_at: now, lasting: true, h1: None };
        self.store.put(&key, &meta.to_json(), Body::Bytes(resolution_json(&resolution)))?;
        self.hot.remove(&key);
        self.refusals.remove(&key);
        Ok(())
    }
}

/// What an answer for a version rests on, as the go command keeps it (`writeDiskStat`): not on the
/// tags, and for a pseudo-version not on the ref by which it was found.
fn origin_of_version(origin: Origin, version: &Version) -> Origin {
    let reference = if version.is_pseudo() { String::new() } else { origin.reference };
    let none = String::new;
    Origin { reference, tag_sum: none(), tag_prefix: none(), repo_sum: none(), ..origin }
}

fn is_same(body: &Body, before: &Kept) -> bool {
    match body {
        Body::Bytes(bytes) => Sha256::digest(bytes).as_slice() == before.blob.sha256(),
        Body::File(_) => false,
    }
}

impl Brought {
    fn resolution(query: &Query, resolution: Resolution) -> Brought {
        let named_itself = resolution.right.version == query.as_str();
        Brought {
            body: Body::Bytes(resolution_json(&resolution)),
            h1: None,
            lasting: query.is_version() && resolution.is_valid(),
            names: (!named_itself).then_some(resolution.right),
        }
    }

    fn content(told: Told<Content>) -> Brought {
        let content = told.what;
        Brought { body: content.body, h1: content.h1, lasting: true, names: None }
    }
}

fn resolution_json(resolution: &Resolution) -> Bytes {
    serde_json::to_vec(resolution).expect("strings and times always serialize").into()
}

/// Runs store work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on the store was cut short").because(cause)),
    }
}
