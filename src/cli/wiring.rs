//! The wiring: settings become adapters, here and in `build` and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::alternates::Alternates;
use super::build::{Asker, Builder, Folders};
use super::clock::SystemClock;
use super::notices::Channels;
use super::{environment, identity, logging, stock, upstreams, watch};
use crate::access::audit::{self, Auditor, Records, What};
use crate::access::rules::Rulebook;
use crate::access::{Ledgers, Tokens};
use crate::config::settings::AuditSettings;
use crate::config::{self, Settings};
use crate::error::{Error, Result};
use crate::http::site::{Counter, Watching};
use crate::monitor::upstreams::UpstreamWatch;
use crate::monitor::{Outbox, Watch};
use crate::net::{self, AllowInsecure, AllowPrivate, Client, InsteadOf, Secret};
use crate::ports::{Clock, Store, Sumdb};
use crate::registry::Proofs;
use crate::registry::catalog::{Catalog, Seal, Written};
use crate::registry::definition::DEFAULT;
use crate::registry::stock::Stock;
use crate::spec::database::NamedDatabase;
use crate::store::{self, OnWait, SledStore};
use crate::sumdb::{Databases, Direct};
use crate::upstream::Discreet;

/// How long a checksum database may take that is asked directly.
const FIRST_BYTE: Duration = Duration::from_secs(10);
const TOTAL: Duration = Duration::from_secs(20);

/// What happens if another process holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Refuse,
    /// Waits until it is let go.
    Wait,
}

/// All that a command works with.
pub struct Works {
    pub catalog: Arc<Catalog<Counter>>,
    /// The registry at `/`, as it was when all was opened.
    pub counter: Arc<Counter>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// The repositories of all git upstreams.
    pub folders: Arc<Folders>,
    /// Who looks after what is kept.
    pub stock: Arc<Stock>,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Who got what; `None` where nothing is written down.
    pub records: Option<Records>,
    /// The checksum databases that are passed on and asked.
    pub databases: Arc<Databases>,
    /// What is held against them.
    pub proofs: Arc<Proofs>,
    /// What may pass.
    pub rulebook: Arc<Rulebook>,
    /// What every registry served first.
    pub ledgers: Arc<Ledgers>,
    /// The mirror watch; nothing is watched until [`watch_mirrors`].
    pub watching: Watching,
    /// Who has an eye on the upstreams.
    pub upstream_watch: Arc<UpstreamWatch>,
}

/// The runtime of every command.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().on_thread_park(logging::before_sleep).build();
    built.map_err(|error| Error::internal("the runtime does not start").because(error))
}

/// Opens the store and connects everything to it.
pub async fn open(settings: Settings, lock: Lock) -> Result<Works> {
    open_as(&identity::Identity::new(None), &settings, lock, Asker::Command).await
}

