//! Bringing letters to their channels: one after the other on each lane, all lanes side by side.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::posted::{DeliveryState, Lane, PATIENCE, Posted, pause};
use super::queue::{self, Place};
use super::{Outbox, Tested};
use crate::error::{Error, Kind, Result};
use crate::ports::{Letter, Notifier};

/// A channel has limits of its own; who has none is waited for no longer.
const LONGEST_TRY: Duration = Duration::from_secs(300);

/// So long nothing is sent where it cannot be written down that it is.
const STORE_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// A letter on its way out.
struct Job {
    place: Place,
    channel: Arc<dyn Notifier>,
    letter: Letter,
}

impl Outbox {
    /// Sends what is due, and gives when there is something to do again; `None`: only after the next post. Sending goes
    /// on though nobody waits for it.
    pub async fn deliver_due(&self) -> Option<DateTime<Utc>> {
        let sending: Vec<_> =
            self.take_lanes().into_iter().map(|lane| tokio::spawn(self.clone().drain(lane))).collect();
        for ended in join_all(sending).await {
            if let Err(error) = ended {
                tracing::error!(%error, "sending notices ended early");
            }
        }
        let outbox = self.clone();
        let tidied = tokio::task::spawn_blocking(move || outbox.tidy()).await;
        if let Ok(Err(error)) = tidied {
            tracing::error!(%error, "old notices cannot be removed");
        }
        let channels = self.channels();
        self.queue().next(self.0.clock.now(), |lane| channels.of(lane).is_some())
    }

    /// Sends one letter to every channel at once, and to the owners' addresses, and says what came of each. Nothing of it
    /// is kept.
    pub async fn test(&self) -> Vec<Tested> {
        let channels = self.channels();
        let now = self.0.clock.now();
        let mut letter = test_letter(now);
        letter.to = channels.owners.iter().flat_map(|owners| owners.addresses().to_vec()).collect();
        let tests = channels.deliveries(&letter, None, now).into_iter().map(|delivery| {
            let (lane, mut letter) = (delivery.lane(), letter.clone());
            letter.to = lane.address.iter().cloned().collect();
            let channel = channels.of(&lane).expect("deliveries are made of these channels");
            async move {
                let error = send(&*channel, &letter).await.err().map(|error| error.to_string());
                Tested { channel: lane.channel, address: lane.address, error }
            }
        });
        join_all(tests).await
    }

    /// The lanes on which something waits and nobody else is sending, taken for ourselves.
    fn take_lanes(&self) -> Vec<Lane> {
        let channels = self.channels();
        let mut queue = self.queue();
        let lanes = queue.lanes().into_iter().filter(|lane| channels.of(lane).is_some());
        lanes.filter(|lane| queue.enter(lane)).collect()
    }

    /// Sends until nothing is due on the lane; leaves it then.
    async fn drain(self, lane: Lane) {
        loop {
            let (outbox, on) = (self.clone(), lane.clone());
            let begun = tokio::task::spawn_blocking(move || outbox.begin(&on)).await;
            let Ok(Some(job)) = begun else { return };
            let outcome = send(&*job.channel, &job.letter).await;
            let (outbox, on) = (self.clone(), lane.clone());
            let _ = tokio::task::spawn_blocking(move || outbox.end(&on, job.place, &job.letter.id, &outcome)).await;
        }
    }

    /// Writes down that the next letter of a lane is sent. Without one, or where that fails, the lane is left.
    fn begin(&self, lane: &Lane) -> Option<Job> {
        let _writing = self.writing();
        let now = self.0.clock.now();
        let channel = self.channels().of(lane);
        let place = self.queue().due(lane, now)?;
        let Some(channel) = channel else {
            self.queue().leave(lane);
            return None;
        };
        match self.change(place, |posted, at| posted.deliveries[at].begin(now)) {
            Ok(posted) => {
                let mut letter = posted.letter;
                letter.to = lane.address.iter().cloned().collect();
                Some(Job { place, channel, letter })
            }
            Err(error) => {
                tracing::error!(%error, channel = lane.channel, "a notice cannot be written down and is not sent yet");
                let mut queue = self.queue();
                queue.rest(lane, now + STORE_PAUSE);
                queue.leave(lane);
                None
            }
        }
    }

