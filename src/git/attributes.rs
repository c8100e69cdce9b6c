//! Which conversion a file of a commit gets from the commit's `.gitattributes` files.
//! Must not know how contents are converted (`convert`), nor of attributes outside the commit.
//! Rules: gitattributes(5), and what git 2.39's `git archive` does, by experiment: the differential tests.
//!
//! libgit2's own lookup is not used, for a module's hash hangs on every corner of git's: of the rows of `tests`
//! it gets wrong quoted patterns, `x**/a`, a byte order mark, lines with a malformed attribute, macros of macros,
//! macros used before their definition, and a macro named `export-subst`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use git2::{ObjectType, Oid, Repository};

use crate::error::{Error, Result};
use crate::git::convert::{Charset, Conversion, LineEnds};
use crate::spec::info::ObjectId;

use self::line::{Line, Macros, State, Subject, lines};
use self::pattern::Pattern;

#[cfg(test)]
mod fuzz;
mod line;
mod pattern;
#[cfg(test)]
pub(super) mod reference;
#[cfg(test)]
mod tests;

const FILE: &str = ".gitattributes";
/// A file of this size or more is ignored by git, in bytes.
const IGNORED_FROM: usize = 100 << 20;
/// A file larger than this, in bytes, is refused: each of its lines would be compared with each path.
const SIZE_LIMIT: usize = 4 << 20;
/// A longer path, in bytes, is refused: no go command could put it on a disk, and each folder in it costs.
const PATH_LIMIT: usize = 4096;

/// The attributes that convert contents; a name's place is its number. Macros follow.
const CONVERTING: [&str; 5] = ["text", "crlf", "eol", "ident", "working-tree-encoding"];
const TEXT: usize = 0;
const CRLF: usize = 1;
const EOL: usize = 2;
const IDENT: usize = 3;
const ENCODING: usize = 4;

/// What the go command writes to `info/attributes`, which no `.gitattributes` overrides: it matters
/// where a commit makes a macro of one of these names.
const UNSET_BY_GO: [(&[u8], State); 2] = [(b"export-subst", State::False), (b"export-ignore", State::False)];

/// The attributes of a commit's files.
///
/// A folder's file is read when the first path below that folder is asked for, and once.
pub struct Attributes<'r> {
    repository: &'r Repository,
    commit: ObjectId,
    names: Names,
    folders: RefCell<HashMap<Box<str>, Folder>>,
}

/// What is known of a folder.
#[derive(Clone)]
struct Folder {
    /// `None` if the commit has no such folder.
    tree: Option<Oid>,
    /// The nearest file at or above.
    nearest: Option<Rc<File>>,
}

/// A `.gitattributes` file with a rule that matters.
struct File {
    /// How many bytes of a path name the file's folder, its slash included.
    below: usize,
    rules: Vec<Rule>,
    above: Option<Rc<File>>,
}

struct Rule {
    pattern: Pattern,
    changes: Box<[Change]>,
}

/// The number of an attribute, and what becomes of it.
type Change = (usize, State);

/// The attributes that can matter: those that convert, and the macros by which others can set them.
struct Names {
    numbers: HashMap<Box<[u8]>, usize>,
    /// What a macro stands for, by its number.
    macros: HashMap<usize, Box<[Change]>>,
    /// What the go command unsets, where a macro has such a name.
    unset_by_go: Box<[Change]>,
}

impl<'r> Attributes<'r> {
    /// The attributes at a commit.
    ///
    /// # Errors
    /// `Kind::Internal` if the commit, its tree or its `.gitattributes` is not in the repository;
    /// `Kind::Forbidden` if that file is too large.
    pub fn at(repository: &'r Repository, commit: ObjectId) -> Result<Self> {
        let found = Oid::from_bytes(&commit.0).and_then(|id| repository.find_commit(id));
        let tree = found.map_err(|error| unreadable(error).about(commit))?.tree_id();
        let content = read(repository, tree, FILE)?.unwrap_or_default();
        let lines: Vec<Line> = lines(&content, Macros::Allowed).collect();
        let names = Names::of(&lines);
        let nearest = names.file(lines.into_iter(), 0, None);
        let folders = HashMap::from([(Box::default(), Folder { tree: Some(tree), nearest })]);
        Ok(Attributes { repository, commit, names, folders: RefCell::new(folders) })
    }

