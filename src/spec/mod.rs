//! The Go Modules Reference as pure code: paths, versions, pseudo-versions, go.mod, zips, hashes.
//! Must not know of IO, clocks, async or other rooms; every function is given what it needs.
//! Rules: go.dev/ref/mod and golang.org/x/mod (module, semver, modfile, zip, sumdb).

pub mod database;
pub mod dirhash;
pub mod examination;
pub mod explanation;
pub mod form;
pub mod gomod;
pub mod gosum;
pub mod info;
pub mod literal;
pub mod location;
pub mod note;
pub mod path;
pub mod pseudo;
pub mod query;
pub mod question;
pub mod reason;
pub mod refs;
pub mod repository;
pub mod resolution;
pub mod scope;
pub mod tile;
pub mod tree;
pub mod verdict;
pub mod version;
pub mod zip;

#[cfg(test)]
mod reference;
