//! The frame of the programming interface: methods, bodies, who may ask, and the form of errors.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::golden::{compare, shown};
use super::{PSEUDONYM, Reply as Answer, Running, World, naming, start, start_desk};
use crate::error::{Error, Result};
use crate::http::api::{Access, ApiRoute, Call, Parameter, Reply};
use crate::http::desk::Desk;
use crate::http::incoming::LIMIT;
use crate::http::serve::Limits;

/// An interface whose rows say what they were given.
pub static ROUTES: &[ApiRoute] = &[
    ApiRoute {
        method: Method::GET,
        path: "/api/v1/things",
        access: Access::Anyone,
        query: &[Parameter::text("after"), Parameter::number("limit")],
        handler: |call| Box::pin(async move { Reply::json(&json!({ "after": call.text("after") })) }),
    },
    ApiRoute {
        method: Method::POST,
        path: "/api/v1/things",
        access: Access::Admin,
        query: &[],
        handler: |call| Box::pin(async move { Reply::created(&call.json::<Value>()?) }),
    },
    ApiRoute {
        method: Method::DELETE,
        path: "/api/v1/things/{thing}",
        access: Access::Admin,
        query: &[],
        handler: |call| Box::pin(remove(call)),
    },
    ApiRoute {
        method: Method::POST,
        path: "/api/v1/work",
        access: Access::Admin,
        query: &[],
        handler: |_| Box::pin(async { Ok(work()) }),
    },
];

async fn remove(call: Call) -> Result<Reply> {
    match call.name("thing") {
        "one" => Ok(Reply::Done),
        "used" => Err(Error::conflict("it is in use").about("used").remedy("take it out of b first")),
        "never" => Err(Error::gone("no thing is called so").about("never")),
        other => Err(Error::not_found("unknown thing").about(other)),
    }
}

fn work() -> Reply {
    Reply::lines(|lines| async move {
        lines.say(&json!({ "done": 1 })).await?;
        lines.say(&json!({ "done": 2 })).await?;
        Err(Error::bad_gateway("it broke").about("three").remedy("try again"))
    })
}

const TOKEN: &str = "a long and secret token";

async fn guarded() -> Running {
    let site = World::new().site();
    start_desk(Some(site), Limits::default(), |door| {
        let desk = Desk::new(door, Duration::from_secs(30), PSEUDONYM).with_routes(ROUTES);
        desk.guarded_by(naming(TOKEN))
    })
    .await
}

async fn admin(running: &Running, method: &str, target: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    running.send(method, target, &headers, body.as_bytes()).await
}

fn fields(reply: &Answer) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

#[tokio::test]
async fn rows_get_what_their_address_query_and_body_say() {
    let running = guarded().await;
    let list = running.get("/api/v1/things?after=a%2Fb").await;
    assert_eq!((list.status(), fields(&list)), (200, json!({ "after": "a/b" })));
    assert_eq!((list.header("cache-control"), list.header("content-type")), ("no-cache", "application/json"));
    let head = running.ask("HEAD", "/api/v1/things", &[]).await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    let made = admin(&running, "POST", "/api/v1/things", r#"{"name":"x"}"#).await;
    assert_eq!((made.status(), fields(&made)), (201, json!({ "name": "x" })));
    let gone = admin(&running, "DELETE", "/api/v1/things/one", "").await;
    assert_eq!((gone.status(), gone.body.len(), gone.header("content-length")), (204, 0, ""));
}

#[tokio::test]
async fn every_refusal_says_in_json_what_is_wrong_and_the_way_out() {
    let running = guarded().await;
    let table = [
        ("api unknown address", "GET", "/api/v1/thing", ""),
        ("api method", "PUT", "/api/v1/things", ""),
        ("api unknown parameter", "GET", "/api/v1/things?limt=1", ""),
        ("api body of no JSON", "POST", "/api/v1/things", "{"),
        ("api conflict", "DELETE", "/api/v1/things/used", ""),
        ("api malformed", "DELETE", "/api/v1/things/never", ""),
        ("api unknown thing", "DELETE", "/api/v1/things/two", ""),
    ];
    for (row, method, target, body) in table {
        compare(row, &shown(&admin(&running, method, target, body).await));
    }
    let anonymous = running.ask("DELETE", "/api/v1/things/one", &[]).await;
    compare("api without token", &shown(&anonymous));
    let shut = start(&World::new()).await;
    let unknown = shut.get("/api/v1/openapi.jsn").await;
    assert_eq!(fields(&unknown)["remedy"], json!(["the nearest there is: /api/v1/openapi.json"]));
    assert_eq!(shut.get("/api/v2/x").await.status(), 404);
}

#[tokio::test]
async fn over_the_network_the_admin_part_wants_the_token() {
    let running = guarded().await;
    for (row, value) in [
        ("another token", "Bearer another"),
        ("a part of it", &format!("Bearer {}", &TOKEN[1..])),
        ("another scheme", &format!("Basic {TOKEN}")),
        ("no scheme", TOKEN),
        ("nothing", ""),
    ] {
        let headers = [("Authorization", value), ("Content-Type", "application/json")];
        let refused = running.send("POST", "/api/v1/things", &headers, b"{}").await;
        assert_eq!(refused.status(), 401, "{row}");
        let offered =
            refused.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| value.as_str());
        assert_eq!(offered.collect::<Vec<_>>(), ["Basic realm=\"modvet\"", "Bearer realm=\"modvet\""], "{row}");
        assert!(!refused.text().contains(TOKEN), "{row}");
    }
    assert_eq!(admin(&running, "POST", "/api/v1/things", "{}").await.status(), 201);
    let site = World::new().site();
    let shut = start_desk(Some(site), Limits::default(), |door| {
        Desk::new(door, Duration::from_secs(30), PSEUDONYM).with_routes(ROUTES)
    })
    .await;
    let refused = admin(&shut, "POST", "/api/v1/things", "{}").await;
    compare("api without any token", &shown(&refused));
    assert_eq!(shut.get("/api/v1/things").await.status(), 200, "anyone may ask what is for anyone");
}

