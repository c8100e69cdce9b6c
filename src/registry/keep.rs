//! How answers are put into the store: the files of a version fit together, whatever ends between two writes. Blocking.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::borrow;
use super::bring::{Brought, resolution_json};
use super::cached::{Inner, Named, blocking};
use super::change::{Changed, OnChange, Place, State};
use super::counters::add;
use super::entry::{Kept, Meta};
use crate::error::{Error, Result};
use crate::ports::{Body, Validators, Via};
use crate::spec::info::{Info, Origin};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// What a flight is about.
pub(super) struct Asked {
    pub key: String,
    pub module: ModulePath,
    pub question: Question,
    /// As they were before it looked.
    pub removals: u64,
}

/// What became of an answer.
pub(super) enum Put {
    Kept(Arc<Kept>),
    /// It is not of the commit that a kept file of the same version is made of: that file, its commit, and which of both
    /// gives way.
    Misfit(Box<Brought>, Question, String, OnChange),
}

/// Whether an entry outlives a kill as soon as it is written, or with what is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    Now,
    Soon,
}

/// A file of a version with what was brought for it and what is kept of it.
pub(super) type File = (Arc<Asked>, Brought, Option<Arc<Kept>>);

/// What keys begin with under which a version is noted while its files are replaced.
const REPLACING: &str = "replacing/";

/// The keys of a version's files, with what stands there in the end.
type News = Vec<(String, State)>;

impl Inner {
    /// Puts an answer into the store and gives what the store made of it.
    pub fn put(&self, asked: &Asked, brought: Brought, before: Option<Arc<Kept>>) -> Result<Put> {
        if let Some(before) = before.filter(|before| is_same(&brought, before)) {
            return self.confirmed(asked, before, Some(brought.validators), brought.via, brought.since).map(Put::Kept);
        }
        let _turn = self.turn(asked);
        if let Some(commit) = brought.commit() {
            for (sibling, kept) in self.siblings(asked)? {
                let Some(other) = kept.commit().filter(|other| *other != commit) else { continue };
                if brought.is_doubtful() {
                    let error = borrow::out_of_reach(brought.via.as_ref());
                    return Err(error.about(asked.question.subject(&asked.module)));
                }
                let on_change = self.on_change_of(&kept);
                if on_change == OnChange::Keep {
                    self.record(asked, State::of_kept(&kept), State::of_brought(&brought)?, OnChange::Keep)?;
                }
                let other = other.to_owned();
                return Ok(Put::Misfit(Box::new(brought), sibling.question, other, on_change));
            }
        }
        self.write(asked, brought).map(Put::Kept)
    }

    /// What becomes of a kept file when its upstream has another content. What everybody else gets is no mistake that a
    /// new content could mend; what a mirror said that may say otherwise stands until its source is heard.
    pub fn on_change_of(&self, kept: &Kept) -> OnChange {
        match (kept.is_verified(), kept.meta.is_doubtful()) {
            (true, _) => OnChange::Keep,
            (false, true) => OnChange::Replace,
            (false, false) => self.on_change,
        }
    }

    /// The other files of the version that are kept and are to be the same for ever.
    pub fn siblings(&self, asked: &Asked) -> Result<Vec<(Asked, Arc<Kept>)>> {
        let Some(version) = asked.question.version() else { return Ok(Vec::new()) };
        let all = [
            Question::Info(Query::Version(version.clone())),
            Question::GoMod(version.clone()),
            Question::Zip(version.clone()),
        ];
        let mut siblings = Vec::new();
        for question in all.into_iter().filter(|question| *question != asked.question) {
            let key = self.key(&asked.module, &question);
            if let Some(kept) = self.read(&key)?.filter(|kept| kept.meta.lasting) {
                let sibling = Asked { key, module: asked.module.clone(), question, removals: asked.removals };
                siblings.push((sibling, Arc::new(kept)));
            }
        }
        Ok(siblings)
    }

    /// Replaces a version's files together; the one that was asked for is the first of them.
    ///
    /// The zip is written first, since it is what there may be no room for: where it fails, all of the old stay. A
    /// failure or a kill later leaves those of the new that were written, see `settle`: never a mix, never nothing.
    pub fn put_all(&self, files: Vec<File>) -> Result<Arc<Kept>> {
        let none = || Error::internal("no file to replace");
        let asked = files.first().map(|(asked, ..)| asked.clone()).ok_or_else(none)?;
        let _turn = self.turn(&asked);
        let news = self.record_all(&files)?;
        let mark = self.replacing(&asked);
        let json = serde_json::to_vec(&news).map_err(|e| Error::internal("states do not serialize").because(e))?;
        self.store.put(&mark, &json, Body::Bytes(Bytes::new()))?;
        let written = self.write_all(files, &asked.key);
        let ended = match &written {
            Ok(_) => self.store.delete(&mark).map(drop),
            Err(_) => self.settle_one(&mark, &news),
        };
        if let Err(error) = ended {
            let subject = asked.question.subject(&asked.module);
            tracing::error!(upstream = self.shelf.name(), subject, %error, "half replaced until the next start");
        }
        // What was read before it was replaced must not come back into memory.
        news.iter().for_each(|(key, _)| self.forget(key));
        written?.ok_or_else(none)
    }

