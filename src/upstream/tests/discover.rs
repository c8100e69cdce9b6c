use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Hand, module};
use crate::error::Kind;
use crate::net::double::{Answer, Asked, Server, authority};
use crate::net::{AllowInsecure, Client, Proxies, Settings};
use crate::spec::location::{Location, LocationKind};
use crate::upstream::Discover;

/// An internet of its own: every https host is one server, asked through a tunnel.
struct World {
    server: Server,
    _tunnel: Server,
    clock: Arc<Hand>,
    discover: Discover,
}

async fn world(behaviour: impl Fn(&str) -> Answer + Send + Sync + 'static) -> World {
    let server = Server::start_tls(move |asked| behaviour(&address(asked))).await;
    let tunnel = Server::start_tunnel(&server).await;
    let proxies = Proxies { https: Some(tunnel.url("/")), ..Proxies::none() };
    let settings = Settings { proxies, extra_roots: vec![authority()], ..Settings::default() };
    let client = Client::new(settings).expect("settings are fine");
    let clock = Arc::new(Hand::new());
    let discover = Discover::new(client, Arc::clone(&clock) as Arc<_>);
    World { server, _tunnel: tunnel, clock, discover }
}

/// `host/path?query`
fn address(asked: &Asked) -> String {
    format!("{}{}", asked.host, asked.target)
}

impl World {
    fn asked(&self) -> Vec<String> {
        self.server.asked().iter().map(address).collect()
    }

    /// The location in one line, or the error with its kind.
    async fn locate(&self, path: &str) -> String {
        match self.discover.locate(&module(path)).await {
            Ok(Location { root, kind, url, subdir }) => format!("{root} {kind:?} {url} {subdir}").trim().to_owned(),
            Err(error) => format!("{:?}: {error}", error.kind()),
        }
    }
}

fn page(tags: &[&str]) -> Answer {
    let tags: String = tags.iter().map(|tag| format!("<meta name=\"go-import\" content=\"{tag}\">\n")).collect();
    Answer::ok(format!("<!DOCTYPE html>\n<html><head>\n{tags}</head><body>x</body></html>"))
}

fn pages(address: &str) -> Answer {
    match address {
        "ok.go.test/m?go-get=1" => page(&["ok.go.test/m git https://git.go.test/m"]),
        "ok.go.test/?go-get=1" => page(&["ok.go.test git https://git.go.test/root"]),
        "sub.go.test/a/b?go-get=1" | "sub.go.test/a?go-get=1" => page(&["sub.go.test/a git https://git.go.test/a"]),
        "dir.go.test/m?go-get=1" => page(&["dir.go.test/m git https://git.go.test/mono go/m"]),
        "mod.go.test/m?go-get=1" => page(&["mod.go.test/m git https://git.go.test/m", "mod.go.test/m mod https://proxy.go.test"]),
        "hg.go.test/m?go-get=1" => page(&["hg.go.test/m hg https://hg.go.test/m"]),
        "cvs.go.test/m?go-get=1" => page(&["cvs.go.test/m cvs https://cvs.go.test/m"]),
        "lost.go.test/m?go-get=1" => {
            Answer { status: http::StatusCode::NOT_FOUND, ..page(&["lost.go.test/m git https://git.go.test/m"]) }
        }
        "two.go.test/m?go-get=1" => page(&["two.go.test/m git https://git.go.test/m", "two.go.test git https://git.go.test/n"]),
        "other.go.test/m?go-get=1" => {
            page(&["other.go.test/n git https://git.go.test/n", "other.go.test/o git https://git.go.test/o"])
        }
        "none.go.test/m?go-get=1" => page(&[]),
        "liar.go.test/m/x?go-get=1" => page(&["liar.go.test/m git https://git.go.test/evil"]),
        "liar.go.test/m?go-get=1" => page(&["liar.go.test/m git https://git.go.test/m"]),
        "half.go.test/m/x?go-get=1" => page(&["half.go.test/m git https://git.go.test/m"]),
        "half.go.test/m?go-get=1" => page(&[]),
        "gone.go.test/m/x?go-get=1" => page(&["gone.go.test/m git https://git.go.test/m"]),
        "slash.go.test/m?go-get=1" => page(&["slash.go.test/m git https://git.go.test/m /etc"]),
        "file.go.test/m?go-get=1" => page(&["file.go.test/m git file:///srv/m"]),
        "bare.go.test/m?go-get=1" => page(&["bare.go.test/m git git.go.test/m"]),
        "scp.go.test/m?go-get=1" => page(&["scp.go.test/m git git@git.go.test:m"]),
        "ssh.go.test/m?go-get=1" => page(&["ssh.go.test/m git ssh://git@git.go.test/m"]),
        "xml.go.test/m?go-get=1" => Answer::ok("<a b=\"<\">"),
        "text.go.test/m?go-get=1" => Answer::ok("hello"),
        "busy.go.test/m?go-get=1" => Answer::new(503, "busy").header("retry-after", "60"),
        "error.go.test/m?go-get=1" => Answer::new(500, "error"),
        "locked.go.test/m?go-get=1" => Answer::new(401, "who are you"),
        "moved.go.test/m?go-get=1" => Answer::redirect(302, "https://ok.go.test/moved"),
        "ok.go.test/moved" => page(&["moved.go.test/m git https://git.go.test/moved"]),
        "inner.go.test/m?go-get=1" => Answer::redirect(302, "https://10.0.0.1/"),
        "git.go.test/a/b/info/refs?service=git-upload-pack" => Answer::ok("001e# service=git-upload-pack\n")
            .header("content-type", "application/x-git-upload-pack-advertisement"),
        "page.go.test/a/b/info/refs?service=git-upload-pack" => Answer::ok("<html>").header("content-type", "text/html"),
        "down.go.test/a/b/info/refs?service=git-upload-pack" => Answer::new(500, "error"),
        _ => Answer::new(404, "nothing here"),
    }
}

