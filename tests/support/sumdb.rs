//! A checksum database of the test's own: a key pair, a log that grows, tiles of height 8, and every way to lie.
//!
//! It stands alone (`URL/lookup/…`), is handed through like a proxy does (`URL/sumdb/NAME/lookup/…`), and can stand in
//! front of another server, which then gets all that is not about it.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{h1, modvet};

/// How long a request is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

type Hash = [u8; 32];

/// What it does instead of telling the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// Notes are signed with the key of somebody else of the same name.
    OtherKey,
    /// Notes are signed, then changed.
    Tampered,
    /// A lookup answers the record of its number with other lines than the log has there.
    Unrecorded { module: String, version: String, zip: String, go_mod: String },
    /// Notes are of the tree when it had so many records.
    OldHead(u64),
    /// A bit of every tile is flipped.
    WrongTiles,
    /// A page in the place of everything.
    Page,
    /// Answers with a status.
    Status(u16),
    /// Takes requests and says nothing.
    Silent,
    /// Tells the truth, after this long.
    Slow(Duration),
}

#[derive(Default)]
struct State {
    /// Module, version, lines.
    records: Vec<(String, String, String)>,
    /// Every complete subtree, by level.
    levels: Vec<Vec<Hash>>,
    lie: Option<Lie>,
    asked: Vec<String>,
    /// Whether it is handed through under `sumdb/NAME/`.
    is_unsupported: bool,
}

struct Shared {
    name: String,
    before: Option<SocketAddr>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A running database; dropping it ends it: who asks then is refused by the system.
pub struct Database {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Database {
    pub fn start(name: &str) -> Database {
        Database::run(name, None)
    }

    /// The same in front of a module proxy.
    pub fn start_before(name: &str, proxy: SocketAddr) -> Database {
        Database::run(name, Some(proxy))
    }

    fn run(name: &str, before: Option<SocketAddr>) -> Database {
        let (runtime, listener, address) = super::listener(1);
        let shared =
            Arc::new(Shared { name: name.to_owned(), before, state: Mutex::default(), changed: Condvar::new() });
        let serving = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, serving.clone()));
            }
        });
        Database { address, shared, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `NAME+HASH+KEY`
    pub fn key(&self) -> String {
        key(&self.shared.name)
    }

    /// As `GOSUMDB` takes it, reached without a proxy.
    pub fn gosumdb(&self) -> String {
        format!("{} {}", self.key(), self.url())
    }

    /// Adds a record; gives back its number.
    pub fn enter(&self, module: &str, version: &str, zip: &str, go_mod: &str) -> u64 {
        let mut state = self.lock();
        let lines = format!("{module} {version} {zip}\n{module} {version}/go.mod {go_mod}\n");
        state.records.push((module.to_owned(), version.to_owned(), lines));
        let number = state.records.len() - 1;
        state.rebuild(number);
        number as u64
    }

    /// Adds the record of a zip and a go.mod.
    pub fn enter_files(&self, module: &str, version: &str, zip: &[u8], go_mod: &[u8]) -> u64 {
        let zip = h1::of_zip(zip).unwrap_or_else(|error| panic!("{module}@{version}: {error}"));
        self.enter(module, version, &zip, &h1::of_go_mod(go_mod))
    }

    /// Adds records that nobody asks for.
    pub fn grow(&self, count: usize) {
        for _ in 0..count {
            let number = self.size();
            self.enter("filler.example/m", &format!("v0.0.{number}"), "h1:filler=", "h1:filler=");
        }
    }

    pub fn size(&self) -> u64 {
        self.lock().records.len() as u64
    }

    /// From this record on the past was another one. What it says agrees with itself.
    pub fn fork(&self, from: u64) {
        let mut state = self.lock();
        let from = from as usize;
        for (_, _, lines) in &mut state.records[from..=from] {
            lines.push_str("other.example/past v1.0.0 h1:past=\n");
        }
        state.rebuild(from);
    }

    pub fn lie(&self, lie: impl Into<Option<Lie>>) {
        self.lock().lie = lie.into();
    }

    /// As a proxy it does not hand the database through: 404 to everything under `sumdb/`.
    pub fn is_unsupported(&self, is_unsupported: bool) {
        self.lock().is_unsupported = is_unsupported;
    }

    /// What it was asked for since the last time, without `sumdb/NAME/`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Waits until somebody asks for it.
    pub fn wait_for(&self, path: &str) {
        let asked = |state: &mut State| !state.asked.iter().any(|asked| asked == path);
        let (state, waited) =
            self.shared.changed.wait_timeout_while(self.lock(), PATIENCE, asked).expect("no holder panics");
        assert!(!waited.timed_out(), "nobody asked for {path}: {:?}", state.asked);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no holder panics")
    }
}

