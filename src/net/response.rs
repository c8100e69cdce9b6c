//! What is answered.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::gates::Pass;
use super::upload::Patience;
use super::{failure, retry};
use crate::error::{Error, Result};

/// The head of an answer, whatever its status; the body comes in pieces. While it lives it counts among the
/// requests under way to its host.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where the answer came from in the end, after replacement and redirects, without user and password.
    pub url: Url,
    /// Whether a redirect led there; a replacement by `instead_of` is none.
    pub redirected: bool,
    /// Whether redirects led away from those whom credentials were for: they must not follow.
    pub anonymous: bool,
    inner: reqwest::Response,
    host: String,
    patience: Patience,
    deadline: Instant,
    _pass: Pass,
}

impl Response {
    pub(super) fn new(
        mut inner: reqwest::Response,
        url: Url,
        patience: Patience,
        deadline: Instant,
        pass: Pass,
    ) -> Response {
        Response {
            status: inner.status(),
            headers: std::mem::take(inner.headers_mut()),
            host: failure::host(&url),
            url,
            redirected: false,
            anonymous: false,
            inner,
            patience,
            deadline,
            _pass: pass,
        }
    }

    /// How long the server asks us to leave it alone, by `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        retry::asked_for(&self.headers)
    }

    /// The next bytes of the body, unpacked; `None` at its end. `Kind::BadGateway` if it breaks off, stalls
    /// or takes longer than the limits allow.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        match self.patience.wait(self.deadline, self.inner.chunk()).await {
            Some(Ok(piece)) => Ok(piece),
            Some(Err(cause)) => Err(failure::body(&self.host, cause)),
            None if Instant::now() < self.deadline => {
                Err(Error::bad_gateway(format!("{} sent nothing for {:?}", self.host, self.patience.stall())))
            }
            None => Err(Error::bad_gateway(format!("{} did not finish its answer in time", self.host))),
        }
    }

    /// The whole body; `Kind::BadGateway` if it is larger than `limit` bytes.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if all.len() as u64 + piece.len() as u64 > limit {
                let what = format!("{} sent a larger answer than allowed (expected at most {limit} bytes)", self.host);
                return Err(Error::bad_gateway(what));
            }
            if all.is_empty() && self.inner.content_length() == Some(piece.len() as u64) {
                return Ok(piece);
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
