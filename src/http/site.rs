//! What is served: registries by name, each with its checksum databases.

use std::sync::Arc;

use async_trait::async_trait;

use super::metrics::{AuditReading, LedgerReading, Reading, StoreReading, UpstreamReading};
use super::route::RegistryName;
use crate::access::audit::Records;
use crate::access::{Ledgers, Tokens};
use crate::error::{Error, Result};
use crate::monitor::{Outbox, Watch};
use crate::registry::catalog::Catalog;
use crate::registry::stock::Stock;
use crate::registry::{Proofs, Registry};
use crate::sumdb;

/// A registry and the checksum databases that its proxies hand through.
pub struct Counter {
    pub registry: Registry,
    pub sumdb: Arc<sumdb::Passed>,
}

/// All registries.
pub struct Site {
    catalog: Arc<Catalog<Counter>>,
    tokens: Arc<Tokens>,
    reload: Option<Arc<dyn Reload>>,
    stock: Option<Arc<Stock>>,
    records: Option<Records>,
    proofs: Option<Arc<Proofs>>,
    databases: Arc<sumdb::Databases>,
    ledgers: Option<Arc<Ledgers>>,
    watching: Option<Watching>,
}

/// The mirror watch, and who tells people.
#[derive(Clone)]
pub struct Watching {
    pub watch: Arc<Watch>,
    pub outbox: Arc<Outbox>,
    /// Whether the watch goes on by itself; beside a command nobody delivers letters but the command.
    pub is_kept: bool,
}

impl Watching {
    /// Delivers what came of some work, where nobody else does.
    pub async fn settle(&self) {
        if !self.is_kept {
            self.outbox.deliver_due().await;
        }
    }

    /// Does all that is due by now, reminders and renewals too, where nobody else does.
    pub async fn catch_up(&self) {
        if !self.is_kept {
            self.watch.tick().await;
        }
    }
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
    pub fn new(catalog: Arc<Catalog<Counter>>, tokens: Arc<Tokens>) -> Site {
        let databases = Arc::default();
        let (reload, stock, records, proofs, ledgers, watching) = Default::default();
        Site { catalog, tokens, reload, stock, records, proofs, databases, ledgers, watching }
    }

    /// Without any registry, for tests of what needs none.
    #[cfg(test)]
    pub fn empty() -> Site {
        use crate::registry::catalog::Current;
        use crate::registry::doubles::{Drawer, Hands};
        let store = Drawer::new();
        let tokens = Tokens::open(store.clone(), Hands::new()).expect("an empty store");
        Site::new(Arc::new(Catalog::standing(store, Current::default())), Arc::new(tokens))
    }

    /// The same, with somebody who looks after what is kept.
    pub fn kept_by(self, stock: Arc<Stock>) -> Site {
        Site { stock: Some(stock), ..self }
    }

    /// The same with checksum databases.
    pub fn vouched_by(self, databases: Arc<sumdb::Databases>) -> Site {
        Site { databases, ..self }
    }

    /// The checksum databases that are passed on.
    pub fn databases(&self) -> &Arc<sumdb::Databases> {
        &self.databases
    }

    /// Who looks after what is kept.
    pub fn stock(&self) -> Option<Arc<Stock>> {
        self.stock.clone()
    }

    /// The same, with a log of who got what.
    pub fn recorded_by(self, records: Records) -> Site {
        Site { records: Some(records), ..self }
    }

    /// Who got what; `None` where nothing is written down.
    pub fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }

    /// The same, with what waits to be held against the checksum database.
    pub fn proving(self, proofs: Arc<Proofs>) -> Site {
        Site { proofs: Some(proofs), ..self }
    }

    /// What waits to be held against the checksum database; `None` where nothing ever is.
    pub fn proofs(&self) -> Option<&Arc<Proofs>> {
        self.proofs.as_ref()
    }

    /// The same, with what every registry served first.
    pub fn with_ledgers(self, ledgers: Arc<Ledgers>) -> Site {
        Site { ledgers: Some(ledgers), ..self }
    }

    /// What every registry served first.
    pub fn ledgers(&self) -> Option<Arc<Ledgers>> {
        self.ledgers.clone()
    }

    /// The same, with a mirror watch.
    pub fn watched_by(self, watching: Watching) -> Site {
        Site { watching: Some(watching), ..self }
    }

    /// The mirror watch.
    pub fn watching(&self) -> Option<&Watching> {
        self.watching.as_ref()
    }

    /// For `/metrics`.
    pub fn reading(&self) -> Reading {
        let current = self.catalog.current();
        let ledgers = current.registries.values().filter_map(|counter| counter.registry.ledger());
        let wrong = |counter: &Arc<Counter>| (counter.registry.name().to_owned(), counter.registry.served_wrong());
        Reading {
            ready: true,
            upstreams: current.upstreams.values().map(|cached| UpstreamReading::of(cached)).collect(),
            wrong_served: current.registries.values().map(wrong).collect(),
            certificate_expiry: None,
            unverified: self.proofs.as_ref().map(|proofs| proofs.unverified()),
            databases: self.databases.status(),
            denials: current.registries.values().flat_map(|counter| counter.registry.denials()).collect(),
            ledgers: ledgers.map(|ledger| LedgerReading::of(ledger)).collect(),
            // As last counted: to count anew is to look at every entry.
            store: self.stock.as_ref().and_then(|stock| stock.figures()).map(|figures| StoreReading::of(&figures)),
            audit: self.records.as_ref().and_then(|records| records.auditor.as_deref()).map(AuditReading::of),
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

    /// Who may ask.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// What is defined, and by whom it is changed.
    pub fn catalog(&self) -> &Arc<Catalog<Counter>> {
        &self.catalog
    }

    /// The registry of a name, as it is now: changes do not disturb who holds it.
    pub fn counter(&self, name: &RegistryName) -> Result<Arc<Counter>> {
        let unknown = match name {
            RegistryName::Named(_) => Error::not_found("unknown registry"),
            RegistryName::Default => Error::internal("there is no default registry"),
        };
        let name = name.as_str();
        let current = self.catalog.current();
        current.registries.get(name).cloned().ok_or_else(|| unknown.about(format!("registries/{name}")))
    }
}
