//! How a mirror stands, and what people were told of it: all that has to outlast a kill.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::history::Day;
use super::status::Difference;
use super::telling::{latest_reminder, reminder_after};
use crate::ports::{Condition, Letter, Side};

/// A mirror's state, saved whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whose it is: another address under the same name is another mirror.
    pub source: String,
    pub mirror: String,
    /// Letters are numbered from here on; a state that was lost does not number them like the one before it.
    pub born: DateTime<Utc>,
    /// When its mirror left the configuration.
    pub left: Option<DateTime<Utc>>,
    pub is_paused: bool,
    /// How many letters there were.
    pub letters: u64,
    /// Letters that are not in the outbox for certain. They are saved with what they tell: what was decided is told
    /// once, wherever a kill comes between.
    pub unposted: Vec<Unposted>,
    /// As the last check found it, and since when it is so.
    pub condition: Condition,
    pub since: Option<DateTime<Utc>>,
    /// How many checks in a row found it so.
    pub streak: u32,
    /// How many checks in a row found it well, or not well, and since when.
    pub run: u32,
    pub run_since: Option<DateTime<Utc>>,
    /// What people were told of, and is not over.
    pub trouble: Option<Trouble>,
    /// The last one that is over.
    pub recovery: Option<Recovery>,
    pub last_attempt: Option<DateTime<Utc>>,
    pub last_success: Option<DateTime<Utc>>,
    pub last_in_sync: Option<DateTime<Utc>>,
    /// Why the last attempt came to nothing, or to less than it should.
    pub error: Option<String>,
    /// The side on which the last attempt came to nothing.
    pub failed: Option<Side>,
    pub difference: Option<Difference>,
    /// When it is looked at next.
    pub next_check: Option<DateTime<Utc>>,
    /// What was told of a renewal.
    pub renewal: Option<RenewalMark>,
    pub today: Day,
}

/// A letter and who is to have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unposted {
    pub letter: Letter,
    pub channels: Option<Vec<String>>,
}

/// A mirror that is not well, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// As it was told last.
    pub condition: Condition,
    /// Since when it is not well.
    pub since: DateTime<Utc>,
    /// All that was told of it, and when last.
    pub told: Vec<(Condition, DateTime<Utc>)>,
    /// When `condition` was told, from where reminders count.
    pub told_at: DateTime<Utc>,
    pub reminders: u32,
    pub next_reminder: DateTime<Utc>,
    /// How often it was well in between, and not for long enough.
    pub relapses: u32,
    /// How often a trouble had come back soon after the one before it, when this one began.
    pub returns: u32,
    /// The last letter's id.
    pub letter: String,
}

/// A trouble that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    pub at: DateTime<Utc>,
    /// How often a trouble came back soon after the one before it.
    pub returns: u32,
}

/// What was told of what has to be renewed by a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalMark {
    pub due: NaiveDate,
    /// How urgent the last letter was: 30, 14, 7, 1 days ahead; below zero: overdue.
    pub told: Option<i64>,
    /// When it was told to be overdue.
    pub overdue_told_at: Option<DateTime<Utc>>,
    pub next_reminder: Option<DateTime<Utc>>,
    pub reminders: u32,
    /// The last letter's id.
    pub letter: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub condition: Condition,
    /// `None` where not both sides were reached; within, `None` where they are the same.
    pub difference: Option<Option<Difference>>,
    pub error: Option<String>,
    pub failed: Option<Side>,
}

/// A condition that is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: Condition,
    pub to: Condition,
}

impl State {
    pub fn new(source: String, mirror: String, now: DateTime<Utc>) -> State {
        State {
            source,
            mirror,
            born: now,
            left: None,
            is_paused: false,
            letters: 0,
            unposted: Vec::new(),
            condition: Condition::Unchecked,
            since: None,
            streak: 0,
            run: 0,
            run_since: None,
            trouble: None,
            recovery: None,
            last_attempt: None,
            last_success: None,
            last_in_sync: None,
            error: None,
            failed: None,
            difference: None,
            next_check: None,
            renewal: None,
            today: Day::new(now.date_naive()),
        }
    }

    /// As others are to see it.
    pub fn shown(&self) -> Condition {
        if self.is_paused { Condition::Paused } else { self.condition }
    }

    /// Takes in what a check at `at` found.
    pub fn observe(&mut self, found: Found, at: DateTime<Utc>) -> Option<Change> {
        let (from, to) = (self.condition, found.condition);
        let is_first_of_run = self.run == 0 || from.is_bad() != to.is_bad();
        (self.run, self.run_since) =
            if is_first_of_run { (1, Some(at)) } else { (self.run.saturating_add(1), self.run_since) };
        self.streak = if from == to { self.streak.saturating_add(1) } else { 1 };
        if from != to {
            (self.condition, self.since) = (to, Some(at));
        }
        self.last_attempt = Some(at);
        self.today.checks += 1;
        match found.difference {
            Some(difference) => {
                self.last_success = Some(at);
                if to == Condition::InSync {
                    self.last_in_sync = Some(at);
                }
                self.count(difference.as_ref(), at);
                self.difference = difference;
            }
            None => self.today.failures += 1,
        }
        (self.error, self.failed) = (found.error, found.failed);
        (from != to).then_some(Change { from, to })
    }

    /// The day's worst.
    fn count(&mut self, difference: Option<&Difference>, at: DateTime<Utc>) {
        let Some(difference) = difference else { return };
        self.today.most_behind_refs = self.today.most_behind_refs.max(difference.behind_refs);
        let lag = difference.since.map_or(0, |since| (at - since).num_seconds());
        self.today.longest_lag_seconds = self.today.longest_lag_seconds.max(u64::try_from(lag).unwrap_or_default());
    }

    /// After a clock that was ahead was set right: nothing was found or told in the future, and nobody waits for it.
    pub fn set_back(&mut self, now: DateTime<Utc>) {
        let moments = [&mut self.since, &mut self.run_since, &mut self.last_attempt, &mut self.last_success];
        for at in moments.into_iter().chain([&mut self.last_in_sync]).flatten() {
            *at = now.min(*at);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.at = now.min(recovery.at);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.since = now.min(trouble.since);
            trouble.told.iter_mut().for_each(|(_, at)| *at = now.min(*at));
            if trouble.told_at > now {
                (trouble.told_at, trouble.next_reminder) = (now, reminder_after(now, now));
            }
            trouble.next_reminder = trouble.next_reminder.min(latest_reminder(now));
        }
        if let Some(mark) = &mut self.renewal {
            mark.overdue_told_at = mark.overdue_told_at.map(|at| now.min(at));
            mark.next_reminder = mark.next_reminder.map(|next| next.min(latest_reminder(now)));
        }
    }

    /// The next letter's id, which no other one ever had.
    pub fn number_letter(&mut self, name: &str) -> String {
        self.letters += 1;
        format!("{name}-{}-{}", self.born.timestamp(), self.letters)
    }
}
