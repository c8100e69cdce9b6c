//! `[[mirror]]`: what is to be watched, as it is written and as it is meant.

use std::time::Duration;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::monitor::{MirrorDefinition, MirrorKind, Origin, Period, RefPattern, Renewal, email};
use crate::registry::definition::{
    Auth, AuthTable, Fault, Home, auth, duration, host_of, is_host, name, printed_duration, proxy_url,
};
use crate::spec::path::ModulePath;

/// As it is written: every key optional, no value looked into yet.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MirrorTable {
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<String>>,
    // Tables stand last: TOML wants it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_auth: Option<AuthTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_auth: Option<AuthTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalTable>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct RenewalTable {
    pub what: Option<String>,
    pub date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A mirror, and who we are to its two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSettings {
    pub definition: MirrorDefinition,
    pub source_auth: Option<Auth>,
    pub mirror_auth: Option<Auth>,
}

const CHECK_EVERY: Duration = Duration::from_secs(15 * 60);
const MAX_LAG: Duration = Duration::from_secs(24 * 60 * 60);

/// Oftener is no watch but a load.
const SOONEST: Duration = Duration::from_secs(1);

/// Notes a fault and goes on without.
fn note<T>(fault: Fault, faults: &mut Vec<Fault>) -> Option<T> {
    faults.push(fault);
    None
}

/// `None` if what is left cannot stand for a mirror.
pub fn read(table: MirrorTable, faults: &mut Vec<Fault>) -> Option<MirrorSettings> {
    let name = name(table.name.clone(), faults);
    let ends = match table.kind.as_deref() {
        None | Some("git") => git(&table, faults),
        Some("proxy") => proxy(&table, faults),
        Some(other) => {
            faults.push(Fault::wrong("kind", other, "git or proxy"));
            Ends::default()
        }
    };
    let (source_auth, mirror_auth) = (table.source_auth, table.mirror_auth);
    let source_auth = source_auth.and_then(|table| auth("source_auth", table, ends.source, faults));
    let mirror_auth = mirror_auth.and_then(|table| auth("mirror_auth", table, ends.mirror, faults));
    let check_every = duration("check_every", table.check_every.as_deref(), CHECK_EVERY, faults);
    if check_every < SOONEST {
        faults.push(Fault::wrong("check_every", table.check_every.as_deref().unwrap_or_default(), "at least 1s"));
    }
    let max_lag = duration("max_lag", table.max_lag.as_deref(), MAX_LAG, faults);
    let renewal = table.renewal.and_then(|table| renewal(table, faults));
    let (name, kind) = (name?, ends.kind?);
    let (notify, is_paused) = (table.notify, table.paused.unwrap_or(false));
    let definition = MirrorDefinition { name, kind, check_every, max_lag, renewal, notify, is_paused };
    Some(MirrorSettings { definition, source_auth, mirror_auth })
}

/// What a table says of its two sides.
struct Ends {
    kind: Option<MirrorKind>,
    /// Whom credentials are for that name no host.
    source: Home,
    mirror: Home,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends { kind: None, source: Home::Unknown, mirror: Home::Unknown }
    }
}

fn git(table: &MirrorTable, faults: &mut Vec<Fault>) -> Ends {
    let source = repository("source", table.source.as_deref(), faults);
    let mirror = repository("mirror", table.mirror.as_deref(), faults);
    if let (Some(source), Some(mirror)) = (&source, &mirror)
        && source.plain == mirror.plain
    {
        faults.push(Fault::wrong("mirror", &mirror.written, "another address than the source's"));
    }
    if table.modules.is_some() {
        faults.push(Fault::other("modules", "a git mirror has none (expected no modules)"));
    }
    let refs = match &table.refs {
        None => Some(RefPattern::defaults()),
        Some(refs) => listed("refs", refs, str::parse::<RefPattern>, faults),
    };
    let home = |found: &Option<Repository>| found.as_ref().map_or(Home::Unknown, |found| found.home.clone());
    let (source_home, mirror_home) = (home(&source), home(&mirror));
    let kind = source.zip(mirror).zip(refs);
    let kind =
        kind.map(|((source, mirror), refs)| MirrorKind::Git { source: source.written, mirror: mirror.written, refs });
    Ends { kind, source: source_home, mirror: mirror_home }
}

