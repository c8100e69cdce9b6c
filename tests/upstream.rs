//! modvet before other sources of modules: the machine's own module proxy, folders, lists of them.

mod support;

use std::process::Command;

use serde::Deserialize;
use support::fixture;
use support::go::Go;
use support::modvet::{Home, Modvet};
use support::outside::Outside;
use support::project::{self, Project, Ran};
use support::relay::{Passage, Relay};
use support::tree::Tree;
use support::world::World;

/// Public modules that are small and need little; which of them are served is found out first.
const CANDIDATES: [&str; 44] = [
    "github.com/BurntSushi/toml@v1.4.0",
    "github.com/Masterminds/semver/v3@v3.2.1",
    "github.com/cespare/xxhash/v2@v2.3.0",
    "github.com/davecgh/go-spew@v1.1.1",
    "github.com/dgrijalva/jwt-go@v3.2.0+incompatible",
    "github.com/dustin/go-humanize@v1.0.1",
    "github.com/fatih/color@v1.17.0",
    "github.com/go-chi/chi/v5@v5.1.0",
    "github.com/go-logr/logr@v1.4.2",
    "github.com/golang/protobuf@v1.5.4",
    "github.com/google/btree@v1.1.2",
    "github.com/google/go-cmp@v0.6.0",
    "github.com/google/uuid@v1.6.0",
    "github.com/gorilla/mux@v1.8.1",
    "github.com/hashicorp/golang-lru/v2@v2.0.7",
    "github.com/inconshreveable/mousetrap@v1.1.0",
    "github.com/json-iterator/go@v1.1.12",
    "github.com/julienschmidt/httprouter@v1.3.0",
    "github.com/kr/pretty@v0.3.1",
    "github.com/kr/text@v0.2.0",
    "github.com/mattn/go-isatty@v0.0.20",
    "github.com/modern-go/concurrent@v0.0.0-20180306012644-bacd9c7ef1dd",
    "github.com/modern-go/reflect2@v1.0.2",
    "github.com/pkg/errors@v0.9.1",
    "github.com/pmezard/go-difflib@v1.0.0",
    "github.com/rogpeppe/go-internal@v1.12.0",
    "github.com/sirupsen/logrus@v1.9.3",
    "github.com/spf13/cobra@v1.8.1",
    "github.com/spf13/pflag@v1.0.5",
    "github.com/stretchr/testify@v1.9.0",
    "go.uber.org/atomic@v1.11.0",
    "go.uber.org/multierr@v1.11.0",
    "golang.org/x/mod@v0.19.0",
    "golang.org/x/oauth2@v0.21.0",
    "golang.org/x/sync@v0.7.0",
    "golang.org/x/sys@v0.22.0",
    "golang.org/x/term@v0.22.0",
    "golang.org/x/time@v0.5.0",
    "golang.org/x/xerrors@v0.0.0-20231012003039-104605ab7028",
    "gopkg.in/check.v1@v0.0.0-20161208181325-20d25e280405",
    "gopkg.in/ini.v1@v1.67.0",
    "gopkg.in/yaml.v2@v2.4.0",
    "gopkg.in/yaml.v3@v3.0.1",
    "rsc.io/quote@v1.5.2",
];

/// So many must be served for the test to mean something.
const ENOUGH: usize = 30;

/// What `go mod download -json` says of one module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Probed {
    path: String,
    version: String,
    error: String,
}

/// A go command in a project that is let out.
fn command(outside: &Outside, project: &Project<'_>, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    outside.let_out(&mut command);
    command
}

