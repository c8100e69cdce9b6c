//! Knows which letters are on their way to whom, and brings them there: over restarts, each once, none lost in silence.
//! Must not know how a channel sends, nor what a letter says; only whose it is and what its channel answered.
//! Rules: docs/notices.md.

mod deliver;
mod posted;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use posted::{Delivery, DeliveryState, OWNER, Posted};

use crate::error::Result;
use crate::ports::{Clock, Letter, Notifier, Store};
use queue::Queue;

/// Takes letters, keeps them, and delivers them. Clones share one queue.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    channels: RwLock<Channels>,
    /// In memory what lies in the store.
    queue: Mutex<Queue>,
    /// Held over a change and its writing, so that no older state of a letter is written over a newer one.
    writing: Mutex<()>,
}

/// Whom letters can be given to.
#[derive(Clone, Default)]
struct Channels {
    /// Whether anybody has said so yet.
    are_known: bool,
    configured: Vec<Arc<dyn Notifier>>,
    owners: Option<Arc<dyn Notifier>>,
}

/// What came of a test letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// As it is configured, or `owner`.
    pub channel: String,
    /// Of e-mail.
    pub address: Option<String>,
    /// Why it did not arrive, in the words of the server where it said some.
    pub error: Option<String>,
}

impl Outbox {
    /// Reads what is on its way; what was begun by a process that is no more is uncertain from now on. Blocking.
    pub fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Outbox> {
        let (queue, orphans) = Queue::load(&*store, clock.now())?;
        for posted in &orphans {
            let (letter, about) = (posted.letter.id.as_str(), posted.about());
            tracing::warn!(letter, mirror = about, "a notice was being sent when modvet ended; it may have arrived");
            queue::write(&*store, posted)?;
        }
        let (queue, writing) = (Mutex::new(queue), Mutex::default());
        Ok(Outbox(Arc::new(Shared { store, clock, channels: RwLock::default(), queue, writing })))
    }

    /// Whom letters can be given to from now on; `owners` reaches the addresses in `Letter::to`, its own ones are for
    /// tests. What is on its way to a channel that is not among them waits for it to come back. Where others were
    /// appointed before, all that waited for a better moment is tried at once: what was wrong may be right by now.
    pub fn appoint(&self, channels: Vec<Arc<dyn Notifier>>, owners: Option<Arc<dyn Notifier>>) {
        let channels = Channels { are_known: true, configured: channels, owners };
        let before = {
            let mut current = self.0.channels.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, channels.clone())
        };
        let mut queue = self.queue();
        if before.are_known {
            queue.retry_all(self.0.clock.now());
        }
        for lane in queue.lanes().into_iter().filter(|lane| channels.of(lane).is_none()) {
            tracing::warn!(channel = lane.channel, "notices are on their way to a channel that is not configured");
        }
    }

    /// Takes a letter for these channels, or for all; it is durable at the end. One whose id is known is left alone.
    /// Blocking.
    pub fn post(&self, letter: &Letter, channels: Option<&[String]>) -> Result<()> {
        let _writing = self.writing();
        if self.queue().knows(&letter.id) {
            return Ok(());
        }
        let now = self.0.clock.now();
        let deliveries = self.channels().deliveries(letter, channels, now);
        let order = self.queue().next_order();
        let posted = Posted { letter: letter.clone(), order, posted: now, deliveries };
        queue::write(&*self.0.store, &posted)?;
        say(letter);
        self.queue().insert(posted);
        Ok(())
    }

    /// How many letters about a mirror are still on their way.
    pub fn undelivered(&self, about: &str) -> u64 {
        self.queue().open_about(about)
    }

    /// The letters about a mirror that are not, or not certainly, with everybody, the oldest first: on their way,
    /// uncertain, refused, given up.
    pub fn unsettled(&self, about: &str) -> Vec<Posted> {
        self.queue().unsettled(about)
    }

    /// Whether there is a mail server for the owners' mail.
    pub fn reaches_owners(&self) -> bool {
        self.channels().owners.is_some()
    }

    /// Whether nobody knows if a letter arrived: the next one about it should not wait as long as usual.
    pub fn is_uncertain(&self, id: &str) -> bool {
        self.queue().is_uncertain(id)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels(&self) -> Channels {
        self.0.channels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Channels {
    /// Who brings letters along a lane; nobody to an address that is not the channel's any more.
    fn of(&self, lane: &posted::Lane) -> Option<Arc<dyn Notifier>> {
        if lane.channel == OWNER {
            return self.owners.clone();
        }
        let channel = self.configured.iter().find(|channel| channel.name() == lane.channel)?;
        let is_known = match &lane.address {
            Some(address) => channel.addresses().contains(address),
            None => channel.addresses().is_empty(),
        };
        is_known.then(|| channel.clone())
    }

    /// No address twice, whichever ways lead to it.
    fn deliveries(&self, letter: &Letter, wanted: Option<&[String]>, now: DateTime<Utc>) -> Vec<Delivery> {
        let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|wanted| wanted == name));
        let mut deliveries = Vec::new();
        let mut reached: HashMap<String, ()> = HashMap::new();
        for channel in self.configured.iter().filter(|channel| is_wanted(channel.name())) {
            if channel.addresses().is_empty() {
                deliveries.push(Delivery::new(channel.name(), None, now));
            }
            for address in channel.addresses() {
                if reached.insert(address.to_lowercase(), ()).is_none() {
                    deliveries.push(Delivery::new(channel.name(), Some(address), now));
                }
            }
        }
        if self.owners.is_some() {
            for address in &letter.to {
                if reached.insert(address.to_lowercase(), ()).is_none() {
                    deliveries.push(Delivery::new(OWNER, Some(address), now));
                }
            }
        }
        deliveries
    }
}

/// The log is told everything, whoever else is.
fn say(letter: &Letter) {
    let text = letter.text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    tracing::warn!(letter = letter.id, mirror = posted::about(letter), text, "notice: {}", letter.subject);
}
