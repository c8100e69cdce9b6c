//! The listener: connections, their limits, and a clean end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::body::Body;
use super::incoming::Incoming as RequestBody;
use super::respond::{self, Asked, Peer};
use super::stall::Impatient;
use crate::error::Error;

/// What clients may take up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; further ones wait in the listener's queue.
    pub connections: usize,
    /// Requests at a time over all connections, until their last byte is on its way; further ones
    /// are answered 503. Each may hold some hundred KiB.
    pub requests: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// A request's head, in bytes.
    pub head_bytes: u32,
    /// From the start of a request, or from the end of the one before, to the end of its head.
    pub head_time: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub stall_time: Duration,
    /// How long running answers may go on after a shutdown was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            requests: 2048,
            streams: 250,
            head_bytes: 64 * 1024,
            head_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// Where connections come from.
pub trait Accept: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    const PEER: Peer;

    /// A connection, and where it comes from where that has an address.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    const PEER: Peer = Peer::Network;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, from) = TcpListener::accept(self).await?;
        // Answers leave in few large writes already; waiting for more only delays their ends.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection stays without TCP_NODELAY");
        }
        Ok((stream, Some(from.ip())))
    }
}

/// The control socket. Who may open it is its file's matter; not every system looks at the file.
pub struct Control {
    pub listener: UnixListener,
    /// The user that the server runs as.
    pub owner: u32,
}

impl Accept for Control {
    type Stream = UnixStream;
    const PEER: Peer = Peer::Control;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        if user != self.owner && user != 0 {
            let what = format!("user {user} asked on the control socket (expected {})", self.owner);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok((stream, None))
    }
}

/// Who answers the requests of a listener.
pub trait Clerk: Send + Sync + 'static {
    /// Where a request comes from that arrived from `peer`.
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr;

    /// `target` may have a query string. `turn` is the request's place among those that are answered at
    /// a time; `None` if all are taken.
    fn answer(
        &self,
        asked: &Asked,
        target: &str,
        body: RequestBody,
        turn: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves HTTP/1.1 and HTTP/2 until `shutdown` is done, then lets running answers finish.
pub async fn serve<A: Accept, C: Clerk>(
    listener: A,
    clerk: Arc<C>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let office = Arc::new(Office { clerk, peer: A::PEER, limits, requests: Arc::new(Semaphore::new(limits.requests)) });
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some(((stream, address), place)) = accepted else { continue };
        connections.spawn(office.clone().attend(stream, address, place, graceful.watcher()));
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "answers are cut off: they did not finish in time");
    }
    connections.shutdown().await;
}

async fn accept<A: Accept>(
    listener: &A,
    places: &Arc<Semaphore>,
) -> Option<((A::Stream, Option<IpAddr>), OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok(accepted) => Some((accepted, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: without a pause this loop would take a whole core.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// HTTP/2 says in its own place whom it asks; who reads the header need not know.
fn name_host(head: &mut request::Parts) {
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let (Some(authority), false) = (authority, head.headers.contains_key(HOST)) {
        head.headers.insert(HOST, authority);
    }
}

struct Office<C> {
    clerk: Arc<C>,
    peer: Peer,
    limits: Limits,
    requests: Arc<Semaphore>,
}

impl<C: Clerk> Office<C> {
    async fn attend<S>(
        self: Arc<Self>,
        stream: S,
        address: Option<IpAddr>,
        _place: OwnedSemaphorePermit,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let spoken = Arc::new(AtomicBool::new(false));
        let (office, said) = (self.clone(), spoken.clone());
        let service = service_fn(move |request| {
            said.store(true, Ordering::Relaxed);
            office.clone().answer(request, address)
        });
        let connection = self
            .builder()
            .serve_connection(TokioIo::new(Impatient::new(stream, self.limits.stall_time)), service)
            .into_owned();
        let connection = watcher.watch(connection);
        // The head's time limit starts only when the protocol is known: who says too little for that
        // is waited for here.
        let silence = async {
            tokio::time::sleep(self.limits.head_time).await;
            if spoken.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke off");
                }
            }
            () = silence => tracing::debug!("a connection said nothing in time"),
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_time)
            .max_buf_size(self.limits.head_bytes as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.head_time)
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.head_bytes);
        builder
    }

    /// A panic costs its own request only.
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        address: Option<IpAddr>,
    ) -> Result<Response<Body>, Infallible> {
        let turn = self.requests.clone().try_acquire_owned().ok();
        let (mut head, body) = request.into_parts();
        name_host(&mut head);
        let address = address.map(|peer| self.clerk.origin(peer, &head.headers));
        let asked = Asked { method: head.method, headers: head.headers, peer: self.peer, address };
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let answering = self.clerk.answer(&asked, target, RequestBody::Wire(body), turn);
        let answer = AssertUnwindSafe(answering).catch_unwind().await;
        Ok(answer.unwrap_or_else(|_| {
            tracing::error!(target = head.uri.path(), "answering panicked");
            respond::refused(&Error::internal("internal error"), &asked)
        }))
    }
}
