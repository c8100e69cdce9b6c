//! From lines to what they say.
//! Rules: `File.add` and `WorkFile.add` in golang.org/x/mod/modfile.

use std::ops::Range;

use super::lex::{Position, SyntaxError};
use super::syntax::{Block, Comment, Comments, Line, Statement, parse};
use super::{Exclusion, GoMod, Interval, Replacement, Requirement, Retraction, Span, Target};
use crate::spec::literal::{lossy, quote, trim_space, unquote};
use crate::spec::path::{MajorSuffix, split_major};
use crate::spec::version::{Version, canonical};

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A dependency's.
    Lax,
    /// The main module's.
    Strict,
    /// A workspace's go.work.
    Work,
}

pub(super) struct Reader<'a> {
    data: &'a [u8],
    reading: Reading,
    file: GoMod,
    module_seen: bool,
    /// The arguments of `use`.
    folders: Vec<String>,
}

/// A directive: its verb, the rest of its line, the block it stands in.
struct Directive<'t> {
    verb: &'t [u8],
    arguments: &'t [Range<usize>],
    line: &'t Line,
    block: Option<&'t Block>,
}

impl Directive<'_> {
    fn error(&self, what: impl Into<String>) -> SyntaxError {
        self.start().error(what)
    }

    fn start(&self) -> Position {
        self.line.start
    }

    fn verb(&self) -> String {
        lossy(self.verb)
    }
}

