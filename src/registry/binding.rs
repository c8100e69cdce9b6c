//! Which upstream a module path belongs to in a registry, so that list, latest and files of one module never mix
//! sources; kept in the store under `binding/REGISTRY/`, so that a restart changes nothing.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::cached::blocking;
use super::shelf::name_in;
use crate::error::Result;
use crate::ports::{Body, Clock, Store};
use crate::spec::path::{ModulePath, escape};

/// Who answered for a module path first, and who might have.
///
/// Upstreams are named by their shelves: under another address the same name is another upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `None` where somebody took the binding away: the next answer binds anew, whatever is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    pub since: DateTime<Utc>,
    /// The upstreams before it that might have served the path, and did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<String>,
    /// Made because an upstream before it was out of reach: so long does it hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// The bindings of one registry. Registries that follow each other under one name, as after a change of the
/// configuration, share their book.
pub struct Book {
    registry: String,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What the store holds, for the modules that are asked for most; `None` is known as well.
    known: Cache<String, Option<Arc<Binding>>, Weight>,
    /// Reading and writing the binding of one module take turns.
    turns: [Mutex<()>; TURNS],
}

const KNOWN: usize = 10_000;
/// That there is no binding is known too, and of such paths clients may name as many as they like.
const KNOWN_BYTES: u64 = 4 << 20;
const TURNS: usize = 16;

#[derive(Clone)]
struct Weight;

impl Weighter<String, Option<Arc<Binding>>> for Weight {
    fn weight(&self, key: &String, binding: &Option<Arc<Binding>>) -> u64 {
        let names = binding.iter().flat_map(|binding| binding.upstream.iter().chain(&binding.above));
        (key.len() + names.map(|name| name.len() + size_of::<String>()).sum::<usize>()) as u64 + 128
    }
}

impl Binding {
    /// The upstream's name, without what tells its addresses apart.
    pub fn upstream_name(&self) -> Option<&str> {
        self.upstream.as_deref().map(name_in)
    }
}

impl Book {
    pub fn new(registry: impl Into<String>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Book> {
        let (registry, known) = (registry.into(), Cache::with_weighter(KNOWN, KNOWN_BYTES, Weight));
        Arc::new(Book { registry, store, clock, known, turns: Default::default() })
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// What was written down of a module; not yet whether it still holds.
    pub(super) async fn find(self: &Arc<Self>, module: &ModulePath) -> Result<Option<Arc<Binding>>> {
        if let Some(known) = self.known.get(module.as_str()) {
            return Ok(known);
        }
        let (book, module) = (self.clone(), module.clone());
        blocking(move || {
            let _turn = book.turn(&module);
            book.read(&module)
        })
        .await
    }

    /// Writes a binding down where `seen` still stands, and gives what stands there now.
    pub(super) async fn bind(
        self: &Arc<Self>,
        module: &ModulePath,
        seen: Option<Arc<Binding>>,
        binding: Binding,
    ) -> Result<Option<Arc<Binding>>> {
        let (book, module) = (self.clone(), module.clone());
        blocking(move || {
            let _turn = book.turn(&module);
            let stands = book.read(&module)?;
            if stands != seen {
                return Ok(stands);
            }
            if let Err(error) = book.write(&module, &binding) {
                // An answer is no worse for it; it holds as long as this process does.
                tracing::warn!(%module, %error, "a binding could not be kept");
            }
            let bound = Some(Arc::new(binding));
            book.known.insert(module.as_str().to_owned(), bound.clone());
            Ok(bound)
        })
        .await
    }

    /// Takes a binding away; `false` if there was none.
    pub(super) async fn unbind(self: &Arc<Self>, module: &ModulePath) -> Result<bool> {
        let (book, module) = (self.clone(), module.clone());
        blocking(move || {
            let _turn = book.turn(&module);
            if book.read(&module)?.is_none_or(|binding| binding.upstream.is_none()) {
                return Ok(false);
            }
            // A mark stays: else what is kept of the same upstream would bind it again at once.
            let mark = Binding { upstream: None, since: book.clock.now(), above: Vec::new(), until: None };
            book.write(&module, &mark)?;
            book.known.insert(module.as_str().to_owned(), Some(Arc::new(mark)));
            Ok(true)
        })
        .await
    }

    /// Modules and their bindings as written down, in the order of the escaped paths: so many at most from the one behind
    /// `after`, and not those that somebody took away.
    pub(super) async fn some(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(ModulePath, Binding)>> {
        let book = self.clone();
        let after = after.map(|after| format!("{}{}", book.prefix(), escape(after)));
        blocking(move || {
            let (prefix, mut some) = (book.prefix(), Vec::new());
            book.store.scan_entries(&prefix, after.as_deref(), &mut |row| {
                let module = row.key.strip_prefix(&prefix).and_then(|escaped| ModulePath::unescape(escaped).ok());
                let binding = serde_json::from_slice(row.meta).ok();
                some.extend(module.zip(binding).filter(|(_, binding): &(_, Binding)| binding.upstream.is_some()));
                some.len() < limit
            })?;
            Ok(some)
        })
        .await
    }

    fn prefix(&self) -> String {
        format!("binding/{}/", self.registry)
    }

    fn key(&self, module: &ModulePath) -> String {
        format!("binding/{}/{}", self.registry, module.escaped())
    }

    fn turn(&self, module: &ModulePath) -> std::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        module.as_str().hash(&mut hasher);
        let turn = &self.turns[hasher.finish() as usize % TURNS];
        turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocking, in one's turn.
    fn read(&self, module: &ModulePath) -> Result<Option<Arc<Binding>>> {
        if let Some(known) = self.known.get(module.as_str()) {
            return Ok(known);
        }
        let key = self.key(module);
        let found = self.store.get(&key)?.map(|stored| {
            Arc::new(serde_json::from_slice(&stored.meta).unwrap_or_else(|error| {
                tracing::warn!(key, %error, "a binding cannot be read: all upstreams are asked again");
                Binding { upstream: None, since: self.clock.now(), above: Vec::new(), until: None }
            }))
        });
        self.known.insert(module.as_str().to_owned(), found.clone());
        Ok(found)
    }

    fn write(&self, module: &ModulePath, binding: &Binding) -> Result<()> {
        let meta = serde_json::to_vec(binding).expect("times and strings always serialize");
        self.store.put(&self.key(module), &meta, Body::Bytes(Bytes::new())).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::doubles::{Drawer, Hands};

    #[tokio::test]
    async fn what_is_known_of_paths_that_nobody_has_stays_within_its_bytes() {
        let book = Book::new("default", Drawer::new(), Hands::new());
        let long = "x".repeat(2000);
        for number in 0..5_000 {
            let module = ModulePath::parse(&format!("example.com/{long}/{number}")).expect("a path");
            assert!(book.find(&module).await.expect("a drawer").is_none());
        }
        assert!(book.known.weight() <= KNOWN_BYTES, "{}", book.known.weight());
        assert!(book.known.len() > 500, "{}", book.known.len());
    }
}
