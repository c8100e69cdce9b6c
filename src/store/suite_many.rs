//! What every store does with many entries at once; `suite` runs it against each of them.

use sha2::{Digest, Sha256};

use super::META_LIMIT;
use super::suite::{Case, SIZES, bytes, entry, keys, noise, read};
use crate::ports::{EntryRow, Progress, Store, Verified};

pub(super) const CASES: [Case; 8] = [
    updates_the_metas_of_many,
    updates_no_meta_that_another_changes,
    deletes_many,
    shows_entries_unread,
    counts_what_there_is,
    verifies_what_is_below_a_prefix,
    verifies_until_told_to_stop,
    keeps_all_when_compacted,
];

fn updates_the_metas_of_many(store: &dyn Store) {
    for (name, size) in SIZES {
        store.put(name, b"meta", bytes(&noise(7, size))).expect(name);
        assert!(entry(store, name).is_some(), "{name}: read, so that it may be remembered");
    }
    let keys: Vec<String> = SIZES.iter().map(|(name, _)| (*name).to_string()).chain(["absent".to_string()]).collect();
    let mut seen = Vec::new();
    let change = &mut |key: &str, meta: &[u8]| {
        assert_eq!(meta, b"meta", "{key}");
        seen.push(key.to_string());
        (key != "one byte").then(|| format!("{key}, new").into_bytes())
    };
    store.update_metas(&keys, change).expect("updated");
    assert_eq!(seen, keys[..SIZES.len()], "those that there are");
    assert_eq!(entry(store, "absent"), None);
    for (name, size) in SIZES {
        let meta = if name == "one byte" { "meta".to_string() } else { format!("{name}, new") };
        assert!(entry(store, name) == Some((meta.into_bytes(), noise(7, size))), "{name}");
    }
    let error = store.update_metas(&keys, &mut |_, _| Some(noise(1, META_LIMIT + 1))).expect_err("too large");
    assert!(error.what().contains("(expected at most "), "{error}");
}

/// Threads that add up in metas lose nothing of each other's.
fn updates_no_meta_that_another_changes(store: &dyn Store) {
    let keys: Vec<String> = (0..3).map(|number| number.to_string()).collect();
    for key in &keys {
        store.put(key, &[0], bytes(b"body")).expect("put");
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    store.update_metas(&keys, &mut |_, meta| Some(vec![meta[0] + 1])).expect("updated");
                }
            });
        }
    });
    for key in &keys {
        assert_eq!(entry(store, key), Some((vec![100], b"body".to_vec())), "{key}");
    }
}

fn deletes_many(store: &dyn Store) {
    assert_eq!(store.delete_many(&[]).expect("deleted"), 0);
    for (name, size) in SIZES {
        for which in ["a", "b"] {
            store.put(&format!("{which}/{name}"), b"meta", bytes(&noise(8, size))).expect(name);
        }
    }
    let all = |which: &str| SIZES.iter().map(|(name, _)| format!("{which}/{name}")).collect::<Vec<_>>();
    let held = store.get("b/9 MiB").expect("readable").expect("there").blob;
    assert_eq!(store.delete_many(&[all("a"), vec!["absent".into()]].concat()).expect("deleted"), 11);
    assert_eq!(keys(store, "a/"), [""; 0]);
    for (name, size) in SIZES {
        assert!(
            entry(store, &format!("b/{name}")) == Some((b"meta".to_vec(), noise(8, size))),
            "{name}: the same body"
        );
    }
    assert_eq!(store.delete_many(&all("b")).expect("deleted"), 11);
    assert_eq!(store.delete_many(&all("b")).expect("deleted"), 0);
    assert_eq!(keys(store, ""), [""; 0]);
    assert!(read(&held) == noise(8, 9 << 20), "what is being read is read to its end");
    drop(held);
    store.put("key", b"", bytes(b"")).expect("put");
    assert!(store.delete("key").expect("deleted"));
}

