//! From what is written to what is meant; every value that cannot be meant is named.

use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use url::Url;

use super::mirrors;
use super::table::{AuthTable, RegistryTable, TimeoutsTable, UpstreamTable};
use super::{
    Auth, AuthScheme, Fault, MAX_UPSTREAMS, OnChange, RegistryDefinition, SecretRef, Timeouts, UpstreamDefinition,
    UpstreamKind,
};
use crate::registry::OnFailure;
use crate::spec::path;
use crate::vet::mode::Mode;

/// What stands behind `/registries/` or beside it, now or one day: a registry of such a name would be mistaken for it.
const TAKEN: [&str; 13] = [
    "api",
    "checksum",
    "entries",
    "explain",
    "healthz",
    "metrics",
    "mirrors",
    "modules",
    "readyz",
    "registries",
    "reload",
    "sumdb",
    "upstreams",
];

const NAME: &str = "letters, digits, dots, hyphens and underscores, the first a letter or digit";
const LONGEST_NAME: usize = 64;
const MOST_REQUESTS: u32 = 1000;

impl UpstreamDefinition {
    /// `None` if what is left cannot stand for an upstream.
    pub fn read(table: UpstreamTable, faults: &mut Vec<Fault>) -> Option<UpstreamDefinition> {
        let name = name(table.name, faults);
        let kind = kind(table.kind.as_deref(), table.url.as_deref(), table.path.as_deref(), faults);
        // Whatever else is wrong is named all the same.
        let is_whole = name.is_some() && kind.is_some();
        let auth = table.auth.and_then(|table| auth("auth", table, Home::of(kind.as_ref()), faults));
        let (mirrors, on_stale) = mirrors::read(kind.as_ref(), table.mirrors, table.on_stale.as_deref(), faults);
        let requests = requests(kind.as_ref(), table.requests, faults);
        let default = UpstreamDefinition::new(name.unwrap_or_default(), kind.unwrap_or(UpstreamKind::Git));
        let list_validity = duration("list_validity", table.list_validity.as_deref(), default.list_validity, faults);
        let stale = max_stale(list_validity);
        let definition = UpstreamDefinition {
            description: table.description.unwrap_or_default(),
            modules: patterns("modules", table.modules, faults),
            not_modules: patterns("not_modules", table.not_modules, faults),
            auth,
            timeouts: timeouts(table.timeouts.unwrap_or_default(), faults),
            cache_validity: match table.cache_validity_hours {
                Some(0) => None,
                Some(hours) => Some(Duration::from_secs(u64::from(hours) * 3600)),
                None => default.cache_validity,
            },
            list_validity,
            list_max_stale: duration("list_max_stale", table.list_max_stale.as_deref(), stale, faults),
            on_change: match table.on_change.as_deref() {
                None | Some("keep") => OnChange::Keep,
                Some("replace") => OnChange::Replace,
                Some(other) => note(Fault::wrong("on_change", other, "keep or replace"), faults),
            },
            on_failure: match table.on_failure.as_deref() {
                None | Some("stop") => OnFailure::Stop,
                Some("next") => OnFailure::GoOn,
                Some(other) => note(Fault::wrong("on_failure", other, "stop or next"), faults),
            },
            max_size: table.max_size.map(|text| size("max_size", Some(&text), 0, faults)).filter(|max| *max > 0),
            keep_days: table.keep_days,
            requests: requests.or(default.requests),
            mirrors,
            on_stale,
            ..default
        };
        is_whole.then_some(definition)
    }

    /// A folder that is not there is a mistake when the upstream is made, and a failure later.
    pub fn missing_folder(&self) -> Option<&Path> {
        match &self.kind {
            UpstreamKind::Dir(folder) if !folder.is_dir() => Some(folder),
            _ => None,
        }
    }

    pub fn look_for_folder(&self, faults: &mut Vec<Fault>) {
        if let Some(folder) = self.missing_folder() {
            faults.push(Fault::wrong("path", &folder.to_string_lossy(), "a folder that is there"));
        }
    }
}

