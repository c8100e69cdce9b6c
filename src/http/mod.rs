//! Between the socket and a registry: addresses into questions, answers and errors into bytes.
//! Must not know how a question is answered; statuses and headers are written here and nowhere else.
//! Rules: go.dev/ref/mod#goproxy-protocol, RFC 9110 and 9111, docs/protocol.md.

pub mod admin;
pub mod admission;
pub mod api;
mod audited;
pub mod body;
pub mod desk;
pub mod forwarded;
pub mod hook;
pub mod incoming;
mod known;
pub mod line;
pub mod metrics;
pub mod page;
mod range;
pub mod redirect;
mod refusal;
pub mod respond;
pub mod route;
pub mod serve;
pub mod site;
mod stall;
#[cfg(test)]
pub(crate) mod tests;
mod text;
pub mod tls;
