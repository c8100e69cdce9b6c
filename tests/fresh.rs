//! Lists, latest versions and branches: one look at the refs for all modules of a repository and all clients, kept answers
//! at once while it is renewed, and what is renewed at once when somebody asks for that.

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::Value;
use support::client::{self, Answered};
use support::fixture::{self, Fixture};
use support::git_server::Asked;
use support::modvet::{self, Home, Modvet};
use support::relay::{Passage, Relay};
use support::world::World;

const ROOT: &str = "github.com/modvet-fixtures/mono";
/// Folders with a module each; the root is one more, and `/v2` of it another.
const NESTED: usize = 18;
const CLIENTS: usize = 64;
const SECRET: &str = "a hook's secret";
/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One repository of twenty modules, and folders that are none.
fn mono() -> Fixture {
    let nested = |number: usize| format!("file m{number}/go.mod\n  module {ROOT}/m{number}\n");
    let files: String = (0..NESTED).map(nested).collect();
    let tags: String = (0..NESTED).map(|number| format!("; tag m{number}/v1.0.0")).collect();
    let text = format!(
        "# Twenty modules in one repository.\nat 2019-01-01T00:00:00Z\nfile go.mod\n  module {ROOT}\n{files}\
         file v2/go.mod\n  module {ROOT}/v2\nfile none/none.go\n  package none\ncommit first; tag v1.0.0{tags}\n\
         at 2019-01-02T00:00:00Z\ncommit second; tag v2.0.0\nat 2019-01-03T00:00:00Z\ncommit tip; branch topic"
    );
    fixture::parse("mono", &text)
}

fn modules() -> Vec<String> {
    let nested = (0..NESTED).map(|number| format!("{ROOT}/m{number}"));
    [ROOT.to_owned(), format!("{ROOT}/v2")].into_iter().chain(nested).collect()
}

/// What is asked of each module, and of paths that are none.
fn questions(world: &World) -> Vec<(String, u16)> {
    let tip = world.names("mono").expand("@v/{tip:12}.info");
    let tails = ["@v/list", "@latest", "@v/topic.info", &tip];
    let of = |module: String, status: u16| tails.map(|tail| (format!("/{module}/{tail}"), status));
    let no_modules = ["none", "nowhere", "none/deeper"].map(|below| format!("{ROOT}/{below}"));
    let all = modules().into_iter().map(|module| (module, 200)).chain(no_modules.map(|path| (path, 404)));
    all.flat_map(|(module, status)| of(module, status)).collect()
}

/// modvet over the repository; `more` are further keys of its upstream.
fn world(more: &str) -> World {
    World::with(&[mono()], |git| serving(&git.url(), more))
}

/// The same with a relay between the two.
fn relayed(more: &str) -> (World, Relay) {
    let mut relay = None;
    let world = World::with(&[mono()], |git| {
        let through = Relay::to(git.address());
        let modvet = serving(&through.url(), more);
        relay = Some(through);
        modvet
    });
    (world, relay.expect("it was started"))
}

fn serving(git: &str, more: &str) -> Modvet {
    let home = Home::new();
    home.write("secret", SECRET);
    let secret = home.path().join("secret").display().to_string();
    let api = format!("[api]\nrefresh_secret_file = '{secret}'\n\n");
    home.configure(&format!("{api}{}{more}\n", modvet::over_git(git, "rewrite", "")));
    home.serve()
}

/// All questions by all clients, each beginning elsewhere.
fn storm(world: &World) {
    let (questions, server) = (questions(world), world.modvet.address());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let questions = &questions;
            scope.spawn(move || {
                for number in 0..questions.len() {
                    let (path, status) = &questions[(number + client * 7) % questions.len()];
                    let answered = client::get(server, path);
                    assert_eq!(answered.status, *status, "{path}: {}", answered.text());
                }
            });
        }
    });
}

fn listings(world: &World) -> usize {
    world.server.counts().of(Asked::Refs)
}

