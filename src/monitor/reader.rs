//! Who reads from a mirror: whether it may, and how what it reads is marked. Rules: docs/alternates.md.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::state::State;
use crate::error::{Error, Result};
use crate::ports::{Condition, Mirrors, OnStale, Reading, Staleness, Standing, Via};

/// An upstream before one of the mirrors that it reads from.
pub struct Reader {
    pub upstream: String,
    pub mirror: String,
    pub reading: Reading,
    pub on_stale: OnStale,
    /// Not all that is read is ever compared with the source.
    pub in_part: bool,
    mirrors: Arc<dyn Mirrors>,
    /// As the log last said.
    told: Mutex<Option<Condition>>,
}

impl Reader {
    pub fn new(upstream: &str, mirror: &str, reading: Reading, on_stale: OnStale, mirrors: Arc<dyn Mirrors>) -> Reader {
        let (upstream, mirror) = (upstream.to_owned(), mirror.to_owned());
        Reader { upstream, mirror, reading, on_stale, in_part: false, mirrors, told: Mutex::default() }
    }

    /// The same of a mirror of which not all is compared: what is not is never known to be what its source has.
    pub fn in_part(self, in_part: bool) -> Reader {
        Reader { in_part, ..self }
    }

    /// How what is read now is to be marked; `Kind::BadGateway` where nothing is to be read.
    pub fn may_read(&self) -> Result<Via> {
        let standing = self.mirrors.standing(&self.mirror);
        let known = standing.as_ref().map_or(Condition::Unchecked, Standing::known);
        let since = standing.as_ref().and_then(|standing| standing.since);
        let as_of = standing.as_ref().and_then(|standing| standing.last_in_sync);
        let is_bad = matches!(known, Condition::Stale | Condition::Diverged);
        if is_bad && self.on_stale == OnStale::Refuse {
            self.tell(known, "what would be read from it is refused");
            return Err(self.refusal(known, since));
        }
        let is_marked = match self.reading {
            Reading::Always => is_bad,
            Reading::Instead => known != Condition::InSync,
        };
        if self.reading == Reading::Always {
            self.tell(known, if is_bad { "what is read from it is marked" } else { "it is read" });
        }
        let stale = match is_marked {
            true => Some(Staleness { condition: known, since }),
            false if self.in_part && self.reading == Reading::Instead => {
                Some(Staleness { condition: Condition::Unchecked, since: None })
            }
            false => None,
        };
        Ok(Via { mirror: self.mirror.clone(), reading: self.reading, stale, as_of })
    }

