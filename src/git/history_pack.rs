//! A pack of commits and tags on its way into a repository: indexed, and read for the history, while it comes in.
//!
//! libgit2 would read it three times. What is unusual about a pack makes it libgit2's after all, from the beginning.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::folder::TEMPORARY;
use super::heads::Heads;
use super::pack::{FEW, PackFile, Taken, unwritable};
use super::pack_index;
use super::recent::KEPT;
use super::unpack::{Odd, Unpack};
use crate::error::Result;

/// Nobody changes what is named after its content.
const READ_ONLY: u32 = 0o444;

/// Appears in the repository as a whole when finished, or not at all.
pub struct HistoryPack {
    repository: PathBuf,
    limit: u64,
    received: u64,
    way: Way,
}

enum Way {
    Own(Box<Own>),
    Libgit2(PackFile),
}

/// A pack that is read here.
struct Own {
    file: NamedTempFile,
    unpack: Unpack,
    heads: Heads,
}

impl HistoryPack {
    /// A pack of at most `limit` bytes for a bare repository's folder.
    pub fn new(repository: &Path, limit: u64) -> Result<HistoryPack> {
        let file = NamedTempFile::with_prefix_in(TEMPORARY, repository).map_err(unwritable)?;
        let own = Own { file, unpack: Unpack::new(KEPT), heads: Heads::default() };
        Ok(HistoryPack { repository: repository.to_owned(), limit, received: 0, way: Way::Own(Box::new(own)) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        match &mut self.way {
            Way::Libgit2(pack) => pack.write(bytes),
            Way::Own(own) => {
                own.file.write_all(bytes).map_err(unwritable)?;
                if self.received <= self.limit && own.read(bytes).is_ok() {
                    return Ok(());
                }
                // That it is too large is said there, too.
                let pack = handed_over(own.file.reopen(), &self.repository, self.limit)?;
                self.way = Way::Libgit2(pack);
                Ok(())
            }
        }
    }

    /// What became of the pack, and what was read of it on the way.
    pub fn finish(self) -> Result<(Taken, Heads)> {
        let own = match self.way {
            Way::Libgit2(pack) => return Ok((pack.finish()?, Heads::default())),
            Way::Own(own) => *own,
        };
        let indexed = own.unpack.finish().and_then(|pack| match pack.entries.len() > FEW {
            true => Ok((hex::encode(pack.sum), pack_index::index(pack)?)),
            // They are kept one by one.
            false => Err(Odd),
        });
        match indexed {
            Ok((sum, index)) => {
                keep(own.file, &sum, &index, &self.repository)?;
                Ok((Taken::Pack, own.heads))
            }
            Err(Odd) => {
                let pack = handed_over(own.file.reopen(), &self.repository, self.limit)?;
                Ok((pack.finish()?, own.heads))
            }
        }
    }
}

impl Own {
    fn read(&mut self, bytes: &[u8]) -> std::result::Result<(), Odd> {
        let (file, heads) = (self.file.as_file(), &mut self.heads);
        let older = |offset: u64, to: &mut [u8]| file.read_exact_at(to, offset);
        self.unpack.write(bytes, &older, &mut |id, kind, content| heads.add(id, kind, content))
    }
}

/// libgit2 is given all that came so far.
fn handed_over(came: std::io::Result<File>, repository: &Path, limit: u64) -> Result<PackFile> {
    let mut came = came.map_err(unwritable)?;
    let mut pack = PackFile::new(repository, limit)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match came.read(&mut piece).map_err(unwritable)? {
            0 => return Ok(pack),
            count => pack.write(&piece[..count])?,
        }
    }
}

/// Puts a pack into its repository: first itself, then what makes it known.
fn keep(pack: NamedTempFile, sum: &str, index: &[u8], repository: &Path) -> Result<()> {
    let folder = repository.join("objects/pack");
    let put = || -> std::io::Result<()> {
        let mut index_file = NamedTempFile::with_prefix_in(TEMPORARY, repository)?;
        index_file.write_all(index)?;
        for (file, kind) in [(pack, "pack"), (index_file, "idx")] {
            file.as_file().set_permissions(Permissions::from_mode(READ_ONLY))?;
            // Its name would outlive a loss of power that its content does not.
            file.as_file().sync_data()?;
            file.persist(folder.join(format!("pack-{sum}.{kind}")))?;
        }
        Ok(())
    };
    put().map_err(unwritable)
}
