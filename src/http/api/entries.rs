//! What is kept of one upstream, entry by entry.

use super::cache::{Entries, PAGE, blocking, stock};
use super::{Call, Parameter, Reply};
use crate::error::{Error, Result};
use crate::registry::stock::{Removal, Wanted};

/// What may stand behind the `?`.
pub const QUERY: &[Parameter] = &[Parameter::text("prefix"), Parameter::text("after"), Parameter::number("limit")];

pub async fn list(call: Call) -> Result<Reply> {
    let stock = stock(&call)?;
    let wanted = Wanted::of(Some(call.name("upstream")));
    let wanted = match call.text("prefix") {
        Some(prefix) => wanted.beginning(prefix),
        None => wanted,
    };
    let (after, limit) = (call.text("after").map(str::to_owned), page(&call));
    let page = blocking(move || stock.list(&wanted, after.as_deref(), limit)).await?;
    Reply::json(&Entries { entries: page.rows, next: page.next })
}

pub async fn remove(call: Call) -> Result<Reply> {
    let stock = stock(&call)?;
    let wanted = Wanted::of(Some(call.name("upstream"))).at(call.name("path"));
    let removal = Removal { wanted: Some(wanted), ..Removal::default() };
    match blocking(move || stock.remove(&removal, &mut |_| Ok(()))).await?.entries {
        0 => {
            let what = format!("nothing is kept there of upstream {}", call.name("upstream"));
            Err(Error::not_found(what).about(call.name("path")))
        }
        _ => Ok(Reply::Done),
    }
}

fn page(call: &Call) -> usize {
    usize::try_from(call.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX).max(1)
}
