//! Which addresses answers, pages and redirects may lead to.
//! Rules: the IANA special-purpose address registries (RFC 6890) for IPv4 and IPv6.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::names::Names;
use super::settings::AllowPrivate;

/// Whether an address belongs to the public internet; also for an IPv6 address that only wraps an IPv4 one.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u8); 16] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        // The metadata service of one large cloud stands in public space.
        (Ipv4Addr::new(168, 63, 129, 16), 32),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    !SPECIAL.iter().any(|(start, length)| Ipv4Net::new_assert(*start, *length).contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = wrapped(address) {
        return inner.into_iter().all(is_public_v4);
    }
    if tunnelled(address).is_some_and(|inner| !is_public_v4(inner)) {
        return false;
    }
    const SPECIAL: [(Ipv6Addr, u8); 3] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    let within = |start: Ipv6Addr, length: u8| Ipv6Net::new_assert(start, length).contains(&address);
    within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
        && !SPECIAL.iter().any(|(start, length)| within(*start, *length))
}

/// The IPv4 addresses that an IPv6 one leads to: mapped, compatible, NAT64, 6to4, Teredo (server and client).
fn wrapped(address: Ipv6Addr) -> Option<Vec<Ipv4Addr>> {
    let words = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match words {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(vec![v4(high, low)]),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(vec![v4(high, low)]),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(vec![v4(high, low)]),
        [0x2002, high, low, ..] => Some(vec![v4(high, low)]),
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            Some(vec![v4(high, low), v4(!client_high, !client_low)])
        }
        _ => None,
    }
}

/// The IPv4 address to which an interface of any network tunnels (ISATAP, RFC 5214).
fn tunnelled(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [.., 0 | 0x200, 0x5efe, high, low] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

/// The address rules of one client: the resolver of what it was not told by its configuration.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: HashSet<String>,
    ranges: Vec<IpNet>,
    /// Hosts that are connected to as proxies, whatever is asked for; to ask them for something is another matter.
    proxies: HashSet<String>,
    names: Arc<dyn Names>,
}

/// Why a connection was not made.
#[derive(Debug)]
pub(super) struct Refused {
    pub host: String,
    pub address: IpAddr,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { host, address } = self;
        match host.parse::<IpAddr>() {
            Ok(_) => write!(f, "{address} is not a public address"),
            Err(_) => write!(f, "{host} has the address {address}, which is not public"),
        }
    }
}

impl std::error::Error for Refused {}

impl Guard {
    /// `proxies` are hosts that the environment names as proxies.
    pub(super) fn new(
        allowed: &[AllowPrivate],
        proxies: impl IntoIterator<Item = String>,
        names: Arc<dyn Names>,
    ) -> Guard {
        let proxies = proxies.into_iter().map(|host| plain(&host)).collect();
        let mut guard = Guard { hosts: HashSet::new(), ranges: Vec::new(), proxies, names };
        for entry in allowed {
            match entry {
                AllowPrivate::Host(host) => {
                    guard.hosts.insert(plain(host));
                }
                AllowPrivate::Range(range) => guard.ranges.push(*range),
            }
        }
        guard
    }

    pub(super) fn allows_host(&self, host: &str) -> bool {
        self.hosts.contains(&plain(host))
    }

    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.ranges.iter().any(|range| range.contains(&address.to_canonical()))
    }

    /// Checks a host that is an address already; a name is checked when it is resolved.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        let host = address.to_string();
        if self.allows(address) || self.allows_host(&host) { Ok(()) } else { Err(Refused { host, address }) }
    }

    /// Leaves the addresses that may be connected to; an error if that is none of them.
    fn pick(&self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refused> {
        if self.allows_host(host) {
            return Ok(found);
        }
        let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| self.allows(*found));
        match bad.first() {
            Some(address) if good.is_empty() => Err(Refused { host: host.to_owned(), address: *address }),
            _ => Ok(good),
        }
    }

    /// Whether connections to a host are let through unseen, because it is a proxy.
    pub(super) fn is_proxy(&self, host: &str) -> bool {
        self.proxies.contains(&plain(host))
    }

    /// Looks a name up only to check it, for a connection that somebody else will make. They choose among the
    /// addresses, so all of them must be good; what does not resolve here is their business.
    pub(super) async fn check_name(&self, host: &str) -> Result<Vec<IpAddr>, Refused> {
        let Ok(found) = self.names.addresses(host).await else { return Ok(Vec::new()) };
        match found.iter().find(|address| !self.allows(**address) && !self.allows_host(host)) {
            Some(address) => Err(Refused { host: host.to_owned(), address: *address }),
            None => Ok(found),
        }
    }
}

