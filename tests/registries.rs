//! Registries and upstreams of the built binary: from the file, by the programming interface, and read again.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::double::{Conduct, Double, Ticket};
use support::modvet::{Home, Modvet};
use support::release::Release;
use support::tree::Tree;
use support::{client, openapi};

const MODULE: &str = "example.test/m";
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Asks over the control socket; the answer is as docs/openapi.json says.
fn api(modvet: &Modvet, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answered = client::control(&modvet.home().store(), method, path, &body);
    let answer = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
    let document = std::fs::read_to_string(support::top().join("docs/openapi.json")).expect("docs/openapi.json");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let faults = openapi::differences(&document, &row(method, path), answered.status, &answer);
    assert!(faults.is_empty(), "{method} {path}: {faults:#?}");
    (answered.status, answer)
}

/// An address as the description has it.
fn row(method: &str, path: &str) -> String {
    let mut above = "";
    let named = path.split('?').next().expect("a path").split('/').map(|part| {
        let shown = match above {
            "registries" => "{registry}",
            "upstreams" => "{upstream}",
            _ => part,
        };
        above = part;
        shown
    });
    format!("{method} {}", named.collect::<Vec<_>>().join("/"))
}

fn get(modvet: &Modvet, path: &str) -> (u16, Value) {
    api(modvet, "GET", path, Value::Null)
}

/// Two folders with a version each of one module, as upstreams `one` and `two`.
fn folders() -> (Tree, Tree, String) {
    let (one, two) = (Tree::new(), Tree::new());
    one.add(MODULE, "v1.0.0", 10);
    two.add(MODULE, "v2.0.0+incompatible", 10);
    let upstream = |name: &str, tree: &Tree| {
        format!("[[upstream]]\nname = \"{name}\"\nkind = \"dir\"\npath = '{}'\n", tree.path().display())
    };
    let settings = upstream("one", &one) + &upstream("two", &two);
    (one, two, settings)
}

fn list(modvet: &Modvet, registry: &str) -> String {
    let answered = client::get(modvet.address(), &format!("{registry}/{MODULE}/@v/list"));
    format!("{} {}", answered.status, answered.text().trim())
}

