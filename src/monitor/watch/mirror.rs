//! One mirror: its definition, its state in memory and in the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, NaiveDate, Utc};

use super::check::Landing;
use super::{Watched, World};
use crate::error::{Error, Result};
use crate::monitor::definition::MirrorDefinition;
use crate::monitor::history::{Day, Event, HistoryRow};
use crate::monitor::letter::{self, About};
use crate::monitor::reader::found;
use crate::monitor::state::{State, Unposted};
use crate::monitor::status::{MirrorStatus, NoticeStatus, RenewalStatus, Renewed};
use crate::monitor::telling::{self, Tidings};
use crate::monitor::{kept, renewal, schedule};
use crate::ports::Standing;

/// Of the letters that did not reach everybody, so many are told of one by one.
const SHOWN_NOTICES: usize = 50;

/// A mirror that is watched.
pub(super) struct Mirror {
    pub(super) world: Arc<World>,
    name: String,
    watched: RwLock<Arc<Watched>>,
    state: RwLock<Arc<State>>,
    /// Whether the store has the state as it is here.
    is_saved: AtomicBool,
    renewals: RwLock<Arc<Vec<Renewed>>>,
    next_check: RwLock<Option<DateTime<Utc>>>,
    /// Changes of the state take turns.
    turn: Mutex<()>,
    /// Another one stands in its place: what is still under way is not written down.
    is_retired: AtomicBool,
    /// The check that is under way.
    pub(super) flight: Mutex<Option<Landing>>,
    /// Held by who speaks to the two sides.
    pub(super) busy: tokio::sync::Mutex<()>,
    pub(super) is_syncing: AtomicBool,
}

impl Mirror {
    pub(super) fn open(world: Arc<World>, watched: Watched, state: Option<State>) -> Result<Arc<Mirror>> {
        let (name, now) = (watched.definition.name.clone(), world.clock.now());
        let (source, address) = (watched.definition.source(), watched.definition.mirror());
        let same = state.filter(|state| (&state.source, &state.mirror) == (&source, &address));
        if same.is_none() {
            kept::forget_seen(&*world.store, &name)?;
        }
        let is_saved = same.as_ref().is_some_and(|state| state.left.is_none());
        let state = State { left: None, ..same.unwrap_or_else(|| State::new(source, address, now)) };
        let renewals = kept::renewals(&*world.store, &name)?;
        let mirror = Arc::new(Mirror {
            world,
            name,
            watched: RwLock::new(Arc::new(watched)),
            state: RwLock::new(Arc::new(state)),
            is_saved: AtomicBool::new(is_saved),
            renewals: RwLock::new(Arc::new(renewals)),
            next_check: RwLock::default(),
            turn: Mutex::default(),
            is_retired: AtomicBool::new(false),
            flight: Mutex::default(),
            busy: tokio::sync::Mutex::default(),
            is_syncing: AtomicBool::new(false),
        });
        mirror.settle(now)?;
        Ok(mirror)
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
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(watched);
        self.settle(self.world.clock.now())?;
        Ok(self)
    }