#[tokio::test]
async fn finds_what_the_pages_say() {
    let world = world(pages).await;
    let unrecognized = |kind: &str, path: &str, why: &str| format!("{kind}: unrecognized import path {path:?}: {why}");
    let absent = |path: &str, why: &str| unrecognized("NotFound", path, why);
    let table = [
        ("a tag", "ok.go.test/m", "ok.go.test/m Git https://git.go.test/m".to_owned()),
        ("a host alone", "ok.go.test", "ok.go.test Git https://git.go.test/root".to_owned()),
        ("below a repository", "sub.go.test/a/b", "sub.go.test/a Git https://git.go.test/a".to_owned()),
        ("a folder of a repository", "dir.go.test/m", "dir.go.test/m Git https://git.go.test/mono go/m".to_owned()),
        ("a proxy before git", "mod.go.test/m", "mod.go.test/m Proxy https://proxy.go.test".to_owned()),
        ("another system", "hg.go.test/m", "hg.go.test/m Other(\"hg\") https://hg.go.test/m".to_owned()),
        ("a tag on a page that says 404", "lost.go.test/m", "lost.go.test/m Git https://git.go.test/m".to_owned()),
        ("by ssh", "ssh.go.test/m", "ssh.go.test/m Git ssh://git@git.go.test/m".to_owned()),
        ("after a redirect", "moved.go.test/m", "moved.go.test/m Git https://git.go.test/moved".to_owned()),
        ("a suffix", "git.go.test/a/b.git/c", "git.go.test/a/b.git Git https://git.go.test/a/b".to_owned()),
        (
            "a suffix of another system",
            "nowhere.go.test/a.hg",
            "nowhere.go.test/a.hg Other(\"hg\") https://nowhere.go.test/a".to_owned(),
        ),
        ("a known host", "github.com/a/b/c", "github.com/a/b Git https://github.com/a/b".to_owned()),
        (
            "a system nobody knows",
            "cvs.go.test/m",
            absent("cvs.go.test/m", "https://cvs.go.test/m?go-get=1: unknown vcs \"cvs\""),
        ),
        (
            "two tags",
            "two.go.test/m",
            absent(
                "two.go.test/m",
                "parse https://two.go.test/m?go-get=1: multiple meta tags match import path \"two.go.test/m\"",
            ),
        ),
        (
            "tags for others",
            "other.go.test/m",
            absent(
                "other.go.test/m",
                "parse https://other.go.test/m?go-get=1: no go-import meta tags (meta tag other.go.test/n did not match import path other.go.test/m, meta tag other.go.test/o did not match import path other.go.test/m)",
            ),
        ),
        (
            "no tags",
            "none.go.test/m",
            absent("none.go.test/m", "parse https://none.go.test/m?go-get=1: no go-import meta tags ()"),
        ),
        ("no page", "gone.go.test/m", absent("gone.go.test/m", "reading https://gone.go.test/m?go-get=1: 404 Not Found")),
        (
            "no rights",
            "locked.go.test/m",
            absent("locked.go.test/m", "reading https://locked.go.test/m?go-get=1: 401 Unauthorized"),
        ),
        (
            "a parent that says otherwise",
            "liar.go.test/m/x",
            absent(
                "liar.go.test/m/x",
                "https://liar.go.test/m/x?go-get=1 and https://liar.go.test/m?go-get=1 disagree about go-import for liar.go.test/m",
            ),
        ),
        (
            "a parent that says nothing",
            "half.go.test/m/x",
            absent(
                "half.go.test/m/x",
                "fetching half.go.test/m: no go-import meta tag found in https://half.go.test/m?go-get=1",
            ),
        ),
        ("no parent", "gone.go.test/m/x", absent("gone.go.test/m/x", "reading https://gone.go.test/m?go-get=1: 404 Not Found")),
        (
            "a folder with a leading slash",
            "slash.go.test/m",
            absent("slash.go.test/m", "https://slash.go.test/m?go-get=1: invalid subdirectory \"/etc\": leading slash"),
        ),
        (
            "a file",
            "file.go.test/m",
            absent(
                "file.go.test/m",
                "https://file.go.test/m?go-get=1: invalid repo root \"file:///srv/m\": file scheme disallowed",
            ),
        ),
        (
            "no scheme",
            "bare.go.test/m",
            absent("bare.go.test/m", "https://bare.go.test/m?go-get=1: invalid repo root \"git.go.test/m\": no scheme"),
        ),
        (
            "the short form of ssh",
            "scp.go.test/m",
            absent(
                "scp.go.test/m",
                "https://scp.go.test/m?go-get=1: invalid repo root \"git@git.go.test:m\": first path segment in URL cannot contain colon",
            ),
        ),
        (
            "markup that is none",
            "xml.go.test/m",
            absent("xml.go.test/m", "parsing xml.go.test/m: XML syntax error on line 1: unescaped < inside quoted string"),
        ),
        ("text", "text.go.test/m", absent("text.go.test/m", "parse https://text.go.test/m?go-get=1: no go-import meta tags ()")),
        (
            "a suffix without repository",
            "none.go.test/a/b.git",
            "NotFound: no secure protocol found for repository".to_owned(),
        ),
        ("a suffix with a page", "page.go.test/a/b.git", "NotFound: no secure protocol found for repository".to_owned()),
        (
            "a known host's wrong path",
            "github.com/a",
            "NotFound: invalid github.com import path \"github.com/a\"".to_owned(),
        ),
        (
            "a busy host",
            "busy.go.test/m",
            unrecognized(
                "BadGateway",
                "busy.go.test/m",
                "https fetch: reading https://busy.go.test/m?go-get=1: 503 Service Unavailable",
            ),
        ),
        (
            "a broken host",
            "error.go.test/m",
            unrecognized(
                "BadGateway",
                "error.go.test/m",
                "https fetch: reading https://error.go.test/m?go-get=1: 500 Internal Server Error",
            ),
        ),
        (
            "a broken git host",
            "down.go.test/a/b.git",
            "BadGateway: down.go.test answers 500 Internal Server Error".to_owned(),
        ),
        (
            "a redirect within",
            "inner.go.test/m",
            unrecognized(
                "Forbidden",
                "inner.go.test/m",
                "https fetch: 10.0.0.1 is not a public address\nif it is meant to be reached, name the host or its range in [net] allow_private",
            ),
        ),
        (
            "launchpad says nothing",
            "launchpad.net/p",
            "launchpad.net/p Other(\"bzr\") https://launchpad.net/p".to_owned(),
        ),
    ];
    for (row, path, expected) in table {
        assert_eq!(world.locate(path).await, expected, "{row}");
    }
    assert!(!world.asked().iter().any(|asked| asked.contains("github")), "{:?}", world.asked());
}

