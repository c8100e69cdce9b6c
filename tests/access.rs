//! Who may ask, by the built binary: where it listens, what every token sees of every address, and what is kept of tokens.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde_json::Value;
use support::modvet::{Home, Modvet};
use support::tree::Tree;
use support::{client, openapi, top};

const MODULE: &str = "example.test/m";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    tree
}

/// A folder with a configuration: two registries beside the one at `/`.
fn home(tree: &Tree, above: &str) -> Home {
    let home = Home::new();
    let registries =
        "[[registry]]\nname = 'ci'\nupstreams = ['tree']\n[[registry]]\nname = 'team'\nupstreams = ['tree']\n";
    let store = home.store();
    let text = format!("{above}\n[store]\npath = '{}'\n\n{}\n{registries}", store.display(), tree.settings());
    home.write("modvet.toml", &text);
    home
}

fn here(tree: &Tree) -> Home {
    home(tree, "listen = '127.0.0.1:0'")
}

/// What a command that ends well prints.
fn well(output: &Output) -> String {
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    said.into_owned()
}

fn refused(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    error
}

fn token(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["token"], arguments, &["--config", "modvet.toml"]].concat())
}

fn create(home: &Home, arguments: &[&str]) -> String {
    let said = well(&token(home, &[&["create"], arguments].concat()));
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim().to_owned()
}

fn id(token: &str) -> &str {
    token.split('_').nth(1).expect("an id")
}

fn ask(modvet: &Modvet, method: &str, target: &str, token: &str) -> client::Answered {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    client::request(modvet.address(), method, target, if token.is_empty() { &[] } else { &headers })
}

const LIST: &str = "/example.test/m/@v/list";

#[test]
fn tokens_are_made_listed_and_revoked_with_a_server_and_without_one() {
    let tree = tree();
    let home = here(&tree);
    let before = create(&home, &["--scope", "read", "--label", "before"]);
    let modvet = home.serve();
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 401);
    assert_eq!(ask(&modvet, "GET", LIST, &before).status, 200);
    let beside = create(modvet.home(), &["--scope", "read", "--registry", "ci", "--expires", "never"]);
    assert_eq!(ask(&modvet, "GET", &format!("/registries/ci{LIST}"), &beside).status, 200);
    let json = well(&token(modvet.home(), &["create", "--scope", "admin", "--json"]));
    let made: Value = serde_json::from_str(&json).expect("JSON");
    let admin = made["token"].as_str().expect("a token").to_owned();
    assert_eq!(ask(&modvet, "GET", "/api/v1/tokens", &admin).status, 200);

    let listed = well(&token(modvet.home(), &["list"]));
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(rows.len(), 4, "{listed}");
    assert!(rows[0].starts_with("ID ") && rows[1].starts_with(id(&before)) && rows[1].ends_with("before"), "{listed}");
    assert!(rows[2].contains("  ci  ") && rows[2].contains("  never"), "{listed}");
    let said = well(&token(modvet.home(), &["revoke", id(&before)]));
    assert_eq!(said, format!("revoked: {}\n", id(&before)));
    let answered = ask(&modvet, "GET", LIST, &before);
    assert_eq!(answered.status, 401);
    assert!(answered.text().starts_with("the token was revoked\n"), "{}", answered.text());

    modvet.signal(libc::SIGTERM);
    let home = modvet.ended().1;
    well(&token(&home, &["revoke", id(&beside)]));
    let lines = well(&token(&home, &["list", "--json"]));
    let states: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let states: Vec<&str> = states.iter().map(|token| token["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["revoked", "revoked", "valid"], "{lines}");
    assert!(lines.lines().next().is_some_and(|line| line.contains("last_used")), "{lines}");
    let modvet = home.serve();
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 401, "revoking the last one opens nothing");
    for token in [&before, &beside, &admin] {
        let secret = &token[16..];
        assert!(!modvet.log().contains(secret) && !listed.contains(secret) && !lines.contains(secret));
    }
}

