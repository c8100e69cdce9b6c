//! The go command's direct mode: a module path leads to a repository, and `vet` says what is in it.
//! Each question runs in one blocking job over one snapshot of the refs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::borrow;
use super::hearing::Hearings;
use crate::error::{Error, Result};
use crate::ports::{Body, Content, Examiner, Heard, Repo, Source, Store, Told, Validators, Via};
use crate::spec::dirhash;
use crate::spec::examination::Examination;
use crate::spec::info::Info;
use crate::spec::location::{Location, LocationKind};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::refs::Refs;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;
use crate::vet::budget::Budget;
use crate::vet::build;
use crate::vet::module::Module;
use crate::vet::place::Place;
use crate::vet::revision::Snapshot;

/// Finds the repository of a module path.
pub type Locate = dyn Fn(ModulePath) -> BoxFuture<'static, Result<Location>> + Send + Sync;
/// Opens the repository at a URL; called on a blocking thread.
pub type OpenRepo = dyn Fn(&str) -> Result<Box<dyn Repo>> + Send + Sync;
/// The module proxy at a URL that a go-import tag names.
pub type OpenProxy = dyn Fn(&str) -> Result<Arc<dyn Source>> + Send + Sync;

/// However old the refs are, they will do.
const ANY_AGE: Duration = Duration::MAX;

/// From refs older than this nobody is told that a revision is unknown, however long lists hold: it may just have been pushed.
const UNKNOWN_AGE: Duration = Duration::from_secs(10);

/// A `Source` over git repositories.
pub struct Direct {
    /// Under which its verdicts are kept.
    pub shelf: String,
    pub locate: Arc<Locate>,
    pub open: Arc<OpenRepo>,
    pub open_proxy: Arc<OpenProxy>,
    pub store: Arc<dyn Store>,
    /// How many questions may be at work at once: each holds a blocking thread, also while it waits for the network.
    pub turns: Arc<Semaphore>,
    /// What may be held in memory by all zips that are being built.
    pub memory: Arc<Budget>,
    /// How old refs may be for lists, branches and hashes.
    pub list_validity: Duration,
    /// Who asks for refs.
    pub hearings: Arc<Hearings>,
}

/// A verdict and the tags that it rests on: as long as those are the same, nobody walks again.
#[derive(Serialize, Deserialize)]
struct Verdict {
    tag_sum: String,
    resolution: Resolution,
}

/// An examination and the refs that it rests on: a revision may have become unreachable.
#[derive(Serialize, Deserialize)]
struct Examined {
    repo_sum: String,
    examination: Examination,
}

/// Where a module path leads.
enum Found {
    Git(Place, At),
    Proxy(Arc<dyn Source>),
}

/// A repository.
struct At {
    url: String,
    /// The path that it is the repository of, where nobody could say whether it is the module's, too.
    guessed_of: Option<String>,
}

