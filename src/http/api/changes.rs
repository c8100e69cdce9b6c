//! Released versions that came back different.

use serde::Serialize;

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::registry::change::{self, Change};

/// So many are told if nobody says.
const MOST: u64 = 1000;

#[derive(Serialize)]
struct Changes {
    changes: Vec<Change>,
    /// There are more: ask for one upstream, or with a higher `limit`.
    more: bool,
}

/// The newest first.
pub async fn list(call: Call) -> Result<Reply> {
    let limit = usize::try_from(call.number("limit").unwrap_or(MOST)).unwrap_or(usize::MAX);
    let store = call.site.catalog().store().clone();
    let upstream = call.text("upstream").map(str::to_owned);
    let reading = move || {
        let mut changes = Vec::new();
        change::visit(&*store, upstream.as_deref(), &mut |change| {
            changes.push(change);
            true
        })?;
        Ok(changes)
    };
    let read: Result<Vec<Change>> = tokio::task::spawn_blocking(reading)
        .await
        .map_err(|cause| Error::internal("reading changes was cut short").because(cause))?;
    let mut changes = read?;
    changes.sort_by_key(|change| std::cmp::Reverse(change.seen_at));
    let more = changes.len() > limit;
    changes.truncate(limit);
    Reply::json(&Changes { changes, more })
}
