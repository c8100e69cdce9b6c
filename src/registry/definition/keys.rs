//! The keys of upstreams and registries, in the file and in the programming interface alike.

use serde_json::{Map, Value};

use super::fault::Fault;

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Texts,
    Whole,
    /// A list of texts, or `true`.
    TextsOrAll,
    /// `true` or `false`.
    Truth,
    Table,
    /// A table, or a text in its place.
    TableOrText,
    Tables,
}

pub type Keys = &'static [(&'static str, Shape)];

pub const UPSTREAM: Keys = &[
    ("name", Shape::Text),
    ("kind", Shape::Text),
    ("url", Shape::Text),
    ("path", Shape::Text),
    ("description", Shape::Text),
    ("modules", Shape::Texts),
    ("not_modules", Shape::Texts),
    ("auth", Shape::Table),
    ("timeouts", Shape::Table),
    ("cache_validity_hours", Shape::Whole),
    ("list_validity", Shape::Text),
    ("list_max_stale", Shape::Text),
    ("on_change", Shape::Text),
    ("on_failure", Shape::Text),
    ("max_size", Shape::Text),
    ("keep_days", Shape::Whole),
    ("requests", Shape::Whole),
    ("mirrors", Shape::Texts),
    ("on_stale", Shape::Text),
];

/// In the file: there a secret is only named.
pub const AUTH: Keys = &[
    ("host", Shape::Text),
    ("scheme", Shape::Text),
    ("username", Shape::Text),
    ("header", Shape::Text),
    ("token_file", Shape::Text),
    ("token_env", Shape::Text),
];

/// At run time it may be handed over, too.
const AUTH_WITH_TOKEN: Keys = &[
    ("host", Shape::Text),
    ("scheme", Shape::Text),
    ("username", Shape::Text),
    ("header", Shape::Text),
    ("token_file", Shape::Text),
    ("token_env", Shape::Text),
    ("token", Shape::Text),
];

pub const TIMEOUTS: Keys = &[("first_byte", Shape::Text), ("total", Shape::Text)];

pub const REGISTRY: Keys = &[
    ("name", Shape::Text),
    ("upstreams", Shape::Texts),
    ("mode", Shape::Text),
    ("strict_mod", Shape::Text),
    ("description", Shape::Text),
];

impl Shape {
    /// In words.
    pub fn expected(self) -> &'static str {
        match self {
            Shape::Text => "a text",
            Shape::Texts => "a list of texts",
            Shape::Whole => "a whole number",
            Shape::TextsOrAll => "a list of hosts, or true",
            Shape::Truth => "true or false",
            Shape::Table => "a table",
            Shape::TableOrText => "a table or a text",
            Shape::Tables => "tables",
        }
    }
}

/// The known key that an unknown one is closest to, if any is close.
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, found: &str) -> Option<&'a str> {
    let alike = |known: &str| strsim::jaro_winkler(known, found);
    let nearest = known.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(nearest) > 0.7).then_some(nearest)
}

/// Finds what no upstream may have in what somebody sent; `null` stands for a key's default.
pub fn upstream_faults(object: &Map<String, Value>) -> Vec<Fault> {
    let mut faults = check(object, UPSTREAM, "");
    for (key, keys) in [("auth", AUTH_WITH_TOKEN), ("timeouts", TIMEOUTS)] {
        if let Some(Value::Object(below)) = object.get(key) {
            faults.extend(check(below, keys, &format!("{key}.")));
        }
    }
    faults
}

/// The same for a registry.
pub fn registry_faults(object: &Map<String, Value>) -> Vec<Fault> {
    check(object, REGISTRY, "")
}

/// Unknown keys and values of another shape.
pub fn check(object: &Map<String, Value>, keys: Keys, above: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (key, value) in object {
        match keys.iter().find(|(known, _)| known == key) {
            None => faults.push(Fault::unknown(format!("{above}{key}"), keys.iter().map(|(known, _)| *known), key)),
            Some((_, shape)) if !fits(value, *shape) => {
                // A secret in the wrong place is not repeated.
                let found = match value {
                    Value::String(_) => "a text",
                    Value::Number(_) => "a number",
                    Value::Bool(_) => "true or false",
                    Value::Array(_) => "a list",
                    Value::Object(_) => "an object",
                    Value::Null => "null",
                };
                let expected = if *shape == Shape::Table { "an object" } else { shape.expected() };
                faults.push(Fault::other(format!("{above}{key}"), format!("{found} (expected {expected})")));
            }
            Some(_) => {}
        }
    }
    faults
}

fn fits(value: &Value, shape: Shape) -> bool {
    match (value, shape) {
        (Value::Null, _) | (Value::String(_), Shape::Text) | (Value::Object(_), Shape::Table) => true,
        (Value::Array(items), Shape::Texts) => items.iter().all(Value::is_string),
        (Value::Bool(_), Shape::Truth) => true,
        (Value::Number(number), Shape::Whole) => number.as_u64().is_some_and(|number| number <= u64::from(u32::MAX)),
        _ => false,
    }
}
