//! Every text that a client can be shown, as a golden file; `BLESS=1` rewrites them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::{PSEUDONYM, Reply, World, start, start_with};
use crate::error::{Error, Kind};
use crate::http::serve::Limits;

const WRONG: &str = "v1.0.1-0.20190813064442-fde4db37ae7a";
const RIGHT: &str = "v1.0.1-0.20190813064441-fde4db37ae7a";
const LONG: &str = "github.com/a-company-with-a-very-long-name/a-repository-with-an-even-longer-name-that-nobody-can-remember/and/a/module/in/a/folder/somewhere/below";

/// What a client sees of an answer, the parts that depend on the day left out.
pub fn shown(reply: &Reply) -> String {
    let mut text = format!("{}\n", reply.status_line);
    for (name, value) in reply.headers.iter().filter(|(name, _)| name != "date" && name != "connection") {
        writeln!(text, "{name}: {value}").expect("a string takes all");
    }
    text.push('\n');
    text.push_str(reply.text());
    text
}

pub fn compare(row: &str, found: &str) {
    let name = format!("{}.txt", row.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/http").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, found).expect("a writable golden file");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, golden, "{row}: BLESS=1 rewrites the golden files");
}

fn world() -> World {
    let world = World::new();
    world.corp.misname("example.com/dep", WRONG, RIGHT);
    world.corp.misname(LONG, WRONG, RIGHT);
    world
}

/// What the go command shows of a text is checked for all of them.
fn check_limits(row: &str, text: &str) {
    assert!(text.lines().count() <= 8 && !text.contains("\n\n"), "{row}");
    assert!(text.len() + text.matches('\n').count() <= 600, "{row}");
}

#[tokio::test]
async fn answers_to_wrong_names_and_absences() {
    let world = world();
    let running = start(&world).await;
    let wrong = |registry: &str, ending: &str| format!("{registry}/example.com/dep/@v/{WRONG}{ending}");
    let table = [
        ("strict info", wrong("/registries/ci", ".info")),
        ("strict zip", wrong("/registries/ci", ".zip")),
        ("strict mod", wrong("/registries/ci", ".mod")),
        ("strict long path", format!("/registries/ci/{LONG}/@v/{WRONG}.info")),
        ("rewrite info", wrong("", ".info")),
        ("rewrite zip", wrong("", ".zip")),
        ("legacy info", wrong("/registries/old", ".info")),
        ("lookup of a wrong name", format!("/sumdb/sum.example.org/lookup/example.com/dep@{WRONG}")),
        ("unknown module", "/example.com/unknown/@v/list".to_owned()),
        ("unknown version", "/example.com/dep/@v/v9.9.9.info".to_owned()),
        ("parent path", "/example.com/@v/list".to_owned()),
        ("unknown registry", "/registries/none/example.com/dep/@v/list".to_owned()),
        ("unknown address", "/somewhere".to_owned()),
        ("unknown file", "/example.com/dep/@v/v1.0.0.txt".to_owned()),
        ("unknown checksum database", "/sumdb/other.example.org/supported".to_owned()),
        ("malformed path", "/example.com/Dep/@v/list".to_owned()),
        ("malformed module path", "/example/dep/@v/list".to_owned()),
        ("malformed version", "/example.com/dep/@v/V1.info".to_owned()),
        ("malformed percent", "/example.com/%zz/@v/list".to_owned()),
        ("malformed lookup", "/sumdb/sum.example.org/lookup/example.com/dep".to_owned()),
        ("malformed tile", "/sumdb/sum.example.org/tile/8".to_owned()),
        ("mod of a branch", "/example.com/dep/@v/main.mod".to_owned()),
    ];
    for (row, target) in table {
        let reply = running.get(&target).await;
        if reply.status() >= 400 {
            check_limits(row, reply.text());
        }
        compare(row, &shown(&reply));
    }
}

#[tokio::test]
async fn answers_to_requests_that_are_out_of_order() {
    let running = start(&world()).await;
    let list = "/example.com/dep/@v/list";
    let loops = format!("1.1 other, 2 {PSEUDONYM} (a comment)");
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, &str, &str, Headers<'_>); 4] = [
        ("method", "POST", list, &[]),
        ("loop", "GET", list, &[("Via", &loops)]),
        ("nothing kept", "GET", "/example.com/dep/@v/v2.0.0.zip", &[("Disable-Module-Fetch", "true")]),
        ("alive", "GET", "/healthz", &[]),
    ];
    for (row, method, target, headers) in table {
        compare(row, &shown(&running.ask(method, target, headers).await));
    }
    let other = [("Via", "1.1 modvet-test-2")];
    assert_eq!(running.ask("GET", "/healthz", &other).await.status(), 200, "another proxy's name is no loop");
}

#[tokio::test]
async fn answers_when_something_fails() {
    let table = [
        ("upstream broken", Error::bad_gateway("https://git.example.com/dep: timed out")),
        ("upstream busy", Error::bad_gateway("429 Too Many Requests").retry_after(Duration::from_secs(30))),
        ("denied upstream", Error::forbidden("403 Forbidden").remedy("ask for access")),
        ("disk full", Error::unavailable("the disk is full")),
        ("store broken", Error::internal("the store cannot be read").because(std::io::Error::other("/a/path"))),
        ("gone upstream", Error::gone("410 Gone")),
        (
            "only git",
            Error::not_found("the module is kept in Mercurial, and only git is served").about("example.com/hg"),
        ),
        ("more than is shown", Error::new(Kind::BadGateway, "remote: x\nremote: y\n\n".repeat(30))),
    ];
    for (row, error) in table {
        let world = world();
        world.corp.fail(Some(error));
        let reply = start(&world).await.get("/example.com/dep/@v/v1.0.0.info").await;
        check_limits(row, reply.text());
        compare(row, &shown(&reply));
    }
}

#[tokio::test]
async fn answers_while_the_store_opens() {
    let running = start_with(None, Duration::ZERO, Limits::default()).await;
    compare("store opening", &shown(&running.get("/example.com/dep/@v/list").await));
    compare("not ready", &shown(&running.get("/readyz").await));
}
