//! `modvet serve`: the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::environment::{self, Sources};
use super::exit::{Exit, Failure};
use super::{control, identity, logging, wiring};
use crate::config::Settings;
use crate::config::settings::parse_listen;
use crate::error::{Error, Result};
use crate::http::desk::Desk;
use crate::http::serve::{Limits, serve};
use crate::http::site::{Counter, Site};
use crate::sumdb;

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
    runtime.block_on(listen(settings))
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let store = environment::variable("MODVET_STORE").map_or_else(|| PathBuf::from("modvet-data"), PathBuf::from);
    let sources = Sources { config: arguments.config.as_deref(), upstream: arguments.upstream.as_deref(), store };
    let mut settings = environment::settings(sources)?;
    if let Some(address) = &arguments.listen {
        settings.listen = parse_listen(address)?;
    }
    if let Some(folder) = &arguments.store {
        settings.store_path = folder.clone();
    }
    Ok(settings)
}

/// The listener is up before the store: opening one can take a while, and clients wait for it.
async fn listen(settings: Settings) -> Result<Exit, Failure> {
    let listener = bind(settings.listen).await.map_err(Failure::usage)?;
    let address = listener.local_addr().map_err(|e| Error::internal("the listener has no address").because(e))?;
    identity::refuse_itself(&settings.upstreams, address).await.map_err(Failure::usage)?;
    let pseudonym = identity::pseudonym();
    println!("listening on http://{address}");
    for upstream in &settings.upstreams {
        tracing::info!(name = upstream.name, kind = %wiring::kind(upstream), "upstream");
    }
    let (open, door) = watch::channel(None);
    let desk = Arc::new(Desk::new(door, PATIENCE, pseudonym.as_str()));
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, desk.clone(), Limits::default(), end(stopped.clone())));
    let signalling = tokio::spawn({
        let stop = stop.clone();
        async move {
            signalled().await;
            stop.send_replace(true);
        }
    });
    let folder = settings.store_path.clone();
    let opened = match site(&pseudonym, settings).await {
        Ok(site) => {
            open.send_replace(Some(site));
            tracing::info!("store is open");
            Ok(control::serve_socket(&folder, desk, end(stopped)))
        }
        Err(error) => {
            stop.send_replace(true);
            Err(error)
        }
    };
    let served = serving.await;
    signalling.abort();
    if let Some(controlling) = opened.map_err(Failure::usage)? {
        controlling.await.map_err(|e| Error::internal("the control socket ended early").because(e))?;
    }
    served.map_err(|e| Error::internal("the server ended early").because(e))?;
    tracing::info!("stopped");
    Ok(Exit::Well)
}

/// Opens the store and everything that answers out of it.
pub async fn site(pseudonym: &str, settings: Settings) -> Result<Arc<Site>> {
    let works = wiring::open_as(pseudonym, settings, wiring::Lock::Refuse).await?;
    let counter = Counter {
        sumdb: sumdb::Passed::new(works.sumdbs, works.store.clone(), works.clock.clone()),
        registry: works.registry,
    };
    Ok(Arc::new(Site::new(counter, [])))
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
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("handlers can be set at start");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: running answers finish first");
}
