//! From definitions to what answers: whatever did not change is kept as it is, with all that it remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::kept::Kept;
use super::{Build, Current, Offer, Seal, Written};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::registry::definition::{DEFAULT, RegistryDefinition, SecretRef, UpstreamDefinition, UpstreamKind};
use crate::secret::Secret;
use crate::spec::scope::Scope;

/// All definitions, and what was made of them.
pub(super) struct State<R> {
    pub(super) written: Written,
    pub(super) kept: Kept,
    pub(super) build: Arc<dyn Build<R>>,
    pub(super) seal: Option<Seal>,
    upstreams: BTreeMap<String, Made<Offer>>,
    registries: BTreeMap<String, Made<Arc<R>>>,
}

/// Something made, and what it was made from.
struct Made<T> {
    from: String,
    it: T,
}

impl<T: Clone> Clone for Made<T> {
    fn clone(&self) -> Self {
        Made { from: self.from.clone(), it: self.it.clone() }
    }
}

impl<R> Clone for State<R> {
    fn clone(&self) -> Self {
        State {
            written: self.written.clone(),
            kept: self.kept.clone(),
            build: self.build.clone(),
            seal: self.seal.clone(),
            upstreams: self.upstreams.clone(),
            registries: self.registries.clone(),
        }
    }
}

impl<R> State<R> {
    pub(super) fn new(written: Written, kept: Kept, build: Arc<dyn Build<R>>, seal: Option<Seal>) -> State<R> {
        State { written, kept, build, seal, upstreams: BTreeMap::new(), registries: BTreeMap::new() }
    }

    /// The same definitions of run time under another configuration.
    pub(super) fn with(&self, written: Written, build: Arc<dyn Build<R>>, seal: Option<Seal>) -> State<R> {
        State { written, build, seal, ..self.clone() }
    }

    pub(super) fn is_written_upstream(&self, name: &str) -> bool {
        self.written.upstreams.iter().any(|upstream| upstream.name == name)
    }

    pub(super) fn is_written_registry(&self, name: &str) -> bool {
        self.written.registries.iter().any(|registry| registry.name == name)
    }

    /// All upstreams: those of the configuration in their order, then the others by name. A name that both
    /// have is the configuration's.
    pub(super) fn upstreams(&self) -> Vec<&UpstreamDefinition> {
        let kept = self.kept.upstreams.values().filter(|kept| !self.is_written_upstream(&kept.name));
        self.written.upstreams.iter().chain(kept).collect()
    }

    pub(super) fn upstream(&self, name: &str) -> Option<&UpstreamDefinition> {
        self.upstreams().into_iter().find(|upstream| upstream.name == name)
    }

    /// All registries; the one at `/` is the configuration's upstreams in order, if nobody defines another.
    pub(super) fn registries(&self) -> Vec<RegistryDefinition> {
        let kept = self.kept.registries.values().filter(|kept| !self.is_written_registry(&kept.name));
        let mut registries: Vec<RegistryDefinition> = self.written.registries.iter().chain(kept).cloned().collect();
        if !registries.iter().any(|registry| registry.name == DEFAULT) {
            registries.insert(0, self.implied());
        }
        registries
    }

    /// The registry at `/` as long as nobody defines it.
    pub(super) fn implied(&self) -> RegistryDefinition {
        let upstreams = self.written.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        RegistryDefinition::new(DEFAULT, upstreams)
    }

    pub(super) fn registry(&self, name: &str) -> Option<RegistryDefinition> {
        self.registries().into_iter().find(|registry| registry.name == name)
    }

    /// The registries that an upstream stands in.
    pub(super) fn users(&self, upstream: &str) -> Vec<String> {
        let has = |registry: &RegistryDefinition| registry.upstreams.iter().any(|name| name == upstream);
        self.registries().into_iter().filter(has).map(|registry| registry.name).collect()
    }