    /// The conversion of the regular file at a path from the root, `/`-separated.
    ///
    /// # Errors
    /// `Kind::Internal` if an object is not in the repository or an encoding is not ours to write;
    /// `Kind::Gone` for an encoding that git dies of; `Kind::Forbidden` if a `.gitattributes` or the path is
    /// too large.
    pub fn of(&self, path: &str) -> Result<Conversion> {
        if path.len() > PATH_LIMIT {
            let what = format!("path of {} bytes (expected at most {PATH_LIMIT})", path.len());
            return Err(Error::forbidden(what));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(nearest) = self.nearest(folder)? else { return Ok(Conversion::default()) };
        let mut values = Values { names: &self.names, states: HashMap::new() };
        values.apply(&self.names.unset_by_go);
        let mut next = Some(&nearest);
        while let Some(file) = next {
            let below = &path.as_bytes()[file.below..];
            for rule in file.rules.iter().rev() {
                if rule.pattern.matches(name.as_bytes(), below) {
                    values.apply(&rule.changes);
                }
            }
            next = file.above.as_ref();
        }
        values.conversion().map_err(|error| error.about(path))
    }

    /// The nearest `.gitattributes` at or above a folder.
    fn nearest(&self, folder: &str) -> Result<Option<Rc<File>>> {
        if let Some(known) = self.folders.borrow().get(folder) {
            return Ok(known.nearest.clone());
        }
        let ends = folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]);
        let mut above = self.folders.borrow()[""].clone();
        let mut start = 0;
        for end in ends {
            let known = self.folders.borrow().get(&folder[..end]).cloned();
            above = match known {
                Some(known) => known,
                None => {
                    let found = self.enter(&above, &folder[start..end], &folder[..end])?;
                    self.folders.borrow_mut().insert(folder[..end].into(), found.clone());
                    found
                }
            };
            start = end + 1;
        }
        Ok(above.nearest)
    }

    /// Reads what is to be known of the folder `name` in the folder `above`.
    fn enter(&self, above: &Folder, name: &str, path: &str) -> Result<Folder> {
        let tree = match above.tree {
            Some(tree) => entry(self.repository, tree, name, path, ObjectType::Tree)?,
            None => None,
        };
        let mut nearest = above.nearest.clone();
        if let Some(tree) = tree
            && let Some(content) = read(self.repository, tree, &format!("{path}/{FILE}"))?
        {
            let lines = lines(&content, Macros::Ignored);
            nearest = self.names.file(lines, path.len() + 1, nearest);
        }
        Ok(Folder { tree, nearest })
    }
}

impl std::fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attributes({})", self.commit)
    }
}

impl Names {
    /// Numbers what converts and what the root's lines define, and reads what each macro stands for.
    fn of(root: &[Line]) -> Names {
        let mut numbers: HashMap<Box<[u8]>, usize> =
            CONVERTING.iter().enumerate().map(|(number, name)| (name.as_bytes().into(), number)).collect();
        let binary = Line {
            subject: Subject::Macro(b"binary".to_vec()),
            changes: vec![(b"diff", State::False), (b"merge", State::False), (b"text", State::False)],
        };
        let defined: Vec<(&Vec<u8>, &Line)> = [&binary]
            .into_iter()
            .chain(root)
            .filter_map(|line| match &line.subject {
                Subject::Macro(name) => Some((name, line)),
                Subject::Pattern(_) => None,
            })
            .collect();
        for (name, _) in &defined {
            let number = numbers.len();
            numbers.entry(name.as_slice().into()).or_insert(number);
        }
        let mut names = Names { numbers, macros: HashMap::new(), unset_by_go: Box::default() };
        names.unset_by_go = names.numbered(&UNSET_BY_GO);
        // A later definition replaces an earlier one whole, the built-in `binary` too.
        for (name, line) in defined {
            let changes = names.numbered(&line.changes);
            names.macros.insert(names.numbers[name.as_slice()], changes);
        }
        names
    }

    /// The changes that matter.
    fn numbered(&self, changes: &[(&[u8], State)]) -> Box<[Change]> {
        let number = |(name, state): &(&[u8], State)| Some((*self.numbers.get(*name)?, state.clone()));
        changes.iter().filter_map(number).collect()
    }

