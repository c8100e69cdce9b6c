//! The built binary as a process: how it starts, why it does not, and how it ends.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use support::client;
use support::modvet::{Home, Modvet};
use support::relay::Relay;
use support::tree::Tree;

const MODULE: &str = "example.test/m";

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The message that a command ended with, after its log.
fn message(output: &Output) -> String {
    let text = stderr(output);
    text.split_once("modvet: ").map(|(_, message)| message.to_owned()).unwrap_or(text)
}

/// A request that was sent, and whose answer is read by the caller.
fn send(server: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit above zero");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the request is small");
    stream
}

/// The body of an answer that was read to its end.
fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &answer[end + 4..]
}

#[test]
fn an_answer_under_way_is_finished_before_the_end() {
    let tree = Tree::new();
    // More than the sockets between hold.
    let zip = tree.add(MODULE, "v1.0.0", 32 << 20);
    let modvet = Modvet::start(&tree.settings());
    let mut stream = send(modvet.address(), &format!("/{MODULE}/@v/v1.0.0.zip"));
    let mut answer = vec![0; 1000];
    stream.read_exact(&mut answer).expect("the answer begins");
    modvet.signal(libc::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(modvet.address()).is_ok() {
        assert!(Instant::now() < deadline, "new connections are still taken");
        std::thread::yield_now();
    }
    stream.read_to_end(&mut answer).expect("the answer ends");
    assert!(body(&answer) == zip, "{} bytes (expected {})", body(&answer).len(), zip.len());
    let (status, home) = modvet.ended();
    assert_eq!(status.code(), Some(0), "{}", home.log());
    assert!(home.log().contains("stopped"), "{}", home.log());
}

#[test]
fn both_signals_end_an_idle_process_well() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let tree = Tree::new();
        tree.add(MODULE, "v1.0.0", 10);
        let modvet = Modvet::start(&tree.settings());
        // An idle connection is nothing to wait for.
        let _idle = TcpStream::connect(modvet.address()).expect("somebody listens");
        assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
        modvet.signal(signal);
        let (status, home) = modvet.ended();
        assert_eq!(status.code(), Some(0), "{signal}: {}", home.log());
        assert!(!home.store().join("owner").exists(), "{signal}: the store is still owned");
    }
}

/// Sizes on both sides of what lies beside the embedded store.
const SIZES: [usize; 4] = [20 << 20, 100_000, 3 << 20, 9 << 20];

