//! Takes lines from those who answer, and writes them behind their back: nobody waits for the disk.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::journal::Journal;
use super::{Line, Settings, What};
use crate::error::{Error, Result};
use crate::ports::Clock;

/// So many lines may wait for the disk; further ones are lost.
const WAITING: usize = 16 * 1024;

/// So many requests of strangers, who have shown no token, are written down at once; then one for each second. Else
/// whoever reaches the port could fill the disk.
const STRANGERS: u32 = 1000;

/// So many are written at once, without waiting for the next flush.
const BATCH: usize = 2048;

/// What is answered to whoever shows no token that is known.
const UNAUTHORIZED: u16 = 401;

/// How long a line waits at most for others to go with.
const FLUSH: Duration = Duration::from_millis(500);

/// How long a reader waits for what is being written.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// Where lines are made, so that none has to ask for memory of its own.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Notes who got what. Dropping it writes down what it still holds.
pub struct Auditor {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    what: What,
    addresses: bool,
    writing: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    held: Mutex<Held>,
    /// There is something to write.
    work: Condvar,
    /// Something was written.
    done: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Default)]
struct Held {
    batch: Batch,
    /// How many were taken in since the start, lost ones not counted.
    taken: u64,
    /// How many of them were written down, or given up.
    dealt_with: u64,
    /// Somebody waits for what is held.
    is_wanted: bool,
    ends: bool,
    strangers: Strangers,
}

/// Lines on their way, as they will stand in the file: made into bytes by those who note them, since memory is given back
/// cheaply by the thread alone that took it.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    count: usize,
    /// The time of the first one.
    first: Option<DateTime<Utc>>,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.first) = (0, None);
    }
}

/// How many lines of strangers may still come.
#[derive(Default)]
struct Strangers {
    used: u32,
    /// When the first of those was written down for which room is to be made.
    since: Option<DateTime<Utc>>,
}

impl Strangers {
    /// Whether there is room for one more.
    fn enter(&mut self, now: DateTime<Utc>) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = u32::try_from((now - since).num_seconds().max(0)).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(passed);
        self.since = Some(since + chrono::TimeDelta::seconds(i64::from(passed)));
        let is_room = self.used < STRANGERS;
        self.used += u32::from(is_room);
        is_room
    }
}

impl Auditor {
    /// An error where the log cannot be written at all: what was to be written down would not be.
    pub fn start(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Auditor> {
        let Settings { folder, max_size, keep, what, addresses } = settings;
        let unusable = |error| {
            let what = format!("{}: the audit log cannot be written", folder.display());
            Error::gone(what).because(error).remedy("name another folder in [audit] path, or set enabled = false")
        };
        let journal = Journal::new(folder, *max_size, *keep).map_err(unusable)?;
        let shared = Arc::new(Shared {
            held: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let writer = Writer { shared: shared.clone(), journal, clock: clock.clone(), is_broken: false, day: None };
        let spawned = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run());
        let writing = spawned.map_err(|error| Error::internal("no thread for the audit log").because(error))?;
        Ok(Auditor { shared, clock, what: *what, addresses: *addresses, writing: Mutex::new(Some(writing)) })
    }

    /// What is worth a line.
    pub fn what(&self) -> What {
        self.what
    }

    /// Takes a line in; its time is now. If too many wait already, or too many strangers knock, it is lost and counted.
    pub fn note(&self, mut line: Line) {
        line.time = self.clock.now().trunc_subsecs(3);
        if !self.addresses {
            line.address = None;
        }
        let is_stranger = line.status == UNAUTHORIZED && line.who.is_empty();
        BYTES.with_borrow_mut(|bytes| {
            bytes.clear();
            serde_json::to_writer(&mut *bytes, &line).expect("texts and numbers always serialize");
            bytes.push(b'\n');
            self.take(bytes, line.time, is_stranger);
        });
    }

    fn take(&self, bytes: &[u8], time: DateTime<Utc>, is_stranger: bool) {
        let mut held = self.shared.held();
        let is_full = held.batch.count >= WAITING || held.ends;
        if is_full || (is_stranger && !held.strangers.enter(time)) {
            drop(held);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        held.batch.bytes.extend_from_slice(bytes);
        held.batch.count += 1;
        held.batch.first.get_or_insert(time);
        held.taken += 1;
        let is_batch = held.batch.count == BATCH;
        drop(held);
        if is_batch {
            self.shared.work.notify_one();
        }
    }

    /// How many lines were written since the start.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many were lost: too many at a time, or the disk did not take them.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was noted so far is in the file, or can never be. Blocking.
    pub fn settle(&self) {
        let mut held = self.shared.held();
        let until = held.taken;
        held.is_wanted = true;
        self.shared.work.notify_one();
        let waits = |held: &mut Held| held.dealt_with < until;
        // A disk that hangs must not hang its readers too: they see what is there.
        drop(self.shared.done.wait_timeout_while(held, PATIENCE, waits).unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes everything down, puts it on the disk and ends. Blocking; what is noted later is lost.
    pub fn close(&self) {
        self.shared.held().ends = true;
        self.shared.work.notify_one();
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that panicked has said so.
        let _ = writing.map(JoinHandle::join);
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    /// The last try failed; said once, not with each line.
    is_broken: bool,
    /// When old files were last looked for.
    day: Option<chrono::NaiveDate>,
}

impl Writer {
    fn run(mut self) {
        // Two batches take turns, so that neither has to grow anew.
        let mut batch = Batch::default();
        loop {
            batch.clear();
            let held = self.shared.held();
            let waits = |held: &mut Held| held.batch.count < BATCH && !held.is_wanted && !held.ends;
            let waited = self.shared.work.wait_timeout_while(held, FLUSH, waits);
            let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut batch, &mut held.batch);
            let (ends, taken) = (held.ends, held.taken);
            held.is_wanted = false;
            drop(held);
            self.tidy();
            if batch.count > 0 {
                self.write(&batch);
            }
            self.shared.held().dealt_with = taken;
            self.shared.done.notify_all();
            if ends {
                if let Err(error) = self.journal.sync() {
                    tracing::error!(%error, "the end of the audit log may not be on the disk");
                }
                return;
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let first = batch.first.unwrap_or_else(|| self.clock.now());
        let count = batch.count as u64;
        match self.journal.append(&batch.bytes, first) {
            Ok(()) => {
                self.shared.written.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.is_broken) {
                    let lost = self.shared.lost.load(Ordering::Relaxed);
                    tracing::warn!(lost, "the audit log is written again");
                }
            }
            Err(error) => {
                self.shared.lost.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_broken, true) {
                    tracing::error!(%error, "the audit log cannot be written: lines are lost until it can");
                }
            }
        }
    }

    /// Once a day, also where nobody asks for anything: old lines go.
    fn tidy(&mut self) {
        let now = self.clock.now();
        if self.day.replace(now.date_naive()) == Some(now.date_naive()) {
            return;
        }
        if let Err(error) = self.journal.turn(0, now).and_then(|()| self.journal.expire(now)) {
            tracing::warn!(%error, "old files of the audit log stay");
        }
    }
}
