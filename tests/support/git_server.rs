//! A smart HTTP server of git on the loopback: every request is answered by git's own `git http-backend`.
//!
//! `/ANYTHING/NAME`, with or without `.git`, is the repository `NAME` of the folder served.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Semaphore;

/// What the server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Protocol v2 with filters; wants by id allowed, as the great forges do.
    Filters,
    /// Protocol v2 without filters.
    NoFilters,
    /// Protocol v0 whatever the client asks for; only tips may be wanted.
    Old,
}

/// What was asked of the server so far.
#[derive(Debug, Default)]
pub struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    asked: Mutex<Vec<Asked>>,
}

/// What a request to `git-upload-pack` or `git-receive-pack` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Refs,
    /// Commits and tags only.
    History,
    /// A pack with trees or files.
    Files,
    /// Refs are to be changed.
    Push,
}

impl Asked {
    /// Reads a request of protocol v2.
    fn of(body: &[u8]) -> Asked {
        let has = |word: &str| body.windows(word.len()).any(|window| window == word.as_bytes());
        match (has("command=ls-refs"), has("filter tree:0")) {
            (true, _) => Asked::Refs,
            (false, true) => Asked::History,
            (false, false) => Asked::Files,
        }
    }
}

impl Counts {
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// How often refs, histories or files were asked for, by protocol v2, and how often somebody pushed.
    pub fn of(&self, what: Asked) -> usize {
        self.asked.lock().expect("no holder panics").iter().filter(|asked| **asked == what).count()
    }

    /// How many requests came without the credentials.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Bytes of answers' bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

/// A running server; dropping it ends it, the processes it started included.
pub struct GitServer {
    address: SocketAddr,
    service: Arc<Service>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

struct Service {
    folder: PathBuf,
    flavour: Flavour,
    /// The `Authorization` that every request has to bear.
    ticket: Option<String>,
    counts: Arc<Counts>,
    /// Whether anybody may push.
    is_writable: AtomicBool,
    /// After so many bytes of a push the connection is cut.
    push_limit: AtomicU64,
    /// So many processes at a time.
    permits: Arc<Semaphore>,
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

impl GitServer {
    /// Serves the bare repositories of a folder on a port of its own.
    pub fn start(folder: &Path, flavour: Flavour) -> GitServer {
        GitServer::run(folder, flavour, None)
    }

    /// The same for those who know the user's name and password.
    pub fn guarded(folder: &Path, username: &str, password: &str) -> GitServer {
        let ticket = BASE64_STANDARD.encode(format!("{username}:{password}"));
        GitServer::run(folder, Flavour::Filters, Some(format!("Basic {ticket}")))
    }

