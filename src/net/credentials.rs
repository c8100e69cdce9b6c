//! Who we are to a host, and that no other host learns it.
//! Rules: `cmd/go/internal/auth` for netrc files, RFC 7617 and RFC 6750 for the headers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::settings::is_host;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What proves to a host who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `host` for all its ports, or `host:port`.
    pub host: String,
    pub kind: CredentialKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    Basic { username: String, password: Secret },
    Bearer(Secret),
    Header { name: HeaderName, value: Secret },
}

impl CredentialKind {
    /// The secret itself, and what a header makes of it.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            CredentialKind::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                let mut secrets = vec![Secret::new(pair), password.clone()];
                // Over http a token often stands as the user.
                if password.expose().is_empty() || password.expose() == "x-oauth-basic" {
                    secrets.push(Secret::new(username));
                }
                secrets
            }
            CredentialKind::Bearer(secret) | CredentialKind::Header { value: secret, .. } => vec![secret.clone()],
        }
    }

    /// The header that carries it, marked so that it is neither logged nor kept in HTTP/2's tables.
    fn header(&self) -> Result<(HeaderName, HeaderValue)> {
        let (name, text) = match self {
            CredentialKind::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose());
                (AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
            }
            CredentialKind::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose())),
            CredentialKind::Header { name, value } => (name.clone(), value.expose().to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::internal("credentials with characters that no header may have"))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// Reads the configured credentials again where they lie. Blocking.
#[derive(Clone)]
pub struct Renew(pub Arc<dyn Fn() -> Result<Vec<Credential>> + Send + Sync>);

impl fmt::Debug for Renew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renew(…)")
    }
}

/// All credentials of a client.
#[derive(Debug)]
pub(super) struct Keys {
    configured: RwLock<Arc<[Credential]>>,
    netrc: Arc<[Credential]>,
    renew: Option<Renew>,
    /// Who did not accept them last.
    refused: Mutex<Option<String>>,
}

impl Keys {
    pub(super) fn new(configured: Vec<Credential>, netrc: Option<&Secret>) -> Keys {
        let netrc = netrc.map(|text| parse_netrc(text.expose())).unwrap_or_default().into();
        Keys { configured: RwLock::new(configured.into()), netrc, renew: None, refused: Mutex::default() }
    }

    /// Others in the place of those that were configured.
    pub(super) fn with(&self, configured: Vec<Credential>, renew: Option<Renew>) -> Keys {
        let netrc = Arc::clone(&self.netrc);
        Keys { configured: RwLock::new(configured.into()), netrc, renew, refused: Mutex::default() }
    }

    /// Those that were configured, as they are at the moment.
    pub(super) fn configured(&self) -> Arc<[Credential]> {
        self.configured.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the configured credentials again after a host refused those that it was shown. `false` where they are
    /// what they were, or were never for this host.
    pub(super) async fn renewed(&self, url: &Url, shown: &Arc<[Credential]>) -> bool {
        let Some(Renew(read)) = self.renew.clone() else { return false };
        if !shown.iter().any(|key| is_host(url, &key.host)) {
            return false;
        }
        if self.configured() != *shown {
            return true;
        }
        let read = match tokio::task::spawn_blocking(move || read()).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::warn!(%error, "credentials that were refused cannot be read again");
                return false;
            }
            Err(_) => return false,
        };
        if read[..] == shown[..] {
            return false;
        }
        tracing::info!(host = url.host_str(), "credentials were refused; the file holds others by now");
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = read.into();
        true
    }

    /// The texts that only their hosts may see: as they are, and as headers carry them.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let configured = self.configured();
        let all = configured.iter().chain(self.netrc.iter());
        all.flat_map(|key| key.kind.secrets()).collect()
    }

    /// Adds what the URL's host is to be shown of `configured` and netrc, where the caller has not said it; `own` came
    /// with the URL itself. `false` where there is nothing for it.
    pub(super) fn add(
        &self,
        url: &Url,
        configured: &[Credential],
        own: Option<&CredentialKind>,
        headers: &mut HeaderMap,
    ) -> Result<bool> {
        let configured = || configured.iter().filter(|key| is_host(url, &key.host)).map(|key| &key.kind);
        let netrc = || self.netrc.iter().find(|key| is_host(url, &key.host)).map(|key| &key.kind);
        let mut chosen: Vec<&CredentialKind> = own.into_iter().collect();
        if chosen.is_empty() {
            chosen.extend(configured());
        }
        if chosen.is_empty() && url.scheme() == "https" {
            chosen.extend(netrc());
        }
        for kind in &chosen {
            let (name, value) = kind.header()?;
            headers.entry(name).or_insert(value);
        }
        Ok(!chosen.is_empty())
    }

    /// Takes note of what a host answered that was shown credentials. Much can be forbidden to who is known, so only
    /// 401 says that they do not count.
    pub(super) fn heard(&self, host: &str, status: StatusCode) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if status == StatusCode::UNAUTHORIZED {
            *refused = Some(host.to_owned());
        } else if status.is_success() && refused.as_deref() == Some(host) {
            *refused = None;
        }
    }

    /// The host that did not accept what it was shown last.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes user and password out of a URL.
