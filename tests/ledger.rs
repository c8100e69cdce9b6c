//! The first content of a version is the only one that a registry serves, whatever upstreams and tags do later.

mod aged;
mod support;

use std::process::Output;
use std::time::{Duration, Instant};

use aged::age;
use serde_json::Value;
use support::double::Double;
use support::fixture::{self, Fixture};
use support::modvet::{self, Home, Modvet};
use support::release::Release;
use support::world::World;
use support::{client, h1};

const MODULE: &str = "github.com/modvet-fixtures/moved";
const VERSION: &str = "github.com/modvet-fixtures/moved@v1.0.0";
const PLAIN: &str = "example.test/m";

const HISTORY: &str = "# A release whose tag will be moved.
at 2019-01-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/moved
  
  go 1.20
file moved.go
  package moved
commit first; tag v1.0.0
at 2019-01-02T00:00:00Z
file added.go
  package moved
commit second";

fn history() -> Fixture {
    fixture::parse("moved", HISTORY)
}

/// modvet over a git server; refs are looked at each time.
fn world(drift_check: &str) -> World {
    World::with(&[history()], |server| {
        let git = modvet::over_git(&server.url(), "rewrite", "");
        Modvet::start(&format!("{git}list_validity = \"0s\"\n\n[ledger]\ndrift_check = \"{drift_check}\"\n"))
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cache(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["cache"], arguments, &["--config", "modvet.toml"]].concat())
}

/// What it printed, if it ended well.
fn well(home: &Home, arguments: &[&str]) -> String {
    let output = cache(home, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What the interface says.
fn told(modvet: &Modvet, target: &str) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", target, "");
    assert_eq!(answered.status, 200, "{target}: {}", answered.text());
    serde_json::from_slice(&answered.body).expect("JSON")
}

fn metric(modvet: &Modvet, name: &str) -> String {
    let page = client::get(modvet.address(), "/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{registry=\"default\"} "));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).to_owned()
}

/// Waits until the server counts so many tags that are not where they were.
fn wait_for_drift(modvet: &Modvet, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while metric(modvet, "modvet_tag_drift") != expected {
        assert!(Instant::now() < deadline, "not {expected}: {}", modvet.log());
        std::thread::yield_now();
    }
}

/// The day of a moment.
fn day(moment: &Value) -> &str {
    moment.as_str().and_then(|text| text.get(..10)).expect("RFC 3339")
}

/// A file of a version, which must be served.
fn body(modvet: &Modvet, module: &str, tail: &str) -> Vec<u8> {
    let answered = modvet.get(module, tail);
    assert_eq!(answered.status, 200, "{tail}: {}\n{}", answered.text(), modvet.log());
    answered.body
}

fn zip_h1(zip: &[u8]) -> String {
    h1::of_zip(zip).expect("a zip")
}

