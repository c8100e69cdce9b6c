//! The one way out: every request to somebody else goes through [`Client`], under one policy.
//! Must not know what is asked for: no modules, no git, only addresses, headers and bytes.
//! Rules: docs/outgoing.md; `cmd/go/internal/web` and `cmd/go/internal/auth` of the go command.

mod address;
#[cfg(test)]
mod address_tests;
mod certificate;
mod client;
#[cfg(test)]
mod credential_tests;
mod credentials;
#[cfg(test)]
pub(crate) mod double;
mod environment;
mod failure;
mod gates;
mod names;
mod request;
mod response;
mod retry;
mod rewrite;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod upload;
#[cfg(test)]
mod upload_tests;

pub use crate::secret::Secret;
pub use certificate::Validity;
pub use client::{Client, Unreached};
pub use credentials::{Credential, CredentialKind, Renew};
pub use environment::Proxies;
pub use failure::Trouble;
pub use names::{Names, SystemNames};
pub use request::{Body, Request, Trust};
pub use response::Response;
pub use rewrite::{InsteadOf, replaced};
pub use settings::{AllowInsecure, AllowPrivate, Limits, Settings};
pub use upload::Upload;
