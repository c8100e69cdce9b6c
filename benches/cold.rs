//! Cold answers in a history of 100,000 commits and 1,000 tags, side by side with the go command in direct mode.
//!
//! `cargo bench --bench cold`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use measured::deep::{COMMITS, Deep, Expected, git};
use measured::process::memory;
use measured::wire::Wire;
use measured::{compare, compare_bytes, is_wanted, median, middle};
use serde::Deserialize;
use support::git_server::{Flavour, GitServer};
use support::go::{Fresh, Go, run};
use support::modvet::{Modvet, over_git};

const MODULE: &str = "github.com/bench/deep";
/// How often slow programs are run that are only compared with.
const RUNS: usize = 3;
const PREFIXES: usize = 50;
/// What is to be reached: for a second commit, for the same hash again, for a path that is no module.
const SECOND: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(1);
const NO_MODULE: Duration = Duration::from_millis(1);

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    let deep = Deep::made();
    let server = GitServer::start(&deep.folder, Flavour::Filters);
    let mut criterion = Criterion::default().configure_from_args();
    first(&mut criterion, &deep, &server);
    second(&mut criterion, &deep, &server);
    pushed(&mut criterion, &deep);
    others(&deep, &server);
    criterion.final_summary();
}

/// A server with nothing kept.
fn empty(server: &GitServer) -> Modvet {
    Modvet::over_git(&server.url(), "rewrite")
}

/// How long the answer to a hash takes, which is looked at.
fn asked(wire: &mut Wire, expected: &Expected) -> Duration {
    let path = format!("/{MODULE}/@v/{}.info", expected.hash);
    let start = Instant::now();
    let (status, body) = wire.get(&path);
    let took = start.elapsed();
    assert_eq!((status, version(body)), (200, expected.version.clone()), "{}", String::from_utf8_lossy(body));
    took
}

fn version(json: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        version: String,
    }
    serde_json::from_slice::<Named>(json).map(|named| named.version).unwrap_or_default()
}

/// The first pseudo-version of a repository that nobody asked for before.
fn first(criterion: &mut Criterion, deep: &Deep, server: &GitServer) {
    let expected = deep.commit(COMMITS / 2 + 3);
    let mut group = criterion.benchmark_group("cold");
    group.sample_size(10).measurement_time(Duration::from_secs(12)).warm_up_time(Duration::from_secs(1));
    let (mut fetched, mut requests, mut peaks) = (0, 0, None);
    let ours = median(&mut group, "first pseudo-version", || {
        let modvet = empty(server);
        let mut wire = Wire::connect(modvet.address());
        let (bytes, before) = (server.counts().bytes(), server.counts().requests());
        let at_start = memory(modvet.id());
        let took = asked(&mut wire, &expected);
        (fetched, requests) = (server.counts().bytes() - bytes, server.counts().requests() - before);
        peaks = at_start.zip(memory(modvet.id()));
        took
    });
    group.finish();
    if ours.is_none() {
        return;
    }
    // Greeting, refs, history, the trees of the commit and of the latest release, a go.mod.
    println!("count  requests to git for a first pseudo-version: {requests} (at most 6)");
    assert!(requests <= 6, "{requests} requests");
    if let Some(((start, _), (_, peak))) = peaks {
        println!("memory of a first pseudo-version: {} MB at most, {} MB at start", peak >> 20, start >> 20);
        assert!(peak < 150 << 20, "{peak} bytes of memory");
    }
    let (theirs, of_go) = go(server, &expected);
    compare("first pseudo-version, modvet to go list (at most 0.25)", ours, Some(theirs));
    compare_bytes("bytes of a first pseudo-version, modvet to go list (at most 0.2)", fetched, of_go);
    assert!(fetched * 5 <= of_go, "{fetched} bytes, and go {of_go}");
    compare_bytes("bytes of a first pseudo-version, modvet to a full clone", fetched, clone(server));
}

/// What the go command takes for the same with an empty cache: time and bytes.
fn go(server: &GitServer, expected: &Expected) -> (Duration, u64) {
    let go = Go::new(&server.url(), &["github.com"]);
    let mut fetched = 0;
    let times = (0..RUNS).map(|_| {
        let before = server.counts().bytes();
        let took = listed(&go, &go.fresh(), expected);
        fetched = server.counts().bytes() - before;
        took
    });
    (middle(times.collect()).expect("it ran"), fetched)
}

/// What the go command takes for further commits of a repository that its cache holds.
fn go_again(server: &GitServer, first: &Expected, others: &[Expected]) -> Vec<Duration> {
    let go = Go::new(&server.url(), &["github.com"]);
    let cache = go.fresh();
    listed(&go, &cache, first);
    others.iter().map(|expected| listed(&go, &cache, expected)).collect()
}

