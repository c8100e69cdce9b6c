//! How long a kept answer holds, and what is done when it does not.
//! Pure: what time it is, is said.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::entry::Meta;
use crate::ports::Reading;

/// How long answers hold without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Files of a version; `None`: they are never looked at again.
    pub content: Option<Duration>,
    /// Lists, latest, branches, hashes and verdicts on wrong versions.
    pub listing: Duration,
    /// Past `listing` and up to this age these are answered at once and renewed behind; with a `listing` of zero
    /// the upstream is always asked first.
    pub listing_max_stale: Duration,
    /// Absences, and failures where something stale is kept.
    pub absence: Duration,
    /// How long a request waits for the upstream where something is kept.
    pub patience: Duration,
}

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Default for Validity {
    fn default() -> Self {
        Validity {
            content: Some(24 * HOUR),
            listing: Duration::from_secs(60),
            listing_max_stale: 24 * HOUR,
            absence: Duration::from_secs(10),
            patience: Duration::from_millis(800),
        }
    }
}

/// What a kept answer is worth at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Answered without asking.
    Fresh,
    /// As fresh as can be, but the upstream now says something else: answered and marked.
    Differs,
    /// It was just read from a mirror that is not what its source is: answered and marked.
    Doubtful,
    /// Answered at once, and renewed behind.
    Aging,
    /// The upstream is asked first.
    Expired,
}

impl Validity {
    /// For a command that asks and ends: nobody would be there for what is renewed behind its answer, and it has time.
    pub fn of_command(self) -> Validity {
        Validity { listing_max_stale: Duration::ZERO, patience: 40 * self.patience, ..self }
    }

    /// Up to which age an answer that may change is given at once: neither longer than the configuration says nor than
    /// its upstream does.
    fn max_stale(&self, meta: &Meta) -> Duration {
        let said =
            meta.validators.stale_seconds.map(|seconds| self.listing.saturating_add(Duration::from_secs(seconds)));
        said.map_or(self.listing_max_stale, |said| said.min(self.listing_max_stale))
    }

    pub(super) fn standing(&self, meta: &Meta, now: DateTime<Utc>) -> Standing {
        // A time from the future says nothing: the clock was wrong, then or now.
        let since = |then: DateTime<Utc>| (now - then).to_std().ok();
        if meta.is_doubtful() {
            return match since(meta.checked_at) {
                Some(age) if age < self.absence => Standing::Doubtful,
                _ => Standing::Expired,
            };
        }
        if !meta.lasting {
            return match since(meta.checked_at) {
                Some(age) if age < self.listing => Standing::Fresh,
                Some(age) if !self.listing.is_zero() && age < self.max_stale(meta) => Standing::Aging,
                _ => Standing::Expired,
            };
        }
        let looked_at = meta.changed.as_ref().map_or(meta.checked_at, |changed| changed.seen_at.max(meta.checked_at));
        let content = match &meta.via {
            // What the source would have said is found out soon.
            Some(via) if via.reading == Reading::Instead => Some(self.listing),
            _ => self.content,
        };
        let holds = match content {
            Some(validity) => since(looked_at).is_some_and(|age| age < validity),
            None => true,
        };
        match (holds, &meta.changed) {
            (false, _) => Standing::Expired,
            (true, None) => Standing::Fresh,
            (true, Some(_)) => Standing::Differs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Condition, Staleness, Validators, Via};
    use crate::registry::change::{Changed, State};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a moment")
    }