    /// Upstreams that registries name and nobody defines any more, and those of the configuration that stand nowhere.
    pub(super) fn log_misplaced(&self) {
        for registry in self.registries() {
            for upstream in registry.upstreams.iter().filter(|name| self.upstream(name).is_none()) {
                let registry = &registry.name;
                tracing::error!(
                    registry,
                    upstream,
                    "the registry names an upstream that is defined no more: what it would be asked for fails"
                );
            }
        }
        for upstream in self.written.upstreams.iter().filter(|upstream| self.users(&upstream.name).is_empty()) {
            tracing::warn!(upstream = upstream.name, "it stands in no registry, so nobody asks it");
        }
    }

    /// Mirrors that upstreams of run time name, and the configuration does not have any more.
    pub(super) fn log_lost_mirrors(&self) {
        for upstream in self.kept.upstreams.values().filter(|kept| !self.is_written_upstream(&kept.name)) {
            let mut faults = Vec::new();
            upstream.look_for_mirrors(&self.written.mirrors, &mut faults);
            for fault in faults {
                let error = fault.error("");
                tracing::error!(upstream = upstream.name, %error, "it does without");
            }
        }
    }

    /// Of a name that both the configuration and the store have, the configuration's counts.
    pub(super) fn log_hidden(&self) {
        let upstreams = self.kept.upstreams.keys().filter(|name| self.is_written_upstream(name));
        let registries = self.kept.registries.keys().filter(|name| self.is_written_registry(name));
        for (what, name) in upstreams.map(|name| ("upstream", name)).chain(registries.map(|name| ("registry", name))) {
            tracing::warn!(what, name, "the configuration file and the API both define it: the file's counts");
        }
    }

    /// The secret of a definition, read or opened.
    pub(super) fn secret(&self, definition: &UpstreamDefinition) -> Result<Option<Secret>> {
        let Some(auth) = &definition.auth else { return Ok(None) };
        match &auth.secret {
            SecretRef::Given(secret) => Ok(Some(secret.clone())),
            SecretRef::Sealed(sealed) => {
                let seal = self.seal.as_ref().ok_or_else(|| {
                    Error::bad_gateway("its credentials are sealed, and there is no key")
                        .remedy("name the key by [store] key_file or key_env, or set the credentials anew")
                })?;
                seal.open(&definition.name, sealed).map(Some)
            }
            reference => self.build.secret(reference).map(Some),
        }
    }

    /// Whatever is of this name next begins with nothing.
    pub(super) fn forget_registry(&mut self, name: &str) {
        self.build.forget(name);
        self.registries.remove(name);
    }

    /// Makes what is new and keeps what is the same.
    pub(super) fn compose(&mut self) -> Result<Current<R>> {
        let mut definitions = BTreeMap::new();
        let mut made = BTreeMap::new();
        for definition in self.upstreams() {
            let offer = self.offer(definition, self.is_written_upstream(&definition.name))?;
            made.insert(definition.name.clone(), offer);
            definitions.insert(definition.name.clone(), Arc::new(definition.clone()));
        }
        let all = self.registries();
        // Left out, its modules would be asked of the next one: a private name of a stranger.
        for name in all.iter().flat_map(|registry| &registry.upstreams) {
            made.entry(name.clone()).or_insert_with(|| self.missing(name));
        }
        let mut registries = BTreeMap::new();
        for definition in &all {
            registries.insert(definition.name.clone(), self.compose_registry(definition, &all, &made));
        }
        let upstreams = definitions.keys().map(|name| (name.clone(), made[name].it.cached.clone())).collect();
        let line = |name: &String| made[name].it.line.clone().map(|line| (name.clone(), line));
        let lines = definitions.keys().filter_map(line).collect();
        let served = registries.iter().map(|(name, made)| (name.clone(), made.it.clone())).collect();
        (self.upstreams, self.registries) = (made, registries);
        Ok(Current { upstreams, registries: served, definitions, lines })
    }

