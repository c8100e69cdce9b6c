//! `[[mirror]]`: what is to be watched, as it is written and as it is meant.

use std::time::Duration;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::monitor::{MirrorDefinition, MirrorKind, Origin, Period, RefPattern, Renewal};
use crate::registry::definition::{
    Auth, AuthTable, Fault, Home, auth, duration, host_of, name, printed_duration, proxy_url,
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
    if max_lag < check_every {
        tracing::warn!(
            mirror = name,
            "max_lag is shorter than check_every: what differs at two checks is stale at the second"
        );
    }
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
    let source = git_url("source", table.source.as_deref(), faults);
    let mirror = git_url("mirror", table.mirror.as_deref(), faults);
    if let (Some(source), Some(_)) = (&source, mirror.as_ref().filter(|mirror| source.as_ref() == Some(mirror))) {
        faults.push(Fault::wrong("mirror", source.as_str(), "another address than the source's"));
    }
    if table.modules.is_some() {
        faults.push(Fault::other("modules", "a git mirror has none (expected no modules)"));
    }
    let refs = match &table.refs {
        None => Some(RefPattern::defaults()),
        Some(refs) => listed("refs", refs, str::parse::<RefPattern>, faults),
    };
    let home = |url: &Option<Url>| match url {
        None => Home::Unknown,
        Some(url) if is_http(url) => Home::Host(host_of(url)),
        Some(_) => Home::Nobody("ssh has its own keys and"),
    };
    let (source_home, mirror_home) = (home(&source), home(&mirror));
    let kind = source.zip(mirror).zip(refs).map(|((source, mirror), refs)| MirrorKind::Git {
        source: written(&source, table.source.as_deref()),
        mirror: written(&mirror, table.mirror.as_deref()),
        refs,
    });
    Ends { kind, source: source_home, mirror: mirror_home }
}

