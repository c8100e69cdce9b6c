//! The log written and read, in a folder of its own.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock set by hand.
struct Hand(Mutex<DateTime<Utc>>);

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("no panic")
    }
}

struct Kept {
    folder: TempDir,
    clock: Arc<Hand>,
    settings: Settings,
}

impl Kept {
    fn new() -> Kept {
        let folder = tempfile::tempdir().expect("a folder");
        let start = DateTime::from_timestamp_millis(1_800_000_000_123).expect("a moment");
        let settings = Settings {
            folder: folder.path().join("audit"),
            max_size: 1 << 20,
            keep: DAY * 400,
            what: What::Versions,
            addresses: true,
        };
        Kept { folder, clock: Arc::new(Hand(Mutex::new(start))), settings }
    }

    fn start(&self) -> Records {
        let auditor = Auditor::start(&self.settings, self.clock.clone()).expect("a folder that can be written");
        self.records(Some(Arc::new(auditor)))
    }

    fn records(&self, auditor: Option<Arc<Auditor>>) -> Records {
        Records { folder: self.settings.folder.clone(), clock: self.clock.clone(), auditor }
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().expect("no panic") += time;
    }

    fn current(&self) -> std::path::PathBuf {
        self.settings.folder.join("audit.jsonl")
    }
}

impl Records {
    fn note(&self, module: &str, version: &str) {
        let line = Line { module: module.to_owned(), version: version.to_owned(), ..Line::default() };
        self.auditor.as_ref().expect("it is written").note(line);
    }

    fn versions(&self, wanted: &Wanted) -> Vec<String> {
        self.search(wanted).expect("it can be read").lines.into_iter().map(|line| line.version).collect()
    }
}