impl State {
    /// Computes the hashes anew from this record on.
    fn rebuild(&mut self, from: usize) {
        for (level, row) in self.levels.iter_mut().enumerate() {
            row.truncate(from >> level);
        }
        for number in from..self.records.len() {
            let mut hash = sum(&[&[0], self.records[number].2.as_bytes()]);
            let mut level = 0;
            loop {
                if self.levels.len() == level {
                    self.levels.push(Vec::new());
                }
                let row = &mut self.levels[level];
                row.push(hash);
                if row.len() % 2 == 1 {
                    break;
                }
                hash = sum(&[&[1], &row[row.len() - 2], &row[row.len() - 1]]);
                level += 1;
            }
        }
    }

    /// The hash over the first records.
    fn root(&self, size: u64) -> Hash {
        let (mut done, mut peaks) = (0, Vec::new());
        for level in (0..self.levels.len()).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(self.levels[level][(done >> level) as usize]);
            done += 1_u64 << level;
        }
        let joined = peaks.into_iter().rev().reduce(|right, left| sum(&[&[1], &left, &right]));
        joined.unwrap_or_else(|| sum(&[]))
    }

    fn note(&self, name: &str) -> String {
        let size = match self.lie {
            Some(Lie::OldHead(size)) => size,
            _ => self.records.len() as u64,
        };
        let text = format!("go.sum database tree\n{size}\n{}\n", BASE64_STANDARD.encode(self.root(size)));
        let signer = pair(if self.lie == Some(Lie::OtherKey) { "somebody else" } else { name });
        let hash = key_hash(name, signer.public_key().as_ref());
        let signature = [&hash[..], signer.sign(text.as_bytes()).as_ref()].concat();
        let text = if self.lie == Some(Lie::Tampered) { text.replace("tree\n", "tree\n1") } else { text };
        format!("{text}\n— {name} {}\n", BASE64_STANDARD.encode(signature))
    }

    fn lookup(&self, asked: &str) -> Option<Vec<u8>> {
        let escaped = |(module, version, _): &&(String, String, String)| {
            asked == format!("{}@{}", modvet::escaped(module), modvet::escaped(version))
        };
        // The latest counts: a record can be entered again to be wrong.
        let number = self.records.iter().rposition(|record| escaped(&record))?;
        let (module, version, lines) = &self.records[number];
        let lines = match &self.lie {
            Some(Lie::Unrecorded { module: lied, version: about, zip, go_mod })
                if lied == module && about == version =>
            {
                format!("{module} {version} {zip}\n{module} {version}/go.mod {go_mod}\n")
            }
            _ => lines.clone(),
        };
        Some(format!("{number}\n{lines}\n").into_bytes())
    }

    /// `8/LEVEL/NUMBER[.p/WIDTH]`
    fn tile(&self, path: &str) -> Option<Vec<u8>> {
        let (level, rest) = path.strip_prefix("8/")?.split_once('/')?;
        let (number, width) = rest.split_once(".p/").unwrap_or((rest, "256"));
        let level: usize = level.parse().ok()?;
        let number = number.split('/').try_fold(0, |number, group| {
            let group: usize = group.trim_start_matches('x').parse().ok()?;
            Some(number * 1000 + group)
        })?;
        let row = self.levels.get(8 * level)?;
        let hashes = row.get(256 * number..256 * number + width.parse::<usize>().ok()?)?;
        let mut bytes = hashes.concat();
        if self.lie == Some(Lie::WrongTiles) {
            bytes[0] ^= 1;
        }
        Some(bytes)
    }

    fn answer(&self, name: &str, path: &str) -> Option<Vec<u8>> {
        match path.split_once('/') {
            _ if self.lie == Some(Lie::Page) => Some(b"<html>sign in first</html>".to_vec()),
            None if path == "supported" => Some(Vec::new()),
            None if path == "latest" => Some(self.note(name).into_bytes()),
            Some(("lookup", asked)) => Some([self.lookup(asked)?, self.note(name).into_bytes()].concat()),
            Some(("tile", rest)) => self.tile(rest),
            _ => None,
        }
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let target = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let path = percent_decode_str(target).decode_utf8_lossy().into_owned();
    let is_handed_through = path.starts_with("sumdb/");
    // A module path's first element has a dot: nothing else begins so.
    let is_own = is_handed_through || ["lookup/", "tile/", "latest"].iter().any(|start| path.starts_with(start));
    if let (Some(before), false) = (shared.before, is_own) {
        return pass_on(stream, before, &text).await;
    }
    let own = path.strip_prefix(&format!("sumdb/{}/", shared.name)).unwrap_or(&path).to_owned();
    let (lie, answer) = {
        let mut state = shared.state.lock().expect("no holder panics");
        state.asked.push(own.clone());
        let hidden = state.is_unsupported && is_handed_through;
        (state.lie.clone(), state.answer(&shared.name, &own).filter(|_| !hidden))
    };
    shared.changed.notify_all();
    let (status, body) = match (lie, answer) {
        (Some(Lie::Silent), _) => return std::future::pending().await,
        (Some(Lie::Status(status)), _) => (status, b"as the test wants it\n".to_vec()),
        (lie, answer) => {
            if let Some(Lie::Slow(delay)) = lie {
                tokio::time::sleep(delay).await;
            }
            answer.map_or_else(|| (404, b"not found\n".to_vec()), |body| (200, body))
        }
    };
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Who asked may be gone.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    let _ = stream.shutdown().await;
}

