//! Knows how bytes and facts are kept: entries, blobs of any size, their files, on disk and in memory.
//! Must not know what a key or a meta means, nor who asks; no module, no version, no status.
//! Rules: docs/architecture.md, "The store"; the layout follows what sled 0.34 was measured to bear.

mod blobs;
mod buffers;
mod bulk;
mod compact;
mod count;
mod database;
mod eviction;
mod failure;
mod files;
mod intake;
mod lock;
mod memory;
mod migrate;
mod pieces;
mod place;
mod reader;
mod recent;
mod record;
mod rounds;
mod sled_store;
mod sweep;
mod tables;
mod turns;
mod verify;

#[cfg(test)]
mod compact_tests;
#[cfg(test)]
mod corruption_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod suite_many;
#[cfg(test)]
mod verify_tests;

pub use memory::MemoryStore;
pub use sled_store::{OnWait, Options, SledStore};
pub use sweep::Swept;

/// The sha256 of a body, by which equal contents are kept once.
pub(crate) type Sha256 = [u8; 32];

/// The longest key in bytes; longer ones come only from queries that no repository answers.
pub const KEY_LIMIT: usize = 4 << 10;

/// The largest meta in bytes; it shares a value of at most 32 KiB with a small body.
pub const META_LIMIT: usize = 16 << 10;

use crate::error::{Error, Result};

/// Refuses what no store takes, so that all of them take the same.
fn check(key: &str, meta: &[u8]) -> Result<()> {
    if key.len() > KEY_LIMIT {
        return Err(Error::internal(format!("store: key of {} bytes (expected at most {KEY_LIMIT})", key.len())));
    }
    if meta.len() > META_LIMIT {
        return Err(Error::internal(format!("store: meta of {} bytes (expected at most {META_LIMIT})", meta.len())));
    }
    Ok(())
}
