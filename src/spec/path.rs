//! Module paths: which are well formed, how they split, how they are escaped.
//! Rules: golang.org/x/mod/module (`CheckPath`, `SplitPathVersion`, `EscapePath`, `CheckPathMajor`).

use std::fmt;

use super::literal::{is_letter, quote, quote_char};
use super::version::Semver;
use crate::error::{Error, Result};

/// A checked module path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModulePath {
    text: String,
    prefix: usize,
}

impl ModulePath {
    /// Refuses what `module.CheckPath` refuses, in its words.
    pub fn parse(text: &str) -> Result<ModulePath> {
        let malformed = |why: String| {
            Error::gone(format!("malformed module path {}: {why}", quote(text.as_bytes())))
                .remedy("a module path looks like example.com/group/name")
        };
        check(text).map_err(malformed)?;
        let (prefix, _) = split_major(text).ok_or_else(|| malformed("invalid version".to_owned()))?;
        Ok(ModulePath { prefix: prefix.len(), text: text.to_owned() })
    }

    /// Reads the form that stands in addresses: `!x` for upper case.
    pub fn unescape(escaped: &str) -> Result<ModulePath> {
        let text = unescape(escaped).ok_or_else(|| {
            Error::gone(format!("invalid escaped module path {}", quote(escaped.as_bytes())))
                .remedy("an upper case letter X is written !x in a module proxy address")
        })?;
        ModulePath::parse(&text)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path without its major version suffix.
    pub fn prefix(&self) -> &str {
        &self.text[..self.prefix]
    }

    /// `/v2`, `.v2`, `.v2-unstable`, or empty.
    pub fn major_suffix(&self) -> MajorSuffix<'_> {
        MajorSuffix(&self.text[self.prefix..])
    }

    pub fn escaped(&self) -> String {
        escape(&self.text)
    }

    pub fn is_gopkg_in(&self) -> bool {
        self.text.starts_with("gopkg.in/")
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the end of a module path says of the major versions it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MajorSuffix<'a>(&'a str);

impl<'a> MajorSuffix<'a> {
    pub fn as_str(self) -> &'a str {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// gopkg.in's form.
    pub fn is_dotted(self) -> bool {
        self.0.starts_with('.')
    }

    /// `v2` of `/v2`, `.v2` and `.v2-unstable`; `None` if any of v0 and v1 will do.
    pub fn major(self) -> Option<&'a str> {
        let suffix = if self.is_dotted() { self.0.strip_suffix("-unstable").unwrap_or(self.0) } else { self.0 };
        (!suffix.is_empty()).then(|| &suffix[1..])
    }

    /// The suffix without its separator: `v2-unstable` of `.v2-unstable`.
    pub fn element(self) -> &'a str {
        self.0.get(1..).unwrap_or("")
    }

    /// Whether a module with this suffix may have this version (`module.MatchPathMajor`).
    pub fn matches(self, version: &Semver) -> bool {
        // gopkg.in's early pseudo-versions were v0.0.0- whatever the suffix said.
        if version.as_str().starts_with("v0.0.0-") && self.0.trim_end_matches("-unstable") == ".v1" {
            return true;
        }
        match self.major() {
            Some(major) => version.major() == major,
            None => matches!(version.major(), "v0" | "v1") || version.build() == "incompatible",
        }
    }

    /// The majors that match, in words.
    pub fn expected(self) -> &'a str {
        self.major().unwrap_or("v0 or v1")
    }
}

/// Splits off the major version suffix: `None` where `module.SplitPathVersion` is not ok.
pub fn split_major(path: &str) -> Option<(&str, MajorSuffix<'_>)> {
    if path.starts_with("gopkg.in/") {
        return split_gopkg_in(path);
    }
    let head = path.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let Some(prefix) = head.strip_suffix("/v").filter(|_| head.len() < path.len()) else {
        return Some((path, MajorSuffix("")));
    };
    let number = &path[head.len()..];
    let valid = !number.contains('.') && !number.starts_with('0') && number != "1";
    valid.then(|| (prefix, MajorSuffix(&path[prefix.len()..])))
}