#[async_trait]
impl Source for Direct {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        let (place, at) = match self.find(module).await? {
            Found::Git(place, at) => (place, at),
            Found::Proxy(proxy) => return proxy.list(module).await,
        };
        let verdicts = Verdicts { store: self.store.clone(), shelf: self.shelf.clone() };
        self.job(place, at, self.list_validity, move |module, _| {
            let versions = module.versions("")?.versions;
            let below_root = !module.place.folder().is_empty() || !module.place.suffix().is_empty();
            // The go command asks for every parent path of an import; those that are no modules are
            // told from the tree at hand.
            if versions.is_empty() && below_root && !verdicts.any(module.place.module())? {
                match module.latest() {
                    Err(error) if error.is_absence() => return Err(error),
                    _ => {}
                }
            }
            Ok(Told::new(versions, resting_on(&module.snapshot.refs)))
        })
        .await
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        Ok(self.info(module, &Query::Latest).await?.map(|resolution| resolution.right))
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        let (place, at) = match self.find(module).await? {
            Found::Git(place, at) => (place, at),
            Found::Proxy(proxy) => return proxy.info(module, query).await,
        };
        let (asked, query) = (query.clone(), query.clone());
        let told = self.resolve(place, at, asked, move |module, resolution| {
            let settled = query.is_version() && resolution.is_valid();
            let validators = if settled { made_of(&resolution) } else { resting_on(&module.snapshot.refs) };
            Ok(Told::new(resolution, validators))
        });
        match told.await? {
            // What is wrong with a name may be that the mirror lacks a tag.
            told if told.is_doubtful() && !told.what.is_valid() => {
                Err(borrow::out_of_reach(told.via.as_ref()).about(format!("{module}@{}", told.what.asked)))
            }
            told => Ok(told),
        }
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        let (place, at) = match self.find(module).await? {
            Found::Git(place, at) => (place, at),
            Found::Proxy(proxy) => return proxy.go_mod(module, version).await,
        };
        let asked = version.clone();
        self.resolve(place, at, Query::Version(version.clone()), move |module, resolution| {
            must_be(&asked, &resolution)?;
            let bytes: Bytes = module.go_mod(asked.as_str())?;
            let h1 = Some(dirhash::go_mod_h1(&bytes));
            Ok(Told::new(Content { body: Body::Bytes(bytes), h1 }, made_of(&resolution)))
        })
        .await
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        let (place, at) = match self.find(module).await? {
            Found::Git(place, at) => (place, at),
            Found::Proxy(proxy) => return proxy.zip(module, version).await,
        };
        let (asked, store, memory) = (version.clone(), self.store.clone(), self.memory.clone());
        self.resolve(place, at, Query::Version(version.clone()), move |module, resolution| {
            must_be(&asked, &resolution)?;
            let mut file = store.scratch()?;
            let buffered = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
            let (buffered, sums) = build::module_zip(module, &asked, buffered, &memory)?;
            buffered
                .into_inner()
                .map_err(|error| Error::internal("the zip cannot be written").because(error.into_error()))?;
            let what = Content { body: Body::Hashed(file, sums.sha256), h1: Some(sums.h1) };
            Ok(Told::new(what, made_of(&resolution)))
        })
        .await
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        let (place, at) = match self.find(module).await? {
            Found::Git(place, at) => (place, at),
            Found::Proxy(proxy) => return proxy.unchanged(module, question, validators).await,
        };
        let Some(revision) = validators.revision.clone() else { return Ok(false.into()) };
        let version = question.version().cloned();
        let told = self.job(place, at, self.list_validity, move |module, _| {
            if revision == module.snapshot.refs.repo_sum() {
                return Ok(Told::from(true));
            }
            // A pseudo-version's commit may have become unreachable: that is an absence, as for a tag.
            let Some(version) = version else { return Ok(Told::from(false)) };
            Ok(Told::from(module.find(version.as_str())?.commit.id.to_string() == revision))
        });
        match told.await? {
            // That a mirror has not moved on says nothing of its source.
            told if told.what && told.is_doubtful() => {
                Err(borrow::out_of_reach(told.via.as_ref()).about(question.subject(module)))
            }
            told => Ok(told),
        }
    }
}

#[async_trait]
impl Examiner for Direct {
    async fn examine(&self, module: &ModulePath, version: &Version) -> Result<Option<Examination>> {
        let Found::Git(place, at) = self.find(module).await? else { return Ok(None) };
        let verdicts = Verdicts { store: self.store.clone(), shelf: self.shelf.clone() };
        let asked = version.clone();
        self.job(place, at, self.list_validity, move |module, _| verdicts.examine(module, &asked).map(Told::from))
            .await
            .map(|told| Some(told.what))
    }

    async fn hear(&self, module: &ModulePath) -> Result<Option<Heard>> {
        let location = (self.locate)(module.clone()).await?;
        if location.kind != LocationKind::Git {
            return Ok(None);
        }
        let heard = self.hearings.hear_anew(&location.url, &self.open, &self.turns).await;
        let (before, after) = heard.map_err(|error| error.about(module))?;
        Ok(Some(Heard { root: location.root, before, after }))
    }
}