/// How long the go command takes for a hash with what this cache holds; its answer is looked at.
fn listed(go: &Go, cache: &Fresh, expected: &Expected) -> Duration {
    let start = Instant::now();
    let output = run(go.command(cache).args(["list", "-m", "-json", &format!("{MODULE}@{}", expected.hash)]));
    let took = start.elapsed();
    assert_eq!(version(&output.stdout), expected.version, "{}", String::from_utf8_lossy(&output.stderr));
    took
}

/// The bytes of a full clone.
fn clone(server: &GitServer) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let before = server.counts().bytes();
    let url = format!("{}bench/deep.git", server.url());
    measured::deep::run(git(folder.path()).args(["clone", "--quiet", "--bare", &url, "clone"]));
    server.counts().bytes() - before
}

/// Says a time beside its target.
fn beside_target(what: &str, took: Option<Duration>, target: Duration) {
    if let Some(took) = took {
        println!("time   {what}: {took:.2?} (target {target:?})");
    }
}

/// What is asked of a repository whose history is here.
fn second(criterion: &mut Criterion, deep: &Deep, server: &GitServer) {
    let modvet = empty(server);
    let mut wire = Wire::connect(modvet.address());
    let known = deep.commit(COMMITS / 2);
    asked(&mut wire, &known);
    let mut group = criterion.benchmark_group("history here");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_millis(500));
    let (mut next, mut runs, before) = (0, 0, server.counts().requests());
    let ours = median(&mut group, "second commit", || {
        // Far apart, so that none is a neighbour of one before; 7919 is prime to their number.
        next = (next + 7919) % 40_000;
        runs += 1;
        asked(&mut wire, &deep.commit(1_000 + next))
    });
    beside_target("second commit", ours, SECOND);
    if ours.is_some() {
        let requests = server.counts().requests() - before;
        println!("count  requests to git for {runs} further commits: {requests} (one for each, refs once a minute)");
        assert!(requests <= runs + 1, "{requests} requests for {runs} commits");
        let others: Vec<Expected> = (1..=RUNS).map(|n| deep.commit(n * 10_001)).collect();
        compare("second commit, modvet to go list with its cache", ours, middle(go_again(server, &known, &others)));
        let trees = others.iter().map(|expected| deep.tree_from_git(&expected.hash));
        compare("second commit, modvet to git giving out its tree", ours, middle(trees.collect()));
    }
    let mut digits = 40;
    let mut named = known.clone();
    median(&mut group, "another name of a known commit", || {
        digits += 1;
        if digits >= 40 {
            digits = 12;
            next += 1;
            named = deep.commit(45_000 + next % 4_000);
            asked(&mut wire, &named);
        }
        asked(&mut wire, &Expected { hash: named.hash[..digits].to_owned(), ..named.clone() })
    });
    let again = median(&mut group, "same hash again", || asked(&mut wire, &known));
    beside_target("same hash again", again, AGAIN);
    paths_without_a_module(&mut group, &mut wire, &known, server);
    group.finish();
}

/// Paths below a known repository, in all forms and in each form that the go command asks for.
fn paths_without_a_module(group: &mut Group<'_>, wire: &mut Wire, known: &Expected, server: &GitServer) {
    for name in ["a path that is no module", "such a path with a major version", "such a path with capital letters"] {
        let mut round = 0;
        let mut ask = |wire: &mut Wire| {
            round += 1;
            prefixes(wire, known, |number| match name {
                "a path that is no module" => format!("{MODULE}/none{round}/of{number}"),
                "such a path with a major version" => format!("{MODULE}/none{round}x{number}/v2"),
                _ => format!("{MODULE}/!none/!of{round}x{number}"),
            })
        };
        // What is latest is the same for all such paths: its tree comes once. Refs older than a minute are asked for
        // again, and that is another question.
        ask(wire);
        let requests = server.counts().requests();
        let each = median(group, name, || ask(wire));
        if let Some(each) = each {
            let requests = server.counts().requests() - requests;
            println!("count  requests to git for {round} times {PREFIXES} of {name}: {requests} (0)");
            assert_eq!(requests, 0, "{name}");
            beside_target(name, Some(each), NO_MODULE);
            assert!(each < 2 * NO_MODULE, "{name}: {each:?} (expected at most twice the target)");
        }
    }
}

/// The mean time of a 404 for paths below a repository, each asked for once, in one form after the other.
fn prefixes(wire: &mut Wire, known: &Expected, path: impl Fn(usize) -> String) -> Duration {
    let forms = [
        format!("@v/{}.info", known.hash),
        format!("@v/{}.info", known.version),
        "@v/list".to_owned(),
        "@latest".to_owned(),
        format!("@v/{}.mod", known.version),
        format!("@v/{}.zip", known.version),
    ];
    let start = Instant::now();
    for number in 0..PREFIXES {
        let path = format!("/{}/{}", path(number), forms[number % forms.len()]);
        let (status, body) = wire.get(&path);
        assert_eq!(status, 404, "{path}: {}", String::from_utf8_lossy(body));
    }
    start.elapsed() / PREFIXES as u32
}

