//! The built binary with a certificate: what clients are shown, when it changes, and what becomes of those who speak no TLS.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use support::authority::{Authority, Issued};
use support::client;
use support::modvet::{Home, Modvet};
use support::tree::Tree;
use tokio_rustls::TlsConnector;

const MODULE: &str = "example.test/m";
const ZIP: &str = "/example.test/m/@v/v1.0.0.zip";
const PATIENCE: Duration = Duration::from_secs(60);

/// modvet over TLS, and over a folder with one module of 100 kB.
struct World {
    authority: Authority,
    first: Issued,
    zip: Vec<u8>,
    modvet: Modvet,
    _tree: Tree,
}

impl World {
    fn new() -> World {
        World::with("")
    }

    /// With further lines of `[tls]`.
    fn with(lines: &str) -> World {
        let (authority, tree) = (Authority::new(), Tree::new());
        let (first, zip) = (authority.issue(), tree.add(MODULE, "v1.0.0", 100_000));
        let home = Home::new();
        first.write(home.path());
        home.configure(&settings(&tree, lines));
        World { authority, first, zip, modvet: home.serve(), _tree: tree }
    }

    fn address(&self) -> SocketAddr {
        self.modvet.address()
    }

    fn shows(&self, issued: &Issued) -> bool {
        self.authority.shown_by(self.address()) == *issued.der()
    }

    /// Waits until a line of the log holds these words.
    fn wait_for(&self, words: &str) {
        until(words, || self.modvet.log().contains(words));
    }
}

