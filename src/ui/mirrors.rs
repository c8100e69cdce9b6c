//! All mirrors at a glance: who needs somebody stands first.

use std::cmp::Reverse;

use askama::Template;
use chrono::{DateTime, Utc};

use super::upstreams::UpstreamLine;
use super::words::{self, Moment};
use crate::monitor::{Difference, MirrorStatus, RenewalStatus};
use crate::ports::Condition;

/// `/mirrors`
#[derive(Template)]
#[template(path = "mirrors.html")]
pub struct MirrorsPage<'a> {
    tally: String,
    mirrors: Vec<MirrorLine<'a>>,
    upstreams: Vec<UpstreamLine>,
}

impl<'a> MirrorsPage<'a> {
    pub fn new(statuses: &'a [MirrorStatus], upstreams: Vec<UpstreamLine>, now: DateTime<Utc>) -> MirrorsPage<'a> {
        let mut sorted: Vec<&MirrorStatus> = statuses.iter().collect();
        sorted.sort_by_key(|status| (Reverse(status.is_bad()), &status.name));
        let mirrors = sorted.into_iter().map(|status| MirrorLine::new(status, now)).collect();
        MirrorsPage { tally: tally(statuses), mirrors, upstreams }
    }
}

/// What is said of a mirror here and on its own page.
pub(super) struct MirrorLine<'a> {
    pub status: &'a MirrorStatus,
    pub address: String,
    pub class: &'static str,
    pub since: Option<Moment>,
    pub behind: String,
    pub undelivered: String,
    pub newest_source: Option<Moment>,
    pub newest_mirror: Option<Moment>,
    pub last_attempt: Option<Moment>,
    pub last_success: Option<Moment>,
    pub last_in_sync: Option<Moment>,
    pub next_check: Option<Moment>,
    pub renewal: Option<RenewalLine<'a>>,
}

impl<'a> MirrorLine<'a> {
    pub fn new(status: &'a MirrorStatus, now: DateTime<Utc>) -> MirrorLine<'a> {
        let newest = status.difference.as_ref().map(|difference| difference.newest).unwrap_or_default();
        MirrorLine {
            address: address(&status.name),
            class: words::class(status.condition),
            since: Moment::of(status.since, now),
            behind: behind(status),
            undelivered: words::counted(status.undelivered, "notice"),
            newest_source: Moment::of(newest.source, now),
            newest_mirror: Moment::of(newest.mirror, now),
            last_attempt: Moment::of(status.last_attempt, now),
            last_success: Moment::of(status.last_success, now),
            last_in_sync: Moment::of(status.last_in_sync, now),
            next_check: Moment::of(status.next_check, now),
            renewal: status.renewal.as_ref().map(RenewalLine::new),
            status,
        }
    }
}

/// What lapses when.
pub(super) struct RenewalLine<'a> {
    pub renewal: &'a RenewalStatus,
    pub class: &'static str,
    pub left: String,
    /// Only what leads to a page: another scheme in it would be followed, too.
    pub link: Option<&'a str>,
}

impl<'a> RenewalLine<'a> {
    fn new(renewal: &'a RenewalStatus) -> RenewalLine<'a> {
        let days = |count: u64| words::counted(count, "day");
        let left = match renewal.days_left {
            ..0 => format!("overdue: lapsed {} ago", days(renewal.days_left.unsigned_abs())),
            0 => "today is the last day".to_owned(),
            left => format!("{} left", days(left.unsigned_abs())),
        };
        let class = match renewal.days_left {
            ..0 => "bad",
            0..=30 => "warn",
            _ => "good",
        };
        let is_page = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
        RenewalLine { renewal, class, left, link: renewal.url.as_deref().filter(is_page) }
    }
}

/// The address of a mirror's own page.
pub fn address(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("/mirrors/{}", utf8_percent_encode(name, SEGMENT))
}

/// How much there is to take over.
fn behind(status: &MirrorStatus) -> String {
    let Some(difference) = &status.difference else {
        return if status.last_success.is_some() { "nothing" } else { "unknown" }.to_owned();
    };
    let unit = if status.kind == "proxy" { "version" } else { "ref" };
    let Difference { behind_refs, ahead_refs, .. } = *difference;
    let behind = amount(behind_refs, unit, difference.behind_commits);
    match ahead_refs {
        0 => behind,
        _ => format!("{behind}; the mirror has its own: {}", amount(ahead_refs, unit, difference.ahead_commits)),
    }
}

fn amount(refs: u64, unit: &str, commits: Option<u64>) -> String {
    match (refs, commits) {
        (0, _) => "nothing".to_owned(),
        (refs, Some(commits)) => format!("{}, {}", words::counted(refs, unit), words::counted(commits, "commit")),
        (refs, None) => words::counted(refs, unit),
    }
}

/// `12 mirrors: 1 stale, 11 in sync; 1 renewal overdue`.
fn tally(statuses: &[MirrorStatus]) -> String {
    let count = |condition: Condition| statuses.iter().filter(|status| status.condition == condition).count();
    let words = Condition::ALL.iter().rev().map(|condition| (count(*condition), condition.words()));
    let parts: Vec<String> = words.filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let overdue = statuses.iter().filter(|status| status.renewal.as_ref().is_some_and(|renewal| renewal.is_overdue));
    let mut text = format!("{}: {}", words::counted(statuses.len() as u64, "mirror"), parts.join(", "));
    match overdue.count() {
        0 => {}
        overdue => text.push_str(&format!("; {} overdue", words::counted(overdue as u64, "renewal"))),
    }
    text
}
