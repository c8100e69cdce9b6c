//! Another module proxy.
//! Rules: go.dev/ref/mod#goproxy-protocol and #checksum-database-protocol; `cmd/go/internal/web` for what an error's text is.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::NamedTempFile;
use url::Url;

use super::arrival::Arrival;
use super::protocol::{Copied, Files, Limits, Protocol};
use crate::error::{Error, Result};
use crate::net::{Client, Request, Response, Trust};
use crate::ports::{Content, Source, Sumdb, Told, Validators};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// What stands in a path element as it is: what `url.PathEscape` of Go leaves alone, and `!`, which it need not escape.
const ELEMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'!');

/// How much of an error's text is looked at, in bytes.
const TEXT: u64 = 64 << 10;
/// How many lines of it are passed on, and how long one may be in bytes: more the go command would not show.
const LINES: usize = 8;
const LINE: usize = 600;

/// A [`Source`] over another GOPROXY.
#[derive(Debug)]
pub struct ProxySource(Protocol<Remote>);

#[derive(Debug)]
struct Remote {
    client: Client,
    base: Url,
    trust: Trust,
    /// How we introduce ourselves in `Via`.
    via: Option<HeaderValue>,
    /// The base without user, password and query.
    name: String,
}

impl ProxySource {
    /// `base` may hold a user and password; zips come into the folder `scratch` first. A base that is no http or
    /// https URL is an error of `Kind::Gone`.
    pub fn new(client: Client, base: Url, trust: Trust, scratch: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            let what = format!("invalid proxy URL scheme {:?} (expected https, http)", base.scheme());
            return Err(Error::gone(what));
        }
        let mut shown = base.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        // A URL with a host has room for a user, so neither can fail.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let name = shown.as_str().trim_end_matches('/').to_owned();
        let remote = Remote { client, base, trust, via: None, name };
        Ok(ProxySource(Protocol::new(remote, scratch.into(), limits)))
    }

    /// Puts our name into `Via`, so that a chain of proxies that leads back to us is noticed. A name that no header
    /// may hold is an error of `Kind::Gone`.
    pub fn via(mut self, pseudonym: &str) -> Result<Self> {
        let value = HeaderValue::from_str(&format!("1.1 {pseudonym}"));
        self.0.files.via = Some(value.map_err(|_| Error::gone(format!("invalid name for Via {pseudonym:?}")))?);
        Ok(self)
    }

    /// Passes on what stands behind `/sumdb/`: `sum.example/supported`, `sum.example/tile/…`. An absence is
    /// `Kind::NotFound` or `Kind::Gone`: this proxy does not speak for that checksum database.
    pub async fn sumdb(&self, path: &str) -> Result<Bytes> {
        if path.split('/').any(|element| matches!(element, "" | "." | "..")) {
            return Err(Error::gone(format!("invalid checksum database path {path:?}")));
        }
        Ok(self.0.files.read(&format!("sumdb/{path}"), self.0.limits.sumdb).await?.what)
    }
}

#[async_trait]
impl Sumdb for ProxySource {
    async fn get(&self, path: &str) -> Result<Bytes> {
        self.sumdb(path).await
    }
}

#[async_trait]
impl Source for ProxySource {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        self.0.list(module).await
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        self.0.latest(module).await
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        self.0.info(module, query).await
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.0.go_mod(module, version).await
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.0.zip(module, version).await
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        self.0.unchanged(module, question, validators).await
    }
}

impl Remote {
    async fn ask(&self, path: &str) -> Result<Response> {
        let response = self.client.send(self.request(path)).await?;
        if response.status == StatusCode::OK { Ok(response) } else { Err(self.refusal(response).await) }
    }

