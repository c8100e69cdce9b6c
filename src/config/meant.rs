//! From the file as it is written to the settings as they are meant; what cannot be meant is noted with its line.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::doubts::Doubts;
use super::file::{AuditTable, File, GitTable, LedgerTable, MonitorTable, StoreTable, SumdbTable};
use super::lines::{Lines, Placed};
use super::mirror::{self, MirrorSettings, MirrorTable};
use super::notify::{self, ChannelKind, ChannelSettings, NotifyTable, SmtpSettings, SmtpTable};
use super::schema::Misfit;
use super::secure;
use super::settings::{
    AllowInsecure, AuditSettings, Given, LedgerSettings, Settings, StoreSettings, SumdbSettings, parse_listen,
};
use crate::error::{Error, Result};
use crate::monitor::MirrorKind;
use crate::registry::definition::{
    DEFAULT, Fault, KnownMirror, KnownMirrorKind, MAX_UPSTREAMS, RegistryDefinition, RegistryTable, SecretRef,
    UpstreamDefinition, UpstreamTable, duration, is_host, look_for_upstreams, mode, size, strict_mod,
};
use crate::spec::database::{NamedDatabase, Verify};
use crate::spec::path;
use crate::vet::mode::Policy;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CHECK_UPSTREAMS: Duration = Duration::from_secs(15 * 60);
/// Nobody is to be asked all the time.
const SOONEST_CHECK: Duration = Duration::from_secs(1);

pub(super) struct Reader {
    lines: Lines,
    doubts: Doubts,
    found: Vec<Placed>,
}

impl Reader {
    /// What the schema left out stands among the faults, and no follow-up of it.
    pub(super) fn new(lines: Lines, misfits: Vec<Misfit>) -> Reader {
        let doubts = Doubts::of(misfits.iter().filter_map(|misfit| misfit.doubt.clone()));
        let found = misfits.into_iter().map(|misfit| lines.at(&misfit.place, misfit.error)).collect();
        Reader { lines, doubts, found }
    }

    pub(super) fn faults(self) -> Vec<Error> {
        let Reader { lines, found, .. } = self;
        lines.sorted(found)
    }

    /// What is wrong below a table of the file.
    fn note(&mut self, above: &str, faults: &[Fault]) {
        let own = faults.iter().filter(|fault| !self.doubts.excuse(above, fault));
        self.found.extend(own.map(|fault| self.lines.fault(above, fault)));
    }

    pub(super) fn settings(&mut self, file: File, given: Given) -> Settings {
        let mut faults = Vec::new();
        let text = file.listen.as_deref().unwrap_or("127.0.0.1:3000");
        let listen = parse_listen(text).unwrap_or_else(|error| {
            self.found.push(self.lines.at("listen", error));
            ([127, 0, 0, 1], 3000).into()
        });
        let tls = secure::tls(file.tls, &mut faults);
        let trusted_proxies = secure::trusted_proxies(&file.trusted_proxies, &mut faults);
        self.note("", &faults);
        faults.clear();
        let written = &file.pseudo_versions;
        let policy = Policy {
            mode: mode("mode", written.mode.as_deref(), &mut faults),
            refuse_mod: strict_mod("strict_mod", written.strict_mod.as_deref(), &mut faults),
        };
        self.note("pseudo_versions", &faults);
        let store = self.store(file.store, &given);
        let audit = self.audit(file.audit);
        let sumdb = self.sumdb(file.sumdb, &given.databases);
        let ledger = self.ledger(&file.ledger);
        let check_upstreams = self.check_upstreams(&file.monitor);
        self.allow_private(&file.net.allow_private);
        let names = self.doubts.names("registry", file.registry.iter().map(|table| &table.name));
        let rules = super::rules::read(file.rules, file.rule, file.cooldown, names, |above, faults| {
            self.note(above, faults);
        });
        let allow_insecure = self.allow_insecure(&file.git);
        let names: Vec<Option<String>> = file.notify.iter().map(NotifyTable::called).collect();
        let channels = self.doubts.names("notify", names.iter());
        let names = self.doubts.names("mirror", file.mirror.iter().map(|table| &table.name));
        let mirrors = self.mirrors(file.mirror, &file.git.instead_of, channels.as_deref());
        let known = names.map(|names| known_mirrors(names, &mirrors));
        let channels = self.channels(file.notify, file.smtp.is_some());
        let smtp = file.smtp.and_then(|table| self.smtp(table, &allow_insecure));
        let (upstreams, registries) = self.definitions(file.upstream, file.registry, given, known.as_deref());
        Settings {
            listen,
            tls,
            trusted_proxies,
            open: file.open,
            store,
            policy,
            allow_private: file.net.allow_private,
            allow_insecure,
            instead_of: self.instead_of(file.git.instead_of),
            audit,
            api: self.api(file.api),
            sumdb,
            ledger,
            check_upstreams,
            upstreams,
            registries,
            rules,
            mirrors,
            channels,
            smtp,
        }
    }

