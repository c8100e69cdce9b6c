//! An upstream that speaks the GOPROXY protocol out of memory, misbehaves as a test says, and remembers every request.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::authority;
use super::modvet;
use super::release::Release;

/// How long a request is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the upstream does instead of answering well.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// Answers well, after this long.
    Late(Duration),
    /// Takes the request and says nothing.
    Hangs,
    /// Says what there is to say up to this byte of the body, then nothing more.
    HangsAfter(usize),
    /// Ends the connection when so many bytes of the answer, head included, have gone.
    CutsAfter(usize),
    /// Announces the true length, sends half of the body and ends the connection.
    Truncates,
    /// Announces half of the body's length, and sends that half: only its reader can find out.
    Halves,
    /// Answers with a status and a text.
    Status(u16),
    /// The same with `Retry-After` in seconds.
    Retry(u16, u64),
    /// Answers 200 with something else.
    Lies(Lie),
}

/// What stands in the place of what was asked for.
#[derive(Debug, Clone)]
pub enum Lie {
    /// A page for people, as a login or a captive portal sends it.
    Page,
    /// The same kind of file, of another release.
    Of(Box<Release>),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// By what a client can ask whether an answer is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    None,
    ETag,
    LastModified,
}

/// What has to come with every request.
#[derive(Debug, Clone)]
pub enum Ticket {
    Basic(&'static str, &'static str),
    Bearer(&'static str),
    Header(&'static str, &'static str),
}

impl Ticket {
    /// The header and its value.
    fn header(&self) -> (String, String) {
        let authorization = |value: String| ("authorization".to_owned(), value);
        match self {
            Ticket::Basic(name, word) => {
                authorization(format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{word}"))))
            }
            Ticket::Bearer(token) => authorization(format!("Bearer {token}")),
            Ticket::Header(name, value) => (name.to_lowercase(), (*value).to_owned()),
        }
    }
}

/// A request, and the status that it got; 0 where none was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the first slash, percent signs decoded: `example.test/!upper/@v/list`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub status: u16,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Option<Asked> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let path = percent_decode_str(target.trim_start_matches('/')).decode_utf8().ok()?.into_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Some(Asked { method, path, headers, status: 0 })
    }
}

/// A file, and since when it is as it is.
#[derive(Debug, Clone)]
struct File {
    content: Vec<u8>,
    modified: &'static str,
}

/// What a fresh file says in `Last-Modified`, and what it says once its content was changed.
const MODIFIED: [&str; 2] = ["Tue, 01 Jan 2019 00:00:00 GMT", "Wed, 02 Jan 2019 00:00:00 GMT"];

struct State {
    files: BTreeMap<String, File>,
    /// Endings of paths; the last that fits counts.
    conduct: Vec<(String, Conduct)>,
    ticket: Option<Ticket>,
    validator: Validator,
    gzip: bool,
    asked: Vec<Asked>,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<State>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no holder panics")
    }
}

