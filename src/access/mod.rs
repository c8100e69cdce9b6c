//! Trust: who may ask, what may pass, what was first, and who got what.
//! Must not know of HTTP, nor where answers come from.
//! Rules: docs/api.md, DESIGN.md.

pub mod guest;
pub mod ledger;

pub use guest::{Guest, Right};
pub use ledger::{Ledger, Ledgers};
