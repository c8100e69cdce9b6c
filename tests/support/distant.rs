//! An upstream far away: files out of memory over HTTP/2 or HTTP/1.1, each answer after a delay. It counts connections,
//! requests, and how many of them were under way at the same time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::authority::{self, Authority};
use super::modvet::{self, Home, Modvet};
use super::release::Release;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the first slash, percent signs decoded.
    pub path: String,
    pub version: Version,
}

#[derive(Default)]
struct Shared {
    files: Mutex<HashMap<String, Bytes>>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// An upstream on a port of its own. Dropping it kills it.
pub struct Distant {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Distant {
    /// Plain http, which is HTTP/1.1.
    pub fn start(delay: Duration) -> Distant {
        Distant::run(delay, None)
    }

    /// Over TLS, with a certificate of an authority; it offers these protocols, `h2` and `http/1.1`.
    pub fn start_tls(delay: Duration, authority: &Authority, protocols: &[&str]) -> Distant {
        let issued = authority.issue();
        let mut config = authority::server(&issued.certificate, &issued.key);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Distant::run(delay, Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn run(delay: Duration, tls: Option<TlsAcceptor>) -> Distant {
        let (runtime, listener, address) = super::listener(1);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a TCP connection");
                served.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, tls) = (served.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, shared, delay).await,
                        // A client that does not trust us goes away here.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, shared, delay).await;
                            }
                        }
                    }
                });
            }
        });
        Distant { address, scheme, shared, _runtime: runtime }
    }

    /// `http://127.0.0.1:PORT`, or with `https`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Settings of an upstream of this name, to which further lines may be added.
    pub fn settings(&self, name: &str) -> String {
        modvet::over_proxy(name, &self.url())
    }

    /// modvet before this upstream alone, trusting the authority.
    pub fn modvet_before(&self, authority: &Authority) -> Modvet {
        let home = Home::new();
        home.configure(&self.settings("far"));
        home.write("authority.pem", &authority.pem());
        let mut serve = home.command(&["serve", "--config", "modvet.toml"]);
        serve.env("SSL_CERT_FILE", home.path().join("authority.pem"));
        home.serve_by(serve)
    }

    /// Adds a version.
    pub fn add(&self, release: &Release) {
        let folder = release.folder();
        for (ending, content) in release.endings() {
            self.put(&format!("{folder}/{}.{ending}", modvet::escaped(&release.version)), content);
        }
        let path = format!("{folder}/list");
        let list = self.files().get(&path).cloned().unwrap_or_default();
        self.put(&path, [&list, release.version.as_bytes(), b"\n"].concat());
    }

    /// Puts a file at a path.
    pub fn put(&self, path: &str, content: impl Into<Bytes>) {
        self.files().insert(path.to_owned(), content.into());
    }

    /// Every request so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.shared.asked).clone()
    }

    /// How often paths that end so were asked for.
    pub fn count(&self, ending: &str) -> usize {
        locked(&self.shared.asked).iter().filter(|asked| asked.path.ends_with(ending)).count()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Forgets what it was asked and how; connections stay open and are not counted again.
    pub fn forget(&self) {
        locked(&self.shared.asked).clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.most.store(0, Ordering::SeqCst);
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        locked(&self.shared.files)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>, delay: Duration) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(&request, delay).await) }
    });
    // A client that went away is no concern of the server's.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    async fn answer(&self, request: &Request<Incoming>, delay: Duration) -> Response<Full<Bytes>> {
        let path = percent_decode_str(request.uri().path().trim_start_matches('/')).decode_utf8_lossy().into_owned();
        let asked = Asked { method: request.method().to_string(), path, version: request.version() };
        let file = locked(&self.files).get(&asked.path).cloned();
        locked(&self.asked).push(asked);
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        tokio::time::sleep(delay).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let (status, body) = match file {
            Some(body) => (StatusCode::OK, body),
            None => (StatusCode::NOT_FOUND, Bytes::from_static(b"not found: no such file\n")),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let kind = if status == StatusCode::OK { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
        response
    }
}
