//! Times, stretches of time and numbers as people read them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// `2027-02-01 09:30 UTC`
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// `3 days`, `26 hours`, in the largest unit of which there are two.
pub fn stretch(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0).unsigned_abs();
    match seconds {
        0..120 => count(seconds, "second"),
        120..7200 => count(seconds / 60, "minute"),
        7200..172_800 => count(seconds / 3600, "hour"),
        _ => count(seconds / 86_400, "day"),
    }
}

/// `1 ref`, `2 refs`
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `in 14 days (2027-02-01)`, `tomorrow (…)`; of what is over `1 day ago (…)`.
pub fn day(days_left: i64, day: NaiveDate) -> String {
    let days = count(days_left.unsigned_abs(), "day");
    match days_left {
        ..0 => format!("{days} ago ({day})"),
        0 => format!("today ({day})"),
        1 => format!("tomorrow ({day})"),
        _ => format!("in {days} ({day})"),
    }
}

/// Some of many, and how many more there are.
pub fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>, all: u64, shown: usize) -> String {
    let mut words: Vec<String> = names.take(shown).map(str::to_owned).collect();
    let left_out = all.saturating_sub(words.len() as u64);
    if left_out > 0 {
        words.push(format!("{left_out} more"));
    }
    words.join(", ")
}
