//! What is known of an upstream's answer without asking it: whether it is kept, and whether it lately had none.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Question;
use super::cached::{Cached, Inner, blocking};
use super::entry::Kept;
use crate::error::Result;
use crate::spec::path::ModulePath;

/// A look into the store that can be had on another thread.
pub(super) struct Peek {
    inner: Arc<Inner>,
    key: String,
}

/// A kept answer, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether it would be given without asking.
    #[serde(rename = "fresh")]
    pub is_fresh: bool,
    /// When the upstream last said so.
    pub since: DateTime<Utc>,
}

impl Cached {
    /// Whether an answer is kept, be it fresh or not.
    pub async fn is_kept(&self, module: &ModulePath, question: &Question) -> Result<bool> {
        Ok(self.seen(module, question).await?.is_some())
    }

    /// Since when the kept answer is as it is, and what its upstream said of that.
    pub(super) async fn since(
        &self,
        module: &ModulePath,
        question: &Question,
    ) -> Result<Option<(DateTime<Utc>, Option<String>)>> {
        let peek = self.peek(module, question);
        blocking(move || {
            let kept = peek.kept()?;
            Ok(kept.map(|kept| (kept.meta.fetched_at, kept.meta.validators.last_modified.clone())))
        })
        .await
    }

    pub(super) async fn seen(&self, module: &ModulePath, question: &Question) -> Result<Option<Seen>> {
        let peek = self.peek(module, question);
        blocking(move || peek.look()).await
    }

    /// Whether the upstream said so lately that it has no answer that it need not be asked again.
    pub fn is_lately_absent(&self, module: &ModulePath, question: &Question) -> bool {
        self.absent_since(module, question).is_some()
    }

    /// When it said so.
    pub(super) fn absent_since(&self, module: &ModulePath, question: &Question) -> Option<DateTime<Utc>> {
        let inner = &self.inner;
        let (error, since) = inner.refusals.get(&inner.key(module, question))?;
        let recent = (inner.clock.now() - since).to_std().is_ok_and(|age| age < inner.validity.absence);
        (recent && error.is_absence()).then_some(since)
    }

    pub(super) fn peek(&self, module: &ModulePath, question: &Question) -> Peek {
        Peek { inner: self.inner.clone(), key: self.inner.key(module, question) }
    }
}

impl Peek {
    /// Blocking.
    pub fn look(&self) -> Result<Option<Seen>> {
        let (inner, now) = (&self.inner, self.inner.clock.now());
        let kept = self.kept()?;
        let is_fresh = |kept: &Kept| kept.is_fresh(now, &inner.validity);
        Ok(kept.map(|kept| Seen { is_fresh: is_fresh(&kept), since: kept.meta.checked_at }))
    }

    fn kept(&self) -> Result<Option<Arc<Kept>>> {
        let inner = &self.inner;
        match inner.hot(&self.key, inner.clock.now()) {
            Some(kept) => Ok(Some(kept)),
            None => Ok(inner.read(&self.key)?.map(Arc::new)),
        }
    }
}
