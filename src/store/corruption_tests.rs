//! Bytes that changed on disk are never given out: the entry counts as absent, and can be put again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::suite::{assert_tidy, bytes, keys, noise, open, read};
use super::{Options, SledStore, Swept};
use crate::error::Kind;
use crate::ports::{EntryRow, Place, Store};

const LARGE: usize = 9 << 20;

/// Something done to a file or a folder.
type Damage = fn(&Path);

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

pub(super) fn only_file(folder: &Path) -> PathBuf {
    let found = files(&folder.join("files"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

pub(super) fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 0x40], offset).expect("written");
}

pub(super) fn cut(path: &Path, size: u64) {
    OpenOptions::new().write(true).open(path).expect("file").set_len(size).expect("cut");
}

#[test]
fn a_damaged_file_is_an_absent_entry() {
    let rows: [(&str, Damage); 6] = [
        ("first byte flipped", |path| flip(path, 0)),
        ("last byte flipped", |path| flip(path, LARGE as u64 - 1)),
        ("one byte short", |path| cut(path, LARGE as u64 - 1)),
        ("empty", |path| cut(path, 0)),
        ("gone", |path| fs::remove_file(path).expect("removed")),
        ("another file", |path| fs::write(path, noise(8, LARGE)).expect("written")),
    ];
    for (name, damage) in rows {
        let folder = tempfile::tempdir().expect("folder");
        let body = noise(1, LARGE);
        let store = open(folder.path());
        for key in ["a.zip", "the same.zip"] {
            store.put(key, b"meta", bytes(&body)).expect("put");
        }
        store.put("other.zip", b"meta", bytes(b"other")).expect("put");
        drop(store);
        damage(&only_file(folder.path()));

        let store = open(folder.path());
        assert!(store.get("a.zip").expect(name).is_none(), "{name}");
        assert_eq!(keys(&store, ""), ["other.zip"], "{name}: all that share the file are gone");
        assert_tidy(&store);
        store.put("a.zip", b"again", bytes(&body)).expect(name);
        assert!(read(&store.get("a.zip").expect(name).expect("put again").blob) == body, "{name}");
    }
}

#[test]
fn a_damaged_file_is_written_anew_by_a_put_of_the_same_contents() {
    let folder = tempfile::tempdir().expect("folder");
    let body = noise(1, LARGE);
    open(folder.path()).put("a.zip", b"meta", bytes(&body)).expect("put");
    flip(&only_file(folder.path()), 5_000_000);

    let store = open(folder.path());
    store.put("b.zip", b"meta", bytes(&body)).expect("put");
    for key in ["a.zip", "b.zip"] {
        assert!(read(&store.get(key).expect("readable").expect("there").blob) == body, "{key}");
    }
}

#[test]
fn a_file_cut_after_it_was_checked_is_an_error_once_and_then_absent() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    store.put("a.zip", b"meta", bytes(&noise(1, LARGE))).expect("put");
    let blob = store.get("a.zip").expect("readable").expect("there").blob;
    cut(&only_file(folder.path()), 1 << 20);
    assert_eq!(blob.read_at(0, 1000).expect("still there"), noise(1, 1000));
    let error = blob.read_at(2 << 20, 1000).expect_err("cut off");
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.to_string(), "store: read blob: its bytes changed after they were checked");
    drop(blob);
    assert!(store.get("a.zip").expect("readable").is_none());
    assert_tidy(&store);
}

/// What sled holds of a blob is changed by way of sled: its own sums do not see it, ours do.
#[test]
fn damaged_pieces_are_an_absent_entry() {
    type PieceDamage = fn(&SledStore, &[u8]);
    let rows: [(&str, PieceDamage); 3] = [
        ("another byte", |store, key| {
            let mut piece = store.database.pieces.get(key).expect("read").expect("there").to_vec();
            piece[17] ^= 1;
            store.database.pieces.insert(key, piece).expect("written");
        }),
        ("too short", |store, key| {
            store.database.pieces.insert(key, &b"short"[..]).expect("written");
        }),
        ("gone", |store, key| {
            store.database.pieces.remove(key).expect("removed");
        }),
    ];
    for (name, damage) in rows {
        let folder = tempfile::tempdir().expect("folder");
        let body = noise(1, 200_000);
        let store = open(folder.path());
        store.put("a.zip", b"meta", bytes(&body)).expect("put");
        let third = store.database.pieces.scan(b"blob/").nth(2).expect("third piece").expect("read").0;
        damage(&store, &third);
        drop(store);

        let store = open(folder.path());
        assert!(store.get("a.zip").expect(name).is_none(), "{name}");
        assert_eq!(keys(&store, ""), [""; 0], "{name}");
        assert_tidy(&store);
        store.put("a.zip", b"again", bytes(&body)).expect(name);
        assert!(read(&store.get("a.zip").expect(name).expect("put again").blob) == body, "{name}");
    }
}

