//! Where modules come from besides git: other proxies and folders; and which repository a module path leads to.
//! Must not know of caches, registries or verdicts: it says what somebody else says, checked for what it claims to be.
//! Rules: go.dev/ref/mod#goproxy-protocol, `cmd/go/internal/modfetch/proxy.go`, `cmd/go/internal/vcs`.

mod arrival;
mod dir;
mod discover;
mod discreet;
mod failing;
mod hosts;
mod import;
mod line;
mod list;
mod located;
mod markup;
mod memory;
mod mirrored;
pub mod probe;
mod protocol;
mod proxy;
#[cfg(test)]
mod tests;
mod xml_names;

pub use dir::DirSource;
pub use discover::Discover;
pub use discreet::Discreet;
pub use failing::Failing;
pub use line::{DirLine, GitLine, ProxyLine};
pub use located::{HasMirror, Located};
pub use mirrored::Mirrored;
pub use protocol::Limits;
pub use proxy::ProxySource;
