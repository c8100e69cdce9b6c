//! What goes when there is too much: the rule, and the work of it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::entry::{Address, PREFIX, Row, used_at};
use super::figures::{Figures, Total};
use super::oldest::{Among, Thing, repository_key};
use super::{Doing, Said, Say, Stock, Tenant};
use crate::error::{Kind, Result};
use crate::ports::{EntryRow, Place, Progress};
use crate::registry::Meta;

/// What is to go.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// In the place of the configured limit of all.
    pub max_size: Option<u64>,
    /// In the place of every configured one.
    pub keep: Option<Duration>,
    /// Says what would go, and leaves it.
    pub dry_run: bool,
    /// Gives back what is dead in the tables even where it is little.
    pub compact: bool,
}

/// What went, or would go.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    pub dry_run: bool,
    pub entries: u64,
    pub bytes: u64,
    pub repositories: u64,
    pub repository_bytes: u64,
    /// Whether the tables were compacted, or would be.
    pub compacted: bool,
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk after; the same in a dry run.
    pub after: u64,
}

/// Compacted tables take at most so many bytes for one that lives in them.
const TABLES_PER_BYTE: u64 = 2;

/// What tables take however little is in them.
const LEAST_TABLES: u64 = 16 << 20;

/// Somebody who makes room makes it for a while: down to so many hundredths of a limit.
const DOWN_TO: u64 = 90;

/// So many entries go by one flush.
const BATCH: usize = 500;

/// So many are looked up at a time.
const CHUNK: usize = 10_000;

/// What is shared with entries that stay frees nothing, so that one round may not be enough.
const ROUNDS: usize = 5;

/// After a full disk on which too little could go: each look goes through the whole store.
const REST: TimeDelta = TimeDelta::seconds(60);

/// What went so far.
#[derive(Default)]
struct Gone {
    freed: Freed,
    /// What is not looked at again: repositories that somebody works with; in a dry run what would be gone.
    keys: HashSet<String>,
    /// Bytes by shelf.
    shelves: HashMap<String, u64>,
    files: u64,
    in_tables: u64,
}

/// What is to go, as far as it is known before anybody looks.
struct Excess<'a> {
    prefix: &'a str,
    tenants: &'a [&'a Tenant],
    weigh: &'a dyn Fn(&EntryRow<'_>) -> Option<u64>,
    bytes: u64,
}

/// How many bytes of tables one byte that lives in them stands for, in hundredths: what is dead beyond that costs no
/// entry its place, since compaction gives it back.
#[derive(Debug, Clone, Copy)]
struct Ratio(u64);

impl Ratio {
    fn of(total: &Total) -> Ratio {
        Ratio((total.tables.saturating_sub(LEAST_TABLES) * 100 / total.live().max(1)).clamp(100, TABLES_PER_BYTE * 100))
    }

    fn times(self, live: u64) -> u64 {
        (u128::from(live) * u128::from(self.0) / 100) as u64
    }

    /// What the disk gets back for an entry, in the end.
    fn weight(self, entry: &EntryRow<'_>) -> u64 {
        match entry.place {
            Place::File => entry.size,
            Place::Tables | Place::Memory => self.times(entry.size + (entry.key.len() + entry.meta.len()) as u64),
        }
    }
}

impl Gone {
    fn count(&self) -> u64 {
        self.freed.entries + self.freed.repositories
    }
}

impl Total {
    /// Bytes that live in the tables.
    fn live(&self) -> u64 {
        self.tables - self.dead
    }

    /// What there is on disk as far as it counts against a limit.
    fn counted(&self, ratio: Ratio, gone: &Gone) -> u64 {
        let live = self.live().saturating_sub(gone.in_tables);
        let files = self.files.saturating_sub(gone.files);
        let repositories = self.repository_bytes.saturating_sub(gone.freed.repository_bytes);
        self.tables.min(ratio.times(live) + LEAST_TABLES) + files + repositories
    }

