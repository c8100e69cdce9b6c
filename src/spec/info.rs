//! The body of `.info` and what an answer depended on.
//! Rules: go.dev/ref/mod#goproxy-protocol; `Origin` as `cmd/go/internal/modfetch/codehost` writes it.

use std::fmt;

use chrono::{DateTime, FixedOffset, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is no hexadecimal digit: no value of one has this bit.
const NO_DIGIT: u8 = 0x80;

/// The id of a git object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 20]);

impl ObjectId {
    /// How many digits of a commit's id stand in a pseudo-version.
    pub const SHORT: usize = 12;

    /// Reads forty lower case hexadecimal digits.
    pub fn parse(text: &str) -> Option<ObjectId> {
        ObjectId::from_hex(text.as_bytes())
    }

    /// The same of what need not be text.
    pub fn from_hex(digits: &[u8]) -> Option<ObjectId> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => NO_DIGIT,
        };
        let digits: &[u8; 40] = digits.try_into().ok()?;
        let (mut id, mut odd) = ([0; 20], 0);
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (value(pair[0]), value(pair[1]));
            odd |= high | low;
            *byte = high << 4 | low;
        }
        (odd & NO_DIGIT == 0).then_some(ObjectId(id))
    }

    /// The twelve digits that stand in a pseudo-version.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(ObjectId::SHORT);
        text
    }

    /// Whether the forty digits begin with these, without writing them down: all refs of a repository are asked.
    pub fn starts_with(&self, digits: &str) -> bool {
        let own = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| DIGITS[usize::from(half)]);
        digits.len() <= 2 * self.0.len() && digits.bytes().zip(own).all(|(asked, own)| asked == own)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 40];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for ObjectId {
    /// As its digits.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
        let digits = String::deserialize(deserializer)?;
        ObjectId::parse(&digits).ok_or_else(|| D::Error::custom("malformed object id (expected 40 digits)"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a revision is lower case hexadecimal digits and nothing else.
pub fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A revision found: what a repository says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    pub id: ObjectId,
    /// The committer's time.
    pub time: DateTime<Utc>,
}

/// Who made a commit when, by their own clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    pub author: DateTime<FixedOffset>,
    pub committer: DateTime<FixedOffset>,
}

/// Where an answer came from and which part of the repository it rests on. The order of the fields
/// is the go command's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Origin {
    #[serde(rename = "VCS", skip_serializing_if = "String::is_empty")]
    pub vcs: String,
    #[serde(rename = "URL", skip_serializing_if = "String::is_empty")]
    pub url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subdir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_sum: String,
    #[serde(rename = "Ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repo_sum: String,
}

impl Origin {
    /// What two answers rest on together; `None` where they contradict each other.
    pub fn merge(&self, other: &Origin) -> Option<Origin> {
        if (&self.vcs, &self.url, &self.subdir) != (&other.vcs, &other.url, &other.subdir) {
            return None;
        }
        let both = |a: &String, b: &String| match (a.is_empty(), b.is_empty()) {
            (_, true) => Some(a.clone()),
            (true, _) => Some(b.clone()),
            _ => (a == b).then(|| a.clone()),
        };
        let tag_sum = both(&self.tag_sum, &other.tag_sum)?;
        let same_prefix = self.tag_prefix == other.tag_prefix;
        if !self.tag_sum.is_empty() && !other.tag_sum.is_empty() && !same_prefix {
            return None;
        }
        let tag_prefix = if other.tag_sum.is_empty() { &self.tag_prefix } else { &other.tag_prefix };
        Some(Origin {
            hash: both(&self.hash, &other.hash)?,
            repo_sum: both(&self.repo_sum, &other.repo_sum)?,
            reference: both(&self.reference, &other.reference)?,
            tag_prefix: tag_prefix.clone(),
            tag_sum,
            ..self.clone()
        })
    }
}

/// The body of `.info` and of `@latest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pub time: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Info {
    /// One line of JSON, as the go command writes it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and a time always serialize")
    }
}

