//! What a go.mod or go.work file says, and edits of it that keep every other byte.
//! Must not know of repositories, nor which version is right. Our own code: the crates that read go.mod give values without
//! layout, or places without a way to write, and none reads go.work or names the go command's first error.
//! Rules: golang.org/x/mod/modfile (`ParseLax`, `Parse`, `ParseWork`, `ModulePath`) and go.dev/ref/mod#go-mod-file.

mod directive;
mod edit;
mod lex;
mod syntax;
mod work;

use std::cmp::Ordering;
use std::ops::Range;

pub use edit::{Addition, Editor};
pub use lex::SyntaxError;
pub use work::GoWork;

use super::literal::{is_print, lossy, quote, trim_space, unquote};
use super::path::{ModulePath, split_major};
use super::version::{Semver, Version, compare};
use directive::{Reader, Reading};

/// The name of the file in messages.
const NAME: &str = "go.mod";

/// A go.mod file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    /// As written: not checked to be a module path.
    pub module: Option<String>,
    /// The text after `Deprecated:` in the comments of the module directive.
    pub deprecated: Option<String>,
    /// `1.23.0`, without `go` in front.
    pub go: Option<String>,
    pub toolchain: Option<String>,
    pub require: Vec<Requirement>,
    pub exclude: Vec<Exclusion>,
    pub replace: Vec<Replacement>,
    pub retract: Vec<Retraction>,
    pub tool: Vec<String>,
    pub ignore: Vec<String>,
    pub godebug: Vec<(String, String)>,
}

/// Where something lies in the file, in bytes.
pub type Span = Range<usize>;

/// A require directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub path: String,
    pub version: Version,
    /// Whether `// indirect` stands behind it.
    pub indirect: bool,
    /// From one.
    pub line: usize,
    pub path_span: Span,
    pub version_span: Span,
}

/// An exclude directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    pub path: String,
    pub version: Version,
    /// From one.
    pub line: usize,
    pub path_span: Span,
    pub version_span: Span,
}

/// A replace directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub path: String,
    /// `None` if all versions are replaced.
    pub version: Option<Version>,
    pub by: Target,
    /// From one.
    pub line: usize,
    pub path_span: Span,
    pub version_span: Option<Span>,
}

/// What a replace directive puts in a module's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Module { path: String, version: Version, path_span: Span, version_span: Span },
    Folder(String),
}

/// A retract directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retraction {
    pub interval: Interval,
    /// The comments of the directive.
    pub rationale: String,
    /// From one.
    pub line: usize,
}

/// The versions from `low` to `high`, both included. The bounds stay as written: short forms, even
/// nonsense, are compared as `semver.Compare` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    pub low: String,
    pub high: String,
}

impl Interval {
    pub fn contains(&self, version: &Semver) -> bool {
        compare(&self.low, version.as_str()) != Ordering::Greater
            && compare(version.as_str(), &self.high) != Ordering::Greater
    }
}

impl GoMod {
    /// Reads a dependency's go.mod: unknown directives, and those that only a main module may give, are skipped.
    ///
    /// Fails where `modfile.ParseLax` without a version fixer fails, with the first of its errors.
    pub fn parse_lax(data: &[u8]) -> Result<GoMod, SyntaxError> {
        Reader::new(data, Reading::Lax).read().map(|(file, _)| file)
    }

    /// Reads a main module's go.mod.
    ///
    /// Fails where `modfile.Parse` without a version fixer fails, with the first of its errors.
    pub fn parse(data: &[u8]) -> Result<GoMod, SyntaxError> {
        Reader::new(data, Reading::Strict).read().map(|(file, _)| file)
    }
}

/// The module path of a go.mod that may be malformed everywhere else: the first line that looks like a
/// module directive outside a block. Rules: `modfile.ModulePath`.
pub fn module_path(data: &[u8]) -> Option<String> {
    let argument = data.split(|byte| *byte == b'\n').find_map(|line| {
        let end = line.windows(2).position(|pair| pair == b"//").unwrap_or(line.len());
        let rest = trim_space(&line[..end]).strip_prefix(b"module")?;
        let argument = trim_space(rest);
        (!argument.is_empty() && argument.len() < rest.len()).then_some(argument)
    })?;
    let path = match argument[0] {
        b'"' | b'`' => unquote(argument)?,
        _ => argument.to_vec(),
    };
    (!path.is_empty()).then(|| lossy(&path))
}

/// The language version, `1.24` of `1.24.3`, by which a module's files are chosen; `None` if the file cannot be
/// read or has none. Rules: `go/version.Lang`, `parseGoVers` in golang.org/x/mod/zip.
pub fn language_version(data: &[u8]) -> Option<String> {
    let version = GoMod::parse_lax(data).ok()?.go?;
    let (major, rest) = version.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (minor, rest) = rest.split_at(digits);
    let prerelease = match rest.strip_prefix('.') {
        // The go directive allows 1.20.1rc1, of which go/version knows nothing.
        Some(patch) if patch.bytes().all(|byte| byte.is_ascii_digit()) => "",
        Some(_) => return None,
        None => rest.trim_start_matches(|c: char| c.is_ascii_lowercase()),
    };
    let padded = prerelease.len() > 1 && prerelease.starts_with('0');
    let language = if (major, minor) == ("1", "0") { "1".to_owned() } else { format!("{major}.{minor}") };
    (!padded).then_some(language)
}

/// Whether the language version is at least 1.24, from which on vendored files are told apart correctly.
pub fn at_least_go_1_24(data: &[u8]) -> bool {
    let at_least = |version: String| compare(&format!("v{version}"), "v1.24") != Ordering::Less;
    language_version(data).is_some_and(at_least)
}

/// The go.mod of a module that has none.
pub fn synthesized(path: &ModulePath) -> Vec<u8> {
    format!("module {}\n", auto_quote(path.as_str())).into_bytes()
}

/// Whether a version's major may stand behind a path: `v2` behind `…/v2`, `v0` and `v1` behind a path without one.
pub fn fits(path: &str, version: &Version) -> bool {
    split_major(path).is_some_and(|(_, suffix)| suffix.matches(version.semver()))
}

/// The text as one token of a go.mod file. Rules: `modfile.AutoQuote`.
pub fn auto_quote(text: &str) -> String {
    let special = |c: char| match c {
        ' ' | '"' | '\'' | '`' => true,
        '(' | ')' | '[' | ']' | '{' | '}' | ',' => text.len() > 1,
        _ => !is_print(c),
    };
    if text.is_empty() || text.contains("//") || text.contains("/*") || text.chars().any(special) {
        return quote(text.as_bytes());
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;
