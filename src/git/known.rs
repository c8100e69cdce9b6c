//! The refs of a repository as last heard of, and the file that keeps them.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::route::RETRY;
use crate::error::{Error, Result};
use crate::ports::{Reading, Via};
use crate::spec::info::ObjectId;
use crate::spec::refs::Refs;

const FIRST_LINE: &str = "modvet refs 1 ";

/// A line of an advertisement; a name that ends in `^{}` is a peeled tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRef {
    pub name: String,
    pub id: ObjectId,
}

/// All refs that were heard at one moment.
#[derive(Debug)]
pub struct Known {
    raw: Arc<Vec<RawRef>>,
    refs: Arc<Refs>,
    asked: DateTime<Utc>,
    via: Option<Via>,
    /// Where a mirror said them: what is known of their own source.
    word: Option<Word>,
}

/// The refs as their source itself had them at a moment.
#[derive(Debug, Clone)]
pub struct Word {
    pub raw: Arc<Vec<RawRef>>,
    pub at: DateTime<Utc>,
}

/// What a file says besides the refs of those that a mirror said.
#[derive(Serialize, Deserialize)]
struct Borrowed {
    #[serde(flatten)]
    via: Via,
    /// The moment of the source's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word_at: Option<DateTime<Utc>>,
    /// How many lines behind the refs it has; none where it is the refs themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<usize>,
}

impl Known {
    /// Leaves out what is neither HEAD nor a head nor a tag.
    pub fn new(mut raw: Vec<RawRef>, asked: DateTime<Utc>) -> Known {
        raw.retain(|line| line.name == "HEAD" || is_head(&line.name) || is_tag(&line.name));
        let refs = Arc::new(Refs::new(raw.iter().map(|line| (line.name.clone(), line.id))));
        Known { raw: Arc::new(raw), refs, asked, via: None, word: None }
    }

    /// The same, heard of a mirror.
    pub fn heard_via(self, via: Option<Via>) -> Known {
        Known { via, ..self }
    }

    /// The same, beside what their source said itself.
    pub fn beside(self, word: Word) -> Known {
        Known { word: Some(word), ..self }
    }

    /// The same, as what their source had at a moment.
    pub fn worth(self, at: DateTime<Utc>) -> Known {
        let raw = Arc::clone(&self.raw);
        self.beside(Word { raw, at })
    }

    /// What their source said last; `None` where only a mirror was ever heard that may say otherwise.
    pub fn word(&self) -> Option<Word> {
        match (&self.word, &self.via) {
            (Some(word), _) => Some(word.clone()),
            (None, Some(via)) if via.reading == Reading::Instead => None,
            (None, _) => Some(Word { raw: Arc::clone(&self.raw), at: self.asked }),
        }
    }

    /// The mirror that they were heard of.
    pub fn via(&self) -> Option<&Via> {
        self.via.as_ref()
    }

    pub fn asked(&self) -> DateTime<Utc> {
        self.asked
    }

    pub fn raw(&self) -> &[RawRef] {
        &self.raw
    }

    pub fn refs(&self) -> &Arc<Refs> {
        &self.refs
    }

    /// Whether nobody needs to ask again. A clock that was set back makes them old.
    pub fn is_fresh(&self, now: DateTime<Utc>, max_age: Duration) -> bool {
        let max_age = match &self.via {
            // Whose refs they are may be in reach again.
            Some(via) if via.reading == Reading::Instead => max_age.min(RETRY),
            _ => max_age,
        };
        max_age == Duration::MAX || (now - self.asked).to_std().is_ok_and(|age| age <= max_age)
    }

    /// Shares the refs heard before if they are the same, so that what was made of them stays good.
    pub fn adopt(&mut self, before: &Known) {
        if self.raw == before.raw {
            (self.raw, self.refs) = (Arc::clone(&before.raw), Arc::clone(&before.refs));
        }
    }

    /// Whether these are refs shared with `other`.
    pub fn same_refs(&self, other: &Known) -> bool {
        Arc::ptr_eq(&self.raw, &other.raw)
    }

