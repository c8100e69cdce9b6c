//! `STORE/control.sock`: where commands reach the server that owns the store.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::http::serve::Control;

const NAME: &str = "control.sock";

/// What a folder is called in which a socket is made.
const CRADLE: &str = ".control-";

/// The longest path of a socket, in bytes, on every system.
const LONGEST: usize = 103;

/// The socket's file, until dropped. Whoever makes one holds the store's lock.
pub struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Makes the socket, in the place of one that a killed server left behind.
    pub fn bind(folder: &Path) -> io::Result<(Control, Socket)> {
        clear(folder)?;
        // It is born in a folder that nobody else may enter, so that it is never open wider than it should be.
        let private = Permissions::from_mode(0o700);
        let cradle = tempfile::Builder::new().prefix(CRADLE).permissions(private).tempdir_in(folder)?;
        let born = cradle.path().join("s");
        let listener = UnixListener::bind(&Short::of(&born)?.path)?;
        fs::set_permissions(&born, Permissions::from_mode(0o600))?;
        let metadata = fs::metadata(&born)?;
        let path = folder.join(NAME);
        fs::rename(&born, &path)?;
        let socket = Socket { path, inode: metadata.ino() };
        Ok((Control { listener, owner: metadata.uid() }, socket))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let own = fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode);
        if own && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket stays behind");
        }
    }
}

/// Reaches the server that owns the store in this folder.
pub async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let short = Short::of(&folder.join(NAME))?;
    let stream = UnixStream::connect(&short.path).await;
    drop(short);
    stream
}

/// Removes what a server left that was killed while it made its socket.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(CRADLE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// A path that fits into a socket's address, however deep the folder lies.
struct Short {
    path: PathBuf,
    /// What the path leads through.
    _folder: Option<File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Short> {
        if path.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(Short { path: path.to_owned(), _folder: None });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket has a folder and a name"));
        };
        let file = File::open(folder)?;
        let path = through(&file)?.join(name);
        Ok(Short { path, _folder: Some(file) })
    }
}

#[cfg(target_os = "linux")]
fn through(folder: &File) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    Ok(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())))
}

#[cfg(not(target_os = "linux"))]
fn through(_: &File) -> io::Result<PathBuf> {
    Err(io::Error::new(io::ErrorKind::InvalidFilename, "the store's path is too long for a socket (expected 90 bytes)"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn only_its_owner_may_open_it_and_it_goes_with_the_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let (control, socket) = Socket::bind(folder.path()).expect("bound");
        let metadata = fs::symlink_metadata(folder.path().join(NAME)).expect("there");
        assert!(metadata.file_type().is_socket());
        assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o600, control.owner));
        connect(folder.path()).await.expect("reached");
        drop(socket);
        assert_eq!(names(folder.path()), Vec::<String>::new());
        assert!(connect(folder.path()).await.is_err());
    }

    #[tokio::test]
    async fn what_a_killed_server_left_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (dead, left) = Socket::bind(folder.path()).expect("bound");
        std::mem::forget(left);
        drop(dead);
        fs::create_dir(folder.path().join(".control-half")).expect("a folder");
        assert!(connect(folder.path()).await.is_err(), "nobody listens");
        let (_control, _socket) = Socket::bind(folder.path()).expect("bound again");
        connect(folder.path()).await.expect("reached");
        assert_eq!(names(folder.path()), [NAME]);
    }

    #[tokio::test]
    async fn a_socket_of_another_server_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_first, old) = Socket::bind(folder.path()).expect("bound");
        let (_second, _socket) = Socket::bind(folder.path()).expect("bound");
        drop(old);
        connect(folder.path()).await.expect("reached");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_folder_may_lie_deeper_than_a_sockets_address_reaches() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).expect("folders");
        let (_control, _socket) = Socket::bind(&deep).expect("bound");
        connect(&deep).await.expect("reached");
    }
}
