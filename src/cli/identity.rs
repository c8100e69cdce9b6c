//! Who this process is to other proxies, so that it never becomes its own upstream.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::error::{Error, Result};
use crate::registry::definition::{UpstreamDefinition, UpstreamKind};

/// The name of this process in `Via`: another one for every start, since two proxies of one chain may
/// well listen on equal addresses of different machines.
fn pseudonym() -> String {
    format!("modvet-{:016x}", RandomState::new().build_hasher().finish())
}

/// Who this process is.
#[derive(Debug, Clone)]
pub struct Identity {
    pseudonym: String,
    /// Where it listens, if it does.
    own: Option<SocketAddr>,
}

impl Identity {
    pub fn new(own: Option<SocketAddr>) -> Identity {
        Identity { pseudonym: pseudonym(), own }
    }

    /// Its name in `Via`.
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Refuses an upstream whose address is the one that this process listens on. What hides behind
    /// another name or another proxy is noticed by `Via`, when the first request comes back.
    pub async fn refuse(&self, upstream: &UpstreamDefinition) -> Result<()> {
        let (UpstreamKind::Proxy(url), Some(own)) = (&upstream.kind, self.own) else { return Ok(()) };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(()) };
        if port != own.port() {
            return Ok(());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // A name that nobody knows now leads nowhere, so not here either.
        let Ok(mut addresses) = tokio::net::lookup_host((host, port)).await else { return Ok(()) };
        if !addresses.any(|address| is_own(address.ip(), own.ip())) {
            return Ok(());
        }
        let what = format!("upstream {}: {host}:{port} is the address that modvet itself listens on", upstream.name);
        Err(Error::gone(what).remedy("take it out of the list of upstreams, or listen elsewhere"))
    }
}

/// Whether connections to `asked` arrive at a socket bound to `own`.
fn is_own(asked: IpAddr, own: IpAddr) -> bool {
    let (asked, own) = (asked.to_canonical(), own.to_canonical());
    if !own.is_unspecified() {
        // The unspecified address, as a destination, is the machine itself.
        return asked == own || (asked.is_unspecified() && own.is_loopback());
    }
    // Only addresses of this machine can be bound.
    asked.is_unspecified() || asked.is_loopback() || UdpSocket::bind((asked, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::list;
    use crate::error::Kind;

    #[test]
    fn every_process_has_a_name_of_its_own() {
        assert_ne!(pseudonym(), pseudonym());
    }

    #[tokio::test]
    async fn an_upstream_at_the_own_address_is_refused() {
        let table = [
            ("the address itself", "http://127.0.0.1:3000", "127.0.0.1:3000", true),
            ("behind another one", "https://192.0.2.1,http://127.0.0.1:3000/registries/ci", "127.0.0.1:3000", true),
            ("over TLS", "https://127.0.0.1:3000", "127.0.0.1:3000", true),
            ("a port by default", "http://127.0.0.1", "127.0.0.1:80", true),
            ("by name", "http://localhost:3000", "127.0.0.1:3000", true),
            ("all addresses", "http://127.0.0.1:3000", "0.0.0.0:3000", true),
            ("all addresses, version 6", "http://[::1]:3000", "[::]:3000", true),
            ("the unspecified address", "http://0.0.0.0:3000", "127.0.0.1:3000", true),
            ("another port", "http://127.0.0.1:3001", "127.0.0.1:3000", false),
            ("another loopback address", "http://127.0.0.2:3000", "127.0.0.1:3000", false),
            ("another machine", "http://192.0.2.1:3000", "0.0.0.0:3000", false),
            ("git", "direct", "127.0.0.1:3000", false),
        ];
        for (row, upstreams, own, refused) in table {
            let upstreams = list::parse(upstreams).expect(row);
            let identity = Identity::new(Some(own.parse().expect(row)));
            let mut errors = Vec::new();
            for upstream in &upstreams {
                errors.extend(identity.refuse(upstream).await.err());
            }
            assert_eq!(!errors.is_empty(), refused, "{row}: {errors:?}");
            assert!(errors.iter().all(|error| error.kind() == Kind::Gone), "{row}: {errors:?}");
        }
    }
}
