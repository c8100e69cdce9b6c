//! Trust: who may ask, what may pass, what was first, and who got what.
//! Must not know of HTTP, nor where answers come from.
//! Rules: docs/access.md, docs/audit.md, docs/ledger.md, docs/rules.md, docs/api.md, DESIGN.md.

pub mod audit;
pub mod guest;
pub mod ledger;
pub mod policy;
pub mod rules;
mod token;
mod token_record;
pub mod tokens;

pub use guest::{Guest, Right};
pub use ledger::{Ledger, Ledgers};
pub use policy::{Encryption, Exposure};
pub use token::Token;
pub use token_record::{TokenState, TokenView};
pub use tokens::{Denial, Lifetime, Tokens, Wanted};
