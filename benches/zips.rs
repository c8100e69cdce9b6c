//! Warm zips of four sizes beside nginx that hands out the same files, with and without `sendfile`: 1, 16 and 64 clients
//! that keep their connections; what a client that takes nothing holds; memory at start and under load.
//!
//! `cargo bench --bench zips`, or with a part of a row's name; the rows of docs/performance.md are made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use measured::is_wanted;
use measured::load::{Asked, Expected, load};
use measured::nginx::{Nginx, Setup};
use measured::process::{children, forget_peak, memory};
use measured::server::Server;
use measured::wire::{Wire, answer};
use support::modvet::{Home, Modvet};
use support::tree::Tree;

const MODULE: &str = "bench.test/team/zips";
/// What the zips hold, in bytes; the last two are files of the store, the first two lie in its tables.
const SIZES: [(&str, usize); 4] = [("0.1", 100_000), ("2", 2_000_000), ("9", 9_000_000), ("69", 69_000_000)];
const CLIENTS: [usize; 3] = [1, 16, 64];
/// What all clients together take in a turn, at least.
const BYTES: usize = 600_000_000;
/// Turns of each server, taken in turn: whatever else this machine does falls on all.
const TURNS: usize = 5;
/// A turn of so many bytes is long enough that fewer do.
const LONG: usize = 2_000_000_000;
const FEW_TURNS: usize = 3;

/// Modules in the store whose memory at start is looked at; each has three entries, one of them a zip.
const MODULES: usize = 1_000;
const MOST_AT_START: u64 = 40_000_000;
const MOST_UNDER_LOAD: u64 = 150_000_000;
/// What clients who take nothing may hold each, the kernel's part apart.
const MOST_STALLED: u64 = 1 << 20;

fn main() {
    if is_wanted("start") {
        at_start();
    }
    let tree = Tree::new();
    let zips: Vec<Zip> = SIZES.iter().map(|(name, size)| Zip::add(&tree, name, *size)).collect();
    let modvet = serve(&tree.settings());
    for zip in &zips {
        let (status, body) = answer(modvet.address(), &zip.path);
        assert_eq!(status, 200, "{}: {}", zip.path, modvet.log());
        assert!(body == zip.bytes, "{}: other bytes than the upstream's", zip.path);
    }
    let files: Vec<(&str, &[u8])> = zips.iter().map(|zip| (zip.path.as_str(), zip.bytes.as_slice())).collect();
    let copying = Nginx::start(&files, Setup { sendfile: false, log: true });
    let sending = Nginx::start(&files, Setup { sendfile: true, log: true });
    for zip in &zips {
        for clients in CLIENTS {
            let row = format!("{} MB, {clients} clients", zip.name);
            if is_wanted(&row) {
                compare(&row, zip, clients, &modvet, copying.as_ref(), sending.as_ref());
            }
        }
    }
    if is_wanted("stalled") {
        stalled(&modvet, &zips[3]);
    }
    assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
}

/// A zip as the upstream has it.
struct Zip {
    name: &'static str,
    path: String,
    bytes: Vec<u8>,
}

impl Zip {
    fn add(tree: &Tree, name: &'static str, size: usize) -> Zip {
        let version = format!("v1.0.{size}");
        let bytes = tree.add(MODULE, &version, size);
        Zip { name, path: format!("/{MODULE}/@v/{version}.zip"), bytes }
    }
}

