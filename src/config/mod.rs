//! The configuration: `File` as it is written, `Settings` as it is meant, all values parsed.
//! Must not know of adapters; the wiring in `cli::wiring` turns settings into them.
//! Keys, defaults and their meaning: docs/config.md, which a test holds against `schema`.

mod api;
mod doubts;
#[cfg(test)]
mod fault_tests;
pub mod file;
mod lines;
pub mod list;
mod meant;
pub mod mirror;
pub mod notify;
mod print;
mod rules;
pub mod schema;
mod secure;
pub mod settings;
#[cfg(test)]
mod value_tests;

pub use api::ApiSettings;
pub use mirror::MirrorSettings;
pub use notify::{ChannelKind, ChannelSettings, SmtpSettings};
pub use settings::{AllowInsecure, Given, Settings};
