//! What became of a mirror day by day: what happened, and how its checks went.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::Condition;

/// For so many days it is kept.
pub const DAYS: u64 = 90;

/// So much of what happened is kept of one day: a mirror that comes and goes all day tells nothing new.
const EVENTS_A_DAY: usize = 64;

/// Something that happened, or a day that went by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A check found it otherwise than the one before.
    Changed { from: Condition, to: Condition, summary: String },
    /// People were told.
    Told { letter: String, subject: String },
    /// It was synced by hand.
    Synced { updated: u64, refused: u64, error: Option<String> },
    /// What had to be renewed was.
    Renewed { until: NaiveDate, by: Option<String> },
    /// How the checks of a day went; it stands at the end of the day's rows.
    Day { checks: u64, failures: u64, most_behind_refs: u64, longest_lag_seconds: u64, left_out: u64 },
}

/// One day, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    pub day: NaiveDate,
    pub checks: u64,
    pub failures: u64,
    pub most_behind_refs: u64,
    pub longest_lag_seconds: u64,
    /// In the order in which it happened.
    pub rows: Vec<HistoryRow>,
    /// How many more there were.
    pub left_out: u64,
}

impl Day {
    pub fn new(day: NaiveDate) -> Day {
        Day { day, ..Day::default() }
    }

    pub fn note(&mut self, at: DateTime<Utc>, event: Event) {
        if self.rows.len() < EVENTS_A_DAY {
            self.rows.push(HistoryRow { at, event });
        } else {
            self.left_out += 1;
        }
    }

    /// The newest first.
    pub fn rows(&self) -> Vec<HistoryRow> {
        let at = self.rows.last().map_or_else(|| self.day.and_time(chrono::NaiveTime::MIN).and_utc(), |row| row.at);
        let event = Event::Day {
            checks: self.checks,
            failures: self.failures,
            most_behind_refs: self.most_behind_refs,
            longest_lag_seconds: self.longest_lag_seconds,
            left_out: self.left_out,
        };
        let summary = (self.checks > 0 || self.left_out > 0).then_some(HistoryRow { at, event });
        summary.into_iter().chain(self.rows.iter().rev().cloned()).collect()
    }
}
