//! `/api/v1/walk/MODULE@QUERY`: which upstreams a request asks, which not, and why. Its fields: docs/protocol.md.

use super::{Call, Reply};
use crate::error::Result;
use crate::http::route;

pub async fn walk(call: Call) -> Result<Reply> {
    let (module, question) = route::module_query(call.name("subject"))?;
    let walked = call.counter()?.registry.walk(&module, &question, call.reach).await?;
    // Anyone may ask.
    Reply::json(&walked.without_patterns())
}
