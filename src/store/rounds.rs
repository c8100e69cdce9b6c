//! A costly call that many threads want at once, made once for all of them.

use std::sync::{Condvar, Mutex, PoisonError};

use super::turns::locked;

/// Many threads want the same costly call at once: one round serves all who asked before it began.
#[derive(Default)]
pub(super) struct Rounds {
    state: Mutex<RoundsState>,
    ended: Condvar,
}

#[derive(Default)]
struct RoundsState {
    begun: u64,
    /// The newest round that went well.
    done: u64,
    running: bool,
}

impl Rounds {
    pub(super) fn run<E>(&self, call: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut state = locked(&self.state);
        let wanted = state.begun + 1;
        while state.running {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            if state.done >= wanted {
                return Ok(());
            }
        }
        state.begun += 1;
        state.running = true;
        let round = state.begun;
        drop(state);
        let result = call();
        let mut state = locked(&self.state);
        state.running = false;
        if result.is_ok() {
            state.done = round;
        }
        drop(state);
        self.ended.notify_all();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_round_covers_all_that_was_written_before_it() {
        let rounds = Rounds::default();
        let written = AtomicU64::new(0);
        let synced = AtomicU64::new(0);
        let calls = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            let now = written.load(Ordering::SeqCst);
                            std::thread::yield_now();
                            synced.fetch_max(now, Ordering::SeqCst);
                            Ok::<(), Infallible>(())
                        };
                        rounds.run(sync).expect("synced");
                        assert!(synced.load(Ordering::SeqCst) >= mine, "returned before its write was covered");
                    }
                });
            }
        });
        assert!(calls.load(Ordering::SeqCst) <= 800);
    }

    #[test]
    fn a_failed_round_is_told_and_the_next_one_runs() {
        let rounds = Rounds::default();
        let failed = rounds.run(|| Err(io::Error::other("no"))).expect_err("told");
        assert_eq!(failed.to_string(), "no");
        let mut ran = false;
        rounds
            .run(|| {
                ran = true;
                Ok::<(), Infallible>(())
            })
            .expect("ran");
        assert!(ran);
    }
}
