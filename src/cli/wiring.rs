//! The wiring: settings become adapters, here and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::{self, AuthScheme, Settings, Upstream, UpstreamKind};
use crate::error::{Error, Kind, Result};
use crate::git::{Options, Repositories};
use crate::net::{self, AllowInsecure, AllowPrivate, Client, Credential, CredentialKind, InsteadOf, Secret, Trust};
use crate::ports::{Clock, Examiner, Repo, Source, Store};
use crate::registry::direct::Direct;
use crate::registry::{Book, Cached, ChecksumDatabase, Judgement, Member, Named, OnFailure, Registry, Shelf, Validity};
use crate::spec::scope::Scope;
use crate::store::{self, SledStore};
use crate::sumdb;
use crate::upstream::{DirSource, Discover, Limits, ProxySource};
use crate::vet::mode::Policy;

use super::clock::SystemClock;
use super::{environment, identity};

/// Questions over git at a time for one upstream, well below the runtime's blocking threads.
const GIT_JOBS: usize = 64;

/// What happens if another process holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Refuse,
    /// Waits until it is let go.
    Wait,
}

/// All that a command works with.
pub struct Works {
    pub registry: Registry,
    pub sumdbs: Vec<sumdb::Proxy>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

/// The runtime of every command.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Error::internal("the runtime does not start").because(error))
}

/// The kind of an upstream in a word.
pub fn kind(upstream: &Upstream) -> &'static str {
    match upstream.kind {
        UpstreamKind::Git => "git",
        UpstreamKind::Proxy(_) => "proxy",
        UpstreamKind::Dir(_) => "dir",
    }
}

/// Opens the store and connects everything to it.
pub async fn open(settings: Settings, lock: Lock) -> Result<Works> {
    open_as(&identity::pseudonym(), settings, lock).await
}

/// The same under a name of the caller's to other proxies.
pub async fn open_as(pseudonym: &str, settings: Settings, lock: Lock) -> Result<Works> {
    let client = client(&settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(settings.store_path.clone(), settings.spill, lock).await?;
    connect(&settings, client, clock, store, pseudonym)
}

async fn open_store(folder: PathBuf, spill: u64, lock: Lock) -> Result<Arc<dyn Store>> {
    let opening = move || {
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::gone(format!("{}: the store's folder cannot be made", folder.display())).because(error)
        })?;
        let wait = match lock {
            Lock::Refuse => Duration::ZERO,
            Lock::Wait => Duration::from_secs(600),
        };
        SledStore::open(&folder, store::Options { spill, wait, ..store::Options::default() })
    };
    let opened = tokio::task::spawn_blocking(opening).await;
    let store = Arc::new(opened.map_err(|error| Error::internal("opening the store ended early").because(error))??);
    let sweeping = store.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = sweeping.sweep() {
            tracing::warn!(%error, "leftovers of an earlier run stay in the store");
        }
    });
    Ok(store)
}

fn connect(
    settings: &Settings,
    client: Client,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    pseudonym: &str,
) -> Result<Works> {
    let discover = Arc::new(Discover::new(client.clone(), clock.clone()));
    let root = settings.store_path.join("git");
    let runtime = tokio::runtime::Handle::current();
    let repositories = Arc::new(Repositories::new(root, client.clone(), clock.clone(), runtime, Options::default()));
    let proxies = Proxies { client, pseudonym: pseudonym.to_owned(), scratch: settings.store_path.join("tmp") };
    let mut members = Vec::new();
    let mut sumdbs: Vec<sumdb::Proxy> = Vec::new();
    for upstream in &settings.upstreams {
        let shelf = shelf(upstream);
        let mut examiner: Option<Arc<dyn Examiner>> = None;
        let (source, judgement): (Arc<dyn Source>, _) = match &upstream.kind {
            UpstreamKind::Git => {
                let direct = Arc::new(direct(upstream, &shelf, &discover, &repositories, &proxies, &store));
                examiner = Some(direct.clone());
                (direct, Judgement::Own)
            }
            UpstreamKind::Proxy(url) => {
                let proxy = Arc::new(proxies.open(url.clone(), Trust::Named)?);
                let scope = Scope::new(upstream.modules.as_str(), upstream.not_modules.as_str());
                sumdbs.push(sumdb::Proxy { name: upstream.name.clone(), sumdb: proxy.clone(), scope });
                (proxy, Judgement::Believed)
            }
            UpstreamKind::Dir(folder) => {
                (Arc::new(DirSource::new(folder, &proxies.scratch, Limits::default())), Judgement::Believed)
            }
        };
        let named = if judgement == Judgement::Own { Named::Asked } else { Named::Kept };
        let validity = Validity { listing: upstream.list_validity, ..Validity::default() };
        let cached = Cached::new(shelf, source, store.clone(), clock.clone(), validity).named(named);
        members.push(Member {
            source: Arc::new(match examiner {
                Some(examiner) => cached.examined_by(examiner),
                None => cached,
            }),
            on_failure: if upstream.go_on_after_failure { OnFailure::GoOn } else { OnFailure::Stop },
            judgement,
            scope: Scope::new(upstream.modules.as_str(), upstream.not_modules.as_str()),
            shared: false,
        });
    }
    let policy = Policy { mode: settings.mode, refuse_mod: settings.refuse_mod };
    let book = Book::new("default", store.clone(), clock.clone());
    let mut registry = Registry::new("default", policy, members, book);
    if let Some((name, not_modules)) = environment::checksum_database() {
        let records = Arc::new(sumdb::Passed::new(sumdbs.clone(), store.clone(), clock.clone()));
        registry = registry.with_database(ChecksumDatabase { name, records, not_modules });
    }
    Ok(Works { registry, sumdbs, store, clock })
}

