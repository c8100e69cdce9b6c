//! A checksum database in memory: it signs, it grows, and it lies as a test wants it.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::path::{Path, Target};
use crate::error::{Error, Result};
use crate::ports::Sumdb;
use crate::spec::database::NamedDatabase;
use crate::spec::note::signer::Signer;
use crate::spec::tile::grown::Log;

/// What it says instead of the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Notes are signed by somebody else of the same name.
    OtherKey,
    /// A lookup's lines are not those of the log.
    Unrecorded,
    /// A lookup names a record that the tree does not have yet.
    TooNew,
    /// Notes are of the tree when it had so many records.
    OldHead(u64),
    WrongTiles,
    Page,
}

#[derive(Default)]
struct State {
    /// Module, version, lines.
    records: Vec<(String, String, String)>,
    log: Log,
    lie: Option<Lie>,
    failure: Option<Error>,
    gate: Option<Arc<Semaphore>>,
    asked: Vec<String>,
}

pub(crate) struct Double {
    name: String,
    state: Mutex<State>,
}

impl Double {
    pub(crate) fn new(name: &str) -> Arc<Double> {
        Arc::new(Double { name: name.to_owned(), state: Mutex::default() })
    }

    pub(crate) fn named(&self) -> NamedDatabase {
        named(&self.name)
    }

    /// Adds a record; its hashes are `h1:zip=` and `h1:mod=`.
    pub(crate) fn enter(&self, module: &str, version: &str) {
        let mut state = self.state();
        let lines = format!("{module} {version} h1:zip=\n{module} {version}/go.mod h1:mod=\n");
        state.log.add(lines.as_bytes());
        state.records.push((module.to_owned(), version.to_owned(), lines));
    }

    pub(crate) fn grow(&self, count: u64) {
        (0..count).for_each(|_| self.enter("filler.example/m", "v1.0.0"));
    }

    /// From this record on the past was another one.
    pub(crate) fn fork(&self, from: usize) {
        let mut state = self.state();
        state.records[from].2.push_str("other.example/past v1.0.0 h1:past=\n");
        state.log = Log::of(state.records.iter().map(|(_, _, lines)| lines));
    }

    pub(crate) fn lie(&self, lie: impl Into<Option<Lie>>) {
        self.state().lie = lie.into();
    }

    /// From now on every question fails so; `None` mends it.
    pub(crate) fn fail(&self, error: Option<Error>) {
        self.state().failure = error;
    }

    /// From now on every question waits for a permit.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.state().gate = Some(gate.clone());
        gate
    }

    /// What it was asked since the last time, without its name.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }
}

/// The database of a name, whose key is always the same.
pub(crate) fn named(name: &str) -> NamedDatabase {
    NamedDatabase::parse(&Signer::new(name, 1).key.to_string()).expect("a key")
}

impl State {
    fn note(&self, name: &str) -> String {
        let size = match self.lie {
            Some(Lie::OldHead(size)) => size,
            _ => self.log.size(),
        };
        let head = self.log.head(size);
        let signer = Signer::new(name, if self.lie == Some(Lie::OtherKey) { 2 } else { 1 });
        signer.sign(&format!("go.sum database tree\n{size}\n{}\n", head.hash))
    }

    fn answer(&self, name: &str, target: &Target) -> Option<Bytes> {
        match target {
            Target::Supported => Some(Bytes::new()),
            Target::Latest => Some(self.note(name).into()),
            Target::Lookup { module, version } => {
                let is_asked = |(m, v, _): &(String, String, String)| m == module.as_str() && v == version.as_str();
                let number = self.records.iter().rposition(is_asked)?;
                let lines = self.records[number].2.clone();
                let (number, lines) = match self.lie {
                    Some(Lie::Unrecorded) => (number as u64, lines.replace("h1:zip=", "h1:lie=")),
                    Some(Lie::TooNew) => (self.log.size(), lines),
                    _ => (number as u64, lines),
                };
                Some(format!("{number}\n{lines}\n{}", self.note(name)).into())
            }
            Target::Tile(tile) => {
                let mut bytes = self.log.tile(tile)?;
                if self.lie == Some(Lie::WrongTiles) {
                    bytes[0] ^= 1;
                }
                Some(bytes.into())
            }
        }
    }
}

#[async_trait]
impl Sumdb for Double {
    async fn get(&self, path: &str) -> Result<Bytes> {
        assert!(!path.starts_with("panic."), "as the test wants it");
        let path = Path::parse(path).expect("a well-formed path");
        if path.name != self.name {
            return Err(Error::not_found("404 Not Found"));
        }
        let gate = {
            let mut state = self.state();
            state.asked.push(path.target.file());
            state.gate.clone()
        };
        if let Some(gate) = gate {
            gate.acquire().await.expect("never closed").forget();
        }
        let state = self.state();
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        if state.lie == Some(Lie::Page) {
            return Ok(Bytes::from_static(b"<html>sign in first</html>"));
        }
        state.answer(&self.name, &path.target).ok_or_else(|| Error::not_found("404 Not Found"))
    }
}
