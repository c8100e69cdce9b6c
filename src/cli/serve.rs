//! `modvet serve`: the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::build::Asker;
use super::clock::SystemClock;
use super::environment::{self, Sources};
use super::exit::{Exit, Failure};
use super::identity::Identity;
use super::reload::{Read, Reloader};
use super::tls::Entrance;
use super::{control, drift, logging, wiring};
use crate::access::tokens::tend;
use crate::access::{Encryption, Exposure};
use crate::config::settings::{Tls, parse_listen};
use crate::config::{ApiSettings, Settings};
use crate::error::{Error, Result};
use crate::http::admin::AdminToken;
use crate::http::admission::{Admission, Secrets};
use crate::http::desk::Desk;
use crate::http::forwarded::TrustedProxies;
use crate::http::hook::HookSecret;
use crate::http::site::{Counter, Site};
use crate::http::tls::Certificates;
use crate::monitor;
use crate::ports::Clock as _;
use crate::registry::catalog::Catalog;
use crate::registry::definition::SecretRef;
use crate::registry::proof;
use crate::registry::stock::keep;

/// Run the proxy.
///
/// Upstreams come from --upstream, else from the file, else from GOPROXY in the environment, else
/// git is asked directly. Ctrl-C or SIGTERM ends it; running answers finish first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here [default: 127.0.0.1:3000]; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Let anybody read without a token, wherever it listens
    #[arg(long)]
    open: bool,
    /// Ask these upstreams, in the syntax of GOPROXY: https://proxy.example,direct
    #[arg(long, value_name = "LIST")]
    upstream: Option<String>,
    /// Keep everything in this folder [default: the file's store.path, $MODVET_STORE, ./modvet-data]
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  modvet serve --upstream \"$(go env GOPROXY)\"
  modvet serve --config modvet.toml
  modvet serve --upstream direct --listen 127.0.0.1:0

Then: GOPROXY=http://127.0.0.1:3000 go get example.com/module@latest";

/// How long a request waits for the store to open.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("info").map_err(Failure::usage)?;
    let settings = settings(&arguments).map_err(Failure::usage)?;
    let runtime = wiring::runtime()?;
    runtime.block_on(listen(settings, arguments))
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let store = environment::variable("MODVET_STORE").map_or_else(|| PathBuf::from("modvet-data"), PathBuf::from);
    let sources = Sources { config: arguments.config.as_deref(), upstream: arguments.upstream.as_deref(), store };
    let mut settings = environment::settings(sources)?;
    if let Some(address) = &arguments.listen {
        settings.listen = parse_listen(address)?;
    }
    if arguments.open {
        settings.open = Some(true);
    }
    if let Some(folder) = &arguments.store {
        settings.store.path = folder.clone();
    }
    Ok(settings)
}

/// The listener is up before the store: opening one can take a while, and clients wait for it.
async fn listen(settings: Settings, arguments: Arguments) -> Result<Exit, Failure> {
    let exposure = exposure(&settings);
    exposure.admit(None).map_err(Failure::usage)?;
    let admission = Arc::new(Admission::new(exposure, named(&settings).map_err(Failure::usage)?));
    // From here on the signal is not the end of the process.
    let reloads = signal(SignalKind::hangup()).expect("handlers can be set at start");
    let entrance = Entrance::open(&settings).await.map_err(Failure::usage)?;
    let (url, certificates) = (entrance.url(), entrance.certificates());
    let identity = Identity::new(Some(entrance.address()));
    for upstream in &settings.upstreams {
        identity.refuse(upstream).await.map_err(Failure::usage)?;
        tracing::info!(name = upstream.name, kind = upstream.kind.word(), "upstream");
    }
    let (open, door) = watch::channel(None);
    let desk = Desk::new(door, PATIENCE, identity.pseudonym()).guarded_by(admission.clone());
    let desk = desk.behind(TrustedProxies::new(settings.trusted_proxies.clone()));
    let desk = Arc::new(desk.opened_at(SystemClock.now()).with_certificates(certificates.clone()));
    let (stop, stopped) = watch::channel(false);
    let serving = entrance.serve(desk.clone(), || end(stopped.clone()));
    let signalling = tokio::spawn({
        let stop = stop.clone();
        async move {
            signalled().await;
            stop.send_replace(true);
        }
    });
    let folder = settings.store.path.clone();
    let read: Read = Arc::new(move || self::settings(&arguments));
    let drift_check = settings.ledger.drift_check;
    let opened = match site(&identity, settings, Purpose::Clients(read, admission.clone())).await.and_then(|site| {
        // What is refused now has answered nobody yet.
        admission.begin(site.tokens())?;
        Ok(site)
    }) {
        Ok(site) => {
            open.send_replace(Some(site.clone()));
            tracing::info!("store is open");
            let controlling = control::serve_socket(&folder, desk, end(stopped));
            // Only now it is true: while another process holds the store, nothing would be answered.
            println!("listening on {url}");
            look_after(&site, drift_check);
            Ok((controlling, tokio::spawn(reload(site.clone(), certificates, reloads)), site))
        }
        Err(error) => {
            stop.send_replace(true);
            Err(error)
        }
    };
    let served = serving.await;
    signalling.abort();
    let (controlling, reloading, site) = opened.map_err(Failure::usage)?;
    reloading.abort();
    if let Some(controlling) = controlling {
        controlling.await.map_err(|e| Error::internal("the control socket ended early").because(e))?;
    }
    served.map_err(|e| Error::internal("the server ended early").because(e))?;
    settle(&site).await;
    tracing::info!("stopped");
    Ok(Exit::Well)
}

