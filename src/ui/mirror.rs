//! One mirror: how it stands, what is not the same, what can be done about it, and what was.

use askama::Template;
use chrono::{DateTime, Utc};

use super::mirrors::MirrorLine;
use super::words::{self, Moment};
use crate::monitor::{Event, HistoryRow, MirrorStatus, NoticeStatus, RefDifference};
use crate::ports::Condition;

/// `/mirrors/NAME`
#[derive(Template)]
#[template(path = "mirror.html")]
pub struct MirrorPage<'a> {
    mirror: MirrorLine<'a>,
    /// Nobody looks then, whoever asks for it.
    is_paused: bool,
    check_every: String,
    max_lag: String,
    differing: Vec<RefLine<'a>>,
    refs_left_out: u64,
    differing_since: Option<Moment>,
    notices: Vec<NoticeLine<'a>>,
    renewals: Vec<RenewedLine<'a>>,
    past: Vec<PastLine>,
    past_left_out: usize,
    note: Option<Note>,
}

/// So much of the past is shown; the interface gives all of it.
const SHOWN: usize = 200;

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
            source: words::shortened(differing.source.as_deref()),
            mirror: words::shortened(differing.mirror.as_deref()),
            word,
            class,
            commits: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
            since: Moment::of(differing.since, now),
            differing,
        }
    }
}

/// A letter that did not reach somebody.
struct NoticeLine<'a> {
    notice: &'a NoticeStatus,
    to: String,
    class: &'static str,
    since: Moment,
    tries: String,
    next: Option<Moment>,
}

impl<'a> NoticeLine<'a> {
    fn new(notice: &'a NoticeStatus, now: DateTime<Utc>) -> NoticeLine<'a> {
        let tries = if notice.tries == 1 { "1 try".to_owned() } else { format!("{} tries", notice.tries) };
        let class = if notice.state.is_open() { "warn" } else { "bad" };
        let (since, next) = (Moment::new(notice.since, now), Moment::of(notice.next, now));
        NoticeLine { notice, to: notice.to(), class, since, tries, next }
    }
}

/// Somebody renewed it.
struct RenewedLine<'a> {
    at: Moment,
    until: String,
    by: &'a str,
}

/// Something that happened.
struct PastLine {
    at: Moment,
    what: String,
}

impl PastLine {
    fn new(row: &HistoryRow, now: DateTime<Utc>) -> PastLine {
        PastLine { at: Moment::new(row.at, now), what: told(&row.event) }
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Changed { from, to, summary } => format!("{} became {}: {summary}", from.words(), to.words()),
        Event::Told { subject, .. } => format!("people were told: {subject}"),
        Event::Synced { updated, refused, error } => {
            let refs = words::counted(*updated, "ref");
            let refused = if *refused > 0 { format!(", {refused} refused") } else { String::new() };
            let error = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            format!("synced by hand: {refs} updated{refused}{error}")
        }
        Event::Renewed { until, by } => {
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("renewed until {until}{by}")
        }
        Event::Day { checks, failures, most_behind_refs, longest_lag_seconds, left_out } => {
            let mut text = format!("{} that day, {failures} without an answer", words::counted(*checks, "check"));
            if *most_behind_refs > 0 {
                let (refs, lag) = (words::counted(*most_behind_refs, "ref"), words::seconds(*longest_lag_seconds));
                text.push_str(&format!("; at most {refs} and {lag} behind"));
            }
            if *left_out > 0 {
                text.push_str(&format!("; {left_out} more changes are not listed"));
            }
            text
        }
    }
}

impl<'a> MirrorPage<'a> {
    pub fn new(
        status: &'a MirrorStatus,
        history: &[HistoryRow],
        note: Option<Note>,
        now: DateTime<Utc>,
    ) -> MirrorPage<'a> {
        let difference = status.difference.as_ref();
        let refs = difference.map(|difference| difference.refs.as_slice()).unwrap_or_default();
        let renewals = status.renewal.as_ref().map(|renewal| renewal.history.as_slice()).unwrap_or_default();
        let renewed = renewals.iter().map(|renewed| RenewedLine {
            at: Moment::new(renewed.at, now),
            until: renewed.until.to_string(),
            by: renewed.by.as_deref().unwrap_or("-"),
        });
        MirrorPage {
            is_paused: status.condition == Condition::Paused,
            check_every: words::seconds(status.check_every_seconds),
            max_lag: words::seconds(status.max_lag_seconds),
            differing: refs.iter().map(|differing| RefLine::new(differing, now)).collect(),
            refs_left_out: difference.map_or(0, |difference| difference.refs_left_out),
            differing_since: difference.and_then(|difference| Moment::of(difference.since, now)),
            notices: status.notices.iter().map(|notice| NoticeLine::new(notice, now)).collect(),
            renewals: renewed.collect(),
            past: history.iter().take(SHOWN).map(|row| PastLine::new(row, now)).collect(),
            past_left_out: history.len().saturating_sub(SHOWN),
            mirror: MirrorLine::new(status, now),
            note,
        }
    }
}
