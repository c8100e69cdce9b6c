//! On which line of the file a key stands.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::registry::definition::Fault;

/// Lines by keys: `upstream.0.auth.host`, items of lists by their numbers.
#[derive(Debug, Default)]
pub struct Lines(HashMap<String, usize>);

/// An error and where it belongs.
pub struct Placed {
    line: usize,
    error: Error,
}

impl Lines {
    pub fn of(text: &str, table: &DeTable<'_>) -> Lines {
        let mut lines = HashMap::new();
        let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        walk(table, "", &line, &mut lines);
        Lines(lines)
    }

    /// The line of a key; of what stands above it, if the key itself is not there.
    pub fn line(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            match (self.0.get(key), key.rsplit_once('.')) {
                (Some(line), _) => return *line,
                (None, Some((above, _))) => key = above,
                (None, None) => return 1,
            }
        }
    }

    /// An error that names its key, with the key's line before it.
    pub fn at(&self, key: &str, error: Error) -> Placed {
        Placed { line: self.line(key), error }
    }

    /// A fault below a table; `above` has a list's number in it (`upstream.0`).
    pub fn fault(&self, above: &str, fault: &Fault) -> Placed {
        let named = above.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.');
        let named = if named.is_empty() { String::new() } else { format!("{named}.") };
        self.at(&place(above, &fault.key), fault.error(&named))
    }

    /// In the order of the file.
    pub fn sorted(&self, placed: impl IntoIterator<Item = Placed>) -> Vec<Error> {
        let mut placed: Vec<Placed> = placed.into_iter().collect();
        placed.sort_by_key(|placed| placed.line);
        placed.into_iter().map(Placed::error).collect()
    }
}

impl Placed {
    fn error(self) -> Error {
        let told = Error::new(self.error.kind(), format!("line {}: {}", self.line, self.error.what()));
        self.error.remedies().iter().fold(told, |told, line| told.remedy(line))
    }
}

/// Where a key below a table stands.
pub fn place(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

fn walk(table: &DeTable<'_>, above: &str, line: &impl Fn(usize) -> usize, lines: &mut HashMap<String, usize>) {
    for (key, value) in table {
        let path = format!("{above}{}", key.get_ref());
        lines.insert(path.clone(), line(key.span().start));
        below(value.get_ref(), &path, line, lines);
    }
}

fn below(value: &DeValue<'_>, path: &str, line: &impl Fn(usize) -> usize, lines: &mut HashMap<String, usize>) {
    match value {
        DeValue::Table(inner) => walk(inner, &format!("{path}."), line, lines),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let path = format!("{path}.{at}");
                lines.insert(path.clone(), line(item.span().start));
                below(item.get_ref(), &path, line, lines);
            }
        }
        _ => {}
    }
}
