//! What is remembered of a database for ever: the newest tree that it signed, and that it contradicted itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::kept::{LIMIT, blocking};
use crate::error::{Error, Result};
use crate::ports::{Body, Store};
use crate::spec::note::{self, VerifierKey};
use crate::spec::tree::TreeHead;

/// A tree with the note that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub tree: TreeHead,
    pub note: Bytes,
    pub seen_at: DateTime<Utc>,
}

impl Signed {
    /// A note that the key signed.
    pub fn open(note: &Bytes, key: &VerifierKey, seen_at: DateTime<Utc>) -> Result<Signed> {
        let tree = TreeHead::parse(note::open(note, std::slice::from_ref(key))?)?;
        Ok(Signed { tree, note: note.clone(), seen_at })
    }
}

/// Two signed trees of which neither holds the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fork {
    pub seen_at: DateTime<Utc>,
    /// The note that was remembered.
    pub ours: String,
    /// The note that contradicts it.
    pub theirs: String,
}

impl Fork {
    /// Whether this key signed what contradicts what it had signed.
    fn is_of(&self, key: &VerifierKey) -> bool {
        note::open(self.theirs.as_bytes(), std::slice::from_ref(key)).is_ok()
    }
}

#[derive(Default)]
struct State {
    head: Option<Signed>,
    fork: Option<Fork>,
}

/// Kept at `sumdb/NAME/head` and `sumdb/NAME/fork`.
pub(super) struct Remembered {
    store: Arc<dyn Store>,
    prefix: String,
    state: Mutex<State>,
    /// Held from the look at what is remembered to the end of its change.
    change: tokio::sync::Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    seen_at: DateTime<Utc>,
}

impl Remembered {
    /// Reads what an earlier process left. Blocking.
    pub fn read(store: Arc<dyn Store>, key: &VerifierKey) -> Result<Remembered> {
        let prefix = format!("sumdb/{}/", key.name());
        let mut state = State::default();
        if let Some(stored) = store.get(&format!("{prefix}head"))? {
            let seen: Option<Seen> = serde_json::from_slice(&stored.meta).ok();
            let body = stored.blob.read_all(LIMIT)?;
            match seen.map(|seen| Signed::open(&body, key, seen.seen_at)) {
                Some(Ok(head)) => state.head = Some(head),
                // Somebody named another key: what the old one signed says nothing of the new one's log.
                Some(Err(error)) => {
                    tracing::warn!(database = key.name(), %error, "the remembered tree is not this key's: it begins anew");
                }
                None => tracing::warn!(database = key.name(), "the remembered tree cannot be read: it begins anew"),
            }
        }
        if let Some(stored) = store.get(&format!("{prefix}fork"))? {
            let body = stored.blob.read_all(LIMIT)?;
            let fork: Fork = serde_json::from_slice(&body)
                .map_err(|cause| Error::internal("a fork's record cannot be read").because(cause))?;
            match fork.is_of(key) {
                true => state.fork = Some(fork),
                // It stays written down for the time that the old key is named again.
                false => tracing::warn!(database = key.name(), "a contradiction is not this key's: it does not count"),
            }
        }
        Ok(Remembered { store, prefix, state: Mutex::new(state), change: tokio::sync::Mutex::default() })
    }

    pub fn head(&self) -> Option<Signed> {
        self.state().head.clone()
    }

    pub fn fork(&self) -> Option<Fork> {
        self.state().fork.clone()
    }

    pub fn is_forked(&self) -> bool {
        self.state().fork.is_some()
    }

    /// Puts a newer head in the place of one; `false` if another one stands there by now.
    pub async fn replace(&self, before: Option<TreeHead>, signed: Signed) -> Result<bool> {
        let _change = self.change.lock().await;
        if self.state().head.as_ref().map(|head| head.tree) != before {
            return Ok(false);
        }
        let meta = Seen { seen_at: signed.seen_at };
        self.put("head", &meta, signed.note.clone()).await?;
        self.state().head = Some(signed);
        Ok(true)
    }

    /// From now on nothing of the database is believed, also if that cannot be written down.
    pub async fn note_fork(&self, fork: Fork) -> Result<()> {
        let _change = self.change.lock().await;
        if self.state().fork.get_or_insert_with(|| fork.clone()).seen_at != fork.seen_at {
            return Ok(());
        }
        let body = serde_json::to_vec(&fork).map_err(|cause| Error::internal("a fork has no record").because(cause))?;
        self.put("fork", &Seen { seen_at: fork.seen_at }, body.into()).await
    }

    /// Forgets a fork, and the head too if that is what was wrong; `false` if there is none.
    pub async fn clear_fork(&self, forget_head: bool) -> Result<bool> {
        let _change = self.change.lock().await;
        if !self.is_forked() {
            return Ok(false);
        }
        let (store, prefix) = (self.store.clone(), self.prefix.clone());
        let clearing = move || {
            if forget_head {
                store.delete(&format!("{prefix}head"))?;
            }
            store.delete(&format!("{prefix}fork"))
        };
        blocking(clearing).await?;
        let mut state = self.state();
        state.fork = None;
        if forget_head {
            state.head = None;
        }
        Ok(true)
    }

    async fn put(&self, name: &str, meta: &Seen, body: Bytes) -> Result<()> {
        let meta = serde_json::to_vec(meta).map_err(|cause| Error::internal("a time has no text").because(cause))?;
        let (store, key) = (self.store.clone(), format!("{}{name}", self.prefix));
        blocking(move || store.put(&key, &meta, Body::Bytes(body)).map(drop)).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
