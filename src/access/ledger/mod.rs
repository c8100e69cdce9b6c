//! The first content of every version that was served, for ever: kept under `ledger/REGISTRY/`, beyond the life of
//! the bytes. One for each registry, since one team's first sight must not decide for another; by module path, since a
//! content must not change because an upstream is edited, renamed or replaced. Rules: docs/ledger.md.

mod accept;
mod list;
mod row;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

pub use accept::{Acceptance, Accepted};
pub use list::{Entered, Figures, Page, Wanted, figures, visit};
pub use row::{Content, Held, Past, Refusal, Row};

use crate::error::{Error, Result};
use crate::ports::{Body, Clock, ReleasedFile, Store};
use crate::spec::path::ModulePath;
use crate::spec::verdict::Drift;
use crate::spec::version::Version;

/// What keys of the ledger begin with.
pub const PREFIX: &str = "ledger/";

/// The ledgers of a process: one for each registry, whoever asks for it.
pub struct Ledgers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<String, Arc<Ledger>>>,
}

/// What one registry served. Whatever reads or writes a row is blocking.
pub struct Ledger {
    registry: String,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The hashes of what is asked for most.
    known: Cache<Key, Arc<str>>,
    /// Of what another content came just now, and what was said; nothing where the first one was served.
    noted: Cache<Key, (Option<Error>, DateTime<Utc>)>,
    /// Whether that ever happened: most ledgers need not look.
    has_noted: AtomicBool,
    /// Reading and writing the row of one version take turns.
    turns: [Mutex<()>; TURNS],
    /// How often something was refused, since the start.
    refusals: AtomicU64,
    /// How many tags are not where they were, as last counted.
    drifted: AtomicU64,
}

/// What is to be done about a content.
#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is the first one, and is written down.
    First,
    Same,
    /// It took the place of another one, as was asked for.
    Followed,
    /// Another one stands there.
    Other(Box<Held>),
}

/// What is done about another content of the same upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOther {
    Refuse,
    /// `on_change = "replace"`
    Follow,
}

/// What the history says of a content that came with `on_change = "replace"`.
const BY_CONFIGURATION: &str = "on_change = \"replace\"";

const KNOWN: usize = 10_000;
const TURNS: usize = 16;

/// How long a refusal is given again without asking anybody.
const LATELY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    module: ModulePath,
    version: Version,
    file: ReleasedFile,
}

/// The same borrowed: a warm answer allocates nothing.
#[derive(Clone, Copy, Hash)]
struct Probe<'a> {
    module: &'a ModulePath,
    version: &'a Version,
    file: ReleasedFile,
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.module == key.module && *self.version == key.version && self.file == key.file
    }
}

impl Probe<'_> {
    fn key(self) -> Key {
        Key { module: self.module.clone(), version: self.version.clone(), file: self.file }
    }
}

impl Ledgers {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Ledgers {
        Ledgers { store, clock, open: Mutex::default() }
    }