    fn ledger(&mut self, written: &LedgerTable) -> LedgerSettings {
        let (mut faults, default) = (Vec::new(), LedgerSettings::default().drift_check);
        let drift_check = duration("drift_check", written.drift_check.as_deref(), default, &mut faults);
        self.note("ledger", &faults);
        LedgerSettings { drift_check }
    }

    fn check_upstreams(&mut self, written: &MonitorTable) -> Duration {
        let mut faults = Vec::new();
        let text = written.check_upstreams.as_deref();
        let every = duration("check_upstreams", text, CHECK_UPSTREAMS, &mut faults);
        if !every.is_zero() && every < SOONEST_CHECK {
            faults.push(Fault::wrong("check_upstreams", text.unwrap_or_default(), "at least 1s, or 0 for never"));
        }
        self.note("monitor", &faults);
        every
    }

    fn store(&mut self, written: StoreTable, given: &Given) -> StoreSettings {
        let mut faults = Vec::new();
        let store = StoreSettings {
            path: written.path.map_or_else(|| given.store.clone(), Into::into),
            spill: size("spill", written.spill.as_deref(), 8 << 20, &mut faults),
            // 0 is no limit, as it is no validity: nobody keeps a store that is emptied at once.
            max_size: written.max_size.map(|text| size("max_size", Some(&text), 0, &mut faults)).filter(|max| *max > 0),
            keep_days: written.keep_days.filter(|days| *days > 0),
            key: self.secret("store", "key", written.key_file, written.key_env),
        };
        self.note("store", &faults);
        store
    }

    fn audit(&mut self, written: AuditTable) -> AuditSettings {
        const SMALLEST: u64 = 1 << 20;
        let mut faults = Vec::new();
        let text = written.max_size.as_deref();
        let max_size = size("max_size", text, 100 << 20, &mut faults);
        if let Some(text) = text.filter(|_| faults.is_empty() && max_size < SMALLEST) {
            faults.push(Fault::wrong("max_size", text, "a size of at least 1MiB"));
        }
        let everything = match written.what.as_deref() {
            None | Some("versions") => false,
            Some("all") => true,
            Some(other) => {
                faults.push(Fault::wrong("what", other, "versions or all"));
                false
            }
        };
        let audit = AuditSettings {
            enabled: written.enabled.unwrap_or(true),
            path: written.path.map(Into::into),
            max_size,
            keep: duration("keep", written.keep.as_deref(), DAY * 400, &mut faults),
            everything,
            addresses: written.addresses.unwrap_or(true),
        };
        self.note("audit", &faults);
        audit
    }

