//! Who got what.

use serde::Serialize;

use super::cache::blocking;
use super::{Call, Parameter, Reply};
use crate::access::audit::{Line, Wanted, moment};
use crate::error::{Error, Result};
use crate::spec::path::ModulePath;

/// So many lines stand on a page if nobody says.
const PAGE: u64 = 100;

/// The most lines on a page.
const LARGEST_PAGE: u64 = 10_000;

/// What may stand behind the `?`.
pub const QUERY: &[Parameter] = &[
    Parameter::text("module"),
    Parameter::text("version"),
    Parameter::text("registry"),
    Parameter::text("who"),
    Parameter::text("since"),
    Parameter::text("until"),
    Parameter::number("limit"),
    Parameter::text("after"),
];

#[derive(Serialize)]
struct Lines {
    /// The newest first.
    lines: Vec<Line>,
    /// What `after` has to be for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub async fn list(call: Call) -> Result<Reply> {
    let Some(records) = call.site.records().cloned() else {
        return Err(Error::not_found("there is no audit log").remedy("set [audit] enabled = true"));
    };
    let text = |parameter: &str| call.text(parameter).map(str::to_owned);
    let now = records.clock.now();
    let moment = |parameter: &str| {
        let read = call.text(parameter).map(|text| moment(text, now));
        read.transpose().map_err(|error| error.about(parameter))
    };
    if let Some(module) = call.text("module").filter(|module| !module.ends_with("/...")) {
        ModulePath::parse(module)?;
    }
    let limit = call.number("limit").unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let wanted = Wanted {
        module: text("module"),
        version: text("version"),
        registry: registry(&call)?,
        who: text("who"),
        since: moment("since")?,
        until: moment("until")?,
        after: text("after"),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let found = blocking(move || records.search(&wanted)).await?;
    Reply::json(&Lines { lines: found.lines, next: found.next })
}

/// Who may see one registry alone is shown nothing of another, nor what was asked of none.
fn registry(call: &Call) -> Result<Option<String>> {
    match call.text("registry") {
        Some(registry) if !call.guest.may_see(registry) => {
            Err(Error::forbidden("this token is for another registry").about(format!("registries/{registry}")))
        }
        Some(registry) => Ok(Some(registry.to_owned())),
        None => Ok(call.guest.registry.clone()),
    }
}
