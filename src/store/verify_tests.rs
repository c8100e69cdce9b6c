//! What is damaged is found by reading it, removed, and named; whatever shares it goes with it.

use std::fs;
use std::path::Path;

use super::corruption_tests::{cut, flip, only_file};
use super::suite::{assert_tidy, bytes, keys, noise, open, read};
use super::{Options, SledStore};
use crate::ports::Store;

const LARGE: usize = 9 << 20;

#[test]
fn a_damaged_file_is_found_removed_and_named() {
    type Damage = fn(&Path);
    let rows: [Damage; 3] =
        [|path| flip(path, 4_000_000), |path| cut(path, 5), |path| fs::remove_file(path).expect("removed")];
    for damage in rows {
        let folder = tempfile::tempdir().expect("folder");
        let store = open(folder.path());
        for key in ["a/1.zip", "a/2.zip", "b/1.zip"] {
            store.put(key, b"meta", bytes(&noise(1, LARGE))).expect("put");
        }
        store.put("a/1.mod", b"meta", bytes(&noise(2, 100_000))).expect("put");
        // Whole when it was first read; that is not believed any more.
        assert!(store.get("a/1.zip").expect("readable").is_some());
        damage(&only_file(folder.path()));

        let verified = store.verify("a/", &mut |_| true).expect("verified");
        assert_eq!(verified.damaged, ["a/1.zip", "a/2.zip", "b/1.zip"], "all that share it");
        assert_eq!(keys(&store, ""), ["a/1.mod"]);
        assert_tidy(&store);
        assert!(store.verify("", &mut |_| true).expect("verified").damaged.is_empty());
        store.put("a/1.zip", b"again", bytes(&noise(1, LARGE))).expect("put again");
        assert!(read(&store.get("a/1.zip").expect("readable").expect("there").blob) == noise(1, LARGE));
    }
}

#[test]
fn damage_in_the_tables_is_found_also_behind_what_is_in_memory() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(folder.path());
    for (key, size) in [("a.info", 300), ("b.info", 300), ("a.mod", 30_000), ("a.zip", 200_000), ("b.zip", 200_001)] {
        store.put(key, b"meta", bytes(&noise(1, size))).expect("put");
        assert!(store.get(key).expect("readable").is_some(), "{key}");
    }
    let mut value = store.database.entries.get(b"a.info").expect("read").expect("there").to_vec();
    *value.last_mut().expect("body") ^= 1;
    store.database.entries.insert(b"a.info", value).expect("written");
    store.database.entries.insert(b"b.info", &b"something else"[..]).expect("written");
    let sha256 = store.get("a.zip").expect("readable").expect("there").blob.sha256();
    let second = [b"blob/", hex::encode(sha256).as_bytes(), b"/\0\0\0\x01"].concat();
    assert!(store.database.pieces.remove(&second).expect("removed").is_some());

    let verified = store.verify("", &mut |_| true).expect("verified");
    assert_eq!((verified.entries, verified.damaged), (5, ["a.info", "a.zip", "b.info"].map(String::from).to_vec()));
    assert_eq!(keys(&store, ""), ["a.mod", "b.zip"]);
    for key in ["a.info", "a.zip", "b.info"] {
        assert!(store.get(key).expect("readable").is_none(), "{key}");
    }
    assert_tidy(&store);
    drop(store);
    assert_eq!(keys(&SledStore::open(folder.path(), Options::default()).expect("opens"), ""), ["a.mod", "b.zip"]);
}
