//! The programming interface of the built binary: over its control socket and over TCP, as docs/api.md says.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::mirrored::{Mirrored, Side};
use support::modvet::{Home, Modvet};
use support::sumdb::Database;
use support::tree::Tree;
use support::{client, openapi, top};

const MODULE: &str = "example.test/m";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    tree
}

#[test]
fn the_control_socket_is_there_while_the_store_is_open() {
    let tree = tree();
    let home = Home::new();
    let socket = home.store().join("control.sock");
    home.configure(&tree.settings());
    let modvet = home.serve();
    // The listener is up before the store; the socket is there before the first answer out of it.
    assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
    let metadata = std::fs::symlink_metadata(&socket).expect("a socket");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let store = modvet.home().store();
    let list = client::control(&store, "GET", &format!("/{MODULE}/@v/list"), "");
    assert_eq!((list.status, list.text()), (200, "v1.0.0\n".to_owned()));
    let bindings = client::control(&store, "GET", "/api/v1/registries/default/bindings", "");
    assert_eq!(bindings.status, 200, "no token is wanted: {}", bindings.text());

    let home = modvet.killed();
    assert!(socket.exists(), "a killed server cannot tidy up");
    let modvet = home.serve();
    assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
    let list = client::control(&store, "GET", &format!("/{MODULE}/@v/list"), "");
    assert_eq!(list.status, 200, "the one that was left is replaced");

    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{}", home.log());
    assert!(!socket.exists(), "it goes with the server");
}

#[test]
fn a_store_may_lie_deeper_than_a_sockets_address_reaches() {
    let tree = tree();
    let home = Home::new();
    let store = home.path().join("d".repeat(100)).join("e".repeat(100));
    let (store, tree_path) = (store.display().to_string(), tree.path().display().to_string());
    home.write("modvet.toml", &format!("[[upstream]]\nname = 'tree'\nkind = 'dir'\npath = '{tree_path}'\n"));
    let arguments = ["serve", "--config", "modvet.toml", "--listen", "127.0.0.1:0", "--store", &store];
    let command = home.command(&arguments);
    let modvet = home.serve_by(command);
    assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
    let list = client::control(Path::new(&store), "GET", &format!("/{MODULE}/@v/list"), "");
    assert_eq!(list.status, 200, "{}", modvet.log());
}

/// A server with a token, which has answered something.
fn guarded(tree: &Tree) -> Modvet {
    guarded_with(tree, "")
}

/// The same with more settings.
fn guarded_with(tree: &Tree, more: &str) -> Modvet {
    let home = Home::new();
    home.write("token", "an admin token\n");
    let token = home.path().join("token").display().to_string();
    let registry = "[[registry]]\nname = 'ci'\nupstreams = ['tree']\n";
    home.configure(&format!("[api]\nadmin_token_file = '{token}'\n\n{}\n{registry}{more}\n{RULES}", tree.settings()));
    let modvet = home.serve();
    for tail in ["@v/list", "@v/v1.0.0.info", "@v/v1.0.0.zip"] {
        assert_eq!(modvet.get(MODULE, tail).status, 200, "{tail}: {}", modvet.log());
    }
    modvet
}

#[test]
fn the_examples_of_the_page_work() {
    let page = std::fs::read_to_string(top().join("docs/api.md")).expect("the page");
    let examples: Vec<&str> = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "{} examples", examples.len());
    let tree = tree();
    let modvet = guarded(&tree);
    for example in examples {
        let mut shell = Command::new("sh");
        shell.args(["-euc", example]).env("STORE", modvet.home().store()).env("MODVET", modvet.url());
        let output = shell.env("TOKEN", "an admin token").output().expect("a shell");
        let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{example}\n{said}{error}\n{}", modvet.log());
    }
}