impl Direct {
    async fn find(&self, module: &ModulePath) -> Result<Found> {
        let location = (self.locate)(module.clone()).await?;
        match &location.kind {
            LocationKind::Git => {
                let place = Place::new(module, &location);
                let guessed_of = location.is_guess.then_some(location.root);
                let place = place.map_err(|error| certain(error, guessed_of.as_deref()))?;
                Ok(Found::Git(place, At { url: location.url, guessed_of }))
            }
            LocationKind::Proxy => Ok(Found::Proxy((self.open_proxy)(&location.url)?)),
            LocationKind::Other(system) => {
                Err(Error::not_found(format!("repository is in {system}; only git is served")).about(module))
            }
        }
    }

    /// Runs a question over the repository on a blocking thread, and notes where it was read from.
    async fn job<T: Send + 'static>(
        &self,
        place: Place,
        at: At,
        max_age: Duration,
        question: impl FnOnce(&Module<'_>, &dyn Repo) -> Result<Told<T>> + Send + 'static,
    ) -> Result<Told<T>> {
        let open = self.open.clone();
        let subject = place.module().to_string();
        let heard = self.hearings.hear(&at.url, &self.open, &self.turns, max_age, believed).await;
        heard.map_err(|error| certain(error, at.guessed_of.as_deref()).about(&subject))?;
        let run = move || {
            let repo = open(&at.url)?;
            let refs = repo.refs(max_age)?;
            let module = Module { place: &place, snapshot: Snapshot { repo: &*repo, refs } };
            match question(&module, &*repo) {
                Ok(told) => Ok(told.via(repo.via()).since(repo.heard_at())),
                Err(error) => Err(certain(believed(error, repo.via().as_ref()), at.guessed_of.as_deref())),
            }
        };
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|panic| Error::internal("question over a repository ended early").because(panic))
            .and_then(|result| result)
            .map_err(|error| error.about(subject))
    }

    /// Resolves a query and goes on with what it stands for, over the same refs.
    async fn resolve<T: Send + 'static>(
        &self,
        place: Place,
        at: At,
        query: Query,
        then: impl FnOnce(&Module<'_>, Resolution) -> Result<Told<T>> + Send + 'static,
    ) -> Result<Told<T>> {
        // A tag or a commit that is here already needs no look at the refs.
        let max_age = if query.is_version() { ANY_AGE } else { self.list_validity };
        let verdicts = Verdicts { store: self.store.clone(), shelf: self.shelf.clone() };
        let list_validity = self.list_validity;
        self.job(place, at, max_age, move |module, repo| {
            let first = verdicts.resolve(module, &query);
            let enough = enough(module, &query, &first, list_validity);
            if enough >= max_age {
                return then(module, first?);
            }
            let refs = repo.refs(enough)?;
            if refs == module.snapshot.refs {
                return then(module, first?);
            }
            let module = Module { place: module.place, snapshot: Snapshot { repo, refs } };
            let resolution = verdicts.resolve(&module, &query)?;
            then(&module, resolution)
        })
        .await
    }
}

/// How old the refs may be from which this is told.
fn enough(module: &Module<'_>, query: &Query, told: &Result<Resolution>, list_validity: Duration) -> Duration {
    let is_settled = match told {
        Ok(resolution) => resolution.is_valid(),
        Err(error) => !error.is_absence(),
    };
    if is_settled {
        return ANY_AGE;
    }
    let found = match query {
        Query::Version(version) => module.find(version.as_str()),
        Query::Revision(name) => module.snapshot.find(name),
        Query::Latest | Query::Prefix(_) => return list_validity,
    };
    match found {
        Err(error) if error.is_absence() => list_validity.min(UNKNOWN_AGE),
        _ => list_validity,
    }
}

/// That a mirror lacks something is no absence where its source may have it.
fn believed(error: Error, via: Option<&Via>) -> Error {
    match via {
        Some(doubtful) if error.is_absence() && doubtful.is_doubtful() => {
            let out_of_reach = borrow::out_of_reach(via).what().to_owned();
            let remedy = format!("how it stands: modvet mirror status {}", doubtful.mirror);
            Error::bad_gateway(format!("{}: {out_of_reach}", error.chain())).remedy(remedy)
        }
        _ => error,
    }
}