    /// Makes the state fit the definition, and plans the next check.
    fn settle(&self, now: DateTime<Utc>) -> Result<()> {
        let watched = self.watched();
        let (every, is_paused) = (watched.definition.check_every, watched.definition.is_paused);
        let next_check = self.change(now, |state| {
            if state.is_paused && !is_paused {
                // What it was before the pause is not what it is: the next check says.
                state.trouble.iter_mut().for_each(|trouble| trouble.next_reminder = telling::reminder_after(now, now));
            }
            state.is_paused = is_paused;
            let planned = state.next_check.map(|planned| schedule::after_a_jump(&self.name, every, planned, now));
            state.next_check = (!is_paused).then(|| planned.unwrap_or_else(|| schedule::first(&self.name, every, now)));
            state.next_check
        })?;
        self.plan_check(next_check);
        Ok(())
    }

    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    pub(super) fn watched(&self) -> Arc<Watched> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn next_check(&self) -> Option<DateTime<Utc>> {
        *self.next_check.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn plan_check(&self, at: Option<DateTime<Utc>>) {
        *self.next_check.write().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Changes the state, in the store and then here, and hands over the letters that came of it. Blocking.
    pub(super) fn change<T>(&self, now: DateTime<Utc>, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_retired() {
            return Err(Error::conflict("another mirror of this name was configured meanwhile").about(&self.name));
        }
        let before = self.state();
        let mut state = State::clone(&before);
        let today = now.date_naive();
        if state.today.day != today {
            kept::save_day(&*self.world.store, &self.name, &state.today, today)?;
            // It is there already where the clock was set back.
            let day = kept::day(&*self.world.store, &self.name, today)?;
            state.today = day.unwrap_or_else(|| Day::new(today));
        }
        state.set_back(now);
        let changed = change(&mut state);
        // A start, or a reload, seldom changes anything, and there may be hundreds of mirrors.
        if state != *before || !self.is_saved.load(Ordering::Acquire) {
            kept::save_state(&*self.world.store, &self.name, &state)?;
            self.is_saved.store(true, Ordering::Release);
        }
        // In memory they are gone once they are posted; in the store, with the next state: the outbox knows them again.
        let posted = state.unposted.iter().take_while(|unposted| self.post(unposted)).count();
        if posted > 0 {
            state.unposted.drain(..posted);
            self.is_saved.store(false, Ordering::Release);
        }
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        if posted > 0 {
            self.world.posted.notify_one();
        }
        Ok(changed)
    }

    fn post(&self, unposted: &Unposted) -> bool {
        let posted = self.world.outbox.post(&unposted.letter, unposted.channels.as_deref());
        if let Err(error) = &posted {
            tracing::error!(mirror = self.name, letter = unposted.letter.id, %error, "a letter cannot be posted yet");
        }
        posted.is_ok()
    }

    /// Writes the letter that these tidings make; it goes out once the state is saved.
    pub(super) fn tell(&self, state: &mut State, tidings: &Tidings, at: DateTime<Utc>) {
        let watched = self.watched();
        let definition = &watched.definition;
        let id = state.number_letter(&self.name);
        match (tidings.is_of_renewal(), &mut state.trouble, &mut state.renewal) {
            (true, _, Some(mark)) => mark.letter.clone_from(&id),
            (false, Some(trouble), _) => trouble.letter.clone_from(&id),
            _ => {}
        }
        let renewal = self.renewal(definition, at);
        let about = About { definition, state, renewal: renewal.as_ref(), at };
        let letter = letter::write(id, tidings, &about);
        state.today.note(at, Event::Told { letter: letter.id.clone(), subject: letter.subject.clone() });
        state.unposted.push(Unposted { letter, channels: definition.notify.clone() });
    }

    /// Does what is due by the clock, without a check: reminders, renewals, letters that could not be posted. Blocking.
    pub(super) fn by_the_clock(&self, now: DateTime<Utc>) -> Result<()> {
        if !self.is_due_by_the_clock(now) {
            return Ok(());
        }
        self.change(now, |state| {
            let (is_uncertain, is_fresh) = (self.is_uncertain(state), self.is_fresh(state, now));
            if let Some(tidings) = telling::reminder(state, is_uncertain, is_fresh, now) {
                self.tell(state, &tidings, now);
            }
            self.tell_of_renewal(state, now);
        })
    }

    pub(super) fn tell_of_renewal(&self, state: &mut State, now: DateTime<Utc>) {
        let due = self.renewal(&self.watched().definition, now).map(|renewal| renewal.due);
        let is_uncertain = self.is_renewal_uncertain(state);
        if let Some(tidings) = due.and_then(|due| renewal::tell(state, due, is_uncertain, now)) {
            self.tell(state, &tidings, now);
        }
    }

    pub(super) fn is_due_by_the_clock(&self, now: DateTime<Utc>) -> bool {
        let state = self.state();
        let reminder = telling::next_reminder(&state, self.is_uncertain(&state));
        let due = self.renewal(&self.watched().definition, now).map(|renewal| renewal.due);
        !state.unposted.is_empty()
            || (reminder.is_some_and(|at| at <= now) && self.is_fresh(&state, now))
            || due.is_some_and(|due| renewal::is_due(&state, due, self.is_renewal_uncertain(&state), now))
    }

    /// When something is due by the clock next; what waits for a check does not count.
    pub(super) fn next_by_the_clock(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let state = self.state();
        let reminder = telling::next_reminder(&state, self.is_uncertain(&state));
        let has_renewal = self.watched().definition.renewal.is_some() && !state.is_paused;
        let renewal = has_renewal.then(|| renewal::next(&state, self.is_renewal_uncertain(&state), now));
        reminder.into_iter().chain(renewal).filter(|at| *at > now).min()
    }

    /// Whether the last check is recent enough to speak of its findings.
    fn is_fresh(&self, state: &State, now: DateTime<Utc>) -> bool {
        let every = self.watched().definition.check_every;
        state.last_attempt.is_some_and(|at| (now - at).to_std().unwrap_or_default() <= every * 2)
    }

    fn is_uncertain(&self, state: &State) -> bool {
        state.trouble.as_ref().is_some_and(|trouble| self.world.outbox.is_uncertain(&trouble.letter))
    }

    fn is_renewal_uncertain(&self, state: &State) -> bool {
        state.renewal.as_ref().is_some_and(|mark| self.world.outbox.is_uncertain(&mark.letter))
    }

    /// Writes down that what lapses was renewed. Blocking.
    pub(super) fn renew(&self, until: NaiveDate, by: Option<String>) -> Result<MirrorStatus> {
        if self.watched().definition.renewal.is_none() {
            return Err(Error::conflict("it has no renewal")
                .about(&self.name)
                .remedy("give the [[mirror]] a `renewal`"));
        }
        let now = self.world.clock.now();
        let by = by.map(|by| by.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned());
        let renewed = Renewed { at: now, until, by: by.filter(|by| !by.is_empty()) };
        kept::save_renewal(&*self.world.store, &self.name, &renewed)?;
        let renewals = kept::renewals(&*self.world.store, &self.name)?;
        *self.renewals.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewals);
        self.change(now, |state| {
            state.today.note(now, Event::Renewed { until, by: renewed.by.clone() });
            self.tell_of_renewal(state, now);
        })?;
        let by = renewed.by.as_deref().unwrap_or_default();
        tracing::info!(mirror = self.name, %until, by, "what a mirror lives on was renewed");
        Ok(self.status())
    }

    pub(super) fn history(&self) -> Result<Vec<HistoryRow>> {
        let state = self.state();
        let mut rows = state.today.rows();
        rows.extend(kept::history(&*self.world.store, &self.name, &state.today, self.world.clock.now())?);
        Ok(rows)
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        let found = found(&state, self.watched().definition.max_lag, self.world.clock.now());
        Standing { condition: state.shown(), since: state.since, last_in_sync: state.last_in_sync, found }
    }

    pub(super) fn status(&self) -> MirrorStatus {
        let (watched, state) = (self.watched(), self.state());
        let (definition, now) = (&watched.definition, self.world.clock.now());
        MirrorStatus {
            name: self.name.clone(),
            kind: definition.kind.word().to_owned(),
            source: definition.source(),
            mirror: definition.mirror(),
            condition: state.shown(),
            since: state.since,
            summary: letter::summary(definition, &state, now),
            difference: state.difference.clone(),
            error: state.error.clone(),
            last_attempt: state.last_attempt,
            last_success: state.last_success,
            last_in_sync: state.last_in_sync,
            next_check: self.next_check(),
            check_every_seconds: definition.check_every.as_secs(),
            max_lag_seconds: definition.max_lag.as_secs(),
            renewal: self.renewal(definition, now),
            undelivered: self.world.outbox.undelivered(&self.name),
            notices: self.notices(),
        }
    }

    fn notices(&self) -> Vec<NoticeStatus> {
        let unsettled = self.world.outbox.unsettled(&self.name).into_iter();
        let mut notices: Vec<NoticeStatus> = unsettled.flat_map(NoticeStatus::of).collect();
        notices.drain(..notices.len().saturating_sub(SHOWN_NOTICES));
        notices
    }

    fn renewal(&self, definition: &MirrorDefinition, now: DateTime<Utc>) -> Option<RenewalStatus> {
        let history = self.renewals.read().unwrap_or_else(PoisonError::into_inner).clone();
        let has_mail = self.world.outbox.reaches_owners();
        definition.renewal.as_ref().map(|renewal| renewal::status(renewal, &history, has_mail, now))
    }
}
