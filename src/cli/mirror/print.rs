//! Mirrors as people read them: a table that fits 80 columns, and all of one mirror.

use chrono::{DateTime, TimeDelta, Utc};

use super::is_outdated;
use crate::cli::cache::print::{Cell, age, count, plain};
use crate::monitor::{Difference, Event, HistoryRow, MirrorStatus, NoticeStatus, RefDifference, RenewalStatus};
use crate::ports::Condition;

/// So long the table tells of a letter that will not arrive any more; what is known of one mirror has it for longer.
const NEWS: TimeDelta = TimeDelta::days(7);

/// One line for each mirror.
pub fn table(statuses: &[MirrorStatus], now: DateTime<Utc>) -> Vec<Vec<Cell>> {
    let head = ["MIRROR", "CONDITION", "SINCE", "BEHIND", "CHECKED", "RENEWAL"];
    let mut rows = vec![head.map(Cell::text).to_vec()];
    rows.extend(statuses.iter().map(|status| {
        vec![
            Cell::text(&status.name),
            Cell::text(condition(status.condition)),
            Cell::text(ago(now, status.since)),
            Cell::text(status.difference.as_ref().map_or_else(|| "-".to_owned(), behind)),
            Cell::text(checked(status, now)),
            Cell::text(status.renewal.as_ref().map_or_else(|| "-".to_owned(), due)),
        ]
    }));
    rows
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Unchecked => "unchecked",
        other => other.words(),
    }
}

fn ago(now: DateTime<Utc>, then: Option<DateTime<Utc>>) -> String {
    then.map_or_else(|| "-".to_owned(), |then| age(now, then))
}

fn checked(status: &MirrorStatus, now: DateTime<Utc>) -> String {
    match status.last_attempt {
        None => "never".to_owned(),
        Some(last) if is_outdated(status, now) => format!("{} ago!", age(now, last)),
        Some(last) => format!("{} ago", age(now, last)),
    }
}

