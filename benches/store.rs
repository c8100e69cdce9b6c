//! What the store takes on disk, and what becomes of it: filled, mostly deleted, compacted while it serves.
//!
//! `cargo bench --bench store`; the table of docs/performance.md is made of what it prints. All is asserted that is said.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use modvet::ports::{Body, Store, Usage};
use modvet::store::{Options, SledStore};

/// Bytes of zips, each below the spill: all of them lie in the tables.
const ZIPS: u64 = 300_000_000;
const SMALL: u64 = 30_000;

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("folder");
    let store = SledStore::open(folder.path(), Options::default()).expect("opens");
    let zips = filled(&store);
    let full = said("filled", &store);
    deleted(&store, &zips);
    let dead = said("three quarters deleted", &store);
    assert!(dead.reclaimable() > dead.tables / 2, "{dead:?}");

    let (reads, writes) = compacted(&store, &zips);
    println!("longest wait of a reader meanwhile: {reads:.1?}, of a writer: {writes:.1?}");
    let fresh = said("compacted", &store);
    let disk = du(&folder.path().join("sled")) + du(&folder.path().join("sled.2"));
    assert!(disk <= fresh.tables + (1 << 20), "{disk} bytes of disk, {} told", fresh.tables);
    assert!(disk < full.tables / 2 && disk < 3 * fresh.live_in_tables, "{disk} bytes of disk: {fresh:?}");

    let started = Instant::now();
    drop(store);
    println!("closed in {:.1?}", started.elapsed());
    let started = Instant::now();
    let store = SledStore::open(folder.path(), Options::default()).expect("opens");
    println!("opened in {:.1?}", started.elapsed());
    let started = Instant::now();
    let verified = store.verify("", &mut |_| true).expect("verified");
    println!("verified {} entries in {:.1?}", verified.entries, started.elapsed());
    assert_eq!((verified.entries, verified.damaged.len()), (fresh.entries, 0));
}

fn filled(store: &SledStore) -> Vec<(String, usize)> {
    let started = Instant::now();
    for number in 0..SMALL {
        let key = format!("example.com/m{:04}/@v/v1.{}.0.info", number / 30, number % 30);
        store.put(&key, &noise(number, 300), Body::Bytes(noise(number, 200).into())).expect("put");
    }
    let small = started.elapsed();
    let (started, mut zips, mut so_far) = (Instant::now(), Vec::new(), 0);
    while so_far < ZIPS {
        let seed = zips.len() as u64;
        let size = [30_000, 100_000, 400_000, 1_500_000, 4_000_000][zips.len() % 5];
        let key = format!("example.com/z{seed:04}/@v/v1.0.0.zip");
        store.put(&key, &noise(seed, 300), Body::Bytes(noise(seed, size).into())).expect("put");
        so_far += size as u64;
        zips.push((key, size));
    }
    println!("{SMALL} small entries put in {small:.1?}, {} zips in {:.1?}", zips.len(), started.elapsed());
    zips
}

/// Every zip but each fourth goes.
fn deleted(store: &SledStore, zips: &[(String, usize)]) {
    let gone = zips.iter().enumerate().filter(|(number, _)| number % 4 != 0).map(|(_, (key, _))| key.clone());
    let gone: Vec<String> = gone.collect();
    let started = Instant::now();
    assert_eq!(store.delete_many(&gone).expect("deleted"), gone.len() as u64);
    println!("{} zips deleted in {:.1?}", gone.len(), started.elapsed());
}

/// Compacts while one thread reads and one writes; gives the longest that each of them waited.
fn compacted(store: &SledStore, zips: &[(String, usize)]) -> (Duration, Duration) {
    let done = AtomicBool::new(false);
    let (reads, writes) = (Mutex::default(), Mutex::default());
    let longest = |all: &Mutex<Duration>, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        let mut all = all.lock().expect("lock");
        *all = started.elapsed().max(*all);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, (key, size)) in zips.iter().enumerate().step_by(4).cycle() {
                longest(&reads, &mut || {
                    let blob = store.get(key).expect("readable").expect("there").blob;
                    assert!(blob.read_at(0, 1000).expect("readable") == noise(number as u64, *size)[..1000]);
                });
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                number += 1;
                let body = Bytes::from(noise(number, 200));
                longest(&writes, &mut || drop(store.put(&format!("new/{number}"), b"", Body::Bytes(body.clone()))));
            }
        });
        let started = Instant::now();
        let compaction = store.compact(&mut |_| true).expect("compacted");
        println!("compacted in {:.1?}, everybody waited for {:.1?}", started.elapsed(), compaction.paused);
        done.store(true, Ordering::SeqCst);
    });
    let taken = |all: Mutex<Duration>| all.into_inner().expect("lock");
    (taken(reads), taken(writes))
}

fn said(what: &str, store: &SledStore) -> Usage {
    let started = Instant::now();
    let usage = store.usage().expect("counted");
    let Usage { entries, live_in_tables, tables, .. } = usage;
    let ratio = tables as f64 / live_in_tables as f64;
    let (live, disk) = (live_in_tables / 1_000_000, tables / 1_000_000);
    println!(
        "{what}: {entries} entries, {live} MB alive take {disk} MB, {ratio:.2}x; counted in {:.1?}",
        started.elapsed()
    );
    usage
}

/// Real bytes on disk below a folder.
fn du(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let each = entries.map(|entry| entry.expect("entry"));
    each.map(|entry| match entry.file_type().expect("type").is_dir() {
        true => du(&entry.path()),
        false => std::os::unix::fs::MetadataExt::blocks(&entry.metadata().expect("metadata")) * 512,
    })
    .sum()
}

/// Bytes that do not repeat, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