fn split_gopkg_in(path: &str) -> Option<(&str, MajorSuffix<'_>)> {
    let stem = path.strip_suffix("-unstable").unwrap_or(path);
    let head = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let prefix = head.strip_suffix(".v")?;
    let number = &stem[head.len()..];
    let suffix = &path[prefix.len()..];
    let valid = !number.is_empty() && (!number.starts_with('0') || suffix == ".v0");
    valid.then_some((prefix, MajorSuffix(suffix)))
}

/// Whether `path` is `prefix` or lies below it.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// Whether one of the comma-separated GOPRIVATE patterns matches a leading part of `target`.
pub fn matches_patterns(patterns: &str, target: &str) -> bool {
    patterns.split(',').any(|pattern| matches_pattern(pattern.trim_end_matches('/'), target))
}

/// Whether this is one well-formed pattern: a malformed one matches nothing, so it would keep nothing out.
pub fn is_pattern(pattern: &str) -> bool {
    let well_formed = |element: &str| {
        let mut rest = element.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let next = match first {
                b'[' => class(after, 0).map(|(_, after)| after),
                b'\\' => after.split_first().map(|(_, after)| after),
                _ => Some(after),
            };
            let Some(next) = next else { return false };
            rest = next;
        }
        !element.is_empty()
    };
    let plain = !pattern.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control());
    plain && pattern.trim_end_matches('/').split('/').all(well_formed)
}

fn matches_pattern(pattern: &str, target: &str) -> bool {
    if pattern.is_empty() {
        return false;
    }
    let wanted: Vec<&str> = pattern.split('/').collect();
    let given: Vec<&str> = target.split('/').collect();
    given.len() >= wanted.len()
        && wanted.iter().zip(&given).all(|(glob, name)| glob_matches(glob.as_bytes(), name.as_bytes()))
}

/// `path.Match` for one path element: `*`, `?`, `[a-z]`, `[^a]` and `\x`; a malformed pattern matches nothing.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|i| glob_matches(rest, &name[i..])),
        Some((b'[', rest)) => {
            let Some((&first, tail)) = name.split_first() else { return false };
            match class(rest, first) {
                Some((true, after)) => glob_matches(after, tail),
                _ => false,
            }
        }
        Some((b'?', rest)) => !name.is_empty() && glob_matches(rest, &name[1..]),
        Some((b'\\', rest)) => match rest.split_first() {
            Some((c, rest)) => name.first() == Some(c) && glob_matches(rest, &name[1..]),
            None => false,
        },
        Some((c, rest)) => name.first() == Some(c) && glob_matches(rest, &name[1..]),
    }
}

/// Whether the class after `[` holds `c`, and what stands after its `]`.
fn class(mut glob: &[u8], c: u8) -> Option<(bool, &[u8])> {
    let negated = glob.first() == Some(&b'^');
    if negated {
        glob = &glob[1..];
    }
    let mut found = false;
    let mut any = false;
    loop {
        if glob.first() == Some(&b']') && any {
            return Some((found != negated, &glob[1..]));
        }
        let (low, rest) = class_char(glob)?;
        let (high, rest) = match rest.split_first() {
            Some((b'-', rest)) => class_char(rest)?,
            _ => (low, rest),
        };
        found |= (low..=high).contains(&c);
        any = true;
        glob = rest;
    }
}

fn class_char(glob: &[u8]) -> Option<(u8, &[u8])> {
    match glob.split_first()? {
        (b'-' | b']', _) => None,
        (b'\\', rest) => rest.split_first().map(|(c, rest)| (*c, rest)),
        (c, rest) => Some((*c, rest)),
    }
}

/// `!x` for every upper case letter.
pub fn escape(text: &str) -> String {
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped
}

/// `None` if the text holds upper case, something that is not ASCII, or `!` without a small letter.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '!' => text.push(chars.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()),
            _ if c.is_ascii_uppercase() || !c.is_ascii() => return None,
            _ => text.push(c),
        }
    }
    Some(text)
}

