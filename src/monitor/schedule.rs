//! When a mirror is looked at next: spread over the period, sooner where something has to be confirmed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Looks that are long overdue, after a start or a sleep, are spread over this.
const SOON: TimeDelta = TimeDelta::minutes(1);

/// The first look after one that found something bad which nobody was told yet.
const AGAIN: TimeDelta = TimeDelta::minutes(1);

/// The first look of one that was never looked at.
pub fn first(name: &str, every: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    soon(name, period(every), now)
}

/// The look after one at `now`: always at the same moment of the period, which the name chooses, so that hundreds of
/// mirrors are not looked at all at once.
pub fn next(name: &str, every: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    let every = period(every);
    slot(name, every, now + every / 2)
}

/// The look after the `nth` one in a row that found something bad which nobody was told yet.
pub fn again(name: &str, every: Duration, nth: u32, now: DateTime<Utc>) -> DateTime<Utc> {
    let delay = AGAIN * 2_i32.pow(nth.saturating_sub(1).min(10));
    (now + delay).min(next(name, every, now).max(now + period(every) / 2))
}

/// What is left of a plan after a start, or when the clock has jumped: nothing is put off beyond two periods, and what is long overdue
/// does not come all at once.
pub fn after_a_jump(name: &str, every: Duration, planned: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let every = period(every);
    let is_overdue = now - planned > every.max(SOON);
    let is_put_off = planned - now > every * 2;
    if is_overdue || is_put_off { soon(name, every, now) } else { planned }
}

fn soon(name: &str, every: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
    now + share(name, every.min(SOON))
}

/// The first moment of this name from `from` on.
fn slot(name: &str, every: TimeDelta, from: DateTime<Utc>) -> DateTime<Utc> {
    let every_millis = every.num_milliseconds();
    let offset = share(name, every).num_milliseconds();
    let into = (from.timestamp_millis() - offset).rem_euclid(every_millis);
    from + TimeDelta::milliseconds((every_millis - into) % every_millis)
}

/// A part of a period, always the same one for a name.
fn share(name: &str, of: TimeDelta) -> TimeDelta {
    let millis = u64::try_from(of.num_milliseconds()).unwrap_or_default().max(1);
    TimeDelta::milliseconds(i64::try_from(mix(name) % millis).unwrap_or_default())
}

/// FNV-1a: the same in every run and on every machine.
fn mix(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// At least a tenth of a second: without a pause there is no schedule.
fn period(every: Duration) -> TimeDelta {
    let longest = Duration::from_secs(366 * 24 * 3600);
    TimeDelta::from_std(every.clamp(Duration::from_millis(100), longest)).expect("a year fits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::doubles::moment;

    const QUARTER: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn five_hundred_mirrors_are_spread_over_the_period() {
        let now = moment("2027-02-01 00:00");
        let mut minutes = [0_u32; 15];
        for number in 0..500 {
            let name = format!("mirror-{number}");
            let planned = next(&name, QUARTER, now);
            let wait = planned - now;
            assert!(wait >= TimeDelta::seconds(450) && wait < TimeDelta::seconds(1350), "{name}: {wait}");
            minutes[usize::try_from(planned.timestamp() / 60 % 15).expect("small")] += 1;
            assert_eq!(next(&name, QUARTER, planned) - planned, TimeDelta::minutes(15), "{name}");
        }
        assert!(minutes.iter().all(|&count| (15..60).contains(&count)), "{minutes:?}");
    }

    #[test]
    fn what_has_to_be_confirmed_comes_sooner() {
        let now = moment("2027-02-01 00:00");
        let waits: Vec<i64> = (1..=5).map(|nth| (again("a", QUARTER, nth, now) - now).num_seconds()).collect();
        assert_eq!(waits[..3], [60, 120, 240]);
        assert!(waits.iter().all(|wait| *wait <= 1350), "{waits:?}");
        let often = Duration::from_secs(1);
        assert!(again("a", often, 9, now) - now <= TimeDelta::milliseconds(1500));
    }

    #[test]
    fn a_start_keeps_to_the_plan_and_looks_soon_at_what_is_overdue() {
        let now = moment("2027-02-01 12:00");
        let wait = |planned: &str| (after_a_jump("a", QUARTER, moment(planned), now) - now).num_seconds();
        assert_eq!(wait("2027-02-01 12:07"), 420);
        assert_eq!(wait("2027-02-01 11:55"), -300, "due, and that at once");
        assert!((0..60).contains(&wait("2027-01-20 00:00")));
        assert!((0..60).contains(&wait("2028-01-01 00:00")), "a clock that was set back");
        assert!((0..60).contains(&(first("a", QUARTER, now) - now).num_seconds()));
    }

    #[test]
    fn a_clock_that_jumps_causes_no_storm() {
        let now = moment("2027-02-01 12:00");
        let mut seconds = std::collections::BTreeSet::new();
        for number in 0..500 {
            let name = format!("mirror-{number}");
            let planned = next(&name, QUARTER, now);
            let after_sleep = now + TimeDelta::hours(8);
            let overdue = after_a_jump(&name, QUARTER, planned, after_sleep) - after_sleep;
            assert!(overdue >= TimeDelta::zero() && overdue < TimeDelta::minutes(1), "{name}: {overdue}");
            seconds.insert(overdue.num_seconds());
            let set_back = now - TimeDelta::days(300);
            assert!(after_a_jump(&name, QUARTER, planned, set_back) - set_back < TimeDelta::minutes(1), "{name}");
            assert_eq!(after_a_jump(&name, QUARTER, planned, planned), planned, "{name}");
        }
        assert!(seconds.len() > 30, "{}", seconds.len());
    }
}
