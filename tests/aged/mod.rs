//! Time that has passed: what a store keeps is made older by hand, through the house's own store.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use modvet::ports::Store as _;
use modvet::store::{Options, SledStore};
use serde_json::Value;

use crate::support::modvet::Home;

/// How such a file begins.
const REFS: &str = "modvet refs 1 ";

/// Makes all that upstreams said, git servers of their refs included, older by so many hours. Nobody may hold the store.
pub fn age(home: &Home, hours: i64) {
    age_refs(&home.store().join("git"), hours);
    let store = SledStore::open(home.store(), Options::default()).expect("nobody holds it");
    let mut metas = Vec::new();
    let mut note = |key: &str, meta: &[u8]| {
        metas.push((key.to_owned(), meta.to_vec()));
        true
    };
    store.scan("upstream/", &mut note).expect("a whole store");
    assert!(!metas.is_empty(), "nothing is kept");
    for (key, meta) in metas {
        let mut meta: Value = serde_json::from_slice(&meta).expect("metas are JSON");
        for name in ["fetched_at", "checked_at", "last_used"] {
            let Some(Value::String(text)) = meta.get(name) else { continue };
            let time: DateTime<Utc> = text.parse().expect("RFC 3339");
            meta[name] = Value::String((time - TimeDelta::hours(hours)).to_rfc3339());
        }
        let meta = serde_json::to_vec(&meta).expect("JSON");
        assert!(store.put_meta(&key, &meta).expect("a whole store"), "{key}");
    }
}

/// The files that say which refs a git server had when it was last asked.
fn age_refs(folder: &Path, hours: i64) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            age_refs(&path, hours);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && let Some((time, rest)) = text.strip_prefix(REFS).and_then(|text| text.split_once(' '))
        {
            let time: DateTime<Utc> = time.parse().expect("RFC 3339");
            let older = (time - TimeDelta::hours(hours)).to_rfc3339();
            std::fs::write(&path, format!("{REFS}{older} {rest}")).expect("a writable folder");
        }
    }
}