pub(super) fn take_userinfo(url: &mut Url) -> Option<CredentialKind> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let username = decoded(url.username());
    let password = Secret::new(decoded(url.password().unwrap_or_default()));
    // A URL with a user has a host, so neither can fail.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(CredentialKind::Basic { username, password })
}

/// Reads `machine`, `login` and `password`; `macdef` bodies are skipped, and so is `default`: the go command
/// does not follow it, and a password for every host is one that any host may ask for.
fn parse_netrc(text: &str) -> Vec<Credential> {
    #[derive(Default)]
    struct Machine {
        host: Option<String>,
        login: Option<String>,
        password: Option<String>,
    }
    let mut found = Vec::new();
    let mut machine = Machine::default();
    let mut finish = |machine: Machine| {
        if let Machine { host: Some(host), login: Some(username), password: Some(password) } = machine {
            let password = Secret::new(password);
            found.push(Credential { host, kind: CredentialKind::Basic { username, password } });
        }
    };
    let mut in_macro = false;
    'lines: for line in text.lines() {
        if in_macro {
            // A macro ends at the first empty line.
            in_macro = !line.is_empty();
            continue;
        }
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "machine" => {
                    finish(std::mem::take(&mut machine));
                    machine.host = words.next().map(str::to_owned);
                }
                "default" => break 'lines,
                "login" => machine.login = words.next().map(str::to_owned),
                "password" => machine.password = words.next().map(str::to_owned),
                "account" => drop(words.next()),
                "macdef" => {
                    in_macro = true;
                    break;
                }
                _ if word.starts_with('#') => break,
                _ => {}
            }
        }
    }
    finish(machine);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(keys: &Keys, url: &str) -> Vec<String> {
        let mut url = Url::parse(url).expect(url);
        let own = take_userinfo(&mut url);
        let mut headers = HeaderMap::new();
        keys.add(&url, &keys.configured(), own.as_ref(), &mut headers).expect("plain characters");
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn reads_netrc_files() {
        let text = "# a comment with machine words\nmachine one.example login a password b\n\
                    machine two.example\n\tlogin c\n\taccount x\n\tpassword d\n\
                    macdef init\nmachine no.example login e password f\n\n\
                    machine half.example login g\nmachine three.example password i login h\n\
                    default login j password k\nmachine late.example login l password m\n";
        let found: Vec<_> = parse_netrc(text)
            .into_iter()
            .map(|key| match key.kind {
                CredentialKind::Basic { username, password } => {
                    format!("{} {username} {}", key.host, password.expose())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, ["one.example a b", "two.example c d", "three.example h i"]);
    }

    #[test]
    fn only_the_host_they_are_for_gets_credentials() {
        let basic = |user: &str| CredentialKind::Basic { username: user.to_owned(), password: Secret::new("pw") };
        let token = CredentialKind::Header { name: HeaderName::from_static("private-token"), value: Secret::new("t") };
        let keys = Keys::new(
            vec![
                Credential { host: "git.example".to_owned(), kind: CredentialKind::Bearer(Secret::new("token")) },
                Credential { host: "lab.example:8443".to_owned(), kind: token },
                Credential { host: "user.example".to_owned(), kind: basic("ci") },
            ],
            Some(&Secret::new("machine net.example login n password p\nmachine git.example login x password y")),
        );
        let table: [(&str, &str, &[&str]); 9] = [
            ("a token", "https://git.example/x", &["authorization: Bearer token"]),
            ("another port", "https://git.example:8443/x", &["authorization: Bearer token"]),
            ("a header for one port", "https://lab.example:8443/x", &["private-token: t"]),
            ("not for the other port", "https://lab.example/x", &[]),
            ("basic", "https://user.example/x", &["authorization: Basic Y2k6cHc="]),
            ("netrc", "https://net.example/x", &["authorization: Basic bjpw"]),
            ("netrc never over http", "http://net.example/x", &[]),
            ("the URL's own comes first", "https://a%40b:c@git.example/x", &["authorization: Basic YUBiOmM="]),
            ("a stranger", "https://git.example.evil.example/x", &[]),
        ];
        for (row, url, expected) in table {
            assert_eq!(sent(&keys, url), expected, "{row}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = Credential { host: "h".to_owned(), kind: CredentialKind::Bearer(Secret::new("hunter2")) };
        assert!(!format!("{key:?} {}", Secret::new("hunter2")).contains("hunter2"));
        let (_, value) = key.kind.header().expect("plain characters");
        assert!(value.is_sensitive());
    }
}
