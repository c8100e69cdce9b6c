//! A process that writes is killed at any moment: what is visible afterwards is whole, and what was
//! promised is there. A process that moves a large zip does not hold it in memory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::suite::{assert_tidy, bytes, file, hashed, keys, noise, read};
use super::{Options, SledStore};
use crate::ports::{Body, Store};

/// Names the folder to a child, which is this test binary once more.
const FOLDER: &str = "MODVET_TEST_STORE";

const SEED: &str = "MODVET_TEST_SEED";

fn child(test: &str, folder: &Path, seed: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args([&format!("store::crash_tests::{test}"), "--exact", "--ignored", "--nocapture"]);
    command.env(FOLDER, folder).env(SEED, seed.to_string()).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn folder_of_child() -> PathBuf {
    std::env::var_os(FOLDER).expect("started by another test").into()
}

/// All three places of a body: beside its meta, in pieces, in a file.
fn options() -> Options {
    Options { spill: 400_000, cache: 1 << 20, ..Options::default() }
}

const WRITERS: u64 = 3;

#[test]
#[ignore = "started by `killed_at_any_moment`, which kills it"]
fn writes_until_killed() {
    let seed = std::env::var(SEED).expect("seed").parse::<u64>().expect("number");
    let store = &SledStore::open(folder_of_child(), options()).expect("opens");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                store.sweep().expect("swept");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        scope.spawn(|| {
            loop {
                store.compact(&mut |_| true).expect("compacted");
                std::thread::sleep(Duration::from_millis(seed % 50));
            }
        });
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for step in 0.. {
                    let mut dice = noise(seed + writer * 1_000_003 + step * 7_919, 16).into_iter().map(u64::from);
                    write_once(store, writer, &mut dice);
                }
            });
        }
    });
}

/// One change, said before and after.
fn write_once(store: &SledStore, writer: u64, dice: &mut impl Iterator<Item = u64>) {
    let mut roll = |sides: u64| (dice.next().expect("enough") * 256 + dice.next().expect("enough")) % sides;
    let key = format!("{writer}/{}", roll(5));
    let size = [0, 300, 16_339, 16_340, 32_768, 70_000, 350_000, 500_000, 1_500_000][roll(9) as usize];
    // Few seeds, so that writers meet on the same contents.
    let (action, seed, mark) = (roll(10), roll(3), roll(60_000));
    match action {
        0 => {
            say(&format!("begin {key} gone"));
            match seed {
                0 => drop(store.delete(&key).expect("deleted")),
                _ => drop(store.delete_many(std::slice::from_ref(&key)).expect("deleted")),
            }
        }
        1 => {
            let Some(stored) = store.get(&key).expect("readable") else { return };
            let meta = String::from_utf8(stored.meta.to_vec()).expect("text");
            let (seed_and_size, _) = meta.rsplit_once('-').expect("mark");
            let meta = format!("{seed_and_size}-{mark}");
            say(&format!("begin {key} {meta}"));
            match seed {
                0 => assert!(store.put_meta(&key, meta.as_bytes()).expect("put")),
                _ => store
                    .update_metas(std::slice::from_ref(&key), &mut |_, _| Some(meta.clone().into_bytes()))
                    .expect("updated"),
            }
        }
        _ => {
            let meta = format!("{seed}-{size}-{mark}");
            say(&format!("begin {key} {meta}"));
            let body = noise(seed, size);
            let body = match action {
                2 => hashed(store, &body),
                3 | 4 => file(store, &body),
                _ => bytes(&body),
            };
            put_once(store, (writer, &key), &meta, body);
        }
    }
    say(&format!("end {key}"));
}