    fn run(folder: &Path, flavour: Flavour, ticket: Option<String>) -> GitServer {
        let (runtime, listener, address) = super::listener(2);
        let service = Arc::new(Service {
            folder: folder.to_owned(),
            flavour,
            ticket,
            counts: Arc::default(),
            is_writable: AtomicBool::new(true),
            push_limit: AtomicU64::new(u64::MAX),
            permits: Arc::new(Semaphore::new(8)),
        });
        runtime.spawn(accept(listener, service.clone()));
        GitServer { address, service, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn counts(&self) -> &Counts {
        &self.service.counts
    }

    /// Pushes are answered 403 from now on, or let through again.
    pub fn let_push(&self, is_writable: bool) {
        self.service.is_writable.store(is_writable, Ordering::SeqCst);
    }

    /// The server hangs up when it has got so many bytes of a push; `None`: it does not any more.
    pub fn cut_pushes(&self, bytes: Option<u64>) {
        self.service.push_limit.store(bytes.unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

/// A bare repository lets nobody change one of its refs any more, and says `why`.
pub fn refuse_ref(repository: &Path, name: &str, why: &str) {
    let script = format!("#!/bin/sh\nif [ \"$1\" = '{name}' ]; then echo '{why}' >&2; exit 1; fi\n");
    let hook = repository.join("hooks/update");
    std::fs::create_dir_all(repository.join("hooks")).expect("a folder");
    std::fs::write(&hook, script).expect("written");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    while let Ok((stream, _)) = listener.accept().await {
        // As forges do: small pieces would wait 40 ms for the client's delayed acknowledgement.
        stream.set_nodelay(true).expect("a TCP connection");
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            // A client that went away is no concern of the server's.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Service {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.counts.requests.fetch_add(1, Ordering::SeqCst);
        if let Some(ticket) = &self.ticket
            && request.headers().get(AUTHORIZATION).is_none_or(|found| found != ticket.as_str())
        {
            self.counts.refused.fetch_add(1, Ordering::SeqCst);
            return plain(401, "who are you?\n");
        }
        let Some(path_info) = self.path_info(request.uri().path()) else { return plain(404, "no such repository\n") };
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let mut child = self.backend(&request, &path_info).spawn().expect("git is installed");
        let mut input = child.stdin.take().expect("stdin is piped");
        let is_push = path_info.ends_with("/git-receive-pack");
        let (counts, mut first) = (self.counts.clone(), is_push || path_info.ends_with("/git-upload-pack"));
        let mut left = if is_push { self.push_limit.load(Ordering::SeqCst) } else { u64::MAX };
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = is_cut.clone();
        tokio::spawn(async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(piece)) = body.next().await {
                if std::mem::take(&mut first) {
                    let asked = if is_push { Asked::Push } else { Asked::of(&piece) };
                    // Four bytes only ask whether one may push.
                    if piece.len() > 4 {
                        counts.asked.lock().expect("no holder panics").push(asked);
                    }
                }
                if piece.len() as u64 > left {
                    // What git has by then is no whole pack: it ends, and so does the answer.
                    cut.store(true, Ordering::SeqCst);
                    return;
                }
                left -= piece.len() as u64;
                if input.write_all(&piece).await.is_err() {
                    return;
                }
            }
        });
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let Some(head) = tokio::time::timeout(Duration::from_secs(60), head(&mut output)).await.ok().flatten() else {
            return plain(500, "git http-backend said nothing\n");
        };
        let counts = self.counts.clone();
        let body = futures_util::stream::unfold((output, child, permit), move |state| {
            piece(state, counts.clone(), is_cut.clone())
        });
        head.body(StreamBody::new(body).boxed_unsync()).expect("headers of git are headers")
    }

    /// `/NAME/info/refs` of `/ANYTHING/NAME.git/info/refs`.
    fn path_info(&self, path: &str) -> Option<String> {
        let service =
            ["/info/refs", "/git-upload-pack", "/git-receive-pack"].into_iter().find(|end| path.ends_with(end))?;
        let name = path.strip_suffix(service)?.rsplit('/').next()?;
        let name = name.strip_suffix(".git").unwrap_or(name);
        (!name.is_empty() && self.folder.join(name).join("HEAD").is_file()).then(|| format!("/{name}{service}"))
    }

    fn backend(&self, request: &Request<Incoming>, path_info: &str) -> Command {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let mut command = Command::new("git");
        command.arg("http-backend").env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_PROJECT_ROOT", &self.folder).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("PATH_INFO", path_info).env("REQUEST_METHOD", request.method().as_str());
        command.env("QUERY_STRING", request.uri().query().unwrap_or(""));
        command.env("CONTENT_TYPE", header("content-type")).env("REMOTE_ADDR", "127.0.0.1");
        command.env("HTTP_CONTENT_ENCODING", header("content-encoding"));
        // Of a push it must not know how long it is: it would look for the rest of one that was cut for ever.
        if !header("content-length").is_empty() && !path_info.ends_with("/git-receive-pack") {
            command.env("CONTENT_LENGTH", header("content-length"));
        }
        let allowed = if self.flavour == Flavour::Filters { "true" } else { "false" };
        if self.flavour != Flavour::Old {
            command.env("GIT_PROTOCOL", header("git-protocol"));
        }
        let pushes = if self.is_writable.load(Ordering::SeqCst) { "true" } else { "false" };
        let settings = [
            ("uploadpack.allowFilter", allowed),
            ("uploadpack.allowAnySHA1InWant", allowed),
            ("http.receivepack", pushes),
        ];
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command
    }
}

/// Reads the CGI header of an answer.
async fn head(output: &mut BufReader<ChildStdout>) -> Option<http::response::Builder> {
    let mut head = Response::builder();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some(head);
        }
        let (name, value) = line.split_once(": ")?;
        head = match name {
            "Status" => head.status(value.split(' ').next()?.parse::<u16>().ok()?),
            name => head.header(name, value),
        };
    }
}

type Output = (BufReader<ChildStdout>, Child, tokio::sync::OwnedSemaphorePermit);

async fn piece(
    mut state: Output,
    counts: Arc<Counts>,
    is_cut: Arc<AtomicBool>,
) -> Option<(std::io::Result<Frame<Bytes>>, Output)> {
    let mut buffer = vec![0; 64 * 1024];
    match state.0.read(&mut buffer).await {
        Ok(_) if is_cut.load(Ordering::SeqCst) => Some((Err(std::io::ErrorKind::ConnectionReset.into()), state)),
        Ok(0) => None,
        Ok(length) => {
            buffer.truncate(length);
            counts.bytes.fetch_add(length as u64, Ordering::SeqCst);
            Some((Ok(Frame::data(buffer.into())), state))
        }
        Err(error) => Some((Err(error), state)),
    }
}

fn plain(status: u16, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
    Response::builder().status(status).body(body.boxed_unsync()).expect("a status and no headers")
}
