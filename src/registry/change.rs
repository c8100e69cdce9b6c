//! A released version that comes back different: what was kept, what was found, what is done about it.
//! Written under `change/SHELF/…`, one record for each different content, so that none of it is silent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bring::Brought;
use super::entry::Kept;
use super::shelf::{self, Shelf};
use crate::error::{Error, Result};
use crate::ports::{Body, Store, Validators};
use crate::spec::path::ModulePath;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;

/// What is done about a released version that comes back different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The first content goes on being served.
    #[default]
    Keep,
    /// All kept files of the version are brought again.
    Replace,
}

/// A file's content, as far as contents are told apart: of an `.info` version and time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
    /// The commit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The mark on an entry whose upstream now says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// When it last did.
    pub seen_at: DateTime<Utc>,
    #[serde(flatten)]
    pub found: State,
}

/// The record of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub upstream: String,
    pub module: String,
    pub version: String,
    /// `info`, `mod` or `zip`.
    pub question: String,
    /// When it was first seen.
    pub seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub kept: State,
    pub found: State,
    pub choice: OnChange,
}

/// What keys of recorded differences begin with.
pub const PREFIX: &str = "change/";

/// What makes a record findable: whose answer to what.
pub(super) struct Place<'a> {
    pub shelf: &'a Shelf,
    pub module: &'a ModulePath,
    pub question: &'a Question,
}

impl State {
    pub(super) fn of_kept(kept: &Kept) -> State {
        match &kept.resolution {
            Some(resolution) => State::of_resolution(resolution, &kept.meta.validators),
            None => State {
                sha256: Some(hex::encode(kept.blob.sha256())),
                h1: kept.meta.h1.clone(),
                revision: kept.meta.validators.revision.clone(),
                ..State::default()
            },
        }
    }

    /// Blocking: a file is read whole.
    pub(super) fn of_brought(brought: &Brought) -> Result<State> {
        Ok(match &brought.resolution {
            Some(resolution) => State::of_resolution(resolution, &brought.validators),
            None => State {
                sha256: Some(hex::encode(sha256(&brought.body)?)),
                h1: brought.h1.clone(),
                revision: brought.validators.revision.clone(),
                ..State::default()
            },
        })
    }

    fn of_resolution(resolution: &Resolution, validators: &Validators) -> State {
        let right = &resolution.right;
        let commit = right.origin.as_ref().map(|origin| origin.hash.clone()).filter(|hash| !hash.is_empty());
        State {
            version: Some(right.version.clone()),
            time: right.time,
            revision: commit.or_else(|| validators.revision.clone()),
            ..State::default()
        }
    }

    /// Whether both are the same content. What only one of them knows does not count, nor does the commit: the same
    /// files may be tagged twice.
    pub(super) fn is(&self, other: &State) -> bool {
        fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        // A zip packed anew is the same module.
        let hashes = match (&self.h1, &other.h1) {
            (Some(one), Some(other)) => one != other,
            _ => differ(&self.sha256, &other.sha256),
        };
        !hashes && !differ(&self.version, &other.version) && !differ(&self.time, &other.time)
    }
}

fn sha256(body: &Body) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    match body {
        Body::Hashed(_, sha256) => return Ok(*sha256),
        Body::Bytes(bytes) => hash.update(bytes),
        Body::File(file) => {
            let unreadable = |error| Error::internal("a scratch file cannot be read").because(error);
            std::io::copy(&mut file.reopen().map_err(unreadable)?, &mut hash).map_err(unreadable)?;
        }
    }
    Ok(hash.finalize().into())
}

impl Place<'_> {
    /// Writes a difference down; `true` if nobody has seen this content before. Blocking.
    pub fn record(
        &self,
        store: &dyn Store,
        now: DateTime<Utc>,
        kept: State,
        found: State,
        choice: OnChange,
    ) -> Result<bool> {
        let key = self.key(&found);
        let before = store.get(&key)?.and_then(|stored| serde_json::from_slice::<Change>(&stored.meta).ok());
        let change = Change {
            upstream: self.shelf.name().to_owned(),
            module: self.module.to_string(),
            version: self.question.version().map(ToString::to_string).unwrap_or_default(),
            question: self.question.name().to_owned(),
            seen_at: before.as_ref().map_or(now, |before| before.seen_at),
            last_seen_at: now,
            kept,
            found,
            choice,
        };
        let json = serde_json::to_vec(&change).map_err(|e| Error::internal("change does not serialize").because(e))?;
        store.put(&key, &json, Body::Bytes(bytes::Bytes::new()))?;
        if before.is_none() {
            let Change { upstream, module, version, question, kept, found, .. } = &change;
            tracing::warn!(
                upstream,
                subject = %format!("{module}@{version}"),
                file = question,
                ?kept,
                ?found,
                choice = ?change.choice,
                "a released version came back different"
            );
        }
        Ok(before.is_none())
    }

    fn key(&self, found: &State) -> String {
        let mark = Sha256::digest(format!("{found:?}"));
        let (shelf, module) = (self.shelf.as_str(), self.module.escaped());
        format!("{PREFIX}{shelf}/{module}/{}/{}", self.question.address(), hex::encode(&mark[..4]))
    }
}

/// Shows the recorded differences of an upstream, or of all, until the visitor says no. Blocking.
pub fn visit(store: &dyn Store, upstream: Option<&str>, visitor: &mut dyn FnMut(Change) -> bool) -> Result<()> {
    let prefix = match upstream {
        Some(name) => format!("{PREFIX}{name}{}", shelf::MARK),
        None => PREFIX.to_owned(),
    };
    store.scan(&prefix, &mut |_, meta| match serde_json::from_slice(meta) {
        Ok(change) => visitor(change),
        Err(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart_by_what_both_know() {
        let time = |seconds| DateTime::from_timestamp(seconds, 0);
        let text = |text: &str| Some(text.to_owned());
        let zip = State { sha256: text("a"), h1: text("h1:x="), ..State::default() };
        let info = State { version: text("v1.0.0"), time: time(1), revision: text("one"), ..State::default() };
        let table = [
            ("packed anew", State { sha256: text("b"), ..zip.clone() }, zip.clone(), true),
            ("other files", State { h1: text("h1:y="), ..zip.clone() }, zip.clone(), false),
            ("without h1", State { h1: None, sha256: text("b"), ..zip.clone() }, zip, false),
            ("another commit", State { revision: text("two"), ..info.clone() }, info.clone(), true),
            ("another time", State { time: time(2), ..info.clone() }, info.clone(), false),
            ("no time", State { time: None, ..info.clone() }, info.clone(), true),
            ("another version", State { version: text("v1.0.1"), ..info.clone() }, info, false),
        ];
        for (row, one, other, same) in table {
            assert_eq!((one.is(&other), other.is(&one)), (same, same), "{row}");
        }
    }
}