/// One request, and the connection ends.
async fn pass_on(mut stream: TcpStream, to: SocketAddr, head: &str) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let lines = head.trim_end().split("\r\n").filter(|line| !line.to_lowercase().starts_with("connection:"));
    let head = format!("{}\r\nConnection: close\r\n\r\n", lines.collect::<Vec<_>>().join("\r\n"));
    // Nothing more comes: that ends the connection of a server that would wait for a next request.
    if server.write_all(head.as_bytes()).await.is_ok() && server.shutdown().await.is_ok() {
        // Either may be gone.
        let _ = tokio::io::copy(&mut server, &mut stream).await;
        let _ = stream.shutdown().await;
    }
}

/// The key of a name: always the same.
pub fn key(name: &str) -> String {
    let pair = pair(name);
    let public = pair.public_key().as_ref();
    let encoded = BASE64_STANDARD.encode([&[1], public].concat());
    format!("{name}+{}+{encoded}", hex::encode(key_hash(name, public)))
}

fn pair(name: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&sum(&[name.as_bytes()])).expect("32 bytes")
}

fn key_hash(name: &str, public: &[u8]) -> [u8; 4] {
    let sum = sum(&[name.as_bytes(), b"\n\x01", public]);
    [sum[0], sum[1], sum[2], sum[3]]
}

fn sum(parts: &[&[u8]]) -> Hash {
    let mut sum = Sha256::new();
    parts.iter().for_each(|part| sum.update(part));
    sum.finalize().into()
}
