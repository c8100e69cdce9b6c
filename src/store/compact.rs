//! Compaction: what lives in the tables is copied into fresh ones, which take the place of the old at once.
//!
//! sled gives nothing back by itself, and settles at more than twice what lives in it. Everything else goes on while it is
//! copied; what is written meanwhile is noted and copied again, the last of it while everybody waits a moment. One
//! file says which of two folders counts, so a kill leaves the old tables or the new ones.

use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::database::Current;
use super::failure::{self, During};
use super::sled_store::SledStore;
use super::tables::{Tables, Unopened, What};
use crate::error::{Error, Result};
use crate::ports::{Compaction, Progress, ProgressFn, Usage};

/// After so many copied bytes sled is helped to evict: a page of pieces.
const BYTES_PER_PAGE: u64 = 256 << 10;

/// After so many copied rows sled is helped to use again what it wrote in vain. Without it fresh tables took up to three
/// times what lives in them, with it twice.
const ROWS_PER_CLEAN: usize = 4;
const PAGES_PER_CLEAN: usize = 4;

/// After so many copied bytes they are handed to the system: a segment.
const BYTES_PER_FLUSH: u64 = 4 << 20;

/// What so few rows changed is copied while everybody waits.
const FEW: usize = 64;

/// So often what changed meanwhile is copied, until it is few rows; a flood of writes does not hold it up for ever.
const ROUNDS: u32 = 16;

/// What a fresh copy takes on disk at most, as measured: so many tenths of what lives in it, and so much in any case.
const COPY_TENTHS: u64 = 25;
const COPY_LEAST: u64 = 32 << 20;

/// So many lines in the log tell how far a compaction at the start is.
const TOLD: u64 = 10;

impl SledStore {
    pub(super) fn compact_tables(&self, progress: &mut ProgressFn<'_>) -> Result<Compaction> {
        let _only = self.sole()?;
        let usage = self.count()?;
        self.check_room_to_copy(usage.live_in_tables)?;
        let given_up = Compaction { before: usage.tables, after: usage.tables, paused: Duration::ZERO };
        let mut copy = Copy::begin(self, usage.live_in_tables)?;
        if !copy.copy_all(progress)? {
            return Ok(given_up);
        }
        let (old, paused) = copy.finish()?;
        let current = &self.database.current;
        // The new tables are in use: that the old ones cannot be removed harms nobody, the next start tries again.
        if let Err(error) = old.close().and_then(|folder| current.places.discard(&folder).during("remove old tables")) {
            tracing::warn!(%error, "the tables from before a compaction stay on the disk");
        }
        let after = self.database.disk()?;
        self.remember_counted(&Usage { tables: after, ..usage });
        Ok(Compaction { before: usage.tables, after, paused })
    }

    /// Compacts tables of more than `floor` bytes if that gives back a third of them or more.
    pub(super) fn compact_if_it_pays(&self, floor: u64) {
        let (started, mut told) = (Instant::now(), 0);
        let compacted = self.database.disk().and_then(|disk| {
            if disk <= floor || self.counted_lately()?.is_some_and(|usage| !pays(&usage)) {
                return Ok(None);
            }
            let usage = self.count()?;
            if !pays(&usage) {
                return Ok(None);
            }
            let (tables, live) = (usage.tables, usage.live_in_tables);
            tracing::info!(tables, live, "the store is compacted before it is used: bytes on disk, and of them alive");
            self.compact_tables(&mut |Progress { done, all }| {
                let tenths = done * TOLD / all.max(1);
                if tenths > told {
                    told = tenths;
                    tracing::info!(done, all, "the store is being compacted");
                }
                true
            })
            .map(Some)
        });
        match compacted {
            Ok(Some(Compaction { before, after, .. })) => {
                tracing::info!(before, after, seconds = started.elapsed().as_secs_f32(), "the store is compacted");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the store is not compacted, and used as it is"),
        }
    }

    fn sole(&self) -> Result<MutexGuard<'_, ()>> {
        match self.compacting.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => Err(Error::unavailable("store: it is being compacted already")),
        }
    }

    fn check_room_to_copy(&self, live: u64) -> Result<()> {
        let free = self.free()?;
        let needed = (live.saturating_mul(COPY_TENTHS) / 10).saturating_add(COPY_LEAST);
        if free >= needed.saturating_add(self.keep_free) {
            return Ok(());
        }
        let (needed, free) = (needed.div_ceil(1 << 20), free.saturating_sub(self.keep_free) >> 20);
        let error = format!("store: no storage space to compact: {free} MiB may be used (expected {needed} MiB)");
        Err(Error::unavailable(error).remedy("make room on its disk, or delete entries first, so that less is copied"))
    }
}