fn check(path: &str) -> Result<(), String> {
    check_elements(path, Kind::Module)?;
    let first = path.split('/').next().unwrap_or(path);
    if !first.contains('.') {
        return Err("missing dot in first path element".to_owned());
    }
    let allowed = |c: char| matches!(c, '-' | '.') || c.is_ascii_digit() || c.is_ascii_lowercase();
    match first.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("invalid char {} in first path element", quote_char(c))),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    File,
}

/// `module.CheckFilePath`: the name of a file in a module zip.
pub fn check_file(path: &str) -> Result<(), String> {
    check_elements(path, Kind::File).map_err(|why| format!("malformed file path {}: {why}", quote(path.as_bytes())))
}

/// Whether a text may stand as a version in an address (`module.UnescapeVersion`).
pub fn check_version_element(text: &str) -> Result<(), String> {
    check_element(text, Kind::File)
}

fn check_elements(path: &str, kind: Kind) -> Result<(), String> {
    if path.is_empty() {
        return Err("empty string".to_owned());
    }
    if path.starts_with('-') && kind == Kind::Module {
        return Err("leading dash".to_owned());
    }
    if path.contains("//") {
        return Err("double slash".to_owned());
    }
    if path.ends_with('/') {
        return Err("trailing slash".to_owned());
    }
    path.split('/').try_for_each(|element| check_element(element, kind))
}

fn check_element(element: &str, kind: Kind) -> Result<(), String> {
    if element.is_empty() {
        return Err("empty path element".to_owned());
    }
    if element.bytes().all(|b| b == b'.') {
        return Err(format!("invalid path element {}", quote(element.as_bytes())));
    }
    if element.starts_with('.') && kind == Kind::Module {
        return Err("leading dot in path element".to_owned());
    }
    if element.ends_with('.') {
        return Err("trailing dot in path element".to_owned());
    }
    if let Some(c) = element.chars().find(|c| !allowed(*c, kind)) {
        return Err(format!("invalid char {}", quote_char(c)));
    }
    let stem = element.split('.').next().unwrap_or(element);
    if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(stem)) {
        return Err(format!("{} disallowed as path element component on Windows", quote(stem.as_bytes())));
    }
    // Windows writes long names as NAME~1; a file in a zip may have such a name, a module may not.
    let short_name = |(_, digits): (&str, &str)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if kind == Kind::Module && stem.rsplit_once('~').is_some_and(short_name) {
        return Err("trailing tilde and digits in path element".to_owned());
    }
    Ok(())
}

fn allowed(c: char, kind: Kind) -> bool {
    if c.is_ascii_alphanumeric() {
        return true;
    }
    match kind {
        Kind::Module => matches!(c, '-' | '.' | '_' | '~'),
        Kind::File if c.is_ascii() => "!#$%&()+,-.=@[]^_{}~ ".contains(c),
        Kind::File => is_letter(c),
    }
}

