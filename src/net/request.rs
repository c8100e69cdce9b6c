//! What is asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::upload::Upload;

/// Who named an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// The configuration, `--upstream` or GOPROXY: taken at its word, scheme and address.
    Named,
    /// An answer, a page or a redirect: https and public addresses only, unless the configuration allows more.
    #[default]
    Found,
}

/// What a request says besides its head.
#[derive(Debug, Clone)]
pub enum Body {
    Bytes(Bytes),
    /// It goes to the address asked and to no other, and only once.
    Upload(Upload),
}

impl Body {
    pub(super) fn length(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Upload(upload) => upload.length(),
        }
    }
}

/// A request; without a caller's word its URL is [`Trust::Found`].
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// A user and password in it are sent as basic credentials, to this host only.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Body>,
    pub trust: Trust,
    /// Without the configured credentials, though they be for this host.
    pub anonymous: bool,
    /// Nobody else may see it: where it is led elsewhere, that is the answer.
    pub stays: bool,
}

impl Request {
    pub fn get(url: Url) -> Self {
        let (method, trust) = (Method::GET, Trust::default());
        Request { method, url, headers: HeaderMap::new(), body: None, trust, anonymous: false, stays: false }
    }

    pub fn post(url: Url, body: Bytes) -> Self {
        Request { method: Method::POST, body: Some(Body::Bytes(body)), ..Request::get(url) }
    }

    /// A POST whose body is read while it leaves.
    pub fn upload(url: Url, upload: Upload) -> Self {
        Request { method: Method::POST, body: Some(Body::Upload(upload)), ..Request::get(url) }
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    pub fn anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Redirects are an answer and are not followed.
    pub fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Whether asking twice does no harm.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    pub(super) fn uploads(&self) -> Option<&Upload> {
        match &self.body {
            Some(Body::Upload(upload)) => Some(upload),
            _ => None,
        }
    }
}
