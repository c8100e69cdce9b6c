//! The configuration as it is written: TOML, every key optional, no value looked into yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::lines::Lines;
use super::schema;
use crate::error::Error;
use crate::registry::definition::{RegistryTable, UpstreamTable};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct File {
    pub listen: Option<String>,
    pub store: StoreTable,
    pub pseudo_versions: PseudoVersionsTable,
    pub net: NetTable,
    pub git: GitTable,
    pub api: ApiTable,
    pub ledger: LedgerTable,
    pub upstream: Vec<UpstreamTable>,
    pub registry: Vec<RegistryTable>,
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
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct LedgerTable {
    pub drift_check: Option<String>,
}

impl File {
    /// Refuses what is no TOML, keys that are not known and values of another type, each with its line.
    pub fn parse(text: &str) -> Result<(File, Lines), Vec<Error>> {
        let malformed = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            vec![Error::gone(format!("line {line}: {}", error.message().replace('\n', " ")))]
        };
        let table = DeTable::parse(text).map_err(malformed)?;
        let lines = Lines::of(text, table.get_ref());
        let faults = schema::faults(table.get_ref());
        if !faults.is_empty() {
            return Err(lines.sorted(faults.into_iter().map(|(key, error)| lines.at(&key, error))));
        }
        Ok((toml::from_str(text).map_err(malformed)?, lines))
    }
}
