//! sled, as this store uses it: four tables, errors in words, no panic let through, and a real flush.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{self, During};
use super::lock::Lock;
use super::turns::locked;
use crate::error::{Error, Result};

/// A leaf of 16 pieces has to stay below a quarter of it, or it goes to a file that is never deleted.
const SEGMENT: usize = 4 << 20;

/// How long threads of a store closed just before may hold sled's lock.
const LINGER: Duration = Duration::from_secs(10);

pub(super) struct Database {
    /// Key of an entry -> `Record`.
    pub(super) entries: Table,
    /// sha256 of a blob, then key of an entry that refers to it -> nothing.
    pub(super) references: Table,
    /// sha256 of a blob -> `Manifest`.
    pub(super) manifests: Table,
    /// `blob/<sha256>/<n as u32 big-endian>` -> the n-th 32 KiB of a blob.
    pub(super) pieces: Table,
    sled: sled::Db,
    folder: PathBuf,
    log: File,
    rounds: Rounds,
    /// Given back last, when sled is closed.
    _lock: Lock,
}

impl Database {
    /// Opens or makes the tables in a folder. It takes 1.7 s per GB after much writing.
    pub(super) fn open(folder: &Path, page_cache: u64, lock: Lock) -> Result<Database> {
        let path = folder.join("sled");
        await_lock(&path.join("db")).map_err(|error| unopened(folder, &error))?;
        let open = move || -> sled::Result<Database> {
            let config = sled::Config::new().path(&path).segment_size(SEGMENT).cache_capacity(page_cache);
            let sled = match config.open() {
                Err(sled::Error::Corruption { .. }) => {
                    drop_derived(&path)?;
                    config.open()?
                }
                opened => opened?,
            };
            Ok(Database {
                entries: Table::open(&sled, "entries", "read entry", "write entry")?,
                references: Table::open(&sled, "references", "read reference", "write reference")?,
                manifests: Table::open(&sled, "manifests", "read manifest", "write manifest")?,
                pieces: Table::open(&sled, "pieces", "read piece", "write piece")?,
                folder: path.clone(),
                _lock: lock,
                log: File::open(path.join("db"))?,
                rounds: Rounds::default(),
                sled,
            })
        };
        // sled asserts what it reads: a damaged log is a panic as often as an error.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(database)) => Ok(database),
            Ok(Err(sled::Error::Io(error))) => Err(unopened(folder, &error)),
            Ok(Err(error)) => Err(unreadable(folder, &error)),
            Err(_) => Err(unreadable(folder, &"damaged beyond what can be read")),
        }
    }

    /// Hands all writes so far to the system in their order: what follows is never there without them.
    pub(super) fn flush(&self) -> Result<()> {
        guarded("flush", || self.sled.flush()).map(drop)
    }

    /// As `flush`, and they also outlive a loss of power.
    ///
    /// On Linux sled flushes by `sync_file_range`, which leaves the disk's own cache and the file's size alone.
    pub(super) fn persist(&self) -> Result<()> {
        self.flush()?;
        self.rounds.run(|| self.log.sync_data()).during("flush")
    }

    /// Real bytes that the tables take on disk.
    pub(super) fn disk(&self) -> Result<u64> {
        let mut bytes = 0;
        for file in std::fs::read_dir(&self.folder).during("read folder")? {
            let metadata = file.and_then(|file| file.metadata()).during("read folder")?;
            if metadata.is_file() {
                bytes += metadata.len();
            }
        }
        Ok(bytes)
    }
}

