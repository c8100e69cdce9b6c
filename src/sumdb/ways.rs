//! The ways to a database: proxies that hand it through, in their order, then its own address. A way that failed is
//! left alone for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::path::{Path, Target};
use crate::error::{Error, Kind, Result, Said};
use crate::ports::{Clock, Sumdb};
use crate::spec::path::ModulePath;
use crate::spec::scope::{self, Scope};

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

/// On whose behalf a database is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client that gets nothing otherwise: a way that failed lately is tried all the same, after the others.
    Client,
    /// Somebody who can do without.
    Verifier,
}

/// How a database is asked for one thing.
#[derive(Clone, Copy)]
pub(super) struct Errand<'a> {
    pub proxies: &'a [Proxy],
    /// Whom not every proxy may be asked for.
    pub module: Option<&'a ModulePath>,
    pub asker: Asker,
}

/// What somebody answered.
pub(super) struct Fetched {
    pub body: Bytes,
    /// Who answered: an upstream, or the database itself.
    pub via: String,
}

/// One answer may take so long.
const CLIENT: Duration = Duration::from_secs(20);
const VERIFIER: Duration = Duration::from_secs(4);

/// So long is believed that a proxy hands a database through, and that it does not.
const YES: Duration = Duration::from_secs(24 * 3600);
const NO: Duration = Duration::from_secs(60);

/// A way that failed is left alone for so long, twice as long after each further failure.
const REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// The rest of the whole database, in the place of a way's shelf.
const ALL: &str = "*";
/// The way without a proxy, likewise.
const DIRECT: &str = "";

struct Rest {
    until: DateTime<Utc>,
    failures: u32,
}

#[derive(Default)]
struct Memory {
    /// By the shelf of the way.
    rests: HashMap<String, Rest>,
    supports: HashMap<String, (bool, DateTime<Utc>)>,
    /// Since when every way fails.
    unreached_since: Option<DateTime<Utc>>,
}

/// What is known of the ways to one database.
pub(super) struct Ways {
    /// The database's name.
    name: String,
    direct: Arc<dyn Sumdb>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

impl Errand<'_> {
    /// The proxies that may be asked. A module that none of them may be asked for is nobody's business outside.
    fn proxies(&self) -> Result<Vec<&Proxy>> {
        let Some(module) = self.module else { return Ok(self.proxies.iter().collect()) };
        let allowed: Vec<&Proxy> = self.proxies.iter().filter(|proxy| proxy.scope.allows(module)).collect();
        if allowed.is_empty() && !self.proxies.is_empty() {
            return Err(scope::private(module));
        }
        Ok(allowed)
    }
}

impl Ways {
    pub fn new(name: &str, direct: Arc<dyn Sumdb>, clock: Arc<dyn Clock>) -> Ways {
        Ways { name: name.to_owned(), direct, clock, memory: Mutex::default() }
    }

    /// Since when nobody could be reached.
    pub fn unreached_since(&self) -> Option<DateTime<Utc>> {
        self.memory().unreached_since
    }