/// The resolver that connects only where the guard lets it.
#[derive(Debug, Clone)]
pub(super) struct GuardedResolver(pub(super) Arc<Guard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = guard.names.addresses(name.as_str()).await?;
            let good = if guard.is_proxy(name.as_str()) { found } else { guard.pick(name.as_str(), found)? };
            Ok(Box::new(good.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// A host as it is compared: `LOCALHOST.` is `localhost`, `[::1]` is `::1`.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SystemNames;

    #[test]
    fn tells_public_addresses_from_others() {
        let table = [
            ("a public one", "1.1.1.1", true),
            ("just above a private range", "172.32.0.1", true),
            ("loopback", "127.0.0.1", false),
            ("all of loopback", "127.255.0.3", false),
            ("this network", "0.0.0.0", false),
            ("private ten", "10.1.2.3", false),
            ("private 172", "172.31.255.255", false),
            ("private 192", "192.168.1.1", false),
            ("carrier grade", "100.64.0.1", false),
            ("above carrier grade", "100.128.0.1", true),
            ("link-local", "169.254.0.1", false),
            ("metadata", "169.254.169.254", false),
            ("metadata in public space", "168.63.129.16", false),
            ("benchmarks", "198.19.0.1", false),
            ("documentation", "203.0.113.7", false),
            ("multicast", "224.0.0.1", false),
            ("reserved", "240.0.0.1", false),
            ("broadcast", "255.255.255.255", false),
            ("a public v6 one", "2606:4700:4700::1111", true),
            ("v6 unspecified", "::", false),
            ("v6 loopback", "::1", false),
            ("unique local", "fd00:ec2::254", false),
            ("v6 link-local", "fe80::1", false),
            ("site-local", "fec0::1", false),
            ("v6 multicast", "ff02::1", false),
            ("v6 documentation", "2001:db8::1", false),
            ("discard", "100::1", false),
            ("mapped private", "::ffff:10.0.0.1", false),
            ("mapped public", "::ffff:1.1.1.1", true),
            ("compatible loopback", "::127.0.0.1", false),
            ("translated private", "::ffff:0:10.0.0.1", false),
            ("nat64 of metadata", "64:ff9b::a9fe:a9fe", false),
            ("nat64 of a public one", "64:ff9b::101:101", true),
            ("local nat64", "64:ff9b:1::1", false),
            ("6to4 of a private one", "2002:a00:1::1", false),
            ("6to4 of a public one", "2002:101:101::1", true),
            ("teredo to a private client", "2001:0:101:101:0:0:f5ff:fffe", false),
            ("teredo between public ones", "2001:0:101:101:0:0:fefe:fefe", true),
            ("orchid", "2001:20::1", false),
            ("isatap to a private one", "2606:4700::5efe:10.0.0.1", false),
            ("isatap to a public one", "2606:4700::200:5efe:1.1.1.1", true),
        ];
        for (row, address, public) in table {
            assert_eq!(is_public(address.parse().expect(row)), public, "{row}: {address}");
        }
    }

    #[test]
    fn addresses_in_urls_are_checked_however_they_are_written() {
        let allowed = ["192.168.7.0/24".parse().expect("range"), "10.0.0.5".parse().expect("address")];
        let guard = Guard::new(&allowed, [], Arc::new(SystemNames));
        let table = [
            ("plain", "https://127.0.0.1/", false),
            ("short", "https://127.1/", false),
            ("decimal", "https://2130706433/", false),
            ("octal", "https://0177.0.0.1/", false),
            ("hexadecimal", "https://0x7f000001/", false),
            ("v6", "https://[::1]/", false),
            ("mapped", "https://[::ffff:7f00:1]/", false),
            ("public", "https://1.1.1.1/", true),
            ("in an allowed range", "https://192.168.7.9/", true),
            ("mapped, in an allowed range", "https://[::ffff:192.168.7.9]/", true),
            ("outside the allowed range", "https://192.168.8.9/", false),
            ("an allowed address", "https://10.0.0.5/", true),
            ("a name", "https://localhost/", true),
        ];
        for (row, url, allowed) in table {
            let url = Url::parse(url).expect(row);
            assert_eq!(guard.check_literal(&url).is_ok(), allowed, "{row}: {url}");
        }
    }

    #[test]
    fn a_name_keeps_its_good_addresses() {
        let guard = Guard::new(&["git.corp.example".parse().expect("host")], [], Arc::new(SystemNames));
        let found = ["10.0.0.1", "1.1.1.1"].map(|a| a.parse::<IpAddr>().expect(a));
        let good = guard.pick("mixed.example", found.to_vec()).expect("one is public");
        assert_eq!(good, vec![found[1]]);
        let refused = guard.pick("inner.example", found[..1].to_vec()).expect_err("none is public");
        assert_eq!(refused.to_string(), "inner.example has the address 10.0.0.1, which is not public");
        assert_eq!(guard.pick("GIT.corp.example.", found[..1].to_vec()).expect("allowed by name"), found[..1].to_vec());
    }
}
