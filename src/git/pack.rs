//! A pack on its way into a repository: checked and indexed while it comes in.

use std::io::Write;
use std::path::{Path, PathBuf};

use git2::{ErrorClass, Indexer, ObjectType, Odb, Repository};
use tempfile::TempDir;

use super::folder::TEMPORARY;
use super::growth::unreadable;
use super::recent::KEPT;
use super::unpack::{Odd, Unpack};
use crate::error::{Error, Result};

/// Up to so many objects of a pack are kept one by one: every pack makes each search for an object longer.
pub const FEW: usize = 16;
/// Few objects are read in memory up to so many bytes of their pack. A pack of more stays one, however few its objects
/// are: to deflate them once more costs more than it saves.
const SMALL: usize = 1 << 20;
/// Signature, version and number of objects.
const HEAD: usize = 12;

/// Appears in the repository as a whole when finished, or not at all.
pub struct PackFile {
    repository: PathBuf,
    state: State,
    received: u64,
    limit: u64,
}

enum State {
    /// How many objects there are is not known yet.
    Head(Vec<u8>),
    Pack(Indexer<'static>),
    /// A small pack of few objects.
    Few(Vec<u8>),
    /// One of few objects, in a folder of its own.
    Large(Indexer<'static>, TempDir),
}

/// What has become of a pack.
pub enum Taken {
    /// It is one of the repository's.
    Pack,
    Loose(Objects),
}

/// Few objects, checked, that are no part of the repository yet.
pub struct Objects(Place);

enum Place {
    Memory(Vec<(ObjectType, Vec<u8>)>),
    Folder(TempDir),
}

impl PackFile {
    /// A pack of at most `limit` bytes for a bare repository's folder.
    pub fn new(repository: &Path, limit: u64) -> Result<PackFile> {
        Ok(PackFile { repository: repository.to_owned(), state: State::Head(Vec::new()), received: 0, limit })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(Error::bad_gateway(format!("git pack too large (expected at most {} bytes)", self.limit)));
        }
        match &mut self.state {
            State::Pack(indexer) | State::Large(indexer, _) => index(indexer, bytes),
            State::Few(small) if small.len() + bytes.len() <= SMALL => {
                small.extend_from_slice(bytes);
                Ok(())
            }
            State::Few(_) => {
                self.enlarge()?;
                self.state.index(bytes)
            }
            State::Head(head) => {
                head.extend_from_slice(bytes);
                if head.len() < HEAD { Ok(()) } else { self.begin() }
            }
        }
    }

    /// Chooses a place and puts there what has come so far.
    fn begin(&mut self) -> Result<()> {
        let State::Head(head) = &mut self.state else { return Ok(()) };
        let head = std::mem::take(head);
        let count = head.first_chunk::<HEAD>().map(|head| u32::from_be_bytes([head[8], head[9], head[10], head[11]]));
        // libgit2 takes only paths that are text for the folder that few objects may need.
        let is_few = count.is_some_and(|count| count as usize <= FEW) && self.repository.to_str().is_some();
        if is_few && head.len() <= SMALL {
            self.state = State::Few(head);
            return Ok(());
        }
        self.state = match is_few {
            true => large(&self.repository)?,
            false => State::Pack(indexer(&self.repository.join("objects/pack"))?),
        };
        self.state.index(&head)
    }

    /// Few objects get a folder.
    fn enlarge(&mut self) -> Result<()> {
        let State::Few(small) = &mut self.state else { return Ok(()) };
        let small = std::mem::take(small);
        self.state = large(&self.repository)?;
        self.state.index(&small)
    }

    pub fn finish(mut self) -> Result<Taken> {
        self.begin()?;
        if let State::Few(small) = &self.state {
            match read(small) {
                Ok(objects) => return Ok(Taken::Loose(Objects(Place::Memory(objects)))),
                // What is wrong with it, if anything is, libgit2 will say.
                Err(Odd) => self.enlarge()?,
            }
        }
        match self.state {
            State::Head(_) | State::Few(_) => Err(Error::bad_gateway("damaged git pack")),
            State::Pack(indexer) => indexer.commit().map(|_| Taken::Pack).map_err(failure),
            State::Large(indexer, folder) => {
                let name = indexer.commit().map_err(failure)?;
                if self.received <= SMALL as u64 {
                    return Ok(Taken::Loose(Objects(Place::Folder(folder))));
                }
                // The index comes last: without it the pack is none.
                for end in ["pack", "idx"] {
                    let file = format!("pack-{name}.{end}");
                    let from = folder.path().join("pack").join(&file);
                    // Its name would outlive a loss of power that its content does not.
                    std::fs::File::open(&from).and_then(|file| file.sync_data()).map_err(unwritable)?;
                    let to = self.repository.join("objects/pack").join(&file);
                    std::fs::rename(from, to).map_err(unwritable)?;
                }
                Ok(Taken::Pack)
            }
        }
    }
}

impl State {
    fn index(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            State::Pack(indexer) | State::Large(indexer, _) => index(indexer, bytes),
            State::Head(_) | State::Few(_) => Ok(()),
        }
    }
}

