//! Checks of a mirror: one at a time, whoever asks for it, and what they find goes into its state.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::mirror::Mirror;
use super::{Watched, Way};
use crate::error::{Error, Result};
use crate::monitor::comparison::{self, Compared, Sides};
use crate::monitor::definition::{MirrorDefinition, MirrorKind, RefPattern};
use crate::monitor::history::Event;
use crate::monitor::look::{self, Failure, Sight};
use crate::monitor::seen::Seen;
use crate::monitor::state::{Change, Found, State};
use crate::monitor::status::MirrorStatus;
use crate::monitor::{canary, kept, letter, schedule, telling};
use crate::ports::{Condition, Pair, RemoteRef, Side, Source, Store};
use crate::spec::path::ModulePath;

/// So long after a look another one may be made for what becomes stale.
const TURN_AFTER: TimeDelta = TimeDelta::minutes(5);

/// What a check under way will come to.
pub(super) type Landing = watch::Receiver<Option<Result<MirrorStatus>>>;

/// When a check that is asked for begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Somebody waits for it.
    AtOnce,
    /// With others that are due, a few at a time.
    Scheduled,
}

/// Waits for a check that is under way.
pub(super) async fn landed(mut landing: Landing) -> Result<MirrorStatus> {
    let landed = landing.wait_for(Option::is_some).await.map(|landed| landed.clone());
    // Without a result the task panicked.
    landed.ok().flatten().unwrap_or_else(|| Err(Error::internal("the check was cut short")))
}

impl Mirror {
    /// Joins the check that is under way, or begins one; who goes away takes nobody's check along.
    pub(super) fn fly(self: &Arc<Mirror>, turn: Turn) -> Landing {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = &*flight {
            return landing.clone();
        }
        let (land, landing) = watch::channel(None);
        *flight = Some(landing.clone());
        let under_way = UnderWay(self.clone());
        tokio::spawn(async move {
            let mirror = under_way.0.clone();
            let result = mirror.check(turn).await;
            if let Err(error) = &result {
                // Nothing could be written down; the next one may do better. Nobody else may be there to hear of it.
                if !mirror.is_retired() {
                    tracing::error!(mirror = mirror.name(), %error, "a check came to nothing");
                }
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

    async fn check(self: &Arc<Mirror>, turn: Turn) -> Result<MirrorStatus> {
        // Before a place is taken: a sync may last for hours.
        let _busy = self.busy.lock().await;
        if turn == Turn::AtOnce {
            return self.check_alone().await;
        }
        let hosts = |definition: &MirrorDefinition| [Side::Source, Side::Mirror].map(|side| definition.host(side));
        let hosts: Vec<String> = hosts(&self.watched().definition).into_iter().flatten().collect();
        let _place = self.world.places.take(&hosts).await;
        self.check_alone().await
    }

    /// Notes which hosts are silent.
    fn note_hosts(&self, definition: &MirrorDefinition, found: &Found) {
        let reached = [(Side::Source, false), (Side::Mirror, false)];
        let silent = found.failed.filter(|_| found.condition == Condition::Unreachable).map(|side| (side, true));
        let noted = if found.difference.is_some() { reached.to_vec() } else { silent.into_iter().collect() };
        for (side, is_silent) in noted {
            if let Some(host) = definition.host(side) {
                self.world.places.note(&host, is_silent);
            }
        }
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
        self.note_hosts(definition, &looked.found);
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
                false => schedule::next(self.name(), definition.check_every, at).min(turning(definition, state, at)),
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

/// When what lags becomes stale, if nothing comes: nobody has to wait for that until the next look, which may be days
/// away.
fn turning(definition: &MirrorDefinition, state: &State, at: DateTime<Utc>) -> DateTime<Utc> {
    let since = state.difference.as_ref().and_then(|difference| difference.since);
    let max_lag = TimeDelta::from_std(definition.max_lag).ok();
    let turns = since.zip(max_lag).filter(|_| state.condition == Condition::Lagging);
    let turns = turns.and_then(|(since, max_lag)| since.checked_add_signed(max_lag));
    // A busy repository may have something that turns all the time.
    turns.map_or(DateTime::<Utc>::MAX_UTC, |turns| (turns + TimeDelta::seconds(1)).max(at + TURN_AFTER))
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

/// What is to be remembered of the source where the mirror was not reached. Blocking.
fn source_alone(
    name: &str,
    source: Option<Vec<RemoteRef>>,
    refs: &[RefPattern],
    store: &dyn Store,
    at: DateTime<Utc>,
) -> Option<Save> {
    let sides = Sides::new(source?, Vec::new(), refs);
    let before: Seen = kept::seen(store, name);
    let after = comparison::of_source(&sides.source, &before, at);
    saving(name, &before, after)
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
        Err(Failure { side, error, source }) => {
            Looked { save: source_alone(name, source, refs, store, at), ..Looked::failed(Some(side), &error) }
        }
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
    fn failed(side: Option<Side>, error: &Error) -> Looked {
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
