//! Bodies and headers of what is served.

use super::{World, start};
use crate::registry::doubles::{Reply, info_of, version};
use crate::spec::resolution::Resolution;

const PATH: &str = "example.com/Mod";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const SHORT: &str = "public, max-age=60";

fn zip() -> Vec<u8> {
    (0..1_000_003_u32).map(|n| (n % 251) as u8).collect()
}

fn world() -> World {
    let world = World::new();
    world.corp.publish(PATH, "v1.0.0", &zip());
    world.corp.point(PATH, "feature/x", "v1.0.0");
    world.corp.teach(PATH, "@v/list", Reply::List(vec![version("v1.0.0"), version("v1.1.0-rc.1")]));
    world.corp.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of("v1.0.0"))));
    world.corp.teach("example.com/empty", "@v/list", Reply::List(Vec::new()));
    world
}

#[tokio::test]
async fn every_file_has_its_type_and_its_life() {
    let running = start(&world()).await;
    let (json, text) = ("application/json", "text/plain; charset=utf-8");
    let info = info_of("v1.0.0").to_json();
    let table = [
        ("list", "/example.com/!mod/@v/list", text, SHORT, "v1.0.0\nv1.1.0-rc.1\n"),
        ("no releases", "/example.com/empty/@v/list", text, SHORT, ""),
        ("info", "/example.com/%21mod/@v/v1.0.0.info", json, IMMUTABLE, &info),
        ("latest", "/example.com/!mod/@latest", json, SHORT, &info),
        ("mod", "/example.com/!mod/@v/v1.0.0.mod?x=y", text, IMMUTABLE, "module example.com/Mod\n"),
    ];
    for (row, target, media, life, body) in table {
        let reply = running.get(target).await;
        assert_eq!(reply.status_line, "HTTP/1.1 200 OK", "{row}");
        assert_eq!(reply.text(), body, "{row}");
        assert_eq!(reply.header("content-type"), media, "{row}");
        assert_eq!(reply.header("content-length"), body.len().to_string(), "{row}");
        assert_eq!(reply.header("cache-control"), life, "{row}");
        assert_eq!(reply.header("x-modvet-upstream"), "corp", "{row}");
        assert_eq!(reply.header("x-modvet-cache"), "miss", "{row}");
        assert_eq!(reply.header("age"), "0", "{row}");
        let again = running.get(target).await;
        assert_eq!(again.header("x-modvet-cache"), "hit", "{row}");
        assert_eq!(again.header("etag"), reply.header("etag"), "{row}");
    }
}