fn behind(difference: &Difference) -> String {
    let mut parts = Vec::new();
    if difference.behind_refs > 0 {
        let refs = count(difference.behind_refs, "ref", "refs");
        parts.push(match difference.behind_commits {
            Some(commits) if commits > 0 => format!("{refs}, {}", count(commits, "commit", "commits")),
            _ => refs,
        });
    }
    if difference.ahead_refs > 0 {
        parts.push(format!("{} ahead", difference.ahead_refs));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

fn due(renewal: &RenewalStatus) -> String {
    format!("{} ({})", renewal.due, days_left(renewal))
}

fn days_left(renewal: &RenewalStatus) -> String {
    match renewal.days_left {
        left if left < 0 => format!("{}d over", -left),
        0 => "today".to_owned(),
        left => format!("{left}d"),
    }
}

/// What the table has no room for; nothing where all is well.
pub fn remark(status: &MirrorStatus, now: DateTime<Utc>) -> Option<String> {
    let name = &status.name;
    let mut lines = Vec::new();
    if status.condition.is_bad() || status.condition == Condition::Lagging {
        lines.push(format!("{name}: {}", status.summary));
    }
    if let Some(error) = status.error.as_ref().filter(|error| !status.summary.contains(error.as_str())) {
        lines.push(format!("{name}: the last check came to nothing: {error}"));
    }
    if let Some(last) = status.last_attempt.filter(|_| is_outdated(status, now)) {
        lines.push(format!("{name}: not checked for {}: is `modvet serve` running?", age(now, last)));
    }
    if let Some(renewal) = status.renewal.as_ref().filter(|renewal| renewal.is_overdue) {
        let at = renewal.url.as_ref().map(|url| format!(", at {url}")).unwrap_or_default();
        let who = renewal.owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default();
        lines.push(format!("{name}: {} lapsed on {}: to be renewed{who}{at}", renewal.what, renewal.due));
    }
    lines.extend(status.renewal.as_ref().and_then(untold).map(|line| format!("{name}: {line}")));
    // What was not tried yet is on its way and no news.
    let is_news =
        |notice: &&NoticeStatus| notice.error.is_some() && (notice.state.is_open() || now - notice.since < NEWS);
    let notices: Vec<&NoticeStatus> = status.notices.iter().filter(is_news).collect();
    lines.extend(by_channel(&notices).into_iter().map(|line| format!("{name}: {line}")));
    (!lines.is_empty()).then(|| clean(&lines).join("\n"))
}

/// What others wrote steers no terminal; ways out stand on lines of their own.
fn clean(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| text.lines()).map(plain).collect()
}

/// Whether the owner hears of what has to be renewed.
pub fn untold(renewal: &RenewalStatus) -> Option<String> {
    let owner = renewal.owner.as_ref().filter(|_| !renewal.is_owner_told)?;
    Some(format!("{owner} gets no mail about the renewal: there is no [smtp]"))
}

/// A line for each channel and outcome, with the newest reason.
fn by_channel(notices: &[&NoticeStatus]) -> Vec<String> {
    let mut groups: Vec<(String, u64, Option<&str>)> = Vec::new();
    for notice in notices {
        let key = format!("by {} {}", notice.to(), notice.state.words());
        let at = groups.iter().position(|(known, ..)| *known == key).unwrap_or_else(|| {
            groups.push((key, 0, None));
            groups.len() - 1
        });
        let (_, number, error) = &mut groups[at];
        *number += 1;
        *error = notice.error.as_deref().or(*error);
    }
    let line = |(key, number, error): (String, u64, Option<&str>)| {
        let why = error.map(|error| format!(": {error}")).unwrap_or_default();
        format!("{} {key}{why}", count(number, "notice", "notices"))
    };
    groups.into_iter().map(line).collect()
}

/// A letter that did not reach somebody.
fn notice(notice: &NoticeStatus, now: DateTime<Utc>) -> String {
    let NoticeStatus { subject, state, tries, since, next, error, .. } = notice;
    let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let next = match next {
        Some(next) if *next > now => format!(", again in {}", age(*next, now)),
        _ => String::new(),
    };
    let tried = count(u64::from(*tries), "try", "tries");
    format!("by {} {} ({tried}, {} ago{next}){why}: {subject}", notice.to(), state.words(), age(now, *since))
}

/// All that is known of one mirror.
pub fn page(status: &MirrorStatus, now: DateTime<Utc>) -> Vec<String> {
    let moment = |then: Option<DateTime<Utc>>| match then {
        Some(then) => format!("{} ({} ago)", then.format("%Y-%m-%dT%H:%M:%SZ"), age(now, then)),
        None => "never".to_owned(),
    };
    let mut lines = vec![format!("{}: {}", status.name, status.summary)];
    let mut field = |key: &str, value: &str| lines.push(format!("  {key:<13}{value}"));
    field("kind", &status.kind);
    field("source", &status.source);
    field("mirror", &status.mirror);
    field("condition", status.condition.words());
    if status.since.is_some() {
        field("since", &moment(status.since));
    }
    if let Some(difference) = &status.difference {
        field("behind", &behind(difference));
        if let Some(since) = difference.since {
            field("seen first", &moment(Some(since)));
        }
        field("newest", &newest(difference));
    }
    field("last attempt", &moment(status.last_attempt));
    field("last success", &moment(status.last_success));
    field("last in sync", &moment(status.last_in_sync));
    if let Some(error) = &status.error {
        field("error", error);
    }
    if let Some(renewal) = &status.renewal {
        field("renewal", &format!("{}: {}", renewal.what, due(renewal)));
        for (key, value) in [("owner", &renewal.owner), ("renew at", &renewal.url)] {
            if let Some(value) = value {
                field(key, value);
            }
        }
        for renewed in &renewal.history {
            let by = renewed.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            field("renewed", &format!("{} until {}{by}", renewed.at.format("%Y-%m-%d"), renewed.until));
        }
        if let Some(line) = untold(renewal) {
            field("owner", &line);
        }
    }
    for found in &status.notices {
        field("notice", &notice(found, now));
    }
    if let Some(difference) = &status.difference {
        lines.extend(refs(difference));
    }
    clean(&lines)
}

fn newest(difference: &Difference) -> String {
    let day = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string());
    format!("source {}, mirror {}", day(difference.newest.source), day(difference.newest.mirror))
}

