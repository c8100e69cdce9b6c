//! What there is and what it takes, told without reading a body.

use std::fs;

use bytes::Bytes;

use super::record::{Manifest, Record};
use super::sled_store::SledStore;
use crate::error::Result;
use crate::ports::{EntryRow, Place, Usage};

/// Where it stands what was counted last: bytes alive in the tables, and those that the tables took.
const COUNTED: &str = "counted";

/// Tables that changed by a part of so many since are counted anew.
const MUCH: u64 = 8;

impl SledStore {
    /// Shows entries in the order of keys, from behind one on, until the visitor says no.
    pub(super) fn scan_rows(
        &self,
        prefix: &str,
        after: Option<&str>,
        visit: &mut dyn FnMut(&EntryRow<'_>) -> bool,
    ) -> Result<()> {
        let after = after.filter(|after| *after > prefix).map(str::as_bytes);
        for row in self.database.entries.scan_after(prefix.as_bytes(), after) {
            let (key, value) = row?;
            let record = Record::decode(Bytes::copy_from_slice(&value));
            // A damaged one is removed when it is asked for.
            let (Ok(key), Some(record)) = (std::str::from_utf8(&key), record) else { continue };
            let Record { ref meta, size, sha256, .. } = record;
            if !visit(&EntryRow { key, meta, size, sha256, place: self.place(&record)? }) {
                break;
            }
        }
        Ok(())
    }

    fn place(&self, record: &Record) -> Result<Place> {
        let Some(sha256) = record.blob() else { return Ok(Place::Tables) };
        Ok(match self.blobs.manifest(&sha256)? {
            Some(Manifest::File { .. }) => Place::File,
            _ => Place::Tables,
        })
    }

    /// Counts entries and blobs and what they take.
    pub(super) fn count(&self) -> Result<Usage> {
        let mut usage = Usage { tables: self.database.disk()?, ..Usage::default() };
        for row in self.database.entries.scan(b"") {
            let (key, value) = row?;
            usage.entries += 1;
            usage.live_in_tables += (key.len() + value.len()) as u64;
        }
        for row in self.database.manifests.scan(b"") {
            usage.blobs += 1;
            match Manifest::decode(&row?.1) {
                Manifest::Begun => {}
                Manifest::Pieces { size, .. } => usage.live_in_tables += size,
                Manifest::File { size } => usage.files += size,
            }
        }
        usage.live = usage.live_in_tables + usage.files;
        self.remember_counted(&usage);
        Ok(usage)
    }

    /// Says to the next start what was counted last, so that it need not look at every row before the store is open.
    pub(super) fn remember_counted(&self, usage: &Usage) {
        let text = format!("{} {}\n", usage.live_in_tables, usage.tables);
        if let Err(error) = fs::write(self.folder.join(COUNTED), text) {
            // Then the next start counts.
            tracing::debug!(%error, "what was counted is not written down");
        }
    }

    /// What was counted last, if the tables have not changed much since: what came is told as dead. `None` where nobody
    /// knows.
    pub(super) fn counted_lately(&self) -> Result<Option<Usage>> {
        let Ok(text) = fs::read_to_string(self.folder.join(COUNTED)) else { return Ok(None) };
        let number = |text: &str| text.parse::<u64>().ok();
        let numbers = text.trim().split_once(' ').and_then(|(live, then)| number(live).zip(number(then)));
        let Some((live_in_tables, then)) = numbers else { return Ok(None) };
        let tables = self.database.disk()?;
        Ok((tables.abs_diff(then) <= then / MUCH).then(|| Usage { live_in_tables, tables, ..Usage::default() }))
    }
}