    /// Writes down what came of it.
    fn end(&self, lane: &Lane, place: Place, id: &str, outcome: &Result<()>) {
        let _writing = self.writing();
        let now = self.0.clock.now();
        let ended = self.change_anyway(place, |posted, at| {
            let until = posted.posted + PATIENCE;
            posted.deliveries[at].end(outcome.as_ref().map(|()| ()), id, now, until);
        });
        let Some(posted) = ended else { return };
        say(&posted, place.delivery);
        let mut queue = self.queue();
        match outcome {
            Ok(()) => queue.succeeded(lane, now),
            // It had something against this letter alone.
            Err(error) if matches!(error.kind(), Kind::Gone | Kind::Forbidden) => queue.succeeded(lane, now),
            Err(error) => {
                let failures = queue.failed(lane);
                queue.rest(lane, now + pause(failures, error, &posted.deliveries[place.delivery].seed(id)));
            }
        }
    }

    /// Gives up what nobody can send any more, and forgets what is long settled.
    fn tidy(&self) -> Result<()> {
        let _writing = self.writing();
        let now = self.0.clock.now();
        let channels = self.channels();
        let expired = self.queue().expired(now, |lane| channels.of(lane).is_some());
        let too_many = self.queue().too_many();
        let why = [(expired, "the channel is not configured"), (too_many, "too many notices are on their way")];
        for (place, why) in why.into_iter().flat_map(|(places, why)| places.into_iter().map(move |place| (place, why)))
        {
            if let Some(posted) = self.change_anyway(place, |posted, at| posted.deliveries[at].give_up(now, why)) {
                say(&posted, place.delivery);
            }
        }
        let gone = self.queue().thin_out(now);
        if gone.is_empty() { Ok(()) } else { queue::delete(&*self.0.store, &gone) }
    }

    /// Changes a delivery in the store, then in memory. The caller holds `writing`.
    fn change(&self, place: Place, change: impl FnOnce(&mut Posted, usize)) -> Result<Posted> {
        let posted = self.queue().get(place.order);
        let mut posted = posted.ok_or_else(|| Error::internal("a notice is gone that was on its way"))?;
        change(&mut posted, place.delivery);
        queue::write(&*self.0.store, &posted)?;
        self.queue().insert(posted.clone());
        Ok(posted)
    }

    /// The same for what has happened, whether or not it can be written down: a restart would find it begun.
    fn change_anyway(&self, place: Place, change: impl FnOnce(&mut Posted, usize)) -> Option<Posted> {
        let mut posted = self.queue().get(place.order)?;
        change(&mut posted, place.delivery);
        if let Err(error) = queue::write(&*self.0.store, &posted) {
            tracing::error!(%error, letter = posted.letter.id, "what came of a notice cannot be written down");
        }
        self.queue().insert(posted.clone());
        Some(posted)
    }
}

/// A channel that panics or hangs may have sent it.
async fn send(channel: &dyn Notifier, letter: &Letter) -> Result<()> {
    match timeout(LONGEST_TRY, AssertUnwindSafe(channel.notify(letter)).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Error::internal("the channel ended early")),
        Err(_) => Err(Error::bad_gateway(format!("it was not sent within {LONGEST_TRY:?}"))),
    }
}

/// Tells the log what became of a delivery.
fn say(posted: &Posted, delivery: usize) {
    let (letter, mirror, delivery) = (&posted.letter.id, posted.about(), &posted.deliveries[delivery]);
    let (channel, to) = (&delivery.channel, delivery.address.as_deref());
    let error = delivery.error.as_deref().unwrap_or_default();
    match delivery.state {
        DeliveryState::Delivered => tracing::info!(letter, mirror, channel, to, "notice delivered"),
        DeliveryState::Waiting | DeliveryState::Begun => {
            let next = delivery.next.map(|next| next.to_rfc3339());
            tracing::warn!(letter, mirror, channel, to, next, error, "notice not delivered yet");
        }
        DeliveryState::Uncertain => {
            tracing::warn!(letter, mirror, channel, to, error, "nobody knows whether a notice arrived");
        }
        DeliveryState::Refused => tracing::error!(letter, mirror, channel, to, error, "notice refused"),
        DeliveryState::GivenUp => {
            let subject = &posted.letter.subject;
            tracing::error!(letter, mirror, channel, to, error, subject, "notice given up: nobody was told by it");
        }
    }
}

fn test_letter(now: DateTime<Utc>) -> Letter {
    Letter {
        id: format!("test-{}", now.timestamp_millis()),
        at: now,
        subject: "modvet: a test notice".to_owned(),
        text: "If you can read this, notices of the mirror watch reach you.".to_owned(),
        data: json!({ "event": "test" }),
        to: Vec::new(),
    }
}
