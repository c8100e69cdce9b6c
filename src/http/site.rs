//! What is served: registries by name, each with its checksum databases.

use std::collections::HashMap;

use super::route::RegistryName;
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::sumdb;

/// A registry and the checksum databases that its proxies hand through.
pub struct Counter {
    pub registry: Registry,
    pub sumdb: sumdb::Passed,
}

/// All registries.
pub struct Site {
    counters: HashMap<RegistryName, Counter>,
}

impl Site {
    /// The registry at `/`, and those at `/registries/NAME/`, named by themselves.
    pub fn new(default: Counter, named: impl IntoIterator<Item = Counter>) -> Site {
        let name = |counter: &Counter| RegistryName::Named(counter.registry.name().to_owned());
        let mut counters: HashMap<_, _> = named.into_iter().map(|counter| (name(&counter), counter)).collect();
        counters.insert(RegistryName::Default, default);
        Site { counters }
    }

    /// Without any registry, for tests of what needs none.
    #[cfg(test)]
    pub fn empty() -> Site {
        Site { counters: HashMap::new() }
    }

    pub fn counter(&self, name: &RegistryName) -> Result<&Counter> {
        self.counters.get(name).ok_or_else(|| match name {
            RegistryName::Named(name) => Error::not_found("unknown registry").about(format!("registries/{name}")),
            RegistryName::Default => Error::internal("there is no default registry"),
        })
    }
}
