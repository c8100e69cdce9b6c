//! The files to check, named as they are shown.

use std::path::{Component, Path, PathBuf};
use std::slice;

use super::finding::{Finding, Place};
use crate::cli::files::{self, FileKind};

/// A file that names versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub path: PathBuf,
    /// Relative to the current folder where it lies below it, with slashes.
    pub name: String,
    pub kind: FileKind,
}

impl Named {
    /// The folder of its name; empty for the current one.
    pub fn folder(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// A folder's workspace and module are read before its sums.
    fn order(&self) -> (&str, bool, &str) {
        (self.folder(), matches!(self.kind, FileKind::Sum | FileKind::WorkSum), &self.name)
    }
}

/// The files below all paths, folder by folder, and what keeps a path from being looked at.
pub fn below(paths: &[PathBuf], current: &Path) -> (Vec<Named>, Vec<Finding>) {
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match files::find(slice::from_ref(path)) {
            Ok(found) => all.extend(found.into_iter().map(|found| {
                let name = shown(&found.path, current);
                Named { path: found.path, name, kind: found.kind }
            })),
            Err(error) => {
                let shown = Place { file: shown(path, current), line: None };
                let what = error.chain();
                // The place names the path already.
                let what = what.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&what).to_owned();
                faults.push(Finding::broken(shown, what));
            }
        }
    }
    all.sort_by(|a, b| a.order().cmp(&b.order()));
    all.dedup_by(|a, b| a.name == b.name);
    (all, faults)
}

fn shown(path: &Path, current: &Path) -> String {
    let path = path.strip_prefix(current).unwrap_or(path);
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let name = parts.collect::<PathBuf>().to_string_lossy().replace('\\', "/");
    if name.is_empty() { ".".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_are_relative_and_folders_stay_together() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let top = folder.path();
        for file in ["go.mod", "go.sum", "go.work", "go.work.sum", "b/go.mod", "a/deep/go.sum", "empty/README"] {
            let path = top.join(file);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
            fs::write(path, "").expect("a writable folder");
        }
        let paths = ["b", ".", "b/go.mod", "empty", "empty/README"].map(|path| top.join(path));
        let (found, faults) = below(&paths, top);
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["go.mod", "go.work", "go.sum", "go.work.sum", "a/deep/go.sum", "b/go.mod"]);
        let faults: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.place(), fault.message())).collect();
        assert_eq!(
            faults,
            ["empty: no go.mod, go.work or go.sum there", "empty/README: no go.mod, go.work or go.sum there"]
        );
    }
}