const BLOCKS: [&[u8]; 8] = [b"module", b"godebug", b"require", b"exclude", b"replace", b"retract", b"tool", b"ignore"];
const LAX: [&[u8]; 5] = [b"go", b"module", b"retract", b"require", b"ignore"];
const WORK: [&[u8]; 5] = [b"go", b"toolchain", b"godebug", b"use", b"replace"];
const WORK_BLOCKS: [&[u8]; 3] = [b"godebug", b"use", b"replace"];

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], reading: Reading) -> Reader<'a> {
        Reader { data, reading, file: GoMod::default(), module_seen: false, folders: Vec::new() }
    }

    /// What the file says, and the folders that a workspace uses.
    pub(super) fn read(mut self) -> Result<(GoMod, Vec<String>), SyntaxError> {
        for statement in parse(self.data)? {
            match &statement {
                Statement::Line(line) => {
                    let (verb, arguments) = line.tokens.split_first().expect("a line has a first token");
                    self.add(&Directive { verb: self.token(verb), arguments, line, block: None })?;
                }
                Statement::Block(block) => self.block(block)?,
                Statement::Comments(_) => {}
            }
        }
        Ok((self.file, self.folders))
    }

    fn block(&mut self, block: &Block) -> Result<(), SyntaxError> {
        let blocks: &[&[u8]] = if self.reading == Reading::Work { &WORK_BLOCKS } else { &BLOCKS };
        match &block.tokens[..] {
            [verb] if blocks.contains(&self.token(verb)) => block.lines.iter().try_for_each(|line| {
                self.add(&Directive { verb: self.token(verb), arguments: &line.tokens, line, block: Some(block) })
            }),
            tokens if self.reading != Reading::Lax => {
                let tokens: Vec<String> = tokens.iter().map(|token| lossy(self.token(token))).collect();
                Err(block.start.error(format!("unknown block type: {}", tokens.join(" "))))
            }
            _ => Ok(()),
        }
    }

    fn token(&self, range: &Range<usize>) -> &'a [u8] {
        &self.data[range.clone()]
    }

    fn add(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        if self.reading == Reading::Lax && !LAX.contains(&directive.verb) {
            return Ok(());
        }
        if self.reading == Reading::Work && !WORK.contains(&directive.verb) {
            return Err(directive.error(format!("unknown directive: {}", directive.verb())));
        }
        match directive.verb {
            b"go" => self.go(directive),
            b"toolchain" => self.toolchain(directive),
            b"module" => self.module(directive),
            b"godebug" => self.godebug(directive),
            b"require" => {
                let (path, version, path_span, version_span) = self.module_version(directive)?;
                let indirect = is_indirect(directive.line.comments.suffix.first().map(|range| self.token(range)));
                let line = directive.start().line;
                self.file.require.push(Requirement { path, version, indirect, line, path_span, version_span });
                Ok(())
            }
            b"exclude" => {
                let (path, version, path_span, version_span) = self.module_version(directive)?;
                let line = directive.start().line;
                self.file.exclude.push(Exclusion { path, version, line, path_span, version_span });
                Ok(())
            }
            b"replace" => self.replace(directive),
            b"use" if self.reading == Reading::Work => self.folder(directive),
            b"retract" => self.retract(directive),
            b"tool" => {
                let path = self.only_string(directive)?;
                self.file.tool.push(path);
                Ok(())
            }
            b"ignore" => {
                let path = self.only_string(directive)?;
                self.file.ignore.push(path);
                Ok(())
            }
            _ => Err(directive.error(format!("unknown directive: {}", directive.verb()))),
        }
    }

    fn folder(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        let [folder] = directive.arguments else {
            return Err(directive.error("usage: use local/dir"));
        };
        let folder = self.string(directive, folder)?;
        self.folders.push(folder);
        Ok(())
    }

    fn go(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        if self.file.go.is_some() {
            return Err(directive.error("repeated go statement"));
        }
        let [version] = directive.arguments else {
            return Err(directive.error("go directive expects exactly one argument"));
        };
        let version = lossy(self.token(version));
        let read = if is_go_version(&version) { Some(&*version) } else { None };
        let lax = || lax_go_version(&version).filter(|_| self.reading == Reading::Lax);
        let Some(read) = read.or_else(lax) else {
            return Err(directive.error(format!("invalid go version '{version}': must match format 1.23.0")));
        };
        self.file.go = Some(read.to_owned());
        Ok(())
    }

    fn toolchain(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        if self.file.toolchain.is_some() {
            return Err(directive.error("repeated toolchain statement"));
        }
        let [name] = directive.arguments else {
            return Err(directive.error("toolchain directive expects exactly one argument"));
        };
        let name = lossy(self.token(name));
        if name != "default" && name != "go1" && !name.starts_with("go1.") {
            let what = format!("invalid toolchain version '{name}': must match format go1.23.0 or default");
            return Err(directive.error(what));
        }
        self.file.toolchain = Some(name);
        Ok(())
    }

    fn module(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        if std::mem::replace(&mut self.module_seen, true) {
            return Err(directive.error("repeated module statement"));
        }
        let [path] = directive.arguments else {
            return Err(directive.error("usage: module module/path"));
        };
        self.file.module = Some(self.string(directive, path)?);
        self.file.deprecated = deprecation(&self.comments(directive));
        Ok(())
    }

    fn godebug(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        let usage = || directive.error("usage: godebug key=value");
        let [setting] = directive.arguments else { return Err(usage()) };
        let setting = lossy(self.token(setting));
        if setting.contains(['"', '`', '\'', ',']) {
            return Err(usage());
        }
        let (key, value) = setting.split_once('=').ok_or_else(usage)?;
        self.file.godebug.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    fn module_version(&self, directive: &Directive<'_>) -> Result<(String, Version, Span, Span), SyntaxError> {
        let [path_span, version_span] = directive.arguments else {
            return Err(directive.error(format!("usage: {} module/path v1.2.3", directive.verb())));
        };
        let path = self.string(directive, path_span)?;
        let version = self.version(directive, &path, version_span)?;
        let suffix = major_suffix(&path).ok_or_else(|| directive.error("invalid module path"))?;
        check_major(directive, &path, suffix, &version)?;
        Ok((path, version, path_span.clone(), version_span.clone()))
    }

    fn replace(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        let (old, new) = self.sides(directive)?;
        let path_span = old[0].clone();
        let path = self.string(directive, &path_span)?;
        let subject = |why: &str| directive.error(with_path(directive, &path, why));
        let suffix = major_suffix(&path).ok_or_else(|| subject("invalid module path"))?;
        let version_span = old.get(1).cloned();
        let version = version_span.as_ref().map(|span| self.version(directive, &path, span)).transpose()?;
        if let Some(version) = &version {
            check_major(directive, &path, suffix, version)?;
        }
        let by = self.target(directive, new)?;
        let line = directive.start().line;
        self.file.replace.push(Replacement { path, version, by, line, path_span, version_span });
        Ok(())
    }

    /// What stands before the arrow and what after it.
    fn sides<'t>(&self, directive: &Directive<'t>) -> Result<(&'t [Span], &'t [Span]), SyntaxError> {
        let arguments = directive.arguments;
        let is_arrow = |at: usize| arguments.get(at).is_some_and(|span| self.token(span) == b"=>");
        let arrow = if is_arrow(1) { 1 } else { 2 };
        if !is_arrow(arrow) || !matches!(arguments.len() - arrow, 2 | 3) {
            let verb = directive.verb();
            return Err(directive.error(format!(
                "usage: {verb} module/path [v1.2.3] => other/module v1.4\n\t or {verb} module/path [v1.2.3] => ../local/directory"
            )));
        }
        Ok((&arguments[..arrow], &arguments[arrow + 1..]))
    }

    fn target(&self, directive: &Directive<'_>, new: &[Span]) -> Result<Target, SyntaxError> {
        let path_span = new[0].clone();
        let path = self.string(directive, &path_span)?;
        let Some(version_span) = new.get(1).cloned() else {
            let why = match &path {
                path if is_folder(path) && path.contains('\\') => {
                    "replacement directory appears to be Windows path (on a non-windows system)"
                }
                path if is_folder(path) => return Ok(Target::Folder(path.clone())),
                path if path.contains('@') => "replacement module must match format 'path version', not 'path@version'",
                _ => "replacement module without version must be directory path (rooted or starting with . or ..)",
            };
            return Err(directive.error(why));
        };
        let version = self.version(directive, &path, &version_span)?;
        if is_folder(&path) {
            let quoted = quote(path.as_bytes());
            return Err(directive.error(format!("replacement module directory path {quoted} cannot have version")));
        }
        Ok(Target::Module { path, version, path_span, version_span })
    }

    fn retract(&mut self, directive: &Directive<'_>) -> Result<(), SyntaxError> {
        let rationale = self.comments(directive);
        let (interval, rest) = match self.interval(directive.arguments) {
            Ok(read) => read,
            Err(what) if self.reading == Reading::Strict => return Err(directive.error(what)),
            // A later go command may know more kinds of intervals.
            Err(_) => return Ok(()),
        };
        if let (Some(token), Reading::Strict) = (rest.first(), self.reading) {
            let token = quote(self.token(token));
            return Err(directive.error(format!("unexpected token after version: {token}")));
        }
        self.file.retract.push(Retraction { interval, rationale, line: directive.start().line });
        Ok(())
    }

    /// `v1.0.0` or `[v1.0.0, v1.2.0]`, and what follows it.
    fn interval<'t>(&self, tokens: &'t [Span]) -> Result<(Interval, &'t [Span]), String> {
        let is = |token: Option<&Span>, mark: &[u8]| token.is_some_and(|span| self.token(span) == mark);
        let bound = |token: Option<&Span>, missing: &str| {
            let token = self.token(token.ok_or(missing)?);
            string(token).map(|text| lossy(&text)).map_err(|why| format!("retract: {}", invalid_version(token, why)))
        };
        if !is(tokens.first(), b"[") {
            if tokens.is_empty() || is(tokens.first(), b"(") {
                return Err("expected '[' or version".to_owned());
            }
            let low = bound(tokens.first(), "")?;
            return Ok((Interval { high: low.clone(), low }, &tokens[1..]));
        }
        let low = bound(tokens.get(1), "expected version after '['")?;
        if !is(tokens.get(2), b",") {
            return Err("expected ',' after version".to_owned());
        }
        let high = bound(tokens.get(3), "expected version after ','")?;
        if !is(tokens.get(4), b"]") {
            return Err("expected ']' after version".to_owned());
        }
        Ok((Interval { low, high }, &tokens[5..]))
    }

    fn only_string(&self, directive: &Directive<'_>) -> Result<String, SyntaxError> {
        let [path] = directive.arguments else {
            return Err(directive.error(format!("{} directive expects exactly one argument", directive.verb())));
        };
        self.string(directive, path)
    }

    fn string(&self, directive: &Directive<'_>, span: &Span) -> Result<String, SyntaxError> {
        match string(self.token(span)) {
            Ok(text) => Ok(lossy(&text)),
            Err(why) => Err(directive.error(format!("invalid quoted string: {why}"))),
        }
    }

    fn version(&self, directive: &Directive<'_>, path: &str, span: &Span) -> Result<Version, SyntaxError> {
        let token = self.token(span);
        let invalid = |text: &[u8], why: &str| directive.error(with_path(directive, path, &invalid_version(text, why)));
        let text = string(token).map_err(|why| invalid(token, why))?;
        std::str::from_utf8(&text).ok().and_then(canonical).ok_or_else(|| invalid(&text, "must be of the form v1.2.3"))
    }

    /// The text of the comments on a directive, or of those on its block if it has none.
    fn comments(&self, directive: &Directive<'_>) -> String {
        let Comments { before, suffix } = &directive.line.comments;
        let of_block = directive.block.filter(|_| before.is_empty() && suffix.is_empty());
        let comments: Vec<&Comment> = match of_block {
            Some(block) => block.before.iter().collect(),
            None => before.iter().chain(suffix).collect(),
        };
        let lines: Vec<String> = comments
            .into_iter()
            .filter_map(|comment| self.token(comment).strip_prefix(b"//"))
            .map(|text| lossy(trim_space(text)))
            .collect();
        lines.join("\n")
    }
}

