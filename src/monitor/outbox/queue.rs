//! The letters of the store, held in memory: which are known, which wait for what.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::posted::{DeliveryState, Lane, PATIENCE, Posted};
use crate::error::{Error, Result};
use crate::ports::{Body, Store};

const PREFIX: &str = "notice/";

/// So long a letter is known that is on its way no more.
const KEPT: TimeDelta = TimeDelta::days(90);

/// So many letters are known at most; the oldest go first.
const MOST: usize = 10_000;

/// A letter with all its deliveries, in bytes.
const LARGEST: u64 = 4 << 20;

/// What stands beside a letter in the store, so that a start need not read those that have arrived.
#[derive(Serialize, Deserialize)]
struct Summary {
    order: u64,
    posted: DateTime<Utc>,
    is_delivered: bool,
}

#[derive(Default)]
pub struct Queue {
    ids: HashMap<String, u64>,
    /// By their order.
    letters: BTreeMap<u64, Held>,
    /// Those among them on which something is to be done.
    open: BTreeSet<u64>,
    lanes: HashMap<Lane, LaneState>,
    next_order: u64,
}

/// A letter in memory.
enum Held {
    Delivered { id: String, posted: DateTime<Utc> },
    Whole(Box<Posted>),
}

#[derive(Debug, Default, Clone)]
struct LaneState {
    /// Somebody is sending on it.
    is_busy: bool,
    /// In a row.
    failures: u32,
    rests_until: Option<DateTime<Utc>>,
}

/// A place in the queue: a letter, and which of its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub order: u64,
    pub delivery: usize,
}

/// Writes a letter as it is now. Blocking.
pub fn write(store: &dyn Store, posted: &Posted) -> Result<()> {
    let summary = Summary { order: posted.order, posted: posted.posted, is_delivered: posted.is_delivered() };
    let json = |error: serde_json::Error| Error::internal("a notice cannot be written down").because(error);
    let (meta, body) = (serde_json::to_vec(&summary).map_err(json)?, serde_json::to_vec(posted).map_err(json)?);
    store.put(&key(&posted.letter.id), &meta, Body::Bytes(Bytes::from(body))).map(drop)
}

