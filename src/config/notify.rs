//! `[[notify]]` and `[smtp]`: who is told, as it is written and as it is meant.

use serde::{Deserialize, Serialize};
use url::Url;

use super::settings::AllowInsecure;
use crate::monitor::email::{self, ADDRESS, Security};
use crate::monitor::outbox::OWNER;
use crate::registry::definition::{Auth, AuthTable, Fault, Home, SecretRef, auth, host_of, name};
use crate::secret::Secret;

/// A channel as it is written: every key optional, no value looked into yet.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NotifyTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    // Tables stand last: TOML wants it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthTable>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SmtpTable {
    pub url: Option<String>,
    pub tls: Option<String>,
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
}

/// A way to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    pub name: String,
    pub kind: ChannelKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// Its address is a secret: who knows it can write there.
    Webhook {
        address: SecretRef,
        auth: Option<Auth>,
    },
    Email {
        to: Vec<String>,
    },
}

/// The server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub from: String,
    pub login: Option<(String, SecretRef)>,
}

/// More are a list of their own, kept by the mail server.
const MOST_ADDRESSES: usize = 50;

/// What the outbox calls its own.
const TAKEN: [&str; 2] = [OWNER, "log"];

const URL: &str = "an address such as https://chat.example/hooks/…; it is a secret and not said again";

/// Notes a fault and goes on without.
fn note<T>(fault: Fault, faults: &mut Vec<Fault>) -> Option<T> {
    faults.push(fault);
    None
}

/// `None` if what is left cannot stand for a channel.
pub fn read(table: NotifyTable, faults: &mut Vec<Fault>) -> Option<ChannelSettings> {
    // Without a kind it is that which is missing.
    let name = table.called().and_then(|called| name(Some(called), faults));
    if let Some(taken) = name.as_deref().filter(|name| TAKEN.contains(name)) {
        faults.push(Fault::wrong("name", taken, "a name that is no word of modvet's own notices"));
    }
    let misplaced = |key: &str, kind: &str| {
        Fault::other(key, format!("a channel of kind {kind} has none (expected no {key})")).rests_on(&["kind"])
    };
    let kind = match table.kind.as_deref() {
        Some("webhook") => {
            faults.extend(table.to.is_some().then(|| misplaced("to", "webhook")));
            webhook(table, faults)
        }
        Some("email") => {
            let keys = [
                ("url", table.url.is_some()),
                ("url_file", table.url_file.is_some()),
                ("url_env", table.url_env.is_some()),
                ("auth", table.auth.is_some()),
            ];
            faults.extend(keys.iter().filter(|(_, there)| *there).map(|(key, _)| misplaced(key, "email")));
            addresses(table.to, faults).map(|to| ChannelKind::Email { to })
        }
        Some(other) => note(Fault::wrong("kind", other, "webhook or email"), faults),
        None => note(Fault::missing("kind").remedy("kind is webhook or email"), faults),
    };
    Some(ChannelSettings { name: name?, kind: kind? })
}

