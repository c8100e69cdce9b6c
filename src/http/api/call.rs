//! What a handler is given: the names of the address, what stands behind the `?`, the body.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::{ApiRoute, Names};
use crate::access::Guest;
use crate::error::{Error, Kind, Result};
use crate::http::refusal::Refusal;
use crate::http::route::{RegistryName, shown};
use crate::http::site::{Counter, Site};
use crate::registry::Reach;

/// One call of the interface.
pub struct Call {
    pub site: Arc<Site>,
    /// Who asks.
    pub guest: Guest,
    /// `Disable-Module-Fetch` holds here too.
    pub reach: Reach,
    names: Names,
    query: Query,
    body: Bytes,
}

/// What may stand behind the `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Number,
    /// `?name`, `?name=true`, `?name=false`.
    Flag,
}

impl Parameter {
    pub const fn text(name: &'static str) -> Parameter {
        Parameter { name, shape: Shape::Text }
    }

    pub const fn number(name: &'static str) -> Parameter {
        Parameter { name, shape: Shape::Number }
    }

    pub const fn flag(name: &'static str) -> Parameter {
        Parameter { name, shape: Shape::Flag }
    }
}

/// A query string that its row allows.
#[derive(Debug, Default)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    pub fn text(&self, parameter: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == parameter).map(|(_, value)| value.as_str())
    }

    /// Refuses what the row does not know and values that are not of its shape.
    pub fn parse(row: &ApiRoute, text: &str) -> Result<Query, Refusal> {
        let mut query: Vec<(&'static str, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(known) = row.query.iter().find(|known| known.name == name) else {
                let names: Vec<&str> = row.query.iter().map(|known| known.name).collect();
                return Err(Refusal::Malformed(unknown("unknown parameter", &name, &names)));
            };
            let expected = match known.shape {
                Shape::Number if value.parse::<u64>().is_err() => Some("a number"),
                Shape::Flag if !matches!(value.as_str(), "" | "true" | "false") => Some("true or false"),
                _ => None,
            };
            if let Some(expected) = expected {
                let what = format!("?{name}: {:?} (expected {expected})", shown(&value));
                return Err(Refusal::Malformed(Error::gone(what)));
            }
            if query.iter().any(|(seen, _)| *seen == known.name) {
                return Err(Refusal::Malformed(Error::gone(format!("?{name}: given twice"))));
            }
            query.push((known.name, value));
        }
        Ok(Query(query))
    }
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Refusal::Malformed(Error::gone("invalid percent-encoding").about(shown(text)))),
    }
}

impl Call {
    pub fn new(site: Arc<Site>, guest: Guest, reach: Reach, names: Names, query: Query, body: Bytes) -> Call {
        Call { site, guest, reach, names, query, body }
    }

    /// The value of a `{name}` of the address; empty if its row has no such name.
    pub fn name(&self, name: &str) -> &str {
        self.names.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The registry that `{registry}` names, else the one at `/`.
    pub fn counter(&self) -> Result<Arc<Counter>> {
        match self.name("registry") {
            "" => self.site.counter(&RegistryName::Default),
            name => self.site.counter(&RegistryName::Named(name.to_owned())),
        }
    }

    pub fn text(&self, parameter: &str) -> Option<&str> {
        self.query.text(parameter)
    }

    pub fn number(&self, parameter: &str) -> Option<u64> {
        self.text(parameter)?.parse().ok()
    }

    pub fn flag(&self, parameter: &str) -> bool {
        self.text(parameter).is_some_and(|value| value != "false")
    }

    /// The body. An empty one is read as `{}`, so that bodies of optional fields may be left out.
    ///
    /// Give `T` `#[serde(deny_unknown_fields)]`: an unknown field is refused with the nearest known one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        // serde would take a list for a struct, its items for the fields in their order.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Error::gone("the body is a list (expected an object)"));
        }
        let reader = &mut serde_json::Deserializer::from_slice(body);
        let read = serde_path_to_error::deserialize(&mut *reader).map_err(|error| misread(&error))?;
        reader.end().map_err(|error| Error::gone(format!("the body is no JSON: {error}")))?;
        Ok(read)
    }
}

/// Names the field, what was found and what is expected there.
fn misread(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let text = error.inner().to_string();
    if !error.inner().is_data() {
        return Error::gone(format!("the body is no JSON: {text}"));
    }
    // The place in the body says nothing that the field does not say better.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let path = error.path().to_string();
    // serde tells an unknown field in words only: "unknown field `x`, expected one of `a`, `b`".
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    if let (true, Some((found, known))) = (text.starts_with("unknown field"), quoted.split_first()) {
        return unknown("unknown field", found, known).about(route_of(&path, found));
    }
    match path.as_str() {
        "." => Error::gone(format!("the body: {text}")),
        path => Error::gone(text.to_owned()).about(path),
    }
}

