//! The programming interface: the table of its addresses, and which row a request is for.
//! A row's handler is given a `Call` and gives back a `Reply`; what there is to say is known further
//! in. Every row stands in docs/openapi.json as well, which a test holds against this table.

mod audit;
mod bindings;
mod cache;
mod call;
mod changes;
mod document;
mod entries;
mod ledger;
mod mirrors;
mod proofs;
mod refresh;
mod registries;
mod reply;
mod routes;
mod rules;
mod sumdb;
mod tokens;
mod upstreams;
mod verdicts;
mod walks;

use futures_util::future::BoxFuture;
use hyper::Method;

pub use call::{Call, Parameter, Query, Shape};
#[cfg(test)]
pub use document::DOCUMENT;
pub use reply::{Lines, Reply};
pub use routes::ROUTES;

use super::admission::Need;
use super::refusal::Refusal;
use super::route;
use crate::error::{Error, Result};

/// One address with one method.
pub struct ApiRoute {
    /// A GET answers HEAD as well.
    pub method: Method,
    /// `{name}` stands for one segment, `{name...}` at the end for the rest of the address.
    pub path: &'static str,
    pub access: Access,
    /// What may stand behind the `?`; anything else is refused.
    pub query: &'static [Parameter],
    pub handler: Handler,
}

/// Who may ask. The control socket may ask everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Who has an admin token for all registries: what it is about is shared.
    Admin,
    /// The same, or who has an admin token for the registry that the address or the query names.
    AdminOf,
    /// The same, or a forge whose hook is signed with the secret that the configuration names.
    AdminOrForge,
    /// Who may read the registry that the address or the query names, else the one at `/`.
    Anyone,
    /// Who may read any registry.
    AnyReader,
}

impl Access {
    pub fn need(self, registry: &str) -> Need<'_> {
        match self {
            Access::Admin => Need::Admin,
            Access::AdminOf | Access::AdminOrForge => Need::AdminOf(registry),
            Access::Anyone => Need::Registry(registry),
            Access::AnyReader => Need::Anything,
        }
    }

    pub fn is_admin(self) -> bool {
        matches!(self, Access::Admin | Access::AdminOf | Access::AdminOrForge)
    }
}

pub type Handler = fn(Call) -> BoxFuture<'static, Result<Reply>>;

/// Of lists that come in pages.
const PAGES: &[Parameter] = &[Parameter::text("after"), Parameter::number("limit")];

/// The values of a row's `{…}`.
pub type Names = Vec<(&'static str, String)>;

/// The row for a request. `address` is decoded and without query string.
pub fn find(
    routes: &'static [ApiRoute],
    method: &Method,
    address: &str,
) -> Result<(&'static ApiRoute, Names), Refusal> {
    let rows: Vec<(&ApiRoute, Names)> =
        routes.iter().filter_map(|row| Some((row, matched(row.path, address)?))).collect();
    if rows.is_empty() {
        return Err(Refusal::Error(unknown(routes, address)));
    }
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let allowed = allowed(rows.iter().map(|(row, _)| &row.method));
    let row = rows.into_iter().find(|(row, _)| row.method == *wanted);
    row.ok_or_else(|| Refusal::Method { asked: method.clone(), allowed })
}

/// As in the header `Allow`.
fn allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push("HEAD");
        }
    }
    names.join(", ")
}

/// The values that make the template the address. Empty ones do not count: they name nothing.
fn matched(template: &'static str, address: &str) -> Option<Names> {
    let mut names = Names::new();
    let mut rest = Some(address);
    for part in template.split('/') {
        let left = rest?;
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("...}")) {
            return (!left.is_empty()).then(|| {
                names.push((name, left.to_owned()));
                names
            });
        }
        let (segment, after) = left.split_once('/').map_or((left, None), |(segment, after)| (segment, Some(after)));
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => names.push((name, segment.to_owned())),
            None if part == segment => {}
            _ => return None,
        }
        rest = after;
    }
    rest.is_none().then_some(names)
}

fn unknown(routes: &[ApiRoute], address: &str) -> Error {
    let error = Error::not_found("no such address").about(route::shown(address));
    let similarity = |path: &str| strsim::jaro_winkler(path, address);
    match routes.iter().map(|row| row.path).max_by(|a, b| similarity(a).total_cmp(&similarity(b))) {
        Some(nearest) => error.remedy(format!("the nearest there is: {}", shown(nearest))),
        None => error,
    }
}

/// A template as people read it.
pub fn shown(template: &str) -> String {
    template.replace("...}", "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fits_a_template_or_does_not() {
        let table: [(&str, &str, &str, Option<&[&str]>); 11] = [
            ("plain", "/api/v1/a", "/api/v1/a", Some(&[])),
            ("another", "/api/v1/a", "/api/v1/b", None),
            ("longer", "/api/v1/a", "/api/v1/a/b", None),
            ("shorter", "/api/v1/a/b", "/api/v1/a", None),
            ("a slash at the end", "/api/v1/a", "/api/v1/a/", None),
            ("a name", "/a/{x}/b", "/a/one/b", Some(&["one"])),
            ("an empty name", "/a/{x}/b", "/a//b", None),
            ("a name at the end", "/a/{x}", "/a/one/two", None),
            ("the rest", "/a/{x}/{y...}", "/a/one/two/three", Some(&["one", "two/three"])),
            ("no rest", "/a/{x}/{y...}", "/a/one/", None),
            ("not even a slash", "/a/{x}/{y...}", "/a/one", None),
        ];
        for (row, template, address, expected) in table {
            let found = matched(template, address);
            let values: Option<Vec<&str>> =
                found.as_ref().map(|names| names.iter().map(|(_, value)| value.as_str()).collect());
            assert_eq!(values.as_deref(), expected, "{row}");
        }
    }

    #[test]
    fn no_two_rows_are_the_same_and_every_template_is_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for row in ROUTES {
            assert!(seen.insert((row.path, row.method.as_str())), "{} {}", row.method, row.path);
            assert!(row.path.starts_with("/api/v1/") || row.path.starts_with("/registries/{registry}/api/v1/"));
            let rest = row.path.find("...}");
            assert!(rest.is_none_or(|at| at + 4 == row.path.len()), "{}: the rest stands last", row.path);
            assert!(row.access.is_admin() || row.method == Method::GET, "{}: anyone may only read", row.path);
            let names_one = row.path.contains("{registry}") || row.query.iter().any(|known| known.name == "registry");
            assert!(
                !matches!(row.access, Access::AdminOf | Access::AdminOrForge) || names_one,
                "{}: of which registry?",
                row.path
            );
        }
    }
}
