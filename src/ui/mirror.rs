//! One mirror: how it stands, what is not the same, what can be done about it, and what was.

use askama::Template;
use chrono::{DateTime, Utc};

use super::mirrors::MirrorLine;
use super::words::{self, Moment};
use crate::monitor::{MirrorStatus, RefDifference};

/// `/mirrors/NAME`
#[derive(Template)]
#[template(path = "mirror.html")]
pub struct MirrorPage<'a> {
    mirror: MirrorLine<'a>,
    check_every: String,
    max_lag: String,
    differing: Vec<RefLine<'a>>,
    refs_left_out: u64,
    differing_since: Option<Moment>,
    renewals: Vec<RenewedLine<'a>>,
    note: Option<Note>,
}

/// What the reader just did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    Checked,
    Renewed,
}

impl Note {
    pub const ALL: [Note; 2] = [Note::Checked, Note::Renewed];

    /// As it stands in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Note::Checked => "checked",
            Note::Renewed => "renewed",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Note::Checked => "It was checked just now.",
            Note::Renewed => "The renewal is written down.",
        }
    }
}

/// A ref that is not the same.
struct RefLine<'a> {
    differing: &'a RefDifference,
    source: String,
    mirror: String,
    word: &'static str,
    class: &'static str,
    commits: String,
    since: Option<Moment>,
}

impl<'a> RefLine<'a> {
    fn new(differing: &'a RefDifference, now: DateTime<Utc>) -> RefLine<'a> {
        let (word, class) = match differing.is_diverged {
            true => ("diverged", "bad"),
            false => ("behind", "warn"),
        };
        let count = |count: Option<u64>, word: &str| {
            count.filter(|count| *count > 0).map(|count| format!("{} {word}", words::counted(count, "commit")))
        };
        let parts = [count(differing.behind_commits, "behind"), count(differing.ahead_commits, "of its own")];
        RefLine {
            source: shortened(differing.source.as_deref()),
            mirror: shortened(differing.mirror.as_deref()),
            word,
            class,
            commits: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
            since: Moment::of(differing.since, now),
            differing,
        }
    }
}

/// A hash by its first twelve digits, as in pseudo-versions; anything else as it is.
fn shortened(text: Option<&str>) -> String {
    match text {
        None => "not there".to_owned(),
        Some(text) if text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => text[..12].to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// Somebody renewed it.
struct RenewedLine<'a> {
    at: Moment,
    until: String,
    by: &'a str,
}

impl<'a> MirrorPage<'a> {
    pub fn new(status: &'a MirrorStatus, note: Option<Note>, now: DateTime<Utc>) -> MirrorPage<'a> {
        let difference = status.difference.as_ref();
        let refs = difference.map(|difference| difference.refs.as_slice()).unwrap_or_default();
        let renewals = status.renewal.as_ref().map(|renewal| renewal.history.as_slice()).unwrap_or_default();
        let renewed = renewals.iter().map(|renewed| RenewedLine {
            at: Moment::new(renewed.at, now),
            until: renewed.until.to_string(),
            by: renewed.by.as_deref().unwrap_or("-"),
        });
        MirrorPage {
            check_every: words::seconds(status.check_every_seconds),
            max_lag: words::seconds(status.max_lag_seconds),
            differing: refs.iter().map(|differing| RefLine::new(differing, now)).collect(),
            refs_left_out: difference.map_or(0, |difference| difference.refs_left_out),
            differing_since: difference.and_then(|difference| Moment::of(difference.since, now)),
            renewals: renewed.collect(),
            mirror: MirrorLine::new(status, now),
            note,
        }
    }
}
