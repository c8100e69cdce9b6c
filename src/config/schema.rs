//! Which keys there are and what their values look like, so that whatever else is refused with the nearest known
//! key named.

use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::registry::definition::keys::{self, Keys, Shape, nearest};

/// A table of the file and its keys; `*` stands for keys that the user chooses.
pub const TABLES: &[(&str, Keys)] = &[
    (
        "",
        &[
            ("listen", Shape::Text),
            ("trusted_proxies", Shape::Texts),
            ("tls", Shape::TableOrText),
            ("open", Shape::Truth),
            ("store", Shape::Table),
            ("pseudo_versions", Shape::Table),
            ("net", Shape::Table),
            ("git", Shape::Table),
            ("api", Shape::Table),
            ("audit", Shape::Table),
            ("sumdb", Shape::Table),
            ("ledger", Shape::Table),
            ("upstream", Shape::Tables),
            ("registry", Shape::Tables),
            ("rules", Shape::Table),
            ("rule", Shape::Tables),
            ("cooldown", Shape::Table),
        ],
    ),
    (
        "store",
        &[
            ("path", Shape::Text),
            ("spill", Shape::Text),
            ("max_size", Shape::Text),
            ("keep_days", Shape::Whole),
            ("key_file", Shape::Text),
            ("key_env", Shape::Text),
        ],
    ),
    ("tls", &[("certificate", Shape::Text), ("key", Shape::Text), ("http2", Shape::Truth), ("redirect", Shape::Text)]),
    ("pseudo_versions", &[("mode", Shape::Text), ("strict_mod", Shape::Text)]),
    ("net", &[("allow_private", Shape::Texts)]),
    ("git", &[("allow_insecure", Shape::TextsOrAll), ("instead_of", Shape::Table)]),
    ("git.instead_of", &[("*", Shape::Text)]),
    ("api", &[("admin_token_file", Shape::Text), ("admin_token_env", Shape::Text)]),
    (
        "audit",
        &[
            ("enabled", Shape::Truth),
            ("path", Shape::Text),
            ("max_size", Shape::Text),
            ("keep", Shape::Text),
            ("what", Shape::Text),
            ("addresses", Shape::Truth),
        ],
    ),
    ("sumdb", &[("databases", Shape::Texts), ("verify", Shape::Text), ("private", Shape::Texts)]),
    ("ledger", &[("drift_check", Shape::Text)]),
    ("upstream", keys::UPSTREAM),
    ("upstream.auth", keys::AUTH),
    ("upstream.timeouts", keys::TIMEOUTS),
    ("registry", keys::REGISTRY),
    ("rules", &[("default", Shape::Text)]),
    (
        "rule",
        &[
            ("name", Shape::Text),
            ("action", Shape::Text),
            ("registries", Shape::Texts),
            ("modules", Shape::Texts),
            ("versions", Shape::Text),
            ("reason", Shape::Text),
            ("until", Shape::Text),
            ("dry_run", Shape::Truth),
        ],
    ),
    (
        "cooldown",
        &[
            ("min_age", Shape::Text),
            ("first_sight", Shape::Text),
            ("registries", Shape::Texts),
            ("modules", Shape::Texts),
            ("not_modules", Shape::Texts),
            ("dry_run", Shape::Truth),
            ("exception", Shape::Tables),
        ],
    ),
    (
        "cooldown.exception",
        &[("modules", Shape::Texts), ("versions", Shape::Text), ("until", Shape::Text), ("reason", Shape::Text)],
    ),
];

/// Every unknown key and every value of another type, with the key's place (`upstream.0.auth.host`).
pub fn faults(table: &DeTable<'_>) -> Vec<(String, Error)> {
    let mut faults = Vec::new();
    check(table, "", "", &mut faults);
    faults
}

