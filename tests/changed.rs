//! What is kept is asked for again in time, and a released version never changes silently.

mod aged;
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aged::age;
use serde_json::Value;
use support::client::{self, Answered};
use support::double::{Conduct, Double, Validator};
use support::modvet::{Home, Modvet};
use support::relay::{Passage, Relay};
use support::release::Release;

const MODULE: &str = "example.test/m";
const FILES: [&str; 3] = ["@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip"];

fn first() -> Release {
    Release::new(MODULE, "v1.0.0")
}

/// The same version, made anew from other sources.
fn second() -> Release {
    let go_mod = "module example.test/m\n\ngo 1.21\n";
    first().at("2020-02-02T00:00:00Z").file("go.mod", go_mod).file("added.go", "package m\n")
}

/// The content of a version's file.
fn content(release: &Release, tail: &str) -> Vec<u8> {
    let found = release.endings().into_iter().find(|(ending, _)| tail.ends_with(ending));
    found.expect("a file of a version").1
}

/// modvet before an upstream `up`, which has lines of its own.
fn serving(double: &Double, lines: &str) -> Modvet {
    Modvet::start(&format!("{}{lines}", double.settings("up")))
}

/// The same modvet so many hours later.
fn later(modvet: Modvet, hours: i64) -> Modvet {
    let home = modvet.killed();
    age(&home, hours);
    home.serve()
}

fn word(answered: &Answered) -> &str {
    answered.header("x-modvet-cache").unwrap_or("no word")
}

/// Asks for a file and looks at the word and at what came.
fn expect(modvet: &Modvet, tail: &str, expected: &str, content: &[u8]) {
    let answered = modvet.get(MODULE, tail);
    assert_eq!((answered.status, word(&answered)), (200, expected), "{tail}: {}", modvet.log());
    let found = String::from_utf8_lossy(&answered.body);
    assert!(answered.body == content, "{tail}: {found:?}");
    assert_eq!(answered.header("x-modvet-upstream"), Some("up"), "{tail}");
}

fn all(modvet: &Modvet, expected: &str, release: &Release) {
    for tail in FILES {
        expect(modvet, tail, expected, &content(release, tail));
    }
}

/// What the log says of changes.
fn warnings(log: &str) -> Vec<&str> {
    let is_change = |line: &&str| line.contains("WARN") && line.contains("came back different upstream=\"up\"");
    log.lines().filter(is_change).collect()
}

/// How many changes `/metrics` counts.
fn counted(modvet: &Modvet) -> String {
    let page = client::get(modvet.address(), "/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix("modvet_released_changes_total{upstream=\"up\"} "));
    line.unwrap_or_else(|| panic!("{page}")).to_owned()
}

/// Looks at what the API tells of changes: one for each file of the version, with both contents.
fn told(modvet: &Modvet, choice: &str) {
    let page = client::control(&modvet.home().store(), "GET", "/api/v1/changes?upstream=up", "");
    let page: Value = serde_json::from_slice(&page.body).unwrap_or_else(|error| panic!("{error}: {}", page.text()));
    let changes = page["changes"].as_array().unwrap_or_else(|| panic!("{page}"));
    let files: BTreeSet<&str> = changes.iter().filter_map(|change| change["question"].as_str()).collect();
    assert!(files == BTreeSet::from(["info", "mod", "zip"]) && changes.len() == 3, "{page}");
    for change in changes {
        let subject = ["upstream", "module", "version", "choice"].map(|name| change[name].as_str().unwrap_or_default());
        assert_eq!(subject, ["up", MODULE, "v1.0.0", choice], "{page}");
        assert!(change["kept"] != change["found"] && change["seen_at"].is_string(), "{page}");
    }
}

/// What docs/reliability.md says of `X-Modvet-Cache` where a released version changed.
fn word_on_page(on_change: &str) -> &'static str {
    let page = include_str!("../docs/reliability.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| `{on_change}` | the ")));
    row.and_then(|row| row.trim_matches('|').split('|').nth(2)).expect("a row with three cells").trim()
}

