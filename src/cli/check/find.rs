//! Finds the files that name versions.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::finding::{Finding, Place};

/// Folders that hold other people's files, or files that are meant to be wrong.
const SKIPPED: [&str; 4] = ["vendor", "testdata", ".git", "node_modules"];

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Workspace,
    Module,
    Sums,
}

impl Kind {
    fn of(name: &str) -> Option<Kind> {
        match name {
            "go.mod" => Some(Kind::Module),
            "go.work" => Some(Kind::Workspace),
            "go.sum" | "go.work.sum" => Some(Kind::Sums),
            _ => None,
        }
    }

    /// What a file that is named on the command line is: also `go.tools.mod`, as `-modfile` takes it.
    fn of_named(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_str()?;
        Kind::of(name).or_else(|| match path.extension()?.to_str()? {
            "mod" => Some(Kind::Module),
            "work" => Some(Kind::Workspace),
            "sum" => Some(Kind::Sums),
            _ => None,
        })
    }
}

/// A file that names versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// As it is shown: relative to the current folder where it lies below it, with slashes.
    pub name: String,
    pub kind: Kind,
}

impl Found {
    /// The folder of its name; empty for the current one.
    pub fn folder(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// The files below all paths, folder by folder, a folder's workspace and module before its sums.
pub fn below(paths: &[PathBuf], current: &Path) -> (Vec<Found>, Vec<Finding>) {
    let mut search = Search { current, found: Vec::new(), faults: Vec::new() };
    for path in paths {
        search.path(path);
    }
    let Search { mut found, faults, .. } = search;
    found.sort_by(|a, b| (a.folder(), a.kind, &a.name).cmp(&(b.folder(), b.kind, &b.name)));
    found.dedup_by(|a, b| a.name == b.name);
    (found, faults)
}

struct Search<'a> {
    current: &'a Path,
    found: Vec<Found>,
    faults: Vec<Finding>,
}

impl Search<'_> {
    fn path(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => self.fault(path, error.to_string()),
            Ok(data) if data.is_dir() => {
                let before = (self.found.len(), self.faults.len());
                self.walk(path);
                if before == (self.found.len(), self.faults.len()) {
                    self.fault(path, "no go.mod, go.work or go.sum in or below it".to_owned());
                }
            }
            Ok(_) => match Kind::of_named(path) {
                Some(kind) => self.add(path.to_owned(), kind),
                None => self.fault(path, "unknown kind of file (expected go.mod, go.work or go.sum)".to_owned()),
            },
        }
    }

    fn walk(&mut self, folder: &Path) {
        let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fault(folder, error.to_string()),
        };
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !SKIPPED.contains(&name) {
                self.walk(&entry.path());
            } else if let Some(found) = Kind::of(name).filter(|_| entry.path().is_file()) {
                self.add(entry.path(), found);
            }
        }
    }

    fn add(&mut self, path: PathBuf, kind: Kind) {
        let name = self.shown(&path);
        self.found.push(Found { path, name, kind });
    }

    fn fault(&mut self, path: &Path, what: String) {
        let place = Place { file: self.shown(path), line: None };
        self.faults.push(Finding::broken(place, what));
    }

    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.current).unwrap_or(path);
        let parts = path.components().filter(|part| *part != Component::CurDir);
        let name = parts.collect::<PathBuf>().to_string_lossy().replace('\\', "/");
        if name.is_empty() { ".".to_owned() } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str], top: &Path) -> (Vec<String>, Vec<String>) {
        let paths: Vec<PathBuf> = paths.iter().map(|path| top.join(path)).collect();
        let (found, faults) = below(&paths, top);
        let faults = faults.iter().map(|fault| format!("{}: {}", fault.place().file, fault.reasons[0])).collect();
        (found.into_iter().map(|found| found.name).collect(), faults)
    }

    #[test]
    fn finds_what_counts_in_the_order_of_folders() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in [
            "go.mod",
            "go.sum",
            "go.work",
            "b/go.mod",
            "a/deep/go.sum",
            "a/deep/go.mod",
            "vendor/x/go.mod",
            "a/testdata/go.mod",
            ".git/go.mod",
            "node_modules/go.mod",
            "empty/README",
            "tools.mod",
            "go.mod.orig",
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
            fs::write(path, "").expect("a writable folder");
        }
        let all = ["go.work", "go.mod", "go.sum", "a/deep/go.mod", "a/deep/go.sum", "b/go.mod"];
        assert_eq!(names(&["."], folder.path()), (all.map(str::to_owned).to_vec(), vec![]));
        let twice = names(&["b", "b/go.mod", "tools.mod"], folder.path());
        assert_eq!(twice.0, ["tools.mod", "b/go.mod"]);
        let (found, faults) = names(&["empty", "empty/README"], folder.path());
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(
            faults,
            [
                "empty: no go.mod, go.work or go.sum in or below it",
                "empty/README: unknown kind of file (expected go.mod, go.work or go.sum)"
            ]
        );
    }
}
