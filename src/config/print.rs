//! The settings written down again: what counts, with every default, and no secret.

use url::Url;

use super::file::{
    ApiTable, AuditTable, File, GitTable, LedgerTable, MonitorTable, NetTable, PseudoVersionsTable, StoreTable,
    SumdbTable,
};
use super::mirror::MirrorSettings;
use super::notify::{ChannelSettings, SmtpSettings};
use super::rules;
use super::secure;
use super::settings::{AllowInsecure, Settings};
use crate::registry::definition::{
    DEFAULT, RegistryDefinition, RegistryTable, SecretRef, UpstreamDefinition, mode_word, printed_duration,
    printed_size, strict_mod_word,
};

impl Settings {
    /// As a file that says it all.
    pub fn file(&self) -> File {
        let (key_file, key_env) = named(self.store.key.as_ref());
        let (admin_token_file, admin_token_env) = named(self.api.admin_token.as_ref());
        let (refresh_secret_file, refresh_secret_env) = named(self.api.refresh_secret.as_ref());
        File {
            listen: Some(self.listen.to_string()),
            trusted_proxies: self.trusted_proxies.iter().map(ToString::to_string).collect(),
            tls: secure::written(&self.tls),
            open: self.open,
            store: StoreTable {
                path: Some(self.store.path.to_string_lossy().into_owned()),
                spill: Some(printed_size(self.store.spill)),
                max_size: self.store.max_size.map(printed_size),
                keep_days: self.store.keep_days,
                key_file,
                key_env,
            },
            pseudo_versions: PseudoVersionsTable {
                mode: Some(mode_word(self.policy.mode).to_owned()),
                strict_mod: Some(strict_mod_word(self.policy.refuse_mod).to_owned()),
            },
            net: NetTable { allow_private: self.allow_private.clone() },
            git: GitTable {
                allow_insecure: Some(match &self.allow_insecure {
                    AllowInsecure::All => toml::Value::Boolean(true),
                    AllowInsecure::Hosts(hosts) => {
                        toml::Value::Array(hosts.iter().cloned().map(toml::Value::String).collect())
                    }
                }),
                instead_of: self.instead_of.iter().map(shown).collect(),
            },
            ledger: LedgerTable { drift_check: Some(printed_duration(self.ledger.drift_check)) },
            monitor: MonitorTable { check_upstreams: Some(printed_duration(self.check_upstreams)) },
            api: ApiTable { admin_token_file, admin_token_env, refresh_secret_file, refresh_secret_env },
            audit: AuditTable {
                enabled: Some(self.audit.enabled),
                path: self.audit.path.as_ref().map(|path| path.to_string_lossy().into_owned()),
                max_size: Some(printed_size(self.audit.max_size)),
                keep: Some(printed_duration(self.audit.keep)),
                what: Some(if self.audit.everything { "all" } else { "versions" }.to_owned()),
                addresses: Some(self.audit.addresses),
            },
            sumdb: SumdbTable {
                databases: Some(self.sumdb.databases.iter().map(ToString::to_string).collect()),
                verify: Some(self.sumdb.verify.as_str().to_owned()),
                private: self.sumdb.private.clone(),
            },
            upstream: self.upstreams.iter().map(UpstreamDefinition::table).collect(),
            rules: rules::default_table(&self.rules),
            rule: self.rules.rules.iter().map(|rule| rules::rule_table(rule)).collect(),
            cooldown: self.rules.cooldown.as_deref().map(rules::cooldown_table),
            mirror: self.mirrors.iter().map(MirrorSettings::table).collect(),
            notify: self.channels.iter().map(ChannelSettings::table).collect(),
            smtp: self.smtp.as_ref().map(SmtpSettings::table),
            registry: self.all_registries().iter().map(|registry| self.table(registry)).collect(),
        }
    }

    /// With the one at `/`, if nobody defines it.
    fn all_registries(&self) -> Vec<RegistryDefinition> {
        let mut all = self.registries.clone();
        if !all.iter().any(|registry| registry.name == DEFAULT) {
            let upstreams = self.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
            all.insert(0, RegistryDefinition::new(DEFAULT, upstreams));
        }
        all
    }

    fn table(&self, registry: &RegistryDefinition) -> RegistryTable {
        let policy = registry.policy(self.policy);
        let (mode, refuse_mod) = (Some(policy.mode), Some(policy.refuse_mod));
        RegistryDefinition { mode, refuse_mod, ..registry.clone() }.table()
    }
}

/// Where a secret is to be read: a file or a variable.
fn named(reference: Option<&SecretRef>) -> (Option<String>, Option<String>) {
    match reference {
        Some(SecretRef::File(path)) => (Some(path.to_string_lossy().into_owned()), None),
        Some(SecretRef::Environment(name)) => (None, Some(name.clone())),
        Some(SecretRef::Given(_) | SecretRef::Sealed(_)) | None => (None, None),
    }
}

/// A replacement may hold a user and a password; over http a token often stands as the user.
fn shown((prefix, replacement): &(String, String)) -> (String, String) {
    let hidden = match Url::parse(replacement) {
        Ok(mut url) if matches!(url.scheme(), "http" | "https") && has_credentials(&url) => {
            // An http address has room for a user, so neither can fail.
            let _ = url.set_username("...");
            let _ = url.set_password(None);
            url.to_string()
        }
        Ok(mut url) if url.password().is_some() => {
            // A URL with a password has a host, so it cannot fail.
            let _ = url.set_password(Some("..."));
            url.to_string()
        }
        _ => replacement.clone(),
    };
    (prefix.clone(), hidden)
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_stands_as_a_user_is_not_shown() {
        let table = [
            ("https://T0KEN@git.example/", "https://...@git.example/"),
            ("https://T0KEN:x-oauth-basic@git.example/", "https://...@git.example/"),
            ("http://user:T0KEN@git.example/", "http://...@git.example/"),
            ("https://git.example/", "https://git.example/"),
            ("ssh://git@git.example/", "ssh://git@git.example/"),
            ("ssh://git:T0KEN@git.example/", "ssh://git:...@git.example/"),
            ("git@git.example:", "git@git.example:"),
        ];
        for (replacement, expected) in table {
            let (_, found) = shown(&("https://github.com/".to_owned(), replacement.to_owned()));
            assert_eq!(found, expected);
        }
    }
}