    /// The ledger of a registry; one that comes again under a name goes on with what was written under it.
    pub fn of(&self, registry: &str) -> Arc<Ledger> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Ledger::new(registry, self.store.clone(), self.clock.clone());
        open.entry(registry.to_owned()).or_insert_with(new).clone()
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl Ledger {
    pub fn new(registry: &str, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Ledger> {
        Arc::new(Ledger {
            registry: registry.to_owned(),
            store,
            clock,
            known: Cache::new(KNOWN),
            noted: Cache::new(KNOWN / 10),
            has_noted: AtomicBool::new(false),
            turns: Default::default(),
            refusals: AtomicU64::new(0),
            drifted: AtomicU64::new(0),
        })
    }

    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether a content is known, without the store, to be the one that stands there.
    pub fn is_known(&self, module: &ModulePath, version: &Version, file: ReleasedFile, h1: &str) -> bool {
        self.known.get(&Probe { module, version, file }).is_some_and(|known| *known == *h1)
    }

    /// Judges a content that is about to be served; a first one is on the disk when this returns. Blocking.
    pub fn enter(
        &self,
        module: &ModulePath,
        version: &Version,
        file: ReleasedFile,
        content: Content,
        on_other: OnOther,
    ) -> Result<Ruling> {
        let _turn = self.turn(module, version);
        let mut row = self.read(module, version)?.unwrap_or_default();
        let (now, key) = (self.clock.now(), Probe { module, version, file }.key());
        let h1: Arc<str> = content.h1.as_str().into();
        let place = row.place(file);
        let ruling = match place {
            None => {
                *place = Some(Held::first(content, now));
                Ruling::First
            }
            Some(held) if held.h1 == content.h1 && held.learns(&content) => {
                held.commit = content.commit;
                Ruling::Same
            }
            Some(held) if held.h1 == content.h1 => {
                self.known.insert(key, h1);
                return Ok(Ruling::Same);
            }
            Some(held) if on_other == OnOther::Follow && held.upstream == content.upstream => {
                let (was, found, upstream) = (held.h1.clone(), &content.h1, &content.upstream);
                let (registry, subject) = (&self.registry, format!("{module}@{version}"));
                tracing::warn!(
                    registry,
                    subject,
                    file = file.as_str(),
                    upstream,
                    was,
                    found,
                    "replaced, as on_change says"
                );
                held.replace(content, BY_CONFIGURATION, now);
                Ruling::Followed
            }
            Some(held) => return Ok(Ruling::Other(Box::new(held.clone()))),
        };
        if row.settle() {
            self.count_drift(-1);
        }
        self.write(module, version, &row)?;
        self.known.insert(key, h1);
        Ok(ruling)
    }

    /// Writes down that another content came. Blocking.
    pub fn refuse(&self, module: &ModulePath, version: &Version, file: ReleasedFile, content: Content) -> Result<()> {
        let _turn = self.turn(module, version);
        let Some(mut row) = self.read(module, version)? else { return Ok(()) };
        let Some(held) = row.place(file).as_mut().filter(|held| held.h1 != content.h1) else { return Ok(()) };
        held.refuse(content, self.clock.now());
        self.write(module, version, &row)
    }

    /// Remembers for a while that another content came: a refusal, which is counted, is given again meanwhile.
    pub fn note(&self, module: &ModulePath, version: &Version, file: ReleasedFile, refusal: Option<&Error>) {
        self.has_noted.store(true, Ordering::Relaxed);
        self.refusals.fetch_add(u64::from(refusal.is_some()), Ordering::Relaxed);
        self.noted.insert(Probe { module, version, file }.key(), (refusal.cloned(), self.clock.now()));
    }

    /// Whether it is remembered that another content came.
    pub fn is_noted(&self, module: &ModulePath, version: &Version, file: ReleasedFile) -> bool {
        self.lately(Probe { module, version, file }).is_some()
    }

    /// What was refused just now is refused, and counted, without asking anybody.
    pub fn refused_lately(&self, module: &ModulePath, version: &Version, file: ReleasedFile) -> Option<Error> {
        let refusal = self.lately(Probe { module, version, file })?;
        self.refusals.fetch_add(u64::from(refusal.is_some()), Ordering::Relaxed);
        refusal
    }

    fn lately(&self, probe: Probe<'_>) -> Option<Option<Error>> {
        if !self.has_noted.load(Ordering::Relaxed) {
            return None;
        }
        let (refusal, since) = self.noted.get(&probe)?;
        (self.clock.now() - since).to_std().is_ok_and(|age| age < LATELY).then_some(refusal)
    }

    /// How often something was refused, since the start.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// How many tags are not where they were.
    pub fn drifted(&self) -> u64 {
        self.drifted.load(Ordering::Relaxed)
    }

    /// What is written down of a version. Blocking.
    pub fn row(&self, module: &ModulePath, version: &Version) -> Result<Option<Row>> {
        self.read(module, version)
    }

    /// Writes down which commit a version's tag names now, `None` where there is no such tag any more, and gives
    /// where it went. Blocking.
    pub fn note_commit(&self, module: &ModulePath, version: &Version, now: Option<&str>) -> Result<Option<Drift>> {
        let _turn = self.turn(module, version);
        let Some(mut row) = self.read(module, version)? else { return Ok(None) };
        let Some((held, was)) = row.tagged() else { return Ok(None) };
        let (was, upstream) = (was.to_owned(), held.upstream.clone());
        let subject = format!("{module}@{version}");
        if now == Some(was.as_str()) {
            if row.drift.take().is_some() {
                tracing::info!(registry = self.registry, subject, commit = was, "a tag is where it was again");
                self.write(module, version, &row)?;
                self.count_drift(-1);
            }
            return Ok(None);
        }
        let is_news = row.drift.as_ref().is_none_or(|drift| drift.now.as_deref() != now || drift.was != was);
        if is_news {
            let seen_at = self.clock.now();
            let shown = now.unwrap_or("no commit");
            let registry = &self.registry;
            tracing::warn!(registry, subject, upstream, was, now = shown, "a tag is not where it was");
            let drift = Drift { was, now: now.map(str::to_owned), upstream, seen_at };
            let before = row.drift.replace(drift);
            self.write(module, version, &row)?;
            self.count_drift(i64::from(before.is_none()));
        }
        Ok(row.drift)
    }

    fn count_drift(&self, by: i64) {
        // It may be counted anew at the same time: what is counted is nearer to the truth than what is added.
        let add = |count: u64| Some(count.saturating_add_signed(by));
        let _ = self.drifted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn turn(&self, module: &ModulePath, version: &Version) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (module.as_str(), version.as_str()).hash(&mut hasher);
        let turn = &self.turns[hasher.finish() as usize % TURNS];
        turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, module: &ModulePath, version: &Version) -> Result<Option<Row>> {
        read(&*self.store, &self.registry, module, version)
    }

    fn write(&self, module: &ModulePath, version: &Version, row: &Row) -> Result<()> {
        let meta = serde_json::to_vec(row).expect("times and strings always serialize");
        let key = key(&self.registry, module, version);
        self.store.put(&key, &meta, Body::Bytes(Bytes::new())).map(drop)
    }
}

fn key(registry: &str, module: &ModulePath, version: &Version) -> String {
    format!("{PREFIX}{registry}/{}/@v/{}", module.escaped(), version.escaped())
}

/// A row that cannot be read is no absence: another content would pass.
fn read(store: &dyn Store, registry: &str, module: &ModulePath, version: &Version) -> Result<Option<Row>> {
    let Some(stored) = store.get(&key(registry, module, version))? else { return Ok(None) };
    let row = serde_json::from_slice(&stored.meta);
    row.map(Some).map_err(|cause| {
        let error = Error::internal("what the ledger says of it cannot be read").because(cause);
        error.about(format!("{module}@{version}"))
    })
}
