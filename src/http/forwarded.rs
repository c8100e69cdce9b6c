//! Whom a proxy in front asks for: `X-Forwarded-For` and `Forwarded`, believed only where a trusted proxy said it.
//! Rules: RFC 7239, sections 4, 6 and 7.4; every hop adds what it saw at the right end, and anybody may have written the rest.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn new(ranges: Vec<IpNet>) -> TrustedProxies {
        TrustedProxies(ranges)
    }

    /// Where a request comes from that arrived from `peer`: the nearest address that is no trusted proxy's.
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let listed = headers.contains_key(X_FORWARDED_FOR).then(|| self.walk(peer, &listed(headers)));
        let paired = headers.contains_key(FORWARDED).then(|| self.walk(peer, &paired(headers)));
        match (listed, paired) {
            // A proxy writes one of them and lets the other through as the client wrote it.
            (Some(listed), Some(paired)) if listed != paired => peer,
            (Some(origin), _) | (None, Some(origin)) => origin,
            (None, None) => peer,
        }
    }

    /// From the nearest hop outwards, as long as who tells is trusted and what is told is an address.
    fn walk(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut nearest = peer;
        for hop in hops.iter().rev() {
            let Some(address) = *hop else { return nearest };
            nearest = address;
            if !self.trusts(address) {
                return address;
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }
}

/// The hops of `X-Forwarded-For: CLIENT, PROXY`; `None` for what is no address.
fn listed(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(X_FORWARDED_FOR).iter();
    // A value that is no text is one hop that nobody can read.
    let hops = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    hops.map(|hop| node(hop.trim())).collect()
}

/// The hops of `Forwarded: for=CLIENT;proto=https, for=PROXY`.
fn paired(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(FORWARDED).iter();
    let hops = values.flat_map(|value| split(value.to_str().unwrap_or_default(), ','));
    hops.map(|hop| {
        let mut named = split(hop, ';').into_iter().filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.eq_ignore_ascii_case("for").then_some(value)
        });
        match (named.next(), named.next()) {
            (Some(value), None) => node(unquoted(value)?),
            _ => None,
        }
    })
    .collect()
}