/// One entry, which lasts when this returns: by itself, or by what comes behind it.
fn put_once(store: &SledStore, (writer, key): (u64, &str), meta: &str, body: Body) {
    match meta.bytes().map(u32::from).sum::<u32>() % 3 {
        0 => drop(store.put(key, meta.as_bytes(), body).expect("put")),
        1 => {
            store.put_soon(key, meta.as_bytes(), body).expect("put");
            store.persist().expect("persisted");
        }
        _ => {
            let (row, mark) = (format!("{writer}/row"), meta.rsplit_once('-').expect("mark").1);
            say(&format!("begin {row} 0-0-{mark}"));
            store.put_soon(key, meta.as_bytes(), body).expect("put");
            store.put(&row, format!("0-0-{mark}").as_bytes(), bytes(b"")).expect("put");
            say(&format!("end {row}"));
        }
    }
}

/// One line, whole, past what the test harness captures.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).and_then(|()| out.flush()).expect("heard");
}

/// What a key may hold: what was promised, or what was on its way when a writer was killed; `None` for nothing.
#[derive(Debug, Clone, Default)]
struct Promise {
    kept: Option<String>,
    begun: Vec<Option<String>>,
}

type Promises = BTreeMap<String, Promise>;

fn note(promises: &mut Promises, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["begin", key, meta] => {
            let meta = (meta != "gone").then(|| meta.to_string());
            promises.entry(key.to_string()).or_default().begun.push(meta);
        }
        ["end", key] => {
            let promise = promises.entry(key.to_string()).or_default();
            promise.kept = promise.begun.pop().expect("begun before");
            promise.begun.clear();
        }
        _ => {}
    }
}

/// Runs a writer until a number of lines and some more time have passed, kills it, and notes what it said.
fn run_and_kill(folder: &Path, seed: u64, lines: usize, more: Duration, promises: &mut Promises) -> usize {
    let mut child = child("writes_until_killed", folder, seed).stdout(Stdio::piped()).spawn().expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (said, heard) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = said.send(line);
        }
    });
    let mut count = 0;
    while count < lines {
        let line = heard.recv_timeout(Duration::from_secs(120)).expect("the writer goes on");
        note(promises, &line);
        count += 1;
    }
    let deadline = Instant::now() + more;
    while let Ok(line) = heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        note(promises, &line);
        count += 1;
    }
    child.kill().expect("killed");
    let status = child.wait().expect("waited");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL), "ended by itself");
    listener.join().expect("listened");
    heard.try_iter().for_each(|line| note(promises, &line));
    count
}

/// Everything visible is whole and promised; afterwards it is the new promise.
fn check(store: &SledStore, promises: &mut Promises, round: u64) {
    let visible = keys(store, "");
    for key in &visible {
        let stored = store.get(key).expect("readable").unwrap_or_else(|| panic!("round {round}: {key} is not whole"));
        let meta = String::from_utf8(stored.meta.to_vec()).expect("text");
        let words: Vec<u64> = meta.split('-').map(|word| word.parse().expect("number")).collect();
        assert!(read(&stored.blob) == noise(words[0], words[1] as usize), "round {round}: {key} {meta}: other bytes");
    }
    for (key, promise) in promises.iter_mut() {
        let meta = store.get(key).expect("readable").map(|s| String::from_utf8(s.meta.to_vec()).expect("text"));
        assert!(
            meta == promise.kept || promise.begun.contains(&meta),
            "round {round}: {key} holds {meta:?} (expected {promise:?})"
        );
        *promise = Promise { kept: meta, begun: Vec::new() };
    }
    assert!(visible.iter().all(|key| promises.contains_key(key)), "round {round}: nobody wrote {visible:?}");
}