    /// A file of these lines, or the one above it if none of them matters.
    fn file<'a>(
        &self,
        lines: impl Iterator<Item = Line<'a>>,
        below: usize,
        above: Option<Rc<File>>,
    ) -> Option<Rc<File>> {
        let rule = |line: Line| {
            let Subject::Pattern(pattern) = line.subject else { return None };
            let changes = self.numbered(&line.changes);
            (!changes.is_empty()).then_some(Rule { pattern: Pattern::parse(&pattern)?, changes })
        };
        let rules: Vec<Rule> = lines.filter_map(rule).collect();
        if rules.is_empty() { above } else { Some(Rc::new(File { below, rules, above })) }
    }
}

/// The attributes of one path while they are collected: the first word on each counts.
struct Values<'a> {
    names: &'a Names,
    states: HashMap<usize, &'a State>,
}

impl<'a> Values<'a> {
    /// Takes changes from the last to the first; a macro that becomes true is followed at once.
    fn apply(&mut self, changes: &'a [Change]) {
        let mut pending: Vec<&Change> = changes.iter().collect();
        while let Some((number, state)) = pending.pop() {
            let Entry::Vacant(vacant) = self.states.entry(*number) else { continue };
            vacant.insert(state);
            if *state == State::True
                && let Some(meaning) = self.names.macros.get(number)
            {
                pending.extend(meaning.iter());
            }
        }
    }

    fn state(&self, number: usize) -> &'a State {
        self.states.get(&number).copied().unwrap_or(&State::Unset)
    }

    /// What the attributes come to under `core.autocrlf=input` and `core.eol=lf`: only `eol=crlf`
    /// changes line ends.
    fn conversion(&self) -> Result<Conversion> {
        // `crlf` is the old name of `text`, asked if that says nothing that git understands.
        let text = text(self.state(TEXT)).or_else(|| text(self.state(CRLF)));
        let crlf = matches!(self.state(EOL), State::Value(value) if **value == *b"crlf");
        let line_ends = match text {
            _ if !crlf => LineEnds::Kept,
            Some(Text::No) => LineEnds::Kept,
            Some(Text::Auto) => LineEnds::CrlfInText,
            Some(Text::Yes) | None => LineEnds::Crlf,
        };
        let charset = match self.state(ENCODING) {
            // git ends with this message, and the go command with it.
            State::True => return Err(Error::gone("true/false are no valid working-tree-encodings")),
            State::Value(name) if !name.is_empty() => Charset::named(name)?,
            _ => None,
        };
        Ok(Conversion::new(*self.state(IDENT) == State::True, line_ends, charset))
    }
}

/// What `text` makes of a file.
enum Text {
    Yes,
    No,
    Auto,
}

fn text(state: &State) -> Option<Text> {
    match state {
        State::True => Some(Text::Yes),
        State::False => Some(Text::No),
        State::Value(value) if **value == *b"input" => Some(Text::Yes),
        State::Value(value) if **value == *b"auto" => Some(Text::Auto),
        State::Value(_) | State::Unset => None,
    }
}

/// The object of this kind that a tree has under a name; whatever its mode, so a symlink is a blob.
fn entry(repository: &Repository, tree: Oid, name: &str, path: &str, kind: ObjectType) -> Result<Option<Oid>> {
    let tree = repository.find_tree(tree).map_err(|error| unreadable(error).about(path))?;
    Ok(tree.get_name(name).filter(|entry| entry.kind() == Some(kind)).map(|entry| entry.id()))
}

/// The `.gitattributes` of a tree, if it has one that counts. git does not mind that it is a symlink: the
/// link's text is read.
fn read(repository: &Repository, tree: Oid, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(id) = entry(repository, tree, FILE, path, ObjectType::Blob)? else { return Ok(None) };
    let failed = |error| unreadable(error).about(path);
    let odb = repository.odb().map_err(failed)?;
    let (size, _) = odb.read_header(id).map_err(failed)?;
    match size {
        IGNORED_FROM.. => Ok(None),
        ..=SIZE_LIMIT => Ok(Some(odb.read(id).map_err(failed)?.data().to_vec())),
        _ => Err(Error::forbidden(format!("{size} bytes of attributes (expected at most {SIZE_LIMIT})")).about(path)),
    }
}

fn unreadable(error: git2::Error) -> Error {
    Error::internal("cannot read attributes").because(error)
}
