//! The built binary as a server: what it says to requests of every kind.

mod support;

use support::client::{self, Answered};
use support::fixture;
use support::git_server::GitServer;
use support::modvet::Modvet;
use support::replay::replay;
use support::tree::Tree;

const MODULE: &str = "example.test/m";

/// modvet over a folder with one module of 100 kB.
fn over_tree() -> (Tree, Vec<u8>, Modvet) {
    let tree = Tree::new();
    let zip = tree.add(MODULE, "v1.0.0", 100_000);
    let modvet = Modvet::start(&tree.settings());
    (tree, zip, modvet)
}

fn ask(modvet: &Modvet, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
    client::request(modvet.address(), method, path, headers)
}

#[test]
fn machines_are_told_that_it_lives_and_is_ready() {
    let (_tree, _, modvet) = over_tree();
    // A module's question waits for the store to open, so after it all is ready.
    assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
    for path in ["/healthz", "/readyz"] {
        let answered = ask(&modvet, "GET", path, &[]);
        assert_eq!((answered.status, answered.text().as_str()), (200, "ok\n"), "{path}");
        assert_eq!(answered.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn a_head_says_what_a_get_would() {
    let (_tree, zip, modvet) = over_tree();
    for tail in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip", "@v/v9.9.9.info"] {
        let path = format!("/{MODULE}/{tail}");
        let (head, get) = (ask(&modvet, "HEAD", &path, &[]), ask(&modvet, "GET", &path, &[]));
        assert_eq!(head.status, get.status, "{tail}");
        for name in ["content-length", "content-type", "etag", "cache-control", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{tail}: {name}");
        }
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{tail}");
        assert!(head.body.is_empty(), "{tail}");
    }
    assert_eq!(ask(&modvet, "GET", &format!("/{MODULE}/@v/v1.0.0.zip"), &[]).body, zip);
}

#[test]
fn a_zip_is_given_in_parts() {
    let (_tree, zip, modvet) = over_tree();
    let path = format!("/{MODULE}/@v/v1.0.0.zip");
    let size = zip.len();
    let etag = ask(&modvet, "HEAD", &path, &[]).header("etag").expect("an ETag").to_owned();
    let last = size - 1;
    let table = [
        ("bytes=0-99", 0, 99),
        ("bytes=1000-1000", 1000, 1000),
        ("bytes=99000-", 99_000, last),
        ("bytes=-10", size - 10, last),
        ("bytes=32760-32780", 32_760, 32_780),
        ("bytes=5-99999999", 5, last),
    ];
    for (range, first, last) in table {
        for headers in [&[("Range", range)][..], &[("Range", range), ("If-Range", &etag)]] {
            let answered = ask(&modvet, "GET", &path, headers);
            assert_eq!(answered.status, 206, "{range}");
            assert_eq!(answered.header("content-range"), Some(format!("bytes {first}-{last}/{size}").as_str()));
            assert!(answered.body == zip[first..=last], "{range}: other bytes");
        }
    }
    let beyond = ask(&modvet, "GET", &path, &[("Range", "bytes=99999999-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    let other = ask(&modvet, "GET", &path, &[("Range", "bytes=0-99"), ("If-Range", "\"of something else\"")]);
    assert!(other.status == 200 && other.body == zip, "a part of something else was completed");
}

#[test]
fn who_has_the_bytes_already_gets_none() {
    let (_tree, _, modvet) = over_tree();
    for tail in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip"] {
        let path = format!("/{MODULE}/{tail}");
        let etag = ask(&modvet, "GET", &path, &[]).header("etag").expect("an ETag").to_owned();
        let same = ask(&modvet, "GET", &path, &[("If-None-Match", &etag)]);
        assert_eq!((same.status, same.body.len()), (304, 0), "{tail}");
        assert_eq!(same.header("etag"), Some(etag.as_str()), "{tail}");
        let other = ask(&modvet, "GET", &path, &[("If-None-Match", "\"0\"")]);
        assert_eq!(other.status, 200, "{tail}");
    }
}

#[test]
fn lives_and_types_are_those_of_the_page() {
    let (_tree, _, modvet) = over_tree();
    let forever = "public, max-age=31536000, immutable";
    let table = [
        // Before `latest`, which makes it known.
        ("@v/v1.0.0.info", "application/json", forever),
        ("@v/list", "text/plain; charset=utf-8", "public, max-age=60"),
        ("@latest", "application/json", "public, max-age=60"),
        ("@v/v1.0.0.mod", "text/plain; charset=utf-8", forever),
        ("@v/v1.0.0.zip", "application/zip", forever),
    ];
    for (tail, media, life) in table {
        let answered = ask(&modvet, "GET", &format!("/{MODULE}/{tail}"), &[]);
        assert_eq!(answered.header("content-type"), Some(media), "{tail}");
        assert_eq!(answered.header("cache-control"), Some(life), "{tail}");
        assert_eq!(answered.header("x-modvet-upstream"), Some("tree"), "{tail}");
        assert_eq!(answered.header("x-modvet-cache"), Some("miss"), "{tail}");
        let again = ask(&modvet, "GET", &format!("/{MODULE}/{tail}"), &[]);
        assert_eq!(again.header("x-modvet-cache"), Some("hit"), "{tail}");
    }
}

#[test]
fn a_request_that_forbids_fetching_gets_what_is_kept() {
    let (_tree, zip, modvet) = over_tree();
    let path = format!("/{MODULE}/@v/v1.0.0.zip");
    let only_kept = [("Disable-Module-Fetch", "true")];
    let before = ask(&modvet, "GET", &path, &only_kept);
    assert_eq!(before.status, 404);
    assert_eq!(before.text(), "example.test/m@v1.0.0: not kept here, and the request forbids fetching\n");
    assert_eq!(before.header("cache-control"), Some("no-store"));
    ask(&modvet, "GET", &path, &[]);
    let after = ask(&modvet, "GET", &path, &only_kept);
    assert!(after.status == 200 && after.body == zip, "{}", after.status);
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    replay(&fixture::named("side-branch"), folder.path());
    let git = GitServer::start(folder.path(), support::git_server::Flavour::Filters);
    let modvet = Modvet::over_git(&git.url(), "rewrite");
    let table = [
        ("github.com/modvet-fixtures/nothing/@v/list", "repository not found"),
        ("github.com/modvet-fixtures/side-branch/@v/v7.0.0.info", "unknown revision v7.0.0"),
        ("github.com/modvet-fixtures/side-branch/@v/v1.9.9.zip", "unknown revision v1.9.9"),
        ("github.com/modvet-fixtures/side-branch/@v/nowhere.info", "unknown revision nowhere"),
        ("github.com/modvet-fixtures/side-branch/@v/0123456789ab.info", "unknown revision 0123456789ab"),
        (
            "github.com/modvet-fixtures/side-branch/below/@latest",
            "missing github.com/modvet-fixtures/side-branch/below/go.mod",
        ),
        ("github.com/modvet-fixtures/@latest", "invalid github.com import path"),
    ];
    for (path, expected) in table {
        let answered = ask(&modvet, "GET", &format!("/{path}"), &[]);
        let text = answered.text();
        assert_eq!(answered.status, 404, "{path}: {text}");
        assert!(text.contains(expected), "{path}: {text:?} (expected {expected})");
        assert_eq!(text.lines().count(), 1, "{path}: {text:?}");
        let subject = path.split("/@").next().expect("a module");
        assert!(text.starts_with(subject), "{path}: {text:?} does not begin with {subject}");
    }
}

#[test]
fn what_can_never_be_right_is_gone() {
    let (_tree, _, modvet) = over_tree();
    for path in ["/example.test/M/@v/list", "/example.test/!/@v/list", "/example.test/%zz/@v/list", "/nodot/@v/list"] {
        let answered = ask(&modvet, "GET", path, &[]);
        assert_eq!(answered.status, 410, "{path}: {}", answered.text());
        assert_eq!(answered.header("cache-control"), Some("public, max-age=3600"), "{path}");
    }
}

#[test]
fn other_methods_are_refused() {
    let (_tree, _, modvet) = over_tree();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answered = ask(&modvet, method, &format!("/{MODULE}/@v/list"), &[("Content-Length", "0")]);
        assert_eq!((answered.status, answered.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn an_address_may_be_written_in_several_ways() {
    let tree = Tree::new();
    let zip = tree.add("example.test/!upper", "v1.0.0-!r!c.1", 10);
    tree.add("example.test/old", "v2.0.0+incompatible", 10);
    drop(zip);
    let modvet = Modvet::start(&tree.settings());
    for path in [
        "/example.test/!upper/@v/list",
        "/example.test/%21upper/@v/list",
        "/example.test/%21%75pper/%40v/list",
        "/example.test/old/@v/v2.0.0+incompatible.mod",
        "/example.test/old/@v/v2.0.0%2Bincompatible.mod",
    ] {
        let answered = ask(&modvet, "GET", path, &[]);
        assert_eq!(answered.status, 200, "{path}: {}", answered.text());
    }
}