#[test]
fn damaged_small_entries_are_absent() {
    type ValueDamage = fn(Vec<u8>) -> Vec<u8>;
    let rows: [(&str, ValueDamage); 3] = [
        ("another body", |mut value| {
            *value.last_mut().expect("body") ^= 1;
            value
        }),
        ("cut", |value| value[..20].to_vec()),
        ("foreign", |_| b"something else".to_vec()),
    ];
    for (name, damage) in rows {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        store.put("a.info", b"meta", bytes(b"body")).expect("put");
        let value = store.database.entries.get(b"a.info").expect("read").expect("there").to_vec();
        store.database.entries.insert(b"a.info", damage(value)).expect("written");
        drop(store);

        let store = open(folder.path());
        assert!(store.get("a.info").expect(name).is_none(), "{name}");
        assert!(store.database.entries.get(b"a.info").expect("read").is_none(), "{name}: removed");
        store.put("a.info", b"meta", bytes(b"body")).expect(name);
        assert_eq!(read(&store.get("a.info").expect(name).expect("there").blob), b"body", "{name}");
    }
}

#[test]
fn a_sweep_takes_what_a_kill_may_leave() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let body = noise(1, 200_000);
    store.put("whole", b"", bytes(&body)).expect("put");
    store.put("large", b"", bytes(&noise(2, LARGE))).expect("put");
    // Killed while pieces were written, before the manifest.
    let begun = super::record::Manifest::Begun.encode();
    store.database.manifests.insert(&[1; 32], begun).expect("written");
    let piece = [b"blob/", hex::encode([1; 32]).as_bytes(), b"/\0\0\0\0"].concat();
    store.database.pieces.insert(&piece, &b"piece"[..]).expect("written");
    // Killed after the manifest, before the entry.
    let sha256 = store.blobs.keep(super::intake::Intake::Bytes(noise(3, 100_000).into())).expect("kept").sha256;
    store.database.references.insert(&super::sled_store::reference(&sha256, "never"), &[]).expect("written");
    // Killed after the rename, before the manifest.
    store.blobs.files.keep(&[2; 32], store.scratch().expect("file")).expect("kept");

    assert_eq!(store.sweep().expect("swept"), Swept { references: 1, blobs: 3 });
    assert_eq!(store.sweep().expect("swept"), Swept::default());
    assert_tidy(&store);
    assert_eq!(keys(&store, ""), ["large", "whole"]);
    assert!(read(&store.get("whole").expect("readable").expect("there").blob) == body);
}

#[test]
fn a_damaged_log_is_an_error_that_names_the_folder_and_the_way_out() {
    let rows: [(&str, Damage); 4] = [
        ("noise", |sled| fs::write(sled.join("db"), noise(1, 4 << 20)).expect("written")),
        ("conf of another layout", |sled| {
            fs::write(sled.join("conf"), "segment_size: 524288\nuse_compression: false\nversion: 0.34\n0000")
                .expect("written");
        }),
        ("conf is noise", |sled| fs::write(sled.join("conf"), noise(2, 100)).expect("written")),
        ("a folder in place of the log", |sled| {
            fs::remove_file(sled.join("db")).expect("removed");
            fs::create_dir(sled.join("db")).expect("made");
        }),
    ];
    for (name, damage) in rows {
        let folder = tempfile::tempdir().expect("folder");
        open(folder.path()).put("key", b"meta", bytes(&noise(1, 200_000))).expect("put");
        damage(&folder.path().join("sled"));
        // Where sled takes it for an empty log, nothing is there, and nothing wrong is.
        match SledStore::open(folder.path(), Options::default()) {
            Ok(store) => assert_eq!(keys(&store, ""), [""; 0], "{name}"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Internal, "{name}");
                assert!(error.what().contains(&folder.path().display().to_string()), "{name}: {error}");
                assert!(error.remedies()[0].starts_with("move that folder away"), "{name}: {error}");
            }
        }
    }
}

/// A kill can leave sled's settings or a snapshot half written; the log is whole, so nothing may be lost.
#[test]
fn what_sled_had_not_finished_is_made_anew() {
    let rows: [(&str, Damage); 3] = [
        ("settings of no bytes", |sled| fs::write(sled.join("conf"), "").expect("written")),
        ("settings cut short", |sled| cut(&sled.join("conf"), 20)),
        ("a snapshot cut short", |sled| fs::write(sled.join("snap.0000000000FFFFFF"), "cut").expect("written")),
    ];
    for (name, damage) in rows {
        let folder = tempfile::tempdir().expect("folder");
        open(folder.path()).put("key", b"meta", bytes(&noise(1, 200_000))).expect("put");
        damage(&folder.path().join("sled"));
        let store = SledStore::open(folder.path(), Options::default()).expect(name);
        assert_eq!(keys(&store, ""), ["key"], "{name}");
        assert!(read(&store.get("key").expect(name).expect(name).blob) == noise(1, 200_000), "{name}");
    }
}