#[test]
fn over_tcp_the_admin_part_wants_the_token_that_the_file_names() {
    let tree = tree();
    let modvet = guarded(&tree);
    let bindings = "/api/v1/registries/default/bindings";
    let ask = |headers: &[(&str, &str)]| client::request(modvet.address(), "GET", bindings, headers);
    assert_eq!(ask(&[]).status, 401);
    assert_eq!(ask(&[("Authorization", "Bearer another")]).status, 401);
    let answered = ask(&[("Authorization", "Bearer an admin token")]);
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(!modvet.log().contains("an admin token"), "{}", modvet.log());

    let open = Modvet::start(&tree.settings());
    let refused = client::get(open.address(), bindings);
    assert_eq!(refused.status, 401, "there is no token: {}", refused.text());
}

#[test]
fn an_upstream_says_how_it_is_doing_in_the_api_and_for_prometheus() {
    let tree = tree();
    let modvet = guarded(&tree);
    let store = modvet.home().store();
    let upstream = || -> Value {
        let answered = client::control(&store, "GET", "/api/v1/upstreams/tree", "");
        serde_json::from_slice(&answered.body).unwrap_or_else(|error| panic!("{error}: {}", answered.text()))
    };
    let line = |wanted: &str| {
        let page = client::get(modvet.address(), "/metrics").text();
        assert!(page.lines().any(|line| line == wanted), "no line {wanted} in\n{page}");
    };
    let doing = upstream();
    assert_eq!(doing["counters"]["misses"], 3, "{doing}");
    assert_eq!(doing["health"]["consecutive_failures"], 0, "{doing}");
    assert!(doing["health"]["last_success"].is_string(), "{doing}");
    line("modvet_answers_total{upstream=\"tree\",cache=\"miss\"} 3");
    line("modvet_upstream_up{upstream=\"tree\"} 1");
    line("modvet_requests_total{route=\"zip\",status=\"200\"} 1");

    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.zip").status, 200);
    line("modvet_answers_total{upstream=\"tree\",cache=\"hit\"} 1");

    assert_eq!(client::control(&store, "GET", "/api/v1/cache/stats", "").status, 200);
    line("modvet_store_bytes{part=\"git\"} 0");

    std::fs::remove_dir_all(tree.path()).expect("a folder");
    assert_eq!(modvet.get("example.test/other", "@v/list").status, 502);
    let doing = upstream();
    assert_eq!(doing["health"]["consecutive_failures"], 1, "{doing}");
    assert!(doing["health"]["failure"].is_string(), "{doing}");
    line("modvet_upstream_up{upstream=\"tree\"} 0");
    line("modvet_upstream_failures_total{upstream=\"tree\"} 1");
}