/// A folder for the pack of few objects.
fn large(repository: &Path) -> Result<State> {
    let folder = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(repository);
    let folder = folder.and_then(|folder| std::fs::create_dir(folder.path().join("pack")).map(|()| folder));
    let folder = folder.map_err(unwritable)?;
    Ok(State::Large(indexer(&folder.path().join("pack"))?, folder))
}

/// The objects of a small pack.
fn read(pack: &[u8]) -> std::result::Result<Vec<(ObjectType, Vec<u8>)>, Odd> {
    let older = |offset: u64, to: &mut [u8]| {
        let from = usize::try_from(offset).ok().and_then(|from| pack.get(from..)?.get(..to.len()));
        to.copy_from_slice(from.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    let mut objects = Vec::new();
    let mut unpack = Unpack::new(KEPT);
    unpack.write(pack, &older, &mut |_, kind, content| {
        objects.push((kind, content.to_vec()));
        Ok(())
    })?;
    unpack.finish()?;
    Ok(objects)
}

impl Objects {
    /// Puts each object into a repository that has not got it.
    pub fn put(self, repository: &Repository) -> Result<()> {
        let to = repository.odb().map_err(unreadable)?;
        match self.0 {
            Place::Memory(objects) => {
                for (kind, content) in objects {
                    to.write(kind, &content).map_err(failure)?;
                }
                Ok(())
            }
            Place::Folder(folder) => copy(&folder, &to),
        }
    }
}

fn copy(folder: &TempDir, to: &Odb<'_>) -> Result<()> {
    let from = Odb::new().map_err(unreadable)?;
    from.add_disk_alternate(&folder.path().to_string_lossy()).map_err(unreadable)?;
    let mut ids = Vec::new();
    from.foreach(|id| {
        ids.push(*id);
        true
    })
    .map_err(unreadable)?;
    for id in ids {
        let object = from.read(id).map_err(unreadable)?;
        to.write(object.kind(), object.data()).map_err(failure)?;
    }
    Ok(())
}

fn indexer(folder: &Path) -> Result<Indexer<'static>> {
    // Verifying would ask for trees that a filtered pack leaves out; ids and trailer are checked anyway.
    Indexer::new(None, folder, 0, false).map_err(failure)
}

fn index(indexer: &mut Indexer<'static>, bytes: &[u8]) -> Result<()> {
    indexer.write_all(bytes).map_err(|cause| match cause.downcast::<git2::Error>() {
        Ok(cause) => failure(cause),
        Err(cause) => unwritable(cause),
    })
}

pub fn unwritable(cause: std::io::Error) -> Error {
    Error::internal("a git pack cannot be written").because(cause)
}

/// Whose fault it is: the disk's, or that of whoever sent the pack.
pub fn failure(cause: git2::Error) -> Error {
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
