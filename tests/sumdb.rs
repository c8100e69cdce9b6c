//! Checksum databases through the built binary: a database of the test's own, the real go command, every lie.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::{self, Answered};
use support::double::Double;
use support::go::Go;
use support::modvet::{Home, Modvet};
use support::project::{Project, Ran};
use support::release::Release;
use support::sumdb::{Database, Lie};

const NAME: &str = "sum.example.test";
const MODULES: [&str; 3] = ["example.test/one@v1.0.0", "example.test/two@v1.1.0", "example.test/Three@v1.2.0"];
const LOOKUP: &str = "lookup/example.test/one@v1.0.0";

/// A module proxy that hands a database through; the log grew between the releases.
struct World {
    database: Database,
    // Held for its drop.
    _upstream: Double,
    go: Go,
}

impl World {
    fn new() -> World {
        let upstream = Double::start();
        let database = Database::start_before(NAME, upstream.address());
        database.grow(200);
        for subject in MODULES {
            let (module, version) = subject.split_once('@').expect("MODULE@VERSION");
            let release = Release::new(module, version);
            upstream.add(&release);
            database.enter_files(module, version, &release.zip(), &release.go_mod());
            database.grow(333);
        }
        World { database, _upstream: upstream, go: Go::new("http://127.0.0.1:9/", &[]) }
    }

    /// The proxy, and further settings.
    fn settings(&self, more: &str) -> String {
        format!("{more}\n[[upstream]]\nname = \"public\"\nkind = \"proxy\"\nurl = \"{}\"\n", self.database.url())
    }

    /// modvet that knows the database by its key; nobody answers at its own address.
    fn through_the_proxy(&self) -> Modvet {
        Modvet::start(
            &self.settings(&format!("[sumdb]\ndatabases = ['{} http://127.0.0.1:9/']\n", self.database.key())),
        )
    }

    /// modvet that reaches the database at its own address.
    fn directly(&self) -> Modvet {
        self.database.is_unsupported(true);
        Modvet::start(&self.settings(&format!("[sumdb]\ndatabases = ['{}']\n", self.database.gosumdb())))
    }

    /// Downloads modules one after the other, with nothing kept before, as a go command that asks the database.
    fn download(&self, modvet: &str, modules: &[&str]) -> (Ran, String) {
        let project = Project::new(&self.go, modvet).with("GOSUMDB", &self.database.key());
        // What go remembers of a database lies there.
        let path = project.cache().path().join("gopath").display().to_string();
        let project = project.with("GOPATH", &path);
        let mut ran = None;
        for module in modules {
            let arguments = ["get", module];
            let got = project.go(&arguments);
            if !got.success {
                return (got, project.read("go.sum"));
            }
            ran = Some(got);
        }
        (ran.expect("modules"), project.read("go.sum"))
    }
}

fn ask(modvet: &Modvet, rest: &str) -> Answered {
    client::get(modvet.address(), &format!("/sumdb/{NAME}/{rest}"))
}

fn status(modvet: &Modvet) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", "/api/v1/sumdb", "");
    serde_json::from_slice(&answered.body).unwrap_or_else(|error| panic!("{error}: {}", answered.text()))
}