fn list(modvet: &Modvet, module: &str) -> Answered {
    let answered = modvet.get(module, "@v/list");
    assert_eq!(answered.status, 200, "{}", answered.text());
    answered
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

#[test]
fn one_listing_serves_all_modules_and_all_clients_for_a_validity_period() {
    let world = world("list_validity = '1h'");
    storm(&world);
    storm(&world);
    assert_eq!(listings(&world), 1, "{}", world.modvet.log());
    let pushed = world.names("mono").expand("@v/{second:12}.info");
    assert_eq!(world.modvet.get(ROOT, &pushed).status, 200);
    assert_eq!(listings(&world), 1, "a commit that is there needs no look either");
}

#[test]
fn modules_of_a_repository_come_to_an_end_together_and_one_listing_renews_them() {
    let world = world("list_validity = '6s'");
    let cache = |module: &String| list(&world.modvet, module).header("x-modvet-cache").unwrap_or_default().to_owned();
    let all = modules();
    assert!(all.iter().all(|module| cache(module) == "miss"), "{}", world.modvet.log());
    wait("the end of the first", || cache(&all[0]) == "stale");
    let before = all[1..].iter().filter(|module| cache(module) != "stale").count();
    assert_eq!(before, 0, "what was made of the same refs is fresh for as long");
    wait("all are renewed", || all.iter().all(|module| cache(module) == "hit"));
    assert_eq!(listings(&world), 2, "one for each validity period: {}", world.modvet.log());
}

#[test]
fn while_the_upstream_hangs_old_lists_are_given_at_once_and_one_look_is_under_way() {
    let (world, relay) = relayed("list_validity = '1s'");
    let all = modules();
    all.iter().for_each(|module| _ = list(&world.modvet, module));
    relay.set(Passage::Stalled);
    let is_stale = |module: &String| list(&world.modvet, module).header("x-modvet-cache") == Some("stale");
    wait("all are past their validity", || all.iter().all(is_stale));
    let (before, start) = (relay.connections(), Instant::now());
    for _ in 0..10 {
        all.iter().for_each(|module| assert!(is_stale(module)));
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "200 answers beside a silent server took {took:?}");
    assert!(relay.connections() <= before + 1, "one look at the refs, not one for each module");
    relay.set(Passage::Open);
    world.tag("mono", "v1.1.0", "first");
    wait("the new list", || list(&world.modvet, ROOT).text().contains("v1.1.0"));
}

#[test]
fn an_absence_is_never_told_from_refs_that_hold_no_more() {
    let world = world("list_validity = '1s'");
    assert_eq!(list(&world.modvet, ROOT).text(), "v1.0.0\n");
    let start = Instant::now();
    world.tag("mono", "v1.1.0", "first");
    // The list may be the old one once more; a version that is not in it is asked for.
    wait("a second", || start.elapsed() > Duration::from_millis(1100));
    let info = world.modvet.get(ROOT, "@v/v1.1.0.info");
    assert_eq!(info.status, 200, "{}", info.text());
}

fn hook(modvet: &Modvet, module: &str, headers: &[(&str, &str)], body: &str) -> Answered {
    client::send(modvet.address(), "POST", &format!("/api/v1/refresh/{module}"), headers, body)
}

/// As a forge signs.
fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}

#[test]
fn a_signed_hook_makes_a_pushed_tag_known_at_once() {
    let world = world("list_validity = '1h'");
    let modvet = &world.modvet;
    for module in [ROOT, &format!("{ROOT}/m3")] {
        assert_eq!(list(modvet, module).text(), "v1.0.0\n");
        assert!(modvet.get(module, "@latest").text().contains("v1.0.0"));
    }
    assert_eq!(modvet.get(ROOT, "@v/v1.1.0.info").status, 404, "this is remembered for a while");
    world.tag("mono", "v1.1.0", "first");
    world.tag("mono", "m3/v1.2.0", "first");
    let body = r#"{"ref":"refs/tags/v1.1.0"}"#;
    let before = listings(&world);
    let form =
        [("content-type", "application/json"), ("x-github-event", "push"), ("x-hub-signature-256", &signature(body))];
    let answered = hook(modvet, ROOT, &form, body);
    assert_eq!(answered.status, 200, "{}\n{}", answered.text(), modvet.log());
    let told: Value = serde_json::from_slice(&answered.body).expect("JSON");
    assert_eq!((&told["refs"]["added"], &told["failed"]), (&Value::from(2), &Value::from(0)), "{told}");
    let changes = |module: &str| {
        let all = told["modules"].as_array().expect("a list");
        all.iter().find(|one| one["module"] == module).cloned().unwrap_or_else(|| panic!("{module}: {told}"))
    };
    assert_eq!(changes(ROOT)["added"], serde_json::json!(["v1.1.0"]), "{told}");
    assert_eq!(changes(&format!("{ROOT}/m3"))["latest"], "v1.2.0", "{told}");
    assert_eq!(list(modvet, ROOT).text(), "v1.0.0\nv1.1.0\n");
    assert_eq!(list(modvet, &format!("{ROOT}/m3")).text(), "v1.0.0\nv1.2.0\n");
    assert!(modvet.get(ROOT, "@latest").text().contains("v1.1.0"));
    assert_eq!(modvet.get(ROOT, "@v/v1.1.0.info").status, 200, "what was absent is not remembered");
    assert_eq!(listings(&world), before + 1, "the refs were looked at once");
}

