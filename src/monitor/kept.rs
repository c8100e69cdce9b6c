//! States, histories and renewals as they lie in the store, below `mirror/NAME/`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::history::{DAYS, Day, HistoryRow};
use super::state::State;
use super::status::Renewed;
use crate::error::{Error, Result};
use crate::ports::{Body, Store};

const MIRRORS: &str = "mirror/";

/// The largest record that is read back.
const LIMIT: u64 = 64 << 20;

/// All mirrors that have something in the store; `None` where a state is there and cannot be read, which is logged.
pub fn states(store: &dyn Store) -> Result<BTreeMap<String, Option<State>>> {
    let mut names = BTreeSet::new();
    store.scan(MIRRORS, &mut |key, _| {
        if let Some(name) = key.strip_prefix(MIRRORS).and_then(|rest| rest.strip_suffix("/state")) {
            names.insert(name.to_owned());
        }
        true
    })?;
    let mut states = BTreeMap::new();
    for name in names {
        let key = format!("{MIRRORS}{name}/state");
        let state = read(store, &key).unwrap_or_else(|error| {
            tracing::error!(mirror = name, %error, "a mirror's state cannot be read: it begins anew");
            None
        });
        states.insert(name, state);
    }
    Ok(states)
}

pub fn save_state(store: &dyn Store, name: &str, state: &State) -> Result<()> {
    write(store, &format!("{MIRRORS}{name}/state"), state)
}

/// What was seen of the refs of a mirror, where there is something that can be read.
pub fn seen<T: DeserializeOwned + Default>(store: &dyn Store, name: &str) -> T {
    read(store, &format!("{MIRRORS}{name}/seen"))
        .unwrap_or_else(|error| {
            tracing::error!(mirror = name, %error, "what was seen of a mirror cannot be read: it begins anew");
            None
        })
        .unwrap_or_default()
}

pub fn save_seen(store: &dyn Store, name: &str, seen: &impl Serialize) -> Result<()> {
    write(store, &format!("{MIRRORS}{name}/seen"), seen)
}

pub fn forget_seen(store: &dyn Store, name: &str) -> Result<()> {
    store.delete(&format!("{MIRRORS}{name}/seen")).map(drop)
}

/// A day that was put away; one that cannot be read is begun anew.
pub fn day(store: &dyn Store, name: &str, day: NaiveDate) -> Result<Option<Day>> {
    let key = format!("{MIRRORS}{name}/history/{day}");
    Ok(read(store, &key).unwrap_or_else(|error| {
        tracing::error!(key, %error, "a day of a mirror's history cannot be read");
        None
    }))
}

/// Puts a day that is not today beside the others, and takes away what is too old.
pub fn save_day(store: &dyn Store, name: &str, day: &Day, today: NaiveDate) -> Result<()> {
    write(store, &format!("{MIRRORS}{name}/history/{}", day.day), day)?;
    // The earlier of both: a clock that is ahead for once takes nothing away.
    let oldest = day.day.min(today).checked_sub_days(Days::new(DAYS)).unwrap_or(NaiveDate::MIN).to_string();
    let prefix = format!("{MIRRORS}{name}/history/");
    let old: Vec<String> = keys(store, &prefix)?.into_iter().filter(|key| key[prefix.len()..] < *oldest).collect();
    store.delete_many(&old).map(drop)
}

/// What happened on other days than today, the newest first.
pub fn history(store: &dyn Store, name: &str, today: &Day, now: DateTime<Utc>) -> Result<Vec<HistoryRow>> {
    let oldest = now.date_naive().checked_sub_days(Days::new(DAYS)).unwrap_or(NaiveDate::MIN);
    let mut rows = Vec::new();
    for key in keys(store, &format!("{MIRRORS}{name}/history/"))?.iter().rev() {
        match read::<Day>(store, key) {
            Ok(day) => {
                rows.extend(day.filter(|day| day.day >= oldest && day.day != today.day).iter().flat_map(Day::rows))
            }
            Err(error) => tracing::error!(key, %error, "a day of a mirror's history cannot be read"),
        }
    }
    Ok(rows)
}

/// Who renewed what, the newest first.
pub fn renewals(store: &dyn Store, name: &str) -> Result<Vec<Renewed>> {
    let mut renewals = Vec::new();
    for key in keys(store, &format!("{MIRRORS}{name}/renewed/"))?.iter().rev() {
        match read::<Renewed>(store, key) {
            Ok(renewed) => renewals.extend(renewed),
            Err(error) => tracing::error!(key, %error, "a renewal cannot be read"),
        }
    }
    Ok(renewals)
}

pub fn save_renewal(store: &dyn Store, name: &str, renewed: &Renewed) -> Result<()> {
    // Digits of one width: keys stand in the order of time.
    write(store, &format!("{MIRRORS}{name}/renewed/{:020}", renewed.at.timestamp_micros()), renewed)
}

/// Takes away all that is known of a mirror.
pub fn remove(store: &dyn Store, name: &str) -> Result<()> {
    store.delete_many(&keys(store, &format!("{MIRRORS}{name}/"))?).map(drop)
}

fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    store.scan(prefix, &mut |key, _| {
        keys.push(key.to_owned());
        true
    })?;
    Ok(keys)
}

fn read<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    let Some(stored) = store.get(key)? else { return Ok(None) };
    let bytes = stored.blob.read_all(LIMIT)?;
    let value = serde_json::from_slice(&bytes).map_err(|e| Error::internal("a malformed record").because(e))?;
    Ok(Some(value))
}

fn write(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal("a record does not serialize").because(e))?;
    store.put(key, b"{}", Body::Bytes(json.into())).map(drop)
}
