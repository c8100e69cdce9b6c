//! What is written beside a version's file of its word against the witness.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a witness said of a kept file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Mark {
    /// The database has this very hash.
    Verified { database: String, at: DateTime<Utc> },
    /// It could not be asked, or has no record: to be asked again.
    Unverified { why: String, since: DateTime<Utc> },
    /// It is not to be asked.
    Exempt { why: String },
}

/// The same in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    Verified,
    Unverified,
    Exempt,
}

impl Mark {
    pub fn proof(&self) -> Proof {
        match self {
            Mark::Verified { .. } => Proof::Verified,
            Mark::Unverified { .. } => Proof::Unverified,
            Mark::Exempt { .. } => Proof::Exempt,
        }
    }

    /// As it is to be written over the one before: a file is unverified since nobody could say anything the first time,
    /// and verified since it was.
    pub(super) fn after(self, before: Option<&Mark>) -> Mark {
        match (self, before) {
            (Mark::Unverified { why, .. }, Some(Mark::Unverified { since, .. })) => {
                Mark::Unverified { why, since: *since }
            }
            // That the name is wrong by now makes the hash no other.
            (Mark::Exempt { .. } | Mark::Unverified { .. }, Some(before @ Mark::Verified { .. })) => before.clone(),
            (mark, _) => mark,
        }
    }
}

impl Proof {
    /// The word in header, log and page.
    pub fn as_str(self) -> &'static str {
        match self {
            Proof::Verified => "verified",
            Proof::Unverified => "unverified",
            Proof::Exempt => "exempt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_since_when() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a moment");
        let verified = |seconds| Mark::Verified { database: "sum.test".to_owned(), at: at(seconds) };
        let unverified = |why: &str, seconds| Mark::Unverified { why: why.to_owned(), since: at(seconds) };
        let exempt = || Mark::Exempt { why: "private".to_owned() };
        let table = [
            ("the first", None, unverified("gone", 1), unverified("gone", 1)),
            ("still unverified", Some(unverified("gone", 1)), unverified("no record", 2), unverified("no record", 1)),
            ("verified at last", Some(unverified("gone", 1)), verified(2), verified(2)),
            ("found exempt", Some(unverified("gone", 1)), exempt(), exempt()),
            ("exempt no more", Some(exempt()), unverified("gone", 2), unverified("gone", 2)),
            ("verified once", Some(verified(1)), exempt(), verified(1)),
        ];
        for (row, before, mark, expected) in table {
            assert_eq!(mark.after(before.as_ref()), expected, "{row}");
        }
    }

    #[test]
    fn a_mark_is_written_in_words_that_scripts_rely_on() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let mark = Mark::Verified { database: "sum.test".to_owned(), at };
        let json = serde_json::to_string(&mark).expect("JSON");
        assert_eq!(json, r#"{"state":"verified","database":"sum.test","at":"2027-01-15T08:00:00Z"}"#);
        assert_eq!(serde_json::from_str::<Mark>(&json).expect("a mark"), mark);
    }
}
