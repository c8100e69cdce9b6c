//! Passing a checksum database through: the first proxy that serves it is asked, answers are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use super::kept::{Kept, LIMIT, Shelves};
use super::path::{Path, Target};
use crate::error::{Error, Result, Said};
use crate::ports::{Clock, Store, Sumdb};
use crate::spec::scope::{self, Scope};

/// The databases that some proxies hand through, in the order of a registry.
pub struct Passed {
    proxies: Vec<Proxy>,
    shelves: Shelves,
    clock: Arc<dyn Clock>,
    /// Proxies that lately failed to say whether they serve a database: `SHELF NAME` and when.
    failed: Cache<String, DateTime<Utc>>,
}

/// A proxy that may hand databases through.
#[derive(Clone)]
pub struct Proxy {
    /// The upstream's name.
    pub name: String,
    /// Its place in the store.
    pub shelf: String,
    pub sumdb: Arc<dyn Sumdb>,
    /// The modules that it may be asked for.
    pub scope: Scope,
}

/// An answer of a checksum database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub body: Bytes,
    /// The proxy it came from, and when.
    pub said: Said,
}

/// How an answer was had: the words of `X-Modvet-Cache`.
const MISS: &str = "miss";
const HIT: &str = "hit";
const STALE: &str = "stale";

/// So long is believed that a proxy serves a database, and that it does not.
const YES: Duration = Duration::from_secs(24 * 3600);
const NO: Duration = Duration::from_secs(60);

/// So long a proxy that failed to say is not asked again, if there is something else to go by.
const FAILED: Duration = Duration::from_secs(60);

#[async_trait]
impl Sumdb for Passed {
    async fn get(&self, path: &str) -> Result<Bytes> {
        Ok(self.record(&Path::parse(path)?).await?.body)
    }
}

