//! Compaction gives space back while everything else goes on, and loses nothing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::suite::{assert_tidy, bytes, file, keys, noise, open, read};
use super::{Options, SledStore};
use crate::error::Kind;
use crate::ports::{Progress, Store};

/// All bodies in the tables.
fn all_in_tables() -> Options {
    Options { spill: u64::MAX, ..Options::default() }
}

/// What is below a folder on the disk, in bytes.
fn on_disk(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry")) {
        bytes += match entry.file_type().expect("type").is_dir() {
            true => on_disk(&entry.path()),
            false => std::os::unix::fs::MetadataExt::blocks(&entry.metadata().expect("metadata")) * 512,
        };
    }
    bytes
}

/// Entries of all sizes, so many bytes of them.
fn fill(store: &SledStore, name: &str, bytes_wanted: u64) -> Vec<(String, u64, usize)> {
    let mut put = Vec::new();
    let (mut seed, mut so_far) = (0, 0);
    while so_far < bytes_wanted {
        seed += 1;
        let size = [200, 3_000, 40_000, 150_000, 900_000, 2_500_000][seed as usize % 6];
        let key = format!("{name}/{seed:05}");
        store.put(&key, b"meta", bytes(&noise(seed, size))).expect("put");
        so_far += size as u64;
        put.push((key, seed, size));
    }
    put
}

fn assert_all_there(store: &SledStore, expected: &[(String, u64, usize)]) {
    for (key, seed, size) in expected {
        let stored = store.get(key).expect("readable").unwrap_or_else(|| panic!("{key} is gone"));
        assert!(read(&stored.blob) == noise(*seed, *size), "{key}: other bytes");
    }
}

/// Does not give up.
fn never(_: Progress) -> bool {
    true
}

#[test]
fn space_really_returns_to_the_disk() {
    let folder = tempfile::tempdir().expect("folder");
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    let put = fill(&store, "a", 60 << 20);
    let (kept, gone) = put.split_at(put.len() / 4);
    let gone: Vec<String> = gone.iter().map(|(key, _, _)| key.clone()).collect();
    assert_eq!(store.delete_many(&gone).expect("deleted"), gone.len() as u64);
    let before = on_disk(folder.path());
    let mut told = Vec::new();
    let compaction = store
        .compact(&mut |progress| {
            told.push(progress);
            true
        })
        .expect("compacted");
    let after = on_disk(folder.path());
    let live = store.usage().expect("counted").live;
    assert!(after < before / 2, "{before} bytes of disk before, {after} after");
    assert!(after < live * 2 + (32 << 20), "{after} bytes of disk for {live} that live");
    assert!(compaction.before > compaction.after && compaction.after <= after, "{compaction:?}");
    assert!(told.iter().all(|progress| progress.done <= progress.all) && told.is_sorted_by_key(|p| p.done));
    assert!(told.len() > 2 && told.last().is_some_and(|progress| progress.done == progress.all), "{told:?}");
    assert_all_there(&store, kept);
    assert_eq!(keys(&store, "").len(), kept.len());
    assert_tidy(&store);

    // Again, so that both folders were used, and then from the disk.
    for _ in 0..2 {
        store.put("between", b"", bytes(b"between")).expect("put");
        store.compact(&mut never).expect("compacted");
        assert_all_there(&store, kept);
    }
    drop(store);
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    assert_all_there(&store, kept);
    assert!(store.get("between").expect("readable").is_some());
    assert_tidy(&store);
}

