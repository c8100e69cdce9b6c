//! The first content of a version's file is the only one that a registry serves: what is asked of every file before
//! it goes out. Rules: docs/ledger.md.

use std::sync::Arc;
use std::time::Duration;

use super::Question;
use super::cached::{Cached, Inner, blocking};
use super::change::OnChange;
use super::entry::{Entry, Freshness, Kept, Meta};
use super::member::Member;
use super::proof::{Mark, Proof, Prover};
use super::stock::zip_h1;
use super::walk::{Answer, Life, Registry, said};
use crate::access::Ledger;
use crate::access::ledger::{Content, Held, OnOther, Ruling};
use crate::error::{Error, Result};
use crate::ports::{ReleasedFile, Via};
use crate::spec::dirhash::go_mod_h1;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::version::Version;

/// What came longer ago lasts: whoever it came for saw to that, or the store by itself.
const JUST_NOW: Duration = Duration::from_secs(1);

/// A file of a version that a member gave.
struct Given<'a> {
    source: &'a Arc<Cached>,
    ledger: &'a Arc<Ledger>,
    module: &'a ModulePath,
    question: &'a Question,
    version: &'a Version,
    file: ReleasedFile,
    entry: Entry,
    proof: Option<Proof>,
    /// Who holds the bytes that may go out in its place against the checksum database.
    prover: Option<&'a Prover>,
}

/// The file that a question is about.
fn released(question: &Question) -> Option<(&Version, ReleasedFile)> {
    match question {
        Question::GoMod(version) => Some((version, ReleasedFile::Mod)),
        Question::Zip(version) => Some((version, ReleasedFile::Zip)),
        Question::List | Question::Latest | Question::Info(_) => None,
    }
}

impl Registry {
    /// What was refused just now is refused again without asking anybody.
    pub(super) fn refused_lately(&self, module: &ModulePath, question: &Question) -> Result<()> {
        let Some((ledger, (version, file))) = self.ledger.as_ref().zip(released(question)) else { return Ok(()) };
        ledger.refused_lately(module, version, file).map_or(Ok(()), Err)
    }

    /// The answer that a file becomes: a first one is written down before, and another one is none.
    pub(super) async fn first(
        &self,
        member: &Member,
        module: &ModulePath,
        question: &Question,
        entry: Entry,
        proof: Option<Proof>,
        life: Life,
    ) -> Result<Answer> {
        let source = &member.source;
        let Some((ledger, (version, file))) = self.ledger.as_ref().zip(released(question)) else {
            source.settled(&entry).await?;
            return Ok(Answer::kept(source, entry, life).proven(proof));
        };
        if entry.h1.as_deref().is_some_and(|h1| ledger.is_known(module, version, file, h1)) {
            source.settled(&entry).await?;
            return Ok(Answer::kept(source, entry, life).proven(proof));
        }
        let prover = self.prover.as_ref();
        let given = Given { source, ledger, module, question, version, file, entry, proof, prover };
        let content = given.content().await?;
        match given.enter(content.clone()).await? {
            // The row was written after the file, so both last.
            Ruling::First | Ruling::Followed => Ok(Answer::kept(source, given.entry, life).proven(proof)),
            Ruling::Same => {
                source.settled(&given.entry).await?;
                Ok(Answer::kept(source, given.entry, life).proven(proof))
            }
            Ruling::Other(held) => given.other(content, *held, life).await,
        }
    }

    /// Forgets what is kept of a version that is not what the ledger says, so that it is fetched anew. Blocking.
    pub fn forget_others(&self, module: &ModulePath, version: &Version) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let Some(row) = ledger.row(module, version)? else { return Ok(()) };
        for member in &self.members {
            let inner = &member.source.inner;
            for (file, held) in row.files() {
                let question = match file {
                    ReleasedFile::Mod => Question::GoMod(version.clone()),
                    ReleasedFile::Zip => Question::Zip(version.clone()),
                };
                let kept = inner.store.get(&inner.key(module, &question))?.and_then(|kept| Meta::parse(&kept.meta));
                let Some(h1) = kept.and_then(|kept| kept.h1) else { continue };
                if h1 != held.h1 {
                    inner.take_away(module, &question, &h1)?;
                }
            }
        }
        Ok(())
    }
}

