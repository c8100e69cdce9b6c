//! The configuration as it is meant.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::api::ApiSettings;
use super::file::File;
use super::meant::{Reader, known_mirrors};
use super::mirror::MirrorSettings;
use super::notify::{ChannelSettings, SmtpSettings};
use crate::access::rules::Rules;
use crate::error::{Error, Result};
use crate::registry::definition::{KnownMirror, RegistryDefinition, SecretRef, UpstreamDefinition, UpstreamKind};
use crate::spec::database::{NamedDatabase, Verify};
use crate::vet::mode::Policy;

#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub tls: Tls,
    /// Who is believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether anybody may read without a token; `None`: on the loopback only, until there is a token.
    pub open: Option<bool>,
    pub store: StoreSettings,
    /// What is done about wrong pseudo-versions, where a registry does not say.
    pub policy: Policy,
    /// Hosts or ranges that answers and redirects may lead to.
    pub allow_private: Vec<String>,
    pub allow_insecure: AllowInsecure,
    /// Prefix and replacement.
    pub instead_of: Vec<(String, String)>,
    pub audit: AuditSettings,
    /// What opens the administration over TCP.
    pub api: ApiSettings,
    pub sumdb: SumdbSettings,
    pub ledger: LedgerSettings,
    /// So often upstreams are looked at; no time at all: never.
    pub check_upstreams: Duration,
    /// In the order of the walk.
    pub upstreams: Vec<UpstreamDefinition>,
    pub registries: Vec<RegistryDefinition>,
    /// What may pass.
    pub rules: Rules,
    pub mirrors: Vec<MirrorSettings>,
    /// Who is told of mirrors, besides the log.
    pub channels: Vec<ChannelSettings>,
    /// Who takes mail.
    pub smtp: Option<SmtpSettings>,
}

/// Who speaks TLS with the clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Nobody.
    Off,
    /// A proxy in front.
    Terminated,
    /// This server.
    Files(TlsFiles),
}

/// What a server needs that speaks TLS itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those up to its authority, as PEM.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Where plain http is led to https.
    pub redirect: Option<SocketAddr>,
}

impl Tls {
    /// Whether what clients send is hidden from those between.
    pub fn is_encrypted(&self) -> bool {
        *self != Tls::Off
    }

