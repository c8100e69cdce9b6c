//! What a running server answers has exactly the fields that docs/openapi.json describes.

use serde_json::{Value, json};

use super::openapi::differences;
use super::{Running, World, naming, start_desk};
use crate::http::desk::Desk;
use crate::http::serve::Limits;
use crate::http::tests::PSEUDONYM;
use crate::ports::{Body, Store as _};

const TOKEN: &str = "token";
const WRONG: &str = "v1.0.1-0.20190813064442-fde4db37ae7a";
const RIGHT: &str = "v1.0.1-0.20190813064441-fde4db37ae7a";

async fn running() -> Running {
    let world = World::new();
    world.corp.publish("example.com/m", "v1.0.0", b"zip");
    world.corp.publish("example.com/n", "v1.0.0", b"zip");
    world.corp.misname("example.com/dep", WRONG, RIGHT);
    let running = start_desk(Some(world.site()), Limits::default(), |door| {
        let desk = Desk::new(door, std::time::Duration::from_secs(30), PSEUDONYM);
        desk.guarded_by(naming(TOKEN))
    })
    .await;
    for module in ["m", "n"] {
        let zip = format!("/registries/ci/example.com/{module}/@v/v1.0.0.zip");
        assert_eq!(running.get(&zip).await.status(), 200);
    }
    running
}

/// A call, the row that it is for, and the status that it gets.
struct Example {
    row: &'static str,
    target: String,
    body: Option<Value>,
    status: u16,
}

fn example(row: &'static str, target: impl Into<String>, status: u16) -> Example {
    Example { row, target: target.into(), body: None, status }
}

fn examples() -> Vec<Example> {
    let verdict = "GET /api/v1/verdicts/{subject}";
    let of_registry = "GET /registries/{registry}/api/v1/verdicts/{subject}";
    let walk = "GET /api/v1/walk/{subject}";
    let walk_of_registry = "GET /registries/{registry}/api/v1/walk/{subject}";
    let bindings = "GET /api/v1/registries/{registry}/bindings";
    let unbind = "DELETE /api/v1/registries/{registry}/bindings/{module}";
    let entries = "GET /api/v1/cache/entries";
    vec![
        example("GET /api/v1/cache/stats", "/api/v1/cache/stats", 200),
        example(entries, "/api/v1/cache/entries?limit=1", 200),
        example(entries, "/api/v1/cache/entries?subject=example.com%2Fm%40v1.0.0&upstream=corp", 200),
        example(entries, "/api/v1/cache/entries?upstream=none", 404),
        example(verdict, "/api/v1/verdicts/example.com/m@v1.0.0", 200),
        example(verdict, format!("/api/v1/verdicts/example.com/dep@{WRONG}"), 200),
        example(verdict, "/api/v1/verdicts/example.com/m@main", 410),
        example(of_registry, format!("/registries/ci/api/v1/verdicts/example.com/dep@{WRONG}"), 200),
        example(of_registry, "/registries/none/api/v1/verdicts/example.com/m@v1.0.0", 404),
        example(walk, "/api/v1/walk/example.com/m@v1.0.0", 200),
        example(walk, "/api/v1/walk/example.com/m", 200),
        example(walk, "/api/v1/walk/example.com/m@v9.0.0", 200),
        example(walk, "/api/v1/walk/example.com/", 410),
        example(walk_of_registry, "/registries/ci/api/v1/walk/example.com/m@v1.0.0", 200),
        example(walk_of_registry, format!("/registries/ci/api/v1/walk/example.com/dep@{WRONG}"), 200),
        example("GET /api/v1/openapi.json", "/api/v1/openapi.json", 200),
        example(bindings, "/api/v1/registries/ci/bindings?limit=1", 200),
        example(bindings, "/api/v1/registries/none/bindings", 404),
        example(unbind, "/api/v1/registries/ci/bindings/example.com/m", 204),
        example(unbind, "/api/v1/registries/ci/bindings/example.com/m", 404),
    ]
}

async fn answer(running: &Running, example: &Example) -> (u16, Value) {
    let (method, _) = example.row.split_once(' ').expect("a method");
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = example.body.as_ref().map(Value::to_string).unwrap_or_default();
    let reply = running.send(method, &example.target, &headers, body.as_bytes()).await;
    let value = match reply.body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}")),
    };
    (reply.status(), value)
}

