//! One cached answer of one upstream: how it is written down, and how fresh it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::change::Changed;
use super::proof::{Mark, Proof};
use super::uses::Use;
use super::validity::{Standing, Validity};
use crate::error::{Error, Result};
use crate::ports::{Blob, Pieces, Stored, Validators, Via};
use crate::spec::resolution::Resolution;

/// How an answer relates to what was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing was kept: the upstream was asked.
    Absent,
    /// Kept, and still good.
    Fresh,
    /// Kept and past its validity, or not what the upstream says now.
    Stale,
    /// Kept and past its validity: the upstream was asked again, and it is the same or renewed.
    Revalidated,
}

impl Freshness {
    /// The word in log, header, page and metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Freshness::Absent => "miss",
            Freshness::Fresh => "hit",
            Freshness::Stale => "stale",
            Freshness::Revalidated => "revalidated",
        }
    }
}

/// A cached answer on its way to a client.
#[derive(Debug, Clone)]
pub struct Entry {
    pub blob: Blob,
    /// What `.info` found out; `None` for all other questions.
    pub resolution: Option<Arc<Resolution>>,
    /// What an `.info` says of a valid name, in every mode.
    pub(super) info: Option<Blob>,
    /// The `h1:` hash of a zip or go.mod.
    pub h1: Option<String>,
    /// The commit that the file of a version is made of, where it is known.
    pub commit: Option<String>,
    /// What is known of the file of a version; `None` where nobody was asked yet.
    pub proof: Option<Proof>,
    pub freshness: Freshness,
    /// The mirror that the upstream read it from.
    pub via: Option<Via>,
    /// When the upstream last said so.
    pub checked_at: DateTime<Utc>,
    /// Since then.
    pub age: Duration,
}

/// What stands beside the body in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// When the body came.
    pub fetched_at: DateTime<Utc>,
    /// When the upstream last said it is so; long ago where an older modvet did not say.
    #[serde(default)]
    pub checked_at: DateTime<Utc>,
    /// When somebody last wanted it; written down some seconds later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<DateTime<Utc>>,
    /// How often it was answered with.
    #[serde(default)]
    pub downloads: u64,
    /// Whether it is to be the same for ever: a file of a version.
    #[serde(default)]
    pub lasting: bool,
    /// The `h1:` hash of a zip or go.mod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h1: Option<String>,
    /// What it is served as.
    #[serde(default)]
    pub content_type: String,
    #[serde(default)]
    pub validators: Validators,
    /// The mirror that the upstream last read it from. A checksum database's record has a `via` of its own.
    #[serde(rename = "read_from", default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// That the upstream now says something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// What the checksum database said of the file of a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Mark>,
}

/// An entry as it was read: its meta understood, small bodies in memory.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub meta: Meta,
    pub blob: Blob,
    pub resolution: Option<Arc<Resolution>>,
    /// What an `.info` says of a valid name: made once, and not for each answer.
    pub info: Option<Blob>,
    pub used: Arc<Use>,
}

/// Up to this many bytes a body is held in memory.
pub(super) const SMALL: u64 = 64 * 1024;

impl Kept {
    /// Blocking. `None` for an entry that does not read as one: it is fetched anew.
    pub fn read(key: &str, stored: Stored) -> Result<Option<Kept>> {
        let Some(meta) = Meta::parse(&stored.meta) else {
            tracing::warn!(key, "the entry's meta cannot be read");
            return Ok(None);
        };
        let mut blob = stored.blob;
        if blob.size() <= SMALL && blob.in_memory().is_none() {
            let bytes = blob.read_all(SMALL)?;
            blob = Blob::new(blob.size(), blob.sha256(), Arc::new(InMemory(bytes)));
        }
        let (mut resolution, mut info) = (None, None);
        if key.ends_with(".info") {
            let Ok(parsed) = serde_json::from_slice::<Resolution>(&blob.read_all(1 << 20)?) else {
                tracing::warn!(key, "the entry's resolution cannot be read");
                return Ok(None);
            };
            info = parsed.is_valid().then(|| in_memory(parsed.right.to_json().into()));
            resolution = Some(Arc::new(parsed));
        }
        Ok(Some(Kept { meta, blob, resolution, info, used: Arc::default() }))
    }

    /// Whether it is answered without asking and without a mark.
    pub fn is_fresh(&self, now: DateTime<Utc>, validity: &Validity) -> bool {
        validity.standing(&self.meta, now) == Standing::Fresh
    }

    /// Whether the checksum database has its very hash.
    pub fn is_verified(&self) -> bool {
        matches!(self.meta.sum, Some(Mark::Verified { .. }))
    }

    /// The commit that the file of a version is made of, where it is known.
    pub fn commit(&self) -> Option<&str> {
        self.meta.validators.revision.as_deref().filter(|_| self.meta.lasting)
    }

    pub fn entry(&self, freshness: Freshness, now: DateTime<Utc>) -> Entry {
        Entry {
            blob: self.blob.clone(),
            resolution: self.resolution.clone(),
            info: self.info.clone(),
            h1: self.meta.h1.clone(),
            commit: self.commit().map(str::to_owned),
            proof: self.meta.sum.as_ref().map(Mark::proof),
            // Whatever it is here, it may be older than what its source would say.
            freshness: if self.meta.is_doubtful() { Freshness::Stale } else { freshness },
            via: self.meta.via.clone(),
            checked_at: self.meta.checked_at,
            age: (now - self.meta.checked_at).to_std().unwrap_or_default(),
        }
    }
}

impl Meta {
    pub(super) fn new(now: DateTime<Utc>, content_type: &str, lasting: bool) -> Meta {
        Meta {
            fetched_at: now,
            checked_at: now,
            last_used: None,
            downloads: 0,
            lasting,
            h1: None,
            content_type: content_type.to_owned(),
            validators: Validators::default(),
            via: None,
            changed: None,
            sum: None,
        }
    }

    /// Whether the mirror that it was read from may say otherwise than its source.
    pub(super) fn is_doubtful(&self) -> bool {
        self.via.as_ref().is_some_and(Via::is_doubtful)
    }

    /// `None` for what does not read as one.
    pub fn parse(json: &[u8]) -> Option<Meta> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("times and strings always serialize")
    }
}

impl Entry {
    /// The facts behind an `.info`.
    pub fn into_resolution(self) -> Result<Resolution> {
        self.resolution().cloned()
    }

    /// The same, to be looked at.
    pub(super) fn resolution(&self) -> Result<&Resolution> {
        self.resolution.as_deref().ok_or_else(|| Error::internal("the entry of an .info has no resolution"))
    }
}

fn in_memory(bytes: Bytes) -> Blob {
    Blob::new(bytes.len() as u64, Sha256::digest(&bytes).into(), Arc::new(InMemory(bytes)))
}

/// A small body.
struct InMemory(Bytes);

impl Pieces for InMemory {
    fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        Ok(self.0.slice(start..self.0.len().min(start.saturating_add(limit))))
    }

    fn in_memory(&self) -> Option<Bytes> {
        Some(self.0.clone())
    }
}
