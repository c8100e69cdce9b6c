//! A file that is not the one that the witness knows: the record of it.
//! Written under `mismatch/SHELF/…`, one record for each different content, so that none of it is silent.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Released;
use crate::error::{Error, Result};
use crate::ports::{Body, Store};
use crate::registry::shelf;

/// A file that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    pub upstream: String,
    pub module: String,
    pub version: String,
    /// `mod` or `zip`.
    pub file: String,
    /// What the upstream gave.
    pub h1: String,
    /// Who knows another one.
    pub database: String,
    pub recorded: String,
    pub seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

/// What keys of records begin with.
const PREFIX: &str = "mismatch/";

/// Shows the records of an upstream, or all, until the visitor says no. Blocking.
pub fn visit(store: &dyn Store, upstream: Option<&str>, visitor: &mut dyn FnMut(Mismatch) -> bool) -> Result<()> {
    let prefix = match upstream {
        Some(name) => format!("{PREFIX}{name}{}", shelf::MARK),
        None => PREFIX.to_owned(),
    };
    store.scan(&prefix, &mut |_, meta| match serde_json::from_slice(meta) {
        Ok(mismatch) => visitor(mismatch),
        Err(_) => true,
    })
}

impl Released {
    /// Writes down which database has which other hash. Blocking.
    pub(super) fn record(
        &self,
        store: &dyn Store,
        (database, recorded): (String, String),
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mark = hex::encode(&Sha256::digest(&self.h1)[..4]);
        let (shelf, module) = (self.source.shelf().as_str(), self.module.escaped());
        let key = format!("{PREFIX}{shelf}/{module}/{}/{mark}", self.question.address());
        let before = store.get(&key)?.and_then(|stored| serde_json::from_slice::<Mismatch>(&stored.meta).ok());
        let mismatch = Mismatch {
            upstream: self.source.name().to_owned(),
            module: self.module.to_string(),
            version: self.version.to_string(),
            file: self.question.name().to_owned(),
            h1: self.h1.clone(),
            database,
            recorded,
            seen_at: before.map_or(now, |before| before.seen_at),
            last_seen_at: now,
        };
        let json = serde_json::to_vec(&mismatch);
        let json = json.map_err(|cause| Error::internal("a mismatch does not serialize").because(cause))?;
        store.put(&key, &json, Body::Bytes(Bytes::new())).map(drop)
    }
}
