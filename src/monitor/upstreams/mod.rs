//! The upstreams of all registries, watched without anybody configuring it: do they answer, how fast, do they let us
//! in, until when does their certificate hold.
//!
//! What clients ask counts: an upstream that answers them is not asked besides.

mod letter;
mod state;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use super::outbox::Outbox;
use super::schedule;
use crate::error::{Error, Result};
use crate::ports::{Answer, Body, Clock, Condition, Line, Store};
use letter::{about, letter};
use state::{Look, State};
pub use status::{CertificateStatus, UpstreamStatus};

const STATES: &str = "monitor/upstream/";
/// The largest state that is read back.
const LIMIT: u64 = 1 << 20;
/// Upstreams that are looked at at a time.
const AT_A_TIME: usize = 8;
/// Failures in a row without which what clients got is no sign: of a git upstream one module's host may be gone.
const FAILURES: u64 = 3;
/// Nobody is looked at before it had time to be asked by clients.
const SETTLING: TimeDelta = TimeDelta::seconds(15);
/// Upstreams come and go at run time.
const LOOK_AROUND: TimeDelta = TimeDelta::minutes(1);

/// An upstream as it is now.
#[derive(Clone)]
pub struct Upstream {
    pub name: String,
    pub kind: String,
    /// Without credentials; git has none.
    pub address: Option<String>,
    pub traffic: Traffic,
    pub line: Arc<dyn Line>,
}

/// What came of the last requests of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub last_success: Option<DateTime<Utc>>,
    pub last_failure: Option<DateTime<Utc>>,
    /// The words of the last failure.
    pub failure: Option<String>,
    /// Since the last success.
    pub failures: u64,
    /// How long the last answer took.
    pub latency_ms: Option<u64>,
}

impl Traffic {
    fn newest(&self) -> Option<DateTime<Utc>> {
        self.last_success.max(self.last_failure)
    }

    /// Whether clients got an answer since a moment, and nothing else after it.
    fn is_well_since(&self, moment: Option<DateTime<Utc>>) -> bool {
        self.failures == 0 && self.last_success > moment
    }
}

/// Gives all upstreams that there are at the moment.
pub type Upstreams = Arc<dyn Fn() -> Vec<Upstream> + Send + Sync>;

/// Keeps an eye on upstreams. States are in the store, and in memory for who asks.
pub struct UpstreamWatch {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    outbox: Arc<Outbox>,
    upstreams: Upstreams,
    watched: Mutex<Watched>,
    changed: Notify,
}

struct Watched {
    /// Zero: nobody looks.
    every: Duration,
    kept: BTreeMap<String, Kept>,
}

struct Kept {
    state: State,
    next: DateTime<Utc>,
}