/// Waits for sled's lock to be free. Ours is held already, so only our own dying threads can have it.
fn await_lock(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let deadline = Instant::now() + LINGER;
    loop {
        match file.try_lock() {
            Ok(()) => return file.unlock(),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes what sled makes anew from its log and its settings. A kill while it writes one of them leaves it
/// cut short, and sled then refuses to open although the log is whole.
fn drop_derived(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "conf" || name.starts_with("snap.") {
            tracing::warn!(file = %name, "a file that sled had not finished is made anew");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
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

/// One table of sled.
pub(super) struct Table {
    tree: sled::Tree,
    reading: &'static str,
    writing: &'static str,
}

impl Table {
    fn open(sled: &sled::Db, name: &str, reading: &'static str, writing: &'static str) -> sled::Result<Table> {
        Ok(Table { tree: sled.open_tree(name)?, reading, writing })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        guarded(self.reading, || self.tree.get(key))
    }

    /// As `get`, but what lies on a damaged page is absent.
    pub(super) fn get_sound(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        match attempt(|| self.tree.get(key)) {
            Ok(value) => Ok(value),
            Err(Trouble::Damaged) => Ok(None),
            Err(Trouble::Failed(error)) => Err(failure::of_sled(self.reading, &error)),
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> Result<bool> {
        guarded(self.reading, || self.tree.contains_key(key))
    }

    /// Gives the value that was there before.
    pub(super) fn insert(&self, key: &[u8], value: impl Into<sled::IVec>) -> Result<Option<sled::IVec>> {
        let value = value.into();
        guarded(self.writing, || self.tree.insert(key, value))
    }

    /// Gives the value that was there.
    pub(super) fn remove(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        guarded(self.writing, || self.tree.remove(key))
    }

    /// Keys and values in the order of keys; the table may change meanwhile.
    pub(super) fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec)>> + '_ {
        let mut rows = self.tree.scan_prefix(prefix);
        std::iter::from_fn(move || guarded(self.reading, || rows.next().transpose()).transpose())
    }
}

/// Why a call of sled gave nothing.
enum Trouble {
    /// What lies there is not what was written.
    Damaged,
    Failed(sled::Error),
}

/// Runs one call of sled; a panic in it means that it met what it never wrote.
fn attempt<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Corruption { .. })) | Err(_) => Err(Trouble::Damaged),
        Ok(Err(error)) => Err(Trouble::Failed(error)),
    }
}

/// Runs one call of sled and puts its failure into words.
fn guarded<T>(operation: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    attempt(call).map_err(|trouble| match trouble {
        Trouble::Damaged => failure::damaged(operation),
        Trouble::Failed(error) => failure::of_sled(operation, &error),
    })
}

/// Many threads want the same costly call at once: one round serves all who asked before it began.
#[derive(Default)]
struct Rounds {
    state: Mutex<RoundsState>,
    ended: Condvar,
}

#[derive(Default)]
struct RoundsState {
    begun: u64,
    /// The newest round that went well.
    done: u64,
    running: bool,
}

impl Rounds {
    fn run(&self, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = locked(&self.state);
        let wanted = state.begun + 1;
        while state.running {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            if state.done >= wanted {
                return Ok(());
            }
        }
        state.begun += 1;
        state.running = true;
        let round = state.begun;
        drop(state);
        let result = call();
        let mut state = locked(&self.state);
        state.running = false;
        if result.is_ok() {
            state.done = round;
        }
        drop(state);
        self.ended.notify_all();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_round_covers_all_that_was_written_before_it() {
        let rounds = Rounds::default();
        let written = AtomicU64::new(0);
        let synced = AtomicU64::new(0);
        let calls = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            let now = written.load(Ordering::SeqCst);
                            std::thread::yield_now();
                            synced.fetch_max(now, Ordering::SeqCst);
                            Ok(())
                        };
                        rounds.run(sync).expect("synced");
                        assert!(synced.load(Ordering::SeqCst) >= mine, "returned before its write was covered");
                    }
                });
            }
        });
        assert!(calls.load(Ordering::SeqCst) <= 800);
    }

    #[test]
    fn a_failed_round_is_told_and_the_next_one_runs() {
        let rounds = Rounds::default();
        let failed = rounds.run(|| Err(io::Error::other("no"))).expect_err("told");
        assert_eq!(failed.to_string(), "no");
        let mut ran = false;
        rounds
            .run(|| {
                ran = true;
                Ok(())
            })
            .expect("ran");
        assert!(ran);
    }
}