    pub fn files(&self) -> Option<&TlsFiles> {
        match self {
            Tls::Files(files) => Some(files),
            Tls::Off | Tls::Terminated => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct StoreSettings {
    pub path: PathBuf,
    /// Bodies of more bytes than this lie as files beside the store.
    pub spill: u64,
    /// The most bytes that are kept in all.
    pub max_size: Option<u64>,
    /// How long an entry is kept that nobody downloads.
    pub keep_days: Option<u32>,
    /// What secrets that were handed over are sealed with.
    pub key: Option<SecretRef>,
}

/// Who got what, written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    pub enabled: bool,
    /// The folder of the log; without one it lies in the store's.
    pub path: Option<PathBuf>,
    /// The most bytes of one file.
    pub max_size: u64,
    pub keep: Duration,
    /// Lists and what was not there as well.
    pub everything: bool,
    /// Whether lines say where a request came from.
    pub addresses: bool,
}

/// What checksum databases are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumdbSettings {
    /// Those that clients are passed on to; versions are held against the first.
    pub databases: Vec<NamedDatabase>,
    /// `Off` where there is no database.
    pub verify: Verify,
    /// GOPRIVATE patterns of what they are never asked for.
    pub private: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerSettings {
    /// So often the tags of all served versions are looked at; no time at all: never.
    pub drift_check: Duration,
}

impl Default for LedgerSettings {
    fn default() -> LedgerSettings {
        LedgerSettings { drift_check: Duration::from_secs(60 * 60) }
    }
}

/// For which hosts plain http is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowInsecure {
    All,
    Hosts(Vec<String>),
}

/// What is given beside the file.
#[derive(Debug)]
pub struct Given {
    /// Where the store lies if the file does not say.
    pub store: PathBuf,
    /// In the place of the file's upstreams, and of its registries, which name them.
    pub upstreams: Option<Vec<UpstreamDefinition>>,
    /// Where there are none.
    pub otherwise: Result<Vec<UpstreamDefinition>>,
    /// Where the file names no checksum databases.
    pub databases: Result<Vec<NamedDatabase>>,
}

impl Default for Given {
    fn default() -> Self {
        Given {
            store: PathBuf::from("modvet-data"),
            upstreams: None,
            otherwise: Ok(vec![UpstreamDefinition::new("direct", UpstreamKind::Git)]),
            databases: Ok(vec![NamedDatabase::built_in()]),
        }
    }
}

impl Settings {
    /// Takes a file at its word; else all that is wrong with it, each with its line.
    pub fn read(text: &str, given: Given) -> Result<Settings, Vec<Error>> {
        let (file, lines, misfits) = File::parse(text)?;
        let mut reader = Reader::new(lines, misfits);
        let settings = reader.settings(file, given);
        let faults = reader.faults();
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// What upstreams may read from.
    pub fn known_mirrors(&self) -> Vec<KnownMirror> {
        let names = self.mirrors.iter().map(|mirror| mirror.definition.name.clone()).collect();
        known_mirrors(names, &self.mirrors)
    }
}

/// Reads `HOST:PORT`.
pub fn parse_listen(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| Error::gone(format!("listen: {text:?} (expected {ADDRESS})")))
}

/// What an address to listen on looks like.
pub(super) const ADDRESS: &str = "an address and a port such as 127.0.0.1:3000";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::OnFailure;
    use crate::registry::definition::AuthScheme;
    use crate::vet::mode::Mode;

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        Settings::read(text, Given::default()).map_err(|faults| faults.iter().map(Error::to_string).collect())
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let settings = settings("").expect("empty");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(settings.store.path, PathBuf::from("modvet-data"));
        assert_eq!((settings.store.spill, settings.policy.mode), (8 << 20, Mode::Rewrite));
        assert_eq!(settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect::<Vec<_>>(), ["direct"]);
        assert!(settings.registries.is_empty());
    }

    #[test]
    fn how_often_tags_are_looked_at_is_a_duration() {
        let hour = Duration::from_secs(60 * 60);
        let table =
            [("", hour), ("drift_check = '90s'", Duration::from_secs(90)), ("drift_check = '0'", Duration::ZERO)];
        for (written, expected) in table {
            let found = settings(&format!("[ledger]\n{written}")).expect(written);
            assert_eq!(found.ledger.drift_check, expected, "{written}");
            assert!(found.file().ledger.drift_check.is_some(), "{written}");
        }
        let faults = settings("[ledger]\ndrift_check = 'often'").expect_err("no duration");
        assert_eq!(faults, ["line 2: ledger.drift_check: \"often\" (expected a duration such as 30s, 1m or 24h)"]);
        let faults = settings("[ledger]\ndrift_chek = '1h'").expect_err("unknown");
        assert_eq!(faults, ["line 2: unknown key `drift_chek` in [ledger]\ndid you mean `drift_check`?"]);
    }

    #[test]
    fn how_often_upstreams_are_looked_at_is_a_duration() {
        for (written, seconds) in [("", 900), ("check_upstreams = '90s'", 90), ("check_upstreams = '0'", 0)] {
            let found = settings(&format!("[monitor]\n{written}")).expect(written);
            assert_eq!(found.check_upstreams, Duration::from_secs(seconds), "{written}");
        }
        let faults = settings("[monitor]\ncheck_upstreams = '5ms'").expect_err("all the time");
        assert_eq!(faults, ["line 2: monitor.check_upstreams: \"5ms\" (expected at least 1s, or 0 for never)"]);
        let faults = settings("[monitor]\ncheck = '1h'").expect_err("unknown");
        assert_eq!(faults, ["line 2: unknown key `check` in [monitor]\ndid you mean `check_upstreams`?"]);
    }

    #[test]
    fn a_folder_that_is_gone_keeps_no_server_from_starting() {
        let text = "[[upstream]]\nname = 'b'\nkind = 'dir'\npath = '/nobody/has/this'";
        assert_eq!(settings(text).expect("an upstream that fails").upstreams.len(), 1);
    }

    #[test]
    fn reads_upstreams_and_registries_in_their_order() {
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
            [[registry]]
            name = "ci"
            upstreams = ["public", "corp"]
            mode = "strict"
            [git.instead_of]
            'https://a.example/' = 'http://127.0.0.1:1/'
            "#,
        )
        .expect("two upstreams");
        let [corp, public] = &settings.upstreams[..] else { panic!("two") };
        assert_eq!(
            (&corp.modules[..], corp.cache_validity),
            (&["corp.example/*".to_owned(), "other.example".to_owned()][..], None)
        );
        assert_eq!(corp.list_validity, Duration::from_secs(120));
        assert_eq!(public.on_failure, OnFailure::GoOn);
        let auth = public.auth.as_ref().expect("auth");
        assert_eq!((auth.host.as_str(), &auth.scheme), ("proxy.example", &AuthScheme::Bearer));
        let [ci] = &settings.registries[..] else { panic!("one") };
        assert_eq!((&ci.upstreams[..], ci.mode), (&["public".to_owned(), "corp".to_owned()][..], Some(Mode::Strict)));
        assert_eq!(settings.instead_of, [("https://a.example/".to_owned(), "http://127.0.0.1:1/".to_owned())]);
    }

    #[test]
    fn a_registry_has_at_most_20_upstreams() {
        let git: String = (1..=21).map(|number| format!("[[upstream]]\nname = 'u{number}'\nkind = 'git'\n")).collect();
        let names = |count: usize| (1..=count).map(|number| format!("'u{number}'")).collect::<Vec<_>>().join(", ");
        let registry = |name: &str, count| format!("[[registry]]\nname = '{name}'\nupstreams = [{}]\n", names(count));
        assert_eq!(
            settings(&git).expect_err("all at /"),
            ["line 61: upstream: 21 upstreams in the registry default (expected at most 20)\n\
              name those at / in a [[registry]] called \"default\""]
        );
        let all = settings(&format!("{git}{}", registry("default", 20))).expect("20 at /, and one more");
        assert_eq!((all.upstreams.len(), all.registries[0].upstreams.len()), (21, 20));
        assert_eq!(
            settings(&format!("{git}{}{}", registry("default", 1), registry("ci", 21))).expect_err("21"),
            ["line 69: registry.upstreams: registry ci has 21 upstreams (expected at most 20)"]
        );
    }

    #[test]
    fn a_list_stands_in_for_the_upstreams_and_registries_of_the_file() {
        let text = "[[upstream]]\nname = 'a'\nkind = 'git'\n[[registry]]\nname = 'ci'\nupstreams = ['a']\n";
        let listed = crate::config::list::parse("https://b.example").expect("a list");
        let settings = Settings::read(text, Given { upstreams: Some(listed), ..Given::default() }).expect("meant");
        assert_eq!((settings.upstreams[0].name.as_str(), settings.registries.len()), ("b.example", 0));
    }

    #[test]
    fn rules_are_read_printed_and_read_again() {
        let text = r#"
            [rules]
            default = "deny"
            [[rule]]
            name = "ours"
            action = "allow"
            registries = ["default"]
            modules = ["example.com/*"]
            versions = ">=1.2.0, <1.4.0"
            until = "2027-01-31"
            [[rule]]
            name = "trial"
            action = "deny"
            reason = "CVE-2026-1"
            dry_run = true
            [cooldown]
            min_age = "7d"
            first_sight = "wait"
            not_modules = ["example.org"]
            [[cooldown.exception]]
            modules = ["example.com/m"]
            versions = "=1.2.3"
            until = "2027-01-31T12:00:00Z"
            reason = "a fix"
            "#;
        let read = settings(text).expect("rules");
        let [ours, trial] = &read.rules.rules[..] else { panic!("two") };
        assert_eq!((&*ours.name, ours.action, ours.dry_run), ("ours", crate::access::rules::Action::Allow, false));
        assert_eq!((&*trial.name, trial.reason.as_str(), trial.dry_run), ("trial", "CVE-2026-1", true));
        let cooldown = read.rules.cooldown.as_ref().expect("a cooldown");
        assert_eq!((cooldown.min_age, cooldown.exceptions.len()), (Duration::from_secs(7 * 24 * 3600), 1));
        let printed = toml::to_string(&read.file()).expect("toml");
        assert_eq!(settings(&printed).expect("its own words").rules, read.rules);
        assert_eq!(settings("[cooldown]\nmin_age = '0'").expect("none").rules.cooldown, None);
    }

    #[test]
    fn a_limit_of_0_is_no_limit_and_empties_nothing() {
        let text = "[store]\nmax_size = \"0\"\nkeep_days = 0\n\
                    [[upstream]]\nname = \"a\"\nkind = \"git\"\nmax_size = \"0\"\nkeep_days = 0\n";
        let settings = settings(text).expect("zeros are allowed");
        assert_eq!((settings.store.max_size, settings.store.keep_days), (None, None));
        assert_eq!(settings.upstreams[0].max_size, None);
        assert_eq!(settings.upstreams[0].keep_days, Some(0), "told apart from none: the store's limit does not count");
    }
}