fn all() -> Wanted {
    Wanted { limit: 1000, ..Wanted::default() }
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_noted_is_found_the_newest_first() {
    let kept = Kept::new();
    let records = kept.start();
    for (module, version) in [("a.example/m", "v1.0.0"), ("a.example/m/v2", "v2.0.0"), ("a.example/m", "v1.1.0")] {
        records.note(module, version);
        kept.pass(Duration::from_secs(1));
    }
    assert_eq!(records.versions(&all()), ["v1.1.0", "v2.0.0", "v1.0.0"]);
    let of = |module: &str| Wanted { module: Some(module.to_owned()), ..all() };
    let table: [(&str, Wanted, &[&str]); 8] = [
        ("a module", of("a.example/m"), &["v1.1.0", "v1.0.0"]),
        ("all below", of("a.example/m/..."), &["v1.1.0", "v2.0.0", "v1.0.0"]),
        ("below a part of a name", of("a.example/.../..."), &[]),
        ("the beginning of a name is another", of("a.example"), &[]),
        ("a version", Wanted { version: Some("v1.0.0".to_owned()), ..of("a.example/m") }, &["v1.0.0"]),
        ("since", Wanted { since: DateTime::from_timestamp_millis(1_800_000_001_123), ..all() }, &["v1.1.0", "v2.0.0"]),
        ("until", Wanted { until: DateTime::from_timestamp_millis(1_800_000_001_123), ..all() }, &["v1.0.0"]),
        ("somebody else", Wanted { who: Some("ci".to_owned()), ..all() }, &[]),
    ];
    for (row, wanted, expected) in table {
        assert_eq!(records.versions(&wanted), expected, "{row}");
    }
}

#[test]
fn a_wrong_version_and_a_query_are_found_by_each_of_their_names() {
    let kept = Kept::new();
    let records = kept.start();
    let auditor = records.auditor.as_ref().expect("it is written");
    let line = |version: &str, asked: Option<&str>, right: Option<&str>| Line {
        version: version.to_owned(),
        asked: asked.map(str::to_owned),
        right: right.map(str::to_owned),
        ..Line::default()
    };
    auditor.note(line("v1.0.0-wrong", None, Some("v1.0.0-right")));
    auditor.note(line("v1.0.0-right", Some("main"), None));
    let found = |version: &str| records.versions(&Wanted { version: Some(version.to_owned()), ..all() }).len();
    assert_eq!([found("v1.0.0-wrong"), found("v1.0.0-right"), found("main"), found("v1.0.0")], [1, 2, 1, 0]);
}

#[test]
fn pages_follow_each_other_without_a_gap_over_files_that_turn_over() {
    let kept = Kept::new();
    let records = kept.start();
    for day in 0..3 {
        for number in 0..5 {
            records.note("a.example/m", &format!("v{day}.{number}.0"));
            records.auditor.as_ref().expect("it is written").settle();
        }
        kept.pass(DAY);
    }
    let folder = &kept.settings.folder;
    assert_eq!(files(folder), ["audit-20270115T080000123Z.jsonl", "audit-20270116T080000123Z.jsonl", "audit.jsonl"]);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = records.search(&Wanted { limit: 4, after, ..all() }).expect("it can be read");
        seen.extend(page.lines.into_iter().map(|line| line.version));
        // What is written while somebody reads on moves nothing, nor does a file that is closed.
        records.note("a.example/late", "v9.0.0");
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<String> =
        (0..3).rev().flat_map(|day| (0..5).rev().map(move |number| format!("v{day}.{number}.0"))).collect();
    assert_eq!(seen, expected);
    let error = records.search(&Wanted { after: Some("1".to_owned()), ..all() }).expect_err("no mark");
    assert_eq!(error.to_string(), "after: \"1\" (expected the next of a page)");
}

#[test]
fn a_full_file_is_closed_and_no_line_is_cut() {
    let kept = Kept::new();
    let records = kept.start();
    let long = "x".repeat(1000);
    for number in 0..3000 {
        records.note(&format!("a.example/{long}"), &format!("v1.{number}.0"));
        if number % 500 == 0 {
            records.auditor.as_ref().expect("it is written").settle();
            kept.pass(Duration::from_secs(1));
        }
    }
    let found = records.search(&Wanted { limit: 10_000, ..Wanted::default() }).expect("it can be read");
    assert_eq!(found.lines.len(), 3000);
    assert!(files(&kept.settings.folder).len() > 2, "{:?}", files(&kept.settings.folder));
}

#[test]
fn files_go_when_their_last_line_is_too_old() {
    let mut kept = Kept::new();
    kept.settings.keep = DAY * 2;
    let records = kept.start();
    records.note("a.example/m", "v1.0.0");
    records.auditor.as_ref().expect("it is written").settle();
    // The file's own time is the real clock's.
    let written = SystemTime::from(kept.clock.now());
    fs::File::options().append(true).open(kept.current()).expect("a file").set_modified(written).expect("set");
    kept.pass(DAY);
    records.note("a.example/m", "v1.1.0");
    assert_eq!(records.versions(&all()), ["v1.1.0", "v1.0.0"], "a day is not too old");
    kept.pass(DAY + Duration::from_secs(3600));
    records.note("a.example/m", "v1.2.0");
    assert_eq!(records.versions(&all())[0], "v1.2.0");
    assert!(!records.versions(&all()).contains(&"v1.0.0".to_owned()));
}

#[test]
fn half_a_line_of_a_killed_process_is_ended_and_skipped() {
    let kept = Kept::new();
    let records = kept.start();
    records.note("a.example/m", "v1.0.0");
    drop(records);
    let mut file = OpenOptions::new().append(true).open(kept.current()).expect("the log");
    file.write_all(br#"{"time":"2027-01-15T08:00:00.123Z","who":"ci","mod"#).expect("half a line");
    assert_eq!(kept.records(None).versions(&all()), ["v1.0.0"], "a reader beside the writer");
    let records = kept.start();
    records.note("a.example/m", "v1.1.0");
    assert_eq!(records.versions(&all()), ["v1.1.0", "v1.0.0"]);
    drop(records);
    let text = fs::read_to_string(kept.current()).expect("the log");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with('\n'), "{text}");
}

#[test]
fn all_that_was_noted_is_there_when_the_process_ends() {
    let kept = Kept::new();
    let records = kept.start();
    for number in 0..5000 {
        records.note("a.example/m", &format!("v1.{number}.0"));
    }
    let auditor = records.auditor.clone().expect("it is written");
    auditor.close();
    assert_eq!((auditor.written(), auditor.lost()), (5000, 0));
    let text = fs::read_to_string(kept.current()).expect("the log");
    assert_eq!(text.lines().count(), 5000);
    auditor.note(Line::default());
    assert_eq!(auditor.lost(), 1, "what comes too late is counted");
}

#[test]
fn a_log_that_cannot_be_written_loses_lines_and_comes_back() {
    let kept = Kept::new();
    let records = kept.start();
    records.note("a.example/m", "v1.0.0");
    let auditor = records.auditor.clone().expect("it is written");
    auditor.settle();
    // Nobody can write to a folder, whoever runs this.
    fs::remove_file(kept.current()).expect("the log");
    fs::create_dir(kept.current()).expect("a folder in its place");
    records.note("a.example/m", "v1.1.0");
    auditor.settle();
    assert_eq!((auditor.written(), auditor.lost()), (1, 1));
    fs::remove_dir(kept.current()).expect("the folder");
    records.note("a.example/m", "v1.2.0");
    assert_eq!(records.versions(&all()), ["v1.2.0"]);
    assert_eq!((auditor.written(), auditor.lost()), (2, 1));
}

#[test]
fn strangers_who_knock_without_end_fill_no_disk_and_hide_nobody() {
    let kept = Kept::new();
    let records = kept.start();
    let auditor = records.auditor.clone().expect("a log");
    let knock = |who: &str| {
        auditor.note(Line { who: who.to_owned(), status: 401, module: "example.com/m".to_owned(), ..Line::default() });
    };
    (0..5_000).for_each(|_| knock(""));
    knock("a token that expired");
    assert_eq!(auditor.lost(), 4_000);
    kept.pass(Duration::from_secs(3));
    (0..10).for_each(|_| knock(""));
    assert_eq!(auditor.lost(), 4_007, "one for each second");
    auditor.close();
    assert_eq!(auditor.written(), 1_004);
}

#[test]
fn a_file_that_somebody_moved_away_is_begun_anew() {
    let kept = Kept::new();
    let records = kept.start();
    records.note("a.example/m", "v1.0.0");
    assert_eq!(records.versions(&all()), ["v1.0.0"]);
    fs::rename(kept.current(), kept.folder.path().join("taken")).expect("moved");
    records.note("a.example/m", "v1.1.0");
    assert_eq!(records.versions(&all()), ["v1.1.0"]);
}

#[test]
fn lines_say_where_from_only_if_they_may() {
    for (addresses, expected) in [(true, "203.0.113.7"), (false, "")] {
        let mut kept = Kept::new();
        kept.settings.addresses = addresses;
        let records = kept.start();
        let address = Some("203.0.113.7".parse().expect("an address"));
        records.auditor.as_ref().expect("it is written").note(Line { address, ..Line::default() });
        let found = records.search(&all()).expect("it can be read").lines;
        let shown = found[0].address.map(|address| address.to_string()).unwrap_or_default();
        assert_eq!(shown, expected);
        let text = fs::read_to_string(kept.current()).expect("the log");
        assert_eq!(text.contains("203.0.113.7"), addresses, "{text}");
    }
}

#[test]
fn only_its_owner_reads_the_log() {
    let kept = Kept::new();
    let records = kept.start();
    records.note("a.example/m", "v1.0.0");
    drop(records);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&kept.settings.folder), mode(&kept.current())), (0o700, 0o600));
}

#[test]
fn a_folder_that_cannot_be_made_is_said_at_the_start() {
    let mut kept = Kept::new();
    fs::write(kept.folder.path().join("file"), "").expect("a file");
    kept.settings.folder = kept.folder.path().join("file/audit");
    let error = Auditor::start(&kept.settings, kept.clock.clone()).err().expect("no folder can be there");
    assert!(error.to_string().contains("the audit log cannot be written"), "{error}");
    assert_eq!(error.remedies(), ["name another folder in [audit] path, or set enabled = false"]);
}

#[test]
fn a_log_that_is_not_there_holds_nothing() {
    let kept = Kept::new();
    assert_eq!(kept.records(None).versions(&all()), [""; 0]);
}
