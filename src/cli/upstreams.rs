//! The upstreams of all registries as their watch sees them.

use std::sync::Arc;

use crate::error::Error;
use crate::http::site::Counter;
use crate::monitor::upstreams::{Traffic, Upstream, Upstreams};
use crate::ports::Line;
use crate::registry::catalog::Catalog;
use crate::registry::{Cached, Health};
use crate::upstream::Failing;

/// All that there are at the moment, whoever defined them.
pub fn of(catalog: &Arc<Catalog<Counter>>) -> Upstreams {
    let catalog = catalog.clone();
    Arc::new(move || {
        let current = catalog.current();
        let seen = |(name, cached): (&String, &Arc<Cached>)| {
            let definition = current.definitions.get(name)?;
            let address = definition.kind.address();
            let line = current.lines.get(name).cloned().unwrap_or_else(nobody);
            Some(Upstream {
                name: name.clone(),
                kind: definition.kind.word().to_owned(),
                address: (!address.is_empty()).then_some(address),
                traffic: traffic(cached.health()),
                line,
            })
        };
        current.upstreams.iter().filter_map(seen).collect()
    })
}

fn nobody() -> Arc<dyn Line> {
    Arc::new(Failing::new(Error::bad_gateway("it cannot be asked")))
}

fn traffic(health: Health) -> Traffic {
    Traffic {
        last_success: health.last_success,
        last_failure: health.last_failure,
        failure: health.failure,
        failures: health.consecutive_failures,
        latency_ms: health.latency_ms,
    }
}