/// What a token means: as it stands, or a literal in double quotes.
fn string(token: &[u8]) -> Result<Vec<u8>, &'static str> {
    if token.starts_with(b"\"") {
        return unquote(token).ok_or("invalid syntax");
    }
    if token.iter().any(|byte| b"\"'`".contains(byte)) {
        return Err("unquoted string cannot contain quote");
    }
    Ok(token.to_vec())
}

fn invalid_version(text: &[u8], why: &str) -> String {
    format!("version {} invalid: {why}", quote(text))
}

/// `require PATH: WHY`; an empty path is left out.
fn with_path(directive: &Directive<'_>, path: &str, why: &str) -> String {
    let verb = directive.verb();
    if path.is_empty() { format!("{verb}: {why}") } else { format!("{verb} {path}: {why}") }
}

fn major_suffix(path: &str) -> Option<MajorSuffix<'_>> {
    split_major(path).map(|(_, suffix)| suffix)
}

fn check_major(
    directive: &Directive<'_>,
    path: &str,
    suffix: MajorSuffix<'_>,
    version: &Version,
) -> Result<(), SyntaxError> {
    if suffix.matches(version.semver()) {
        return Ok(());
    }
    let why = format!("should be {}, not {}", suffix.expected(), version.major());
    Err(directive.error(with_path(directive, path, &invalid_version(version.as_str().as_bytes(), &why))))
}

