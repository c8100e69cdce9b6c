//! One opened sled: its four trees, errors in words, no panic let through, and a real flush.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::eviction::{ACCESSES, Passed, SmallPages};
use super::failure::{self, During};
use super::rounds::Rounds;
use crate::error::Result;

/// A leaf of 16 pieces has to stay below a quarter of it, or it goes to a file that is never deleted.
const SEGMENT: usize = 4 << 20;

/// How long threads of a sled closed just before may hold its lock.
const LINGER: Duration = Duration::from_secs(10);

/// sled writes a page anew after so many changes of it, and moves a page out of a half empty segment each time.
const CHAIN: usize = 10;

/// Rows that a scan takes at once, and the bytes after which it takes no more.
const BATCH_ROWS: usize = 32;
const BATCH_BYTES: usize = 256 << 10;

/// What is kept: each in a tree of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Entry,
    Reference,
    Manifest,
    Piece,
}

impl What {
    pub(super) const ALL: [What; 4] = [What::Entry, What::Reference, What::Manifest, What::Piece];

    fn tree(self) -> &'static str {
        match self {
            What::Entry => "entries",
            What::Reference => "references",
            What::Manifest => "manifests",
            What::Piece => "pieces",
        }
    }

    fn reading(self) -> &'static str {
        match self {
            What::Entry => "read entry",
            What::Reference => "read reference",
            What::Manifest => "read manifest",
            What::Piece => "read piece",
        }
    }

    fn writing(self) -> &'static str {
        match self {
            What::Entry => "write entry",
            What::Reference => "write reference",
            What::Manifest => "write manifest",
            What::Piece => "write piece",
        }
    }
}

/// A key and its value.
pub(super) type Row = (sled::IVec, sled::IVec);

/// Why sled does not open.
pub(super) enum Unopened {
    /// A right, or room, or the disk.
    Io(io::Error),
    /// What lies there.
    Damaged(String),
}

pub(super) struct Tables {
    trees: [sled::Tree; 4],
    log: File,
    rounds: Rounds,
    /// `None` where theirs is what is damaged: memory is worth no answer.
    small_pages: Option<SmallPages>,
    sled: sled::Db,
    folder: PathBuf,
}