fn proxy(table: &MirrorTable, faults: &mut Vec<Fault>) -> Ends {
    let source = match table.source.as_deref() {
        Some("direct") => Some(Origin::Git),
        Some(text) if !text.contains(':') => {
            note(Fault::wrong("source", text, "direct, or a URL such as https://proxy.example"), faults)
        }
        text => proxy_url("source", text, faults).map(Origin::Proxy),
    };
    let mirror = proxy_url("mirror", table.mirror.as_deref(), faults);
    if let (Some(Origin::Proxy(source)), Some(url)) = (&source, &mirror)
        && source == url
    {
        faults.push(Fault::wrong("mirror", url.as_str(), "another address than the source's"));
    }
    if table.refs.is_some() {
        faults.push(Fault::other("refs", "a proxy has none (expected modules)"));
    }
    let modules = match &table.modules {
        None => note(Fault::missing("modules").remedy("name a few modules whose versions are compared"), faults),
        Some(modules) => {
            let read =
                |text: &str| ModulePath::parse(text).map_err(|_| "a module path such as example.com/m".to_owned());
            listed("modules", modules, read, faults)
        }
    };
    let source_home = match &source {
        Some(Origin::Proxy(url)) => Home::Host(host_of(url)),
        Some(Origin::Git) => Home::Unsaid,
        None => Home::Unknown,
    };
    let mirror_home = mirror.as_ref().map_or(Home::Unknown, |url| Home::Host(host_of(url)));
    let kind = source.zip(mirror).zip(modules);
    let kind = kind.map(|((source, mirror), modules)| MirrorKind::Proxy { source, mirror, modules });
    Ends { kind, source: source_home, mirror: mirror_home }
}

/// A list of what can be read, each once.
fn listed<T: PartialEq>(
    key: &str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<T>> {
    let mut items = Vec::new();
    if texts.is_empty() {
        faults.push(Fault::other(key, "an empty list (expected at least one)"));
    }
    for (at, text) in texts.iter().enumerate() {
        match read(text) {
            Ok(item) if items.contains(&item) => faults.push(Fault::wrong(format!("{key}.{at}"), text, "each once")),
            Ok(item) => items.push(item),
            Err(expected) => faults.push(Fault::wrong(format!("{key}.{at}"), text, &expected)),
        }
    }
    Some(items)
}

/// The address of a git repository.
struct Repository {
    /// As it stands in the file: a parsed one has a slash or a port less than what people wrote.
    written: String,
    /// By which two are told to be the same.
    plain: String,
    home: Home,
}

/// https, http or ssh, without credentials; or git's short form of ssh.
fn repository(key: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> Option<Repository> {
    let Some(text) = text else { return note(Fault::missing(key), faults) };
    if is_short(text) {
        return Some(Repository { written: text.to_owned(), plain: text.to_owned(), home: SSH });
    }
    let wrong = |found: &str, expected: &str, faults: &mut Vec<Fault>| note(Fault::wrong(key, found, expected), faults);
    let Some(url) = Url::parse(text).ok().filter(|_| text.contains("://")) else {
        // There may be a password in it.
        let shown = if text.contains('@') { "…@…" } else { text };
        return wrong(shown, "an address such as https://git.example/repository.git", faults);
    };
    let host = url.host_str().unwrap_or_default();
    let found = |home| Some(Repository { written: text.to_owned(), plain: url.to_string(), home });
    match url.scheme() {
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            let expected = format!("an address without credentials; they stand in {key}_auth");
            wrong(&format!("…@{host}"), &expected, faults)
        }
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            wrong(&format!("{host}…"), "an address without ? and #", faults)
        }
        "http" | "https" => found(Home::Host(host_of(&url))),
        "ssh" | "git+ssh" | "ssh+git" if url.password().is_some() => {
            wrong(&format!("…@{host}"), "an address without a password; ssh has its own keys", faults)
        }
        "ssh" | "git+ssh" | "ssh+git" if host.is_empty() || url.path().len() < 2 => {
            wrong(text, "host and path", faults)
        }
        "ssh" | "git+ssh" | "ssh+git" => found(SSH),
        _ => wrong(text, "an address that begins with https://, http:// or ssh://", faults),
    }
}

const SSH: Home = Home::Nobody("ssh has its own keys and");

