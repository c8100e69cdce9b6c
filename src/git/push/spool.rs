//! A pack that lies on the disk between the two sides.

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use git2::Indexer;
use tempfile::TempDir;

use super::steps::Steps;
use crate::error::{Error, Result};
use crate::git::folder::TEMPORARY;
use crate::git::pack::failure;
use crate::git::remote::{Failure, Order, Remote};
use crate::ports::Transfer;

/// A pack without objects: a server expects one with every ref that is not deleted.
const EMPTY: [u8; 32] = *b"PACK\0\0\0\x02\0\0\0\0\
    \x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";
/// It is said after so many objects that they are looked at.
const OBJECTS: usize = 256;

/// Whole and checked. It goes when it is dropped.
pub struct Pack {
    path: PathBuf,
    // Held for its drop.
    _folder: TempDir,
}

impl Pack {
    pub fn empty(folder: &Path) -> Result<Pack> {
        let folder = temporary(folder)?;
        let path = folder.path().join("empty.pack");
        std::fs::write(&path, EMPTY).map_err(unwritable)?;
        Ok(Pack { path, _folder: folder })
    }

    pub fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|cause| Error::internal("a git pack cannot be read").because(cause))
    }
}

/// Fetches a pack into a folder of its own below `folder`.
pub fn fetch(source: &Remote, order: &Order, folder: &Path, limit: u64, steps: &Steps<'_>) -> Result<Pack> {
    let folder = temporary(folder)?;
    let (is_whole, looked_at) = (Cell::new(false), Cell::new((0, 0)));
    // What the pack builds upon may be the mirror's alone; ids, deltas and the trailer are checked anyway.
    let mut indexer = Indexer::new(None, folder.path(), 0, false).map_err(failure)?;
    indexer.progress(|progress| {
        let (done, all) = (progress.indexed_objects(), progress.total_objects());
        looked_at.set((done as u64, all as u64));
        if !is_whole.get() || (done % OBJECTS > 0 && done != all) {
            return true;
        }
        steps.report(Transfer::Packing { done: done as u64, all: all as u64 }).is_ok()
    });
    let mut bytes = 0;
    let result = source.fetch(order, &mut |piece| {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(Error::bad_gateway(format!("git pack too large (expected at most {limit} bytes)")));
        }
        steps.report(Transfer::Fetching { bytes })?;
        indexer.write_all(piece).map_err(|cause| match cause.downcast::<git2::Error>() {
            Ok(cause) => failure(cause),
            Err(cause) => unwritable(cause),
        })
    });
    if let Err(broken) = result {
        source.forget();
        let is_refused = matches!(broken, Failure::Refused(_));
        let error = broken.into_error(&source.host()).reworded(|text| source.without_secrets(text));
        return Err(match is_refused {
            true => error.remedy("if a ref of the source has moved meanwhile, the next sync sees it"),
            false => error,
        });
    }
    is_whole.set(true);
    let (done, all) = looked_at.get();
    steps.report(Transfer::Packing { done, all })?;
    let name = indexer.commit().map_err(|cause| steps.given_up().unwrap_or_else(|| failure(cause)))?;
    Ok(Pack { path: folder.path().join(format!("pack-{name}.pack")), _folder: folder })
}

fn temporary(folder: &Path) -> Result<TempDir> {
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(folder).map_err(unwritable)
}

fn unwritable(cause: std::io::Error) -> Error {
    // The message names local paths.
    tracing::error!("git pack: {cause}");
    Error::internal("a git pack cannot be written")
}
