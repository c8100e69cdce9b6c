//! The flags that say which store a command is about.

use std::path::PathBuf;

use crate::cli::environment::{self, Sources};
use crate::config::Settings;
use crate::error::Result;

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
