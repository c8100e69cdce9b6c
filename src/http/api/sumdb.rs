//! Checksum databases: how they stand, and the way out when one has contradicted itself.

use serde::Serialize;

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::sumdb::Status;

#[derive(Serialize)]
struct Databases {
    databases: Vec<Status>,
}

/// In the order of the allow-list: versions are held against the first.
pub async fn list(call: Call) -> Result<Reply> {
    Reply::json(&Databases { databases: call.site.databases().status() })
}

/// Believes a database again; with `forget_head` from what it signs next on.
pub async fn clear(call: Call) -> Result<Reply> {
    let name = call.name("database");
    let database = call.site.databases().find(name)?.clone();
    match database.clear_fork(call.flag("forget_head")).await? {
        true => {
            tracing::warn!(database = name, by = call.guest.name, "a checksum database is believed again");
            Ok(Reply::Done)
        }
        false => Err(Error::not_found("this checksum database has not contradicted itself").about(name)),
    }
}
