//! Addresses into types. Nothing is unescaped anywhere else.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::registry::Question;
use crate::registry::definition::DEFAULT;
use crate::spec::path::{self, ModulePath};
use crate::spec::query::Query;
use crate::spec::version::Version;
use crate::sumdb;

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Module {
        registry: RegistryName,
        module: ModulePath,
        question: Question,
    },
    Sumdb {
        registry: RegistryName,
        path: sumdb::Path,
    },
    /// `/api/…`, also below `/registries/NAME/`: the whole address. The table of `api` knows what it is.
    Api(String),
    /// For people.
    Page(Page),
    Alive,
    Ready,
    Metrics,
}

/// A page, or what a form on one sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    Start,
    Mirrors,
    Mirror(String),
    Check(String),
    Renew(String),
    Sync(String),
}

impl Page {
    /// Reads an address without its first slash.
    fn parse(address: &str) -> Option<Page> {
        match address {
            "" => return Some(Page::Start),
            "mirrors" => return Some(Page::Mirrors),
            _ => {}
        }
        let rest = address.strip_prefix("mirrors/")?;
        let (name, action) = rest.split_once('/').map_or((rest, None), |(name, action)| (name, Some(action)));
        let name = Some(name).filter(|name| !name.is_empty())?.to_owned();
        match action {
            None => Some(Page::Mirror(name)),
            Some("check") => Some(Page::Check(name)),
            Some("renew") => Some(Page::Renew(name)),
            Some("sync") => Some(Page::Sync(name)),
            Some(_) => None,
        }
    }
}

/// The registry at `/`, or one at `/registries/NAME/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RegistryName {
    Default,
    Named(String),
}

impl RegistryName {
    pub fn as_str(&self) -> &str {
        match self {
            RegistryName::Default => DEFAULT,
            RegistryName::Named(name) => name,
        }
    }
}

impl Route {
    /// Reads the path of a request's target, without query string.
    pub fn parse(target: &str) -> Result<Route> {
        if target.len() > LONGEST {
            return Err(Error::gone(format!("address of {} bytes (expected at most {LONGEST})", target.len())));
        }
        let decoded = decode(target)?;
        let unknown = || Error::not_found("no such address").about(shown(&decoded));
        let address = decoded.strip_prefix('/').ok_or_else(unknown)?;
        match address {
            "healthz" => return Ok(Route::Alive),
            "readyz" => return Ok(Route::Ready),
            "metrics" => return Ok(Route::Metrics),
            _ => {}
        }
        if let Some(page) = Page::parse(address) {
            return Ok(Route::Page(page));
        }
        let (registry, address) = match address.strip_prefix("registries/") {
            Some(rest) => {
                let (name, rest) = rest.split_once('/').ok_or_else(unknown)?;
                (RegistryName::Named(name.to_owned()), rest)
            }
            None => (RegistryName::Default, address),
        };
        if let Some(rest) = address.strip_prefix("sumdb/") {
            return Ok(Route::Sumdb { registry, path: sumdb::Path::parse(rest)? });
        }
        if address.starts_with("api/") {
            return Ok(Route::Api(decoded.into_owned()));
        }
        // A module path holds no @, so the first /@ ends it, whatever a branch may be called.
        if let Some((module, rest)) = address.split_once("/@v/") {
            let module = ModulePath::unescape(module)?;
            let question = question(&module, rest)?;
            return Ok(Route::Module { registry, module, question });
        }
        match address.strip_suffix("/@latest") {
            Some(module) => {
                let module = ModulePath::unescape(module)?;
                Ok(Route::Module { registry, module, question: Question::Latest })
            }
            None => Err(unknown()),
        }
    }
}

/// Far more than the path of a file may have: what is longer names no module, and must not fill what
/// remembers absences.
const LONGEST: usize = 4096;

/// Decodes percent signs, once.
fn decode(target: &str) -> Result<Cow<'_, str>> {
    let invalid = || Error::gone("invalid percent-encoding").about(shown(target));
    let bytes = target.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let whole = bytes.iter().enumerate().all(|(at, byte)| *byte != b'%' || (is_digit(at + 1) && is_digit(at + 2)));
    if !whole {
        return Err(invalid());
    }
    percent_decode_str(target).decode_utf8().map_err(|_| invalid())
}