/// Names that Windows keeps for devices.
const RESERVED: [&str; 22] = [
    "CON", "PRN", "AUX", "NUL", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8", "COM9", "LPT1", "LPT2",
    "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_and_refuses_as_go_does() {
        // path, the reason it is refused ("" where it is fine)
        let table = [
            ("x.y/z", ""),
            ("x.y", ""),
            ("", "empty string"),
            ("x", "missing dot in first path element"),
            ("x.y/\u{e9}", "invalid char 'é'"),
            ("x.y//z", "double slash"),
            ("x.y/z/", "trailing slash"),
            ("/x.y/z", "empty path element"),
            ("-x.y/z", "leading dash"),
            ("x.y/.z", "leading dot in path element"),
            ("x.y/z.", "trailing dot in path element"),
            ("x.y/..", "invalid path element \"..\""),
            ("X.y/z", "invalid char 'X' in first path element"),
            ("x.y/Z", ""),
            ("x.y/z~1", "trailing tilde and digits in path element"),
            ("x.y/z~1.go", "trailing tilde and digits in path element"),
            ("x.y/z~a", ""),
            ("x.y/con.txt", "\"con\" disallowed as path element component on Windows"),
            ("x.y/z+w", "invalid char '+'"),
            ("x.y/v1", "invalid version"),
            ("x.y/v0", "invalid version"),
            ("x.y/v02", "invalid version"),
            ("x.y/v2.1", "invalid version"),
            ("x.y/v2", ""),
            ("gopkg.in/yaml", "invalid version"),
            ("gopkg.in/yaml.v0", ""),
            ("gopkg.in/yaml.v01", "invalid version"),
            ("gopkg.in/yaml.v2-unstable", ""),
            ("gopkg.in/yaml.v0-unstable", "invalid version"),
        ];
        for (path, why) in table {
            match ModulePath::parse(path) {
                Ok(_) => assert_eq!("", why, "{path}"),
                Err(e) => assert_eq!(e.what(), format!("malformed module path {path:?}: {why}"), "{path}"),
            }
        }
    }

    #[test]
    fn splits_the_major_suffix() {
        let table = [
            ("x.y/z", "x.y/z", "", None),
            ("x.y/z/v2", "x.y/z", "/v2", Some("v2")),
            ("x.y/v2", "x.y", "/v2", Some("v2")),
            ("x.y/zv2", "x.y/zv2", "", None),
            ("x.y/z2", "x.y/z2", "", None),
            ("gopkg.in/yaml.v2", "gopkg.in/yaml", ".v2", Some("v2")),
            ("gopkg.in/x.v2-unstable", "gopkg.in/x", ".v2-unstable", Some("v2")),
        ];
        for (path, prefix, suffix, major) in table {
            let path = ModulePath::parse(path).expect(path);
            assert_eq!(
                (path.prefix(), path.major_suffix().as_str(), path.major_suffix().major()),
                (prefix, suffix, major)
            );
        }
    }

    #[test]
    fn a_version_must_match_the_suffix() {
        let table = [
            ("x.y/z", "v1.0.0", true),
            ("x.y/z", "v2.0.0", false),
            ("x.y/z", "v2.0.0+incompatible", true),
            ("x.y/z/v2", "v2.0.0", true),
            ("x.y/z/v2", "v2.0.0+incompatible", true),
            ("x.y/z/v2", "v1.0.0", false),
            ("gopkg.in/yaml.v1", "v0.0.0-20190101000000-abcdefabcdef", true),
            ("gopkg.in/yaml.v1", "v0.1.0", false),
            ("gopkg.in/yaml.v2-unstable", "v2.0.0-20190101000000-abcdefabcdef", true),
        ];
        for (path, version, matches) in table {
            let path = ModulePath::parse(path).expect(path);
            let version = Semver::parse(version).expect(version);
            assert_eq!(path.major_suffix().matches(&version), matches, "{path}@{version}");
        }
    }

    #[test]
    fn patterns_match_leading_elements() {
        let table = [
            ("example.com/*", "example.com/a/b", true),
            ("example.com/*", "example.com", false),
            ("*.corp.example", "git.corp.example/x", true),
            ("a.b,c.d/", "c.d/e", true),
            ("c.d/[a-c]x", "c.d/bx/y", true),
            ("c.d/[^a-c]x", "c.d/bx/y", false),
            ("c.d/[a", "c.d/a", false),
            ("", "c.d", false),
        ];
        for (patterns, target, matches) in table {
            assert_eq!(matches_patterns(patterns, target), matches, "{patterns} {target}");
        }
    }

    #[test]
    fn refuses_wrong_escapes() {
        for escaped in ["X.y/z", "x.y/!Z", "x.y/z!", "x.y/!!z", "x.y/é"] {
            assert_eq!(unescape(escaped), None, "{escaped}");
        }
        assert_eq!(ModulePath::unescape("x.y/!z").expect("escaped").as_str(), "x.y/Z");
    }

    proptest! {
        #[test]
        fn unescapes_what_it_escaped(text in "[a-zA-Z0-9._~/-]{0,40}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.bytes().any(|b| b.is_ascii_uppercase()));
            prop_assert_eq!(unescape(&escaped), Some(text));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = ModulePath::parse(&text);
            let _ = ModulePath::unescape(&text);
            let _ = check_file(&text);
            let _ = matches_patterns(&text, "example.com/a/b");
        }
    }
}
