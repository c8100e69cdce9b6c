//! Files replaced whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::plan::Fixed;
use crate::error::{Error, Result};

/// Writes all files. Each is made ready beside the old one first, so that a full disk or a folder that cannot be
/// written to is noticed before the first one changes.
pub fn write(all: &[Fixed]) -> Result<()> {
    let ready: Vec<(NamedTempFile, PathBuf)> = all.iter().map(stage).collect::<Result<_>>()?;
    for (file, path) in ready {
        file.persist(&path).map_err(|error| failed(&path, error.error))?;
        // So that the new name outlasts a crash.
        let folder = path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all());
        folder.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn stage(fixed: &Fixed) -> Result<(NamedTempFile, PathBuf)> {
    let ready = || {
        // The file itself, not a link to it.
        let path = fixed.path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new().prefix(".modvet-").tempfile_in(folder)?;
        file.write_all(&fixed.after)?;
        file.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
        file.as_file().sync_all()?;
        Ok((file, path))
    };
    ready().map_err(|error| failed(&fixed.path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::gone(format!("{}: cannot be written", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn fixed(path: PathBuf) -> Fixed {
        Fixed { path, before: b"old\n".to_vec(), after: b"new\n".to_vec(), changes: Vec::new() }
    }

    #[test]
    fn permissions_and_links_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, link] = ["real.mod", "go.mod"].map(|name| folder.path().join(name));
        std::fs::write(&file, "old\n").expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("permissions");
        symlink("real.mod", &link).expect("a link");
        write(&[fixed(link.clone())]).expect("written");
        assert_eq!(std::fs::read(&file).expect("a file"), b"new\n");
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }

    #[test]
    fn one_that_cannot_be_written_stops_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("go.mod");
        std::fs::write(&file, "old\n").expect("a file");
        let error = write(&[fixed(file.clone()), fixed(folder.path().join("gone/go.mod"))]).expect_err("no folder");
        assert!(error.what().ends_with("gone/go.mod: cannot be written"), "{error}");
        assert_eq!(std::fs::read(&file).expect("a file"), b"old\n");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left behind");
    }
}