#[test]
fn killed_at_any_moment() {
    let folder = tempfile::tempdir().expect("folder");
    let seed = u64::from(std::process::id());
    let mut promises = Promises::new();
    let (mut heard, mut half_copied, mut moved) = (0, 0, 0);
    for round in 0..24 {
        let dice = noise(seed + round, 4);
        // Every sixth round the kill comes while the store opens.
        let lines = if round % 6 == 5 { 0 } else { 3 + usize::from(dice[0]) };
        let more = Duration::from_millis(u64::from(dice[1] % 40));
        heard += run_and_kill(folder.path(), seed ^ (round << 32), lines, more, &mut promises);
        half_copied += u32::from(folder.path().join("sled").exists() && folder.path().join("sled.2").exists());
        moved += u32::from(!folder.path().join("sled").exists());
        // Every other round the next writer opens what the kill left.
        if round % 2 == 0 {
            let store = SledStore::open(folder.path(), options()).expect("opens after a kill");
            check(&store, &mut promises, round);
            store.sweep().expect("swept");
            check(&store, &mut promises, round);
            assert_tidy(&store);
        }
    }
    let store = SledStore::open(folder.path(), options()).expect("opens after a kill");
    check(&store, &mut promises, 24);
    assert!(heard > 1000, "only {heard} lines: it tests nothing");
    assert!(half_copied > 2, "only {half_copied} kills while tables were copied, {moved} with the second folder alone");
    let pages = ["sled", "sled.2"].map(|tables| std::fs::read_dir(folder.path().join(tables).join("blobs")));
    assert_eq!(pages.into_iter().flatten().flatten().count(), 0, "pages as files");
}

/// The most memory that this process ever had, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().strip_suffix(" kB").expect("kB").parse::<u64>().expect("number") << 10
}

/// Puts a zip, reads it twice, says how much memory it took.
#[cfg(target_os = "linux")]
fn move_large(options: Options) {
    const SIZE: usize = 200 << 20;
    let store = SledStore::open(folder_of_child(), options).expect("opens");
    let before = peak_memory();
    let mut body = store.scratch().expect("scratch file");
    for seed in 0..SIZE >> 20 {
        body.write_all(&noise(seed as u64, 1 << 20)).expect("written");
    }
    store.put("large.zip", b"", Body::File(body)).expect("put");
    let put = peak_memory();
    for _ in 0..2 {
        let blob = store.get("large.zip").expect("readable").expect("there").blob;
        let mut offset = 0;
        while offset < blob.size() {
            offset += blob.read_at(offset, 64 << 10).expect("readable").len() as u64;
        }
        assert_eq!(offset, SIZE as u64);
    }
    say(&format!("grew {} {}", put - before, peak_memory() - before));
}

#[test]
#[ignore = "started by `a_large_zip_is_not_held_in_memory`"]
#[cfg(target_os = "linux")]
fn moves_a_large_file() {
    move_large(Options::default());
}

#[test]
#[ignore = "started by `a_large_zip_is_not_held_in_memory`"]
#[cfg(target_os = "linux")]
fn moves_many_pieces() {
    move_large(all_in_tables());
}

#[test]
#[ignore = "started by `a_large_zip_is_not_held_in_memory`"]
#[cfg(target_os = "linux")]
fn compacts_much() {
    let store = SledStore::open(folder_of_child(), all_in_tables()).expect("opens");
    let before = peak_memory();
    let compaction = store.compact(&mut |_| true).expect("compacted");
    assert!(compaction.after > 200 << 20, "{compaction:?}");
    say(&format!("grew {}", peak_memory() - before));
}

fn all_in_tables() -> Options {
    Options { spill: u64::MAX, ..Options::default() }
}

#[test]
#[cfg(target_os = "linux")]
fn a_large_zip_is_not_held_in_memory() {
    let limits = [("moves_a_large_file", 16 << 20), ("moves_many_pieces", 150 << 20), ("compacts_much", 200 << 20)];
    for (test, limit) in limits {
        let folder = tempfile::tempdir().expect("folder");
        if test == "compacts_much" {
            let store = SledStore::open(folder.path(), all_in_tables()).expect("opens");
            for seed in 0..100 {
                store.put(&seed.to_string(), b"", bytes(&noise(seed, 2 << 20))).expect("put");
            }
        }
        let output = child(test, folder.path(), 0).output().expect("ran");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("grew ")).unwrap_or_else(|| panic!("{test}: {text}"));
        let grown = line.split(' ').map(|word| word.parse::<u64>().expect("number")).max().expect("numbers");
        assert!(grown < limit, "{test}: grew by {grown} bytes (expected less than {limit}); {line}");
    }
}
