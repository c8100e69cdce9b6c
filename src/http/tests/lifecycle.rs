//! Start, limits, panics and the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{World, ask_on, start, start_with};
use crate::http::serve::Limits;

const PATH: &str = "example.com/m";
const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const LONG: Duration = Duration::from_secs(30);

fn world() -> World {
    let world = World::new();
    world.corp.publish(PATH, "v1.0.0", b"zip");
    world
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_wait_for_the_store() {
    let world = world();
    let running = start_with(None, LONG, Limits::default()).await;
    assert_eq!(running.get("/healthz").await.status(), 200);
    assert_eq!(running.get("/readyz").await.status(), 503);
    let stream = TcpStream::connect(running.address).await.expect("listens");
    let early = tokio::spawn(ask_on(stream, "GET", ZIP, &[]));
    // The door counts who waits at it; one receiver is the desk's own.
    until(|| running.open.receiver_count() == 2).await;
    running.open.send_replace(Some(world.site()));
    assert_eq!(early.await.expect("no panic").body, b"zip");
    assert_eq!(running.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn running_answers_finish_before_the_end() {
    let world = world();
    let gate = world.corp.hold();
    let mut running = start(&world).await;
    let stream = TcpStream::connect(running.address).await.expect("listens");
    let late = tokio::spawn(ask_on(stream, "GET", ZIP, &[]));
    let mut idle = TcpStream::connect(running.address).await.expect("listens");
    until(|| world.corp.total() == 1).await;
    running.begin_stop();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.task.is_finished(), "a request is still being answered");
    gate.add_permits(1);
    assert_eq!(late.await.expect("no panic").body, b"zip");
    running.task.await.expect("no panic");
    assert_eq!(idle.read(&mut [0]).await.expect("closed cleanly"), 0);
}

#[tokio::test]
async fn the_end_does_not_wait_forever() {
    let world = world();
    let _gate = world.corp.hold();
    let limits = Limits { drain: Duration::from_millis(20), ..Limits::default() };
    let mut running = start_with(Some(world.site()), LONG, limits).await;
    let mut stream = TcpStream::connect(running.address).await.expect("listens");
    stream.write_all(format!("GET {ZIP} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("sent");
    until(|| world.corp.total() == 1).await;
    running.begin_stop();
    running.task.await.expect("no panic");
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "cut off");
}

#[tokio::test]
async fn a_client_that_says_too_little_is_let_go() {
    let limits = Limits { head_time: Duration::from_millis(20), ..Limits::default() };
    let running = start_with(Some(world().site()), LONG, limits).await;
    for (row, said) in [("nothing", ""), ("half a preface", "PRI * HT"), ("half a head", "GET / HTTP/1.1\r\nHost:")] {
        let mut stream = TcpStream::connect(running.address).await.expect("listens");
        stream.write_all(said.as_bytes()).await.expect("sent");
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        assert!(!String::from_utf8_lossy(&all).contains("200"), "{row}");
    }
}

#[tokio::test]
async fn a_head_has_a_limit() {
    let running = start(&world()).await;
    let long = "x".repeat(100_000);
    assert!(matches!(running.get(&format!("/{long}")).await.status(), 414 | 431));
    assert_eq!(running.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn too_many_requests_are_refused_and_connections_queue() {
    let world = world();
    let gate = world.corp.hold();
    let limits = Limits { requests: 1, connections: 2, ..Limits::default() };
    let running = start_with(Some(world.site()), LONG, limits).await;
    let stream = TcpStream::connect(running.address).await.expect("listens");
    let first = tokio::spawn(ask_on(stream, "GET", ZIP, &[]));
    until(|| world.corp.total() == 1).await;
    let refused = running.get("/example.com/m/@v/list").await;
    assert_eq!((refused.status(), refused.header("retry-after")), (503, "5"));
    assert_eq!(running.get("/healthz").await.status(), 200, "alive however busy");
    let idle = TcpStream::connect(running.address).await.expect("takes the second place");
    let stream = TcpStream::connect(running.address).await.expect("in the listener's queue");
    let third = tokio::spawn(ask_on(stream, "GET", "/healthz", &[]));
    gate.add_permits(1);
    assert_eq!(first.await.expect("no panic").body, b"zip");
    drop(idle);
    assert_eq!(third.await.expect("no panic").status(), 200);
}

/// A client that never read on kept its connection, its frames and its place for good.
#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let world = World::new();
    world.corp.publish(PATH, "v1.0.0", &vec![7; 64 << 20]);
    let limits = Limits { requests: 1, stall_time: Duration::from_millis(50), ..Limits::default() };
    let running = start_with(Some(world.site()), LONG, limits).await;
    let mut greedy = TcpStream::connect(running.address).await.expect("listens");
    greedy.write_all(format!("GET {ZIP} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("sent");
    greedy.read_exact(&mut [0; 12]).await.expect("it begins");
    assert_eq!(running.get("/example.com/m/@v/v1.0.0.mod").await.status(), 503, "its place is taken while it may read");
    while running.get("/example.com/m/@v/v1.0.0.mod").await.status() != 200 {
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let _ = greedy.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 << 20, "cut off");
}

#[tokio::test]
async fn a_request_leaves_one_line_in_the_log() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Log(written.clone());
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || log.clone()).finish();
    // With a single subscriber tracing asks that of the thread which comes first, another test's, whether a line
    // is wanted at all, and remembers its no.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = world();
    let running = start(&world).await;
    running.get(ZIP).await;
    running.get("/example.com/none/@v/list").await;
    let text = String::from_utf8(written.lock().expect("lock").clone()).expect("text");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("json")["fields"].clone())
        .filter(|fields| fields["message"] == "request")
        .collect();
    let shown: Vec<String> = lines
        .iter()
        .map(|line| {
            let words =
                ["route", "subject", "freshness", "upstream", "kind"].map(|name| line[name].as_str().unwrap_or("-"));
            format!("{} {}", words.join(" "), line["status"])
        })
        .collect();
    let expected =
        ["zip example.com/m@v1.0.0 miss corp - 200", "list example.com/none miss corp, public not_found 404"];
    assert_eq!(shown, expected, "{text}");
    assert!(lines.iter().all(|line| line["ms"].as_f64().is_some_and(|ms| ms > 0.0)), "{text}");
}

#[derive(Clone)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    let world = world();
    let running = start(&world).await;
    let stream = TcpStream::connect(running.address).await.expect("listens");
    let panicked = ask_on(stream, "GET", "/sumdb/panic.example.org/latest", &[]).await;
    assert_eq!((panicked.status(), panicked.text()), (500, "internal error\n"));
    assert_eq!(running.get(ZIP).await.status(), 200);
}

#[tokio::test]
async fn http_2_over_cleartext_is_spoken() {
    // The client insists on a TLS provider although no TLS is spoken here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = world();
    world.corp.misname(PATH, "v0.0.0-20190813064442-fde4db37ae7a", "v0.0.0-20190813064441-fde4db37ae7a");
    let running = start(&world).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("client");
    let url = |target: &str| format!("http://{}{target}", running.address);
    let zip = client.get(url(ZIP)).send().await.expect("answer");
    assert_eq!((zip.version(), zip.status().as_u16()), (http::Version::HTTP_2, 200));
    assert_eq!(zip.bytes().await.expect("body"), "zip");
    let wrong = url("/registries/ci/example.com/m/@v/v0.0.0-20190813064442-fde4db37ae7a.info");
    let refused = client.get(wrong).send().await.expect("answer");
    assert_eq!(refused.status().as_u16(), 403);
    assert!(refused.text().await.expect("body").contains("\nuse example.com/m@v0.0.0-20190813064441-fde4db37ae7a\n"));
}
