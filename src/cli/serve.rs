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
use super::{control, drift, logging, wiring};
use crate::config::Settings;
use crate::config::settings::parse_listen;
use crate::error::{Error, Result};
use crate::http::admin::AdminToken;
use crate::http::desk::{Desk, Door};
use crate::http::serve::{Limits, serve};
use crate::http::site::Site;
use crate::ports::Clock as _;
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
    if let Some(folder) = &arguments.store {
        settings.store.path = folder.clone();
    }
    Ok(settings)
}

/// The listener is up before the store: opening one can take a while, and clients wait for it.
async fn listen(settings: Settings, arguments: Arguments) -> Result<Exit, Failure> {
    // From here on the signal is not the end of the process.
    let reloads = signal(SignalKind::hangup()).expect("handlers can be set at start");
    let listener = bind(settings.listen).await.map_err(Failure::usage)?;
    let address = listener.local_addr().map_err(|e| Error::internal("the listener has no address").because(e))?;
    let identity = Identity::new(Some(address));
    for upstream in &settings.upstreams {
        identity.refuse(upstream).await.map_err(Failure::usage)?;
        tracing::info!(name = upstream.name, kind = upstream.kind.word(), "upstream");
    }
    let (open, door) = watch::channel(None);
    let desk = desk(door, &identity, &settings).map_err(Failure::usage)?;
    let desk = Arc::new(desk.opened_at(SystemClock.now()));
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, desk.clone(), Limits::default(), end(stopped.clone())));
    let signalling = tokio::spawn({
        let stop = stop.clone();
        async move {
            signalled().await;
            stop.send_replace(true);
        }
    });
    let folder = settings.store.path.clone();
    let drift_check = settings.ledger.drift_check;
    let opened = match site(&identity, settings, Some(Arc::new(move || self::settings(&arguments)))).await {
        Ok(site) => {
            open.send_replace(Some(site.clone()));
            tracing::info!("store is open");
            let controlling = control::serve_socket(&folder, desk, end(stopped));
            // Only now it is true: while another process holds the store, nothing would be answered.
            println!("listening on http://{address}");
            if let Some(stock) = site.stock() {
                tokio::spawn(keep(stock));
            }
            tokio::spawn(drift::watch(site.catalog().clone(), drift_check));
            Ok((controlling, tokio::spawn(reload(site.clone(), reloads)), site))
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

/// Writes down what is only known in memory: who wanted what when.
async fn settle(site: &Site) {
    if let Some(stock) = site.stock() {
        // What cannot be written is in the log.
        let _ = tokio::task::spawn_blocking(move || stock.settle()).await;
    }
}

fn desk(door: Door, identity: &Identity, settings: &Settings) -> Result<Desk> {
    let desk = Desk::new(door, PATIENCE, identity.pseudonym());
    let Some(reference) = &settings.admin_token else { return Ok(desk) };
    let token = environment::secret(reference).map_err(|error| error.about("api.admin_token"))?;
    let token = AdminToken::new(&token);
    let token = token.ok_or_else(|| Error::gone("it is empty (expected a token)").about("api.admin_token"))?;
    Ok(desk.with_admin_token(token))
}

/// Opens the store and everything that answers out of it; with `read`, the configuration can be read again.
pub async fn site(identity: &Identity, settings: Settings, read: Option<Read>) -> Result<Arc<Site>> {
    let asker = if read.is_some() { Asker::Clients } else { Asker::Command };
    let works = Arc::new(wiring::open_as(identity, &settings, wiring::Lock::Refuse, asker).await?);
    let site = Site::new(works.catalog.clone()).kept_by(works.stock.clone());
    let site = site.with_ledgers(works.ledgers.clone());
    Ok(Arc::new(match read {
        Some(read) => site.reloaded_by(Arc::new(Reloader::new(read, identity.clone(), works, settings))),
        None => site,
    }))
}

/// Reads the configuration again at every SIGHUP.
async fn reload(site: Arc<Site>, mut reloads: Signal) {
    while reloads.recv().await.is_some() {
        // What comes of it is in the log.
        let _ = site.reload().await;
    }
}

/// Done when the end was asked for.
async fn end(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone asks for nothing any more either.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
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
