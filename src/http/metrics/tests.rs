use super::*;

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

#[test]
fn every_figure_stands_on_the_page_under_its_name() {
    let metrics = Metrics::new(DateTime::from_timestamp(1_800_000_000, 0));
    for (route, status, ms) in [("zip", 200, 3), ("zip", 200, 3000), ("", 404, 0)] {
        metrics.answered(route, status, Duration::from_millis(ms));
    }
    let corp = UpstreamReading {
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
        ..UpstreamReading::default()
    };
    let reading = Reading {
        ready: true,
        upstreams: vec![corp, UpstreamReading { name: "never asked".to_owned(), ..UpstreamReading::default() }],
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
