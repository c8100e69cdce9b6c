//! The configuration as it is written: TOML, every key optional, no value looked into yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::lines::Lines;
use super::mirror::MirrorTable;
use super::notify::{NotifyTable, SmtpTable};
use super::rules::{CooldownTable, RuleTable, RulesTable};
use super::schema::{self, Misfit};
use crate::error::Error;
use crate::registry::definition::{RegistryTable, UpstreamTable};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct File {
    pub listen: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// A table, or `"terminated"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<toml::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    pub store: StoreTable,
    pub pseudo_versions: PseudoVersionsTable,
    pub net: NetTable,
    pub git: GitTable,
    pub api: ApiTable,
    pub audit: AuditTable,
    pub sumdb: SumdbTable,
    pub ledger: LedgerTable,
    pub monitor: MonitorTable,
    pub upstream: Vec<UpstreamTable>,
    pub registry: Vec<RegistryTable>,
    pub rules: RulesTable,
    pub rule: Vec<RuleTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<CooldownTable>,
    pub mirror: Vec<MirrorTable>,
    pub notify: Vec<NotifyTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpTable>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct StoreTable {
    pub path: Option<String>,
    pub spill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
}

/// `[tls]` where it is a table.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TlsTable {
    pub certificate: Option<String>,
    pub key: Option<String>,
    pub http2: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PseudoVersionsTable {
    pub mode: Option<String>,
    pub strict_mod: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NetTable {
    pub allow_private: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct GitTable {
    /// A list of hosts, or `true`.
    pub allow_insecure: Option<toml::Value>,
    pub instead_of: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ApiTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_secret_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_secret_env: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AuditTable {
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub max_size: Option<String>,
    pub keep: Option<String>,
    pub what: Option<String>,
    pub addresses: Option<bool>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SumdbTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub databases: Option<Vec<String>>,
    pub verify: Option<String>,
    pub private: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct LedgerTable {
    pub drift_check: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MonitorTable {
    pub check_upstreams: Option<String>,
}

impl File {
    /// Refuses what is no TOML, with its line. Keys that are not known and values of another type are left out and
    /// named beside the rest.
    pub fn parse(text: &str) -> Result<(File, Lines, Vec<Misfit>), Vec<Error>> {
        let malformed = |error: toml::de::Error| {
            let span = error.span();
            let start = span.as_ref().map_or(0, |span| span.start.min(text.len()));
            let line = text[..start].matches('\n').count() + 1;
            let mut what = error.message().replace('\n', " ");
            // The parser says where it stands, and not which one it is.
            if what == "duplicate key"
                && let Some(key) = span.and_then(|span| text.get(span))
            {
                what.push_str(&format!(" `{key}`"));
            }
            vec![Error::gone(format!("line {line}: {what}"))]
        };
        let mut table = DeTable::parse(text).map_err(malformed)?;
        let lines = Lines::of(text, table.get_ref());
        let misfits = schema::sift(table.get_mut());
        let file = File::deserialize(toml::Deserializer::from(table)).map_err(malformed)?;
        Ok((file, lines, misfits))
    }
}