fn shows_entries_unread(store: &dyn Store) {
    for (name, size) in SIZES {
        store.put(&format!("a/{name}"), name.as_bytes(), bytes(&noise(2, size))).expect(name);
    }
    store.put("b", b"", bytes(b"")).expect("put");
    let mut expected: Vec<_> = SIZES.to_vec();
    expected.sort_unstable();
    let mut seen = Vec::new();
    let visit = &mut |row: &EntryRow<'_>| {
        let (name, size) = expected[seen.len()];
        assert_eq!((row.key, row.meta, row.size), (&*format!("a/{name}"), name.as_bytes(), size as u64));
        assert_eq!(row.sha256, <[u8; 32]>::from(Sha256::digest(noise(2, size))), "{name}");
        seen.push(name);
        true
    };
    store.scan_entries("a/", None, visit).expect("scanned");
    assert_eq!(seen.len(), SIZES.len());
    let behind = |after: &str| {
        let mut count = 0;
        let visit = &mut |_: &EntryRow<'_>| {
            count += 1;
            true
        };
        store.scan_entries("a/", Some(after), visit).expect("scanned");
        count
    };
    let third = format!("a/{}", expected[2].0);
    assert_eq!([behind(&third), behind("a"), behind("a/"), behind("b")], [seen.len() - 3, seen.len(), seen.len(), 0]);
    let mut visits = 0;
    let first = &mut |_: &EntryRow<'_>| {
        visits += 1;
        false
    };
    store.scan_entries("", None, first).expect("scanned");
    assert_eq!(visits, 1, "stops when told");
}

fn counts_what_there_is(store: &dyn Store) {
    assert_eq!(store.usage().expect("counted").entries, 0);
    let mut bytes_put = 0;
    for (seed, (name, size)) in SIZES.into_iter().enumerate() {
        store.put(name, b"meta", bytes(&noise(seed as u64, size))).expect(name);
        bytes_put += (name.len() + 4 + size) as u64;
    }
    let usage = store.usage().expect("counted");
    assert_eq!(usage.entries, SIZES.len() as u64);
    assert!((bytes_put..bytes_put + 2000).contains(&usage.live), "{bytes_put}: {usage:?}");
    assert!(usage.live_in_tables + usage.files == usage.live || usage.disk() == 0, "{usage:?}");
    assert!(usage.tables >= usage.live_in_tables, "{usage:?}");
    for (name, _) in SIZES {
        store.delete(name).expect(name);
    }
    let usage = store.usage().expect("counted");
    assert_eq!((usage.entries, usage.live, usage.files), (0, 0, 0));
}

fn put_all(store: &dyn Store, folder: &str) {
    for (seed, (name, size)) in SIZES.into_iter().enumerate() {
        store.put(&format!("{folder}/{name}"), b"meta", bytes(&noise(seed as u64, size))).expect(name);
    }
}

fn verifies_what_is_below_a_prefix(store: &dyn Store) {
    put_all(store, "a");
    put_all(store, "b");
    let mut told = Vec::new();
    let progress = &mut |progress: Progress| {
        told.push(progress);
        true
    };
    let verified = store.verify("a/", progress).expect("verified");
    assert_eq!(verified, Verified { entries: SIZES.len() as u64, damaged: Vec::new() });
    let all = SIZES.iter().map(|(_, size)| *size as u64).sum();
    assert_eq!(told.last(), Some(&Progress { done: all, all }));
    assert!(told.is_sorted_by_key(|progress| progress.done), "{told:?}");
    assert_eq!(store.verify("", &mut |_| true).expect("verified").entries, 2 * SIZES.len() as u64);
    assert_eq!(store.verify("c", &mut |_| true).expect("verified"), Verified::default());
}

fn verifies_until_told_to_stop(store: &dyn Store) {
    put_all(store, "a");
    assert_eq!(store.verify("", &mut |_| false).expect("verified").entries, 1);
}

fn keeps_all_when_compacted(store: &dyn Store) {
    put_all(store, "a");
    put_all(store, "b");
    store.delete_many(&keys(store, "b")).expect("deleted");
    let held = store.get("a/3 MiB").expect("readable").expect("there").blob;
    store.compact(&mut |_| true).expect("compacted");
    assert_eq!(keys(store, "").len(), SIZES.len());
    for (seed, (name, size)) in SIZES.into_iter().enumerate() {
        assert!(entry(store, &format!("a/{name}")) == Some((b"meta".to_vec(), noise(seed as u64, size))), "{name}");
    }
    assert!(read(&held) == noise(9, 3 << 20), "whoever reads reads on");
    put_all(store, "b");
    assert_eq!(keys(store, "").len(), 2 * SIZES.len());
}
