//! What is at hand is what lies there: nothing that was replaced, deleted or is in doubt is answered from memory.

use std::fs;

use super::corruption_tests::{files, flip, only_file};
use super::suite::{assert_tidy, bytes, noise, open, read};
use super::{Options, SledStore};
use crate::ports::{Blob, Store, Stored};

/// One that lies in pieces, and one that is a file.
const SIZES: [usize; 2] = [300_001, 9 << 20];

fn at_hand(store: &SledStore, key: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    store.at_hand(key).map(|Stored { meta, blob }| (meta.to_vec(), read(&blob)))
}

/// What of a blob needs no waiting for, from an offset on.
fn near(blob: &Blob, offset: u64) -> Option<Vec<u8>> {
    blob.at_hand(offset, 1 << 20).map(|bytes| bytes.to_vec())
}

#[test]
fn a_replaced_entry_is_not_answered_from_memory() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    assert!(store.at_hand("a.zip").is_none());
    for (number, size) in [SIZES[0], SIZES[1], 10, SIZES[1], 40_000, SIZES[0]].into_iter().enumerate() {
        let (meta, body) = (vec![number as u8], noise(number as u64, size));
        store.put("a.zip", &meta, bytes(&body)).expect("put");
        assert!(at_hand(&store, "a.zip") == Some((meta, body)), "put {number}, of {size} bytes");
        assert_tidy(&store);
    }
    store.put_meta("a.zip", b"new").expect("put");
    assert_eq!(store.get("a.zip").expect("readable").expect("there").meta, "new");
    assert_eq!(at_hand(&store, "a.zip").expect("just read").0, b"new");
}

#[test]
fn a_deleted_blob_goes_at_once_though_it_was_held_open() {
    for size in SIZES {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        let body = noise(1, size);
        store.put("a.zip", b"meta", bytes(&body)).expect("put");
        assert!(read(&store.get("a.zip").expect("readable").expect("there").blob) == body);
        store.delete("a.zip").expect("deleted");
        assert!(store.at_hand("a.zip").is_none());
        assert_eq!(files(&folder.path().join("files")).len(), 0, "{size} bytes");
        assert_eq!(store.database.manifests.scan(b"").count(), 0, "{size} bytes");
        assert_tidy(&store);
    }
}

#[test]
fn whoever_reads_a_deleted_blob_reads_it_to_its_end() {
    for size in SIZES {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        let body = noise(1, size);
        store.put("a.zip", b"meta", bytes(&body)).expect("put");
        let blob = store.get("a.zip").expect("readable").expect("there").blob;
        store.delete("a.zip").expect("deleted");
        assert!(read(&blob) == body, "{size} bytes");
        drop(blob);
        store.put("b.zip", b"meta", bytes(b"other")).expect("put");
        assert_eq!(store.database.manifests.scan(b"").count(), 0, "{size} bytes: it goes with the next write");
    }
}

#[test]
fn a_file_that_somebody_took_away_is_not_answered_for() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    store.put("a.zip", b"meta", bytes(&noise(1, SIZES[1]))).expect("put");
    assert!(store.at_hand("a.zip").is_some());
    fs::remove_file(only_file(folder.path())).expect("removed");
    assert!(store.at_hand("a.zip").is_none());
    assert!(store.get("a.zip").expect("readable").is_none());
    assert_tidy(&store);
}

#[test]
fn a_blob_in_doubt_is_read_anew_before_it_is_answered_with() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    store.put("a.zip", b"meta", bytes(&noise(1, SIZES[1]))).expect("put");
    flip(&only_file(folder.path()), 5_000_000);
    let verified = store.verify("", &mut |_| true).expect("verified");
    assert_eq!(verified.damaged, ["a.zip"]);
    assert!(store.at_hand("a.zip").is_none());
    assert!(store.get("a.zip").expect("readable").is_none());
}

#[test]
fn what_is_at_hand_is_a_part_of_the_body() {
    for size in SIZES {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        let body = noise(1, size);
        let blob = store.put("a.zip", b"meta", bytes(&body)).expect("put").blob;
        for offset in [0, 1, 32_768, 131_071, 131_072, 200_000, size as u64 - 1] {
            let rest = &body[offset as usize..];
            let came = blob.read_at(offset, 1 << 20).expect("readable");
            assert!(!came.is_empty() && rest.starts_with(&came), "from {offset} of {size}");
            let near = near(&blob, offset);
            assert!(near.as_ref().is_none_or(|near| rest.starts_with(near)), "from {offset} of {size}");
            // Not every system says what it has of a file in memory.
            assert!(size == SIZES[1] || near.is_some_and(|near| !near.is_empty()), "from {offset} of {size}");
        }
        assert_eq!(near(&blob, size as u64), None, "beyond the end of {size}");
    }
}

#[test]
fn frames_in_memory_are_bounded() {
    let folder = tempfile::tempdir().expect("folder");
    let options = Options { frames: 1 << 20, ..Options::default() };
    let store = SledStore::open(folder.path(), options).expect("opens");
    let body = noise(1, 5_000_000);
    let blob = store.put("a.zip", b"meta", bytes(&body)).expect("put").blob;
    for _ in 0..2 {
        assert!(read(&blob) == body);
    }
    let near: usize = (0..39).filter_map(|number| near(&blob, number << 17)).map(|near| near.len()).sum();
    assert!(near <= 1 << 20, "{near} bytes in memory");
}

/// A piece that sled reads without complaint may not be what was written.
#[test]
fn what_was_read_of_a_damaged_blob_is_not_given_once_it_was_put_again() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    let body = noise(1, SIZES[0]);
    let blob = store.put("a.zip", b"meta", bytes(&body)).expect("put").blob;
    let piece = [b"blob/", hex::encode(blob.sha256()).as_bytes(), b"/\0\0\0\x01"].concat();
    store.database.pieces.insert(&piece, vec![0_u8; 32 << 10]).expect("written");
    let came = blob.read_at(0, 100_000).expect("readable");
    assert!(came[..] != body[..came.len()], "the damage is in memory");
    drop((blob, came));
    assert_eq!(store.verify("", &mut |_| true).expect("verified").damaged, ["a.zip"]);
    let again = store.put("a.zip", b"meta", bytes(&body)).expect("put").blob;
    assert!(read(&again) == body);
}
