//! What a client's question is answered with: registries, their ordered members, and what is kept of each.
//! Must not know of HTTP, nor how an upstream is reached: members are `ports::Source`s.
//! Rules: go.dev/ref/mod#goproxy-protocol, the comma of GOPROXY, docs/protocol.md.

mod believed;
pub mod binding;
mod borrow;
mod bring;
pub mod cached;
pub mod catalog;
pub mod change;
pub mod counters;
pub mod definition;
pub mod direct;
#[cfg(test)]
pub(crate) mod doubles;
mod drift;
pub mod entry;
mod first;
mod flight;
pub mod hearing;
mod keep;
pub mod member;
mod order;
pub mod peek;
pub mod proof;
pub mod refresh;
mod renewal;
mod rounds;
pub mod ruled;
pub mod ruling;
mod seen;
pub mod shelf;
pub mod sight;
pub mod steps;
pub mod stock;
mod tally;
#[cfg(test)]
mod tests;
mod uses;
pub mod validity;
pub mod verdict;
mod vouch;
pub mod walk;

pub use crate::spec::question::Question;
pub use crate::vet::mode::Mode;
pub use binding::{Binding, Book};
pub use cached::{Cached, Named, Reach};
pub use change::{Change, OnChange};
pub use counters::{Counters, Health};
pub use entry::{Entry, Freshness, Meta};
pub use member::{Judgement, Member, OnFailure};
pub use proof::{Demand, Mark, Proof, Proofs, Prover};
pub use ruled::Gates;
pub use shelf::Shelf;
pub use sight::SightBook;
pub use steps::Walked;
pub use validity::Validity;
pub use walk::{Answer, AnswerBody, Bound, ChecksumDatabase, Life, Registry};
