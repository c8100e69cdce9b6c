//! From a revision to its one right version: Go's rules over a `Repo`, as plain functions.
//! Must not know of IO, clocks, async, HTTP or who asks; `Mode` alone knows that answers differ by policy.
//! Rules: `cmd/go/internal/modfetch/coderepo.go`, `codehost/git.go` and `modload/query.go`.

pub mod budget;
pub mod build;
mod examine;
pub mod mode;
pub mod module;
pub mod place;
pub mod resolve;
mod retract;
pub mod revision;
mod validate;

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