#[tokio::test]
async fn an_unreachable_host_is_no_absence() {
    let settings = Settings { proxies: Proxies::none(), ..Settings::default() };
    let client = Client::new(settings).expect("settings are fine");
    let discover = Discover::new(client, Arc::new(Hand::new()));
    let error = discover.locate(&module("no-such-host.invalid/m")).await.expect_err("unreachable");
    assert_eq!(error.kind(), Kind::BadGateway);
    let start =
        "unrecognized import path \"no-such-host.invalid/m\": https fetch: no-such-host.invalid could not be reached";
    assert!(error.what().starts_with(start), "{error}");
}

#[tokio::test]
async fn answers_are_kept_for_a_while() {
    let world = world(pages).await;
    for _ in 0..3 {
        world.locate("sub.go.test/a/b").await;
        world.locate("sub.go.test/a").await;
        world.locate("none.go.test/m").await;
        world.locate("error.go.test/m").await;
    }
    let once = ["sub.go.test/a/b?go-get=1", "sub.go.test/a?go-get=1", "none.go.test/m?go-get=1", "error.go.test/m?go-get=1"];
    assert_eq!(world.asked(), once);
    let table = [("a failure", 5, "error.go.test/m"), ("an absence", 60, "none.go.test/m"), ("a page", 600, "sub.go.test/a")];
    for (row, seconds, path) in table {
        let before = world.asked().len();
        world.clock.forward(seconds);
        world.locate(path).await;
        world.locate(path).await;
        assert_eq!(world.asked()[before..], [format!("{path}?go-get=1")], "{row}");
    }
}

