//! A moment as people name it: how long ago, a day, or to the second.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::error::{Error, Result};

/// Reads `30d`, `2026-11-21` or `2026-11-21T17:58:05Z`.
pub fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| chrono::Duration::from_std(ago).ok());
    ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        Error::gone(format!("{text:?} (expected a time such as 30d, 2026-11-21 or 2026-11-21T17:58:05Z)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_a_day_or_a_second() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let read = |text: &str| moment(text, now).expect(text).to_rfc3339();
        assert_eq!(read("30d"), "2026-12-16T08:00:00+00:00");
        assert_eq!(read("2026-11-21"), "2026-11-21T00:00:00+00:00");
        assert_eq!(read("2026-11-21T17:58:05+01:00"), "2026-11-21T16:58:05+00:00");
        for text in ["", "soon", "-1d", "2026-13-01", "9999999999999y"] {
            let error = moment(text, now).expect_err(text);
            assert!(error.what().ends_with("(expected a time such as 30d, 2026-11-21 or 2026-11-21T17:58:05Z)"));
        }
    }
}
