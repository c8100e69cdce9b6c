//! What a name stands for in a repository: tag, branch, HEAD, hash, in this order.
//! Rules: `stat` and `statLocal` in `cmd/go/internal/modfetch/codehost/git.go`, for a cache that is empty.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ports::{Found, Repo};
use crate::spec::info::{Commit, ObjectId, Origin, is_hex};
use crate::spec::refs::Refs;

/// The shortest prefix of a hash that is taken for one.
const MIN_HASH_DIGITS: usize = 7;
const HASH_DIGITS: usize = 40;
/// Fewer digits than these name a commit by chance only.
const FEWEST_DIGITS: usize = 4;

/// A revision found.
#[derive(Debug, Clone)]
pub struct Revision {
    pub commit: Commit,
    /// The tag that was asked for by its name.
    pub tag: Option<String>,
    /// All tags on the commit, by name.
    pub tags: Vec<String>,
    /// Whether a ref names the commit, so that the go command fetches it without its history.
    pub is_tip: bool,
    pub origin: Origin,
}

/// A repository with its refs at one moment.
pub struct Snapshot<'a> {
    pub repo: &'a dyn Repo,
    pub refs: Arc<Refs>,
}

impl Snapshot<'_> {
    pub fn find(&self, name: &str) -> Result<Revision> {
        if let Some(id) = self.refs.tag(name) {
            let mut found = self.tip(name, id, &format!("refs/tags/{name}"))?;
            found.tag = Some(name.to_owned());
            return Ok(found);
        }
        if let Some(id) = self.refs.branch(name) {
            return self.tip(name, id, &format!("refs/heads/{name}"));
        }
        if let Some(id) = self.refs.head().filter(|_| name == "HEAD") {
            return self.tip(name, id, "");
        }
        if (MIN_HASH_DIGITS..=HASH_DIGITS).contains(&name.len()) && is_hex(name) {
            return self.find_hash(name);
        }
        Err(unknown(name))
    }

    /// The commit that HEAD names.
    pub fn head(&self) -> Result<Revision> {
        let id = self.refs.head().ok_or_else(|| Error::not_found("no commits"))?;
        let mut found = self.find(&id.to_string())?;
        found.origin.reference = "HEAD".to_owned();
        Ok(found)
    }

    /// The commit that digits in upper case, or fewer than the go command asks for, can only mean.
    pub(super) fn find_misspelt(&self, name: &str) -> Result<Option<Revision>> {
        let digits = name.to_ascii_lowercase();
        let was_looked_up = digits == name && digits.len() >= MIN_HASH_DIGITS;
        if was_looked_up || !(FEWEST_DIGITS..=HASH_DIGITS).contains(&digits.len()) || !is_hex(&digits) {
            return Ok(None);
        }
        match self.find_hash(&digits) {
            Err(error) if error.is_absence() => Ok(None),
            found => found.map(Some),
        }
    }

    fn find_hash(&self, digits: &str) -> Result<Revision> {
        let mut named: Option<(&str, ObjectId)> = None;
        for (reference, id) in self.refs.iter().filter(|(_, id)| id.to_string().starts_with(digits)) {
            match named {
                Some((_, other)) if other != id => return Err(ambiguous(digits)),
                Some(_) => {}
                None => named = Some((reference, id)),
            }
        }
        // HEAD comes before every other ref, and of HEAD the go command notes no name.
        if let Some((reference, id)) = named {
            return self.tip(digits, id, if reference == "HEAD" { "" } else { reference });
        }
        match self.repo.find(digits)? {
            Found::One(commit) => Ok(self.revision(commit, "", false)),
            Found::None => Err(unknown(digits)),
            Found::Ambiguous => Err(ambiguous(digits)),
        }
    }

    fn tip(&self, name: &str, id: ObjectId, reference: &str) -> Result<Revision> {
        // A tag may name a blob or a tree: fixtures/tag-on-blob.repo
        let commit = self.repo.commit(id)?.ok_or_else(|| unknown(name))?;
        Ok(self.revision(commit, reference, true))
    }

    fn revision(&self, commit: Commit, reference: &str, is_tip: bool) -> Revision {
        let origin = Origin {
            vcs: "git".to_owned(),
            url: self.repo.url().to_owned(),
            hash: commit.id.to_string(),
            reference: reference.to_owned(),
            ..Origin::default()
        };
        let tags = self.refs.tags_on(commit.id).map(str::to_owned).collect();
        Revision { commit, tag: None, tags, is_tip, origin }
    }
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("unknown revision {name}"))
}

fn ambiguous(digits: &str) -> Error {
    Error::not_found(format!("ambiguous revision {digits}")).remedy("give more digits of the commit's hash")
}
