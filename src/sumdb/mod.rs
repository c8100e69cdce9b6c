//! Checksum databases: asked through proxies or directly, verified, kept, and passed on to clients.
//! Must not know of registries and modes; whether a version may be looked up is asked before.
//! Rules: go.dev/ref/mod#checksum-database and golang.org/x/mod/sumdb (`client.go`, `tlog`, `note`); docs/sumdb.md.

mod database;
mod databases;
mod direct;
#[cfg(test)]
pub(crate) mod doubles;
mod head;
mod kept;
pub mod passed;
pub mod path;
mod status;
mod timeline;
mod turns;
mod ways;

pub use database::Database;
pub use databases::Databases;
pub use direct::Direct;
pub use passed::{Passed, Record};
pub use path::{Path, Target};
pub use status::{ForkStatus, HeadStatus, Lookups, Status};
pub use ways::Proxy;