/// `// indirect`, alone or followed by a semicolon and more.
fn is_indirect(comment: Option<&[u8]>) -> bool {
    let text = lossy(comment.and_then(|comment| comment.strip_prefix(b"//")).unwrap_or_default());
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => word == "indirect",
        (Some(word), Some(_)) => word == "indirect;",
        _ => false,
    }
}

/// The paragraph that begins with `Deprecated:`.
fn deprecation(text: &str) -> Option<String> {
    const MARK: &str = "Deprecated:";
    let start = if text.starts_with(MARK) { 0 } else { text.find("\n\nDeprecated:")? + 2 };
    let rest = text[start + MARK.len()..].trim_start_matches(' ');
    let message = rest.split("\n\n").next().unwrap_or(rest);
    (!message.is_empty()).then(|| message.to_owned())
}

/// The number without leading zeros at the start of a text, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let padded = digits > 1 && text.starts_with('0');
    (digits > 0 && !padded).then(|| text.split_at(digits))
}

/// `1.23`, and what follows it.
fn major_minor(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = number(text).filter(|(major, _)| *major != "0")?;
    let (_, rest) = number(rest.strip_prefix('.')?)?;
    Some((&text[..text.len() - rest.len()], rest))
}

/// `1.23`, `1.23.0`, `1.23rc1`.
fn is_go_version(text: &str) -> bool {
    let Some((_, rest)) = major_minor(text) else { return false };
    let rest = match rest.strip_prefix('.').map(number) {
        None => rest,
        Some(Some((_, rest))) => rest,
        Some(None) => return false,
    };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = rest.len() - digits.len();
    rest.is_empty() || (letters > 0 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `1.23` of `v1.23` and of anything that begins so.
fn lax_go_version(text: &str) -> Option<&str> {
    let (version, rest) = major_minor(text.strip_prefix('v').unwrap_or(text))?;
    (!rest.is_empty()).then_some(version)
}

/// Whether a replacement is a folder, by the rules of any system.
fn is_folder(path: &str) -> bool {
    let drive = |bytes: &[u8]| bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    matches!(path, "." | "..")
        || ["./", ".\\", "../", "..\\", "/", "\\"].iter().any(|start| path.starts_with(start))
        || drive(path.as_bytes())
}