fn refs(difference: &Difference) -> Vec<String> {
    let mut lines: Vec<String> = difference.refs.iter().map(|found| format!("  {}", reference(found))).collect();
    if difference.refs_left_out > 0 {
        lines.push(format!("  and {} more", difference.refs_left_out));
    }
    lines
}

fn reference(found: &RefDifference) -> String {
    let mut facts = Vec::new();
    match (&found.source, &found.mirror) {
        (Some(_), None) => facts.push("missing on the mirror".to_owned()),
        (None, Some(_)) => facts.push("only on the mirror".to_owned()),
        (Some(source), Some(mirror)) => facts.push(format!("source {}, mirror {}", short(source), short(mirror))),
        (None, None) => {}
    }
    if let Some(behind) = found.behind_commits.filter(|behind| *behind > 0) {
        facts.push(format!("{} behind", count(behind, "commit", "commits")));
    }
    if let Some(ahead) = found.ahead_commits.filter(|ahead| *ahead > 0) {
        facts.push(format!("{} ahead", count(ahead, "commit", "commits")));
    }
    if found.is_diverged {
        facts.push("diverged".to_owned());
    }
    format!("{}: {}", found.name, facts.join(", "))
}

/// An object's id as people know it; of a proxy it is a time or a version, and stays whole.
pub fn short(id: &str) -> &str {
    let is_id = id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &id[..12] } else { id }
}

/// What became of it, a line each.
pub fn history(rows: &[HistoryRow]) -> Vec<String> {
    let line = |row: &HistoryRow| {
        let what = match &row.event {
            Event::Changed { from, to, summary } => format!("{} -> {}: {summary}", from.words(), to.words()),
            Event::Told { subject, .. } => format!("told: {subject}"),
            Event::Synced { error: Some(error), .. } => format!("sync came to nothing: {error}"),
            Event::Synced { updated, refused: 0, .. } => format!("synced: {}", count(*updated, "ref", "refs")),
            Event::Synced { updated, refused, .. } => {
                format!("synced: {}, {refused} refused", count(*updated, "ref", "refs"))
            }
            Event::Renewed { until, by } => {
                format!("renewed until {until}{}", by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())
            }
            Event::Day { checks, failures, most_behind_refs, .. } => {
                format!(
                    "{}, {failures} failed, at most {most_behind_refs} refs behind",
                    count(*checks, "check", "checks")
                )
            }
        };
        plain(&format!("  {}  {what}", row.at.format("%Y-%m-%d %H:%M")))
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::DeliveryState;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
    }

    fn notice(channel: &str, state: DeliveryState, days_ago: i64, error: Option<&str>) -> NoticeStatus {
        NoticeStatus {
            id: "m-1".to_owned(),
            subject: "m is stale".to_owned(),
            at: now() - TimeDelta::days(days_ago),
            channel: channel.to_owned(),
            address: None,
            state,
            tries: 1,
            since: now() - TimeDelta::days(days_ago),
            next: None,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn letters_that_did_not_arrive_are_told_by_channel_with_the_newest_reason() {
        let notices = vec![
            notice("old", DeliveryState::GivenUp, 8, Some("gone")),
            notice("chat", DeliveryState::Waiting, 8, Some("first")),
            notice("pager", DeliveryState::Refused, 1, Some("no\u{1b}[2J\nname another")),
            notice("chat", DeliveryState::Waiting, 0, Some("second")),
            notice("new", DeliveryState::Waiting, 0, None),
        ];
        let status = MirrorStatus {
            name: "m".to_owned(),
            condition: Condition::InSync,
            check_every_seconds: 900,
            notices,
            ..MirrorStatus::default()
        };
        let lines =
            "m: 2 notices by chat not delivered yet: second\nm: 1 notice by pager refused: no?[2J\nname another";
        assert_eq!(remark(&status, now()).as_deref(), Some(lines));
        let page = page(&status, now());
        assert_eq!(page.iter().filter(|line| line.starts_with("  notice ")).count(), 5, "{page:#?}");
        assert!(page.iter().all(|line| !line.chars().any(char::is_control)), "{page:#?}");
    }
}
