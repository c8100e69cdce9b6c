//! The ways to upstreams, looked at apart from what clients ask of them.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use url::Url;

use super::failing::Failing;
use super::probe;
use crate::error::{Error, Result};
use crate::net::Client;
use crate::ports::{Answer, Certificate, Line};

/// To another module proxy.
pub struct ProxyLine {
    client: Client,
    base: Url,
    /// Whether it is shown who we are.
    is_known: bool,
}

impl ProxyLine {
    /// `client` is the view by which the proxy is asked; `has_credentials` where it holds some for the proxy.
    pub fn new(client: Client, base: Url, has_credentials: bool) -> ProxyLine {
        let is_known = has_credentials || !base.username().is_empty() || base.password().is_some();
        ProxyLine { client, base, is_known }
    }
}

#[async_trait]
impl Line for ProxyLine {
    async fn probe(&self) -> Option<Result<Answer>> {
        let answered = probe::answers(&self.client, &self.base, self.is_known).await;
        Some(answered.map(|()| Answer::LetIn).map_err(|error| discreet(&self.client, error)))
    }

    fn refusing(&self) -> Option<String> {
        self.client.refused_credentials()
    }

    fn certificate(&self) -> Option<Certificate> {
        certificate(&self.client, &self.base)
    }
}

/// To git servers: only one whose credentials are configured is known before a module is asked for.
pub struct GitLine {
    client: Client,
    host: Option<String>,
}

impl GitLine {
    /// `client` is the view by which they are asked, `host` the one for which it holds credentials.
    pub fn new(client: Client, host: Option<String>) -> GitLine {
        GitLine { client, host }
    }
}

#[async_trait]
impl Line for GitLine {
    async fn probe(&self) -> Option<Result<Answer>> {
        let answered = probe::host(&self.client, self.host.as_deref()?).await;
        Some(answered.map(|()| Answer::Heard).map_err(|error| discreet(&self.client, error)))
    }

    fn refusing(&self) -> Option<String> {
        self.client.refused_credentials()
    }

    fn certificate(&self) -> Option<Certificate> {
        let url = Url::parse(&format!("https://{}/", self.host.as_deref()?)).ok()?;
        certificate(&self.client, &url)
    }
}

/// To a folder.
pub struct DirLine {
    folder: PathBuf,
    limit: Duration,
}

impl DirLine {
    /// A folder that says nothing for so long is out of reach.
    pub fn new(folder: PathBuf, limit: Duration) -> DirLine {
        DirLine { folder, limit }
    }
}

#[async_trait]
impl Line for DirLine {
    async fn probe(&self) -> Option<Result<Answer>> {
        let probed = probe::dir(&self.folder, None, self.limit).await;
        Some(if probed.ok { Ok(Answer::LetIn) } else { Err(Error::bad_gateway(probed.what)) })
    }

    fn refusing(&self) -> Option<String> {
        None
    }

    fn certificate(&self) -> Option<Certificate> {
        None
    }
}

#[async_trait]
impl Line for Failing {
    async fn probe(&self) -> Option<Result<Answer>> {
        Some(self.failure())
    }

    fn refusing(&self) -> Option<String> {
        None
    }

    fn certificate(&self) -> Option<Certificate> {
        None
    }
}

fn certificate(client: &Client, url: &Url) -> Option<Certificate> {
    let validity = client.certificate(url)?;
    let (begins, ends): (Option<DateTime<Utc>>, DateTime<Utc>) = (validity.begins, validity.ends);
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    Some(Certificate { host, begins, ends })
}

/// A server may repeat what it was shown.
fn discreet(client: &Client, error: Error) -> Error {
    error.reworded(|text| client.without_secrets(text))
}
