//! What the programming interface shows of definitions: everything but secrets.

use serde::Serialize;

use super::Catalog;
use super::change::{unknown_registry, unknown_upstream};
use super::compose::State;
use crate::error::Result;
use crate::registry::definition::{
    AuthTable, DEFAULT, RegistryDefinition, UpstreamDefinition, UpstreamTable, strict_mod_word,
};
use crate::vet::mode::Mode;

/// Who defined something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The configuration: it is changed there alone.
    File,
    /// Somebody at run time.
    Api,
    /// Nobody: all upstreams of the configuration, at `/`.
    Implied,
}

/// A definition and who made it.
#[derive(Debug, Clone)]
pub struct Defined<T> {
    pub definition: T,
    pub source: Source,
}

#[derive(Debug, Serialize)]
pub struct UpstreamView {
    #[serde(flatten)]
    definition: UpstreamTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<AuthView>,
    pub source: Source,
    /// The store has one of this name too, which counts again when the configuration's is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hides_another: bool,
    /// Where it stands.
    registries: Vec<String>,
}

impl UpstreamView {
    pub fn name(&self) -> &str {
        self.definition.name.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, Serialize)]
struct AuthView {
    #[serde(flatten)]
    table: AuthTable,
    /// The secret is there, or where it is to be read; it is never shown.
    set: bool,
}

#[derive(Debug, Serialize)]
pub struct RegistryView {
    pub name: String,
    description: String,
    mode: Mode,
    strict_mod: &'static str,
    /// The order of the walk.
    pub upstreams: Vec<Standing>,
    pub source: Source,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hides_another: bool,
    /// What goes into GOPROXY behind the server's address.
    address: String,
}

#[derive(Debug, Serialize)]
pub struct Standing {
    /// From 1.
    pub position: usize,
    pub name: String,
    /// It is defined no more: what it would be asked for is 502.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

impl<R: Send + Sync + 'static> Catalog<R> {
    pub fn list_upstreams(&self) -> Vec<UpstreamView> {
        let state = self.state();
        state.upstreams().into_iter().map(|upstream| state.shown_upstream(upstream)).collect()
    }

    pub fn show_upstream(&self, name: &str) -> Result<UpstreamView> {
        self.state().view_upstream(name)
    }

    pub fn list_registries(&self) -> Vec<RegistryView> {
        let state = self.state();
        state.registries().iter().map(|registry| state.shown_registry(registry)).collect()
    }

    pub fn show_registry(&self, name: &str) -> Result<RegistryView> {
        self.state().view_registry(name)
    }

    /// All definitions of upstreams that count.
    pub fn upstreams(&self) -> Vec<Defined<UpstreamDefinition>> {
        let state = self.state();
        let source = |name: &str| if state.is_written_upstream(name) { Source::File } else { Source::Api };
        let defined =
            |upstream: &UpstreamDefinition| Defined { definition: upstream.clone(), source: source(&upstream.name) };
        state.upstreams().into_iter().map(defined).collect()
    }
}

impl<R> State<R> {
    pub(super) fn view_upstream(&self, name: &str) -> Result<UpstreamView> {
        self.upstream(name).map(|upstream| self.shown_upstream(upstream)).ok_or_else(|| unknown_upstream(name))
    }

    pub(super) fn view_registry(&self, name: &str) -> Result<RegistryView> {
        self.registry(name).map(|registry| self.shown_registry(&registry)).ok_or_else(|| unknown_registry(name))
    }

    fn shown_upstream(&self, definition: &UpstreamDefinition) -> UpstreamView {
        let name = &definition.name;
        let is_written = self.is_written_upstream(name);
        let mut table = definition.table();
        UpstreamView {
            auth: table.auth.take().map(|table| AuthView { table, set: true }),
            definition: table,
            source: if is_written { Source::File } else { Source::Api },
            hides_another: is_written && self.kept.upstreams.contains_key(name),
            registries: self.users(name),
        }
    }

    fn shown_registry(&self, definition: &RegistryDefinition) -> RegistryView {
        let name = &definition.name;
        let policy = definition.policy(self.written.policy);
        let (is_written, is_kept) = (self.is_written_registry(name), self.kept.registries.contains_key(name));
        let standing = |(at, name): (usize, &String)| Standing {
            position: at + 1,
            name: name.clone(),
            missing: self.upstream(name).is_none(),
        };
        RegistryView {
            name: name.clone(),
            description: definition.description.clone(),
            mode: policy.mode,
            strict_mod: strict_mod_word(policy.refuse_mod),
            upstreams: definition.upstreams.iter().enumerate().map(standing).collect(),
            source: match (is_written, is_kept) {
                (true, _) => Source::File,
                (false, true) => Source::Api,
                (false, false) => Source::Implied,
            },
            hides_another: is_written && is_kept,
            address: if name == DEFAULT { "/".to_owned() } else { format!("/registries/{name}/") },
        }
    }
}