impl RegistryDefinition {
    /// Whether the upstreams are there is not looked at: see [`RegistryDefinition::look_for_upstreams`].
    pub fn read(table: RegistryTable, faults: &mut Vec<Fault>) -> Option<RegistryDefinition> {
        let name = name(table.name, faults);
        if let Some(name) = name.as_deref().filter(|name| TAKEN.contains(name)) {
            faults.push(Fault::wrong("name", name, "a name that is no word of modvet's own addresses"));
        }
        let upstreams = table.upstreams.or_else(|| note(Fault::missing("upstreams"), faults));
        look_at_order(name.as_deref(), upstreams.as_deref().unwrap_or_default(), faults);
        let own_mode = table.mode.as_deref().map(|text| mode("mode", Some(text), faults));
        let refuse_mod = table.strict_mod.as_deref().map(|text| strict_mod("strict_mod", Some(text), faults));
        Some(RegistryDefinition {
            name: name?,
            description: table.description.unwrap_or_default(),
            upstreams: upstreams?,
            mode: own_mode,
            refuse_mod,
        })
    }

    /// Every upstream must be known; `known` in words that say which there are.
    pub fn look_for_upstreams<'a>(&self, known: impl Iterator<Item = &'a str> + Clone, faults: &mut Vec<Fault>) {
        look_for_upstreams(Some(&self.name), &self.upstreams, known, faults);
    }
}

/// The same where the rest cannot stand for a registry.
pub fn look_for_upstreams<'a>(
    name: Option<&str>,
    upstreams: &[String],
    known: impl Iterator<Item = &'a str> + Clone,
    faults: &mut Vec<Fault>,
) {
    for (at, upstream) in upstreams.iter().enumerate() {
        if known.clone().any(|known| known == upstream) {
            continue;
        }
        let there = known.clone().collect::<Vec<_>>().join(", ");
        let what = format!("{} names the unknown upstream {upstream:?} (expected one of: {there})", called(name));
        faults.push(Fault::other(format!("upstreams.{at}"), what));
    }
}

fn look_at_order(name: Option<&str>, upstreams: &[String], faults: &mut Vec<Fault>) {
    let called = called(name);
    if upstreams.len() > MAX_UPSTREAMS {
        let what = format!("{called} has {} upstreams (expected at most {MAX_UPSTREAMS})", upstreams.len());
        faults.push(Fault::other("upstreams", what));
    }
    for (at, twice) in upstreams.iter().enumerate().filter(|(at, upstream)| upstreams[..*at].contains(upstream)) {
        let what = format!("{called} has {twice:?} twice (expected each upstream once)");
        faults.push(Fault::other(format!("upstreams.{at}"), what));
    }
}

fn called(name: Option<&str>) -> String {
    name.map_or_else(|| "the registry".to_owned(), |name| format!("registry {name}"))
}

/// Notes a fault and goes on with a default.
fn note<T: Default>(fault: Fault, faults: &mut Vec<Fault>) -> T {
    faults.push(fault);
    T::default()
}

