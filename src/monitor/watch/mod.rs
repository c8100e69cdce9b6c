//! All mirrors that are watched: how they stand, from memory, and what can be done with them.

mod check;
mod keep;
mod mirror;
mod places;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tokio::sync::Notify;

use super::definition::MirrorDefinition;
use super::history::HistoryRow;
use super::kept;
use super::outbox::Outbox;
use super::plan::{Plan, Progress, Sync, Synced};
use super::state::State;
use super::status::MirrorStatus;
use crate::error::{Error, Result};
use crate::ports::{Clock, Mirrors, Pair, Source, Standing, Store};
use check::{Turn, landed};
use mirror::Mirror;
use places::Places;

pub use keep::keep;

/// So long the state of a mirror that left the configuration is kept: it may come back.
const KEPT_AFTER: TimeDelta = TimeDelta::days(30);

/// The mirrors that are watched. States are in the store, and in memory for who asks.
pub struct Watch {
    world: Arc<World>,
    mirrors: RwLock<BTreeMap<String, Arc<Mirror>>>,
    /// Something was appointed: the next check may be sooner.
    appointed: Notify,
    /// The day on which mirrors that are gone were forgotten last.
    tidied: Mutex<Option<NaiveDate>>,
}

/// What every mirror uses.
pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outbox: Arc<Outbox>,
    /// A check is over.
    pub(super) landed: Notify,
    /// Letters were posted.
    pub(super) posted: Notify,
    /// Scheduled checks that run at a time.
    places: Arc<Places>,
}

/// A mirror that is to be watched, and how both sides are asked.
#[derive(Clone)]
pub struct Watched {
    pub definition: MirrorDefinition,
    pub way: Way,
}

/// How the two sides of a mirror are asked.
#[derive(Clone)]
pub enum Way {
    Git(Arc<dyn Pair>),
    Proxy { source: Arc<dyn Source>, mirror: Arc<dyn Source> },
}

impl Watch {
    /// Nothing is watched until mirrors are appointed. Blocking.
    pub fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>, outbox: Arc<Outbox>) -> Result<Watch> {
        let world =
            World { store, clock, outbox, landed: Notify::new(), posted: Notify::new(), places: Arc::default() };
        Ok(Watch {
            world: Arc::new(world),
            mirrors: RwLock::default(),
            appointed: Notify::new(),
            tidied: Mutex::default(),
        })
    }

    /// Says what is watched from now on. The states of mirrors of the same name and addresses stay; those of mirrors
    /// that are not there any more are kept for a month. Letters go to the channels that the outbox knows by then. Blocking.
    pub fn appoint(&self, mirrors: Vec<Watched>) -> Result<()> {
        let now = self.world.clock.now();
        let mut kept = kept::states(&*self.world.store)?;
        let before = self.mirrors.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut after = BTreeMap::new();
        for watched in mirrors {
            let name = watched.definition.name.clone();
            let state = kept.remove(&name).flatten();
            let mirror = match before.get(&name) {
                Some(mirror) if mirror.is_of(&watched.definition) => mirror.clone().reappoint(watched)?,
                other => {
                    other.iter().for_each(|mirror| mirror.retire());
                    Mirror::open(self.world.clone(), watched, state)?
                }
            };
            after.insert(name, mirror);
        }
        before.iter().filter(|(name, _)| !after.contains_key(*name)).for_each(|(_, mirror)| mirror.retire());
        *self.mirrors.write().unwrap_or_else(PoisonError::into_inner) = after;
        for (name, state) in kept {
            self.leave(&name, state, now)?;
        }
        self.appointed.notify_one();
        Ok(())
    }

    /// What was found last of all of them, by name.
    pub fn statuses(&self) -> Vec<MirrorStatus> {
        self.all().iter().map(|mirror| mirror.status()).collect()
    }

    pub fn status(&self, name: &str) -> Result<MirrorStatus> {
        Ok(self.find(name)?.status())
    }

    /// What became of a mirror in 90 days, the newest first. Blocking.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryRow>> {
        self.find(name)?.history()
    }

    /// Checks it now. Whoever asks while a check is under way gets what that one finds; a mirror that is paused is
    /// left alone.
    pub async fn check(&self, name: &str) -> Result<MirrorStatus> {
        landed(self.find(name)?.fly(Turn::AtOnce)).await
    }

    /// What a sync would do.
    pub async fn plan(&self, name: &str) -> Result<Plan> {
        self.find(name)?.plan().await
    }

    /// Makes the mirror what its source is, and checks it after that. `Kind::Conflict` where something would be lost
    /// that nobody said may be.
    pub async fn sync(&self, name: &str, wanted: Sync, progress: Progress) -> Result<Synced> {
        self.find(name)?.sync(wanted, progress).await
    }

    /// Writes down that what lapses was renewed.
    pub async fn renew(&self, name: &str, until: NaiveDate, by: Option<String>) -> Result<MirrorStatus> {
        let mirror = self.find(name)?;
        let renewed = tokio::task::spawn_blocking(move || mirror.renew(until, by)).await;
        renewed.unwrap_or_else(|error| Err(Error::internal("the work was cut short").because(error)))
    }

    /// What its clock says: the moment at which all that it tells is so.
    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now()
    }

    fn all(&self) -> Vec<Arc<Mirror>> {
        self.mirrors.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, name: &str) -> Result<Arc<Mirror>> {
        let mirrors = self.mirrors.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = mirrors.get(name) {
            return Ok(mirror.clone());
        }
        let likeness = |known: &str| strsim::jaro_winkler(known, name);
        let nearest = mirrors.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let error = Error::not_found("unknown mirror").about(name);
        Err(match nearest {
            Some(nearest) if likeness(nearest) > 0.7 => error.remedy(format!("did you mean `{nearest}`?")),
            Some(_) => {
                error.remedy(format!("known mirrors: {}", mirrors.keys().cloned().collect::<Vec<_>>().join(", ")))
            }
            None => error.remedy("no mirror is configured: see [[mirror]]"),
        })
    }

    /// Notes that a mirror is not in the configuration any more, or forgets it if that was long ago.
    fn leave(&self, name: &str, state: Option<State>, now: DateTime<Utc>) -> Result<()> {
        let store = &*self.world.store;
        match state {
            Some(state) if state.left.is_some_and(|left| now - left > KEPT_AFTER) => kept::remove(store, name),
            Some(state) if state.left.is_some() => Ok(()),
            Some(state) => kept::save_state(store, name, &State { left: Some(now), ..state }),
            None => kept::remove(store, name),
        }
    }
}

impl Mirrors for Watch {
    fn standing(&self, mirror: &str) -> Option<Standing> {
        let mirrors = self.mirrors.read().unwrap_or_else(PoisonError::into_inner);
        mirrors.get(mirror).map(|mirror| mirror.standing())
    }
}
