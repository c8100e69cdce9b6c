//! The rows of a ledger, or of all, one after the other. Blocking.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{Ledger, Ledgers, PREFIX, Row};
use crate::error::Result;
use crate::ports::Store;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// A row, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    pub registry: String,
    pub module: String,
    pub version: String,
    #[serde(flatten)]
    pub row: Row,
}

/// Which rows are meant; nothing said: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub registry: Option<String>,
    pub module: Option<ModulePath>,
    /// Only where other contents came.
    pub refused: bool,
    /// Only where the tag is not where it was.
    pub drifted: bool,
}

/// Some rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    pub rows: Vec<Entered>,
    /// What `after` has to be for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How much is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub rows: u64,
    /// Of keys and rows.
    pub bytes: u64,
}

impl Wanted {
    fn prefix(&self) -> String {
        match (&self.registry, &self.module) {
            (None, _) => PREFIX.to_owned(),
            (Some(registry), None) => format!("{PREFIX}{registry}/"),
            (Some(registry), Some(module)) => format!("{PREFIX}{registry}/{}/@v/", module.escaped()),
        }
    }

    fn takes(&self, entered: &Entered) -> bool {
        let marked = (self.refused && entered.row.is_refused()) || (self.drifted && entered.row.drift.is_some());
        let is_plain = !self.refused && !self.drifted;
        (is_plain || marked) && self.module.as_ref().is_none_or(|module| module.as_str() == entered.module)
    }
}

/// Shows rows in the order of their keys, with the key behind `ledger/`, until the visitor says no. What does not read
/// as a row is left out.
pub fn visit(
    store: &dyn Store,
    wanted: &Wanted,
    after: Option<&str>,
    visitor: &mut dyn FnMut(&str, Entered) -> bool,
) -> Result<()> {
    let after = after.map(|after| format!("{PREFIX}{after}"));
    store.scan_entries(&wanted.prefix(), after.as_deref(), &mut |entry| {
        let Some(entered) = entered(entry.key, entry.meta) else { return true };
        if !wanted.takes(&entered) {
            return true;
        }
        visitor(entry.key.strip_prefix(PREFIX).unwrap_or(entry.key), entered)
    })
}

/// Counts all rows.
pub fn figures(store: &dyn Store) -> Result<Figures> {
    let mut figures = Figures::default();
    store.scan(PREFIX, &mut |key, meta| {
        figures.rows += 1;
        figures.bytes += (key.len() + meta.len()) as u64;
        true
    })?;
    Ok(figures)
}

fn entered(key: &str, meta: &[u8]) -> Option<Entered> {
    let (registry, rest) = key.strip_prefix(PREFIX)?.split_once('/')?;
    let (module, version) = rest.rsplit_once("/@v/")?;
    let module = ModulePath::unescape(module).ok()?.to_string();
    let version = crate::spec::path::unescape(version)?;
    let row = serde_json::from_slice(meta).ok()?;
    Some(Entered { registry: registry.to_owned(), module, version, row })
}

impl Ledgers {
    /// What is written down of a version, be there such a registry or not any more.
    pub fn row(&self, registry: &str, module: &ModulePath, version: &Version) -> Result<Option<Row>> {
        super::read(&**self.store(), registry, module, version)
    }

    /// So many rows from behind `after` on.
    pub fn page(&self, wanted: &Wanted, after: Option<&str>, limit: usize) -> Result<Page> {
        let (mut rows, mut last, mut is_more) = (Vec::new(), None, false);
        visit(&**self.store(), wanted, after, &mut |key, entered| {
            is_more = rows.len() == limit.max(1);
            if !is_more {
                last = Some(key.to_owned());
                rows.push(entered);
            }
            !is_more
        })?;
        Ok(Page { rows, next: last.filter(|_| is_more) })
    }
}

impl Ledger {
    /// The versions that came with a commit and have a tag, so many from behind a key on, with their keys.
    pub fn tagged(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, ModulePath, Version)>> {
        let wanted = Wanted { registry: Some(self.registry.clone()), ..Wanted::default() };
        let mut tagged = Vec::new();
        visit(&*self.store, &wanted, after, &mut |key, entered| {
            let version = Version::parse(&entered.version).filter(|version| !version.is_pseudo());
            let module = ModulePath::parse(&entered.module).ok();
            if let (Some(version), Some(module), Some(_)) = (version, module, entered.row.tagged()) {
                tagged.push((key.to_owned(), module, version));
            }
            tagged.len() < limit
        })?;
        Ok(tagged)
    }

    /// Counts the tags that are not where they were.
    pub fn recount_drift(&self) -> Result<u64> {
        let wanted = Wanted { registry: Some(self.registry.clone()), drifted: true, ..Wanted::default() };
        let mut count = 0;
        visit(&*self.store, &wanted, None, &mut |_, _| {
            count += 1;
            true
        })?;
        self.drifted.store(count, Ordering::Relaxed);
        Ok(count)
    }
}