/// Downloads with the database there, then with everything gone, in other orders too.
fn online_then_offline(world: World, modvet: Modvet) {
    let (ran, with) = world.download(&modvet.url(), &MODULES);
    assert!(ran.success, "{}{}", ran.stderr, modvet.log());
    assert_eq!(with.lines().count(), 6, "{with}");
    assert!(modvet.log().contains("route=\"sumdb\""), "the database was not asked through modvet");
    let World { database, _upstream, go } = world;
    let key = database.key();
    drop((database, _upstream));
    // A restart forgets nothing.
    let modvet = modvet.killed().serve();
    let lines = |go_sum: &str| {
        let mut lines: Vec<String> = go_sum.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let [one, two, three] = MODULES;
    for order in [[one, two, three], [three, two, one], [two, three, one]] {
        let project = Project::new(&go, &modvet.url()).with("GOSUMDB", &key);
        let path = project.cache().path().join("gopath").display().to_string();
        let project = project.with("GOPATH", &path);
        for module in order {
            let ran = project.go(&["get", module]);
            assert!(ran.success, "{module} of {order:?}: {}{}", ran.stderr, modvet.log());
        }
        assert_eq!(lines(&project.read("go.sum")), lines(&with), "{order:?}");
    }
}

#[test]
fn a_build_that_was_verified_through_a_proxy_works_when_everything_is_gone() {
    let world = World::new();
    let modvet = world.through_the_proxy();
    online_then_offline(world, modvet);
}

#[test]
fn a_build_that_was_verified_directly_works_when_everything_is_gone() {
    let world = World::new();
    let modvet = world.directly();
    online_then_offline(world, modvet);
}

#[test]
fn go_is_told_by_the_right_record_that_a_module_is_not_the_same() {
    let world = World::new();
    // The latest record of a version counts: this one is of other files.
    world.database.enter(
        "example.test/one",
        "v1.0.0",
        "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    );
    let modvet = world.through_the_proxy();
    let (ran, _) = world.download(&modvet.url(), &MODULES[..1]);
    assert!(!ran.success && ran.stderr.contains("SECURITY ERROR"), "{}", ran.stderr);
}

#[test]
fn every_lie_is_answered_502_with_its_text_and_leaves_nothing_behind() {
    let world = World::new();
    let size = world.database.size();
    let lied = |start: &str| format!("sumdb/{NAME}/{LOOKUP}: checksum database {NAME}: {start}");
    let unrecorded = Lie::Unrecorded {
        module: "example.test/one".to_owned(),
        version: "v1.0.0".to_owned(),
        zip: "h1:lie=".to_owned(),
        go_mod: "h1:lie=".to_owned(),
    };
    let key = world.database.key();
    let shown = key.splitn(3, '+').take(2).collect::<Vec<_>>().join("+");
    let table = [
        (Lie::OtherKey, lied(&format!("note has no verifiable signatures (expected one of {shown})"))),
        (Lie::Tampered, lied(&format!("invalid signature for key {shown}"))),
        (unrecorded, lied(&format!("record 200 is not what the signed tree of {size} records has there"))),
        (Lie::OldHead(150), lied("record 200 is not in the signed tree of 150 records")),
        (Lie::WrongTiles, lied("inconsistent tile: tile/8/")),
        (Lie::Page, lied("the answer is no record of a checksum database")),
        // The proxy was asked first.
        (Lie::Status(500), format!("sumdb/{NAME}/{LOOKUP}: upstream public: {} answers 500", world.database.url())),
    ];
    for (lie, text) in table {
        let modvet = world.directly();
        world.database.lie(lie.clone());
        let refused = ask(&modvet, LOOKUP);
        assert_eq!(refused.status, 502, "{lie:?}: {}", refused.text());
        assert!(refused.text().starts_with(&text), "{lie:?}: {}", refused.text());
        let (ran, go_sum) = world.download(&modvet.url(), &MODULES[..1]);
        assert!(!ran.success && go_sum.is_empty(), "{lie:?}: {go_sum}");
        world.database.lie(None);
        let answered = ask(&modvet, LOOKUP);
        assert_eq!(answered.status, 200, "{lie:?}: nothing wrong was kept: {}", answered.text());
        assert_eq!(answered.header("x-modvet-cache"), Some("miss"), "{lie:?}");
        let (ran, _) = world.download(&modvet.url(), &MODULES[..1]);
        assert!(ran.success, "{lie:?}: {}", ran.stderr);
    }
}

#[test]
fn a_fork_stops_everything_until_an_administrator_clears_it() {
    let world = World::new();
    let modvet = world.through_the_proxy();
    assert_eq!(ask(&modvet, LOOKUP).status, 200);
    world.database.grow(7);
    world.database.fork(4);
    let text = format!(
        "SECURITY ERROR: checksum database {NAME} contradicts its own past\n\
         nothing that it says is believed or passed on until an administrator has looked into it\n\
         both signed trees: GET /api/v1/sumdb\n\
         when it is settled: DELETE /api/v1/sumdb/forks/{NAME}\n"
    );
    for rest in ["lookup/example.test/two@v1.1.0", LOOKUP, "latest", "tile/8/0/000"] {
        let refused = ask(&modvet, rest);
        assert_eq!(refused.status, 502, "{rest}");
        assert_eq!(refused.text(), format!("sumdb/{NAME}: {text}"), "{rest}");
    }
    assert_eq!(ask(&modvet, "supported").status, 200, "else clients turn to the database itself");
    let (ran, _) = world.download(&modvet.url(), &MODULES[..1]);
    assert!(!ran.success && ran.stderr.contains("SECURITY ERROR"), "{}", ran.stderr);
    assert!(modvet.log().contains("ERROR") && modvet.log().contains("misbehavior"), "{}", modvet.log());
    let metrics = client::get(modvet.address(), "/metrics").text();
    assert!(metrics.contains(&format!("modvet_sumdb_fork{{database=\"{NAME}\"}} 1")), "{metrics}");
    let modvet = modvet.killed().serve();
    assert_eq!(ask(&modvet, LOOKUP).status, 502, "also after a restart");
    let fork = &status(&modvet)["databases"][0]["fork"];
    for side in ["ours", "theirs"] {
        assert!(fork[side].as_str().is_some_and(|note| note.contains(&format!("— {NAME} "))), "{fork}");
    }
    let path = format!("/api/v1/sumdb/forks/{NAME}?forget_head");
    assert_eq!(client::request(modvet.address(), "DELETE", &path, &[]).status, 401, "not without a token");
    assert_eq!(client::control(&modvet.home().store(), "DELETE", &path, "").status, 204);
    let (ran, _) = world.download(&modvet.url(), &MODULES);
    assert!(ran.success, "{}", ran.stderr);
}

#[test]
fn private_names_are_refused_with_the_variable_that_helps_and_never_leave() {
    let world = World::new();
    let git = "[[upstream]]\nname = \"corp\"\nkind = \"git\"\nmodules = [\"git.example.test/*\"]\n";
    let sumdb = format!("[sumdb]\ndatabases = ['{}']\nprivate = [\"corp.example.test\"]\n", world.database.gosumdb());
    let registry = "[[registry]]\nname = \"default\"\nupstreams = [\"public\"]\n";
    let home = Home::new();
    home.configure(&format!("{}{git}{registry}", world.settings(&sumdb)));
    let mut command = home.command(&["serve", "--config", "modvet.toml"]);
    command.env("GOPRIVATE", "environment.example.test");
    let modvet = home.serve_by(command);
    for module in ["git.example.test/m", "corp.example.test/m", "environment.example.test/m"] {
        let refused = ask(&modvet, &format!("lookup/{module}@v1.0.0"));
        assert_eq!(refused.status, 403, "{module}");
        assert_eq!(
            refused.text(),
            format!(
                "{module}: private module: no checksum database is asked for it\n\
                 go env -w GONOSUMDB={module}\n\
                 it takes the place of what go env GONOSUMDB shows: keep that, with a comma between\n"
            )
        );
    }
    // One that is defined at run time, and stands in no registry, counts from then on.
    let upstream = "{\"name\": \"late\", \"kind\": \"git\", \"modules\": [\"late.example.test/*\"]}";
    let created = client::control(&modvet.home().store(), "POST", "/api/v1/upstreams", upstream);
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(ask(&modvet, "lookup/late.example.test/m@v1.0.0").status, 403);
    assert_eq!(world.database.asked(), [""; 0]);
    assert_eq!(ask(&modvet, LOOKUP).status, 200);
}

#[test]
fn only_names_on_the_list_are_passed_on() {
    let world = World::new();
    let modvet = world.through_the_proxy();
    let other = client::get(modvet.address(), "/sumdb/other.example.test/supported");
    assert_eq!(
        (other.status, other.text()),
        (
            404,
            format!(
                "sumdb/other.example.test: no such checksum database is passed on\n\
                 those of [sumdb] databases are: {NAME}\n"
            )
        )
    );
    // What GOSUMDB says counts where the file says nothing.
    for (gosumdb, expected) in [("off".to_owned(), 404), (world.database.key(), 200)] {
        let home = Home::new();
        home.configure(&world.settings(""));
        let mut command = home.command(&["serve", "--config", "modvet.toml"]);
        command.env("GOSUMDB", &gosumdb);
        let modvet = home.serve_by(command);
        assert_eq!(ask(&modvet, "supported").status, expected, "{gosumdb}");
    }
    let home = Home::new();
    home.configure(&world.settings(""));
    let output = home.command(&["serve", "--config", "modvet.toml"]).env("GOSUMDB", "sum.example").output();
    let output = output.expect("the binary was built");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("malformed verifier key \"sum.example\" (expected NAME+HASH+KEY)"), "{error}");
}

#[test]
fn a_database_that_is_gone_or_silent_is_said_to_be_and_found_again() {
    let world = World::new();
    let modvet = world.directly();
    assert_eq!(ask(&modvet, LOOKUP).status, 200);
    assert!(status(&modvet)["databases"][0]["out_of_reach_since"].is_null());
    world.database.lie(Lie::Status(503));
    assert_eq!(ask(&modvet, "lookup/example.test/two@v1.1.0").status, 502);
    let found = status(&modvet)["databases"][0].clone();
    assert!(found["out_of_reach_since"].is_string(), "{found}");
    assert_eq!(found["lookups"]["failed"], 1, "{found}");
    assert_eq!(found["head"]["size"], world.database.size(), "{found}");
    world.database.lie(None);
    assert_eq!(ask(&modvet, "lookup/example.test/two@v1.1.0").status, 200, "a client's question is tried at once");
    assert!(status(&modvet)["databases"][0]["out_of_reach_since"].is_null());
    world.database.lie(Lie::Slow(Duration::from_millis(300)));
    let start = Instant::now();
    assert_eq!(ask(&modvet, "lookup/example.test/!three@v1.2.0").status, 200);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn what_is_kept_of_a_database_is_seen_and_removed_as_what_is_kept_of_an_upstream() {
    let world = World::new();
    let modvet = world.through_the_proxy();
    assert_eq!(ask(&modvet, LOOKUP).status, 200);
    let store = modvet.home().store();
    let list = client::control(&store, "GET", "/api/v1/upstreams/sumdb/entries", "");
    assert!(list.text().contains("lookup/example.test/one@v1.0.0"), "{}", list.text());
    world.database.asked();
    let removed = client::control(&store, "POST", "/api/v1/cache/rm", "{\"upstream\": \"sumdb\"}");
    assert_eq!(removed.status, 200, "{}", removed.text());
    assert_eq!(ask(&modvet, LOOKUP).header("x-modvet-cache"), Some("miss"));
    let asked = world.database.asked();
    assert!(asked.iter().any(|path| path.starts_with("tile/8/0/000")), "tiles are not in memory either: {asked:?}");
}
