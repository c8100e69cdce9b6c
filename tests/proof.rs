//! The built binary holds what it serves against a checksum database: one of the test's own that lies and goes away,
//! and the real one through the machine's module proxy.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::go::Go;
use support::modvet::{self, Home, Modvet};
use support::outside::{self, Outside};
use support::project::Project;
use support::relay::{Passage, Relay};
use support::sumdb::{Database, Lie};
use support::tree::Tree;
use support::world::World;
use support::{client, fixture, h1};

const MODULE: &str = "example.test/m";
const NAME: &str = "sum.test";
const LIE: &str = "h1:ThisIsNotTheHashOfAnythingThatWasServed0000=";

/// How long something that has to come is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A module with one version, and a database that knows it.
struct Court {
    tree: Tree,
    database: Database,
    zip: Vec<u8>,
    go_mod: Vec<u8>,
}

impl Court {
    fn new() -> Court {
        let (tree, database) = (Tree::new(), Database::start(NAME));
        let zip = tree.add(MODULE, "v1.0.0", 1000);
        let go_mod = format!("module {MODULE}\n").into_bytes();
        database.grow(5);
        Court { tree, database, zip, go_mod }
    }

    fn knowing() -> Court {
        let court = Court::new();
        court.database.enter_files(MODULE, "v1.0.0", &court.zip, &court.go_mod);
        court
    }

    fn settings(&self, sumdb: &str) -> String {
        settings(&self.database, sumdb, &self.tree.settings())
    }

    fn start(&self, sumdb: &str) -> Modvet {
        Modvet::start(&self.settings(sumdb))
    }

    /// The same configuration with other lines below `[sumdb]`, over the store that is there.
    fn again(&self, modvet: Modvet, sumdb: &str) -> Modvet {
        let home = modvet.killed();
        home.configure(&self.settings(sumdb));
        home.serve()
    }
}

fn settings(database: &Database, sumdb: &str, rest: &str) -> String {
    format!("[sumdb]\ndatabases = [\"{}\"]\n{sumdb}\n\n{rest}", database.gosumdb())
}

fn file(ending: &str) -> String {
    format!("@v/v1.0.0.{ending}")
}

/// Status and `X-Modvet-Sum`.
fn asked(modvet: &Modvet, module: &str, tail: &str) -> (u16, String) {
    let answered = modvet.get(module, tail);
    (answered.status, answered.header("x-modvet-sum").unwrap_or_default().to_owned())
}

fn said(word: &str) -> (u16, String) {
    (200, word.to_owned())
}

/// The kept files of versions, with their marks.
fn kept(modvet: &Modvet) -> Vec<(String, Value)> {
    let rows = api(modvet, "/api/v1/cache/entries?limit=10000")["entries"].as_array().cloned().unwrap_or_default();
    let files = rows.into_iter().map(|row| (row["path"].as_str().unwrap_or_default().to_owned(), row["sum"].clone()));
    files.filter(|(path, _)| path.ends_with(".mod") || path.ends_with(".zip")).collect()
}

