//! How many scheduled checks run at a time, so that a host that is silent costs only its own mirrors their turn.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many run at a time.
const ALL: usize = 16;

/// So many of them may be about hosts that did not answer when they were asked last. A check of one may last until
/// time is up; hundreds of mirrors on it must not keep all places for as long.
const DOUBTFUL: usize = 4;

/// Places for checks, and the hosts that are silent.
#[derive(Default)]
pub(super) struct Places {
    inner: Mutex<Inner>,
    /// A place is free, or a host is not silent any more.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    all: usize,
    doubtful: usize,
    silent: BTreeSet<String>,
}

/// Is given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    is_doubtful: bool,
}

impl Places {
    /// Waits for one for a check that speaks to these hosts.
    pub(super) async fn take(self: &Arc<Places>, hosts: &[String]) -> Place {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Whoever leaves from now on is noticed.
            changed.as_mut().enable();
            if let Some(place) = self.try_take(hosts) {
                return place;
            }
            changed.await;
        }
    }

    fn try_take(self: &Arc<Places>, hosts: &[String]) -> Option<Place> {
        let mut inner = self.inner();
        let is_doubtful = hosts.iter().any(|host| inner.silent.contains(host));
        if inner.all >= ALL || (is_doubtful && inner.doubtful >= DOUBTFUL) {
            return None;
        }
        inner.all += 1;
        inner.doubtful += usize::from(is_doubtful);
        Some(Place { places: self.clone(), is_doubtful })
    }

    /// What a check found of a host.
    pub(super) fn note(&self, host: &str, is_silent: bool) {
        let mut inner = self.inner();
        let is_news = match is_silent {
            true => inner.silent.insert(host.to_owned()),
            false => inner.silent.remove(host),
        };
        drop(inner);
        if is_news {
            self.changed.notify_waiters();
        }
    }

    #[cfg(test)]
    pub(super) fn is_silent(&self, host: &str) -> bool {
        self.inner().silent.contains(host)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.inner();
        inner.all -= 1;
        inner.doubtful -= usize::from(self.is_doubtful);
        drop(inner);
        self.places.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_silent_host_keeps_a_few_places_and_leaves_the_others() {
        let places = Arc::new(Places::default());
        places.note("dead.example", true);
        let dead = hosts(&["git.example", "dead.example"]);
        let mut taken: Vec<Place> = (0..).map_while(|_| places.try_take(&dead)).collect();
        assert_eq!(taken.len(), DOUBTFUL);
        let alive = hosts(&["git.example", "alive.example"]);
        taken.extend((0..).map_while(|_| places.try_take(&alive)));
        assert_eq!(taken.len(), ALL, "the same source, another mirror");
        drop(taken);
        places.note("dead.example", false);
        assert_eq!((0..).map_while(|_| places.try_take(&dead)).collect::<Vec<_>>().len(), ALL, "it answers again");
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_a_place_is_free_or_a_host_answers() {
        let places = Arc::new(Places::default());
        places.note("dead.example", true);
        let dead = hosts(&["dead.example"]);
        let mut taken: Vec<Place> = (0..).map_while(|_| places.try_take(&dead)).collect();
        let mut waiting = Box::pin(places.take(&dead));
        assert!((&mut waiting).now_or_never().is_none());
        taken.pop();
        let place = (&mut waiting).now_or_never().expect("a place is free");
        let mut waiting = Box::pin(places.take(&dead));
        assert!((&mut waiting).now_or_never().is_none());
        places.note("dead.example", false);
        assert!((&mut waiting).now_or_never().is_some(), "it answers");
        drop(place);
    }
}
