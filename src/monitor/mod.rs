//! The mirror watch: is a mirror what its source is, since when not, who must know, and who must renew what by when.
//! Must not know git's protocol, SMTP or HTTP: what it asks and whom it tells is handed in.
//! Rules: docs/mirrors.md.

pub mod canary;
mod comparison;
pub mod definition;
#[cfg(test)]
mod doubles;
pub mod email;
pub mod history;
mod kept;
mod letter;
mod look;
pub mod lookup;
pub mod outbox;
pub mod plan;
mod reader;
mod renewal;
pub mod said;
mod schedule;
mod seen;
mod state;
pub mod status;
mod telling;
mod term;
pub mod upstreams;
pub mod watch;
pub mod webhook;
#[cfg(test)]
mod webhook_tests;
mod words;

pub use definition::{MirrorDefinition, MirrorKind, Origin, Period, RefPattern, Renewal};
pub use history::{Event, HistoryRow};
pub use outbox::{DeliveryState, Outbox, Tested};
pub use plan::{Plan, Planned, Progress, Sync, Synced, UpdateKind};
pub use reader::Reader;
pub use said::Said;
pub use status::{Difference, MirrorStatus, NoticeStatus, RefDifference, RenewalStatus, Renewed};
pub use watch::{Watch, Watched, Way, keep};
