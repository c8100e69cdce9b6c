//! A history as readable, dated text: parses `fixtures/NAME.repo`.
//!
//! The first line is a comment that says why the history exists. Then statements, one a line or separated by `; `:
//!
//! - `at TIME`, `zone +0200`, `author TIME [ZONE]` — committer and author time of what follows; `author` holds until the next `at`.
//!   A time is RFC 3339 or `@SECONDS`.
//! - `file PATH [executable] [escaped] [crlf] [bom] [unterminated] [base64]` — the lines below it, indented by two spaces, are its content.
//! - `zeros PATH SIZE`, `padded PATH SIZE` (comment lines appended up to a size), `link PATH -> TARGET`, `submodule PATH HASH`, `remove PATH`.
//! - `commit NAME [message TEXT]`, `merge NAME…` (further parents of the next commit), `branch NAME`, `checkout NAME`, `orphan NAME`,
//!   `delete branch NAME`.
//! - `tag NAME [on COMMIT | on blob PATH | on tree PATH]`, `annotated tag NAME [on COMMIT | on tag NAME]`.
//! - `head BRANCH` or `head commit NAME`, `ref NAME COMMIT`.
//! - `module PATH` — which module the `query Q` lines below it are about; the first one is `github.com/modvet-fixtures/NAME`.
//!
//! Names, refs and queries may hold `{COMMIT}`, `{COMMIT:12}`, `{COMMIT:12 upper}`, `{COMMIT.time}` and `{tag NAME}`; see `replay`.
//! A path in double quotes may hold `\xNN`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use chrono::DateTime;

use super::files_in;

/// Where module paths of fixtures lead without a page that says so.
pub const HOST: &str = "github.com/modvet-fixtures";

/// A history and the questions that it is there for.
#[derive(Debug)]
pub struct Fixture {
    pub name: String,
    /// The comment at the top.
    pub why: String,
    pub steps: Vec<Step>,
    pub modules: Vec<Module>,
}

/// A module of the history, with what to ask of it besides its list and `latest`.
#[derive(Debug, Clone)]
pub struct Module {
    pub path: String,
    pub queries: Vec<String>,
}

/// A statement and the line it stands on.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub statement: Statement,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    At(i64),
    Zone(String),
    Author { seconds: i64, zone: Option<String> },
    File { path: Vec<u8>, executable: bool, content: Vec<u8> },
    Padded { path: Vec<u8>, size: usize },
    Link { path: Vec<u8>, target: Vec<u8> },
    Submodule { path: Vec<u8>, hash: String },
    Remove(Vec<u8>),
    Commit { name: String, message: String },
    Merge(Vec<String>),
    Branch(String),
    Checkout(String),
    Orphan(String),
    DeleteBranch(String),
    Tag { name: String, target: Target },
    AnnotatedTag { name: String, target: Target },
    HeadBranch(String),
    HeadCommit(String),
    Ref { name: String, commit: String },
}

/// What a tag stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Here,
    Commit(String),
    Blob(Vec<u8>),
    Tree(Vec<u8>),
    Tag(String),
}

/// Every fixture, by name.
pub fn all() -> Vec<Fixture> {
    files_in("fixtures", "repo").iter().map(|path| read(path)).collect()
}

/// The fixture of this name.
pub fn named(name: &str) -> Fixture {
    read(&super::top().join("fixtures").join(format!("{name}.repo")))
}

fn read(path: &Path) -> Fixture {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = PathBuf::from(path.file_stem().expect("a file has a name")).display().to_string();
    parse(&name, &text)
}

/// Reads a history; panics with name and line where it can't.
pub fn parse(name: &str, text: &str) -> Fixture {
    let lines: Vec<&str> = text.lines().collect();
    let why: Vec<&str> = lines.iter().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    assert!(!why.is_empty(), "fixtures/{name}.repo:1: the first line says why it exists (expected # …)");
    let first = Module { path: format!("{HOST}/{name}"), queries: Vec::new() };
    let mut fixture = Fixture { name: name.to_owned(), why: why.join(" "), steps: Vec::new(), modules: vec![first] };
    let mut at = why.len();
    while at < lines.len() {
        let number = at + 1;
        let line = lines[at];
        at += 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        for text in line.split("; ") {
            let content = if text.starts_with("file ") { content_below(&lines, &mut at) } else { Vec::new() };
            let fail = |what: String| -> ! { panic!("fixtures/{name}.repo:{number}: {what}: {text}") };
            if let Some(path) = text.strip_prefix("module ") {
                fixture.modules.push(Module { path: path.to_owned(), queries: Vec::new() });
            } else if let Some(query) = text.strip_prefix("query ") {
                let module = fixture.modules.last_mut().expect("there is a first one");
                module.queries.push(query.to_owned());
            } else {
                let statement = statement(text, &content).unwrap_or_else(|what| fail(what));
                fixture.steps.push(Step { line: number, statement });
            }
        }
    }
    fixture
}

/// Takes the indented lines; an empty line belongs to them if another indented one follows.
fn content_below<'a>(lines: &[&'a str], at: &mut usize) -> Vec<&'a str> {
    let mut content = Vec::new();
    while *at < lines.len() {
        let next = lines[*at..].iter().find(|line| !line.is_empty());
        let Some(_) = next.and_then(|line| line.strip_prefix("  ")) else { break };
        content.push(lines[*at].strip_prefix("  ").unwrap_or(""));
        *at += 1;
    }
    content
}