/// Where an unknown field stands, without the field.
fn route_of(path: &str, found: &str) -> String {
    let above = path.strip_suffix(found).unwrap_or(path).trim_end_matches('.');
    if above.is_empty() { "the body".to_owned() } else { above.to_owned() }
}

fn unknown(what: &str, found: &str, known: &[&str]) -> Error {
    let error = Error::new(Kind::Gone, format!("{what} `{}`", shown(found)));
    let nearest = known.iter().max_by(|a, b| strsim::jaro_winkler(a, found).total_cmp(&strsim::jaro_winkler(b, found)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, found) > 0.7 => {
            error.remedy(format!("did you mean `{nearest}`?"))
        }
        Some(_) => error.remedy(format!("known are: {}", known.join(", "))),
        None => error.remedy("none is known here"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wanted {
        name: String,
        #[serde(default)]
        position: Option<u32>,
        #[serde(default)]
        auth: Option<Auth>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Auth {
        username: String,
    }

    fn call(body: &str) -> Call {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Call::new(Arc::new(Site::empty()), Guest::owner(), Reach::Upstream, Names::new(), Query::default(), body)
    }

    #[test]
    fn a_body_that_does_not_fit_is_refused_with_the_field() {
        let table = [
            ("no JSON", "{", "the body is no JSON: EOF while parsing an object at line 1 column 1"),
            ("more than JSON", "{\"name\":\"a\"} x", "the body is no JSON: trailing characters at line 1 column 14"),
            ("a list", " [\"a\"]", "the body is a list (expected an object)"),
            ("missing", "{}", "the body: missing field `name`"),
            ("nothing", "", "the body: missing field `name`"),
            ("another type", "{\"name\":3}", "name: invalid type: integer `3`, expected a string"),
            ("out of range", "{\"name\":\"a\",\"position\":-1}", "position: invalid value: integer `-1`, expected u32"),
            ("nearly", "{\"nam\":\"a\"}", "the body: unknown field `nam`\ndid you mean `name`?"),
            ("not at all", "{\"zzz\":1}", "the body: unknown field `zzz`\nknown are: name, position, auth"),
            (
                "further in",
                "{\"name\":\"a\",\"auth\":{\"usrname\":\"x\"}}",
                "auth: unknown field `usrname`\ndid you mean `username`?",
            ),
        ];
        for (row, body, expected) in table {
            let error = call(body).json::<Wanted>().expect_err(row);
            assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Gone, expected), "{row}");
        }
    }

    #[test]
    fn a_query_has_known_names_and_values_of_their_shape() {
        static ROW: ApiRoute = ApiRoute {
            method: hyper::Method::GET,
            path: "/api/v1/x",
            access: super::super::Access::Anyone,
            query: &[Parameter::text("after"), Parameter::number("limit"), Parameter::flag("dry_run")],
            handler: |_| Box::pin(async { Ok(super::super::Reply::Done) }),
        };
        let with = |text: &str| {
            let query = Query::parse(&ROW, text).map_err(|refusal| match refusal {
                Refusal::Malformed(error) => error.to_string(),
                _ => "another refusal".to_owned(),
            })?;
            Ok::<_, String>(Call { query, ..call("") })
        };
        let full = with("after=a%2Fb+c&limit=10&dry_run").expect("allowed");
        assert_eq!((full.text("after"), full.number("limit"), full.flag("dry_run")), (Some("a/b c"), Some(10), true));
        let none = with("dry_run=false").expect("allowed");
        assert_eq!((none.text("after"), none.number("limit"), none.flag("dry_run")), (None, None, false));
        let table = [
            ("limt=1", "unknown parameter `limt`\ndid you mean `limit`?"),
            ("zzz", "unknown parameter `zzz`\nknown are: after, limit, dry_run"),
            ("limit=ten", "?limit: \"ten\" (expected a number)"),
            ("limit", "?limit: \"\" (expected a number)"),
            ("dry_run=1", "?dry_run: \"1\" (expected true or false)"),
            ("limit=1&limit=2", "?limit: given twice"),
            ("after=%ff", "%ff: invalid percent-encoding"),
        ];
        for (text, expected) in table {
            assert_eq!(with(text).err().as_deref(), Some(expected), "{text}");
        }
    }
}
