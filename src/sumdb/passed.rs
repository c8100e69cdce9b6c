//! Passing a checksum database through: the first proxy that serves it is asked, answers are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::path::{Path, Target};
use crate::error::{Error, Result, Said};
use crate::ports::{Body, Clock, Store, Sumdb};
use crate::spec::scope::{self, Scope};

/// The databases that some proxies hand through, in the order of a registry.
pub struct Passed {
    proxies: Vec<Proxy>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Proxies that lately said they do not serve a database: `PROXY NAME` and when.
    without: Cache<String, DateTime<Utc>>,
}

/// A proxy that may hand databases through.
#[derive(Clone)]
pub struct Proxy {
    /// The upstream's name.
    pub name: String,
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

/// What stands beside a kept answer.
#[derive(Serialize, Deserialize)]
struct Meta {
    fetched_at: DateTime<Utc>,
}

/// Lookups have some hundred bytes, tiles of the usual height at most 8 KiB, data tiles somewhat more.
const LIMIT: u64 = 1 << 20;
const WITHOUT: Duration = Duration::from_secs(60);

#[async_trait]
impl Sumdb for Passed {
    async fn get(&self, path: &str) -> Result<Bytes> {
        Ok(self.record(&Path::parse(path)?).await?.body)
    }
}

impl Passed {
    /// `proxies` in the order in which they are asked.
    pub fn new(proxies: Vec<Proxy>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Passed {
        Passed { proxies, store, clock, without: Cache::new(1000) }
    }

    /// `Kind::NotFound` where no proxy serves the database: the client then asks it directly.
    pub async fn record(&self, path: &Path) -> Result<Record> {
        let (proxy, supported) = self.supporter(path).await?;
        match &path.target {
            Target::Supported => Ok(supported),
            Target::Latest => match self.bring(proxy, path).await {
                Ok(record) => Ok(record),
                Err(error) if error.is_absence() => Err(error),
                Err(error) => self.kept(proxy, path, STALE).await?.ok_or(error),
            },
            Target::Lookup { .. } | Target::Tile(_) => match self.kept(proxy, path, HIT).await? {
                Some(record) => Ok(record),
                None => self.bring(proxy, path).await,
            },
        }
    }

    /// The first proxy that serves a database and may be asked for the module, if the path is about one. One that
    /// said so once is held to it, also while it is out of reach: clients never fall back after a yes.
    async fn supporter(&self, path: &Path) -> Result<(&Proxy, Record)> {
        let name = &path.name;
        let supported = Path { name: name.clone(), target: Target::Supported };
        let (mut failure, mut barred) = (None, None);
        for proxy in &self.proxies {
            if let Target::Lookup { module, .. } = &path.target
                && !proxy.scope.allows(module)
            {
                barred.get_or_insert(module);
                continue;
            }
            if let Some(record) = self.kept(proxy, &supported, HIT).await? {
                return Ok((proxy, record));
            }
            let pair = format!("{} {name}", proxy.name);
            if self.without.get(&pair).is_some_and(|since| self.is_recent(since)) {
                continue;
            }
            match self.bring(proxy, &supported).await {
                Ok(record) => return Ok((proxy, record)),
                Err(error) if error.is_absence() => self.without.insert(pair, self.clock.now()),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Err(match (failure, barred) {
            (Some(failure), _) => failure,
            // An absence would send the client, and the name with it, to the database itself.
            (None, Some(module)) => scope::private(module),
            (None, None) => {
                Error::not_found("no upstream proxy serves this checksum database").about(format!("sumdb/{name}"))
            }
        })
    }

    fn is_recent(&self, since: DateTime<Utc>) -> bool {
        (self.clock.now() - since).to_std().is_ok_and(|age| age < WITHOUT)
    }

    /// What is kept, had as `cache` says.
    async fn kept(&self, proxy: &Proxy, path: &Path, cache: &'static str) -> Result<Option<Record>> {
        let (store, key) = (self.store.clone(), key(proxy, path));
        let read = move || -> Result<_> {
            let Some(stored) = store.get(&key)? else { return Ok(None) };
            let since = serde_json::from_slice::<Meta>(&stored.meta).ok().map(|meta| meta.fetched_at);
            Ok(Some((stored.blob.read_all(LIMIT)?, since)))
        };
        let Some((body, since)) = blocking(read).await? else { return Ok(None) };
        let age = since.and_then(|since| (self.clock.now() - since).to_std().ok()).unwrap_or_default();
        Ok(Some(Record { body, said: Said { upstream: proxy.name.clone(), cache, age } }))
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
        let (store, key, kept) = (self.store.clone(), key(proxy, path), body.clone());
        let meta = serde_json::to_vec(&Meta { fetched_at: self.clock.now() }).expect("a time always serializes");
        blocking(move || store.put(&key, &meta, Body::Bytes(kept))).await?;
        Ok(Record { body, said })
    }
}

fn key(proxy: &Proxy, path: &Path) -> String {
    format!("upstream/{}/sumdb/{}", proxy.name, path.address())
}

/// Runs store work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on the store was cut short").because(cause)),
    }
}