fn compare(row: &str, zip: &Zip, clients: usize, modvet: &Modvet, copying: Option<&Nginx>, sending: Option<&Nginx>) {
    let length = zip.bytes.len();
    let asked = [Asked { path: zip.path.clone(), expected: Expected::Length(length as u64) }];
    let times = BYTES.div_ceil(length * clients);
    let turns = if length * clients * times > LONG { FEW_TURNS } else { TURNS };
    let mut servers = vec![Server::new("modvet", modvet.address(), vec![modvet.id()])];
    for (name, nginx) in [("nginx, sendfile off", copying), ("nginx, sendfile on", sending)] {
        servers.extend(nginx.map(|nginx| Server::new(name, nginx.address(), nginx.workers())));
    }
    forget_peak(modvet.id());
    for _ in 0..turns {
        servers.iter_mut().for_each(|server| server.turn(&asked, "", clients, times));
    }
    let (ours, theirs) = servers.split_first().expect("modvet is the first");
    theirs.iter().for_each(|theirs| ours.compare_bytes(row, theirs));
    if let Some((_, peak)) = memory(modvet.id()) {
        println!("memory {row}, modvet's peak: {:.1} MB (target for 69 MB: 150)", peak as f64 / 1e6);
        let bound = zip.name == SIZES[3].0;
        assert!(
            !bound || peak <= MOST_UNDER_LOAD,
            "{row}: modvet took {peak} bytes (expected at most {MOST_UNDER_LOAD})"
        );
    }
}

/// Clients who ask for the largest zip and take nothing of it.
fn stalled(modvet: &Modvet, zip: &Zip) {
    const STALLED: usize = 256;
    forget_peak(modvet.id());
    let Some((before, _)) = memory(modvet.id()) else { return };
    let wires: Vec<Wire> = (0..STALLED)
        .map(|_| {
            let mut wire = Wire::connect(modvet.address());
            assert_eq!(wire.ask(&zip.path), (200, zip.bytes.len() as u64));
            wire
        })
        .collect();
    // Served meanwhile, whatever the others do not take.
    assert!(answer(modvet.address(), &zip.path).1 == zip.bytes, "other bytes beside clients that stall");
    let (_, peak) = memory(modvet.id()).expect("it was told before");
    let each = peak.saturating_sub(before) / STALLED as u64;
    println!("memory {STALLED} clients that take nothing, modvet: {} KiB each", each >> 10);
    assert!(each <= MOST_STALLED, "a client that takes nothing holds {each} bytes (expected at most {MOST_STALLED})");
    drop(wires);
}

/// A server that starts with nothing, and one that starts with a filled store.
fn at_start() {
    let tree = Tree::new();
    let mut asked = Vec::new();
    for number in 0..MODULES {
        let module = format!("{MODULE}/m{number}");
        let zip = tree.add(&module, "v1.0.0", 20_000);
        let zip = Asked { path: format!("/{module}/@v/v1.0.0.zip"), expected: Expected::Bytes(zip) };
        let info = br#"{"Version":"v1.0.0","Time":"2019-01-01T00:00:00Z"}"#.to_vec();
        let go_mod = format!("module {module}\n").into_bytes();
        asked.push(zip);
        asked.push(Asked { path: format!("/{module}/@v/v1.0.0.info"), expected: Expected::Bytes(info) });
        asked.push(Asked { path: format!("/{module}/@v/v1.0.0.mod"), expected: Expected::Bytes(go_mod) });
    }
    let modvet = serve(&tree.settings());
    say_start("an empty store", &modvet);
    for asked in asked.chunks(300) {
        load(modvet.address(), asked, "", 1, asked.len());
    }
    modvet.signal(libc::SIGTERM);
    let modvet = modvet.ended().1.serve();
    let (status, _) = answer(modvet.address(), "/readyz");
    assert_eq!(status, 200, "the store is open: {}", modvet.log());
    say_start(&format!("a store of {} entries", asked.len()), &modvet);
}

fn say_start(what: &str, modvet: &Modvet) {
    let Some((now, peak)) = memory(modvet.id()) else { return };
    let (now_mb, peak_mb) = (now as f64 / 1e6, peak as f64 / 1e6);
    println!("memory at start, {what}: {now_mb:.1} MB, {peak_mb:.1} at most so far (target 40)");
    assert!(peak <= MOST_AT_START, "{what}: {peak} bytes at start (expected at most {MOST_AT_START})");
}

fn serve(settings: &str) -> Modvet {
    let home = Home::new();
    home.configure(settings);
    home.serve()
}
