//! The one outgoing client, as far as the git room needs it.
//! Must not know of git, modules or the store.
//! Rules: docs/architecture.md.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::error::{Error, Result};

#[derive(Clone)]
pub struct Client(reqwest::Client, Arc<Settings>);

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub instead_of: Vec<InsteadOf>,
    pub user_agent: String,
}

#[derive(Debug, Clone)]
pub struct InsteadOf {
    pub prefix: String,
    pub replacement: String,
}

pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Named by configuration, `--upstream` or GOPROXY: taken at its word.
    Named,
    /// Named by an answer, page or redirect: the address rules apply.
    Found,
}

pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    pub trust: Trust,
}

impl Request {
    pub fn get(url: Url) -> Self {
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: None, trust: Trust::Found }
    }

    pub fn post(url: Url, body: Bytes) -> Self {
        Request { method: Method::POST, body: Some(body), ..Request::get(url) }
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }
}

pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// After redirects.
    pub url: Url,
    inner: reqwest::Response,
}

impl Response {
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        self.inner.chunk().await.map_err(|cause| Error::bad_gateway("connection broken").because(cause))
    }

    pub async fn bytes(mut self, limit: u64) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            all.extend_from_slice(&piece);
            if all.len() as u64 > limit {
                return Err(Error::bad_gateway(format!("answer too large (expected at most {limit} bytes)")));
            }
        }
        Ok(all.freeze())
    }
}

impl Client {
    pub fn new(settings: Settings) -> Result<Client> {
        // Somebody else may have installed one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.map_err(|cause| Error::internal("no client").because(cause))?;
        Ok(Client(client, Arc::new(settings)))
    }

    /// The address that the configuration puts in place of this one.
    pub fn instead_of(&self, address: &str) -> Option<Secret> {
        let fits = |rule: &InsteadOf| Some(format!("{}{}", rule.replacement, address.strip_prefix(&rule.prefix)?));
        self.1.instead_of.iter().find_map(fits).map(Secret)
    }

    pub async fn send(&self, request: Request) -> Result<Response> {
        let url = match self.instead_of(request.url.as_str()) {
            Some(other) => Url::parse(other.expose()).map_err(|cause| Error::internal("no URL").because(cause))?,
            None => request.url,
        };
        let mut builder = self.0.request(request.method, url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let inner =
            builder.send().await.map_err(|cause| Error::bad_gateway("no answer").because(cause.without_url()))?;
        Ok(Response { status: inner.status(), headers: inner.headers().clone(), url: inner.url().clone(), inner })
    }
}
