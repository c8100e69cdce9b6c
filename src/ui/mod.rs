//! Pages for people: what is known, as HTML that needs no script, with everything in it escaped.
//! Must not know requests, statuses or who asks: it is handed values and a moment, and gives text.
//! Rules: docs/pages.md.

pub mod fault;
pub mod home;
pub mod mirror;
pub mod mirrors;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod upstreams;
mod words;

use askama::Template;

use crate::error::{Error, Result};

/// The one stylesheet. It stands in every page as it is here, so that a policy can name it by its hash.
pub const STYLE: &str = include_str!("style.css");

/// A page as text.
pub fn html(page: &impl Template) -> Result<String> {
    page.render().map_err(|cause| Error::internal("a page cannot be written").because(cause))
}
