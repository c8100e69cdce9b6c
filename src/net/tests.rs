//! The client against servers on port 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, StatusCode, Version};
use url::Url;

use super::double::{Answer, Server, Step, authority};
use super::*;
use crate::error::{Kind, Result};

fn settings() -> Settings {
    Settings { proxies: Proxies::none(), ..Settings::default() }
}

fn client(settings: Settings) -> Client {
    Client::new(settings).expect("settings are fine")
}

fn named(url: Url) -> Request {
    Request::get(url).trust(Trust::Named)
}

fn basic(host: &str, username: &str, password: &str) -> Credential {
    let kind = CredentialKind::Basic { username: username.to_owned(), password: password.into() };
    Credential { host: host.to_owned(), kind }
}

fn insecure(hosts: &[&str]) -> AllowInsecure {
    AllowInsecure::Hosts(hosts.iter().map(|host| (*host).to_owned()).collect())
}

async fn text(response: Result<Response>) -> String {
    let bytes = response.expect("an answer").bytes(1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn hello() -> Server {
    Server::start(|_| Answer::ok("hello")).await
}

#[tokio::test]
async fn a_named_address_is_taken_at_its_word() {
    let server = hello().await;
    let client = client(settings());
    let response = client.send(named(server.url("/x?y=1"))).await.expect("an answer");
    assert_eq!((response.status, response.url.clone()), (StatusCode::OK, server.url("/x?y=1")));
    assert_eq!(text(Ok(response)).await, "hello");
    let asked = server.asked();
    assert_eq!(asked[0].target, "/x?y=1");
    assert_eq!(asked[0].header("user-agent"), Some(concat!("modvet/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(asked[0].header("accept-encoding"), Some("gzip"));
    assert_eq!(asked[0].header("authorization"), None);
}

#[tokio::test]
async fn a_found_address_needs_https_and_a_public_address() {
    let server = hello().await;
    let tls = Server::start_tls(|_| Answer::ok("hello")).await;
    let http = server.url("/").to_string();
    let by_name = server.url_as("localhost", "/").to_string();
    let https = tls.url("/").to_string();
    let https_by_name = tls.url_as("localhost", "/").to_string();
    let all = AllowInsecure::All;
    let host = insecure(&["localhost", "127.0.0.1"]);
    let private = |names: &[&str]| names.iter().map(|name| name.parse().expect("entry")).collect::<Vec<AllowPrivate>>();
    let none = AllowInsecure::default;
    let not_public = "is not a public address";
    let resolves = "localhost has the address 127.0.0.1, which is not public";
    let table = [
        ("plain http", &http, none(), private(&["127.0.0.1"]), Some("insecure URL http://127.0.0.1")),
        ("plain http, allowed", &http, host.clone(), private(&["127.0.0.1"]), None),
        ("http allowed is not private allowed", &http, all.clone(), private(&[]), Some(not_public)),
        ("a name that is private", &by_name, all.clone(), private(&[]), Some(resolves)),
        ("a name that is allowed", &by_name, all.clone(), private(&["localhost"]), None),
        ("a range that is allowed", &by_name, all.clone(), private(&["127.0.0.0/8"]), None),
        ("another range", &by_name, all.clone(), private(&["10.0.0.0/8"]), Some(resolves)),
        ("https to a private address", &https, none(), private(&[]), Some(not_public)),
        ("https to a private name", &https_by_name, none(), private(&[]), Some(resolves)),
        ("https, allowed", &https_by_name, none(), private(&["localhost"]), None),
    ];
    for (row, url, allow_insecure, allow_private, refused) in table {
        let settings = Settings { allow_insecure, allow_private, extra_roots: vec![authority()], ..settings() };
        let answer = client(settings).send(Request::get(Url::parse(url).expect(row))).await;
        match (answer, refused) {
            (Ok(response), None) => assert_eq!(text(Ok(response)).await, "hello", "{row}"),
            (Err(error), Some(why)) => {
                assert_eq!(error.kind(), Kind::Forbidden, "{row}: {error}");
                assert!(error.what().contains(why), "{row}: {error}");
            }
            (answer, _) => panic!("{row}: {:?}", answer.map(|response| response.status)),
        }
    }
}

#[tokio::test]
async fn other_schemes_are_refused() {
    for url in ["ftp://files.example/x", "file:///etc/passwd", "ssh://git@git.example/x"] {
        let error = client(settings()).send(named(Url::parse(url).expect(url))).await.expect_err(url);
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
        assert!(error.what().contains("unsupported scheme"), "{error}");
        assert!(!error.to_string().contains("passwd"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted() {
    let server = Server::start_tls(|_| Answer::ok("hello")).await;
    let error = client(settings()).send(named(server.url_as("localhost", "/"))).await.expect_err("a stranger's");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert!(error.what().contains("certificate"), "{error}");
    let client = client(Settings { extra_roots: vec![authority()], ..settings() });
    let response = client.send(named(server.url_as("localhost", "/"))).await;
    assert_eq!(text(response).await, "hello");
    assert_eq!(server.asked()[0].version, Version::HTTP_2);
}

#[tokio::test]
async fn redirects_are_checked_hop_by_hop() {
    let inner = Server::start(|_| Answer::ok("secret")).await;
    let to = inner.url_as("localhost", "/metadata").to_string();
    let literal = inner.url("/metadata").to_string();
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/name" => Answer::redirect(302, &to),
        "/literal" => Answer::redirect(307, &literal),
        "/own" => Answer::redirect(301, "/moved?a=b"),
        "/loop" => Answer::redirect(302, "/loop"),
        "/nonsense" => Answer::redirect(302, "https://"),
        "/without" => Answer::new(302, "no location"),
        _ => Answer::ok("moved"),
    })
    .await;
    let plain = || Settings { allow_insecure: AllowInsecure::All, ..settings() };
    let client = client(plain());
    for path in ["/name", "/literal"] {
        let error = client.send(named(server.url(path))).await.expect_err(path);
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
        assert!(error.what().contains("public"), "{error}");
    }
    assert_eq!(inner.targets(), [""; 0]);
    let response = client.send(named(server.url("/own"))).await.expect("its own address is still named");
    assert_eq!(response.url, server.url("/moved?a=b"));
    let error = client.send(named(server.url("/loop"))).await.expect_err("a loop");
    assert!(error.what().ends_with("stopped after 10 redirects"), "{error}");
    let error = client.send(named(server.url("/nonsense"))).await.expect_err("no address");
    assert!(error.what().ends_with("redirects to no valid address"), "{error}");
    assert_eq!(client.send(named(server.url("/without"))).await.expect("an answer").status, StatusCode::FOUND);
    let allowed = Settings { allow_private: vec!["localhost".parse().expect("host")], ..plain() };
    assert_eq!(
        text(super::Client::new(allowed).expect("settings").send(named(server.url("/name"))).await).await,
        "secret"
    );
}

#[tokio::test]
async fn a_redirect_to_plain_http_is_refused() {
    let plain = hello().await;
    let to = plain.url_as("localhost", "/").to_string();
    let server = Server::start_tls(move |_| Answer::redirect(302, &to)).await;
    let allow_private = vec!["127.0.0.0/8".parse().expect("range")];
    let settings = Settings { extra_roots: vec![authority()], allow_private, ..settings() };
    let error = client(settings).send(named(server.url("/"))).await.expect_err("from https to http");
    assert!(error.what().starts_with("insecure URL http://localhost"), "{error}");
    assert_eq!(plain.targets(), [""; 0]);
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let other = Server::start(|_| Answer::ok("other")).await;
    let to = other.url_as("localhost", "/there").to_string();
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/away" => Answer::redirect(302, &to),
        "/here" => Answer::redirect(302, "/end"),
        _ => Answer::ok("own"),
    })
    .await;
    let allow_private = vec!["127.0.0.0/8".parse().expect("range")];
    let base = Settings { allow_insecure: AllowInsecure::All, allow_private, ..settings() };
    let settings = Settings { credentials: vec![basic("127.0.0.1", "ci", "hunter2")], ..base.clone() };
    let client = client(settings);
    let sent = |server: &Server| server.asked().last().expect("asked").header("authorization").map(str::to_owned);
    assert_eq!(text(client.send(named(server.url("/here"))).await).await, "own");
    assert_eq!(sent(&server).as_deref(), Some("Basic Y2k6aHVudGVyMg=="));
    assert_eq!(text(client.send(named(server.url("/away"))).await).await, "other");
    assert_eq!(sent(&other), None);

    let mut with_user = server.url("/here");
    with_user.set_username("a").expect("has a host");
    with_user.set_password(Some("b")).expect("has a host");
    let response = client.send(named(with_user.clone())).await.expect("an answer");
    assert_eq!(response.url, server.url("/end"));
    assert_eq!(sent(&server).as_deref(), Some("Basic YTpi"));
    with_user.set_path("/away");
    assert_eq!(text(client.send(named(with_user)).await).await, "other");
    assert_eq!(sent(&other), None);

    let own = HeaderValue::from_static("Bearer mine");
    let request = named(server.url("/away")).header(AUTHORIZATION, own);
    assert_eq!(text(client.send(request).await).await, "other");
    assert_eq!(sent(&server).as_deref(), Some("Bearer mine"));
    assert_eq!(sent(&other), None);
}

#[tokio::test]
async fn no_message_holds_a_password() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("port 0");
    let port = closed.local_addr().expect("bound").port();
    drop(closed);
    let mut url = Url::parse(&format!("http://127.0.0.1:{port}/path?token=hunter2")).expect("url");
    url.set_username("user").expect("has a host");
    url.set_password(Some("hunter2")).expect("has a host");
    let limits = Limits { tries: 1, ..Limits::default() };
    let error = client(Settings { limits, ..settings() }).send(named(url)).await.expect_err("nobody there");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert_eq!(error.to_string(), format!("127.0.0.1:{port} could not be reached: connection refused"));
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let url = Url::parse("https://no-such-host.invalid/x").expect("url");
    let error = client(settings()).send(Request::get(url)).await.expect_err("unknown");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert!(error.what().starts_with("no-such-host.invalid could not be reached: "), "{error}");
}

#[tokio::test]
async fn replaced_addresses_are_named() {
    let server = hello().await;
    let mut replacement = server.url("/mirror/");
    replacement.set_username("u").expect("has a host");
    replacement.set_password(Some("p")).expect("has a host");
    let instead =
        |prefix: &str, replacement: &str| InsteadOf { prefix: prefix.to_owned(), replacement: replacement.to_owned() };
    let instead_of = vec![
        instead("https://git.example/", replacement.as_str()),
        instead("http://127.0.0.1/ssh/", "ssh://git@git.example/"),
    ];
    assert!(!format!("{instead_of:?}").contains("u:p"));
    let client = client(Settings { instead_of, ..settings() });
    let response = client.send(Request::get(Url::parse("https://git.example/a/b?go-get=1").expect("url"))).await;
    let response = response.expect("the configuration says where");
    assert_eq!(response.url, server.url("/mirror/a/b?go-get=1"));
    assert_eq!(server.targets(), ["/mirror/a/b?go-get=1"]);
    assert_eq!(server.asked()[0].header("authorization"), Some("Basic dTpw"));
    let ssh = client.instead_of("http://127.0.0.1/ssh/x").expect("a rule");
    assert_eq!(ssh.expose(), "ssh://git@git.example/x");
    let error =
        client.send(Request::get(Url::parse("http://127.0.0.1/ssh/x").expect("url"))).await.expect_err("not by ssh");
    assert!(error.what().starts_with("insecure URL"), "{error}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = Server::start(move |asked| {
        let turn = counted.fetch_add(1, Ordering::SeqCst);
        match (asked.target.as_str(), turn) {
            ("/twice", 0) => Answer::new(503, "busy").header("retry-after", "0"),
            ("/twice", 1) => Answer::new(429, "slower").header("retry-after", "0"),
            ("/long", _) => Answer::new(503, "busy").header("retry-after", "60"),
            ("/always", _) => Answer::new(502, "broken").header("retry-after", "0"),
            ("/error", _) => Answer::new(500, "error"),
            _ => Answer::ok("done"),
        }
    })
    .await;
    let client = client(settings());
    let table = [
        ("busy twice", "/twice", Some("done"), 200, 3),
        ("a long pause is the caller's", "/long", None, 503, 1),
        ("always broken", "/always", None, 502, 3),
        ("an error of its own", "/error", None, 500, 1),
    ];
    for (row, path, body, status, asked) in table {
        count.store(0, Ordering::SeqCst);
        let response = client.send(named(server.url(path))).await.expect(row);
        assert_eq!((response.status.as_u16(), count.load(Ordering::SeqCst)), (status, asked), "{row}");
        if let Some(body) = body {
            assert_eq!(text(Ok(response)).await, body, "{row}");
        }
    }
    count.store(0, Ordering::SeqCst);
    let post = Request::post(server.url("/always"), Bytes::from_static(b"x")).trust(Trust::Named);
    assert_eq!(client.send(post).await.expect("an answer").status, StatusCode::BAD_GATEWAY);
    assert_eq!(count.load(Ordering::SeqCst), 1, "a POST is sent once");
}

#[tokio::test]
async fn a_post_is_sent_again_only_where_it_stays_one() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/302" => Answer::redirect(302, "/end"),
        "/303" => Answer::redirect(303, "/end"),
        "/307" => Answer::redirect(307, "/end"),
        "/308" => Answer::redirect(308, "/end"),
        _ => Answer::ok(asked.body.clone()),
    })
    .await;
    let client = client(settings());
    for (path, status, body) in [("/302", 302, ""), ("/303", 303, ""), ("/307", 200, "pkt"), ("/308", 200, "pkt")] {
        let request = Request::post(server.url(path), Bytes::from_static(b"pkt")).trust(Trust::Named);
        let response = client.send(request).await.expect(path);
        assert_eq!(response.status.as_u16(), status, "{path}");
        assert_eq!(text(Ok(response)).await, body, "{path}");
    }
    assert!(server.asked().iter().all(|asked| asked.method == Method::POST));
}

