//! Passing a checksum database through: the first proxy that serves it is asked, answers are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use super::path::{Path, Target};
use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Store, Sumdb};

/// The databases that some proxies hand through, in the order of a registry.
pub struct Passed {
    proxies: Vec<Proxy>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Proxies that lately said they do not serve a database: `PROXY NAME` and when.
    without: Cache<String, DateTime<Utc>>,
}

struct Proxy {
    name: String,
    sumdb: Arc<dyn Sumdb>,
}

/// An answer of a checksum database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub body: Bytes,
    /// The proxy it came from.
    pub upstream: String,
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
    /// `proxies` in the order in which they are asked, each with its upstream's name.
    pub fn new(proxies: Vec<(String, Arc<dyn Sumdb>)>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Passed {
        let proxies = proxies.into_iter().map(|(name, sumdb)| Proxy { name, sumdb }).collect();
        Passed { proxies, store, clock, without: Cache::new(1000) }
    }

    /// `Kind::NotFound` where no proxy serves the database: the client then asks it directly.
    pub async fn record(&self, path: &Path) -> Result<Record> {
        let proxy = self.supporter(&path.name).await?;
        let body = match &path.target {
            Target::Supported => Bytes::new(),
            Target::Latest => match self.bring(proxy, path).await {
                Ok(body) => body,
                Err(error) if error.is_absence() => return Err(error),
                Err(error) => self.kept(proxy, path).await?.ok_or(error)?,
            },
            Target::Lookup { .. } | Target::Tile(_) => match self.kept(proxy, path).await? {
                Some(body) => body,
                None => self.bring(proxy, path).await?,
            },
        };
        Ok(Record { body, upstream: proxy.name.clone() })
    }

    /// The first proxy that serves a database. One that said so once is held to it, also while it is
    /// out of reach: clients never fall back after a yes.
    async fn supporter(&self, name: &str) -> Result<&Proxy> {
        let path = Path { name: name.to_owned(), target: Target::Supported };
        let mut failure = None;
        for proxy in &self.proxies {
            if self.kept(proxy, &path).await?.is_some() {
                return Ok(proxy);
            }
            let pair = format!("{} {name}", proxy.name);
            if self.without.get(&pair).is_some_and(|since| self.is_recent(since)) {
                continue;
            }
            match self.bring(proxy, &path).await {
                Ok(_) => return Ok(proxy),
                Err(error) if error.is_absence() => self.without.insert(pair, self.clock.now()),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let absent =
            || Error::not_found("no upstream proxy serves this checksum database").about(format!("sumdb/{name}"));
        Err(failure.unwrap_or_else(absent))
    }

    fn is_recent(&self, since: DateTime<Utc>) -> bool {
        (self.clock.now() - since).to_std().is_ok_and(|age| age < WITHOUT)
    }

    async fn kept(&self, proxy: &Proxy, path: &Path) -> Result<Option<Bytes>> {
        let (store, key) = (self.store.clone(), key(proxy, path));
        blocking(move || store.get(&key)?.map(|stored| stored.blob.read_all(LIMIT)).transpose()).await
    }

    /// Asks the proxy, looks at what came, and keeps it.
    async fn bring(&self, proxy: &Proxy, path: &Path) -> Result<Bytes> {
        let address = path.address();
        let subject = format!("sumdb/{address}");
        let told = |error: Error| {
            if error.is_absence() {
                return error.about(&subject);
            }
            let told = Error::new(error.kind(), format!("upstream {}: {}", proxy.name, error.chain())).about(&subject);
            match error.delay() {
                Some(delay) => told.retry_after(delay),
                None => told,
            }
        };
        let body = proxy.sumdb.get(&address).await.map_err(told)?;
        if body.len() as u64 > LIMIT || !path.accepts(&body) {
            let what = format!("upstream {}: the answer is no record of a checksum database", proxy.name);
            return Err(Error::bad_gateway(what).about(subject));
        }
        let (store, key, kept) = (self.store.clone(), key(proxy, path), body.clone());
        let meta = serde_json::json!({ "fetched_at": self.clock.now() }).to_string();
        blocking(move || store.put(&key, meta.as_bytes(), Body::Bytes(kept))).await?;
        Ok(body)
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
