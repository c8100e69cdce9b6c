//! Keys of which nobody can say what they hold, since what stands there was left out.
//! What follows from such a gap alone is no fault of its own, and is not told.

use std::collections::HashSet;

use super::lines::place;
use crate::registry::definition::Fault;

/// Places of keys (`upstream.0.auth.host`), items of lists by their numbers.
#[derive(Debug, Default)]
pub struct Doubts(HashSet<String>);

impl Doubts {
    pub fn of(places: impl IntoIterator<Item = String>) -> Doubts {
        Doubts(places.into_iter().collect())
    }

    /// Whether a key, or what stands above it, was left out.
    pub fn cover(&self, key: &str) -> bool {
        let mut key = key;
        loop {
            match (self.0.contains(key), key.rsplit_once('.')) {
                (true, _) => return true,
                (false, Some((above, _))) => key = above,
                (false, None) => return false,
            }
        }
    }

    /// Whether a fault below a table is one only because something was left out.
    pub fn excuse(&self, above: &str, fault: &Fault) -> bool {
        fault.keys().any(|key| self.cover(&place(above, key)))
    }

    /// The names of a list's tables, each once; `None` if some may be missing among them.
    pub fn names<'a>(&self, list: &str, names: impl Iterator<Item = &'a Option<String>>) -> Option<Vec<String>> {
        let names: Vec<&Option<String>> = names.collect();
        // Behind the last one stands what was written below a misspelled key.
        let in_doubt = self.cover(&format!("{list}.{}", names.len()));
        let names = names.into_iter().cloned().collect::<Option<Vec<String>>>().filter(|_| !in_doubt)?;
        // That two share a name is a fault of its own; who reads what is expected wants to read it once.
        let mut told = HashSet::new();
        Some(names.into_iter().filter(|name| told.insert(name.clone())).collect())
    }
}
