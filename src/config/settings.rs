//! The configuration as it is meant.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use url::Url;

use super::file::{AuthTable, File, GitTable, UpstreamTable};
use crate::error::{Error, Result};
use crate::vet::mode::Mode;

/// The most upstreams that a registry may have.
pub const MAX_UPSTREAMS: usize = 20;

#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub store_path: PathBuf,
    /// Bodies of more bytes than this lie as files beside the store.
    pub spill: u64,
    pub mode: Mode,
    /// Whether `strict` refuses the .mod of a wrong pseudo-version too.
    pub refuse_mod: bool,
    /// Hosts or ranges that answers and redirects may lead to.
    pub allow_private: Vec<String>,
    pub allow_insecure: AllowInsecure,
    /// Prefix and replacement.
    pub instead_of: Vec<(String, String)>,
    /// In the order of the walk; empty if the file names none.
    pub upstreams: Vec<Upstream>,
}

/// For which hosts plain http is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowInsecure {
    All,
    Hosts(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    pub kind: UpstreamKind,
    /// GOPRIVATE patterns, comma-separated; empty: everything.
    pub modules: String,
    /// What it must never be asked for.
    pub not_modules: String,
    pub auth: Option<Auth>,
    /// After this long a kept version is looked at again; `None`: never.
    pub cache_validity: Option<Duration>,
    /// How long lists, latest, branches and hashes are taken for fresh.
    pub list_validity: Duration,
    /// Whether the next upstream is asked even if this one failed.
    pub go_on_after_failure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamKind {
    Git,
    Proxy(Url),
    Dir(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub host: String,
    pub scheme: AuthScheme,
    pub secret: SecretRef,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthScheme {
    Basic { username: String },
    Bearer,
    Header { name: String },
}

/// Where a secret is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    File(PathBuf),
    Environment(String),
}

impl Upstream {
    pub fn new(name: String, kind: UpstreamKind) -> Upstream {
        Upstream {
            name,
            kind,
            modules: String::new(),
            not_modules: String::new(),
            auth: None,
            cache_validity: Some(Duration::from_secs(24 * 3600)),
            list_validity: Duration::from_secs(60),
            go_on_after_failure: false,
        }
    }
}

impl Settings {
    /// Takes a file at its word; `store_path` stands where the file names none.
    pub fn new(file: File, store_path: PathBuf) -> Result<Settings> {
        let listen = file.listen.as_deref().unwrap_or("127.0.0.1:3000");
        let upstreams = file.upstream.into_iter().enumerate().map(upstream).collect::<Result<Vec<_>>>()?;
        if upstreams.len() > MAX_UPSTREAMS {
            return Err(wrong("upstream", &upstreams.len().to_string(), "at most 20 upstreams"));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = upstreams.iter().find(|u| !names.insert(&u.name)) {
            return Err(wrong("upstream.name", &twice.name, "a name that no other upstream has"));
        }
        let GitTable { allow_insecure, instead_of } = file.git;
        Ok(Settings {
            listen: parse_listen(listen)?,
            store_path: file.store.path.map(PathBuf::from).unwrap_or(store_path),
            spill: size("store.spill", file.store.spill.as_deref(), 8 << 20)?,
            mode: mode(file.pseudo_versions.mode.as_deref())?,
            refuse_mod: match file.pseudo_versions.strict_mod.as_deref() {
                None | Some("serve") => false,
                Some("refuse") => true,
                Some(other) => return Err(wrong("pseudo_versions.strict_mod", other, "serve or refuse")),
            },
            allow_private: file.net.allow_private,
            allow_insecure: insecure(allow_insecure)?,
            instead_of: instead_of.into_iter().collect(),
            upstreams,
        })
    }
}

/// Reads `HOST:PORT`.
pub fn parse_listen(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| wrong("listen", text, "an address and a port such as 127.0.0.1:3000"))
}

fn mode(text: Option<&str>) -> Result<Mode> {
    match text {
        None | Some("rewrite") => Ok(Mode::Rewrite),
        Some("strict") => Ok(Mode::Strict),
        Some("legacy") => Ok(Mode::Legacy),
        Some(other) => Err(wrong("pseudo_versions.mode", other, "strict, rewrite or legacy")),
    }
}

fn insecure(value: Option<toml::Value>) -> Result<AllowInsecure> {
    let expected = "a list of hosts, or true";
    match value {
        None | Some(toml::Value::Boolean(false)) => Ok(AllowInsecure::Hosts(Vec::new())),
        Some(toml::Value::Boolean(true)) => Ok(AllowInsecure::All),
        Some(toml::Value::Array(hosts)) => {
            let host = |value: toml::Value| match value {
                toml::Value::String(host) => Ok(host),
                other => Err(wrong("git.allow_insecure", &other.to_string(), expected)),
            };
            hosts.into_iter().map(host).collect::<Result<Vec<_>>>().map(AllowInsecure::Hosts)
        }
        Some(other) => Err(wrong("git.allow_insecure", &other.to_string(), expected)),
    }
}

fn upstream((position, table): (usize, UpstreamTable)) -> Result<Upstream> {
    let name = table.name.ok_or_else(|| missing("upstream", position, "name"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(wrong("upstream.name", &name, "letters, digits, dots, hyphens and underscores"));
    }
    let kind = match table.kind.as_deref() {
        Some("git") => UpstreamKind::Git,
        Some("proxy") => UpstreamKind::Proxy(proxy_url(table.url.as_deref(), position)?),
        Some("dir") => {
            UpstreamKind::Dir(table.path.ok_or_else(|| missing("upstream", position, "path")).map(PathBuf::from)?)
        }
        Some(other) => return Err(wrong("upstream.kind", other, "git, proxy or dir")),
        None => return Err(missing("upstream", position, "kind")),
    };
    let default = Upstream::new(name, kind);
    Ok(Upstream {
        modules: table.modules.join(","),
        not_modules: table.not_modules.join(","),
        auth: table.auth.map(|table| auth(table, &default.kind)).transpose()?,
        cache_validity: match table.cache_validity_hours {
            Some(0) => None,
            Some(hours) => Some(Duration::from_secs(u64::from(hours) * 3600)),
            None => default.cache_validity,
        },
        list_validity: duration("upstream.list_validity", table.list_validity.as_deref(), default.list_validity)?,
        go_on_after_failure: match table.on_failure.as_deref() {
            None | Some("stop") => false,
            Some("next") => true,
            Some(other) => return Err(wrong("upstream.on_failure", other, "stop or next")),
        },
        ..default
    })
}

fn proxy_url(text: Option<&str>, position: usize) -> Result<Url> {
    let text = text.ok_or_else(|| missing("upstream", position, "url"))?;
    let url = Url::parse(text).map_err(|_| wrong("upstream.url", text, "a URL such as https://proxy.example"))?;
    if !url.username().is_empty() || url.password().is_some() {
        let bare = url.host_str().unwrap_or_default();
        return Err(wrong("upstream.url", &format!("…@{bare}"), "a URL without credentials; they stand in auth"));
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(wrong("upstream.url", scheme, "https or http")),
    }
}

fn auth(table: AuthTable, kind: &UpstreamKind) -> Result<Auth> {
    let secret = match (table.token_file, table.token_env) {
        (Some(file), None) => SecretRef::File(file.into()),
        (None, Some(variable)) => SecretRef::Environment(variable),
        _ => return Err(wrong("upstream.auth", "", "exactly one of token_file and token_env")),
    };
    let host = match (table.host, kind) {
        (Some(host), _) => host,
        (None, UpstreamKind::Proxy(url)) => url.host_str().unwrap_or_default().to_owned(),
        (None, _) => return Err(wrong("upstream.auth.host", "", "the host that the credentials are for")),
    };
    let scheme = match (table.scheme.as_deref(), table.username, table.header) {
        (None | Some("basic"), Some(username), None) => AuthScheme::Basic { username },
        (None | Some("bearer"), None, None) => AuthScheme::Bearer,
        (None | Some("header"), None, Some(name)) => AuthScheme::Header { name },
        (scheme, ..) => {
            let found = scheme.unwrap_or("username and header together");
            return Err(wrong("upstream.auth.scheme", found, "basic with username, bearer, or header with header"));
        }
    };
    Ok(Auth { host, scheme, secret })
}

fn duration(key: &str, text: Option<&str>, default: Duration) -> Result<Duration> {
    let Some(text) = text else { return Ok(default) };
    humantime::parse_duration(text).map_err(|_| wrong(key, text, "a duration such as 30s, 1m or 24h"))
}

fn size(key: &str, text: Option<&str>, default: u64) -> Result<u64> {
    let Some(text) = text else { return Ok(default) };
    text.parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| wrong(key, text, "a size such as 8MiB"))
}

fn wrong(key: &str, found: &str, expected: &str) -> Error {
    Error::gone(format!("{key}: {found:?} (expected {expected})"))
}

fn missing(table: &str, position: usize, key: &str) -> Error {
    Error::gone(format!("{table} {}: {key} is missing", position + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        Settings::new(File::parse(text)?, PathBuf::from("modvet-data"))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let settings = settings("").expect("empty");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(settings.store_path, PathBuf::from("modvet-data"));
        assert_eq!((settings.spill, settings.mode), (8 << 20, Mode::Rewrite));
        assert!(settings.upstreams.is_empty());
    }

    #[test]
    fn reads_upstreams_in_their_order() {
        let settings = settings(
            r#"
            [[upstream]]
            name = "corp"
            kind = "git"
            modules = ["corp.example/*", "other.example"]
            auth = { host = "git.corp.example", username = "ci", token_env = "CORP_TOKEN" }
            cache_validity_hours = 0
            list_validity = "2m"
            [[upstream]]
            name = "public"
            kind = "proxy"
            url = "https://proxy.example"
            on_failure = "next"
            auth = { token_file = "/run/secret" }
            "#,
        )
        .expect("two upstreams");
        let [corp, public] = &settings.upstreams[..] else { panic!("two") };
        assert_eq!((corp.modules.as_str(), corp.cache_validity), ("corp.example/*,other.example", None));
        assert_eq!(corp.list_validity, Duration::from_secs(120));
        assert!(public.go_on_after_failure);
        let auth = public.auth.as_ref().expect("auth");
        assert_eq!((auth.host.as_str(), &auth.scheme), ("proxy.example", &AuthScheme::Bearer));
    }

    #[test]
    fn names_the_key_the_value_and_what_was_expected() {
        let table = [
            ("listen = 'here'", "listen: \"here\" (expected an address and a port such as 127.0.0.1:3000)"),
            ("[pseudo_versions]\nmode = 'lax'", "pseudo_versions.mode: \"lax\" (expected strict, rewrite or legacy)"),
            ("[store]\nspill = 'much'", "store.spill: \"much\" (expected a size such as 8MiB)"),
            ("[git]\nallow_insecure = 'x'", "git.allow_insecure: \"\\\"x\\\"\" (expected a list of hosts, or true)"),
            ("[[upstream]]\nkind = 'git'", "upstream 1: name is missing"),
            ("[[upstream]]\nname = 'a'\nkind = 'svn'", "upstream.kind: \"svn\" (expected git, proxy or dir)"),
            (
                "[[upstream]]\nname = 'a'\nkind = 'proxy'\nurl = 'https://u:p@x.example'",
                "upstream.url: \"…@x.example\" (expected a URL without credentials; they stand in auth)",
            ),
            (
                "[[upstream]]\nname = 'a'\nkind = 'git'\n[[upstream]]\nname = 'a'\nkind = 'git'",
                "upstream.name: \"a\" (expected a name that no other upstream has)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(settings(text).expect_err(text).what(), expected);
        }
    }
}