#[test]
fn a_moved_tag_is_refused_once_the_first_bytes_are_gone_until_somebody_accepts_it() {
    let world = world("0");
    let first = body(&world.modvet, MODULE, "@v/v1.0.0.zip");
    let go_mod = body(&world.modvet, MODULE, "@v/v1.0.0.mod");
    world.tag("moved", "v1.0.0", "second");
    let world = world.again(|home| {
        age(&home, 25);
        home.serve()
    });
    // While they are held they are served.
    assert_eq!(body(&world.modvet, MODULE, "@v/v1.0.0.zip"), first);
    well(world.modvet.home(), &["rm", VERSION]);
    body(&world.modvet, MODULE, "@v/list");
    let refused = world.modvet.get(MODULE, "@v/v1.0.0.zip");
    assert_eq!(refused.status, 502, "{}", refused.text());
    let row = told(&world.modvet, &format!("/api/v1/ledger/{VERSION}"));
    let (was, now) = (zip_h1(&first), row["zip"]["refusals"][0]["h1"].as_str().expect("refused").to_owned());
    let commit = |name: &str| world.names("moved").commit(name)[..12].to_owned();
    let expected = format!(
        "{VERSION}: upstream git: the .zip is not what was first served: {now}, commit {} (expected {was} from upstream \
         git, commit {}, {})\nif that is the right one, on the proxy:\nmodvet cache accept {VERSION} --h1 {now}\n",
        commit("second"),
        commit("first"),
        day(&row["zip"]["since"])
    );
    assert_eq!(refused.text(), expected);
    assert_eq!(refused.header("x-modvet-upstream"), Some("git"));
    // The other file is what it was.
    assert_eq!(body(&world.modvet, MODULE, "@v/v1.0.0.mod"), go_mod);
    assert_eq!(metric(&world.modvet, "modvet_ledger_refusals_total"), "1");
    let log = world.modvet.log();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(VERSION) && line.contains(&now)), "{log}");

    // After a kill it is refused again.
    let world = world.again(Home::serve);
    assert_eq!(world.modvet.get(MODULE, "@v/v1.0.0.zip").text(), expected);
    let home = world.modvet.home();
    let verified = cache(home, &["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified.stderr));
    let line = format!("refused in registry default: {VERSION} .zip: {now} from upstream git, 2 times");
    assert!(text(&verified.stdout).contains(&line), "{}", text(&verified.stdout));
    assert!(text(&verified.stdout).contains("1 version refused"), "{}", text(&verified.stdout));

    let unseen = cache(home, &["accept", VERSION, "--h1", &was.replace("h1:", "h1:A")]);
    assert_eq!(unseen.status.code(), Some(2), "{}", text(&unseen.stderr));
    let said = well(home, &["accept", VERSION, "--h1", &now]);
    let second = world.names("moved").commit("second");
    let expected = format!("{VERSION} .zip in registry default\n  was {was}\n  now {now}\n  of commit {second}\n");
    assert_eq!(said, expected);
    assert_eq!(zip_h1(&body(&world.modvet, MODULE, "@v/v1.0.0.zip")), now);
    let row = told(&world.modvet, &format!("/api/v1/ledger/{VERSION}"));
    assert_eq!(
        (&row["zip"]["history"][0]["h1"], &row["zip"]["history"][0]["by"]),
        (&was.into(), &"control socket".into())
    );
    assert_eq!(row["zip"].get("refusals"), None, "{row}");
    assert!(well(home, &["verify"]).contains("0 damaged"));
}

fn release() -> Release {
    Release::new(PLAIN, "v1.0.0")
}

fn other() -> Release {
    release().file("added.go", "package m\n")
}

#[test]
fn a_proxy_that_changes_a_zip_is_found_out_after_a_kill_and_without_the_bytes() {
    let double = Double::start();
    double.add(&release());
    let modvet = Modvet::start(&double.settings("up"));
    // What was served is on the disk: the kill comes right after.
    assert_eq!(body(&modvet, PLAIN, "@v/v1.0.0.zip"), release().zip());
    let modvet = modvet.killed().serve();
    double.add(&other());
    well(modvet.home(), &["rm", &format!("{PLAIN}@v1.0.0")]);
    let refused = modvet.get(PLAIN, "@v/v1.0.0.zip");
    assert_eq!(refused.status, 502);
    for hash in [zip_h1(&release().zip()), zip_h1(&other().zip())] {
        assert!(refused.text().contains(&hash), "{}", refused.text());
    }
    // It comes to its senses; nobody has to do anything.
    double.add(&release());
    let modvet = modvet.killed().serve();
    assert_eq!(body(&modvet, PLAIN, "@v/v1.0.0.zip"), release().zip());
}

#[test]
fn a_refusal_costs_the_upstream_one_fetch_however_often_somebody_asks() {
    let double = Double::start();
    double.add(&release());
    let modvet = Modvet::start(&double.settings("up"));
    body(&modvet, PLAIN, "@v/v1.0.0.zip");
    double.add(&other());
    well(modvet.home(), &["rm", &format!("{PLAIN}@v1.0.0")]);
    double.forget();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(modvet.get(PLAIN, "@v/v1.0.0.zip").status, 502);
    }
    // A busy machine may take longer than a refusal is remembered.
    let rounds = 1 + start.elapsed().as_secs() as usize / 10;
    assert!(double.count(".zip") <= rounds, "{:?}", double.asked());
}

#[test]
fn another_address_behind_a_name_changes_no_version() {
    let (old, new) = (Double::start(), Double::start());
    old.add(&release());
    new.add(&other());
    let home = Home::new();
    home.configure(&old.settings("up"));
    let modvet = home.serve();
    body(&modvet, PLAIN, "@v/v1.0.0.zip");
    let home = modvet.killed();
    home.configure(&new.settings("up"));
    let modvet = home.serve();
    // What the old one gave is still held.
    let answered = modvet.get(PLAIN, "@v/v1.0.0.zip");
    assert_eq!((answered.status, answered.header("x-modvet-cache")), (200, Some("stale")), "{}", modvet.log());
    assert!(answered.body == release().zip());
    well(modvet.home(), &["rm", &format!("{PLAIN}@v1.0.0")]);
    let refused = modvet.get(PLAIN, "@v/v1.0.0.zip");
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains(&zip_h1(&other().zip())), "{}", refused.text());
}

