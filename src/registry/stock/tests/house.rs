//! The doubles: a store that gives nothing back until it is compacted, and a house that keeps things in it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tempfile::NamedTempFile;

use super::super::{InMemory, Limits, Repositories, Repository, Stock, Tenant};
use crate::error::{Error, Result};
use crate::ports::{
    Body, ChangeMeta, Clock as _, Compaction, EntryRow, Place, ProgressFn, Store, Stored, Usage, Verified,
};
use crate::registry::doubles::{Drawer, Hands};

pub const MIB: u64 = 1 << 20;

/// A store in which each byte of a body stands for a MiB. Bodies of more than eight are files.
pub struct Leaky {
    pub drawer: Arc<Drawer>,
    tables: AtomicU64,
    /// Whether compaction gives something back.
    pub is_tight: AtomicBool,
    /// Whether there is no room for the copy that compaction makes.
    pub is_full: AtomicBool,
    /// How often everything was looked through.
    pub scans: AtomicU64,
    /// What somebody else does as soon as an entry was read.
    pub after_read: Mutex<Option<Meanwhile>>,
    pub compactions: AtomicU64,
    /// How many entries were looked at.
    pub looked_at: AtomicU64,
}

pub type Meanwhile = Box<dyn FnOnce(&Drawer) + Send>;

impl Leaky {
    fn new() -> Arc<Leaky> {
        Arc::new(Leaky {
            drawer: Drawer::new(),
            tables: AtomicU64::new(8 * MIB),
            is_tight: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            scans: AtomicU64::new(0),
            after_read: Mutex::default(),
            compactions: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
        })
    }

    fn place(size: u64) -> Place {
        if size > 8 { Place::File } else { Place::Tables }
    }

    /// Bytes of tables and of files that are in use.
    fn live(&self) -> (u64, u64) {
        let (mut tables, mut files) = (0, 0);
        let count = &mut |row: &EntryRow<'_>| {
            match Leaky::place(row.size) {
                Place::File => files += row.size * MIB,
                _ => tables += row.size * MIB,
            }
            true
        };
        self.drawer.scan_entries("", None, count).expect("a drawer");
        (tables, files)
    }
}

impl Store for Leaky {
    fn get(&self, key: &str) -> Result<Option<Stored>> {
        let stored = self.drawer.get(key);
        if let Some(meanwhile) = self.after_read.lock().expect("lock").take() {
            meanwhile(&self.drawer);
        }
        stored
    }
    fn put(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        let stored = self.drawer.put(key, meta, body)?;
        if Leaky::place(stored.blob.size()) == Place::Tables {
            self.tables.fetch_add(stored.blob.size() * MIB / 10 * 12, Ordering::SeqCst);
        }
        Ok(stored)
    }
    fn put_soon(&self, key: &str, meta: &[u8], body: Body) -> Result<Stored> {
        self.put(key, meta, body)
    }
    fn persist(&self) -> Result<()> {
        self.drawer.persist()
    }
    fn put_meta(&self, key: &str, meta: &[u8]) -> Result<bool> {
        self.drawer.put_meta(key, meta)
    }
    fn update_metas(&self, keys: &[String], change: &mut ChangeMeta<'_>) -> Result<()> {
        self.drawer.update_metas(keys, change)
    }
    fn delete(&self, key: &str) -> Result<bool> {
        self.drawer.delete(key)
    }
    fn delete_many(&self, keys: &[String]) -> Result<u64> {
        self.drawer.delete_many(keys)
    }
    fn scan(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<()> {
        self.drawer.scan(prefix, visit)
    }
    fn scan_entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        self.scans.fetch_add(1, Ordering::SeqCst);
        self.drawer.scan_entries(prefix, after, &mut |row| {
            self.looked_at.fetch_add(1, Ordering::SeqCst);
            visit(&EntryRow { size: row.size * MIB, place: Leaky::place(row.size), ..*row })
        })
    }
    fn usage(&self) -> Result<Usage> {
        let (live_in_tables, files) = self.live();
        let entries = self.drawer.keys().len() as u64;
        let tables = self.tables.load(Ordering::SeqCst);
        Ok(Usage { entries, blobs: 0, live: live_in_tables + files, live_in_tables, tables, files })
    }
    fn verify(&self, prefix: &str, progress: &mut ProgressFn<'_>) -> Result<Verified> {
        self.drawer.verify(prefix, progress)
    }
    fn compact(&self, _: &mut ProgressFn<'_>) -> Result<Compaction> {
        self.compactions.fetch_add(1, Ordering::SeqCst);
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::unavailable("no room for the copy"));
        }
        if !self.is_tight.load(Ordering::SeqCst) {
            self.tables.store(8 * MIB + self.live().0 / 10 * 11, Ordering::SeqCst);
        }
        Ok(Compaction::default())
    }
    fn scratch(&self) -> Result<NamedTempFile> {
        self.drawer.scratch()
    }
}

