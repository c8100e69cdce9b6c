//! What answers cost, counted at the git server.

mod support;

use std::sync::Barrier;

use support::client::{self, Answered};
use support::fixture::{self, Fixture};
use support::git_server::Asked;
use support::modvet::{self, Home};
use support::world::World;

const MODULE: &str = "github.com/modvet-fixtures/heavy";

/// How much the zip weighs at least; digits of chance shrink to half their size.
const HEAVY: u64 = 256 << 10;

/// A module with a file that is not cheap to fetch, and folders that are no modules.
fn heavy() -> Fixture {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut line = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("  // {state:016x}\n")
    };
    let ballast: String = (0..40_000).map(|_| line()).collect();
    fixture::parse(
        "heavy",
        &format!(
            "# Its files are not worth fetching for a go.mod.\nat 2019-01-01T00:00:00Z\nfile go.mod\n  module {MODULE}\n\
             file heavy.go\n  package heavy\n{ballast}file in/side/side.go\n  package side\n\
             commit first; tag v1.0.0\ncommit between\ncommit more\nat 2019-01-02T00:00:00Z\ncommit tip; branch topic"
        ),
    )
}

/// modvet over the heavy module, whose refs hold for `validity`.
fn world(validity: &str) -> World {
    World::with(&[heavy()], |git| started(&git.url(), validity, Home::new()))
}

fn started(git: &str, validity: &str, home: Home) -> modvet::Modvet {
    home.configure(&format!("{}list_validity = \"{validity}\"\n", modvet::over_git(git, "rewrite", "")));
    let mut command = home.command(&["serve", "--config", "modvet.toml"]);
    command.env("MODVET_LOG", "modvet=debug");
    home.serve_by(command)
}

fn asked(world: &World) -> [usize; 3] {
    [Asked::Refs, Asked::History, Asked::Files].map(|what| world.server.counts().of(what))
}

fn ok(answered: Answered) -> Answered {
    assert_eq!(answered.status, 200, "{}", answered.text());
    answered
}

#[test]
fn a_go_mod_needs_no_files_but_itself() {
    let world = world("1h");
    ok(world.modvet.get(MODULE, "@v/v1.0.0.info"));
    ok(world.modvet.get(MODULE, "@v/v1.0.0.mod"));
    ok(world.modvet.get(MODULE, "@v/list"));
    let light = world.server.counts().bytes();
    assert!(light < 16 << 10, "{light} bytes for the go.mod of a heavy module");
    let zip = ok(world.modvet.get(MODULE, "@v/v1.0.0.zip"));
    assert!(zip.body.len() as u64 > HEAVY, "the zip has {} bytes: this proves nothing", zip.body.len());
    assert!(world.server.counts().bytes() - light > HEAVY, "the files came from somewhere");
}

#[test]
fn the_zip_of_another_version_costs_only_the_files_that_differ() {
    let world = world("1h");
    ok(world.modvet.get(MODULE, "@v/v1.0.0.zip"));
    let tip = world.names("heavy").expand("v1.0.1-0.20190102000000-{tip:12}");
    let before = world.server.counts().bytes();
    ok(world.modvet.get(MODULE, &format!("@v/{tip}.info")));
    ok(world.modvet.get(MODULE, &format!("@v/{tip}.zip")));
    let more = world.server.counts().bytes() - before;
    assert!(more < 16 << 10, "{more} bytes for a version with the same files");
}

#[test]
fn a_pseudo_version_needs_history_and_no_files() {
    let world = world("1h");
    let tip = world.names("heavy").expand("{tip:12}");
    let info = ok(world.modvet.get(MODULE, &format!("@v/{tip}.info")));
    assert!(info.text().contains(&format!("v1.0.1-0.20190102000000-{tip}")), "{}", info.text());
    assert!(world.server.counts().bytes() < 16 << 10, "{} bytes", world.server.counts().bytes());
}

#[test]
fn a_path_that_is_no_module_is_told_from_what_is_at_hand() {
    let world = world("1h");
    let tip = world.names("heavy").expand("{tip:12}");
    ok(world.modvet.get(MODULE, "@v/list"));
    let info = ok(world.modvet.get(MODULE, &format!("@v/{tip}.info")));
    let version = serde_json::from_slice::<serde_json::Value>(&info.body).expect("json")["Version"].clone();
    ok(world.modvet.get(MODULE, &format!("@v/{}.mod", version.as_str().expect("a string"))));
    let before = (world.server.counts().requests(), asked(&world));
    for below in ["in", "in/side", "in/side/deeper", "nowhere"] {
        for tail in ["@v/list", "@latest", &format!("@v/{tip}.info"), "@v/v1.0.0.info"] {
            let answered = world.modvet.get(&format!("{MODULE}/{below}"), tail);
            assert_eq!(answered.status, 404, "{below}/{tail}: {}", answered.text());
        }
    }
    assert_eq!((world.server.counts().requests(), asked(&world)), before, "404s were asked for");
}