    pub(super) fn secret(
        &mut self,
        table: &str,
        key: &str,
        file: Option<String>,
        variable: Option<String>,
    ) -> Option<SecretRef> {
        match (file, variable) {
            (None, None) => None,
            (Some(file), None) => Some(SecretRef::File(file.into())),
            (None, Some(variable)) => Some(SecretRef::Environment(variable)),
            (Some(_), Some(_)) => {
                let what = format!("{key}_file and {key}_env (expected only one of them)");
                self.note(table, &[Fault::other(format!("{key}_env"), what)]);
                None
            }
        }
    }

    fn sumdb(&mut self, written: SumdbTable, otherwise: &Result<Vec<NamedDatabase>>) -> SumdbSettings {
        let mut faults = Vec::new();
        let databases = match (&written.databases, otherwise) {
            (Some(list), _) => databases(list, &mut faults),
            (None, Ok(list)) => list.clone(),
            (None, Err(error)) => {
                if !self.doubts.cover("sumdb.databases") {
                    self.found.push(self.lines.at("sumdb", error.clone()));
                }
                Vec::new()
            }
        };
        let verify = match written.verify.as_deref() {
            None => Verify::default(),
            Some(text) => Verify::ALL.into_iter().find(|verify| verify.as_str() == text).unwrap_or_else(|| {
                faults.push(Fault::wrong("verify", text, "auto, required or off"));
                Verify::default()
            }),
        };
        if databases.is_empty() && faults.is_empty() && otherwise.is_ok() && verify == Verify::Required {
            let what = "\"required\" without a checksum database (expected one in databases or GOSUMDB)";
            faults.push(Fault::other("verify", what).rests_on(&["databases"]));
        }
        for (at, pattern) in written.private.iter().enumerate().filter(|(_, pattern)| !path::is_pattern(pattern)) {
            faults.push(Fault::wrong(format!("private.{at}"), pattern, "a pattern such as corp.example/*"));
        }
        self.note("sumdb", &faults);
        let verify = if databases.is_empty() { Verify::Off } else { verify };
        SumdbSettings { databases, verify, private: written.private }
    }

    fn allow_private(&mut self, entries: &[String]) {
        for (at, entry) in entries.iter().enumerate() {
            let is_range = entry.parse::<IpNet>().is_ok();
            if !is_range && (!is_host(entry) || has_port(entry)) {
                let fault = Fault::wrong(format!("allow_private.{at}"), entry, "a host name, an address or a range");
                self.note("net", &[fault]);
            }
        }
    }

    fn allow_insecure(&mut self, git: &GitTable) -> AllowInsecure {
        match &git.allow_insecure {
            Some(toml::Value::Boolean(true)) => AllowInsecure::All,
            Some(toml::Value::Array(hosts)) => {
                let hosts: Vec<String> = hosts.iter().filter_map(|host| host.as_str().map(str::to_owned)).collect();
                for (at, host) in hosts.iter().enumerate().filter(|(_, host)| !is_host(host)) {
                    let fault = Fault::wrong(format!("allow_insecure.{at}"), host, "a host or host:port");
                    self.note("git", &[fault]);
                }
                AllowInsecure::Hosts(hosts)
            }
            // The schema lets nothing else through.
            _ => AllowInsecure::Hosts(Vec::new()),
        }
    }

    fn instead_of(&mut self, written: BTreeMap<String, String>) -> Vec<(String, String)> {
        for (prefix, _) in written.iter().filter(|(prefix, replacement)| prefix.is_empty() || replacement.is_empty()) {
            let fault = Fault::wrong(format!("instead_of.{prefix}"), prefix, "a prefix and what stands in its place");
            self.note("git", &[fault]);
        }
        written.into_iter().collect()
    }