#[test]
fn what_is_asked_of_the_token_command_wrongly_is_said() {
    let tree = tree();
    let home = here(&tree);
    let table: [(&[&str], &str); 5] = [
        (
            &["create", "--scope", "read", "--registry", "cii"],
            "modvet: registry: unknown registry \"cii\"\nknown are: ci, default, team\n",
        ),
        (
            &["create", "--scope", "read", "--expires", "soon"],
            "modvet: --expires: \"soon\" (expected a time such as 90d, or never)\n",
        ),
        (
            &["create", "--scope", "read", "--label", "a\nb"],
            "modvet: label: \"a\\nb\" (expected at most 64 characters on one line)\n",
        ),
        (&["revoke", "00000000"], "modvet: tokens/00000000: unknown token\nmodvet token list shows all of them\n"),
        (
            &["revoke", "modvet_00000000_11"],
            "modvet: this is no id (expected 8 digits)\nmodvet token list shows all of them\n",
        ),
    ];
    for (arguments, expected) in table {
        assert_eq!(refused(&token(&home, arguments)), expected, "{arguments:?}");
    }
    assert_eq!(well(&token(&home, &["list"])), "there is no token: modvet token create makes one\n");
    let modvet = home.serve();
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 200, "nothing was made, so nothing is shut");
}

#[test]
fn a_token_is_there_after_a_kill() {
    let tree = tree();
    let modvet = here(&tree).serve();
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 200);
    let read = create(modvet.home(), &["--scope", "read"]);
    let modvet = modvet.killed().serve();
    assert_eq!(ask(&modvet, "GET", LIST, &read).status, 200);
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 401, "and still shuts the door");
}

#[test]
fn a_whole_token_in_the_place_of_an_id_is_not_repeated() {
    let tree = tree();
    let modvet = here(&tree).serve();
    let admin = create(modvet.home(), &["--scope", "admin", "--label", "boss"]);
    let answered = ask(&modvet, "DELETE", &format!("/api/v1/tokens/{admin}"), &admin);
    assert_eq!(answered.status, 404);
    let shown = format!("modvet_{}_…", id(&admin));
    assert!(answered.text().contains(&format!("tokens/{shown}: unknown token")), "{}", answered.text());
    let page = client::control(&modvet.home().store(), "GET", "/api/v1/audit", "").text();
    assert!(page.contains(&format!("DELETE /api/v1/tokens/{shown}")), "{page}");
    let log = modvet.log();
    assert!(log.contains(&shown), "{log}");
    for said in [answered.text(), page, log] {
        assert!(!said.contains(&admin[16..40]), "{said}");
    }
}

#[test]
fn a_token_ends_at_its_time() {
    let tree = tree();
    let modvet = here(&tree).serve();
    let short = create(modvet.home(), &["--scope", "read", "--expires", "1s"]);
    let answered = (0..)
        .map(|_| ask(&modvet, "GET", LIST, &short))
        .inspect(|answered| assert!(matches!(answered.status, 200 | 401), "{}", answered.text()))
        .find(|answered| answered.status == 401)
        .expect("it ends");
    assert!(answered.text().starts_with("the token expired at 20"), "{}", answered.text());
    assert_eq!(ask(&modvet, "GET", LIST, "").status, 401);
}

#[test]
fn listening_elsewhere_without_tls_is_refused_unless_it_is_said() {
    let tree = tree();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let home = home(&tree, &format!("listen = '{listen}'"));
        let expected = format!(
            "modvet: listening on {listen} without TLS (expected a loopback address such as 127.0.0.1:3000)\n\
             name a certificate in [tls], or say tls = \"terminated\" where a proxy in front speaks TLS\n\
             and make a token: modvet token create --scope read\n\
             or let anybody read: open = true, or --open\n"
        );
        let output = home.run(&["serve", "--config", "modvet.toml"]);
        assert_eq!((refused(&output), output.stdout.len()), (expected.clone(), 0));
        create(&home, &["--scope", "read"]);
        assert_eq!(refused(&home.run(&["serve", "--config", "modvet.toml"])), expected, "a token alone is not enough");
    }
    let home = home(&tree, "listen = '0.0.0.0:0'\nopen = false");
    refused(&home.run(&["serve", "--config", "modvet.toml"]));
    let command = home.command(&["serve", "--config", "modvet.toml", "--open"]);
    let modvet = home.serve_by(command);
    assert_eq!(client::get(([127, 0, 0, 1], modvet.address().port()).into(), LIST).status, 200);
}

