//! Whose turn it is to ask a server for its refs; who waited for a turn learns what came of the one before.
//! Must not know how anybody asks.
//! Rules: docs/reliability.md, "How long at once".

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::shared::lock;
use crate::error::{Error, Result};

/// One at a time.
#[derive(Default)]
pub struct Asking {
    failure: Mutex<Option<Error>>,
    failures: AtomicU64,
}

/// The turn of one.
pub struct Turn<'a> {
    failure: MutexGuard<'a, Option<Error>>,
    failures: &'a AtomicU64,
}

impl Asking {
    /// Waits for the turn.
    pub fn turn(&self) -> Turn<'_> {
        Turn { failure: lock(&self.failure), failures: &self.failures }
    }

    /// How often it has failed so far: to be looked at before one waits.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }
}

impl Turn<'_> {
    /// Why it failed for somebody else who was at it while this one waited. Whether that one began before does not
    /// matter: a failure is no fact that could have changed meanwhile and be served.
    pub fn failed_since(&self, failures: u64) -> Option<Error> {
        let has_failed = self.failures.load(Ordering::Acquire) > failures;
        has_failed.then(|| self.failure.clone()).flatten()
    }

    /// Takes down what came of it.
    pub fn note<T>(mut self, asked: Result<T>) -> Result<T> {
        *self.failure = asked.as_ref().err().cloned();
        if asked.is_err() {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_for_a_turn_learns_that_it_failed_and_who_comes_later_asks() {
        let asking = Asking::default();
        let waiting = asking.failures();
        let failed = asking.turn().note(Err::<(), _>(Error::bad_gateway("timed out")));
        assert_eq!(failed.expect_err("failed").what(), "timed out");
        let told = asking.turn().failed_since(waiting).expect("the failure of the one before");
        assert_eq!(told.what(), "timed out");
        assert!(asking.turn().failed_since(asking.failures()).is_none(), "it may be in reach again");
        asking.turn().note(Ok(())).expect("an answer");
        assert!(asking.turn().failed_since(waiting).is_none(), "it answers again");
    }
}
