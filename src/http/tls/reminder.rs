//! When somebody has to be told that a certificate ends.

use chrono::{DateTime, TimeDelta, Utc};

/// From so long before the end on, once a day.
const AHEAD: TimeDelta = TimeDelta::days(30);
const AGAIN: TimeDelta = TimeDelta::days(1);

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// It ends in so many whole days.
    Ends(i64),
    /// It has ended.
    Ended,
}

/// Remembers when it told last, and whether that was the end.
#[derive(Debug, Default)]
pub(super) struct Reminder(Option<(DateTime<Utc>, bool)>);

impl Reminder {
    /// What is to be told now, if anything; asking is telling.
    pub fn due(&mut self, not_after: DateTime<Utc>, now: DateTime<Utc>) -> Option<Notice> {
        let left = not_after - now;
        let has_ended = left < TimeDelta::zero();
        // A clock that was set back tells once too often, and not never again.
        let was_told = |(told, ended)| ended == has_ended && told <= now && now - told < AGAIN;
        if left >= AHEAD || self.0.is_some_and(was_told) {
            return None;
        }
        self.0 = Some((now, has_ended));
        Some(if has_ended { Notice::Ended } else { Notice::Ends(left.num_days()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_told_once_a_day_in_the_last_month() {
        let end = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let mut reminder = Reminder::default();
        let hours = |hours: i64| TimeDelta::hours(hours);
        // hours before the end, what is told
        let table = [
            (31 * 24, None),
            (30 * 24, None),
            (30 * 24 - 1, Some(Notice::Ends(29))),
            (30 * 24 - 2, None),
            (29 * 24, None),
            (29 * 24 - 1, Some(Notice::Ends(28))),
            (7 * 24, Some(Notice::Ends(7))),
            (7 * 24 - 23, None),
            (12, Some(Notice::Ends(0))),
            (-12, Some(Notice::Ended)),
            (-13, None),
            (-36, Some(Notice::Ended)),
            // The clock was set back by a day.
            (-12, Some(Notice::Ended)),
        ];
        for (before, expected) in table {
            assert_eq!(reminder.due(end, end - hours(before)), expected, "{before} hours before");
        }
    }

    #[test]
    fn an_end_within_the_day_is_told_when_it_comes() {
        let end = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let mut reminder = Reminder::default();
        assert_eq!(reminder.due(end, end - TimeDelta::hours(1)), Some(Notice::Ends(0)));
        assert_eq!(reminder.due(end, end + TimeDelta::hours(1)), Some(Notice::Ended));
        assert_eq!(reminder.due(end, end + TimeDelta::hours(2)), None);
    }
}