impl Tables {
    /// Opens or makes the tables in a folder of their own. It takes 1.7 s per GB after much writing.
    pub(super) fn open(folder: &Path, page_cache: u64) -> Result<Tables, Unopened> {
        await_lock(&folder.join("db")).map_err(Unopened::Io)?;
        let open = || -> sled::Result<Tables> {
            let config = sled::Config::new().path(folder).segment_size(SEGMENT).cache_capacity(page_cache);
            let sled = match config.open() {
                Err(sled::Error::Corruption { .. }) => {
                    drop_derived(folder)?;
                    // A process that was started just now may have its lock until it is another program.
                    await_lock(&folder.join("db"))?;
                    config.open()?
                }
                opened => opened?,
            };
            let [entries, references, manifests, pieces] = What::ALL.map(|what| sled.open_tree(what.tree()));
            Ok(Tables {
                trees: [entries?, references?, manifests?, pieces?],
                log: File::open(folder.join("db"))?,
                rounds: Rounds::default(),
                small_pages: attempt(|| SmallPages::open(sled::Tree::clone(&sled))).ok(),
                sled,
                folder: folder.to_path_buf(),
            })
        };
        // sled asserts what it reads: a damaged log is a panic as often as an error.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(tables)) => Ok(tables),
            Ok(Err(sled::Error::Io(error))) => Err(Unopened::Io(error)),
            Ok(Err(error)) => Err(Unopened::Damaged(error.to_string())),
            Err(_) => Err(Unopened::Damaged("damaged beyond what can be read".to_string())),
        }
    }

    /// Closes them and waits until nobody holds on to their files any more; gives the folder.
    pub(super) fn close(self) -> Result<PathBuf> {
        let Tables { trees, log, rounds: _, small_pages, sled, folder } = self;
        drop((trees, log, small_pages, sled));
        await_lock(&folder.join("db")).during("close tables")?;
        Ok(folder)
    }

    fn tree(&self, what: What) -> &sled::Tree {
        &self.trees[what as usize]
    }

    pub(super) fn get(&self, what: What, key: &[u8]) -> Result<Option<sled::IVec>> {
        guarded(what.reading(), || self.tree(what).get(key))
    }

    /// As `get`, but what lies on a damaged page is absent.
    pub(super) fn get_sound(&self, what: What, key: &[u8]) -> Result<Option<sled::IVec>> {
        match attempt(|| self.tree(what).get(key)) {
            Ok(value) => Ok(value),
            Err(Trouble::Damaged) => Ok(None),
            Err(Trouble::Failed(error)) => Err(failure::of_sled(what.reading(), &error)),
        }
    }

    /// Gives the value that was there before.
    pub(super) fn insert(&self, what: What, key: &[u8], value: sled::IVec) -> Result<Option<sled::IVec>> {
        guarded(what.writing(), || self.tree(what).insert(key, value))
    }

    /// Gives the value that was there.
    pub(super) fn remove(&self, what: What, key: &[u8]) -> Result<Option<sled::IVec>> {
        guarded(what.writing(), || self.tree(what).remove(key))
    }

    /// The next rows of a prefix in the order of keys, after `last` if one is given; none at the end.
    pub(super) fn rows(&self, what: What, prefix: &[u8], last: Option<&[u8]>) -> Result<Vec<Row>> {
        let from = match last {
            Some(last) => std::ops::Bound::Excluded(last),
            None => std::ops::Bound::Included(prefix),
        };
        guarded(what.reading(), || {
            let (mut rows, mut bytes) = (Vec::new(), 0);
            for row in self.tree(what).range::<&[u8], _>((from, std::ops::Bound::Unbounded)) {
                let (key, value) = row?;
                if !key.starts_with(prefix) {
                    break;
                }
                bytes += key.len() + value.len();
                rows.push((key, value));
                if rows.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                    break;
                }
            }
            Ok(rows)
        })
    }

    /// Makes sled look whether it should evict something, by way of a key on the page just finished.
    ///
    /// Without it a blob of 500 MB passes through memory whole.
    pub(super) fn help_evict(&self, what: What, key: &[u8]) -> Result<()> {
        guarded(what.reading(), || (0..ACCESSES).try_for_each(|_| self.tree(what).contains_key(key).map(drop)))
    }

    /// To be called for each piece, so that pages of them leave memory. Where that fails nothing but memory is lost.
    pub(super) fn after_piece(&self, passed: Passed) {
        if let Some(small_pages) = &self.small_pages
            && attempt(|| small_pages.after_piece(passed)).is_err()
        {
            tracing::debug!("pages of sled stay in memory");
        }
    }

    /// Makes sled move pages out of segments that are half empty, about so many, so that these are used again. By itself it
    /// empties one segment in half a second. The key is in sled's own tree, as are those of small pages.
    pub(super) fn help_clean(&self, pages: usize) -> Result<()> {
        guarded("write", || {
            (0..pages * CHAIN).try_for_each(|number| self.sled.insert(b"clean", &[number as u8]).map(drop))
        })
    }

    /// Hands all writes so far to the system in their order: what follows is never there without them.
    pub(super) fn flush(&self) -> Result<()> {
        guarded("flush", || self.sled.flush()).map(drop)
    }

    /// As `flush`, and they also outlive a loss of power.
    ///
    /// On Linux sled flushes by `sync_file_range`, which leaves the disk's own cache and the file's size alone. Threads that
    /// want it at once share one flush: each alone waits for the disk as long as all together.
    pub(super) fn persist(&self) -> Result<()> {
        self.rounds.run(|| {
            self.flush()?;
            self.log.sync_data().during("flush")
        })
    }

    /// Real bytes that they take on disk.
    pub(super) fn disk(&self) -> Result<u64> {
        let mut bytes = 0;
        for file in fs::read_dir(&self.folder).during("read folder")? {
            let metadata = match file.and_then(|file| file.metadata()) {
                // sled replaces its snapshots while it runs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.during("read folder")?,
            };
            if metadata.is_file() {
                bytes += metadata.len();
            }
        }
        Ok(bytes)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
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
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes what sled makes anew from its log and its settings. A kill while it writes one of them leaves it
/// cut short, and sled then refuses to open although the log is whole.
fn drop_derived(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "conf" || name.starts_with("snap.") {
            tracing::warn!(file = %name, "a file that sled had not finished is made anew");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Why a call of sled gave nothing.
enum Trouble {
    /// What lies there is not what was written.
    Damaged,
    Failed(sled::Error),
}

/// Runs one call of sled; a panic in it means that it met what it never wrote.
///
/// Then sled may free what the call has replaced. By itself each thread keeps some dozen old pages and buffers of a segment
/// for its next turn, and sixty threads that have none for a while keep hundreds of megabytes.
fn attempt<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Trouble> {
    let called = catch_unwind(AssertUnwindSafe(call));
    crossbeam_epoch::pin().flush();
    match called {
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
