//! All tokens of a store: made, listed, revoked, and checked without the store.
//!
//! The store holds an HMAC of each, keyed with a key of its own: what can be read there opens nothing.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;

use super::guest::{Guest, Right};
use super::token::{Id, Token, random};
use super::token_record::{Record, TokenState, TokenView};
use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Store};
use crate::secret::Secret;

const ALL: &str = "token/";
const ROWS: &str = "token/row/";
/// What the HMACs are keyed with.
const KEY: &str = "token/key";
/// That a token for reading was there once, when its row is gone.
const GUARDED: &str = "token/guarded";

/// So long is shown what has expired or was revoked.
const SHOWN: TimeDelta = TimeDelta::days(90);

/// The longest label, in characters.
const LABEL: usize = 64;

/// How often it is written down when tokens were used last.
const EVERY: Duration = Duration::from_secs(60);

/// What a new token is to open.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub label: String,
    pub scope: Right,
    pub registry: Option<String>,
    pub life: Lifetime,
}

/// How long a token opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    For(Duration),
    Endless,
}

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Lifetime> {
        let wrong = || Error::gone(format!("{text:?} (expected a time such as 90d, or never)"));
        match text.trim() {
            "never" => Ok(Lifetime::Endless),
            text => match humantime::parse_duration(text) {
                Ok(life) if !life.is_zero() => Ok(Lifetime::For(life)),
                _ => Err(wrong()),
            },
        }
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is no whole token.
    Malformed,
    Unknown,
    Expired(DateTime<Utc>),
    Revoked,
}

/// The tokens of a store.
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Taken for every change, from the reading of what is there to its end.
    changing: Mutex<()>,
    snapshot: RwLock<Arc<Snapshot>>,
}

/// All that a check needs; replaced, never changed.
#[derive(Clone, Default)]
struct Snapshot {
    /// Made with the first token.
    key: Option<hmac::Key>,
    rows: HashMap<Id, Row>,
    is_guarded: bool,
}

#[derive(Clone)]
struct Row {
    record: Record,
    guest: Guest,
    hmac: Vec<u8>,
    /// In seconds; 0 for never.
    last_used: Arc<AtomicI64>,
}

impl Row {
    fn new(id: Id, record: Record) -> Option<Row> {
        let hmac = hex::decode(&record.hmac).ok()?;
        let last_used = Arc::new(AtomicI64::new(record.last_used.map_or(0, |used| used.timestamp())));
        Some(Row { guest: record.guest(id), record, hmac, last_used })
    }

    /// As it is, its last use too.
    fn view(&self, id: Id, now: DateTime<Utc>) -> TokenView {
        TokenView { last_used: self.used(), ..self.record.view(id, now) }
    }

    fn used(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.last_used.load(Ordering::Relaxed), 0).filter(|used| used.timestamp() > 0)
    }
}

impl Tokens {
    /// Reads what the store keeps. What cannot be read is logged and opens nothing. Blocking.
    pub fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Tokens> {
        let snapshot = RwLock::new(Arc::new(read(&*store)?));
        let tokens = Tokens { store, clock, changing: Mutex::default(), snapshot };
        tokens.sweep()?;
        Ok(tokens)
    }

    /// Makes one; its text is known to nobody else ever after. Blocking.
    pub fn create(&self, wanted: Wanted) -> Result<(TokenView, Secret)> {
        let label = label(&wanted.label)?;
        let now = self.clock.now();
        let expires_at = match wanted.life {
            Lifetime::Endless => None,
            Lifetime::For(life) => Some(end(now, life)?),
        };
        let _changing = self.changing();
        let mut next = (*self.snapshot()).clone();
        let key = match &next.key {
            Some(key) => key.clone(),
            None => self.make_key()?,
        };
        let token = loop {
            let token = Token::random()?;
            if !next.rows.contains_key(&token.id) {
                break token;
            }
        };
        let record = Record {
            label,
            scope: wanted.scope,
            registry: wanted.registry,
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used: None,
            hmac: hex::encode(hmac::sign(&key, &token.bytes())),
        };
        self.put(token.id, &record)?;
        let row = Row::new(token.id, record).ok_or_else(|| Error::internal("an HMAC is no text"))?;
        let view = row.view(token.id, now);
        next.key = Some(key);
        next.is_guarded |= row.record.scope == Right::Read;
        next.rows.insert(token.id, row);
        self.publish(next);
        Ok((view, token.text()))
    }

