//! The mirror watch: is a mirror what its source is, since when not, who must know, and who must renew what by when.
//! Must not know git's protocol, SMTP or HTTP: what it asks and whom it tells is handed in.
//! Rules: docs/mirrors.md.

pub mod definition;
pub mod outbox;
pub mod status;

pub use definition::{MirrorDefinition, MirrorKind, Origin, Period, RefPattern, Renewal};
pub use outbox::Outbox;
pub use status::{Difference, MirrorStatus, RefDifference, RenewalStatus, Renewed};