#[test]
fn a_registry_that_is_deleted_takes_its_tokens_with_it() {
    let tree = tree();
    let modvet = here(&tree).serve();
    let store = modvet.home().store();
    let make = || {
        let body = "{\"name\": \"short\", \"upstreams\": [\"tree\"]}";
        assert_eq!(client::control(&store, "POST", "/api/v1/registries", body).status, 201);
    };
    make();
    let short = create(modvet.home(), &["--scope", "read", "--registry", "short"]);
    let ci = create(modvet.home(), &["--scope", "read", "--registry", "ci"]);
    let list = format!("/registries/short{LIST}");
    assert_eq!(ask(&modvet, "GET", &list, &short).status, 200);
    assert_eq!(client::control(&store, "DELETE", "/api/v1/registries/short", "").status, 204);
    make();
    let answered = ask(&modvet, "GET", &list, &short);
    assert_eq!((answered.status, answered.text().starts_with("the token was revoked\n")), (401, true));
    assert_eq!(ask(&modvet, "GET", &format!("/registries/ci{LIST}"), &ci).status, 200, "others are left alone");
    let modvet = modvet.killed().serve();
    assert_eq!(ask(&modvet, "GET", &list, &short).status, 401, "after a restart too");
}

#[test]
fn a_configuration_that_would_not_start_is_warned_of() {
    let tree = tree();
    let home = home(&tree, "listen = '0.0.0.0:0'");
    let said = well(&home.run(&["config", "check", "modvet.toml"]));
    assert!(said.starts_with("modvet.toml: warning: listening on 0.0.0.0:0 without TLS"), "{said}");
    let output = home.run(&["config", "show", "--config", "modvet.toml"]);
    assert!(!well(&output).contains("open ="), "{output:?}");
}

