//! A sync by hand: first what it would do, then only what was wanted, then a check of what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Way;
use super::check::sighted;
use super::mirror::Mirror;
use crate::error::{Error, Result};
use crate::monitor::definition::{MirrorKind, RefPattern};
use crate::monitor::history::Event;
use crate::monitor::look::Failure;
use crate::monitor::plan::{Plan, Progress, Sync, Synced};
use crate::ports::{Pair, RefUpdate, Updated};

impl Mirror {
    /// What a sync would do, by a look at both sides now.
    pub(super) async fn plan(self: &Arc<Mirror>) -> Result<Plan> {
        if self.is_syncing.load(Ordering::Acquire) {
            return Err(self.is_synced_already());
        }
        let _busy = self.busy.lock().await;
        self.plan_alone().await
    }

    /// It goes on to its end though nobody waits for it; who wants it to end says so by `progress`.
    pub(super) async fn sync(self: &Arc<Mirror>, wanted: Sync, progress: Progress) -> Result<Synced> {
        let mirror = self.clone();
        let synced = tokio::spawn(async move { mirror.sync_to_the_end(wanted, progress).await }).await;
        synced.unwrap_or_else(|error| Err(Error::internal("the sync was cut short").because(error)))
    }

    async fn sync_to_the_end(self: Arc<Mirror>, wanted: Sync, progress: Progress) -> Result<Synced> {
        if self.is_syncing.swap(true, Ordering::AcqRel) {
            return Err(self.is_synced_already());
        }
        let _syncing = Syncing(&self.is_syncing);
        let _busy = self.busy.lock().await;
        let (pair, _) = self.pair()?;
        let plan = self.plan_alone().await?;
        let updates = plan.wanted(&wanted)?;
        let outcome = match updates.is_empty() {
            true => Ok(Vec::new()),
            false => bring(pair, updates, progress).await,
        };
        self.note_sync(&outcome).await?;
        let updated = outcome.map_err(|error| error.about(self.name()))?;
        let status = self.check_alone().await?;
        Ok(Synced { plan, updated, status })
    }

    async fn plan_alone(self: &Arc<Mirror>) -> Result<Plan> {
        let (pair, refs) = self.pair()?;
        let (mirror, at) = (self.clone(), self.world.clock.now());
        let planned = tokio::task::spawn_blocking(move || {
            let sighted = sighted(mirror.name(), &*pair, &refs, &*mirror.world.store, at);
            let (sight, _, compared) = sighted.map_err(|Failure { side, error, .. }| of_side(side.as_str(), &error))?;
            Ok(Plan::new(&mirror.watched().definition, &sight, &compared))
        });
        let planned: Result<Plan> =
            planned.await.unwrap_or_else(|error| Err(Error::internal("the look was cut short").because(error)));
        planned.map_err(|error| error.about(self.name()))
    }

    fn pair(&self) -> Result<(Arc<dyn Pair>, Vec<RefPattern>)> {
        let watched = self.watched();
        match (&watched.way, &watched.definition.kind) {
            (Way::Git(pair), MirrorKind::Git { refs, .. }) => Ok((pair.clone(), refs.clone())),
            _ => Err(Error::conflict(
                "a module proxy takes over by itself what its source has (expected a mirror of kind git)",
            )
            .about(self.name())),
        }
    }

    /// What came of it stands in the log and in the history.
    async fn note_sync(self: &Arc<Mirror>, outcome: &Result<Vec<Updated>>) -> Result<()> {
        let refused = |updated: &[Updated]| updated.iter().filter(|one| one.refused.is_some()).count();
        let event = match outcome {
            Ok(updated) => {
                let (refused, all) = (refused(updated), updated.len());
                tracing::info!(mirror = self.name(), updated = all - refused, refused, "a mirror was synced by hand");
                Event::Synced { updated: (all - refused) as u64, refused: refused as u64, error: None }
            }
            Err(error) => {
                tracing::warn!(mirror = self.name(), %error, "a sync by hand came to nothing");
                Event::Synced { updated: 0, refused: 0, error: Some(error.to_string()) }
            }
        };
        let (mirror, at) = (self.clone(), self.world.clock.now());
        let noted = tokio::task::spawn_blocking(move || mirror.change(at, |state| state.today.note(at, event))).await;
        noted.unwrap_or_else(|error| Err(Error::internal("the sync was cut short").because(error)))
    }

    fn is_synced_already(&self) -> Error {
        Error::conflict("a sync is under way").about(self.name())
    }
}

async fn bring(pair: Arc<dyn Pair>, updates: Vec<RefUpdate>, mut progress: Progress) -> Result<Vec<Updated>> {
    let brought = tokio::task::spawn_blocking(move || pair.sync(&updates, &mut progress)).await;
    brought.unwrap_or_else(|error| Err(Error::internal("the sync was cut short").because(error)))
}

/// The same failure, told of one side.
fn of_side(side: &str, error: &Error) -> Error {
    let told = Error::new(error.kind(), format!("{side}: {error}"));
    if error.is_unauthorized() { told.unauthorized() } else { told }
}

/// Ends the sync for others, also when it panics.
struct Syncing<'a>(&'a AtomicBool);

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