/// The candidates that the machine's proxy serves; `Err` if it cannot be reached.
fn served(outside: &Outside, go: &Go) -> Result<Vec<String>, String> {
    let project = Project::new(go, &outside.goproxy);
    let arguments = [&["mod", "download", "-json"][..], &CANDIDATES].concat();
    let ran = project::run(&mut command(outside, &project, &arguments));
    let probed = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<Probed>();
    let probed: Vec<Probed> = probed.map(|module| module.expect("go prints json")).collect();
    let (served, refused): (Vec<_>, Vec<_>) = probed.into_iter().partition(|module| module.error.is_empty());
    for module in &refused {
        println!("refused: {}", module.error);
    }
    match refused.first() {
        Some(first) if served.is_empty() => Err(first.error.clone()),
        _ => Ok(served.into_iter().map(|module| format!("{}@{}", module.path, module.version)).collect()),
    }
}

/// Downloads modules into an empty cache, in a project that requires them all; gives back its go.sum.
fn download(outside: &Outside, go: &Go, proxy: &str, modules: &[String], go_sum: &str) -> Result<String, Ran> {
    let project = Project::new(go, proxy);
    let require: String = modules.iter().map(|module| format!("\t{}\n", module.replace('@', " "))).collect();
    project.write("go.mod", &format!("module example.test/app\n\ngo 1.26\n\nrequire (\n{require})\n"));
    project.write("go.sum", go_sum);
    let arguments: Vec<&str> = ["mod", "download"].into_iter().chain(modules.iter().map(String::as_str)).collect();
    let ran = project::run(&mut command(outside, &project, &arguments));
    if ran.success { Ok(project.read("go.sum")) } else { Err(ran) }
}

/// `modvet serve` over the machine's proxy, on a store that may have been used before.
fn through(outside: &Outside, home: Home) -> Modvet {
    home.configure("");
    let mut serve = home.command(&["serve", "--config", "modvet.toml", "--upstream", &outside.goproxy]);
    outside.let_out(&mut serve);
    home.serve_by(serve)
}

#[test]
fn public_modules_come_through_verified_and_then_from_the_cache_alone() {
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let reached = Outside::find().and_then(|outside| served(&outside, &go).map(|served| (outside, served)));
    let (outside, modules) = match reached {
        Ok(reached) => reached,
        Err(why) => return println!("skipped: the machine's module proxy cannot be reached: {why}"),
    };
    assert!(modules.len() >= ENOUGH, "only {} modules are served", modules.len());

    let without =
        download(&outside, &go, &outside.goproxy, &modules, "").unwrap_or_else(|ran| panic!("{}", ran.stderr));
    let modvet = through(&outside, Home::new());
    let with = download(&outside, &go, &modvet.url(), &modules, "").unwrap_or_else(|ran| panic!("{}", ran.stderr));
    assert_eq!(with, without, "go.sum with modvet and without");
    assert!(with.lines().count() >= 2 * ENOUGH, "{with}");
    if outside.gosumdb != "off" {
        assert!(modvet.log().contains("route=\"sumdb\""), "the checksum database was not asked through modvet");
    }

    // The same upstream, but the way out leads to where every connection ends at once.
    let gone = Relay::to(modvet.address());
    gone.set(Passage::Cut);
    let home = modvet.killed();
    let mut serve = home.command(&["serve", "--config", "modvet.toml", "--upstream", &outside.goproxy]);
    serve.env("HTTPS_PROXY", gone.url()).env("HTTP_PROXY", gone.url());
    let modvet = home.serve_by(serve);
    let again = download(&outside, &go, &modvet.url(), &modules, &without);
    let again = again.unwrap_or_else(|ran| panic!("{}{}", ran.stderr, modvet.log()));
    assert_eq!(again, without, "go.sum from the cache alone");
    assert_eq!(gone.connections(), 0, "an upstream that is gone was asked: {}", modvet.log());
}

