//! Cold answers in a history of 50,000 commits and 500 tags, side by side with the go command in direct mode.
//!
//! `cargo bench --bench cold`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::Criterion;
use measured::deep::{COMMITS, Deep, Expected, git};
use measured::wire::Wire;
use measured::{compare, compare_bytes, median, middle};
use serde::Deserialize;
use support::git_server::{Flavour, GitServer};
use support::go::{Go, run};
use support::modvet::Modvet;

const MODULE: &str = "github.com/bench/deep";
/// Clients after one cold key.
const HERD: usize = 100;
/// How often slow programs are run that are only compared with.
const RUNS: usize = 3;
const PREFIXES: usize = 50;

fn main() {
    let deep = Deep::made();
    let server = GitServer::start(&deep.folder, Flavour::Filters);
    let mut criterion = Criterion::default().configure_from_args();
    first(&mut criterion, &deep, &server);
    second(&mut criterion, &deep, &server);
    herd(&mut criterion, &deep, &server);
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
    let mut fetched = 0;
    let ours = median(&mut group, "first pseudo-version", || {
        let modvet = empty(server);
        let before = server.counts().bytes();
        let took = asked(&mut Wire::connect(modvet.address()), &expected);
        fetched = server.counts().bytes() - before;
        took
    });
    group.finish();
    if ours.is_none() {
        return;
    }
    let (theirs, of_go) = go(server, &expected);
    compare("first pseudo-version, modvet to go list", ours, Some(theirs));
    compare_bytes("bytes of a first pseudo-version, modvet to go list", fetched, of_go);
    compare_bytes("bytes of a first pseudo-version, modvet to a full clone", fetched, clone(server));
}

/// What the go command takes for the same with an empty cache: time and bytes.
fn go(server: &GitServer, expected: &Expected) -> (Duration, u64) {
    let go = Go::new(&server.url(), &["github.com"]);
    let mut fetched = 0;
    let times = (0..RUNS).map(|_| {
        let cache = go.fresh();
        let before = server.counts().bytes();
        let start = Instant::now();
        let output = run(go.command(&cache).args(["list", "-m", "-json", &format!("{MODULE}@{}", expected.hash)]));
        let took = start.elapsed();
        fetched = server.counts().bytes() - before;
        assert_eq!(version(&output.stdout), expected.version, "{}", String::from_utf8_lossy(&output.stderr));
        took
    });
    (middle(times.collect()).expect("it ran"), fetched)
}

/// What the go command takes for further commits of a repository that its cache holds.
fn go_again(server: &GitServer, first: &Expected, others: &[Expected]) -> Vec<Duration> {
    let go = Go::new(&server.url(), &["github.com"]);
    let cache = go.fresh();
    let list = |expected: &Expected| {
        let start = Instant::now();
        let output = run(go.command(&cache).args(["list", "-m", "-json", &format!("{MODULE}@{}", expected.hash)]));
        let took = start.elapsed();
        assert_eq!(version(&output.stdout), expected.version, "{}", String::from_utf8_lossy(&output.stderr));
        took
    };
    list(first);
    others.iter().map(list).collect()
}

/// The bytes of a full clone.
fn clone(server: &GitServer) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let before = server.counts().bytes();
    let url = format!("{}bench/deep.git", server.url());
    measured::deep::run(git(folder.path()).args(["clone", "--quiet", "--bare", &url, "clone"]));
    server.counts().bytes() - before
}

/// What is asked of a repository whose history is here.
fn second(criterion: &mut Criterion, deep: &Deep, server: &GitServer) {
    let modvet = empty(server);
    let mut wire = Wire::connect(modvet.address());
    let known = deep.commit(COMMITS / 2);
    asked(&mut wire, &known);
    let mut group = criterion.benchmark_group("history here");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_millis(500));
    let mut next = 0;
    let ours = median(&mut group, "second commit", || {
        // Far apart, so that none is a neighbour of one before; 7919 is prime to their number.
        next = (next + 7919) % 40_000;
        asked(&mut wire, &deep.commit(1_000 + next))
    });
    if ours.is_some() {
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
    median(&mut group, "same hash again", || asked(&mut wire, &known));
    // Refs older than this are asked for again, and that is another question.
    let requests = server.counts().requests();
    let mut next = 0;
    let each = median(&mut group, "a path that is no module", || {
        next += 1;
        prefixes(&mut wire, &known, next)
    });
    if each.is_some() {
        println!(
            "count  requests to git for {next} times {PREFIXES} such paths: {}",
            server.counts().requests() - requests
        );
    }
    group.finish();
}

/// The mean time of a 404 for paths below a repository, each asked for once.
fn prefixes(wire: &mut Wire, known: &Expected, round: usize) -> Duration {
    let start = Instant::now();
    for number in 0..PREFIXES {
        let path = format!("/{MODULE}/none{round}/of{number}/@v/{}.info", known.hash);
        let (status, body) = wire.get(&path);
        assert_eq!(status, 404, "{path}: {}", String::from_utf8_lossy(body));
    }
    start.elapsed() / PREFIXES as u32
}

/// Many clients after one cold key: no more is fetched than for one, and it takes hardly longer.
fn herd(criterion: &mut Criterion, deep: &Deep, server: &GitServer) {
    let expected = deep.commit(COMMITS / 3);
    let mut group = criterion.benchmark_group("herd");
    group.sample_size(10).measurement_time(Duration::from_secs(10)).warm_up_time(Duration::from_millis(500));
    let mut requests = [0, 0];
    let timed = |clients: usize, requests: &mut u64| {
        let modvet = empty(server);
        let mut wires: Vec<Wire> = (0..clients).map(|_| Wire::connect(modvet.address())).collect();
        let before = server.counts().requests();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for wire in &mut wires {
                scope.spawn(|| asked(wire, &expected));
            }
        });
        let took = start.elapsed();
        *requests = server.counts().requests() - before;
        took
    };
    let one = median(&mut group, "1 client", || timed(1, &mut requests[0]));
    let many = median(&mut group, &format!("{HERD} clients"), || timed(HERD, &mut requests[1]));
    group.finish();
    if one.is_some() && many.is_some() {
        assert_eq!(requests[0], requests[1], "requests to git for one client and for many");
    }
    compare(&format!("{HERD} clients after one cold key, to one client"), many, one);
}
