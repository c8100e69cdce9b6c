//! Git servers and folders that are gone, hang, or whose released versions moved.

mod aged;
mod support;

use std::time::{Duration, Instant};

use aged::age;
use support::client::Answered;
use support::fixture::{self, Fixture};
use support::git_server::Asked;
use support::modvet::{self, Modvet};
use support::relay::{Passage, Relay};
use support::release::Release;
use support::world::World;

const MODULE: &str = "github.com/modvet-fixtures/moved";
const FILES: [&str; 3] = ["@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip"];

const HISTORY: &str = "# A release whose tag will be moved.
at 2019-01-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/moved
  
  go 1.20
file moved.go
  package moved
commit first; tag v1.0.0
at 2019-01-02T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/moved
  
  go 1.21
file added.go
  package moved
commit second";

fn history() -> Fixture {
    fixture::parse("moved", HISTORY)
}

/// modvet over a git server, with a relay between them and lines of the upstream's own.
fn world(lines: &str) -> (World, Relay) {
    let mut between = None;
    let world = World::with(&[history()], |server| {
        let relay = Relay::to(server.address());
        let settings = format!("{}{lines}", modvet::over_git(&relay.url(), "rewrite", ""));
        between = Some(relay);
        Modvet::start(&settings)
    });
    (world, between.expect("it was started"))
}

/// The same so many hours later.
fn later(world: World, hours: i64) -> World {
    world.again(|home| {
        age(&home, hours);
        home.serve()
    })
}

fn word(answered: &Answered) -> &str {
    answered.header("x-modvet-cache").unwrap_or("no word")
}

fn ask(world: &World, tail: &str, expected: &str) -> Answered {
    let answered = world.modvet.get(MODULE, tail);
    assert_eq!((answered.status, word(&answered)), (200, expected), "{tail}: {}", world.modvet.log());
    answered
}

#[test]
fn a_git_server_that_hangs_or_is_gone_keeps_nobody_from_what_is_kept() {
    let (world, relay) = world("");
    let hash = format!("@v/{}.info", world.names("moved").commit("first"));
    let mut tails: Vec<&str> = FILES.to_vec();
    tails.extend(["@v/list", "@latest", "@v/main.info", &hash]);
    let first: Vec<Vec<u8>> = tails.iter().map(|tail| ask(&world, tail, "miss").body).collect();
    let mut world = world;
    for passage in [Passage::Stalled, Passage::Cut] {
        relay.set(passage);
        world = later(world, 25);
        for (tail, first) in tails.iter().zip(&first) {
            let start = Instant::now();
            let answered = ask(&world, tail, "stale");
            assert!(answered.body == *first, "{tail}: {}", answered.text());
            // The limit is a second; the machine may be busy elsewhere.
            assert!(start.elapsed() < Duration::from_secs(3), "{passage:?}: {tail}: {:?}", start.elapsed());
        }
    }
    let answered = world.modvet.get("github.com/modvet-fixtures/other", "@v/list");
    assert_eq!(answered.status, 502, "{}", answered.text());
    assert!(answered.text().contains("upstream git"), "{}", answered.text());
}

#[test]
fn a_git_server_is_asked_for_its_refs_only_whether_a_version_is_the_same() {
    let (world, _relay) = world("");
    FILES.iter().for_each(|tail| drop(ask(&world, tail, "miss")));
    let world = later(world, 25);
    let before = world.server.counts().of(Asked::Files);
    FILES.iter().for_each(|tail| drop(ask(&world, tail, "revalidated")));
    assert_eq!(world.server.counts().of(Asked::Files), before);
    FILES.iter().for_each(|tail| drop(ask(&world, tail, "hit")));
}

#[test]
fn a_moved_tag_changes_nothing_for_clients_and_is_recorded() {
    let (world, _relay) = world("");
    let first: Vec<Vec<u8>> = FILES.iter().map(|tail| ask(&world, tail, "miss").body).collect();
    world.tag("moved", "v1.0.0", "second");
    let world = later(world, 25);
    for (tail, first) in FILES.iter().zip(&first) {
        let answered = ask(&world, tail, "stale");
        assert!(answered.body == *first, "{tail}: {}", answered.text());
    }
    let log = world.modvet.log();
    let line = log.lines().find(|line| line.contains("WARN") && line.contains("came back different"));
    assert!(line.is_some_and(|line| line.contains(&format!("{MODULE}@v1.0.0"))), "{log}");
}

#[test]
fn with_replace_a_moved_tag_is_followed() {
    let (world, _relay) = world("on_change = \"replace\"\n");
    FILES.iter().for_each(|tail| drop(ask(&world, tail, "miss")));
    world.tag("moved", "v1.0.0", "second");
    let world = later(world, 25);
    let second = world.names("moved").commit("second");
    let replaced: Vec<Answered> = FILES.iter().map(|tail| world.modvet.get(MODULE, tail)).collect();
    assert!(replaced[0].text().contains(&second), "{}", replaced[0].text());
    assert!(replaced[1].text().contains("go 1.21"), "{}", replaced[1].text());
    assert!(String::from_utf8_lossy(&replaced[2].body).contains("added.go"));
}

#[test]
fn the_files_of_one_version_never_come_from_two_commits() {
    let (world, _relay) = world("list_validity = \"0s\"\n");
    let info = ask(&world, FILES[0], "miss");
    world.tag("moved", "v1.0.0", "second");
    // Until the refs are asked for again nobody knows of it; with a list they are.
    ask(&world, "@v/list", "miss");
    let answered = world.modvet.get(MODULE, FILES[2]);
    assert_eq!(answered.status, 502, "{}", answered.text());
    for commit in ["first", "second"] {
        let hash = &world.names("moved").commit(commit)[..12];
        assert!(answered.text().contains(hash), "{commit}: {}", answered.text());
    }
    assert!(answered.text().contains("on_change"), "the way out: {}", answered.text());
    assert_eq!(world.modvet.get(MODULE, FILES[0]).body, info.body);
}

#[test]
fn a_folder_is_asked_by_size_and_time_and_may_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("modules");
    let release = Release::new("example.test/m", "v1.0.0");
    release.put_into(&path);
    let settings = format!("[[upstream]]\nname = \"up\"\nkind = \"dir\"\npath = '{}'\n", path.display());
    let mut server = Modvet::start(&settings);
    let asked = |server: &Modvet, expected: &str| {
        for (ending, content) in release.endings() {
            let answered = server.get("example.test/m", &format!("@v/v1.0.0.{ending}"));
            assert_eq!((answered.status, word(&answered)), (200, expected), "{ending}: {}", server.log());
            assert!(ending == "info" || answered.body == content, "{ending}");
        }
    };
    let later = |server: Modvet| {
        let home = server.killed();
        age(&home, 25);
        home.serve()
    };
    asked(&server, "miss");
    server = later(server);
    asked(&server, "revalidated");
    let folder_of_version = path.join("example.test/m/@v");
    Release::new("example.test/m", "v1.0.0").at("2020-02-02T00:00:00Z").file("added.go", "package m\n").put_into(&path);
    server = later(server);
    let answered = server.get("example.test/m", "@v/v1.0.0.zip");
    assert!((answered.status, word(&answered)) == (200, "stale") && answered.body == release.zip(), "{}", server.log());
    std::fs::remove_dir_all(folder_of_version).expect("a writable folder");
    server = later(server);
    asked(&server, "stale");
}
