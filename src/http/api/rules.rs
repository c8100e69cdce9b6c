//! `/api/v1/rules`: what may pass, and why a version does or does not. Its fields: docs/rules.md.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::{Call, Parameter, Reply};
use crate::error::{Error, Result};
use crate::http::route;

/// What may stand behind the `?` of a judgement.
pub const QUERY: &[Parameter] = &[Parameter::text("at")];

pub async fn list(call: Call) -> Result<Reply> {
    let rules = call.counter()?.registry.rules();
    Reply::json(&rules.ok_or_else(|| Error::internal("this registry goes by no rules"))?)
}

pub async fn ruling(call: Call) -> Result<Reply> {
    let (module, question) = route::module_query(call.name("subject"))?;
    let at = call.text("at").map(moment).transpose()?;
    let ruling = call.counter()?.registry.ruling(&module, &question, at, call.reach).await?;
    match call.guest.is_admin() {
        true => Reply::json(&ruling),
        // Anyone may ask.
        false => Reply::json(&ruling.without_others()),
    }
}

/// A date is its first moment, in UTC.
fn moment(text: &str) -> Result<DateTime<Utc>> {
    let day = text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let time = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    day.or_else(time).ok_or_else(|| {
        let shown = route::shown(text);
        Error::gone(format!("?at: {shown:?} (expected a date such as 2027-01-31, or a time of RFC 3339)"))
    })
}
