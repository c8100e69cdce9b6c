//! What every store does, run against each of them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{KEY_LIMIT, META_LIMIT, MemoryStore, Options, SledStore, Swept, suite_many};
use crate::error::Kind;
use crate::ports::{Blob, Body, Store};

/// Bytes that do not repeat, the same for the same seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
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

/// Reads a blob in odd strides and checks it against its own size and sha256.
pub(super) fn read(blob: &Blob) -> Vec<u8> {
    let mut all = Vec::new();
    while (all.len() as u64) < blob.size() {
        let piece = blob.read_at(all.len() as u64, 50_001).expect("readable");
        assert!(!piece.is_empty() && piece.len() <= 50_001, "piece of {} bytes", piece.len());
        all.extend_from_slice(&piece);
    }
    assert_eq!(all.len() as u64, blob.size());
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&all)), blob.sha256());
    all
}

pub(super) fn bytes(body: &[u8]) -> Body {
    Body::Bytes(Bytes::copy_from_slice(body))
}

pub(super) fn file(store: &dyn Store, body: &[u8]) -> Body {
    let mut file = store.scratch().expect("scratch file");
    file.write_all(body).expect("written");
    file.flush().expect("flushed");
    Body::File(file)
}

/// The same with its sha256.
pub(super) fn hashed(store: &dyn Store, body: &[u8]) -> Body {
    match file(store, body) {
        Body::File(file) => Body::Hashed(file, Sha256::digest(body).into()),
        other => other,
    }
}

/// Meta and body of an entry.
pub(super) fn entry(store: &dyn Store, key: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    store.get(key).expect("readable").map(|stored| (stored.meta.to_vec(), read(&stored.blob)))
}

pub(super) fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let visit = &mut |key: &str, _: &[u8]| {
        keys.push(key.to_string());
        true
    };
    store.scan(prefix, visit).expect("scanned");
    keys
}

pub(super) type Case = fn(&dyn Store);

const CASES: [Case; 11] = [
    comes_back_as_put,
    replaces_whole,
    replaces_meta_only,
    deletes,
    keeps_equal_contents_of_others,
    scans_in_order,
    takes_odd_keys,
    refuses_what_is_too_large,
    one_of_many_puts_wins_whole,
    bears_all_at_once,
    reads_on_while_replaced,
];

/// Runs all cases, each on a store of its own, and looks at what each leaves behind.
fn suite<S: Store>(open: impl Fn(&Path) -> S, left: impl Fn(&S)) {
    for case in CASES.into_iter().chain(suite_many::CASES) {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        case(&store);
        left(&store);
    }
}

pub(super) const SIZES: [(&str, usize); 11] = [
    ("empty", 0),
    ("one byte", 1),
    ("largest inline", 16_339),
    ("one above inline", 16_340),
    ("one below a piece", (32 << 10) - 1),
    ("a piece", 32 << 10),
    ("one above a piece", (32 << 10) + 1),
    ("100 KiB", 100 << 10),
    ("17 pieces", 17 * (32 << 10)),
    ("3 MiB", 3 << 20),
    ("9 MiB", 9 << 20),
];

fn comes_back_as_put(store: &dyn Store) {
    assert_eq!(entry(store, "nothing"), None);
    for (seed, (name, size)) in SIZES.into_iter().enumerate() {
        for (number, way) in ["bytes", "file", "hashed file"].into_iter().enumerate() {
            let body = noise((seed * 3 + number) as u64, size);
            let key = format!("{name}/{way}");
            let given = match way {
                "bytes" => bytes(&body),
                "file" => file(store, &body),
                _ => hashed(store, &body),
            };
            let stored = store.put(&key, name.as_bytes(), given).expect(name);
            assert_eq!(stored.meta, name, "{key}");
            assert!(read(&stored.blob) == body, "{key}: as given back by put");
            let expected = Some((name.as_bytes().to_vec(), body));
            assert!(entry(store, &key) == expected, "{key}: first get");
            assert!(entry(store, &key) == expected, "{key}: second get");
        }
    }
    assert_eq!(keys(store, "").len(), 3 * SIZES.len());
}

fn replaces_whole(store: &dyn Store) {
    let rows = [("small", 10), ("large", 9 << 20), ("middle", 200_000), ("other middle", 200_001), ("small again", 11)];
    for (seed, (name, size)) in rows.into_iter().enumerate() {
        let body = noise(seed as u64, size);
        store.put("key", name.as_bytes(), bytes(&body)).expect(name);
        assert!(entry(store, "key") == Some((name.as_bytes().to_vec(), body)), "{name}");
    }
    assert_eq!(keys(store, ""), ["key"]);
}