/// What goes on beside the answers, for as long as the server runs.
fn look_after(site: &Site, drift_check: Duration) {
    let catalog = site.catalog();
    if let Some(stock) = site.stock() {
        tokio::spawn(keep(stock));
    }
    tokio::spawn(tend(site.tokens().clone()));
    if let Some(proofs) = site.proofs() {
        tokio::spawn(proof::keep(proofs.clone(), catalog.store().clone(), later(catalog)));
    }
    tokio::spawn(drift::watch(catalog.clone(), drift_check));
    if let Some(watching) = site.watching() {
        tokio::spawn(monitor::keep(watching.watch.clone()));
    }
    if let Some(watch) = site.upstream_watch() {
        tokio::spawn(monitor::upstreams::keep(watch.clone()));
    }
}

/// How a file that was served unverified is held against the checksum database again: by the first registry that its
/// upstream stands in.
fn later(catalog: &Arc<Catalog<Counter>>) -> proof::Later {
    let catalog = catalog.clone();
    Arc::new(move |unproven| {
        let current = catalog.current();
        Box::pin(async move {
            for counter in current.registries.values() {
                if counter.registry.prove_kept(&unproven).await? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    })
}

/// Writes down what is only known in memory: who wanted what when and by which token, and who got what.
async fn settle(site: &Site) {
    let tokens = site.tokens().clone();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || tokens.settle()).await {
        tracing::warn!(%error, "when tokens were used last is not written down");
    }
    if let Some(auditor) = site.records().and_then(|records| records.auditor.clone()) {
        // It says itself what it cannot write.
        let _ = tokio::task::spawn_blocking(move || auditor.close()).await;
    }
    if let Some(stock) = site.stock() {
        // What cannot be written is in the log.
        let _ = tokio::task::spawn_blocking(move || stock.settle()).await;
    }
}

/// Who can reach the server.
pub fn exposure(settings: &Settings) -> Exposure {
    let encryption = match settings.tls {
        Tls::Off => Encryption::Nobody,
        Tls::Files(_) => Encryption::Own,
        Tls::Terminated => Encryption::InFront,
    };
    Exposure { listen: settings.listen, open: settings.open, encryption }
}

/// The secrets of the interface that the configuration names.
pub fn named(settings: &Settings) -> Result<Secrets> {
    let ApiSettings { admin_token, refresh_secret } = &settings.api;
    Ok(Secrets {
        token: secret("api.admin_token", "a token", admin_token.as_ref(), AdminToken::new)?,
        hook: secret("api.refresh_secret", "a secret", refresh_secret.as_ref(), HookSecret::new)?,
    })
}

/// What a secret is read as, which an empty one cannot be.
fn secret<T>(
    key: &str,
    expected: &str,
    reference: Option<&SecretRef>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(reference) = reference else { return Ok(None) };
    let secret = environment::secret(reference).map_err(|error| error.about(key))?;
    read(&secret).ok_or_else(|| Error::gone(format!("it is empty (expected {expected})")).about(key)).map(Some)
}

/// What a site is opened for.
pub enum Purpose {
    /// To serve; the configuration can be read again.
    Clients(Read, Arc<Admission>),
    /// A command that is about the store alone.
    Store,
    /// A command that is about the mirrors.
    Mirrors,
}

/// Opens the store and everything that answers out of it.
pub async fn site(identity: &Identity, settings: Settings, purpose: Purpose) -> Result<Arc<Site>> {
    let asker = if matches!(purpose, Purpose::Clients(..)) { Asker::Clients } else { Asker::Command };
    let works = Arc::new(wiring::open_as(identity, &settings, wiring::Lock::Refuse, asker).await?);
    let site = Site::new(works.catalog.clone(), works.tokens.clone()).kept_by(works.stock.clone());
    let site = match works.records.clone() {
        Some(records) => site.recorded_by(records),
        None => site,
    };
    let site = site.vouched_by(works.databases.clone()).proving(works.proofs.clone());
    let site = site.with_ledgers(works.ledgers.clone()).looking_after_upstreams(works.upstream_watch.clone());
    if matches!(purpose, Purpose::Store) {
        return Ok(Arc::new(site));
    }
    wiring::watch_mirrors(&works, identity, &settings).await?;
    let site = site.watched_by(works.watching.clone());
    Ok(Arc::new(match purpose {
        Purpose::Clients(read, admission) => {
            let reloader = Reloader::new(read, identity.clone(), works, admission, settings);
            site.reloaded_by(Arc::new(reloader))
        }
        Purpose::Store | Purpose::Mirrors => site,
    }))
}

/// Reads the configuration and the certificate again at every SIGHUP.
async fn reload(site: Arc<Site>, certificates: Option<Arc<Certificates>>, mut reloads: Signal) {
    while reloads.recv().await.is_some() {
        if let Some(certificates) = &certificates {
            certificates.look_again().await;
        }
        // What comes of it is in the log.
        let _ = site.reload().await;
    }
}

/// Done when the end was asked for.
async fn end(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone asks for nothing any more either.
    let _ = stopped.wait_for(|stop| *stop).await;
}

pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::gone(format!("cannot listen on {address}"))
            .because(error)
            .remedy("name another address with --listen, or port 0 for a free one")
    })
}

/// SIGINT or SIGTERM.
async fn signalled() {
    let mut terminate = signal(SignalKind::terminate()).expect("handlers can be set at start");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: running answers finish first");
}