#[test]
fn what_one_registry_saw_first_says_nothing_to_another_one() {
    let double = Double::start();
    double.add(&release());
    let registries =
        "[[registry]]\nname = \"default\"\nupstreams = [\"up\"]\n[[registry]]\nname = \"ci\"\nupstreams = [\"up\"]\n";
    let modvet = Modvet::start(&format!("{}{registries}", double.settings("up")));
    let of_ci = |modvet: &Modvet| client::get(modvet.address(), &format!("/registries/ci/{PLAIN}/@v/v1.0.0.zip"));
    assert_eq!(of_ci(&modvet).body, release().zip());
    double.add(&other());
    well(modvet.home(), &["rm", &format!("{PLAIN}@v1.0.0")]);
    assert_eq!(body(&modvet, PLAIN, "@v/v1.0.0.zip"), other().zip());
    let refused = of_ci(&modvet);
    assert_eq!(refused.status, 502, "{}", refused.text());
    let way_out = format!("modvet cache accept {PLAIN}@v1.0.0 --h1 {} --registry ci\n", zip_h1(&other().zip()));
    assert!(refused.text().ends_with(&way_out), "{}", refused.text());
    assert_eq!(body(&modvet, PLAIN, "@v/v1.0.0.zip"), other().zip(), "it is fetched again");
    let rows = told(&modvet, "/api/v1/registries/ci/ledger?refused");
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(1), "{rows}");
    let rows = told(&modvet, "/api/v1/ledger?refused&registry=default");
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(0), "{rows}");
    // The command of the text is one.
    let arguments: Vec<&str> =
        way_out.trim_end().strip_prefix("modvet cache ").expect("a command").split(' ').collect();
    well(modvet.home(), &arguments);
    assert_eq!(of_ci(&modvet).body, other().zip());
}