/// The name of an upstream, a registry or a rule.
pub fn name(name: Option<String>, faults: &mut Vec<Fault>) -> Option<String> {
    let Some(name) = name else {
        faults.push(Fault::missing("name"));
        return None;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || !name.chars().all(plain) {
        faults.push(Fault::wrong("name", &name, NAME));
    } else if name.len() > LONGEST_NAME {
        faults.push(Fault::wrong("name", &name, "at most 64 characters"));
    } else {
        return Some(name);
    }
    None
}

fn kind(kind: Option<&str>, url: Option<&str>, path: Option<&str>, faults: &mut Vec<Fault>) -> Option<UpstreamKind> {
    let misplaced = |key: &str, kind: &str, faults: &mut Vec<Fault>| {
        faults.push(Fault::other(key, format!("a {kind} upstream has none (expected no {key})")));
    };
    let Some(kind) = kind.filter(|kind| matches!(*kind, "git" | "proxy" | "dir")) else {
        let wrong = |other| Fault::wrong("kind", other, "git, proxy or dir");
        faults.push(kind.map_or_else(|| Fault::missing("kind"), wrong));
        // An address that is none is wrong for every kind.
        url.and_then(|url| proxy_url("url", Some(url), faults));
        return None;
    };
    if url.is_some() && kind != "proxy" {
        misplaced("url", kind, faults);
    }
    if path.is_some() && kind != "dir" {
        misplaced("path", kind, faults);
    }
    match kind {
        "git" => Some(UpstreamKind::Git),
        "proxy" => proxy_url("url", url, faults).map(UpstreamKind::Proxy),
        _ => match path {
            Some("") | None => note(Fault::missing("path"), faults),
            Some(path) => Some(UpstreamKind::Dir(path.into())),
        },
    }
}

/// The address of another proxy: http or https, without credentials.
pub fn proxy_url(key: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> Option<Url> {
    let Some(text) = text else { return note(Fault::missing(key), faults) };
    let url = match Url::parse(text) {
        Ok(url) => url,
        // What is no URL may hold a password all the same.
        Err(_) if text.contains('@') => {
            return note(Fault::wrong(key, "…@…", "a URL without credentials; they stand in auth"), faults);
        }
        Err(_) => return note(Fault::wrong(key, text, "a URL such as https://proxy.example"), faults),
    };
    let bare = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() {
        let found = format!("…@{bare}");
        return note(Fault::wrong(key, &found, "a URL without credentials; they stand in auth"), faults);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return note(Fault::wrong(key, url.scheme(), "https or http"), faults);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return note(Fault::wrong(key, &format!("{bare}…"), "a URL without ? and #"), faults);
    }
    Some(url)
}

/// GOPRIVATE patterns.
pub fn patterns(key: &str, patterns: Option<Vec<String>>, faults: &mut Vec<Fault>) -> Vec<String> {
    let patterns = patterns.unwrap_or_default();
    for (at, pattern) in patterns.iter().enumerate() {
        if !path::is_pattern(pattern) {
            faults.push(Fault::wrong(format!("{key}.{at}"), pattern, "a pattern such as corp.example/*"));
        }
    }
    patterns
}

/// The host that credentials are for where they do not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// That of the address beside them.
    Host(String),
    /// There is none: they have to say it.
    Unsaid,
    /// The address beside them is wrong itself.
    Unknown,
    /// Nobody asks for them; who, in words.
    Nobody(&'static str),
}

impl Home {
    fn of(kind: Option<&UpstreamKind>) -> Home {
        match kind {
            Some(UpstreamKind::Proxy(url)) => Home::Host(host_of(url)),
            Some(UpstreamKind::Dir(_)) => Home::Nobody("a folder"),
            Some(UpstreamKind::Git) => Home::Unsaid,
            None => Home::Unknown,
        }
    }
}

/// How many requests may be under way; a folder is asked for none.
fn requests(kind: Option<&UpstreamKind>, requests: Option<u32>, faults: &mut Vec<Fault>) -> Option<u32> {
    match (kind, requests?) {
        (Some(UpstreamKind::Dir(_)), _) => {
            note(Fault::other("requests", "a folder is sent none (expected no requests)"), faults)
        }
        (_, number @ 1..=MOST_REQUESTS) => Some(number),
        (_, number) => note(Fault::wrong("requests", &number.to_string(), "a number from 1 to 1000"), faults),
    }
}

/// Credentials that stand under a key.
pub fn auth(above: &str, table: AuthTable, home: Home, faults: &mut Vec<Fault>) -> Option<Auth> {
    let key = |below: &str| format!("{above}.{below}");
    let secret = match (table.token_file, table.token_env, table.token) {
        (Some(file), None, None) => Some(SecretRef::File(file.into())),
        (None, Some(variable), None) => Some(SecretRef::Environment(variable)),
        (None, None, Some(token)) if !token.expose().is_empty() => Some(SecretRef::Given(token)),
        (file, variable, token) => {
            let found = [("token_file", file.is_some()), ("token_env", variable.is_some()), ("token", token.is_some())];
            let found: Vec<&str> = found.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
            let found = if found.is_empty() { "no secret".to_owned() } else { found.join(" and ") };
            let what = format!("{found} (expected exactly one of token_file and token_env)");
            note(Fault::other(above, what).rests_on(&[&key("token_file"), &key("token_env")]), faults)
        }
    };
    let host = match (table.host, home) {
        (Some(host), _) if is_host(&host) => Some(host),
        (Some(host), _) if host.contains('@') => {
            note(Fault::wrong(key("host"), "…@…", "a host or host:port without credentials"), faults)
        }
        (Some(host), _) => note(Fault::wrong(key("host"), &host, "a host or host:port"), faults),
        (None, Home::Host(host)) => Some(host),
        (None, Home::Nobody(who)) => {
            let what = format!("{who} needs none (expected no {above})");
            note(Fault::other(above, what).rests_on(&[&key("host")]), faults)
        }
        (None, Home::Unsaid) => note(Fault::missing(key("host")), faults),
        // It may go without saying.
        (None, Home::Unknown) => None,
    };
    let scheme = scheme(above, (table.scheme, table.username, table.header), faults);
    Some(Auth { host: host?, scheme: scheme?, secret: secret? })
}

type Scheme = (Option<String>, Option<String>, Option<String>);

fn scheme(above: &str, (scheme, username, header): Scheme, faults: &mut Vec<Fault>) -> Option<AuthScheme> {
    let key = |below: &str| format!("{above}.{below}");
    match (scheme.as_deref(), username, header) {
        (None | Some("basic"), Some(username), None) if !username.contains([':', '\r', '\n']) => {
            Some(AuthScheme::Basic { username })
        }
        (None | Some("basic"), Some(username), None) => {
            note(Fault::wrong(key("username"), &username, "a name without a colon"), faults)
        }
        (None | Some("bearer"), None, None) => Some(AuthScheme::Bearer),
        (None | Some("header"), None, Some(name)) if is_token(&name) => Some(AuthScheme::Header { name }),
        (None | Some("header"), None, Some(name)) => {
            note(Fault::wrong(key("header"), &name, "a header's name such as Private-Token"), faults)
        }
        (scheme, username, header) => {
            let expected = "basic with username, bearer, or header with header";
            let found = scheme.unwrap_or("username and header together");
            let fault = Fault::wrong(key("scheme"), found, expected);
            let fault = match (scheme, username, header) {
                (Some("basic"), None, None) => fault.rests_on(&[&key("username")]),
                (Some("header"), None, None) => fault.rests_on(&[&key("header")]),
                _ => fault,
            };
            note(fault, faults)
        }
    }
}

/// Host and port of an address, the port only if it is not the scheme's own.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether this is a host, or a host and a port, and nothing else.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest),
        None if text.matches(':').count() > 1 => (text, ""),
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = !host.is_empty() && host.chars().all(fits) && host.starts_with(char::is_alphanumeric);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (is_address || is_name) && is_port
}

/// A token of RFC 9110, which a header's name is.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn timeouts(table: TimeoutsTable, faults: &mut Vec<Fault>) -> Timeouts {
    let default = Timeouts::default();
    let mut limit = |key: &str, text: Option<&str>, default| {
        let found = duration(key, text, default, faults);
        if found.is_zero() {
            faults.push(Fault::wrong(key, text.unwrap_or_default(), "more than no time"));
        }
        found
    };
    Timeouts {
        first_byte: limit("timeouts.first_byte", table.first_byte.as_deref(), default.first_byte),
        total: limit("timeouts.total", table.total.as_deref(), default.total),
    }
}

