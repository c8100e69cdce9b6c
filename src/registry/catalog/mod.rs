//! All upstreams and registries: those of the configuration, and those defined at run time, which the store keeps.

mod change;
mod compose;
mod kept;
mod seal;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;

use super::definition::{KnownMirror, RegistryDefinition, SecretRef, UpstreamDefinition};
use super::{Cached, Judgement, Member};
use crate::error::{Error, Result};
use crate::ports::{Line, Store, Sumdb};
use crate::secret::Secret;
use crate::spec::path::ModulePath;
use crate::vet::mode::Policy;

pub use change::Fields;
use compose::State;
pub use seal::Seal;
pub use view::{Defined, RegistryView, Source, UpstreamView};

/// What the configuration says of upstreams and registries.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// In the order of the walk.
    pub upstreams: Vec<UpstreamDefinition>,
    pub registries: Vec<RegistryDefinition>,
    /// For registries that say nothing of their own.
    pub policy: Policy,
    /// What upstreams may read from.
    pub mirrors: Vec<KnownMirror>,
}

/// An upstream that can be asked.
#[derive(Clone)]
pub struct Offer {
    pub cached: Arc<Cached>,
    pub judgement: Judgement,
    /// The checksum databases that it hands through.
    pub sumdb: Option<Arc<dyn Sumdb>>,
    /// The way to it; `None` where there is none.
    pub line: Option<Arc<dyn Line>>,
}

/// Turns definitions into what answers requests. Blocking, but for what is async.
#[async_trait]
pub trait Build<R>: Send + Sync {
    /// What of the adapters is no part of a definition: as long as it stays the same, they may stay too.
    fn mark(&self) -> String;
    /// The same of one upstream: the mirrors that it reads from.
    fn mark_of(&self, definition: &UpstreamDefinition) -> String;
    /// Reads a secret that a definition only names.
    fn secret(&self, reference: &SecretRef) -> Result<Secret>;
    fn upstream(&self, definition: &UpstreamDefinition, secret: Option<Secret>) -> Result<Offer>;
    /// An upstream that answers everything with this failure, and from what is kept of it.
    fn failing(&self, definition: &UpstreamDefinition, error: Error) -> Offer;
    /// A registry; the proxies hand checksum databases through, in their order. `private` is what the git upstreams
    /// of all registries are named to serve, as GOPRIVATE patterns: nobody else is to be told such names.
    fn registry(
        &self,
        definition: &RegistryDefinition,
        policy: Policy,
        members: Vec<Member>,
        proxies: Vec<(String, Arc<dyn Sumdb>)>,
        private: &str,
    ) -> R;
    /// A registry is gone: another one of its name begins with nothing.
    fn forget(&self, registry: &str);
    /// Refuses what must be no upstream, such as this process itself.
    async fn admit(&self, definition: &UpstreamDefinition) -> Result<()>;
    /// Asks an upstream whether it answers.
    async fn test(
        &self,
        definition: &UpstreamDefinition,
        secret: Option<Secret>,
        module: Option<&ModulePath>,
    ) -> Result<Tested>;
}

/// How an upstream answered a test.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Tested {
    pub ok: bool,
    /// A word; all of them stand in docs/api.md.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub ms: u64,
    pub what: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<String>,
}

/// What answers requests at a time. Whoever holds it is not disturbed by changes.
pub struct Current<R> {
    pub upstreams: BTreeMap<String, Arc<Cached>>,
    /// With the one at `/` under its name, `default`.
    pub registries: BTreeMap<String, Arc<R>>,
    /// The definitions of `upstreams`.
    pub definitions: BTreeMap<String, Arc<UpstreamDefinition>>,
    /// The ways to them.
    pub lines: BTreeMap<String, Arc<dyn Line>>,
}

impl<R> Default for Current<R> {
    fn default() -> Self {
        let (upstreams, registries, definitions, lines) = Default::default();
        Current { upstreams, registries, definitions, lines }
    }
}

pub struct Catalog<R> {
    store: Arc<dyn Store>,
    /// Taken for every change, from the reading of what is there to its end.
    state: Mutex<State<R>>,
    current: RwLock<Arc<Current<R>>>,
}

impl<R: Send + Sync + 'static> Catalog<R> {
    /// Reads what the store keeps and builds all. Blocking.
    ///
    /// What the configuration says must work; what was defined at run time and does not is logged and answers
    /// with a failure.
    pub fn open(
        store: Arc<dyn Store>,
        written: Written,
        build: Arc<dyn Build<R>>,
        seal: Option<Seal>,
    ) -> Result<Catalog<R>> {
        let kept = kept::read(&*store)?;
        let mut state = State::new(written, kept, build, seal);
        state.log_hidden();
        state.log_misplaced();
        state.log_lost_mirrors();
        let current = state.compose()?;
        Ok(Catalog { store, state: Mutex::new(state), current: RwLock::new(Arc::new(current)) })
    }

    /// What a test made itself: nothing is defined, so nothing can be changed.
    #[cfg(test)]
    pub(crate) fn standing(store: Arc<dyn Store>, current: Current<R>) -> Catalog<R> {
        let state = State::new(Written::default(), kept::Kept::default(), Arc::new(tests::Unbuilt), None);
        Catalog { store, state: Mutex::new(state), current: RwLock::new(Arc::new(current)) }
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What answers requests now. Cheap.
    pub fn current(&self) -> Arc<Current<R>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new configuration in the place of the one before; if it does not work, all stays as it was.
    /// Upstreams and registries that are the same go on. Blocking.
    pub fn reload(&self, written: Written, build: Arc<dyn Build<R>>, seal: Option<Seal>) -> Result<()> {
        let mut state = self.state();
        let mut next = state.with(written, build, seal);
        next.log_hidden();
        next.log_misplaced();
        next.log_lost_mirrors();
        let current = next.compose()?;
        *state = next;
        self.publish(current);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        // A change that panicked has not been published, and the next one composes anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, current: Current<R>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
    }
}
