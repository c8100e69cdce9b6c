//! The parts of the bench `growth`: what is filled, and what is measured of it.

pub mod filled;
pub mod repositories;
pub mod unknown;
pub mod versions;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::measured::process::memory;
use crate::support::modvet::{Home, Modvet};

/// How long it may take until a condition holds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server with these settings on a store that lies elsewhere.
pub fn home(store: &Path, address: &str, settings: &str) -> Home {
    let home = Home::new();
    let store = store.display();
    home.write("modvet.toml", &format!("listen = \"{address}\"\n\n[store]\npath = '{store}'\n\n{settings}"));
    home
}

/// Ends a server as its owner would, so that all is written down.
pub fn ended(modvet: Modvet) -> Home {
    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{status}: {}", home.log());
    home
}

/// Waits until something holds, and says how long that took.
pub fn until(what: &str, holds: &mut dyn FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

/// Memory that a process has now, in bytes; 0 where the system does not tell.
pub fn resident(process: u32) -> u64 {
    memory(process).map_or(0, |(now, _)| now)
}

pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
