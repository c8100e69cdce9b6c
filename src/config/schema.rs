//! Which keys there are, so that an unknown one is refused with the nearest known one named.

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

/// A table of the file and its keys; `*` stands for keys that the user chooses.
pub const TABLES: [(&str, &[&str]); 8] = [
    ("", &["listen", "store", "pseudo_versions", "net", "git", "upstream"]),
    ("store", &["path", "spill"]),
    ("pseudo_versions", &["mode", "strict_mod"]),
    ("net", &["allow_private"]),
    ("git", &["allow_insecure", "instead_of"]),
    ("git.instead_of", &["*"]),
    (
        "upstream",
        &[
            "name",
            "kind",
            "url",
            "path",
            "modules",
            "not_modules",
            "auth",
            "cache_validity_hours",
            "list_validity",
            "on_failure",
        ],
    ),
    ("upstream.auth", &["host", "scheme", "username", "header", "token_file", "token_env"]),
];

/// Refuses the first unknown key, with its line and the nearest known one.
pub fn check(text: &str, table: &DeTable<'_>, name: &str) -> Result<()> {
    let Some((_, known)) = TABLES.iter().find(|(table, _)| *table == name) else { return Ok(()) };
    for (key, value) in table {
        let found = key.get_ref().as_ref();
        if !known.contains(&"*") && !known.contains(&found) {
            return Err(unknown(text, key.span().start, name, found, known));
        }
        let below = if name.is_empty() { found.to_owned() } else { format!("{name}.{found}") };
        match value.get_ref() {
            DeValue::Table(inner) => check(text, inner, &below)?,
            DeValue::Array(items) => {
                for item in items.iter() {
                    if let DeValue::Table(inner) = item.get_ref() {
                        check(text, inner, &below)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn unknown(text: &str, offset: usize, table: &str, found: &str, known: &[&str]) -> Error {
    let line = text[..offset].matches('\n').count() + 1;
    let place = if table.is_empty() { "at the top level".to_owned() } else { format!("in [{table}]") };
    let error = Error::gone(format!("line {line}: unknown key `{found}` {place}"));
    let nearest = known.iter().max_by(|a, b| strsim::jaro_winkler(a, found).total_cmp(&strsim::jaro_winkler(b, found)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, found) > 0.7 => {
            error.remedy(format!("did you mean `{nearest}`?"))
        }
        _ => error.remedy(format!("known keys are: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PAGE: &str = include_str!("../../docs/config.md");

    #[test]
    fn the_page_has_a_row_for_every_key_and_no_other() {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let documented: BTreeSet<String> =
            rows.filter(|key| key.chars().all(|c| !c.is_ascii_uppercase())).map(str::to_owned).collect();
        let tables: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
        let known: BTreeSet<String> = TABLES
            .iter()
            .flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")))
            .map(|key| key.trim_start_matches('.').to_owned())
            .filter(|key| !key.ends_with('*'))
            .filter(|key| !tables.contains(key.as_str()) || matches!(key.as_str(), "git.instead_of" | "upstream.auth"))
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn the_example_on_the_page_is_accepted() {
        let example = PAGE.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("example");
        let file = crate::config::file::File::parse(example).expect("accepted");
        crate::config::Settings::new(file, "modvet-data".into()).expect("meant");
    }
}