/// A commit that was pushed after the history was fetched: what is new is fetched and read, and nothing else.
fn pushed(criterion: &mut Criterion, deep: &Deep) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
    measured::deep::run(
        git(folder.path())
            .args(["clone", "--quiet", "--bare", "--local"])
            .args([deep.folder.join("deep").as_os_str(), "deep".as_ref()]),
    );
    let repository = folder.path().join("deep");
    let server = GitServer::start(folder.path(), Flavour::Filters);
    // The refs are asked for with every question.
    let modvet = Modvet::start(&format!("{}list_validity = \"0s\"\n", over_git(&server.url(), "rewrite", "")));
    let mut wire = Wire::connect(modvet.address());
    let mut group = criterion.benchmark_group("history here");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_millis(500));
    let mut first = None;
    let mut runs = 0;
    let (mut bytes, mut requests) = (0, 0);
    let ours = median(&mut group, "a commit pushed since", || {
        first.get_or_insert_with(|| asked(&mut wire, &deep.commit(COMMITS / 2)));
        runs += 1;
        let expected = deep.pushed(&commit(deep, &repository, runs));
        let before = (server.counts().bytes(), server.counts().requests());
        let took = asked(&mut wire, &expected);
        (bytes, requests) = (server.counts().bytes() - before.0, server.counts().requests() - before.1);
        took
    });
    group.finish();
    if ours.is_none() {
        return;
    }
    compare("a commit pushed since, to the first pseudo-version", ours, first);
    println!("count  bytes and requests to git for a commit pushed since: {bytes}, {requests} (refs, commit, tree)");
    assert!(requests <= 3, "{requests} requests");
    let log = modvet.log();
    let grown: Vec<u64> = log.lines().filter(|line| line.contains("history grew")).filter_map(more).collect();
    println!("count  commits read for {runs} pushes of one each: {}", grown.iter().skip(1).sum::<u64>());
    assert_eq!(grown.iter().skip(1).sum::<u64>(), runs, "{log}");
}

/// How many commits a line of the log says were read.
fn more(line: &str) -> Option<u64> {
    let digits = line.split_once("more=").or_else(|| line.split_once("\"more\":"))?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Puts a commit on the main line, and gives its hash.
fn commit(deep: &Deep, repository: &Path, number: u64) -> String {
    let said = |command: &mut Command| {
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let mut made = git(repository);
    for who in ["AUTHOR", "COMMITTER"] {
        made.env(format!("GIT_{who}_NAME"), "Nobody").env(format!("GIT_{who}_EMAIL"), "nobody@example.com");
        made.env(format!("GIT_{who}_DATE"), deep.moment());
    }
    let message = format!("pushed {number}");
    let hash = said(made.args(["commit-tree", "-p", "refs/heads/main", "-m", &message, "refs/heads/main^{tree}"]));
    said(git(repository).args(["update-ref", "refs/heads/main", &hash]));
    hash
}

/// What else is asked of a repository whose history is here, beside the go command with its cache.
fn others(deep: &Deep, server: &GitServer) {
    const QUESTIONS: [(&str, &str, &str); 4] = [
        ("list", "@v/list", ""),
        ("latest", "@latest", "@latest"),
        ("a tag", "@v/v1.5.7.info", "@v1.5.7"),
        ("a branch", "@v/side.info", "@side"),
    ];
    // Not by the harness, which would repeat the first fetch too often: so the words behind the bench are looked at here.
    if !is_wanted("others") {
        return;
    }
    let known = deep.commit(COMMITS / 2);
    let mut ours = QUESTIONS.map(|_| Vec::new());
    for _ in 0..RUNS {
        let modvet = empty(server);
        let mut wire = Wire::connect(modvet.address());
        asked(&mut wire, &known);
        for ((_, tail, _), times) in QUESTIONS.iter().zip(&mut ours) {
            let start = Instant::now();
            let (status, body) = wire.get(&format!("/{MODULE}/{tail}"));
            times.push(start.elapsed());
            assert_eq!(status, 200, "{tail}: {}", String::from_utf8_lossy(body));
        }
    }
    let go = Go::new(&server.url(), &["github.com"]);
    let cache = go.fresh();
    let list = |arguments: &[&str]| {
        let start = Instant::now();
        let output = run(go.command(&cache).args(["list", "-m", "-json"]).args(arguments));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        start.elapsed()
    };
    list(&[&format!("{MODULE}@{}", known.hash)]);
    for ((what, _, query), ours) in QUESTIONS.iter().zip(ours) {
        let module = format!("{MODULE}{query}");
        let arguments: &[&str] = if query.is_empty() { &["-versions", &module] } else { &[&module] };
        let theirs = (0..RUNS).map(|_| list(arguments)).collect();
        compare(&format!("{what}, modvet to go list with its cache"), middle(ours), middle(theirs));
    }
}
