//! Moments and stretches of time as people read them, and what else pages have in common.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::ports::Condition;

/// A moment, and how far it is from the one at which the page is made.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Moment {
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Moment {
        Moment { at, now }
    }

    /// Of what may never have been.
    pub fn of(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Moment> {
        at.map(|at| Moment { at, now })
    }
}

/// Digits and our own words: nothing that anybody else wrote.
impl HtmlSafe for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let shown = self.at.format("%Y-%m-%d %H:%M UTC");
        write!(f, "<time datetime=\"{exact}\">{shown}</time> <small>({})</small>", distance(self.at, self.now))
    }
}

fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let between = now - at;
    match between.abs() < TimeDelta::minutes(1) {
        true => "now".to_owned(),
        false if between > TimeDelta::zero() => format!("{} ago", stretch(between)),
        false => format!("in {}", stretch(-between)),
    }
}

/// As much of it as somebody wants to know.
fn stretch(length: TimeDelta) -> String {
    match (length.num_minutes(), length.num_hours()) {
        (minutes @ 0..=119, _) => format!("{minutes} min"),
        (_, hours @ 0..=47) => format!("{hours} hours"),
        _ => format!("{} days", length.num_days()),
    }
}

/// A setting in seconds: `15 min`, `24 hours`.
pub fn seconds(count: u64) -> String {
    match i64::try_from(count).ok().and_then(TimeDelta::try_seconds) {
        Some(length) if count >= 60 => stretch(length),
        _ => format!("{count} s"),
    }
}

/// `1 ref`, `2 refs`.
pub fn counted(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// A hash by its first twelve digits, as in pseudo-versions; anything else as it is.
pub fn shortened(text: Option<&str>) -> String {
    match text {
        None => "not there".to_owned(),
        Some(text) if text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => text[..12].to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// The class of a condition in the stylesheet: it only repeats what the word says.
pub fn class(condition: Condition) -> &'static str {
    match condition {
        Condition::InSync => "good",
        Condition::Lagging => "warn",
        Condition::Unchecked | Condition::Paused => "idle",
        Condition::Stale | Condition::Diverged | Condition::Unreachable | Condition::Refused => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_told_in_one_unit() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let table = [
            (0, "now"),
            (59, "now"),
            (-30, "now"),
            (60, "1 min ago"),
            (-7199, "in 119 min"),
            (7200, "2 hours ago"),
            (47 * 3600 + 3599, "47 hours ago"),
            (48 * 3600, "2 days ago"),
            (-400 * 86400, "in 400 days"),
        ];
        for (ago, expected) in table {
            assert_eq!(distance(now - TimeDelta::seconds(ago), now), expected, "{ago}");
        }
        assert_eq!((seconds(45), seconds(900), seconds(86400)), ("45 s".into(), "15 min".into(), "24 hours".into()));
    }
}