    /// Ends what a kill cut short, at start: of a version that was being replaced the old files go if any of the new
    /// ones is there, else they stay. Blocking.
    pub fn settle(&self) -> Result<()> {
        let mut marks: Vec<(String, News)> = Vec::new();
        self.store.scan(&format!("{REPLACING}{}/", self.shelf.as_str()), &mut |mark, news| {
            marks.push((mark.to_owned(), serde_json::from_slice(news).unwrap_or_default()));
            true
        })?;
        marks.iter().try_for_each(|(mark, news)| self.settle_one(mark, news))
    }

    fn settle_one(&self, mark: &str, news: &[(String, State)]) -> Result<()> {
        let (mut old, mut replaced) = (Vec::new(), false);
        for (key, new) in news {
            let Some(kept) = self.read(key)? else { continue };
            match State::of_kept(&kept) == *new {
                true => replaced = true,
                false => old.push(key.clone()),
            }
        }
        if replaced && !old.is_empty() {
            tracing::warn!(upstream = self.shelf.name(), keys = ?old, "removed: the version was replaced in part");
            self.store.delete_many(&old)?;
        }
        self.store.delete(mark).map(drop)
    }

    /// Where it is noted that a version's files are being replaced.
    fn replacing(&self, asked: &Asked) -> String {
        let version = asked.question.version().map(Version::escaped).unwrap_or_default();
        format!("{REPLACING}{}/{}/{version}", self.shelf.as_str(), asked.module.escaped())
    }

    /// Records the differences, and gives what will stand where.
    fn record_all(&self, files: &[File]) -> Result<News> {
        let mut news = News::new();
        for (asked, brought, before) in files {
            let found = State::of_brought(brought)?;
            if let Some(was) = before.as_ref().map(|before| State::of_kept(before)).filter(|was| !was.is(&found)) {
                self.record(asked, was, found.clone(), OnChange::Replace)?;
            }
            news.push((asked.key.clone(), found));
        }
        Ok(news)
    }

    /// Gives what became of the file of this key.
    fn write_all(&self, mut files: Vec<File>, key: &str) -> Result<Option<Arc<Kept>>> {
        files.sort_by_key(|(asked, ..)| match asked.question {
            Question::Zip(_) => 0,
            Question::GoMod(_) => 1,
            _ => 2,
        });
        let mut written = None;
        for (asked, brought, before) in files {
            let uses = before.map(|kept| (kept.meta.downloads, kept.meta.last_used));
            let kept = self.write_used(&asked, brought, uses, Lasts::Now)?;
            if asked.key == key {
                written = Some(kept);
            }
        }
        Ok(written)
    }

