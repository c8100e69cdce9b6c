//! The way out of a refusal: somebody says that another content is the right one.

use serde::{Deserialize, Serialize};

use super::{Content, Held, Ledger, Probe, Refusal, Row};
use crate::error::{Error, Result};
use crate::ports::ReleasedFile;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// What is to be let in.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub h1: String,
    /// `None`: the file of which it was refused.
    pub file: Option<ReleasedFile>,
    /// Also what never came.
    pub force: bool,
    /// Who says so.
    pub by: String,
}

/// What was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub registry: String,
    pub module: String,
    pub version: String,
    pub file: ReleasedFile,
    /// The hash that stood there.
    pub was: String,
    pub now: String,
    /// The commit that the tag may name from now on, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Ledger {
    /// Puts the content with this hash in the place of what stands there. Blocking.
    ///
    /// The hash that stands there already confirms the commit that the tag names now, which has the same files, and
    /// settles what was refused of the file.
    pub fn accept(&self, module: &ModulePath, version: &Version, acceptance: &Acceptance) -> Result<Accepted> {
        let subject = format!("{module}@{version}");
        let h1 = acceptance.h1.as_str();
        if !is_h1(h1) {
            return Err(Error::gone(format!("{h1:?} (expected h1: and 44 characters of base64)")).about("h1"));
        }
        let _turn = self.turn(module, version);
        let Some(mut row) = self.read(module, version)? else {
            let what = format!("registry {} never served it", self.registry);
            return Err(Error::not_found(what).about(subject));
        };
        let file = self.meant(&row, acceptance).map_err(|error| error.about(&subject))?;
        let drift = row.drift.clone();
        let Some(held) = row.place(file) else {
            let what = format!("registry {} never served its .{}", self.registry, file.as_str());
            return Err(Error::not_found(what).about(subject));
        };
        let was = held.h1.clone();
        let now_at = drift.and_then(|drift| drift.now);
        if was == h1 {
            // A commit of which other files came has not the same.
            let has_others = |now: &String| held.refusals.iter().any(|refusal| refusal.commit.as_ref() == Some(now));
            held.commit = now_at.filter(|now| !has_others(now)).or(held.commit.take());
            // Who says that this is the right one has looked at the others.
            held.refusals.clear();
        } else {
            let content = offered(held, h1);
            held.replace(content, &acceptance.by, self.clock.now());
        }
        let commit = held.commit.clone();
        if row.settle() {
            self.count_drift(-1);
        }
        self.write(module, version, &row)?;
        let probe = Probe { module, version, file };
        // The next answer says of which commit it is, where that is not known here.
        self.known.remove(&probe);
        self.noted.remove(&probe);
        tracing::warn!(
            registry = self.registry,
            subject,
            file = file.as_str(),
            was,
            now = h1,
            by = acceptance.by,
            "accepted"
        );
        Ok(Accepted {
            registry: self.registry.clone(),
            module: module.to_string(),
            version: version.to_string(),
            file,
            was,
            now: h1.to_owned(),
            commit,
        })
    }

    /// The file that is to be another one.
    fn meant(&self, row: &Row, acceptance: &Acceptance) -> Result<ReleasedFile> {
        let is_meant = |file: ReleasedFile| acceptance.file.is_none_or(|meant| meant == file);
        let found = row.files().find(|(file, held)| is_meant(*file) && offers(held, &acceptance.h1));
        match (found, acceptance) {
            (Some((file, _)), _) => Ok(file),
            (None, Acceptance { force: true, file: Some(file), .. }) => Ok(*file),
            (None, _) => Err(self.unseen(row, acceptance)),
        }
    }

    fn unseen(&self, row: &Row, acceptance: &Acceptance) -> Error {
        let mut refused = Vec::new();
        for (file, held) in row.files() {
            refused.extend(held.refusals.iter().map(|refusal| format!("refused .{}: {}", file.as_str(), refusal.h1)));
        }
        let what = format!("{} was never refused in registry {}", acceptance.h1, self.registry);
        let error = refused.into_iter().fold(Error::not_found(what), Error::remedy);
        error.remedy("a content that never came is accepted with --force and --file mod or --file zip")
    }
}

fn offers(held: &Held, h1: &str) -> bool {
    held.h1 == h1 || held.refusals.iter().any(|refusal| refusal.h1 == h1)
}

/// The content with this hash, as far as it is known.
fn offered(held: &Held, h1: &str) -> Content {
    match held.refusals.iter().find(|refusal| refusal.h1 == h1).cloned() {
        Some(Refusal { h1, upstream, shelf, commit, .. }) => Content { h1, upstream, shelf, commit },
        None => {
            let (upstream, shelf) = (held.upstream.clone(), held.shelf.clone());
            Content { h1: h1.to_owned(), upstream, shelf, commit: None }
        }
    }
}

/// 32 bytes in base64.
fn is_h1(text: &str) -> bool {
    use base64::Engine as _;
    let sum = text.strip_prefix("h1:").and_then(|sum| base64::engine::general_purpose::STANDARD.decode(sum).ok());
    sum.is_some_and(|sum| sum.len() == 32)
}
