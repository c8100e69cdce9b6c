//! A proxy of very many modules that exist by rule alone: `bench.test/t7/m1234` up to a number, ten versions each. What is
//! asked of it is made when it is asked for, so it takes neither disk nor memory, and all else is absent.

use std::convert::Infallible;
use std::io::{Cursor, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::support::listener;

/// Versions of each module.
pub const VERSIONS: usize = 10;

/// A running server; dropping it ends it.
pub struct Rule {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Rule {
    pub fn start() -> Rule {
        let (runtime, listener, address) = listener(1);
        let requests = Arc::new(AtomicU64::new(0));
        runtime.spawn(serve(listener, requests.clone()));
        Rule { address, requests, _runtime: runtime }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The module with this number.
pub fn module(number: usize) -> String {
    format!("bench.test/t{}/m{number}", number % 100)
}

/// The address of a file of the version with this number, `VERSIONS` of each module.
pub fn path(number: usize, ending: &str) -> String {
    format!("/{}/@v/v1.0.{}.{ending}", module(number / VERSIONS), number % VERSIONS)
}

/// What must be answered there; of a zip nobody asks here.
pub fn body(number: usize, ending: &str) -> Vec<u8> {
    let (module, version) = (module(number / VERSIONS), format!("v1.0.{}", number % VERSIONS));
    file(&module, &version, ending).expect("a file of a version").to_vec()
}

async fn serve(listener: TcpListener, requests: Arc<AtomicU64>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP connection");
        let requests = requests.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            requests.fetch_add(1, Ordering::SeqCst);
            let body = answer(request.uri().path());
            let status = if body.is_some() { 200 } else { 404 };
            let body = body.unwrap_or_else(|| Bytes::from_static(b"not found: by no rule\n"));
            let response = Response::builder().status(status).body(Full::new(body)).expect("a status and no headers");
            async move { Ok::<_, Infallible>(response) }
        });
        // A client that went away is no concern of the server's.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// `None` for what is not there by rule.
fn answer(path: &str) -> Option<Bytes> {
    let (module, rest) = path.strip_prefix('/')?.split_once("/@v/")?;
    let number: usize = module.rsplit_once("/m")?.1.parse().ok()?;
    if module != self::module(number) {
        return None;
    }
    if rest == "list" {
        let lines: String = (0..VERSIONS).map(|patch| format!("v1.0.{patch}\n")).collect();
        return Some(lines.into());
    }
    let (version, ending) = rest.rsplit_once('.')?;
    let patch: usize = version.strip_prefix("v1.0.")?.parse().ok()?;
    if patch >= VERSIONS { None } else { file(module, version, ending) }
}

fn file(module: &str, version: &str, ending: &str) -> Option<Bytes> {
    Some(match ending {
        "info" => format!("{{\"Version\":\"{version}\",\"Time\":\"2019-01-01T00:00:00Z\"}}").into(),
        "mod" => format!("module {module}\n").into(),
        "zip" => zip(module, version).into(),
        _ => return None,
    })
}

fn zip(module: &str, version: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in
        [("go.mod", format!("module {module}\n")), ("m.go", format!("package m // {module} {version}\n"))]
    {
        zip.start_file(format!("{module}@{version}/{name}"), stored).expect("a name that zips may hold");
        zip.write_all(content.as_bytes()).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}
