//! Who got what: as the built binary writes it down, and as `modvet audit` and the API say it.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::client;
use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::modvet::{Home, Modvet, over_git};
use support::replay::{Names, replay};
use support::tree::Tree;

const MODULE: &str = "example.test/m";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    tree.add(MODULE, "v1.1.0", 1000);
    tree.add("example.test/other", "v1.0.0", 1000);
    tree
}

fn with_token(home: &Home, settings: &str) {
    home.write("token", "an admin token\n");
    let token = home.path().join("token").display().to_string();
    home.configure(&format!("[api]\nadmin_token_file = '{token}'\n\n{settings}"));
}

/// The lines of the log, the oldest first.
fn lines(store: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(store.join("audit/audit.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Lines without what differs from run to run; the API is asked, so that all of them are written.
fn noted(store: &Path) -> Vec<Value> {
    let answered = client::control(store, "GET", "/api/v1/audit?limit=1000", "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    let page: Value = serde_json::from_slice(&answered.body).expect("JSON");
    let mut lines = page["lines"].as_array().expect("a list").clone();
    lines.reverse();
    for line in &mut lines {
        let line = line.as_object_mut().expect("an object");
        let time = line.remove("time").expect("a time");
        chrono::DateTime::parse_from_rfc3339(time.as_str().expect("text")).expect("a time");
    }
    lines
}

#[test]
fn each_file_that_went_out_has_a_line_that_says_who_got_it_and_from_where() {
    let tree = tree();
    let home = Home::new();
    let registry = "[[registry]]\nname = 'ci'\nupstreams = ['tree']\n";
    with_token(&home, &format!("{}{registry}", tree.settings()));
    let modvet = home.serve();
    for (tail, status) in [
        ("@v/v1.0.0.info", 200),
        ("@v/v1.0.0.mod", 200),
        ("@v/v1.0.0.zip", 200),
        ("@v/v1.0.0.zip", 200),
        ("@v/list", 200),
        ("@v/v9.0.0.info", 404),
    ] {
        assert_eq!(modvet.get(MODULE, tail).status, status, "{tail}: {}", modvet.log());
    }
    let ci = client::get(modvet.address(), "/registries/ci/example.test/m/@v/v1.1.0.mod");
    assert_eq!(ci.status, 200, "{}", ci.text());
    let line = |registry: &str, version: &str, file: &str, cache: &str| {
        json!({ "who": "", "address": "127.0.0.1", "registry": registry, "module": MODULE, "version": version, "file": file,
                "status": 200, "verdict": "valid", "upstream": "tree", "cache": cache })
    };
    let expected = [
        line("default", "v1.0.0", "info", "miss"),
        line("default", "v1.0.0", "mod", "miss"),
        line("default", "v1.0.0", "zip", "miss"),
        line("default", "v1.0.0", "zip", "hit"),
        line("ci", "v1.1.0", "mod", "miss"),
    ];
    assert_eq!(noted(&modvet.home().store()), expected);
}

#[test]
fn what_is_refused_and_what_is_changed_has_a_line_and_no_token_is_in_it() {
    let tree = tree();
    let home = Home::new();
    with_token(&home, &tree.settings());
    let modvet = home.serve();
    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.mod").status, 200);
    let ask = |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        client::request(modvet.address(), method, path, &[("Authorization", bearer.as_str())]).status
    };
    let bindings = "/api/v1/registries/default/bindings";
    assert_eq!(ask("GET", bindings, "s3cret guess"), 401);
    assert_eq!(ask("GET", bindings, "an admin token"), 200);
    assert_eq!(ask("DELETE", &format!("{bindings}/{MODULE}"), "an admin token"), 204);
    let noted = noted(&modvet.home().store());
    let asked: Vec<_> = noted.iter().skip(1).map(|line| (&line["file"], &line["asked"], &line["status"])).collect();
    assert_eq!(
        json!(asked),
        json!([
            ["api", "GET /api/v1/registries/default/bindings", 401],
            ["api", "DELETE /api/v1/registries/default/bindings/example.test/m", 204],
        ])
    );
    let registries: Vec<_> = noted.iter().map(|line| &line["registry"]).collect();
    assert_eq!(json!(registries), json!(["default", "default", "default"]), "who changed a registry is found by it");
    assert_eq!((noted[1]["verdict"].as_str(), noted[1]["who"].as_str()), (Some("refused"), Some("")));
    assert_eq!(noted[2]["verdict"], "served");
    assert_ne!(noted[2]["who"], "", "whose token it was");
    let text = std::fs::read_to_string(modvet.home().store().join("audit/audit.jsonl")).expect("the log");
    assert!(!text.contains("s3cret") && !text.contains("an admin token"), "{text}");
}

/// The fixture of wrong pseudo-versions behind a git server.
fn wrong_versions(folder: &Path) -> (GitServer, Names, String) {
    let all = fixture::all();
    let fixture = all.iter().find(|fixture| fixture.name == "wrong-pseudo-versions").expect("a fixture");
    let names = replay(fixture, folder);
    (GitServer::start(folder, Flavour::Filters), names, format!("{}/wrong-pseudo-versions", fixture::HOST))
}

#[test]
fn a_wrong_version_is_written_down_with_the_right_one_and_a_query_with_what_it_stands_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (git, names, module) = wrong_versions(folder.path());
    let right = names.expand("v1.1.1-0.{tip.time}-{tip:12}");
    let wrong = names.expand("v1.1.1-0.20180222010204-{tip:12}");
    for (mode, status, verdict) in [("rewrite", 200, "wrong"), ("strict", 403, "refused"), ("legacy", 200, "wrong")] {
        let modvet = Modvet::start(&over_git(&git.url(), mode, ""));
        assert_eq!(modvet.get(&module, "@v/main.info").status, 200, "{}", modvet.log());
        assert_eq!(modvet.get(&module, &format!("@v/{wrong}.info")).status, status, "{}", modvet.log());
        assert_eq!(modvet.get(&module, &format!("@v/{wrong}.zip")).status, status, "{}", modvet.log());
        let noted = noted(&modvet.home().store());
        let [query, info, zip] = &noted[..] else { panic!("{mode}: {noted:#?}") };
        let said = |line: &Value| json!([line["file"], line["version"], line["asked"], line["verdict"], line["right"]]);
        assert_eq!(said(query), json!(["query", right, "main", "canonical", null]), "{mode}");
        assert_eq!(said(info), json!(["info", wrong, null, verdict, right]), "{mode}");
        assert_eq!(said(zip), json!(["zip", wrong, null, verdict, right]), "{mode}");
        let why = "invalid pseudo-version: does not match version-control timestamp";
        let refused = info["why"].as_str().is_some_and(|text| text.starts_with(why));
        assert_eq!(refused, mode == "strict", "{mode}: {info}");
    }
}

/// What the command says: exit code, output, errors.
fn say(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments: Vec<&str> = ["audit", "--config", "modvet.toml"].iter().chain(arguments).copied().collect();
    let output = home.run(&arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Questions, and how many lines answer them.
const ASKED: &[(&str, &[&str], usize)] = &[
    ("a version", &["example.test/m@v1.0.0"], 1),
    ("a module", &["example.test/m"], 2),
    ("all below", &["example.test/..."], 3),
    ("everything", &[], 3),
    ("not more than wanted", &["--limit", "1"], 1),
    ("long ago", &["--until", "2020-01-01"], 0),
    ("lately", &["example.test/m", "--since", "1h"], 2),
];

/// What the command says to all of them, as a table and in JSON.
fn texts(home: &Home) -> Vec<String> {
    let with = |arguments: &[&str], json: bool| {
        let arguments: Vec<&str> = arguments.iter().copied().chain(json.then_some("--json")).collect();
        let (code, said, error) = say(home, &arguments);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{arguments:?}");
        said
    };
    let mut texts = Vec::new();
    for (row, arguments, count) in ASKED {
        let (plain, json) = (with(arguments, false), with(arguments, true));
        // Without any a line says so; else there is a head above them.
        assert_eq!(plain.lines().count(), count + 1, "{row}: {plain}");
        assert_eq!(json.lines().count(), *count, "{row}: {json}");
        texts.extend([plain, json]);
    }
    texts
}

#[test]
fn the_command_says_the_same_beside_a_server_and_without_one() {
    let tree = tree();
    let home = Home::new();
    home.configure(&tree.settings());
    let modvet = home.serve();
    for (module, tail) in
        [(MODULE, "@v/v1.0.0.zip"), (MODULE, "@v/v1.1.0.mod"), ("example.test/other", "@v/v1.0.0.mod")]
    {
        assert_eq!(modvet.get(module, tail).status, 200);
    }
    let beside = texts(modvet.home());
    assert_eq!(beside[10], "nobody got anything\n");
    let shown: Vec<Vec<&str>> = beside[2].lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        shown[0],
        ["time", "who", "address", "registry", "module", "version", "file", "status", "verdict", "upstream"]
    );
    // A time is two words.
    assert_eq!(shown[1][2..], ["-", "127.0.0.1", "default", MODULE, "v1.1.0", "mod", "200", "valid", "tree"]);
    assert_eq!(shown[2][2..], ["-", "127.0.0.1", "default", MODULE, "v1.0.0", "zip", "200", "valid", "tree"]);
    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{}", home.log());
    assert_eq!(texts(&home), beside, "out of the files alone");
    let (code, _, error) = say(&home, &["example.test/m", "--since", "yesterday"]);
    assert_eq!(code, Some(2));
    let expected = "since: \"yesterday\" (expected a time such as 30d, 2026-11-21 or 2026-11-21T17:58:05Z)";
    assert!(error.contains(expected), "{error}");
    let (code, _, error) = say(&home, &["nonsense"]);
    assert_eq!(code, Some(2), "{error}");
}

#[test]
fn a_killed_server_leaves_whole_lines_and_the_next_one_goes_on() {
    let tree = tree();
    let home = Home::new();
    home.configure(&tree.settings());
    let modvet = home.serve();
    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.mod").status, 200);
    assert_eq!(noted(&modvet.home().store()).len(), 1, "asked for, so it is in the file");
    assert_eq!(modvet.get(MODULE, "@v/v1.1.0.mod").status, 200);
    let home = modvet.killed();
    // What a kill in the middle of a write would leave.
    let file = home.store().join("audit/audit.jsonl");
    let mut text = std::fs::read_to_string(&file).expect("the log");
    assert!(text.ends_with('\n'), "{text}");
    text.push_str("{\"time\":\"2026-");
    std::fs::write(&file, text).expect("written");
    let modvet = home.serve();
    assert_eq!(modvet.get("example.test/other", "@v/v1.0.0.mod").status, 200);
    let noted = noted(&modvet.home().store());
    assert_eq!(noted.first().map(|line| &line["version"]), Some(&json!("v1.0.0")), "{noted:#?}");
    assert_eq!(noted.last().map(|line| &line["module"]), Some(&json!("example.test/other")), "{noted:#?}");
}

#[test]
fn at_a_clean_end_every_line_is_in_the_file() {
    let tree = tree();
    let modvet = Modvet::start(&tree.settings());
    for _ in 0..200 {
        assert_eq!(modvet.get(MODULE, "@v/v1.0.0.mod").status, 200);
    }
    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{}", home.log());
    assert_eq!(lines(&home.store()).len(), 200);
}

#[test]
fn with_all_lists_and_absences_have_lines_too_and_switched_off_there_are_none() {
    let tree = tree();
    let all = Modvet::start(&format!("[audit]\nwhat = 'all'\naddresses = false\n\n{}", tree.settings()));
    for (tail, status) in [("@v/list", 200), ("@v/v9.0.0.info", 404), ("@latest", 200)] {
        assert_eq!(all.get(MODULE, tail).status, status, "{tail}");
    }
    let noted = noted(&all.home().store());
    let said: Vec<_> = noted.iter().map(|line| (&line["file"], &line["verdict"], &line["address"])).collect();
    assert_eq!(json!(said), json!([["list", "served", null], ["info", "absent", null], ["latest", "served", null]]));

    let off = Modvet::start(&format!("[audit]\nenabled = false\n\n{}", tree.settings()));
    assert_eq!(off.get(MODULE, "@v/v1.0.0.mod").status, 200);
    let refused = client::control(&off.home().store(), "GET", "/api/v1/audit", "");
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.text().contains("there is no audit log"), "{}", refused.text());
    assert!(!off.home().store().join("audit").exists());
}

#[test]
fn a_line_names_the_token_and_the_rule_and_says_who_was_sent_away() {
    let tree = tree();
    let home = Home::new();
    let rules = "[[rule]]\nname = 'not-old'\naction = 'deny'\nmodules = ['example.test/m']\nversions = '<1.1.0'\n\
                 [[rule]]\nname = 'ours'\naction = 'allow'\nmodules = ['example.test/*']\n";
    home.configure(&format!("{rules}{}", tree.settings()));
    let made = home.run(&["token", "create", "--config", "modvet.toml", "--scope", "read", "--label", "ci", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token");
    let modvet = home.serve();
    let ask = |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        client::request(modvet.address(), "GET", path, &[("Authorization", bearer.as_str())]).status
    };
    assert_eq!(ask("/example.test/m/@v/v1.1.0.mod", token), 200, "{}", modvet.log());
    assert_eq!(ask("/example.test/m/@v/v1.0.0.zip", token), 403, "{}", modvet.log());
    assert_eq!(modvet.get(MODULE, "@v/list").status, 401, "{}", modvet.log());
    let noted = noted(&modvet.home().store());
    let said: Vec<Value> = noted
        .iter()
        .map(|line| json!([line["who"], line["file"], line["version"], line["verdict"], line["rule"], line["status"]]))
        .collect();
    assert_eq!(
        json!(said),
        json!([
            ["ci", "mod", "v1.1.0", "valid", "ours", 200],
            ["ci", "zip", "v1.0.0", "refused", "not-old", 403],
            ["", "list", null, "refused", null, 401],
        ])
    );
    assert!(noted[1]["why"].as_str().is_some_and(|why| why.contains("not-old")), "{}", noted[1]);
    let by_who = client::control(&modvet.home().store(), "GET", "/api/v1/audit?who=ci", "");
    assert_eq!(by_who.text().matches("\"who\": \"ci\"").count(), 2, "{}", by_who.text());
}

#[test]
fn who_bears_a_token_that_does_not_open_is_written_down_too() {
    let tree = tree();
    let home = Home::new();
    let registry = "[[registry]]\nname = 'ci'\nupstreams = ['tree']\n";
    home.configure(&format!("{}{registry}", tree.settings()));
    let modvet = home.serve();
    let token = |arguments: &[&str]| {
        let create = ["token", "create", "--config", "modvet.toml", "--scope", "read"];
        let made = modvet.home().run(&[&create, arguments].concat());
        String::from_utf8(made.stdout).expect("text").trim().to_owned()
    };
    let (ci, gone) = (token(&["--registry", "ci", "--label", "runner"]), token(&["--label", "laptop"]));
    let short = token(&["--label", "visitor", "--expires", "1ns"]);
    let id = gone.split('_').nth(1).expect("an id");
    assert!(modvet.home().run(&["token", "revoke", id, "--config", "modvet.toml"]).status.success());
    let forged = format!("{}{}", &ci[..16], &gone[16..]);
    let list = "/example.test/m/@v/list";
    for (path, token, status) in [
        (list, &ci, 403),
        ("/api/v1/upstreams", &ci, 403),
        (list, &gone, 401),
        (list, &short, 401),
        (list, &forged, 401),
    ] {
        let bearer = format!("Bearer {token}");
        let answered = client::request(modvet.address(), "GET", path, &[("Authorization", bearer.as_str())]);
        assert_eq!(answered.status, status, "{}", answered.text());
    }
    let noted = noted(&modvet.home().store());
    let refused = noted.iter().filter(|line| line["verdict"] == "refused");
    let said: Vec<_> = refused.map(|line| json!([line["who"], line["status"]])).collect();
    let expected = json!([["runner", 403], ["runner", 403], ["laptop", 401], ["visitor", 401], ["", 401]]);
    assert_eq!(json!(said), expected);
}

#[test]
fn what_strangers_put_into_an_address_does_not_steer_the_terminal() {
    let tree = tree();
    let home = Home::new();
    home.write(
        "modvet.toml",
        &format!("listen = '127.0.0.1:0'\nopen = false\n[store]\npath = 'store'\n{}", tree.settings()),
    );
    let modvet = home.serve();
    let address = "/registries/%1b%5b2J%e2%80%ae/example.test/m/@v/v1.0.0.mod";
    assert_eq!(client::get(modvet.address(), address).status, 401, "{}", modvet.log());
    let call = "/api/v1/tokens/%1b%5d0;x%07%0anobody";
    assert_eq!(client::request(modvet.address(), "DELETE", call, &[]).status, 401, "{}", modvet.log());
    let (code, said, error) = say(modvet.home(), &[]);
    assert_eq!((code, said.lines().count()), (Some(0), 3), "{said}{error}");
    assert!(said.contains("?[2J?") && said.contains("?]0;x??nobody"), "{said:?}");
    let hidden = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!said.contains(hidden), "{said:?}");
}
