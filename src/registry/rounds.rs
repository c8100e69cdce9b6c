//! Work that must begin after it was asked for: who comes while it runs waits for the next round, and all of them for
//! the same one. However many ask meanwhile, it is done twice: once for the first, and once for everybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::flight::{Landing, landed};
use crate::error::Result;

type Work<T> = Box<dyn FnOnce() -> BoxFuture<'static, Result<T>> + Send>;

/// What goes on for a key has a row, with the round that comes next if anybody waits for one.
type Running<T> = Arc<Mutex<HashMap<String, Option<Round<T>>>>>;

/// The rounds under way.
pub struct Rounds<T> {
    running: Running<T>,
}

/// What begins when the round before it has ended.
struct Round<T> {
    work: Work<T>,
    land: watch::Sender<Option<Result<T>>>,
    landing: Landing<T>,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Rounds { running: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Rounds<T> {
    /// What comes of a round that begins from now on. It goes on when nobody waits for it any more.
    pub async fn join(
        &self,
        key: &str,
        work: impl FnOnce() -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> Result<T> {
        landed(self.board(key, Box::new(work))).await
    }

    fn board(&self, key: &str, work: Work<T>) -> Landing<T> {
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(next)) = all.get(key) {
            return next.landing.clone();
        }
        let (land, landing) = watch::channel(None);
        let round = Round { work, land, landing: landing.clone() };
        match all.get_mut(key) {
            Some(next) => *next = Some(round),
            None => {
                all.insert(key.to_owned(), None);
                // A runtime that is being shut down drops the task right here, and what ends the round takes the lock.
                drop(all);
                begin(self.running.clone(), key.to_owned(), round);
            }
        }
        landing
    }
}

/// Runs a round as a task of its own, and then the one that waits for it, also where this one panics.
fn begin<T: Clone + Send + Sync + 'static>(running: Running<T>, key: String, round: Round<T>) {
    let Round { work, land, .. } = round;
    let after = After { running, key };
    let work = work();
    tokio::spawn(async move {
        let result = work.await;
        // Who asks once this is known is not to be told it again.
        drop(after);
        land.send_replace(Some(result));
    });
}

/// Begins the next round when it goes.
struct After<T: Clone + Send + Sync + 'static> {
    running: Running<T>,
    key: String,
}

impl<T: Clone + Send + Sync + 'static> Drop for After<T> {
    fn drop(&mut self) {
        let next = {
            let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let next = all.get_mut(&self.key).and_then(Option::take);
            if next.is_none() {
                all.remove(&self.key);
            }
            next
        };
        if let Some(next) = next {
            begin(self.running.clone(), std::mem::take(&mut self.key), next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Rounds that tell their number once they are let through the gate.
    #[derive(Clone)]
    struct Counted {
        rounds: Arc<Rounds<usize>>,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl Counted {
        fn new() -> Counted {
            Counted { rounds: Arc::default(), begun: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        async fn join(self) -> Result<usize> {
            let Counted { rounds, begun, gate } = self;
            let work = move || -> BoxFuture<'static, Result<usize>> {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                Box::pin(async move {
                    gate.acquire().await.expect("open").forget();
                    Ok(number)
                })
            };
            rounds.join("key", work).await
        }
    }

    #[tokio::test]
    async fn who_comes_while_it_runs_waits_for_the_next_round_with_all_others() {
        let counted = Counted::new();
        let first = tokio::spawn(counted.clone().join());
        while counted.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let late: Vec<_> = (0..50).map(|_| tokio::spawn(counted.clone().join())).collect();
        // This runtime has one thread and a queue: after one more turn all fifty have asked.
        tokio::task::yield_now().await;
        counted.gate.add_permits(2);
        assert_eq!(first.await.expect("no panic").expect("an answer"), 1);
        for late in late {
            assert_eq!(late.await.expect("no panic").expect("an answer"), 2, "it began after they asked");
        }
        assert_eq!(counted.begun.load(Ordering::SeqCst), 2);
        counted.gate.add_permits(1);
        assert_eq!(counted.clone().join().await.expect("an answer"), 3, "nobody was at it");
    }

    #[tokio::test]
    async fn a_round_that_panics_leaves_the_next_one_alone() {
        let rounds = Arc::new(Rounds::<usize>::default());
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let first = {
            let (rounds, gate, begun) = (rounds.clone(), gate.clone(), begun.clone());
            tokio::spawn(async move {
                let work = move || -> BoxFuture<'static, Result<usize>> {
                    begun.fetch_add(1, Ordering::SeqCst);
                    Box::pin(async move {
                        gate.acquire().await.expect("open").forget();
                        panic!("as the test wants it")
                    })
                };
                rounds.join("key", work).await
            })
        };
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let second = {
            let rounds = rounds.clone();
            tokio::spawn(async move { rounds.join("key", || Box::pin(async { Ok(2) })).await })
        };
        tokio::task::yield_now().await;
        gate.add_permits(1);
        assert_eq!(first.await.expect("no panic").expect_err("no answer").kind(), crate::error::Kind::Internal);
        assert_eq!(second.await.expect("no panic").expect("the second round"), 2);
    }
}
