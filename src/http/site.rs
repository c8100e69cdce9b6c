//! What is served: registries by name, each with its checksum databases.

use std::sync::Arc;

use async_trait::async_trait;

use super::metrics::{LedgerReading, Reading, StoreReading, UpstreamReading};
use super::route::RegistryName;
use crate::access::Ledgers;
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::registry::catalog::Catalog;
use crate::registry::definition::DEFAULT;
use crate::registry::stock::Stock;
use crate::sumdb;

/// A registry and the checksum databases that its proxies hand through.
pub struct Counter {
    pub registry: Registry,
    pub sumdb: sumdb::Passed,
}

/// All registries.
pub struct Site {
    catalog: Arc<Catalog<Counter>>,
    reload: Option<Arc<dyn Reload>>,
    stock: Option<Arc<Stock>>,
    ledgers: Option<Arc<Ledgers>>,
}

/// Reads the configuration again.
#[async_trait]
pub trait Reload: Send + Sync {
    /// If it does not work, all stays as it was.
    async fn reload(&self) -> Result<Reloaded>;
}

/// A configuration that was read again.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Reloaded {
    pub upstreams: usize,
    pub registries: usize,
    /// The keys whose new values wait for a restart.
    pub waiting: Vec<String>,
}

impl Site {
    pub fn new(catalog: Arc<Catalog<Counter>>) -> Site {
        Site { catalog, reload: None, stock: None, ledgers: None }
    }

    /// Without any registry, for tests of what needs none.
    #[cfg(test)]
    pub fn empty() -> Site {
        use crate::registry::catalog::Current;
        let store = crate::registry::doubles::Drawer::new();
        Site::new(Arc::new(Catalog::standing(store, Current::default())))
    }

    /// The same, with somebody who looks after what is kept.
    pub fn kept_by(self, stock: Arc<Stock>) -> Site {
        Site { stock: Some(stock), ..self }
    }

    /// Who looks after what is kept.
    pub fn stock(&self) -> Option<Arc<Stock>> {
        self.stock.clone()
    }

    /// The same, with what every registry served first.
    pub fn with_ledgers(self, ledgers: Arc<Ledgers>) -> Site {
        Site { ledgers: Some(ledgers), ..self }
    }

    /// What every registry served first.
    pub fn ledgers(&self) -> Option<Arc<Ledgers>> {
        self.ledgers.clone()
    }

    /// For `/metrics`.
    pub fn reading(&self) -> Reading {
        let current = self.catalog.current();
        let wrong = |counter: &Arc<Counter>| (counter.registry.name().to_owned(), counter.registry.served_wrong());
        Reading {
            ready: true,
            upstreams: current.upstreams.values().map(|cached| UpstreamReading::of(cached)).collect(),
            wrong_served: current.registries.values().map(wrong).collect(),
            ledgers: current
                .registries
                .values()
                .filter_map(|c| c.registry.ledger())
                .map(|l| LedgerReading::of(l))
                .collect(),
            // As last counted: to count anew is to look at every entry.
            store: self.stock.as_ref().and_then(|stock| stock.figures()).map(|figures| StoreReading::of(&figures)),
        }
    }

    /// The same, with somebody who reads the configuration again.
    pub fn reloaded_by(self, reload: Arc<dyn Reload>) -> Site {
        Site { reload: Some(reload), ..self }
    }

    pub async fn reload(&self) -> Result<Reloaded> {
        match &self.reload {
            Some(reload) => reload.reload().await,
            None => Err(Error::forbidden("there is no configuration to be read again")),
        }
    }

    /// What is defined, and by whom it is changed.
    pub fn catalog(&self) -> &Arc<Catalog<Counter>> {
        &self.catalog
    }

    /// The registry of a name, as it is now: changes do not disturb who holds it.
    pub fn counter(&self, name: &RegistryName) -> Result<Arc<Counter>> {
        let (name, unknown) = match name {
            RegistryName::Named(name) => (name.as_str(), Error::not_found("unknown registry")),
            RegistryName::Default => (DEFAULT, Error::internal("there is no default registry")),
        };
        let current = self.catalog.current();
        current.registries.get(name).cloned().ok_or_else(|| unknown.about(format!("registries/{name}")))
    }
}