fn question(module: &ModulePath, rest: &str) -> Result<Question> {
    if rest == "list" {
        return Ok(Question::List);
    }
    let (escaped, ending) = rest.rsplit_once('.').unwrap_or((rest, ""));
    match ending {
        "info" => Ok(Question::Info(Query::parse(&unescape(module, escaped)?))),
        "mod" => Ok(Question::GoMod(canonical(module, escaped)?)),
        "zip" => Ok(Question::Zip(canonical(module, escaped)?)),
        _ => Err(Error::not_found("no such address (expected list, or a version with .info, .mod or .zip)")
            .about(shown(&format!("{module}/@v/{rest}")))),
    }
}

/// A module's path in an address of the API. People and scripts write upper case letters as they
/// are; escaped ones are understood as well.
pub(super) fn module_path(text: &str) -> Result<ModulePath> {
    if text.contains('!') { ModulePath::unescape(text) } else { ModulePath::parse(text) }
}

/// `MODULE@VERSION` in an address of the API.
pub(super) fn module_version(text: &str) -> Result<(ModulePath, Version)> {
    let no_version = || Error::not_found("no such address (expected MODULE@VERSION)").about(shown(text));
    let (module, version) = text.split_once('@').ok_or_else(no_version)?;
    let module = module_path(module)?;
    let version = if version.contains('!') { unescape(&module, version)? } else { version.to_owned() };
    match Version::parse(&version) {
        Some(parsed) => Ok((module, parsed)),
        None => Err(Error::gone("version is not canonical, and verdicts are on canonical versions only")
            .about(shown(&format!("{module}@{version}")))
            .remedy("the .info of this query names the canonical version")),
    }
}

/// `MODULE` or `MODULE@QUERY` in an address of the API: the question for the list, for `latest`, or for the `.info`.
pub(super) fn module_query(text: &str) -> Result<(ModulePath, Question)> {
    let Some((module, query)) = text.split_once('@') else { return Ok((module_path(text)?, Question::List)) };
    let module = module_path(module)?;
    // People write upper case letters as they are; what would be refused in them is refused escaped.
    let escaped = if query.contains('!') { query.to_owned() } else { path::escape(query) };
    let question = match Query::parse(&unescape(&module, &escaped)?) {
        Query::Latest => Question::Latest,
        query => Question::Info(query),
    };
    Ok((module, question))
}

/// A version query; a branch's name may hold slashes, which the go command itself never sends.
fn unescape(module: &ModulePath, escaped: &str) -> Result<String> {
    let disallowed =
        |why: &str| Error::gone(format!("disallowed version string {:?}: {why}", shown(escaped))).about(module);
    let text = path::unescape(escaped)
        .ok_or_else(|| disallowed("upper case letters are written as ! and the small letter"))?;
    for element in text.split('/') {
        path::check_version_element(element).map_err(|why| disallowed(&why))?;
    }
    Ok(text)
}

fn canonical(module: &ModulePath, escaped: &str) -> Result<Version> {
    let text = unescape(module, escaped)?;
    let not_canonical = || {
        Error::gone("version is not canonical, and files are served for canonical versions only")
            .about(format!("{module}@{text}"))
            .remedy("the .info of this query names the canonical version")
    };
    Version::parse(&text).ok_or_else(not_canonical)
}

