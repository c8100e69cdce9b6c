//! Stores of 1,000, 10,000 and 100,000 versions: how soon a server answers, what it takes of memory, how long answers take.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{ended, filled, home, megabytes, resident, until};
use crate::measured::load::{Asked, Expected, load};
use crate::measured::process::{forget_peak, memory, processor_time};
use crate::measured::rule::{self, Rule};
use crate::measured::wire::{Wire, answer};
use crate::measured::{free_address, middle};
use crate::support::modvet::{Home, Modvet};

/// Different versions that are asked for: more than are held ready in memory.
const ASKED: usize = 5_000;
const CLIENTS: usize = 64;
const TIMES: usize = 300;
/// What a start may take of memory, however much is kept: what is held ready is bounded, and what sled knows of each page.
const MOST_AT_START: u64 = 256_000_000;
/// What a small thing is measured by.
const TURNS: usize = 9;

pub fn measure(sizes: &[usize]) {
    let rule = Rule::start();
    let stores = filled::stores(sizes, &rule);
    for (size, store) in sizes.iter().zip(&stores) {
        println!("--- {size} versions, {:.0} MB on disk", megabytes(disk(store)));
        let asked = rule.requests();
        one(*size, store, &rule);
        assert_eq!(rule.requests(), asked, "what is kept is not asked for");
    }
}

fn one(size: usize, store: &Path, rule: &Rule) {
    let address = free_address();
    let home = home(store, &address.to_string(), &filled::settings(rule));
    let modvet = opened(size, home, address);
    housekeeping(size, &modvet);
    answers(size, &modvet);
    commands(size, &modvet);
    ended(modvet);
}

/// From the start of the process: until it listens, until it is ready, until the first answer.
fn opened(size: usize, home: Home, address: SocketAddr) -> Modvet {
    let start = Instant::now();
    let watching = std::thread::spawn(move || {
        let listens = until("a listener", &mut || std::net::TcpStream::connect(address).is_ok());
        let ready = until("ready", &mut || Wire::connect(address).drain("/readyz").0 == 200);
        let path = rule::path(size / 2, "info");
        assert_eq!(answer(address, &path), (200, rule::body(size / 2, "info")), "{path}");
        (listens, listens + ready, start.elapsed())
    });
    let modvet = home.serve();
    let (listens, ready, first) = watching.join().expect("it answers");
    println!("time   {size}: listens after {listens:.1?}, ready after {ready:.1?}, first answer after {first:.1?}");
    println!("memory {size}: {:.1} MB with the first answer", megabytes(resident(modvet.id())));
    modvet
}

/// What is looked at once after each start, and what that takes.
fn housekeeping(size: usize, modvet: &Modvet) {
    let counted = |modvet: &Modvet| {
        let mut wire = Wire::connect(modvet.address());
        let (_, body) = wire.get("/metrics");
        String::from_utf8_lossy(body).contains("modvet_store_bytes")
    };
    until("what is kept is counted", &mut || counted(modvet));
    // Then nothing is left but the last words of it.
    let mut before = processor_time(modvet.id());
    until("rest", &mut || {
        std::thread::sleep(Duration::from_millis(500));
        let now = processor_time(modvet.id());
        let rests = now == before;
        before = now;
        rests
    });
    let (now, peak) = memory(modvet.id()).unwrap_or_default();
    let spent = processor_time(modvet.id()).unwrap_or_default();
    println!("time   {size}: {spent:.2?} of the processor until all was looked at once");
    println!("memory {size}: {:.1} MB then, {:.1} MB at most", megabytes(now), megabytes(peak));
    assert!(peak <= MOST_AT_START, "a start takes {:.0} MB", megabytes(peak));
    forget_peak(modvet.id());
}

fn answers(size: usize, modvet: &Modvet) {
    let all = ASKED.min(size);
    let step = size / all;
    let asked: Vec<Asked> = (0..all)
        .map(|place| {
            let (number, ending) = (place * step, if place % 2 == 0 { "info" } else { "mod" });
            Asked { path: rule::path(number, ending), expected: Expected::Bytes(rule::body(number, ending)) }
        })
        .collect();
    let cold = load(modvet.address(), &asked, "", 1, all);
    let warm = load(modvet.address(), &asked[..100.min(all)], "", 1, all);
    for (name, took) in [("not asked for yet", &cold), ("asked for lately", &warm)] {
        let (half, most) = (took.within(0.5), took.within(0.99));
        println!("time   {size}, 1 client, {name}: {half:.1?}, p99 {most:.1?}");
    }
    let wide = load(modvet.address(), &asked, "", CLIENTS, TIMES);
    let few = load(modvet.address(), &asked[..100.min(all)], "", CLIENTS, TIMES);
    println!(
        "count  {size}, {CLIENTS} clients: {:.0} a second over {all} versions, {:.0} over 100",
        wide.rate(),
        few.rate()
    );
    println!("memory {size}: {:.1} MB after {all} different versions", megabytes(resident(modvet.id())));
}

/// What looks at everything, or shows it.
fn commands(size: usize, modvet: &Modvet) {
    let home = modvet.home();
    for arguments in [
        &["cache", "stats"][..],
        &["cache", "list", "--limit", "100"],
        &["cache", "list"],
        &["cache", "prune", "--max-size", "1MiB", "--dry-run"],
    ] {
        let start = Instant::now();
        let output = home.run(&[arguments, &["--config", "modvet.toml"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        println!("time   {size}: modvet {}: {:.1?}", arguments.join(" "), start.elapsed());
    }
    let mut wire = Wire::connect(modvet.address());
    let module = rule::module(size / rule::VERSIONS / 2);
    for path in ["/metrics".to_owned(), format!("/api/v1/verdicts/{module}@v1.0.3")] {
        let mut ask = || {
            let start = Instant::now();
            assert_eq!(wire.drain(&path).0, 200, "{path}");
            start.elapsed()
        };
        let took = middle((0..TURNS).map(|_| ask()).collect()).expect("some turns");
        println!("time   {size}: {path}: {took:.1?}");
    }
    let (now, peak) = memory(modvet.id()).unwrap_or_default();
    println!("memory {size}: {:.1} MB after all of that, {:.1} MB at most", megabytes(now), megabytes(peak));
}

/// Real bytes on disk below a folder.
fn disk(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let each = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => disk(&entry.path()),
        _ => entry.metadata().map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512),
    });
    each.sum()
}
