//! Files beside sled: large blobs under the name of their contents, and scratch files on their way in.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Sha256;
use super::database::unopened;
use super::failure::During;
use crate::error::Result;

pub(super) struct Files {
    files: PathBuf,
    scratch: PathBuf,
}

impl Files {
    /// Makes the folders and empties the scratch folder: what lies there was half made.
    pub(super) fn open(folder: &Path) -> Result<Files> {
        let files = Files { files: folder.join("files"), scratch: folder.join("tmp") };
        files.prepare().map_err(|error| unopened(folder, &error))?;
        Ok(files)
    }

    fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.files)?;
        fs::create_dir_all(&self.scratch)?;
        for left in fs::read_dir(&self.scratch)? {
            let left = left?;
            match left.file_type()?.is_dir() {
                true => fs::remove_dir_all(left.path())?,
                false => fs::remove_file(left.path())?,
            }
        }
        Ok(())
    }

    pub(super) fn scratch(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(&self.scratch).during("make scratch file")
    }

    /// Makes a file lasting under its name: it is there whole or not at all, also after a loss of power.
    pub(super) fn keep(&self, sha256: &Sha256, file: NamedTempFile) -> Result<()> {
        let path = self.path(sha256);
        let folder = path.parent().expect("a blob's file is in a folder of its own prefix");
        match fs::create_dir(folder) {
            Ok(()) => sync_folder(&self.files)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).during("make folder"),
        }
        file.as_file().sync_data().during("write file")?;
        if let Err(error) = file.persist(&path) {
            match error.error.kind() {
                ErrorKind::CrossesDevices => self.copy(error.file, &path)?,
                _ => return Err(error.error).during("rename file"),
            }
        }
        sync_folder(folder)
    }

    /// Takes a file from another disk.
    fn copy(&self, from: NamedTempFile, path: &Path) -> Result<()> {
        let mut source = from.as_file();
        source.seek(SeekFrom::Start(0)).during("read body")?;
        let mut target = self.scratch()?;
        io::copy(&mut source, &mut target).during("write file")?;
        target.as_file().sync_data().during("write file")?;
        target.persist(path).map_err(|error| error.error).during("rename file")?;
        Ok(())
    }

    /// `None` if there is no such file.
    pub(super) fn open_blob(&self, sha256: &Sha256) -> Result<Option<File>> {
        match File::open(self.path(sha256)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).during("open file"),
        }
    }

    pub(super) fn remove(&self, sha256: &Sha256) -> Result<()> {
        match fs::remove_file(self.path(sha256)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).during("remove file"),
            _ => Ok(()),
        }
    }

    /// The blobs that there are files of. Files of other names are left alone.
    pub(super) fn blobs(&self) -> Result<Vec<Sha256>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.files).during("read folder")? {
            let folder = folder.during("read folder")?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder).during("read folder")? {
                let name = file.during("read folder")?.file_name();
                let mut sha256 = Sha256::default();
                if hex::decode_to_slice(name.as_encoded_bytes(), &mut sha256).is_ok() {
                    found.push(sha256);
                }
            }
        }
        Ok(found)
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        let name = hex::encode(sha256);
        self.files.join(&name[..2]).join(name)
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).during("write folder")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_file_of_another_disk_is_copied() {
        let folder = tempfile::tempdir().expect("folder");
        let files = Files::open(folder.path()).expect("files");
        let mut source = NamedTempFile::new().expect("file");
        source.write_all(b"contents").expect("written");
        let path = folder.path().join("files/copy");
        files.copy(source, &path).expect("copied");
        assert_eq!(fs::read(&path).expect("read"), b"contents");
    }

    #[test]
    fn scratch_files_of_a_former_run_are_gone() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir_all(folder.path().join("tmp/left")).expect("folder");
        fs::write(folder.path().join("tmp/half"), "half").expect("file");
        let files = Files::open(folder.path()).expect("files");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("folder").count(), 0);
        files.scratch().expect("still works");
    }

    #[test]
    fn strange_names_are_no_blobs() {
        let folder = tempfile::tempdir().expect("folder");
        let files = Files::open(folder.path()).expect("files");
        files.keep(&[0xab; 32], files.scratch().expect("file")).expect("kept");
        fs::write(folder.path().join("files/ab/README"), "mine").expect("file");
        fs::write(folder.path().join("files/note"), "mine").expect("file");
        assert_eq!(files.blobs().expect("listed"), [[0xab; 32]]);
        let mut text = String::new();
        files.open_blob(&[0xab; 32]).expect("opened").expect("there").read_to_string(&mut text).expect("read");
        assert_eq!(text, "");
        assert!(files.open_blob(&[0xcd; 32]).expect("looked").is_none());
    }
}
