//! Answers that are kept in memory for a while, and asked for by one at a time.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::ports::Clock;

/// How many answers are kept.
const KEPT: usize = 4096;

/// An answer and until when it holds.
type Cell<T> = Arc<Mutex<Option<(DateTime<Utc>, Result<T>)>>>;

pub(super) struct Memory<T> {
    cells: Cache<String, Cell<T>>,
    clock: Arc<dyn Clock>,
}

impl<T: Clone> Memory<T> {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Memory<T> {
        Memory { cells: Cache::new(KEPT), clock }
    }

    /// The kept answer, or that of `ask`, which is kept for as long as `validity` says. Who comes while somebody
    /// asks waits; should the asker go away, the next one asks.
    pub(super) async fn get(
        &self,
        key: &str,
        validity: impl FnOnce(&Result<T>) -> Duration,
        ask: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let cell = self.cells.get_or_insert_with(key, || Ok::<_, Infallible>(Cell::default()));
        let Ok(cell) = cell;
        let mut kept = cell.lock().await;
        if let Some((until, answer)) = kept.as_ref()
            && self.clock.now() < *until
        {
            return answer.clone();
        }
        let answer = ask.await;
        let validity = TimeDelta::from_std(validity(&answer)).unwrap_or(TimeDelta::MAX);
        if validity.is_zero() {
            *kept = None;
            return answer;
        }
        let until = self.clock.now().checked_add_signed(validity).unwrap_or(DateTime::<Utc>::MAX_UTC);
        *kept = Some((until, answer.clone()));
        answer
    }
}
