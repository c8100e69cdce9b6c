//! Upstreams and registries from their definitions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::runtime::Handle;
use url::Url;

use super::alternates::{Alternates, GitMirrors};
use super::environment;
use super::identity::Identity;
use crate::access::Ledgers;
use crate::access::rules::Rulebook;
use crate::config::MirrorSettings;
use crate::error::{Error, Kind, Result};
use crate::git::{Options, Repositories};
use crate::http::site::Counter;
use crate::net::{Client, Credential, CredentialKind, Renew, Secret, Trust};
use crate::ports::{Clock, Examiner, Line, Repo, Source, Store, Sumdb};
use crate::registry::catalog::{Build, Offer, Tested};
use crate::registry::definition::{
    Auth, AuthScheme, RegistryDefinition, SecretRef, Timeouts, UpstreamDefinition, UpstreamKind,
};
use crate::registry::direct::{Direct, Locate};
use crate::registry::shelf;
use crate::registry::{
    Book, Cached, ChecksumDatabase, Demand, Gates, Judgement, Member, Named, Proofs, Prover, Registry, Shelf,
    SightBook, Validity,
};
use crate::spec::database::Verify;
use crate::spec::path::ModulePath;
use crate::sumdb;
use crate::upstream::probe::{self, Probed};
use crate::upstream::{
    DirLine, DirSource, Discover, Discreet, Failing, GitLine, HasMirror, Limits, Located, ProxyLine, ProxySource,
};
use crate::vet::budget::Budget;
use crate::vet::mode::Policy;

/// Questions over git at a time for one upstream, well below the runtime's blocking threads.
const GIT_JOBS: usize = 64;

/// What may be held in memory by all zips that are being built, in bytes.
const BUILDING: u64 = 24 << 20;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Clients, for as long as the server runs.
    Clients,
    /// A command that ends with its answer.
    Command,
}

/// Names adapters; what it makes is kept by the catalog.
pub struct Builder {
    pub asker: Asker,
    pub identity: Identity,
    /// Without credentials: every upstream has a view of its own.
    pub client: Client,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub folders: Arc<Folders>,
    pub ledgers: Arc<Ledgers>,
    pub scratch: PathBuf,
    /// The checksum databases that are passed on and asked.
    pub databases: Arc<sumdb::Databases>,
    /// What files are held against them, and whether they are.
    pub proofs: Arc<Proofs>,
    pub verify: Verify,
    /// What they are never asked for, as GOPRIVATE patterns.
    pub private: String,
    /// What may pass.
    pub rulebook: Arc<Rulebook>,
    /// The mirrors that upstreams read from.
    pub alternates: Alternates,
    /// What the client is made from.
    pub mark: String,
}

/// The repositories of git upstreams, each upstream's below `git/SHELF/`. They stay over changes of the
/// configuration: jobs that still run hold locks in them.
pub struct Folders {
    root: PathBuf,
    client: Client,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    open: Mutex<HashMap<String, Arc<Repositories>>>,
    /// What registries wrote down of modules: one book for each, whoever reads in it.
    books: Mutex<HashMap<String, Arc<Book>>>,
    /// When they first saw versions.
    sights: Mutex<HashMap<String, Arc<SightBook>>>,
    /// The shelves on which nothing is half done any more.
    settled: Mutex<HashSet<String>>,
    /// What all who build zips may hold.
    memory: Arc<Budget>,
}

impl Folders {
    pub fn new(store: &Path, client: Client, clock: Arc<dyn Clock>) -> Folders {
        let (root, runtime) = (store.join("git"), Handle::current());
        let (open, books, sights, settled) = Default::default();
        let memory = Arc::new(Budget::new(BUILDING));
        Folders { root, client, clock, runtime, open, books, sights, settled, memory }
    }

