//! What an upstream was asked, what was answered from what is kept of it, and how it is doing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::entry::Freshness;
use crate::error::{Error, Kind, Result};

/// Since the start. Numbers only: whoever reads one takes no lock.
#[derive(Debug, Default, Serialize)]
pub struct Counters {
    /// Answers by their freshness.
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub stale: AtomicU64,
    pub revalidated: AtomicU64,
    /// How often the upstream was asked, be it for an answer or whether one still holds.
    pub asked: AtomicU64,
    /// How often it failed.
    pub failures: AtomicU64,
    /// How often it had no answer.
    pub absences: AtomicU64,
    /// Released versions that came back different.
    pub changes: AtomicU64,
    /// Files that the checksum database knows otherwise.
    pub mismatches: AtomicU64,
    /// Bytes of the answers given.
    pub bytes: AtomicU64,
}

/// How an upstream is doing, by the last times it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<DateTime<Utc>>,
    /// The words of the last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Since the last success.
    pub consecutive_failures: u64,
    /// How long the last answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// Both together.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub counters: Counters,
    health: Mutex<Health>,
}

impl Watch {
    /// Notes what a question to the upstream came to; `false` if it failed.
    pub fn note<T>(&self, result: &Result<T>, took: Duration, now: DateTime<Utc>) -> bool {
        add(&self.counters.asked, 1);
        let failure = result.as_ref().err().filter(|error| is_failure(error));
        if failure.is_some() {
            add(&self.counters.failures, 1);
        } else if result.is_err() {
            add(&self.counters.absences, 1);
        }
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => {
                health.last_failure = Some(now);
                health.failure = Some(error.chain());
                health.consecutive_failures += 1;
            }
            None => {
                health.last_success = Some(now);
                health.consecutive_failures = 0;
            }
        }
        health.latency_ms = u64::try_from(took.as_millis()).ok();
        failure.is_none()
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Counters {
    pub(super) fn answered(&self, freshness: Freshness, bytes: u64) {
        let counter = match freshness {
            Freshness::Absent => &self.misses,
            Freshness::Fresh => &self.hits,
            Freshness::Stale => &self.stale,
            Freshness::Revalidated => &self.revalidated,
        };
        add(counter, 1);
        add(&self.bytes, bytes);
    }
}

pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// Whoever says no has answered.
fn is_failure(error: &Error) -> bool {
    !error.is_absence() && !matches!(error.kind(), Kind::Forbidden | Kind::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_answer_and_a_failure_is_none() {
        let watch = Watch::default();
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let took = Duration::from_millis(7);
        watch.note(&Ok(()), took, now);
        watch.note::<()>(&Err(Error::not_found("unknown module")), took, now);
        watch.note::<()>(&Err(Error::forbidden("not for you")), took, now);
        assert_eq!(watch.health().consecutive_failures, 0);
        for _ in 0..2 {
            watch.note::<()>(&Err(Error::bad_gateway("timed out")), took, now);
        }
        let health = watch.health();
        assert_eq!((health.consecutive_failures, health.failure.as_deref()), (2, Some("timed out")));
        assert_eq!((health.last_failure, health.latency_ms), (Some(now), Some(7)));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { asked, failures, absences, .. } = &watch.counters;
        assert_eq!((count(asked), count(failures), count(absences)), (5, 2, 2));
        watch.note(&Ok(()), took, now);
        assert_eq!(watch.health().consecutive_failures, 0);
    }
}
