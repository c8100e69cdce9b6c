//! Whether what is kept is still what came.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::{Address, PREFIX, Row};
use super::list::Wanted;
use super::{Doing, Said, Say, Stock};
use crate::access::ledger;
use crate::error::Result;
use crate::ports::{Blob, Progress, Stored};
use crate::registry::proof::mismatch;
use crate::registry::{Meta, change, shelf};
use crate::spec::dirhash::go_mod_h1;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;
use crate::spec::zip;

/// An entry that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Its key in the store.
    pub key: String,
    pub why: String,
}

/// What a look at everything found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkup {
    pub entries: u64,
    pub bytes: u64,
    /// Entries that were damaged, and are gone: they are fetched anew when somebody asks.
    pub damaged: u64,
    /// Recorded differences of released versions.
    pub changed: u64,
    /// Files that no checksum database could vouch for yet.
    #[serde(default)]
    pub unverified: u64,
    /// Recorded files that were refused: the checksum database knows others.
    #[serde(default)]
    pub mismatches: u64,
    /// Versions of which other contents came than the one that was served first.
    #[serde(default)]
    pub refused: u64,
    /// Versions whose tag is not where it was when they were first served.
    #[serde(default)]
    pub drifted: u64,
}

/// A go.mod is no larger.
const LARGEST_MOD: u64 = 64 << 20;

/// So many entries are listed at a time.
const BATCH: usize = 500;

impl Stock {
    /// Reads everything of an upstream, or of all, and removes what is damaged.
    pub fn verify(&self, upstream: Option<&str>, say: Say<'_>) -> Result<Checkup> {
        let tenants = self.settle();
        if let Some(name) = upstream {
            self.named(&tenants, name)?;
        }
        let wanted = Wanted::of(upstream);
        let mut checkup = Checkup::default();
        self.verify_bodies(upstream, &mut checkup, say)?;
        let mut of = 0;
        self.each(&wanted, None, &mut |_, _| {
            of += 1;
            true
        })?;
        let mut after = None;
        loop {
            let mut batch = Vec::new();
            self.each(&wanted, after.as_deref(), &mut |key, row| {
                batch.push((key.to_owned(), row));
                batch.len() < BATCH
            })?;
            let Some((last, _)) = batch.last() else { break };
            after = Some(last.clone());
            for (key, row) in batch {
                checkup.entries += 1;
                checkup.bytes += row.size;
                // What came in the place of the damaged one meanwhile stays.
                if let Some((why, found)) = self.fault(&key, &row)?
                    && self.seal(&key)?.is_some_and(|there| there == found)
                {
                    self.delete(&tenants, std::iter::once((key.as_str(), row.shelf.as_str())))?;
                    checkup.damaged += 1;
                    say(Said::Damaged(Damage { key, why }))?;
                } else if row.is_unverified() {
                    checkup.unverified += 1;
                    say(Said::Unverified(Box::new(row)))?;
                }
            }
            say(Said::Progress { done: checkup.entries, of, what: Doing::Checking })?;
        }
        self.tell_records(upstream, &mut checkup, say)?;
        say(Said::Verified(checkup.clone()))?;
        Ok(checkup)
    }

    /// What is on record of files that came back different, and of such that were refused.
    fn tell_records(&self, upstream: Option<&str>, checkup: &mut Checkup, say: Say<'_>) -> Result<()> {
        let mut said = Ok(());
        change::visit(&*self.store, upstream, &mut |found| {
            checkup.changed += 1;
            said = say(Said::Changed(Box::new(found)));
            said.is_ok()
        })?;
        said?;
        let mut said = Ok(());
        mismatch::visit(&*self.store, upstream, &mut |found| {
            checkup.mismatches += 1;
            said = say(Said::Mismatch(Box::new(found)));
            said.is_ok()
        })?;
        said?;
        self.verify_ledger(upstream, checkup, say)
    }

    /// What the ledgers have that somebody has to look at.
    fn verify_ledger(&self, upstream: Option<&str>, checkup: &mut Checkup, say: Say<'_>) -> Result<()> {
        let wanted = ledger::Wanted { refused: true, drifted: true, ..ledger::Wanted::default() };
        let is_meant = |found: &str| upstream.is_none_or(|upstream| upstream == found);
        let mut said = Ok(());
        ledger::visit(&*self.store, &wanted, None, &mut |_, entered| {
            let is_refused = |held: &ledger::Held| held.refusals.iter().any(|refusal| is_meant(&refusal.upstream));
            let refused = entered.row.files().any(|(_, held)| is_refused(held));
            let drifted = entered.row.drift.as_ref().is_some_and(|drift| is_meant(&drift.upstream));
            checkup.refused += u64::from(refused);
            checkup.drifted += u64::from(drifted);
            if refused || drifted {
                said = say(Said::Ledger(Box::new(entered)));
            }
            said.is_ok()
        })?;
        said
    }

