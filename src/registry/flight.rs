//! One piece of work per key: whoever asks while it runs gets its result.
//! A courtesy to upstreams; correctness rests on the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::{Error, Result};

/// Where the result of some work will be.
pub(super) type Landing<T> = watch::Receiver<Option<Result<T>>>;

/// The work under way, the same for all clones.
pub struct Flights<T> {
    running: Arc<Mutex<HashMap<String, Landing<T>>>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Flights { running: Arc::default() }
    }
}

impl<T> Clone for Flights<T> {
    fn clone(&self) -> Self {
        Flights { running: self.running.clone() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Joins the flight of `key`, or starts `work` as a task of its own, so that a client
    /// who goes away takes nobody's answer along.
    pub async fn join<F>(&self, key: &str, work: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        landed(self.board(key, work)).await
    }

    /// The same, but of a flight that starts from now on: one under way may have asked too early.
    pub async fn join_next<F>(&self, key: &str, work: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(mut landing) = running {
            // It is off the board before it lands, so whatever is there afterwards started later.
            let _ = landing.wait_for(Option::is_some).await;
        }
        self.join(key, work).await
    }

    /// Starts the work unless it is under way, and waits for nothing.
    pub fn start<F>(&self, key: &str, work: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.board(key, work);
    }

    fn board<F>(&self, key: &str, work: impl FnOnce() -> F) -> Landing<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = running.get(key) {
            return landing.clone();
        }
        let (land, landing) = watch::channel(None);
        running.insert(key.to_owned(), landing.clone());
        // A runtime that is being shut down drops the task as it is spawned, and its guard takes this lock.
        drop(running);
        let guard = Guard { running: self.running.clone(), key: key.to_owned() };
        let work = work();
        tokio::spawn(async move {
            let result = work.await;
            drop(guard);
            land.send_replace(Some(result));
        });
        landing
    }
}

/// Waits for a result. Where none comes the task panicked, or the runtime dropped it.
pub(super) async fn landed<T: Clone>(mut landing: Landing<T>) -> Result<T> {
    let landed = landing.wait_for(Option::is_some).await.map(|landed| landed.clone());
    landed.ok().flatten().unwrap_or_else(|| Err(Error::internal("the work on this request was cut short")))
}

/// Takes a flight off the board, also when its task panics.
struct Guard<T> {
    running: Arc<Mutex<HashMap<String, Landing<T>>>>,
    key: String,
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn many_askers_start_one_flight() {
        let flights = Arc::new(Flights::<usize>::default());
        let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let mut askers = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (flights, started, gate) = (flights.clone(), started.clone(), gate.clone());
            askers.spawn(async move {
                let work = || async move {
                    started.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.expect("open").forget();
                    Ok(7)
                };
                flights.join("key", work).await
            });
        }
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // This runtime has one thread and a queue: after one more turn all fifty have asked.
        tokio::task::yield_now().await;
        gate.add_permits(1);
        while let Some(result) = askers.join_next().await {
            assert_eq!(result.expect("no panic").expect("answer"), 7);
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_asker_who_goes_away_leaves_the_flight_alone() {
        let flights = Arc::new(Flights::<usize>::default());
        let gate = Arc::new(Semaphore::new(0));
        let leader = {
            let (flights, gate) = (flights.clone(), gate.clone());
            tokio::spawn(async move {
                let work = || async move {
                    gate.acquire().await.expect("open").forget();
                    Ok(1)
                };
                flights.join("key", work).await
            })
        };
        while flights.running.lock().expect("lock").is_empty() {
            tokio::task::yield_now().await;
        }
        leader.abort();
        assert!(leader.await.expect_err("aborted").is_cancelled());
        let second = flights.join("key", || async { Ok(2) });
        gate.add_permits(1);
        assert_eq!(second.await.expect("the first flight's answer"), 1);
        assert_eq!(flights.join("key", || async { Ok(3) }).await.expect("a new flight"), 3);
    }

    #[tokio::test]
    async fn who_wants_a_later_flight_is_not_told_what_one_under_way_finds() {
        let flights = Arc::new(Flights::<usize>::default());
        let gate = Arc::new(Semaphore::new(0));
        let at = gate.clone();
        flights.start("key", || async move {
            at.acquire().await.expect("open").forget();
            Ok(1)
        });
        let late = tokio::spawn({
            let flights = flights.clone();
            async move { flights.join_next("key", || async { Ok(2) }).await }
        });
        tokio::task::yield_now().await;
        gate.add_permits(1);
        assert_eq!(late.await.expect("no panic").expect("the later flight's answer"), 2);
        assert_eq!(flights.join_next("key", || async { Ok(3) }).await.expect("nobody is at it"), 3);
    }

    #[tokio::test]
    async fn a_flight_that_panics_frees_its_key_and_its_passengers() {
        let flights = Flights::<usize>::default();
        let error = flights.join("key", || async { panic!("as the test wants it") }).await.expect_err("no answer");
        assert_eq!(error.kind(), crate::error::Kind::Internal);
        assert_eq!(flights.join("key", || async { Ok(1) }).await.expect("a new flight"), 1);
    }

    #[test]
    fn a_flight_that_can_no_longer_start_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let handle = runtime.handle().clone();
        drop(runtime);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _within = handle.enter();
            let flights = Flights::<usize>::default();
            flights.start("key", || async { Ok(1) });
            let _ = done.send(flights.running.lock().expect("lock").is_empty());
        });
        assert_eq!(is_done.recv_timeout(std::time::Duration::from_secs(60)), Ok(true), "the key is free");
    }
}