fn webhook(table: NotifyTable, faults: &mut Vec<Fault>) -> Option<ChannelKind> {
    let (address, home) = match (table.url, table.url_file, table.url_env) {
        (Some(url), None, None) => match Url::parse(&url).ok().filter(is_web) {
            Some(parsed) => (Some(SecretRef::Given(Secret::new(url))), Home::Host(host_of(&parsed))),
            None => (note(Fault::other("url", format!("no URL (expected {URL})")), faults), Home::Unknown),
        },
        (None, Some(file), None) => (Some(SecretRef::File(file.into())), Home::Unsaid),
        (None, None, Some(variable)) => (Some(SecretRef::Environment(variable)), Home::Unsaid),
        (url, file, variable) => {
            let found = [("url", url.is_some()), ("url_file", file.is_some()), ("url_env", variable.is_some())];
            let found: Vec<&str> = found.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
            let found = if found.is_empty() { "no address".to_owned() } else { found.join(" and ") };
            let what = format!("{found} (expected exactly one of url, url_file and url_env)");
            (note(Fault::other("url", what).rests_on(&["url_file", "url_env"]), faults), Home::Unknown)
        }
    };
    let auth = match table.auth {
        Some(table) => Some(auth("auth", table, home, faults)?),
        None => None,
    };
    Some(ChannelKind::Webhook { address: address?, auth })
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn addresses(to: Option<Vec<String>>, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let Some(to) = to else { return note(Fault::missing("to").remedy("to = [\"ops@example.com\"]"), faults) };
    for (at, address) in to.iter().enumerate().filter(|(_, address)| !email::is_address(address)) {
        faults.push(Fault::wrong(format!("to.{at}"), address, ADDRESS));
    }
    if to.is_empty() || to.len() > MOST_ADDRESSES {
        faults.push(Fault::other("to", format!("{} addresses (expected 1 to {MOST_ADDRESSES})", to.len())));
    }
    Some(to)
}

/// `None` if what is left cannot stand for a mail server.
pub fn smtp(table: SmtpTable, allowed: &AllowInsecure, faults: &mut Vec<Fault>) -> Option<SmtpSettings> {
    let server = server(table.url.as_deref(), faults);
    let plain = match table.tls.as_deref() {
        None | Some("required") => false,
        Some("none") => true,
        Some(other) => note(Fault::wrong("tls", other, "required or none"), faults)?,
    };
    let server = match server {
        Some((host, port, Security::StartTls)) if plain => {
            if !allows(allowed, &host, port) {
                let what = format!("\"none\" for {host} (expected it of hosts in [git] allow_insecure only)");
                faults.push(Fault::other("tls", what).rests_on(&["url"]));
            }
            Some((host, port, Security::Plain))
        }
        Some((_, _, Security::Tls)) if plain => {
            let what = "\"none\" for smtps:// (expected it of smtp:// only)";
            note(Fault::other("tls", what).rests_on(&["url"]), faults)
        }
        server => server,
    };
    let from = match table.from {
        Some(from) if email::is_sender(&from) => Some(from),
        Some(from) => note(Fault::wrong("from", &from, "a sender such as modvet <modvet@example.com>"), faults),
        None => note(Fault::missing("from"), faults),
    };
    let password = match (table.password_file, table.password_env) {
        (Some(file), None) => Some(SecretRef::File(file.into())),
        (None, Some(variable)) => Some(SecretRef::Environment(variable)),
        (None, None) => None,
        (Some(_), Some(_)) => {
            let what = "password_file and password_env (expected only one of them)";
            return note(Fault::other("password_env", what), faults);
        }
    };
    let login = match (table.username, password) {
        (Some(username), Some(password)) => Some((username, password)),
        (None, None) => None,
        (Some(_), None) => {
            let what = "without a password (expected password_file or password_env)";
            note(Fault::other("username", what).rests_on(&["password_file", "password_env"]), faults)
        }
        (None, Some(_)) => note(Fault::missing("username"), faults),
    };
    let (host, port, security) = server?;
    Some(SmtpSettings { host, port, security, from: from?, login })
}

fn server(url: Option<&str>, faults: &mut Vec<Fault>) -> Option<(String, u16, Security)> {
    const EXPECTED: &str = "smtps://HOST:465, or smtp://HOST:587 for STARTTLS";
    let Some(text) = url else { return note(Fault::missing("url"), faults) };
    if text.contains('@') {
        let what = "credentials in it (expected a URL without; they stand in username and password_file)";
        return note(Fault::other("url", what), faults);
    }
    let found = Url::parse(text).ok().and_then(|url| email::server(&url).ok());
    found.or_else(|| note(Fault::wrong("url", text, EXPECTED), faults))
}

/// Whether a host may be spoken to in the open: it is named, with or without its port.
fn allows(allowed: &AllowInsecure, host: &str, port: u16) -> bool {
    let bare = |name: &str| name.trim_start_matches('[').replace(']', "").to_ascii_lowercase();
    match allowed {
        AllowInsecure::All => true,
        AllowInsecure::Hosts(hosts) => {
            hosts.iter().any(|named| [bare(host), bare(&format!("{host}:{port}"))].contains(&bare(named)))
        }
    }
}

impl NotifyTable {
    /// Its name; a channel without one is called by its kind.
    pub fn called(&self) -> Option<String> {
        self.name.clone().or_else(|| self.kind.clone())
    }
}

/// Names of channels that are not there: nobody would be told. `known` are all that there are, if they can be told.
pub fn look_for_channels(names: &[String], known: Option<&[String]>, faults: &mut Vec<Fault>) {
    let Some(known) = known else { return };
    let expected = match known {
        [] => "a [[notify]] of this name".to_owned(),
        known => format!("channels of this file: {}", known.join(", ")),
    };
    for (at, name) in names.iter().enumerate().filter(|(_, name)| !known.contains(name)) {
        faults.push(Fault::wrong(format!("notify.{at}"), name, &expected));
    }
}

impl ChannelSettings {
    /// As a file says it.
    pub fn table(&self) -> NotifyTable {
        let mut table = NotifyTable { name: Some(self.name.clone()), ..NotifyTable::default() };
        match &self.kind {
            ChannelKind::Webhook { address, auth } => {
                table.kind = Some("webhook".to_owned());
                table.auth = auth.as_ref().map(Auth::table);
                match address {
                    SecretRef::File(path) => table.url_file = Some(path.to_string_lossy().into_owned()),
                    SecretRef::Environment(variable) => table.url_env = Some(variable.clone()),
                    SecretRef::Given(url) => table.url = Some(shown(url.expose())),
                    SecretRef::Sealed(_) => {}
                }
            }
            ChannelKind::Email { to } => {
                (table.kind, table.to) = (Some("email".to_owned()), Some(to.clone()));
            }
        }
        table
    }
}

/// Of an address nothing but where it leads.
fn shown(url: &str) -> String {
    let host = |url: &Url| format!("{}://{}/...", url.scheme(), host_of(url));
    Url::parse(url).map(|url| host(&url)).unwrap_or_default()
}

impl SmtpSettings {
    /// As a file says it.
    pub fn table(&self) -> SmtpTable {
        let scheme = if self.security == Security::Tls { "smtps" } else { "smtp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let mut table = SmtpTable {
            url: Some(format!("{scheme}://{host}:{}", self.port)),
            tls: Some(if self.security == Security::Plain { "none" } else { "required" }.to_owned()),
            from: Some(self.from.clone()),
            ..SmtpTable::default()
        };
        if let Some((username, password)) = &self.login {
            table.username = Some(username.clone());
            match password {
                SecretRef::File(path) => table.password_file = Some(path.to_string_lossy().into_owned()),
                SecretRef::Environment(variable) => table.password_env = Some(variable.clone()),
                SecretRef::Given(_) | SecretRef::Sealed(_) => {}
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Settings};
    use crate::error::Error;

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        Settings::read(text, Given::default()).map_err(|faults| faults.iter().map(Error::to_string).collect())
    }

    const WHOLE: &str = r#"
        [git]
        allow_insecure = ["mail.example:25"]
        [smtp]
        url = "smtps://mail.example"
        from = "modvet <modvet@example.com>"
        username = "modvet"
        password_file = "/run/secrets/smtp"
        [[notify]]
        kind = "webhook"
        url = "https://chat.example:8443/hooks/s3cret-of-the-hook?key=s3cret"
        [[notify]]
        name = "pager"
        kind = "webhook"
        url_file = "/run/secrets/pager"
        auth = { host = "pager.example", header = "X-Token", token_env = "PAGER_TOKEN" }
        [[notify]]
        name = "post"
        kind = "email"
        to = ["ops@example.com", "dev@example.com"]
        "#;

    #[test]
    fn channels_are_read_printed_and_read_again_and_no_address_of_a_hook_is_said() {
        let read = settings(WHOLE).expect("meant");
        let names: Vec<&str> = read.channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, ["webhook", "pager", "post"]);
        let smtp = read.smtp.as_ref().expect("a mail server");
        assert_eq!((smtp.host.as_str(), smtp.port, smtp.security), ("mail.example", 465, Security::Tls));
        let printed = toml::to_string(&read.file()).expect("it prints");
        assert!(printed.contains("url = \"https://chat.example:8443/...\""), "{printed}");
        assert!(!printed.contains("s3cret") && !format!("{read:?}").contains("s3cret"), "{printed}");
        let again = settings(&printed).expect(&printed);
        assert_eq!((&again.smtp, &again.channels[1..]), (&read.smtp, &read.channels[1..]));
    }

    #[test]
    fn mail_in_the_open_is_for_hosts_that_are_named_only() {
        let text = |url: &str, allowed: &str| {
            format!("[git]\nallow_insecure = {allowed}\n[smtp]\nurl = '{url}'\nfrom = 'a@b.example'\ntls = 'none'\n")
        };
        let fault = "line 6: smtp.tls: \"none\" for mail.example (expected it of hosts in [git] allow_insecure only)";
        for (url, allowed, expected) in [
            ("smtp://mail.example", "['mail.example']", Ok(587)),
            ("smtp://mail.example:25", "['Mail.example:25']", Ok(25)),
            ("smtp://mail.example:25", "true", Ok(25)),
            ("smtp://mail.example", "['mail.example:25']", Err(fault)),
            ("smtp://mail.example", "[]", Err(fault)),
            (
                "smtps://mail.example",
                "true",
                Err("line 6: smtp.tls: \"none\" for smtps:// (expected it of smtp:// only)"),
            ),
        ] {
            let found = settings(&text(url, allowed)).map(|read| read.smtp.expect("one").port);
            assert_eq!(found, expected.map_err(|fault| vec![fault.to_owned()]), "{url} {allowed}");
        }
    }

    /// A file, and what is said of it.
    const FAULTS: &[(&str, &str)] = &[
        ("[[notify]]\nname = 'a'", "line 1: notify.kind is missing\nkind is webhook or email"),
        ("[[notify]]\nkind = 'pigeon'", "line 2: notify.kind: \"pigeon\" (expected webhook or email)"),
        (
            "[[notify]]\nkind = 'webhook'",
            "line 1: notify.url: no address (expected exactly one of url, url_file and url_env)",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl = 'https://s3cret.example'\nurl_env = 'HOOK'",
            "line 3: notify.url: url and url_env (expected exactly one of url, url_file and url_env)",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl = 's3cret'",
            "line 3: notify.url: no URL (expected an address such as https://chat.example/hooks/…; it is a \
             secret and not said again)",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl_env = 'HOOK'\nto = ['a@b.example']",
            "line 4: notify.to: a channel of kind webhook has none (expected no to)",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl_env = 'HOOK'\nauth = { token_env = 'T' }",
            "line 4: notify.auth.host is missing",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl_env = 'HOOK'\nauth = { host = 'a.example', token = 's3cret' }",
            "line 4: unknown key `token` in [notify.auth]\n\
             the secret itself never stands in the file: name it by token_file or token_env",
        ),
        (
            "[[notify]]\nkind = 'email'\nto = ['a@b.example']",
            "line 2: notify.kind: \"email\" without a mail server (expected [smtp])",
        ),
        (
            "[[notify]]\nkind = 'webhook'\nurl_env = 'A'\n[[notify]]\nkind = 'webhook'\nurl_env = 'B'",
            "line 4: notify.name is missing\nanother channel is called \"webhook\"",
        ),
        (
            "[[notify]]\nname = 'owner'\nkind = 'webhook'\nurl_env = 'A'",
            "line 2: notify.name: \"owner\" (expected a name that is no word of modvet's own notices)",
        ),
        ("[smtp]\nfrom = 'a@b.example'", "line 1: smtp.url is missing"),
        (
            "[smtp]\nurl = 'smtp://u:s3cret@mail.example'\nfrom = 'a@b.example'",
            "line 2: smtp.url: credentials in it (expected a URL without; they stand in username and \
             password_file)",
        ),
        (
            "[smtp]\nurl = 'mail.example'\nfrom = 'a@b.example'",
            "line 2: smtp.url: \"mail.example\" (expected smtps://HOST:465, or smtp://HOST:587 for STARTTLS)",
        ),
        (
            "[smtp]\nurl = 'smtp://mail.example'\nfrom = 'modvet'",
            "line 3: smtp.from: \"modvet\" (expected a sender such as modvet <modvet@example.com>)",
        ),
        (
            "[smtp]\nurl = 'smtp://mail.example'\nfrom = 'a@b.example'\nusername = 'a'",
            "line 4: smtp.username: without a password (expected password_file or password_env)",
        ),
        (
            "[smtp]\nurl = 'smtp://mail.example'\nfrom = 'a@b.example'\npassword = 's3cret'",
            "line 4: unknown key `password` in [smtp]\n\
             the secret itself never stands in the file: name it by password_file or password_env",
        ),
    ];

    #[test]
    fn all_that_is_wrong_with_channels_is_named_with_its_line_and_no_secret() {
        for (text, expected) in FAULTS {
            assert_eq!(settings(text).expect_err(text), [*expected], "{text}");
        }
        let smtp = "[smtp]\nurl = 'smtp://mail.example'\nfrom = 'a@b.example'\n";
        let text = format!("{smtp}[[notify]]\nkind = 'email'\nto = ['a@b.example',\n'ops']\nurl_env = 'A'");
        assert_eq!(
            settings(&text).expect_err("two"),
            [
                "line 7: notify.to: \"ops\" (expected an e-mail address such as ops@example.com)",
                "line 8: notify.url_env: a channel of kind email has none (expected no url_env)",
            ]
        );
        let faults = settings(&format!("{smtp}[[notify]]\nkind = 'email'\nto = []")).expect_err("nobody");
        assert_eq!(faults, ["line 6: notify.to: 0 addresses (expected 1 to 50)"]);
    }

    #[test]
    fn a_mirror_that_names_a_channel_which_is_not_there_would_tell_nobody() {
        let mirror = "[[mirror]]\nname = 'm'\nsource = 'https://a.example/m.git'\nmirror = 'https://b.example/m.git'\n";
        let text =
            format!("{mirror}notify = ['chat',\n'caht']\n[[notify]]\nname = 'chat'\nkind = 'webhook'\nurl_env = 'A'");
        assert_eq!(
            settings(&text).expect_err("a slip of the pen"),
            ["line 6: mirror.notify: \"caht\" (expected channels of this file: chat)"]
        );
        let faults = settings(&format!("{mirror}notify = ['chat']")).expect_err("none at all");
        assert_eq!(faults, ["line 5: mirror.notify: \"chat\" (expected a [[notify]] of this name)"]);
    }
}