/// Waits until the log says something so many times.
fn logged(modvet: &Modvet, text: &str, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while modvet.log().matches(text).count() < times {
        assert!(Instant::now() < deadline, "{text:?} is not in the log {times} times: {}", modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn registries_of_the_file_are_served_at_their_names_and_the_default_one_at_the_top() {
    let (_one, _two, settings) = folders();
    let ci = "[[registry]]\nname = \"ci\"\nupstreams = [\"two\", \"one\"]\ndescription = \"for CI\"\n";
    let modvet = Modvet::start(&format!("{settings}{ci}"));
    assert_eq!(list(&modvet, ""), "200 v1.0.0");
    assert_eq!(list(&modvet, "/registries/default"), "200 v1.0.0");
    assert_eq!(list(&modvet, "/registries/ci"), "200 v2.0.0+incompatible");
    assert_eq!(list(&modvet, "/registries/zzz"), "404 registries/zzz: unknown registry");
    let (status, all) = get(&modvet, "/api/v1/registries");
    assert_eq!(status, 200);
    let named: Vec<_> =
        all["registries"].as_array().expect("a list").iter().map(|r| (&r["name"], &r["source"])).collect();
    assert_eq!(named, [(&json!("default"), &json!("implied")), (&json!("ci"), &json!("file"))]);
    drop(modvet);

    let own = "[[registry]]\nname = \"default\"\nupstreams = [\"two\"]\n";
    let modvet = Modvet::start(&format!("{settings}{own}"));
    assert_eq!(list(&modvet, ""), "200 v2.0.0+incompatible", "a registry of that name is the one at the top");
}

#[test]
fn registries_and_upstreams_are_defined_at_run_time_and_kept() {
    let (_one, _two, settings) = folders();
    let modvet = Modvet::start(&settings);
    let third = Tree::new();
    third.add(MODULE, "v3.0.0+incompatible", 10);
    let fields = json!({ "name": "three", "kind": "dir", "path": third.path(), "description": "another folder" });
    assert_eq!(api(&modvet, "POST", "/api/v1/upstreams", fields.clone()).0, 201);
    assert_eq!(api(&modvet, "POST", "/api/v1/upstreams", fields).0, 409);
    let ci = json!({ "name": "ci", "upstreams": ["two", "one"] });
    assert_eq!(api(&modvet, "POST", "/api/v1/registries", ci).0, 201);
    let associations = "/api/v1/registries/ci/upstreams";
    let (status, view) = api(&modvet, "POST", associations, json!({ "upstream": "three", "position": 1 }));
    assert_eq!((status, &view["upstreams"][0]), (201, &json!({ "position": 1, "name": "three" })));
    assert_eq!(list(&modvet, "/registries/ci"), "200 v3.0.0+incompatible");
    assert_eq!(list(&modvet, ""), "200 v1.0.0", "it stands only where it was put");
    let modvet = modvet.killed().serve();
    assert_eq!(list(&modvet, "/registries/ci"), "200 v3.0.0+incompatible");
    let (_, view) = get(&modvet, associations);
    let names: Vec<_> = view["upstreams"].as_array().expect("a list").iter().map(|u| u["name"].clone()).collect();
    assert_eq!(names, ["three", "two", "one"]);

    let (status, error) = api(&modvet, "DELETE", "/api/v1/upstreams/three", Value::Null);
    assert_eq!((status, &error["error"]), (409, &json!("upstream three: it stands in a registry: ci")));
    let (status, error) = api(&modvet, "PATCH", &format!("{associations}/three"), json!({ "position": 4 }));
    assert_eq!((status, &error["error"]), (400, &json!("position: 4 (expected 1 to 3)")));
    assert_eq!(api(&modvet, "PATCH", &format!("{associations}/three"), json!({ "position": 3 })).0, 200);
    assert_eq!(api(&modvet, "DELETE", &format!("{associations}/three"), Value::Null).0, 204);
    assert_eq!(api(&modvet, "DELETE", "/api/v1/upstreams/three", Value::Null).0, 204);
    assert_eq!(get(&modvet, "/api/v1/upstreams/three").0, 404);
    let (_, view) = api(&modvet, "PATCH", "/api/v1/registries/ci", json!({ "mode": "strict", "description": "x" }));
    assert_eq!((&view["mode"], &view["address"]), (&json!("strict"), &json!("/registries/ci/")));
    assert_eq!(api(&modvet, "DELETE", "/api/v1/registries/ci", Value::Null).0, 204);
    assert_eq!(list(&modvet, "/registries/ci"), "404 registries/ci: unknown registry");
}

#[test]
fn bad_input_is_refused_with_the_field_named() {
    let (_one, _two, settings) = folders();
    let modvet = Modvet::start(&settings);
    let upstream = |more: Value| {
        let mut fields = json!({ "name": "x", "kind": "proxy", "url": "https://proxy.example" });
        fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ("/api/v1/upstreams", fields)
    };
    let registry = |upstreams: Value| ("/api/v1/registries", json!({ "name": "ci", "upstreams": upstreams }));
    let own = json!({ "url": modvet.url() });
    let table = [
        (upstream(json!({ "nam": 1 })), "nam: unknown key"),
        (
            upstream(json!({ "url": "https://u:hunter2@x.example" })),
            "url: \"…@x.example\" (expected a URL without credentials; they stand in auth)",
        ),
        (
            upstream(json!({ "auth": { "token": "hunter2" } })),
            "auth.token: there is no key to seal it with (expected [store] key_file or key_env)",
        ),
        (upstream(own), "is the address that modvet itself listens on"),
        (
            upstream(json!({ "kind": "dir", "url": null, "path": "/nobody/has/this" })),
            "path: \"/nobody/has/this\" (expected a folder that is there)",
        ),
        (
            registry(json!(["one", "zzz"])),
            "upstreams: registry ci names the unknown upstream \"zzz\" (expected one of: one, two)",
        ),
        (registry(json!(["one", "one"])), "upstreams: registry ci has \"one\" twice (expected each upstream once)"),
        (registry(json!((0..21).collect::<Vec<_>>())), "upstreams: a list (expected a list of texts)"),
    ];
    for ((path, fields), expected) in table {
        let (status, error) = api(&modvet, "POST", path, fields.clone());
        let found = error["error"].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && found.contains(expected), "{fields}: {status} {error} (expected {expected})");
    }
    let (status, error) = api(&modvet, "PATCH", "/api/v1/upstreams/one", json!({ "description": "x" }));
    let expected = "upstream one: is defined in the configuration file, and only changed there";
    assert_eq!((status, &error["error"]), (409, &json!(expected)));
    assert!(!modvet.log().contains("hunter2"), "{}", modvet.log());
}

#[test]
fn two_upstreams_of_one_host_have_two_tokens() {
    let (first, second) = (Double::start(), Double::start());
    first.require(Ticket::Bearer("token-1"));
    second.require(Ticket::Header("Private-Token", "token-2"));
    first.add(&Release::new("example.test/one", "v1.0.0"));
    second.add(&Release::new("example.test/two", "v1.0.0"));
    let home = Home::new();
    home.write("token-1", "token-1\n");
    let host = "host = \"127.0.0.1\"";
    home.configure(&format!(
        "{}auth = {{ {host}, token_file = \"token-1\" }}\n{}auth = {{ {host}, header = \"Private-Token\", token_env = \"TOKEN_2\" }}\n",
        first.settings("first"),
        second.settings("second"),
    ));
    let mut command = home.command(&["serve", "--config", "modvet.toml"]);
    command.env("TOKEN_2", "token-2");
    let modvet = home.serve_by(command);
    for module in ["example.test/one", "example.test/two"] {
        let answered = modvet.get(module, "@v/v1.0.0.zip");
        assert_eq!(answered.status, 200, "{module}: {}", answered.text());
    }
    let strangers =
        |double: &Double, header: &str| double.asked().iter().filter(|a| a.header(header).is_some()).count();
    assert_eq!((strangers(&first, "private-token"), strangers(&second, "authorization")), (0, 0));
}

/// Every file below a folder, in one.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(bytes_below(&path));
        } else if path.is_file() {
            all.extend(std::fs::read(&path).expect("a readable file"));
        }
    }
    all
}

