//! What is wrong with a definition, named by its key.

use super::keys::nearest;
use crate::error::Error;

/// Something that no definition may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `auth.host`; an item of a list by its number from 0: `upstreams.2`.
    pub key: String,
    what: String,
    remedies: Vec<String>,
    rests_on: Vec<String>,
}

impl Fault {
    /// A value, and what should stand there.
    pub fn wrong(key: impl Into<String>, found: &str, expected: &str) -> Fault {
        Fault::other(key, format!("{found:?} (expected {expected})"))
    }

    pub fn missing(key: impl Into<String>) -> Fault {
        Fault { key: key.into(), what: " is missing".to_owned(), remedies: Vec::new(), rests_on: Vec::new() }
    }

    /// Any other words about a key.
    pub fn other(key: impl Into<String>, what: impl AsRef<str>) -> Fault {
        Fault { key: key.into(), what: format!(": {}", what.as_ref()), remedies: Vec::new(), rests_on: Vec::new() }
    }

    /// A key that nobody knows, with the nearest one or all that there are.
    pub fn unknown<'a>(key: String, known: impl Iterator<Item = &'a str> + Clone, found: &str) -> Fault {
        let remedy = match nearest(known.clone(), found) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known keys are: {}", known.collect::<Vec<_>>().join(", ")),
        };
        Fault::other(key, "unknown key").remedy(remedy)
    }

    /// Other keys whose values, if only they were there, might leave nothing wrong.
    pub fn rests_on(self, keys: &[&str]) -> Fault {
        Fault { rests_on: keys.iter().map(|key| (*key).to_owned()).collect(), ..self }
    }

    /// Its own key and those that it rests on.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.rests_on.iter().map(String::as_str).chain([self.key.as_str()])
    }

    pub fn remedy(mut self, line: impl Into<String>) -> Fault {
        self.remedies.push(line.into());
        self
    }

    /// As an error; `above` stands before the key: the line and the table.
    pub fn error(&self, above: &str) -> Error {
        // The number of a list's item says nothing to people; the value does.
        let key = self.key.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.');
        let error = Error::gone(format!("{above}{key}{}", self.what));
        self.remedies.iter().fold(error, |error, line| error.remedy(line))
    }
}