    /// The book of a registry.
    fn book(&self, registry: &str, store: &Arc<dyn Store>) -> Arc<Book> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Book::new(registry, store.clone(), self.clock.clone());
        books.entry(registry.to_owned()).or_insert_with(new).clone()
    }

    /// The first sights of a registry.
    fn sights(&self, registry: &str, store: &Arc<dyn Store>) -> Arc<SightBook> {
        let mut sights = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        sights.entry(registry.to_owned()).or_insert_with(|| SightBook::new(registry, store.clone())).clone()
    }

    /// Ends what an earlier process did by half; what this one is at is nobody else's business.
    fn settle(&self, cached: &Cached) {
        let first = |shelves: &mut HashSet<String>| shelves.insert(cached.shelf().as_str().to_owned());
        if first(&mut self.settled.lock().unwrap_or_else(PoisonError::into_inner))
            && let Err(error) = cached.settle()
        {
            tracing::error!(upstream = cached.name(), %error, "half replaced until the next start");
        }
    }

    /// Whether an upstream has repositories, by its shelf.
    pub fn has(&self, shelf: &str) -> bool {
        self.root.join(shelf).is_dir()
    }

    /// The shelves that there are repositories of, also of upstreams that are no more.
    pub fn shelves(&self) -> Vec<String> {
        let folders = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(shelf::MARK)).collect()
    }

    /// The repositories of an upstream, by its shelf.
    pub fn of(&self, shelf: &str) -> Arc<Repositories> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (client, clock, runtime) = (self.client.clone(), self.clock.clone(), self.runtime.clone());
            Arc::new(Repositories::new(self.root.join(shelf), client, clock, runtime, Options::default()))
        };
        open.entry(shelf.to_owned()).or_insert_with(new).clone()
    }
}

/// What another proxy is reached with.
#[derive(Clone)]
struct Proxies {
    client: Client,
    pseudonym: String,
    scratch: PathBuf,
}

impl Proxies {
    fn open(&self, url: Url, trust: Trust) -> Result<ProxySource> {
        ProxySource::new(self.client.clone(), url, trust, &self.scratch, Limits::default())?.via(&self.pseudonym)
    }
}

#[async_trait]
impl Build<Counter> for Builder {
    fn mark(&self) -> String {
        self.mark.clone()
    }

    fn mark_of(&self, definition: &UpstreamDefinition) -> String {
        self.alternates.mark_of(definition)
    }

    fn secret(&self, reference: &SecretRef) -> Result<Secret> {
        environment::secret(reference).map(Secret::new)
    }

    fn upstream(&self, definition: &UpstreamDefinition, secret: Option<Secret>) -> Result<Offer> {
        let shelf = shelf(definition);
        let client = self.view(definition, secret)?;
        let proxies = self.proxies(&client);
        let line = line(definition, &client);
        let mut examiner: Option<Arc<dyn Examiner>> = None;
        let mut sumdb: Option<Arc<dyn Sumdb>> = None;
        let source: Arc<dyn Source> = match &definition.kind {
            UpstreamKind::Git => {
                let mirrors = self.mirrors(definition, &client);
                let direct = Arc::new(self.direct(definition, &shelf, client.clone(), proxies, mirrors));
                examiner = Some(Arc::new(Discreet::new(direct.clone(), client.clone())));
                direct
            }
            UpstreamKind::Proxy(url) => {
                let proxy = Arc::new(proxies.open(url.clone(), Trust::Named)?);
                sumdb = Some(Arc::new(Discreet::new(proxy.clone(), client.clone())));
                self.alternates.of_proxy(definition, proxy)
            }
            UpstreamKind::Dir(folder) => Arc::new(DirSource::new(folder, &self.scratch, Limits::default())),
        };
        let cached = self.cached(definition, shelf, Arc::new(Discreet::new(source, client)));
        let cached = match examiner {
            Some(examiner) => cached.examined_by(examiner),
            None => cached,
        };
        Ok(Offer { cached: Arc::new(cached), judgement: judgement(definition), sumdb, line: Some(line) })
    }

    fn failing(&self, definition: &UpstreamDefinition, error: Error) -> Offer {
        let failing = Arc::new(Failing::new(error));
        let cached = Arc::new(self.cached(definition, shelf(definition), failing.clone()));
        Offer { cached, judgement: judgement(definition), sumdb: None, line: Some(failing) }
    }

    fn registry(
        &self,
        definition: &RegistryDefinition,
        policy: Policy,
        members: Vec<Member>,
        proxies: Vec<(String, Arc<dyn Sumdb>)>,
        private: &str,
    ) -> Counter {
        let book = self.folders.book(&definition.name, &self.store);
        // A private name must not reach the checksum database behind a public proxy either.
        let of = |name: &str| members.iter().find(|member| member.source.name() == name);
        let proxies: Vec<sumdb::Proxy> = proxies
            .into_iter()
            .filter_map(|(name, sumdb)| {
                let member = of(&name)?;
                let (shelf, scope) = (member.source.shelf().as_str().to_owned(), member.scope.clone());
                Some(sumdb::Proxy { name, shelf, sumdb, scope })
            })
            .collect();
        let private = [private, &self.private].into_iter().filter(|patterns| !patterns.is_empty());
        let not_modules = private.collect::<Vec<_>>().join(",");
        let passed = Arc::new(sumdb::Passed::new(self.databases.clone(), proxies, &not_modules));
        let sights = self.folders.sights(&definition.name, &self.store);
        let gates = Gates::new(self.rulebook.clone(), sights, &not_modules);
        let mut registry = Registry::new(&definition.name, policy, members, book).with_rules(gates);
        registry = registry.with_ledger(self.ledgers.of(&definition.name));
        if let Some(first) = self.databases.first() {
            let (name, records) = (first.name().to_owned(), passed.clone());
            registry = registry.with_database(ChecksumDatabase { name, records, not_modules });
        }
        if let Some(demand) = Demand::of(self.verify) {
            registry = registry.with_prover(Prover::new(self.proofs.clone(), passed.clone(), demand));
        }
        Counter { registry, sumdb: passed }
    }

