//! How a command without a server reaches modules: the flags that say so, and what they mean.

use std::path::PathBuf;

use super::environment::{self, Sources};
use crate::config::Settings;
use crate::error::{Error, Result};

/// Where a command asks, and where it keeps what it fetched.
#[derive(clap::Args)]
pub struct Reach {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask these upstreams, in the syntax of GOPROXY
    #[arg(long, value_name = "LIST", conflicts_with = "proxy")]
    pub upstream: Option<String>,
    /// Ask a running modvet or any other module proxy
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Keep what is fetched in this folder [default: modvet in the user's cache folder]
    #[arg(long, value_name = "FOLDER", env = "MODVET_CACHE")]
    pub cache: Option<PathBuf>,
}

impl Reach {
    pub fn settings(&self) -> Result<Settings> {
        let folder = self.cache.clone().or_else(|| Some(dirs::cache_dir()?.join("modvet")));
        let store = folder.ok_or_else(|| {
            Error::gone("no cache folder is known for this user").remedy("name one with --cache or MODVET_CACHE")
        })?;
        let upstream = self.proxy.as_deref().or(self.upstream.as_deref());
        let mut settings =
            environment::settings(Sources { config: self.config.as_deref(), upstream, store: store.clone() })?;
        settings.store.path = store;
        Ok(settings)
    }
}
