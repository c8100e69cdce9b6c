//! The flags that say which store a command is about.

use std::io;
use std::path::{Path, PathBuf};

use crate::cli::environment::{self, Sources};
use crate::config::Settings;
use crate::error::{Error, Result};

/// Which store, and what is configured around it: as for `modvet serve`.
#[derive(clap::Args)]
pub struct Place {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the store [default: the file's store.path, $MODVET_STORE, ./modvet-data]
    #[arg(long, value_name = "FOLDER")]
    pub store: Option<PathBuf>,
}

impl Place {
    pub fn settings(&self) -> Result<Settings> {
        let store = environment::variable("MODVET_STORE").map_or_else(|| PathBuf::from("modvet-data"), PathBuf::from);
        let sources = Sources { config: self.config.as_deref(), upstream: None, store };
        let mut settings = environment::settings(sources)?;
        if let Some(folder) = &self.store {
            settings.store.path = folder.clone();
        }
        Ok(settings)
    }
}

/// Whether there is no store in a folder: it is not there, or nothing is in it.
pub(super) fn is_missing(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// What is said where a command would look into a store that is not there.
pub(super) fn no_store(folder: &Path) -> Error {
    Error::not_found(format!("{}: there is no store (expected the server's)", whole(folder).display()))
        .remedy("name it as modvet serve was told: by --store FOLDER, or by --config FILE")
        .remedy("modvet serve makes it when it starts for the first time")
}

/// What is said where a command made a store.
pub(super) fn made(folder: &Path) -> String {
    let folder = whole(folder);
    let folder = folder.display();
    format!("the store {folder} was made: none was there\na server of another store knows nothing of what is in it")
}

/// Who stands in another folder than was thought sees it in the whole path only.
fn whole(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