#[test]
fn who_does_not_know_the_secret_renews_nothing() {
    let world = world("list_validity = '1h'");
    let modvet = &world.modvet;
    list(modvet, ROOT);
    let before = listings(&world);
    let right = signature("{}");
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let table: [Row<'_>; 6] = [
        ("nothing", &[], 401),
        ("another body's", &[("x-hub-signature-256", &signature("x"))], 401),
        ("another token", &[("x-gitlab-token", "guessed")], 401),
        ("no token of ours", &[("x-hub-signature-256", &right), ("authorization", "Bearer x")], 401),
        ("about an issue", &[("x-hub-signature-256", &right), ("x-github-event", "issues")], 204),
        ("an unknown module", &[("x-hub-signature-256", &right)], 404),
    ];
    for (row, headers, expected) in table {
        let module = if expected == 404 { "github.com/modvet-fixtures/nothing" } else { ROOT };
        let headers: Vec<(&str, &str)> =
            headers.iter().copied().chain([("content-type", "application/json")]).collect();
        let answered = hook(modvet, module, &headers, "{}");
        assert_eq!(answered.status, expected, "{row}: {}", answered.text());
    }
    assert_eq!(listings(&world), before);
    assert!(!modvet.log().contains(SECRET), "{}", modvet.log());
    let unguarded = Modvet::over_git(&world.server.url(), "rewrite");
    let answered = hook(&unguarded, ROOT, &[("x-hub-signature-256", &right)], "{}");
    assert_eq!(answered.status, 401, "no secret is configured: {}", answered.text());
}

#[test]
fn hooks_that_come_to_no_end_take_the_places_of_hooks_alone() {
    let world = world("list_validity = '1h'");
    let modvet = &world.modvet;
    let head = format!(
        "POST /api/v1/refresh/{ROOT} HTTP/1.1\r\nHost: modvet.test\r\nX-Gitlab-Token: guessed\r\n\
         Content-Length: 9\r\n\r\n"
    );
    let begin = || {
        let mut stream = TcpStream::connect(modvet.address()).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream
    };
    // More than there are places: who looks whether all are taken may take the last one for a moment.
    let slow: Vec<TcpStream> = (0..2 * CLIENTS).map(|_| begin()).collect();
    wait("all places are taken", || hook(modvet, ROOT, &[("x-gitlab-token", "guessed")], "").status == 503);
    assert_eq!(list(modvet, ROOT).text(), "v1.0.0\n");
    drop(slow);
    wait("places are free", || hook(modvet, ROOT, &[("x-gitlab-token", SECRET)], "").status == 200);
}

#[test]
fn however_many_ask_the_refs_are_looked_at_twice_and_the_last_one_knows_all() {
    let (world, relay) = relayed("list_validity = '1h'");
    list(&world.modvet, ROOT);
    let (before, store) = (listings(&world), world.modvet.home().store());
    relay.set(Passage::Stalled);
    let renew = |store: &Path| {
        let answered = client::control(store, "POST", &format!("/api/v1/refresh/{ROOT}"), "");
        assert_eq!(answered.status, 200, "{}", answered.text());
    };
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| renew(&store));
        }
        wait("all have come", || world.modvet.log().matches("renewal asked for").count() == CLIENTS);
        world.tag("mono", "v1.1.0", "first");
        relay.set(Passage::Open);
    });
    assert!(listings(&world) <= before + 2, "{} listings", listings(&world) - before);
    assert_eq!(list(&world.modvet, ROOT).text(), "v1.0.0\nv1.1.0\n");
}
