//! Which keys there are and what their values look like, so that whatever else is refused with the nearest known
//! key named.

use std::borrow::Cow;
use std::mem;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::lines::place;
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
            ("monitor", Shape::Table),
            ("upstream", Shape::Tables),
            ("registry", Shape::Tables),
            ("rules", Shape::Table),
            ("rule", Shape::Tables),
            ("cooldown", Shape::Table),
            ("mirror", Shape::Tables),
            ("notify", Shape::Tables),
            ("smtp", Shape::Table),
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
    (
        "api",
        &[
            ("admin_token_file", Shape::Text),
            ("admin_token_env", Shape::Text),
            ("refresh_secret_file", Shape::Text),
            ("refresh_secret_env", Shape::Text),
        ],
    ),
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
    ("monitor", &[("check_upstreams", Shape::Text)]),
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
    (
        "mirror",
        &[
            ("name", Shape::Text),
            ("kind", Shape::Text),
            ("source", Shape::Text),
            ("mirror", Shape::Text),
            ("refs", Shape::Texts),
            ("modules", Shape::Texts),
            ("check_every", Shape::Text),
            ("max_lag", Shape::Text),
            ("paused", Shape::Truth),
            ("notify", Shape::Texts),
            ("source_auth", Shape::Table),
            ("mirror_auth", Shape::Table),
            ("renewal", Shape::Table),
        ],
    ),
    ("mirror.source_auth", keys::AUTH),
    ("mirror.mirror_auth", keys::AUTH),
    (
        "mirror.renewal",
        &[
            ("what", Shape::Text),
            ("date", Shape::Text),
            ("every", Shape::Text),
            ("owner", Shape::Text),
            ("url", Shape::Text),
        ],
    ),
    (
        "notify",
        &[
            ("name", Shape::Text),
            ("kind", Shape::Text),
            ("url", Shape::Text),
            ("url_file", Shape::Text),
            ("url_env", Shape::Text),
            ("to", Shape::Texts),
            ("auth", Shape::Table),
        ],
    ),
    ("notify.auth", keys::AUTH),
    (
        "smtp",
        &[
            ("url", Shape::Text),
            ("tls", Shape::Text),
            ("from", Shape::Text),
            ("username", Shape::Text),
            ("password_file", Shape::Text),
            ("password_env", Shape::Text),
        ],
    ),
];

/// Whether a table holds credentials.
fn is_auth(table: &str) -> bool {
    table.ends_with(".auth") || table.ends_with("_auth")
}

/// Something that has no place in the file.
pub struct Misfit {
    /// `upstream.0.auth.host`.
    pub place: String,
    pub error: Error,
    /// The key that has no value now: its own, or the one that was misspelled.
    pub doubt: Option<String>,
}

/// Takes out every unknown key and every value of another type. An item of a list leaves an empty one behind, so that
/// the others keep their numbers.
pub fn sift(table: &mut DeTable<'_>) -> Vec<Misfit> {
    let mut sieve = Sieve::default();
    sieve.table(table, &At::default());
    sieve.misfits
}

/// A key: `table` as it stands in [`TABLES`], `place` with the numbers of lists in it.
#[derive(Default)]
struct At {
    table: String,
    place: String,
}

impl At {
    fn below(&self, key: &str) -> At {
        At { table: place(&self.table, key), place: place(&self.place, key) }
    }

    fn item(&self, number: usize) -> At {
        At { table: self.table.clone(), place: format!("{}.{number}", self.place) }
    }
}

#[derive(Default)]
struct Sieve {
    misfits: Vec<Misfit>,
}

impl Sieve {
    fn table(&mut self, table: &mut DeTable<'_>, at: &At) {
        let Some((_, known)) = TABLES.iter().find(|(table, _)| *table == at.table) else { return };
        let shape = |found: &str| known.iter().find(|(key, _)| *key == found || *key == "*").map(|(_, shape)| *shape);
        for key in table.keys().map(|key| key.get_ref().as_ref()).filter(|key| shape(key).is_none()) {
            let place = at.below(key).place;
            let doubt = misspelled(&at.table, key, known).and_then(|meant| in_doubt(table, &at.below(meant)));
            self.misfits.push(Misfit { place, error: unknown(&at.table, key, known), doubt });
        }
        let kept = mem::take(table).into_iter().filter_map(|(key, mut value)| {
            let shape = shape(key.get_ref())?;
            self.keep(value.get_mut(), shape, &at.below(key.get_ref())).then_some((key, value))
        });
        *table = kept.collect();
    }