    fn request(&self, path: &str) -> Request {
        let mut url = self.base.clone();
        let elements: Vec<_> =
            path.split('/').map(|element| utf8_percent_encode(element, ELEMENT).to_string()).collect();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), elements.join("/")));
        let mut request = Request::get(url).trust(self.trust);
        if let Some(name) = &self.via {
            request = request.header(VIA, name.clone());
        }
        request
    }

    async fn refusal(&self, response: Response) -> Error {
        use StatusCode as S;
        let status = response.status;
        let delay = response.retry_after();
        let mut lines = text(response).await.into_iter();
        let what = match lines.next() {
            Some(line) => format!("{} answers {status}: {}", self.name, line.chars().take(300).collect::<String>()),
            None => format!("{} answers {status}", self.name),
        };
        let error = match status {
            S::NOT_FOUND => Error::not_found(what),
            S::GONE => Error::gone(what),
            S::FORBIDDEN => Error::forbidden(what).unauthorized(),
            S::UNAUTHORIZED => Error::bad_gateway(what).unauthorized(),
            _ => Error::bad_gateway(what),
        };
        // A further line may be the one that names the right version.
        let error = lines.filter(|line| line.len() <= LINE).fold(error, |error, line| error.remedy(line));
        match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
    }
}

#[async_trait]
impl Files for Remote {
    async fn read(&self, path: &str, limit: u64) -> Result<Told<Bytes>> {
        let response = self.ask(path).await?;
        let validators = validators(&response.headers);
        Ok(Told::new(response.bytes(limit).await?, validators))
    }

    async fn copy(&self, path: &str, limit: u64, to: NamedTempFile) -> Result<Copied> {
        let mut response = self.ask(path).await?;
        let validators = validators(&response.headers);
        let mut arrival = Arrival::new(to);
        let mut size = 0;
        while let Some(piece) = response.piece().await? {
            size += piece.len() as u64;
            if size > limit {
                let what = format!("{} sent a larger file than allowed (expected at most {limit} bytes)", self.name);
                return Err(Error::bad_gateway(what));
            }
            arrival.take(piece).await?;
        }
        let (file, sha256) = arrival.end().await?;
        Ok(Copied { file, sha256: Some(sha256), validators })
    }

    async fn unchanged(&self, path: &str, validators: &Validators) -> Result<bool> {
        let conditions = [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)];
        let conditions: Vec<(HeaderName, HeaderValue)> = conditions
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value.as_deref()?).ok()?)))
            .collect();
        if conditions.is_empty() {
            return Ok(false);
        }
        let request =
            conditions.into_iter().fold(self.request(path), |request, (name, value)| request.header(name, value));
        let response = self.client.send(request).await?;
        match response.status {
            StatusCode::NOT_MODIFIED => Ok(true),
            // What it is now is not read here: it goes through all checks when it is asked for.
            StatusCode::OK => Ok(false),
            _ => Err(self.refusal(response).await),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let stale_seconds = stale_seconds(headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()));
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED), revision: None, stale_seconds }
}

/// How long an answer past its validity may be given before the proxy is asked (RFC 9111, 5.2.2; RFC 5861, 3), where it
/// says so; the least that it says counts.
fn stale_seconds<'a>(lines: impl Iterator<Item = &'a str>) -> Option<u64> {
    let limit = |directive: &str| {
        let (name, value) = directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" | "must-revalidate" | "proxy-revalidate" => Some(0),
            // What cannot be read is no permission.
            "stale-while-revalidate" => {
                Some(value.and_then(|text| text.trim().trim_matches('"').parse().ok()).unwrap_or(0))
            }
            _ => None,
        }
    };
    lines.flat_map(|line| line.split(',')).filter_map(limit).min()
}

/// An error's plain text up to its first line that is empty or no text for people.
async fn text(response: Response) -> Vec<String> {
    let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.trim_start().to_ascii_lowercase().starts_with("text/plain") {
        return Vec::new();
    }
    let body = response.bytes(TEXT).await.unwrap_or_default();
    let lines = std::str::from_utf8(&body).unwrap_or_default().lines().take(LINES).map(str::trim);
    let readable = |line: &&str| !line.is_empty() && line.chars().all(|c| !c.is_control());
    lines.take_while(readable).map(str::to_owned).collect()
}
