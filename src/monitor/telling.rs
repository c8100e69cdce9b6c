//! What people are told of a mirror's condition, and when: once for what lasts, not for what comes and goes.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::state::{Recovery, State, Trouble};
use crate::ports::Condition;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tidings {
    /// It is not well.
    Trouble,
    /// It is not well in another way than was told.
    Changed {
        was: Condition,
    },
    Reminder,
    Recovered(Recovered),
    /// It has to be renewed soon.
    RenewalDue,
    RenewalOverdue,
    RenewalReminder,
    Renewed {
        was_due: NaiveDate,
    },
}

impl Tidings {
    /// Whether they are about what has to be renewed, and not about how the mirror is found.
    pub fn is_of_renewal(&self) -> bool {
        use Tidings::{RenewalDue, RenewalOverdue, RenewalReminder, Renewed};
        matches!(self, RenewalDue | RenewalOverdue | RenewalReminder | Renewed { .. })
    }
}

/// A trouble that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub was: Condition,
    /// Whether it was told as refused at some time: who heard that it began hears that it is over.
    pub was_told_refused: bool,
    pub since: DateTime<Utc>,
    /// The first check that found it well.
    pub until: DateTime<Utc>,
    pub relapses: u32,
}

/// Days after a letter on which its reminders come, then one every fortnight.
const REMIND_AFTER: [i64; 3] = [1, 3, 7];
const REMIND_EVERY: i64 = 14;

/// Instead of the first day where nobody knows whether the letter arrived.
pub(super) const REMIND_OF_UNCERTAIN: TimeDelta = TimeDelta::hours(1);

/// So many checks in a row have to find it well before that is told.
const WELL: u32 = 3;

/// With each time that it comes back it has to be well twice as long, up to so many times.
const MOST_DOUBLED: u32 = 4;

/// A trouble that comes back within this time is the same that comes and goes.
const SOON: TimeDelta = TimeDelta::hours(24);

/// So many checks in a row that find it not well, in whatever way, are enough.
const UNWELL: u32 = 5;

/// So many checks in a row have to find a condition before it is told.
fn confirmed_by(condition: Condition) -> u32 {
    match condition {
        // A network is away for some minutes now and then.
        Condition::Unreachable => UNWELL,
        _ => 2,
    }
}

/// Whether the next check should come sooner: what was found is not certain enough to tell it.
pub fn is_unconfirmed(state: &State) -> bool {
    let is_told = state.trouble.as_ref().is_some_and(|trouble| trouble.was_told(state.condition));
    state.condition.is_bad() && !is_told && state.streak < UNWELL
}

/// What a check gives to tell; the state has taken it in already.
pub fn after_check(state: &mut State, at: DateTime<Utc>) -> Option<Tidings> {
    let condition = state.condition;
    match (state.trouble.take(), condition.is_bad()) {
        (None, false) => None,
        (None, true) => {
            let is_certain = state.streak >= confirmed_by(condition) || state.run >= UNWELL;
            is_certain.then(|| open(state, at))
        }
        (Some(mut trouble), true) => {
            if state.run == 1 {
                trouble.relapses += 1;
            }
            let is_other = condition != trouble.condition && state.streak >= confirmed_by(condition);
            let was = trouble.condition;
            let tidings = is_other.then(|| trouble.turn(condition, at)).flatten();
            state.trouble = Some(trouble);
            tidings.map(|()| Tidings::Changed { was })
        }
        (Some(trouble), false) if state.run >= held(&trouble) => {
            state.recovery = Some(Recovery { at, returns: trouble.returns });
            let until = state.run_since.unwrap_or(at);
            let was_told_refused = trouble.was_told(Condition::Refused);
            let (was, since, relapses) = (trouble.condition, trouble.since, trouble.relapses);
            Some(Tidings::Recovered(Recovered { was, was_told_refused, since, until, relapses }))
        }
        (Some(trouble), false) => {
            state.trouble = Some(trouble);
            None
        }
    }
}

/// The reminder that is due by the clock. `is_fresh` says whether the state is from a check of late: nobody is reminded of what
/// may be over.
pub fn reminder(state: &mut State, is_uncertain: bool, is_fresh: bool, at: DateTime<Utc>) -> Option<Tidings> {
    let is_bad = state.condition.is_bad();
    let trouble = state.trouble.as_mut()?;
    if at < due(trouble, is_uncertain) || !is_bad || !is_fresh || state.is_paused {
        return None;
    }
    trouble.reminders += 1;
    trouble.next_reminder = reminder_after(trouble.told_at, at);
    Some(Tidings::Reminder)
}

/// When somebody is reminded next; `None` where there is nothing to remind of.
pub fn next_reminder(state: &State, is_uncertain: bool) -> Option<DateTime<Utc>> {
    let trouble = state.trouble.as_ref().filter(|_| state.condition.is_bad() && !state.is_paused)?;
    Some(due(trouble, is_uncertain))
}

/// The first reminder of what was told at `told` that comes after `at`.
pub fn reminder_after(told: DateTime<Utc>, at: DateTime<Utc>) -> DateTime<Utc> {
    let last = REMIND_AFTER[REMIND_AFTER.len() - 1];
    let later = (1..).map(|nth| last + nth * REMIND_EVERY);
    let mut moments = REMIND_AFTER.into_iter().chain(later).map(|days| told + TimeDelta::days(days));
    moments.find(|moment| *moment > at).expect("there is always a later one")
}

/// No reminder is further away.
pub fn latest_reminder(at: DateTime<Utc>) -> DateTime<Utc> {
    at + TimeDelta::days(REMIND_EVERY)
}

fn due(trouble: &Trouble, is_uncertain: bool) -> DateTime<Utc> {
    match is_uncertain && trouble.reminders == 0 {
        true => trouble.next_reminder.min(trouble.told_at + REMIND_OF_UNCERTAIN),
        false => trouble.next_reminder,
    }
}

fn open(state: &mut State, at: DateTime<Utc>) -> Tidings {
    let recent = state.recovery.take().filter(|recovery| at - recovery.at < SOON);
    state.trouble = Some(Trouble {
        condition: state.condition,
        since: state.run_since.unwrap_or(at),
        told: vec![(state.condition, at)],
        told_at: at,
        reminders: 0,
        next_reminder: reminder_after(at, at),
        relapses: 0,
        returns: recent.map_or(0, |recovery| recovery.returns + 1),
        letter: String::new(),
    });
    Tidings::Trouble
}

/// For how many checks it has to be well.
fn held(trouble: &Trouble) -> u32 {
    WELL << (trouble.relapses + trouble.returns).min(MOST_DOUBLED)
}

impl Trouble {
    fn was_told(&self, condition: Condition) -> bool {
        self.told.iter().any(|(told, _)| *told == condition)
    }

    /// It is not well in another way from now on; nothing if that was told of late already.
    fn turn(&mut self, condition: Condition, at: DateTime<Utc>) -> Option<()> {
        self.condition = condition;
        let before = self.told.iter().position(|(told, _)| *told == condition);
        let is_news = before.is_none_or(|index| at - self.told[index].1 > SOON);
        if let Some(index) = before.filter(|_| is_news) {
            self.told.remove(index);
        }
        is_news.then(|| {
            self.told.push((condition, at));
            (self.told_at, self.reminders, self.next_reminder) = (at, 0, reminder_after(at, at));
        })
    }
}

#[cfg(test)]
mod tests;