#[test]
fn an_entry_that_is_removed_is_fetched_again() {
    let tree = tree();
    let modvet = guarded(&tree);
    let store = modvet.home().store();
    let zip = || modvet.get(MODULE, "@v/v1.0.0.zip").header("x-modvet-cache").map(str::to_owned);
    assert_eq!(zip().as_deref(), Some("hit"));
    let path = format!("/api/v1/upstreams/tree/entries/{MODULE}/@v/v1.0.0.zip");
    assert_eq!(client::control(&store, "DELETE", &path, "").status, 204);
    let listed = client::control(&store, "GET", &format!("/api/v1/upstreams/tree/entries?prefix={MODULE}"), "");
    let value: Value = serde_json::from_slice(&listed.body).expect("JSON");
    let paths: Vec<&str> =
        value["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["path"].as_str()).collect();
    assert_eq!(paths, ["@v/list", "@v/v1.0.0.info"], "{value}");
    assert_eq!(zip().as_deref(), Some("miss"), "what is in memory goes too");
}

/// A call, the description it is for, and the status that it gets.
struct Example(&'static str, &'static str, &'static str, u16);

/// In the order in which they are made.
const EXAMPLES: &[Example] = &[
    Example("GET /api/v1/openapi.json", "/api/v1/openapi.json", "", 200),
    Example("GET /api/v1/verdicts/{subject}", "/api/v1/verdicts/example.test/m@v1.0.0", "", 200),
    Example("GET /api/v1/verdicts/{subject}", "/api/v1/verdicts/example.test/m@v1.0.1", "", 200),
    Example("GET /api/v1/verdicts/{subject}", "/api/v1/verdicts/example.test/denied@v1.0.0", "", 200),
    Example("GET /api/v1/verdicts/{subject}", "/api/v1/verdicts/example.test/m@main", "", 410),
    Example(
        "GET /registries/{registry}/api/v1/verdicts/{subject}",
        "/registries/ci/api/v1/verdicts/example.test/m@v1.0.0",
        "",
        200,
    ),
    Example("GET /api/v1/changes", "/api/v1/changes", "", 200),
    Example(
        "POST /api/v1/tokens",
        "/api/v1/tokens",
        "{\"scope\": \"read\", \"registry\": \"ci\", \"label\": \"x\"}",
        201,
    ),
    Example("POST /api/v1/tokens", "/api/v1/tokens", "{\"scope\": \"admin\", \"expires\": \"never\"}", 201),
    Example("POST /api/v1/tokens", "/api/v1/tokens", "{\"scope\": \"read\", \"registry\": \"none\"}", 400),
    Example("POST /api/v1/tokens", "/api/v1/tokens", "{\"scope\": \"all\"}", 400),
    Example("GET /api/v1/tokens", "/api/v1/tokens", "", 200),
    Example("DELETE /api/v1/tokens/{id}", "/api/v1/tokens/00000000", "", 404),
    Example("DELETE /api/v1/tokens/{id}", "/api/v1/tokens/ID", "", 204),
    Example("GET /api/v1/sumdb/unverified", "/api/v1/sumdb/unverified?limit=10", "", 200),
    Example("GET /api/v1/sumdb/mismatches", "/api/v1/sumdb/mismatches?upstream=tree&limit=10", "", 200),
    Example("GET /api/v1/walk/{subject}", "/api/v1/walk/example.test/m", "", 200),
    Example("GET /api/v1/walk/{subject}", "/api/v1/walk/example.test/m@v9.0.0", "", 200),
    Example("GET /api/v1/walk/{subject}", "/api/v1/walk/example.test/m@", "", 410),
    Example(
        "GET /registries/{registry}/api/v1/walk/{subject}",
        "/registries/ci/api/v1/walk/example.test/m@v1.0.0",
        "",
        200,
    ),
    Example("GET /api/v1/rules", "/api/v1/rules", "", 200),
    Example("GET /api/v1/rules/{subject}", "/api/v1/rules/example.test/m", "", 200),
    Example("GET /api/v1/rules/{subject}", "/api/v1/rules/example.test/m@latest?at=2027-01-31", "", 200),
    Example("GET /api/v1/rules/{subject}", "/api/v1/rules/example.test/denied@v1.0.0", "", 200),
    Example("GET /api/v1/rules/{subject}", "/api/v1/rules/example.test/m@v1.0.0?at=soon", "", 410),
    Example(
        "GET /registries/{registry}/api/v1/rules/{subject}",
        "/registries/ci/api/v1/rules/example.test/m@v1.0.0",
        "",
        200,
    ),
    Example("POST /api/v1/refresh/{module}", "/api/v1/refresh/example.test/m", "", 200),
    Example("POST /api/v1/refresh/{module}", "/api/v1/refresh/example.test/m?registry=ci", "", 200),
    Example("POST /api/v1/refresh/{module}", "/api/v1/refresh/example.test/unknown", "", 404),
    Example("POST /api/v1/refresh/{module}", "/api/v1/refresh/example.test/m?registry=none", "", 404),
    Example("POST /api/v1/refresh/{module}", "/api/v1/refresh/nonsense", "", 400),
    Example("GET /api/v1/registries/{registry}/bindings", "/api/v1/registries/default/bindings", "", 200),
    Example("GET /api/v1/registries/{registry}/bindings", "/api/v1/registries/none/bindings", "", 404),
    Example(
        "DELETE /api/v1/registries/{registry}/bindings/{module}",
        "/api/v1/registries/default/bindings/example.test/m",
        "",
        204,
    ),
    Example("GET /api/v1/upstreams/{upstream}/entries", "/api/v1/upstreams/tree/entries", "", 200),
    Example(
        "GET /api/v1/upstreams/{upstream}/entries",
        "/api/v1/upstreams/tree/entries?prefix=example.test%2Fm%2F%40v%2Fv1&limit=1",
        "",
        200,
    ),
    Example("GET /api/v1/upstreams/{upstream}/entries", "/api/v1/upstreams/none/entries", "", 404),
    Example(
        "DELETE /api/v1/upstreams/{upstream}/entries/{path}",
        "/api/v1/upstreams/tree/entries/example.test/m/@v/list",
        "",
        204,
    ),
    Example(
        "DELETE /api/v1/upstreams/{upstream}/entries/{path}",
        "/api/v1/upstreams/tree/entries/example.test/m/@v/list",
        "",
        404,
    ),
    Example("GET /api/v1/audit", "/api/v1/audit?module=example.test/m&limit=1", "", 200),
    Example("GET /api/v1/audit", "/api/v1/audit?since=soon", "", 410),
    Example("GET /api/v1/sumdb", "/api/v1/sumdb", "", 200),
    Example("DELETE /api/v1/sumdb/forks/{database}", "/api/v1/sumdb/forks/sum.example.test", "", 204),
    Example("DELETE /api/v1/sumdb/forks/{database}", "/api/v1/sumdb/forks/sum.example.test", "", 404),
    Example("DELETE /api/v1/sumdb/forks/{database}", "/api/v1/sumdb/forks/other.example.test", "", 404),
    Example("GET /api/v1/cache/stats", "/api/v1/cache/stats", "", 200),
    Example("GET /api/v1/cache/entries", "/api/v1/cache/entries", "", 200),
    Example("GET /api/v1/cache/entries", "/api/v1/cache/entries?stream", "", 200),
    Example("GET /api/v1/cache/entries", "/api/v1/cache/entries?upstream=none", "", 404),
    Example("POST /api/v1/cache/verify", "/api/v1/cache/verify", "", 200),
    Example("GET /api/v1/ledger", "/api/v1/ledger", "", 200),
    Example("GET /api/v1/ledger", "/api/v1/ledger?registry=default&module=example.test%2Fm&limit=1", "", 200),
    Example("GET /api/v1/ledger", "/api/v1/ledger?module=nonsense", "", 410),
    Example("GET /api/v1/ledger/{subject}", "/api/v1/ledger/example.test/m@v1.0.0", "", 200),
    Example("GET /api/v1/ledger/{subject}", "/api/v1/ledger/example.test/m@v1.0.0?registry=none", "", 404),
    Example("GET /api/v1/registries/{registry}/ledger", "/api/v1/registries/default/ledger?refused", "", 200),
    Example(
        "GET /api/v1/registries/{registry}/ledger/{subject}",
        "/api/v1/registries/default/ledger/example.test/m@v1.0.0",
        "",
        200,
    ),
    Example("POST /api/v1/cache/accept", "/api/v1/cache/accept", ACCEPT, 200),
    Example("POST /api/v1/cache/accept", "/api/v1/cache/accept", "{\"subject\": \"example.test/m@v1.0.0\"}", 400),
    Example("POST /api/v1/cache/prune", "/api/v1/cache/prune", "{\"max_size\": \"1B\", \"dry_run\": true}", 200),
    Example("POST /api/v1/cache/rm", "/api/v1/cache/rm", "{\"subject\": \"example.test/m@v1.0.0\"}", 200),
    Example("POST /api/v1/cache/rm", "/api/v1/cache/rm", "", 400),
    Example("POST /api/v1/upstreams", "/api/v1/upstreams", UPSTREAM, 201),
    Example("POST /api/v1/upstreams", "/api/v1/upstreams", UPSTREAM, 409),
    Example("POST /api/v1/upstreams", "/api/v1/upstreams", "{\"nam\": \"x\"}", 400),
    Example("GET /api/v1/upstreams", "/api/v1/upstreams", "", 200),
    Example("GET /api/v1/upstreams/{upstream}", "/api/v1/upstreams/tree", "", 200),
    Example("GET /api/v1/upstreams/{upstream}", "/api/v1/upstreams/other", "", 200),
    Example("GET /api/v1/upstreams/{upstream}", "/api/v1/upstreams/none", "", 404),
    Example("PATCH /api/v1/upstreams/{upstream}", "/api/v1/upstreams/other", "{\"description\": \"x\"}", 200),
    Example("PATCH /api/v1/upstreams/{upstream}", "/api/v1/upstreams/tree", "{\"description\": \"x\"}", 409),
    Example("POST /api/v1/upstreams/{upstream}/test", "/api/v1/upstreams/tree/test", "", 200),
    Example("POST /api/v1/upstreams/{upstream}/test", "/api/v1/upstreams/other/test", "", 200),
    Example("POST /api/v1/registries", "/api/v1/registries", "{\"name\": \"new\", \"upstreams\": [\"tree\"]}", 201),
    Example("GET /api/v1/registries", "/api/v1/registries", "", 200),
    Example("GET /api/v1/registries/{registry}", "/api/v1/registries/new", "", 200),
    Example("GET /api/v1/registries/{registry}", "/api/v1/registries/default", "", 200),
    Example("PATCH /api/v1/registries/{registry}", "/api/v1/registries/new", "{\"mode\": \"strict\"}", 200),
    Example(
        "POST /api/v1/registries/{registry}/upstreams",
        "/api/v1/registries/new/upstreams",
        "{\"upstream\": \"other\", \"position\": 1}",
        201,
    ),
    Example("GET /api/v1/registries/{registry}/upstreams", "/api/v1/registries/new/upstreams", "", 200),
    Example(
        "PATCH /api/v1/registries/{registry}/upstreams/{upstream}",
        "/api/v1/registries/new/upstreams/other",
        "{\"position\": 2}",
        200,
    ),
    Example("DELETE /api/v1/upstreams/{upstream}", "/api/v1/upstreams/other", "", 409),
    Example(
        "DELETE /api/v1/registries/{registry}/upstreams/{upstream}",
        "/api/v1/registries/new/upstreams/other",
        "",
        204,
    ),
    Example("DELETE /api/v1/registries/{registry}", "/api/v1/registries/new", "", 204),
    Example("DELETE /api/v1/upstreams/{upstream}", "/api/v1/upstreams/other", "", 204),
    Example("POST /api/v1/mirrors/check", "/api/v1/mirrors/check", "", 200),
    Example("POST /api/v1/mirrors/check", "/api/v1/mirrors/check", "{\"mirrors\": [\"none\"]}", 404),
    Example("POST /api/v1/mirrors/notify-test", "/api/v1/mirrors/notify-test", "", 200),
    Example("GET /api/v1/mirrors", "/api/v1/mirrors", "", 200),
    Example("GET /api/v1/mirrors/{mirror}", "/api/v1/mirrors/python-gitlab", "", 200),
    Example("GET /api/v1/mirrors/{mirror}", "/api/v1/mirrors/none", "", 404),
    Example("POST /api/v1/mirrors/{mirror}/check", "/api/v1/mirrors/python-gitlab/check", "", 200),
    Example("POST /api/v1/mirrors/{mirror}/plan", "/api/v1/mirrors/python-gitlab/plan", "", 200),
    Example("POST /api/v1/mirrors/{mirror}/sync", "/api/v1/mirrors/python-gitlab/sync", "{\"forec\": true}", 400),
    Example("POST /api/v1/mirrors/{mirror}/sync", "/api/v1/mirrors/python-gitlab/sync", "{\"prune\": true}", 200),
    Example("POST /api/v1/mirrors/{mirror}/renew", "/api/v1/mirrors/python-gitlab/renew", "{\"by\": \"ann\"}", 200),
    Example(
        "POST /api/v1/mirrors/{mirror}/renew",
        "/api/v1/mirrors/python-gitlab/renew",
        "{\"until\": \"2000-01-01\"}",
        400,
    ),
    Example("GET /api/v1/mirrors/{mirror}/history", "/api/v1/mirrors/python-gitlab/history", "", 200),
    Example("POST /api/v1/reload", "/api/v1/reload", "", 200),
];

/// A mirror that lags behind its source.
fn lagging() -> (Mirrored, String) {
    let mirrored = Mirrored::new();
    mirrored.commit(Side::Source, "main");
    let renewal =
        "renewal = { what = \"subscription\", date = \"2100-02-01\", every = \"1y\", owner = \"a@b.example\" }";
    let settings = mirrored.settings(renewal);
    (mirrored, settings)
}

/// The database changes its past before the server's eyes.
fn contradict(modvet: &Modvet, database: &Database) {
    database.grow(3);
    let lookup = |version: &str| {
        client::get(modvet.address(), &format!("/sumdb/sum.example.test/lookup/filler.example/m@{version}"))
    };
    assert_eq!(lookup("v0.0.1").status, 200, "{}", modvet.log());
    database.fork(1);
    assert_eq!(lookup("v0.0.2").status, 502);
}

/// Rules of each kind.
const RULES: &str = "
[[rule]]
name = 'no-denied'
action = 'deny'
registries = ['ci', 'default']
modules = ['example.test/denied']
versions = '>=1.0.0'
until = '2100-01-01'
reason = 'for the example'
[cooldown]
min_age = '7d'
[[cooldown.exception]]
modules = ['example.test/excepted']
versions = '=1.0.0'
until = '2100-01-01'
reason = 'for the example'
";

const ACCEPT: &str = "{\"subject\": \"example.test/m@v1.0.0\", \"file\": \"zip\", \"force\": true, \
                      \"h1\": \"h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}";

const UPSTREAM: &str = "{\"name\": \"other\", \"kind\": \"proxy\", \"url\": \"http://127.0.0.1:1/\"}";

#[test]
fn every_answer_has_exactly_the_fields_that_are_described() {
    let text = std::fs::read_to_string(top().join("docs/openapi.json")).expect("the description");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let (tree, database) = (tree(), Database::start("sum.example.test"));
    let (_mirrored, mirror) = lagging();
    let modvet = guarded_with(&tree, &format!("[sumdb]\ndatabases = ['{}']\n{mirror}", database.gosumdb()));
    contradict(&modvet, &database);
    let store = modvet.home().store();
    let (mut faults, mut token) = (Vec::new(), String::new());
    for Example(row, target, body, expected) in EXAMPLES {
        let (method, _) = row.split_once(' ').expect("a method");
        let target = &target.replace("tokens/ID", &format!("tokens/{token}"));
        let answered = client::control(&store, method, target, body);
        if answered.status == 201 && target.ends_with("/tokens") {
            let made: Value = serde_json::from_slice(&answered.body).expect("JSON");
            token = made["id"].as_str().expect("an id").to_owned();
        }
        assert_eq!(answered.status, *expected, "{method} {target}: {}\n{}", answered.text(), modvet.log());
        let media = answered.header("content-type").unwrap_or_default();
        let text = answered.text();
        let values: Vec<&str> =
            if media == "application/x-ndjson" { text.lines().collect() } else { vec![text.as_str()] };
        for value in values {
            let value = match value {
                "" => Value::Null,
                text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{target}: {error}: {text}")),
            };
            let found = openapi::differences_of(&document, row, answered.status, media, &value);
            faults.extend(found.into_iter().map(|fault| format!("{method} {target}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let shown: BTreeSet<&str> = EXAMPLES.iter().filter(|example| example.3 < 300).map(|example| example.0).collect();
    let missing: Vec<String> =
        openapi::operations(&document).into_keys().filter(|row| !shown.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "no example for {missing:#?}");
}
