//! Checksum databases as a module proxy hands them through: what was answered once is kept.
//! Must not know of registries and modes; whether a version may be looked up is asked before.
//! Rules: go.dev/ref/mod#checksum-database and golang.org/x/mod/sumdb (`tlog.ParseTilePath`, `ParseTree`, `ParseRecord`).

mod kept;
pub mod passed;
pub mod path;

pub use passed::{Passed, Proxy, Record};
pub use path::{Path, Target};
