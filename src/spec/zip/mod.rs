//! Module zips: which files go in, how they are written, whether somebody else's is right.
//! Must not know of repositories and folders; bytes come and go through `Read`, `Seek` and `Write`.
//! Rules: golang.org/x/mod/zip, go.dev/ref/mod#zip-files, and `archive/zip` for what a go command reads.

mod archive;
mod check;
mod inflate;
mod names;
mod verify;
mod write;

pub use check::{Candidate, Checked, FileKind, Finding, Why, check};
pub use inflate::{Inflated, Inflater};
pub use verify::{Verified, verify};
pub use write::{Compressor, Deflated, ModuleZip, Sums, compress};

use super::path::ModulePath;
use super::version::Version;

/// The largest module zip, and the largest sum of the sizes of its files, in bytes.
pub const MAX_ZIP: u64 = 500 << 20;
/// The largest go.mod in a module zip, in bytes.
pub const MAX_GO_MOD: u64 = 16 << 20;
/// The largest LICENSE in a module zip, in bytes.
pub const MAX_LICENSE: u64 = 16 << 20;

/// What the names of all files of a module zip begin with.
fn prefix(module: &ModulePath, version: &Version) -> String {
    format!("{module}@{version}/")
}

const LOCAL: u32 = 0x0403_4b50;
const DIRECTORY: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const END_64: u32 = 0x0606_4b50;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

#[cfg(test)]
mod tests;
