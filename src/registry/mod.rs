//! What a client's question is answered with: registries, their ordered members, and what is kept of each.
//! Must not know of HTTP, nor how an upstream is reached: members are `ports::Source`s.
//! Rules: go.dev/ref/mod#goproxy-protocol, the comma of GOPROXY, docs/protocol.md.

mod believed;
pub mod binding;
pub mod cached;
pub mod direct;
#[cfg(test)]
pub(crate) mod doubles;
pub mod entry;
mod flight;
pub mod member;
mod order;
pub mod peek;
pub mod question;
mod tally;
#[cfg(test)]
mod tests;
pub mod verdict;
mod vouch;
pub mod walk;

pub use crate::vet::mode::Mode;
pub use binding::{Binding, Book};
pub use cached::{Cached, Named, Validity};
pub use entry::{Entry, Freshness};
pub use member::{Judgement, Member, OnFailure};
pub use question::{Question, Reach};
pub use walk::{Answer, AnswerBody, ChecksumDatabase, Life, Registry};
