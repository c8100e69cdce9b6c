//! What repositories take on disk and when they were used last, and how they are taken off it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::folder::Folder;
use crate::error::{Error, Result};

/// A use is noted if the last one noted is so many seconds ago.
const NOTED_EVERY: i64 = 60;

/// How names of folders begin that nobody uses any more; a kill may leave some.
const GONE: &str = "gone-";

/// The disk's unit of `MetadataExt::blocks`.
const BLOCK: u64 = 512;

/// One repository on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUsage {
    /// Of its folder; `Repositories::remove` takes it.
    pub name: String,
    /// Without a password; empty where it is not known.
    pub url: String,
    /// Real bytes on disk.
    pub bytes: u64,
    pub last_used: DateTime<Utc>,
}

/// What came of removing a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// A job has it open.
    InUse,
    Absent,
}

/// The file beside a repository that says whose it is, and by its time when it was used last.
pub struct LastUse {
    file: PathBuf,
    url: String,
    /// When a use was noted last, in seconds.
    noted: AtomicI64,
}

impl LastUse {
    pub fn new(file: PathBuf, url: String) -> LastUse {
        LastUse { file, url, noted: AtomicI64::new(i64::MIN) }
    }

    /// That it cannot be noted harms nobody: the repository only looks older than it is.
    pub fn note(&self, now: DateTime<Utc>) {
        let before = self.noted.load(Ordering::Relaxed);
        if before != i64::MIN && (now.timestamp() - before).abs() < NOTED_EVERY {
            return;
        }
        self.noted.store(now.timestamp(), Ordering::Relaxed);
        let write = || -> io::Result<()> {
            if fs::read(&self.file).ok().as_deref() != Some(self.url.as_bytes()) {
                fs::write(&self.file, &self.url)?;
            }
            File::options().write(true).open(&self.file)?.set_modified(SystemTime::from(now))
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "git: the use of a repository is not noted");
        }
    }
}

pub fn usage(root: &Path) -> Result<Vec<RepositoryUsage>> {
    discard(root)?;
    let mut found = Vec::new();
    for entry in entries(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_name(&name) {
            // A repository may go while it is looked at.
            found.extend(measured(name, &entry.path()).map_err(failed)?);
        }
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Whether a folder may be a repository's; half-made ones have other names.
fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// None if there is no root yet.
fn entries(root: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(root) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

fn measured(name: String, folder: &Path) -> io::Result<Option<RepositoryUsage>> {
    let file = Folder::used_file(folder);
    let modified = fs::metadata(&file).or_else(|_| fs::metadata(folder)).and_then(|metadata| metadata.modified());
    let Some(modified) = there(modified)? else { return Ok(None) };
    let url = fs::read_to_string(&file).unwrap_or_default();
    Ok(Some(RepositoryUsage { name, url, bytes: bytes_below(folder)?, last_used: modified.into() }))
}

fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in there(fs::read_dir(folder))?.into_iter().flatten() {
        let entry = entry?;
        // git's files come and go.
        let Some(metadata) = there(entry.metadata())? else { continue };
        bytes += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            bytes += bytes_below(&entry.path())?;
        }
    }
    Ok(bytes)
}

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a repository's folder a name that nobody asks for, at once and whole; `false` if there is none.
pub fn set_aside(root: &Path, name: &str) -> Result<bool> {
    if !is_name(name) {
        return Ok(false);
    }
    let aside = (0..).map(|number| root.join(format!("{GONE}{number}-{name}"))).find(|aside| !aside.exists());
    let aside = aside.expect("a number that is free");
    Ok(there(fs::rename(root.join(name), aside)).map_err(failed)?.is_some())
}

/// Removes the folders that were set aside, also by a process that was killed.
pub fn discard(root: &Path) -> Result<()> {
    for entry in entries(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(GONE) {
            there(fs::remove_dir_all(entry.path())).map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(cause: io::Error) -> Error {
    tracing::error!(%cause, "git: repositories on disk");
    Error::internal(format!("the git repositories of the store: {}", cause.kind()))
}
