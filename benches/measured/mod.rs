//! What the benches share: repositories made by rule, clients that keep their connections, servers to compare with, and how
//! numbers are taken and said. Absolute numbers are the machine's; what counts are the ratios of one run.

// Every file in benches/ is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod bare;
pub mod broad;
pub mod deep;
pub mod forge;
pub mod load;
pub mod nginx;
pub mod peer;
pub mod process;
pub mod rule;
pub mod server;
pub mod swarm;
pub mod wire;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use criterion::{BenchmarkGroup, measurement::WallTime};

/// Whether a part of a bench is to run: a word behind `cargo bench --bench NAME` is found in its name, or there is no word.
pub fn is_wanted(name: &str) -> bool {
    // What cargo says besides, such as `--bench`, is none of these.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

/// An address that was free a moment ago: of a server that cannot say which one it got, or that is waited for from outside.
pub fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.expect("a free port")
}

/// Times what `once` says it took, and gives the median of all its runs: `None` if none was selected.
pub fn median(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut once: impl FnMut() -> Duration,
) -> Option<Duration> {
    let all = RefCell::new(Vec::new());
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|runs| {
            let took: Vec<Duration> = (0..runs).map(|_| once()).collect();
            let sum = took.iter().sum();
            all.borrow_mut().extend(took);
            sum
        });
    });
    middle(all.into_inner())
}

/// The middle one of some durations.
pub fn middle(mut all: Vec<Duration>) -> Option<Duration> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// Says how two durations of this run relate: below 1 the first is the shorter.
pub fn compare(what: &str, ours: Option<Duration>, theirs: Option<Duration>) {
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        println!("ratio  {what}: {:.3} ({ours:.2?} to {theirs:.2?})", ours.as_secs_f64() / theirs.as_secs_f64());
    }
}

/// Says how two numbers of bytes of this run relate.
pub fn compare_bytes(what: &str, ours: u64, theirs: u64) {
    println!("ratio  {what}: {:.3} ({ours} to {theirs} bytes)", ours as f64 / theirs as f64);
}