    fn definitions(
        &mut self,
        upstreams: Vec<UpstreamTable>,
        registries: Vec<RegistryTable>,
        given: Given,
        mirrors: Option<&[KnownMirror]>,
    ) -> (Vec<UpstreamDefinition>, Vec<RegistryDefinition>) {
        let mut known = self.doubts.names("upstream", upstreams.iter().map(|table| &table.name));
        let mut called = self.doubts.names("registry", registries.iter().map(|table| &table.name));
        let mut count = upstreams.len();
        let mut upstreams = self.upstreams(upstreams, mirrors);
        let is_listed = given.upstreams.is_some();
        if let Some(listed) = given.upstreams {
            (upstreams, known, called) = (listed, None, Some(Vec::new()));
            count = upstreams.len();
        } else if count == 0 && !self.doubts.cover("upstream.0") {
            match given.otherwise {
                Ok(otherwise) => {
                    known = Some(otherwise.iter().map(|upstream| upstream.name.clone()).collect());
                    (count, upstreams) = (otherwise.len(), otherwise);
                }
                Err(error) => {
                    self.found.push(self.lines.at("upstream", error));
                    known = None;
                }
            }
        }
        let mut registries = self.registries(registries, known.as_deref());
        if is_listed && !registries.is_empty() {
            tracing::warn!("the registries of the file are left out: they name upstreams that a list stands in for");
            registries.clear();
        }
        if count > MAX_UPSTREAMS && called.is_some_and(|names| !names.iter().any(|name| name == DEFAULT)) {
            let what =
                format!("upstream: {count} upstreams in the registry {DEFAULT} (expected at most {MAX_UPSTREAMS})");
            let error = Error::gone(what).remedy(format!("name those at / in a [[registry]] called {DEFAULT:?}"));
            self.found.push(self.lines.at(&format!("upstream.{MAX_UPSTREAMS}"), error));
        }
        (upstreams, registries)
    }

    /// `mirrors` are all that there are, if they can be told.
    fn upstreams(&mut self, tables: Vec<UpstreamTable>, mirrors: Option<&[KnownMirror]>) -> Vec<UpstreamDefinition> {
        let (mut upstreams, mut names) = (Vec::new(), Vec::new());
        for (at, table) in tables.into_iter().enumerate() {
            let (name, mut faults) = (table.name.clone(), Vec::new());
            let upstream = UpstreamDefinition::read(table, &mut faults);
            // What is kept of it is served all the same: a share that is not mounted keeps no server from starting.
            if let Some((upstream, folder)) = upstream.as_ref().and_then(|it| Some((it, it.missing_folder()?))) {
                let folder = folder.display();
                tracing::warn!(upstream = upstream.name, %folder, "the folder is not there; it fails until it is");
            }
            if let (Some(upstream), Some(mirrors)) = (&upstream, mirrors) {
                upstream.look_for_mirrors(mirrors, &mut faults);
            }
            look_for_twins(name, &mut names, "upstream", &mut faults);
            upstreams.extend(upstream);
            self.note(&format!("upstream.{at}"), &faults);
        }
        upstreams
    }

    /// `known` are the names of all channels, if they can be told.
    fn mirrors(
        &mut self,
        tables: Vec<MirrorTable>,
        instead_of: &BTreeMap<String, String>,
        known: Option<&[String]>,
    ) -> Vec<MirrorSettings> {
        let instead_of: Vec<(String, String)> = instead_of.clone().into_iter().collect();
        let (mut mirrors, mut names) = (Vec::<MirrorSettings>::new(), Vec::new());
        for (at, table) in tables.into_iter().enumerate() {
            let (name, mut faults) = (table.name.clone(), Vec::new());
            let channels = table.notify.clone().unwrap_or_default();
            let read = mirror::read(table, &mut faults);
            if let Some(read) = &read {
                read.look_for_twin(&mirrors, &mut faults);
                read.look_for_itself(&instead_of, &mut faults);
            }
            look_for_twins(name, &mut names, "mirror", &mut faults);
            notify::look_for_channels(&channels, known, &mut faults);
            mirrors.extend(read);
            self.note(&format!("mirror.{at}"), &faults);
        }
        mirrors
    }