/// Waits until a list is answered so.
fn wait_for_list(modvet: &Modvet, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answered = modvet.get(MODULE, "@v/list");
        if answered.text() == expected && word(&answered) == "hit" {
            return;
        }
        assert!(Instant::now() < deadline, "{} {:?} {}", word(&answered), answered.text(), modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn what_is_kept_is_asked_for_again_without_being_sent_again() {
    for (validator, condition) in [(Validator::ETag, "if-none-match"), (Validator::LastModified, "if-modified-since")] {
        let double = Double::start();
        double.tell(validator);
        double.add(&first());
        let modvet = serving(&double, "");
        all(&modvet, "miss", &first());
        all(&modvet, "hit", &first());
        double.forget();
        let modvet = later(modvet, 25);
        all(&modvet, "revalidated", &first());
        all(&modvet, "hit", &first());
        let asked = double.asked();
        assert_eq!(asked.len(), FILES.len(), "{asked:?}");
        assert!(asked.iter().all(|asked| asked.status == 304 && asked.header(condition).is_some()), "{asked:?}");
    }
}

#[test]
fn validity_is_in_hours_and_0_never_checks_versions_again_but_lists() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "cache_validity_hours = 2\n");
    all(&modvet, "miss", &first());
    let modvet = later(modvet, 1);
    all(&modvet, "hit", &first());
    let modvet = later(modvet, 2);
    all(&modvet, "revalidated", &first());

    let modvet = serving(&double, "cache_validity_hours = 0\n");
    all(&modvet, "miss", &first());
    assert_eq!(modvet.get(MODULE, "@v/list").text(), "v1.0.0\n");
    double.add(&Release::new(MODULE, "v1.1.0"));
    double.forget();
    let modvet = later(modvet, 100_000);
    all(&modvet, "hit", &first());
    assert_eq!(double.count(""), 0);
    expect(&modvet, "@v/list", "revalidated", b"v1.0.0\nv1.1.0\n");
}

#[test]
fn lists_are_renewed_behind_the_answer_for_a_day() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "");
    expect(&modvet, "@v/list", "miss", b"v1.0.0\n");
    double.add(&Release::new(MODULE, "v1.1.0"));
    expect(&modvet, "@v/list", "hit", b"v1.0.0\n");
    let modvet = later(modvet, 23);
    double.set("@v/list", Conduct::Late(Duration::from_millis(200)));
    for _ in 0..10 {
        expect(&modvet, "@v/list", "stale", b"v1.0.0\n");
    }
    double.behave();
    wait_for_list(&modvet, "v1.0.0\nv1.1.0\n");
    // The first question, the one whether that is still so, and since it is not, what there is now.
    assert_eq!(double.count("@v/list"), 3, "one renewal at a time: {:?}", double.asked());
    double.add(&Release::new(MODULE, "v1.2.0"));
    let modvet = later(modvet, 25);
    expect(&modvet, "@v/list", "revalidated", b"v1.0.0\nv1.1.0\nv1.2.0\n");
    // What is taken back is gone.
    double.remove("@v/list");
    let modvet = later(modvet, 25);
    assert_eq!(modvet.get(MODULE, "@v/list").status, 404);
}

#[test]
fn a_list_that_never_holds_is_asked_for_each_time() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "list_validity = \"0s\"\n");
    expect(&modvet, "@v/list", "miss", b"v1.0.0\n");
    double.add(&Release::new(MODULE, "v1.1.0"));
    expect(&modvet, "@v/list", "revalidated", b"v1.0.0\nv1.1.0\n");
}

#[test]
fn a_version_that_comes_back_different_is_recorded_and_its_first_content_served() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "");
    all(&modvet, "miss", &first());
    double.add(&second());
    let modvet = later(modvet, 25);
    all(&modvet, word_on_page("keep"), &first());
    let log = modvet.log();
    for tail in FILES {
        let file = format!("file=\"{}\"", tail.rsplit('.').next().expect("an ending"));
        let line = warnings(&log).into_iter().find(|line| line.contains(&file));
        assert!(line.is_some_and(|line| line.contains("example.test/m@v1.0.0")), "{tail}: {log}");
    }
    assert_eq!(counted(&modvet), "3");
    told(&modvet, "keep");
    // Asked for again, it is no other change.
    let modvet = later(modvet, 25);
    all(&modvet, word_on_page("keep"), &first());
    told(&modvet, "keep");
    // Again after a restart, and while the upstream is gone.
    drop(double);
    let modvet = later(modvet, 25);
    all(&modvet, "stale", &first());
    told(&modvet, "keep");
}

#[test]
fn what_was_kept_of_a_changed_version_is_taken_out_by_hand() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "");
    all(&modvet, "miss", &first());
    double.add(&second());
    let modvet = later(modvet, 25);
    all(&modvet, "stale", &first());
    let removed = modvet.home().run(&["cache", "rm", "example.test/m@v1.0.0", "--config", "modvet.toml"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    // What was served first is known beyond its bytes: somebody says which files are to take their place.
    expect(&modvet, FILES[0], "miss", &second().info());
    for tail in &FILES[1..] {
        let refused = modvet.get(MODULE, tail);
        assert_eq!(refused.status, 502, "{tail}: {}", refused.text());
        let text = refused.text();
        let (_, way_out) = text.split_once("modvet cache accept ").expect("the way out");
        let arguments = ["cache", "accept", "--config", "modvet.toml"].into_iter().chain(way_out.split_whitespace());
        let accepted = modvet.home().run(&arguments.collect::<Vec<_>>());
        assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
        expect(&modvet, tail, "miss", &content(&second(), tail));
    }
    told(&modvet, "keep");
}

#[test]
fn with_replace_the_new_content_is_served_and_the_change_recorded_all_the_same() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "on_change = \"replace\"\n");
    all(&modvet, "miss", &first());
    double.add(&second());
    let modvet = later(modvet, 25);
    // With the first file all of the version are brought again: they never mix.
    expect(&modvet, FILES[0], word_on_page("replace"), &second().info());
    all(&modvet, "hit", &second());
    assert_eq!(counted(&modvet), "3");
    told(&modvet, "replace");
    let log = modvet.log();
    assert!(!warnings(&log).is_empty(), "{log}");
}