/// Splits at a separator, but not within quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, found) in text.char_indices() {
        match found {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if found == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A value without its quotes; no address needs a backslash within them.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let plain = text.parse::<IpAddr>().ok();
    let address = plain.or_else(|| bracketed().map(IpAddr::V6)).or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, lines: &[&str]) -> String {
        let ranges = ["10.0.0.0/8", "127.0.0.1/32", "2001:db8:1::/48"];
        let proxies = TrustedProxies::new(ranges.map(|range| range.parse().expect(range)).to_vec());
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect(line);
            let value = hyper::header::HeaderValue::from_bytes(value.as_bytes()).expect(line);
            headers.append(name.parse::<HeaderName>().expect(line), value);
        }
        proxies.origin(peer.parse().expect(peer), &headers).to_string()
    }

    /// What is read, the address that the connection comes from, the headers, where the request comes from.
    type Row = (&'static str, &'static str, &'static [&'static str], &'static str);

    const LISTED: &[Row] = &[
        ("nothing said", "10.0.0.1", &[], "10.0.0.1"),
        ("a stranger says", "192.0.2.9", &["x-forwarded-for: 198.51.100.1"], "192.0.2.9"),
        ("a proxy says", "10.0.0.1", &["x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        ("two proxies", "10.0.0.1", &["x-forwarded-for: 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("the client wrote some", "10.0.0.1", &["x-forwarded-for: 203.0.113.7, 198.51.100.1"], "198.51.100.1"),
        (
            "the client wrote a proxy's",
            "10.0.0.1",
            &["x-forwarded-for: 203.0.113.7, 10.0.0.3, 198.51.100.1, 10.0.0.2"],
            "198.51.100.1",
        ),
        ("proxies alone", "10.0.0.1", &["x-forwarded-for: 10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (
            "several lines are one list",
            "10.0.0.1",
            &["x-forwarded-for: 203.0.113.7", "x-forwarded-for: 198.51.100.1,10.0.0.2"],
            "198.51.100.1",
        ),
        ("a port", "10.0.0.1", &["x-forwarded-for: 198.51.100.1:4711"], "198.51.100.1"),
        ("version 6", "2001:db8:1::1", &["x-forwarded-for: 2001:db8::7"], "2001:db8::7"),
        ("version 6 in brackets", "10.0.0.1", &["x-forwarded-for: [2001:db8::7]"], "2001:db8::7"),
        ("version 6 and a port", "10.0.0.1", &["x-forwarded-for: [2001:db8::7]:4711"], "2001:db8::7"),
        ("version 4 within 6", "::ffff:10.0.0.1", &["x-forwarded-for: ::ffff:198.51.100.1"], "198.51.100.1"),
        ("no address", "10.0.0.1", &["x-forwarded-for: unknown"], "10.0.0.1"),
        ("no address behind a proxy", "10.0.0.1", &["x-forwarded-for: 203.0.113.7, what, 10.0.0.2"], "10.0.0.2"),
        ("empty", "10.0.0.1", &["x-forwarded-for: "], "10.0.0.1"),
        ("an empty hop", "10.0.0.1", &["x-forwarded-for: 203.0.113.7,, 10.0.0.2"], "10.0.0.2"),
        ("no text", "10.0.0.1", &["x-forwarded-for: 203.0.113.7, \u{e4}"], "10.0.0.1"),
        ("an octal number", "10.0.0.1", &["x-forwarded-for: 0300.0.2.1"], "10.0.0.1"),
        ("a scope", "10.0.0.1", &["x-forwarded-for: fe80::1%eth0"], "10.0.0.1"),
    ];

    const PAIRED: &[Row] = &[
        ("a stranger says", "192.0.2.9", &["forwarded: for=198.51.100.1"], "192.0.2.9"),
        ("a proxy says", "10.0.0.1", &["forwarded: for=198.51.100.1"], "198.51.100.1"),
        ("with more", "10.0.0.1", &["forwarded: proto=https;For=198.51.100.1;by=10.0.0.1"], "198.51.100.1"),
        ("two hops", "10.0.0.1", &["forwarded: for=198.51.100.1, for=10.0.0.2;proto=http"], "198.51.100.1"),
        ("version 6", "10.0.0.1", &["forwarded: for=\"[2001:db8::7]:4711\""], "2001:db8::7"),
        ("version 4 and a port", "10.0.0.1", &["forwarded: for=\"198.51.100.1:80\""], "198.51.100.1"),
        ("a comma in quotes", "10.0.0.1", &["forwarded: for=198.51.100.1;host=\"a, for=203.0.113.7\""], "198.51.100.1"),
        (
            "an escaped quote",
            "10.0.0.1",
            &["forwarded: for=198.51.100.1;host=\"\\\", for=203.0.113.7\""],
            "198.51.100.1",
        ),
        ("unknown", "10.0.0.1", &["forwarded: for=203.0.113.7, for=unknown"], "10.0.0.1"),
        ("hidden", "10.0.0.1", &["forwarded: for=203.0.113.7, for=_gazonk, for=10.0.0.2"], "10.0.0.2"),
        ("nobody named", "10.0.0.1", &["forwarded: for=203.0.113.7, proto=https"], "10.0.0.1"),
        ("two at once", "10.0.0.1", &["forwarded: for=203.0.113.7;for=198.51.100.1"], "10.0.0.1"),
        ("an open quote", "10.0.0.1", &["forwarded: for=\"198.51.100.1"], "10.0.0.1"),
    ];

    const BOTH: &[Row] = &[
        ("they agree", "10.0.0.1", &["forwarded: for=198.51.100.1", "x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        (
            "one is the client's own",
            "10.0.0.1",
            &["forwarded: for=203.0.113.7", "x-forwarded-for: 198.51.100.1"],
            "10.0.0.1",
        ),
        (
            "one is the client's, and says nothing",
            "10.0.0.1",
            &["forwarded: for=_x", "x-forwarded-for: 198.51.100.1"],
            "10.0.0.1",
        ),
    ];

    #[test]
    fn a_request_comes_from_the_nearest_address_that_is_no_trusted_proxy() {
        for (row, peer, headers, expected) in LISTED.iter().chain(PAIRED).chain(BOTH) {
            assert_eq!(origin(peer, headers), *expected, "{row}");
        }
    }

    #[test]
    fn nobody_is_believed_where_nobody_is_trusted() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, hyper::header::HeaderValue::from_static("198.51.100.1"));
        let peer: IpAddr = "127.0.0.1".parse().expect("an address");
        assert_eq!(TrustedProxies::default().origin(peer, &headers), peer);
    }
}