#[tokio::test]
async fn many_who_ask_at_once_ask_once() {
    let world = world(pages).await;
    let path = module("ok.go.test/m");
    let all = futures_util::future::join_all((0..20).map(|_| world.discover.locate(&path))).await;
    assert!(all.iter().all(|found| found.as_ref().is_ok_and(|at| at.kind == LocationKind::Git)));
    assert_eq!(world.asked(), ["ok.go.test/m?go-get=1"]);
}

#[tokio::test]
async fn another_asks_when_the_first_goes_away() {
    let first = Arc::new(AtomicBool::new(true));
    let world = world(move |address| {
        let answer = pages(address);
        if first.swap(false, Ordering::SeqCst) { answer.then(crate::net::double::Step::Stall) } else { answer }
    })
    .await;
    let path = module("ok.go.test/m");
    let mut waiting = Box::pin(world.discover.locate(&path));
    // The first has asked and waits for the rest of a page that does not come.
    while world.asked().is_empty() {
        let turn = tokio::task::yield_now();
        futures_util::future::select(&mut waiting, Box::pin(turn)).await;
    }
    let second = world.discover.locate(&path);
    drop(waiting);
    assert_eq!(second.await.expect("asked anew").root, "ok.go.test/m");
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn plain_http_is_asked_where_it_is_allowed() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "http://plain.go.test/m?go-get=1" => page(&["plain.go.test/m git http://plain.go.test/m.git"]),
        "http://plain.go.test/a/b/info/refs?service=git-upload-pack" => {
            pages("git.go.test/a/b/info/refs?service=git-upload-pack")
        }
        _ => Answer::new(404, ""),
    })
    .await;
    let proxies = Proxies { http: Some(server.url("/")), ..Proxies::none() };
    let locate = |allow_insecure: AllowInsecure, path: &'static str| {
        let settings = Settings { proxies: proxies.clone(), allow_insecure, ..Settings::default() };
        let client = Client::new(settings).expect("settings are fine");
        async move { Discover::new(client, Arc::new(Hand::new())).locate(&module(path)).await }
    };
    let allowed = AllowInsecure::Hosts(vec!["plain.go.test".to_owned()]);
    let found = locate(allowed.clone(), "plain.go.test/m").await.expect("by http");
    assert_eq!(found.url, "http://plain.go.test/m.git");
    let found = locate(allowed, "plain.go.test/a/b.git").await.expect("by http");
    assert_eq!(found.url, "http://plain.go.test/a/b");
    for path in ["plain.go.test/m", "plain.go.test/a/b.git"] {
        let error = locate(AllowInsecure::default(), path).await.expect_err("https does not answer");
        assert_eq!(error.kind(), Kind::BadGateway, "{error}");
    }
}

#[tokio::test]
async fn replaced_addresses_count_for_pages_and_suffixes() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/pages/vanity.go.test/m?go-get=1" => page(&["vanity.go.test/m git https://git.go.test/m"]),
        _ => Answer::new(404, ""),
    })
    .await;
    let rule = |prefix: &str, replacement: &str| crate::net::InsteadOf {
        prefix: prefix.to_owned(),
        replacement: replacement.to_owned(),
    };
    let instead_of = vec![
        rule("https://vanity.go.test/", server.url("/pages/vanity.go.test/").as_str()),
        rule("https://private.go.test/", "ssh://git@private.go.test/"),
    ];
    let client =
        Client::new(Settings { proxies: Proxies::none(), instead_of, ..Settings::default() }).expect("settings");
    let discover = Discover::new(client, Arc::new(Hand::new()));
    let found = discover.locate(&module("vanity.go.test/m")).await.expect("a page elsewhere");
    assert_eq!(found.url, "https://git.go.test/m");
    let found = discover.locate(&module("private.go.test/team/m.git")).await.expect("nothing to ask");
    assert_eq!(found.url, "https://private.go.test/team/m", "as written: git replaces it");
}
