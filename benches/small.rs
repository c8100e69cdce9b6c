//! Warm small answers beside nginx that hands out the same bytes from files: 64 clients that keep their connections.
//! modvet with token check, headers, metrics and request log on.
//!
//! `cargo bench --bench small`; the rows of docs/performance.md are made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use measured::load::{Asked, Expected, Took, load};
use measured::nginx::{Nginx, Setup};
use measured::process::{children, processor_times};
use measured::wire::Wire;
use measured::{compare, middle};
use std::net::SocketAddr;
use std::time::Duration;
use support::modvet::{Home, Modvet};
use support::tree::Tree;

const MODULE: &str = "bench.test/team/module";
const CLIENTS: usize = 64;
/// Requests of each client in a turn.
const TIMES: usize = 300;
/// Turns of each server, taken in turn: whatever else this machine does falls on both.
const TURNS: usize = 9;

fn main() {
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    let (modvet, credentials) = serve(&tree);
    let headers = format!("Authorization: {credentials}\r\n");
    for file in ["@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/list", "@latest"] {
        let path = format!("/{MODULE}/{file}");
        assert_eq!(Wire::connect(modvet.address()).get(&path).0, 401, "the token counts");
        let (status, body) = {
            let mut wire = Wire::connect(modvet.address()).bearing(&credentials);
            let (status, body) = wire.get(&path);
            (status, body.to_vec())
        };
        assert_eq!(status, 200, "{path}: {}", modvet.log());
        let asked = [Asked { path: path.clone(), expected: Expected::Bytes(body.clone()) }];
        let Some(nginx) = Nginx::start(&[(&path, &body)], Setup { sendfile: true, log: true }) else { return };
        let mut turns = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            turns.0.push(turn(modvet.address(), &[modvet.id()], &asked, &headers));
            turns.1.push(turn(nginx.address(), &nginx.workers(), &asked, &headers));
        }
        say(file, &turns.0, &turns.1);
        assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
    }
}

/// What one turn took, and the processor time of the server.
fn turn(server: SocketAddr, processes: &[u32], asked: &[Asked], headers: &str) -> (Took, Option<Duration>) {
    let before = processor_times(processes);
    let took = load(server, asked, headers, CLIENTS, TIMES);
    (took, processor_times(processes).zip(before).map(|(after, before)| after - before))
}

fn say(file: &str, ours: &[(Took, Option<Duration>)], theirs: &[(Took, Option<Duration>)]) {
    let rate = |turns: &[(Took, Option<Duration>)]| {
        let mut rates: Vec<f64> = turns.iter().map(|turn| turn.0.rate()).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    println!(
        "ratio  {file}, requests a second: {:.2} ({:.0} to {:.0})",
        rate(ours) / rate(theirs),
        rate(ours),
        rate(theirs)
    );
    let late = |turns: &[(Took, Option<Duration>)]| middle(turns.iter().map(|turn| turn.0.within(0.99)).collect());
    compare(&format!("{file}, p99"), late(ours), late(theirs));
    let spent = |turns: &[(Took, Option<Duration>)]| {
        let all: Option<Duration> = turns.iter().map(|turn| turn.1).sum();
        all.map(|all| all * 10_000 / (turns.len() * CLIENTS * TIMES) as u32)
    };
    compare(&format!("{file}, processor time of 10,000"), spent(ours), spent(theirs));
}

/// A server over the tree that asks for a token, and the credentials for it.
fn serve(tree: &Tree) -> (Modvet, String) {
    let home = Home::new();
    home.configure(&tree.settings());
    let arguments = ["token", "create", "--config", "modvet.toml", "--scope", "read", "--label", "bench", "--json"];
    let made = home.run(&arguments);
    let said: serde_json::Value = serde_json::from_slice(&made.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&made.stderr)));
    let secret = said["token"].as_str().expect("a token");
    (home.serve(), format!("Basic {}", BASE64_STANDARD.encode(format!("any:{secret}"))))
}
