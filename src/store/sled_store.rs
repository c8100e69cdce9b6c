//! The store on disk: entries over blobs, coherent with the cache in memory, one writer per key at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::Digest;
use tempfile::NamedTempFile;

use super::blobs::Blobs;
use super::database::{Database, unopened};
use super::failure::{During, Room, Warned};
use super::files::Files;
use super::intake::Intake;
use super::lock::{Lock, check_format};
use super::reader::Reader;
use super::recent::{Held, RECENT_LIMIT, Recent};
use super::record::{INLINE_LIMIT, Record};
use super::turns::Turns;
use super::{Sha256, check};
use crate::error::{Error, Result};
use crate::ports::{Body, ChangeMeta, Compaction, EntryRow, ProgressFn, Store, Stored, Usage, Verified};

/// How much sled writes for a byte of a blob in pieces, as measured.
const WRITTEN_PER_BYTE: u64 = 4;

/// How a store is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Blobs above this many bytes are files beside sled: no limit puts all into sled, 0 all but the smallest into files.
    pub spill: u64,
    /// Bytes of small entries kept in memory.
    pub cache: u64,
    /// Bytes of larger bodies that lie in the tables, kept in memory frame by frame.
    pub frames: u64,
    /// Bytes of sled's own page cache.
    pub page_cache: u64,
    /// Bytes of the disk that stay free: sled does not get well again after a write that found the disk full.
    pub keep_free: u64,
    /// How long to wait for another process to give the store back.
    pub wait: Duration,
    /// Told once, after a second of that, what the error would be.
    pub on_wait: Option<OnWait>,
    /// What this process is, for others that want the store: a command's name.
    pub holder: String,
    /// Tables of more bytes than this are compacted before the store is open, if that gives back a third of them.
    pub compact_above: u64,
}

/// What is done while another process holds the store.
#[derive(Clone)]
pub struct OnWait(pub Arc<dyn Fn(&Error) + Send + Sync>);

impl std::fmt::Debug for OnWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnWait")
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            spill: 8 << 20,
            cache: 32 << 20,
            frames: 24 << 20,
            page_cache: 16 << 20,
            keep_free: 64 << 20,
            wait: Duration::ZERO,
            on_wait: None,
            holder: String::new(),
            compact_above: 256 << 20,
        }
    }
}

/// The store on disk: sled, and files for large blobs. One process owns it.
pub struct SledStore {
    pub(super) database: Arc<Database>,
    pub(super) blobs: Blobs,
    pub(super) turns: Turns<String>,
    pub(super) recent: Recent,
    /// Held while the tables are copied.
    pub(super) compacting: Mutex<()>,
    pub(super) folder: PathBuf,
    pub(super) keep_free: u64,
    warned: Warned,
}

/// What a look at an entry found.
enum Found {
    Entry(Stored),
    Nothing,
    /// Its body is not what it was when it was put.
    Damaged,
}

/// The body of an entry that was just put.
enum Kept {
    Held(Stored),
    Opened(Arc<Reader>),
}