/// Forgets letters. Blocking.
pub fn delete(store: &dyn Store, ids: &[String]) -> Result<()> {
    let keys: Vec<String> = ids.iter().map(|id| key(id)).collect();
    store.delete_many(&keys).map(drop)
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

impl Queue {
    /// What lies in the store, and the letters that changed by it: those that were being sent.
    pub fn load(store: &dyn Store, now: DateTime<Utc>) -> Result<(Queue, Vec<Posted>)> {
        let (mut queue, mut orphans, mut open) = (Queue::default(), Vec::new(), Vec::new());
        store.scan(PREFIX, &mut |key, meta| {
            let id = key[PREFIX.len()..].to_owned();
            match serde_json::from_slice::<Summary>(meta) {
                Ok(summary) if summary.is_delivered => queue.insert_delivered(id, summary.order, summary.posted),
                _ => open.push(id),
            }
            true
        })?;
        for id in open {
            let Some(mut posted) = read(store, &id)? else { continue };
            let begun = posted.deliveries.iter_mut().filter(|delivery| delivery.state == DeliveryState::Begun);
            if begun.map(|delivery| delivery.orphan(now)).count() > 0 {
                orphans.push(posted.clone());
            }
            queue.insert(posted);
        }
        Ok((queue, orphans))
    }

    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    pub fn next_order(&self) -> u64 {
        self.next_order
    }

    pub fn insert(&mut self, posted: Posted) {
        let order = posted.order;
        if posted.is_delivered() {
            return self.insert_delivered(posted.letter.id, order, posted.posted);
        }
        self.note(&posted.letter.id, order);
        if posted.is_open() {
            self.open.insert(order);
        } else {
            self.open.remove(&order);
        }
        self.letters.insert(order, Held::Whole(Box::new(posted)));
    }

    fn insert_delivered(&mut self, id: String, order: u64, posted: DateTime<Utc>) {
        self.note(&id, order);
        self.open.remove(&order);
        self.letters.insert(order, Held::Delivered { id, posted });
    }

    fn note(&mut self, id: &str, order: u64) {
        self.ids.insert(id.to_owned(), order);
        self.next_order = self.next_order.max(order + 1);
    }

    fn whole(&self, order: u64) -> Option<&Posted> {
        match self.letters.get(&order)? {
            Held::Whole(posted) => Some(posted),
            Held::Delivered { .. } => None,
        }
    }

    fn open_letters(&self) -> impl Iterator<Item = &Posted> {
        self.open.iter().filter_map(|order| self.whole(*order))
    }

    /// A copy of a letter that is not with everybody yet.
    pub fn get(&self, order: u64) -> Option<Posted> {
        self.whole(order).cloned()
    }

    pub fn open_about(&self, about: &str) -> u64 {
        self.open_letters().filter(|posted| posted.about() == about).count() as u64
    }

    pub fn unsettled(&self, about: &str) -> Vec<Posted> {
        let whole = self.letters.values().filter_map(|held| match held {
            Held::Whole(posted) => Some(&**posted),
            Held::Delivered { .. } => None,
        });
        whole.filter(|posted| posted.about() == about).cloned().collect()
    }

    pub fn is_uncertain(&self, id: &str) -> bool {
        let posted = self.ids.get(id).and_then(|order| self.whole(*order));
        posted.is_some_and(Posted::is_uncertain)
    }

    /// Lets nothing that waits wait any longer.
    pub fn retry_all(&mut self, now: DateTime<Utc>) {
        for order in &self.open {
            let Some(Held::Whole(posted)) = self.letters.get_mut(order) else { continue };
            posted.deliveries.iter_mut().for_each(|delivery| delivery.hurry(now));
        }
        self.lanes.values_mut().for_each(|lane| lane.rests_until = None);
    }

    /// The lanes on which something waits, whenever it is due.
    pub fn lanes(&self) -> BTreeSet<Lane> {
        let waiting = self.open_letters().flat_map(|posted| &posted.deliveries);
        waiting.filter(|found| found.state == DeliveryState::Waiting).map(|delivery| delivery.lane()).collect()
    }

    /// What goes next on a lane, and when. Of the letters about one mirror only the first may: a recovery must not
    /// arrive before the news that something is wrong.
    fn first(&self, lane: &Lane) -> Option<(DateTime<Utc>, Place)> {
        let mut seen = HashSet::new();
        let mut first: Option<(DateTime<Utc>, Place)> = None;
        for posted in self.open_letters() {
            let open = posted.deliveries.iter().enumerate().find(|(_, found)| found.is_for(lane));
            let Some((at, delivery)) = open.filter(|(_, found)| found.state.is_open()) else { continue };
            // What is about no mirror stands in nobody's way.
            if !posted.about().is_empty() && !seen.insert(posted.about()) {
                continue;
            }
            let (Some(next), DeliveryState::Waiting) = (delivery.next, delivery.state) else { continue };
            if first.is_none_or(|(earliest, _)| next < earliest) {
                first = Some((next, Place { order: posted.order, delivery: at }));
            }
        }
        let rests = self.lanes.get(lane).and_then(|state| state.rests_until);
        first.map(|(next, place)| (rests.map_or(next, |rests| next.max(rests)), place))
    }

    /// Takes a lane for oneself; `false` if somebody has it.
    pub fn enter(&mut self, lane: &Lane) -> bool {
        !std::mem::replace(&mut self.lanes.entry(lane.clone()).or_default().is_busy, true)
    }

    /// What is to be sent on a lane now; without anything the lane is left.
    pub fn due(&mut self, lane: &Lane, now: DateTime<Utc>) -> Option<Place> {
        let due = self.first(lane).filter(|(next, _)| *next <= now).map(|(_, place)| place);
        if due.is_none() {
            self.leave(lane);
        }
        due
    }

    pub fn leave(&mut self, lane: &Lane) {
        let waits = self.first(lane).is_some();
        let Some(state) = self.lanes.get_mut(lane) else { return };
        state.is_busy = false;
        if !waits && state.rests_until.is_none() {
            self.lanes.remove(lane);
        }
    }

    /// Counts failures in a row, for the whole lane's rest.
    pub fn failed(&mut self, lane: &Lane) -> u32 {
        let state = self.lanes.entry(lane.clone()).or_default();
        state.failures = state.failures.saturating_add(1);
        state.failures
    }

    pub fn rest(&mut self, lane: &Lane, until: DateTime<Utc>) {
        self.lanes.entry(lane.clone()).or_default().rests_until = Some(until);
    }

    /// A lane on which letters arrive again: those that waited for it need not wait longer.
    pub fn succeeded(&mut self, lane: &Lane, now: DateTime<Utc>) {
        let Some(state) = self.lanes.get_mut(lane) else { return };
        let was_out = state.failures > 1;
        (state.failures, state.rests_until) = (0, None);
        if !was_out {
            return;
        }
        for order in &self.open {
            let Some(Held::Whole(posted)) = self.letters.get_mut(order) else { continue };
            posted.deliveries.iter_mut().filter(|found| found.is_for(lane)).for_each(|found| found.hurry(now));
        }
    }

    /// When something is to be done next. A lane that somebody is sending on is looked at again soon.
    pub fn next(&self, now: DateTime<Utc>, has_bearer: impl Fn(&Lane) -> bool) -> Option<DateTime<Utc>> {
        let expires = self.open_letters().next().map(|posted| posted.posted + PATIENCE);
        let next = |lane: &Lane| {
            let (next, _) = self.first(lane)?;
            let is_busy = self.lanes.get(lane).is_some_and(|state| state.is_busy);
            let soon = now + TimeDelta::seconds(5);
            match (has_bearer(lane), is_busy) {
                (false, _) => expires,
                (true, true) => Some(next.max(soon)),
                (true, false) => Some(next),
            }
        };
        self.lanes().iter().filter_map(next).min()
    }

    /// What waits for a channel that did not come back in time.
    pub fn expired(&self, now: DateTime<Utc>, has_bearer: impl Fn(&Lane) -> bool) -> Vec<Place> {
        let old = self.open_letters().take_while(|posted| posted.posted + PATIENCE <= now);
        let waiting = old.flat_map(|posted| {
            let deliveries = posted.deliveries.iter().enumerate();
            let waiting = deliveries.filter(|(_, found)| found.state == DeliveryState::Waiting);
            waiting.map(|(delivery, found)| (found.lane(), Place { order: posted.order, delivery }))
        });
        waiting.filter(|(lane, _)| !has_bearer(lane)).map(|(_, place)| place).collect()
    }

    /// Takes out what is old or too much, and gives the ids; what is on its way stays.
    pub fn thin_out(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let too_many = self.letters.len().saturating_sub(MOST);
        let settled = self.letters.iter().filter(|(order, _)| !self.open.contains(order)).enumerate();
        let going = settled.filter(|(at, (_, held))| *at < too_many || held.posted() + KEPT <= now);
        let going: Vec<(u64, String)> = going.map(|(_, (order, held))| (*order, held.id().to_owned())).collect();
        for (order, id) in &going {
            self.letters.remove(order);
            self.ids.remove(id);
        }
        going.into_iter().map(|(_, id)| id).collect()
    }

    /// The oldest letters that are on their way although there are too many of them.
    pub fn too_many(&self) -> Vec<Place> {
        let letters = self.open_letters().take(self.open.len().saturating_sub(MOST));
        let places = letters.flat_map(|posted| {
            let deliveries = posted.deliveries.iter().enumerate();
            let waiting = deliveries.filter(|(_, found)| found.state == DeliveryState::Waiting);
            waiting.map(|(delivery, _)| Place { order: posted.order, delivery })
        });
        places.collect()
    }
}

impl Held {
    fn id(&self) -> &str {
        match self {
            Held::Delivered { id, .. } => id,
            Held::Whole(posted) => &posted.letter.id,
        }
    }

    fn posted(&self) -> DateTime<Utc> {
        match self {
            Held::Delivered { posted, .. } => *posted,
            Held::Whole(posted) => posted.posted,
        }
    }
}

fn read(store: &dyn Store, id: &str) -> Result<Option<Posted>> {
    let Some(stored) = store.get(&key(id))? else { return Ok(None) };
    let body = stored.blob.read_all(LARGEST)?;
    match serde_json::from_slice(&body) {
        Ok(posted) => Ok(Some(posted)),
        Err(error) => {
            tracing::error!(letter = id, %error, "a notice in the store cannot be read and is left out");
            Ok(None)
        }
    }
}