    fn forget(&self, registry: &str) {
        self.folders.books.lock().unwrap_or_else(PoisonError::into_inner).remove(registry);
    }

    async fn admit(&self, definition: &UpstreamDefinition) -> Result<()> {
        self.identity.refuse(definition).await
    }

    async fn test(
        &self,
        definition: &UpstreamDefinition,
        secret: Option<Secret>,
        module: Option<&ModulePath>,
    ) -> Result<Tested> {
        let client = self.view(definition, secret)?;
        let start = Instant::now();
        let probed = match &definition.kind {
            UpstreamKind::Git => {
                let discover = Discover::new(client.clone(), self.clock.clone());
                let repositories = self.folders.of(shelf(definition).as_str()).with(client.clone());
                let refs = |url: String| {
                    let repository = repositories.open(&url, Trust::Found)?;
                    let refs = tokio::task::block_in_place(|| repository.refs(Duration::ZERO))?;
                    Ok(refs.iter().count())
                };
                probe::git(&client, &discover, module, &refs).await
            }
            UpstreamKind::Proxy(url) => probe::proxy(&client, url, module).await,
            UpstreamKind::Dir(folder) => probe::dir(folder, module, definition.timeouts.first_byte).await,
        };
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Probed { ok, kind, status, what, remedy } = probed;
        let what = client.without_secrets(&what);
        let remedy = remedy.iter().map(|line| client.without_secrets(line)).collect();
        Ok(Tested { ok, kind: kind.to_owned(), status, ms, what, remedy })
    }
}

impl Builder {
    /// An upstream's own view of the client.
    fn view(&self, definition: &UpstreamDefinition, secret: Option<Secret>) -> Result<Client> {
        let view = self.view_of(definition.auth.as_ref(), secret, definition.timeouts)?;
        Ok(match definition.requests {
            Some(requests) => view.at_once(requests as usize),
            None => view,
        })
    }

    /// A view of the client that knows who we are to one place and no other.
    pub fn view_of(&self, auth: Option<&Auth>, secret: Option<Secret>, timeouts: Timeouts) -> Result<Client> {
        let credentials = match (auth, secret) {
            (Some(auth), Some(secret)) => vec![credential(auth, secret)?],
            _ => Vec::new(),
        };
        // Only a file may hold something else by now.
        let auth = auth.cloned().filter(|auth| matches!(auth.secret, SecretRef::File(_)));
        let renew = auth.map(|auth| {
            Renew(Arc::new(move || {
                let secret = environment::secret(&auth.secret).map(Secret::new)?;
                Ok(vec![credential(&auth, secret)?])
            }))
        });
        Ok(self.client.with(credentials, renew, timeouts.first_byte, timeouts.total))
    }

    /// Another proxy, that the configuration names.
    pub fn proxy(&self, url: &Url, client: &Client) -> Result<Arc<dyn Source>> {
        let proxy = self.proxies(client).open(url.clone(), Trust::Named)?;
        Ok(Arc::new(Discreet::new(Arc::new(proxy), client.clone())))
    }

    /// The modules' own repositories, which are kept on a shelf.
    pub fn git(&self, definition: &UpstreamDefinition, shelf: &Shelf, client: &Client) -> Arc<dyn Source> {
        let direct = self.direct(definition, shelf, client.clone(), self.proxies(client), Arc::default());
        Arc::new(Discreet::new(Arc::new(direct), client.clone()))
    }

    fn proxies(&self, client: &Client) -> Proxies {
        let (pseudonym, scratch) = (self.identity.pseudonym().to_owned(), self.scratch.clone());
        Proxies { client: client.clone(), pseudonym, scratch }
    }