    /// The upstream said that an answer still holds; or it was brought again, with new validators, and is the same.
    pub async fn confirm(
        self: &Arc<Self>,
        asked: Arc<Asked>,
        kept: Arc<Kept>,
        validators: Option<Validators>,
        via: Option<Via>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Arc<Kept>> {
        let inner = self.clone();
        blocking(move || inner.confirmed(&asked, kept, validators, via, since)).await
    }

    fn confirmed(
        &self,
        asked: &Asked,
        kept: Arc<Kept>,
        validators: Option<Validators>,
        via: Option<Via>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Arc<Kept>> {
        let checked_at = checked_at(self.clock.now(), kept.meta.lasting, via.as_ref(), since);
        self.change_meta(asked, kept, |meta| {
            meta.checked_at = checked_at;
            meta.changed = None;
            meta.via = via;
            if let Some(validators) = validators {
                // The same file may be tagged twice: it stays the one of the commit that its siblings are of.
                let revision = if meta.lasting { meta.validators.revision.take() } else { validators.revision.clone() };
                meta.validators = Validators { revision, ..validators };
            }
        })
    }

    /// The upstream says something else; what was kept first stays.
    pub fn mark(&self, asked: &Asked, kept: Arc<Kept>, found: State, via: Option<Via>) -> Result<Arc<Kept>> {
        self.record(asked, State::of_kept(&kept), found.clone(), OnChange::Keep)?;
        let seen_at = self.clock.now();
        self.change_meta(asked, kept, |meta| {
            meta.changed = Some(Changed { seen_at, found });
            // Who said so: the file is asked for no more often than any other that differs.
            meta.via = via;
        })
    }

    fn record(&self, asked: &Asked, kept: State, found: State, choice: OnChange) -> Result<()> {
        let place = Place { shelf: &self.shelf, module: &asked.module, question: &asked.question };
        if place.record(&*self.store, self.clock.now(), kept, found, choice)? {
            add(&self.watch.counters.changes, 1);
        }
        Ok(())
    }

    fn change_meta(&self, asked: &Asked, kept: Arc<Kept>, change: impl FnOnce(&mut Meta)) -> Result<Arc<Kept>> {
        let (mut change, mut changed) = (Some(change), None);
        self.store.update_metas(std::slice::from_ref(&asked.key), &mut |_, meta| {
            let mut meta = Meta::parse(meta)?;
            change.take()?(&mut meta);
            changed = Some(meta.clone());
            Some(meta.to_json())
        })?;
        // It may have been taken out meanwhile; then this answer is simply not kept.
        let Some(meta) = changed else { return Ok(kept) };
        let kept = Arc::new(Kept { meta, ..(*kept).clone() });
        self.keep_hot(&asked.key, &kept, asked.removals);
        self.refusals.remove(&asked.key);
        Ok(kept)
    }

    fn write(&self, asked: &Asked, brought: Brought) -> Result<Arc<Kept>> {
        let before = self.store.get(&asked.key)?.and_then(|stored| Meta::parse(&stored.meta));
        let lasts = match asked.question {
            // It lasts before anybody is given it: see `Registry::first`.
            Question::GoMod(_) | Question::Zip(_) => Lasts::Soon,
            Question::List | Question::Latest | Question::Info(_) => Lasts::Now,
        };
        self.write_used(asked, brought, before.map(|meta| (meta.downloads, meta.last_used)), lasts)
    }

    /// Writes an entry whole, with the uses of the one before it.
    fn write_used(
        &self,
        asked: &Asked,
        brought: Brought,
        uses: Option<(u64, Option<DateTime<Utc>>)>,
        lasts: Lasts,
    ) -> Result<Arc<Kept>> {
        let now = self.clock.now();
        // A removal after this one sees what is written now.
        let removals = self.removals.load(Ordering::SeqCst);
        let (downloads, last_used) = uses.unwrap_or_default();
        let Brought { body, h1, content_type, lasting, validators, via, since, resolution: _, names } = brought;
        let checked_at = checked_at(now, lasting, via.as_ref(), since);
        let meta = Meta::new(now, content_type, lasting);
        let meta = Meta { checked_at, downloads, last_used, h1, validators, via: via.clone(), ..meta };
        let stored = match lasts {
            Lasts::Now => self.store.put(&asked.key, &meta.to_json(), body)?,
            Lasts::Soon => self.store.put_soon(&asked.key, &meta.to_json(), body)?,
        };
        let unreadable = || Error::internal("the store did not give back what was put");
        let kept = Arc::new(Kept::read(&asked.key, stored)?.ok_or_else(unreadable)?);
        if let Some(info) = names.filter(|_| self.named == Named::Kept) {
            self.keep_named(&asked.module, info, now, via)?;
        }
        self.keep_hot(&asked.key, &kept, removals);
        self.refusals.remove(&asked.key);
        Ok(kept)
    }

    /// Makes the version that a query stands for known under its own name too.
    fn keep_named(&self, module: &ModulePath, info: Info, now: DateTime<Utc>, via: Option<Via>) -> Result<()> {
        let Some(version) = Version::parse(&info.version) else { return Ok(()) };
        let question = Question::Info(Query::Version(version.clone()));
        let key = self.key(module, &question);
        // A verdict that is only good for a while gives way: the tags may have changed since.
        if self.read(&key)?.is_some_and(|kept| kept.meta.lasting) {
            return Ok(());
        }
        let origin = info.origin.map(|origin| origin_of_version(origin, &version));
        let resolution = Resolution::valid(version.as_str(), Info { origin, ..info });
        let meta = Meta { via, ..Meta::new(now, question.content_type(), true) };
        self.store.put(&key, &meta.to_json(), Body::Bytes(resolution_json(&resolution)))?;
        self.hot.remove(&key);
        self.refusals.remove(&key);
        Ok(())
    }

    pub fn turn(&self, asked: &Asked) -> MutexGuard<'_, ()> {
        let mut hash = DefaultHasher::new();
        asked.module.as_str().hash(&mut hash);
        asked.question.version().map(Version::as_str).hash(&mut hash);
        let at = hash.finish() % self.turns.len() as u64;
        self.turns[at as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When an answer was true for the last time that anybody knows of. What is to be the same for ever is looked at now;
/// what a mirror said in the place of its source is asked again soon anyway.
fn checked_at(now: DateTime<Utc>, lasting: bool, via: Option<&Via>, since: Option<DateTime<Utc>>) -> DateTime<Utc> {
    since.filter(|_| !lasting && via.is_none()).map_or(now, |since| since.min(now))
}

/// What an answer for a version rests on, as the go command keeps it (`writeDiskStat`): not on the
/// tags, and for a pseudo-version not on the ref by which it was found.
fn origin_of_version(origin: Origin, version: &Version) -> Origin {
    let reference = if version.is_pseudo() { String::new() } else { origin.reference };
    let none = String::new;
    Origin { reference, tag_sum: none(), tag_prefix: none(), repo_sum: none(), ..origin }
}

fn is_same(brought: &Brought, before: &Kept) -> bool {
    match &brought.body {
        Body::Bytes(bytes) => {
            brought.lasting == before.meta.lasting && Sha256::digest(bytes).as_slice() == before.blob.sha256()
        }
        Body::File(_) | Body::Hashed(..) => false,
    }
}
