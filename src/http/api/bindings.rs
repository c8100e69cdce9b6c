//! Which upstream each module of a registry is bound to; see docs/protocol.md.

use serde::Serialize;

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::http::route;
use crate::registry::Bound;

/// So many stand on a page if nobody says.
const PAGE: u64 = 1000;

#[derive(Serialize)]
struct Bindings {
    bindings: Vec<Bound>,
    /// What `after` has to be for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// In the order of the escaped module paths, from the one behind `after`: no more is read than stands on the page.
pub async fn list(call: Call) -> Result<Reply> {
    let counter = call.counter()?;
    let limit = usize::try_from(call.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX).max(1);
    let mut bindings = counter.registry.bindings_after(call.text("after"), limit.saturating_add(1)).await?;
    let is_more = bindings.len() > limit;
    bindings.truncate(limit);
    let next = bindings.last().filter(|_| is_more).map(|bound| bound.module.clone());
    Reply::json(&Bindings { bindings, next })
}

pub async fn remove(call: Call) -> Result<Reply> {
    let module = route::module_path(call.name("module"))?;
    let counter = call.counter()?;
    match counter.registry.unbind(&module).await? {
        true => Ok(Reply::Done),
        false => {
            let name = counter.registry.name();
            Err(Error::not_found(format!("the module is bound to no upstream of registry {name}")).about(module))
        }
    }
}
