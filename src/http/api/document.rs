//! The description of the whole interface, for programs.

use super::{Call, Reply};
use crate::error::Result;

/// OpenAPI 3.1. Tests hold it against the table of routes and against what is really answered.
pub const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub async fn document(_: Call) -> Result<Reply> {
    Ok(Reply::Json(DOCUMENT.as_bytes().to_vec()))
}