#[test]
fn rows_outlive_the_bytes_and_come_in_pages() {
    let double = Double::start();
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        double.add(&Release::new(PLAIN, version));
    }
    let modvet = Modvet::start(&double.settings("up"));
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        body(&modvet, PLAIN, &format!("@v/{version}.zip"));
    }
    well(modvet.home(), &["rm", "--upstream", "up"]);
    let stats: Value = serde_json::from_str(&well(modvet.home(), &["stats", "--json"])).expect("JSON");
    assert_eq!((&stats["total"]["entries"], &stats["total"]["ledger_rows"]), (&0.into(), &3.into()), "{stats}");
    assert!(stats["total"]["ledger_bytes"].as_u64() > Some(300), "{stats}");
    assert!(well(modvet.home(), &["stats"]).contains("3 versions"));
    let (mut versions, mut after) = (Vec::new(), String::new());
    loop {
        let page = told(&modvet, &format!("/api/v1/ledger?module={PLAIN}&limit=2{after}"));
        let rows = page["rows"].as_array().expect("rows").iter();
        versions.extend(rows.map(|row| row["version"].as_str().expect("a version").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(versions, ["v1.0.0", "v1.1.0", "v1.2.0"]);
}

#[test]
fn a_tag_that_moves_is_reported_though_nobody_asks_for_its_version() {
    let world = world("1s");
    body(&world.modvet, MODULE, "@v/v1.0.0.mod");
    assert_eq!(metric(&world.modvet, "modvet_tag_drift"), "0");
    let (first, second) = (world.names("moved").commit("first"), world.names("moved").commit("second"));
    world.tag("moved", "v1.0.0", "second");
    wait_for_drift(&world.modvet, "1");
    let rows = told(&world.modvet, "/api/v1/ledger?drifted");
    let drift = &rows["rows"][0]["drift"];
    assert_eq!((&drift["was"], &drift["now"]), (&first.as_str().into(), &second.as_str().into()), "{rows}");
    let log = world.modvet.log();
    let lines = log.lines().filter(|line| line.contains("WARN") && line.contains("a tag is not where it was"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() == 1 && lines[0].contains(&first) && lines[0].contains(&second), "{log}");
    let home = world.modvet.home();
    let verified = cache(home, &["verify"]);
    let reason =
        format!("the tag of upstream git names commit {second} since {} (expected {first})", day(&drift["seen_at"]));
    let line = format!("tag moved in registry default: {VERSION}: {reason}\n");
    assert!(verified.status.code() == Some(1) && text(&verified.stdout).contains(&line), "{}", text(&verified.stdout));

    // In CI, and for people.
    home.write("go.mod", &format!("module example.test/own\n\ngo 1.20\n\nrequire {MODULE} v1.0.0\n"));
    home.write("own.go", "package own\n");
    let checked = home.run(&["check", "--proxy", &world.modvet.url(), "--cache", "checked"]);
    assert!(text(&checked.stdout).contains(&reason), "{}{}", text(&checked.stdout), text(&checked.stderr));
    assert_eq!(checked.status.code(), Some(0), "a warning");
    let explained = home.run(&["explain", VERSION, "--proxy", &world.modvet.url()]);
    assert!(text(&explained.stdout).contains(&reason), "{}{}", text(&explained.stdout), text(&explained.stderr));

    world.tag("moved", "v1.0.0", "first");
    wait_for_drift(&world.modvet, "0");
    assert!(world.modvet.log().contains("a tag is where it was again"), "{}", world.modvet.log());
    assert!(well(world.modvet.home(), &["verify"]).contains("0 damaged"));
}

const TAGS: &str = "# Tags of a module in a folder, of a major version, and of one that has no go.mod.
at 2019-01-01T00:00:00Z
file old.go
  package tags
commit old; tag v3.0.0
file go.mod
  module github.com/modvet-fixtures/tags/v2
file sub/go.mod
  module github.com/modvet-fixtures/tags/sub
commit first; tag v2.0.0; tag sub/v1.0.0
at 2019-01-02T00:00:00Z
file sub/added.go
  package sub
commit second";

#[test]
fn tags_of_folders_of_major_versions_and_of_incompatible_versions_are_looked_at_by_one_look_at_the_refs() {
    let world = World::with(&[fixture::parse("tags", TAGS)], |server| {
        let git = modvet::over_git(&server.url(), "rewrite", "");
        // The first look comes after a while; the refs are older then.
        Modvet::start(&format!("{git}list_validity = \"1s\"\n\n[ledger]\ndrift_check = \"2s\"\n"))
    });
    let path = "github.com/modvet-fixtures/tags";
    let versions =
        [(path.to_owned(), "v3.0.0+incompatible"), (format!("{path}/v2"), "v2.0.0"), (format!("{path}/sub"), "v1.0.0")];
    for (module, version) in &versions {
        body(&world.modvet, module, &format!("@v/{version}.zip"));
    }
    for tag in ["v3.0.0", "v2.0.0", "sub/v1.0.0"] {
        world.tag("tags", tag, "second");
    }
    wait_for_drift(&world.modvet, "3");
    for (module, version) in &versions {
        let row = told(&world.modvet, &format!("/api/v1/ledger/{module}@{version}"));
        // With a go.mod there is no v3.0.0+incompatible any more.
        let now = (!version.ends_with("+incompatible")).then(|| world.names("tags").commit("second"));
        assert_eq!(row["drift"]["now"].as_str(), now.as_deref(), "{row}");
    }
}

#[test]
fn the_go_command_shows_a_refusal_with_the_way_out() {
    let world = world("0");
    body(&world.modvet, MODULE, "@v/v1.0.0.zip");
    world.tag("moved", "v1.0.0", "second");
    well(world.modvet.home(), &["rm", VERSION]);
    body(&world.modvet, MODULE, "@v/list");
    let project = world.project();
    project.write("go.mod", &format!("module example.test/own\n\ngo 1.20\n\nrequire {MODULE} v1.0.0\n"));
    let ran = project.go(&["mod", "download", MODULE]);
    let shown = format!("{}{}", ran.stderr, ran.stdout);
    assert!(shown.contains("502") && shown.contains(&format!("modvet cache accept {VERSION} --h1 h1:")), "{shown}");
}

#[test]
fn a_check_of_its_own_remembers_where_a_tag_was() {
    let world = world("0");
    let home = world.modvet.home();
    home.write("go.mod", &format!("module example.test/own\n\ngo 1.20\n\nrequire {MODULE} v1.0.0\n"));
    let git = modvet::over_git(&world.server.url(), "rewrite", "");
    home.write("check.toml", &format!("{git}list_validity = \"0s\"\n"));
    let check = || home.run(&["check", "--config", "check.toml", "--cache", "checked"]);
    let first = check();
    assert_eq!(text(&first.stdout), text(&check().stdout), "nothing to be said");
    assert!(!text(&first.stdout).contains("tag"), "{}", text(&first.stdout));
    world.tag("moved", "v1.0.0", "second");
    let checked = check();
    let names = world.names("moved");
    let output = text(&checked.stdout);
    for part in
        [format!("names commit {} since", names.commit("second")), format!("(expected {})", names.commit("first"))]
    {
        assert!(output.contains(&part), "{output}{}", text(&checked.stderr));
    }
}