/// An upstream on a port of its own. Dropping it kills it: who asks then is refused by the system.
pub struct Double {
    address: SocketAddr,
    scheme: &'static str,
    shared: Shared,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Double {
    pub fn start() -> Double {
        Double::run(None)
    }

    /// Over TLS, with a certificate for 127.0.0.1 of the authority `testdata/net/authority.pem`.
    pub fn start_tls() -> Double {
        let folder = super::top().join("testdata/net");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the tree");
        let config = authority::server(&read("server.pem"), &read("server.key"));
        Double::run(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn run(tls: Option<TlsAcceptor>) -> Double {
        let (runtime, listener, address) = super::listener(1);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = State {
            files: BTreeMap::new(),
            conduct: Vec::new(),
            ticket: None,
            validator: Validator::ETag,
            gzip: false,
            asked: Vec::new(),
        };
        let shared = Shared(Arc::new((Mutex::new(state), Condvar::new())));
        let served = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a TCP connection");
                let (shared, tls) = (served.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, shared).await,
                        // A client that does not trust us goes away here.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Double { address, scheme, shared, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Settings of an upstream of this name, to which further lines may be added.
    pub fn settings(&self, name: &str) -> String {
        modvet::over_proxy(name, &self.url())
    }

    /// Adds a version; one that was there already has other content from now on.
    pub fn add(&self, release: &Release) {
        let folder = release.folder();
        for (ending, content) in release.endings() {
            self.put(&format!("{folder}/{}.{ending}", modvet::escaped(&release.version)), content);
        }
        let list = self.shared.lock().files.get(&format!("{folder}/list")).map(|file| file.content.clone());
        let mut list = String::from_utf8(list.unwrap_or_default()).expect("versions are text");
        if !list.lines().any(|line| line == release.version) {
            list.push_str(&format!("{}\n", release.version));
            self.put(&format!("{folder}/list"), list.into_bytes());
        }
    }

    /// Puts a file at a path.
    pub fn put(&self, path: &str, content: Vec<u8>) {
        let mut state = self.shared.lock();
        let modified = match state.files.get(path) {
            Some(before) if before.content == content => before.modified,
            Some(_) => MODIFIED[1],
            None => MODIFIED[0],
        };
        state.files.insert(path.to_owned(), File { content, modified });
    }

    /// Takes away what lies at paths that end so; all if it is empty.
    pub fn remove(&self, ending: &str) {
        self.shared.lock().files.retain(|path, _| !path.ends_with(ending));
    }

    /// Misbehaves where paths end so; everywhere if it is empty.
    pub fn set(&self, ending: &str, conduct: Conduct) {
        self.shared.lock().conduct.push((ending.to_owned(), conduct));
    }

    /// Behaves well again everywhere.
    pub fn behave(&self) {
        self.shared.lock().conduct.clear();
    }

    /// Answers 401 from now on unless this comes along.
    pub fn require(&self, ticket: Ticket) {
        self.shared.lock().ticket = Some(ticket);
    }

    pub fn tell(&self, validator: Validator) {
        self.shared.lock().validator = validator;
    }

    /// Compresses bodies for clients that take it.
    pub fn gzip(&self) {
        self.shared.lock().gzip = true;
    }

    /// Every request so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// How often paths that end so were asked for.
    pub fn count(&self, ending: &str) -> usize {
        self.shared.lock().count(ending)
    }

    /// Waits until paths that end so were asked for so often.
    pub fn wait_for(&self, ending: &str, times: usize) {
        let (_, changed) = &*self.shared.0;
        let waited = changed.wait_timeout_while(self.shared.lock(), PATIENCE, |state| state.count(ending) < times);
        let (state, time) = waited.expect("no holder panics");
        assert!(!time.timed_out(), "{ending}: asked {} times (expected {times})", state.count(ending));
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        self.shared.lock().asked.clear();
    }
}

impl State {
    fn count(&self, ending: &str) -> usize {
        self.asked.iter().filter(|asked| asked.path.ends_with(ending)).count()
    }
}

/// Answers the requests of a connection, one after the other.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let mut read = Vec::new();
    while let Some(asked) = request(&mut stream, &mut read).await {
        let (asked, conduct, answer) = shared.answer(asked);
        let is_head = asked.method == "HEAD";
        let noted = shared.note(asked);
        let whole = answer.bytes(is_head);
        let body_at = whole.len() - if is_head { 0 } else { answer.body.len() };
        let limit = match &conduct {
            Some(Conduct::Late(delay)) => {
                tokio::time::sleep(*delay).await;
                whole.len()
            }
            Some(Conduct::Hangs) => 0,
            Some(Conduct::HangsAfter(bytes)) => whole.len().min(body_at + bytes),
            Some(Conduct::CutsAfter(bytes)) => whole.len().min(*bytes),
            Some(Conduct::Truncates) => body_at + (whole.len() - body_at) / 2,
            _ => whole.len(),
        };
        if limit > 0 {
            shared.sent(noted, answer.status);
        }
        // A client that went away is no concern of the server's.
        if stream.write_all(&whole[..limit]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        match conduct {
            Some(Conduct::Hangs | Conduct::HangsAfter(_)) => {
                // Until the client gives up.
                let _ = stream.read_u8().await;
                return;
            }
            Some(Conduct::CutsAfter(_) | Conduct::Truncates) => return,
            _ => {}
        }
    }
}

/// The next request without a body; what was read beyond it stays in `read`.
async fn request(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<Asked> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Asked::parse(std::str::from_utf8(&head[..end]).ok()?);
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => read.extend(&buffer[..length]),
            _ => return None,
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn text(status: u16, text: String) -> Answer {
        let headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
        Answer { status, headers, body: text.into_bytes() }
    }

    fn file(content: Vec<u8>) -> Answer {
        Answer { status: 200, headers: vec![("Content-Type", "application/octet-stream".to_owned())], body: content }
    }

    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} As told\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = format!("{bytes}\r\n").into_bytes();
        if !is_head {
            bytes.extend(&self.body);
        }
        bytes
    }
}

impl Shared {
    /// What is to be said, and how.
    fn answer(&self, asked: Asked) -> (Asked, Option<Conduct>, Answer) {
        let state = self.lock();
        let conduct = state.conduct.iter().rev().find(|(ending, _)| asked.path.ends_with(ending.as_str()));
        let conduct = conduct.map(|(_, conduct)| conduct.clone());
        let answer = match &conduct {
            _ if !state.lets_in(&asked) => {
                let mut answer = Answer::text(401, "who are you?\n".to_owned());
                answer.headers.push(("WWW-Authenticate", "Basic realm=\"double\"".to_owned()));
                answer
            }
            Some(Conduct::Status(status)) => Answer::text(*status, format!("told to say {status}\n")),
            Some(Conduct::Retry(status, seconds)) => {
                let mut answer = Answer::text(*status, format!("told to say {status}\n"));
                answer.headers.push(("Retry-After", seconds.to_string()));
                answer
            }
            Some(Conduct::Lies(lie)) => lie.answer(&asked.path),
            Some(Conduct::Halves) => {
                let mut answer = state.file(&asked);
                answer.body.truncate(answer.body.len() / 2);
                answer
            }
            _ => state.file(&asked),
        };
        (asked, conduct, answer)
    }

    fn note(&self, asked: Asked) -> usize {
        let mut state = self.lock();
        state.asked.push(asked);
        self.0.1.notify_all();
        state.asked.len() - 1
    }

    fn sent(&self, at: usize, status: u16) {
        // It may have been forgotten meanwhile.
        if let Some(asked) = self.lock().asked.get_mut(at) {
            asked.status = status;
        }
    }
}

impl State {
    fn lets_in(&self, asked: &Asked) -> bool {
        let Some(ticket) = &self.ticket else { return true };
        let (name, value) = ticket.header();
        asked.header(&name) == Some(&value)
    }

    fn file(&self, asked: &Asked) -> Answer {
        let Some(file) = self.files.get(&asked.path) else {
            return Answer::text(404, format!("not found: {}\n", asked.path));
        };
        let (name, value, condition) = match self.validator {
            Validator::None => ("", String::new(), ""),
            Validator::ETag => ("ETag", format!("\"{}\"", hex::encode(Sha256::digest(&file.content))), "if-none-match"),
            Validator::LastModified => ("Last-Modified", file.modified.to_owned(), "if-modified-since"),
        };
        let is_same = !name.is_empty() && asked.header(condition) == Some(&value);
        let mut answer = Answer::file(if is_same { Vec::new() } else { file.content.clone() });
        if is_same {
            answer.status = 304;
        }
        if !name.is_empty() {
            answer.headers.push((name, value));
        }
        let takes_gzip = asked.header("accept-encoding").is_some_and(|codings| codings.contains("gzip"));
        if self.gzip && takes_gzip && !is_same {
            answer.body = gzipped(&answer.body);
            answer.headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        answer
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(bytes).expect("memory");
    coder.finish().expect("memory")
}

impl Lie {
    fn answer(&self, path: &str) -> Answer {
        match self {
            Lie::Page => {
                let page = "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n";
                let headers = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
                Answer { status: 200, headers, body: page.as_bytes().to_vec() }
            }
            Lie::Of(other) => {
                let found = other.endings().into_iter().find(|(ending, _)| path.ends_with(&format!(".{ending}")));
                Answer::file(found.map_or_else(|| format!("{}\n", other.version).into_bytes(), |(_, content)| content))
            }
            Lie::Bytes(bytes) => Answer::file(bytes.clone()),
        }
    }
}