/// As it stands in the file: a parsed address has a slash or a port less than what people wrote.
fn written(url: &Url, text: Option<&str>) -> String {
    text.map_or_else(|| url.to_string(), str::to_owned)
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

/// The address of a git repository: https, http or ssh, without credentials.
fn git_url(key: &str, text: Option<&str>, faults: &mut Vec<Fault>) -> Option<Url> {
    const EXPECTED: &str = "a URL such as https://git.example/repository.git";
    let Some(text) = text else { return note(Fault::missing(key), faults) };
    let Ok(url) = Url::parse(text) else {
        // `git@host:path`, or something with a password in it.
        let shown = if text.contains('@') { "…@…" } else { text };
        let fault = Fault::wrong(key, shown, EXPECTED);
        return note(fault.remedy("of the short form git@host:path the URL is ssh://git@host/path"), faults);
    };
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            let expected = format!("a URL without credentials; they stand in {key}_auth");
            note(Fault::wrong(key, &format!("…@{host}"), &expected), faults)
        }
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            note(Fault::wrong(key, &format!("{host}…"), "a URL without ? and #"), faults)
        }
        "http" | "https" => Some(url),
        "ssh" | "git+ssh" | "ssh+git" if url.password().is_some() => {
            note(Fault::wrong(key, &format!("…@{host}"), "a URL without a password; ssh has its own keys"), faults)
        }
        "ssh" | "git+ssh" | "ssh+git" if !host.is_empty() && url.path().len() > 1 => Some(url),
        "ssh" | "git+ssh" | "ssh+git" => note(Fault::wrong(key, text, "host and path"), faults),
        // `host:path` looks like a scheme to the parser.
        _ => note(Fault::wrong(key, text, "an address that begins with https://, http:// or ssh://"), faults),
    }
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
    let owner = table.owner.and_then(|text| match is_mailbox(&text) {
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

/// As much as can be told without sending anything: `name@host`, nothing that begins another header.
fn is_mailbox(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | ',' | ';' | '"' | '@');
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && name.chars().all(is_plain) && host.chars().all(is_plain)
    })
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
mod tests {
    use crate::config::{Given, Settings};
    use crate::error::Error;

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        Settings::read(text, Given::default()).map_err(|faults| faults.iter().map(Error::to_string).collect())
    }

    const WHOLE: &str = "[[mirror]]\nname = 'a'\nsource = 'https://git.example/a.git'\n\
                         mirror = 'https://mirror.example/a.git'\n";

    #[test]
    fn a_mirror_needs_a_name_and_two_addresses() {
        let settings = settings(WHOLE).expect("a mirror");
        let written = settings.file();
        let [mirror] = &written.mirror[..] else { panic!("one") };
        assert_eq!(
            toml::to_string(mirror).expect("TOML"),
            "name = \"a\"\nkind = \"git\"\nsource = \"https://git.example/a.git\"\n\
             mirror = \"https://mirror.example/a.git\"\nrefs = [\"refs/heads/*\", \"refs/tags/*\"]\n\
             check_every = \"15m\"\nmax_lag = \"24h\"\npaused = false\n"
        );
    }

    #[test]
    fn what_is_printed_is_read_again_as_the_same() {
        let text = "[[mirror]]\nname = 'a'\nsource = 'ssh://git@git.example/a.git'\n\
                    mirror = 'https://mirror.example:8443/a.git'\nrefs = ['refs/heads/main']\npaused = true\n\
                    check_every = '90s'\nmax_lag = '2h'\nnotify = []\n\
                    mirror_auth = { username = 'ci', token_env = 'MIRROR_TOKEN' }\n\
                    renewal = { what = 'subscription', date = '2027-02-01', every = '1y', owner = 'ops@example.com', \
                    url = 'https://shop.example/renew?id=7' }\n\
                    [[mirror]]\nname = 'b'\nkind = 'proxy'\nsource = 'direct'\nmirror = 'https://proxy.example'\n\
                    modules = ['example.com/m', 'example.com/n/v2']\n";
        let first = settings(text).expect("two mirrors");
        let auth = first.mirrors[0].mirror_auth.as_ref().expect("credentials");
        assert_eq!(auth.host, "mirror.example:8443", "they are for the mirror's own host");
        let again = settings(&toml::to_string(&first.file()).expect("TOML")).expect("the same");
        assert_eq!(first.mirrors, again.mirrors);
    }

    /// What is tried, what stands behind a whole mirror of four lines, and all that is said of it.
    const FAULTS: &[(&str, &str, &str)] = &[
        (
            "a strange name",
            "[[mirror]]\nname = 'a/b'\nsource = 'https://x.example/a'\nmirror = 'https://y.example/a'",
            "line 6: mirror.name: \"a/b\" (expected letters, digits, dots, hyphens and underscores, the first a letter \
             or digit)",
        ),
        (
            "twice the name",
            "[[mirror]]\nname = 'a'\nsource = 'https://x.example/a'\nmirror = 'https://y.example/a'",
            "line 6: mirror.name: \"a\" (expected a name that no other mirror has)",
        ),
        (
            "twice the pair",
            "[[mirror]]\nname = 'b'\nsource = 'https://git.example/a.git'\n\
            mirror = 'https://mirror.example/a.git'",
            "line 8: mirror.mirror: \"https://mirror.example/a.git\" (expected not the two addresses of mirror a)",
        ),
        (
            "a mirror of itself",
            "[[mirror]]\nname = 'b'\nsource = 'https://x.example/a'\nmirror = 'https://x.example/a'",
            "line 8: mirror.mirror: \"https://x.example/a\" (expected another address than the source's)",
        ),
        (
            "credentials",
            "[[mirror]]\nname = 'b'\nsource = 'https://u:p@x.example/a'\nmirror = 'https://y.example/a'",
            "line 7: mirror.source: \"…@x.example\" (expected a URL without credentials; they stand in source_auth)",
        ),
        (
            "the short form",
            "[[mirror]]\nname = 'b'\nsource = 'git@x.example:a'\nmirror = 'https://y.example/a'",
            "line 7: mirror.source: \"…@…\" (expected a URL such as https://git.example/repository.git)\n\
             of the short form git@host:path the URL is ssh://git@host/path",
        ),
        (
            "a folder",
            "[[mirror]]\nname = 'b'\nsource = 'file:///srv/a'\nmirror = 'https://y.example/a'",
            "line 7: mirror.source: \"file:///srv/a\" (expected an address that begins with https://, http:// or ssh://)",
        ),
        ("no mirror", "[[mirror]]\nname = 'b'\nsource = 'https://x.example/a'", "line 5: mirror.mirror is missing"),
        ("a kind", "kind = 'svn'", "line 5: mirror.kind: \"svn\" (expected git or proxy)"),
        (
            "a ref",
            "refs = ['main']",
            "line 5: mirror.refs: \"main\" (expected a ref such as refs/heads/main, or a pattern with one * such as \
             refs/tags/*)",
        ),
        ("no refs", "refs = []", "line 5: mirror.refs: an empty list (expected at least one)"),
        (
            "modules of git",
            "modules = ['example.com/m']",
            "line 5: mirror.modules: a git mirror has none (expected no modules)",
        ),
        ("too often", "check_every = '0'", "line 5: mirror.check_every: \"0\" (expected at least 1s)"),
        ("a lag", "max_lag = 'long'", "line 5: mirror.max_lag: \"long\" (expected a duration such as 30s, 1m or 24h)"),
        (
            "a secret",
            "mirror_auth = { token = 'hunter2' }",
            "line 5: unknown key `token` in [mirror.mirror_auth]\n\
             the secret itself never stands in the file: name it by token_file or token_env",
        ),
        (
            "two secrets",
            "mirror_auth = { token_env = 'A', token_file = 'b' }",
            "line 5: mirror.mirror_auth: token_file and token_env (expected exactly one of token_file and token_env)",
        ),
        (
            "credentials for ssh",
            "[[mirror]]\nname = 'b'\nsource = 'ssh://x.example/a'\nmirror = 'https://y.example/a'\n\
            source_auth = { token_env = 'A' }",
            "line 9: mirror.source_auth: ssh has its own keys and needs none (expected no source_auth)",
        ),
        ("a renewal of nothing", "renewal = { date = '2027-02-01' }", "line 5: mirror.renewal.what is missing"),
        ("a renewal at no time", "renewal = { what = 'x' }", "line 5: mirror.renewal.date is missing"),
        (
            "a date",
            "renewal = { what = 'x', date = '1.2.2027' }",
            "line 5: mirror.renewal.date: \"1.2.2027\" (expected the last day on which it holds, such as 2027-02-01)",
        ),
        (
            "a period",
            "renewal = { what = 'x', date = '2027-02-01', every = 'year' }",
            "line 5: mirror.renewal.every: \"year\" (expected a period such as 30d, 2w, 6m or 1y)",
        ),
        (
            "an owner",
            "renewal = { what = 'x', date = '2027-02-01', owner = 'ops' }",
            "line 5: mirror.renewal.owner: \"ops\" (expected an e-mail address such as ops@example.com)",
        ),
        (
            "where",
            "renewal = { what = 'x', date = '2027-02-01', url = 'shop' }",
            "line 5: mirror.renewal.url: \"shop\" (expected a URL such as https://shop.example/renew)",
        ),
    ];

    /// The same of proxies.
    const PROXIES: &[(&str, &str, &str)] = &[
        (
            "refs",
            "source = 'direct'\nmodules = ['x.example/m']\nrefs = ['refs/heads/*']",
            "line 6: mirror.refs: a proxy has none (expected modules)",
        ),
        (
            "no modules",
            "source = 'direct'",
            "line 1: mirror.modules is missing\nname a few modules whose versions are compared",
        ),
        (
            "a module",
            "source = 'direct'\nmodules = ['x.example/m', 'x']",
            "line 5: mirror.modules: \"x\" (expected a module path such as example.com/m)",
        ),
        (
            "a source",
            "source = 'git'\nmodules = ['x.example/m']",
            "line 4: mirror.source: \"git\" (expected direct, or a URL such as https://proxy.example)",
        ),
        (
            "whose credentials",
            "source = 'direct'\nmodules = ['x.example/m']\nsource_auth = { token_env = 'A' }",
            "line 6: mirror.source_auth.host is missing",
        ),
    ];

    #[test]
    fn whatever_cannot_be_meant_is_named_with_its_line() {
        for (tried, text, expected) in FAULTS {
            assert_eq!(settings(&format!("{WHOLE}{text}")).expect_err(tried), [*expected], "{tried}");
        }
        for (tried, text, expected) in PROXIES {
            let text = format!("[[mirror]]\nname = 'p'\nkind = 'proxy'\n{text}\nmirror = 'https://p.example'");
            assert_eq!(settings(&text).expect_err(tried), [*expected], "{tried}");
        }
    }
}