fn replaces_meta_only(store: &dyn Store) {
    assert!(!store.put_meta("absent", b"meta").expect("asked"));
    assert_eq!(entry(store, "absent"), None);
    let largest = noise(9, META_LIMIT);
    for (name, size) in SIZES {
        let body = noise(3, size);
        store.put(name, b"first", bytes(&body)).expect(name);
        assert!(entry(store, name).is_some(), "{name}: read, so that it may be remembered");
        for meta in [&b"second"[..], &largest, b""] {
            assert!(store.put_meta(name, meta).expect(name), "{name}");
            assert!(entry(store, name) == Some((meta.to_vec(), body.clone())), "{name}: meta of {}", meta.len());
        }
    }
}

fn deletes(store: &dyn Store) {
    for (name, size) in SIZES {
        let body = noise(4, size);
        store.put(name, b"meta", bytes(&body)).expect(name);
        assert!(store.delete(name).expect(name), "{name}: was there");
        assert_eq!(entry(store, name), None, "{name}");
        assert!(!store.delete(name).expect(name), "{name}: is gone");
        store.put(name, b"again", bytes(&body)).expect(name);
        assert!(entry(store, name) == Some((b"again".to_vec(), body)), "{name}: put again");
    }
}

fn keeps_equal_contents_of_others(store: &dyn Store) {
    for (name, size) in SIZES {
        let body = noise(5, size);
        let [first, second] = ["first", "second"].map(|which| format!("{name}/{which}"));
        store.put(&first, b"1", bytes(&body)).expect(name);
        store.put(&second, b"2", file(store, &body)).expect(name);
        assert!(store.delete(&first).expect(name), "{name}");
        assert!(entry(store, &second) == Some((b"2".to_vec(), body)), "{name}: the other one stays");
        store.put(&second, b"3", bytes(b"other")).expect(name);
        assert_eq!(entry(store, &first), None, "{name}");
    }
}

fn scans_in_order(store: &dyn Store) {
    let mut expected: Vec<String> = (0..100).map(|number| format!("a/{number}")).collect();
    for key in expected.iter().rev().map(String::as_str).chain(["a", "a0", "b/1", "A/1"]) {
        store.put(key, key.as_bytes(), bytes(b"")).expect(key);
    }
    expected.sort();
    assert_eq!(keys(store, "a/"), expected);
    assert_eq!(keys(store, "b"), ["b/1"]);
    assert_eq!(keys(store, "c"), [""; 0]);
    let all = keys(store, "");
    assert_eq!((all.len(), all.is_sorted()), (104, true));

    let mut visited = Vec::new();
    let until_third = &mut |key: &str, meta: &[u8]| {
        assert_eq!(key.as_bytes(), meta);
        visited.push(key.to_string());
        visited.len() < 3
    };
    store.scan("a/", until_third).expect("scanned");
    assert_eq!(visited, expected[..3], "stops when told");

    let delete = &mut |key: &str, _: &[u8]| store.delete(key).expect("deleted");
    store.scan("a/", delete).expect("scanned");
    assert_eq!(keys(store, ""), ["A/1", "a", "a0", "b/1"], "a visitor may use the store");
}

fn takes_odd_keys(store: &dyn Store) {
    let long = "x".repeat(KEY_LIMIT);
    let odd = ["", "/", "\0", "a\nb", "..", "../../etc/passwd", "ä€𝄞", "%21x/!x", "\u{10ffff}", "k v@=?#", &long];
    for key in odd {
        store.put(key, key.as_bytes(), bytes(key.as_bytes())).expect(key);
    }
    for key in odd {
        let key = key.as_bytes();
        let text = std::str::from_utf8(key).expect("text");
        assert_eq!(entry(store, text), Some((key.to_vec(), key.to_vec())), "{text:?}");
    }
    let mut sorted = odd.to_vec();
    sorted.sort();
    assert_eq!(keys(store, ""), sorted);
    assert_eq!(keys(store, "\u{10ffff}"), ["\u{10ffff}"]);
}

fn refuses_what_is_too_large(store: &dyn Store) {
    store.put("key", b"meta", bytes(b"body")).expect("put");
    let large = noise(1, META_LIMIT + 1);
    let errors = [
        store.put("key", &large, bytes(b"")).map(drop).expect_err("meta of put"),
        store.put_meta("key", &large).map(drop).expect_err("meta of put_meta"),
        store.put(&"x".repeat(KEY_LIMIT + 1), b"", bytes(b"")).map(drop).expect_err("key"),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Internal, "{error}");
        assert!(error.what().contains("(expected at most "), "{error}");
    }
    assert_eq!(entry(store, "key"), Some((b"meta".to_vec(), b"body".to_vec())));
}

fn one_of_many_puts_wins_whole(store: &dyn Store) {
    let sizes = [5, 20_000, 300_000, 9 << 20];
    std::thread::scope(|scope| {
        for writer in 0..4_usize {
            scope.spawn(move || {
                for round in 0..6_usize {
                    let size = sizes[(writer + round) % sizes.len()];
                    let body = noise((size + round % 2) as u64, size);
                    let meta = <[u8; 32]>::from(Sha256::digest(&body));
                    store.put("key", &meta, bytes(&body)).expect("put");
                    let stored = store.get("key").expect("readable").expect("always there");
                    assert_eq!(stored.meta[..], stored.blob.sha256(), "meta and body of one put");
                    read(&stored.blob);
                }
            });
        }
    });
    let (meta, body) = entry(store, "key").expect("there");
    assert_eq!(meta, <[u8; 32]>::from(Sha256::digest(&body)));
    assert_eq!(keys(store, ""), ["key"]);
}

