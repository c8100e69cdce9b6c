//! Housekeeping, put together: who has entries, how a binding is taken away, what happens on a full disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::build::Folders;
use crate::config::settings::StoreSettings;
use crate::error::{Error, Result};
use crate::git::{self, Removal, RepositoryUsage};
use crate::http::site::Counter;
use crate::ports::{Clock, Store};
use crate::registry::catalog::Catalog;
use crate::registry::stock::{
    Growth, InMemory, Limits, Repositories, Repository, Stock, Tenant, Tenants, Unbind, Watched,
};
use crate::spec::path::ModulePath;
use crate::store::SledStore;
use crate::sumdb::{Database, Databases};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The store of a process, and who counts what comes into it.
pub fn watched(store: Arc<SledStore>) -> (Arc<dyn Store>, Arc<Growth>) {
    let growth: Arc<Growth> = Arc::default();
    let measured = store.clone();
    let watched = Watched::new(store, growth.clone(), Box::new(move |size| measured.missing(size)));
    (Arc::new(watched), growth)
}

/// What the configuration says of all upstreams together.
pub fn limits(settings: &StoreSettings) -> Limits {
    Limits { max_size: settings.max_size, keep: settings.keep_days.map(|days| DAY * days) }
}

/// 0 is no limit, and one of its own: the store's does not count then.
fn kept_for(days: u32) -> Duration {
    if days == 0 { Duration::MAX } else { DAY * days }
}

/// Who looks after the entries in a store.
pub fn stock(
    store: Arc<dyn Store>,
    growth: Arc<Growth>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    catalog: &Arc<Catalog<Counter>>,
    folders: &Arc<Folders>,
    databases: &Arc<Databases>,
) -> Arc<Stock> {
    let stock = Stock::new(store, clock, limits, tenants(catalog, folders, databases)).unbinding(unbind(catalog));
    let stock = Arc::new(stock.growing(growth.clone()));
    // The store is what the stock holds: it must not hold the stock in turn.
    let weak = Arc::downgrade(&stock);
    growth.on_full(move |bytes| {
        if let Some(stock) = weak.upgrade()
            && let Err(error) = stock.make_room(bytes)
        {
            tracing::warn!(%error, "no room could be made on a full disk");
        }
    });
    stock
}

/// The upstreams as they are defined at the moment, and the git repositories of those that are no more.
fn tenants(catalog: &Arc<Catalog<Counter>>, folders: &Arc<Folders>, databases: &Arc<Databases>) -> Tenants {
    let (catalog, folders, databases) = (catalog.clone(), folders.clone(), databases.clone());
    Arc::new(move || {
        let current = catalog.current();
        let mut tenants = Vec::new();
        for (name, cached) in &current.upstreams {
            let definition = current.definitions.get(name);
            let shelf = cached.shelf().as_str().to_owned();
            tenants.push(Tenant {
                in_memory: Some(cached.clone()),
                max_size: definition.and_then(|definition| definition.max_size),
                keep: definition.and_then(|definition| definition.keep_days).map(kept_for),
                repositories: kept(&folders, &shelf),
                shelf,
            });
        }
        for database in databases.all() {
            let (shelf, in_memory) = (database.shelf().to_owned(), Some(database.clone() as Arc<dyn InMemory>));
            tenants.push(Tenant { shelf, in_memory, max_size: None, keep: None, repositories: None });
        }
        for shelf in folders.shelves() {
            if tenants.iter().any(|tenant| tenant.shelf == shelf) {
                continue;
            }
            let repositories = kept(&folders, &shelf);
            tenants.push(Tenant { shelf, in_memory: None, max_size: None, keep: None, repositories });
        }
        tenants
    })
}

/// `None` where there never were any.
fn kept(folders: &Folders, shelf: &str) -> Option<Arc<dyn Repositories>> {
    folders.has(shelf).then(|| Arc::new(Kept(folders.of(shelf))) as Arc<dyn Repositories>)
}

async fn is_bound(counter: &Counter, module: &ModulePath) -> Result<bool> {
    Ok(counter.registry.binding(module).await?.is_some())
}

/// The git repositories of one shelf.
struct Kept(Arc<git::Repositories>);

impl Repositories for Kept {
    fn usage(&self) -> Result<Vec<Repository>> {
        let shown = |RepositoryUsage { name, url, bytes, last_used }| Repository {
            name,
            url: Some(url).filter(|url| !url.is_empty()),
            bytes,
            last_used,
            upstream: String::new(),
        };
        Ok(self.0.usage()?.into_iter().map(shown).collect())
    }

    fn remove(&self, name: &str) -> Result<bool> {
        Ok(self.0.remove(name)? == Removal::Removed)
    }
}

impl InMemory for Database {
    /// Whatever is wanted is written down at once.
    fn flush(&self) {}

    fn forget(&self, key: &str) {
        Database::forget(self, key);
    }
}

/// Called where it may block.
fn unbind(catalog: &Arc<Catalog<Counter>>) -> Unbind {
    let (catalog, runtime) = (catalog.clone(), Handle::current());
    Arc::new(move |module, only, dry_run| {
        let mut names = Vec::new();
        let current = catalog.current();
        if let Some(only) = only.filter(|only| !current.registries.contains_key(*only)) {
            return Err(Error::not_found("unknown registry").about(format!("registries/{only}")));
        }
        for (name, counter) in current.registries.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
            let is_bound = match dry_run {
                true => runtime.block_on(is_bound(counter, module))?,
                false => runtime.block_on(counter.registry.unbind(module))?,
            };
            names.extend(is_bound.then(|| name.clone()));
        }
        Ok(names)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_0_days_is_kept_for_ever() {
        assert_eq!(kept_for(0), Duration::MAX);
        assert_eq!(kept_for(2), DAY * 2);
    }
}
