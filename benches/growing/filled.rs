//! Stores full of versions: filled once by a server over a proxy of rule, which is asked for every file of every version.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{ended, home};
use crate::measured::rule::{self, Rule};
use crate::measured::wire::Wire;

/// Raised whenever the stores are made otherwise.
const EDITION: u32 = 1;
const CLIENTS: usize = 64;
/// Tries of one answer: whoever stops this bench for a while makes it late.
const TRIES: usize = 5;

/// The proxy as the only upstream. It listens elsewhere at each start, and what is kept is kept under an address: so it has
/// one that stays, and whoever goes there is led to the proxy. What is kept holds for longer than the stores do.
pub fn settings(rule: &Rule) -> String {
    format!(
        "[git.instead_of]\n\"http://127.0.0.1:1/\" = \"{}/\"\n\n[[upstream]]\nname = \"rule\"\nkind = \"proxy\"\n\
         url = \"http://127.0.0.1:1/\"\ncache_validity_hours = 80000\n",
        rule.url()
    )
}

/// Folders of stores with so many versions each, made if they are not there yet.
pub fn stores(sizes: &[usize], rule: &Rule) -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = |size: usize| top.join(format!("growth-{size}-{EDITION}"));
    let mut before: Option<(usize, PathBuf)> = None;
    for size in sizes {
        if !folder(*size).is_dir() {
            let half = tempfile::tempdir_in(top).expect("a writable folder");
            let filled = before.as_ref().map_or(0, |(filled, _)| *filled);
            if let Some((_, smaller)) = &before {
                copy(smaller, half.path());
            }
            fill(half.path(), filled..*size, rule);
            std::fs::rename(half.keep(), folder(*size)).expect("nobody else makes it");
        }
        before = Some((*size, folder(*size)));
    }
    sizes.iter().map(|size| folder(*size)).collect()
}

fn fill(store: &Path, numbers: std::ops::Range<usize>, rule: &Rule) {
    println!("filling a store up to {} versions, once", numbers.end);
    let modvet = home(store, "127.0.0.1:0", &settings(rule)).serve();
    let (start, address) = (Instant::now(), modvet.address());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let numbers = numbers.clone();
            scope.spawn(move || {
                let mut wire = Wire::connect(address);
                for number in numbers.skip(client).step_by(CLIENTS) {
                    for ending in ["info", "mod", "zip"] {
                        let path = rule::path(number, ending);
                        let answered = (0..TRIES).any(|_| wire.drain(&path).0 == 200);
                        assert!(answered, "{path}: no answer");
                    }
                }
            });
        }
    });
    let rate = (3 * numbers.len()) as f64 / start.elapsed().as_secs_f64();
    println!("count  cold files a second while a store grows to {} versions: {rate:.0}", numbers.end);
    ended(modvet);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (kind, target) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir_all(&target).expect("a writable folder");
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).expect("a file");
        }
    }
}
