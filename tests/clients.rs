//! The real go command with GOPROXY set to modvet alone gets what it gets in direct mode.

mod support;

use support::fixture;
use support::modvet::{self, Modvet};
use support::pages::Pages;
use support::project::Project;
use support::world::World;

/// A module that another one needs.
const BASE: &str = "# What the library stands on.
at 2019-01-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/base
  
  go 1.20
file base.go
  package base
  
  const Name = \"base\"
commit first; tag v1.0.0
at 2019-01-02T00:00:00Z
commit second; tag v1.1.0";

/// A module with releases, a branch and commits after the last release.
const LIBRARY: &str = "# What the application imports.
at 2019-02-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/library
  
  go 1.20
  
  require github.com/modvet-fixtures/base v1.0.0
file library.go
  package library
  
  import \"github.com/modvet-fixtures/base\"
  
  func Name() string { return base.Name }
commit first; tag v1.2.3; branch feature
at 2019-02-02T00:00:00Z
commit beside; checkout main
at 2019-02-03T00:00:00Z
commit second; tag v1.3.0
at 2019-02-04T00:00:00Z
commit tip";

const APPLICATION: &str = r#"package main

import "github.com/modvet-fixtures/library"

func main() { println(library.Name()) }
"#;

fn of_applications() -> World {
    World::over(&[fixture::parse("base", BASE), fixture::parse("library", LIBRARY)], "rewrite")
}

/// What `go list -m MODULE` says of the project.
fn selected(project: &Project<'_>, module: &str) -> String {
    let listed = project.go(&["list", "-m", module]).well().stdout;
    listed.trim().split_once(' ').unwrap_or_else(|| panic!("{module}: {listed:?}")).1.to_owned()
}

#[test]
fn every_kind_of_query_gets_the_version_of_direct_mode() {
    let world = of_applications();
    let module = "github.com/modvet-fixtures/library";
    let tip = "v1.3.1-0.20190204000000-{tip:12}";
    let table = [
        ("v1.2.3", "v1.2.3"),
        ("{second:12}", "v1.3.0"),
        ("{tip:12}", tip),
        ("{tip:7}", tip),
        ("{tip}", tip),
        ("main", tip),
        ("feature", "v1.2.4-0.20190202000000-{beside:12}"),
        ("latest", "v1.3.0"),
        ("v1", "v1.3.0"),
        ("v1.2", "v1.2.3"),
        ("<v1.3.0", "v1.2.3"),
        ("v0.0.0-20190204000000-{tip:12}", "v0.0.0-20190204000000-{tip:12}"),
    ];
    for (query, expected) in table {
        let names = world.names("library");
        let project = world.both(&[], &[&["get", &format!("{module}@{}", names.expand(query))]]);
        assert_eq!(selected(&project, module), names.expand(expected), "{query}");
    }
}

#[test]
fn an_upgrade_and_a_patch_start_from_what_is_required() {
    let world = of_applications();
    let module = "github.com/modvet-fixtures/library";
    let at = |version: &str| format!("{module}@{version}");
    for (query, expected) in [("upgrade", "v1.3.0"), ("patch", "v1.2.3")] {
        let project = world.both(&[], &[&["get", &at("v1.2.3")], &["get", &at(query)]]);
        assert_eq!(selected(&project, module), expected, "{query}");
    }
    // What stands higher than the highest release stays.
    let tip = world.names("library").expand("{tip:12}");
    let project = world.both(&[], &[&["get", &at(&tip)], &["get", &at("upgrade")], &["get", "-u", module]]);
    assert_eq!(selected(&project, module), world.names("library").expand("v1.3.1-0.20190204000000-{tip:12}"));
    assert_eq!(selected(&project, "github.com/modvet-fixtures/base"), "v1.1.0");
}

#[test]
fn a_program_is_built_with_what_its_dependencies_need() {
    let world = of_applications();
    let files = [("main.go", APPLICATION)];
    let commands: [&[&str]; 3] = [&["mod", "tidy"], &["build", "-o", "app", "./..."], &["mod", "verify"]];
    let project = world.both(&files, &commands);
    assert_eq!(selected(&project, "github.com/modvet-fixtures/library"), "v1.3.0");
    assert_eq!(selected(&project, "github.com/modvet-fixtures/base"), "v1.0.0");
    let go_sum = project.read("go.sum");
    assert_eq!(go_sum.lines().count(), 4, "two modules, each with its go.mod: {go_sum}");
    let said = project.go(&["run", "."]).well();
    assert_eq!(said.stderr.trim(), "base");
}

