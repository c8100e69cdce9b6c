//! Until when something holds that is renewed now.

use chrono::{Days, NaiveDate};

use super::definition::Period;
use super::status::{MirrorStatus, RenewalStatus};
use crate::error::{Error, Result};

impl MirrorStatus {
    /// The last day of a renewal: the one that is said, else the one that its period leads to. A day that is over, or no
    /// later than the one that counts now, is most likely a slip of the pen: only with `force`.
    pub fn renewed_until(&self, said: Option<NaiveDate>, force: bool) -> Result<NaiveDate> {
        let Some(renewal) = &self.renewal else {
            let error = Error::conflict(format!("mirror {} has nothing that is renewed", self.name));
            return Err(error.remedy("say what lapses when by `renewal` of the mirror in the configuration"));
        };
        let until = match said {
            Some(until) => until,
            None => return renewal.next_term(),
        };
        if force {
            return Ok(until);
        }
        let today = renewal.today();
        let way_out = "force writes it down all the same; of this date and the file's the later one counts";
        if until < today {
            return Err(Error::gone(format!("{until} is over (expected a day from {today} on)")).remedy(way_out));
        }
        if until <= renewal.due {
            let what = format!("{until} is no later than what counts now (expected a day after {})", renewal.due);
            return Err(Error::gone(what).remedy(way_out));
        }
        Ok(until)
    }
}

impl RenewalStatus {
    /// The end of the first period, counted from the date that counts now, that is not over.
    fn next_term(&self) -> Result<NaiveDate> {
        let Some(every) = self.every.as_deref().and_then(|every| every.parse::<Period>().ok()) else {
            let error = Error::gone("nobody says until when it holds").about("until");
            return Err(error.remedy("name the last day, or write `every` into the renewal in the configuration"));
        };
        let today = self.today();
        let mut until = Some(self.due);
        while let Some(day) = until {
            until = every.after(day);
            if until.is_some_and(|until| until >= today) {
                break;
            }
        }
        until.ok_or_else(|| Error::gone("the next period ends beyond the calendar").about("until"))
    }

    fn today(&self) -> NaiveDate {
        let days = Days::new(self.days_left.unsigned_abs());
        let today = if self.days_left < 0 { self.due.checked_add_days(days) } else { self.due.checked_sub_days(days) };
        today.unwrap_or(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    fn status(due: &str, days_left: i64, every: Option<&str>) -> MirrorStatus {
        let renewal = RenewalStatus {
            what: "subscription".to_owned(),
            due: day(due),
            days_left,
            is_overdue: days_left < 0,
            every: every.map(str::to_owned),
            owner: None,
            is_owner_told: false,
            url: None,
            history: Vec::new(),
        };
        MirrorStatus { name: "a".to_owned(), renewal: Some(renewal), ..MirrorStatus::default() }
    }

    #[test]
    fn a_period_is_counted_from_the_day_that_counts_until_it_is_not_over() {
        let table = [
            ("in time", "2027-02-01", 12, "1y", "2028-02-01"),
            ("on the day", "2027-02-01", 0, "1y", "2028-02-01"),
            ("a little late", "2027-02-01", -40, "1y", "2028-02-01"),
            ("three years late", "2024-02-01", -1096, "1y", "2027-02-01"),
            ("months", "2027-01-31", 5, "1m", "2027-02-28"),
        ];
        for (row, due, left, every, expected) in table {
            let found = status(due, left, Some(every)).renewed_until(None, false).expect(row);
            assert_eq!(found, day(expected), "{row}");
        }
        let error = status("2027-02-01", 5, None).renewed_until(None, false).expect_err("no period");
        assert_eq!(error.to_string().lines().next(), Some("until: nobody says until when it holds"));
    }

    #[test]
    fn a_day_that_is_most_likely_a_slip_of_the_pen_wants_force() {
        let status = status("2027-02-01", 31, Some("1y"));
        let table = [
            ("2026-12-31", "2026-12-31 is over (expected a day from 2027-01-01 on)"),
            ("2027-01-31", "2027-01-31 is no later than what counts now (expected a day after 2027-02-01)"),
            ("2027-02-01", "2027-02-01 is no later than what counts now (expected a day after 2027-02-01)"),
        ];
        for (said, expected) in table {
            assert_eq!(status.renewed_until(Some(day(said)), false).expect_err(said).what(), expected);
            assert_eq!(status.renewed_until(Some(day(said)), true).expect("forced"), day(said));
        }
        assert_eq!(status.renewed_until(Some(day("2027-02-02")), false).expect("later"), day("2027-02-02"));
    }
}