#[test]
fn a_secret_that_was_handed_over_is_neither_logged_nor_shown_nor_kept_as_it_is() {
    let double = Double::start();
    double.require(Ticket::Basic("ci", "hunter2-the-secret"));
    double.add(&Release::new(MODULE, "v1.0.0"));
    let (_one, _two, settings) = folders();
    let home = Home::new();
    home.write("key", KEY);
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[store]\npath = '{}'\nkey_file = \"key\"\n{settings}",
        home.store().display()
    );
    home.write("modvet.toml", &text);
    let modvet = home.serve();
    let auth = json!({ "username": "ci", "token": "hunter2-the-secret" });
    let fields = json!({ "name": "corp", "kind": "proxy", "url": double.url(), "auth": auth });
    let (status, view) = api(&modvet, "POST", "/api/v1/upstreams", fields);
    assert_eq!((status, &view["auth"]["set"]), (201, &json!(true)), "{view}");
    assert_eq!(api(&modvet, "POST", "/api/v1/registries", json!({ "name": "ci", "upstreams": ["corp"] })).0, 201);
    assert_eq!(list(&modvet, "/registries/ci"), "200 v1.0.0");
    let shown = [get(&modvet, "/api/v1/upstreams").1, get(&modvet, "/api/v1/upstreams/corp").1];
    let home = modvet.killed();
    let (kept, log) = (bytes_below(&home.store()), home.log());
    let is_in = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(is_in(&kept, "definition/upstream/corp"), "the definition is in the bytes that are looked through");
    for word in ["hunter2-the-secret", "Y2k6aHVudGVyMi10aGUtc2VjcmV0"] {
        assert!(!is_in(&kept, word) && !log.contains(word), "{word}: {log}");
        assert!(!shown.iter().any(|answer| answer.to_string().contains(word)), "{shown:?}");
    }

    let modvet = home.serve();
    assert_eq!(api(&modvet, "POST", "/api/v1/upstreams/corp/test", Value::Null).1["kind"], "reachable");
    let home = modvet.killed();
    home.write("key", &KEY.replace('0', "1"));
    let modvet = home.serve();
    assert!(modvet.log().contains("upstream=\"corp\""), "it is named at the start: {}", modvet.log());
    let answered = client::get(modvet.address(), "/registries/ci/example.test/other/@v/list");
    let expected = "upstream corp: its credentials cannot be read: the key of [store] does not fit";
    assert!(answered.status == 502 && answered.text().contains(expected), "{}", answered.text());
    assert_eq!(list(&modvet, ""), "200 v1.0.0", "the others answer");
}