#[test]
fn module_paths_of_every_shape_are_found() {
    let fixtures = ["Upper-Case", "v2-directory", "v2-branch", "sub-directory", "incompatible", "without-go-mod"];
    let world = World::over(&fixtures.map(fixture::named), "rewrite");
    let table = [
        ("Upper-Case", "", "v1.0.0", "v1.0.0"),
        ("Upper-Case", "", "v1.1.0-RC.1", "v1.1.0-RC.1"),
        ("Upper-Case", "", "Branch", "v1.1.0-RC.1.0.20180220000000-{tip:12}"),
        ("v2-directory", "/v2", "v2.0.0", "v2.0.0"),
        ("v2-directory", "/v2", "{tip:12}", "v2.0.1-0.20180220000000-{tip:12}"),
        ("v2-branch", "/v2", "latest", "v2.0.0"),
        ("sub-directory", "/a/b", "v0.1.0", "v0.1.0"),
        ("sub-directory", "/a/b", "main", "v0.1.1-0.20180220000000-{tip:12}"),
        ("incompatible", "", "v2.0.0", "v2.0.0+incompatible"),
        ("incompatible", "", "latest", "v3.0.0+incompatible"),
        ("incompatible", "", "{tip:12}", "v3.0.1-0.20180222000000-{tip:12}+incompatible"),
    ];
    for (fixture, below, query, expected) in table {
        let names = world.names(fixture);
        let module = format!("{}/{fixture}{below}", fixture::HOST);
        let project = world.both(&[], &[&["get", &format!("{module}@{}", names.expand(query))]]);
        assert_eq!(selected(&project, &module), names.expand(expected), "{module}@{query}");
    }
}

#[test]
fn a_package_in_a_folder_is_found_in_the_module_above_it() {
    // The go command asks for every parent path; all but one are no modules.
    let text = LIBRARY.replace("file library.go", "file deep/er/library.go").replace("package library", "package er");
    let world = World::over(&[fixture::parse("base", BASE), fixture::parse("library", &text)], "rewrite");
    let project = world.both(&[], &[&["get", "github.com/modvet-fixtures/library/deep/er@v1.3.0"]]);
    assert_eq!(selected(&project, "github.com/modvet-fixtures/library"), "v1.3.0");
}

#[test]
fn what_is_not_there_is_named_to_the_user() {
    let world = of_applications();
    let table = [
        ("github.com/modvet-fixtures/library@v9.9.9", "unknown revision v9.9.9"),
        ("github.com/modvet-fixtures/library@nowhere", "unknown revision nowhere"),
        ("github.com/modvet-fixtures/library@000000000000", "unknown revision 000000000000"),
        ("github.com/modvet-fixtures/nothing@v1.0.0", "repository not found"),
        ("github.com/modvet-fixtures/library/v2@v2.0.0", "unknown revision v2.0.0"),
    ];
    for (asked, expected) in table {
        let ran = world.project().go(&["get", asked]);
        assert!(!ran.success, "{asked}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{asked}: {:?} (expected {expected})", ran.stderr);
    }
}

#[test]
fn pages_lead_to_repositories_as_they_do_directly() {
    let history = |name: &str, path: &str, folder: &str| {
        let text = format!(
            "# A page says where it is.\nat 2019-01-01T00:00:00Z\nfile {folder}go.mod\n  module {path}\n\
             file {folder}m.go\n  package m\ncommit first; tag {folder}v1.0.0; tag {folder}v2.0.0\n\
             at 2019-01-02T00:00:00Z\ncommit tip"
        );
        fixture::parse(name, &text)
    };
    let fixtures = [
        history("dotted", "gopkg.in/dotted.v1", ""),
        history("vanity", "pages.example.test/team/vanity", ""),
        // The page's folder comes after the path's own, however odd that looks: so the go command has it.
        history("mono", "pages.example.test/mono/one", "one/go/"),
    ];
    let repository = |name: &str| format!("https://git.example.test/fixtures/{name}");
    let tags = [
        format!("gopkg.in/dotted.v1 git {}", repository("dotted")),
        format!("pages.example.test/team/vanity git {}", repository("vanity")),
        format!("pages.example.test/mono git {} go", repository("mono")),
    ];
    let pages = Pages::serving(&[
        ("gopkg.in/dotted.v1", &[&tags[0]]),
        ("pages.example.test/team/vanity", &[&tags[1], "pages.example.test/other git https://git.example.test/other"]),
        ("pages.example.test/mono", &[&tags[2]]),
        ("pages.example.test/mono/one", &[&tags[2]]),
    ]);
    let hosts = ["gopkg.in", "pages.example.test"];
    let instead: String =
        hosts.iter().map(|host| format!("\"https://{host}/\" = \"{}{host}/\"\n", pages.url())).collect();
    let world = World::with(&fixtures, |git| Modvet::start(&modvet::over_git(&git.url(), "rewrite", &instead)));
    let table = [
        ("dotted", "gopkg.in/dotted.v1", "latest", "v1.0.0"),
        ("dotted", "gopkg.in/dotted.v1", "main", "v1.0.1-0.20190102000000-{tip:12}"),
        ("vanity", "pages.example.test/team/vanity", "latest", "v1.0.0"),
        ("vanity", "pages.example.test/team/vanity", "{tip}", "v1.0.1-0.20190102000000-{tip:12}"),
        ("mono", "pages.example.test/mono/one", "latest", "v1.0.0"),
        ("mono", "pages.example.test/mono/one", "{tip:12}", "v1.0.1-0.20190102000000-{tip:12}"),
    ];
    for (fixture, module, query, expected) in table {
        let names = world.names(fixture);
        let asked = format!("{module}@{}", names.expand(query));
        // go asks for pages over plain http, where no certificate is needed, through a proxy that answers itself.
        let direct =
            Project::new(&world.go, "direct").with("GOINSECURE", &hosts.join(",")).with("HTTP_PROXY", &pages.url());
        let project = world.alike(world.project(), direct, &[], &[&["get", &asked]]);
        assert_eq!(selected(&project, module), names.expand(expected), "{asked}");
    }
}
