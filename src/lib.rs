//! modvet: a Go module proxy that vets every version it serves.
//!
//! The rooms and what each may use stand in docs/architecture.md; `tests/house.rs` holds the code to it.

pub mod access;
pub mod cli;
pub mod config;
pub mod error;
pub mod git;
pub mod http;
pub mod monitor;
pub mod net;
pub mod ports;
pub mod registry;
pub mod secret;
pub mod spec;
pub mod store;
pub mod sumdb;
pub mod ui;
pub mod upstream;
pub mod vet;
