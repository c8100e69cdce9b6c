//! Warm answers through the real server over the loopback, side by side with hyper handing out the same bytes.
//!
//! `cargo bench --bench warm`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use measured::bare::{self, Bare};
use measured::deep::{COMMITS, Deep};
use measured::process::processor_time;
use measured::wire::{Wire, answer, storm};
use measured::{compare, median};
use support::git_server::{Flavour, GitServer};
use support::modvet::Modvet;

const CLIENTS: usize = 64;
/// How often each of them asks.
const TIMES: usize = 500;
const ZIP: &str = "/github.com/bench/wide/@v/v1.0.0.zip";

fn main() {
    if bare::serve_if_asked() {
        return;
    }
    let deep = Deep::made();
    let git = GitServer::start(&deep.folder, Flavour::Filters);
    let modvet = Modvet::over_git(&git.url(), "rewrite");
    let mut criterion = Criterion::default().configure_from_args();
    small(&mut criterion, &deep, &modvet);
    large(&mut criterion, &modvet);
    criterion.final_summary();
}

/// A small answer: one client after the other, then many at once.
fn small(criterion: &mut Criterion, deep: &Deep, modvet: &Modvet) {
    let expected = deep.commit(COMMITS / 2);
    let path = format!("/github.com/bench/deep/@v/{}.info", expected.version);
    let (status, body) = answer(modvet.address(), &path);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert!(String::from_utf8_lossy(&body).contains(&format!("\"Version\":\"{}\"", expected.version)));
    let bare = Bare::start(&body);
    assert_eq!(answer(bare.address(), &path), (200, body.clone()));

    let mut group = criterion.benchmark_group("warm info");
    group.sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let mut one = |name: &str, server| {
        let mut wire = Wire::connect(server);
        median(&mut group, name, || {
            let start = Instant::now();
            let (status, found) = wire.get(&path);
            let took = start.elapsed();
            assert!(status == 200 && found == body, "another answer than before");
            took
        })
    };
    let (ours, theirs) = (one("1 client, modvet", modvet.address()), one("1 client, bare hyper", bare.address()));
    compare("warm .info, 1 client, modvet to bare hyper", ours, theirs);
    group.sample_size(10).throughput(Throughput::Elements((CLIENTS * TIMES) as u64));
    let mut many = |name: &str, server: SocketAddr, process: u32| {
        let (mut storms, before) = (0, processor_time(process));
        let took = median(&mut group, name, || {
            storms += 1;
            storm(server, &path, CLIENTS, TIMES)
        });
        let asked = (storms * CLIENTS * (TIMES + 1)) as u32;
        let processor =
            processor_time(process).zip(before).map(|(after, before)| (after - before) * 10_000 / asked.max(1));
        let rate = took.map(|took| (CLIENTS * TIMES) as f64 / took.as_secs_f64());
        if let (Some(rate), Some(processor)) = (rate, processor) {
            println!("count  {name}: {rate:.0} requests a second, {processor:.2?} of processor time for 10,000");
        }
        (took, processor.filter(|_| took.is_some()))
    };
    let ours = many(&format!("{CLIENTS} clients, modvet"), modvet.address(), modvet.id());
    let theirs = many(&format!("{CLIENTS} clients, bare hyper"), bare.address(), bare.id());
    compare(&format!("warm .info, {CLIENTS} clients, modvet to bare hyper"), ours.0, theirs.0);
    compare("processor time of warm .info, modvet to bare hyper", ours.1, theirs.1);
    group.finish();
}

/// A zip of 10 MB, streamed.
fn large(criterion: &mut Criterion, modvet: &Modvet) {
    let (status, body) = answer(modvet.address(), ZIP);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert!(body.starts_with(b"PK") && body.len() > 10_000_000, "{} bytes", body.len());
    let bare = Bare::start(&body);
    let mut group = criterion.benchmark_group("warm zip");
    group.sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut one = |name: &str, server| {
        let mut wire = Wire::connect(server);
        median(&mut group, name, || {
            let start = Instant::now();
            let drained = wire.drain(ZIP);
            let took = start.elapsed();
            assert_eq!(drained, (200, body.len() as u64));
            took
        })
    };
    let (ours, theirs) = (one("modvet", modvet.address()), one("bare hyper", bare.address()));
    compare("warm zip of 10 MB, modvet from its store to bare hyper from memory", ours, theirs);
    group.finish();
}