    /// The store's own look at its bodies.
    fn verify_bodies(&self, upstream: Option<&str>, checkup: &mut Checkup, say: Say<'_>) -> Result<()> {
        let prefixes = match upstream {
            // On all its shelves, and as an older modvet kept it.
            Some(name) => vec![format!("{PREFIX}{name}{}", shelf::MARK), format!("{PREFIX}{name}/")],
            None => vec![PREFIX.to_owned()],
        };
        let tenants = (self.tenants)();
        for prefix in prefixes {
            let mut said = Ok(());
            let verified = self.store.verify(&prefix, &mut |Progress { done, all }| {
                said = say(Said::Progress { done, of: all, what: Doing::Reading });
                said.is_ok()
            })?;
            said?;
            for key in verified.damaged {
                let address = Address::parse(&key);
                if let Some(tenant) = tenants.iter().find(|one| address.is_some_and(|at| at.shelf == one.shelf)) {
                    tenant.forget(&key);
                }
                checkup.damaged += 1;
                say(Said::Damaged(Damage { key, why: "its body is not what it was".to_owned() }))?;
            }
        }
        Ok(())
    }

    /// What is wrong with an entry, and which one it is; nothing with one that went meanwhile. Body and hash are read
    /// together: the row was read with hundreds of others, and the entry may have been renewed since.
    fn fault(&self, key: &str, row: &Row) -> Result<Option<(String, Seal)>> {
        let Some(stored) = self.store.get(key)? else { return Ok(None) };
        let Some(seal) = Seal::of(&stored) else { return Ok(None) };
        let found = match row.path.rsplit_once('.') {
            Some((_, "mod")) => go_mod_h1(&stored.blob.read_all(LARGEST_MOD)?),
            Some((_, "zip")) => match h1_of(row, stored.blob) {
                Ok(h1) => h1,
                Err(why) => return Ok(Some((why, seal))),
            },
            _ => return Ok(None),
        };
        Ok((found != seal.h1).then(|| (format!("{found} (expected {})", seal.h1), seal)))
    }

    fn seal(&self, key: &str) -> Result<Option<Seal>> {
        Ok(self.store.get(key)?.and_then(|stored| Seal::of(&stored)))
    }
}

/// What tells an entry from the one that comes in its place.
#[derive(PartialEq, Eq)]
struct Seal {
    sha256: [u8; 32],
    h1: String,
}

impl Seal {
    /// `None` for what has no hash to be compared with.
    fn of(stored: &Stored) -> Option<Seal> {
        let h1 = Meta::parse(&stored.meta)?.h1?;
        Some(Seal { sha256: stored.blob.sha256(), h1 })
    }
}

fn h1_of(row: &Row, blob: Blob) -> Result<String, String> {
    let module = ModulePath::parse(&row.module).map_err(|error| error.to_string())?;
    let Some(version) = row.version.as_deref().and_then(Version::parse) else {
        return Err("no version stands in its name".to_owned());
    };
    zip_h1(blob, &module, &version).map_err(|error| error.chain())
}

/// The hash of a module zip, which is read whole. Blocking.
pub(in crate::registry) fn zip_h1(blob: Blob, module: &ModulePath, version: &Version) -> Result<String> {
    Ok(zip::verify(Reader::new(blob), module, version)?.h1)
}

const PIECE: usize = 256 << 10;

/// A blob as the reader of a zip wants it.
struct Reader {
    blob: Blob,
    at: u64,
    /// Where the piece in memory begins.
    begin: u64,
    piece: Bytes,
}

impl Reader {
    fn new(blob: Blob) -> Reader {
        Reader { blob, at: 0, begin: 0, piece: Bytes::new() }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.blob.size() || buffer.is_empty() {
            return Ok(0);
        }
        let end = self.begin + self.piece.len() as u64;
        if !(self.begin..end).contains(&self.at) {
            self.piece = self.blob.read_at(self.at, PIECE).map_err(io::Error::other)?;
            self.begin = self.at;
        }
        let from = (self.at - self.begin) as usize;
        let count = buffer.len().min(self.piece.len() - from);
        buffer[..count].copy_from_slice(&self.piece[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
