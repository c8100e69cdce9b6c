//! The traits by which the rooms reach the world: `Source`, `Examiner`, `Sumdb`, `Witness`, `Repo`, `Store`,
//! `Clock`; those of the mirror watch, `Pair`, `Notifier` and `Mirrors`, lie in `mirror`, and `Line` of upstreams in `line`.
//! Must not know of any implementation; a verb joins a trait only with two that really do it.
//! Rules: HOUSE.md, "The two storeys".

mod contents;
mod line;
mod mirror;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::spec::examination::Examination;
use crate::spec::info::{Commit, Info, ObjectId, Signature};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::refs::Refs;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

pub use contents::{Contents, Packed, PackedReader};
pub use line::{Answer, Certificate, Line};
pub use mirror::{
    Condition, Letter, MayRead, Mirrors, Newest, Notifier, OnStale, Pair, Reading, RefPair, RefRelation, RefUpdate,
    Relate, Relation, RemoteRef, Side, Staleness, Standing, Transfer, Updated, Via,
};

/// What can answer a client's question: another proxy, a folder, direct git, a cache before any of them.
///
/// An absence is `Kind::NotFound` or `Kind::Gone`, and only those let a walk go on.
#[async_trait]
pub trait Source: Send + Sync {
    /// The versions of a module in ascending order, without pseudo-versions; none is no error.
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>>;
    /// What `latest` stands for.
    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>>;
    /// What a query stands for, and what is wrong with it if it is a wrong pseudo-version.
    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>>;
    /// The go.mod of a version, also of a wrong pseudo-version whose revision exists.
    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>>;
    /// The module zip of a version, named as asked, also for a wrong pseudo-version whose revision exists.
    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>>;
    /// Whether what was told with these validators certainly still holds. `false` says nothing: ask in full.
    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>>;
}

/// What a source said, and by what it can be asked later whether it would say so again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    pub what: T,
    pub validators: Validators,
    /// The mirror that it was read from; `None` where whoever is responsible said so.
    pub via: Option<Via>,
    /// Since when it is known to be so, where that is not this moment: refs are heard once for many questions.
    pub since: Option<DateTime<Utc>>,
}

impl<T> Told<T> {
    pub fn new(what: T, validators: Validators) -> Told<T> {
        Told { what, validators, via: None, since: None }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Told<U> {
        Told { what: change(self.what), validators: self.validators, via: self.via, since: self.since }
    }

    /// Whether the mirror that it was read from may say otherwise than its source, which could not be asked.
    pub fn is_doubtful(&self) -> bool {
        self.via.as_ref().is_some_and(Via::is_doubtful)
    }

    /// The same, read from a mirror.
    pub fn via(self, via: Option<Via>) -> Told<T> {
        Told { via, ..self }
    }

    /// The same, known since then.
    pub fn since(self, since: Option<DateTime<Utc>>) -> Told<T> {
        Told { since, ..self }
    }
}

/// Without any, whoever was asked cannot say.
impl<T> From<T> for Told<T> {
    fn from(what: T) -> Told<T> {
        Told::new(what, Validators::default())
    }
}

/// What a source tells the states of an answer apart by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// An upstream's `ETag`, as it was sent; of a file in a folder its size and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// An upstream's `Last-Modified`, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The commit that a version's answers are made of; for all that rests on more than one ref, the sum over
    /// all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// For so many seconds past its validity a proxy lets a list, a branch or `latest` be given before it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_seconds: Option<u64>,
}

impl Validators {
    /// Whether there is nothing to tell states apart by.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none() && self.revision.is_none()
    }
}

/// What knows the repository of a module: it can hold a version against its history, and look whether it moved on.
#[async_trait]
pub trait Examiner: Send + Sync {
    /// `None` where the module is in no git repository. A revision that is not there is an absence.
    async fn examine(&self, module: &ModulePath, version: &Version) -> Result<Option<Examination>>;
    /// Asks for the refs anew, however fresh those known are; `None` where the module is in no git repository.
    async fn hear(&self, module: &ModulePath) -> Result<Option<Heard>>;
}

/// The refs of a repository, asked for anew.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The module path that the repository is of; all modules in it lie there or below.
    pub root: String,
    /// The refs known before, if any were.
    pub before: Option<Arc<Refs>>,
    pub after: Arc<Refs>,
}

/// A module proxy that hands checksum databases through.
#[async_trait]
pub trait Sumdb: Send + Sync {
    /// The body at `sumdb/PATH` below the proxy's address; `path` is `NAME/supported`, `NAME/lookup/MODULE@VERSION`, …
    ///
    /// An absence is the proxy's 404 or 410: it does not serve that database, or there is no such record.
    async fn get(&self, path: &str) -> Result<Bytes>;
}

/// Who can say whether a version's file is the one that everybody else gets: a checksum database.
#[async_trait]
pub trait Witness: Send + Sync {
    /// `Kind::BadGateway`, conclusive, where the database contradicts itself or its past. That nobody can be asked is
    /// no error.
    async fn testify(&self, module: &ModulePath, version: &Version, file: ReleasedFile, h1: &str) -> Result<Testimony>;
}