fn settings(tree: &Tree, lines: &str) -> String {
    format!("[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n{lines}\n{}", tree.settings())
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

fn protocol(world: &World, offered: &[&str]) -> Option<String> {
    let secured = world.authority.connect(world.address(), offered).expect("a handshake");
    secured.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
}

#[test]
fn http_2_and_http_1_are_offered_and_both_are_spoken() {
    let world = World::new();
    assert_eq!(world.modvet.url(), format!("https://{}", world.address()));
    assert_eq!(protocol(&world, &["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(protocol(&world, &["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(protocol(&world, &[]), None, "a client that offers nothing speaks HTTP/1.1");
    let answered = world.authority.get(world.address(), ZIP, &[]);
    assert_eq!((answered.status, answered.body == world.zip), (200, true));
    let (version, status, body) = over_http_2(&world, ZIP);
    assert_eq!((version, status, body == world.zip), (hyper::Version::HTTP_2, 200, true));
}

#[tokio::main(flavor = "current_thread")]
async fn over_http_2(world: &World, path: &str) -> (hyper::Version, u16, Vec<u8>) {
    let address = world.address();
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let connector = TlsConnector::from(Arc::new(world.authority.client(&["h2"])));
    let stream = connector.connect(ServerName::from(address.ip()), stream).await.expect("a handshake");
    let executor = TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::get(format!("https://{address}{path}")).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
    let (version, status) = (answer.version(), answer.status().as_u16());
    (version, status, answer.into_body().collect().await.expect("a body").to_bytes().to_vec())
}

#[test]
fn http_2_is_not_offered_where_reason_phrases_are_wanted() {
    let world = World::with("http2 = false");
    assert_eq!(protocol(&world, &["h2", "http/1.1"]).as_deref(), Some("http/1.1"));
    let answered = world.authority.get(world.address(), "/healthz", &[]);
    assert_eq!((answered.status, answered.reason.as_str()), (200, "OK"));
}

#[test]
fn a_new_certificate_is_shown_and_no_request_is_dropped_meanwhile() {
    let world = World::new();
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    // What is open before the change goes on after it.
    let mut early = world.authority.connect(world.address(), &["http/1.1"]).expect("a handshake");
    let second = world.authority.issue();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let zip = world.authority.get(world.address(), ZIP, &[]);
                    assert_eq!((zip.status, zip.body == world.zip), (200, true));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until("requests before the change", || answered.load(Ordering::SeqCst) > 3);
        second.write(world.modvet.home().path());
        until("the second certificate is shown", || world.shows(&second));
        let changed = answered.load(Ordering::SeqCst);
        until("requests after the change", || answered.load(Ordering::SeqCst) > changed + 3);
        done.store(true, Ordering::SeqCst);
    });
    let old = client::request_over(&mut early, "GET", ZIP, &[]);
    assert_eq!((old.status, old.body == world.zip), (200, true));
    world.wait_for("the certificate is replaced");
}

#[test]
fn half_a_change_is_no_change() {
    let world = World::new();
    let folder = world.modvet.home().path();
    let second = world.authority.issue();
    // The certificate is there already, its key is not.
    std::fs::write(folder.join("server.pem"), &second.certificate).expect("a writable folder");
    world.wait_for("the certificate is not replaced");
    assert!(world.modvet.log().contains("server.key: not the key of the certificate in server.pem"));
    assert!(world.shows(&world.first));
    // Said once, however often it is looked at, and once more where somebody asks.
    world.modvet.signal(libc::SIGHUP);
    until("said again", || world.modvet.log().matches("the certificate is not replaced").count() == 2);
    std::fs::write(folder.join("server.key"), &second.key).expect("a writable folder");
    until("the second certificate is shown", || world.shows(&second));
    assert_eq!(world.modvet.log().matches("the certificate is not replaced").count(), 2);
}

#[test]
fn a_certificate_that_is_gone_or_cut_off_stays_the_one_before() {
    let world = World::new();
    let file = world.modvet.home().path().join("server.pem");
    let cut = &world.first.certificate[..world.first.certificate.len() / 2];
    std::fs::write(&file, cut).expect("a writable folder");
    world.wait_for("server.pem: malformed PEM");
    assert!(world.shows(&world.first));
    std::fs::remove_file(&file).expect("it is there");
    world.wait_for("server.pem: cannot be read");
    assert!(world.shows(&world.first));
    assert_eq!(world.authority.get(world.address(), "/healthz", &[]).status, 200);
}

#[test]
fn a_signal_has_the_files_looked_at_at_once() {
    let world = World::new();
    let second = world.authority.issue();
    second.write(world.modvet.home().path());
    world.modvet.signal(libc::SIGHUP);
    until("the second certificate is shown", || world.shows(&second));
    world.wait_for("configuration reloaded");
}

#[test]
fn until_when_it_holds_is_told_by_metric_and_log() {
    let world = World::new();
    let metric = "modvet_tls_certificate_expiry_timestamp_seconds";
    let told = || {
        let page = world.authority.get(world.address(), "/metrics", &[]).text();
        page.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<i64>().ok())
    };
    assert_eq!(told(), Some(4_102_444_800), "2100-01-01");
    assert!(!world.modvet.log().contains("expire"), "nobody need be told yet");
    let home = world.modvet.home().path();
    world.authority.issue_until((2020, 1, 1)).write(home);
    world.wait_for("the certificate has expired: clients refuse it");
    let refused = world.authority.connect(world.address(), &[]).expect_err("it has ended");
    assert!(refused.to_string().contains("certificate expired"), "{refused}");
    let soon = in_days(9);
    world.authority.issue_until(soon).write(home);
    world.wait_for("the certificate expires soon");
    assert!(world.modvet.log().contains("days=8"), "{}", world.modvet.log());
    assert!(told().is_some_and(|end| end < 4_102_444_800));
}

/// The day in so many days.
fn in_days(days: i64) -> (i32, u8, u8) {
    use chrono::Datelike as _;
    let day = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()) + chrono::TimeDelta::days(days);
    (day.year(), u8::try_from(day.month()).expect("12"), u8::try_from(day.day()).expect("31"))
}