/// What `modvet cache …` prints.
fn cache(modvet: &Modvet, arguments: &[&str]) -> String {
    let output = modvet.home().run(&[&["cache"], arguments, &["--config", "modvet.toml"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn api(modvet: &Modvet, path: &str) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", path, "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    serde_json::from_slice(&answered.body).expect("JSON")
}

fn metric(modvet: &Modvet, line: &str) -> bool {
    client::get(modvet.address(), "/metrics").text().lines().any(|found| found == line)
}

#[test]
fn what_the_database_knows_is_verified_and_stays_so_without_it() {
    let court = Court::knowing();
    let modvet = court.start("");
    for _ in 0..2 {
        for ending in ["mod", "zip"] {
            assert_eq!(asked(&modvet, MODULE, &file(ending)), said("verified"), "{ending}: {}", modvet.log());
        }
    }
    for tail in ["@v/list", "@v/v1.0.0.info", "@latest"] {
        assert_eq!(asked(&modvet, MODULE, tail), said(""), "{tail}: the database knows files");
    }
    let lookups = court.database.asked().into_iter().filter(|path| path.starts_with("lookup/")).count();
    assert_eq!(lookups, 1, "one record for both files");
    let Court { tree, database, .. } = court;
    let text = settings(&database, "verify = 'required'", &tree.settings());
    drop((tree, database));
    let home = modvet.killed();
    home.configure(&text);
    let modvet = home.serve();
    for ending in ["mod", "zip"] {
        assert_eq!(asked(&modvet, MODULE, &file(ending)), said("verified"), "{ending}: {}", modvet.log());
    }
    for (path, sum) in kept(&modvet) {
        assert_eq!((sum["state"].as_str(), sum["database"].as_str()), (Some("verified"), Some(NAME)), "{path}");
    }
}

#[test]
fn a_cold_go_mod_asks_for_its_own_record_only() {
    let court = Court::knowing();
    let modvet = court.start("");
    assert_eq!(asked(&modvet, MODULE, &file("mod")), said("verified"));
    let paths = court.database.asked();
    let lookups: Vec<&String> = paths.iter().filter(|path| path.starts_with("lookup/")).collect();
    assert_eq!(lookups, ["lookup/example.test/m@v1.0.0"], "{paths:?}");
    assert!(kept(&modvet).iter().all(|(path, _)| !path.ends_with(".zip")), "no zip is needed for it");
}

#[test]
fn a_file_that_the_database_knows_otherwise_is_never_visible() {
    for (ending, other) in [("zip", "mod"), ("mod", "zip")] {
        let court = Court::new();
        let (zip, go_mod) = (h1::of_zip(&court.zip).expect("a zip"), h1::of_go_mod(&court.go_mod));
        let (served, zip, go_mod) = match ending {
            "zip" => (zip, LIE.to_owned(), go_mod),
            _ => (go_mod, zip, LIE.to_owned()),
        };
        court.database.enter(MODULE, "v1.0.0", &zip, &go_mod);
        let mut modvet = court.start("");
        for start in 0..2 {
            for time in 0..2 {
                let answered = modvet.get(MODULE, &file(ending));
                let text = answered.text();
                assert_eq!(answered.status, 502, "{ending} {start} {time}: {text}");
                for part in [MODULE, "upstream tree", NAME, &served, LIE] {
                    assert!(text.contains(part), "{ending}: no {part} in {text}");
                }
                assert_eq!(answered.header("x-modvet-sum"), None);
                let only_kept = [("Disable-Module-Fetch", "true")];
                let path = format!("/{MODULE}/{}", file(ending));
                let answered = client::request(modvet.address(), "GET", &path, &only_kept);
                assert_eq!(answered.status, 404, "{ending}: nothing is kept: {}", answered.text());
            }
            assert_eq!(kept(&modvet), [], "{ending}");
            assert_eq!(cache(&modvet, &["list", MODULE]), "", "{ending}");
            let counted = "modvet_sumdb_mismatches_total{upstream=\"tree\"} 1";
            assert!(metric(&modvet, counted), "{}", client::get(modvet.address(), "/metrics").text());
            assert!(modvet.log().contains("ERROR"), "{}", modvet.log());
            modvet = court.again(modvet, "");
        }
        let mismatches = api(&modvet, "/api/v1/sumdb/mismatches")["mismatches"].clone();
        assert_eq!(mismatches.as_array().map(Vec::len), Some(1), "{mismatches}");
        assert_eq!((&mismatches[0]["file"], &mismatches[0]["h1"]), (&ending.into(), &served.clone().into()));
        let text = cache(&modvet, &["verify"]);
        assert!(text.starts_with("refused of upstream tree on "), "{text}");
        let told = format!("{MODULE}@v1.0.0 .{ending}: {served} (expected {LIE} by {NAME})");
        assert!(text.lines().any(|line| line.ends_with(&told)), "{text}");
        assert!(text.ends_with("; 1 refused file on record\n"), "{text}");
        // The other file of the version is what the database knows.
        assert_eq!(asked(&modvet, MODULE, &file(other)), said("verified"), "{ending}");
    }
}

#[test]
fn a_go_command_shows_why_a_lie_is_refused() {
    let court = Court::new();
    court.database.enter(MODULE, "v1.0.0", LIE, &h1::of_go_mod(&court.go_mod));
    let modvet = court.start("");
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let ran = Project::new(&go, &modvet.url()).go(&["get", &format!("{MODULE}@v1.0.0")]);
    assert!(!ran.success && ran.stderr.contains("checksum mismatch"), "{}", ran.stderr);
    assert!(ran.stderr.contains(LIE) && ran.stderr.contains("upstream tree"), "{}", ran.stderr);
}

#[test]
fn required_refuses_while_the_database_is_out_of_reach() {
    let court = Court::knowing();
    court.database.lie(Lie::Status(503));
    let modvet = court.start("verify = 'required'");
    for ending in ["mod", "zip"] {
        for _ in 0..2 {
            let answered = modvet.get(MODULE, &file(ending));
            let text = answered.text();
            assert_eq!(answered.status, 502, "{text}");
            let begin = format!("{MODULE}@v1.0.0: upstream tree: the .{ending} is not verified: ");
            assert!(text.starts_with(&begin), "{text}");
            assert!(text.lines().next().is_some_and(|line| line.contains(NAME)), "{text}");
            let last = "to serve it meanwhile: verify = \"auto\" below [sumdb]";
            assert!(text.lines().any(|line| line == last), "{text}");
        }
    }
    court.database.lie(None);
    let modvet = court.again(modvet, "verify = 'required'");
    for ending in ["mod", "zip"] {
        assert_eq!(asked(&modvet, MODULE, &file(ending)), said("verified"), "{}", modvet.log());
    }
}

#[test]
fn auto_serves_while_the_database_is_out_of_reach_and_checks_later() {
    let court = Court::knowing();
    court.database.lie(Lie::Status(503));
    let modvet = court.start("verify = 'auto'");
    for ending in ["mod", "zip"] {
        let answered = modvet.get(MODULE, &file(ending));
        assert_eq!((answered.status, answered.header("x-modvet-sum")), (200, Some("unverified")), "{ending}");
        assert_eq!(answered.header("cache-control"), Some("public, max-age=60"), "{ending}");
    }
    let waiting = api(&modvet, "/api/v1/sumdb/unverified");
    assert_eq!(waiting["total"], 2, "{waiting}");
    assert!(metric(&modvet, "modvet_sumdb_unverified 2"));
    assert!(kept(&modvet).iter().all(|(_, sum)| sum["state"] == "unverified"));
    let text = cache(&modvet, &["list", "--unverified"]);
    assert_eq!(text.lines().filter(|line| line.ends_with("  unverified")).count(), 2, "{text}");
    let text = cache(&modvet, &["stats"]);
    let line = "tree: 2 files that no checksum database could vouch for yet: modvet cache list --unverified";
    assert!(text.lines().any(|found| found == line), "{text}");
    let text = cache(&modvet, &["verify"]);
    assert_eq!(
        text.lines().filter(|line| line.starts_with("unverified: tree  example.test/m/@v/")).count(),
        2,
        "{text}"
    );

    court.database.lie(None);
    let modvet = court.again(modvet, "verify = 'auto'");
    let deadline = Instant::now() + PATIENCE;
    while !metric(&modvet, "modvet_sumdb_unverified 0")
        || kept(&modvet).iter().any(|(_, sum)| sum["state"] == "unverified")
    {
        assert!(Instant::now() < deadline, "nobody checks: {}", modvet.log());
        std::thread::yield_now();
    }
    for ending in ["mod", "zip"] {
        let answered = modvet.get(MODULE, &file(ending));
        assert_eq!((answered.status, answered.header("x-modvet-sum")), (200, Some("verified")), "{ending}");
        assert_eq!(answered.header("x-modvet-cache"), Some("hit"), "{ending}");
        assert_eq!(answered.header("cache-control"), Some("public, max-age=31536000, immutable"), "{ending}");
    }
}

#[test]
fn a_lie_that_was_served_unverified_goes_when_the_database_is_back() {
    let court = Court::new();
    court.database.enter(MODULE, "v1.0.0", LIE, &h1::of_go_mod(&court.go_mod));
    court.database.lie(Lie::Status(503));
    let modvet = court.start("");
    assert_eq!(asked(&modvet, MODULE, &file("zip")), said("unverified"));
    court.database.lie(None);
    let modvet = court.again(modvet, "");
    let deadline = Instant::now() + PATIENCE;
    while api(&modvet, "/api/v1/sumdb/mismatches")["mismatches"].as_array().is_none_or(Vec::is_empty) {
        assert!(Instant::now() < deadline, "nobody checks: {}", modvet.log());
        std::thread::yield_now();
    }
    assert_eq!(modvet.get(MODULE, &file("zip")).status, 502);
    assert!(kept(&modvet).iter().all(|(path, _)| !path.ends_with(".zip")));
}

#[test]
fn without_a_record_auto_serves_and_required_does_not() {
    let court = Court::new();
    let modvet = court.start("");
    assert_eq!(asked(&modvet, MODULE, &file("mod")), said("unverified"));
    let modvet = court.again(modvet, "verify = 'required'");
    let answered = modvet.get(MODULE, &file("mod"));
    assert_eq!(answered.status, 502, "{}", answered.text());
    assert!(answered.text().contains(NAME), "{}", answered.text());
}

#[test]
fn off_asks_nobody_and_marks_nothing() {
    let court = Court::new();
    court.database.enter(MODULE, "v1.0.0", LIE, LIE);
    let modvet = court.start("verify = 'off'");
    for ending in ["mod", "zip"] {
        assert_eq!(asked(&modvet, MODULE, &file(ending)), said(""), "{ending}");
    }
    assert_eq!(court.database.asked(), Vec::<String>::new());
    assert!(kept(&modvet).iter().all(|(_, sum)| sum.is_null()));
    // What was kept meanwhile is looked at before it is given again.
    let modvet = court.again(modvet, "");
    for ending in ["mod", "zip"] {
        assert_eq!(modvet.get(MODULE, &file(ending)).status, 502, "{ending}");
    }
}

#[test]
fn a_private_module_is_never_named_to_the_database() {
    let court = Court::knowing();
    for sumdb in ["private = ['example.test/*']\nverify = 'auto'", "private = ['example.test']\nverify = 'required'"] {
        let modvet = court.start(sumdb);
        for ending in ["mod", "zip", "mod", "zip"] {
            assert_eq!(asked(&modvet, MODULE, &file(ending)), said("exempt"), "{ending}: {}", modvet.log());
        }
        assert!(kept(&modvet).iter().any(|(path, sum)| path.ends_with(".zip") && sum["state"] == "exempt"));
    }
    let paths = court.database.asked();
    assert!(paths.iter().all(|path| !path.contains("example.test")), "{paths:?}");
}

#[test]
fn a_wrong_version_is_served_by_the_mode_and_never_named_to_the_database() {
    let (module, name) = ("github.com/modvet-fixtures/wrong-pseudo-versions", "wrong-pseudo-versions");
    let database = Database::start(NAME);
    let world = World::with(&[fixture::named(name)], |server| {
        Modvet::start(&settings(&database, "", &modvet::over_git(&server.url(), "legacy", "")))
    });
    let [wrong, right] = ["v1.1.1-0.20180222010204-{tip:12}", "v1.1.1-0.20180222010203-{tip:12}"]
        .map(|version| world.names(name).expand(version));
    for ending in ["mod", "zip", "mod", "zip"] {
        let tail = format!("@v/{wrong}.{ending}");
        assert_eq!(asked(&world.modvet, module, &tail), said("exempt"), "{ending}: {}", world.modvet.log());
    }
    assert_eq!(database.asked(), Vec::<String>::new());
    assert_eq!(asked(&world.modvet, module, &format!("@v/{right}.mod")), said("unverified"), "it has no record");
    let paths = database.asked();
    assert!(paths.contains(&format!("lookup/{module}@{right}")), "{paths:?}");
    assert!(paths.iter().all(|path| !path.contains(&wrong)), "{paths:?}");
}

#[test]
fn public_modules_are_verified_as_they_come_and_verified_still_when_the_outside_is_gone() {
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let reached = Outside::find().and_then(|outside| outside.served(&go).map(|served| (outside, served)));
    let (outside, modules) = match reached {
        Ok((outside, _)) if outside.gosumdb == "off" => return println!("skipped: GOSUMDB is off on this machine"),
        Ok(reached) => reached,
        Err(why) => return println!("skipped: the machine's module proxy cannot be reached: {why}"),
    };
    assert!(modules.len() >= outside::ENOUGH, "only {} modules are served", modules.len());
    let home = Home::new();
    home.configure("[sumdb]\nverify = 'required'\n");
    let serve = ["serve", "--config", "modvet.toml", "--upstream", &outside.goproxy];
    let mut command = home.command(&serve);
    outside.let_out(&mut command);
    let modvet = home.serve_by(command);
    let first = outside.download(&go, &modvet.url(), &modules, "");
    let sums = first.unwrap_or_else(|ran| panic!("{}{}", ran.stderr, modvet.log()));
    let assert_verified = |modvet: &Modvet| {
        let files = kept(modvet);
        assert!(files.len() >= 2 * outside::ENOUGH, "{} files", files.len());
        for (path, sum) in files {
            assert_eq!(sum["state"], "verified", "{path}: {sum}");
        }
    };
    assert_verified(&modvet);

    // The same upstream, but the way out leads to where every connection ends at once.
    let gone = Relay::to(modvet.address());
    gone.set(Passage::Cut);
    let home = modvet.killed();
    let mut command = home.command(&serve);
    outside.let_out(&mut command);
    command.env("HTTPS_PROXY", gone.url()).env("HTTP_PROXY", gone.url());
    let modvet = home.serve_by(command);
    let again = outside.download(&go, &modvet.url(), &modules, &sums);
    let again = again.unwrap_or_else(|ran| panic!("{}{}", ran.stderr, modvet.log()));
    assert_eq!(again, sums, "go.sum from the cache alone");
    assert_verified(&modvet);
}