    fn cached(&self, definition: &UpstreamDefinition, shelf: Shelf, source: Arc<dyn Source>) -> Cached {
        let named = if judgement(definition) == Judgement::Own { Named::Asked } else { Named::Kept };
        let validity = Validity {
            content: definition.cache_validity,
            listing: definition.list_validity,
            listing_max_stale: definition.list_max_stale,
            ..Validity::default()
        };
        let validity = match self.asker {
            Asker::Clients => validity,
            Asker::Command => validity.of_command(),
        };
        let cached = Cached::new(shelf, source, self.store.clone(), self.clock.clone(), validity);
        self.folders.settle(&cached);
        cached.named(named).on_change(definition.on_change)
    }

    /// The mirrors that a git upstream reads from.
    fn mirrors(&self, definition: &UpstreamDefinition, client: &Client) -> Arc<GitMirrors> {
        let view = |mirror: &MirrorSettings| {
            let auth = mirror.mirror_auth.as_ref();
            let secret = auth.map(|auth| environment::secret(&auth.secret).map(Secret::new)).transpose();
            self.view_of(auth, secret?, definition.timeouts)
        };
        Arc::new(self.alternates.of_git(definition, client, view))
    }

    /// Finds repositories; of those that have a mirror also while nobody says where they are.
    fn locate(&self, shelf: &Shelf, client: &Client, mirrors: &Arc<GitMirrors>) -> Arc<Locate> {
        let discover = Arc::new(Discover::new(client.clone(), self.clock.clone()));
        if mirrors.is_empty() {
            return Arc::new(move |module| {
                let discover = discover.clone();
                Box::pin(async move { discover.locate(&module).await })
            });
        }
        let (mirrors, client) = (mirrors.clone(), client.clone());
        let has_mirror: Arc<HasMirror> = Arc::new(move |url| mirrors.of(&client, url).is_some());
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let located = Arc::new(Located::new(discover, store, clock, shelf.as_str(), has_mirror));
        Arc::new(move |module| {
            let located = located.clone();
            Box::pin(async move { located.locate(&module).await })
        })
    }

    fn direct(
        &self,
        definition: &UpstreamDefinition,
        shelf: &Shelf,
        client: Client,
        proxies: Proxies,
        mirrors: Arc<GitMirrors>,
    ) -> Direct {
        let locate = self.locate(shelf, &client, &mirrors);
        let repositories = self.folders.of(shelf.as_str()).with(client.clone());
        Direct {
            shelf: shelf.as_str().to_owned(),
            locate,
            open: Arc::new(move |url| {
                let repo = repositories.open_by(url, Trust::Found, mirrors.of(&client, url))?;
                Ok(repo as Box<dyn Repo>)
            }),
            open_proxy: Arc::new(move |url| {
                let url = Url::parse(url).map_err(|error| {
                    Error::new(Kind::BadGateway, format!("go-import names a module proxy at {url:?}")).because(error)
                })?;
                Ok(Arc::new(proxies.open(url, Trust::Found)?))
            }),
            store: self.store.clone(),
            turns: Arc::new(tokio::sync::Semaphore::new(GIT_JOBS)),
            memory: self.folders.memory.clone(),
            list_validity: definition.list_validity,
            hearings: Arc::default(),
        }
    }
}

/// The way to an upstream; `client` is its own view.
fn line(definition: &UpstreamDefinition, client: &Client) -> Arc<dyn Line> {
    let client = client.clone();
    match &definition.kind {
        UpstreamKind::Git => Arc::new(GitLine::new(client, definition.auth.as_ref().map(|auth| auth.host.clone()))),
        UpstreamKind::Proxy(url) => Arc::new(ProxyLine::new(client, url.clone(), definition.auth.is_some())),
        UpstreamKind::Dir(folder) => Arc::new(DirLine::new(folder.clone(), definition.timeouts.first_byte)),
    }
}

fn judgement(definition: &UpstreamDefinition) -> Judgement {
    match definition.kind {
        UpstreamKind::Git => Judgement::Own,
        UpstreamKind::Proxy(_) | UpstreamKind::Dir(_) => Judgement::Believed,
    }
}

fn shelf(definition: &UpstreamDefinition) -> Shelf {
    Shelf::new(&definition.name, definition.kind.word(), &definition.kind.address())
}

fn credential(auth: &Auth, secret: Secret) -> Result<Credential> {
    let kind = match &auth.scheme {
        AuthScheme::Basic { username } => CredentialKind::Basic { username: username.clone(), password: secret },
        AuthScheme::Bearer => CredentialKind::Bearer(secret),
        AuthScheme::Header { name } => CredentialKind::Header {
            name: name.parse().map_err(|_| Error::gone(format!("auth.header: {name:?} (expected a header's name)")))?,
            value: secret,
        },
    };
    Ok(Credential { host: auth.host.clone(), kind })
}