#[test]
fn a_broken_pair_at_the_start_is_exit_code_2_with_key_and_file() {
    let (authority, tree) = (Authority::new(), Tree::new());
    let (one, other) = (authority.issue(), authority.issue());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let large = "x".repeat((1 << 20) + 1);
    // certificate, key, what is said
    let table = [
        (&*one.certificate, &*other.key, "tls.key: server.key: not the key of the certificate in server.pem"),
        (&one.certificate, encrypted, "tls.key: server.key: no private key in it (expected one in PEM, not encrypted)"),
        (&one.certificate, "", "tls.key: server.key: no private key in it (expected one in PEM, not encrypted)"),
        ("", &one.key, "tls.certificate: server.pem: no certificate in it (expected PEM)"),
        (&one.key, &one.key, "tls.certificate: server.pem: no certificate in it (expected PEM)"),
        (garbage, &one.key, "tls.certificate: server.pem: malformed certificate"),
        (&large, &one.key, "tls.certificate: server.pem: more than 1 MiB (expected PEM)"),
    ];
    for (certificate, key, expected) in table {
        let home = Home::new();
        home.configure(&settings(&tree, ""));
        home.write("server.pem", certificate);
        home.write("server.key", key);
        let output = home.run(&["serve", "--config", "modvet.toml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{expected} in {said}");
        let checked = home.run(&["config", "check", "modvet.toml"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.starts_with(&format!("modvet.toml: {expected}")) && !said.contains("well"), "{said}");
        assert_eq!(checked.status.code(), Some(2), "{said}");
    }
    let home = Home::new();
    home.configure(&settings(&tree, ""));
    let output = home.run(&["serve", "--config", "modvet.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = "tls.certificate: server.pem: cannot be read: No such file or directory";
    assert!(said.contains(expected), "{said}");
    let checked = home.run(&["config", "check", "modvet.toml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.starts_with(&format!("modvet.toml: {expected}")), "{said}");
    assert_eq!(checked.status.code(), Some(2), "serve does not start with it either: {said}");
}

#[test]
fn a_key_that_only_the_servers_user_may_read_is_warned_of_by_a_check() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new();
    let home = Home::new();
    Authority::new().issue().write(home.path());
    home.configure(&settings(&tree, ""));
    let key = home.path().join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o000)).expect("our own file");
    if std::fs::read(&key).is_ok() {
        // Root reads all files.
        return;
    }
    let checked = home.run(&["config", "check", "modvet.toml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.starts_with("modvet.toml: warning: tls.key: server.key: cannot be read: "), "{said}");
    assert_eq!(checked.status.code(), Some(0), "{said}");
}

#[test]
fn who_is_slow_to_shake_hands_holds_nobody_up() {
    let world = World::new();
    let slow: Vec<TcpStream> = (0..50)
        .map(|number| {
            let mut stream = TcpStream::connect(world.address()).expect("it listens");
            // Nothing, or the beginning of a record.
            stream.write_all(&[22, 3, 1][..number % 3]).expect("a connection");
            stream
        })
        .collect();
    let answered = world.authority.get(world.address(), ZIP, &[]);
    assert_eq!((answered.status, answered.body == world.zip), (200, true));
    drop(slow);
}

#[test]
fn plain_http_is_told_that_the_port_speaks_https() {
    let world = World::new();
    for (method, path) in [("GET", ZIP), ("POST", "/api/v1/reload"), ("GET", "/healthz")] {
        let answered = client::request(world.address(), method, path, &[]);
        assert_eq!((answered.status, answered.reason.as_str()), (400, "Bad Request"), "{path}");
        let expected = "this port speaks https, and was asked in plain http\nuse https:// in the address\n";
        assert_eq!(answered.text(), expected, "{path}");
    }
    // HTTP/2 without TLS is as plain, and what is nothing at all is not waited for.
    for (said, is_answered) in [("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true), ("\0\0\0\0", false)] {
        let mut stream = TcpStream::connect(world.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.write_all(said.as_bytes()).expect("a connection");
        let mut answer = Vec::new();
        // A connection that is closed with something unread may end with a reset.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer.starts_with(b"HTTP/1.1 400 "), is_answered, "{said:?}");
    }
}

#[test]
fn plain_http_is_led_to_https_where_that_is_wanted() {
    let world = World::with("redirect = \"127.0.0.1:0\"");
    let log = world.modvet.log();
    let line = log.lines().find(|line| line.contains("plain http is led to https")).expect("the log says where");
    let redirect: SocketAddr = line
        .split_once("127.0.0.1:")
        .and_then(|(_, port)| port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)))
        .expect("an address");
    let to = format!("https://modvet:{}", world.address().port());
    for path in [ZIP, "/!a/@v/list?x=1", "/"] {
        for method in ["GET", "HEAD", "POST"] {
            let answered = client::request(redirect, method, path, &[]);
            assert_eq!((answered.status, answered.reason.as_str()), (308, "Permanent Redirect"), "{method} {path}");
            assert_eq!(answered.header("location"), Some(format!("{to}{path}").as_str()), "{method}");
        }
    }
    let mut stream = TcpStream::connect(redirect).expect("it listens");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.0 400 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("the request names no host\nuse https:// in the address\n"), "{answer}");
    // It ends with the rest.
    world.modvet.signal(libc::SIGTERM);
    let World { modvet, .. } = world;
    assert!(modvet.ended().0.success());
    assert!(TcpStream::connect(redirect).is_err());
}

#[test]
fn the_control_socket_stays_plain() {
    let world = World::new();
    let answered = client::control(&world.modvet.home().store(), "GET", "/api/v1/upstreams", "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(world.modvet.home().run(&["cache", "stats", "--config", "modvet.toml"]).status.success());
}

#[test]
fn the_address_of_a_client_is_what_a_trusted_proxy_says() {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 100);
    let home = Home::new();
    let lines = "listen = \"127.0.0.1:0\"\nopen = true\ntls = \"terminated\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
                 [store]\npath = \"store\"\n";
    home.write("modvet.toml", &format!("{lines}{}", tree.settings()));
    let modvet = home.serve();
    assert_eq!(modvet.url(), format!("http://{}", modvet.address()), "TLS is the proxy's");
    let list = format!("/{MODULE}/@v/list");
    for (header, value, expected) in [
        ("x-forwarded-for", "203.0.113.7, 198.51.100.1", "198.51.100.1"),
        ("forwarded", "for=203.0.113.7, for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("x-forwarded-proto", "https", "127.0.0.1"),
    ] {
        assert_eq!(client::request(modvet.address(), "GET", &list, &[(header, value)]).status, 200);
        until(expected, || modvet.log().contains(&format!("address={expected}")));
    }
    assert!(!modvet.log().contains("203.0.113.7"));
}

#[test]
fn who_terminates_tls_and_trusts_nobody_is_warned_and_on_other_addresses_refused() {
    let tree = Tree::new();
    let home = Home::new();
    let lines = "listen = \"127.0.0.1:0\"\nopen = true\ntls = \"terminated\"\n[store]\npath = \"store\"\n";
    home.write("modvet.toml", &format!("{lines}{}", tree.settings()));
    let modvet = home.serve();
    assert!(modvet.log().contains("trusted_proxies is empty"), "{}", modvet.log());
    let home = Home::new();
    home.write("modvet.toml", &format!("{lines}{}", tree.settings()));
    let output = home.run(&["serve", "--config", "modvet.toml", "--listen", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = "tls: \"terminated\" on 0.0.0.0:0 without trusted_proxies (expected who stands in front)\n\
                    name addresses or ranges: trusted_proxies = [\"10.0.0.0/8\"]\n";
    assert!(said.ends_with(expected), "{said}");
    home.write("modvet.toml", &lines.replace("127.0.0.1:0", "0.0.0.0:0"));
    let checked = home.run(&["config", "check", "modvet.toml"]);
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains(&format!("warning: {expected}")), "{checked}");
}

#[test]
fn an_upstream_whose_certificate_is_not_taken_is_named_with_the_reason() {
    let authority = Authority::new();
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 100);
    // certificate of the upstream, the reason why it is not taken
    let table = [
        (authority.issue_until((2020, 1, 1)), Some("certificate expired")),
        (authority.issue_for("other.example", (2100, 1, 1)), Some("certificate not valid for name \"127.0.0.1\"")),
        (Authority::new().issue(), Some("UnknownIssuer")),
        (authority.issue(), None),
    ];
    for (issued, reason) in table {
        let home = Home::new();
        issued.write(home.path());
        home.configure(&settings(&tree, ""));
        let upstream = home.serve();
        let home = Home::new();
        home.write("authority.pem", &authority.pem());
        home.configure(&format!("[[upstream]]\nname = \"up\"\nkind = \"proxy\"\nurl = \"{}\"\n", upstream.url()));
        let mut command = home.command(&["serve", "--config", "modvet.toml"]);
        command.env("SSL_CERT_FILE", home.path().join("authority.pem"));
        let answered = home.serve_by(command).get(MODULE, "@v/v1.0.0.mod");
        let Some(reason) = reason else {
            assert_eq!(answered.status, 200, "{}", answered.text());
            continue;
        };
        assert_eq!(answered.status, 502, "{reason}: {}", answered.text());
        let host = upstream.address().to_string();
        assert!(answered.text().contains(&host) && answered.text().contains(reason), "{reason}: {}", answered.text());
    }
}