#[test]
fn of_an_info_only_version_and_time_count() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "");
    all(&modvet, "miss", &first());
    let info = "{\"Time\":\"2019-01-01T00:00:00Z\",\"Version\":\"v1.0.0\",\"Origin\":{\"VCS\":\"git\"}}";
    double.put(&format!("{}/v1.0.0.info", first().folder()), info.as_bytes().to_vec());
    let modvet = later(modvet, 25);
    let answered = modvet.get(MODULE, FILES[0]);
    assert_eq!(word(&answered), "revalidated", "{}", modvet.log());
    assert_eq!(warnings(&modvet.log()), Vec::<&str>::new());
}

#[test]
fn a_stale_answer_comes_within_a_second_from_an_upstream_that_hangs() {
    let double = Double::start();
    double.add(&first());
    let tails = [&FILES[..], &["@v/list", "@latest"]].concat();
    let modvet = serving(&double, "");
    tails.iter().for_each(|tail| assert_eq!(modvet.get(MODULE, tail).status, 200, "{tail}"));
    double.set("", Conduct::Hangs);
    let modvet = later(modvet, 25);
    // Three rounds, since the machine may have been busy elsewhere in one of them.
    for tail in tails {
        let rounds = (0..3).map(|_| {
            let start = Instant::now();
            let answered = modvet.get(MODULE, tail);
            assert_eq!((answered.status, word(&answered)), (200, "stale"), "{tail}: {}", modvet.log());
            start.elapsed()
        });
        let fastest = rounds.min().expect("three");
        assert!(fastest < Duration::from_secs(1), "{tail}: {fastest:?}");
    }
}

#[test]
fn absences_are_remembered_for_a_short_time() {
    let double = Double::start();
    double.add(&first());
    let modvet = serving(&double, "");
    for _ in 0..5 {
        assert_eq!(modvet.get(MODULE, "@v/v1.9.9.info").status, 404);
    }
    assert_eq!(double.count("v1.9.9.info"), 1);
    // Not over a restart: an absence is no fact to be kept.
    let modvet = modvet.killed().serve();
    double.add(&Release::new(MODULE, "v1.9.9"));
    let answered = modvet.get(MODULE, "@v/v1.9.9.info");
    assert_eq!(answered.status, 200, "{}", answered.text());
}

#[test]
fn a_zip_that_was_cut_leaves_nothing_behind() {
    let double = Double::start();
    let ballast: String = (0..200_000u32).map(|number| format!("{}\n", number.wrapping_mul(2_654_435_761))).collect();
    let release = first().file("ballast.txt", &ballast);
    double.add(&release);
    let relay = Relay::to(double.address());
    let settings = format!("[[upstream]]\nname = \"up\"\nkind = \"proxy\"\nurl = \"{}\"\n", relay.url());
    let modvet = Modvet::start(&settings);
    relay.set(Passage::CutAfter(500_000));
    let answered = modvet.get(MODULE, "@v/v1.0.0.zip");
    assert_eq!(answered.status, 502, "{}", answered.text());
    assert!(answered.text().contains("upstream up"), "{}", answered.text());
    relay.set(Passage::Open);
    expect(&modvet, "@v/v1.0.0.zip", "miss", &release.zip());
    relay.set(Passage::Cut);
    expect(&modvet, "@v/v1.0.0.zip", "hit", &release.zip());
}

#[test]
fn compressed_answers_are_the_same_files() {
    let double = Double::start();
    double.gzip();
    double.add(&first());
    let modvet = serving(&double, "");
    all(&modvet, "miss", &first());
    let modvet = later(modvet, 25);
    all(&modvet, "revalidated", &first());
}

#[test]
fn after_a_failure_the_next_upstream_is_asked_only_where_that_is_wanted() {
    let (dead, alive) = (Double::start(), Double::start());
    alive.add(&first());
    dead.set("", Conduct::Status(500));
    let settings = |lines: &str| format!("{}{lines}{}", dead.settings("dead"), alive.settings("up"));
    let home = Home::new();
    home.configure(&settings(""));
    let modvet = home.serve();
    let answered = modvet.get(MODULE, "@v/list");
    assert!(answered.status == 502 && answered.text().contains("upstream dead"), "{}", answered.text());
    assert_eq!(alive.count(""), 0);
    let home = modvet.killed();
    home.configure(&settings("on_failure = \"next\"\n"));
    let modvet = home.serve();
    expect(&modvet, "@v/list", "miss", b"v1.0.0\n");
}
