//! How a mirror stands, and what people were told of it: all that has to outlast a kill.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::history::Day;
use super::status::{Difference, Renewed};
use crate::ports::{Condition, Letter};

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
    /// How many checks in a row found it well, or not.
    pub run: u32,
    /// What people were told of, and is not over.
    pub trouble: Option<Trouble>,
    /// The last one that is over.
    pub recovery: Option<Recovery>,
    pub last_attempt: Option<DateTime<Utc>>,
    pub last_success: Option<DateTime<Utc>>,
    pub last_in_sync: Option<DateTime<Utc>>,
    /// Why the last attempt came to nothing, or to less than it should.
    pub error: Option<String>,
    /// How many attempts in a row came to nothing.
    pub failures: u32,
    pub difference: Option<Difference>,
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
    /// Days ahead, of the last letter; below zero: that it is overdue.
    pub told: Option<i64>,
    pub told_at: Option<DateTime<Utc>>,
    pub reminders: u32,
    pub next_reminder: Option<DateTime<Utc>>,
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
            trouble: None,
            recovery: None,
            last_attempt: None,
            last_success: None,
            last_in_sync: None,
            error: None,
            failures: 0,
            difference: None,
            renewal: None,
            today: Day::new(now.date_naive()),
        }
    }
}

/// The latest date to which something was renewed, of a history whose newest stands first.
pub fn renewed_until(history: &[Renewed]) -> Option<NaiveDate> {
    history.iter().map(|renewed| renewed.until).max()
}