    /// Whether a value may stay, without what has no place in it.
    fn keep(&mut self, value: &mut DeValue<'_>, shape: Shape, at: &At) -> bool {
        match (value, shape) {
            (DeValue::Table(inner), Shape::Table | Shape::TableOrText) => self.table(inner, at),
            (DeValue::Array(items), Shape::Tables) => {
                for (number, item) in items.iter_mut().enumerate() {
                    let at = at.item(number);
                    match item.get_mut() {
                        DeValue::Table(inner) => self.table(inner, &at),
                        other => {
                            self.misshaped(other, Shape::Table, &at);
                            *other = DeValue::Table(DeTable::new());
                        }
                    }
                }
            }
            (DeValue::Array(items), Shape::Texts | Shape::TextsOrAll) => {
                let items = items.iter_mut().map(Spanned::get_mut).enumerate();
                for (number, item) in items.filter(|(_, item)| !item.is_str()) {
                    self.misshaped(item, shape, &at.item(number));
                    *item = DeValue::String(Cow::default());
                }
            }
            (value, shape) if fits(value, shape) => {}
            (value, shape) => {
                self.misshaped(value, shape, at);
                return false;
            }
        }
        true
    }

    fn misshaped(&mut self, value: &DeValue<'_>, shape: Shape, at: &At) {
        let (place, error) = (at.place.clone(), misshaped(&at.table, value, shape));
        self.misfits.push(Misfit { doubt: Some(place.clone()), place, error });
    }
}

/// What has no value now if this key was misspelled: nothing where it stands beside, one more table in a list.
fn in_doubt(table: &DeTable<'_>, meant: &At) -> Option<String> {
    let key = meant.table.rsplit_once('.').map_or(meant.table.as_str(), |(_, key)| key);
    match table.get(key).map(Spanned::get_ref) {
        None => Some(meant.place.clone()),
        Some(DeValue::Array(items)) => Some(meant.item(items.len()).place),
        Some(_) => None,
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
        // Where a table belongs, a text may be a secret: `auth = "hunter2"`.
        DeValue::String(_) if matches!(shape, Shape::Table | Shape::Tables) => "a text".to_owned(),
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
    if is_secret(table, found) {
        let key = if table == "smtp" { "password" } else { "token" };
        let line = format!("the secret itself never stands in the file: name it by {key}_file or {key}_env");
        return error.remedy(line);
    }
    let all = || known.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
    match misspelled(table, found, known) {
        Some(nearest) => error.remedy(format!("did you mean `{nearest}`?")),
        None => error.remedy(format!("known keys are: {}", all())),
    }
}

/// The key that was meant, as far as one can tell.
fn misspelled(table: &str, found: &str, known: Keys) -> Option<&'static str> {
    match is_secret(table, found) {
        true if table == "smtp" => Some("password_file"),
        true => Some("token_file"),
        false => nearest(known.iter().map(|(key, _)| *key), found),
    }
}

fn is_secret(table: &str, key: &str) -> bool {
    (is_auth(table) && matches!(key, "token" | "password")) || (table == "smtp" && key == "password")
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
        let with_rows = [
            "tls",
            "git.instead_of",
            "upstream.auth",
            "upstream.timeouts",
            "mirror.source_auth",
            "mirror.mirror_auth",
            "mirror.renewal",
            "notify.auth",
        ];
        // Credentials are the same everywhere: one table of them is enough.
        let known: BTreeSet<String> = TABLES
            .iter()
            .filter(|(table, _)| !is_auth(table) || *table == "upstream.auth")
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
            Settings::read(text, Given::default()).expect_err("four").iter().map(|e| e.to_string()).collect();
        assert_eq!(
            found,
            [
                "line 1: unknown key `lisen` at the top level\ndid you mean `listen`?",
                "line 3: store.spill: 3 (expected a text)",
                "line 7: unknown key `hots` in [upstream.auth]\ndid you mean `host`?",
                "line 7: upstream.auth: no secret (expected exactly one of token_file and token_env)",
            ]
        );
    }
}
