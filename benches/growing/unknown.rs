//! What nobody has: clients may ask for as many of it as they like, and memory stays.

use super::{filled, home, megabytes, resident};
use crate::measured::rule::Rule;
use crate::measured::wire::Wire;
use crate::support::modvet::Modvet;

const CLIENTS: usize = 64;
/// Paths of a round; each is asked for once.
const PATHS: usize = 10_000;
const ROUNDS: usize = 5;
/// What memory may grow after the first two rounds.
const GROWTH: u64 = 8 << 20;

pub fn measure() {
    let rule = Rule::start();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
    let modvet = home(folder.path(), "127.0.0.1:0", &filled::settings(&rule)).serve();
    // Long paths: what is remembered of them is bounded by bytes, not by number.
    let long = "x".repeat(200);
    let mut after = vec![resident(modvet.id())];
    for round in 0..ROUNDS {
        ask(&modvet, &|number| format!("/bench.test/none/{long}/{long}/{round}/{number}/@v/list"));
        after.push(resident(modvet.id()));
    }
    let said: Vec<String> = after.iter().map(|bytes| format!("{:.0}", megabytes(*bytes))).collect();
    println!("memory at the start and after each {PATHS} unknown modules: {} MB", said.join(", "));
    let grown = after[ROUNDS].saturating_sub(after[2]);
    assert!(grown < GROWTH, "memory grows with what nobody has: {said:?}");
}

fn ask(modvet: &Modvet, path: &(dyn Fn(usize) -> String + Sync)) {
    let address = modvet.address();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut wire = Wire::connect(address);
                for number in (client..PATHS).step_by(CLIENTS) {
                    let path = path(number);
                    assert_eq!(wire.drain(&path).0, 404, "{path}");
                }
            });
        }
    });
}