impl SledStore {
    /// Opens or makes the store in a folder. Blocking, 1.7 s per GB in sled after much writing.
    ///
    /// `Kind::Unavailable` says that another process has it; any other error that it cannot be read or made.
    /// Both name the folder. Call `sweep` afterwards, in the background.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<SledStore> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|error| unopened(folder, &error))?;
        let lock = Lock::take(folder, &options)?;
        let format = check_format(folder)?;
        let files = Files::open(folder)?;
        let database = Arc::new(Database::open(folder, options.page_cache, lock)?);
        let store = SledStore {
            blobs: Blobs::new(database.clone(), files, options.spill, options.frames),
            database,
            turns: Turns::new(),
            recent: Recent::new(options.cache),
            compacting: Mutex::default(),
            folder: folder.to_path_buf(),
            keep_free: options.keep_free,
            warned: Warned::default(),
        };
        store.migrate(folder, format)?;
        store.compact_if_it_pays(options.compact_above);
        Ok(store)
    }

    /// The record of an entry; one that cannot be read counts as none.
    pub(super) fn record(&self, key: &str) -> Result<Option<Record>> {
        let value = self.database.entries.get(key.as_bytes())?;
        Ok(value.and_then(|value| Record::decode(Bytes::copy_from_slice(&value))))
    }

    /// Reads an entry from the tables, in the turn of its key.
    fn look(&self, key: &str) -> Result<Found> {
        let Some(value) = self.database.entries.get(key.as_bytes())? else { return Ok(Found::Nothing) };
        let Some(record) = Record::decode(Bytes::copy_from_slice(&value)) else { return Ok(Found::Damaged) };
        let stored = match record.inline {
            Some(body) if Sha256::from(sha2::Sha256::digest(&body)) == record.sha256 => {
                Stored { meta: record.meta, blob: Held::blob(body, record.sha256) }
            }
            Some(_) => return Ok(Found::Damaged),
            None => {
                let opened = self.blobs.open(record.sha256, record.size)?;
                let Some(reader) = opened else { return Ok(Found::Damaged) };
                if record.size > RECENT_LIMIT as u64 {
                    let blob = reader.blob();
                    self.recent.note_opened(key, record.meta.clone(), reader);
                    return Ok(Found::Entry(Stored { meta: record.meta, blob }));
                }
                let body = reader.blob().read_all(record.size)?;
                Stored { meta: record.meta, blob: Held::blob(body, record.sha256) }
            }
        };
        self.recent.note(key, &stored);
        Ok(Found::Entry(stored))
    }

    /// Removes an entry whose body is damaged, and all others that share it: they are to be fetched anew.
    /// It gives the keys of those that it removed.
    pub(super) fn lose(&self, key: &str) -> Result<Vec<String>> {
        let blob = {
            let _turn = self.turns.take(key.to_string());
            // Somebody may have put it again meanwhile.
            if self.is_whole(key)? {
                return Ok(Vec::new());
            }
            let blob = self.record(key)?.and_then(|record| record.blob());
            if blob.is_none() && !self.take_away(key)? {
                return Ok(Vec::new());
            }
            blob
        };
        match blob {
            Some(sha256) => self.lose_blob(sha256),
            None => {
                tracing::warn!(key, "store: damaged entry removed");
                self.database.persist()?;
                Ok(vec![key.to_string()])
            }
        }
    }

    /// Removes all entries that share a blob that is not whole, then the blob; it gives the keys of those.
    pub(super) fn lose_blob(&self, sha256: Sha256) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        for key in self.referrers(&sha256)? {
            let _turn = self.turns.take(key.clone());
            let refers = self.record(&key)?.and_then(|record| record.blob()) == Some(sha256);
            if !refers {
                self.database.references.remove(&reference(&sha256, &key))?;
            } else if !self.is_whole(&key)? {
                // Somebody may have put it again meanwhile, whole.
                self.take_away(&key)?;
                tracing::warn!(key, "store: damaged entry removed");
                lost.push(key.clone());
            }
        }
        self.database.persist()?;
        self.blobs.release(sha256)?;
        Ok(lost)
    }

    fn is_whole(&self, key: &str) -> Result<bool> {
        self.look(key).map(|found| matches!(found, Found::Entry(_)))
    }

    /// The keys of the entries that refer to a blob, or did.
    fn referrers(&self, sha256: &Sha256) -> Result<Vec<String>> {
        let keys = self.database.references.scan(sha256).map(|row| {
            let (reference, _) = row?;
            Ok(String::from_utf8_lossy(&reference[sha256.len()..]).into_owned())
        });
        keys.collect()
    }

    /// Removes an entry and its reference, in the turn of its key; its blob is left.
    pub(super) fn take_away(&self, key: &str) -> Result<bool> {
        let Some(value) = self.database.entries.remove(key.as_bytes())? else { return Ok(false) };
        self.recent.forget(key);
        if let Some(sha256) = blob_of(&value) {
            self.database.references.remove(&reference(&sha256, key))?;
        }
        Ok(true)
    }

    /// Puts a record in its place and gives the blob that the one before referred to.
    fn set(&self, key: &str, record: &Record, body: &Kept) -> Result<Option<Sha256>> {
        let _turn = self.turns.take(key.to_string());
        // The reference comes first: a sweep never meets an entry whose blob nothing holds.
        if let Some(sha256) = record.blob() {
            self.database.references.insert(&reference(&sha256, key), &[])?;
        }
        let before = self.database.entries.insert(key.as_bytes(), record.encode())?;
        match body {
            Kept::Held(stored) => self.recent.note(key, stored),
            // Whoever asks first takes it into memory whole.
            Kept::Opened(reader) if reader.size <= RECENT_LIMIT as u64 => self.recent.forget(key),
            Kept::Opened(reader) => self.recent.note_opened(key, record.meta.clone(), reader.clone()),
        }
        Ok(before.and_then(|value| blob_of(&value)).filter(|before| Some(*before) != record.blob()))
    }

    /// Drops the reference of an entry to a blob that it had, and the blob with its last reference.
    fn drop_reference(&self, key: &str, sha256: Sha256) -> Result<()> {
        {
            let _turn = self.turns.take(key.to_string());
            if self.record(key)?.and_then(|record| record.blob()) == Some(sha256) {
                return Ok(());
            }
            self.database.references.remove(&reference(&sha256, key))?;
        }
        self.blobs.release(sha256).map(drop)
    }

    /// Free bytes of the disk.
    pub(super) fn free(&self) -> Result<u64> {
        fs2::available_space(&self.folder).during("measure free space")
    }

    /// How many bytes of the disk are missing before a body of so many is taken.
    pub fn missing(&self, size: u64) -> Result<u64> {
        let needed = match self.blobs.spills(size) {
            true => size,
            false => size.saturating_mul(WRITTEN_PER_BYTE),
        };
        Ok(needed.saturating_add(self.keep_free).saturating_sub(self.free()?))
    }

    /// Refuses what would fill the disk.
    fn check_room(&self, size: u64) -> Result<()> {
        let missing = self.missing(size)?;
        if missing == 0 {
            return Ok(());
        }
        let free = self.free()?;
        let full = Room { free, wanted: free.saturating_add(missing), keep_free: self.keep_free }.full();
        self.warned.warn(&self.folder, &full);
        Err(full)
    }
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        if let Some(stored) = self.recent.find(key) {
            return Ok(Some(stored));
        }
        let found = {
            let _turn = self.turns.take(key.to_string());
            self.look(key)?
        };
        match found {
            Found::Entry(stored) => Ok(Some(stored)),
            Found::Nothing => Ok(None),
            Found::Damaged => {
                self.lose(key)?;
                Ok(None)
            }
        }
    }

    fn at_hand(&self, key: &str) -> Option<Stored> {
        self.recent.find(key)
    }

    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let stored = self.put_soon(key, meta, body)?;
        self.database.persist()?;
        Ok(stored)
    }

    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        check(key, meta)?;
        let intake = Intake::new(body, INLINE_LIMIT)?;
        self.check_room(intake.size())?;
        let meta = Bytes::copy_from_slice(meta);
        let (record, kept) = match intake {
            Intake::Bytes(body) if body.len() <= INLINE_LIMIT => {
                let sha256 = sha2::Sha256::digest(&body).into();
                // A copy: the caller's bytes may be a small part of a large buffer.
                let body = Bytes::copy_from_slice(&body);
                let record = Record { meta: meta.clone(), sha256, size: body.len() as u64, inline: Some(body.clone()) };
                (record, Kept::Held(Stored { meta, blob: Held::blob(body, sha256) }))
            }
            intake => {
                let reader = self.blobs.keep(intake)?;
                (Record { meta, sha256: reader.sha256, size: reader.size, inline: None }, Kept::Opened(reader))
            }
        };
        if let Some(sha256) = self.set(key, &record, &kept)? {
            // The blob goes only once it lasts that nothing refers to it.
            self.database.persist()?;
            self.drop_reference(key, sha256)?;
        }
        self.blobs.release_doomed()?;
        Ok(match kept {
            Kept::Held(stored) => stored,
            Kept::Opened(reader) => Stored { meta: record.meta, blob: reader.blob() },
        })
    }

    fn persist(&self) -> Result<()> {
        self.database.persist()
    }

    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        check(key, meta)?;
        self.check_room(0)?;
        let changed = self.change_metas(&[key], &mut |_, _| Some(meta.to_vec()))?;
        Ok(changed == 1)
    }

    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        self.check_room(0)?;
        self.change_metas(keys, change).map(drop)
    }

    fn delete(&self, key: &str) -> Result<bool> {
        self.delete_all(&[key]).map(|deleted| deleted == 1)
    }

    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        self.delete_all(keys)
    }

    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()> {
        for row in self.database.entries.scan(prefix.as_bytes()) {
            let (key, value) = row?;
            let record = Record::decode(Bytes::copy_from_slice(&value));
            // A damaged one is removed when it is asked for.
            let (Ok(key), Some(record)) = (std::str::from_utf8(&key), record) else { continue };
            if !visit(key, &record.meta) {
                break;
            }
        }
        Ok(())
    }

    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        self.scan_rows(prefix, after, visit)
    }

    fn usage(&self) -> Result<Usage> {
        self.count()
    }

    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        self.verify_all(prefix, progress)
    }

    fn compact(&self, progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        self.compact_tables(progress)
    }

    fn scratch(&self) -> Result<NamedTempFile> {
        self.blobs.files.scratch()
    }
}

/// The key under which an entry's reference to a blob lies.
pub(super) fn reference(sha256: &Sha256, key: &str) -> Vec<u8> {
    [&sha256[..], key.as_bytes()].concat()
}

/// The blob that the bytes of a record refer to.
fn blob_of(value: &[u8]) -> Option<Sha256> {
    Record::decode(Bytes::copy_from_slice(value))?.blob()
}