impl UpstreamWatch {
    /// Reads what is known of upstreams. Blocking.
    pub fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        outbox: Arc<Outbox>,
        upstreams: Upstreams,
        every: Duration,
    ) -> Result<UpstreamWatch> {
        let now = clock.now();
        let mut kept = BTreeMap::new();
        for (name, state) in read_all(&*store)? {
            let next = first(&name, every, now);
            kept.insert(name, Kept { state, next });
        }
        let watched = Mutex::new(Watched { every, kept });
        Ok(UpstreamWatch { store, clock, outbox, upstreams, watched, changed: Notify::new() })
    }

    /// Looks so often from now on; zero: never.
    pub fn look_every(&self, every: Duration) {
        let now = self.clock.now();
        let mut watched = self.watched();
        if watched.every != every {
            watched.every = every;
            for (name, kept) in &mut watched.kept {
                kept.next = first(name, every, now);
            }
            self.changed.notify_one();
        }
    }

    /// How all upstreams stood at their last look, by name.
    pub fn statuses(&self) -> Vec<UpstreamStatus> {
        let mut upstreams = (self.upstreams)();
        upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        upstreams.iter().map(|upstream| self.status(upstream)).collect()
    }

    /// Looks at all that are due, and gives when the next is.
    pub async fn tick(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        let due = self.due(now);
        let looks = due.into_iter().map(|upstream| self.look(upstream));
        // Boxed: the compiler does not see through a borrowed watch in a buffered stream.
        stream::iter(looks).buffer_unordered(AT_A_TIME).boxed().collect::<()>().await;
        let delivery = self.outbox.deliver_due().await;
        let watched = self.watched();
        let looks = (!watched.every.is_zero()).then(|| watched.kept.values().map(|kept| kept.next).min()).flatten();
        let next = looks.into_iter().chain(delivery).min().unwrap_or(DateTime::<Utc>::MAX_UTC);
        next.min(self.clock.now() + LOOK_AROUND)
    }

    /// The upstreams whose time has come; what is kept of others that are gone is forgotten.
    fn due(&self, now: DateTime<Utc>) -> Vec<Upstream> {
        let upstreams = (self.upstreams)();
        let mut watched = self.watched();
        if watched.every.is_zero() {
            return Vec::new();
        }
        let every = watched.every;
        let is_of = |kept: &Kept, upstream: &Upstream| {
            kept.state.kind == upstream.kind && kept.state.address == upstream.address.as_deref().unwrap_or_default()
        };
        let gone: Vec<String> =
            watched.kept.keys().filter(|name| !upstreams.iter().any(|up| up.name == **name)).cloned().collect();
        for name in gone {
            watched.kept.remove(&name);
            if let Err(error) = self.store.delete(&key(&name)) {
                tracing::warn!(upstream = name, %error, "the state of an upstream that is gone stays");
            }
        }
        let is_due = |upstream: &Upstream| {
            let kept = watched.kept.get(&upstream.name).filter(|kept| is_of(kept, upstream));
            if let Some(kept) = kept {
                let planned = schedule::after_a_jump(&upstream.name, every, kept.next, now);
                return kept.next <= now || planned <= now;
            }
            let state = State::new(&upstream.kind, upstream.address.as_deref().unwrap_or_default(), now);
            watched.kept.insert(upstream.name.clone(), Kept { state, next: first(&upstream.name, every, now) });
            false
        };
        let mut is_due = is_due;
        upstreams.into_iter().filter(|upstream| is_due(upstream)).collect()
    }

    /// Finds out how an upstream stands, writes it down and tells who has to know.
    async fn look(&self, upstream: Upstream) {
        let Some(before) = self.state(&upstream.name) else { return };
        let look = find_out(&upstream, &before).await;
        let now = self.clock.now();
        let mut state = before.clone();
        let mut events = Vec::new();
        if let Some(look) = look {
            events.extend(state.note(look, now));
        }
        events.extend(state.certify(upstream.line.certificate(), now));
        events.extend(state.remind(now));
        for event in &events {
            let letter = letter(&upstream, &mut state, event, now);
            tracing::warn!(upstream = upstream.name, "{}", letter.subject);
            state.unposted.push(letter);
        }
        if before.condition != state.condition {
            let (was, is) = (status::words(before.condition), status::words(state.condition));
            tracing::info!(upstream = upstream.name, was, is, why = state.error, "upstream");
        }
        if let Err(error) = self.settle(&upstream.name, state.clone()).await {
            tracing::error!(upstream = upstream.name, %error, "how an upstream stands is not written down");
        }
        let mut watched = self.watched();
        let every = watched.every;
        if let Some(kept) = watched.kept.get_mut(&upstream.name) {
            kept.next = match state.is_unsure() {
                true => schedule::again(&upstream.name, every, state.streak, now),
                false => schedule::next(&upstream.name, every, now),
            };
        }
    }

    /// Writes a state down, then hands its letters over: a kill in between loses none, and one that was handed over
    /// already is known there.
    async fn settle(&self, name: &str, mut state: State) -> Result<()> {
        let (store, outbox, key) = (self.store.clone(), self.outbox.clone(), key(name));
        let writing = tokio::task::spawn_blocking(move || {
            write(&*store, &key, &state)?;
            if !state.unposted.is_empty() {
                for letter in &state.unposted {
                    outbox.post(letter, None)?;
                }
                state.unposted.clear();
                write(&*store, &key, &state)?;
            }
            Ok(state)
        });
        let state = writing.await.map_err(|error| Error::internal("a state was not written").because(error))??;
        if let Some(kept) = self.watched().kept.get_mut(name) {
            kept.state = state;
        }
        Ok(())
    }

    fn state(&self, name: &str) -> Option<State> {
        self.watched().kept.get(name).map(|kept| kept.state.clone())
    }

    fn status(&self, upstream: &Upstream) -> UpstreamStatus {
        let now = self.clock.now();
        let watched = self.watched();
        let is_paused = watched.every.is_zero();
        let kept = watched.kept.get(&upstream.name);
        let address = upstream.address.as_deref().unwrap_or_default();
        let kept =
            kept.filter(|kept| (kept.state.kind.as_str(), kept.state.address.as_str()) == (&upstream.kind, address));
        let unknown = || State::new(&upstream.kind, address, now);
        let (state, next) = kept.map_or_else(|| (unknown(), None), |kept| (kept.state.clone(), Some(kept.next)));
        drop(watched);
        UpstreamStatus {
            name: upstream.name.clone(),
            kind: upstream.kind.clone(),
            address: upstream.address.clone(),
            condition: if is_paused { Condition::Paused } else { state.condition },
            since: state.since,
            summary: status::summary(&state, is_paused),
            credential_refused: state.condition == Condition::Refused,
            error: state.error.clone(),
            last_attempt: state.last_attempt,
            last_success: state.last_success,
            latency_ms: state.latency_ms,
            next_check: next.filter(|_| !is_paused),
            certificate: CertificateStatus::of(&state, now),
            undelivered: self.outbox.undelivered(&about(&upstream.name)),
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look finds; `None` where there is nothing new to be known.
async fn find_out(upstream: &Upstream, before: &State) -> Option<Look> {
    let Upstream { traffic, line, .. } = upstream;
    let well = |latency_ms| Look { condition: Condition::InSync, error: None, latency_ms };
    let refused = |error: String| Look { condition: Condition::Refused, error: Some(error), latency_ms: None };
    let unreachable = |error: String| Look { condition: Condition::Unreachable, error: Some(error), latency_ms: None };
    let not_let_in = |host: String| refused(format!("{host} does not accept the credentials"));
    if line.refusing().is_none() && traffic.is_well_since(before.last_attempt) {
        return Some(well(traffic.latency_ms));
    }
    let start = Instant::now();
    let probed = line.probe().await;
    let took = u64::try_from(start.elapsed().as_millis()).ok();
    match (probed, line.refusing()) {
        (Some(Err(error)), _) if error.is_unauthorized() => Some(refused(error.chain())),
        (Some(Err(error)), _) => Some(unreachable(error.chain())),
        (Some(Ok(Answer::Heard)), Some(host)) => Some(not_let_in(host)),
        // What may be asked without credentials says nothing to clients who just were refused.
        (Some(Ok(Answer::LetIn)), Some(host)) if traffic.last_failure > before.last_attempt => Some(not_let_in(host)),
        (Some(Ok(_)), _) => Some(well(took)),
        // Nobody can be asked: what clients got is all there is.
        (None, _) if traffic.newest() <= before.last_attempt => None,
        (None, Some(host)) => Some(not_let_in(host)),
        (None, None) if traffic.failures >= FAILURES => {
            Some(unreachable(traffic.failure.clone().unwrap_or_else(|| "its last requests failed".to_owned())))
        }
        (None, None) => None,
    }
}

/// Keeps an eye on the upstreams for as long as it runs.
pub async fn keep(watch: Arc<UpstreamWatch>) {
    loop {
        let next = watch.tick().await;
        let wait = (next - watch.clock.now()).to_std().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = watch.changed.notified() => {}
        }
    }
}

/// The first look of one that is new here: clients come first, and what they ask may tell it all.
fn first(name: &str, every: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    schedule::first(name, every, now + TimeDelta::from_std(every).unwrap_or(SETTLING).min(SETTLING))
}

fn key(name: &str) -> String {
    format!("{STATES}{name}")
}

/// What was written down of each upstream; what cannot be read is logged, and begins anew.
fn read_all(store: &dyn Store) -> Result<BTreeMap<String, State>> {
    let mut names = Vec::new();
    store.scan(STATES, &mut |key, _| {
        names.extend(key.strip_prefix(STATES).map(str::to_owned));
        true
    })?;
    let mut states = BTreeMap::new();
    for name in names {
        let Some(stored) = store.get(&key(&name))? else { continue };
        match serde_json::from_slice(&stored.blob.read_all(LIMIT)?) {
            Ok(state) => drop(states.insert(name, state)),
            Err(error) => tracing::error!(upstream = name, %error, "what was seen of an upstream cannot be read"),
        }
    }
    Ok(states)
}

fn write(store: &dyn Store, key: &str, state: &State) -> Result<()> {
    let json =
        serde_json::to_vec(state).map_err(|error| Error::internal("a state does not serialize").because(error))?;
    store.put(key, b"{}", Body::Bytes(json.into())).map(drop)
}
