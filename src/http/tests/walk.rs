//! Why an answer is what it is: the headers of every answer, and the walk over the interface.

use serde_json::Value;

use super::{Reply, World, start};
use crate::error::Error;
use crate::registry::doubles::Reply as Taught;
use crate::registry::doubles::version;

const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";

fn said(reply: &Reply) -> (u16, [String; 3]) {
    let header = |name: &str| reply.header(name).to_owned();
    (reply.status(), [header("x-modvet-upstream"), header("x-modvet-cache"), header("age")])
}

#[tokio::test]
async fn every_answer_says_why_also_an_error_and_to_head() {
    let world = World::new();
    world.corp.misname("example.com/wrong", WRONG, RIGHT);
    world.public.publish("example.com/Mod", "v1.0.0", b"zip");
    world.public.teach("example.com/Mod", "@v/list", Taught::List(vec![version("v1.0.0")]));
    let running = start(&world).await;
    let expect = |status, upstream: &str, cache: &str, age: &str| (status, [upstream, cache, age].map(str::to_owned));
    let table = [
        ("found", "/example.com/!mod/@v/v1.0.0.info", expect(200, "public", "miss", "0")),
        ("list", "/example.com/!mod/@v/list", expect(200, "public", "miss", "0")),
        ("refused", &format!("/registries/ci/example.com/wrong/@v/{WRONG}.info"), expect(403, "corp", "miss", "0")),
        ("nobody's", "/example.com/none/@v/list", expect(404, "corp, public", "miss", "0")),
        ("not the bound one's", "/example.com/!mod/@v/v9.0.0.info", expect(404, "public", "miss", "0")),
        ("no module", "/example.com/none/@v/v1.txt", expect(404, "", "", "")),
    ];
    for (row, target, expected) in &table {
        assert_eq!(said(&running.get(target).await), *expected, "{row}");
    }
    world.clock.forward(4);
    for (row, target, (status, [upstream, ..])) in table {
        let words = if upstream.is_empty() { ["", ""] } else { ["hit", "4"] };
        let expected = expect(status, &upstream, words[0], words[1]);
        assert_eq!(said(&running.get(target).await), expected, "{row} again");
        assert_eq!(said(&running.ask("HEAD", target, &[]).await), expected, "{row}: HEAD");
    }
    let matching = running.get("/example.com/!mod/@v/v1.0.0.info").await.header("etag").to_owned();
    let same = running.ask("GET", "/example.com/!mod/@v/v1.0.0.info", &[("If-None-Match", &matching)]).await;
    assert_eq!(said(&same), expect(304, "public", "hit", "4"));
    world.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(said(&running.get("/example.com/other/@v/list").await), expect(502, "corp", "miss", "0"));
}

#[tokio::test]
async fn the_walk_is_told_over_the_interface() {
    let world = World::new();
    world.public.publish("example.com/Mod", "v1.0.0", b"zip");
    let running = start(&world).await;
    for (registry, name) in [("", "default"), ("/registries/ci", "ci")] {
        for subject in ["example.com/Mod@v1.0.0", "example.com/!mod@v1.0.0"] {
            let reply = running.get(&format!("{registry}/api/v1/walk/{subject}")).await;
            let walked: Value = serde_json::from_str(reply.text()).expect("json");
            assert_eq!((reply.status(), reply.header("cache-control")), (200, "no-cache"), "{walked}");
            assert_eq!(walked["registry"], name, "{walked}");
            assert_eq!(walked["outcome"]["upstream"], "public", "{walked}");
            assert_eq!(walked["steps"][1]["step"], "answered", "{walked}");
        }
    }
    // A walk that ends in an absence or a failure is told all the same.
    world.corp.fail(Some(Error::bad_gateway("timed out")));
    let reply = running.get("/api/v1/walk/example.com/other").await;
    let walked: Value = serde_json::from_str(reply.text()).expect("json");
    assert_eq!((reply.status(), &walked["outcome"]["kind"]), (200, &Value::from("bad_gateway")), "{walked}");
    assert_eq!((&walked["question"], &walked["steps"][0]["why"]), (&"@v/list".into(), &"timed out".into()), "{walked}");
    for (target, status) in [("m@v1", 410), ("example.com/m@", 410), ("", 404)] {
        assert_eq!(running.get(&format!("/api/v1/walk/{target}")).await.status(), status, "{target}");
    }
}

#[tokio::test]
async fn anyone_who_asks_for_a_walk_learns_no_private_patterns() {
    let running = start(&World::new()).await;
    let reply = running.get("/api/v1/walk/corp.example/secret/below").await;
    let walked: Value = serde_json::from_str(reply.text()).expect("json");
    let expected = serde_json::json!({
        "upstream": "corp", "step": "barred", "why": "its `not_modules` name the path",
    });
    assert_eq!((reply.status(), &walked["steps"][0]), (200, &expected), "{walked}");
}
