//! modvet before other sources of modules: the machine's own module proxy, folders, lists of them.

mod support;

use support::fixture;
use support::go::Go;
use support::modvet::{Home, Modvet};
use support::outside::{self, Outside};
use support::project::Project;
use support::relay::{Passage, Relay};
use support::tree::Tree;
use support::world::World;

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
    let reached = Outside::find().and_then(|outside| outside.served(&go).map(|served| (outside, served)));
    let (outside, modules) = match reached {
        Ok(reached) => reached,
        Err(why) => return println!("skipped: the machine's module proxy cannot be reached: {why}"),
    };
    assert!(modules.len() >= outside::ENOUGH, "only {} modules are served", modules.len());

    let without = outside.download(&go, &outside.goproxy, &modules, "").unwrap_or_else(|ran| panic!("{}", ran.stderr));
    let modvet = through(&outside, Home::new());
    let with = outside.download(&go, &modvet.url(), &modules, "").unwrap_or_else(|ran| panic!("{}", ran.stderr));
    assert_eq!(with, without, "go.sum with modvet and without");
    assert!(with.lines().count() >= 2 * outside::ENOUGH, "{with}");
    if outside.gosumdb != "off" {
        assert!(modvet.log().contains("route=\"sumdb\""), "the checksum database was not asked through modvet");
    }

    // The same upstream, but the way out leads to where every connection ends at once.
    let gone = Relay::to(modvet.address());
    gone.set(Passage::Cut);
    let home = modvet.killed();
    let mut serve = home.command(&["serve", "--config", "modvet.toml", "--upstream", &outside.goproxy]);
    outside.let_out(&mut serve);
    serve.env("HTTPS_PROXY", gone.url()).env("HTTP_PROXY", gone.url());
    let modvet = home.serve_by(serve);
    let again = outside.download(&go, &modvet.url(), &modules, &without);
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