#[test]
fn strangers_who_come_through_a_proxy_are_warned_of_once() {
    let tree = tree();
    let modvet = here(&tree).serve();
    for _ in 0..2 {
        let headers = [("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(client::request(modvet.address(), "GET", LIST, &headers).status, 200);
    }
    assert_eq!(modvet.log().matches("requests come through a proxy").count(), 1, "{}", modvet.log());
}

#[test]
fn a_command_that_asks_a_server_says_that_it_wants_a_token() {
    let tree = tree();
    let modvet = here(&tree).serve();
    create(modvet.home(), &["--scope", "read"]);
    let subject = format!("{MODULE}@v1.0.0");
    let output = modvet.home().run(&["explain", "--proxy", &modvet.url(), &subject]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("a token is wanted here") && error.contains("netrc"), "{error}");
    assert_eq!(output.status.code(), Some(3), "{error}");
}

#[test]
fn a_reload_lets_fewer_in_and_never_more() {
    let tree = tree();
    let written =
        |open: &str, token: &str| format!("listen = '127.0.0.1:0'\n{open}\n[api]\nadmin_token_file = '{token}'");
    let home = home(&tree, &written("open = true", "first"));
    home.write("first", "one");
    home.write("second", "two");
    let modvet = home.serve();
    let admin = |token: &str| ask(&modvet, "GET", "/api/v1/tokens", token).status;
    let reload = || client::control(&modvet.home().store(), "POST", "/api/v1/reload", "");
    let rewrite = |text: String| {
        let file = modvet.home().path().join("modvet.toml");
        let old = std::fs::read_to_string(&file).expect("a file");
        let rest = old.split_once("[store]").expect("a store").1.to_owned();
        std::fs::write(&file, format!("{text}\n[store]{rest}")).expect("written");
    };
    assert_eq!((ask(&modvet, "GET", LIST, "").status, admin("one"), admin("two")), (200, 200, 401));
    rewrite(written("open = false", "second"));
    let done = reload();
    assert_eq!((done.status, done.text().contains("\"waiting\": []")), (200, true), "{}", done.text());
    assert_eq!((ask(&modvet, "GET", LIST, "").status, admin("one"), admin("two")), (401, 401, 200));
    for open in ["open = true", ""] {
        rewrite(written(open, "second"));
        let done = reload();
        assert!(done.text().contains("\"open\""), "{open}: {}", done.text());
        assert_eq!(ask(&modvet, "GET", LIST, "").status, 401, "{open}");
    }
    rewrite(written("open = true", "nowhere"));
    assert!(reload().status >= 400);
    assert_eq!(admin("two"), 200, "a token that cannot be read leaves the old one");
}

/// Who asks, and what they may at most.
struct Visitor {
    name: &'static str,
    token: String,
    /// `None`: they are nobody.
    right: Option<Right>,
    registry: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Right {
    Read,
    Admin,
}

fn visitors(home: &Home) -> Vec<Visitor> {
    let visitor = |name, token, right, registry| Visitor { name, token, right, registry };
    let read = create(home, &["--scope", "read"]);
    let gone = create(home, &["--scope", "read"]);
    well(&token(home, &["revoke", id(&gone)]));
    let other = here(&tree());
    let stranger = create(&other, &["--scope", "admin"]);
    vec![
        visitor("nobody", String::new(), None, None),
        visitor("malformed", "a-password".to_owned(), None, None),
        visitor("half a token", read[..60].to_owned(), None, None),
        visitor("unknown", stranger, None, None),
        visitor("revoked", gone, None, None),
        visitor("expired", create(home, &["--scope", "admin", "--expires", "1ns"]), None, None),
        visitor("read", read, Some(Right::Read), None),
        visitor("read ci", create(home, &["--scope", "read", "--registry", "ci"]), Some(Right::Read), Some("ci")),
        visitor("admin", create(home, &["--scope", "admin"]), Some(Right::Admin), None),
        visitor("admin ci", create(home, &["--scope", "admin", "--registry", "ci"]), Some(Right::Admin), Some("ci")),
        visitor(
            "read default",
            create(home, &["--scope", "read", "--registry", "default"]),
            Some(Right::Read),
            Some("default"),
        ),
    ]
}

/// What of the admin API concerns one registry alone. All else there is shared.
const OF_ONE: &[&str] = &[
    "GET /api/v1/registries/{registry}",
    "GET /api/v1/registries/{registry}/upstreams",
    "PATCH /api/v1/registries/{registry}/upstreams/{upstream}",
    "DELETE /api/v1/registries/{registry}/upstreams/{upstream}",
    "GET /api/v1/registries/{registry}/bindings",
    "DELETE /api/v1/registries/{registry}/bindings/{module}",
    "GET /api/v1/registries/{registry}/ledger",
    "GET /api/v1/registries/{registry}/ledger/{subject}",
];

/// An address, and who may ask for it.
struct Room {
    method: String,
    target: String,
    right: Right,
    /// `None`: what it tells is of all of them.
    registry: Option<&'static str>,
    /// Who may see anything may see it.
    is_for_all: bool,
}

/// Every address that there is, from the description of the interface, so that a new one cannot be forgotten.
fn rooms() -> Vec<Room> {
    let text = std::fs::read_to_string(top().join("docs/openapi.json")).expect("the description");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let operations: BTreeMap<String, &Value> = openapi::operations(&document);
    let unknown: Vec<&&str> = OF_ONE.iter().filter(|row| !operations.contains_key(**row)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let mut rooms = Vec::new();
    for (row, operation) in &operations {
        let (method, path) = row.split_once(' ').expect("a method");
        let is_admin = operation["security"].as_array().is_some_and(|wanted| !wanted.is_empty());
        let named: &[&'static str] =
            if path.contains("{registry}") { &["ci", "team", "nowhere"] } else { &["default"] };
        for registry in named {
            let target = path.replace("{registry}", registry).replace("{subject}", "example.test/m@v1.0.0");
            let target =
                target.replace("{module}", "example.test/none").replace("{path}", "none").replace("{id}", "00");
            let is_shared = is_admin && !OF_ONE.contains(&row.as_str());
            rooms.push(Room {
                method: method.to_owned(),
                target: target.replace("{upstream}", "none"),
                right: if is_admin { Right::Admin } else { Right::Read },
                registry: (!is_shared).then_some(*registry),
                is_for_all: path == "/api/v1/openapi.json",
            });
        }
    }
    for registry in ["default", "ci", "team", "nowhere"] {
        let base = format!("/registries/{registry}");
        for tail in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip", "@v/v9.0.0.info"] {
            let prefixes = if registry == "default" { vec![String::new(), base.clone()] } else { vec![base.clone()] };
            rooms.extend(prefixes.into_iter().map(|prefix| read_room(format!("{prefix}/{MODULE}/{tail}"), registry)));
        }
        for tail in ["supported", "latest", "lookup/example.test/m@v1.0.0", "tile/8/0/000"] {
            rooms.push(read_room(format!("{base}/sumdb/sum.example.org/{tail}"), registry));
        }
    }
    for registry in ["default", "ci", "team", "nowhere"] {
        let audit = read_room(format!("/api/v1/audit?registry={registry}"), registry);
        rooms.push(Room { right: Right::Admin, ..audit });
    }
    rooms.push(Room { registry: None, ..read_room("/metrics".to_owned(), "default") });
    rooms
}

fn read_room(target: String, registry: &'static str) -> Room {
    Room { method: "GET".to_owned(), target, right: Right::Read, registry: Some(registry), is_for_all: false }
}

impl Visitor {
    /// The status of a refusal; `None` where they are let in.
    fn refusal(&self, room: &Room) -> Option<u16> {
        let Some(right) = self.right else { return Some(401) };
        let sees = room.is_for_all || self.registry.is_none() || self.registry == room.registry;
        (right < room.right || !sees).then_some(403)
    }
}

#[test]
fn who_sees_what_of_every_address() {
    let tree = tree();
    let home = here(&tree);
    let visitors = visitors(&home);
    let modvet = home.serve();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for visitor in &visitors {
        for room in rooms() {
            let answered = ask(&modvet, &room.method, &room.target, &visitor.token);
            let refusal = Some(answered.status).filter(|status| matches!(status, 401 | 403));
            if refusal != visitor.refusal(&room) {
                faults.push(format!("{}: {} {}: {}", visitor.name, room.method, room.target, answered.status));
            }
            if refusal.is_some() {
                let (text, zip) = (answered.text(), answered.body.starts_with(b"PK"));
                let tells = text.contains("v1.0.0") || text.contains("tree") || text.contains("team") || zip;
                tells.then(|| faults.push(format!("{}: {} tells {text}", visitor.name, room.target)));
            } else {
                seen.insert((visitor.name, answered.status / 100));
            }
        }
        for open in ["/healthz", "/readyz"] {
            assert_eq!(ask(&modvet, "GET", open, &visitor.token).status, 200, "{}: {open}", visitor.name);
        }
    }
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), modvet.log());
    for visitor in visitors.iter().filter(|visitor| visitor.right.is_some()) {
        assert!(seen.contains(&(visitor.name, 2)), "{} got nothing at all", visitor.name);
    }
    let log = modvet.log();
    for visitor in visitors.iter().filter(|visitor| visitor.token.len() > 20) {
        assert!(!log.contains(&visitor.token[16..]), "{}: its token is in the log", visitor.name);
    }
}

#[test]
fn the_go_command_is_told_to_send_the_token_to_one_server() {
    let home = Home::new();
    home.write("token", "modvet_1\n");
    let said = |arguments: &[&str], variables: &[(&str, &str)]| -> Output {
        let mut command: Command = home.command(&[&["auth"], arguments].concat());
        command
            .env("MODVET_TOKEN_FILE", "token")
            .envs(variables.iter().copied())
            .output()
            .expect("the binary was built")
    };
    let list = ("GOPROXY", "https://proxy.example/registries/ci,https://public.example,direct");
    let first = "https://proxy.example/registries/ci\n\nAuthorization: Bearer modvet_1\n\n";
    assert_eq!(well(&said(&[], &[list])), first);
    assert_eq!(well(&said(&["https://proxy.example/registries/ci/example.test/m/@v/list"], &[list])), first);
    assert_eq!(well(&said(&["https://public.example/example.test/m/@v/list"], &[list])), "");
    let other = "https://public.example\n\nAuthorization: Bearer 2\n\n";
    assert_eq!(well(&said(&["--host", "public.example"], &[list, ("MODVET_TOKEN", "2")])), other);
    assert_eq!(well(&said(&[], &[list, ("MODVET_HOST", "public.example"), ("MODVET_TOKEN", "2")])), other);
    assert_eq!(well(&said(&[], &[("GOPROXY", "http://127.0.0.1:3000,direct")])), "");
    assert_eq!(well(&said(&[], &[])), "");
    let missing = said(&[], &[list, ("MODVET_TOKEN_FILE", "nowhere")]);
    assert!(refused(&missing).starts_with("modvet: MODVET_TOKEN_FILE: nowhere: cannot be read"));
    std::fs::create_dir_all(home.path().join(".config/go")).expect("a folder");
    home.write(".config/go/env", "GOPROXY=https://written.example\n");
    assert!(well(&said(&[], &[])).starts_with("https://written.example\n\n"), "as go env -w wrote it");
}
