//! TLS with the clients: a certificate that may change while it serves, and the listener that shows it.
//! Must not know of requests; whom to trust elsewhere is `net`'s matter.
//! Rules: RFC 8446, RFC 7301 (ALPN), docs/operations.md.

mod certificates;
mod listener;
mod pair;
mod reminder;

pub use certificates::Certificates;
pub use listener::TlsListener;
pub use pair::Files;
