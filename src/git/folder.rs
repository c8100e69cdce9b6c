//! The bare repository on disk that holds what was fetched, and our own files beside its objects.

use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{ConfigLevel, Repository};
use tempfile::TempDir;

use crate::error::{Error, Result};

/// How names of half-made files and folders begin.
pub const TEMPORARY: &str = "tmp-";

/// The folder of one repository.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The repository's folder, made if there is none; rests of a process that was killed are removed.
    ///
    /// Only one process may work here, and nobody in it before this returns.
    pub fn prepare(path: PathBuf) -> Result<Folder> {
        settle();
        let folder = Folder(path);
        // A repository that was never here is no damage to warn of.
        if !folder.0.exists() || folder.open().is_err() {
            folder.create().map_err(|cause| {
                tracing::error!("git: {cause}");
                Error::internal("a folder for a git repository cannot be made")
            })?;
        }
        folder.sweep();
        Ok(folder)
    }

    /// A folder without a repository, made if there is none; rests of a process that was killed are removed.
    ///
    /// Nobody may work there meanwhile.
    pub fn clear(path: &Path) -> Result<()> {
        std::fs::create_dir_all(path).map_err(|cause| {
            tracing::error!("git: {cause}");
            Error::internal("a folder for what is known of a git repository cannot be made")
        })?;
        Folder(path.to_owned()).sweep();
        Ok(())
    }

    /// An empty repository that goes when it is dropped, in a folder whose rests are removed.
    pub fn scratch(within: &Path) -> Result<(TempDir, Repository)> {
        settle();
        let make = || -> std::io::Result<_> {
            let folder = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(within)?;
            let repository = Repository::init_bare(folder.path()).map_err(std::io::Error::other)?;
            Ok((folder, repository))
        };
        make().map_err(|cause| {
            tracing::error!("git: {cause}");
            Error::internal("a folder for a git repository cannot be made")
        })
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The refs as last heard of, in a repository's folder.
    pub fn refs_file(path: &Path) -> PathBuf {
        path.join("modvet-refs")
    }

    /// Says whose repository it is; its time is that of the last use.
    pub fn used_file(path: &Path) -> PathBuf {
        path.join("modvet-used")
    }

    /// The history index, in a repository's folder.
    pub fn history_file(path: &Path) -> PathBuf {
        path.join("modvet-history")
    }

    pub fn open(&self) -> Result<Repository> {
        Repository::open_bare(&self.0).map_err(|cause| {
            tracing::warn!("git: {cause}");
            Error::internal("a git repository of the store cannot be opened")
        })
    }

    /// Puts a whole repository where there is none, or a damaged one: all in it can be fetched again.
    fn create(&self) -> std::io::Result<()> {
        let parent = self.0.parent().expect("a repository lies below the root");
        std::fs::create_dir_all(parent)?;
        let fresh = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent)?;
        Repository::init_bare(fresh.path()).map_err(std::io::Error::other)?;
        if self.0.exists() {
            std::fs::remove_dir_all(&self.0)?;
        }
        std::fs::rename(fresh.keep(), &self.0)
    }

    /// Removes what was left half-made; that it could not be removed harms nobody.
    fn sweep(&self) {
        let packs = self.0.join("objects/pack");
        for (folder, whole) in [(&self.0, false), (&packs, true)] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let path = entry.path();
                // A kill came between a pack and its index: nobody finds what is in it.
                let is_lost = whole && name.ends_with(".pack") && !path.with_extension("idx").exists();
                if name.starts_with(TEMPORARY) || (whole && !name.starts_with("pack-")) || is_lost {
                    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
                }
            }
        }
    }
}

/// What libgit2 keeps of objects already read, over all repositories, in bytes; its own default is 256 MiB.
const CACHED: isize = 32 << 20;

/// How much of the packs libgit2 maps into memory at once, over all repositories, and in windows of what size; its own
/// defaults are 8 GiB and 1 GiB, and what is mapped counts as memory that the process has.
const MAPPED: usize = 48 << 20;
const WINDOW: usize = 8 << 20;

/// Sets what libgit2 knows once for the whole process.
fn settle() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Objects were hashed when they came in; hashing them at each read costs more than reading.
        git2::opts::strict_hash_verification(false);
        for level in [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global] {
            // SAFETY: libgit2's global options are written here only, before any repository is opened.
            let emptied = unsafe { git2::opts::set_search_path(level, "") };
            emptied.expect("a search path can be emptied");
        }
        // SAFETY: as above.
        let bounded = unsafe { git2::opts::set_cache_max_size(CACHED) };
        bounded.expect("the cache can be bounded");
        // SAFETY: as above.
        let windows = unsafe { git2::opts::set_mwindow_size(WINDOW).and(git2::opts::set_mwindow_mapped_limit(MAPPED)) };
        windows.expect("windows can be bounded");
        // SAFETY: as above. The store's folders may belong to whoever runs the container.
        let trusted = unsafe { git2::opts::set_verify_owner_validation(false) };
        trusted.expect("the owner check can be turned off");
    });
}