#[tokio::test]
async fn a_branch_with_a_slash_is_served_in_both_spellings() {
    let running = start(&world()).await;
    for target in ["/example.com/!mod/@v/feature/x.info", "/example.com/!mod/@v/feature%2fx.info"] {
        let reply = running.get(target).await;
        assert_eq!((reply.status(), reply.header("cache-control")), (200, SHORT), "{target}");
        assert!(reply.text().contains(r#""Ref":"refs/heads/feature/x""#), "{target}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_age_of_what_is_kept_is_said() {
    let world = world();
    let running = start(&world).await;
    running.get("/example.com/!mod/@v/list").await;
    world.clock.forward(45);
    assert_eq!(running.get("/example.com/!mod/@v/list").await.header("age"), "45");
    world.clock.forward(45);
    world.corp.fail(Some(crate::error::Error::bad_gateway("timed out")));
    let stale = running.get("/example.com/!mod/@v/list").await;
    assert_eq!((stale.status(), stale.header("age"), stale.header("x-modvet-cache")), (200, "90", "stale"));
}

#[tokio::test]
async fn a_zip_comes_whole_and_in_parts() {
    let running = start(&world()).await;
    let (target, zip) = ("/example.com/!mod/@v/v1.0.0.zip", zip());
    let whole = running.get(target).await;
    assert_eq!((whole.status(), whole.header("content-type")), (200, "application/zip"));
    assert_eq!((whole.header("accept-ranges"), whole.header("cache-control")), ("bytes", IMMUTABLE));
    assert_eq!(whole.header("content-length"), zip.len().to_string());
    assert!(whole.body == zip);
    let etag = whole.header("etag").to_owned();
    let range = |range: &'static str| vec![("Range", range)];
    let size = zip.len();
    let table = [
        ("first", range("bytes=0-9"), 206, 0..10),
        ("middle, over frames", range("bytes=262000-600000"), 206, 262_000..600_001),
        ("rest", range("bytes=999990-"), 206, 999_990..size),
        ("last", range("bytes=-3"), 206, size - 3..size),
        ("two ranges", range("bytes=0-1,5-6"), 200, 0..size),
        ("same as before", vec![("Range", "bytes=0-9"), ("If-Range", &etag)], 206, 0..10),
        ("changed since", vec![("Range", "bytes=0-9"), ("If-Range", "\"other\"")], 200, 0..size),
        ("by date", vec![("Range", "bytes=0-9"), ("If-Range", "Sat, 21 Nov 2026 00:00:00 GMT")], 200, 0..size),
    ];
    for (row, headers, status, bytes) in table {
        let reply = running.ask("GET", target, &headers).await;
        assert_eq!(reply.status(), status, "{row}");
        let place = match status {
            206 => format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1),
            _ => String::new(),
        };
        assert_eq!(reply.header("content-range"), place, "{row}");
        assert_eq!(reply.header("content-length"), bytes.len().to_string(), "{row}");
        assert!(reply.body == zip[bytes], "{row}");
    }
    let beyond = running.ask("GET", target, &range("bytes=2000000-")).await;
    assert_eq!((beyond.status(), beyond.header("content-range")), (416, &*format!("bytes */{size}")));
    assert_eq!(beyond.header("cache-control"), "no-store");
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let running = start(&world()).await;
    for ending in ["v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip", "list"] {
        let target = format!("/example.com/!mod/@v/{ending}");
        let etag = running.get(&target).await.header("etag").to_owned();
        assert!(etag.len() == 66 && etag.starts_with('"'), "{ending}: {etag}");
        let weak = format!("\"x\", W/{etag}");
        for (row, tags, status) in
            [("same", etag.as_str(), 304), ("any", "*", 304), ("in a list, weak", &weak, 304), ("other", "\"x\"", 200)]
        {
            let reply = running.ask("GET", &target, &[("If-None-Match", tags), ("Range", "bytes=0-0")]).await;
            let status = if status == 200 && ending == "v1.0.0.zip" { 206 } else { status };
            assert_eq!(reply.status(), status, "{ending} {row}");
            assert_eq!(reply.header("etag"), etag, "{ending} {row}");
            assert_eq!(reply.body.is_empty(), status == 304, "{ending} {row}");
            assert!(!reply.header("cache-control").is_empty(), "{ending} {row}");
        }
    }
}

#[tokio::test]
async fn a_head_has_all_but_the_body() {
    let running = start(&world()).await;
    for target in ["/example.com/!mod/@v/v1.0.0.zip", "/example.com/!mod/@latest", "/example.com/none/@v/list"] {
        let get = running.get(target).await;
        let head = running.ask("HEAD", target, &[]).await;
        assert_eq!(head.status_line, get.status_line, "{target}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{target}");
        for name in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{target} {name}");
        }
    }
}

#[tokio::test]
async fn an_answer_from_the_cache_alone_is_kept_from_other_caches() {
    let running = start(&world()).await;
    let only_kept = [("Disable-Module-Fetch", "true")];
    let target = "/example.com/!mod/@v/v1.0.0.info";
    let absent = running.ask("GET", target, &only_kept).await;
    assert_eq!((absent.status(), absent.header("cache-control")), (404, "no-store"));
    running.get(target).await;
    let kept = running.ask("GET", target, &only_kept).await;
    assert_eq!((kept.status(), kept.header("x-modvet-cache")), (200, "hit"));
}
