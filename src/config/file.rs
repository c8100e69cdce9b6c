//! The configuration as it is written: TOML, every key optional, no value looked into yet.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::de::DeTable;

use super::schema;
use crate::error::{Error, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct File {
    pub listen: Option<String>,
    pub store: StoreTable,
    pub pseudo_versions: PseudoVersionsTable,
    pub net: NetTable,
    pub git: GitTable,
    pub upstream: Vec<UpstreamTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StoreTable {
    pub path: Option<String>,
    pub spill: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PseudoVersionsTable {
    pub mode: Option<String>,
    pub strict_mod: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NetTable {
    pub allow_private: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct GitTable {
    /// A list of hosts, or `true`.
    pub allow_insecure: Option<toml::Value>,
    pub instead_of: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct UpstreamTable {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub modules: Vec<String>,
    pub not_modules: Vec<String>,
    pub auth: Option<AuthTable>,
    pub cache_validity_hours: Option<u32>,
    pub list_validity: Option<String>,
    pub on_failure: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthTable {
    pub host: Option<String>,
    pub scheme: Option<String>,
    pub username: Option<String>,
    pub header: Option<String>,
    pub token_file: Option<String>,
    pub token_env: Option<String>,
}

impl File {
    /// Refuses what is no TOML, keys that are not known and values of another type, each with its line.
    pub fn parse(text: &str) -> Result<File> {
        let malformed = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::gone(format!("line {line}: {}", error.message().replace('\n', " ")))
        };
        let table = DeTable::parse(text).map_err(malformed)?;
        schema::check(text, table.get_ref(), "")?;
        toml::from_str(text).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_line_and_the_nearest_key() {
        let table = [
            ("lisen = 'x'", "line 1: unknown key `lisen` at the top level\ndid you mean `listen`?"),
            ("[store]\npaht = 'x'", "line 2: unknown key `paht` in [store]\ndid you mean `path`?"),
            (
                "[[upstream]]\nname = 'a'\nauth = { hots = 'x' }",
                "line 3: unknown key `hots` in [upstream.auth]\ndid you mean `host`?",
            ),
            ("[net]\nzzz = 1", "line 2: unknown key `zzz` in [net]\nknown keys are: allow_private"),
            ("listen = 3", "line 1: invalid type: integer `3`, expected a string"),
            ("listen = ", "line 1: string values must be quoted, expected literal string"),
        ];
        for (text, expected) in table {
            let found = File::parse(text).expect_err(text).to_string();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn an_empty_file_is_fine_and_instead_of_has_free_keys() {
        assert!(File::parse("").expect("empty").upstream.is_empty());
        let file = File::parse("[git.instead_of]\n'https://a.example/' = 'http://127.0.0.1:1/'").expect("keys");
        assert_eq!(file.git.instead_of["https://a.example/"], "http://127.0.0.1:1/");
    }
}