    #[test]
    fn answers_age_by_their_kind() {
        let (day, year) = (24 * 3600, 365 * 24 * 3600);
        let default = Validity::default();
        let never = Validity { content: None, ..default };
        let always = Validity { listing: Duration::ZERO, ..default };
        let table = [
            ("a list within its minute", default, false, 59, Standing::Fresh),
            ("a list past its minute", default, false, 60, Standing::Aging),
            ("a list of a day", default, false, day, Standing::Expired),
            ("a list that is never fresh", always, false, 0, Standing::Expired),
            ("a list that a command asks for", default.of_command(), false, 60, Standing::Expired),
            ("a version within its day", default, true, day - 1, Standing::Fresh),
            ("a version past its day", default, true, day, Standing::Expired),
            ("a version that is never looked at again", never, true, year, Standing::Fresh),
            ("a list beside such versions", never, false, 60, Standing::Aging),
            ("from the future", default, true, -1, Standing::Expired),
            ("a list from the future", default, false, -1, Standing::Expired),
        ];
        for (row, validity, lasting, age, expected) in table {
            let meta = Meta::new(at(0), "text/plain", lasting);
            assert_eq!(validity.standing(&meta, at(age)), expected, "{row}");
        }
    }

    #[test]
    fn an_upstream_sets_a_tighter_limit_to_what_is_given_at_once_and_never_a_wider_one() {
        let day = 24 * 3600;
        let table = [
            ("nothing said", None, 60, Standing::Aging),
            ("nothing said, a day later", None, day, Standing::Expired),
            ("not at all", Some(0), 59, Standing::Fresh),
            ("not at all, past its minute", Some(0), 60, Standing::Expired),
            ("half a minute", Some(30), 89, Standing::Aging),
            ("half a minute, past it", Some(30), 90, Standing::Expired),
            ("a year, and a day later", Some(365 * 24 * 3600), day, Standing::Expired),
            ("for ever", Some(u64::MAX), 60, Standing::Aging),
        ];
        for (row, stale_seconds, age, expected) in table {
            let validators = Validators { stale_seconds, ..Validators::default() };
            let meta = Meta { validators, ..Meta::new(at(0), "text/plain", false) };
            assert_eq!(Validity::default().standing(&meta, at(age)), expected, "{row}");
            let command = Validity::default().of_command();
            assert!(age < 60 || command.standing(&meta, at(age)) == Standing::Expired, "{row}: a command asks");
        }
    }

    #[test]
    fn what_a_mirror_said_in_the_place_of_its_source_is_looked_at_soon() {
        let stale = Staleness { condition: Condition::Lagging, since: None };
        let via = |reading, stale| Via { mirror: "m".to_owned(), reading, stale, as_of: None };
        let table = [
            ("a list of one in sync", via(Reading::Instead, None), false, 59, Standing::Fresh),
            ("a version of one in sync", via(Reading::Instead, None), true, 59, Standing::Fresh),
            ("a version of one in sync past a minute", via(Reading::Instead, None), true, 60, Standing::Expired),
            ("a list of one that lags", via(Reading::Instead, Some(stale)), false, 9, Standing::Doubtful),
            ("a version of one that lags", via(Reading::Instead, Some(stale)), true, 9, Standing::Doubtful),
            (
                "a list of one that lags past the moment",
                via(Reading::Instead, Some(stale)),
                false,
                10,
                Standing::Expired,
            ),
            ("from the future", via(Reading::Instead, Some(stale)), true, -1, Standing::Expired),
            ("where nobody else is ever asked", via(Reading::Always, Some(stale)), true, 3600, Standing::Fresh),
        ];
        for (row, via, lasting, age, expected) in table {
            let meta = Meta { via: Some(via), ..Meta::new(at(0), "text/plain", lasting) };
            assert_eq!(Validity::default().standing(&meta, at(age)), expected, "{row}");
        }
    }

    #[test]
    fn what_differs_is_looked_at_as_seldom_as_what_is_the_same() {
        let validity = Validity::default();
        let mut meta = Meta::new(at(0), "text/plain", true);
        meta.changed = Some(Changed { seen_at: at(24 * 3600), found: State::default() });
        assert_eq!(validity.standing(&meta, at(24 * 3600)), Standing::Differs);
        assert_eq!(validity.standing(&meta, at(48 * 3600)), Standing::Expired);
        assert_eq!(Validity { content: None, ..validity }.standing(&meta, at(48 * 3600)), Standing::Differs);
    }
}