/// Bits flipped anywhere in the log, or its end cut off: an error or an absence, never other bytes, never a panic.
#[test]
fn a_log_flipped_or_cut_never_gives_other_bytes() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let body = |number: u64| noise(number, 3_000 * number as usize);
    for number in 0..30 {
        store.put(&format!("{number:02}"), b"meta", bytes(&body(number))).expect("put");
    }
    drop(store);
    let log = folder.path().join("sled").join("db");
    let whole = fs::read(&log).expect("log");
    let mut read_back = 0;
    for round in 0..24 {
        let place = u64::from_le_bytes(noise(round + 77, 8).try_into().expect("eight")) % whole.len() as u64;
        fs::write(&log, &whole).expect("written");
        for snapshot in files(&folder.path().join("sled")) {
            let name = snapshot.file_name().expect("name").to_string_lossy().into_owned();
            if name.starts_with("snap.") {
                fs::remove_file(snapshot).expect("removed");
            }
        }
        match round % 2 {
            0 => flip(&log, place),
            _ => cut(&log, place),
        }
        let Ok(store) = SledStore::open(folder.path(), Options::default()) else { continue };
        for number in 0..30 {
            if let Ok(Some(stored)) = store.get(&format!("{number:02}")) {
                assert!(read(&stored.blob) == body(number), "{place}: {number}");
                read_back += 1;
            }
        }
    }
    assert!(read_back > 100, "only {read_back}: it tests nothing");
}

#[test]
fn a_file_in_place_of_the_folder_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("file");
    fs::write(&path, "mine").expect("written");
    for path in [path.clone(), path.join("store")] {
        let error = SledStore::open(&path, Options::default()).map(drop).expect_err("no folder");
        assert_eq!(error.kind(), Kind::Internal);
        assert!(error.what().starts_with(&format!("{}: store cannot be ", path.display())), "{error}");
        assert_eq!(error.remedies().len(), 1, "{error}");
    }
    assert_eq!(fs::read(&path).expect("read"), b"mine");
}

#[test]
fn a_full_disk_refuses_puts_and_still_gives() {
    let folder = tempfile::tempdir().expect("folder");
    open(folder.path()).put("key", b"meta", bytes(b"body")).expect("put");
    let full = Options { keep_free: u64::MAX / 2, ..Options::default() };
    let store = SledStore::open(folder.path(), full).expect("opens");
    for error in [
        store.put("key", b"new", bytes(b"new")).map(drop).expect_err("put"),
        store.put("large", b"new", bytes(&noise(1, LARGE))).map(drop).expect_err("large put"),
        store.put_meta("key", b"new").map(drop).expect_err("put_meta"),
    ] {
        assert_eq!(error.kind(), Kind::Unavailable);
        let said = error.what();
        assert!(said.starts_with("store: no storage space: ") && said.contains(" MiB stay free)"), "{error}");
        let path = folder.path().to_string_lossy();
        assert!(error.remedies().len() == 1 && !error.to_string().contains(&*path), "{error}");
    }
    let stored = store.get("key").expect("readable").expect("there");
    assert_eq!((&stored.meta[..], read(&stored.blob)), (&b"meta"[..], b"body".to_vec()));
    assert!(store.delete("key").expect("deleted"), "room can be made");
    assert_tidy(&store);
}

#[test]
fn a_second_opening_is_told_who_has_it() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let blob = store.put("large", b"", bytes(&noise(1, 200_000))).expect("put").blob;
    let started = Instant::now();
    let error = SledStore::open(folder.path(), Options::default()).map(drop).expect_err("held");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.what().contains(&format!("held by process {} since ", std::process::id())), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "it does not wait unasked");
    drop(store);
    let error = SledStore::open(folder.path(), Options::default()).map(drop).expect_err("still read from");
    assert_eq!(error.kind(), Kind::Unavailable);
    drop(blob);
    open(folder.path());
}

#[test]
fn usage_counts_equal_contents_once() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    for key in ["a", "b"] {
        store.put(key, b"meta", bytes(&noise(1, LARGE))).expect("put");
        store.put(&format!("{key}/middle"), b"meta", bytes(&noise(2, 200_000))).expect("put");
    }
    let usage = store.usage().expect("counted");
    assert_eq!((usage.entries, usage.blobs), (4, 2));
    let bodies = LARGE as u64 + 200_000;
    assert!((bodies..bodies + 1000).contains(&usage.live), "{usage:?}");
    assert!(usage.disk() >= bodies, "{usage:?}");
    assert_eq!(usage.files, LARGE as u64);
    let mut places = Vec::new();
    let visit = &mut |row: &EntryRow<'_>| {
        places.push((row.key.to_string(), row.place));
        true
    };
    store.scan_entries("a", None, visit).expect("scanned");
    assert_eq!(places, [("a".to_string(), Place::File), ("a/middle".to_string(), Place::Tables)]);
}

#[test]
fn a_warm_get_touches_no_table() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    for (name, size) in [("a.info", 300), ("a.mod", 30_000)] {
        store.put(name, b"meta", bytes(&noise(1, size))).expect("put");
        store.get(name).expect("readable");
        // Taken away behind its back: what is still given came from memory.
        store.database.entries.remove(name.as_bytes()).expect("removed");
        let stored = store.get(name).expect("readable").expect(name);
        assert_eq!(stored.blob.in_memory().expect("in memory"), noise(1, size), "{name}");
    }
}
