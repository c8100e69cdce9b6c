//! Files that no checksum database vouched for: those that wait to be checked, and those that were refused.

use serde::Serialize;

use super::cache::blocking;
use super::{Call, Parameter, Reply};
use crate::error::Result;
use crate::registry::proof::{Mismatch, Waiting, mismatch};

/// So many are told if nobody says.
const MOST: u64 = 1000;

/// What may stand behind the `?` of the list of refused files.
pub const MISMATCHES: &[Parameter] = &[Parameter::text("upstream"), Parameter::number("limit")];

#[derive(Serialize)]
struct Unverified {
    unverified: Vec<Waiting>,
    /// How many there are in all.
    total: u64,
}

#[derive(Serialize)]
struct Mismatches {
    mismatches: Vec<Mismatch>,
    /// There are more: ask for one upstream, or with a higher `limit`.
    more: bool,
}

/// In the order of upstreams and modules.
pub async fn unverified(call: Call) -> Result<Reply> {
    let limit = most(&call);
    let (unverified, total) = match call.site.proofs() {
        Some(proofs) => (proofs.waiting(limit), proofs.unverified()),
        None => (Vec::new(), 0),
    };
    Reply::json(&Unverified { unverified, total })
}

/// The newest first.
pub async fn mismatches(call: Call) -> Result<Reply> {
    let (limit, store) = (most(&call), call.site.catalog().store().clone());
    let upstream = call.text("upstream").map(str::to_owned);
    let reading = move || {
        let mut mismatches = Vec::new();
        mismatch::visit(&*store, upstream.as_deref(), &mut |mismatch| {
            mismatches.push(mismatch);
            true
        })?;
        Ok(mismatches)
    };
    let mut mismatches = blocking(reading).await?;
    mismatches.sort_by_key(|mismatch| std::cmp::Reverse(mismatch.last_seen_at));
    let more = mismatches.len() > limit;
    mismatches.truncate(limit);
    Reply::json(&Mismatches { mismatches, more })
}

fn most(call: &Call) -> usize {
    usize::try_from(call.number("limit").unwrap_or(MOST)).unwrap_or(usize::MAX)
}
