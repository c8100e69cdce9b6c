//! Checks of a mirror: one at a time, whoever asks for it, and what they find goes into its state.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, watch};

use super::mirror::Mirror;
use super::{Watched, Way};
use crate::error::{Error, Result};
use crate::monitor::comparison::Compared;
use crate::monitor::definition::{MirrorDefinition, MirrorKind, RefPattern};
use crate::monitor::history::Event;
use crate::monitor::look::{self, Failure, Sight};
use crate::monitor::seen::Seen;
use crate::monitor::state::{Change, Found};
use crate::monitor::status::MirrorStatus;
use crate::monitor::{canary, kept, letter, schedule, telling};
use crate::ports::{Pair, Source, Store};
use crate::spec::path::ModulePath;

/// What a check under way will come to.
pub(super) type Landing = watch::Receiver<Option<Result<MirrorStatus>>>;

/// Waits for a check that is under way.
pub(super) async fn landed(mut landing: Landing) -> Result<MirrorStatus> {
    let landed = landing.wait_for(Option::is_some).await.map(|landed| landed.clone());
    // Without a result the task panicked.
    landed.ok().flatten().unwrap_or_else(|| Err(Error::internal("the check was cut short")))
}

impl Mirror {
    /// Joins the check that is under way, or begins one; who goes away takes nobody's check along.
    pub(super) fn fly(self: &Arc<Mirror>, places: Option<Arc<Semaphore>>) -> Landing {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = &*flight {
            return landing.clone();
        }
        let (land, landing) = watch::channel(None);
        *flight = Some(landing.clone());
        let under_way = UnderWay(self.clone());
        tokio::spawn(async move {
            let mirror = under_way.0.clone();
            let _place = match &places {
                Some(places) => places.acquire().await.ok(),
                None => None,
            };
            let result = mirror.check().await;
            if result.is_err() {
                // Nothing could be written down; the next one may do better.
                let every = mirror.watched().definition.check_every;
                mirror.plan_check(Some(schedule::next(mirror.name(), every, mirror.world.clock.now())));
            }
            drop(under_way);
            land.send_replace(Some(result));
        });
        landing
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    async fn check(self: &Arc<Mirror>) -> Result<MirrorStatus> {
        let _busy = self.busy.lock().await;
        self.check_alone().await
    }

    /// For who holds `busy`.
    pub(super) async fn check_alone(self: &Arc<Mirror>) -> Result<MirrorStatus> {
        let watched = self.watched();
        if watched.definition.is_paused {
            return Ok(self.status());
        }
        let at = self.world.clock.now();
        let looked = look(self.name(), &watched, &self.world.store, at).await;
        let mirror = self.clone();
        let noted = tokio::task::spawn_blocking(move || mirror.note(looked, at)).await;
        noted.map_err(|error| Error::internal("the check was cut short").because(error))??;
        Ok(self.status())
    }

    /// Takes in what a look found. Blocking.
    fn note(&self, looked: Looked, at: DateTime<Utc>) -> Result<()> {
        let watched = self.watched();
        let definition = &watched.definition;
        if let Some(save) = looked.save.filter(|_| !self.is_retired()) {
            save(&*self.world.store)?;
        }
        let (change, next_check) = self.change(at, |state| {
            if state.is_paused {
                return (None, None);
            }
            let change = state.observe(looked.found, at);
            if let Some(Change { from, to }) = change {
                let summary = letter::summary(definition, state, at);
                state.today.note(at, Event::Changed { from, to, summary });
            }
            if let Some(tidings) = telling::after_check(state, at) {
                self.tell(state, &tidings, at);
            }
            self.tell_of_renewal(state, at);
            state.next_check = Some(match telling::is_unconfirmed(state) {
                true => schedule::again(self.name(), definition.check_every, state.streak, at),
                false => schedule::next(self.name(), definition.check_every, at),
            });
            (change, state.next_check)
        })?;
        self.plan_check(next_check);
        if let Some(change) = change {
            self.log(change, definition, at);
        }
        Ok(())
    }

    fn log(&self, Change { from, to }: Change, definition: &MirrorDefinition, at: DateTime<Utc>) {
        let state = self.state();
        let (from, to) = (from.as_str(), to.as_str());
        let summary = letter::summary(definition, &state, at);
        let error = state.error.as_deref().unwrap_or_default();
        match state.condition.is_bad() {
            true => tracing::warn!(mirror = self.name(), from, to, summary, error, "a mirror changed"),
            false => tracing::info!(mirror = self.name(), from, to, summary, "a mirror changed"),
        }
    }
}

/// What a look found, and what is to be remembered of it where that changed.
struct Looked {
    found: Found,
    save: Option<Save>,
}

/// Writes down what was seen.
type Save = Box<dyn FnOnce(&dyn Store) -> Result<()> + Send>;

async fn look(name: &str, watched: &Arc<Watched>, store: &Arc<dyn Store>, at: DateTime<Utc>) -> Looked {
    let looked = match (&watched.way, &watched.definition.kind) {
        (Way::Git(pair), MirrorKind::Git { refs, .. }) => {
            let (name, watched, store) = (name.to_owned(), watched.clone(), store.clone());
            let (pair, refs) = (pair.clone(), refs.clone());
            tokio::task::spawn_blocking(move || git(&name, &watched.definition, &*pair, &refs, &*store, at)).await
        }
        (Way::Proxy { source, mirror }, MirrorKind::Proxy { modules, .. }) => {
            let (name, watched, store) = (name.to_owned(), watched.clone(), store.clone());
            let (source, mirror, modules) = (source.clone(), mirror.clone(), modules.clone());
            // A task of its own: a panic is a failure of this look, and of nothing else.
            let look =
                async move { proxy(&name, &watched.definition, (&*source, &*mirror), &modules, store, at).await };
            tokio::spawn(look).await
        }
        _ => Ok(Looked::failed(None, &Error::internal("its kind is not the way in which it is looked at"))),
    };
    looked.unwrap_or_else(|error| Looked::failed(None, &Error::internal("the look was cut short").because(error)))
}

/// What a git pair is found to hold, with what was seen before. Blocking.
pub(super) fn sighted(
    name: &str,
    pair: &dyn Pair,
    refs: &[RefPattern],
    store: &dyn Store,
    at: DateTime<Utc>,
) -> Result<(Sight, Seen, (Compared, Seen)), Failure> {
    let seen: Seen = kept::seen(store, name);
    let sight = look::sight(pair, refs, &seen)?;
    let compared = sight.compare(&seen, at);
    Ok((sight, seen, compared))
}

fn git(
    name: &str,
    definition: &MirrorDefinition,
    pair: &dyn Pair,
    refs: &[RefPattern],
    store: &dyn Store,
    at: DateTime<Utc>,
) -> Looked {
    match sighted(name, pair, refs, store, at) {
        Err(Failure { side, error }) => Looked::failed(Some(side), &error),
        Ok((sight, before, (compared, after))) => {
            if let Some(error) = &sight.error {
                tracing::warn!(mirror = name, %error, "the histories of a mirror could not be compared");
            }
            let found = match &sight.error {
                Some(error) if error.is_unauthorized() => Found::failed(None, error),
                error => Found::compared(compared, error.as_ref(), definition, at),
            };
            Looked { found, save: saving(name, &before, after) }
        }
    }
}

async fn proxy(
    name: &str,
    definition: &MirrorDefinition,
    (source, mirror): (&dyn Source, &dyn Source),
    modules: &[ModulePath],
    store: Arc<dyn Store>,
    at: DateTime<Utc>,
) -> Looked {
    let key = name.to_owned();
    let before = tokio::task::spawn_blocking(move || kept::seen::<canary::Seen>(&*store, &key)).await;
    let before = before.unwrap_or_default();
    match canary::look(source, mirror, modules).await {
        Err(error) => Looked::failed(None, &error),
        Ok(sight) => {
            let canary::Compared { difference, is_diverged, seen } = sight.compare(&before, at);
            let found = Found::compared(Compared { difference, is_diverged }, None, definition, at);
            Looked { found, save: saving(name, &before, seen) }
        }
    }
}

impl Looked {
    fn failed(side: Option<crate::ports::Side>, error: &Error) -> Looked {
        Looked { found: Found::failed(side, error), save: None }
    }
}

/// How to save what was seen; most looks see what the one before them saw.
fn saving<T: serde::Serialize + PartialEq + Send + 'static>(name: &str, before: &T, after: T) -> Option<Save> {
    if *before == after {
        return None;
    }
    let name = name.to_owned();
    Some(Box::new(move |store: &dyn Store| kept::save_seen(store, &name, &after)))
}

/// Ends the flight, also when its task panics.
struct UnderWay(Arc<Mirror>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.world.landed.notify_one();
    }
}
