//! What has to be renewed by when, and when people are told of it. Days are those of UTC; on the day itself it holds.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::definition::Renewal;
use super::state::{RenewalMark, State};
use super::status::{RenewalStatus, Renewed};
use super::telling::{REMIND_OF_UNCERTAIN, Tidings, reminder_after};

/// Days ahead on which people are told, the least urgent first.
const AHEAD: [i64; 4] = [30, 14, 7, 1];

/// How urgent it is once it has lapsed.
const OVERDUE: i64 = -1;

/// How it stands at a moment. Of what was renewed the newest counts, so that a slip can be put right, and of that and
/// the configuration the later date.
pub fn status(renewal: &Renewal, history: &[Renewed], has_mail: bool, now: DateTime<Utc>) -> RenewalStatus {
    let due = history.first().map_or(renewal.date, |newest| newest.until.max(renewal.date));
    let days_left = (due - now.date_naive()).num_days();
    RenewalStatus {
        what: renewal.what.clone(),
        due,
        days_left,
        is_overdue: days_left < 0,
        every: renewal.every.map(|every| every.to_string()),
        owner: renewal.owner.clone(),
        is_owner_told: has_mail && renewal.owner.is_some(),
        url: renewal.url.clone(),
        history: history.to_vec(),
    }
}

/// What is to be told of it now. `is_uncertain` says that nobody knows whether the last letter arrived.
pub fn tell(state: &mut State, due: NaiveDate, is_uncertain: bool, now: DateTime<Utc>) -> Option<Tidings> {
    if state.is_paused {
        return None;
    }
    let days_left = (due - now.date_naive()).num_days();
    let stage = stage(days_left);
    // A letter of a day that is long to come: the clock was ahead. What it told is to be told again when it is true.
    let before = state.renewal.take().map(|mark| {
        let is_ahead = mark.due == due && mark.told.is_some_and(|told| days_left > told + 1);
        if is_ahead { RenewalMark::new(due, stage) } else { mark }
    });
    let was_told = before.as_ref().is_some_and(|mark| mark.told.is_some());
    match before {
        Some(mark) if mark.due == due => {
            let (mark, tidings) = go_on(mark, stage, is_uncertain, now);
            state.renewal = Some(mark);
            tidings
        }
        Some(mark) if mark.due < due => {
            // Who has just renewed it knows how long it holds.
            state.renewal = Some(RenewalMark::new(due, stage));
            was_told.then_some(Tidings::Renewed { was_due: mark.due })
        }
        _ => {
            let (mark, tidings) = go_on(RenewalMark::new(due, None), stage, false, now);
            state.renewal = Some(mark);
            tidings
        }
    }
}

/// Whether `tell` may have something to say or to note, without changing anything.
pub fn is_due(state: &State, due: NaiveDate, is_uncertain: bool, now: DateTime<Utc>) -> bool {
    !state.is_paused && {
        let mut copy = State { renewal: state.renewal.clone(), ..State::new(String::new(), String::new(), now) };
        tell(&mut copy, due, is_uncertain, now).is_some() || copy.renewal != state.renewal
    }
}

/// When there may be something to tell next: with the next day, or with the next reminder.
pub fn next(state: &State, is_uncertain: bool, now: DateTime<Utc>) -> DateTime<Utc> {
    let tomorrow = now.date_naive().succ_opt().unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN).and_utc();
    let reminder = state.renewal.as_ref().and_then(|mark| mark.due_reminder(is_uncertain));
    reminder.map_or(tomorrow, |reminder| reminder.min(tomorrow))
}

impl RenewalMark {
    fn new(due: NaiveDate, told: Option<i64>) -> RenewalMark {
        RenewalMark { due, told, overdue_told_at: None, next_reminder: None, reminders: 0, letter: String::new() }
    }

    /// Sooner where nobody knows whether the letter arrived.
    fn due_reminder(&self, is_uncertain: bool) -> Option<DateTime<Utc>> {
        let sooner = self.overdue_told_at.filter(|_| is_uncertain && self.reminders == 0);
        self.next_reminder.map(|next| sooner.map_or(next, |told| next.min(told + REMIND_OF_UNCERTAIN)))
    }
}

/// The least number of days ahead that is not over yet; `None` where it is long until then.
fn stage(days_left: i64) -> Option<i64> {
    match days_left {
        ..0 => Some(OVERDUE),
        _ => AHEAD.into_iter().rev().find(|ahead| days_left <= *ahead),
    }
}

