//! One line of the log.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};
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
    Stamp::of(time).map_or_else(|| time.to_rfc3339_opts(SecondsFormat::Millis, true), |stamp| stamp.as_str().to_owned())
}

/// The text of a time, made by hand: every line has one, and chrono's general way costs as much as all the rest of it.
struct Stamp([u8; 24]);

impl Stamp {
    /// `None` for a year that has no four digits.
    fn of(time: DateTime<Utc>) -> Option<Stamp> {
        let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999)?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut write = |at: usize, digits: usize, mut number: u32| {
            for place in text[at..at + digits].iter_mut().rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        write(0, 4, year);
        write(5, 2, time.month());
        write(8, 2, time.day());
        write(11, 2, time.hour());
        write(14, 2, time.minute());
        // A leap second has a thousand milliseconds too many.
        write(17, 2, time.second() + time.nanosecond() / 1_000_000_000);
        write(20, 3, time.nanosecond() % 1_000_000_000 / 1_000_000);
        Some(Stamp(text))
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

/// The time of a line, without reading the rest of it.
pub(super) fn stamp_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(START)?;
    rest.get(..rest.iter().position(|byte| *byte == b'"')?)
}

fn in_milliseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    match Stamp::of(*time) {
        Some(stamp) => serializer.serialize_str(stamp.as_str()),
        None => serializer.serialize_str(&stamp(*time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_everywhere() {
        for (seconds, nanoseconds) in
            [(0, 0), (1_800_000_000, 123_456_789), (951_782_399, 999_999_999), (-1, 1), (253_402_300_800, 0)]
        {
            let time = DateTime::from_timestamp(seconds, nanoseconds).expect("a moment");
            assert_eq!(stamp(time), time.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
        let leap = DateTime::from_timestamp(1_483_228_799, 1_500_000_000).expect("a moment");
        assert_eq!(stamp(leap), leap.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
}
