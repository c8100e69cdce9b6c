//! Warm small answers beside nginx that hands out the same bytes from files: 64 clients that keep their connections.
//! modvet with token check, headers, metrics, request log and audit log on; nginx with a log, as it comes, and without
//! one and with its files held open, as a sceptic would set it up.
//!
//! `cargo bench --bench small`, or one of `each`, `many` behind it; the rows of docs/performance.md are made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};

use measured::is_wanted;
use measured::load::{Asked, Expected};
use measured::nginx::{Nginx, Setup};
use measured::process::children;
use measured::server::Server;
use measured::wire::Wire;
use support::modvet::{Home, Modvet};
use support::tree::Tree;

const MODULE: &str = "bench.test/team/module";
const CLIENTS: usize = 64;
/// Requests of each client in a turn.
const TIMES: usize = 300;
/// Turns of each server, taken in turn: whatever else this machine does falls on all.
const TURNS: usize = 9;
/// Of the many addresses there are so many modules, each with so many versions.
const MODULES: usize = 200;
const VERSIONS: usize = 10;

/// Nothing is written down, and no file is opened twice.
const SCEPTICAL: &str = "  open_file_cache max=20000 inactive=1h;\n  open_file_cache_valid 1h;\n";

fn main() {
    if is_wanted("each") {
        each();
    }
    if is_wanted("many") {
        many();
    }
}

/// One address of each kind after the other.
fn each() {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    let (modvet, credentials) = serve(&tree);
    let headers = format!("Authorization: {credentials}\r\n");
    for file in ["@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/list", "@latest"] {
        let path = format!("/{MODULE}/{file}");
        assert_eq!(Wire::connect(modvet.address()).get(&path).0, 401, "the token counts");
        let asked = [asked(&modvet, &credentials, path)];
        let before = upstream_requests(&modvet, &credentials);
        let lines = lines(&modvet);
        beside_nginx(file, &modvet, &asked, &headers);
        let renewed = upstream_requests(&modvet, &credentials) - before;
        println!("count  {file}, requests to the upstream: {renewed}");
        assert_eq!(renewed, 0, "nothing warm is asked of anybody");
        let written = self::lines(&modvet) - lines;
        println!("count  {file}, lines in the log: {written} of {}", TURNS * CLIENTS * TIMES);
        assert!(written >= TURNS * CLIENTS * TIMES, "every request leaves its line");
        assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
    }
}

/// Many addresses in turn, where nobody has to show a token.
fn many() {
    let tree = Tree::new();
    let mut paths = Vec::new();
    for module in 0..MODULES {
        for version in 0..VERSIONS {
            let (module, version) = (format!("bench.test/many/module{module}"), format!("v1.{version}.0"));
            tree.add(&module, &version, 100);
            paths.extend(["info", "mod"].map(|ending| format!("/{module}/@v/{version}.{ending}")));
        }
    }
    let home = Home::new();
    home.configure(&tree.settings());
    let modvet = home.serve();
    let mut wire = Wire::connect(modvet.address());
    let asked: Vec<Asked> = paths
        .into_iter()
        .map(|path| {
            let (status, body) = wire.get(&path);
            assert_eq!(status, 200, "{path}: {}", modvet.log());
            let expected = Expected::Bytes(body.to_vec());
            Asked { path, expected }
        })
        .collect();
    beside_nginx(&format!("{} addresses in turn, without token", asked.len()), &modvet, &asked, "");
}

/// Asks modvet in turn with nginx, where there is one.
fn beside_nginx(what: &str, modvet: &Modvet, asked: &[Asked], headers: &str) {
    let files: Vec<(&str, &[u8])> = asked.iter().map(|asked| (asked.path.as_str(), bytes(asked))).collect();
    let logging = Nginx::start(&files, Setup { sendfile: true, log: true });
    let sceptical = Nginx::start_with(&files, Setup { sendfile: false, log: false }, SCEPTICAL);
    let mut servers = vec![Server::new("modvet", modvet.address(), vec![modvet.id()])];
    for (name, nginx) in [("nginx", &logging), ("nginx without log, files held open", &sceptical)] {
        servers.extend(nginx.as_ref().map(|nginx| Server::new(name, nginx.address(), nginx.workers())));
    }
    for _ in 0..TURNS {
        servers.iter_mut().for_each(|server| server.turn(asked, headers, CLIENTS, TIMES));
    }
    let (ours, theirs) = servers.split_first().expect("modvet is the first");
    theirs.iter().for_each(|theirs| ours.compare_requests(what, theirs));
}

fn bytes(asked: &Asked) -> &[u8] {
    match &asked.expected {
        Expected::Bytes(bytes) => bytes,
        Expected::Length(_) => &[],
    }
}

/// What comes now has to come ever after.
fn asked(modvet: &Modvet, credentials: &str, path: String) -> Asked {
    let mut wire = Wire::connect(modvet.address()).bearing(credentials);
    let (status, body) = wire.get(&path);
    assert_eq!(status, 200, "{path}: {}", modvet.log());
    let expected = Expected::Bytes(body.to_vec());
    Asked { path, expected }
}

/// How often the upstream was asked since the start.
fn upstream_requests(modvet: &Modvet, credentials: &str) -> u64 {
    let mut wire = Wire::connect(modvet.address()).bearing(credentials);
    let (status, page) = wire.get("/metrics");
    assert_eq!(status, 200, "{}", modvet.log());
    let page = String::from_utf8_lossy(page).into_owned();
    let row = page.lines().find(|line| line.starts_with("modvet_upstream_requests_total{"));
    row.and_then(|row| row.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no count: {page}"))
}

/// How many requests the log tells of.
fn lines(modvet: &Modvet) -> usize {
    let log = std::fs::File::open(modvet.home().path().join("log")).expect("a log");
    BufReader::new(log).split(b'\n').map_while(Result::ok).filter(|line| is_request(line)).count()
}

fn is_request(line: &[u8]) -> bool {
    String::from_utf8_lossy(line).contains(" INFO request method=GET ")
}

/// A server over the tree that asks for a token, and the credentials for it.
fn serve(tree: &Tree) -> (Modvet, String) {
    let home = Home::new();
    // Within their validity lists come from memory, however long this machine takes for the turns.
    home.configure(&format!("{}list_validity = \"1h\"\n", tree.settings()));
    let credentials = home.credentials("bench");
    (home.serve(), credentials)
}
