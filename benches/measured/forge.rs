//! A server of very many repositories that are refs and nothing else: it speaks as much of git's protocol version 2 as a
//! mirror that is in sync is asked.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::support::listener;

const GREETING: &str = "001e# service=git-upload-pack\n0000000eversion 2\n0015agent=git/2.39.5\n0013ls-refs=unborn\n\
                        0019fetch=shallow filter\n0017object-format=sha1\n0000";

/// What was asked so far.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// A running server; dropping it ends it. `/NAME/SIDE` is a repository, the same on each side; `/refused/…` is nobody's.
pub struct Forge {
    address: SocketAddr,
    counts: Arc<Counts>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Forge {
    /// Repositories of so many refs each.
    pub fn start(refs: usize) -> Forge {
        let (runtime, listener, address) = listener(1);
        let counts = Arc::new(Counts::default());
        runtime.spawn(serve(listener, refs, counts.clone()));
        Forge { address, counts, _runtime: runtime }
    }

    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests, and bytes of answers' bodies.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.requests.load(Ordering::SeqCst), self.counts.bytes.load(Ordering::SeqCst))
    }
}

async fn serve(listener: TcpListener, refs: usize, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP connection");
        let counts = counts.clone();
        let service = service_fn(move |request| {
            let counts = counts.clone();
            async move { Ok::<_, Infallible>(answer(request, refs, &counts).await) }
        });
        // A client that went away is no concern of the server's.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, refs: usize, counts: &Counts) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (status, kind, text) = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "refused", ..] => (401, "text/plain", "who are you?\n".to_owned()),
        ["", _, _, "info", "refs"] => (200, "application/x-git-upload-pack-advertisement", GREETING.to_owned()),
        ["", name, _, "git-upload-pack"] if body.starts_with(b"0014command=ls-refs\n") => {
            (200, "application/x-git-upload-pack-result", listing(name, refs))
        }
        _ => (404, "text/plain", "no such repository\n".to_owned()),
    };
    counts.requests.fetch_add(1, Ordering::SeqCst);
    counts.bytes.fetch_add(text.len() as u64, Ordering::SeqCst);
    let response = Response::builder().status(status).header("Content-Type", kind).body(Full::new(text.into()));
    response.expect("a status and a header")
}

/// Branches and annotated tags whose ids are made of the repository's name.
fn listing(name: &str, refs: usize) -> String {
    let mut text = String::new();
    for number in 0..refs {
        let id = format!("{:0<40}", hex::encode(format!("{number}-{name}")));
        let line = match number % 5 {
            0 => format!("{id} refs/heads/topic-{number:03}\n"),
            _ => format!("{id} refs/tags/v1.{number}.0 peeled:{}\n", id.chars().rev().collect::<String>()),
        };
        write!(text, "{:04x}{line}", line.len() + 4).expect("memory");
    }
    text + "0000"
}