#[test]
fn a_module_cache_serves_as_an_upstream() {
    let world = World::over(&["Upper-Case", "v2-directory", "incompatible"].map(fixture::named), "rewrite");
    let tip = world.names("v2-directory").expand("{tip:12}");
    let wanted = [
        "github.com/modvet-fixtures/Upper-Case@v1.0.0".to_owned(),
        format!("github.com/modvet-fixtures/v2-directory/v2@v2.0.1-0.20180220000000-{tip}"),
        "github.com/modvet-fixtures/incompatible@v2.0.0+incompatible".to_owned(),
    ];
    let arguments: Vec<&str> = ["get"].into_iter().chain(wanted.iter().map(String::as_str)).collect();
    let direct = Project::new(&world.go, "direct");
    direct.go(&arguments).well();
    let folder = direct.cache().path().join("cache/download");
    let home = Home::new();
    let list = format!("file://{}", folder.display());
    let modvet = home.serve_by_list(&list);
    let through = Project::new(&world.go, &modvet.url());
    through.go(&arguments).well();
    assert_eq!(through.read("go.sum"), direct.read("go.sum"));
    assert_eq!(through.read("go.mod"), direct.read("go.mod"));
}

#[test]
fn after_a_bar_a_failure_goes_on_and_after_a_comma_it_does_not() {
    let tree = Tree::new();
    let zip = tree.add("example.test/m", "v1.0.0", 1000);
    let gone = Relay::to(([127, 0, 0, 1], 9).into());
    gone.set(Passage::Cut);
    let (dead, folder) = (gone.url(), format!("file://{}", tree.path().display()));
    let modvet = Home::new().serve_by_list(&format!("{dead}|{folder}"));
    let answered = modvet.get("example.test/m", "@v/v1.0.0.zip");
    assert!(answered.status == 200 && answered.body == zip, "{}", answered.text());

    let modvet = Home::new().serve_by_list(&format!("{dead},{folder}"));
    let answered = modvet.get("example.test/m", "@v/v1.0.0.zip");
    assert_eq!(answered.status, 502, "{}", answered.text());
    assert!(answered.text().contains("upstream 127.0.0.1"), "{}", answered.text());
}

#[test]
fn an_absence_goes_on() {
    let [first, second] = [Tree::new(), Tree::new()];
    first.add("example.test/one", "v1.0.0", 10);
    second.add("example.test/two", "v1.0.0", 10);
    let list = [&first, &second].map(|tree| format!("file://{}", tree.path().display())).join(",");
    let behind = Home::new().serve_by_list(&list);
    let modvet = Home::new().serve_by_list(&format!("{},off", behind.url()));
    for module in ["example.test/one", "example.test/two"] {
        assert_eq!(modvet.get(module, "@v/v1.0.0.mod").status, 200, "{module}");
    }
    let answered = modvet.get("example.test/three", "@v/list");
    assert_eq!(answered.status, 404, "{}", answered.text());
    assert!(answered.text().starts_with("example.test/three: "), "{}", answered.text());
}

#[test]
fn a_refusal_ends_the_walk_and_still_names_the_right_version() {
    let module = "github.com/modvet-fixtures/wrong-pseudo-versions";
    let strict = World::over(&[fixture::named("wrong-pseudo-versions")], "strict");
    let [wrong, right] = ["v1.1.1-0.20180222010204-{tip:12}", "v1.1.1-0.20180222010203-{tip:12}"]
        .map(|version| strict.names("wrong-pseudo-versions").expand(version));
    let careless = Tree::new();
    careless.add(module, &wrong, 10);
    let modvet = Home::new().serve_by_list(&format!("{},file://{}", strict.modvet.url(), careless.path().display()));
    for ending in ["info", "zip"] {
        let answered = modvet.get(module, &format!("@v/{wrong}.{ending}"));
        assert_eq!(answered.status, 403, "{ending}: {}", answered.text());
        let expected = format!("use {module}@{right}");
        assert!(answered.text().lines().any(|line| line == expected), "{}", answered.text());
    }
    let ran = Project::new(&strict.go, &modvet.url()).go(&["get", &format!("{module}@{wrong}")]);
    assert!(!ran.success && ran.stderr.contains(&format!("use {module}@{right}")), "{}", ran.stderr);
}
