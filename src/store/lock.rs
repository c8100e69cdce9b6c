//! One process owns a store, and the store says which format it has.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};

use super::database::{unopened, unreadable};
use super::{OnWait, Options};
use crate::error::{Error, Result};

/// The format that this code writes; it reads older ones too, see `migrate`.
///
/// 2: upstreams' names in keys and in `git/` are marked, and `tables` says where the tables are.
pub(super) const FORMAT: u32 = 2;

const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
const OWNER_FILE: &str = "owner";

/// Who waits for longer is told for whom.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to use a store's folder, until dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    owner: PathBuf,
}

impl Lock {
    /// Takes the lock of a folder, waiting as long as the options say for another process to end.
    ///
    /// `Kind::Unavailable` says that another one has it, and who.
    pub(super) fn take(folder: &Path, options: &Options) -> Result<Lock> {
        let failed = |error: std::io::Error| unopened(folder, &error);
        let path = folder.join(LOCK_FILE);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let owner = folder.join(OWNER_FILE);
        let started = Instant::now();
        let mut on_wait = options.on_wait.as_ref();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() < options.wait => {
                    if started.elapsed() >= PATIENCE
                        && let Some(OnWait(tell)) = on_wait.take()
                    {
                        tell(&held(folder, &owner));
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(held(folder, &owner)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        fs::write(&owner, format!("{}\n{}\n", std::process::id(), options.holder)).map_err(failed)?;
        Ok(Lock { _file: file, owner })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Without it a later holder is only named less well.
        let _ = fs::remove_file(&self.owner);
    }
}

/// Says who holds the store; the owner file was written when it was opened.
fn held(folder: &Path, owner: &Path) -> Error {
    let text = fs::read_to_string(owner).unwrap_or_default();
    let mut lines = text.lines();
    let process = lines.next().and_then(|line| line.trim().parse::<u32>().ok());
    let command = match lines.next() {
        Some(holder) if !holder.is_empty() => format!(" ({holder})"),
        _ => String::new(),
    };
    let since = fs::metadata(owner).and_then(|metadata| metadata.modified()).ok();
    let who = match (process, since.map(DateTime::<Utc>::from)) {
        (Some(process), Some(since)) => {
            let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("process {process}{command} since {since}")
        }
        _ => "another process".to_string(),
    };
    Error::unavailable(format!("{}: store is held by {who}", folder.display()))
        .remedy("end that process, or use another folder")
}

/// The format of the folder, that of this code if it is new; or why the folder cannot be used.
pub(super) fn check_format(folder: &Path) -> Result<u32> {
    let path = folder.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return begin(folder),
        Err(error) => return Err(unopened(folder, &error)),
    };
    match text.trim().parse::<u32>() {
        Ok(format @ 1..=FORMAT) => Ok(format),
        Ok(newer) if newer > FORMAT => {
            Err(Error::internal(format!("{}: store has format {newer} (expected {FORMAT})", folder.display()))
                .remedy("it was written by a newer version: use that one, or another folder"))
        }
        _ => Err(unreadable(folder, &format!("format file says {:?} (expected {FORMAT})", text.trim()))),
    }
}

/// Marks a new store. It comes before any table, so tables without it belong to somebody else.
fn begin(folder: &Path) -> Result<u32> {
    if ["sled/db", "sled.2/db", "tables"].iter().any(|name| folder.join(name).exists()) {
        return Err(unreadable(folder, &format!("it has no format file (expected {FORMAT})")));
    }
    say_format(folder).map(|()| FORMAT)
}

/// From now on the folder is of the format of this code, also after a loss of power.
pub(super) fn say_format(folder: &Path) -> Result<()> {
    let failed = |error: std::io::Error| unopened(folder, &error);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    writeln!(file, "{FORMAT}").map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(folder.join(FORMAT_FILE)).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().expect("folder");
        let serve = Options { holder: "modvet serve".to_string(), ..Options::default() };
        let first = Lock::take(folder.path(), &serve).expect("free");
        let error = Lock::take(folder.path(), &Options::default()).expect_err("held");
        assert_eq!(error.kind(), Kind::Unavailable);
        let expected = format!("store is held by process {} (modvet serve) since 20", std::process::id());
        assert!(error.what().contains(&expected), "{error}");
        drop(first);
        Lock::take(folder.path(), &Options::default()).expect("free again");
    }

    #[test]
    fn who_waits_gets_it_when_the_first_ends() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Lock::take(folder.path(), &Options::default()).expect("free");
        std::thread::scope(|scope| {
            let wait = Options { wait: Duration::from_secs(60), ..Options::default() };
            let path = folder.path();
            let second = scope.spawn(move || Lock::take(path, &wait).map(drop));
            drop(first);
            second.join().expect("joined").expect("free in time");
        });
    }

    #[test]
    fn who_waits_for_a_second_is_told_once_for_whom() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Lock::take(folder.path(), &Options::default()).expect("free");
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let on_wait = OnWait(Arc::new(move |error: &Error| {
            tell.lock().expect("lock").send(error.what().to_string()).expect("heard");
        }));
        let wait = Options { wait: Duration::from_secs(120), on_wait: Some(on_wait), ..Options::default() };
        std::thread::scope(|scope| {
            let started = Instant::now();
            let path = folder.path();
            let second = scope.spawn(move || Lock::take(path, &wait).map(drop));
            let what = told.recv_timeout(Duration::from_secs(60)).expect("told");
            assert!(started.elapsed() >= PATIENCE, "a short wait is nobody's business");
            assert!(what.contains(&format!("held by process {} since ", std::process::id())), "{what}");
            drop(first);
            second.join().expect("joined").expect("free in time");
        });
        assert!(told.try_recv().is_err(), "once");
    }

    #[test]
    fn formats() {
        let rows = [
            ("ours", Some("2\n"), Ok(2)),
            ("none yet", None, Ok(2)),
            ("older", Some("1\n"), Ok(1)),
            ("newer", Some("3\n"), Err("store has format 3 (expected 2)")),
            ("torn", Some("zwei"), Err("format file says \"zwei\" (expected 2)")),
            ("never was", Some("0"), Err("format file says \"0\" (expected 2)")),
        ];
        for (name, text, expected) in rows {
            let folder = tempfile::tempdir().expect("folder");
            if let Some(text) = text {
                fs::write(folder.path().join(FORMAT_FILE), text).expect(name);
            }
            match (check_format(folder.path()), expected) {
                (Ok(format), Ok(expected)) => {
                    assert_eq!(format, expected, "{name}");
                    let text = fs::read_to_string(folder.path().join(FORMAT_FILE)).expect(name);
                    assert_eq!(text, format!("{expected}\n"), "{name}: an older one is changed when all is done");
                }
                (Err(error), Err(expected)) => {
                    assert_eq!(error.what().split_once(": ").map(|(_, what)| what.contains(expected)), Some(true));
                    assert!(error.what().starts_with(&folder.path().display().to_string()), "{name}");
                    assert!(!error.remedies().is_empty(), "{name}: no way out");
                }
                (result, expected) => panic!("{name}: {result:?} (expected {expected:?})"),
            }
        }
    }

    #[test]
    fn tables_without_a_format_are_not_ours() {
        for name in ["sled/db", "sled.2/db", "tables"] {
            let folder = tempfile::tempdir().expect(name);
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect(name)).expect(name);
            fs::write(file, "").expect(name);
            let error = check_format(folder.path()).expect_err(name);
            assert!(error.what().contains("no format file"), "{name}: {error}");
        }
    }
}