/// Readers and writers go on while the tables are copied, and nobody waits long.
#[test]
fn a_compaction_disturbs_nobody() {
    let folder = tempfile::tempdir().expect("folder");
    let store = &SledStore::open(folder.path(), Options { cache: 0, ..all_in_tables() }).expect("opens");
    let kept = fill(store, "kept", 20 << 20);
    let held = store.get(&kept[4].0).expect("readable").expect("there").blob;
    let done = AtomicBool::new(false);
    let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
    let put = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let (key, seed, size) = &kept[reads.fetch_add(1, Ordering::SeqCst) as usize % kept.len()];
                let stored = store.get(key).expect("readable").expect("there");
                assert!(read(&stored.blob) == noise(*seed, *size), "{key}");
            }
        });
        let writer = scope.spawn(|| {
            let mut put = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let number = writes.fetch_add(1, Ordering::SeqCst);
                let (key, size) = (format!("new/{}", number % 50), [100, 20_000, 120_000][number as usize % 3]);
                match number % 7 {
                    0 => drop(store.delete(&key).expect("deleted")),
                    1 => store.update_metas(&[key], &mut |_, _| Some(b"other".to_vec())).expect("updated"),
                    _ => drop(store.put(&key, b"meta", bytes(&noise(number, size))).expect("put")),
                }
                put.push((number, size));
            }
            put
        });
        for _ in 0..3 {
            let (read_before, written_before) = (reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst));
            store
                .compact(&mut |_| {
                    // Both get on while it is under way.
                    let deadline = Instant::now() + Duration::from_secs(60);
                    while reads.load(Ordering::SeqCst) == read_before || writes.load(Ordering::SeqCst) == written_before
                    {
                        assert!(Instant::now() < deadline, "they wait");
                        std::thread::yield_now();
                    }
                    true
                })
                .expect("compacted");
        }
        done.store(true, Ordering::SeqCst);
        writer.join().expect("joined")
    });
    assert!(read(&held) == noise(kept[4].1, kept[4].2), "a reader from before reads on");
    drop(held);
    let assert_newest = |store: &SledStore| {
        for slot in 0..50 {
            let key = format!("new/{slot}");
            let last = put.iter().rfind(|(number, _)| number % 50 == slot && number % 7 != 1);
            let expected = last.filter(|(number, _)| number % 7 != 0).map(|(number, size)| noise(*number, *size));
            assert!(store.get(&key).expect("readable").map(|stored| read(&stored.blob)) == expected, "{key}");
        }
    };
    assert_newest(store);
    assert_all_there(store, &kept);
    store.sweep().expect("swept");
    assert_tidy(store);
}

#[test]
fn what_was_written_during_a_compaction_is_there_after_a_start() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    fill(&store, "a", 12 << 20);
    store.put("gone", b"", bytes(&noise(1, 100_000))).expect("put");
    let mut step = 0_u64;
    let compacted = store.compact(&mut |_| {
        step += 1;
        store.put(&format!("during/{step}"), b"", file(&store, &noise(step, 70_000))).expect("put");
        store.delete("gone").expect("deleted");
        assert_eq!(store.compact(&mut never).expect_err("two at once").what(), "store: it is being compacted already");
        true
    });
    compacted.expect("compacted");
    assert!(step > 2);
    drop(store);
    let store = open(folder.path());
    for step in 1..=step {
        let stored = store.get(&format!("during/{step}")).expect("readable").expect("there");
        assert!(read(&stored.blob) == noise(step, 70_000));
    }
    assert!(store.get("gone").expect("readable").is_none());
    assert_tidy(&store);
}

#[test]
fn given_up_it_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("folder");
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    let put = fill(&store, "a", 12 << 20);
    let compaction = store.compact(&mut |progress| progress.done == 0).expect("given up");
    assert_eq!(compaction.before, compaction.after);
    assert!(!folder.path().join("sled.2").exists());
    assert_all_there(&store, &put);
    store.compact(&mut never).expect("later it works");
    assert_all_there(&store, &put);
}

#[test]
fn without_room_for_the_copy_it_refuses_and_says_how_much_is_needed() {
    let folder = tempfile::tempdir().expect("folder");
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    let put = fill(&store, "a", 8 << 20);
    drop(store);
    let full = Options { keep_free: u64::MAX / 2, ..all_in_tables() };
    let store = SledStore::open(folder.path(), full).expect("opens");
    let error = store.compact(&mut never).expect_err("refused");
    assert_eq!(error.kind(), Kind::Unavailable);
    let (said, wanted) = error.what().split_once(": 0 MiB may be used (expected ").expect("numbers");
    assert_eq!(said, "store: no storage space to compact");
    let wanted = wanted.strip_suffix(" MiB)").expect("unit").parse::<u64>().expect("number");
    assert!((48..80).contains(&wanted), "{wanted} MiB for 8");
    assert_eq!(error.remedies().len(), 1);
    assert!(!folder.path().join("sled.2").exists());
    assert_all_there(&store, &put);
}

