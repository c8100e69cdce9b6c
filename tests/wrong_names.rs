//! What the user of a real go command sees, and gets, when a pseudo-version is wrong.

mod support;

use support::fixture;
use support::project::{Project, Ran};
use support::replay::Names;
use support::world::World;

const MODULE: &str = "github.com/modvet-fixtures/dated";

const HISTORY: &str = "# A package whose commits can be named wrongly.
at 2018-02-20T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/dated
file dated.go
  package dated
commit first; tag v1.0.0
at 2018-02-20T12:00:00Z
commit second; tag v1.1.0; branch side
at 2018-02-21T00:00:00Z
commit beside; tag v1.2.0; checkout main
at 2018-02-22T01:02:03Z
commit tip";

/// One second too late.
const WRONG: &str = "v1.1.1-0.20180222010204-{tip:12}";
const RIGHT: &str = "v1.1.1-0.20180222010203-{tip:12}";

fn world(mode: &str) -> World {
    World::over(&[fixture::parse("dated", HISTORY)], mode)
}

fn names(world: &World) -> &Names {
    world.names("dated")
}

/// A program that imports the package and requires a version of it.
fn requiring<'a>(world: &'a World, version: &str) -> Project<'a> {
    let project = world.project();
    project.write("go.mod", &format!("module example.test/app\n\ngo 1.26\n\nrequire {MODULE} {version}\n"));
    project.write("main.go", &format!("package main\n\nimport _ \"{MODULE}\"\n\nfunc main() {{}}\n"));
    project
}

fn refused(ran: &Ran, expected: &[String]) {
    assert!(!ran.success, "{}", ran.stderr);
    for line in expected {
        assert!(ran.stderr.lines().any(|found| found.trim() == line), "{:?} (expected the line {line})", ran.stderr);
    }
}

/// The lines that DESIGN.md promises.
fn refusal(names: &Names, asked: &str, reason: &str) -> Vec<String> {
    let (asked, right) = (names.expand(asked), names.expand(RIGHT));
    vec![
        format!("invalid pseudo-version: {}", names.expand(reason)),
        format!("use {MODULE}@{right}"),
        format!("in your own go.mod: go mod edit -require={MODULE}@{right}"),
        format!("in a dependency's: go mod edit -replace={MODULE}@{asked}={MODULE}@{right}"),
    ]
}

#[test]
fn strict_names_the_right_version_in_every_way_of_being_wrong() {
    let world = world("strict");
    let names = names(&world);
    let table = [
        (WRONG, "does not match version-control timestamp (expected 20180222010203)"),
        ("v1.1.1-0.20180222010203-{tip:7}", "revision is shorter than canonical (expected {tip:12})"),
        ("v1.1.1-0.20180222010203-{tip}", "revision is longer than canonical (expected {tip:12})"),
        ("v1.2.1-0.20180222010203-{tip:12}", "revision {tip:12} is not a descendent of preceding tag (v1.2.0)"),
        ("v1.3.1-0.20180222010203-{tip:12}", "preceding tag (v1.3.0) not found"),
    ];
    for (asked, reason) in table {
        let ran = world.project().go(&["get", &format!("{MODULE}@{}", names.expand(asked))]);
        refused(&ran, &refusal(names, asked, reason));
        let phrase = format!("403 Invalid pseudo-version, use {}", names.expand(RIGHT));
        assert!(ran.stderr.contains(&phrase), "{:?} (expected {phrase})", ran.stderr);
    }
}

#[test]
fn strict_stops_a_build_that_needs_the_wrong_version() {
    let world = world("strict");
    let names = names(&world);
    let expected = refusal(names, WRONG, "does not match version-control timestamp (expected 20180222010203)");
    let ran = requiring(&world, &names.expand(WRONG)).go(&["build", "-o", "app", "."]);
    refused(&ran, &expected);
    let ran = requiring(&world, &names.expand(WRONG)).go(&["mod", "download"]);
    refused(&ran, &expected);
}

#[test]
fn strict_is_repaired_by_the_commands_that_its_text_names() {
    let world = world("strict");
    let names = names(&world);
    let (wrong, right) = (names.expand(WRONG), names.expand(RIGHT));
    let own = requiring(&world, &wrong);
    own.go(&["mod", "edit", &format!("-require={MODULE}@{right}")]).well();
    own.go(&["build", "-o", "app", "."]).well();
    assert!(own.read("go.mod").contains(&format!("{MODULE} {right}")), "{}", own.read("go.mod"));

    let other = requiring(&world, &wrong);
    other.go(&["mod", "edit", &format!("-replace={MODULE}@{wrong}={MODULE}@{right}")]).well();
    other.go(&["build", "-o", "app", "."]).well();
    assert!(other.read("go.sum").contains(&format!("{MODULE} {right} h1:")), "{}", other.read("go.sum"));
}

#[test]
fn rewrite_tells_the_right_version_and_repairs_by_hash() {
    let world = world("rewrite");
    let names = names(&world);
    let (wrong, right) = (names.expand(WRONG), names.expand(RIGHT));
    let ran = world.project().go(&["get", &format!("{MODULE}@{wrong}")]);
    let expected = format!("proxy returned info for version {right} instead of requested version");
    assert!(!ran.success && ran.stderr.contains(&expected), "{:?} (expected {expected})", ran.stderr);

    let project = requiring(&world, &wrong);
    project.go(&["get", &format!("{MODULE}@{}", names.expand("{tip:12}"))]).well();
    let go_mod = project.read("go.mod");
    assert!(go_mod.contains(&format!("{MODULE} {right}")) && !go_mod.contains(&wrong), "{go_mod}");
}

#[test]
fn rewrite_and_legacy_let_a_build_with_the_wrong_name_go_on() {
    for mode in ["rewrite", "legacy"] {
        let world = world(mode);
        let wrong = names(&world).expand(WRONG);
        let project = requiring(&world, &wrong);
        project.go(&["build", "-o", "app", "."]).well();
        project.go(&["mod", "tidy"]).well();
        assert!(
            project.read("go.sum").contains(&format!("{MODULE} {wrong} h1:")),
            "{mode}: {}",
            project.read("go.sum")
        );
    }
}

#[test]
fn a_valid_name_that_is_not_canonical_passes_in_every_mode() {
    for mode in ["strict", "rewrite", "legacy"] {
        let world = world(mode);
        for valid in ["v1.0.1-0.20180222010203-{tip:12}", "v0.0.0-20180222010203-{tip:12}"] {
            let valid = names(&world).expand(valid);
            let project = world.both(&[], &[&["get", &format!("{MODULE}@{valid}")]]);
            assert!(
                project.read("go.mod").contains(&format!("{MODULE} {valid}")),
                "{mode}: {}",
                project.read("go.mod")
            );
        }
    }
}
