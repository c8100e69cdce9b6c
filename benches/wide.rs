//! A tree of 300 MB in 5,000 files: what its go.mod costs, and how long its zip takes, beside the go command in direct
//! mode. And a tree of many small files and a few large ones; and four zips at once.
//!
//! `cargo bench --bench wide`, or one of `mod`, `zip`, `many`, `next`, `herd` behind it; the rows of docs/performance.md are
//! made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use measured::broad::{Broad, MANY, NESTED, WIDE};
use measured::process::{children, memory, processor_time};
use measured::wire::Wire;
use measured::{compare, compare_bytes, is_wanted, middle};
use support::git_server::{Flavour, GitServer};
use support::go::{Download, Fresh, Go, run};
use support::h1;
use support::modvet::Modvet;

/// How often each takes its turn.
const TURNS: usize = 3;
/// What a go.mod may cost from the network.
const MOD_BYTES: u64 = 1_000_000;
/// The most memory while zips are built.
const MEMORY: u64 = 150 << 20;
/// How many zips are built at once.
const HERD: usize = 4;

fn main() {
    let broad = Broad::made();
    let server = GitServer::start(&broad.folder, Flavour::Filters);
    for (module, repository) in [(WIDE, "broad"), (MANY, "many")] {
        let (files, bytes) = broad.size(repository, "refs/heads/main");
        println!("count  {module}: {files} files, {} MB", bytes / 1_000_000);
    }
    if is_wanted("mod") {
        go_mods(&broad, &server);
        without_filters(&broad);
    }
    if is_wanted("zip") {
        zips(&server, "a zip of 5,000 files and 300 MB", WIDE, &broad.commit("broad", 7));
    }
    if is_wanted("many") {
        zips(&server, "a zip of 20,000 small files and 4 large ones", MANY, &broad.commit("many", 0));
    }
    if is_wanted("next") {
        next_version(&broad, &server);
    }
    if is_wanted("herd") {
        at_once(&broad, &server);
    }
}

/// The version that a hash stands for.
fn version(wire: &mut Wire, module: &str, hash: &str) -> String {
    let (status, body) = wire.get(&format!("/{module}/@v/{hash}.info"));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
    let info: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    info["Version"].as_str().expect("a version").to_owned()
}

/// A go.mod from cold and with the history here: few bytes, and no zip.
fn go_mods(broad: &Broad, server: &GitServer) {
    let go = Go::new(&server.url(), &["github.com"]);
    let last = broad.commit("broad", 5);
    let table = [
        ("of a tag", WIDE, "v1.0.0"),
        ("of a hash", WIDE, last.as_str()),
        ("of a module in a folder", NESTED, "v1.0.0"),
        ("made up, where the tree has none", WIDE, &broad.first()),
    ];
    for (name, module, query) in table {
        let modvet = Modvet::over_git(&server.url(), "rewrite");
        let mut wire = Wire::connect(modvet.address());
        let (bytes, requests) = (server.counts().bytes(), server.counts().requests());
        let start = Instant::now();
        let version = if query.starts_with('v') { query.to_owned() } else { version(&mut wire, module, query) };
        let (status, body) = wire.get(&format!("/{module}/@v/{version}.mod"));
        let took = start.elapsed();
        assert_eq!(status, 200, "{name}: {}", String::from_utf8_lossy(body));
        let sum = h1::of_go_mod(body);
        let cold = server.counts().bytes() - bytes;
        let asked = server.counts().requests() - requests;
        println!("count  go.mod {name}, from cold: {cold} bytes in {asked} requests, {took:.1?}");
        assert!(cold < MOD_BYTES, "a go.mod {name} costs less than {MOD_BYTES} bytes");
        assert!(largest(&modvet) < MOD_BYTES, "no zip and no pack of files is kept for a go.mod");
        assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
        let (fetched, sum_of_go) = go_mod_by_go(&go, server, module, &version);
        assert_eq!(sum, sum_of_go, "{name}: the go command's go.mod");
        compare_bytes(&format!("bytes of a go.mod {name}, modvet to go list -m"), cold, fetched);
    }
    let modvet = Modvet::over_git(&server.url(), "rewrite");
    let mut wire = Wire::connect(modvet.address());
    version(&mut wire, WIDE, &broad.commit("broad", 50));
    let (bytes, requests) = (server.counts().bytes(), server.counts().requests());
    let start = Instant::now();
    let asked = version(&mut wire, WIDE, &last);
    assert_eq!(wire.get(&format!("/{WIDE}/@v/{asked}.mod")).0, 200);
    let (bytes, requests) = (server.counts().bytes() - bytes, server.counts().requests() - requests);
    println!("count  go.mod, history here: {bytes} bytes in {requests} requests, {:.1?}", start.elapsed());
    assert!(bytes < MOD_BYTES, "a go.mod costs less than {MOD_BYTES} bytes");
}