#[test]
fn tables_mostly_dead_are_compacted_before_the_store_is_open() {
    let rows = [
        ("mostly dead", 1 << 20, true, true),
        ("mostly alive", 1 << 20, false, false),
        ("small", 1 << 40, true, false),
    ];
    for (name, compact_above, delete, compacted) in rows {
        let folder = tempfile::tempdir().expect("folder");
        let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
        let mut put = fill(&store, "a", 60 << 20);
        if delete {
            let gone: Vec<String> = put.drain(10..).map(|(key, _, _)| key).collect();
            store.delete_many(&gone).expect("deleted");
        }
        let before = store.usage().expect("counted").tables;
        drop(store);
        let store = SledStore::open(folder.path(), Options { compact_above, ..all_in_tables() }).expect("opens");
        let after = store.usage().expect("counted").tables;
        assert_eq!(after < before * 2 / 3, compacted, "{name}: {before} bytes before, {after} after");
        assert_all_there(&store, &put);
        drop(store);
        let store = SledStore::open(folder.path(), Options { compact_above, ..all_in_tables() }).expect("opens");
        assert_eq!(store.usage().expect("counted").tables, after, "{name}: not again");
    }
}

#[test]
fn a_start_that_cannot_compact_opens_the_store_as_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    let mut put = fill(&store, "a", 60 << 20);
    let gone: Vec<String> = put.drain(10..).map(|(key, _, _)| key).collect();
    store.delete_many(&gone).expect("deleted");
    drop(store);
    let full = Options { compact_above: 1 << 20, keep_free: u64::MAX / 2, ..all_in_tables() };
    assert_all_there(&SledStore::open(folder.path(), full).expect("opens"), &put);
}

#[test]
fn which_folder_counts_is_said_or_refused() {
    type Setting = fn(&Path);
    let rows: [(&str, Setting, Option<&str>); 4] = [
        ("a copy that did not get to its end", |folder| fs::create_dir(folder.join("sled.2")).expect("made"), None),
        ("said to be the first", |folder| fs::write(folder.join("tables"), "sled\n").expect("written"), None),
        (
            "said to be another one",
            |folder| fs::write(folder.join("tables"), "/etc\n").expect("written"),
            Some("tables says \"/etc\" (expected sled or sled.2)"),
        ),
        (
            "said to be one that is not there",
            |folder| fs::write(folder.join("tables"), "sled.2\n").expect("written"),
            Some("tables says sled.2, which is not there"),
        ),
    ];
    for (name, set, expected) in rows {
        let folder = tempfile::tempdir().expect("folder");
        open(folder.path()).put("key", b"", bytes(b"body")).expect("put");
        set(folder.path());
        match (SledStore::open(folder.path(), Options::default()), expected) {
            (Ok(store), None) => {
                assert_eq!(keys(&store, ""), ["key"], "{name}");
                assert!(!folder.path().join("sled.2").exists(), "{name}");
            }
            (Err(error), Some(expected)) => assert!(error.what().ends_with(expected), "{name}: {error}"),
            (result, _) => panic!("{name}: {:?}", result.map(drop)),
        }
        assert!(folder.path().join("sled").exists(), "{name}: what counted once is left alone");
    }
}

/// Looking at every row of 100,000 versions took a second of every start, and 150 MB.
#[test]
fn a_start_goes_by_what_was_counted_last() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || {
        let options = Options { compact_above: 1 << 20, ..all_in_tables() };
        let store = SledStore::open(folder.path(), options).expect("opens");
        let tables = store.database.disk().expect("measured");
        drop(store);
        tables
    };
    let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
    let mut put = fill(&store, "a", 60 << 20);
    let gone: Vec<String> = put.drain(10..).map(|(key, _, _)| key).collect();
    store.delete_many(&gone).expect("deleted");
    let before = store.database.disk().expect("measured");
    drop(store);
    let said = folder.path().join("counted");
    let believed = |tables: u64| tables > before * 2 / 3;
    fs::write(&said, format!("{before} {before}\n")).expect("written");
    assert!(believed(open()), "all of it lives, it says");
    for (row, text) in [("of other tables", "1 1\n"), ("no numbers", "many\n"), ("nothing", "")] {
        let copy = tempfile::tempdir().expect("folder");
        copy_folder(folder.path(), copy.path());
        fs::write(copy.path().join("counted"), text).expect("written");
        let options = Options { compact_above: 1 << 20, ..all_in_tables() };
        let store = SledStore::open(copy.path(), options).expect("opens");
        assert!(!believed(store.database.disk().expect("measured")), "{row}: it was counted, and compacted");
        assert_all_there(&store, &put);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("folder").map(|entry| entry.expect("entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            fs::create_dir_all(&target).expect("folder");
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
