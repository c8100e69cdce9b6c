use super::*;
use crate::monitor::{Difference, RenewalStatus};
use crate::ports::Condition;

fn database() -> sumdb::Status {
    let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
    sumdb::Status {
        name: "s.org".to_owned(),
        key: "s.org+01234567".to_owned(),
        url: "https://s.org/".to_owned(),
        head: Some(sumdb::HeadStatus { size: 20, hash: String::new(), seen_at: at }),
        fork: Some(sumdb::ForkStatus { seen_at: at, ours: String::new(), theirs: String::new() }),
        out_of_reach_since: None,
        lookups: sumdb::Lookups { kept: 15, proven: 16, absent: 17, failed: 18, refused: 19 },
    }
}

#[test]
fn what_rules_refused_stands_on_the_page() {
    let (registry, rule) = ("default".to_owned(), "no-x".to_owned());
    let reading = Reading { denials: vec![Count { registry, rule, denied: 1, would_deny: 2 }], ..Reading::default() };
    let page = Metrics::new(None).page(&reading).expect("a page");
    for line in [
        "modvet_rules_denied_total{registry=\"default\",rule=\"no-x\"} 1",
        "modvet_rules_would_deny_total{registry=\"default\",rule=\"no-x\"} 2",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

/// An upstream of which every figure is another one.
fn corp() -> UpstreamReading {
    UpstreamReading {
        name: "corp".to_owned(),
        hits: 1,
        misses: 2,
        stale: 3,
        revalidated: 4,
        asked: 5,
        failures: 6,
        absences: 7,
        changes: 8,
        bytes: 9,
        up: Some(false),
        latency: Some(Duration::from_millis(250)),
        credential_refused: Some(true),
        certificate_expiry: DateTime::from_timestamp(1_800_000_000, 0),
        ..UpstreamReading::default()
    }
}

#[test]
fn every_figure_stands_on_the_page_under_its_name() {
    let metrics = Metrics::new(DateTime::from_timestamp(1_800_000_000, 0));
    for (route, status, ms) in [("zip", 200, 3), ("zip", 200, 3000), ("", 404, 0)] {
        metrics.answered(route, status, Duration::from_millis(ms));
    }
    let reading = Reading {
        ready: true,
        upstreams: vec![corp(), UpstreamReading { name: "never asked".to_owned(), ..UpstreamReading::default() }],
        wrong_served: vec![("default".to_owned(), 10)],
        ledgers: vec![LedgerReading { registry: "default".to_owned(), refusals: 15, drifted: 16 }],
        store: Some(StoreReading { live: 12, dead: 13, files: 14, git: 11 }),
        ..Reading::default()
    };
    let page = metrics.page(&reading).expect("a page");
    for line in [
        "process_start_time_seconds 1800000000.0",
        concat!("modvet_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "modvet_ready 1",
        "modvet_requests_total{route=\"zip\",status=\"200\"} 2",
        "modvet_requests_total{route=\"unknown\",status=\"404\"} 1",
        "modvet_request_duration_seconds_count{route=\"zip\"} 2",
        "modvet_request_duration_seconds_bucket{le=\"0.005\",route=\"zip\"} 1",
        "modvet_answers_total{upstream=\"corp\",cache=\"hit\"} 1",
        "modvet_answers_total{upstream=\"corp\",cache=\"miss\"} 2",
        "modvet_answers_total{upstream=\"corp\",cache=\"stale\"} 3",
        "modvet_answers_total{upstream=\"corp\",cache=\"revalidated\"} 4",
        "modvet_answered_bytes_total{upstream=\"corp\"} 9",
        "modvet_upstream_requests_total{upstream=\"corp\"} 5",
        "modvet_upstream_failures_total{upstream=\"corp\"} 6",
        "modvet_upstream_absences_total{upstream=\"corp\"} 7",
        "modvet_released_changes_total{upstream=\"corp\"} 8",
        "modvet_released_changes_total{upstream=\"never asked\"} 0",
        "modvet_upstream_up{upstream=\"corp\"} 0",
        "modvet_upstream_latency_seconds{upstream=\"corp\"} 0.25",
        "modvet_upstream_credential_refused{upstream=\"corp\"} 1",
        "modvet_upstream_certificate_expiry_timestamp_seconds{upstream=\"corp\"} 1800000000",
        "modvet_wrong_versions_served_total{registry=\"default\"} 10",
        "modvet_ledger_refusals_total{registry=\"default\"} 15",
        "modvet_tag_drift{registry=\"default\"} 16",
        "modvet_store_bytes{part=\"live\"} 12",
        "modvet_store_bytes{part=\"dead\"} 13",
        "modvet_store_bytes{part=\"files\"} 14",
        "modvet_store_bytes{part=\"git\"} 11",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
    assert!(!page.contains("modvet_upstream_up{upstream=\"never asked\"}"), "nobody knows");
}

#[test]
fn the_certificate_and_the_audit_log_are_seen() {
    let reading = Reading {
        certificate_expiry: DateTime::from_timestamp(1_800_000_000, 0),
        audit: Some(AuditReading { written: 15, lost: 16 }),
        ..Reading::default()
    };
    let page = Metrics::new(None).page(&reading).expect("a page");
    for line in [
        "modvet_tls_certificate_expiry_timestamp_seconds 1800000000",
        "modvet_audit_lines_total 15",
        "modvet_audit_lost_total 16",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

#[test]
fn what_no_database_vouched_for_is_seen() {
    let corp = UpstreamReading { name: "corp".to_owned(), mismatches: 15, ..UpstreamReading::default() };
    let reading = Reading { upstreams: vec![corp], unverified: Some(16), ..Reading::default() };
    let page = Metrics::new(None).page(&reading).expect("a page");
    for line in ["modvet_sumdb_mismatches_total{upstream=\"corp\"} 15", "modvet_sumdb_unverified 16"] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
    let nobody_checks = Metrics::new(None).page(&Reading::default()).expect("a page");
    assert!(!nobody_checks.contains("modvet_sumdb_unverified"), "{nobody_checks}");
}

#[test]
fn a_database_that_contradicted_itself_is_seen() {
    let reading = Reading { databases: vec![database()], ..Reading::default() };
    let page = Metrics::new(None).page(&reading).expect("a page");
    for line in [
        "modvet_sumdb_lookups_total{database=\"s.org\",result=\"kept\"} 15",
        "modvet_sumdb_lookups_total{database=\"s.org\",result=\"proven\"} 16",
        "modvet_sumdb_lookups_total{database=\"s.org\",result=\"absent\"} 17",
        "modvet_sumdb_lookups_total{database=\"s.org\",result=\"failed\"} 18",
        "modvet_sumdb_lookups_total{database=\"s.org\",result=\"refused\"} 19",
        "modvet_sumdb_head_size{database=\"s.org\"} 20",
        "modvet_sumdb_fork{database=\"s.org\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

fn status(condition: Condition) -> MirrorStatus {
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0);
    MirrorStatus {
        name: "python-gitlab".to_owned(),
        kind: "git".to_owned(),
        source: String::new(),
        mirror: String::new(),
        condition,
        since: at(0),
        summary: String::new(),
        difference: None,
        error: None,
        last_attempt: at(3),
        last_success: at(2),
        last_in_sync: at(1),
        next_check: at(900),
        check_every_seconds: 900,
        max_lag_seconds: 86400,
        renewal: None,
        undelivered: 4,
        notices: Vec::new(),
    }
}

fn renewal() -> RenewalStatus {
    RenewalStatus {
        what: "subscription".to_owned(),
        due: "2027-02-01".parse().expect("a date"),
        days_left: 17,
        is_overdue: false,
        every: None,
        owner: None,
        is_owner_told: false,
        url: None,
        history: Vec::new(),
    }
}

fn mirror_page(status: MirrorStatus) -> String {
    let reading = Reading { mirrors: vec![status], ..Reading::default() };
    Metrics::new(None).page(&reading).expect("a page")
}

#[test]
fn a_mirror_that_is_behind_is_seen() {
    let difference = Difference { behind_refs: 5, behind_commits: Some(6), ..Difference::default() };
    let page = mirror_page(MirrorStatus {
        difference: Some(difference),
        renewal: Some(renewal()),
        ..status(Condition::Stale)
    });
    for line in [
        "modvet_mirror_in_sync{mirror=\"python-gitlab\"} 0",
        "modvet_mirror_condition{mirror=\"python-gitlab\",condition=\"stale\"} 1",
        "modvet_mirror_condition{mirror=\"python-gitlab\",condition=\"in_sync\"} 0",
        "modvet_mirror_behind_refs{mirror=\"python-gitlab\"} 5",
        "modvet_mirror_behind_commits{mirror=\"python-gitlab\"} 6",
        "modvet_mirror_last_attempt_timestamp_seconds{mirror=\"python-gitlab\"} 1800000003.0",
        "modvet_mirror_last_success_timestamp_seconds{mirror=\"python-gitlab\"} 1800000002.0",
        "modvet_mirror_last_in_sync_timestamp_seconds{mirror=\"python-gitlab\"} 1800000001.0",
        "modvet_mirror_check_every_seconds{mirror=\"python-gitlab\"} 900",
        "modvet_mirror_undelivered_notices{mirror=\"python-gitlab\"} 4",
        // The last day still holds: it is overdue when the second of February begins.
        "modvet_renewal_due_timestamp_seconds{mirror=\"python-gitlab\"} 1801526400",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

#[test]
fn what_is_not_known_of_a_mirror_is_not_there() {
    let unchecked =
        MirrorStatus { last_attempt: None, last_success: None, last_in_sync: None, ..status(Condition::Unchecked) };
    let samples = |page: &str| {
        let samples = page.lines().filter(|line| line.contains("mirror=") && !line.contains("modvet_mirror_condition"));
        samples.map(|line| line.split('{').next().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let found = samples(&mirror_page(unchecked));
    assert_eq!(found, ["modvet_mirror_check_every_seconds", "modvet_mirror_undelivered_notices"]);
    let found = samples(&mirror_page(status(Condition::Paused)));
    assert!(!found.iter().any(|name| name == "modvet_mirror_in_sync" || name == "modvet_mirror_check_every_seconds"));
    let unknown = Difference { behind_refs: 1, behind_commits: None, ..Difference::default() };
    let found = samples(&mirror_page(MirrorStatus { difference: Some(unknown), ..status(Condition::Lagging) }));
    assert!(!found.contains(&"modvet_mirror_behind_commits".to_owned()), "{found:?}");
    let page = mirror_page(status(Condition::InSync));
    for line in
        ["modvet_mirror_in_sync{mirror=\"python-gitlab\"} 1", "modvet_mirror_behind_refs{mirror=\"python-gitlab\"} 0"]
    {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

/// The series of a mirror are the same in every condition that is looked at: else alerts would lose them.
#[test]
fn a_mirrors_series_stay_the_same_while_its_condition_changes() {
    let series = |condition: Condition| {
        let page = mirror_page(status(condition));
        let lines = page.lines().filter(|line| line.contains("mirror=")).filter_map(|line| line.rsplit_once(' '));
        lines.map(|(series, _)| series.to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let first = series(Condition::InSync);
    for condition in
        [Condition::Lagging, Condition::Stale, Condition::Diverged, Condition::Unreachable, Condition::Refused]
    {
        assert_eq!(series(condition), first, "{condition:?}");
    }
}

/// An alert on a name that no page has would never fire.
#[test]
fn every_figure_of_the_alert_rules_is_on_the_page() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yml");
    let rules = std::fs::read_to_string(rules).expect("the rules");
    let reading = Reading {
        upstreams: vec![UpstreamReading {
            name: "corp".to_owned(),
            up: Some(true),
            credential_refused: Some(false),
            certificate_expiry: DateTime::from_timestamp(1_800_000_000, 0),
            ..UpstreamReading::default()
        }],
        mirrors: vec![MirrorStatus { renewal: Some(renewal()), ..status(Condition::InSync) }],
        databases: vec![database()],
        ledgers: vec![LedgerReading { registry: "default".to_owned(), refusals: 0, drifted: 0 }],
        audit: Some(AuditReading { written: 0, lost: 0 }),
        certificate_expiry: DateTime::from_timestamp(1_800_000_000, 0),
        ..Reading::default()
    };
    let page = Metrics::new(None).page(&reading).expect("a page");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = rules.split(|c| !is_word(c)).filter(|word| word.starts_with("modvet_"));
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let is_there = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        assert!(page.lines().any(is_there), "{name} is on no page\n{page}");
    }
}