/// `user@host:path`, which git takes for ssh.
fn is_short(text: &str) -> bool {
    let Some((destination, path)) = text.split_once(':') else { return false };
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.contains(char::is_whitespace);
    let (user, host) = destination.split_once('@').map_or((None, destination), |(user, host)| (Some(user), host));
    is_host(host) && user.is_none_or(is_plain) && is_plain(path) && !path.starts_with("//")
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn renewal(table: RenewalTable, faults: &mut Vec<Fault>) -> Option<Renewal> {
    let what = match table.what.as_deref().map(str::trim) {
        None => note(Fault::missing("renewal.what"), faults),
        Some(text) if text.is_empty() || text.chars().any(char::is_control) => {
            note(Fault::wrong("renewal.what", text, "a line of text such as open source subscription"), faults)
        }
        Some(text) => Some(text.to_owned()),
    };
    let date = match table.date.as_deref() {
        None => note(Fault::missing("renewal.date"), faults),
        Some(text) => text.parse::<NaiveDate>().ok().or_else(|| {
            let expected = "the last day on which it holds, such as 2027-02-01";
            note(Fault::wrong("renewal.date", text, expected), faults)
        }),
    };
    let every = table.every.as_deref().and_then(|text| {
        let read = text.parse::<Period>().ok();
        read.or_else(|| note(Fault::wrong("renewal.every", text, "a period such as 30d, 2w, 6m or 1y"), faults))
    });
    let owner = table.owner.and_then(|text| match email::is_address(&text) {
        true => Some(text),
        false => note(Fault::wrong("renewal.owner", &text, "an e-mail address such as ops@example.com"), faults),
    });
    let url = table.url.and_then(|text| {
        let plain = |url: &Url| is_http(url) && url.username().is_empty() && url.password().is_none();
        if Url::parse(&text).is_ok_and(|url| plain(&url)) {
            return Some(text);
        }
        let shown = if text.contains('@') { "…@…" } else { &text };
        note(Fault::wrong("renewal.url", shown, "a URL such as https://shop.example/renew"), faults)
    });
    Some(Renewal { what: what?, date: date?, every, owner, url })
}

impl MirrorSettings {
    /// Two that watch the same would tell everything twice.
    pub fn look_for_twin(&self, others: &[MirrorSettings], faults: &mut Vec<Fault>) {
        let ends = |settings: &MirrorSettings| (settings.definition.source(), settings.definition.mirror());
        if let Some(twin) = others.iter().find(|other| ends(other) == ends(self)) {
            let expected = format!("not the two addresses of mirror {}", twin.definition.name);
            faults.push(Fault::wrong("mirror", &self.definition.mirror(), &expected));
        }
    }

    /// One that is compared with itself would be in sync for ever.
    pub fn look_for_itself(&self, instead_of: &[(String, String)], faults: &mut Vec<Fault>) {
        let definition = &self.definition;
        if !faults.iter().any(|fault| fault.key == "mirror") && definition.kind.is_led_to_itself(instead_of) {
            let expected = "another place than the source's, also after [git] instead_of";
            faults.push(Fault::wrong("mirror", &definition.mirror(), expected));
        }
    }

    /// As a file would say it, with every default and no secret.
    pub fn table(&self) -> MirrorTable {
        let MirrorSettings { definition, source_auth, mirror_auth } = self;
        let (refs, modules) = match &definition.kind {
            MirrorKind::Git { refs, .. } => {
                (Some(refs.iter().map(|pattern| pattern.as_str().to_owned()).collect()), None)
            }
            MirrorKind::Proxy { modules, .. } => (None, Some(modules.iter().map(ToString::to_string).collect())),
        };
        MirrorTable {
            name: Some(definition.name.clone()),
            kind: Some(definition.kind.word().to_owned()),
            source: Some(definition.source()),
            mirror: Some(definition.mirror()),
            refs,
            modules,
            check_every: Some(printed_duration(definition.check_every)),
            max_lag: Some(printed_duration(definition.max_lag)),
            paused: Some(definition.is_paused),
            notify: definition.notify.clone(),
            source_auth: source_auth.as_ref().map(Auth::table),
            mirror_auth: mirror_auth.as_ref().map(Auth::table),
            renewal: definition.renewal.as_ref().map(renewal_table),
        }
    }
}

fn renewal_table(renewal: &Renewal) -> RenewalTable {
    RenewalTable {
        what: Some(renewal.what.clone()),
        date: Some(renewal.date.to_string()),
        every: renewal.every.map(|every| every.to_string()),
        owner: renewal.owner.clone(),
        url: renewal.url.clone(),
    }
}

#[cfg(test)]
mod tests;