/// Many threads on few keys and fewer contents: what is got is whole, whatever the others do.
fn bears_all_at_once(store: &dyn Store) {
    std::thread::scope(|scope| {
        for worker in 0..6_u64 {
            scope.spawn(move || {
                for step in 0..150 {
                    let dice = noise(worker * 1000 + step, 8);
                    let key = format!("key{}", dice[0] % 4);
                    let size = [100, 25_000, 150_000, 600_000][usize::from(dice[1] % 4)];
                    let body = noise(u64::from(dice[2] % 2), size);
                    match dice[3] % 8 {
                        0 => drop(store.delete(&key).expect("deleted")),
                        1 => drop(store.put_meta(&key, b"meta").expect("put")),
                        2 | 3 => drop(store.put(&key, b"", bytes(&body)).expect("put")),
                        4 => drop(store.put(&key, b"", file(store, &body)).expect("put")),
                        _ => drop(store.get(&key).expect("readable").map(|stored| read(&stored.blob))),
                    }
                }
            });
        }
    });
    for key in keys(store, "") {
        assert!(entry(store, &key).is_some(), "{key}");
    }
}

fn reads_on_while_replaced(store: &dyn Store) {
    for size in [200_000, 9 << 20] {
        let body = noise(6, size);
        store.put("key", b"old", file(store, &body)).expect("put");
        let old = store.get("key").expect("readable").expect("there");
        let half = old.blob.read_at(0, size / 2).expect("first half");
        store.put("key", b"new", bytes(b"new")).expect("replaced");
        store.put("other", b"new", bytes(b"new")).expect("put");
        assert!(read(&old.blob) == body && body.starts_with(&half), "{size}: whole to the end");
        drop(old);
        assert!(store.delete("key").expect("deleted"));
    }
}

/// A store for tests in a folder.
pub(super) fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, Options::default()).expect("opens")
}

/// No blob without a reference, no reference without an entry, no file and no piece without a manifest.
pub(super) fn assert_tidy(store: &SledStore) {
    let mut referred = BTreeSet::new();
    for key in keys(store, "") {
        let stored = store.get(&key).expect("readable").expect("visible, so there");
        referred.insert(hex::encode(stored.blob.sha256()));
    }
    let mut blobs = BTreeSet::new();
    for row in store.database.manifests.scan(b"") {
        blobs.insert(hex::encode(row.expect("manifest").0));
    }
    let files = store.blobs.files.blobs().expect("listed").iter().map(hex::encode).collect();
    let pieces = store.blobs.blobs_with_pieces().expect("listed");
    assert!(pieces.is_disjoint(&files), "in both places");
    assert_eq!(pieces.union(&files).cloned().collect::<BTreeSet<_>>(), blobs, "without a manifest");
    assert!(blobs.is_subset(&referred), "without an entry");
    assert_eq!(store.database.references.scan(b"").count(), referring(store), "references without entries");
}

/// How many entries refer to blobs.
fn referring(store: &SledStore) -> usize {
    let refers = |key: &String| store.record(key).expect("readable").is_some_and(|record| record.blob().is_some());
    keys(store, "").iter().filter(|key| refers(key)).count()
}

/// Runs the suite on disk; a sweep finds nothing to do after any of it.
fn suite_on_disk(options: &Options) {
    let open = |folder: &Path| SledStore::open(folder, options.clone()).expect("opens");
    suite(open, |store| {
        assert_eq!(store.sweep().expect("swept"), Swept::default());
        assert_tidy(store);
    });
}

#[test]
fn memory() {
    suite(|_| MemoryStore::new(), |_| ());
}

#[test]
fn on_disk() {
    suite_on_disk(&Options::default());
}

#[test]
fn on_disk_without_spill_and_cache() {
    suite_on_disk(&Options { spill: u64::MAX, cache: 0, ..Options::default() });
}

#[test]
fn on_disk_with_all_in_files() {
    suite_on_disk(&Options { spill: 0, ..Options::default() });
}

#[test]
fn a_sweep_disturbs_nobody() {
    let folder = tempfile::tempdir().expect("folder");
    let store = &open(folder.path());
    let (done, told) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(move || {
            let mut sweeps = 0;
            while told.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                store.sweep().expect("swept");
                sweeps += 1;
            }
            sweeps
        });
        bears_all_at_once(store);
        drop(done);
        assert!(sweeper.join().expect("joined") > 0);
    });
    store.sweep().expect("swept");
    assert_tidy(store);
}
