//! Looks from time to time whether tags are where they were when their versions were first served.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::http::site::Counter;
use crate::registry::Registry;
use crate::registry::catalog::Catalog;

/// The first look is soon after the start: it may have been a long time.
const SOON: Duration = Duration::from_secs(10);

/// Looks for as long as it runs; with no time at all between two looks only what is written down is counted.
pub async fn watch(catalog: Arc<Catalog<Counter>>, every: Duration) {
    for counter in catalog.current().registries.values() {
        noted(&counter.registry, counter.registry.count_drift().await);
    }
    if every.is_zero() {
        return;
    }
    tokio::time::sleep(every.min(SOON)).await;
    loop {
        for counter in catalog.current().registries.values() {
            noted(&counter.registry, counter.registry.check_drift().await);
        }
        tokio::time::sleep(every).await;
    }
}

fn noted(registry: &Registry, looked: Result<u64>) {
    if let Err(error) = looked {
        tracing::warn!(registry = registry.name(), %error, "tags were not looked at");
    }
}