fn go_on(
    mark: RenewalMark,
    stage: Option<i64>,
    is_uncertain: bool,
    now: DateTime<Utc>,
) -> (RenewalMark, Option<Tidings>) {
    let Some(urgency) = stage else { return (mark, None) };
    let is_news = mark.told.is_none_or(|told| urgency < told);
    match (urgency == OVERDUE, is_news) {
        (false, true) => (RenewalMark { told: stage, ..mark }, Some(Tidings::RenewalDue)),
        (true, true) => {
            let next_reminder = Some(reminder_after(now, now));
            let mark = RenewalMark { told: stage, overdue_told_at: Some(now), next_reminder, reminders: 0, ..mark };
            (mark, Some(Tidings::RenewalOverdue))
        }
        (true, false) if mark.due_reminder(is_uncertain).is_none_or(|next| now >= next) => {
            let told = mark.overdue_told_at.unwrap_or(now);
            let next_reminder = Some(reminder_after(told, now));
            let tidings = mark.next_reminder.map(|_| Tidings::RenewalReminder);
            let reminders = mark.reminders + 1;
            (RenewalMark { overdue_told_at: Some(told), next_reminder, reminders, ..mark }, tidings)
        }
        _ => (mark, None),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::monitor::doubles::moment;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    /// Every day on which something is told, with what.
    fn told(state: &mut State, due: NaiveDate, from: &str, days: i64) -> Vec<(String, Tidings)> {
        let from = moment(&format!("{from} 00:10"));
        let mut told = Vec::new();
        for now in (0..days).map(|days| from + TimeDelta::days(days)) {
            assert_eq!(is_due(state, due, false, now), {
                let mut copy = state.clone();
                tell(&mut copy, due, false, now);
                copy.renewal != state.renewal
            });
            told.extend(tell(state, due, false, now).map(|tidings| (now.date_naive().to_string(), tidings)));
        }
        told
    }

    fn fresh() -> State {
        State::new(String::new(), String::new(), moment("2027-01-01 00:00"))
    }

    #[test]
    fn each_stage_is_told_once_and_what_lapsed_is_reminded_of_ever_less() {
        let told = told(&mut fresh(), day("2027-03-01"), "2027-01-01", 110);
        let expected = [
            ("2027-01-30", Tidings::RenewalDue),
            ("2027-02-15", Tidings::RenewalDue),
            ("2027-02-22", Tidings::RenewalDue),
            ("2027-02-28", Tidings::RenewalDue),
            // The day itself still holds.
            ("2027-03-02", Tidings::RenewalOverdue),
            ("2027-03-03", Tidings::RenewalReminder),
            ("2027-03-05", Tidings::RenewalReminder),
            ("2027-03-09", Tidings::RenewalReminder),
            ("2027-03-23", Tidings::RenewalReminder),
            ("2027-04-06", Tidings::RenewalReminder),
            ("2027-04-20", Tidings::RenewalReminder),
        ];
        assert_eq!(told, expected.map(|(day, tidings)| (day.to_owned(), tidings)));
    }

    #[test]
    fn what_is_seen_late_is_told_once_and_not_for_every_stage_that_went_by() {
        let due = [("2027-03-01", "2027-02-20", 1), ("2027-03-01", "2027-05-01", 1), ("2027-03-01", "2027-01-01", 0)];
        for (date, from, expected) in due {
            assert_eq!(told(&mut fresh(), day(date), from, 1).len(), expected, "{date} seen on {from}");
        }
    }

    #[test]
    fn who_renewed_it_is_not_told_at_once_that_it_is_due() {
        let mut state = fresh();
        told(&mut state, day("2027-03-01"), "2027-01-30", 1);
        let after = told(&mut state, day("2027-03-10"), "2027-02-10", 30);
        let expected = [
            ("2027-02-10", Tidings::Renewed { was_due: day("2027-03-01") }),
            ("2027-02-24", Tidings::RenewalDue),
            ("2027-03-03", Tidings::RenewalDue),
            ("2027-03-09", Tidings::RenewalDue),
            ("2027-03-11", Tidings::RenewalOverdue),
        ];
        assert_eq!(after, expected.map(|(day, tidings)| (day.to_owned(), tidings)));
    }

    #[test]
    fn the_later_of_file_and_store_counts_and_of_the_store_the_newest() {
        let renewal =
            Renewal { what: "subscription".to_owned(), date: day("2027-02-01"), every: None, owner: None, url: None };
        let renewed = |until: &str| Renewed { at: moment("2027-01-01 00:00"), until: day(until), by: None };
        let due = |history: &[Renewed]| status(&renewal, history, false, moment("2027-02-01 23:59"));
        assert_eq!((due(&[]).due, due(&[]).days_left, due(&[]).is_overdue), (day("2027-02-01"), 0, false));
        assert_eq!(due(&[renewed("2028-02-01")]).due, day("2028-02-01"));
        assert_eq!(due(&[renewed("2026-02-01")]).due, day("2027-02-01"));
        assert_eq!(due(&[renewed("2028-02-01"), renewed("2072-02-01")]).due, day("2028-02-01"), "a slip put right");
    }
}