    /// All that are shown, in the order in which they were made.
    pub fn list(&self) -> Vec<TokenView> {
        let now = self.clock.now();
        let mut views: Vec<TokenView> = self.snapshot().rows.iter().map(|(id, row)| row.view(*id, now)).collect();
        views.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        views
    }

    /// Takes one back, at once and for ever. Blocking.
    pub fn revoke(&self, id: &str) -> Result<()> {
        let unknown = || Error::not_found("unknown token").about(format!("tokens/{}", Token::hidden_in(id)));
        let parsed = Id::parse(id).ok_or_else(unknown)?;
        let _changing = self.changing();
        let mut next = (*self.snapshot()).clone();
        let row = next.rows.get_mut(&parsed).ok_or_else(unknown)?;
        if row.record.revoked_at.is_none() {
            row.record.revoked_at = Some(self.clock.now());
            row.record.last_used = row.used();
            self.put(parsed, &row.record)?;
            self.publish(next);
        }
        Ok(())
    }

    /// Takes back all of a registry that is gone, and says how many there were: the next one of its name is another
    /// one. Blocking.
    pub fn revoke_of(&self, registry: &str) -> Result<usize> {
        let _changing = self.changing();
        let mut next = (*self.snapshot()).clone();
        let mut keys = Vec::new();
        for (id, row) in &mut next.rows {
            if row.record.registry.as_deref() == Some(registry) && row.record.revoked_at.is_none() {
                row.record.revoked_at = Some(self.clock.now());
                row.record.last_used = row.used();
                keys.push(key_of(*id));
            }
        }
        self.rewrite(&keys, next)?;
        Ok(keys.len())
    }

    /// Who bears this token. Some microseconds, and nothing of the store.
    pub fn check(&self, text: &str) -> Result<Guest, Denial> {
        let token = Token::parse(text).ok_or(Denial::Malformed)?;
        let snapshot = self.snapshot();
        let (Some(key), Some(row)) = (&snapshot.key, snapshot.rows.get(&token.id)) else {
            return Err(Denial::Unknown);
        };
        hmac::verify(key, &token.bytes(), &row.hmac).map_err(|_| Denial::Unknown)?;
        let now = self.clock.now();
        match (row.record.state(now), row.record.expires_at) {
            (TokenState::Valid, _) => {
                row.last_used.fetch_max(now.timestamp(), Ordering::Relaxed);
                Ok(row.guest.clone())
            }
            (TokenState::Expired, Some(expired)) => Err(Denial::Expired(expired)),
            (TokenState::Expired, None) | (TokenState::Revoked, _) => Err(Denial::Revoked),
        }
    }

    /// What the log calls who bears this token, whether it opens anything any more or not; empty where nobody ever did.
    pub fn name_of(&self, text: &str) -> String {
        let Some(token) = Token::parse(text) else { return String::new() };
        let snapshot = self.snapshot();
        let (Some(key), Some(row)) = (&snapshot.key, snapshot.rows.get(&token.id)) else { return String::new() };
        match hmac::verify(key, &token.bytes(), &row.hmac) {
            Ok(()) => row.guest.name.clone(),
            Err(_) => String::new(),
        }
    }

    /// Whether there ever was a token for reading: then nobody reads without one, for ever.
    pub fn is_guarded(&self) -> bool {
        self.snapshot().is_guarded
    }

    /// Whether any token opens anything now.
    pub fn has_valid(&self) -> bool {
        let now = self.clock.now();
        self.snapshot().rows.values().any(|row| row.record.state(now) == TokenState::Valid)
    }

    /// Writes down when tokens were used last, by one flush of the store, and forgets what ended long ago. Blocking.
    pub fn settle(&self) -> Result<()> {
        self.sweep()?;
        let _changing = self.changing();
        let mut next = (*self.snapshot()).clone();
        let mut keys = Vec::new();
        for (id, row) in &mut next.rows {
            let used = row.used();
            if used > row.record.last_used {
                row.record.last_used = used;
                keys.push(key_of(*id));
            }
        }
        self.rewrite(&keys, next)
    }