#[tokio::test]
async fn answers_have_exactly_the_fields_that_are_described() {
    let running = running().await;
    let mut faults = Vec::new();
    for example in examples() {
        let (status, value) = answer(&running, &example).await;
        assert_eq!(status, example.status, "{} {}: {value}", example.row, example.target);
        let found = differences(example.row, status, &value);
        faults.extend(found.into_iter().map(|fault| format!("{} {}: {fault}", example.row, example.target)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn lines_of_housekeeping_have_exactly_the_fields_that_are_described() {
    let running = running().await;
    let table = [
        ("rm", json!({ "subject": "example.com/m@v1.0.0", "dry_run": true }), "removed"),
        ("rm", json!({ "upstream": "corp" }), "removed"),
        ("prune", json!({ "max_size": "1B", "dry_run": true, "compact": true }), "pruned"),
        ("prune", json!({ "keep_days": 3 }), "pruned"),
        ("verify", json!({}), "verified"),
    ];
    for (work, body, last) in table {
        let (row, target) = (format!("POST /api/v1/cache/{work}"), format!("/api/v1/cache/{work}"));
        let headers = [("Authorization", "Bearer token"), ("Content-Type", "application/json")];
        let reply = running.send("POST", &target, &headers, body.to_string().as_bytes()).await;
        let text = String::from_utf8(reply.body.clone()).expect("text");
        // Between them stand the sizes of chunks.
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        for line in &lines {
            assert_eq!(differences(&row, 200, line), Vec::<String>::new(), "{row} {body}: {line}");
        }
        assert!(lines.last().is_some_and(|line| line.get(last).is_some()), "{row} {body}: {text}");
    }
}

#[tokio::test]
async fn housekeeping_that_does_not_fit_is_refused_with_the_field() {
    let running = running().await;
    let table = [
        ("rm", json!({}), "nothing is named that is to go"),
        ("rm", json!({ "binding": "m" }), "binding: malformed module path \"m\": missing dot in first path element"),
        ("rm", json!({ "dryrun": true }), "the body: unknown field `dryrun`"),
        ("prune", json!({ "max_size": "much" }), "max_size: \"much\" (expected a size such as 20GiB)"),
        ("prune", json!({ "keep_days": -1 }), "keep_days: invalid value: integer `-1`, expected u32"),
    ];
    for (work, body, expected) in table {
        let example = Example { body: Some(body), ..example("POST x", format!("/api/v1/cache/{work}"), 400) };
        let (status, error) = answer(&running, &example).await;
        assert_eq!((status, error["error"].as_str()), (400, Some(expected)), "{work}");
    }
}

#[tokio::test]
async fn bindings_are_listed_page_by_page_and_taken_away() {
    let running = running().await;
    let list = |query: &str| example("GET x", format!("/api/v1/registries/ci/bindings{query}"), 200);
    let modules = |value: &Value| -> Vec<String> {
        let bindings = value["bindings"].as_array().expect("a list").iter();
        bindings.map(|bound| bound["module"].as_str().expect("a path").to_owned()).collect()
    };
    let (_, first) = answer(&running, &list("?limit=1")).await;
    assert_eq!((modules(&first), &first["next"]), (vec!["example.com/m".to_owned()], &json!("example.com/m")));
    let (_, last) = answer(&running, &list("?limit=1&after=example.com%2Fm")).await;
    assert_eq!((modules(&last), &last["next"]), (vec!["example.com/n".to_owned()], &Value::Null));
    let unbind = example("DELETE x", "/api/v1/registries/ci/bindings/example.com/m", 204);
    assert_eq!(answer(&running, &unbind).await.0, 204);
    let (_, left) = answer(&running, &list("")).await;
    assert_eq!(modules(&left), ["example.com/n"]);
    let (status, error) = answer(&running, &unbind).await;
    let expected = "example.com/m: the module is bound to no upstream of registry ci";
    assert_eq!((status, error["error"].as_str()), (404, Some(expected)));
}

#[tokio::test]
async fn without_fetching_a_verdict_asks_no_upstream() {
    let world = World::new();
    world.corp.publish("example.com/m", "v1.0.0", b"zip");
    let running = super::start(&world).await;
    let target = "/api/v1/verdicts/example.com/m@v1.0.0";
    let standing = async || {
        let reply = running.ask("GET", target, &[("Disable-Module-Fetch", "true")]).await;
        let value: Value = serde_json::from_slice(&reply.body).expect("json");
        value["standing"].as_str().expect("a word").to_owned()
    };
    assert_eq!((standing().await.as_str(), world.corp.total()), ("unverifiable", 0));
    running.get("/example.com/m/@v/v1.0.0.info").await;
    let asked = world.corp.total();
    assert_eq!((standing().await.as_str(), world.corp.total()), ("canonical", asked), "what is kept is enough");
}

#[tokio::test]
async fn recorded_differences_are_told_the_newest_first() {
    let world = World::new();
    for (upstream, version, day) in [("corp", "v1.0.0", "01"), ("public", "v1.1.0", "03"), ("corp", "v1.2.0", "02")] {
        let seen = format!("2026-02-{day}T00:00:00Z");
        let state = |sum: &str| json!({ "sha256": sum, "revision": "c0ffee" });
        let change = json!({
            "upstream": upstream, "module": "example.com/m", "version": version, "question": "zip",
            "seen_at": seen, "last_seen_at": seen, "kept": state("aa"), "found": state("bb"), "choice": "keep",
        });
        let key = format!("change/{upstream}~00000000/example.com/m/@v/{version}.zip/01234567");
        world.store.put(&key, change.to_string().as_bytes(), Body::Bytes(Default::default())).expect("kept");
    }
    let running = start_desk(Some(world.site()), Limits::default(), |door| {
        let desk = Desk::new(door, std::time::Duration::from_secs(30), PSEUDONYM);
        desk.guarded_by(naming(TOKEN))
    })
    .await;
    let row = "GET /api/v1/changes";
    let table = [
        ("", vec!["v1.1.0", "v1.2.0", "v1.0.0"], false),
        ("?limit=1", vec!["v1.1.0"], true),
        ("?upstream=corp", vec!["v1.2.0", "v1.0.0"], false),
        ("?upstream=cor", vec![], false),
    ];
    for (query, expected, more) in table {
        let (status, value) = answer(&running, &example(row, format!("/api/v1/changes{query}"), 200)).await;
        assert_eq!(differences(row, status, &value), Vec::<String>::new(), "{query}: {value}");
        let changes = value["changes"].as_array().expect("a list").iter();
        let versions: Vec<&str> = changes.map(|change| change["version"].as_str().expect("a version")).collect();
        assert_eq!((versions, &value["more"]), (expected, &json!(more)), "{query}");
    }
}
