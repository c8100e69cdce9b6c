//! The go.mod, go.work and sum files below paths.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders that hold other people's modules, or none.
const SKIPPED: [&str; 4] = ["vendor", "testdata", "node_modules", ".git"];

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    Mod,
    Work,
    Sum,
    WorkSum,
}

impl FileKind {
    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Mod => "go.mod",
            FileKind::Work => "go.work",
            FileKind::Sum => "go.sum",
            FileKind::WorkSum => "go.work.sum",
        }
    }

    fn of(path: &Path) -> Option<FileKind> {
        let name = path.file_name()?.to_str()?;
        [FileKind::Mod, FileKind::Work, FileKind::Sum, FileKind::WorkSum].into_iter().find(|kind| kind.name() == name)
    }
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub path: PathBuf,
    pub kind: FileKind,
}

/// All of them below the paths, in the order of their names. A path may be such a file itself; one that leads to none
/// is an error. Links to folders are not followed, links to files are.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for path in paths {
        let before = all.len();
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
        match FileKind::of(path) {
            _ if metadata.is_dir() => walk(path, &mut all)?,
            Some(kind) => all.push(Found { path: path.clone(), kind }),
            None => {}
        }
        if all.len() == before {
            let none = Error::gone(format!("{}: no go.mod, go.work or go.sum there", path.display()));
            return Err(none.remedy("name a folder that holds a Go module, or one of these files"));
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn walk(folder: &Path, all: &mut Vec<Found>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let path = tidy(folder).join(entry.file_name());
        let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
        if kind.is_dir() {
            if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                walk(&path, all)?;
            }
        } else if let Some(kind) = FileKind::of(&path)
            && path.is_file()
        {
            all.push(Found { path, kind });
        }
    }
    Ok(())
}

/// The path without a leading `./`, as people write it.
fn tidy(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::gone(format!("{}: cannot be read", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_modules_are_left_out() {
        let top = tempfile::tempdir().expect("a folder");
        let wanted = ["go.mod", "go.sum", "go.work", "go.work.sum", "inner/go.mod"];
        let skipped = ["vendor/x/go.mod", "inner/testdata/go.mod", ".git/go.mod", "node_modules/go.mod", "my.go.mod"];
        for file in wanted.iter().chain(&skipped) {
            let path = top.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, "module m\n").expect("a file");
        }
        std::fs::create_dir(top.path().join("dir")).expect("a folder");
        std::fs::create_dir(top.path().join("dir/go.mod")).expect("a folder of that name");
        let found = find(&[top.path().to_owned(), top.path().join("inner/go.mod")]).expect("files");
        let found: Vec<_> = found.iter().map(|found| found.path.strip_prefix(top.path()).expect("below")).collect();
        assert_eq!(found, wanted.map(Path::new));
    }

    #[test]
    fn a_path_that_leads_to_nothing_is_named() {
        let top = tempfile::tempdir().expect("a folder");
        let said = |path: &Path| find(&[path.to_owned()]).expect_err("nothing").what().to_owned();
        assert!(said(top.path()).ends_with(": no go.mod, go.work or go.sum there"));
        assert!(said(&top.path().join("gone")).ends_with("gone: cannot be read"));
    }
}
