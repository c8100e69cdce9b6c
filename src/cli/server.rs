//! Asking a running modvet instead of finding out.

use http::HeaderValue;
use http::header::ACCEPT;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::error::{Error, Result};
use crate::net::{Client, Request, Trust};
use crate::registry::Walked;
use crate::spec::explanation::Explanation;
use crate::spec::path::{self, ModulePath};
use crate::spec::version::Version;

/// A verdict with a long history has some KiB.
const LIMIT: u64 = 1 << 20;

/// What the server at `base` says of a version; `None` where it is another module proxy, which has no verdicts.
pub async fn explanation(
    client: &Client,
    base: &str,
    module: &ModulePath,
    version: &Version,
) -> Result<Option<Explanation>> {
    let subject = format!("verdicts/{}@{}", module.escaped(), version.escaped());
    asked(client, base, &subject).await
}

/// What the server at `base` says of the walk to an answer; `None` where it is another module proxy.
pub async fn walked(client: &Client, base: &str, module: &ModulePath, query: Option<&str>) -> Result<Option<Walked>> {
    let query = query.map(|query| format!("@{}", path::escape(query))).unwrap_or_default();
    asked(client, base, &format!("walk/{}{query}", module.escaped())).await
}

/// What a modvet says that wants a token, or another one; `None` where it is another module proxy.
fn refusal(base: &str, body: &[u8]) -> Option<Error> {
    let fields: Value = serde_json::from_slice(body).ok()?;
    let (what, _) = fields["error"].as_str().zip(fields["kind"].as_str())?;
    let remedy = "put the token into your netrc file, for the server's host; it is sent over https only";
    Some(Error::forbidden(what).about(base).remedy(remedy))
}

async fn asked<T: DeserializeOwned>(client: &Client, base: &str, subject: &str) -> Result<Option<T>> {
    let address = format!("{}/api/v1/{subject}", base.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|cause| {
        Error::gone(format!("{base:?} is no address")).because(cause).remedy("write for example http://127.0.0.1:3000")
    })?;
    let json = HeaderValue::from_static("application/json");
    let response = client.send(Request::get(url).header(ACCEPT, json).trust(Trust::Named)).await?;
    let status = response.status.as_u16();
    if matches!(status, 401 | 403) {
        return refusal(base, &response.bytes(LIMIT).await?).map_or(Ok(None), Err);
    }
    if status != 200 {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&response.bytes(LIMIT).await?).ok())
}