    fn channels(&mut self, tables: Vec<NotifyTable>, has_server: bool) -> Vec<ChannelSettings> {
        let (mut channels, mut names) = (Vec::new(), Vec::new());
        let has_server = has_server || self.doubts.cover("smtp");
        for (at, table) in tables.into_iter().enumerate() {
            let (called, is_named, mut faults) = (table.called(), table.name.is_some(), Vec::new());
            let read = notify::read(table, &mut faults);
            let is_email = read.as_ref().is_some_and(|read| matches!(read.kind, ChannelKind::Email { .. }));
            if is_email && !has_server {
                faults.push(Fault::other("kind", "\"email\" without a mail server (expected [smtp])"));
            }
            if is_named {
                look_for_twins(called, &mut names, "channel", &mut faults);
            } else if let Some(kind) = called {
                match names.contains(&kind) {
                    true => faults.push(Fault::missing("name").remedy(format!("another channel is called {kind:?}"))),
                    false => names.push(kind),
                }
            }
            channels.extend(read);
            self.note(&format!("notify.{at}"), &faults);
        }
        channels
    }

    fn smtp(&mut self, table: SmtpTable, allowed: &AllowInsecure) -> Option<SmtpSettings> {
        let mut faults = Vec::new();
        let smtp = notify::smtp(table, allowed, &mut faults);
        self.note("smtp", &faults);
        smtp
    }

    /// `known` are the names of all upstreams, if they can be told.
    fn registries(&mut self, tables: Vec<RegistryTable>, known: Option<&[String]>) -> Vec<RegistryDefinition> {
        let (mut registries, mut names) = (Vec::new(), Vec::new());
        for (at, table) in tables.into_iter().enumerate() {
            let (name, upstreams, mut faults) = (table.name.clone(), table.upstreams.clone(), Vec::new());
            registries.extend(RegistryDefinition::read(table, &mut faults));
            if let (Some(upstreams), Some(known)) = (upstreams, known) {
                let known = known.iter().map(String::as_str);
                look_for_upstreams(name.as_deref(), &upstreams, known, &mut faults);
            }
            look_for_twins(name, &mut names, "registry", &mut faults);
            self.note(&format!("registry.{at}"), &faults);
        }
        registries
    }
}

/// The mirrors of these names, and what could be read of them.
pub(super) fn known_mirrors(names: Vec<String>, read: &[MirrorSettings]) -> Vec<KnownMirror> {
    let kind = |name: &str| match read.iter().find(|mirror| mirror.definition.name == name) {
        None => KnownMirrorKind::Unclear,
        Some(MirrorSettings { definition, .. }) => match &definition.kind {
            MirrorKind::Git { .. } => KnownMirrorKind::Git,
            MirrorKind::Proxy { mirror, .. } => KnownMirrorKind::Proxy(mirror.clone()),
        },
    };
    names.into_iter().map(|name| KnownMirror { kind: kind(&name), name }).collect()
}

/// Of two that share a name the second is wrong, whatever else is wrong with either.
fn look_for_twins(name: Option<String>, names: &mut Vec<String>, of: &str, faults: &mut Vec<Fault>) {
    let Some(name) = name.filter(|_| !faults.iter().any(|fault| fault.key == "name")) else { return };
    if names.contains(&name) {
        faults.push(Fault::wrong("name", &name, &format!("a name that no other {of} has")));
    } else {
        names.push(name);
    }
}

fn databases(list: &[String], faults: &mut Vec<Fault>) -> Vec<NamedDatabase> {
    let mut databases: Vec<NamedDatabase> = Vec::new();
    for (at, text) in list.iter().enumerate() {
        let key = format!("databases.{at}");
        match NamedDatabase::parse(text) {
            Ok(named) if databases.iter().any(|other| other.name() == named.name()) => {
                faults.push(Fault::wrong(key, named.name(), "each database once"));
            }
            Ok(named) => databases.push(named),
            Err(error) => faults.push(Fault::other(key, error.what())),
        }
    }
    databases
}

fn has_port(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
    name.is_some()
}
