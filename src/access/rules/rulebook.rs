//! The rules that count now, and how often each of them said no.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::Rules;

/// One for the whole process: a change of the configuration puts other rules in.
#[derive(Debug, Default)]
pub struct Rulebook {
    rules: RwLock<(u64, Arc<Rules>)>,
    counts: Mutex<BTreeMap<(String, Arc<str>), Tally>>,
}

#[derive(Debug, Default)]
struct Tally {
    denied: AtomicU64,
    would_deny: AtomicU64,
}

/// How often a rule refused a request in a registry, since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub registry: String,
    pub rule: String,
    pub denied: u64,
    /// How often it would have, were it not on trial.
    pub would_deny: u64,
}

impl Rulebook {
    pub fn new(rules: Rules) -> Arc<Rulebook> {
        Arc::new(Rulebook { rules: RwLock::new((1, Arc::new(rules))), counts: Mutex::default() })
    }

    /// The rules, and a number that no other rules have.
    pub fn rules(&self) -> (u64, Arc<Rules>) {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place.
    pub fn replace(&self, rules: Rules) {
        let mut place = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        // Else all that was worked out under the old ones would be worked out anew.
        if *place.1 != rules {
            *place = (place.0 + 1, Arc::new(rules));
        }
    }

    pub fn count_denied(&self, registry: &str, rule: &Arc<str>) {
        self.count(registry, rule, |tally| &tally.denied);
    }

    pub fn count_would_deny(&self, registry: &str, rule: &Arc<str>) {
        self.count(registry, rule, |tally| &tally.would_deny);
    }

    fn count(&self, registry: &str, rule: &Arc<str>, which: impl Fn(&Tally) -> &AtomicU64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = counts.entry((registry.to_owned(), rule.clone())).or_default();
        which(tally).fetch_add(1, Ordering::Relaxed);
    }

    /// By registry and rule.
    pub fn counts(&self) -> Vec<Count> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let count = |((registry, rule), tally): (&(String, Arc<str>), &Tally)| Count {
            registry: registry.clone(),
            rule: rule.to_string(),
            denied: read(&tally.denied),
            would_deny: read(&tally.would_deny),
        };
        counts.iter().map(count).collect()
    }
}
