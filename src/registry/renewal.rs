//! One flight: what is done about an answer that is not kept, or not fresh.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::borrow;
use super::bring::Brought;
use super::cached::{Inner, blocking};
use super::change::{OnChange, State};
use super::entry::{Freshness, Kept};
use super::keep::{Asked, File, Put};
use super::validity::Standing;
use crate::error::{Error, Result};
use crate::spec::path::ModulePath;
use crate::spec::question::Question;

type Renewed = Result<(Arc<Kept>, Freshness)>;

impl Inner {
    /// Looks again at what is kept, since somebody may have been faster, and asks the upstream.
    pub async fn renewed(self: Arc<Self>, key: String, module: ModulePath, question: Question) -> Renewed {
        let removals = self.removals.load(Ordering::SeqCst);
        let asked = Arc::new(Asked { key, module, question, removals });
        let kept = self.clone().kept(&asked).await?;
        let now = self.clock.now();
        let refusal = self.refusal(&asked.key, now);
        let Some(kept) = kept else {
            return match refusal {
                Some(error) => Err(error),
                None => self.first(asked).await,
            };
        };
        match (self.standing(&kept, now), refusal) {
            (Standing::Fresh, _) => {
                self.keep_hot(&asked.key, &kept, asked.removals);
                Ok((kept, Freshness::Fresh))
            }
            (Standing::Differs | Standing::Doubtful, _) => Ok((kept, Freshness::Stale)),
            (_, Some(error)) if error.is_absence() && !kept.meta.lasting => Err(error),
            (_, Some(_)) => Ok((kept, Freshness::Stale)),
            (Standing::Aging | Standing::Expired, None) => self.again(asked, kept).await,
        }
    }

    /// Asks the upstream however fresh the answer is, and however lately it failed.
    pub async fn renewed_anyway(self: Arc<Self>, key: String, module: ModulePath, question: Question) -> Renewed {
        let removals = self.removals.load(Ordering::SeqCst);
        let asked = Arc::new(Asked { key, module, question, removals });
        match self.clone().kept(&asked).await? {
            Some(kept) => self.again(asked, kept).await,
            None => self.first(asked).await,
        }
    }

    async fn kept(self: Arc<Self>, asked: &Arc<Asked>) -> Result<Option<Arc<Kept>>> {
        let asked = asked.clone();
        blocking(move || Ok(self.read(&asked.key)?.map(Arc::new))).await
    }

    /// Nothing is kept. A failure is not remembered then: the next client may have more luck.
    async fn first(self: Arc<Self>, asked: Arc<Asked>) -> Renewed {
        let brought = self.bring(&asked.module, &asked.question).await;
        let brought = brought.inspect_err(|error| {
            if error.is_absence() {
                self.remember(&asked.key, error);
            }
        })?;
        self.put_or_replace(asked, brought, None).await.map(|kept| (kept, Freshness::Absent))
    }

    async fn again(self: Arc<Self>, asked: Arc<Asked>, kept: Arc<Kept>) -> Renewed {
        let Asked { module, question, .. } = &*asked;
        if !kept.meta.validators.is_empty() {
            match self.unchanged(module, question, &kept.meta.validators).await {
                Ok(same) if same.what => {
                    let kept = self.confirm(asked, kept, None, same.via, same.since).await?;
                    return Ok((kept, Freshness::Revalidated));
                }
                // What was one file may be found out in another way now: `@latest` from the list.
                Ok(_) => {}
                Err(error) if error.is_absence() => {}
                Err(error) => return self.without(asked, kept, error).await,
            }
        }
        match self.bring(module, question).await {
            Ok(brought) if brought.is_doubtful() && !borrow::replaces(&brought, &kept) => {
                let error = borrow::out_of_reach(brought.via.as_ref());
                self.without(asked, kept, error).await
            }
            Ok(brought) if kept.meta.lasting => self.compared(asked, kept, brought).await,
            Ok(brought) => {
                self.put_or_replace(asked, brought, Some(kept)).await.map(|kept| (kept, Freshness::Revalidated))
            }
            Err(error) => self.without(asked, kept, error).await,
        }
    }

    /// The upstream gave no answer. A version's file is served while it is held; of all else an absence is the answer.
    async fn without(self: Arc<Self>, asked: Arc<Asked>, kept: Arc<Kept>, error: Error) -> Renewed {
        if error.is_absence() && !kept.meta.lasting {
            let (inner, gone) = (self.clone(), asked.clone());
            blocking(move || inner.store.delete(&gone.key)).await?;
            self.forget(&asked.key);
            self.remember(&asked.key, &error);
            return Err(error);
        }
        self.remember(&asked.key, &error);
        let subject = asked.question.subject(&asked.module);
        tracing::warn!(upstream = self.shelf.name(), subject, %error, "serving what is stale");
        Ok((kept, Freshness::Stale))
    }