/// A copy of the tables on its way; dropped before it is finished, it leaves nothing behind.
struct Copy<'a> {
    store: &'a SledStore,
    current: &'a Current,
    next: Option<Tables>,
    progress: Progress,
    /// Bytes since sled was helped, and since they were handed to the system.
    unhelped: u64,
    unflushed: u64,
    /// Rows so far.
    rows: usize,
}

impl<'a> Copy<'a> {
    fn begin(store: &'a SledStore, all: u64) -> Result<Copy<'a>> {
        let current = &*store.database.current;
        let place = current.places.other(current.read().folder());
        current.places.discard(&place).during("remove old tables")?;
        let next = Tables::open(&place, current.page_cache).map_err(|why| match why {
            Unopened::Io(error) => failure::of_io("make tables", &error),
            Unopened::Damaged(_) => failure::damaged("make tables"),
        })?;
        current.note_changes(true);
        let progress = Progress { done: 0, all };
        Ok(Copy { store, current, next: Some(next), progress, unhelped: 0, unflushed: 0, rows: 0 })
    }

    fn next(&self) -> &Tables {
        self.next.as_ref().expect("taken at the end only")
    }

    /// Copies all rows, then those that changed meanwhile until they are few; `false` if it was given up.
    fn copy_all(&mut self, progress: &mut ProgressFn<'_>) -> Result<bool> {
        for what in What::ALL {
            let mut last: Option<sled::IVec> = None;
            loop {
                let rows = self.current.read().rows(what, b"", last.as_deref())?;
                let Some((key, _)) = rows.last() else { break };
                last = Some(key.clone());
                for (key, value) in rows {
                    if !self.copy(what, &key, Some(value), progress)? {
                        return Ok(false);
                    }
                }
            }
        }
        for _ in 0..ROUNDS {
            let changes = self.current.take_changes();
            let few = changes.len() <= FEW;
            for (what, key) in changes {
                let value = self.current.read().get(what, &key)?;
                if !self.copy(what, &key, value, progress)? {
                    return Ok(false);
                }
            }
            if few {
                break;
            }
        }
        self.next().persist()?;
        Ok(progress(Progress { done: self.progress.all, ..self.progress }))
    }

    fn copy(
        &mut self,
        what: What,
        key: &[u8],
        value: Option<sled::IVec>,
        progress: &mut ProgressFn<'_>,
    ) -> Result<bool> {
        let bytes = (key.len() + value.as_ref().map_or(0, |value| value.len())) as u64;
        set(self.next(), what, key, value)?;
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_CLEAN) {
            self.next().help_clean(PAGES_PER_CLEAN)?;
        }
        // What changed meanwhile is copied again, so there may be more to do than there seemed to be.
        self.progress.done = (self.progress.done + bytes).min(self.progress.all);
        self.unhelped += bytes;
        self.unflushed += bytes;
        if self.unhelped >= BYTES_PER_PAGE {
            self.unhelped = 0;
            self.next().help_evict(what, key)?;
            self.current.read().help_evict(what, key)?;
        }
        if self.unflushed >= BYTES_PER_FLUSH {
            self.unflushed = 0;
            self.next().flush()?;
            if self.store.free()? < self.store.keep_free {
                return Err(failure::full());
            }
            return Ok(progress(self.progress));
        }
        Ok(true)
    }

    /// While everybody waits: copies the last changes, makes the new tables last, and puts them in place of the old.
    fn finish(mut self) -> Result<(Tables, Duration)> {
        let began = Instant::now();
        let mut tables = self.current.alone();
        for (what, key) in self.current.take_changes() {
            let value = tables.get(what, &key)?;
            set(self.next(), what, &key, value)?;
        }
        self.next().persist()?;
        self.current.places.move_to(self.next().folder())?;
        let next = self.next.take().expect("taken here only");
        self.current.stop_noting();
        Ok((std::mem::replace(&mut *tables, next), began.elapsed()))
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        let Some(next) = self.next.take() else { return };
        self.current.note_changes(false);
        if let Err(error) = next.close().and_then(|folder| self.current.places.discard(&folder).during("remove tables"))
        {
            tracing::warn!(%error, "tables half copied stay on the disk until the next start");
        }
    }
}

/// Whether a compaction gives back so much that a start may wait for it.
fn pays(usage: &Usage) -> bool {
    usage.reclaimable() > usage.tables / 3
}

fn set(tables: &Tables, what: What, key: &[u8], value: Option<sled::IVec>) -> Result<()> {
    match value {
        Some(value) => tables.insert(what, key, value),
        None => tables.remove(what, key),
    }
    .map(drop)
}
