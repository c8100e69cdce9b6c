use std::fs;

use bytes::Bytes;
use tempfile::TempDir;
use url::Url;

use super::{bytes, client, module, packed, version};
use crate::error::Kind;
use crate::net::Trust;
use crate::net::double::{Answer, Server};
use crate::ports::Source as _;
use crate::spec::query::Query;
use crate::upstream::{Limits, ProxySource};

const PSEUDO: &str = "v0.0.0-20190101000000-abcdefabcdef";

struct Upstream {
    server: Server,
    scratch: TempDir,
    source: ProxySource,
}

async fn upstream(behaviour: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Upstream {
    let server = Server::start(move |asked| behaviour(&asked.target)).await;
    let scratch = TempDir::new().expect("a folder");
    let base = server.url("/go/");
    let limits = Limits { zip: 4096, go_mod: 64, ..Limits::default() };
    let source = ProxySource::new(client(), base, Trust::Named, scratch.path(), limits).expect("http");
    Upstream { server, scratch, source }
}

fn info(version: &str) -> Answer {
    Answer::ok(format!(r#"{{"Version":"{version}","Time":"2019-01-01T00:00:00Z"}}"#))
}

fn files(target: &str) -> Answer {
    let (zip, _) = packed("x.y/M", "v1.0.0");
    match target {
        "/go/x.y/!m/@v/list" => Answer::ok("v1.10.0\nv1.0.0\nv1.2.0-rc.1\nv0.0.0-20190101000000-abcdefabcdef\n"),
        "/go/x.y/!m/@latest" | "/go/x.y/!m/@v/v1.info" => info("v1.10.0"),
        "/go/x.y/!m/@v/v1.0.0.info" => info("v1.0.0"),
        "/go/x.y/!m/@v/v1.10.0.info" => info("v1.10.0"),
        "/go/x.y/!m/@v/v1.2.0-rc.1.info" => Answer::ok(r#"{"version":"v1.2.0-rc.1","Origin":{"VCS":"git","X":1}}"#),
        "/go/x.y/!m/@v/v1.0.1.info" => info("v1.0.0"),
        "/go/x.y/!m/@v/v2.0.0.info" | "/go/x.y/!m/@v/v2.0.0+incompatible.info" => info("v2.0.0+incompatible"),
        "/go/x.y/!m/@v/v3.0.0+incompatible.info" => info("v3.0.0"),
        "/go/x.y/!m/@v/!main.info" => info(PSEUDO),
        "/go/x.y/!m/@v/50%25.info" => info("v1.0.0"),
        "/go/x.y/!m/@v/odd.info" => info("master"),
        "/go/x.y/!m/@v/page.info" => Answer::ok("<html>log in</html>"),
        "/go/x.y/!m/@v/null.info" => Answer::ok("null"),
        "/go/x.y/!m/@v/time.info" => Answer::ok(r#"{"Version":"v1.0.0","Time":"yesterday"}"#),
        "/go/x.y/!m/@v/v1.0.0.mod" => Answer::ok("module x.y/M\n"),
        "/go/x.y/!m/@v/v1.1.0.mod" => Answer::ok("\n <!DOCTYPE html>"),
        "/go/x.y/!m/@v/v1.2.0.mod" => Answer::ok("x".repeat(65)),
        "/go/x.y/!m/@v/v1.0.0.zip" | "/go/x.y/!m/@v/v1.1.0.zip" => Answer::ok(zip),
        "/go/x.y/!m/@v/v1.2.0.zip" => Answer::ok(zip.slice(..zip.len() / 2)),
        "/go/x.y/!m/@v/v1.3.0.zip" => Answer::ok("x".repeat(5000)),
        "/go/x.y/!m/@v/v1.4.0.zip" => Answer::ok("<html>log in</html>"),
        "/go/empty.y/m/@v/list" => Answer::ok(""),
        "/go/old.y/m/@v/list" => Answer::ok("v0.0.0-20180101000000-abcdefabcdef\nv0.0.0-20190101000000-abcdefabcdef\n"),
        "/go/old.y/m/@v/v0.0.0-20190101000000-abcdefabcdef.info" => info(PSEUDO),
        "/go/list.y/m/@v/list" => Answer::ok("v1.0.0\nv1.1.0\nv1.2.0-rc.1\nv2.0.0\n"),
        "/go/list.y/m/@v/v1.1.0.info" => info("v1.1.0"),
        "/go/back.y/m/@v/list" => Answer::ok("v1.0.0\nv1.1.0\nv1.1.1\n"),
        "/go/back.y/m/@v/v1.1.1.mod" => Answer::ok("module back.y/m\n\nretract [v1.1.0, v1.1.1]\n"),
        "/go/back.y/m/@v/v1.0.0.info" => info("v1.0.0"),
        // A go client never asks for a prefix; this upstream forbids what it does not know.
        "/go/back.y/m/@v/v1.info" => Answer::new(403, "not available"),
        "/go/page.y/m/@v/list" => Answer::ok("<html>log in</html>"),
        "/go/401.y/m/@v/list" => Answer::new(401, "who"),
        "/go/403.y/m/@v/list" => {
            Answer::new(403, "no\nnever\n\nafter a blank line").header("content-type", "text/plain; charset=utf-8")
        }
        "/go/404.y/m/@v/list" => Answer::new(404, "not found: m: unknown\nmore").header("content-type", "text/plain"),
        "/go/410.y/m/@v/list" => Answer::new(410, "<b>gone</b>").header("content-type", "text/html"),
        "/go/429.y/m/@v/list" => Answer::new(429, "").header("retry-after", "77"),
        "/go/500.y/m/@v/list" => Answer::new(500, "a\u{1b}[31m").header("content-type", "text/plain"),
        "/go/204.y/m/@v/list" => Answer::new(204, ""),
        "/go/sumdb/sum.test/supported" => Answer::ok(""),
        "/go/sumdb/sum.test/lookup/x.y/!m@v1.0.0" => Answer::ok("1\n"),
        _ => Answer::new(404, ""),
    }
}

#[tokio::test]
async fn lists_versions() {
    let upstream = upstream(files).await;
    let list = upstream.source.list(&module("x.y/M")).await.expect("a list").what;
    assert_eq!(list, ["v1.0.0", "v1.2.0-rc.1", "v1.10.0"].map(version));
    assert_eq!(upstream.source.list(&module("empty.y/m")).await.expect("no version is no error").what, []);
}

#[tokio::test]
async fn statuses_become_kinds() {
    let upstream = upstream(files).await;
    let name = upstream.server.url("/go");
    let answers = |path: &str, what: &str| format!("{path}: {name} answers {what}");
    let table = [
        ("401.y/m", Kind::BadGateway, answers("401.y/m", "401 Unauthorized")),
        ("403.y/m", Kind::Forbidden, answers("403.y/m", "403 Forbidden: no\nnever")),
        ("404.y/m", Kind::NotFound, answers("404.y/m", "404 Not Found: not found: m: unknown\nmore")),
        ("410.y/m", Kind::Gone, answers("410.y/m", "410 Gone")),
        ("429.y/m", Kind::BadGateway, answers("429.y/m", "429 Too Many Requests")),
        ("500.y/m", Kind::BadGateway, answers("500.y/m", "500 Internal Server Error")),
        ("204.y/m", Kind::BadGateway, answers("204.y/m", "204 No Content")),
        (
            "page.y/m",
            Kind::BadGateway,
            format!("page.y/m: {name} sent a body that is not what it claims: list is a page"),
        ),
    ];
    for (path, kind, text) in table {
        let error = upstream.source.list(&module(path)).await.expect_err(path);
        assert_eq!((error.kind(), error.to_string()), (kind, text));
        let delay = (path == "429.y/m").then(|| std::time::Duration::from_secs(77));
        assert_eq!(error.delay(), delay, "{path}");
    }
}

#[tokio::test]
async fn infos_are_what_was_asked_for() {
    let upstream = upstream(files).await;
    let name = upstream.server.url("/go");
    let claims = |why: &str| format!("{name} sent a body that is not what it claims: @v/{why}");
    let requested = |version: &str| format!("{name} returned info for version {version} instead of requested version");
    let odd = claims("odd.info is no version of this module (\"master\")");
    let table = [
        ("a version", "v1.0.0", Ok("v1.0.0")),
        ("fields in small letters", "v1.2.0-rc.1", Ok("v1.2.0-rc.1")),
        ("another version", "v1.0.1", Err(requested("v1.0.0"))),
        ("a version that the path cannot have", "v2.0.0", Ok("v2.0.0+incompatible")),
        ("incompatible", "v2.0.0+incompatible", Ok("v2.0.0+incompatible")),
        (
            "a version without its suffix",
            "v3.0.0+incompatible",
            Err(claims("v3.0.0+incompatible.info is no version of this module (\"v3.0.0\")")),
        ),
        ("a branch", "Main", Ok(PSEUDO)),
        ("a branch with a percent sign", "50%", Ok("v1.0.0")),
        ("a prefix", "v1", Ok("v1.10.0")),
        ("latest", "latest", Ok("v1.10.0")),
        ("a branch with a slash", "feature/x", Err("disallowed version string".to_owned())),
        ("a branch with an exclamation mark", "a!b", Err("disallowed version string".to_owned())),
        ("no version", "odd", Err(odd)),
        ("a page", "page", Err(claims("page.info is no JSON object"))),
        ("null", "null", Err(claims("null.info is no JSON object"))),
    ];
    for (row, asked, expected) in table {
        let answer = upstream.source.info(&module("x.y/M"), &Query::parse(asked)).await.map(|told| told.what);
        match (answer, expected) {
            (Ok(found), Ok(version)) => {
                assert_eq!((found.right.version.as_str(), found.asked.as_str()), (version, asked), "{row}");
                assert!(found.is_valid(), "{row}");
            }
            (Err(error), Err(what)) => {
                assert_eq!(error.what(), what, "{row}");
                assert_eq!(error.subject(), Some(format!("x.y/M@{asked}").as_str()), "{row}");
                let kind = if what.starts_with("disallowed") { Kind::NotFound } else { Kind::BadGateway };
                assert_eq!(error.kind(), kind, "{row}");
            }
            (answer, _) => panic!("{row}: {answer:?}"),
        }
    }
    let error = upstream.source.info(&module("x.y/M"), &Query::parse("time")).await.expect_err("no time");
    assert!(error.what().starts_with(&claims("time.info is no version info (")), "{error}");
}

#[tokio::test]
async fn a_prefix_is_the_highest_version_of_the_list_that_was_not_taken_back() {
    let upstream = upstream(files).await;
    let ask = async |query| upstream.source.info(&module("back.y/m"), &Query::parse(query)).await;
    assert_eq!(ask("v1").await.expect("v1").what.right.version, "v1.0.0");
    let error = ask("v1.1").await.expect_err("both taken back");
    assert_eq!((error.kind(), error.what()), (Kind::NotFound, "no matching versions for query \"v1.1\""));
}

#[tokio::test]
async fn without_latest_the_list_tells() {
    let upstream = upstream(files).await;
    let table = [("the newest", "old.y/m", PSEUDO), ("the highest release", "list.y/m", "v1.1.0")];
    for (row, path, version) in table {
        assert_eq!(upstream.source.latest(&module(path)).await.expect(row).what.version, version, "{row}");
    }
    let prefix = upstream.source.info(&module("list.y/m"), &Query::parse("v1")).await.expect("from the list").what;
    assert_eq!((prefix.asked.as_str(), prefix.right.version.as_str()), ("v1", "v1.1.0"));
    let error = upstream.source.latest(&module("empty.y/m")).await.expect_err("nothing there");
    assert_eq!((error.kind(), error.what()), (Kind::NotFound, "no matching versions for query \"latest\""));
    let error = upstream.source.latest(&module("401.y/m")).await.expect_err("no rights");
    assert_eq!(error.kind(), Kind::BadGateway);
}

#[tokio::test]
async fn mods_and_zips_are_checked() {
    let upstream = upstream(files).await;
    let (zip, h1) = packed("x.y/M", "v1.0.0");
    let path = module("x.y/M");
    let found = upstream.source.go_mod(&path, &version("v1.0.0")).await.expect("a go.mod").what;
    assert_eq!(found.h1, Some(crate::spec::dirhash::go_mod_h1(b"module x.y/M\n")));
    assert_eq!(bytes(found), b"module x.y/M\n");
    for (row, asked, what) in [("a page", "v1.1.0", "is a page"), ("too large", "v1.2.0", "larger answer")] {
        let error = upstream.source.go_mod(&path, &version(asked)).await.expect_err(row);
        assert_eq!(error.kind(), Kind::BadGateway, "{row}");
        assert!(error.what().contains(what), "{row}: {error}");
    }
    let found = upstream.source.zip(&path, &version("v1.0.0")).await.expect("a zip").what;
    assert_eq!(found.h1, Some(h1));
    assert_eq!(Bytes::from(bytes(found)), zip);
    fs::remove_dir(upstream.scratch.path()).expect("nothing is left behind");
    let table = [
        ("a zip of another version", "v1.1.0", "sent a wrong zip"),
        ("half a zip", "v1.2.0", "sent a wrong zip"),
        ("too large", "v1.3.0", "larger file"),
        ("a page", "v1.4.0", "sent a wrong zip"),
    ];
    for (row, asked, what) in table {
        let error = upstream.source.zip(&path, &version(asked)).await.expect_err(row);
        assert_eq!(error.kind(), Kind::BadGateway, "{row}: {error}");
        assert!(error.what().contains(what), "{row}: {error}");
        assert!(error.what().starts_with(upstream.server.url("/go").as_str()), "{row}: {error}");
    }
    let error = upstream.source.zip(&path, &version("v9.0.0+incompatible")).await.expect_err("not there");
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(fs::read_dir(upstream.scratch.path()).expect("a folder").count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn half_a_zip_is_a_failure() {
    let server = Server::start_raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nPK").await;
    let scratch = TempDir::new().expect("a folder");
    let base = server.url("/");
    let source = ProxySource::new(client(), base, Trust::Named, scratch.path(), Limits::default()).expect("http");
    let error = source.zip(&module("x.y/m"), &version("v1.0.0")).await.expect_err("cut");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert!(error.what().contains("broke off its answer"), "{error}");
}

#[tokio::test]
async fn checksum_databases_are_passed_through() {
    let upstream = upstream(files).await;
    assert_eq!(upstream.source.sumdb("sum.test/supported").await.expect("supported"), "");
    assert_eq!(upstream.source.sumdb("sum.test/lookup/x.y/!m@v1.0.0").await.expect("a lookup"), "1\n");
    assert_eq!(upstream.source.sumdb("other.test/supported").await.expect_err("unknown").kind(), Kind::NotFound);
    assert_eq!(upstream.source.sumdb("sum.test/../../x").await.expect_err("out of it").kind(), Kind::Gone);
}

#[tokio::test]
async fn a_base_is_taken_at_its_word_but_never_printed_whole() {
    let server = Server::start(|_| Answer::new(404, "")).await;
    let mut base = server.url("/a%2Fb");
    base.set_username("ci").expect("has a host");
    base.set_password(Some("hunter2")).expect("has a host");
    base.set_query(Some("token=hunter2"));
    let source = ProxySource::new(client(), base, Trust::Named, std::env::temp_dir(), Limits::default()).expect("http");
    let error = source.list(&module("x.y/m")).await.expect_err("not there");
    assert_eq!(error.what(), format!("{} answers 404 Not Found", server.url("/a%2Fb")));
    let asked = server.asked();
    assert_eq!(asked[0].target, "/a%2Fb/x.y/m/@v/list?token=hunter2");
    assert_eq!(asked[0].header("authorization"), Some("Basic Y2k6aHVudGVyMg=="));
    for url in ["file:///srv/proxy", "ftp://proxy.test/"] {
        let base = Url::parse(url).expect(url);
        let error = ProxySource::new(client(), base, Trust::Named, std::env::temp_dir(), Limits::default());
        assert_eq!(error.expect_err(url).kind(), Kind::Gone);
    }
}

#[tokio::test]
async fn a_proxy_learns_who_asks() {
    let server = Server::start(|_| Answer::ok("")).await;
    let new = || ProxySource::new(client(), server.url("/"), Trust::Named, std::env::temp_dir(), Limits::default());
    let source = new().and_then(|source| source.via("modvet-1")).expect("a plain name");
    source.list(&module("x.y/m")).await.expect("a list");
    assert_eq!(server.asked()[0].header("via"), Some("1.1 modvet-1"));
    let refused = new().and_then(|source| source.via("modvet\n1")).expect_err("a line end");
    assert_eq!(refused.kind(), Kind::Gone);
}

#[tokio::test]
async fn a_proxy_that_a_page_names_is_no_trusted_one() {
    let server = Server::start(|_| Answer::ok("v1.0.0\n")).await;
    let base = server.url("/");
    let source = ProxySource::new(client(), base, Trust::Found, std::env::temp_dir(), Limits::default()).expect("http");
    let error = source.list(&module("x.y/m")).await.expect_err("plain http to a private address");
    assert_eq!(error.kind(), Kind::Forbidden);
    assert_eq!(server.targets(), [""; 0]);
}