#[test]
fn a_test_tells_apart_why_an_upstream_does_not_answer() {
    let (well, guarded, closed) = (Double::start(), Double::start(), Double::start());
    well.add(&Release::new(MODULE, "v1.0.0"));
    guarded.require(Ticket::Bearer("secret"));
    closed.set("", Conduct::Status(403));
    let (tls, slow) = (Double::start_tls(), Double::start());
    slow.set("", Conduct::Hangs);
    let (_one, _two, settings) = folders();
    let modvet = Modvet::start(&settings);
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("bound"))
    };
    let upstreams = [
        ("well", well.url()),
        ("guarded", guarded.url()),
        ("closed", closed.url()),
        ("tls", tls.url()),
        ("slow", slow.url()),
        ("gone", gone),
    ];
    for (name, url) in upstreams {
        let timeouts = json!({ "first_byte": "300ms" });
        let fields = json!({ "name": name, "kind": "proxy", "url": url, "timeouts": timeouts });
        assert_eq!(api(&modvet, "POST", "/api/v1/upstreams", fields).0, 201, "{name}");
    }
    let table = [
        ("well", "", true, "reachable"),
        ("well", "?module=example.test/m", true, "reachable"),
        ("well", "?module=example.test/none", false, "not_found"),
        ("guarded", "", false, "unauthorized"),
        ("closed", "", false, "forbidden"),
        ("tls", "", false, "certificate"),
        ("slow", "", false, "timeout"),
        ("gone", "", false, "unreachable"),
        ("one", "", true, "reachable"),
        ("one", "?module=example.test/none", false, "not_found"),
    ];
    for (name, query, ok, kind) in table {
        let (status, tested) = api(&modvet, "POST", &format!("/api/v1/upstreams/{name}/test{query}"), Value::Null);
        assert_eq!(
            (status, &tested["ok"], &tested["kind"]),
            (200, &json!(ok), &json!(kind)),
            "{name}{query}: {tested}"
        );
    }
}

#[test]
fn a_wrong_certificate_names_the_host_and_the_reason() {
    let tls = Double::start_tls();
    let modvet = Modvet::start(&tls.settings("tls"));
    let answered = modvet.get(MODULE, "@v/list");
    let (text, host) = (answered.text(), tls.address().to_string());
    assert_eq!(answered.status, 502, "{text}");
    assert!(text.contains(&host) && text.contains("invalid peer certificate: UnknownIssuer"), "{text}");
    assert!(text.contains("upstream tls"), "{text}");
}

#[test]
fn sighup_reads_the_file_again_and_drops_no_request() {
    let (one, two, settings) = folders();
    let zip = one.add(MODULE, "v1.5.0", 32 << 20);
    let modvet = Modvet::start(&settings);
    // More than the sockets between hold: the answer waits for its reader.
    let mut slow = TcpStream::connect(modvet.address()).expect("it listens");
    write!(slow, "GET /{MODULE}/@v/v1.5.0.zip HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = vec![0; 1000];
    slow.read_exact(&mut answer).expect("the answer begins");

    let only_two = format!("[[upstream]]\nname = \"two\"\nkind = \"dir\"\npath = '{}'\n", two.path().display());
    let ci = "[[registry]]\nname = \"ci\"\nupstreams = [\"two\"]\nmode = \"strict\"\n";
    modvet.home().configure(&format!("{only_two}{ci}"));
    modvet.signal(libc::SIGHUP);
    logged(&modvet, "configuration reloaded", 1);
    assert_eq!(list(&modvet, ""), "200 v2.0.0+incompatible");
    assert_eq!(list(&modvet, "/registries/ci"), "200 v2.0.0+incompatible");
    slow.read_to_end(&mut answer).expect("the answer ends");
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    assert!(answer[head + 4..] == zip, "{} bytes (expected {})", answer.len() - head - 4, zip.len());

    modvet.home().configure(&format!("{only_two}{ci}modes = \"lax\"\n"));
    modvet.signal(libc::SIGHUP);
    logged(&modvet, "the configuration is not reloaded: all stays as it was", 1);
    assert!(modvet.log().contains("modvet.toml: line 14: unknown key `modes` in [registry]"), "{}", modvet.log());
    assert_eq!(list(&modvet, "/registries/ci"), "200 v2.0.0+incompatible");

    let text = format!("listen = \"127.0.0.1:1\"\n[store]\npath = '{}'\n{only_two}", modvet.home().store().display());
    modvet.home().write("modvet.toml", &text);
    let (status, reloaded) = api(&modvet, "POST", "/api/v1/reload", Value::Null);
    assert_eq!((status, reloaded), (200, json!({ "upstreams": 1, "registries": 0, "waiting": ["listen"] })));
    assert!(modvet.log().contains("this change takes effect at the next start"), "{}", modvet.log());
    assert_eq!(list(&modvet, "/registries/ci"), "404 registries/ci: unknown registry");
}

#[test]
fn nothing_is_said_to_listen_while_another_process_holds_the_store() {
    let (_one, _two, settings) = folders();
    let modvet = Modvet::start(&settings);
    let second = modvet.home().run(&["serve", "--config", "modvet.toml"]);
    assert_eq!(second.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&second.stdout), "");
}
