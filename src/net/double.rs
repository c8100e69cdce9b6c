//! A server on port 0 that answers as a test says, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: Method,
    /// With its port, unless it is the scheme's own.
    pub host: String,
    /// As on the request line: a path, or a whole URL if a proxy is asked.
    pub target: String,
    pub headers: HeaderMap,
    pub version: Version,
    pub body: Bytes,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// What the server does with a body.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Bytes),
    /// Sends nothing any more and keeps the connection.
    Stall,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub steps: Vec<Step>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("status"),
            headers: HeaderMap::new(),
            steps: vec![Step::Send(body.into())],
        }
    }

    pub fn ok(body: impl Into<Bytes>) -> Answer {
        Answer::new(200, body)
    }

    pub fn redirect(status: u16, to: impl AsRef<str>) -> Answer {
        Answer::new(status, "").header("location", to.as_ref())
    }

    pub fn header(mut self, name: &str, value: &str) -> Answer {
        let name: HeaderName = name.parse().expect("header name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("header value"));
        self
    }

    pub fn then(mut self, step: Step) -> Answer {
        self.steps.push(step);
        self
    }
}

type Behaviour = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// Ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        Server::run(None, Arc::new(behaviour)).await
    }

    /// With the certificate of `testdata/net`, which is for localhost, 127.0.0.1, launchpad.net and *.go.test.
    pub async fn start_tls(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        let chain = CertificateDer::from_pem_slice(include_bytes!("../../testdata/net/server.pem")).expect("pem");
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../testdata/net/server.key")).expect("pem");
        Server::start_tls_with(chain, key, behaviour).await
    }

    /// With a certificate of the test's own.
    pub async fn start_tls_with(
        chain: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("certificate and key belong together");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Server::run(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(behaviour)).await
    }

    async fn run(tls: Option<TlsAcceptor>, behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port 0");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, behaviour, log) = (tls.clone(), Arc::clone(&behaviour), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, behaviour, log).await,
                        // A client that does not trust us goes away here.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, behaviour, log).await;
                            }
                        }
                    }
                });
            }
        });
        Server { address, scheme, asked, task }
    }

    /// Writes these bytes to whoever connects and asks, and hangs up.
    pub async fn start_raw(bytes: impl Into<Bytes>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port 0");
        let address = listener.local_addr().expect("bound");
        let bytes = bytes.into();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                // A client that has seen enough goes away.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        Server { address, scheme: "http", asked: Arc::default(), task }
    }

    /// A proxy for https: whatever host is asked for, the tunnel leads to `to`.
    pub async fn start_tunnel(to: &Server) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port 0");
        let address = listener.local_addr().expect("bound");
        let to = to.address;
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.expect("a request"));
                    }
                    assert!(head.starts_with(b"CONNECT "), "{}", String::from_utf8_lossy(&head));
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("a listener");
                    let mut inner = TcpStream::connect(to).await.expect("the server behind");
                    // Ends when either side has seen enough.
                    let _ = copy_bidirectional(&mut stream, &mut inner).await;
                });
            }
        });
        Server { address, scheme: "http", asked: Arc::default(), task }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of this server, by its address.
    pub fn url(&self, path: &str) -> Url {
        self.url_as("127.0.0.1", path)
    }

    pub fn url_as(&self, host: &str, path: &str) -> Url {
        Url::parse(&format!("{}://{host}:{}{path}", self.scheme, self.port())).expect("url")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics while it holds this").clone()
    }

    /// The targets asked for, in order.
    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, behaviour: Behaviour, log: Log) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (behaviour, log) = (Arc::clone(&behaviour), Arc::clone(&log));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            // HTTP/2 always gives a whole URL; HTTP/1 only to a proxy.
            let target = match parts.version {
                Version::HTTP_2 => parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                _ => parts.uri.to_string(),
            };
            let authority = parts.uri.authority().map(ToString::to_string);
            let header = parts.headers.get("host").map(|host| host.to_str().expect("text").to_owned());
            let host = authority.or(header).unwrap_or_default();
            let asked =
                Asked { host, method: parts.method, target, headers: parts.headers, version: parts.version, body };
            let answer = behaviour(&asked);
            log.lock().expect("no test panics while it holds this").push(asked);
            let mut response = hyper::Response::new(StreamBody::new(body_of(answer.steps)));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok::<_, Infallible>(response)
        }
    });
    // A connection that a test cuts ends with an error, as it should.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

type Log = Arc<Mutex<Vec<Asked>>>;

fn body_of(steps: Vec<Step>) -> impl Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send {
    stream::iter(steps)
        .then(|step| async move {
            match step {
                Step::Send(bytes) => Ok(Frame::data(bytes)),
                Step::Stall => std::future::pending().await,
            }
        })
        .boxed()
}

/// The authority that the servers' certificate comes from.
pub(crate) fn authority() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("../../testdata/net/authority.pem")).expect("pem")
}
