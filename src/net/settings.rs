//! What a client is told by its configuration.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use url::Url;

use super::credentials::Credential;
use super::environment::Proxies;
use super::names::{Names, SystemNames};
use super::rewrite::InsteadOf;
use crate::secret::Secret;

/// The policy of one [`Client`](super::Client). The default lets nothing private be reached, sends no
/// credentials and takes proxies from the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Hosts and ranges that answers, pages and redirects may lead to although they are not public.
    pub allow_private: Vec<AllowPrivate>,
    /// Hosts that answers, pages and redirects may lead to over plain http.
    pub allow_insecure: AllowInsecure,
    /// Prefixes of addresses that are replaced before anything is asked.
    pub instead_of: Vec<InsteadOf>,
    pub credentials: Vec<Credential>,
    /// The text of a netrc file; used for https only, and never before `credentials`.
    pub netrc: Option<Secret>,
    pub proxies: Proxies,
    pub names: Arc<dyn Names>,
    /// Certificates trusted besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    pub limits: Limits,
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            allow_private: Vec::new(),
            allow_insecure: AllowInsecure::default(),
            instead_of: Vec::new(),
            credentials: Vec::new(),
            netrc: None,
            proxies: Proxies::environment(),
            names: Arc::new(SystemNames),
            extra_roots: Vec::new(),
            limits: Limits::default(),
            user_agent: concat!("modvet/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How long and how much a client waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, the name looked up and TLS agreed.
    pub connect: Duration,
    /// From a request to the head of its answer.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub stall: Duration,
    /// From a request to the end of its answer's body, redirects and repetitions included.
    pub total: Duration,
    /// Requests under way to one host, where nothing else is said: see `Client::at_once`.
    pub per_host: usize,
    /// Redirects followed for one request.
    pub redirects: usize,
    /// How often a GET is asked in all.
    pub tries: usize,
    /// What the pauses between tries may take together; a longer `Retry-After` is left to the caller.
    pub pauses: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            total: Duration::from_secs(600),
            per_host: 16,
            redirects: 10,
            tries: 3,
            pauses: Duration::from_secs(4),
        }
    }
}

/// A host or a range of addresses that may be reached although it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowPrivate {
    /// A host name, whatever it resolves to.
    Host(String),
    Range(IpNet),
}

impl FromStr for AllowPrivate {
    type Err = String;

    /// Reads `10.0.0.0/8`, `10.0.0.5`, `fd00::/8` or a host name.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(AllowPrivate::Range(range));
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(AllowPrivate::Range(IpNet::from(address)));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || !text.chars().all(fits) {
            return Err(format!("invalid host or range {text:?} (expected a host name, an address or a range)"));
        }
        Ok(AllowPrivate::Host(text.to_ascii_lowercase()))
    }
}

/// For which hosts plain http is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowInsecure {
    All,
    /// `host` for all its ports, or `host:port`.
    Hosts(Vec<String>),
}

impl Default for AllowInsecure {
    fn default() -> Self {
        AllowInsecure::Hosts(Vec::new())
    }
}

impl AllowInsecure {
    pub fn allows(&self, url: &Url) -> bool {
        match self {
            AllowInsecure::All => true,
            AllowInsecure::Hosts(hosts) => hosts.iter().any(|host| is_host(url, host)),
        }
    }
}

/// Whether a URL's host is the named one: `host` for all ports, or `host:port`.
pub(super) fn is_host(url: &Url, name: &str) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let unbracketed = host.trim_start_matches('[').trim_end_matches(']');
    if bare(name) == bare(host) || bare(name) == unbracketed {
        return true;
    }
    match (name.rsplit_once(':'), url.port_or_known_default()) {
        (Some((name, port)), Some(own)) => bare(name) == bare(host) && port.parse() == Ok(own),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_ranges() {
        let range = |text: &str| Ok(AllowPrivate::Range(text.parse().expect(text)));
        assert_eq!("10.0.0.0/8".parse(), range("10.0.0.0/8"));
        assert_eq!("10.0.0.5".parse(), range("10.0.0.5/32"));
        assert_eq!("[fd00::1]".parse(), range("fd00::1/128"));
        assert_eq!("Git.corp.example".parse(), Ok(AllowPrivate::Host("git.corp.example".to_owned())));
        for text in ["", "10.0.0.0/33", "https://git.corp.example", "a b"] {
            let why = text.parse::<AllowPrivate>().expect_err(text);
            assert!(why.starts_with("invalid host or range"), "{why}");
        }
    }

    #[test]
    fn a_host_matches_all_its_ports_or_the_one_named() {
        let table = [
            ("http://git.example/x", "git.example", true),
            ("http://git.example:8080/x", "git.example", true),
            ("http://GIT.example./x", "git.example", true),
            ("http://git.example:8080/x", "git.example:8080", true),
            ("http://git.example/x", "git.example:80", true),
            ("http://git.example/x", "git.example:8080", false),
            ("http://evil.git.example/x", "git.example", false),
            ("http://[::1]:99/x", "::1", true),
            ("http://[::1]:99/x", "[::1]:99", true),
            ("http://127.0.0.1:99/x", "127.0.0.1", true),
        ];
        for (url, name, expected) in table {
            assert_eq!(is_host(&Url::parse(url).expect(url), name), expected, "{url} {name}");
        }
    }
}