impl Cached {
    /// Waits until a file that came just now lasts: what was answered once is not lost by a kill. Whoever it came for
    /// may have gone away, or waits for the same; and what a doubtful mirror gave is stale from the beginning.
    async fn settled(&self, entry: &Entry) -> Result<()> {
        let is_doubtful = entry.via.as_ref().is_some_and(Via::is_doubtful);
        match entry.freshness {
            Freshness::Fresh | Freshness::Stale if !is_doubtful && entry.age >= JUST_NOW => Ok(()),
            _ => {
                let store = self.inner.store.clone();
                blocking(move || store.persist()).await
            }
        }
    }
}

impl Given<'_> {
    /// What came, told from other contents by its hash; an older modvet wrote down none.
    async fn content(&self) -> Result<Content> {
        let h1 = match &self.entry.h1 {
            Some(h1) => h1.clone(),
            None => {
                let (blob, module, version) = (self.entry.blob.clone(), self.module.clone(), self.version.clone());
                let file = self.file;
                blocking(move || match file {
                    ReleasedFile::Mod => Ok(go_mod_h1(&blob.read_all(LARGEST_MOD)?)),
                    ReleasedFile::Zip => zip_h1(blob, &module, &version),
                })
                .await?
            }
        };
        let shelf = self.source.shelf();
        let (upstream, shelf) = (shelf.name().to_owned(), shelf.as_str().to_owned());
        Ok(Content { h1, upstream, shelf, commit: self.entry.commit.clone() })
    }

    async fn enter(&self, content: Content) -> Result<Ruling> {
        let on_other = match self.source.inner.on_change {
            OnChange::Keep => OnOther::Refuse,
            OnChange::Replace => OnOther::Follow,
        };
        let (ledger, module, version) = (self.ledger.clone(), self.module.clone(), self.version.clone());
        let file = self.file;
        blocking(move || ledger.enter(&module, &version, file, content, on_other)).await
    }

    /// Another content came than the first one: that is served where it is still held, else nothing is.
    async fn other(self, content: Content, held: Held, life: Life) -> Result<Answer> {
        let error = self.refusal(&content, &held);
        let kept = self.held(&held, life).await?;
        let Given { source, ledger, module, question, version, file, entry, .. } = self;
        let (inner, ledger_, about) = (source.inner.clone(), ledger.clone(), (module.clone(), version.clone()));
        let (question_, first, is_held) = (question.clone(), held.clone(), kept.is_some());
        let noting = move || {
            let (module, version) = about;
            // One line in row and log for all who ask within some seconds.
            if !ledger_.is_noted(&module, &version, file) {
                tracing::error!(
                    registry = ledger_.registry(),
                    subject = %format!("{module}@{version}"),
                    file = file.as_str(),
                    found = content.h1,
                    from = content.upstream,
                    first = first.h1,
                    first_from = first.upstream,
                    served = if is_held { "the first one" } else { "nothing" },
                    "a version is not what it was when it was first served"
                );
                let h1 = content.h1.clone();
                ledger_.refuse(&module, &version, file, content)?;
                if !is_held {
                    inner.take_away(&module, &question_, &h1)?;
                }
            }
            Ok(())
        };
        blocking(noting).await?;
        let error = said(error, source, entry.freshness, entry.age);
        let Some((kept, proof)) = kept else {
            ledger.note(module, version, file, Some(&error));
            return Err(error);
        };
        if !ledger.is_noted(module, version, file) {
            ledger.note(module, version, file, None);
        }
        let entry = kept.entry(Freshness::Stale, source.inner.clock.now());
        Ok(Answer { upstream: held.upstream, ..Answer::kept(source, entry, life).proven(proof) })
    }

    /// The first content where it may be given in the place of what came, with what is known of it: what is known of the
    /// other bytes says nothing of these, and whoever kept them may not have asked.
    async fn held(&self, held: &Held, life: Life) -> Result<Option<(Kept, Option<Proof>)>> {
        let (inner, module, question) = (self.source.inner.clone(), self.module.clone(), self.question.clone());
        let first = held.clone();
        let Some(kept) = blocking(move || held_elsewhere(&inner, &module, &question, &first)).await? else {
            return Ok(None);
        };
        let proof = match self.prover {
            Some(_) if kept.is_verified() => Some(Proof::Verified),
            // Its name is nobody's business outside.
            Some(_) if life == Life::Never => Some(Proof::Exempt),
            Some(prover) => match prover.prove_held(self.module, self.version, self.file, &held.h1).await? {
                None => return Ok(None),
                proof => proof,
            },
            None => kept.meta.sum.as_ref().map(Mark::proof),
        };
        Ok(Some((kept, proof)))
    }

    fn refusal(&self, content: &Content, held: &Held) -> Error {
        let subject = format!("{}@{}", self.module, self.version);
        let at = |commit: &Option<String>| commit.as_deref().map(|commit| format!(", commit {}", short(commit)));
        let (found, first) = (at(&content.commit).unwrap_or_default(), at(&held.commit).unwrap_or_default());
        let what = format!(
            "the .{} is not what was first served: {}{found} (expected {} from upstream {}{first}, {})",
            self.file.as_str(),
            content.h1,
            held.h1,
            held.upstream,
            held.since.format("%F")
        );
        let registry = match self.ledger.registry() {
            "default" => String::new(),
            name => format!(" --registry {name}"),
        };
        let way_out = format!("modvet cache accept {subject} --h1 {}{registry}", content.h1);
        let error = Error::bad_gateway(what).about(subject);
        let error = match self.proof {
            Some(Proof::Verified) => error.remedy("the checksum database knows the one that came now"),
            _ => error,
        };
        error.remedy("if that is the right one, on the proxy:").remedy(way_out).conclusive()
    }
}

