//! How much there is, per upstream and in all.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::{Address, PREFIX, is_unverified, used_at};
use super::{Stock, Tenant};
use crate::access::ledger;
use crate::error::Result;
use crate::ports::Usage;
use crate::registry::{Meta, shelf};

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub counted_at: DateTime<Utc>,
    /// By name, then by shelf.
    pub upstreams: Vec<Share>,
    pub total: Total,
}

/// What one upstream has.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub upstream: String,
    pub shelf: String,
    /// Whether it is configured now, under the address that its shelf stands for.
    pub configured: bool,
    pub entries: u64,
    /// Of the bodies, each counted where it stands, also if it is kept once for several entries.
    pub bytes: u64,
    pub downloads: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_use: Option<DateTime<Utc>>,
    /// Released versions of which the upstream now says something else.
    pub changed: u64,
    /// Files that no checksum database could vouch for yet.
    #[serde(default)]
    pub unverified: u64,
    pub repositories: u64,
    pub repository_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u64>,
}

/// All of it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Answers of upstreams.
    pub entries: u64,
    pub bytes: u64,
    pub downloads: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_use: Option<DateTime<Utc>>,
    pub changed: u64,
    #[serde(default)]
    pub unverified: u64,
    /// Verdicts, bindings, definitions: what is kept besides and never evicted.
    pub facts: u64,
    /// Of these, versions whose first content is written down, and the bytes that it takes.
    #[serde(default)]
    pub ledger_rows: u64,
    #[serde(default)]
    pub ledger_bytes: u64,
    /// Bytes that the tables take on disk.
    pub tables: u64,
    /// Of these, what would go if the store were compacted.
    pub dead: u64,
    /// Bytes of large bodies beside the tables.
    pub files: u64,
    pub repositories: u64,
    pub repository_bytes: u64,
    /// Bytes on disk: tables, files, repositories.
    pub disk: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u64>,
}

const DAY: u64 = 24 * 60 * 60;

impl Stock {
    /// Counts what there is, and remembers it. It looks at every entry.
    pub fn count(&self) -> Result<Figures> {
        let tenants = self.settle();
        self.count_for(&tenants)
    }

    pub(super) fn count_for(&self, tenants: &[Tenant]) -> Result<Figures> {
        // What comes in while we count is counted again later: too much is better than too little.
        self.growth.reset();
        let mut shares = self.shares()?;
        for tenant in tenants {
            let share = shares.entry(tenant.shelf.clone()).or_insert_with(|| Share::of(&tenant.shelf));
            share.configured = tenant.in_memory.is_some();
            share.max_size = tenant.max_size;
            share.keep_days = tenant.keep.filter(|keep| *keep < Duration::MAX).map(|keep| keep.as_secs() / DAY);
            for repository in tenant.repositories()? {
                share.repositories += 1;
                share.repository_bytes += repository.bytes;
            }
        }
        let upstreams: Vec<Share> = shares.into_values().collect();
        let total = self.total(&upstreams, self.store.usage()?, ledger::figures(&*self.store)?);
        let figures = Figures { counted_at: self.clock.now(), upstreams, total };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(figures.clone()));
        Ok(figures)
    }

    fn shares(&self) -> Result<BTreeMap<String, Share>> {
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        self.store.scan_entries(PREFIX, None, &mut |row| {
            if let (Some(address), Some(meta)) = (Address::parse(row.key), Meta::parse(row.meta)) {
                if !shares.contains_key(address.shelf) {
                    shares.insert(address.shelf.to_owned(), Share::of(address.shelf));
                }
                if let Some(share) = shares.get_mut(address.shelf) {
                    share.add(row.size, &meta);
                }
            }
            true
        })?;
        Ok(shares)
    }

    fn total(&self, upstreams: &[Share], usage: Usage, ledger: ledger::Figures) -> Total {
        let sum = |of: fn(&Share) -> u64| upstreams.iter().map(of).sum::<u64>();
        let entries = sum(|share| share.entries);
        let repository_bytes = sum(|share| share.repository_bytes);
        Total {
            entries,
            bytes: sum(|share| share.bytes),
            downloads: sum(|share| share.downloads),
            oldest_use: upstreams.iter().filter_map(|share| share.oldest_use).min(),
            changed: sum(|share| share.changed),
            unverified: sum(|share| share.unverified),
            facts: usage.entries.saturating_sub(entries),
            ledger_rows: ledger.rows,
            ledger_bytes: ledger.bytes,
            tables: usage.tables,
            dead: usage.tables.saturating_sub(usage.live_in_tables),
            files: usage.files,
            repositories: sum(|share| share.repositories),
            repository_bytes,
            disk: usage.disk() + repository_bytes,
            max_size: self.limits().max_size,
            keep_days: self.limits().keep.map(|keep| keep.as_secs() / DAY),
        }
    }
}

impl Share {
    fn of(shelf: &str) -> Share {
        Share { upstream: shelf::name_in(shelf).to_owned(), shelf: shelf.to_owned(), ..Share::default() }
    }

    fn add(&mut self, size: u64, meta: &Meta) {
        self.entries += 1;
        self.bytes += size;
        self.downloads += meta.downloads;
        self.changed += u64::from(meta.changed.is_some());
        self.unverified += u64::from(is_unverified(meta));
        let used = used_at(meta);
        self.oldest_use = Some(self.oldest_use.map_or(used, |oldest| oldest.min(used)));
    }

    /// What its limit is about.
    pub(super) fn size(&self) -> u64 {
        self.bytes + self.repository_bytes
    }
}