fn shelf(upstream: &Upstream) -> Shelf {
    let address = match &upstream.kind {
        UpstreamKind::Git => String::new(),
        UpstreamKind::Dir(folder) => folder.to_string_lossy().into_owned(),
        UpstreamKind::Proxy(url) => {
            let mut plain = url.clone();
            // An http address has room for a user, so neither can fail.
            let _ = plain.set_username("");
            let _ = plain.set_password(None);
            plain.into()
        }
    };
    Shelf::new(&upstream.name, kind(upstream), &address)
}

/// What other proxies are reached with.
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

fn direct(
    upstream: &Upstream,
    shelf: &Shelf,
    discover: &Arc<Discover>,
    repositories: &Arc<Repositories>,
    proxies: &Proxies,
    store: &Arc<dyn Store>,
) -> Direct {
    let (discover, repositories, proxies) = (discover.clone(), repositories.clone(), proxies.clone());
    Direct {
        shelf: shelf.as_str().to_owned(),
        locate: Arc::new(move |module| {
            let discover = discover.clone();
            Box::pin(async move { discover.locate(&module).await })
        }),
        open: Arc::new(move |url| repositories.open(url, Trust::Found).map(|repo| repo as Box<dyn Repo>)),
        open_proxy: Arc::new(move |url| {
            let url = Url::parse(url).map_err(|error| {
                Error::new(Kind::BadGateway, format!("go-import names a module proxy at {url:?}")).because(error)
            })?;
            Ok(Arc::new(proxies.open(url, Trust::Found)?))
        }),
        store: store.clone(),
        turns: Arc::new(tokio::sync::Semaphore::new(GIT_JOBS)),
        list_validity: upstream.list_validity,
    }
}

/// The one client for all that goes out.
pub fn client(settings: &Settings) -> Result<Client> {
    let private =
        |text: &String| text.parse::<AllowPrivate>().map_err(|why| Error::gone(format!("net.allow_private: {why}")));
    let credentials = settings.upstreams.iter().filter_map(|upstream| upstream.auth.as_ref());
    let instead_of = settings.instead_of.iter();
    Client::new(net::Settings {
        allow_private: settings.allow_private.iter().map(private).collect::<Result<_>>()?,
        allow_insecure: match &settings.allow_insecure {
            config::AllowInsecure::All => AllowInsecure::All,
            config::AllowInsecure::Hosts(hosts) => AllowInsecure::Hosts(hosts.clone()),
        },
        instead_of: instead_of
            .map(|(prefix, replacement)| InsteadOf { prefix: prefix.clone(), replacement: replacement.clone() })
            .collect(),
        credentials: credentials.map(credential).collect::<Result<_>>()?,
        netrc: environment::netrc()?.map(Secret::from),
        ..net::Settings::default()
    })
}

fn credential(auth: &config::Auth) -> Result<Credential> {
    let secret = Secret::from(environment::secret(&auth.secret)?);
    let kind = match &auth.scheme {
        AuthScheme::Basic { username } => CredentialKind::Basic { username: username.clone(), password: secret },
        AuthScheme::Bearer => CredentialKind::Bearer(secret),
        AuthScheme::Header { name } => CredentialKind::Header {
            name: name
                .parse()
                .map_err(|_| Error::gone(format!("upstream.auth.header: {name:?} (expected a header's name)")))?,
            value: secret,
        },
    };
    Ok(Credential { host: auth.host.clone(), kind })
}