/// What the go command fetches for a go.mod alone, and the sum of it.
fn go_mod_by_go(go: &Go, server: &GitServer, module: &str, version: &str) -> (u64, String) {
    let cache = go.fresh();
    let before = server.counts().bytes();
    let output = run(go.command(&cache).args(["list", "-m", "-json", &format!("{module}@{version}")]));
    let bytes = server.counts().bytes() - before;
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("go list prints JSON");
    let path = listed["GoMod"].as_str().expect("a go.mod").to_owned();
    let go_mod = std::fs::read(path).expect("go keeps it");
    (bytes, h1::of_go_mod(&go_mod))
}

/// What the go command makes of a version with what this cache holds.
fn download(go: &Go, cache: &Fresh, module: &str, query: &str) -> Download {
    let output = run(go.command(cache).args(["mod", "download", "-json", &format!("{module}@{query}")]));
    serde_json::from_slice(&output.stdout).expect("go prints JSON")
}

/// The size of the largest file below the store, logs and tables apart.
fn largest(modvet: &Modvet) -> u64 {
    let mut largest = 0;
    let mut folders = vec![modvet.home().store().join("git"), modvet.home().store().join("files")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            }
            largest = largest.max(if found.is_file() { found.len() } else { 0 });
        }
    }
    largest
}

/// A server that cannot leave out files gives all of them for a go.mod; once.
fn without_filters(broad: &Broad) {
    let server = GitServer::start(&broad.folder, Flavour::NoFilters);
    let modvet = Modvet::over_git(&server.url(), "rewrite");
    let mut wire = Wire::connect(modvet.address());
    let start = Instant::now();
    assert_eq!(wire.get(&format!("/{WIDE}/@v/v1.0.0.mod")).0, 200, "{}", modvet.log());
    let bytes = server.counts().bytes();
    println!("count  go.mod of a server without filters: {bytes} bytes, {:.1?}", start.elapsed());
    assert_eq!(wire.get(&format!("/{NESTED}/@v/v1.0.0.mod")).0, 200, "{}", modvet.log());
    let more = server.counts().bytes() - bytes;
    println!("count  another go.mod of the same commit there: {more} bytes");
    assert!(more < MOD_BYTES, "files that are here are not fetched again");
}

