//! The files of a module or a workspace, read and understood; what must not be touched is found out here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::files::{FileKind, Found};
use crate::error::{Error, Result};
use crate::spec::gomod::{Exclusion, GoMod, GoWork, Replacement, Requirement, SyntaxError, Target};
use crate::spec::gosum::{self, Malformed, Sum};
use crate::spec::version::Version;

/// The largest file that is read: the go command reads no larger go.mod, and no go.sum comes near it.
const FILE_LIMIT: u64 = 256 << 20;

/// One module or one workspace: the files of one folder that belong together.
#[derive(Debug)]
pub struct Project {
    pub folder: PathBuf,
    pub directives: Option<Directives>,
    pub sums: Option<Sums>,
}

/// A go.mod or go.work file.
#[derive(Debug)]
pub struct Directives {
    pub path: PathBuf,
    pub data: Vec<u8>,
    pub kind: FileKind,
    /// The module's own path.
    pub module: Option<String>,
    /// The folders of a workspace.
    pub folders: Vec<String>,
    pub require: Vec<Requirement>,
    pub exclude: Vec<Exclusion>,
    pub replace: Vec<Replacement>,
}

/// A go.sum or go.work.sum file.
#[derive(Debug)]
pub struct Sums {
    pub path: PathBuf,
    pub data: Vec<u8>,
    pub lines: Vec<Sum>,
}

/// A module path and one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pinned {
    pub module: String,
    pub version: String,
}

impl Pinned {
    pub fn new(module: &str, version: &str) -> Pinned {
        Pinned { module: module.to_owned(), version: version.to_owned() }
    }
}

impl std::fmt::Display for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.module, self.version)
    }
}

/// What stands in a module's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stead {
    Module(Pinned),
    Folder(String),
}

impl Directives {
    /// Where the go command looks for a version instead, if anywhere: a line for the version beats one for all.
    pub fn replaced(&self, pinned: &Pinned) -> Option<Stead> {
        let of_module = || self.replace.iter().filter(|line| line.path == pinned.module);
        let is_it = |version: &Version| version.as_str() == pinned.version;
        let exact = of_module().find(|line| line.version.as_ref().is_some_and(is_it));
        let line = exact.or_else(|| of_module().find(|line| line.version.is_none()))?;
        Some(match &line.by {
            Target::Module { path, version, .. } => Stead::Module(Pinned::new(path, version.as_str())),
            Target::Folder(folder) => Stead::Folder(folder.clone()),
        })
    }

    pub fn excludes(&self, pinned: &Pinned) -> bool {
        self.exclude.iter().any(|line| line.path == pinned.module && line.version.as_str() == pinned.version)
    }

    /// Every module version that stands in the file, and its line.
    pub fn pinned(&self) -> Vec<(Pinned, usize)> {
        let pin = |path: &str, version: &Version, line| (Pinned::new(path, version.as_str()), line);
        let mut all: Vec<_> = self.require.iter().map(|line| pin(&line.path, &line.version, line.line)).collect();
        all.extend(self.exclude.iter().map(|line| pin(&line.path, &line.version, line.line)));
        for line in &self.replace {
            all.extend(line.version.as_ref().map(|version| pin(&line.path, version, line.line)));
            if let Target::Module { path, version, .. } = &line.by {
                all.push(pin(path, version, line.line));
            }
        }
        all
    }

    pub fn parse(found: &Found, data: Vec<u8>) -> Result<Directives> {
        let (path, kind) = (found.path.clone(), found.kind);
        let broken = |error: SyntaxError| malformed(&found.path, error.line, &error.what);
        if kind == FileKind::Work {
            let GoWork { folders, replace, .. } = GoWork::parse(&data).map_err(broken)?;
            let (require, exclude) = (Vec::new(), Vec::new());
            return Ok(Directives { path, data, kind, module: None, folders, require, exclude, replace });
        }
        let GoMod { module, require, exclude, replace, .. } = GoMod::parse(&data).map_err(broken)?;
        Ok(Directives { path, data, kind, module, folders: Vec::new(), require, exclude, replace })
    }
}

/// Reads the files, each with the sums beside it. All that is wrong with them comes back at once.
pub fn read(found: &[Found]) -> Result<Vec<Project>, Vec<Error>> {
    let mut groups: BTreeMap<(PathBuf, bool), [Option<Found>; 2]> = BTreeMap::new();
    for found in found {
        let folder = found.path.parent().unwrap_or(Path::new("")).to_owned();
        let (is_work, at) = match found.kind {
            FileKind::Mod => (false, 0),
            FileKind::Sum => (false, 1),
            FileKind::Work => (true, 0),
            FileKind::WorkSum => (true, 1),
        };
        let group = groups.entry((folder, is_work)).or_default();
        group[at] = Some(found.clone());
    }
    let mut projects = Vec::new();
    let mut errors = Vec::new();
    for ((folder, is_work), [directives, sums]) in groups {
        let kinds = if is_work { [FileKind::Work, FileKind::WorkSum] } else { [FileKind::Mod, FileKind::Sum] };
        let beside = |kind: FileKind| Some(Found { path: folder.join(kind.name()), kind }).filter(|f| f.path.is_file());
        let directives = directives.or_else(|| beside(kinds[0])).map(|found| Directives::parse(&found, load(&found)?));
        let sums = sums.or_else(|| beside(kinds[1])).map(|found| read_sums(&found));
        match (directives.transpose(), sums.transpose()) {
            (Ok(directives), Ok(sums)) => projects.push(Project { folder, directives, sums }),
            (directives, sums) => errors.extend(directives.err().into_iter().chain(sums.err())),
        }
    }
    if errors.is_empty() { Ok(projects) } else { Err(errors) }
}

fn read_sums(found: &Found) -> Result<Sums> {
    let data = load(found)?;
    let broken = |Malformed { line, fields }| {
        malformed(&found.path, line, &format!("malformed {}: wrong number of fields {fields}", found.kind.name()))
    };
    let lines = gosum::read(&data).map_err(broken)?;
    Ok(Sums { path: found.path.clone(), data, lines })
}

fn malformed(path: &Path, line: usize, what: &str) -> Error {
    Error::gone(what).about(format!("{}:{line}", path.display()))
}

fn load(found: &Found) -> Result<Vec<u8>> {
    let failed = |error| Error::gone(format!("{}: cannot be read", found.path.display())).because(error);
    let size = std::fs::metadata(&found.path).map_err(failed)?.len();
    if size > FILE_LIMIT {
        let path = found.path.display();
        return Err(Error::gone(format!("{path}: {size} bytes (expected at most {FILE_LIMIT})")));
    }
    std::fs::read(&found.path).map_err(failed)
}
