//! The server on port 0 in front of sources in memory, asked over real sockets.

mod access;
mod answers;
pub mod api;
mod databases;
mod files;
mod go_client;
mod golden;
mod lifecycle;
mod metrics;
pub mod openapi;
mod pages;
mod sumdb;
mod tokens;
mod walk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::admin::AdminToken;
use super::admission::{Admission, Secrets};
use super::desk::{Desk, Door};
use super::serve::{Limits, serve};
use super::site::{Counter, Site};
use crate::access::{Encryption, Exposure, Tokens};
use crate::error::{Error, Result};
use crate::ports::{Clock, Store, Sumdb};
use crate::registry::catalog::{Catalog, Current};
use crate::registry::doubles::{Drawer, Hands, Known, Ledger, member};
use crate::registry::stock::{self, Stock};
use crate::registry::{Book, Judgement, Mode, Registry};
use crate::spec::scope::Scope;
use crate::sumdb::doubles::{Double, named};
use crate::sumdb::{Databases, Passed, Proxy};

pub const PSEUDONYM: &str = "modvet-test";

/// The checksum database behind `public`.
pub const LOG: &str = "sum.example.org";

/// What stands behind a server: `corp` reads git, `public` is another proxy that hands a checksum database through.
#[derive(Clone)]
pub struct World {
    pub corp: Arc<Known>,
    pub public: Arc<Known>,
    pub log: Arc<Double>,
    pub store: Arc<Drawer>,
    pub clock: Arc<Hands>,
}

impl World {
    pub fn new() -> World {
        World {
            corp: Known::new(),
            public: Known::new(),
            log: Double::new(LOG),
            store: Drawer::new(),
            clock: Hands::new(),
        }
    }

    /// The database that `public` hands through, and one that panics; directly neither can be reached.
    pub fn databases(&self) -> Arc<Databases> {
        let unreached = Ledger::new();
        unreached.fail(Some(Error::bad_gateway("no way out")));
        let open = move |_: &_| -> Result<Arc<dyn Sumdb>> { Ok(unreached.clone()) };
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (self.store.clone(), self.clock.clone());
        let list = [self.log.named(), named("panic.example.org")];
        Arc::new(Databases::open(&list, &open, &store, &clock).expect("a store in memory"))
    }

    /// `public` as it hands the database through.
    pub fn proxy(&self) -> Proxy {
        let shelf =
            member("public", &self.public, &self.store, &self.clock, Judgement::Believed).source.shelf().clone();
        let (name, shelf) = (shelf.name().to_owned(), shelf.as_str().to_owned());
        Proxy { name, shelf, sumdb: self.log.clone(), scope: Scope::default() }
    }

    fn counter(&self, name: &str, mode: Mode, databases: &Arc<Databases>) -> Counter {
        let mut corp = member("corp", &self.corp, &self.store, &self.clock, Judgement::Own);
        corp.scope = Scope::new("", "corp.example/secret");
        let public = member("public", &self.public, &self.store, &self.clock, Judgement::Believed);
        Counter {
            registry: Registry::new(
                name,
                mode,
                vec![corp, public],
                Book::new(name, self.store.clone(), self.clock.clone()),
            ),
            sumdb: Arc::new(Passed::new(databases.clone(), vec![self.proxy()], "private.example")),
        }
    }

    /// `rewrite` at `/`, `strict` at `/registries/ci/`, `legacy` at `/registries/old/`.
    pub fn site(&self) -> Arc<Site> {
        let all = [("default", Mode::Rewrite), ("ci", Mode::Strict), ("old", Mode::Legacy)];
        let databases = self.databases();
        let registries = all.map(|(name, mode)| (name.to_owned(), Arc::new(self.counter(name, mode, &databases))));
        let current = Current { registries: registries.into(), ..Current::default() };
        let stock = Stock::new(self.store.clone(), self.clock.clone(), stock::Limits::default(), Arc::new(Vec::new));
        let tokens = Tokens::open(self.store.clone(), self.clock.clone()).expect("a store that can be read");
        let catalog = Arc::new(Catalog::standing(self.store.clone(), current));
        let site = Site::new(catalog, Arc::new(tokens)).kept_by(Arc::new(stock));
        Arc::new(site.vouched_by(databases))
    }
}

/// A door as on the loopback, with a token that the configuration names.
pub fn naming(token: &str) -> Arc<Admission> {
    let exposure = Exposure { listen: ([127, 0, 0, 1], 0).into(), open: None, encryption: Encryption::Nobody };
    Arc::new(Admission::new(exposure, Secrets { token: AdminToken::new(token), hook: None }))
}

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
    pub open: watch::Sender<Option<Arc<Site>>>,
}

/// Starts a server whose store is open.
pub async fn start(world: &World) -> Running {
    start_with(Some(world.site()), Duration::from_secs(30), Limits::default()).await
}

pub async fn start_with(site: Option<Arc<Site>>, patience: Duration, limits: Limits) -> Running {
    start_desk(site, limits, |door| Desk::new(door, patience, PSEUDONYM)).await
}

/// Starts a server with a desk of one's own.
pub async fn start_desk(site: Option<Arc<Site>>, limits: Limits, desk: impl FnOnce(Door) -> Desk) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (open, door) = watch::channel(site);
    let desk = Arc::new(desk(door));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, desk, limits, async move {
        // A dropped sender stops the server as well: no test leaves one behind.
        let _ = stopped.await;
    }));
    Running { address, stop: Some(stop), task, open }
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Reply {
    pub status_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Running {
    pub async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[]).await
    }

    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        ask_on(stream, method, target, headers).await
    }

    /// The same with a body, its length said.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        send_on(stream, method, target, headers, body).await
    }

    /// Asks for the server's end; nothing waits for it yet.
    pub fn begin_stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("the server runs");
    }
}

pub trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Stream for S {}

/// One request over HTTP/1.1, read to the end of the connection.
pub async fn ask_on(stream: impl Stream, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
    send_on(stream, method, target, headers, &[]).await
}

pub async fn send_on(
    mut stream: impl Stream,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: modvet.test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A server that refuses a body need not take it, and may close before it is sent.
    let _ = stream.write_all(body).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    let cut = all.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..cut].to_vec()).expect("a head of text");
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status_line = lines.next().expect("a status line");
    let pair = |line: String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned())).expect("a header");
    Reply { status_line, headers: lines.map(pair).collect(), body: all[cut + 4..].to_vec() }
}