/// What is asked first every time is never served stale at once.
pub(super) fn max_stale(list_validity: Duration) -> Duration {
    if list_validity.is_zero() { Duration::ZERO } else { Duration::from_secs(24 * 3600) }
}

/// The longest time that can be meant: beyond it sums with dates overflow.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

pub fn duration(key: &str, text: Option<&str>, default: Duration, faults: &mut Vec<Fault>) -> Duration {
    let Some(text) = text else { return default };
    // A bare 0 is plain enough.
    let found = if text == "0" { Some(Duration::ZERO) } else { humantime::parse_duration(text).ok() };
    found.filter(|found| *found <= LONGEST).unwrap_or_else(|| {
        faults.push(Fault::wrong(key, text, "a duration such as 30s, 1m or 24h"));
        default
    })
}

pub fn size(key: &str, text: Option<&str>, default: u64, faults: &mut Vec<Fault>) -> u64 {
    let Some(text) = text else { return default };
    text.parse::<ByteSize>().map(|size| size.as_u64()).unwrap_or_else(|_| {
        faults.push(Fault::wrong(key, text, "a size such as 8MiB"));
        default
    })
}

pub fn mode(key: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> Mode {
    match text {
        None | Some("rewrite") => Mode::Rewrite,
        Some("strict") => Mode::Strict,
        Some("legacy") => Mode::Legacy,
        Some(other) => note(Fault::wrong(key, other, "strict, rewrite or legacy"), faults),
    }
}

/// Whether `strict` refuses the .mod of a wrong pseudo-version too.
pub fn strict_mod(key: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> bool {
    match text {
        None | Some("serve") => false,
        Some("refuse") => true,
        Some(other) => note(Fault::wrong(key, other, "serve or refuse"), faults),
    }
}