/// A zip from cold, in turn with the go command; the same sum.
fn zips(server: &GitServer, name: &str, module: &str, hash: &str) {
    let go = Go::new(&server.url(), &["github.com"]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut fetched, mut of_go) = (0, 0);
    for turn in 0..TURNS {
        let modvet = Modvet::over_git(&server.url(), "rewrite");
        let mut wire = Wire::connect(modvet.address());
        let before = server.counts().bytes();
        let start = Instant::now();
        let version = version(&mut wire, module, hash);
        let path = format!("/{module}/@v/{version}.zip");
        let (status, length) = wire.drain(&path);
        ours.push(start.elapsed());
        assert_eq!(status, 200, "{path}: {}", modvet.log());
        fetched = server.counts().bytes() - before;
        let (used, peak) = (processor_time(modvet.id()).unwrap_or_default(), memory(modvet.id()).unwrap_or_default().1);
        assert!(children(modvet.id()).is_empty(), "modvet runs no processes");

        let before = server.counts().bytes();
        let cache = go.fresh();
        let start = Instant::now();
        let download = download(&go, &cache, module, hash);
        theirs.push(start.elapsed());
        of_go = server.counts().bytes() - before;
        assert_eq!(download.version, version, "{}", download.error);
        println!("time   {name}: {:.2?} to {:.2?}, modvet's processor time {used:.2?}", ours[turn], theirs[turn]);
        println!("memory {name}: {} MB at most", peak >> 20);
        assert!(peak <= MEMORY, "{name}: at most {} MB of memory, not {}", MEMORY >> 20, peak >> 20);
        if turn == 0 {
            assert_eq!(h1::of_zip(wire.get(&path).1).as_deref(), Ok(download.sum.as_str()), "{name}");
            let zip = std::fs::metadata(&download.zip).expect("go keeps it").len();
            compare_bytes(&format!("size of {name}, modvet to go"), length, zip);
        }
    }
    let theirs = middle(theirs);
    compare(&format!("{name}, modvet to go mod download (at most 0.5)"), middle(ours), theirs);
    compare_bytes(&format!("bytes of {name}, modvet to go mod download"), fetched, of_go);
}

/// The zip of a version beside one whose files are here.
fn next_version(broad: &Broad, server: &GitServer) {
    let modvet = Modvet::over_git(&server.url(), "rewrite");
    let mut wire = Wire::connect(modvet.address());
    let go = Go::new(&server.url(), &["github.com"]);
    let cache = go.fresh();
    for (number, back) in [30, 3].into_iter().enumerate() {
        let hash = broad.commit("broad", back);
        let before = server.counts().bytes();
        let start = Instant::now();
        let version = version(&mut wire, WIDE, &hash);
        assert_eq!(wire.drain(&format!("/{WIDE}/@v/{version}.zip")).0, 200, "{}", modvet.log());
        let ours = start.elapsed();
        let fetched = server.counts().bytes() - before;
        let before = server.counts().bytes();
        let start = Instant::now();
        let download = download(&go, &cache, WIDE, &hash);
        let theirs = start.elapsed();
        let of_go = server.counts().bytes() - before;
        let path = format!("/{WIDE}/@v/{version}.zip");
        assert_eq!(h1::of_zip(wire.get(&path).1).as_deref(), Ok(download.sum.as_str()), "{path}");
        if number > 0 {
            compare("the zip of another version, modvet to go with its cache", Some(ours), Some(theirs));
            compare_bytes("bytes of it", fetched, of_go);
        }
    }
}

/// Zips of several versions at once: no more memory than for one.
fn at_once(broad: &Broad, server: &GitServer) {
    let modvet = Modvet::over_git(&server.url(), "rewrite");
    let versions: Vec<String> = (0..HERD)
        .map(|n| version(&mut Wire::connect(modvet.address()), WIDE, &broad.commit("broad", 10 + 40 * n)))
        .collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for version in &versions {
            let mut wire = Wire::connect(modvet.address());
            scope.spawn(move || assert_eq!(wire.drain(&format!("/{WIDE}/@v/{version}.zip")).0, 200));
        }
    });
    let took = start.elapsed();
    let peak = memory(modvet.id()).map_or(0, |(_, peak)| peak);
    println!("time   {HERD} zips of versions of one repository at once: {took:.2?}");
    println!("memory {HERD} zips at once: {} MB at most", peak >> 20);
    assert!(peak <= MEMORY, "at most {} MB of memory, not {}", MEMORY >> 20, peak >> 20);
}