    fn remember(&self, key: &str, error: &Error) {
        self.refusals.insert(key.to_owned(), (error.clone(), self.clock.now()));
    }

    /// A version's file was brought again: it should be what it was.
    async fn compared(self: Arc<Self>, asked: Arc<Asked>, kept: Arc<Kept>, brought: Brought) -> Renewed {
        let was = State::of_kept(&kept);
        let (brought, found) = blocking(move || {
            let found = State::of_brought(&brought)?;
            Ok((brought, found))
        })
        .await?;
        if was.is(&found) {
            let kept = self.confirm(asked, kept, Some(brought.validators), brought.via, brought.since).await?;
            return Ok((kept, Freshness::Revalidated));
        }
        match self.on_change_of(&kept) {
            OnChange::Keep => {
                let kept = blocking(move || self.mark(&asked, kept, found, brought.via)).await?;
                Ok((kept, Freshness::Stale))
            }
            OnChange::Replace => match self.clone().replace(asked.clone(), brought, Some(kept)).await {
                Ok(kept) => Ok((kept, Freshness::Revalidated)),
                // Never half of a version: the first content stays until all of the new one can be had.
                Err(error) => self.kept(&asked).await?.map(|kept| (kept, Freshness::Stale)).ok_or(error),
            },
        }
    }

    async fn put_or_replace(
        self: Arc<Self>,
        asked: Arc<Asked>,
        brought: Brought,
        before: Option<Arc<Kept>>,
    ) -> Result<Arc<Kept>> {
        let (inner, at, last) = (self.clone(), asked.clone(), before.clone());
        match blocking(move || inner.put(&at, brought, last)).await? {
            Put::Kept(kept) => Ok(kept),
            Put::Misfit(brought, sibling, commit, on_change) => match on_change {
                OnChange::Replace => self.replace(asked, *brought, before).await,
                OnChange::Keep => {
                    let (module, question) = (&asked.module, &asked.question);
                    let new = brought.commit().unwrap_or_default();
                    let error = self.misfit(module, question, new, sibling.name(), &commit);
                    // Bringing it once more would not help.
                    self.remember(&asked.key, &error);
                    Err(error)
                }
            },
        }
    }

    /// Puts all files of a version in the place of what was kept; that it could not is told by the log too, since
    /// the client may not hear of it.
    async fn replace(
        self: Arc<Self>,
        asked: Arc<Asked>,
        brought: Brought,
        before: Option<Arc<Kept>>,
    ) -> Result<Arc<Kept>> {
        let (upstream, subject) = (self.shelf.name().to_owned(), asked.question.subject(&asked.module));
        let replaced = self.replaced(asked, brought, before).await;
        replaced.inspect_err(|error| tracing::warn!(upstream, subject, %error, "a version is not replaced"))
    }

    /// Brings all other kept files of the version too, then puts all of them together.
    async fn replaced(
        self: Arc<Self>,
        asked: Arc<Asked>,
        brought: Brought,
        before: Option<Arc<Kept>>,
    ) -> Result<Arc<Kept>> {
        let (inner, at) = (self.clone(), asked.clone());
        let siblings = blocking(move || inner.siblings(&at)).await?;
        let mut others: Vec<File> = Vec::new();
        for (sibling, kept) in siblings {
            let other = self.bring(&asked.module, &sibling.question).await;
            let other = other.inspect_err(|error| self.remember(&asked.key, error))?;
            // Its source was in reach for the first file, and is not any more.
            if other.is_doubtful() && !brought.is_doubtful() {
                let error = borrow::out_of_reach(other.via.as_ref()).about(sibling.question.subject(&asked.module));
                self.remember(&asked.key, &error);
                return Err(error);
            }
            if let (Some(one), Some(two)) = (brought.commit(), other.commit())
                && one != two
            {
                let error = self.misfit(&asked.module, &asked.question, one, sibling.question.name(), two);
                self.remember(&asked.key, &error);
                return Err(error);
            }
            others.push((Arc::new(sibling), other, Some(kept)));
        }
        blocking(move || {
            let files = std::iter::once((asked.clone(), brought, before)).chain(others).collect();
            // Bringing all of it again at once would not help.
            self.put_all(files).inspect_err(|error| self.remember(&asked.key, error))
        })
        .await
    }
}
