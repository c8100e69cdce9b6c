//! Who this process is to other proxies, so that it never becomes its own upstream.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::config::{Upstream, UpstreamKind};
use crate::error::{Error, Result};

/// The name of this process in `Via`: another one for every start, since two proxies of one chain may
/// well listen on equal addresses of different machines.
pub fn pseudonym() -> String {
    format!("modvet-{:016x}", RandomState::new().build_hasher().finish())
}

/// Refuses an upstream whose address is the one that this process listens on. What hides behind
/// another name or another proxy is noticed by `Via`, when the first request comes back.
pub async fn refuse_itself(upstreams: &[Upstream], own: SocketAddr) -> Result<()> {
    for upstream in upstreams {
        let UpstreamKind::Proxy(url) = &upstream.kind else { continue };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { continue };
        if port != own.port() {
            continue;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // A name that nobody knows now leads nowhere, so not here either.
        let Ok(addresses) = tokio::net::lookup_host((host, port)).await else { continue };
        for address in addresses {
            if is_own(address.ip(), own.ip()) {
                let what =
                    format!("upstream {}: {host}:{port} is the address that modvet itself listens on", upstream.name);
                return Err(Error::gone(what).remedy("take it out of the list of upstreams, or listen elsewhere"));
            }
        }
    }
    Ok(())
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
            match refuse_itself(&upstreams, own.parse().expect(row)).await {
                Ok(()) => assert!(!refused, "{row}: not refused"),
                Err(error) => {
                    assert!(refused, "{row}: {error}");
                    assert_eq!(error.kind(), Kind::Gone, "{row}");
                }
            }
        }
    }
}