#[test]
fn nothing_half_made_is_seen_after_a_kill() {
    let tree = Tree::new();
    let modules: Vec<(String, Vec<u8>)> = (0..12)
        .map(|at| {
            let module = format!("example.test/m{at}");
            let zip = tree.add(&module, "v1.0.0", SIZES[at % SIZES.len()]);
            (module, zip)
        })
        .collect();
    let mut home = Home::new();
    home.configure(&tree.settings());
    for round in 0..10 {
        let modvet = home.serve();
        let address = modvet.address();
        let path = |module: &str| format!("/{module}/@v/v1.0.0.zip");
        for (module, zip) in &modules {
            let kept = client::request(address, "GET", &path(module), &[("Disable-Module-Fetch", "true")]);
            assert!(kept.status == 404 || kept.status == 200, "{round}: {module}: {}", kept.text());
            assert!(kept.status == 404 || kept.body == *zip, "{round}: {module}: other bytes are kept");
        }
        // Killed when so many bytes of the first download have come, the others being anywhere.
        let amounts = [0, 1, 70_000, 900_000, 3 << 20, 5 << 20, 11 << 20, 15 << 20, 19 << 20, 20 << 20];
        let streams: Vec<TcpStream> =
            modules.iter().cycle().skip(round).take(5).map(|(module, _)| send(address, &path(module))).collect();
        let mut first = &streams[0];
        let mut rest = amounts[round];
        let mut buffer = vec![0; 64 << 10];
        while rest > 0 {
            let most = rest.min(buffer.len());
            match first.read(&mut buffer[..most]).expect("an answer") {
                0 => break,
                length => rest -= length,
            }
        }
        home = modvet.killed();
    }
    let modvet = home.serve();
    for (module, zip) in &modules {
        let answered = modvet.get(module, "@v/v1.0.0.zip");
        assert!(
            answered.status == 200 && answered.body == *zip,
            "{module}: {} {}",
            answered.status,
            answered.body.len()
        );
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_line_and_key() {
    let upstream = "[[upstream]]\nname = \"git\"\nkind = \"git\"\n";
    let table = [
        ("lisen = \"127.0.0.1:0\"".to_owned(), "line 1: unknown key `lisen` at the top level\ndid you mean `listen`?"),
        ("listen = 3".to_owned(), "line 1: listen: 3 (expected a text)"),
        (
            "listen = \"here\"".to_owned(),
            "line 1: listen: \"here\" (expected an address and a port such as 127.0.0.1:3000)",
        ),
        (
            "\n[store]\nspill = \"much\"".to_owned(),
            "modvet.toml: line 3: store.spill: \"much\" (expected a size such as 8MiB)",
        ),
        (
            "[pseudo_versions]\nmode = \"lax\"".to_owned(),
            "line 2: pseudo_versions.mode: \"lax\" (expected strict, rewrite or legacy)",
        ),
        (format!("{upstream}urll = \"x\""), "line 4: unknown key `urll` in [upstream]\ndid you mean `url`?"),
        (
            format!("{upstream}{upstream}"),
            "line 5: upstream.name: \"git\" (expected a name that no other upstream has)",
        ),
        ("[[upstream]]\nname = \"a\"\nkind = \"proxy\"".to_owned(), "line 1: upstream.url is missing"),
        (
            format!("{upstream}auth = {{ host = \"h.example\", token_env = \"NO_SUCH_TOKEN\" }}"),
            "upstream git: environment variable NO_SUCH_TOKEN is not set",
        ),
        (
            "[net]\nallow_private = [\"10.0.0.0/99\"]".to_owned(),
            "line 2: net.allow_private: \"10.0.0.0/99\" (expected a host name, an address or a range)",
        ),
        ("listen = ".to_owned(), "line 1: string values must be quoted"),
    ];
    let home = Home::new();
    for (text, expected) in table {
        home.write("modvet.toml", &text);
        let output = home.run(&["serve", "--config", "modvet.toml", "--listen", "127.0.0.1:0"]);
        assert!(message(&output).contains(expected), "{text}: {:?} (expected {expected})", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{text}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    let output = Home::new().run(&["serve", "--listen", &address, "--upstream", "direct"]);
    let message = message(&output);
    assert!(message.starts_with(&format!("cannot listen on {address}: Address already in use")), "{message}");
    assert!(message.contains("name another address with --listen, or port 0 for a free one"), "{message}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_store_that_another_process_holds_is_refused_and_its_holder_named() {
    let tree = Tree::new();
    let modvet = Modvet::start(&tree.settings());
    // It answers modules only when its store is open.
    modvet.get(MODULE, "@v/list");
    let second = modvet.home().run(&["serve", "--config", "modvet.toml"]);
    let message = message(&second);
    let expected = format!("store is held by process {} since 20", modvet.id());
    assert!(message.contains(&expected), "{message} (expected {expected})");
    assert!(message.contains("end that process, or use another folder"), "{message}");
    assert_eq!(second.status.code(), Some(2));
    assert_eq!(modvet.get(MODULE, "@v/list").status, 404, "the first one goes on");
}

#[test]
fn a_command_that_looks_into_a_store_that_is_not_there_refuses_it_and_makes_none() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("empty")).expect("a writable folder");
    let commands: [&[&str]; 7] = [
        &["audit", "example.test/m"],
        &["token", "list"],
        &["token", "revoke", "00000000"],
        &["cache", "stats"],
        &["cache", "list"],
        &["cache", "verify"],
        &["mirror", "status"],
    ];
    let places: [(&str, &[&str]); 2] = [("modvet-data", &[]), ("empty", &["--store", "empty"])];
    for arguments in commands {
        for (folder, flags) in places {
            let output = home.run(&[arguments, flags].concat());
            let message = message(&output);
            let expected = format!(
                "/{folder}: there is no store (expected the server's)\n\
                 name it as modvet serve was told: by --store FOLDER, or by --config FILE\n"
            );
            assert!(message.contains(&expected), "{arguments:?}: {message} (expected {expected})");
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
            let files = std::fs::read_dir(home.path().join("empty")).expect("a folder").count();
            assert_eq!((home.path().join("modvet-data").exists(), files), (false, 0), "{arguments:?}");
        }
    }
}

#[test]
fn a_command_that_makes_a_store_says_so_once() {
    let home = Home::new();
    let create = || {
        let output = home.run(&["token", "create", "--scope", "read"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    };
    let made = "/modvet-data was made: none was there\n";
    let (first, second) = (create(), create());
    assert!(first.contains(made) && !second.contains(made), "{first}{second}");
    assert_eq!(home.run(&["token", "list"]).status.code(), Some(0), "now it is there");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_way_out() {
    let home = Home::new();
    home.write("file", "");
    for folder in ["file", "file/below"] {
        let output = home.run(&["serve", "--listen", "127.0.0.1:0", "--upstream", "direct", "--store", folder]);
        let message = message(&output);
        assert!(message.starts_with(&format!("{folder}: the store's folder cannot be made: ")), "{message}");
        let way_out = "\nuse another folder, or let this user make this one and write to it\n";
        assert!(message.ends_with(way_out), "{message}");
        assert_eq!(output.status.code(), Some(2), "{folder}");
    }
}

#[test]
fn a_list_that_names_itself_is_refused_by_its_address() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    for list in
        [format!("http://127.0.0.1:{port}"), format!("https://proxy.invalid|http://localhost:{port}/registries/ci")]
    {
        let output = Home::new().run(&["serve", "--listen", &listen, "--upstream", &list]);
        let message = message(&output);
        let expected = format!("{port} is the address that modvet itself listens on");
        assert!(message.contains(&expected), "{list}: {message} (expected {expected})");
        assert_eq!(output.status.code(), Some(2), "{list}");
    }
}

#[test]
fn a_way_that_leads_back_is_noticed_at_the_first_request() {
    let port = free_port();
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], port)));
    let home = Home::new();
    let command = home.command(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--upstream", &relay.url()]);
    let modvet = home.serve_by(command);
    let answered = modvet.get(MODULE, "@v/list");
    let text = answered.text();
    assert_eq!(answered.status, 502, "{text}");
    let expected = "answers 508 Loop Detected: this request came through this proxy already";
    assert!(text.contains(expected), "{text} (expected {expected})");
    assert!(modvet.log().contains("status=508"), "{}", modvet.log());
}

#[test]
fn two_proxies_in_a_row_are_no_loop() {
    let tree = Tree::new();
    let zip = tree.add(MODULE, "v1.0.0", 1000);
    let behind = Modvet::start(&tree.settings());
    let before =
        Modvet::start(&format!("[[upstream]]\nname = \"behind\"\nkind = \"proxy\"\nurl = \"{}\"\n", behind.url()));
    let answered = before.get(MODULE, "@v/v1.0.0.zip");
    assert!(answered.status == 200 && answered.body == zip, "{}", answered.text());
    assert_eq!(answered.header("x-modvet-upstream"), Some("behind"));
}