fn statement(text: &str, content: &[&str]) -> Result<Statement, String> {
    let (verb, rest) = text.split_once(' ').ok_or("unknown statement")?;
    let own = || rest.to_owned();
    Ok(match verb {
        "at" => Statement::At(seconds(rest)?),
        "zone" => Statement::Zone(own()),
        "author" => author(rest)?,
        "file" => file(rest, content)?,
        "zeros" => {
            let (path, size) = sized(rest)?;
            Statement::File { path, executable: false, content: vec![0; size] }
        }
        "padded" => {
            let (path, size) = sized(rest)?;
            Statement::Padded { path, size }
        }
        "link" => {
            let (path, target) = rest.split_once(" -> ").ok_or("no target (expected PATH -> TARGET)")?;
            Statement::Link { path: path_bytes(path)?, target: target.as_bytes().to_vec() }
        }
        "submodule" => {
            let (path, hash) = rest.split_once(' ').ok_or("no hash (expected PATH HASH)")?;
            Statement::Submodule { path: path_bytes(path)?, hash: hash.to_owned() }
        }
        "remove" => Statement::Remove(path_bytes(rest)?),
        "commit" => {
            let (name, message) = rest.split_once(" message ").unwrap_or((rest, rest));
            Statement::Commit { name: name.to_owned(), message: message.to_owned() }
        }
        "merge" => Statement::Merge(rest.split(' ').map(str::to_owned).collect()),
        "branch" => Statement::Branch(own()),
        "checkout" => Statement::Checkout(own()),
        "orphan" => Statement::Orphan(own()),
        "delete" => Statement::DeleteBranch(rest.strip_prefix("branch ").ok_or("expected delete branch")?.to_owned()),
        "tag" => {
            let (name, target) = tag(rest)?;
            Statement::Tag { name, target }
        }
        "annotated" => {
            let (name, target) = tag(rest.strip_prefix("tag ").ok_or("expected annotated tag")?)?;
            Statement::AnnotatedTag { name, target }
        }
        "head" => match rest.strip_prefix("commit ") {
            Some(commit) => Statement::HeadCommit(commit.to_owned()),
            None => Statement::HeadBranch(own()),
        },
        "ref" => {
            let (name, commit) = rest.split_once(' ').ok_or("no commit (expected NAME COMMIT)")?;
            Statement::Ref { name: name.to_owned(), commit: commit.to_owned() }
        }
        _ => return Err("unknown statement".to_owned()),
    })
}

fn seconds(text: &str) -> Result<i64, String> {
    if let Some(number) = text.strip_prefix('@') {
        return number.parse().map_err(|error| format!("{error}"));
    }
    DateTime::parse_from_rfc3339(text).map(|time| time.timestamp()).map_err(|error| format!("{error}"))
}

fn author(rest: &str) -> Result<Statement, String> {
    let (time, zone) = match rest.split_once(' ') {
        Some((time, zone)) => (time, Some(zone.to_owned())),
        None => (rest, None),
    };
    Ok(Statement::Author { seconds: seconds(time)?, zone })
}

fn sized(rest: &str) -> Result<(Vec<u8>, usize), String> {
    let (path, size) = rest.rsplit_once(' ').ok_or("no size (expected PATH BYTES)")?;
    Ok((path_bytes(path)?, size.parse().map_err(|error| format!("{error}"))?))
}

fn tag(rest: &str) -> Result<(String, Target), String> {
    let Some((name, target)) = rest.split_once(" on ") else { return Ok((rest.to_owned(), Target::Here)) };
    let target = match target.split_once(' ') {
        Some(("blob", path)) => Target::Blob(path_bytes(path)?),
        Some(("tree", path)) => Target::Tree(path_bytes(path)?),
        Some(("tag", name)) => Target::Tag(name.to_owned()),
        Some(_) => return Err("unknown target of a tag".to_owned()),
        None => Target::Commit(target.to_owned()),
    };
    Ok((name.to_owned(), target))
}

fn file(rest: &str, lines: &[&str]) -> Result<Statement, String> {
    let (path, options) = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((path, options)) => (unescaped(path)?, options),
        None => {
            let (path, options) = rest.split_once(' ').unwrap_or((rest, ""));
            (path.as_bytes().to_vec(), options)
        }
    };
    let mut content: Vec<u8> = Vec::new();
    let options: Vec<&str> = options.split_whitespace().collect();
    let has = |option: &str| options.contains(&option);
    let known = ["executable", "escaped", "crlf", "bom", "unterminated", "base64"];
    if let Some(unknown) = options.iter().find(|option| !known.contains(option)) {
        return Err(format!("unknown option {unknown}"));
    }
    let end: &[u8] = if has("crlf") { b"\r\n" } else { b"\n" };
    for line in lines {
        content.extend(if has("escaped") { unescaped(line)? } else { line.as_bytes().to_vec() });
        content.extend(end);
    }
    if has("unterminated") {
        content.truncate(content.len() - end.len());
    }
    if has("base64") {
        content =
            base64::engine::general_purpose::STANDARD.decode(lines.concat()).map_err(|error| error.to_string())?;
    }
    if has("bom") {
        content.splice(0..0, *b"\xef\xbb\xbf");
    }
    Ok(Statement::File { path, executable: has("executable"), content })
}

fn path_bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// Understands `\xNN`, `\t`, `\r`, `\n` and `\\`.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'x') => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = String::from_utf8(digits).map_err(|error| error.to_string())?;
                u8::from_str_radix(&digits, 16).map_err(|error| error.to_string())?
            }
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b'\\') => b'\\',
            other => return Err(format!("unknown escape {other:?}")),
        });
    }
    Ok(out)
}