    /// Writes these rows down as they are next, by one flush, and lets that be what counts.
    fn rewrite(&self, keys: &[String], next: Snapshot) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.store.update_metas(keys, &mut |key, _| {
            let id = Id::parse(key.strip_prefix(ROWS)?)?;
            serde_json::to_vec(&next.rows.get(&id)?.record).ok()
        })?;
        self.publish(next);
        Ok(())
    }

    /// Forgets what ended long ago, but not that it was there.
    fn sweep(&self) -> Result<()> {
        let Some(before) = self.clock.now().checked_sub_signed(SHOWN) else { return Ok(()) };
        let _changing = self.changing();
        let mut next = (*self.snapshot()).clone();
        let gone: Vec<Id> = next
            .rows
            .iter()
            .filter(|(_, row)| row.record.ended_at().is_some_and(|end| end < before))
            .map(|(id, _)| *id)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        if next.is_guarded {
            self.store.put(GUARDED, b"{}", Body::Bytes(Bytes::new()))?;
        }
        let keys: Vec<String> = gone.iter().map(|id| key_of(*id)).collect();
        self.store.delete_many(&keys)?;
        next.rows.retain(|id, _| !gone.contains(id));
        self.publish(next);
        Ok(())
    }

    fn make_key(&self) -> Result<hmac::Key> {
        let bytes: [u8; 32] = random()?;
        let meta = serde_json::json!({ "key": hex::encode(bytes) }).to_string();
        self.store.put(KEY, meta.as_bytes(), Body::Bytes(Bytes::new()))?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    fn put(&self, id: Id, record: &Record) -> Result<()> {
        let meta =
            serde_json::to_vec(record).map_err(|cause| Error::internal("a token does not serialize").because(cause))?;
        self.store.put(&key_of(id), &meta, Body::Bytes(Bytes::new())).map(drop)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, next: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // A change that panicked has not been published.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down now and then when tokens were used last, for as long as it runs.
pub async fn tend(tokens: Arc<Tokens>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let settling = tokens.clone();
        match tokio::task::spawn_blocking(move || settling.settle()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "when tokens were used last is not written down"),
            Err(error) => tracing::error!(%error, "when tokens were used last is not written down"),
        }
    }
}

fn key_of(id: Id) -> String {
    format!("{ROWS}{id}")
}

/// A row that cannot be read opens nothing, and still says that reading wants a token.
fn read(store: &dyn Store) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    store.scan(ALL, &mut |key, meta| {
        let is_read = match key {
            KEY => {
                snapshot.key = key_from(meta);
                snapshot.key.is_some()
            }
            GUARDED => {
                snapshot.is_guarded = true;
                true
            }
            _ => {
                let id = key.strip_prefix(ROWS).and_then(Id::parse);
                let record: Option<Record> = serde_json::from_slice(meta).ok();
                snapshot.is_guarded |= record.as_ref().is_none_or(|record| record.scope == Right::Read);
                let row = id.zip(record).and_then(|(id, record)| Some((id, Row::new(id, record)?)));
                row.map(|(id, row)| snapshot.rows.insert(id, row)).is_some()
            }
        };
        if !is_read {
            tracing::error!(key, "what is kept of a token cannot be read: it opens nothing");
        }
        true
    })?;
    if snapshot.key.is_none() && !snapshot.rows.is_empty() {
        tracing::error!("the key of all tokens is gone: none of them opens anything, make new ones");
    }
    Ok(snapshot)
}

fn key_from(meta: &[u8]) -> Option<hmac::Key> {
    let fields: serde_json::Value = serde_json::from_slice(meta).ok()?;
    let bytes = hex::decode(fields["key"].as_str()?).ok()?;
    (bytes.len() == 32).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn label(text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > LABEL || text.chars().any(char::is_control) {
        let what = format!("{text:?} (expected at most {LABEL} characters on one line)");
        return Err(Error::gone(what).about("label"));
    }
    Ok(text.to_owned())
}

fn end(now: DateTime<Utc>, life: Duration) -> Result<DateTime<Utc>> {
    let end = TimeDelta::from_std(life).ok().and_then(|life| now.checked_add_signed(life));
    // Years of five digits are no RFC 3339.
    let end = end.filter(|end| end.timestamp() < 253_402_300_800);
    end.ok_or_else(|| Error::gone("it ends after the year 9999").about("expires").remedy("say never"))
}
