//! File names that a module zip cannot hold together.
//! Rules: `collisionChecker`, `strToFold` in golang.org/x/mod/zip.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::fmt;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use crate::spec::literal::quote;

/// Two names that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collision {
    /// They differ only in case.
    Case {
        first: String,
        second: String,
    },
    FileAndFolder(String),
    Twice(String),
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let q = |text: &str| quote(text.as_bytes());
        match self {
            Collision::Case { first, second } => {
                write!(f, "case-insensitive file name collision: {} and {}", q(first), q(second))
            }
            Collision::FileAndFolder(path) => write!(f, "entry {} is both a file and a directory", q(path)),
            Collision::Twice(path) => write!(f, "multiple entries for file {}", q(path)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File,
    Folder,
}

/// The names seen so far, folders included.
#[derive(Default)]
pub(super) struct Names<'a> {
    by_fold: HashMap<Cow<'a, str>, (&'a str, Entry)>,
}

impl<'a> Names<'a> {
    /// Adds a name and the folders it lies in.
    pub(super) fn add(&mut self, path: &'a str, entry: Entry) -> Result<(), Collision> {
        match self.by_fold.entry(fold(path)) {
            Vacant(place) => {
                place.insert((path, entry));
            }
            Occupied(place) => match *place.get() {
                (first, _) if first != path => {
                    return Err(Collision::Case { first: first.to_owned(), second: path.to_owned() });
                }
                (_, first) if first != entry => return Err(Collision::FileAndFolder(path.to_owned())),
                _ if entry == Entry::File => return Err(Collision::Twice(path.to_owned())),
                _ => {}
            },
        }
        match path.rsplit_once('/') {
            Some((folder, _)) => self.add(folder, Entry::Folder),
            None => Ok(()),
        }
    }
}

/// The same text for all texts that differ only in case.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(fold_char).collect())
}

/// The least of the characters that differ only in case; the small one of ASCII letters.
fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    class.try_case_fold_simple().expect("the tables for case folding are compiled in");
    class.ranges().first().map_or(c, ClassUnicodeRange::start).to_ascii_lowercase()
}
