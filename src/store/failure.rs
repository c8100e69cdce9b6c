//! What went wrong below, as the error of the house: the operation is named, no local path ever.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

const FULL: &str = "store: no storage space";
const ROOM: &str = "who runs modvet makes room on the store's disk, or shrinks the store: \
                    modvet cache prune --max-size SIZE, and store.max_size for good";
/// Between two lines in the log that say that the disk is full: it is found so at every request.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// An input or output error of our own files.
///
/// The text of an `io::Error` may hold a path, so only its kind goes into the error; all of it goes to the log.
pub(super) fn of_io(operation: &'static str, error: &io::Error) -> Error {
    tracing::error!(operation, %error, "store");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(),
        kind => Error::internal(format!("store: {operation}: {kind}")),
    }
}

/// An error of sled.
pub(super) fn of_sled(operation: &'static str, error: &sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => of_io(operation, error),
        error => {
            tracing::error!(operation, %error, "store");
            Error::internal(format!("store: {operation}: unexpected state"))
        }
    }
}

/// What lies there is not what was written.
pub(super) fn damaged(operation: &'static str) -> Error {
    tracing::error!(operation, "store: damaged");
    Error::internal(format!("store: {operation}: damaged"))
}

/// There is no room: not now, but maybe later.
pub(super) fn full() -> Error {
    Error::unavailable(FULL).remedy(ROOM)
}

/// What a disk has, and what it should have, in bytes.
pub(super) struct Room {
    pub(super) free: u64,
    /// What is to be written, and what stays free.
    pub(super) wanted: u64,
    pub(super) keep_free: u64,
}

impl Room {
    /// That it is too little; not where, since that is for the log only.
    pub(super) fn full(&self) -> Error {
        let (free, wanted, keep_free) = (self.free >> 20, self.wanted.div_ceil(1 << 20), self.keep_free >> 20);
        let expected = format!("expected {wanted} MiB, of which {keep_free} MiB stay free");
        Error::unavailable(format!("{FULL}: {free} MiB are free ({expected})")).remedy(ROOM)
    }
}

/// When the log was last told that the disk is full.
#[derive(Default)]
pub(super) struct Warned(Mutex<Option<Instant>>);

impl Warned {
    pub(super) fn warn(&self, folder: &Path, full: &Error) {
        if self.is_due(Instant::now()) {
            tracing::warn!(folder = %folder.display(), error = full.what(), remedy = ROOM, "the store's disk is full");
        }
    }

    /// Whether it is time to say it; it counts as said then.
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = match *last {
            Some(last) => now.saturating_duration_since(last) >= WARN_EVERY,
            None => true,
        };
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Names the operation of an `io::Result`.
pub(super) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|error| of_io(operation, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_full_disk_is_unavailable_and_no_path_is_told() {
        let full = of_io("write", &io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.kind(), full.what()), (Kind::Unavailable, "store: no storage space"));
        assert_eq!(full.remedies(), [ROOM]);
        let denied = io::Error::new(io::ErrorKind::PermissionDenied, "/var/lib/secret: permission denied");
        let denied = of_sled("read entry", &sled::Error::Io(denied));
        assert_eq!(
            (denied.kind(), denied.to_string().as_str()),
            (Kind::Internal, "store: read entry: permission denied")
        );
    }

    #[test]
    fn too_little_room_says_how_much_there_is_and_the_way_out() {
        let full = Room { free: (13 << 20) - 1, wanted: (69 << 20) + 1, keep_free: 64 << 20 }.full();
        assert_eq!(full.kind(), Kind::Unavailable);
        assert_eq!(
            full.what(),
            "store: no storage space: 12 MiB are free (expected 70 MiB, of which 64 MiB stay free)"
        );
        assert_eq!(full.remedies(), [ROOM]);
    }

    #[test]
    fn a_full_disk_is_warned_of_once_a_minute() {
        let (warned, began) = (Warned::default(), Instant::now());
        for (after, is_due) in [(0, true), (1, false), (59, false), (60, true), (119, false), (121, true)] {
            assert_eq!(warned.is_due(began + Duration::from_secs(after)), is_due, "after {after} s");
        }
    }
}
