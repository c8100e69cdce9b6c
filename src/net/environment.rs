//! The proxies that the environment names.
//! Rules: golang.org/x/net/http/httpproxy, which the go command follows.

use url::Url;

/// Through whom requests go out.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For http URLs.
    pub http: Option<Url>,
    /// For https URLs.
    pub https: Option<Url>,
    /// Hosts, domains and ranges that are asked directly, separated by commas; `*` for all.
    pub no_proxy: String,
}

impl Proxies {
    /// No proxy at all.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case.
    pub fn environment() -> Proxies {
        Proxies::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let either = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.or_else(|| variable(&name.to_ascii_lowercase())).filter(|value| !value.is_empty())
        };
        let proxy = |name: &str| {
            let value = either(name)?;
            let proxy = parse(&value);
            if proxy.is_none() {
                tracing::warn!("{name} is no http or https URL and is not used");
            }
            proxy
        };
        Proxies {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            no_proxy: either("NO_PROXY").unwrap_or_default(),
        }
    }

    /// The proxy for URLs of this scheme, where `no_proxy` does not say otherwise.
    pub(super) fn for_scheme(&self, scheme: &str) -> Option<&Url> {
        if scheme == "https" { self.https.as_ref() } else { self.http.as_ref() }
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        let proxies = [&self.http, &self.https].into_iter().flatten();
        proxies.filter_map(|proxy| proxy.host_str().map(str::to_owned)).collect()
    }

    /// `no_proxy` and what never goes through a proxy: the own machine.
    pub(super) fn exceptions(&self) -> String {
        format!("{},localhost,127.0.0.0/8,::1", self.no_proxy)
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts = |proxy: &Option<Url>| proxy.as_ref().and_then(|url| url.host_str().map(str::to_owned));
        f.debug_struct("Proxies")
            .field("http", &hosts(&self.http))
            .field("https", &hosts(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// A proxy may be named without a scheme: `proxy.example:3128`.
fn parse(value: &str) -> Option<Url> {
    let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    match Url::parse(value).ok().filter(usable) {
        Some(url) => Some(url),
        None if value.contains("://") => None,
        None => Url::parse(&format!("http://{value}")).ok().filter(usable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn reads_the_environment() {
        let proxies = read(&[
            ("HTTP_PROXY", "proxy.example:3128"),
            ("https_proxy", "https://u:p@tls.example"),
            ("NO_PROXY", "a"),
        ]);
        assert_eq!(proxies.for_scheme("http").map(Url::as_str), Some("http://proxy.example:3128/"));
        assert_eq!(proxies.for_scheme("https").map(Url::as_str), Some("https://u:p@tls.example/"));
        assert_eq!(proxies.hosts(), ["proxy.example", "tls.example"]);
        assert!(proxies.exceptions().starts_with("a,localhost"), "{}", proxies.exceptions());
        assert!(!format!("{proxies:?}").contains("u:p"));
    }

    #[test]
    fn leaves_out_what_is_no_proxy() {
        let proxies = read(&[("HTTP_PROXY", ""), ("HTTPS_PROXY", "socks5://proxy.example")]);
        assert!(proxies.http.is_none() && proxies.https.is_none());
    }
}
