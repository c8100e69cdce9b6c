//! How many requests may be under way to one host, and who goes first where no connection stands yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// So many hosts are remembered before those without a request under way are forgotten.
const REMEMBERED: usize = 1024;

/// A connection that was used so lately stands: the pool closes it after a longer rest.
const STANDS: Duration = Duration::from_secs(60);

/// So long others wait for the first answer of a host.
const LEAD: Duration = Duration::from_millis(500);

/// At most so many requests per host at a time.
#[derive(Debug)]
pub(super) struct Gates {
    each: usize,
    lead: Duration,
    stands: Duration,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

/// The way to one host.
#[derive(Debug)]
struct Gate {
    room: Arc<Semaphore>,
    /// Held by who goes first: requests that set out together before HTTP/2 is agreed on would each open a connection.
    lead: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
}

/// What is known of a host's connections.
#[derive(Debug, Default)]
struct Known {
    /// When it last answered, or was too slow for the others to wait.
    since: Option<Instant>,
    /// It speaks HTTP/1.1: every request under way has a connection of its own.
    is_single: bool,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    lead: Option<OwnedMutexGuard<()>>,
    _room: OwnedSemaphorePermit,
}

impl Gates {
    pub(super) fn new(each: usize) -> Gates {
        Gates { each: each.max(1), lead: LEAD, stands: STANDS, gates: Mutex::default() }
    }

    /// Waits for room. Where one connection may carry many requests, the first goes alone until it is answered.
    pub(super) async fn enter(&self, host: &str, may_share: bool) -> Pass {
        let gate = self.gate(host);
        let room = Arc::clone(&gate.room).acquire_owned().await.expect("a gate is never closed");
        let mut pass = Pass { gate, lead: None, _room: room };
        if may_share && !pass.gate.may_go(self.stands) {
            match timeout(self.lead, Arc::clone(&pass.gate.lead).lock_owned()).await {
                Ok(lead) => pass.lead = Some(lead).filter(|_| !pass.gate.may_go(self.stands)),
                // Who comes later need not wait either.
                Err(_) => pass.gate.known().since = Some(Instant::now()),
            }
        }
        pass
    }

    fn gate(&self, host: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= REMEMBERED {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let new = || {
            let room = Arc::new(Semaphore::new(self.each));
            Arc::new(Gate { room, lead: Arc::default(), known: Mutex::default() })
        };
        Arc::clone(gates.entry(host.to_owned()).or_insert_with(new))
    }
}

impl Gate {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody need go first.
    fn may_go(&self, stands: Duration) -> bool {
        let known = self.known();
        known.is_single || known.since.is_some_and(|since| since.elapsed() < stands)
    }
}

impl Pass {
    /// The host has answered: its connection stands, and the others may go.
    pub(super) fn answered(&mut self, version: Version) {
        *self.gate.known() = Known { since: Some(Instant::now()), is_single: version != Version::HTTP_2 };
        self.lead = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    /// Longer than who need not wait takes.
    const SOON: Duration = Duration::from_millis(50);

    fn gates(each: usize, lead: Duration, stands: Duration) -> Gates {
        Gates { lead, stands, ..Gates::new(each) }
    }

    #[tokio::test]
    async fn the_first_goes_alone_until_it_is_answered() {
        let gates = gates(8, LONG, LONG);
        let mut first = gates.enter("far.test", true).await;
        assert!(timeout(SOON, gates.enter("far.test", true)).await.is_err(), "the second waits");
        assert!(gates.enter("other.test", true).await.lead.is_some(), "another host is another matter");
        first.answered(Version::HTTP_2);
        let second = gates.enter("far.test", true).await;
        assert!(second.lead.is_none() && gates.enter("far.test", true).await.lead.is_none());
    }

    #[tokio::test]
    async fn a_first_one_that_is_slow_holds_nobody_up_for_long() {
        let gates = gates(8, SOON, LONG);
        let first = gates.enter("far.test", true).await;
        assert!(gates.enter("far.test", true).await.lead.is_none());
        assert!(first.lead.is_some());
        let others = async {
            for _ in 0..100 {
                gates.enter("far.test", true).await;
            }
        };
        assert!(timeout(50 * SOON, others).await.is_ok(), "and not one after the other");
    }

    #[tokio::test]
    async fn who_goes_first_and_fails_lets_the_next_one_try() {
        let gates = gates(8, LONG, LONG);
        let first = gates.enter("far.test", true).await;
        let (second, ()) = tokio::join!(gates.enter("far.test", true), async { drop(first) });
        assert!(second.lead.is_some());
    }

    #[tokio::test]
    async fn after_a_rest_one_goes_first_again() {
        let gates = gates(8, LONG, Duration::ZERO);
        gates.enter("far.test", true).await.answered(Version::HTTP_2);
        assert!(gates.enter("far.test", true).await.lead.is_some());
    }

    #[tokio::test]
    async fn where_no_connection_is_shared_nobody_goes_first_again() {
        let gates = gates(8, LONG, Duration::ZERO);
        gates.enter("far.test", true).await.answered(Version::HTTP_11);
        assert!(gates.enter("far.test", true).await.lead.is_none());
    }

    #[tokio::test]
    async fn who_shares_no_connection_waits_for_room_alone() {
        let gates = gates(2, LONG, LONG);
        let both = (gates.enter("far.test", false).await, gates.enter("far.test", false).await);
        assert!(timeout(SOON, gates.enter("far.test", false)).await.is_err(), "there is room for two");
        drop(both);
        gates.enter("far.test", false).await;
    }
}
