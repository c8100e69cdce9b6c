//! A checksum database asked without a proxy.

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, VIA};
use url::Url;

use super::kept::LIMIT;
use crate::error::{Error, Result};
use crate::net::{Client, Request, Response, Trust};
use crate::ports::Sumdb;

/// The longest line of an error's text that is passed on.
const LINE: usize = 300;

/// A database at an address that the configuration or GOSUMDB names.
pub struct Direct {
    name: String,
    base: Url,
    client: Client,
    /// Our name: an address that leads back to us is noticed by it.
    via: HeaderValue,
}

impl Direct {
    /// A pseudonym that no header may hold is an error of `Kind::Gone`.
    pub fn new(name: &str, base: Url, client: Client, pseudonym: &str) -> Result<Direct> {
        let via = HeaderValue::from_str(&format!("1.1 {pseudonym}"));
        let via = via.map_err(|_| Error::gone(format!("invalid name for Via {pseudonym:?}")))?;
        Ok(Direct { name: name.to_owned(), base, client, via })
    }
}

#[async_trait]
impl Sumdb for Direct {
    async fn get(&self, path: &str) -> Result<Bytes> {
        let file = path.strip_prefix(&self.name).unwrap_or(path);
        let mut url = self.base.clone();
        url.set_path(&format!("{}{file}", self.base.path().trim_end_matches('/')));
        let request = Request::get(url).trust(Trust::Named).header(VIA, self.via.clone());
        let response = self.client.send(request).await?;
        match response.status.as_u16() {
            200 => response.bytes(LIMIT).await,
            404 | 410 => Err(Error::not_found(self.refusal(response).await)),
            _ => Err(Error::bad_gateway(self.refusal(response).await)),
        }
    }
}

impl Direct {
    async fn refusal(&self, response: Response) -> String {
        let status = response.status;
        let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_text = kind.trim_start().starts_with("text/plain");
        let body = response.bytes(LIMIT).await.unwrap_or_default();
        let text = std::str::from_utf8(&body).unwrap_or_default().lines().next().unwrap_or_default().trim();
        let line: String = text.chars().filter(|c| !c.is_control()).take(LINE).collect();
        match is_text && !line.is_empty() {
            true => format!("{} answers {status}: {line}", self.name),
            false => format!("{} answers {status}", self.name),
        }
    }
}