/// The same as somebody that other proxies, and this one, know.
pub async fn open_as(identity: &identity::Identity, settings: &Settings, lock: Lock, asker: Asker) -> Result<Works> {
    let client = client(settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(settings.store.path.clone(), settings.store.spill, lock).await?;
    let (store, growth) = stock::watched(store);
    let folders = Arc::new(Folders::new(&settings.store.path, client.clone(), clock.clone()));
    let databases = open_databases(identity, settings, &client, &store, &clock).await?;
    let proofs = Arc::new(Proofs::new(clock.clone()));
    let rulebook = Rulebook::new(settings.rules.clone());
    let ledgers = Arc::new(Ledgers::new(store.clone(), clock.clone()));
    let watching = open_watch(&store, &clock, asker).await?;
    let parts = Parts {
        watch: &watching.watch,
        ledgers: &ledgers,
        store: &store,
        clock: &clock,
        folders: &folders,
        databases: &databases,
        proofs: &proofs,
        rulebook: &rulebook,
    };
    let builder = Builder { asker, ..builder(identity, settings, client, parts)? };
    let (written, seal, kept) = (written(settings), seal(settings)?, store.clone());
    let opening = tokio::task::spawn_blocking(move || Catalog::open(kept, written, Arc::new(builder), seal));
    let catalog = opening.await.map_err(|error| Error::internal("opening ended early").because(error))??;
    let counter = catalog.current().registries.get(DEFAULT).cloned();
    let counter = counter.ok_or_else(|| Error::internal("there is no default registry"))?;
    let catalog = Arc::new(catalog);
    let upstream_watch = open_upstream_watch(&store, &clock, &watching, &catalog, settings).await?;
    let limits = stock::limits(&settings.store);
    let tokens = Arc::new(tokens(&store, &clock).await?);
    let records = records(settings, asker, &clock)?;
    let stock = stock::stock(store.clone(), growth, clock.clone(), limits, &catalog, &folders, &databases);
    Ok(Works {
        catalog,
        counter,
        store,
        clock,
        folders,
        stock,
        tokens,
        records,
        databases,
        proofs,
        rulebook,
        ledgers,
        watching,
        upstream_watch,
    })
}

/// Begins to watch the mirrors of the settings. Commands that are about none leave them alone: they would be forgotten
/// of a configuration that names others.
pub async fn watch_mirrors(works: &Arc<Works>, identity: &identity::Identity, settings: &Settings) -> Result<()> {
    let Works { store, clock, folders, databases, proofs, rulebook, ledgers, watching, .. } = &**works;
    let parts = Parts { store, clock, folders, databases, proofs, rulebook, ledgers, watch: &watching.watch };
    let client = client(settings)?;
    let builder = builder(identity, settings, client.clone(), parts)?;
    let (works, settings) = (works.clone(), settings.clone());
    let appointing = tokio::task::spawn_blocking(move || {
        Channels::of(&settings, &client)?.appoint(&works.watching.outbox);
        works.watching.watch.appoint(watch::watched(&builder, &settings.mirrors))
    });
    appointing.await.map_err(|error| Error::internal("opening ended early").because(error))?
}

/// What is watched, by whom, and who tells people.
async fn open_watch(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, asker: Asker) -> Result<Watching> {
    let (store, clock) = (store.clone(), clock.clone());
    let opening = tokio::task::spawn_blocking(move || {
        let outbox = Arc::new(Outbox::open(store.clone(), clock.clone())?);
        let watch = Arc::new(Watch::open(store, clock, outbox.clone())?);
        Ok(Watching { watch, outbox, is_kept: asker == Asker::Clients })
    });
    opening.await.map_err(|error| Error::internal("opening ended early").because(error))?
}

/// Who has an eye on the upstreams: on all of them, whoever defines them when.
async fn open_upstream_watch(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    watching: &Watching,
    catalog: &Arc<Catalog<Counter>>,
    settings: &Settings,
) -> Result<Arc<UpstreamWatch>> {
    let (store, clock, outbox) = (store.clone(), clock.clone(), watching.outbox.clone());
    let (upstreams, every) = (upstreams::of(catalog), settings.check_upstreams);
    let opening = move || UpstreamWatch::open(store, clock, outbox, upstreams, every).map(Arc::new);
    let opened = tokio::task::spawn_blocking(opening).await;
    opened.map_err(|error| Error::internal("opening ended early").because(error))?
}

/// Puts other settings in the place of those that all was opened with; if they do not work, all stays as it was.
pub async fn reload(works: &Arc<Works>, identity: &identity::Identity, settings: &Settings) -> Result<()> {
    for upstream in &settings.upstreams {
        identity.refuse(upstream).await?;
    }
    let client = client(settings)?;
    let Works { store, clock, folders, databases, proofs, rulebook, ledgers, watching, .. } = &**works;
    let parts = Parts { store, clock, folders, databases, proofs, rulebook, ledgers, watch: &watching.watch };
    let builder = Arc::new(builder(identity, settings, client.clone(), parts)?);
    let (written, seal, works) = (written(settings), seal(settings)?, works.clone());
    let settings = settings.clone();
    let reloading = tokio::task::spawn_blocking(move || {
        let channels = Channels::of(&settings, &client)?;
        works.catalog.reload(written, builder.clone(), seal)?;
        channels.appoint(&works.watching.outbox);
        works.watching.watch.appoint(watch::watched(&builder, &settings.mirrors))?;
        works.upstream_watch.look_every(settings.check_upstreams);
        works.stock.limit(stock::limits(&settings.store));
        works.rulebook.replace(settings.rules);
        Ok(())
    });
    reloading.await.map_err(|error| Error::internal("reloading ended early").because(error))?
}

async fn tokens(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Result<Tokens> {
    let (store, clock) = (store.clone(), clock.clone());
    let opening = tokio::task::spawn_blocking(move || Tokens::open(store, clock));
    opening.await.map_err(|error| Error::internal("opening ended early").because(error))?
}

/// What stays over changes of the configuration.
#[derive(Clone, Copy)]
struct Parts<'a> {
    store: &'a Arc<dyn Store>,
    clock: &'a Arc<dyn Clock>,
    folders: &'a Arc<Folders>,
    databases: &'a Arc<Databases>,
    proofs: &'a Arc<Proofs>,
    rulebook: &'a Arc<Rulebook>,
    ledgers: &'a Arc<Ledgers>,
    watch: &'a Arc<Watch>,
}

fn builder(identity: &identity::Identity, settings: &Settings, client: Client, parts: Parts<'_>) -> Result<Builder> {
    Ok(Builder {
        asker: Asker::Clients,
        identity: identity.clone(),
        client,
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        folders: parts.folders.clone(),
        ledgers: parts.ledgers.clone(),
        scratch: settings.store.path.join("tmp"),
        databases: parts.databases.clone(),
        proofs: parts.proofs.clone(),
        verify: settings.sumdb.verify,
        private: private(settings),
        rulebook: parts.rulebook.clone(),
        alternates: Alternates { mirrors: settings.mirrors.clone(), standing: parts.watch.clone() },
        mark: mark(settings)?,
    })
}

/// The log of who got what; a server writes it, a command only reads it.
fn records(settings: &Settings, asker: Asker, clock: &Arc<dyn Clock>) -> Result<Option<Records>> {
    let AuditSettings { enabled, path, max_size, keep, everything, addresses } = settings.audit.clone();
    let folder = path.unwrap_or_else(|| settings.store.path.join("audit"));
    let what = if everything { What::All } else { What::Versions };
    let settings = audit::Settings { folder: folder.clone(), max_size, keep, what, addresses };
    let auditor = match (enabled, asker) {
        (true, Asker::Clients) => Some(Arc::new(Auditor::start(&settings, clock.clone())?)),
        _ => None,
    };
    // What was written while it was enabled can still be read.
    let is_there = enabled || folder.is_dir();
    Ok(is_there.then(|| Records { folder, clock: clock.clone(), auditor }))
}

/// What no checksum database is asked for, besides what git upstreams are named to serve.
fn private(settings: &Settings) -> String {
    let environment = environment::private_patterns();
    let all = settings.sumdb.private.iter().cloned().chain((!environment.is_empty()).then_some(environment));
    all.collect::<Vec<_>>().join(",")
}

async fn open_databases(
    identity: &identity::Identity,
    settings: &Settings,
    client: &Client,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Databases>> {
    let (list, pseudonym) = (settings.sumdb.databases.clone(), identity.pseudonym().to_owned());
    let (client, store, clock) = (client.with(Vec::new(), None, FIRST_BYTE, TOTAL), store.clone(), clock.clone());
    let opening = move || {
        let direct = |named: &NamedDatabase| -> Result<Arc<dyn Sumdb>> {
            let direct = Direct::new(named.name(), named.url.clone(), client.clone(), &pseudonym)?;
            Ok(Arc::new(Discreet::new(Arc::new(direct), client.clone())))
        };
        Databases::open(&list, &direct, &store, &clock).map(Arc::new)
    };
    let opened = tokio::task::spawn_blocking(opening).await;
    opened.map_err(|error| Error::internal("opening the checksum databases ended early").because(error))?
}

fn written(settings: &Settings) -> Written {
    let (upstreams, registries) = (settings.upstreams.clone(), settings.registries.clone());
    Written { upstreams, registries, policy: settings.policy, mirrors: settings.known_mirrors() }
}

fn seal(settings: &Settings) -> Result<Option<Seal>> {
    let Some(reference) = &settings.store.key else { return Ok(None) };
    let key = environment::secret(reference).map_err(|error| error.about("store.key"))?;
    Seal::new(&Secret::new(key)).map(Some).map_err(|error| error.about("store.key"))
}

async fn open_store(folder: PathBuf, spill: u64, lock: Lock) -> Result<Arc<SledStore>> {
    let opening = move || {
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::gone(format!("{}: the store's folder cannot be made", folder.display()))
                .because(error)
                .remedy("use another folder, or let this user make this one and write to it")
        })?;
        let (wait, on_wait) = match lock {
            Lock::Refuse => (Duration::ZERO, None),
            Lock::Wait => (Duration::from_secs(600), Some(OnWait(Arc::new(say_waiting)))),
        };
        SledStore::open(&folder, store::Options { spill, wait, on_wait, ..store::Options::default() })
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

/// A command that says nothing for minutes looks as if it hung.
fn say_waiting(held: &Error) {
    eprintln!("modvet: waiting: {}", held.chain());
}

/// The one client for all that goes out, without the credentials of any upstream.
pub fn client(settings: &Settings) -> Result<Client> {
    let private =
        |text: &String| text.parse::<AllowPrivate>().map_err(|why| Error::gone(format!("net.allow_private: {why}")));
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
        netrc: environment::netrc()?.map(Secret::from),
        ..net::Settings::default()
    })
}

/// All that the client is made from: addresses may hold passwords, so a sum of it.
fn mark(settings: &Settings) -> Result<String> {
    use sha2::{Digest as _, Sha256};
    let Settings { allow_private, allow_insecure, instead_of, sumdb, .. } = settings;
    let all = format!("{allow_private:?} {allow_insecure:?} {instead_of:?} {sumdb:?} {:?}", environment::netrc()?);
    Ok(hex::encode(Sha256::digest(all)))
}
