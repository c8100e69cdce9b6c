//! One line of the log.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};

/// Who got what, or did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Always in milliseconds, so that lines are put in order, and found, by their text.
    #[serde(serialize_with = "in_milliseconds")]
    pub time: DateTime<Utc>,
    /// A token's label, also where it opened nothing; empty for somebody without a token.
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub registry: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The version that went out; of what was asked for by another name, the one that it stands for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `info`, `mod`, `zip`, `list`, `latest`, `query`; `sumdb` and `api` for what is no module.
    pub file: Cow<'static, str>,
    /// What was asked for, where it is not the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub status: u16,
    /// What was said of it: a word of docs/audit.md.
    pub verdict: Cow<'static, str>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub cache: Cow<'static, str>,
    /// The rule that decided, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The right version of a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

/// How every line begins; the time follows, then a quotation mark.
pub(super) const START: &[u8] = b"{\"time\":\"";

/// A time as lines have it: all are of one length, so they compare as texts.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time of a line, without reading the rest of it.
pub(super) fn stamp_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(START)?;
    rest.get(..rest.iter().position(|byte| *byte == b'"')?)
}

fn in_milliseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&stamp(*time))
}
