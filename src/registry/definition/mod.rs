//! What an upstream and a registry are, as data: the same whether the file says so or somebody at run time.

mod fault;
pub mod keys;
mod mirrors;
mod print;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::OnFailure;
pub use super::change::OnChange;
use crate::ports::OnStale;
use crate::secret::Secret;
use crate::vet::mode::{Mode, Policy};

pub use fault::Fault;
pub use mirrors::{KnownMirror, KnownMirrorKind};
pub use print::{duration as printed_duration, mode_word, size as printed_size, strict_mod_word};
pub use read::{
    Home, auth, duration, host_of, is_host, look_for_upstreams, mode, name, patterns, proxy_url, size, strict_mod,
};
pub use table::{AuthTable, RegistryTable, TimeoutsTable, UpstreamTable};

/// The most upstreams that a registry may have.
pub const MAX_UPSTREAMS: usize = 20;

/// How many requests may be under way to a host of a module proxy where nothing is said. What one client after the other
/// wants are small files far away: fewer would make all of them wait for the way there and back.
const REQUESTS: u32 = 64;

/// The registry at `/`.
pub const DEFAULT: &str = "default";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamDefinition {
    pub name: String,
    pub kind: UpstreamKind,
    pub description: String,
    /// GOPRIVATE patterns; empty: everything.
    pub modules: Vec<String>,
    /// What it must never be asked for.
    pub not_modules: Vec<String>,
    pub auth: Option<Auth>,
    pub timeouts: Timeouts,
    /// After this long a kept version is looked at again; `None`: never.
    pub cache_validity: Option<Duration>,
    /// How long lists, latest, branches and hashes are taken for fresh.
    pub list_validity: Duration,
    /// Up to which age they are still served at once, and renewed behind the answer.
    pub list_max_stale: Duration,
    pub on_change: OnChange,
    pub on_failure: OnFailure,
    /// The most bytes that are kept of it.
    pub max_size: Option<u64>,
    /// How long an entry is kept that nobody downloads; 0: for ever, whatever the store's limit is.
    pub keep_days: Option<u32>,
    /// How many requests may be under way to a host of it at the same time; `None`: as many as to any host.
    pub requests: Option<u32>,
    /// The mirrors that it reads from: of its repositories, or where it is one itself.
    pub mirrors: Vec<String>,
    pub on_stale: OnStale,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamKind {
    Git,
    Proxy(Url),
    Dir(PathBuf),
}

/// How long an upstream is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request to the head of its answer.
    pub first_byte: Duration,
    /// From a request to the end of its answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { first_byte: Duration::from_secs(30), total: Duration::from_secs(600) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub host: String,
    pub scheme: AuthScheme,
    pub secret: SecretRef,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthScheme {
    Basic { username: String },
    Bearer,
    Header { name: String },
}

/// Where a secret is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    File(PathBuf),
    Environment(String),
    /// Handed over at run time, not yet sealed.
    Given(Secret),
    /// Handed over at run time, as it lies in the store.
    Sealed(Sealed),
}

/// A secret that only the store's key opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// In base64.
    pub nonce: String,
    /// In base64.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryDefinition {
    pub name: String,
    pub description: String,
    /// The order of the walk.
    pub upstreams: Vec<String>,
    /// `None`: as `[pseudo_versions]` says.
    pub mode: Option<Mode>,
    pub refuse_mod: Option<bool>,
}

impl UpstreamDefinition {
    pub fn new(name: impl Into<String>, kind: UpstreamKind) -> UpstreamDefinition {
        let list_validity = Duration::from_secs(60);
        UpstreamDefinition {
            name: name.into(),
            requests: matches!(kind, UpstreamKind::Proxy(_)).then_some(REQUESTS),
            kind,
            description: String::new(),
            modules: Vec::new(),
            not_modules: Vec::new(),
            auth: None,
            timeouts: Timeouts::default(),
            cache_validity: Some(Duration::from_secs(24 * 3600)),
            list_validity,
            list_max_stale: read::max_stale(list_validity),
            on_change: OnChange::default(),
            on_failure: OnFailure::default(),
            max_size: None,
            keep_days: None,
            mirrors: Vec::new(),
            on_stale: OnStale::default(),
        }
    }
}

impl UpstreamKind {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            UpstreamKind::Git => "git",
            UpstreamKind::Proxy(_) => "proxy",
            UpstreamKind::Dir(_) => "dir",
        }
    }

    /// Its address without credentials; git has none.
    pub fn address(&self) -> String {
        match self {
            UpstreamKind::Git => String::new(),
            UpstreamKind::Proxy(url) => {
                let mut plain = url.clone();
                // An http address has room for a user, so neither can fail.
                let _ = plain.set_username("");
                let _ = plain.set_password(None);
                plain.into()
            }
            UpstreamKind::Dir(folder) => folder.to_string_lossy().into_owned(),
        }
    }
}

impl RegistryDefinition {
    /// Some upstreams in their order, in the mode of the whole.
    pub fn new(name: impl Into<String>, upstreams: Vec<String>) -> RegistryDefinition {
        let name = name.into();
        RegistryDefinition { name, description: String::new(), upstreams, mode: None, refuse_mod: None }
    }

    /// Its own policy, `default` where it says nothing.
    pub fn policy(&self, default: Policy) -> Policy {
        Policy { mode: self.mode.unwrap_or(default.mode), refuse_mod: self.refuse_mod.unwrap_or(default.refuse_mod) }
    }
}
