//! What it costs to be asked by token, under rules, with every answer written down: the same server twice, one with all of
//! it and one with none, asked in turn over the loopback.
//!
//! `cargo bench --bench trust`; the row of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::Criterion;
use measured::process::processor_time;
use measured::wire::Wire;
use measured::{compare, middle};
use support::modvet::{Home, Modvet};
use support::tree::Tree;

const MODULE: &str = "bench.test/team/module";
const RULES: usize = 50;
/// Requests that are timed together, so that a turn is longer than the clock's grain.
const TOGETHER: usize = 200;
const CLIENTS: usize = 8;
/// Turns of each server.
const TURNS: usize = 60;
/// Lines of the audit log are in the file by then.
const WRITTEN: Duration = Duration::from_secs(1);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let tree = Tree::new();
    tree.add(MODULE, "v1.0.0", 1000);
    let (plain, _) = serve(&tree, "[audit]\nenabled = false\n", false);
    let rules: String = (0..RULES).map(rule).collect();
    let (trusting, credentials) = serve(&tree, &rules, true);
    let mut group = criterion.benchmark_group("trust");
    for file in ["info", "mod"] {
        let path = format!("/{MODULE}/@v/v1.0.0.{file}");
        let mut without: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(plain.address())).collect();
        let mut with: Vec<Wire> =
            (0..CLIENTS).map(|_| Wire::connect(trusting.address()).bearing(&credentials)).collect();
        let expected = {
            let (status, body) = without[0].get(&path);
            assert_eq!(status, 200, "{}", plain.log());
            body.to_vec()
        };
        assert_eq!(with[0].get(&path), (200, &expected[..]), "{}", trusting.log());
        assert_eq!(Wire::connect(trusting.address()).get(&path).0, 401, "the token counts");
        // In turn: whatever else this machine does falls on both.
        let (mut all, mut none) = (Vec::new(), Vec::new());
        let before = (processor_time(trusting.id()), processor_time(plain.id()));
        for _ in 0..TURNS {
            none.push(turn(&mut without, &path, &expected));
            all.push(turn(&mut with, &path, &expected));
        }
        let what = format!("warm .{file} with token, {RULES} rules and audit log, to none of it");
        compare(&format!("{what}, {CLIENTS} clients"), middle(all), middle(none));
        // What the log's own thread does once a client has its answer is a part of it.
        std::thread::sleep(WRITTEN);
        let spent = |server: &Modvet, before: Option<Duration>| {
            processor_time(server.id()).zip(before).map(|(after, before)| after - before)
        };
        compare(&format!("{what}, processor time"), spent(&trusting, before.0), spent(&plain, before.1));
        let with = &mut with[0];
        group.bench_function(format!(".{file} with all of it"), |bencher| {
            bencher.iter(|| assert_eq!(with.get(&path), (200, &expected[..])));
        });
    }
    group.finish();
    criterion.final_summary();
    let written = lines(trusting);
    println!("count  lines of the audit log: {written}");
    assert!(written >= 2 * TURNS * TOGETHER * CLIENTS, "every answer is written down");
}

/// Rules of all kinds that let the module pass; the last one is about it.
fn rule(number: usize) -> String {
    let modules = if number + 1 == RULES { "bench.test/*".to_owned() } else { format!("other{number}.test/*") };
    let action = if number.is_multiple_of(2) { "deny" } else { "allow" };
    format!("[[rule]]\nname = 'rule-{number}'\naction = '{action}'\nmodules = ['{modules}']\nversions = '>=0.1.0'\n")
}

/// A server, and credentials for it if it wants any.
fn serve(tree: &Tree, settings: &str, guarded: bool) -> (Modvet, String) {
    let home = Home::new();
    home.configure(&format!("{settings}{}", tree.settings()));
    let credentials = if guarded { home.credentials("bench") } else { String::new() };
    (home.serve(), credentials)
}

/// So many clients that no core rests: on a virtual machine it costs more to wake a core than to answer.
fn turn(wires: &mut [Wire], path: &str, expected: &[u8]) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for wire in wires {
            scope.spawn(move || {
                for _ in 0..TOGETHER {
                    assert_eq!(wire.get(path), (200, expected), "another answer than before");
                }
            });
        }
    });
    start.elapsed()
}

/// How many lines the log has when the server has ended.
fn lines(modvet: Modvet) -> usize {
    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{}", home.log());
    // A file is closed at 100 MiB.
    let files = std::fs::read_dir(home.store().join("audit")).expect("the log's folder");
    let count = |file: std::io::Result<std::fs::DirEntry>| {
        let log = std::fs::read_to_string(file.expect("a file").path()).expect("a log");
        log.lines().filter(|line| line.contains("\"who\":\"bench\"") && line.contains("\"rule\":\"rule-49\"")).count()
    };
    files.map(count).sum()
}
