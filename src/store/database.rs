//! The tables in use: one sled, and while it is compacted the next one, which takes its place at once.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::eviction::Passed;
use super::lock::Lock;
use super::place::Places;
use super::tables::{Row, Tables, Unopened, What};
use super::turns::locked;
use crate::error::{Error, Result};

/// After so many batches of a scan sled is helped to evict what was read: by itself it holds up to 64 pages of each of its
/// 256 shards ready before it looks, which after a scan of 30,000 versions were 90 MB. A prime, since pages of neighbours
/// may lie in shards of neighbours.
const BATCHES_PER_EVICTION: usize = 7;

pub(super) struct Database {
    /// Key of an entry -> `Record`.
    pub(super) entries: Table,
    /// sha256 of a blob, then key of an entry that refers to it -> nothing.
    pub(super) references: Table,
    /// sha256 of a blob -> `Manifest`.
    pub(super) manifests: Table,
    /// `blob/<sha256>/<n as u32 big-endian>` -> the n-th 32 KiB of a blob.
    pub(super) pieces: Table,
    pub(super) current: Arc<Current>,
    /// Given back last, when sled is closed.
    _lock: Lock,
}

/// Rows that were written: where and which.
pub(super) type Changes = BTreeSet<(What, Vec<u8>)>;

/// The tables that everybody uses now. Each use is one call of sled: nobody holds on to a row or a scan of them.
pub(super) struct Current {
    tables: RwLock<Tables>,
    /// What was written since a copy of the tables began; `None` while nobody copies.
    changes: Mutex<Option<Changes>>,
    pub(super) places: Places,
    pub(super) page_cache: u64,
}

impl Database {
    /// Opens or makes the tables in a store's folder.
    pub(super) fn open(folder: &Path, page_cache: u64, lock: Lock) -> Result<Database> {
        let places = Places::new(folder);
        let place = places.settle()?;
        let tables = Tables::open(&place, page_cache).map_err(|why| match why {
            Unopened::Io(error) => unopened(folder, &error),
            Unopened::Damaged(why) => unreadable(folder, &why),
        })?;
        let current = Current { tables: RwLock::new(tables), changes: Mutex::default(), places, page_cache };
        let current = Arc::new(current);
        let [entries, references, manifests, pieces] =
            What::ALL.map(|what| Table { what, current: Arc::clone(&current) });
        Ok(Database { entries, references, manifests, pieces, current, _lock: lock })
    }

    /// Hands all writes so far to the system in their order: what follows is never there without them.
    pub(super) fn flush(&self) -> Result<()> {
        self.current.read().flush()
    }

    /// As `flush`, and they also outlive a loss of power.
    pub(super) fn persist(&self) -> Result<()> {
        self.current.read().persist()
    }

    /// To be called for each piece, so that pages of them leave memory.
    pub(super) fn after_piece(&self, passed: Passed) {
        self.current.read().after_piece(passed);
    }

    /// Real bytes that the tables take on disk.
    pub(super) fn disk(&self) -> Result<u64> {
        self.current.read().disk()
    }
}

impl Current {
    /// To be held for one call: who holds it and asks for it again waits for who waits to write, who waits for them.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody else waits while it is held.
    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, or no longer, what is written is noted.
    pub(super) fn note_changes(&self, noted: bool) {
        // Alone, so that whatever is not noted was written before.
        let _alone = self.alone();
        *locked(&self.changes) = noted.then(Changes::new);
    }

    /// As `note_changes(false)`, for whoever holds `alone`.
    pub(super) fn stop_noting(&self) {
        *locked(&self.changes) = None;
    }

    /// What was written since the last time; whoever holds `alone` gets all.
    pub(super) fn take_changes(&self) -> Changes {
        locked(&self.changes).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes what was just written, before the tables are let go.
    fn changed(&self, what: What, key: &[u8]) {
        if let Some(changes) = locked(&self.changes).as_mut() {
            changes.insert((what, key.to_vec()));
        }
    }
}

/// A store that cannot be opened, for whoever started it: the folder is named, and the way out.
pub(super) fn unreadable(folder: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("{}: store cannot be read: {why}", folder.display()))
        .remedy("move that folder away and start again: a new store is filled from the upstreams")
}

/// As `unreadable`, but what is missing may be a right or room, which another folder would not need.
pub(super) fn unopened(folder: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        NotADirectory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull => {
            Error::internal(format!("{}: store cannot be opened: {error}", folder.display()))
                .remedy("make it a folder that this user may write to and that has room, or use another one")
        }
        _ => unreadable(folder, error),
    }
}

/// One table of those in use.
pub(super) struct Table {
    what: What,
    current: Arc<Current>,
}

impl Table {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        self.current.read().get(self.what, key)
    }

    /// As `get`, but what lies on a damaged page is absent.
    pub(super) fn get_sound(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        self.current.read().get_sound(self.what, key)
    }

    /// Gives the value that was there before.
    pub(super) fn insert(&self, key: &[u8], value: impl Into<sled::IVec>) -> Result<Option<sled::IVec>> {
        let tables = self.current.read();
        let before = tables.insert(self.what, key, value.into());
        self.current.changed(self.what, key);
        before
    }

    /// Gives the value that was there.
    pub(super) fn remove(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        let tables = self.current.read();
        let before = tables.remove(self.what, key);
        self.current.changed(self.what, key);
        before
    }

    /// Keys and values in the order of keys; the table may change meanwhile, and a few rows are told as they were.
    pub(super) fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Row>> + '_ {
        self.scan_after(prefix, None)
    }

    /// The same from behind a key on, which has the prefix or comes after all that have it.
    pub(super) fn scan_after(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<Row>> + '_ {
        let prefix = prefix.to_vec();
        let (mut rows, mut batches) = (Vec::new().into_iter(), 0_usize);
        let mut last: Option<sled::IVec> = after.map(sled::IVec::from);
        let mut ended = false;
        std::iter::from_fn(move || {
            if rows.len() == 0 && !ended {
                let tables = self.current.read();
                batches += 1;
                if let (true, Some(last)) = (batches.is_multiple_of(BATCHES_PER_EVICTION), &last)
                    && let Err(error) = tables.help_evict(self.what, last)
                {
                    ended = true;
                    return Some(Err(error));
                }
                match tables.rows(self.what, &prefix, last.as_deref()) {
                    Ok(next) => rows = next.into_iter(),
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
            }
            let row: Option<Row> = rows.next();
            match &row {
                Some((key, _)) => last = Some(key.clone()),
                None => ended = true,
            }
            row.map(Ok)
        })
    }
}
