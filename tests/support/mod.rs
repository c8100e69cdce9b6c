//! What the tests of the built binary share: histories, a git server, a closed environment for the real go command, the oracle.
//! Must not use the rooms of the house: what proves them stands on its own feet.
//! Rules: HOUSE.md, "Tests".

// Every file in tests/ is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod authority;
pub mod client;
pub mod distant;
pub mod double;
pub mod fixture;
pub mod git_server;
pub mod go;
pub mod h1;
pub mod histories;
pub mod mirrored;
pub mod modvet;
pub mod openapi;
pub mod oracle;
pub mod outside;
pub mod pages;
pub mod plain;
pub mod project;
pub mod relay;
pub mod release;
pub mod replay;
pub mod smtp;
pub mod sumdb;
pub mod toolchain;
pub mod tree;
pub mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The top of the repository.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of a folder with this extension, by name.
pub fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = top().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// What a server of the tests runs on, and what it accepts at: a port of its own. Dropping the runtime ends the server.
pub fn listener(threads: usize) -> (Runtime, TcpListener, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime needs threads only");
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    (runtime, listener, address)
}