/// That a repository lacks something is no absence where nobody could say whether it is the right one.
fn certain(error: Error, guessed_of: Option<&str>) -> Error {
    match guessed_of {
        Some(path) if error.is_absence() => {
            let why =
                format!("who says where it is is out of reach, and it was looked for in the repository of {path}");
            Error::bad_gateway(format!("{}: {why}", error.chain()))
        }
        _ => error,
    }
}

/// A branch, a list, what is the latest, and whether a name is wrong rest on any of the refs.
fn resting_on(refs: &Refs) -> Validators {
    Validators { revision: Some(refs.repo_sum()), ..Validators::default() }
}

/// A version's answers are made of its commit.
fn made_of(resolution: &Resolution) -> Validators {
    let commit = resolution.right.origin.as_ref().map(|origin| origin.hash.clone());
    Validators { revision: commit.filter(|hash| !hash.is_empty()), ..Validators::default() }
}

/// Files are to be had under a version's own name only.
fn must_be(asked: &Version, resolution: &Resolution) -> Result<()> {
    let right = &resolution.right.version;
    if resolution.is_valid() && right != asked.as_str() {
        return Err(Error::not_found(format!("unknown version {asked}")).remedy(format!("use {right}")));
    }
    Ok(())
}

/// What was judged before.
struct Verdicts {
    store: Arc<dyn Store>,
    shelf: String,
}

impl Verdicts {
    fn resolve(&self, module: &Module<'_>, query: &Query) -> Result<Resolution> {
        let Query::Version(version) = query else { return module.resolve(query) };
        if !version.is_pseudo() {
            return module.resolve(query);
        }
        let key = format!("{}{}", self.prefix(module.place.module()), version.escaped());
        // All tags: for a module in a folder a tag of the root on the same commit counts too.
        let tag_sum = module.snapshot.refs.tag_sum("");
        if let Some(stored) = self.store.get(&key)?
            && let Ok(verdict) = serde_json::from_slice::<Verdict>(&stored.meta)
            && verdict.tag_sum == tag_sum
        {
            return Ok(verdict.resolution);
        }
        let resolution = module.resolve(query)?;
        // Of wrong names there are as many as somebody makes up; those are kept as entries, which go when room is needed.
        if !resolution.is_valid() {
            return Ok(resolution);
        }
        let verdict = Verdict { tag_sum, resolution };
        let meta =
            serde_json::to_vec(&verdict).map_err(|e| Error::internal("verdict does not serialize").because(e))?;
        self.store.put(&key, &meta, Body::Bytes(Bytes::new()))?;
        Ok(verdict.resolution)
    }

    /// The examination of a version, kept with the sum over all refs: the same refs, no walk.
    fn examine(&self, module: &Module<'_>, version: &Version) -> Result<Examination> {
        let module_path = module.place.module();
        let key = format!("examination/{}/{}/@v/{}", self.shelf, module_path.escaped(), version.escaped());
        let repo_sum = module.snapshot.refs.repo_sum();
        if let Some(stored) = self.store.get(&key)?
            && let Ok(examined) = serde_json::from_slice::<Examined>(&stored.meta)
            && examined.repo_sum == repo_sum
        {
            return Ok(examined.examination);
        }
        let examination = module.examine(version)?;
        if !examination.faults.is_empty() {
            return Ok(examination);
        }
        let examined = Examined { repo_sum, examination };
        let meta =
            serde_json::to_vec(&examined).map_err(|e| Error::internal("examination does not serialize").because(e))?;
        self.store.put(&key, &meta, Body::Bytes(Bytes::new()))?;
        Ok(examined.examination)
    }

    /// Whether any version of a module was ever judged.
    fn any(&self, module: &ModulePath) -> Result<bool> {
        let mut any = false;
        self.store.scan(&self.prefix(module), &mut |_, _| {
            any = true;
            false
        })?;
        Ok(any)
    }

    fn prefix(&self, module: &ModulePath) -> String {
        format!("verdict/{}/{}/@v/", self.shelf, module.escaped())
    }
}
