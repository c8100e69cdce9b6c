//! Every page as a golden file; `BLESS=1` rewrites them.

use std::path::PathBuf;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::fault::FaultPage;
use super::home::HomePage;
use super::mirror::{MirrorPage, Note};
use super::mirrors::MirrorsPage;
use super::sync::{SyncPage, SyncState};
use super::upstreams::UpstreamLine;
use super::{STYLE, html};
use crate::error::{Error, Result};
use crate::monitor::upstreams::{CertificateStatus, UpstreamStatus};
use crate::monitor::{
    DeliveryState, Difference, Event, HistoryRow, MirrorStatus, NoticeStatus, Plan, Planned, RefDifference,
    RenewalStatus, Renewed, Synced, UpdateKind,
};
use crate::ports::{Condition, Newest, RefUpdate, Transfer, Updated};
use crate::registry::Health;
use crate::spec::info::ObjectId;

fn now() -> DateTime<Utc> {
    "2026-11-21T09:00:00Z".parse().expect("a moment")
}

fn ago(minutes: i64) -> Option<DateTime<Utc>> {
    Some(now() - TimeDelta::minutes(minutes))
}

fn in_sync(name: &str) -> MirrorStatus {
    MirrorStatus {
        name: name.to_owned(),
        kind: "git".to_owned(),
        source: format!("https://git.example/{name}.git"),
        mirror: format!("https://mirror.example/{name}.git"),
        condition: Condition::InSync,
        since: ago(60 * 24 * 20),
        summary: "all 12 refs are the same".to_owned(),
        difference: None,
        error: None,
        last_attempt: ago(3),
        last_success: ago(3),
        last_in_sync: ago(3),
        next_check: ago(-12),
        check_every_seconds: 900,
        max_lag_seconds: 86400,
        renewal: None,
        undelivered: 0,
        notices: Vec::new(),
    }
}

fn differing(name: &str, ends: [Option<&str>; 2], commits: [Option<u64>; 2]) -> RefDifference {
    RefDifference {
        name: name.to_owned(),
        source: ends[0].map(str::to_owned),
        mirror: ends[1].map(str::to_owned),
        behind_commits: commits[0],
        ahead_commits: commits[1],
        is_diverged: commits[1].is_some_and(|ahead| ahead > 0),
        since: ago(60 * 70),
    }
}

/// It has everything that can be wrong with one.
fn diverged() -> MirrorStatus {
    let (one, other) = ("1".repeat(40), "2".repeat(40));
    let refs = vec![
        differing("refs/heads/main", [Some(&one), Some(&other)], [Some(3), Some(1)]),
        differing("refs/heads/<b>&\"'", [Some(&one), None], [None, None]),
    ];
    let newest = Newest { source: ago(90), mirror: ago(60 * 72) };
    let difference = Difference {
        since: ago(60 * 70),
        behind_refs: 2,
        behind_commits: Some(3),
        ahead_refs: 1,
        ahead_commits: Some(1),
        newest,
        refs,
        refs_left_out: 4,
    };
    let renewal = RenewalStatus {
        what: "open source subscription".to_owned(),
        due: "2026-11-18".parse().expect("a date"),
        days_left: -3,
        is_overdue: true,
        every: Some("1y".to_owned()),
        owner: Some("ops@example.com".to_owned()),
        is_owner_told: false,
        url: Some("https://mirror.example/renew?a=1&b=2".to_owned()),
        history: vec![Renewed {
            at: now() - TimeDelta::days(368),
            until: "2026-11-18".parse().expect("a date"),
            by: Some("Ada".to_owned()),
        }],
    };
    MirrorStatus {
        condition: Condition::Diverged,
        since: ago(60 * 70),
        summary: "refs/heads/main has 1 commit that the source lacks".to_owned(),
        difference: Some(difference),
        error: Some("https://mirror.example: <timed out>".to_owned()),
        last_success: ago(20),
        last_in_sync: ago(60 * 71),
        renewal: Some(renewal),
        undelivered: 2,
        notices: vec![
            notice(DeliveryState::GivenUp, "chat", None),
            notice(DeliveryState::Waiting, "post", Some("ops@example.com")),
        ],
        ..in_sync("python-gitlab")
    }
}

/// One that a receiver answers with something that looks like a page.
fn notice(state: DeliveryState, channel: &str, address: Option<&str>) -> NoticeStatus {
    NoticeStatus {
        id: "python-gitlab-3".to_owned(),
        subject: "python-gitlab: <diverged>".to_owned(),
        at: now() - TimeDelta::days(4),
        channel: channel.to_owned(),
        address: address.map(str::to_owned),
        state,
        tries: 9,
        since: now() - TimeDelta::hours(3),
        next: (state == DeliveryState::Waiting).then(|| now() + TimeDelta::minutes(20)),
        error: Some("hooks.example answered 500: <h1>no</h1>".to_owned()),
    }
}

fn unchecked() -> MirrorStatus {
    MirrorStatus {
        condition: Condition::Unchecked,
        since: None,
        summary: "not checked yet".to_owned(),
        last_attempt: None,
        last_success: None,
        last_in_sync: None,
        ..in_sync("new")
    }
}

