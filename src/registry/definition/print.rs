//! From what is meant back to what is written, with no secret in it.

use std::time::Duration;

use super::table::{AuthTable, RegistryTable, TimeoutsTable, UpstreamTable};
use super::{Auth, AuthScheme, OnChange, RegistryDefinition, SecretRef, Timeouts, UpstreamDefinition, UpstreamKind};
use crate::ports::OnStale;
use crate::registry::OnFailure;
use crate::vet::mode::Mode;

impl UpstreamDefinition {
    /// As it would be written, every key but what is empty or has no default. A secret is only named; one that was
    /// handed over is left out.
    pub fn table(&self) -> UpstreamTable {
        let patterns = |patterns: &Vec<String>| Some(patterns.clone()).filter(|patterns| !patterns.is_empty());
        UpstreamTable {
            name: Some(self.name.clone()),
            kind: Some(self.kind.word().to_owned()),
            url: matches!(self.kind, UpstreamKind::Proxy(_)).then(|| self.kind.address()),
            path: matches!(self.kind, UpstreamKind::Dir(_)).then(|| self.kind.address()),
            description: Some(self.description.clone()).filter(|text| !text.is_empty()),
            modules: patterns(&self.modules),
            not_modules: patterns(&self.not_modules),
            cache_validity_hours: Some(hours(self.cache_validity)),
            list_validity: Some(duration(self.list_validity)),
            list_max_stale: Some(duration(self.list_max_stale)),
            on_change: Some(if self.on_change == OnChange::Keep { "keep" } else { "replace" }.to_owned()),
            on_failure: Some(if self.on_failure == OnFailure::Stop { "stop" } else { "next" }.to_owned()),
            max_size: self.max_size.map(size),
            keep_days: self.keep_days,
            requests: self.requests,
            mirrors: patterns(&self.mirrors),
            on_stale: (!self.mirrors.is_empty()).then(|| on_stale_word(self.on_stale).to_owned()),
            auth: self.auth.as_ref().map(Auth::table),
            timeouts: Some(self.timeouts.table()),
        }
    }
}

impl Auth {
    /// A secret is only named.
    pub fn table(&self) -> AuthTable {
        let mut table = AuthTable { host: Some(self.host.clone()), ..AuthTable::default() };
        let (scheme, value) = match &self.scheme {
            AuthScheme::Basic { username } => ("basic", Some(username)),
            AuthScheme::Bearer => ("bearer", None),
            AuthScheme::Header { name } => ("header", Some(name)),
        };
        table.scheme = Some(scheme.to_owned());
        match self.scheme {
            AuthScheme::Basic { .. } => table.username = value.cloned(),
            AuthScheme::Header { .. } => table.header = value.cloned(),
            AuthScheme::Bearer => {}
        }
        match &self.secret {
            SecretRef::File(path) => table.token_file = Some(path.to_string_lossy().into_owned()),
            SecretRef::Environment(name) => table.token_env = Some(name.clone()),
            SecretRef::Given(_) | SecretRef::Sealed(_) => {}
        }
        table
    }
}

impl Timeouts {
    fn table(&self) -> TimeoutsTable {
        TimeoutsTable { first_byte: Some(duration(self.first_byte)), total: Some(duration(self.total)) }
    }
}

impl RegistryDefinition {
    pub fn table(&self) -> RegistryTable {
        RegistryTable {
            name: Some(self.name.clone()),
            description: Some(self.description.clone()).filter(|text| !text.is_empty()),
            upstreams: Some(self.upstreams.clone()),
            mode: self.mode.map(|mode| mode_word(mode).to_owned()),
            strict_mod: self.refuse_mod.map(|refuse| strict_mod_word(refuse).to_owned()),
        }
    }
}

pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Strict => "strict",
        Mode::Rewrite => "rewrite",
        Mode::Legacy => "legacy",
    }
}

fn on_stale_word(on_stale: OnStale) -> &'static str {
    match on_stale {
        OnStale::Warn => "warn",
        OnStale::Refuse => "refuse",
    }
}

/// What `strict` does with the .mod of a wrong pseudo-version.
pub fn strict_mod_word(refuse: bool) -> &'static str {
    if refuse { "refuse" } else { "serve" }
}

fn hours(validity: Option<Duration>) -> u32 {
    validity.map_or(0, |validity| u32::try_from(validity.as_secs() / 3600).unwrap_or(u32::MAX))
}

/// A time in the largest unit that holds it exactly: `1m`, `24h`, `90s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match () {
        () if time.subsec_nanos() != 0 => humantime::format_duration(time).to_string(),
        () if seconds == 0 => "0s".to_owned(),
        () if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}

/// A size in the largest unit that holds it exactly: `8MiB`, `50GiB`, `1000B`.
pub fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let exact = units.into_iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    exact.map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}