#[test]
fn parents_of_a_package_cost_one_look_at_the_repository() {
    let world = world("1h");
    let tip = world.names("heavy").expand("{tip}");
    world.project().go(&["get", &format!("{MODULE}/in/side@{tip}")]).well();
    // The go command asks for the package, both folders above it, the module and what is above that.
    let asked_for = world.modvet.log().matches("route=\"info\"").count();
    assert!(asked_for >= 4, "{}", world.modvet.log());
    let [refs, histories, _] = asked(&world);
    assert_eq!((refs, histories), (1, 1), "{}", world.modvet.log());
}

#[test]
fn a_hundred_clients_cost_as_much_as_one() {
    let [alone, crowd] = [world("1h"), world("1h")];
    for (world, clients) in [(&alone, 1), (&crowd, 100)] {
        for tail in ["@v/{tip:12}.info", "@v/v1.0.1-0.20190102000000-{tip:12}.zip"] {
            at_once(world, clients, &world.names("heavy").expand(tail));
        }
        let log = world.modvet.log();
        let builds = log.lines().filter(|line| line.contains("asking") && line.contains("what=\"zip\"")).count();
        assert_eq!(builds, 1, "builds of one zip for {clients} clients");
    }
    assert_eq!(asked(&crowd), asked(&alone));
    assert_eq!(asked(&crowd)[..2], [1, 1], "refs and histories");
}

/// So many clients ask for the same, and get the same.
fn at_once(world: &World, clients: usize, tail: &str) {
    let path = format!("/{MODULE}/{tail}");
    let barrier = Barrier::new(clients);
    let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            ok(client::get(world.modvet.address(), &path)).body
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().expect("answered")).collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{tail}: not all got the same");
}

#[test]
fn refs_are_asked_for_once_while_they_hold() {
    let world = world("1h");
    let tip = world.names("heavy").expand("{tip:12}");
    for tail in ["@v/list", "@latest", "@v/main.info", "@v/topic.info", "@v/v1.info", &format!("@v/{tip}.info")] {
        ok(world.modvet.get(MODULE, tail));
    }
    assert_eq!(asked(&world)[0], 1);
}

#[test]
fn refs_that_hold_no_longer_are_asked_for_again_and_nothing_else_is() {
    let world = world("0s");
    ok(world.modvet.get(MODULE, "@latest"));
    ok(world.modvet.get(MODULE, "@v/main.info"));
    let [refs, histories, files] = asked(&world);
    for times in 1..=3 {
        ok(world.modvet.get(MODULE, "@v/main.info"));
        assert_eq!(asked(&world), [refs + times, histories, files]);
    }
}

#[test]
fn a_verdict_is_given_again_without_history_until_the_tags_change() {
    let mut world = world("0s");
    let expand = |world: &World, text: &str| world.names("heavy").expand(text);
    let right = expand(&world, "v1.0.1-0.20190102000000-{tip:12}");
    let wrong = format!("/{MODULE}/@v/{}.info", expand(&world, "v1.0.1-0.20190102000001-{tip:12}"));
    let says = |world: &World, version: &str| {
        let info = ok(client::get(world.modvet.address(), &wrong));
        assert!(info.text().contains(&format!("\"Version\":\"{version}\"")), "{} (expected {version})", info.text());
    };
    says(&world, &right);
    // Without the repository there is no history to walk: what is answered now comes from the verdict.
    let git = world.server.url();
    let other = modvet::Modvet::over_git(&git, "rewrite");
    let home = std::mem::replace(&mut world.modvet, other).killed();
    std::fs::remove_dir_all(home.store().join("git")).expect("repositories");
    world.modvet = started(&git, "0s", home);
    let [_, histories, files] = asked(&world);
    says(&world, &right);
    assert_eq!(asked(&world)[1..], [histories, files], "a verdict was sought again");

    world.tag("heavy", "v1.5.0", "first");
    says(&world, &expand(&world, "v1.5.1-0.20190102000000-{tip:12}"));
    assert!(asked(&world)[1] > histories, "new tags need a walk");
}