    fn refusal(&self, known: Condition, since: Option<DateTime<Utc>>) -> Error {
        let since = since.map(|since| format!(" since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true)));
        let (upstream, mirror, since) = (&self.upstream, &self.mirror, since.unwrap_or_default());
        Error::bad_gateway(format!("mirror {mirror} is {}{since} (expected in sync)", known.words()))
            .remedy(format!("what is the matter with it: modvet mirror status {mirror}"))
            .remedy(format!("to read from it all the same: on_stale = \"warn\" for upstream {upstream}"))
    }

    /// One line for every change, and none for a mirror that is well from the start.
    fn tell(&self, known: Condition, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == Some(known) {
            return;
        }
        let is_bad = matches!(known, Condition::Stale | Condition::Diverged);
        let was_bad = matches!(told.replace(known), Some(Condition::Stale | Condition::Diverged));
        let (upstream, mirror, condition) = (&self.upstream, &self.mirror, known.as_str());
        match (is_bad, was_bad) {
            (true, _) => tracing::warn!(upstream, mirror, condition, "the mirror is not what its source is: {what}"),
            (false, true) => tracing::info!(upstream, mirror, condition, "the mirror is well again: {what}"),
            (false, false) => {}
        }
    }
}

/// What the last check that reached both sides found, by today.
pub(super) fn found(state: &State, max_lag: Duration, now: DateTime<Utc>) -> Condition {
    match (&state.difference, state.last_success) {
        (_, None) => Condition::Unchecked,
        (None, Some(_)) => Condition::InSync,
        (Some(difference), _) if difference.refs.iter().any(|reference| reference.is_diverged) => Condition::Diverged,
        (Some(difference), _) => {
            let lag = difference.since.and_then(|since| (now - since).to_std().ok());
            if lag.is_some_and(|lag| lag > max_lag) { Condition::Stale } else { Condition::Lagging }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Stands(Mutex<Option<Standing>>);

    impl Mirrors for Stands {
        fn standing(&self, mirror: &str) -> Option<Standing> {
            assert_eq!(mirror, "gitlab");
            self.0.lock().expect("no panic").clone()
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a moment")
    }

    fn said(reading: Reading, on_stale: OnStale, condition: Condition, found: Condition) -> String {
        let standing = Standing { condition, since: Some(at(0)), last_in_sync: None, found };
        let mirrors = Arc::new(Stands(Mutex::new(Some(standing))));
        match Reader::new("corp", "gitlab", reading, on_stale, mirrors).may_read() {
            Ok(via) => via.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_read_is_marked_as_the_mirror_stands() {
        use Condition as C;
        let (instead, always) = (Reading::Instead, Reading::Always);
        let (warn, refuse) = (OnStale::Warn, OnStale::Refuse);
        let since = "since=2027-01-15T08:00:00Z";
        let refusal = |words: &str| {
            format!(
                "mirror gitlab is {words} since 2027-01-15T08:00:00Z (expected in sync)\n\
                 what is the matter with it: modvet mirror status gitlab\n\
                 to read from it all the same: on_stale = \"warn\" for upstream corp"
            )
        };
        let table = [
            ("in sync", instead, warn, C::InSync, C::InSync, "gitlab".to_owned()),
            ("its source is out of reach", instead, refuse, C::Unreachable, C::InSync, "gitlab".to_owned()),
            (
                "it lagged until then",
                instead,
                refuse,
                C::Unreachable,
                C::Lagging,
                format!("gitlab; stale; condition=lagging; {since}"),
            ),
            ("lagging", instead, warn, C::Lagging, C::Lagging, format!("gitlab; stale; condition=lagging; {since}")),
            (
                "never checked",
                instead,
                warn,
                C::Unchecked,
                C::Unchecked,
                format!("gitlab; stale; condition=unchecked; {since}"),
            ),
            ("stale", instead, warn, C::Stale, C::Stale, format!("gitlab; stale; condition=stale; {since}")),
            ("stale, refused", instead, refuse, C::Stale, C::Stale, refusal("stale")),
            ("diverged, refused", always, refuse, C::Diverged, C::Diverged, refusal("diverged")),
            ("stale until it was out of reach", always, refuse, C::Unreachable, C::Stale, refusal("stale")),
            ("always, lagging", always, refuse, C::Lagging, C::Lagging, "gitlab".to_owned()),
            ("always, never checked", always, refuse, C::Unchecked, C::Unchecked, "gitlab".to_owned()),
            ("always, stale", always, warn, C::Stale, C::Stale, format!("gitlab; stale; condition=stale; {since}")),
        ];
        for (row, reading, on_stale, condition, found, expected) in table {
            assert_eq!(said(reading, on_stale, condition, found), expected, "{row}");
        }
    }

    #[test]
    fn a_mirror_whose_tags_nobody_compares_is_not_known_to_be_in_sync() {
        let is = |condition| Standing { condition, since: Some(at(0)), last_in_sync: Some(at(0)), found: condition };
        let said = |condition, reading| {
            let mirrors = Arc::new(Stands(Mutex::new(Some(is(condition)))));
            let reader = Reader::new("corp", "gitlab", reading, OnStale::Refuse, mirrors).in_part(true);
            reader.may_read().map_or_else(|error| error.what().to_owned(), |via| via.to_string())
        };
        assert_eq!(said(Condition::InSync, Reading::Instead), "gitlab; stale; condition=unchecked");
        assert_eq!(said(Condition::InSync, Reading::Always), "gitlab");
        let refused = "mirror gitlab is stale since 2027-01-15T08:00:00Z (expected in sync)";
        assert_eq!(said(Condition::Stale, Reading::Instead), refused);
    }

    #[test]
    fn a_mirror_that_nobody_watches_is_not_known_to_be_in_sync() {
        let mirrors = Arc::new(Stands(Mutex::new(None)));
        let reader = Reader::new("corp", "gitlab", Reading::Instead, OnStale::Refuse, mirrors);
        assert_eq!(reader.may_read().expect("read").to_string(), "gitlab; stale; condition=unchecked");
    }

    #[test]
    fn what_was_found_last_is_told_without_asking() {
        use crate::monitor::{Difference, RefDifference};
        let new = State::new("s".to_owned(), "m".to_owned(), at(0));
        let reached = State { last_success: Some(at(0)), ..new.clone() };
        let behind =
            State { difference: Some(Difference { since: Some(at(0)), ..Difference::default() }), ..reached.clone() };
        let moved = RefDifference {
            name: "refs/tags/v1.0.0".to_owned(),
            source: None,
            mirror: None,
            behind_commits: None,
            ahead_commits: None,
            is_diverged: true,
            since: None,
        };
        let diverged = Difference { refs: vec![moved], ..Difference::default() };
        let table = [
            ("nobody reached both", new, 0, Condition::Unchecked),
            ("no difference", reached.clone(), 0, Condition::InSync),
            ("behind for a minute", behind.clone(), 60, Condition::Lagging),
            ("behind for longer", behind, 61, Condition::Stale),
            ("a tag moved", State { difference: Some(diverged), ..reached }, 0, Condition::Diverged),
        ];
        for (row, state, now, expected) in table {
            assert_eq!(found(&state, MINUTE, at(now)), expected, "{row}");
        }
    }
}