/// An upstream whose token lapsed, and whose certificate will.
fn refused(name: &str) -> UpstreamStatus {
    let ends = now() + TimeDelta::days(9);
    UpstreamStatus {
        name: name.to_owned(),
        kind: "proxy".to_owned(),
        address: Some("https://proxy.example/".to_owned()),
        condition: Condition::Refused,
        since: ago(30),
        summary: "refused: 401 Unauthorized".to_owned(),
        credential_refused: true,
        error: Some(format!("{name}: 401 Unauthorized")),
        last_attempt: ago(1),
        last_success: ago(31),
        latency_ms: Some(40),
        next_check: ago(-14),
        certificate: Some(CertificateStatus { host: "proxy.example".to_owned(), ends, days_left: 9 }),
        undelivered: 0,
    }
}

/// Everything that can have happened.
fn past(by: &str) -> Vec<HistoryRow> {
    let until = "2027-11-18".parse().expect("a date");
    let (from, to, summary) = (Condition::InSync, Condition::Stale, format!("behind since yesterday: {by}"));
    let day = Event::Day { checks: 96, failures: 2, most_behind_refs: 3, longest_lag_seconds: 90_000, left_out: 5 };
    let events = [
        day,
        Event::Renewed { until, by: Some(by.to_owned()) },
        Event::Synced { updated: 2, refused: 1, error: None },
        Event::Synced { updated: 0, refused: 0, error: Some(format!("timed out: {by}")) },
        Event::Told { letter: "python-gitlab-1".to_owned(), subject: format!("python-gitlab is stale {by}") },
        Event::Changed { from, to, summary },
    ];
    let row = |(n, event)| HistoryRow { at: now() - TimeDelta::hours(n), event };
    (1..).zip(events).map(row).collect()
}

fn planned(name: &str, ends: [Option<u8>; 2], kind: UpdateKind, is_diverged: bool) -> Planned {
    let [from, to] = ends.map(|end| end.map(|byte| ObjectId([byte; 20])));
    let update = RefUpdate { name: name.to_owned(), from, to };
    let commits = [Some(2), Some(u64::from(is_diverged))];
    Planned { update, kind, is_diverged, behind_commits: commits[0], ahead_commits: commits[1] }
}

fn plan(updates: Vec<Planned>) -> Plan {
    let MirrorStatus { source, mirror, name, .. } = in_sync("library");
    let digest = "5f0c".repeat(8);
    Plan { name, source, mirror, updates, behind_commits: Some(6), is_source_empty: false, digest }
}

fn compare(row: &str, page: &impl Template) {
    let found = html(page).expect("a page");
    well_formed(row, &found);
    // The stylesheet would be a part of every difference.
    let found = found.replace(STYLE, "");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/ui").join(format!("{row}.html"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &found).expect("a writable golden file");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, golden, "{row}: BLESS=1 rewrites the golden files");
}