/// A go.mod is no larger.
const LARGEST_MOD: u64 = 64 << 20;

/// Enough of a commit's id for people.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The first content, where it is held of an upstream that it came from under another address or in another place.
fn held_elsewhere(inner: &Inner, module: &ModulePath, question: &Question, held: &Held) -> Result<Option<Kept>> {
    if held.shelf == inner.shelf.as_str() {
        return Ok(None);
    }
    let key = format!("upstream/{}/{}/{}", held.shelf, module.escaped(), question.address());
    let Some(stored) = inner.store.get(&key)? else { return Ok(None) };
    let kept = Kept::read(&key, stored)?;
    Ok(kept.filter(|kept| kept.meta.h1.as_deref() == Some(&held.h1)))
}

impl Inner {
    /// Takes a file with this hash out of the store, and with it what else is kept of the version of the same commit:
    /// files of another commit would not fit to it. Blocking.
    fn take_away(&self, module: &ModulePath, question: &Question, h1: &str) -> Result<()> {
        let Some(version) = question.version().cloned() else { return Ok(()) };
        let key = self.key(module, question);
        let Some(meta) = self.store.get(&key)?.and_then(|kept| Meta::parse(&kept.meta)) else { return Ok(()) };
        if meta.h1.as_deref() != Some(h1) {
            return Ok(());
        }
        let mut keys = vec![key];
        if let Some(commit) = meta.validators.revision {
            let info = Question::Info(Query::Version(version.clone()));
            for sibling in [info, Question::GoMod(version.clone()), Question::Zip(version)] {
                let key = self.key(module, &sibling);
                let kept = self.store.get(&key)?.and_then(|kept| Meta::parse(&kept.meta));
                if kept.is_some_and(|kept| kept.lasting && kept.validators.revision.as_ref() == Some(&commit)) {
                    keys.push(key);
                }
            }
        }
        self.store.delete_many(&keys)?;
        keys.iter().for_each(|key| self.forget(key));
        Ok(())
    }
}
