//! Letters on their way: kept in the store until every channel has them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Letter, Notifier, Store};

const NOTICES: &str = "notice/";
const LIMIT: u64 = 1 << 20;
const AGAIN: TimeDelta = TimeDelta::minutes(1);

/// Letters on their way to channels.
pub struct Outbox {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    appointed: Mutex<Appointed>,
    /// One delivery at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Appointed {
    channels: Vec<Arc<dyn Notifier>>,
    owners: Option<Arc<dyn Notifier>>,
}

/// What came of a test letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    pub channel: String,
    pub error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Notice {
    letter: Letter,
    /// `None`: all of them.
    channels: Option<Vec<String>>,
    done: BTreeSet<String>,
    begun: BTreeSet<String>,
    is_over: bool,
}

impl Outbox {
    pub fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Outbox> {
        Ok(Outbox { store, clock, appointed: Mutex::default(), turn: tokio::sync::Mutex::default() })
    }

    /// Says who takes letters; `owners` mails to `Letter::to` only.
    pub fn appoint(&self, channels: Vec<Arc<dyn Notifier>>, owners: Option<Arc<dyn Notifier>>) {
        *self.appointed.lock().unwrap_or_else(PoisonError::into_inner) = Appointed { channels, owners };
    }

    /// Takes a letter; it lasts when this returns. One whose id is known already is left alone.
    pub fn post(&self, letter: &Letter, channels: Option<&[String]>) -> Result<()> {
        let key = format!("{NOTICES}{}", letter.id);
        if self.store.get(&key)?.is_some() {
            return Ok(());
        }
        let channels = channels.map(<[String]>::to_vec);
        let notice =
            Notice { letter: letter.clone(), channels, done: BTreeSet::new(), begun: BTreeSet::new(), is_over: false };
        self.save(&key, &notice)
    }

    /// Sends what is due, and gives when the next is.
    pub async fn deliver_due(&self) -> Option<DateTime<Utc>> {
        let _turn = self.turn.lock().await;
        let mut is_all_done = true;
        for mut notice in self.open_notices() {
            is_all_done &= self.deliver(&mut notice).await;
        }
        (!is_all_done).then(|| self.clock.now() + AGAIN)
    }

    /// How many letters about a mirror are still on their way.
    pub fn undelivered(&self, about: &str) -> u64 {
        self.open_notices().iter().filter(|notice| notice.letter.data["name"] == about).count() as u64
    }

    /// Sends a test letter to every channel.
    pub async fn test(&self) -> Vec<Tested> {
        let at = self.clock.now();
        let letter = Letter {
            id: format!("test-{}", at.timestamp_micros()),
            at,
            subject: "a test letter of modvet".to_owned(),
            text: "this channel works".to_owned(),
            data: serde_json::json!({ "event": "test" }),
            to: Vec::new(),
        };
        let mut tested = Vec::new();
        for channel in self.appointed().channels {
            let error = channel.notify(&letter).await.err().map(|error| error.to_string());
            tested.push(Tested { channel: channel.name().to_owned(), error });
        }
        tested
    }

    fn appointed(&self) -> Appointed {
        self.appointed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is with everybody now.
    async fn deliver(&self, notice: &mut Notice) -> bool {
        let key = format!("{NOTICES}{}", notice.letter.id);
        let appointed = self.appointed();
        let owners = appointed.owners.filter(|_| !notice.letter.to.is_empty());
        let is_meant = |name: &str| notice.channels.as_ref().is_none_or(|named| named.iter().any(|one| one == name));
        let meant: Vec<_> =
            appointed.channels.into_iter().filter(|channel| is_meant(channel.name())).chain(owners).collect();
        for channel in &meant {
            let name = channel.name().to_owned();
            // What was begun before a kill may have arrived.
            if !notice.begun.insert(name.clone()) {
                continue;
            }
            if let Err(error) = self.save(&key, notice) {
                tracing::error!(%error, "a letter cannot be kept");
                return false;
            }
            match channel.notify(&notice.letter).await {
                Ok(()) => drop(notice.done.insert(name)),
                Err(error) => {
                    tracing::warn!(channel = name, %error, "a letter was not taken");
                    notice.begun.remove(&name);
                }
            }
        }
        notice.is_over = meant.iter().all(|channel| notice.begun.contains(channel.name()));
        if let Err(error) = self.save(&key, notice) {
            tracing::error!(%error, "a letter cannot be kept");
        }
        notice.is_over
    }

    /// In the order of their keys.
    fn open_notices(&self) -> Vec<Notice> {
        let mut keys = Vec::new();
        let listed = self.store.scan(NOTICES, &mut |key, meta| {
            if meta != b"over" {
                keys.push(key.to_owned());
            }
            true
        });
        if let Err(error) = listed {
            tracing::error!(%error, "letters cannot be listed");
        }
        let mut notices: Vec<Notice> = keys.iter().filter_map(|key| self.load(key)).collect();
        notices.sort_by(|a, b| (a.letter.at, &a.letter.id).cmp(&(b.letter.at, &b.letter.id)));
        notices
    }

    fn load(&self, key: &str) -> Option<Notice> {
        let bytes = self.store.get(key).ok()??.blob.read_all(LIMIT).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn save(&self, key: &str, notice: &Notice) -> Result<()> {
        let json = serde_json::to_vec(notice).map_err(|e| Error::internal("a letter does not serialize").because(e))?;
        let meta: &[u8] = if notice.is_over { b"over" } else { b"open" };
        self.store.put(key, meta, Body::Bytes(json.into())).map(drop)
    }
}
