//! What a mirror says in the place of its source, against what the source said before: the newest knowledge wins.

use bytes::Bytes;

use super::bring::Brought;
use super::entry::Kept;
use crate::error::Error;
use crate::ports::{Body, Via};
use crate::spec::info::Info;
use crate::spec::version::Version;

/// Whether a doubtful answer takes the place of a kept one: where it knows all that was known, and what was kept is
/// not the file of a version.
pub(super) fn replaces(brought: &Brought, kept: &Kept) -> bool {
    let (Body::Bytes(new), Some(old)) = (&brought.body, kept.blob.in_memory()) else { return false };
    if kept.meta.lasting || brought.lasting {
        return false;
    }
    match (&brought.resolution, &kept.resolution) {
        (Some(new), Some(old)) => is_newer(&new.right, &old.right),
        (None, None) => match (&brought.names, serde_json::from_slice::<Info>(&old)) {
            (Some(new), Ok(old)) => is_newer(new, &old),
            _ => holds_all(new, &old),
        },
        _ => false,
    }
}

/// What is the matter where a mirror that may say otherwise is all there is.
pub(super) fn out_of_reach(via: Option<&Via>) -> Error {
    let mirror = via.map(ToString::to_string).unwrap_or_default();
    Error::bad_gateway(format!("its source is out of reach, and it was read from its mirror {mirror}"))
}

/// Whether a branch or `latest` went on: to a later commit, and to no lower release.
fn is_newer(new: &Info, old: &Info) -> bool {
    let released = |info: &Info| Version::parse(&info.version).filter(|version| !version.is_pseudo());
    let is_lower = released(new).zip(released(old)).is_some_and(|(new, old)| new < old);
    new.time >= old.time && !is_lower
}

/// Whether a list has every line of another one.
fn holds_all(new: &Bytes, old: &Bytes) -> bool {
    let lines = |bytes: &Bytes| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let new = lines(new);
    lines(old).iter().all(|line| new.contains(line))
}
