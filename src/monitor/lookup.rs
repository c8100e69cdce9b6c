//! Secrets by where they lie: looked up whenever they are needed, so that a new one counts without a restart.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::net::Secret;

/// Reads a secret where it lies. Blocking.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn() -> Result<Secret> + Send + Sync>);

impl Lookup {
    pub fn new(read: impl Fn() -> Result<Secret> + Send + Sync + 'static) -> Lookup {
        Lookup(Arc::new(read))
    }

    /// One that was said.
    pub fn of(secret: Secret) -> Lookup {
        Lookup::new(move || Ok(secret.clone()))
    }

    /// What lies there now; where there is nothing, there may be something later.
    pub async fn read(&self) -> Result<Secret> {
        let Lookup(read) = self.clone();
        let read = tokio::task::spawn_blocking(move || read()).await;
        let read = read.unwrap_or_else(|error| Err(Error::internal("reading a secret ended early").because(error)));
        read.map_err(|error| Error::unavailable("a secret cannot be read").because(error))
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup(…)")
    }
}
