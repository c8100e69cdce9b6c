//! What went wrong below, as the error of the house: the operation is named, no local path ever.

use std::io;

use crate::error::{Error, Result};

const FULL: &str = "store: no storage space";

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
    Error::unavailable(FULL)
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
        assert_eq!((full.kind(), full.to_string().as_str()), (Kind::Unavailable, "store: no storage space"));
        let denied = io::Error::new(io::ErrorKind::PermissionDenied, "/var/lib/secret: permission denied");
        let denied = of_sled("read entry", &sled::Error::Io(denied));
        assert_eq!(
            (denied.kind(), denied.to_string().as_str()),
            (Kind::Internal, "store: read entry: permission denied")
        );
    }
}