#[tokio::test]
async fn slow_answers_end() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/stall" => Answer::ok("begin").then(Step::Stall),
        _ => Answer::ok("x".repeat(1000)),
    })
    .await;
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let client = client(Settings { limits, ..settings() });
    let host = format!("127.0.0.1:{}", server.port());
    let table = [
        ("a stall", "/stall", format!("{host} sent nothing for 100ms")),
        ("too large", "/large", format!("{host} sent a larger answer than allowed (expected at most 999 bytes)")),
    ];
    for (row, path, what) in table {
        let response = client.send(named(server.url(path))).await.expect(row);
        let error = response.bytes(999).await.expect_err(row);
        assert_eq!(error.kind(), Kind::BadGateway, "{row}");
        assert!(error.what().starts_with(&what), "{row}: {error}");
    }
    let whole = client.send(named(server.url("/large"))).await.expect("an answer").bytes(1000).await;
    assert_eq!(whole.expect("just fits").len(), 1000);
}

#[tokio::test]
async fn half_a_body_is_none() {
    let table = [
        ("shorter than announced", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin"),
        ("without its last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"),
    ];
    for (row, bytes) in table {
        let server = Server::start_raw(bytes).await;
        let response = client(settings()).send(named(server.url("/"))).await.expect(row);
        let error = response.bytes(999).await.expect_err(row);
        assert_eq!(error.kind(), Kind::BadGateway, "{row}");
        assert!(
            error.what().starts_with(&format!("127.0.0.1:{} broke off its answer: ", server.port())),
            "{row}: {error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port 0");
    let port = listener.local_addr().expect("bound").port();
    let limits = Limits { first_byte: Duration::from_millis(100), ..Limits::default() };
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("url");
    let error = client(Settings { limits, ..settings() }).send(named(url)).await.expect_err("silence");
    assert_eq!(error.what(), format!("127.0.0.1:{port} did not answer within 100ms"));
}

#[tokio::test]
async fn the_total_limit_counts_pieces_too() {
    let server = Server::start(|_| Answer::ok("begin").then(Step::Stall)).await;
    let limits = Limits { total: Duration::from_millis(200), ..Limits::default() };
    let client = client(Settings { limits, ..settings() });
    let error = client.send(named(server.url("/"))).await.expect("an answer").bytes(99).await.expect_err("too long");
    assert!(error.what().ends_with("did not finish its answer in time"), "{error}");
}

#[tokio::test]
async fn a_host_has_only_so_many_requests_under_way() {
    let server = hello().await;
    let limits = Limits { per_host: 1, total: Duration::from_millis(300), ..Limits::default() };
    let client = client(Settings { limits, ..settings() });
    let first = client.send(named(server.url("/1"))).await.expect("the only one");
    let error = client.send(named(server.url("/2"))).await.expect_err("the first is still there");
    assert!(error.what().ends_with("has too many requests under way"), "{error}");
    drop(first);
    assert_eq!(text(client.send(named(server.url("/3"))).await).await, "hello");
    assert_eq!(server.targets(), ["/1", "/3"]);
}

#[tokio::test]
async fn packed_bodies_are_unpacked() {
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, "hello".repeat(1000).as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    let server = Server::start(move |_| Answer::ok(packed.clone()).header("content-encoding", "gzip")).await;
    let client = client(settings());
    assert_eq!(text(client.send(named(server.url("/"))).await).await, "hello".repeat(1000));
    let error = client.send(named(server.url("/"))).await.expect("an answer").bytes(4999).await.expect_err("a bomb");
    assert!(error.what().contains("larger answer"), "{error}");
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used() {
    let proxy = Server::start(|asked| Answer::ok(asked.target.clone())).await;
    let proxies = Proxies { http: Some(proxy.url("/")), https: None, no_proxy: "direct.test".to_owned() };
    let settings = Settings { proxies, allow_insecure: AllowInsecure::All, ..settings() };
    let client = client(settings);
    let ask = |url: &str| client.send(Request::get(Url::parse(url).expect("url")));
    assert_eq!(text(ask("http://somewhere.test/x").await).await, "http://somewhere.test/x");
    let error = ask("http://localhost/x").await.expect_err("private, proxy or not");
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    let error = ask("http://10.0.0.1/x").await.expect_err("private, proxy or not");
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    let error = ask("http://direct.test/x").await.expect_err("does not resolve");
    assert_eq!(error.kind(), Kind::BadGateway, "{error}");
    assert_eq!(proxy.targets(), ["http://somewhere.test/x"]);
}
