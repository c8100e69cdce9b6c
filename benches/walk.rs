//! What the walk over a registry's upstreams costs: 1,000 modules of the last of 20, asked for by 64 clients, compared with
//! a registry that has only that one. Folders are upstreams here, so that no network hides the walk.
//!
//! `cargo bench --bench walk`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use measured::wire::Wire;
use measured::{compare, median, middle};
use support::modvet::{Home, Modvet};

const UPSTREAMS: usize = 20;
const MODULES: usize = 1_000;
const CLIENTS: usize = 64;
/// Each on a store of its own.
const COLD_RUNS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let modules: Vec<String> = (0..MODULES).map(|n| format!("example.com/group-{}/module-{n}", n % 10)).collect();
    modules.iter().for_each(|module| publish(&folder.path().join("last"), module));
    let paths: Vec<String> = modules.iter().map(|module| format!("/{module}/@v/v1.0.0.info")).collect();
    let unknown: Vec<String> = (0..MODULES).map(|n| format!("/example.com/unknown-{n}/@v/list")).collect();

    let mut criterion = Criterion::default().configure_from_args();
    let one = cold(1, folder.path(), &paths, &unknown);
    let all = cold(UPSTREAMS, folder.path(), &paths, &unknown);
    for (what, ours, theirs) in [
        ("cold .info, the module is the last one's", all.found, one.found),
        ("after a restart, bound", all.bound, one.bound),
        ("cold list, nobody has the module", all.absent, one.absent),
    ] {
        compare(&format!("{what}, {UPSTREAMS} upstreams to 1"), Some(ours), Some(theirs));
        each(what, ours, theirs);
    }
    warm(&mut criterion, &one.server, &all.server, &paths);
    criterion.final_summary();
}

/// What a further upstream adds to one answer.
fn each(what: &str, ours: Duration, theirs: Duration) {
    let further = ours.as_secs_f64() - theirs.as_secs_f64();
    let each = further / (MODULES * (UPSTREAMS - 1)) as f64;
    println!("count  {what}: {:.1} us of an answer for each further upstream", each * 1e6);
}

fn publish(upstream: &Path, module: &str) {
    let files = upstream.join(module).join("@v");
    std::fs::create_dir_all(&files).expect("a writable folder");
    std::fs::write(files.join("v1.0.0.info"), body()).expect("a writable folder");
}

fn body() -> String {
    "{\"Version\":\"v1.0.0\",\"Time\":\"2019-08-13T06:44:41Z\"}".to_owned()
}

/// A server over so many folders, of which the last has the modules.
fn serve(home: Home, upstreams: usize, folder: &Path) -> Modvet {
    let one = |n: usize| {
        let name = if n + 1 == upstreams { "last".to_owned() } else { format!("empty-{n}") };
        let path = folder.join(&name);
        std::fs::create_dir_all(&path).expect("a writable folder");
        format!("[[upstream]]\nname = \"{name}\"\nkind = \"dir\"\npath = '{}'\n", path.display())
    };
    home.configure(&(0..upstreams).map(one).collect::<String>());
    home.serve()
}

struct Cold {
    server: Modvet,
    found: Duration,
    bound: Duration,
    absent: Duration,
}

/// First answers, on fresh stores; the last server is given back warm.
fn cold(upstreams: usize, folder: &Path, paths: &[String], unknown: &[String]) -> Cold {
    let (mut found, mut bound, mut absent, mut last) = (Vec::new(), Vec::new(), Vec::new(), None);
    for _ in 0..COLD_RUNS {
        let server = serve(Home::new(), upstreams, folder);
        found.push(sweep(server.address(), paths, 200));
        absent.push(sweep(server.address(), unknown, 404));
        let server = server.killed().serve();
        bound.push(sweep(server.address(), paths, 200));
        last = Some(server);
    }
    let middle = |all| middle(all).expect("it ran");
    let server = last.expect("it ran");
    Cold { server, found: middle(found), bound: middle(bound), absent: middle(absent) }
}

/// All of it from memory.
fn warm(criterion: &mut Criterion, one: &Modvet, all: &Modvet, paths: &[String]) {
    let mut group = criterion.benchmark_group("walk");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(MODULES as u64));
    let mut of = |name: &str, server: &Modvet| {
        sweep(server.address(), paths, 200);
        median(&mut group, name, || sweep(server.address(), paths, 200))
    };
    let theirs = of("warm .info, 1 upstream", one);
    let ours = of(&format!("warm .info, {UPSTREAMS} upstreams"), all);
    compare(&format!("warm .info, {UPSTREAMS} upstreams to 1"), ours, theirs);
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        each("warm .info", ours, theirs);
    }
    group.finish();
}

/// How long the clients take to ask for all paths once, each for its share, connections made before.
fn sweep(server: SocketAddr, paths: &[String], status: u16) -> Duration {
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(server)).collect();
    let expected = body();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (client, wire) in wires.iter_mut().enumerate() {
            let (share, expected) = (paths.iter().skip(client).step_by(CLIENTS), &expected);
            scope.spawn(move || {
                for path in share {
                    let (found, body) = wire.get(path);
                    assert_eq!(found, status, "{path}: {}", String::from_utf8_lossy(body));
                    assert!(found != 200 || body == expected.as_bytes(), "{path}: another answer");
                }
            });
        }
    });
    start.elapsed()
}
