//! One suite over both ways: a server's socket, and the store opened here.

use tempfile::TempDir;

use super::*;
use crate::config::Given;
use crate::http::tests::{PSEUDONYM, World, api};

const PATH: &str = "example.com/m";
const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";

struct Reached {
    row: &'static str,
    control: Control,
    _folder: TempDir,
    end: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

/// The same desk behind both ways.
fn ways() -> Vec<Reached> {
    let world = World::new();
    world.corp.publish(PATH, "v1.0.0", &[7; 3 << 20]);
    let desk = || {
        let (_, door) = watch::channel(Some(world.site()));
        Arc::new(Desk::new(door, Duration::ZERO, PSEUDONYM).with_routes(api::ROUTES))
    };
    let folder = || tempfile::tempdir().expect("a folder");
    let (served, here) = (folder(), folder());
    let (stop, mut stopped) = watch::channel(false);
    let end = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let serving = serve_socket(served.path(), desk(), end).expect("a socket");
    let over = Control { way: Way::Server(served.path().to_owned()) };
    let inside = Control { way: Way::Here { desk: desk(), turns: Arc::new(Semaphore::new(TURNS)), made: None } };
    vec![
        Reached { row: "server", control: over, _folder: served, end: Some((stop, serving)) },
        Reached { row: "here", control: inside, _folder: here, end: None },
    ]
}

const NONE: Option<&Value> = None;

#[tokio::test]
async fn a_command_gets_the_same_whether_a_server_runs_or_not() {
    for Reached { row, control, end, _folder } in ways() {
        let made = control.ask(Method::POST, "/api/v1/things", Some(&serde_json::json!({ "name": "x" }))).await;
        assert_eq!(made.expect(row), serde_json::json!({ "name": "x" }), "{row}: admin without a token");
        let listed = control.ask(Method::GET, "/api/v1/things?after=a%20b", NONE).await.expect(row);
        assert_eq!(listed["after"], "a b", "{row}");
        assert_eq!(control.ask(Method::DELETE, "/api/v1/things/one", NONE).await.expect(row), Value::Null, "{row}");
        let conflict = control.ask(Method::DELETE, "/api/v1/things/used", NONE).await.expect_err(row);
        assert_eq!(conflict.kind(), Kind::Conflict, "{row}");
        assert_eq!(conflict.to_string(), "used: it is in use\ntake it out of b first", "{row}");

        let zip = control.send(Method::GET, ZIP, NONE).await.expect(row);
        assert_eq!((zip.status(), zip.header("x-modvet-upstream")), (200, "corp"), "{row}");
        assert!(zip.bytes().await.expect(row) == vec![7; 3 << 20], "{row}");
        let absent = control.send(Method::GET, "/example.com/none/@v/list", NONE).await.err().expect(row);
        assert_eq!((absent.kind(), absent.remedies().len()), (Kind::NotFound, 0), "{row}: {absent}");
        assert!(absent.what().contains("(asked corp, public)"), "{row}: {absent}");
        if let Some((stop, serving)) = end {
            stop.send_replace(true);
            serving.await.expect("no panic");
        }
    }
}

#[tokio::test]
async fn progress_comes_line_by_line_and_an_error_ends_it() {
    for Reached { row, control, end, _folder } in ways() {
        let mut said = Vec::new();
        let each = |line: Value| {
            said.push(line["done"].as_u64());
            Ok(())
        };
        let error = control.lines(Method::POST, "/api/v1/work", NONE, each).await.expect_err(row);
        assert_eq!(said, [Some(1), Some(2)], "{row}");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::BadGateway, "three: it broke\ntry again"),
            "{row}"
        );
        drop(end);
    }
}

fn settings(folder: &TempDir) -> Settings {
    let text = format!(
        "[store]\npath = {:?}\n[[upstream]]\nname = 'disk'\nkind = 'dir'\npath = {:?}",
        folder.path().join("store"),
        folder.path()
    );
    Settings::read(&text, Given::default()).expect("settings")
}

#[tokio::test]
async fn without_a_server_the_store_is_opened_here_and_the_next_one_is_told_who_holds_it() {
    // The client of the wiring insists on a TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let first = Control::open(settings(&folder), Missing::Make).await.expect("opened");
    assert!(!first.is_server());
    let absent = first.send(Method::GET, ZIP, NONE).await.err().expect("nothing there");
    assert_eq!(absent.kind(), Kind::NotFound, "{absent}");

    let failure = Control::open(settings(&folder), Missing::Make).await.err().expect("held");
    let held = format!("store is held by process {} since", std::process::id());
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.error.to_string().contains(&held), "{}", failure.error);
    assert!(failure.error.to_string().contains("no control socket"), "{}", failure.error);
}

#[tokio::test]
async fn a_server_is_asked_before_its_store_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    std::fs::create_dir(&store).expect("a folder");
    let (_, door) = watch::channel(Some(World::new().site()));
    let desk = Arc::new(Desk::new(door, Duration::ZERO, PSEUDONYM));
    let serving = serve_socket(&store, desk, std::future::pending()).expect("a socket");
    let control = Control::open(settings(&folder), Missing::Make).await.expect("reached");
    assert!(control.is_server());
    let names: Vec<_> = std::fs::read_dir(&store).expect("a folder").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(names, ["control.sock"]);
    serving.abort();
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_told_from_one_that_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let (listener, _socket) = Socket::bind(folder.path()).expect("bound");
    let dying = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.listener.accept().await.expect("asked");
        let _ = stream.read(&mut [0; 1024]).await;
        let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"done\":1}\n\r\n";
        stream.write_all(half.as_bytes()).await.expect("sent");
    });
    let control = Control { way: Way::Server(folder.path().to_owned()) };
    let error = control.lines(Method::POST, "/api/v1/work", NONE, |_| Ok(())).await.expect_err("cut off");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    dying.await.expect("no panic");
}

#[test]
fn a_list_that_somebody_pages_through_is_not_cut() {
    assert!(limits().stall_time >= Duration::from_secs(60 * 60));
}
