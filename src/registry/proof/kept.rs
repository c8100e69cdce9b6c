//! Marks beside kept files, and files that go: what is in memory of an entry follows what is in the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use super::{Mark, Released};
use crate::error::{Error, Result};
use crate::registry::cached::{Cached, Inner, blocking};
use crate::registry::entry::{Kept, Meta};
use crate::registry::keep::Asked;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::version::Version;

impl Released {
    /// A kept file, without counting it as wanted; `None` where it is not kept.
    pub(super) async fn kept(
        source: &Arc<Cached>,
        module: &ModulePath,
        question: &Question,
    ) -> Result<Option<Released>> {
        let (inner, key) = (source.inner.clone(), source.inner.key(module, question));
        let stored = blocking(move || inner.store.get(&key)).await?;
        let Some(meta) = stored.and_then(|stored| Meta::parse(&stored.meta)) else { return Ok(None) };
        Released::new(source, module, question, meta.h1).map(Some)
    }

    /// That the file was verified by a flight which is over, after this entry was read and before anybody asked.
    pub(super) fn verified_meanwhile(&self) -> Option<Mark> {
        let (hot, _) = self.source.inner.hot.get(&self.key)?;
        let is_same = hot.meta.h1.as_ref() == Some(&self.h1);
        hot.meta.sum.clone().filter(|mark| is_same && matches!(mark, Mark::Verified { .. }))
    }

    /// Writes a mark beside the file and gives the one that stands now; `None` where it is not kept any more, or other
    /// content lies in its place.
    pub(super) async fn write(&self, mark: Mark) -> Result<Option<Mark>> {
        let (inner, key, h1) = (self.source.inner.clone(), self.key.clone(), self.h1.clone());
        blocking(move || inner.write_mark(&key, &h1, &mark)).await
    }

    /// Takes the file out of the cache, records which database has which other hash, and lets nobody fetch it again for
    /// a short time.
    pub(super) async fn withdraw(&self, error: Error, against: (&str, &str), now: DateTime<Utc>) -> Result<()> {
        let (released, database, recorded) = (self.clone(), against.0.to_owned(), against.1.to_owned());
        blocking(move || {
            let inner = &released.source.inner;
            let written = released.record(&*inner.store, (database, recorded), now);
            inner.withdraw(&released, error)?;
            written
        })
        .await
    }
}

impl Inner {
    fn write_mark(&self, key: &str, h1: &str, mark: &Mark) -> Result<Option<Mark>> {
        let removals = self.removals.load(Ordering::SeqCst);
        let mut stands = None;
        self.store.update_metas(&[key.to_owned()], &mut |_, meta| {
            let mut meta = Meta::parse(meta).filter(|meta| meta.h1.as_deref() == Some(h1))?;
            let mark = mark.clone().after(meta.sum.as_ref());
            stands = Some(mark.clone());
            if meta.sum.as_ref() == Some(&mark) {
                return None;
            }
            meta.sum = Some(mark);
            Some(meta.to_json())
        })?;
        if let (Some(mark), Some((hot, _))) = (&stands, self.hot.get(key))
            && hot.meta.h1.as_deref() == Some(h1)
        {
            let meta = Meta { sum: Some(mark.clone()), ..hot.meta.clone() };
            self.keep_hot(key, &Arc::new(Kept { meta, ..(*hot).clone() }), removals);
        }
        Ok(stands)
    }

    fn withdraw(&self, released: &Released, error: Error) -> Result<()> {
        let Released { module, question, key, h1, .. } = released;
        let removals = self.removals.load(Ordering::SeqCst);
        let asked = Asked { key: key.clone(), module: module.clone(), question: question.clone(), removals };
        // What comes in its place meanwhile stays.
        let _turn = self.turn(&asked);
        let stored = self.store.get(key)?.and_then(|stored| Meta::parse(&stored.meta));
        if stored.is_some_and(|meta| meta.h1.as_deref() != Some(h1)) {
            return Ok(());
        }
        let deleted = self.store.delete(key);
        self.forget(key);
        self.refusals.insert(key.clone(), (error, self.clock.now()));
        deleted.map(drop)
    }
}

impl Cached {
    /// Whether the name of a kept version is right, by what is kept of it; `None` where that is not known.
    pub(super) async fn kept_judgement(&self, module: &ModulePath, version: &Version) -> Result<Option<bool>> {
        let (inner, question) = (self.inner.clone(), Question::Info(Query::Version(version.clone())));
        let key = inner.key(module, &question);
        let kept = blocking(move || inner.read(&key)).await?;
        Ok(kept.and_then(|kept| kept.resolution).map(|resolution| resolution.is_valid()))
    }
}