    fn offer(&self, definition: &UpstreamDefinition, is_written: bool) -> Result<Made<Offer>> {
        let tried = self.secret(definition).and_then(|secret| {
            let from = self.essence(definition, secret.as_ref());
            if let Some(before) = self.upstreams.get(&definition.name).filter(|before| before.from == from) {
                return Ok(before.clone());
            }
            Ok(Made { from, it: self.build.upstream(definition, secret)? })
        });
        match tried {
            Err(error) if is_written => Err(error.about(format!("upstream {}", definition.name))),
            Err(error) => Ok(self.failing(definition, error)),
            made => made,
        }
    }

    fn failing(&self, definition: &UpstreamDefinition, error: Error) -> Made<Offer> {
        let from = format!("failing {:?} {error}", definition.kind);
        if let Some(before) = self.upstreams.get(&definition.name).filter(|before| before.from == from) {
            return before.clone();
        }
        tracing::error!(upstream = definition.name, %error, "this upstream cannot be asked");
        let error = Error::bad_gateway(error.chain());
        Made { from, it: self.build.failing(definition, error) }
    }

    /// What takes the place of an upstream that a registry names and nobody defines.
    fn missing(&self, name: &str) -> Made<Offer> {
        let definition = UpstreamDefinition::new(name, UpstreamKind::Git);
        self.failing(&definition, Error::bad_gateway("it is defined no more"))
    }

    /// What an upstream's adapters are made from. The rest of a definition is looked up where it is needed.
    fn essence(&self, definition: &UpstreamDefinition, secret: Option<&Secret>) -> String {
        let essence = UpstreamDefinition {
            description: String::new(),
            modules: Vec::new(),
            not_modules: Vec::new(),
            on_failure: Default::default(),
            max_size: None,
            keep_days: None,
            ..definition.clone()
        };
        let digest = secret.map(|secret| hex::encode(Sha256::digest(secret.expose())));
        format!("{essence:?} {digest:?} {} {}", self.build.mark(), self.build.mark_of(definition))
    }

    fn compose_registry(
        &self,
        definition: &RegistryDefinition,
        all: &[RegistryDefinition],
        made: &BTreeMap<String, Made<Offer>>,
    ) -> Made<Arc<R>> {
        let policy = definition.policy(self.written.policy);
        let private = self.private();
        let mut from = format!("{definition:?} {policy:?} {private} {}", self.build.mark());
        let (mut members, mut proxies) = (Vec::new(), Vec::new());
        for name in &definition.upstreams {
            let offer = &made[name].it;
            let upstream =
                self.upstream(name).cloned().unwrap_or_else(|| UpstreamDefinition::new(name, UpstreamKind::Git));
            let shared = all.iter().filter(|registry| registry.upstreams.contains(name)).count() > 1;
            from.push_str(&format!(" {:p} {upstream:?} {shared}", Arc::as_ptr(&offer.cached)));
            members.push(member(&upstream, offer, shared));
            proxies.extend(offer.sumdb.clone().map(|sumdb| (name.clone(), sumdb)));
        }
        if let Some(before) = self.registries.get(&definition.name).filter(|before| before.from == from) {
            return before.clone();
        }
        Made { from, it: Arc::new(self.build.registry(definition, policy, members, proxies, &private)) }
    }

    /// What the git upstreams are named to serve, as GOPRIVATE patterns.
    fn private(&self) -> String {
        let upstreams = self.upstreams();
        let of_git = upstreams.iter().filter(|upstream| matches!(upstream.kind, UpstreamKind::Git));
        of_git.flat_map(|upstream| &upstream.modules).map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

fn member(definition: &UpstreamDefinition, offer: &Offer, shared: bool) -> Member {
    Member {
        source: offer.cached.clone(),
        on_failure: definition.on_failure,
        judgement: offer.judgement,
        scope: scope(definition),
        shared,
    }
}

/// Which paths an upstream may be asked for.
pub(super) fn scope(definition: &UpstreamDefinition) -> Scope {
    Scope::new(definition.modules.join(","), definition.not_modules.join(","))
}