impl Passed {
    /// `proxies` in the order in which they are asked.
    pub fn new(proxies: Vec<Proxy>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Passed {
        Passed { proxies, shelves: Shelves { store, clock: clock.clone() }, clock, failed: Cache::new(1000) }
    }

    /// `Kind::NotFound` where no proxy serves the database: the client then asks it directly.
    pub async fn record(&self, path: &Path) -> Result<Record> {
        if let Some(record) = self.at_hand(path).await? {
            return Ok(record);
        }
        let (proxy, supported) = self.supporter(path).await?;
        match &path.target {
            Target::Supported => Ok(supported),
            Target::Latest => match self.bring(proxy, path).await {
                Ok(record) => Ok(record),
                Err(error) if error.is_absence() => Err(error),
                Err(error) => self.kept(proxy, path, STALE).await?.ok_or(error),
            },
            Target::Lookup { .. } | Target::Tile(_) => self.bring(proxy, path).await,
        }
    }

    /// The same out of what is kept alone: nobody is asked.
    pub async fn kept_record(&self, path: &Path) -> Result<Record> {
        for proxy in self.proxies.iter().filter(|proxy| may_be_asked(proxy, path)) {
            let cache = if matches!(path.target, Target::Latest) { STALE } else { HIT };
            if let Some(record) = self.kept(proxy, path, cache).await? {
                return Ok(record);
            }
        }
        Err(Error::not_found("nothing is kept that answers this").about(format!("sumdb/{}", path.address())))
    }

    /// What is good without asking anybody, of whichever proxy: a dead one must not stand before one whose record
    /// is kept.
    async fn at_hand(&self, path: &Path) -> Result<Option<Record>> {
        if matches!(path.target, Target::Latest) {
            return Ok(None);
        }
        for proxy in self.proxies.iter().filter(|proxy| may_be_asked(proxy, path)) {
            let Some(kept) = self.shelves.read(proxy, path).await? else { continue };
            let is_good = !matches!(path.target, Target::Supported) || kept.age < YES;
            if let (true, Some(record)) = (is_good, record(proxy, kept, HIT)) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The first proxy that serves a database and may be asked for the module, if the path is about one. One that
    /// said so once is held to it, also while it is out of reach: clients never fall back after a yes.
    async fn supporter(&self, path: &Path) -> Result<(&Proxy, Record)> {
        let supported = Path { name: path.name.clone(), target: Target::Supported };
        let (mut failure, mut unheard) = (None, Vec::new());
        for proxy in self.proxies.iter().filter(|proxy| may_be_asked(proxy, path)) {
            let kept = self.shelves.read(proxy, &supported).await?;
            if kept.is_none() && self.has_failed_lately(proxy, &supported) {
                unheard.push(proxy);
                continue;
            }
            match self.word(proxy, &supported, kept).await {
                Ok(Some(record)) => return Ok((proxy, record)),
                Ok(None) => {}
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        // Nothing else to go by.
        for proxy in unheard {
            match self.word(proxy, &supported, None).await {
                Ok(Some(record)) => return Ok((proxy, record)),
                Ok(None) => {}
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| self.unserved(path)))
    }

    /// Whether a proxy serves a database: its yes, or `None`. What it said before outweighs a failure.
    async fn word(&self, proxy: &Proxy, supported: &Path, kept: Option<Kept>) -> Result<Option<Record>> {
        let mut before = None;
        if let Some(kept) = kept {
            if kept.age < if kept.is_refusal { NO } else { YES } {
                return Ok(record(proxy, kept, HIT));
            }
            let stale = record(proxy, kept, STALE);
            if self.has_failed_lately(proxy, supported) {
                return Ok(stale);
            }
            before = Some(stale);
        }
        match self.bring(proxy, supported).await {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is_absence() => {
                self.shelves.keep_refusal(proxy, supported).await?;
                Ok(None)
            }
            Err(error) => {
                self.failed.insert(pair(proxy, supported), self.clock.now());
                before.ok_or(error)
            }
        }
    }

    fn has_failed_lately(&self, proxy: &Proxy, supported: &Path) -> bool {
        let since = self.failed.get(&pair(proxy, supported));
        since.is_some_and(|since| (self.clock.now() - since).to_std().is_ok_and(|age| age < FAILED))
    }

    /// That nobody serves a database.
    fn unserved(&self, path: &Path) -> Error {
        match &path.target {
            // An absence would send the client, and the name with it, to the database itself.
            Target::Lookup { module, .. } if !self.proxies.iter().all(|proxy| may_be_asked(proxy, path)) => {
                scope::private(module)
            }
            _ => {
                let error = Error::not_found("no upstream proxy serves this checksum database");
                error.about(format!("sumdb/{}", path.name))
            }
        }
    }

    /// What is kept, had as `cache` says.
    async fn kept(&self, proxy: &Proxy, path: &Path, cache: &'static str) -> Result<Option<Record>> {
        Ok(self.shelves.read(proxy, path).await?.and_then(|kept| record(proxy, kept, cache)))
    }

    /// Asks the proxy, looks at what came, and keeps it.
    async fn bring(&self, proxy: &Proxy, path: &Path) -> Result<Record> {
        let address = path.address();
        let subject = format!("sumdb/{address}");
        let said = Said { upstream: proxy.name.clone(), cache: MISS, age: Duration::ZERO };
        let told = |error: Error| {
            if error.is_absence() {
                return error.about(&subject).said(said.clone());
            }
            let told = Error::new(error.kind(), format!("upstream {}: {}", proxy.name, error.chain()));
            let told = told.about(&subject).said(said.clone());
            match error.delay() {
                Some(delay) => told.retry_after(delay),
                None => told,
            }
        };
        let body = proxy.sumdb.get(&address).await.map_err(told)?;
        if body.len() as u64 > LIMIT || !path.accepts(&body) {
            let what = format!("upstream {}: the answer is no record of a checksum database", proxy.name);
            return Err(Error::bad_gateway(what).about(subject).said(said));
        }
        self.shelves.keep(proxy, path, body.clone()).await?;
        Ok(Record { body, said })
    }
}

/// `None` for a refusal.
fn record(proxy: &Proxy, kept: Kept, cache: &'static str) -> Option<Record> {
    let said = Said { upstream: proxy.name.clone(), cache, age: kept.age };
    (!kept.is_refusal).then_some(Record { body: kept.body, said })
}

/// Only a lookup names a module.
fn may_be_asked(proxy: &Proxy, path: &Path) -> bool {
    match &path.target {
        Target::Lookup { module, .. } => proxy.scope.allows(module),
        Target::Supported | Target::Latest | Target::Tile(_) => true,
    }
}

fn pair(proxy: &Proxy, path: &Path) -> String {
    format!("{} {}", proxy.shelf, path.name)
}