/// What a page of another site can send without asking first: forms, in three types, and no header of its own.
#[tokio::test]
async fn a_page_of_another_site_can_do_nothing() {
    let running = guarded().await;
    let authorization = format!("Bearer {TOKEN}");
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", media)];
        let refused = running.send("POST", "/api/v1/things", &headers, b"{}").await;
        assert_eq!(refused.status(), 415, "{media}");
    }
    let untold = running.send("POST", "/api/v1/things", &[("Authorization", &authorization)], b"{}").await;
    compare("api body of no type", &shown(&untold));
    let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let asked = running.ask("OPTIONS", "/api/v1/things", &preflight).await;
    assert_eq!((asked.status(), asked.header("allow")), (405, "GET, HEAD, POST"));
    let read = running.ask("GET", "/api/v1/things", &[("Origin", "https://evil.example")]).await;
    for reply in [asked, read] {
        assert!(!reply.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{reply:?}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_a_strangers_is_not_even_read() {
    let running = guarded().await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(LIMIT));
    let refused = admin(&running, "POST", "/api/v1/things", &large).await;
    compare("api body too large", &shown(&refused));
    let fits = format!("{{\"x\":\"{}\"}}", "x".repeat(LIMIT - 8));
    assert_eq!((fits.len(), admin(&running, "POST", "/api/v1/things", &fits).await.status()), (LIMIT, 201));
    let headers = [("Content-Type", "application/json"), ("Content-Length", "1000000")];
    assert_eq!(running.ask("POST", "/api/v1/things", &headers).await.status(), 401, "before the body has come");
}

#[tokio::test]
async fn work_tells_how_it_goes_line_by_line() {
    let running = guarded().await;
    let told = admin(&running, "POST", "/api/v1/work", "").await;
    assert_eq!((told.status(), told.header("content-type")), (200, "application/x-ndjson"));
    let text = dechunked(told.text());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let broke = json!({ "error": "three: it broke", "kind": "bad_gateway", "remedy": ["try again"] });
    assert_eq!(lines, [json!({ "done": 1 }), json!({ "done": 2 }), broke]);
}

/// The content of `Transfer-Encoding: chunked`.
fn dechunked(text: &str) -> String {
    let (mut rest, mut content) = (text, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        content.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("the end of a chunk");
    }
    content
}

/// A shared cache keeps what an error's headers allow, so JSON must not promise more than text.
#[tokio::test]
async fn an_error_in_json_has_the_headers_of_the_text() {
    let running = start(&World::new()).await;
    let targets = ["/example.com/none/@v/list", "/example.com/m/@v/main.mod", "/example.com/M/@v/list"];
    for target in targets {
        for only_kept in [false, true] {
            let mut headers = vec![("Disable-Module-Fetch", if only_kept { "true" } else { "false" })];
            let text = running.ask("GET", target, &headers).await;
            headers.push(("Accept", "application/json"));
            let json = running.ask("GET", target, &headers).await;
            assert_eq!(json.header("cache-control"), text.header("cache-control"), "{target} {only_kept}");
            assert_eq!(json.status_line, text.status_line, "{target} {only_kept}");
            assert_eq!(json.header("vary"), "Accept", "no cache gives it to the go command");
            assert!(text.text().starts_with(fields(&json)["error"].as_str().expect("text")), "{target}: {json:?}");
        }
    }
}