    /// Whether compaction gives back so many hundredths of the tables, and that is much.
    fn is_worth_compacting(&self, hundredths: u64) -> bool {
        let back = self.tables.saturating_sub(self.live() * TABLES_PER_BYTE);
        back > LEAST_TABLES && back > self.tables / 100 * hundredths
    }
}

impl Stock {
    /// Makes what is kept fit its limits.
    pub fn prune(&self, pruning: &Pruning, say: Say<'_>) -> Result<Freed> {
        // First: what is written down may itself want room to be made.
        let tenants = self.settle();
        let only_me = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.count_for(&tenants)?;
        let mut gone = Gone::default();
        gone.freed.dry_run = pruning.dry_run;
        gone.freed.before = before.total.disk;
        self.expire(&tenants, pruning, &mut gone, say)?;
        self.fit_shares(&tenants, &before, pruning, &mut gone, say)?;
        let after = self.fit_all(&tenants, before, pruning, &mut gone, say)?;
        // A compaction takes minutes, and may be what fills the disk meanwhile.
        drop(only_me);
        let mut freed = gone.freed;
        let limit = pruning.max_size.or(self.limits().max_size);
        let is_over = limit.is_some_and(|limit| after.total.disk > limit);
        let worth = after.total.is_worth_compacting(if is_over { 10 } else { 33 });
        freed.after = after.total.disk;
        if pruning.compact || worth {
            freed.compacted = pruning.dry_run || self.compact(say)?;
            if freed.compacted && !pruning.dry_run {
                freed.after = self.count_for(&tenants)?.total.disk;
            }
        }
        say(Said::Pruned(freed.clone()))?;
        Ok(freed)
    }

