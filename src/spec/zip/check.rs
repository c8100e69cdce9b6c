//! Which files of a tree go into the module zip.
//! Rules: `checkFiles`, `isVendoredPackage` in golang.org/x/mod/zip.

use std::collections::HashSet;
use std::fmt;

use super::names::{Collision, Entry, Names};
use super::{MAX_GO_MOD, MAX_LICENSE, MAX_ZIP};
use crate::error::Error;
use crate::spec::gomod::at_least_go_1_24;
use crate::spec::path::check_file;

/// A file that may go into a module zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Relative to the root of the module, slashes as separators.
    pub path: &'a str,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Regular,
    Symlink,
    /// Neither; folders and submodules are no candidates at all.
    Other,
}

/// What became of the candidates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Which candidates go in, in their order.
    pub valid: Vec<usize>,
    /// What is left out without harm.
    pub omitted: Vec<Finding>,
    /// What makes the zip impossible.
    pub invalid: Vec<Finding>,
    /// Whether the valid files are larger than `MAX_ZIP` together.
    pub too_large: bool,
}

/// A file that does not go in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    NotClean,
    NotRelative,
    /// Not a name that all systems can have, in words.
    Malformed(String),
    GoModCase,
    GoModTooLarge,
    LicenseTooLarge,
    Collision(Collision),
    Vendored,
    OtherModule,
    HgArchival,
    Symlink,
    NotRegular,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NotClean => f.write_str("file path is not clean"),
            Why::NotRelative => f.write_str("file path is not relative"),
            Why::Malformed(why) => f.write_str(why),
            Why::GoModCase => f.write_str("go.mod files must have lowercase names"),
            Why::GoModTooLarge => write!(f, "go.mod file too large (max size is {MAX_GO_MOD} bytes)"),
            Why::LicenseTooLarge => write!(f, "LICENSE file too large (max size is {MAX_LICENSE} bytes)"),
            Why::Collision(collision) => collision.fmt(f),
            Why::Vendored => f.write_str("file is in vendor directory"),
            Why::OtherModule => f.write_str("file is in another module"),
            Why::HgArchival => f.write_str("file is inserted by 'hg archive' and is always omitted"),
            Why::Symlink => f.write_str("file is a symbolic link"),
            Why::NotRegular => f.write_str("not a regular file"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl Checked {
    /// Why there can be no zip, in the go command's words.
    pub fn error(&self) -> Option<Error> {
        let what = if self.too_large {
            too_large()
        } else if self.invalid.is_empty() {
            return None;
        } else {
            self.invalid.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
        };
        Some(Error::gone(format!("create zip: {what}")))
    }
}

pub(super) fn too_large() -> String {
    format!("module source tree too large (max size is {MAX_ZIP} bytes)")
}

/// Sorts the candidates into those that go in and those that do not; `go_mod` are the bytes of the root's go.mod.
pub fn check(candidates: &[Candidate<'_>], go_mod: Option<&[u8]>) -> Checked {
    let nested: HashSet<&str> = candidates
        .iter()
        .filter(|file| file.kind == FileKind::Regular && base(file.path).eq_ignore_ascii_case("go.mod"))
        .map(|file| folder(file.path))
        .collect();
    let has_root = candidates.iter().any(|file| file.kind == FileKind::Regular && file.path == "go.mod");
    let vendor = match go_mod {
        Some(go_mod) if has_root && at_least_go_1_24(go_mod) => VendorRule::Since124,
        _ => VendorRule::Before124,
    };
    let mut checker = Checker { nested, vendor, names: Names::default(), left: MAX_ZIP };
    let mut checked = Checked::default();
    let mut said = HashSet::new();
    for (index, file) in candidates.iter().enumerate() {
        match checker.look(file, &mut checked.too_large) {
            Ok(()) => checked.valid.push(index),
            Err(why) if said.insert(file.path) => {
                let omitted = why.is_harmless();
                let finding = Finding { path: file.path.to_owned(), why };
                if omitted { checked.omitted.push(finding) } else { checked.invalid.push(finding) }
            }
            Err(_) => {}
        }
    }
    checked
}

impl Why {
    fn is_harmless(&self) -> bool {
        matches!(self, Why::Vendored | Why::OtherModule | Why::HgArchival | Why::Symlink | Why::NotRegular)
    }
}

/// How files below a folder named vendor are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VendorRule {
    /// With a mistake that old hashes rest on: where vendor is not the first folder, the path is looked at from
    /// its eighth byte.
    Before124,
    Since124,
}

impl VendorRule {
    fn is_vendored(self, path: &str) -> bool {
        const FOLDER: &str = "/vendor/";
        if self == VendorRule::Since124 && path == "vendor/modules.txt" {
            return true;
        }
        let start = match (path.starts_with(&FOLDER[1..]), path.find(FOLDER), self) {
            (true, _, _) => FOLDER.len() - 1,
            (false, None, _) => return false,
            (false, Some(at), VendorRule::Since124) => at + FOLDER.len(),
            (false, Some(_), VendorRule::Before124) => FOLDER.len(),
        };
        path.as_bytes()[start..].contains(&b'/')
    }
}

struct Checker<'a> {
    /// The folders with a go.mod, each with its slash; the root, which is no other module, is empty.
    nested: HashSet<&'a str>,
    vendor: VendorRule,
    names: Names<'a>,
    /// How many bytes may still come.
    left: u64,
}

impl<'a> Checker<'a> {
    fn look(&mut self, file: &Candidate<'a>, too_large: &mut bool) -> Result<(), Why> {
        self.place(file.path)?;
        if file.path.eq_ignore_ascii_case("go.mod") && file.path != "go.mod" {
            return Err(Why::GoModCase);
        }
        self.names.add(file.path, Entry::File).map_err(Why::Collision)?;
        match file.kind {
            FileKind::Regular => {}
            FileKind::Symlink => return Err(Why::Symlink),
            FileKind::Other => return Err(Why::NotRegular),
        }
        match self.left.checked_sub(file.size) {
            Some(left) => self.left = left,
            None => *too_large = true,
        }
        match file.path {
            "go.mod" if file.size > MAX_GO_MOD => Err(Why::GoModTooLarge),
            "LICENSE" if file.size > MAX_LICENSE => Err(Why::LicenseTooLarge),
            _ => Ok(()),
        }
    }

    fn place(&self, path: &str) -> Result<(), Why> {
        if !is_clean(path) {
            return Err(Why::NotClean);
        }
        if path.starts_with('/') {
            return Err(Why::NotRelative);
        }
        if self.vendor.is_vendored(path) {
            return Err(Why::Vendored);
        }
        if self.is_in_nested(path) {
            return Err(Why::OtherModule);
        }
        if path == ".hg_archival.txt" {
            return Err(Why::HgArchival);
        }
        check_file(path).map_err(Why::Malformed)
    }

    fn is_in_nested(&self, path: &str) -> bool {
        path.match_indices('/').any(|(slash, _)| self.nested.contains(&path[..=slash]))
    }
}

/// The folder of a path with its slash; empty for the root.
fn folder(path: &str) -> &str {
    &path[..path.len() - base(path).len()]
}

pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `path.Clean` leaves the path as it is.
pub(super) fn is_clean(path: &str) -> bool {
    if matches!(path, "." | "/") {
        return true;
    }
    let rooted = path.starts_with('/');
    let mut named = rooted;
    path[usize::from(rooted)..].split('/').all(|element| {
        let clean = match element {
            "" | "." => false,
            ".." => !named,
            _ => true,
        };
        named |= element != "..";
        clean
    })
}