/// What a running process would have in memory, and a folder of git repositories.
#[derive(Default)]
pub struct Memory {
    pub forgotten: Mutex<Vec<String>>,
    pub repositories: Mutex<Vec<Repository>>,
    /// How often they were measured.
    pub measured: AtomicUsize,
    pub in_use: Mutex<Option<String>>,
}

impl InMemory for Memory {
    fn flush(&self) {}
    fn forget(&self, key: &str) {
        self.forgotten.lock().expect("lock").push(key.to_owned());
    }
}

impl Repositories for Memory {
    fn usage(&self) -> Result<Vec<Repository>> {
        self.measured.fetch_add(1, Ordering::SeqCst);
        Ok(self.repositories.lock().expect("lock").clone())
    }
    fn remove(&self, name: &str) -> Result<bool> {
        let is_free = self.in_use.lock().expect("lock").as_deref() != Some(name);
        self.repositories.lock().expect("lock").retain(|one| one.name != name || !is_free);
        Ok(is_free)
    }
}

/// A house with the upstreams `a` and `b`.
pub struct House {
    pub leaky: Arc<Leaky>,
    pub clock: Arc<Hands>,
    pub memory: Arc<Memory>,
    pub limits: Limits,
    pub of_a: (Option<u64>, Option<Duration>),
}

impl House {
    pub fn new() -> House {
        let (limits, of_a) = (Limits::default(), (None, None));
        House { leaky: Leaky::new(), clock: Hands::new(), memory: Arc::default(), limits, of_a }
    }

    pub fn limited(max_size: u64) -> House {
        House { limits: Limits { max_size: Some(max_size * MIB), keep: None }, ..House::new() }
    }

    pub fn stock(&self) -> Stock {
        let tenant = |shelf: &str, (max_size, keep), repositories| Tenant {
            shelf: shelf.to_owned(),
            in_memory: Some(self.memory.clone()),
            max_size,
            keep,
            repositories,
        };
        let tenants = vec![
            tenant("a~1", self.of_a, Some(self.memory.clone() as Arc<dyn Repositories>)),
            tenant("b~2", (None, None), None),
        ];
        let store = self.leaky.clone();
        Stock::new(store, self.clock.clone(), self.limits, Arc::new(move || tenants.clone()))
    }

    /// Keeps an entry that is used now, one second after the one before.
    pub fn keep(&self, name: &str, size: usize) {
        self.clock.forward(1);
        self.put(&format!("upstream/{name}"), &vec![b'x'; size], None);
    }

    pub fn put(&self, key: &str, body: &[u8], h1: Option<String>) {
        let now = self.clock.now();
        let facts = serde_json::json!({"fetched_at": now, "checked_at": now, "lasting": true, "h1": h1});
        let body = Body::Bytes(body.to_vec().into());
        self.leaky.put(key, facts.to_string().as_bytes(), body).expect("a drawer");
    }

    pub fn used(&self, name: &str, at: DateTime<Utc>, downloads: u64) {
        let now = self.clock.now();
        let facts = serde_json::json!({"fetched_at": now, "checked_at": now, "lasting": true, "last_used": at, "downloads": downloads});
        let key = format!("upstream/{name}");
        assert!(self.leaky.put_meta(&key, facts.to_string().as_bytes()).expect("a drawer"), "{name}");
    }

    pub fn repository(&self, name: &str, size: u64) {
        self.clock.forward(1);
        let (url, upstream, last_used) = (None, String::new(), self.clock.now());
        let repository = Repository { name: name.to_owned(), url, bytes: size * MIB, last_used, upstream };
        self.memory.repositories.lock().expect("lock").push(repository);
    }

    /// What is there, in short.
    pub fn left(&self) -> String {
        let keys = self.leaky.drawer.keys();
        let names = keys.iter().filter_map(|key| key.strip_prefix("upstream/")?.split("/x.y/").nth(1));
        let entries = names.filter_map(|rest| rest.split('/').next()).map(str::to_owned);
        let repositories = self.memory.repositories.lock().expect("lock").clone();
        entries.chain(repositories.into_iter().map(|one| one.name)).collect::<Vec<_>>().join(" ")
    }
}
