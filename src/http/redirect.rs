//! Plain http led to https: the same address, another scheme.

use std::net::IpAddr;

use http::uri::Authority;
use hyper::header::HOST;
use hyper::{HeaderMap, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::body::Body;
use super::incoming::Incoming;
use super::respond::{self, Asked};
use super::serve::Clerk;

/// The port of https, which an address need not name.
const USUAL: u16 = 443;

/// Leads every request to the port at which TLS is spoken.
pub struct Redirect {
    port: u16,
}

impl Redirect {
    pub fn new(port: u16) -> Redirect {
        Redirect { port }
    }

    /// The host that the client means, at the other port.
    fn location(&self, headers: &HeaderMap, target: &str) -> Option<String> {
        let asked: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        let host = Some(asked.host()).filter(|host| !host.is_empty() && !asked.as_str().contains('@'))?;
        let port = if self.port == USUAL { String::new() } else { format!(":{}", self.port) };
        target.starts_with('/').then(|| format!("https://{host}{port}{target}"))
    }
}

impl Clerk for Redirect {
    fn origin(&self, peer: IpAddr, _headers: &HeaderMap) -> IpAddr {
        peer
    }

    async fn answer(
        &self,
        asked: &Asked,
        target: &str,
        _body: Incoming,
        _turn: Option<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        tracing::debug!(address = ?asked.address, target, "led to https");
        respond::moved(self.location(&asked.headers, target), asked)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_address_stays_and_the_scheme_and_the_port_change() {
        // port of https, host asked for, target, where it leads
        let table = [
            (443, "proxy.example", "/a/@v/list", Some("https://proxy.example/a/@v/list")),
            (443, "proxy.example:80", "/a?b=c", Some("https://proxy.example/a?b=c")),
            (3443, "proxy.example", "/", Some("https://proxy.example:3443/")),
            (443, "[2001:db8::1]:80", "/!a/%21b", Some("https://[2001:db8::1]/!a/%21b")),
            (443, "proxy.example", "//other.example/", Some("https://proxy.example//other.example/")),
            (443, "user@proxy.example", "/", None),
            (443, "", "/", None),
            (443, "proxy.example/other", "/", None),
            (443, "proxy.example", "*", None),
        ];
        for (port, host, target, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            let found = Redirect::new(port).location(&headers, target);
            assert_eq!(found.as_deref(), expected, "{host} {target}");
        }
        assert_eq!(Redirect::new(443).location(&HeaderMap::new(), "/"), None, "no host");
    }
}