    /// `false` if there is no room for the copy, or somebody does it already: what went has gone nevertheless.
    fn compact(&self, say: Say<'_>) -> Result<bool> {
        let mut said = Ok(());
        let compacted = self.store.compact(&mut |Progress { done, all }| {
            said = say(Said::Progress { done, of: all, what: Doing::Compacting });
            said.is_ok()
        });
        said?;
        match compacted {
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(%error, "the store was not compacted");
                Ok(false)
            }
            compacted => compacted.map(|_| true),
        }
    }

    /// Frees bytes of the disk at once: only files and git repositories give theirs back when they go. Nothing while
    /// somebody evicts already, and nothing for a while after too little could go: every write asks on a full disk.
    pub fn make_room(&self, bytes: u64) -> Result<Freed> {
        let _only_me = match self.evicting.try_lock() {
            Ok(only_me) => only_me,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(Freed::default()),
        };
        let now = self.clock.now();
        if now.timestamp_millis() < self.rests_until.load(Ordering::Relaxed) {
            return Ok(Freed::default());
        }
        let tenants = (self.tenants)();
        let all: Vec<&Tenant> = tenants.iter().collect();
        let mut gone = Gone::default();
        let weigh = |entry: &EntryRow<'_>| (entry.place == Place::File).then_some(entry.size);
        let excess = Excess { prefix: PREFIX, tenants: &all, weigh: &weigh, bytes };
        let made = self.evict(&tenants, &excess, &mut gone, &mut |_| Ok(()));
        let freed = gone.freed;
        let went = freed.bytes + freed.repository_bytes;
        if went < bytes {
            self.rests_until.store((now + REST).timestamp_millis(), Ordering::Relaxed);
        }
        if went > 0 {
            tracing::warn!(bytes = went, "the disk is full: the oldest went");
        }
        made.map(|()| freed)
    }

    /// What nobody wanted for too long goes.
    fn expire(&self, tenants: &[Tenant], pruning: &Pruning, gone: &mut Gone, say: Say<'_>) -> Result<()> {
        let now = self.clock.now();
        let keep_of = |tenant: Option<&Tenant>| {
            pruning.keep.or_else(|| tenant.and_then(|tenant| tenant.keep)).or(self.limits().keep)
        };
        let is_over = |used_at: DateTime<Utc>, keep: Option<Duration>| {
            keep.is_some_and(|keep| (now - used_at).to_std().is_ok_and(|unused| unused > keep))
        };
        let keeps: HashMap<&str, Option<Duration>> =
            tenants.iter().map(|tenant| (tenant.shelf.as_str(), keep_of(Some(tenant)))).collect();
        if keep_of(None).is_none() && keeps.values().all(Option::is_none) {
            return Ok(());
        }
        let mut over = Vec::new();
        for tenant in tenants {
            let keep = keep_of(Some(tenant));
            let repositories = tenant.repositories()?.into_iter().filter(|one| is_over(one.last_used, keep));
            over.extend(repositories.map(|repository| Thing::Repository { shelf: tenant.shelf.clone(), repository }));
        }
        // Piece by piece: after a long while it may be nearly everything.
        let mut after: Option<String> = None;
        loop {
            let mut more = false;
            self.store.scan_entries(PREFIX, after.as_deref(), &mut |entry| {
                let Some(address) = Address::parse(entry.key) else { return true };
                let keep = keeps.get(address.shelf).copied().unwrap_or_else(|| keep_of(None));
                let is_over = Meta::parse(entry.meta).is_some_and(|meta| is_over(used_at(&meta), keep));
                if let (true, Some(row)) = (is_over, Row::read(entry)) {
                    let (key, row) = (entry.key.to_owned(), Box::new(row));
                    over.push(Thing::Entry { key, row, place: entry.place });
                    more = over.len() >= CHUNK;
                }
                !more
            })?;
            if let Some(Thing::Entry { key, .. }) = over.last() {
                after = Some(key.clone());
            }
            self.let_go(tenants, std::mem::take(&mut over), gone, say)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Each upstream within its own limit.
    fn fit_shares(
        &self,
        tenants: &[Tenant],
        before: &Figures,
        pruning: &Pruning,
        gone: &mut Gone,
        say: Say<'_>,
    ) -> Result<()> {
        debug_assert_eq!(pruning.dry_run, gone.freed.dry_run);
        for tenant in tenants {
            let Some(limit) = tenant.max_size else { continue };
            let share = before.upstreams.iter().find(|share| share.shelf == tenant.shelf);
            let went = gone.shelves.get(&tenant.shelf).copied().unwrap_or_default();
            let size = share.map_or(0, |share| share.size()).saturating_sub(went);
            if size <= limit {
                continue;
            }
            let weigh = |entry: &EntryRow<'_>| Some(entry.size);
            let prefix = tenant.prefix();
            let bytes = size - down(limit);
            self.evict(tenants, &Excess { prefix: &prefix, tenants: &[tenant], weigh: &weigh, bytes }, gone, say)?;
        }
        Ok(())
    }

    /// All together within the limit of all; gives what there is then.
    fn fit_all(
        &self,
        tenants: &[Tenant],
        before: Figures,
        pruning: &Pruning,
        gone: &mut Gone,
        say: Say<'_>,
    ) -> Result<Figures> {
        let all: Vec<&Tenant> = tenants.iter().collect();
        let recount = |gone: &Gone| match gone.count() {
            0 => Ok(before.clone()),
            _ => self.count_for(tenants),
        };
        let mut there = if pruning.dry_run { before.clone() } else { recount(gone)? };
        let Some(limit) = pruning.max_size.or(self.limits().max_size) else { return Ok(there) };
        // As it is before anything goes: what goes leaves the tables as they are until they are compacted.
        let ratio = Ratio::of(&before.total);
        for _ in 0..ROUNDS {
            // Counted anew, what went is in the figures; in a dry run it is not.
            let none = Gone::default();
            let size = there.total.counted(ratio, if pruning.dry_run { gone } else { &none });
            if there.total.disk <= limit || size <= limit {
                break;
            }
            let (went, bytes) = (gone.count(), size - down(limit));
            let weigh = |entry: &EntryRow<'_>| Some(ratio.weight(entry));
            self.evict(tenants, &Excess { prefix: PREFIX, tenants: &all, weigh: &weigh, bytes }, gone, say)?;
            if pruning.dry_run || gone.count() == went {
                break;
            }
            there = self.count_for(tenants)?;
        }
        Ok(there)
    }

    /// Lets the oldest go until that is enough. In the place of what somebody works with go the next.
    fn evict(&self, tenants: &[Tenant], excess: &Excess<'_>, gone: &mut Gone, say: Say<'_>) -> Result<()> {
        let Excess { prefix, tenants: of, weigh, bytes: mut wanted } = *excess;
        while wanted > 0 {
            let among = Among { prefix, tenants: of, without: &gone.keys, weigh };
            let chosen = self.oldest(&among, wanted)?;
            wanted = self.let_go(tenants, chosen, gone, say)?.min(wanted);
        }
        Ok(())
    }

    /// Removes what was chosen, or says only that it would; gives the bytes of what stays, since somebody works with it.
    fn let_go(&self, tenants: &[Tenant], chosen: Vec<Thing>, gone: &mut Gone, say: Say<'_>) -> Result<u64> {
        let (mut batch, mut stays) = (Vec::new(), 0);
        for thing in chosen {
            match thing {
                Thing::Entry { key, row, place } => batch.push((key, row, place)),
                Thing::Repository { shelf, repository } => {
                    let tenant = tenants.iter().find(|tenant| tenant.shelf == shelf);
                    let went = match (gone.freed.dry_run, tenant) {
                        (true, _) => true,
                        (false, Some(tenant)) => tenant.remove_repository(&repository.name)?,
                        (false, None) => false,
                    };
                    // Somebody may be working with it: next time.
                    gone.keys.insert(repository_key(&shelf, &repository.name));
                    if went {
                        gone.freed.repositories += 1;
                        gone.freed.repository_bytes += repository.bytes;
                        *gone.shelves.entry(shelf).or_default() += repository.bytes;
                        say(Said::Repository(repository))?;
                    } else {
                        stays += repository.bytes;
                    }
                }
            }
            if batch.len() == BATCH {
                self.let_entries_go(tenants, std::mem::take(&mut batch), gone, say)?;
            }
        }
        self.let_entries_go(tenants, batch, gone, say)?;
        Ok(stays)
    }

    fn let_entries_go(
        &self,
        tenants: &[Tenant],
        batch: Vec<(String, Box<Row>, Place)>,
        gone: &mut Gone,
        say: Say<'_>,
    ) -> Result<()> {
        if !gone.freed.dry_run {
            self.delete(tenants, batch.iter().map(|(key, row, _)| (key.as_str(), row.shelf.as_str())))?;
        }
        for (key, row, place) in batch {
            gone.freed.entries += 1;
            gone.freed.bytes += row.size;
            *gone.shelves.entry(row.shelf.clone()).or_default() += row.size;
            match place {
                Place::File => gone.files += row.size,
                Place::Tables | Place::Memory => gone.in_tables += row.size,
            }
            if gone.freed.dry_run {
                gone.keys.insert(key);
            }
            say(Said::Entry(row))?;
        }
        Ok(())
    }

    /// Removes entries, from the store first: what is in memory must not come back.
    pub(super) fn delete<'a>(
        &self,
        tenants: &[Tenant],
        entries: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<()> {
        let keys: Vec<String> = entries.clone().map(|(key, _)| key.to_owned()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.store.delete_many(&keys)?;
        for (key, shelf) in entries {
            if let Some(tenant) = tenants.iter().find(|tenant| tenant.shelf == shelf) {
                tenant.forget(key);
            }
        }
        Ok(())
    }
}

fn down(limit: u64) -> u64 {
    limit / 100 * DOWN_TO
}