/// The files of a version that a checksum database knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleasedFile {
    Mod,
    Zip,
}

impl ReleasedFile {
    /// As in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            ReleasedFile::Mod => "mod",
            ReleasedFile::Zip => "zip",
        }
    }
}

/// What a witness says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Testimony {
    /// The database has this very hash.
    Verified { database: String },
    /// The database has another hash.
    Refuted { database: String, h1: String },
    /// It could not be asked, or knows nothing of the version: to be asked again.
    Unverified { why: String },
    /// It is not to be asked: the module is private, or there is no database.
    Exempt { why: String },
}

/// Bytes on their way into the store.
#[derive(Debug)]
pub struct Content {
    pub body: Body,
    /// The `h1:` hash, where the bytes are a module zip or a go.mod.
    pub h1: Option<String>,
}

#[derive(Debug)]
pub enum Body {
    Bytes(Bytes),
    /// A whole, flushed file; the store may take it away by renaming.
    File(NamedTempFile),
    /// The same with its sha256, which was taken while it was written.
    Hashed(NamedTempFile, [u8; 32]),
}

/// A git repository, seen as revisions and files; it knows nothing of modules. Blocking.
///
/// What is not here yet is fetched, so every verb may fail with `Kind::BadGateway`.
pub trait Repo {
    /// The address as the module path leads to it, before `instead_of`, without secrets.
    fn url(&self) -> &str;
    /// The refs, asked for again if they are older than `max_age`.
    fn refs(&self, max_age: Duration) -> Result<Arc<Refs>>;
    /// Asks for the refs however fresh the known ones are; gives those known before, if any were, and those heard.
    fn hear(&self) -> Result<(Option<Arc<Refs>>, Arc<Refs>)>;
    /// When the refs given last were asked for, if it is told.
    fn heard_at(&self) -> Option<DateTime<Utc>>;
    /// The mirror that anything came from of what was said so far.
    fn via(&self) -> Option<Via>;
    /// The commit that a ref's object is or peels to; `None` if it is a blob or a tree.
    fn commit(&self, id: ObjectId) -> Result<Option<Commit>>;
    /// The commit that lower case hexadecimal digits name among all that heads and tags reach,
    /// the ids of tag objects included.
    fn find(&self, digits: &str) -> Result<Found>;
    /// For each of `candidates`: is it the commit itself or one of its ancestors?
    fn ancestors(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<bool>>;
    /// For each of `candidates`: how many steps from commit to parent lead to it at least; `None` if it is no ancestor.
    fn distances(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<Option<u32>>>;
    /// Who made a commit when; `None` where its times cannot be read.
    fn signature(&self, commit: ObjectId) -> Result<Option<Signature>>;
    /// The commits that heads and tags reach and that were committed in this second.
    fn dated(&self, time: DateTime<Utc>) -> Result<Vec<ObjectId>>;
    /// The raw blob at a path of the commit's tree, whatever its mode; `None` if there is none.
    /// A larger one than `limit` is an error.
    fn read_file(&self, commit: ObjectId, path: &str, limit: u64) -> Result<Option<Bytes>>;
    /// All that lies below a folder (`""` for the root), in git's tree order, paths relative to the folder.
    fn files(&self, commit: ObjectId, folder: &str) -> Result<Vec<TreeFile>>;
    /// A file's contents as `git archive` gives them: attributes of the commit applied.
    fn content(&self, commit: ObjectId, folder: &str, file: &TreeFile) -> Result<Contents>;
}

/// What a prefix of an object id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    None,
    One(Commit),
    Ambiguous,
}

/// An entry of a commit's tree that is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Relative to the folder asked for; bytes that are not UTF-8 are replaced.
    pub path: String,
    pub mode: FileMode,
    pub id: ObjectId,
    /// The size after attributes were applied.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    Regular,
    Executable,
    Symlink,
    /// A submodule: there is nothing to read.
    Submodule,
}

