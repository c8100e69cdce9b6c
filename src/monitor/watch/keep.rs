//! The watch by the clock: what is due is done, a few mirrors at a time, and nobody waits for a slow one.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::check::{Landing, Turn, landed};
use super::mirror::Mirror;
use super::{KEPT_AFTER, Watch};
use crate::error::Result;
use crate::monitor::{kept, schedule};
use crate::ports::Store;

/// A clock may jump while we wait, and a computer may sleep: the time is looked at this often at least.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What cannot be done at once is not tried without a pause.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Keeps an eye on the mirrors and brings the letters for as long as it runs.
pub async fn keep(watch: Arc<Watch>) {
    tokio::join!(keep_checking(&watch), keep_delivering(&watch));
}

async fn keep_checking(watch: &Watch) {
    loop {
        watch.start_due().await;
        tokio::select! {
            () = tokio::time::sleep(watch.wait_until(watch.next())) => {}
            () = watch.appointed.notified() => {}
            // Its next check is known only now.
            () = watch.world.landed.notified() => {}
        }
    }
}

async fn keep_delivering(watch: &Watch) {
    loop {
        // What is being sent goes on though nobody waits for it, so a slow channel does not keep new letters.
        tokio::select! {
            next = watch.world.outbox.deliver_due() => {
                let wait = next.map_or(LONGEST_WAIT, |next| watch.wait_until(next));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = watch.world.posted.notified() => {}
                }
            }
            () = watch.world.posted.notified() => {}
        }
    }
}

impl Watch {
    /// Does all that is due by the clock, and gives when the next is: checks, reminders, renewals, deliveries.
    pub async fn tick(&self) -> DateTime<Utc> {
        for landing in self.start_due().await {
            // What came of it is in its state, and in the log.
            drop(landed(landing).await);
        }
        let delivery = self.world.outbox.deliver_due().await;
        delivery.map_or(self.next(), |delivery| delivery.min(self.next()))
    }

    /// Starts the checks that are due, and does what needs none.
    pub(super) async fn start_due(&self) -> Vec<Landing> {
        let now = self.world.clock.now();
        self.tidy(now).await;
        let mut landings = Vec::new();
        for mirror in self.all() {
            let clock = mirror.clone();
            let done = match mirror.is_due_by_the_clock(now) {
                true => tokio::task::spawn_blocking(move || clock.by_the_clock(now)).await,
                false => Ok(Ok(())),
            };
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(mirror = mirror.name(), %error, "a mirror's state cannot be kept"),
                Err(error) => tracing::error!(mirror = mirror.name(), %error, "a mirror's reminders ended early"),
            }
            if mirror.is_due(now) {
                landings.push(mirror.fly(Turn::Scheduled));
            }
        }
        landings
    }

    /// When something is due next; of what is under way nobody knows yet.
    pub(super) fn next(&self) -> DateTime<Utc> {
        let now = self.world.clock.now();
        let checks = |mirror: &Arc<Mirror>| mirror.next_check().filter(|_| !mirror.is_under_way());
        let mirrors = self.all();
        let moments = mirrors.iter().flat_map(|mirror| checks(mirror).into_iter().chain(mirror.next_by_the_clock(now)));
        moments.min().unwrap_or(now + TimeDelta::days(1))
    }

    fn wait_until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.world.clock.now()).to_std().unwrap_or_default().clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }

    /// Once a day: forgets mirrors that left the configuration long ago.
    async fn tidy(&self, now: DateTime<Utc>) {
        let today = now.date_naive();
        if self.tidied.lock().unwrap_or_else(PoisonError::into_inner).replace(today) == Some(today) {
            return;
        }
        let store = self.world.store.clone();
        let tidied = tokio::task::spawn_blocking(move || forget(&*store, now));
        match tidied.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "mirrors that are gone cannot be forgotten"),
            Err(error) => tracing::error!(%error, "forgetting mirrors that are gone ended early"),
        }
    }
}

/// Blocking.
fn forget(store: &dyn Store, now: DateTime<Utc>) -> Result<()> {
    for (name, state) in kept::states(store)? {
        if state.and_then(|state| state.left).is_some_and(|left| now - left > KEPT_AFTER) {
            tracing::info!(mirror = name, "a mirror that left the configuration is forgotten");
            kept::remove(store, &name)?;
        }
    }
    Ok(())
}

impl Mirror {
    /// Whether it is to be checked now; a plan that a jump of the clock made senseless is made anew.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let Some(planned) = self.next_check().filter(|_| !self.is_under_way()) else { return false };
        let every = self.watched().definition.check_every;
        let plan = schedule::after_a_jump(self.name(), every, planned, now);
        if plan != planned {
            self.plan_check(Some(plan));
        }
        plan <= now
    }
}
