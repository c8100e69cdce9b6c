//! One mirror: its definition, its state in memory and in the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::{Watched, World};
use crate::error::{Error, Result};
use crate::monitor::definition::MirrorDefinition;
use crate::monitor::history::HistoryRow;
use crate::monitor::kept;
use crate::monitor::reader::found;
use crate::monitor::state::{State, renewed_until};
use crate::monitor::status::{MirrorStatus, RenewalStatus, Renewed};
use crate::ports::{Condition, Standing};

/// A mirror that is watched.
pub(super) struct Mirror {
    world: Arc<World>,
    name: String,
    watched: RwLock<Arc<Watched>>,
    state: RwLock<Arc<State>>,
    renewals: RwLock<Arc<Vec<Renewed>>>,
    next_check: RwLock<Option<DateTime<Utc>>>,
    /// Changes of the state take turns.
    turn: Mutex<()>,
    /// Another one stands in its place: what is still under way is not written down.
    is_retired: AtomicBool,
}

impl Mirror {
    pub(super) fn open(world: Arc<World>, watched: Watched, state: Option<State>) -> Result<Arc<Mirror>> {
        let (name, now) = (watched.definition.name.clone(), world.clock.now());
        let (source, address) = (watched.definition.source(), watched.definition.mirror());
        let same = state.filter(|state| (&state.source, &state.mirror) == (&source, &address));
        if same.is_none() {
            kept::forget_seen(&*world.store, &name)?;
        }
        let state = State {
            left: None,
            is_paused: watched.definition.is_paused,
            ..same.unwrap_or_else(|| State::new(source, address, now))
        };
        kept::save_state(&*world.store, &name, &state)?;
        let renewals = kept::renewals(&*world.store, &name)?;
        Ok(Arc::new(Mirror {
            world,
            name,
            watched: RwLock::new(Arc::new(watched)),
            state: RwLock::new(Arc::new(state)),
            renewals: RwLock::new(Arc::new(renewals)),
            next_check: RwLock::default(),
            turn: Mutex::default(),
            is_retired: AtomicBool::new(false),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_of(&self, definition: &MirrorDefinition) -> bool {
        let own = self.watched();
        own.definition.source() == definition.source() && own.definition.mirror() == definition.mirror()
    }

    /// The same mirror, looked at in another way from now on.
    pub(super) fn reappoint(self: Arc<Mirror>, watched: Watched) -> Result<Arc<Mirror>> {
        let is_paused = watched.definition.is_paused;
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(watched);
        if self.state().is_paused != is_paused {
            self.change(|state| state.is_paused = is_paused)?;
        }
        Ok(self)
    }

    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    pub(super) fn watched(&self) -> Arc<Watched> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the state, here and in the store. Blocking.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let _turn: MutexGuard<'_, ()> = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_retired.load(Ordering::Acquire) {
            return Err(Error::conflict("another mirror of this name was configured meanwhile").about(&self.name));
        }
        let mut state = State::clone(&self.state());
        let changed = change(&mut state);
        kept::save_state(&*self.world.store, &self.name, &state)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        Ok(changed)
    }

    pub(super) fn history(&self) -> Result<Vec<HistoryRow>> {
        let mut rows = self.state().today.rows();
        rows.extend(kept::history(&*self.world.store, &self.name, self.world.clock.now())?);
        Ok(rows)
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        let condition = if state.is_paused { Condition::Paused } else { state.condition };
        let found = found(&state, self.watched().definition.max_lag, self.world.clock.now());
        Standing { condition, since: state.since, last_in_sync: state.last_in_sync, found }
    }

    pub(super) fn status(&self) -> MirrorStatus {
        let (watched, state) = (self.watched(), self.state());
        let definition = &watched.definition;
        let Standing { condition, since, last_in_sync, .. } = self.standing();
        MirrorStatus {
            name: self.name.clone(),
            kind: definition.kind.word().to_owned(),
            source: definition.source(),
            mirror: definition.mirror(),
            condition,
            since,
            summary: condition.words().to_owned(),
            difference: state.difference.clone(),
            error: state.error.clone(),
            last_attempt: state.last_attempt,
            last_success: state.last_success,
            last_in_sync,
            next_check: *self.next_check.read().unwrap_or_else(PoisonError::into_inner),
            check_every_seconds: definition.check_every.as_secs(),
            max_lag_seconds: definition.max_lag.as_secs(),
            renewal: self.renewal(definition),
            undelivered: self.world.outbox.undelivered(&self.name),
        }
    }

    fn renewal(&self, definition: &MirrorDefinition) -> Option<RenewalStatus> {
        let renewal = definition.renewal.as_ref()?;
        let history = self.renewals.read().unwrap_or_else(PoisonError::into_inner).to_vec();
        let due = renewed_until(&history).map_or(renewal.date, |until| until.max(renewal.date));
        let days_left = (due - self.world.clock.now().date_naive()).num_days();
        Some(RenewalStatus {
            what: renewal.what.clone(),
            due,
            days_left,
            is_overdue: days_left < 0,
            every: renewal.every.map(|every| every.to_string()),
            owner: renewal.owner.clone(),
            url: renewal.url.clone(),
            history,
        })
    }
}
