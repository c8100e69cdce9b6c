//! For tests: the same commit through real git, as the go command calls it, and through this module.
//! Must not know what is right; git does.
//! Rules: `cmd/go/internal/modfetch/codehost/git.go`, the arguments of `git archive`.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::process::{Command, Stdio};

use git2::{Index, IndexEntry, IndexTime, Oid, Repository, Signature, Time};
use tempfile::TempDir;

use super::Attributes;
use crate::error::Error;
use crate::spec::info::ObjectId;

pub const REGULAR: u32 = 0o100644;
pub const SYMLINK: u32 = 0o120000;
pub const SUBMODULE: u32 = 0o160000;

/// The contents of regular files by path.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// A bare repository as the go command makes one.
pub struct Reference {
    folder: TempDir,
    repository: Repository,
}

impl Reference {
    pub fn new() -> Reference {
        let folder = TempDir::new().expect("a temporary folder");
        let repository = Repository::init_bare(folder.path().join("repository")).expect("a repository");
        let info = repository.path().join("info");
        std::fs::create_dir_all(&info).expect("a folder");
        std::fs::write(info.join("attributes"), "\n* -export-subst -export-ignore\n").expect("a file");
        std::fs::create_dir(folder.path().join("home")).expect("a folder");
        Reference { folder, repository }
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// A commit of these files: path, mode, contents.
    pub fn commit(&self, files: &[(String, u32, Vec<u8>)]) -> ObjectId {
        let mut index = Index::new().expect("an index");
        let mut blobs = HashMap::new();
        for (path, mode, content) in files {
            let id = match *mode {
                SUBMODULE => Oid::from_bytes(&[7; 20]).expect("an id"),
                _ => *blobs.entry(content).or_insert_with(|| self.repository.blob(content).expect("a blob")),
            };
            let time = IndexTime::new(0, 0);
            let entry = IndexEntry {
                ctime: time,
                mtime: time,
                dev: 0,
                ino: 0,
                mode: *mode,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let tree = index.write_tree_to(&self.repository).expect("a tree");
        let tree = self.repository.find_tree(tree).expect("the tree");
        let author = Signature::new("a", "a@example.com", &Time::new(1_500_000_000, 0)).expect("a signature");
        let id = self.repository.commit(None, &author, &author, "test", &tree, &[]).expect("a commit");
        ObjectId(id.as_bytes().try_into().expect("twenty bytes"))
    }

    /// What `git archive` makes of the regular files, or what it dies of.
    pub fn archived(&self, commit: ObjectId) -> Result<Contents, String> {
        let output = Command::new("git")
            .args(["-c", "core.autocrlf=input", "-c", "core.eol=lf", "archive", "--format=zip", "--prefix=prefix/"])
            .arg(commit.to_string())
            .current_dir(self.repository.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("home"))
            .env("LC_ALL", "C")
            // git allocates a deflate state per file; giving each back to the system takes most of its time.
            .env("MALLOC_MMAP_THRESHOLD_", "67108864")
            .env("MALLOC_TRIM_THRESHOLD_", "67108864")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .stdin(Stdio::null())
            .output()
            .expect("git runs");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut zip = zip::ZipArchive::new(Cursor::new(output.stdout)).expect("a zip");
        let mut contents = Contents::new();
        for at in 0..zip.len() {
            let mut file = zip.by_index(at).expect("an entry");
            let name = String::from_utf8(file.name_raw().to_vec()).expect("a name in UTF-8");
            let mut content = Vec::new();
            file.read_to_end(&mut content).expect("contents");
            if !name.ends_with('/') && !file.is_symlink() {
                contents.insert(name.strip_prefix("prefix/").expect("the prefix").to_owned(), content);
            }
        }
        Ok(contents)
    }

    /// What we make of the same.
    pub fn converted(&self, commit: ObjectId, files: &[(String, u32, Vec<u8>)]) -> Result<Contents, Error> {
        let attributes = Attributes::at(&self.repository, commit)?;
        let mut contents = Contents::new();
        for (path, _, content) in files.iter().filter(|(_, mode, _)| *mode == REGULAR) {
            let id = Oid::hash_object(git2::ObjectType::Blob, content).expect("an id");
            let id = ObjectId(id.as_bytes().try_into().expect("twenty bytes"));
            contents.insert(path.clone(), attributes.of(path)?.apply(content.clone(), id));
        }
        Ok(contents)
    }

    /// Compares both, and returns what both made of the files: nothing, if git dies and we refuse with its words.
    pub fn agreed(&self, name: &str, files: &[(String, u32, Vec<u8>)]) -> Contents {
        let commit = self.commit(files);
        let (expected, converted) = match (self.archived(commit), self.converted(commit, files)) {
            (Ok(expected), Ok(converted)) => (expected, converted),
            (Err(git), Err(error)) if git.contains(error.what()) => return Contents::new(),
            (git, ours) => panic!("{name}: git: {:?}, ours: {:?}", git.err(), ours.err()),
        };
        assert_eq!(converted.len(), expected.len(), "{name}: number of files");
        for (path, content) in &converted {
            let git = &expected[path];
            if content != git {
                let rules: Vec<_> = files.iter().filter(|(other, ..)| is_rule_of(other, path)).collect();
                let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
                let rules: String = rules.iter().map(|(file, _, text)| format!("\n{file}: {}", show(text))).collect();
                panic!("{name}: {path}\nours: {}\ngit:  {}{rules}", show(content), show(git));
            }
        }
        expected
    }
}

/// Whether a file holds attributes for a path.
fn is_rule_of(file: &str, path: &str) -> bool {
    file.strip_suffix(".gitattributes").is_some_and(|folder| path.starts_with(folder))
}

/// A regular file.
pub fn file(path: &str, content: impl Into<Vec<u8>>) -> (String, u32, Vec<u8>) {
    (path.to_owned(), REGULAR, content.into())
}