/// Where bytes and facts are kept. Blocking.
///
/// Keys read like proxy URL paths. Every entry has a small `meta` and a body of any size; both appear
/// together or not at all, also after a kill.
pub trait Store: Send + Sync {
    fn get(&self, key: &str) -> Result<Option<Stored>>;
    /// What `get` gives, where nothing has to be waited for; `None` says nothing of what there is. Not blocking.
    fn at_hand(&self, _key: &str) -> Option<Stored> {
        None
    }
    /// Replaces an entry whole.
    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored>;
    /// As `put`, for what need not last on its own: it does from the next `put` on, or `persist`. Whoever promises it to
    /// somebody sees to that before.
    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored>;
    /// Makes all last that was put so far; who asks at the same time shares the work.
    fn persist(&self) -> Result<()>;
    /// Replaces the meta of an entry and keeps its body; `false` if there is no such entry.
    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool>;
    /// Replaces the metas that `change` gives for those of these entries that there are; nobody else writes an entry
    /// between what `change` is shown and what it gives, and it must not use the store. All last at the end, by one flush.
    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()>;
    /// `false` if there was none.
    fn delete(&self, key: &str) -> Result<bool>;
    /// Deletes those of these entries that there are, by one flush, and says how many there were.
    fn delete_many(&self, keys: &[String]) -> Result<u64>;
    /// Visits keys and metas in the order of keys until the visitor says no.
    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()>;
    /// As `scan`, from behind a key on, and says of each body what can be said without reading it.
    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()>;
    /// Counts what there is. It looks at every entry: not for every request.
    fn usage(&self) -> Result<Usage>;
    /// Reads the bodies of all entries below a prefix anew; those that are damaged are removed, and all that share them.
    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified>;
    /// Gives the space of what was deleted back to the disk; everything else goes on meanwhile. It copies all that
    /// lives, so it pays only where `Usage::reclaimable` is a good part of it.
    fn compact(&self, progress: &mut ProgressFn<'_>) -> Result<Compaction>;
    /// An empty file from which `put` takes a body without copying.
    fn scratch(&self) -> Result<NamedTempFile>;
}

/// Shown a key and its meta, gives the new meta, or none to leave it as it is.
pub type ChangeMeta<'a> = dyn FnMut(&str, &[u8]) -> Option<Vec<u8>> + 'a;

/// Told of long work how far it is; `false` gives it up.
pub type ProgressFn<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Bytes gone through, of all that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub all: u64,
}

/// What `Store::verify` found; given up, what it found until then.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were looked at.
    pub entries: u64,
    /// The keys of the entries that were damaged and are removed, in order.
    pub damaged: Vec<String>,
}

/// Bytes that the tables took on disk and take now; the same if it was given up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    pub before: u64,
    pub after: u64,
    /// How long everybody else had to wait.
    pub paused: Duration,
}

/// An entry as it lies in the store.
#[derive(Debug, Clone)]
pub struct Stored {
    pub meta: Bytes,
    pub blob: Blob,
}

/// An entry as `Store::scan_entries` shows it, its body unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRow<'a> {
    pub key: &'a str,
    pub meta: &'a [u8],
    /// Of the body, as its sha256 is.
    pub size: u64,
    pub sha256: [u8; 32],
    pub place: Place,
}

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Memory,
    /// In the tables, among everything else.
    Tables,
    /// In a file of its own.
    File,
}

/// What a store holds and takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub entries: u64,
    /// Bodies that are kept apart from their entries, each once.
    pub blobs: u64,
    /// Bytes of keys, metas and bodies; a body that is kept once for several entries counts once.
    pub live: u64,
    /// Of `live`, what lies in the tables.
    pub live_in_tables: u64,
    /// Bytes that the tables take on disk; a good deal more than what lives in them until they are compacted.
    pub tables: u64,
    /// Bytes that files take on disk.
    pub files: u64,
}

impl Usage {
    /// Bytes on disk.
    pub fn disk(&self) -> u64 {
        self.tables + self.files
    }

    /// What a compaction gives back to the disk, roughly: fresh tables take twice what lives in them.
    pub fn reclaimable(&self) -> u64 {
        self.tables.saturating_sub(self.live_in_tables.saturating_mul(2))
    }
}

/// Bytes of known length, read in pieces.
#[derive(Clone)]
pub struct Blob {
    size: u64,
    sha256: [u8; 32],
    pieces: Arc<dyn Pieces>,
}

/// Reading a blob. Blocking.
pub trait Pieces: Send + Sync {
    /// At least one and at most `limit` bytes from `offset`, which lies within the blob.
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes>;
    /// The whole, where it lies in memory already.
    fn in_memory(&self) -> Option<Bytes> {
        None
    }
    /// As `read_at`, where nothing has to be waited for; `None` says nothing of what there is. Not blocking.
    fn at_hand(&self, _offset: u64, _limit: usize) -> Option<Bytes> {
        None
    }
}

impl Blob {
    pub fn new(size: u64, sha256: [u8; 32], pieces: Arc<dyn Pieces>) -> Blob {
        Blob { size, sha256, pieces }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    pub fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        self.pieces.read_at(offset, limit)
    }

    pub fn in_memory(&self) -> Option<Bytes> {
        self.pieces.in_memory()
    }

    /// As `read_at`, where nothing has to be waited for. Not blocking.
    pub fn at_hand(&self, offset: u64, limit: usize) -> Option<Bytes> {
        self.pieces.at_hand(offset, limit)
    }

    /// The whole blob, if it is no larger than `limit` bytes.
    pub fn read_all(&self, limit: u64) -> Result<Bytes> {
        if self.size > limit {
            return Err(Error::internal(format!("blob of {} bytes (expected at most {limit})", self.size)));
        }
        if let Some(bytes) = self.in_memory() {
            return Ok(bytes);
        }
        let mut all = Vec::with_capacity(self.size as usize);
        while (all.len() as u64) < self.size {
            all.extend_from_slice(&self.read_at(all.len() as u64, 1 << 20)?);
        }
        Ok(all.into())
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes, sha256 {})", self.size, hex::encode(self.sha256))
    }
}

/// What time it is.
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
}