/// RFC 3339 as Go prints it: `Z`, and no trailing zeros in the fraction.
mod rfc3339 {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
        let Some(time) = time else { return to.serialize_none() };
        let text = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let (whole, fraction) = text.trim_end_matches('Z').split_once('.').unwrap_or((&text, ""));
        match fraction.trim_end_matches('0') {
            "" => to.serialize_str(&format!("{whole}Z")),
            fraction => to.serialize_str(&format!("{whole}.{fraction}Z")),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<DateTime<chrono::FixedOffset>>::deserialize(from)?.map(|time| time.to_utc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forty_lower_case_digits_are_an_id() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        let id = ObjectId::parse(digits).expect("forty digits");
        assert_eq!((id.to_string().as_str(), id.short().as_str()), (digits, "0123456789ab"));
        let table = [
            ("nothing", ""),
            ("one digit", "0"),
            ("a digit too many", "0123456789abcdef0123456789abcdef012345678"),
            ("upper case", "0123456789ABCDEF0123456789abcdef01234567"),
            ("a letter that is none", "0123456789abcdef0123456789abcdef0123456g"),
        ];
        for (name, other) in table {
            assert_eq!(ObjectId::parse(other), None, "{name}");
        }
    }

    #[test]
    fn first_digits_are_told() {
        let id = ObjectId::parse("0123456789abcdef0123456789abcdef01234567").expect("forty digits");
        let text = id.to_string();
        assert!((0..=40).all(|length| id.starts_with(&text[..length])));
        for other in ["1", "0123456789abcdee", "0123456789ABCDEF", &format!("{text}8")] {
            assert!(!id.starts_with(other), "{other}");
        }
    }

    #[test]
    fn writes_what_the_go_command_writes() {
        let info = Info {
            version: "v1.0.0".to_owned(),
            time: DateTime::from_timestamp(1519081806, 0),
            origin: Some(Origin {
                vcs: "git".to_owned(),
                url: "https://git.example.com/m".to_owned(),
                hash: "fde4db37ae7a".to_owned(),
                reference: "refs/tags/v1.0.0".to_owned(),
                ..Origin::default()
            }),
        };
        let text = r#"{"Version":"v1.0.0","Time":"2018-02-19T23:10:06Z","Origin":{"VCS":"git","URL":"https://git.example.com/m","Hash":"fde4db37ae7a","Ref":"refs/tags/v1.0.0"}}"#;
        assert_eq!(info.to_json(), text);
        assert_eq!(serde_json::from_str::<Info>(text).expect("own text"), info);
    }

    #[test]
    fn reads_times_with_fractions_and_zones_and_answers_without_time() {
        let info: Info =
            serde_json::from_str(r#"{"Version":"v1.0.0","Time":"2018-02-20T01:10:06.250+02:00","Name":"x"}"#)
                .expect("json");
        assert_eq!(info.to_json(), r#"{"Version":"v1.0.0","Time":"2018-02-19T23:10:06.25Z"}"#);
        let bare: Info = serde_json::from_str(r#"{"Version":"v1.0.0"}"#).expect("json");
        assert_eq!(bare.time, None);
    }

    #[test]
    fn merges_what_agrees() {
        let base = Origin { vcs: "git".into(), url: "u".into(), ..Origin::default() };
        let tags = Origin { tag_sum: "t1:x".into(), tag_prefix: "v2.".into(), ..base.clone() };
        let hash = Origin { hash: "h".into(), reference: "refs/heads/x".into(), ..base.clone() };
        let merged = tags.merge(&hash).expect("no contradiction");
        assert_eq!((merged.hash.as_str(), merged.tag_sum.as_str(), merged.tag_prefix.as_str()), ("h", "t1:x", "v2."));
        assert_eq!(hash.merge(&Origin { hash: "other".into(), ..base.clone() }), None);
        assert_eq!(tags.merge(&Origin { tag_prefix: String::new(), ..tags.clone() }), None);
        assert_eq!(hash.merge(&Origin { url: "elsewhere".into(), ..base }), None);
    }
}
