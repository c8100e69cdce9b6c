//! A webhook: one POST of JSON to an address that is a secret itself.
//! Rules: docs/notices.md; `text` as Slack's and Mattermost's incoming webhooks read it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::SecondsFormat;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::lookup::Lookup;
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Credential, CredentialKind, Request, Response, Secret, Trust};
use crate::ports::{Letter, Notifier};

/// Until the head of the answer.
const FIRST_BYTE: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(45);

/// Chats cut longer ones, each elsewhere; in characters.
const LONGEST_TEXT: usize = 4000;

/// Of an answer, what is told of it, in characters and before that in bytes.
const LONGEST_ANSWER: usize = 200;
const ANSWER_LIMIT: u64 = 16 << 10;

/// Parts of an address that are shorter are words such as `hooks`.
const SHORTEST_SECRET: usize = 8;

/// A channel to whoever listens at an address.
#[derive(Debug)]
pub struct Webhook {
    name: String,
    client: Client,
    address: Lookup,
    pass: Option<Pass>,
}

/// What a receiver wants to be shown beside its address.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The host that it is for, with its port or for all ports: no other is shown it.
    pub host: String,
    pub scheme: PassScheme,
    pub secret: Lookup,
}

#[derive(Debug, Clone)]
pub enum PassScheme {
    Basic { username: String },
    Bearer,
    Header { name: HeaderName },
}

impl Webhook {
    pub fn new(name: impl Into<String>, client: &Client, address: Lookup, pass: Option<Pass>) -> Webhook {
        Webhook { name: name.into(), client: client.clone(), address, pass }
    }

    /// The address as it is now, and the client that shows whoever is there what they want to be shown.
    async fn prepare(&self) -> Result<(Url, Client, Vec<Secret>)> {
        let text = self.address.read().await?;
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let url = Url::parse(text.expose().trim()).ok().filter(is_web);
        let url = url.ok_or_else(|| Error::unavailable("its address is no URL (expected https://…)"))?;
        let mut credentials = Vec::new();
        let mut secrets = secrets(&url);
        if let Some(pass) = &self.pass {
            let secret = pass.secret.read().await?;
            secrets.push(secret.clone());
            credentials.push(Credential { host: pass.host.clone(), kind: pass.kind(secret) });
        }
        Ok((url, self.client.with(credentials, None, FIRST_BYTE, TOTAL), secrets))
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> &[String] {
        &[]
    }

    async fn notify(&self, letter: &Letter) -> Result<()> {
        let (url, client, secrets) = self.prepare().await?;
        let key = HeaderValue::from_str(&key(letter)).map_err(|_| Error::gone("its id is no header"))?;
        let request = Request::post(url, Bytes::from(body(letter).to_string()))
            .trust(Trust::Named)
            .staying()
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("*/*"))
            .header(HeaderName::from_static("idempotency-key"), key);
        let told = |text: &str| hidden(&client.without_secrets(text), &secrets);
        match client.reach(request).await {
            Ok(response) if response.status.is_success() => Ok(()),
            Ok(response) => Err(refusal(response).await.reworded(told)),
            Err(unreached) => {
                let kind = if unreached.may_have_arrived { Kind::BadGateway } else { Kind::Unavailable };
                let error = Error::new(kind, unreached.error.chain());
                let remedies = unreached.error.remedies().iter();
                Err(remedies.fold(error, |error, line| error.remedy(line)).reworded(told))
            }
        }
    }
}

impl Pass {
    fn kind(&self, secret: Secret) -> CredentialKind {
        match &self.scheme {
            PassScheme::Basic { username } => CredentialKind::Basic { username: username.clone(), password: secret },
            PassScheme::Bearer => CredentialKind::Bearer(secret),
            PassScheme::Header { name } => CredentialKind::Header { name: name.clone(), value: secret },
        }
    }
}

/// The body of a letter's request.
pub fn body(letter: &Letter) -> Value {
    json!({
        "text": text(letter),
        "id": letter.id,
        "at": letter.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "subject": letter.subject,
        "data": letter.data,
    })
}

/// The same for every try of a letter and for no other letter: ids begin anew with a new store.
fn key(letter: &Letter) -> String {
    format!("{}-{}", letter.id, letter.at.timestamp())
}

/// What chats show. What others wrote, such as names of branches, must neither call people nor look like a link.
fn text(letter: &Letter) -> String {
    let whole = format!("{}\n{}", letter.subject, letter.text);
    let whole = whole.trim_end();
    let cut = match whole.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole.to_owned(),
    };
    let mut text = cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for everybody in ["@all", "@channel", "@here", "@everyone"] {
        // A space of no width stands between the sign and the name.
        text = text.replace(everybody, &everybody.replace('@', "@\u{200b}"));
    }
    text
}

/// An answer that is no yes: whether the letter may be had another time, and why not now.
async fn refusal(response: Response) -> Error {
    let (status, host) = (response.status.as_u16(), response.url.host_str().unwrap_or_default().to_owned());
    let (asked, redirects) = (response.retry_after(), response.status.is_redirection());
    let body = response.bytes(ANSWER_LIMIT).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&body);
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_ANSWER).collect();
    let what = match said.as_str() {
        "" => format!("{host} answered {status}"),
        said => format!("{host} answered {status}: {said}"),
    };
    let error = Error::new(if is_for_ever(status) { Kind::Gone } else { Kind::Unavailable }, what);
    let error = asked.into_iter().fold(error, Error::retry_after);
    match redirects {
        true => error.remedy("a letter is not carried on: name the address that it is to go to"),
        false => error,
    }
}

/// Whether a status is about this very letter: too large, of a kind or a content that is not taken. Every other refusal
/// ends once somebody mends the address, the hook or the receiver, and the letter is there then.
fn is_for_ever(status: u16) -> bool {
    matches!(status, 413 | 415 | 422)
}

/// What of an address nobody may read: a receiver may repeat it.
fn secrets(url: &Url) -> Vec<Secret> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = url.path_segments().into_iter().flatten().map(decoded);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let user = [url.username(), url.password().unwrap_or_default()].into_iter().map(decoded);
    // As it goes over the wire as well: a receiver may repeat either.
    let wire = url.path().split('/').chain(url.query().unwrap_or_default().split(['&', '='])).map(str::to_owned);
    let mut parts: Vec<String> = path.chain(query).chain(user).chain(wire).collect();
    parts.extend([url.as_str().to_owned(), url[url::Position::BeforePath..].to_owned()]);
    // The longest first, so that no part of one is left.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.retain(|part| part.len() >= SHORTEST_SECRET);
    parts.into_iter().map(Secret::new).collect()
}

fn hidden(text: &str, secrets: &[Secret]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "…"))
}
