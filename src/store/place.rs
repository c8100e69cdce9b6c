//! Which of two folders holds the tables: said in one file, which is replaced at once.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::database::{unopened, unreadable};
use super::failure::During;
use crate::error::Result;

/// The folders, used in turn; the first one if nothing says which.
const NAMES: [&str; 2] = ["sled", "sled.2"];

/// Says in which of them the tables are.
const POINTER: &str = "tables";

pub(super) struct Places {
    folder: PathBuf,
}

impl Places {
    pub(super) fn new(folder: &Path) -> Places {
        Places { folder: folder.to_path_buf() }
    }

    /// The folder of the tables; what a copy that did not get to its end left in the other one is removed.
    pub(super) fn settle(&self) -> Result<PathBuf> {
        let mut told = true;
        let name = match fs::read_to_string(self.folder.join(POINTER)) {
            Ok(text) => match NAMES.into_iter().find(|name| *name == text.trim()) {
                Some(name) => name,
                None => {
                    return Err(unreadable(
                        &self.folder,
                        &format!("{POINTER} says {:?} (expected {})", text.trim(), NAMES.join(" or ")),
                    ));
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                told = false;
                NAMES[0]
            }
            Err(error) => return Err(unopened(&self.folder, &error)),
        };
        let place = self.folder.join(name);
        if told && !place.is_dir() {
            return Err(unreadable(&self.folder, &format!("{POINTER} says {name}, which is not there")));
        }
        self.discard(&self.other(&place)).map_err(|error| unopened(&self.folder, &error))?;
        Ok(place)
    }

    /// The folder that the tables are not in.
    pub(super) fn other(&self, place: &Path) -> PathBuf {
        let name = if place.ends_with(NAMES[0]) { NAMES[1] } else { NAMES[0] };
        self.folder.join(name)
    }

    /// From now on the tables are in this folder, also after a loss of power. All in it has to be on the disk.
    pub(super) fn move_to(&self, place: &Path) -> Result<()> {
        let name = place.file_name().expect("one of two names").as_encoded_bytes();
        let write = || {
            sync_folder(place)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(name)?;
            file.write_all(b"\n")?;
            file.as_file().sync_data()?;
            file.persist(self.folder.join(POINTER)).map_err(|error| error.error)
        };
        write().during("move tables")?;
        // It counts from here on. A disk that does not keep it can only lose what was written since.
        if let Err(error) = sync_folder(&self.folder) {
            tracing::error!(%error, "store: move tables");
        }
        Ok(())
    }

    /// Removes a folder of tables that nobody uses.
    pub(super) fn discard(&self, place: &Path) -> io::Result<()> {
        match fs::remove_dir_all(place) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
