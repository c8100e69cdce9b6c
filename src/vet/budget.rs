//! How much may be held at once by all who build zips: bytes, not files.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Memory that is shared out in the order in which it is asked for.
///
/// Who holds some must be able to end without more; then everybody's turn comes.
pub struct Budget {
    bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    used: u64,
    /// The number of the next who asks, and of the next who gets.
    next: u64,
    served: u64,
}

/// A share, given back when dropped.
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(bytes: u64) -> Budget {
        Budget { bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until so many bytes are free. Who wants more than there are at all gets them when nobody holds any.
    pub fn take(&self, bytes: u64) -> Share<'_> {
        if bytes == 0 {
            return Share { budget: self, bytes };
        }
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        while state.served != number || (state.used > 0 && state.used.saturating_add(bytes) > self.bytes) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.served += 1;
        state.used += bytes;
        self.changed.notify_all();
        Share { budget: self, bytes }
    }

    /// A panic elsewhere leaves nothing half-made here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.state().used -= self.bytes;
            self.budget.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_is_held_than_there_is_unless_by_one_alone() {
        let budget = Budget::new(100);
        let held = AtomicU64::new(0);
        thread::scope(|scope| {
            for number in 0..8_u64 {
                let (budget, held) = (&budget, &held);
                scope.spawn(move || {
                    for round in 0..200_u64 {
                        let bytes = 1 + (number * 37 + round * 11) % 139;
                        let share = budget.take(bytes);
                        let all = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(all <= 100 || all == bytes, "{all} bytes held");
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(budget.state().used, 0);
    }

    #[test]
    fn what_is_larger_than_all_is_not_passed_by() {
        let budget = Budget::new(10);
        let first = budget.take(6);
        thread::scope(|scope| {
            let large = scope.spawn(|| drop(budget.take(1000)));
            while budget.state().next < 2 {
                thread::yield_now();
            }
            // It would fit, but came later.
            let small = scope.spawn(|| {
                drop(budget.take(1));
                budget.state().served
            });
            while budget.state().next < 3 {
                thread::yield_now();
            }
            assert_eq!(budget.state().served, 1, "both wait");
            drop(first);
            large.join().expect("it came");
            assert_eq!(small.join().expect("it came"), 3);
        });
    }
}
