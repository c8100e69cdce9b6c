//! Addresses of files that were answered before, already read: to read one anew costs as much as to find what it names.
//! What an address says never changes, so this holds nothing that could be wrong.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::route::{RegistryName, Route};
use crate::registry::Question;
use crate::spec::path::ModulePath;

/// So many bytes they take at most, roughly.
const BYTES: u64 = 4 << 20;

/// Of one address, beside its texts.
const EACH: usize = 512;

/// What a client wants of a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    pub registry: RegistryName,
    pub module: ModulePath,
    pub question: Question,
    /// What the log calls it.
    pub subject: String,
}

impl Wanted {
    pub fn new(registry: RegistryName, module: ModulePath, question: Question) -> Wanted {
        let subject = question.subject(&module);
        Wanted { registry, module, question, subject }
    }
}

/// Where an address leads.
pub enum Led {
    /// To a file of a registry.
    Module(Arc<Wanted>),
    Elsewhere(Route),
}

impl Led {
    pub fn to(route: Route) -> Led {
        match route {
            Route::Module { registry, module, question } => {
                Led::Module(Arc::new(Wanted::new(registry, module, question)))
            }
            route => Led::Elsewhere(route),
        }
    }
}

/// What addresses want, as they were sent.
pub struct Known(Cache<String, Arc<Wanted>, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Wanted>> for Weight {
    fn weight(&self, address: &String, wanted: &Arc<Wanted>) -> u64 {
        // Module, version and subject say together twice what the address says.
        (EACH + address.len() + 2 * wanted.subject.len()) as u64
    }
}

impl Default for Known {
    fn default() -> Known {
        Known(Cache::with_weighter(BYTES as usize / (2 * EACH), BYTES, Weight))
    }
}

impl Known {
    pub fn find(&self, address: &str) -> Option<Arc<Wanted>> {
        self.0.get(address)
    }

    /// Only of what was answered: else whoever reaches the port could crowd out what clients ask.
    pub fn keep(&self, address: &str, wanted: &Arc<Wanted>) {
        self.0.insert(address.to_owned(), wanted.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_addresses_come_no_more_is_held_than_is_said() {
        let known = Known::default();
        let module = ModulePath::parse("example.com/m").expect("a path");
        for number in 0..20_000 {
            let wanted = Wanted::new(RegistryName::Default, module.clone(), Question::List);
            known.keep(&format!("/example.com/m/@v/list{number}"), &Arc::new(wanted));
        }
        assert!(known.0.weight() <= BYTES && known.0.len() > 2000, "{} bytes, {}", known.0.weight(), known.0.len());
    }
}
