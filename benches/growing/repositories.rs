//! Repositories that a server knows: what each takes of memory, and what it costs when all their lists expire at once.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{ended, home, megabytes, resident};
use crate::measured::deep::{git, run};
use crate::measured::wire::Wire;
use crate::support::git_server::{Flavour, GitServer};
use crate::support::modvet::{Modvet, over_git};

const CLIENTS: usize = 16;

pub fn measure(numbers: &[usize]) {
    for number in numbers {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
        repositories(folder.path(), *number);
        one(*number, &GitServer::start(folder.path(), Flavour::Filters));
    }
}

/// One history under many names: to a proxy each is a repository of its own.
fn repositories(folder: &Path, number: usize) {
    run(git(folder).args(["init", "--quiet", "--bare", "--initial-branch=main", "r0"]));
    let history = "commit refs/heads/main\nmark :1\ncommitter Nobody <nobody@example.com> 1500000000 +0000\ndata 0\n\
                   M 100644 inline go.mod\ndata 18\nmodule bench.test\n\n\
                   tag v1.0.0\nfrom :1\ntagger Nobody <nobody@example.com> 1500000000 +0000\ndata 0\n";
    let file = folder.join("history");
    std::fs::write(&file, history).expect("a writable folder");
    let history = std::fs::File::open(&file).expect("it was written");
    run(git(&folder.join("r0")).args(["fast-import", "--quiet"]).stdin(history));
    for number in 1..number {
        std::os::unix::fs::symlink("r0", folder.join(format!("r{number}"))).expect("a writable folder");
    }
}

fn one(number: usize, server: &GitServer) {
    println!("--- {number} repositories");
    let store = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
    let settings = format!("{}list_validity = \"1s\"\n", over_git(&server.url(), "rewrite", ""));
    let modvet = home(store.path(), "127.0.0.1:0", &settings).serve();
    let before = resident(modvet.id());
    let (first, asked) = (all(&modvet, number), server.counts().requests());
    let grown = resident(modvet.id()).saturating_sub(before);
    println!("time   {number}: all lists for the first time: {first:.2?}, {asked} requests to git");
    println!("memory {number}: {:.1} MB more, {} KiB for each", megabytes(grown), grown / 1024 / number as u64);
    std::thread::sleep(Duration::from_secs(1));
    let (again, expired) = (all(&modvet, number), server.counts().requests() - asked);
    println!("time   {number}: all lists once they have expired: {again:.2?}, {expired} requests to git");
    assert!(expired <= 2 * number as u64, "{expired} requests to renew {number} lists");
    let start = Instant::now();
    let output = modvet.home().run(&["cache", "stats", "--config", "modvet.toml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("time   {number}: modvet cache stats: {:.1?}", start.elapsed());
    let home = ended(modvet);
    let start = Instant::now();
    let modvet = home.serve();
    println!("time   {number}: listens again after {:.1?}", start.elapsed());
    ended(modvet);
}

/// The list of each module once; how long all of them took.
fn all(modvet: &Modvet, number: usize) -> Duration {
    let (start, address) = (Instant::now(), modvet.address());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut wire = Wire::connect(address);
                for number in (client..number).step_by(CLIENTS) {
                    let path = format!("/github.com/bench/r{number}/@v/list");
                    assert_eq!(wire.get(&path), (200, &b"v1.0.0\n"[..]), "{path}");
                }
            });
        }
    });
    start.elapsed()
}
