//! An older store is brought to the format of this code, once, when it is opened.
//! The one place of this room that knows keys: those that no code writes any more.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::database::unopened;
use super::lock::{FORMAT, say_format};
use super::sled_store::SledStore;
use crate::error::Result;
use crate::ports::Store as _;

/// What is deleted by one flush.
const AT_ONCE: usize = 1000;

/// What format 1 kept under an upstream's name alone.
const BY_NAME: [&str; 3] = ["upstream/", "verdict/", "examination/"];

/// What a repository's folder is called while it is removed.
const GONE: &str = "gone-";

impl SledStore {
    /// Takes the steps from the format that was found. The format file is written last: a kill repeats them.
    pub(super) fn migrate(&self, folder: &Path, found: u32) -> Result<()> {
        if found == FORMAT {
            return Ok(());
        }
        tracing::info!(store = %folder.display(), from = found, to = FORMAT, "the store is brought to a newer format");
        if found < 2 {
            let entries = self.remove_by_name()?;
            let repositories = remove_repositories(&folder.join("git")).map_err(|error| unopened(folder, &error))?;
            tracing::info!(entries, repositories, "removed: what format 1 kept under names, to be fetched anew");
        }
        say_format(folder)
    }

    /// Format 2 marks an upstream's name with what stands behind it; what is under a bare name is never read again.
    fn remove_by_name(&self) -> Result<u64> {
        let mut keys = Vec::new();
        for prefix in BY_NAME {
            self.scan(prefix, &mut |key, _| {
                if is_by_name(&key[prefix.len()..]) {
                    keys.push(key.to_owned());
                }
                true
            })?;
        }
        keys.chunks(AT_ONCE).try_fold(0, |sum, keys| Ok(sum + self.delete_many(keys)?))
    }
}

/// Records of checksum databases are under a bare name in format 2 too.
fn is_by_name(key: &str) -> bool {
    let (name, rest) = key.split_once('/').unwrap_or((key, ""));
    !name.contains('~') && !rest.starts_with("sumdb/")
}

/// Format 1 had repositories in `git/` itself, format 2 has them in a folder for each upstream.
fn remove_repositories(git: &Path) -> io::Result<u64> {
    let mut removed = 0;
    let folders = match fs::read_dir(git) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        folders => folders?.collect::<io::Result<Vec<_>>>()?,
    };
    for folder in folders {
        let name = folder.file_name().to_string_lossy().into_owned();
        if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            // At once and whole, so that a kill leaves no half repository under a name that is asked for.
            let gone = git.join(format!("{GONE}0-{name}"));
            remove(&gone)?;
            fs::rename(folder.path(), &gone)?;
            remove(&gone)?;
            removed += 1;
        } else if name.starts_with(GONE) {
            remove(&folder.path())?;
        }
    }
    Ok(removed)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Options;
    use super::*;
    use crate::ports::Body;

    const REPOSITORY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// What was left of an older store was never read and never evicted, and an older modvet took the new one for its own.
    #[test]
    fn a_store_of_format_1_loses_what_nobody_reads_any_more_and_says_2() {
        let folder = tempfile::tempdir().expect("folder");
        let open = || SledStore::open(folder.path(), Options::default()).expect("a store");
        let format = folder.path().join("format");
        let stay = ["binding/default/x.y/m", "upstream/corp/sumdb/s.z/latest", "upstream/corp~01234567/x.y/m/@v/list"];
        let go = ["examination/git/x.y/m/@v/v1.0.0", "upstream/corp/x.y/m/@v/list", "verdict/git/x.y/m/@v/v1.0.0"];
        let store = open();
        for key in stay.iter().chain(&go) {
            store.put(key, b"{}", Body::Bytes(Bytes::from_static(b"body"))).expect(key);
        }
        drop(store);
        let git = folder.path().join("git");
        let left = format!("{GONE}0-{}", REPOSITORY.replace('0', "1"));
        for name in [REPOSITORY, &left, "git~edbacf62"] {
            fs::create_dir_all(git.join(name).join(REPOSITORY)).expect(name);
        }
        fs::write(&format, "1\n").expect("written");

        let store = open();
        let mut keys = Vec::new();
        let scanned = store.scan("", &mut |key, _| {
            keys.push(key.to_owned());
            true
        });
        scanned.expect("a scan");
        assert_eq!(keys, stay);
        let left: Vec<_> = fs::read_dir(&git).expect("git").map(|entry| entry.expect("entry").file_name()).collect();
        assert_eq!(left, ["git~edbacf62"]);
        assert!(git.join("git~edbacf62").join(REPOSITORY).is_dir());
        assert_eq!(fs::read_to_string(&format).expect("read"), "2\n");
    }
}