    /// What heads and tags hold: commits and tag objects, and now and then a tree or a blob.
    pub fn heads_and_tags(&self) -> impl Iterator<Item = &RawRef> {
        self.raw.iter().filter(|line| line.name != "HEAD" && !line.name.ends_with("^{}"))
    }

    /// The same and HEAD, which alone may hold a detached commit.
    pub fn tips(&self) -> impl Iterator<Item = &RawRef> {
        self.raw.iter().filter(|line| !line.name.ends_with("^{}"))
    }

    /// What a server must be asked for to get an object that a ref holds or peels to: before protocol
    /// version 2 it gives out what its refs hold, not what they peel to.
    pub fn wanted_for(&self, id: ObjectId) -> Option<ObjectId> {
        let line = self.raw.iter().find(|line| line.id == id)?;
        match line.name.strip_suffix("^{}") {
            Some(tag) => self.raw.iter().find(|line| line.name == tag).map(|line| line.id),
            None => Some(id),
        }
    }

    /// Whether only tags hold this object, so that it need not be a commit.
    pub fn only_tags_hold(&self, id: ObjectId) -> bool {
        self.raw.iter().filter(|line| line.id == id).all(|line| is_tag(&line.name))
    }

    /// What is kept in a file; damaged or of another time is the same as none.
    pub fn load(file: &Path) -> Option<Known> {
        let text = std::fs::read_to_string(file).ok()?;
        let (head, body) = text.strip_prefix(FIRST_LINE)?.split_once('\n')?;
        let (asked, rest) = head.split_once(' ')?;
        let (count, borrowed) = match rest.split_once(' ') {
            Some((count, borrowed)) => (count, Some(serde_json::from_str::<Borrowed>(borrowed).ok()?)),
            None => (rest, None),
        };
        let asked = DateTime::parse_from_rfc3339(asked).ok()?.to_utc();
        let raw: Option<Vec<RawRef>> = body
            .lines()
            .map(|line| {
                let (id, name) = line.split_once(' ')?;
                Some(RawRef { name: name.to_owned(), id: ObjectId::parse(id)? })
            })
            .collect();
        let (mut raw, count) = (raw?, count.parse::<usize>().ok()?);
        let behind = borrowed.as_ref().and_then(|borrowed| borrowed.word);
        if raw.len() != count + behind.unwrap_or_default() {
            return None;
        }
        let word = raw.split_off(count);
        let known = Known::new(raw, asked);
        let Some(Borrowed { via, word_at, .. }) = borrowed else { return Some(known) };
        let known = known.heard_via(Some(via));
        Some(match (word_at, behind) {
            (None, _) => known,
            (Some(at), None) => known.worth(at),
            (Some(at), Some(_)) => known.beside(Word { raw: Arc::new(word), at }),
        })
    }

    pub fn save(&self, file: &Path) -> Result<()> {
        let asked = self.asked.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let behind = self.word.as_ref().filter(|word| word.raw != self.raw).map(|word| &word.raw);
        let borrowed = self.via.clone().map(|via| {
            let (word_at, word) = (self.word.as_ref().map(|word| word.at), behind.map(|raw| raw.len()));
            let json = serde_json::to_string(&Borrowed { via, word_at, word });
            format!(" {}", json.expect("strings and times always serialize"))
        });
        let mut text = format!("{FIRST_LINE}{asked} {}{}\n", self.raw.len(), borrowed.unwrap_or_default());
        for line in self.raw.iter().chain(behind.into_iter().flat_map(|raw| raw.iter())) {
            text.push_str(&format!("{} {}\n", line.id, line.name));
        }
        replace(file, text.as_bytes())
    }
}

fn is_head(name: &str) -> bool {
    name.starts_with("refs/heads/")
}

fn is_tag(name: &str) -> bool {
    name.starts_with("refs/tags/")
}

/// Writes a file as a whole or not at all.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().expect("a file of a repository lies in its folder");
    let write = || -> std::io::Result<()> {
        let mut temporary = NamedTempFile::with_prefix_in(super::folder::TEMPORARY, folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_data()?;
        temporary.persist(file)?;
        Ok(())
    };
    write().map_err(|cause| Error::internal("a file of a repository cannot be written").because(cause))
}
