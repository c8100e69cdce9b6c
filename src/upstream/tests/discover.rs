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
    tunnel: Server,
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
    World { server, tunnel, clock, discover }
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
            Ok(Location { root, kind, url, subdir, .. }) => format!("{root} {kind:?} {url} {subdir}").trim().to_owned(),
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
        "mod.go.test/m?go-get=1" => {
            page(&["mod.go.test/m git https://git.go.test/m", "mod.go.test/m mod https://proxy.go.test"])
        }
        "hg.go.test/m?go-get=1" => page(&["hg.go.test/m hg https://hg.go.test/m"]),
        "cvs.go.test/m?go-get=1" => page(&["cvs.go.test/m cvs https://cvs.go.test/m"]),
        "lost.go.test/m?go-get=1" => {
            Answer { status: http::StatusCode::NOT_FOUND, ..page(&["lost.go.test/m git https://git.go.test/m"]) }
        }
        "two.go.test/m?go-get=1" => {
            page(&["two.go.test/m git https://git.go.test/m", "two.go.test git https://git.go.test/n"])
        }
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
        "page.go.test/a/b/info/refs?service=git-upload-pack" => {
            Answer::ok("<html>").header("content-type", "text/html")
        }
        "down.go.test/a/b/info/refs?service=git-upload-pack" => Answer::new(500, "error"),
        _ => Answer::new(404, "nothing here"),
    }
}

/// Why, path and outcome of every block of the golden file.
fn table() -> Vec<(String, String, String)> {
    let text = include_str!("../../../testdata/upstream/discovery.txt");
    let blocks = text.split("\n\n").skip(1).map(|block| {
        let mut lines = block.trim_end().lines();
        let row = lines.next().expect("why").trim_start_matches("# ").to_owned();
        let path = lines.next().expect("a path").to_owned();
        let outcome: Vec<&str> = lines.map(str::trim_start).collect();
        (row, path, outcome.join("\n"))
    });
    blocks.collect()
}

#[tokio::test]
async fn finds_what_the_pages_say() {
    let world = world(pages).await;
    for (row, path, expected) in table() {
        assert_eq!(world.locate(&path).await, expected, "{row}");
    }
    assert!(!world.asked().iter().any(|asked| asked.contains("github")), "{:?}", world.asked());
}

/// The real go command, through the same tunnel, says of every absence what we say.
#[tokio::test(flavor = "multi_thread")]
async fn the_go_command_says_the_same() {
    let world = world(pages).await;
    let home = tempfile::TempDir::new().expect("a folder");
    std::fs::write(home.path().join("go.mod"), "module x.y/z\n").expect("a file");
    let authority = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/net/authority.pem");
    for (row, path, expected) in table() {
        // What the go command finds it goes on to fetch; of a failure it says that it is an absence.
        let Some(expected) = expected.strip_prefix("NotFound: ") else { continue };
        // Git takes any answer for a repository without refs.
        if row == "a suffix with a page" {
            continue;
        }
        let asked = format!("{path}@latest");
        let output = tokio::process::Command::new("go")
            .args(["list", "-m", &asked])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("GOPATH", home.path().join("go"))
            .env("GOFLAGS", "-modcacherw")
            .env("GOENV", "off")
            .env("GOPROXY", "direct")
            .env("GOSUMDB", "off")
            .env("GOTOOLCHAIN", "local")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSL_CAINFO", &authority)
            .env("HTTPS_PROXY", world.tunnel.url("/").as_str())
            .env("SSL_CERT_FILE", &authority)
            .env("SSL_CERT_DIR", home.path())
            .output()
            .await
            .expect("go is installed");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.trim_end(), format!("go: {asked}: {expected}"), "{row}");
    }
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
    let once =
        ["sub.go.test/a/b?go-get=1", "sub.go.test/a?go-get=1", "none.go.test/m?go-get=1", "error.go.test/m?go-get=1"];
    assert_eq!(world.asked(), once);
    let table =
        [("a failure", 5, "error.go.test/m"), ("an absence", 60, "none.go.test/m"), ("a page", 600, "sub.go.test/a")];
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

/// Thousands of pages are kept: whoever has a host says how much stands in one.
#[tokio::test]
async fn a_page_with_very_many_tags_is_read_and_not_kept() {
    let mut tags = vec!["heavy.go.test/m git https://git.go.test/m"];
    tags.extend(["heavy.go.test/other git https://git.go.test/other"; 1000]);
    let world = world(move |_| page(&tags)).await;
    for _ in 0..2 {
        world.locate("heavy.go.test/m").await;
    }
    assert_eq!(world.asked(), ["heavy.go.test/m?go-get=1", "heavy.go.test/m?go-get=1"]);
}