/// `name` is the table's in [`TABLES`], `place` has the numbers of lists in it.
fn check(table: &DeTable<'_>, name: &str, place: &str, faults: &mut Vec<(String, Error)>) {
    let Some((_, known)) = TABLES.iter().find(|(table, _)| *table == name) else { return };
    for (key, value) in table {
        let found = key.get_ref().as_ref();
        let at = if place.is_empty() { found.to_owned() } else { format!("{place}.{found}") };
        let below = if name.is_empty() { found.to_owned() } else { format!("{name}.{found}") };
        let Some((_, shape)) = known.iter().find(|(key, _)| *key == found || *key == "*") else {
            faults.push((at, unknown(name, found, known)));
            continue;
        };
        match (value.get_ref(), shape) {
            (DeValue::Table(inner), Shape::Table | Shape::TableOrText) => check(inner, &below, &at, faults),
            (DeValue::Array(items), Shape::Tables) => {
                for (number, item) in items.iter().enumerate() {
                    let at = format!("{at}.{number}");
                    match item.get_ref() {
                        DeValue::Table(inner) => check(inner, &below, &at, faults),
                        other => faults.push((at, misshaped(&below, other, Shape::Table))),
                    }
                }
            }
            (DeValue::Array(items), Shape::Texts | Shape::TextsOrAll) => {
                let strangers =
                    items.iter().enumerate().filter(|(_, item)| !matches!(item.get_ref(), DeValue::String(_)));
                for (number, item) in strangers {
                    faults.push((format!("{at}.{number}"), misshaped(&below, item.get_ref(), *shape)));
                }
            }
            (value, shape) if fits(value, *shape) => {}
            (value, shape) => faults.push((at, misshaped(&below, value, *shape))),
        }
    }
}

fn fits(value: &DeValue<'_>, shape: Shape) -> bool {
    match (value, shape) {
        (DeValue::String(_), Shape::Text | Shape::TableOrText) => true,
        (DeValue::Boolean(_), Shape::TextsOrAll | Shape::Truth) => true,
        (DeValue::Integer(number), Shape::Whole) => u32::from_str_radix(number.as_str(), number.radix()).is_ok(),
        _ => false,
    }
}

fn misshaped(key: &str, value: &DeValue<'_>, shape: Shape) -> Error {
    let found = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    let expected = match shape {
        Shape::Tables => format!("[[{key}]]"),
        other => other.expected().to_owned(),
    };
    Error::gone(format!("{key}: {found} (expected {expected})"))
}

fn unknown(table: &str, found: &str, known: Keys) -> Error {
    let place = if table.is_empty() { "at the top level".to_owned() } else { format!("in [{table}]") };
    let error = Error::gone(format!("unknown key `{found}` {place}"));
    let known = known.iter().map(|(key, _)| *key);
    if table == "upstream.auth" && matches!(found, "token" | "password") {
        return error.remedy("the secret itself never stands in the file: name it by token_file or token_env");
    }
    match nearest(known.clone(), found) {
        Some(nearest) => error.remedy(format!("did you mean `{nearest}`?")),
        None => error.remedy(format!("known keys are: {}", known.collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Settings};
    use std::collections::BTreeSet;

    const PAGE: &str = include_str!("../../docs/config.md");

    #[test]
    fn the_page_has_a_row_for_every_key_and_no_other() {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let documented: BTreeSet<String> =
            rows.filter(|key| key.chars().all(|c| !c.is_ascii_uppercase())).map(str::to_owned).collect();
        let tables: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
        let with_rows = ["tls", "git.instead_of", "upstream.auth", "upstream.timeouts"];
        let known: BTreeSet<String> = TABLES
            .iter()
            .flat_map(|(table, keys)| keys.iter().map(move |(key, _)| format!("{table}.{key}")))
            .map(|key| key.trim_start_matches('.').to_owned())
            .filter(|key| !key.ends_with('*'))
            .filter(|key| !tables.contains(key.as_str()) || with_rows.contains(&key.as_str()))
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn the_example_on_the_page_is_accepted() {
        let example = PAGE.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("example");
        Settings::read(example, Given::default()).expect("meant");
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        let text = "lisen = 'x'\n[store]\nspill = 3\n[[upstream]]\nname = 'a'\nkind = 'git'\nauth = { hots = 'x' }\n";
        let found: Vec<String> =
            Settings::read(text, Given::default()).expect_err("three").iter().map(|e| e.to_string()).collect();
        assert_eq!(
            found,
            [
                "line 1: unknown key `lisen` at the top level\ndid you mean `listen`?",
                "line 3: store.spill: 3 (expected a text)",
                "line 7: unknown key `hots` in [upstream.auth]\ndid you mean `host`?",
            ]
        );
    }
}
