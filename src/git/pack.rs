//! A pack on its way into a repository: checked and indexed while it comes in.

use std::io::Write;
use std::path::Path;

use git2::{ErrorClass, Indexer};

use crate::error::{Error, Result};

/// Appears in the repository as a whole when finished, or not at all.
pub struct PackFile {
    indexer: Indexer<'static>,
    received: u64,
    limit: u64,
}

impl PackFile {
    /// A pack of at most `limit` bytes for a bare repository's folder.
    pub fn new(repository: &Path, limit: u64) -> Result<PackFile> {
        let folder = repository.join("objects/pack");
        // Verifying would ask for trees that a filtered pack leaves out; ids and trailer are checked anyway.
        let indexer = Indexer::new(None, &folder, 0, false).map_err(failure)?;
        Ok(PackFile { indexer, received: 0, limit })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(Error::bad_gateway(format!("git pack too large (expected at most {} bytes)", self.limit)));
        }
        self.indexer.write_all(bytes).map_err(|cause| match cause.downcast::<git2::Error>() {
            Ok(cause) => failure(cause),
            Err(cause) => Error::internal("a git pack cannot be written").because(cause),
        })
    }

    pub fn finish(self) -> Result<()> {
        self.indexer.commit().map(drop).map_err(failure)
    }
}

/// Whose fault it is: the disk's, or that of whoever sent the pack.
fn failure(cause: git2::Error) -> Error {
    let ours = matches!(cause.class(), ErrorClass::Os | ErrorClass::Filesystem | ErrorClass::NoMemory);
    match ours {
        true => {
            // The message names local paths.
            tracing::error!("git pack: {cause}");
            Error::internal("a git pack cannot be written")
        }
        false => Error::bad_gateway("damaged git pack").because(cause),
    }
}