/// Every element that was begun is ended, in order, and no attribute is without its quotes.
fn well_formed(row: &str, page: &str) {
    const VOID: [&str; 5] = ["meta", "link", "input", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (tag, after) = rest[at + 1..].split_once('>').unwrap_or_else(|| panic!("{row}: no end of {}", &rest[at..]));
        rest = after;
        let name = tag.split([' ', '\n']).next().expect("a part");
        assert!(tag.matches('"').count() % 2 == 0 && !tag.contains('<'), "{row}: <{tag}>");
        match name.strip_prefix('/') {
            Some(ended) => assert_eq!(open.pop(), Some(ended), "{row}: </{ended}>"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").expect("an end of the style")..];
        }
    }
    assert!(open.is_empty(), "{row}: never ended: {open:?}");
}

#[test]
fn what_others_wrote_is_text_on_every_page() {
    let hostile = "<script>alert(1)</script>";
    let mut status = diverged();
    let difference = status.difference.as_mut().expect("a difference");
    difference.refs[0].name = hostile.to_owned();
    difference.refs[0].source = Some(hostile.to_owned());
    let renewal = status.renewal.as_mut().expect("a renewal");
    (renewal.what, renewal.owner) = (hostile.to_owned(), Some(hostile.to_owned()));
    renewal.url = Some(format!("https://x/\"onclick=\"{hostile}"));
    renewal.history[0].by = Some(hostile.to_owned());
    for field in [&mut status.source, &mut status.mirror, &mut status.summary, &mut status.name, &mut status.kind] {
        *field = hostile.to_owned();
    }
    status.error = Some(hostile.to_owned());
    let health =
        Health { last_failure: ago(1), failure: Some(hostile.into()), consecutive_failures: 1, ..Health::default() };
    let upstreams = vec![UpstreamLine::new(hostile, health, Some(&refused(hostile)), now())];
    let statuses = [status];
    let fault = FaultPage { title: hostile, what: hostile.into(), remedies: vec![hostile.into()], back: None };
    let pages = [
        html(&MirrorsPage::new(&statuses, upstreams, now())),
        html(&MirrorPage::new(&statuses[0], &past(hostile), None, now())),
        html(&fault),
        html(&HomePage::new(hostile, "default", &[hostile.to_owned()])),
    ];
    for (n, page) in pages.into_iter().enumerate() {
        let page = page.expect("a page");
        assert!(!page.contains("<script") && page.contains("alert(1)"), "{n}: {page}");
        assert!(!page.contains("\"onclick"), "{n}: {page}");
        well_formed(&n.to_string(), &page);
    }
}

#[test]
fn a_link_leads_to_a_page_or_is_none() {
    let mut status = diverged();
    for (url, is_link) in [("javascript:alert(1)", false), ("https://a.example/", true), ("data:text/html,x", false)] {
        status.renewal.as_mut().expect("a renewal").url = Some(url.to_owned());
        let page = html(&MirrorPage::new(&status, &[], None, now())).expect("a page");
        assert_eq!(page.contains(&format!("href=\"{url}\"")), is_link, "{url}");
    }
}

#[test]
fn who_needs_somebody_stands_first() {
    let health = Health { last_success: ago(2), latency_ms: Some(85), ..Health::default() };
    let failing = Health {
        last_failure: ago(1),
        failure: Some("timed out".to_owned()),
        consecutive_failures: 3,
        ..health.clone()
    };
    let upstreams = vec![
        UpstreamLine::new("corp", failing, None, now()),
        UpstreamLine::new("private", health.clone(), Some(&refused("private")), now()),
        UpstreamLine::new("public", health, None, now()),
        UpstreamLine::new("spare", Health::default(), None, now()),
    ];
    let paused = MirrorStatus { condition: Condition::Paused, next_check: None, ..in_sync("attic") };
    let statuses = [paused, in_sync("library"), unchecked(), diverged()];
    compare("mirrors", &MirrorsPage::new(&statuses, upstreams, now()));
    compare("mirrors-none", &MirrorsPage::new(&[], Vec::new(), now()));
}

#[test]
fn a_mirror_with_everything_and_one_with_nothing() {
    compare("mirror-diverged", &MirrorPage::new(&diverged(), &past("Ada"), None, now()));
    compare("mirror-in-sync", &MirrorPage::new(&in_sync("library"), &[], Some(Note::Checked), now()));
    compare("mirror-unchecked", &MirrorPage::new(&unchecked(), &[], None, now()));
}

#[test]
fn nobody_is_offered_to_check_a_mirror_that_is_paused() {
    for (condition, is_offered) in [(Condition::Paused, false), (Condition::Stale, true)] {
        let status = MirrorStatus { condition, ..in_sync("attic") };
        let page = html(&MirrorPage::new(&status, &[], None, now())).expect("a page");
        assert_eq!(page.contains("/mirrors/attic/check"), is_offered, "{condition:?}");
    }
}

#[test]
fn the_start_page_names_the_registries_that_are_to_be_had() {
    let one = ["default".to_owned()];
    compare("home", &HomePage::new("https://proxy.example", "default", &one));
    let two = ["ci".to_owned(), "default".to_owned()];
    compare("home-two", &HomePage::new("http://127.0.0.1:3000", "default", &two));
}

#[test]
fn a_fault_names_the_way_out() {
    let remedies = vec!["did you mean python-gitlab?".to_owned()];
    let what = "python-gitlap: no such mirror".to_owned();
    compare("fault", &FaultPage { title: "Not found", what, remedies, back: Some("/mirrors".to_owned()) });
}

#[test]
fn a_sync_is_told_before_it_while_it_goes_and_after_it() {
    let updates = vec![
        planned("refs/heads/new", [None, Some(0x11)], UpdateKind::Create, false),
        planned("refs/heads/main", [Some(0x22), Some(0x11)], UpdateKind::Forward, false),
        planned("refs/tags/v1.0.0", [Some(0x22), Some(0x11)], UpdateKind::Overwrite, true),
        planned("refs/heads/gone", [Some(0x22), None], UpdateKind::Delete, false),
        planned("refs/heads/<i>own</i>", [Some(0x22), None], UpdateKind::Delete, true),
    ];
    let show = |plan: Result<Plan>, last| SyncPage::new("library", SyncState::Ready { plan, last }, now());
    compare("sync-plan", &show(Ok(plan(updates.clone())), None));
    let refused = Updated { name: "refs/tags/v1.0.0".to_owned(), refused: Some("protected <tag>".to_owned()) };
    let taken = Updated { name: "refs/heads/main".to_owned(), refused: None };
    let synced = Synced { plan: plan(updates), updated: vec![taken, refused], status: in_sync("library") };
    compare("sync-over", &show(Ok(plan(Vec::new())), ago(2).map(|at| (at, Ok(Box::new(synced))))));
    let failed = Err(Error::conflict("it diverged").about("library").remedy("say force"));
    compare("sync-failed", &show(Err(Error::bad_gateway("timed out")), ago(2).map(|at| (at, failed))));
    let transfer = Some(Transfer::Pushing { done: 1 << 20, all: 5 << 20 });
    compare("sync-going", &SyncPage::new("library", SyncState::Going { since: now(), transfer }, now()));
}