/// A part of an address for a message: no more of it than somebody wants to read.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn module(registry: RegistryName, path: &str, question: Question) -> Route {
        Route::Module { registry, module: ModulePath::parse(path).expect("module path"), question }
    }

    fn query(text: &str) -> Question {
        Question::Info(Query::parse(text))
    }

    #[test]
    fn reads_the_addresses_of_the_protocol() {
        use RegistryName::{Default, Named};
        let version = |text: &str| Version::parse(text).expect("version");
        let ci = || Named("ci".to_owned());
        let table = [
            ("list", "/example.com/m/@v/list", module(Default, "example.com/m", Question::List)),
            ("latest", "/example.com/m/@latest", module(Default, "example.com/m", Question::Latest)),
            (
                "upper case",
                "/example.com/!m/@v/v1.0.0-!r!c1.info",
                module(Default, "example.com/M", query("v1.0.0-RC1")),
            ),
            ("encoded !", "/example.com/%21m/@v/list", module(Default, "example.com/M", Question::List)),
            ("branch with a slash", "/a.b/m/@v/feature/x.info", module(Default, "a.b/m", query("feature/x"))),
            ("with an encoded one", "/a.b/m/@v/feature%2Fx.info", module(Default, "a.b/m", query("feature/x"))),
            ("branch called @v/x", "/a.b/m/@v/a/@v/x.info", module(Default, "a.b/m", query("a/@v/x"))),
            ("branch called list", "/a.b/m/@v/list.info", module(Default, "a.b/m", query("list"))),
            ("latest as a query", "/a.b/m/@v/latest.info", module(Default, "a.b/m", Question::Info(Query::Latest))),
            ("prefix", "/a.b/m/@v/v1.2.info", module(Default, "a.b/m", query("v1.2"))),
            ("build metadata", "/a.b/m/@v/v1.2.3+meta.info", module(Default, "a.b/m", query("v1.2.3+meta"))),
            ("encoded plus", "/a.b/m/@v/v2.0.0%2Bincompatible.mod", {
                module(Default, "a.b/m", Question::GoMod(version("v2.0.0+incompatible")))
            }),
            ("zip", "/a.b/m/v2/@v/v2.1.0.zip", module(Default, "a.b/m/v2", Question::Zip(version("v2.1.0")))),
            ("named registry", "/registries/ci/a.b/m/@latest", module(ci(), "a.b/m", Question::Latest)),
            ("checksum database", "/registries/ci/sumdb/s.org/latest", {
                Route::Sumdb { registry: ci(), path: sumdb::Path::parse("s.org/latest").expect("path") }
            }),
            ("start", "/", Route::Page(Page::Start)),
            ("mirrors", "/mirrors", Route::Page(Page::Mirrors)),
            ("a mirror", "/mirrors/python-gitlab", Route::Page(Page::Mirror("python-gitlab".to_owned()))),
            ("a mirror with a percent", "/mirrors/a%2eb/check", Route::Page(Page::Check("a.b".to_owned()))),
            ("a renewal", "/mirrors/m/renew", Route::Page(Page::Renew("m".to_owned()))),
            ("a sync", "/mirrors/m/sync", Route::Page(Page::Sync("m".to_owned()))),
            ("interface", "/api/v1/verdicts/a.b/%21m@v1", Route::Api("/api/v1/verdicts/a.b/!m@v1".to_owned())),
            ("interface of a registry", "/registries/ci/api/v1/x", Route::Api("/registries/ci/api/v1/x".to_owned())),
            ("alive", "/healthz", Route::Alive),
            ("ready", "/readyz", Route::Ready),
            ("metrics", "/metrics", Route::Metrics),
        ];
        for (row, target, route) in table {
            assert_eq!(Route::parse(target).unwrap_or_else(|error| panic!("{row}: {error}")), route, "{row}");
        }
    }

    #[test]
    fn reads_what_a_walk_is_asked_for() {
        for (text, question) in [
            ("a.b/M", Question::List),
            ("a.b/!m@latest", Question::Latest),
            ("a.b/M@v1.0.0-RC1", query("v1.0.0-RC1")),
            ("a.b/M@v1.0.0-!r!c1", query("v1.0.0-RC1")),
            ("a.b/M@feature/X", query("feature/X")),
        ] {
            let path = ModulePath::parse("a.b/M").expect("module path");
            assert_eq!(module_query(text).expect(text), (path, question), "{text}");
        }
        for text in ["a.b/m@", "a.b/m@../x", "m@v1.0.0", "", "a.b/m@x//y"] {
            assert_eq!(module_query(text).expect_err(text).kind(), Kind::Gone, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_whether_it_can_ever_be_right() {
        let table = [
            ("asterisk", "*", Kind::NotFound),
            ("a mirror without a name", "/mirrors/", Kind::NotFound),
            ("a mirror without a name that is checked", "/mirrors//check", Kind::NotFound),
            ("nothing that is done to a mirror", "/mirrors/m/delete", Kind::NotFound),
            ("a module's page", "/example.com/m", Kind::NotFound),
            ("registry alone", "/registries/ci", Kind::NotFound),
            ("unknown ending", "/a.b/m/@v/v1.0.0.ziphash", Kind::NotFound),
            ("no ending", "/a.b/m/@v/v1", Kind::NotFound),
            ("nothing after @v", "/a.b/m/@v/", Kind::NotFound),
            ("upper case in the module", "/example.com/M/@v/list", Kind::Gone),
            ("! before nothing", "/example.com/!/@v/list", Kind::Gone),
            ("broken percent", "/example.com/%2/@v/list", Kind::Gone),
            ("not UTF-8", "/example.com/%ff/@v/list", Kind::Gone),
            ("decoded once only", "/example.com/%2521m/@v/list", Kind::Gone),
            ("first element without dot", "/example/m/@v/list", Kind::Gone),
            ("parent folder", "/example.com/../m/@v/list", Kind::Gone),
            ("double slash", "//example.com/m/@v/list", Kind::Gone),
            ("null byte", "/example.com/m%00/@v/list", Kind::Gone),
            ("empty query", "/a.b/m/@v/.info", Kind::Gone),
            ("parent folder as branch", "/a.b/m/@v/x/../y.info", Kind::Gone),
            ("upper case in the version", "/a.b/m/@v/v1.0.0-RC1.info", Kind::Gone),
            ("mod of a branch", "/a.b/m/@v/main.mod", Kind::Gone),
            ("zip of a short version", "/a.b/m/@v/v1.2.zip", Kind::Gone),
            ("zip with build metadata", "/a.b/m/@v/v1.2.3+meta.zip", Kind::Gone),
        ];
        for (row, target, kind) in table {
            assert_eq!(Route::parse(target).expect_err(row).kind(), kind, "{row}");
        }
        let endless = format!("/example.com/{}/@v/list", "m".repeat(LONGEST));
        assert_eq!(Route::parse(&endless).expect_err("endless").kind(), Kind::Gone);
    }

    #[test]
    fn a_version_in_the_interface_is_written_plainly_or_escaped() {
        for text in ["a.b/M@v1.0.0-RC1", "a.b/!m@v1.0.0-!r!c1", "a.b/M@v1.0.0-!r!c1"] {
            let (module, version) = module_version(text).expect(text);
            assert_eq!((module.as_str(), version.as_str()), ("a.b/M", "v1.0.0-RC1"), "{text}");
        }
        let table = [("a.b/m@main", Kind::Gone), ("a.b/m@", Kind::Gone), ("a.b/m", Kind::NotFound)];
        for (text, kind) in table {
            assert_eq!(module_version(text).expect_err(text).kind(), kind, "{text}");
        }
    }

    /// Pieces that addresses are made of, and such as somebody hopes will break them.
    const PIECES: [&str; 41] = [
        "/",
        "//",
        "@v",
        "/@v/",
        "/@latest",
        "list",
        ".info",
        ".mod",
        ".zip",
        "example.com",
        "!",
        "%21",
        "%2F",
        "%2e%2e",
        "..",
        ".",
        "%",
        "%0",
        "%00",
        "%ff",
        "v1.2.3",
        "v1",
        "v0.0.0-20190813064441-fde4db37ae7a",
        "+incompatible",
        "+",
        "registries/",
        "ci",
        "sumdb/",
        "sum.example.org",
        "/lookup/",
        "/tile/",
        "8/0/000",
        ".p/5",
        "@",
        "~1",
        "A",
        "é",
        "\u{202e}",
        "gopkg.in/x.v2",
        "healthz",
        "mirrors/",
    ];

    #[test]
    fn a_hundred_thousand_random_addresses_break_nothing() {
        // An xorshift generator with a fixed seed: a failure comes back at the next run.
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).expect("below a usize")
        };
        let mut led_somewhere = 0;
        for _ in 0..100_000 {
            let mut target = "/".repeat(random(2));
            for _ in 0..random(12) {
                match random(4) {
                    0 => target.push(char::from_u32(random(0x500) as u32).unwrap_or('?')),
                    _ => target.push_str(PIECES[random(PIECES.len())]),
                }
            }
            match Route::parse(&target) {
                Ok(_) => led_somewhere += 1,
                // An absence is a 404 or a 410.
                Err(error) => assert!(error.is_absence(), "{target:?}: {error}"),
            }
        }
        assert!(led_somewhere > 100, "{led_somewhere}: the pieces do not reach what lies deeper");
    }
}