    /// Asks one way after the other; an absence is the word of the database, whoever hands it through.
    pub async fn ask(&self, errand: Errand<'_>, path: &Path) -> Result<Fetched> {
        let proxies = errand.proxies()?;
        if errand.asker == Asker::Verifier && self.rests(ALL) {
            return Err(self.left_alone());
        }
        let ways: Vec<Option<&Proxy>> = proxies.into_iter().map(Some).chain([None]).collect();
        let (rested, resting): (Vec<_>, Vec<_>) = ways.into_iter().partition(|way| !self.rests(shelf(*way)));
        let last_hope = if errand.asker == Asker::Client { resting } else { Vec::new() };
        let mut failure = None;
        for way in rested.into_iter().chain(last_hope) {
            match self.by(way, errand.asker, path).await {
                Ok(Some(body)) => {
                    self.reached(shelf(way));
                    return Ok(Fetched { body, via: via(way, &self.name) });
                }
                Ok(None) => {}
                Err(error) if error.is_absence() => {
                    // It is no word of the database where the proxy does not hand it through any more.
                    if !self.is_handed_through_still(way, errand.asker).await {
                        continue;
                    }
                    self.reached(shelf(way));
                    return Err(error);
                }
                // Who says no does not mean that somebody else may be told the name.
                Err(error) if error.kind() == Kind::Forbidden => return Err(error),
                Err(error) => {
                    if error.kind() == Kind::BadGateway {
                        self.rest(shelf(way));
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        self.memory().unreached_since.get_or_insert(self.clock.now());
        Err(failure.unwrap_or_else(|| self.left_alone()))
    }

    /// Leaves the whole database alone: it answers, but so slowly that nobody waits for it.
    pub fn rest_all(&self) {
        self.rest(ALL);
    }

    /// `None` where the proxy does not hand the database through.
    async fn by(&self, way: Option<&Proxy>, asker: Asker, path: &Path) -> Result<Option<Bytes>> {
        if let Some(proxy) = way
            && !self.is_handed_through(proxy, asker).await?
        {
            return Ok(None);
        }
        self.get(way, asker, path).await.map(Some)
    }

    async fn is_handed_through(&self, proxy: &Proxy, asker: Asker) -> Result<bool> {
        let known = self.memory().supports.get(&proxy.shelf).copied();
        if let Some((answer, at)) = known {
            let age = (self.clock.now() - at).to_std().unwrap_or_default();
            if age < if answer { YES } else { NO } {
                return Ok(answer);
            }
        }
        let supported = Path { name: self.name.clone(), target: Target::Supported };
        let answer = match self.get(Some(proxy), asker, &supported).await {
            Ok(_) => true,
            Err(error) if error.is_absence() => false,
            Err(error) => return Err(error),
        };
        self.memory().supports.insert(proxy.shelf.clone(), (answer, self.clock.now()));
        Ok(answer)
    }

    /// The same after a proxy said that something is not there: it is asked anew, unless it was just now.
    async fn is_handed_through_still(&self, way: Option<&Proxy>, asker: Asker) -> bool {
        let Some(proxy) = way else { return true };
        let now = self.clock.now();
        let is_old = |at: DateTime<Utc>| (now - at).to_std().is_ok_and(|age| age >= NO);
        if !self.memory().supports.get(&proxy.shelf).is_none_or(|(_, at)| is_old(*at)) {
            return true;
        }
        self.memory().supports.remove(&proxy.shelf);
        // Who does not answer now has said its word before.
        self.is_handed_through(proxy, asker).await.unwrap_or(true)
    }

    async fn get(&self, way: Option<&Proxy>, asker: Asker, path: &Path) -> Result<Bytes> {
        let address = path.address();
        let limit = if asker == Asker::Client { CLIENT } else { VERIFIER };
        let (sumdb, who) = match way {
            Some(proxy) => (&proxy.sumdb, format!("upstream {}", proxy.name)),
            None => (&self.direct, format!("checksum database {}", self.name)),
        };
        let answer = match timeout(limit, sumdb.get(&address)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::bad_gateway(format!("no answer within {limit:?}"))),
        };
        let error = match answer {
            Ok(body) if path.accepts(&body) => return Ok(body),
            Ok(_) => Error::bad_gateway("the answer is no record of a checksum database"),
            Err(error) => error,
        };
        let said = Said { upstream: via(way, &self.name), cache: "miss", age: Duration::ZERO };
        let told = match error.is_absence() {
            true => error,
            false => {
                let told = Error::new(error.kind(), format!("{who}: {}", error.chain()));
                match error.delay() {
                    Some(delay) => told.retry_after(delay),
                    None => told,
                }
            }
        };
        Err(told.said(said))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rests(&self, shelf: &str) -> bool {
        self.memory().rests.get(shelf).is_some_and(|rest| self.clock.now() < rest.until)
    }

    fn rest(&self, shelf: &str) {
        let now = self.clock.now();
        let mut memory = self.memory();
        let rest = memory.rests.entry(shelf.to_owned()).or_insert(Rest { until: now, failures: 0 });
        let pause = REST.saturating_mul(1 << rest.failures.min(8)).min(LONGEST_REST);
        *rest = Rest { until: now + pause, failures: rest.failures + 1 };
        // Whoever hands it through may have become another one.
        memory.supports.remove(shelf);
    }

    fn reached(&self, shelf: &str) {
        let mut memory = self.memory();
        memory.rests.remove(shelf);
        memory.rests.remove(ALL);
        memory.unreached_since = None;
    }

    fn left_alone(&self) -> Error {
        Error::bad_gateway(format!("checksum database {} failed lately and is left alone for a while", self.name))
    }
}

fn shelf(way: Option<&Proxy>) -> &str {
    way.map_or(DIRECT, |proxy| &proxy.shelf)
}

fn via(way: Option<&Proxy>, database: &str) -> String {
    way.map_or(database, |proxy| &proxy.name).to_owned()
}
