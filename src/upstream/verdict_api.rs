//! The verdicts of another modvet, asked over its API.
//! Rules: docs/protocol.md, `/api/v1/verdicts`.

use url::Url;

use crate::error::{Error, Result};
use crate::net::{Client, Request, Trust};
use crate::spec::path::ModulePath;
use crate::spec::verdict::Verdict;
use crate::spec::version::Version;

/// How large a verdict may be, in bytes.
const LIMIT: u64 = 1 << 20;

/// A server that may be a modvet, or any other module proxy.
#[derive(Debug)]
pub struct VerdictApi {
    client: Client,
    base: Url,
}

impl VerdictApi {
    pub fn new(client: Client, base: Url) -> VerdictApi {
        VerdictApi { client, base }
    }

    /// What the server says of a version; `None` from a server that gives no verdicts.
    pub async fn verdict(&self, module: &ModulePath, version: &Version) -> Result<Option<Verdict>> {
        let mut url = self.base.clone();
        let top = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{top}/api/v1/verdicts/{}@{}", module.escaped(), version.escaped()));
        let response = self.client.send(Request::get(url).trust(Trust::Named)).await?;
        let status = response.status;
        if status.is_client_error() {
            return Ok(None);
        }
        if !status.is_success() {
            let host = self.base.host_str().unwrap_or("the server");
            return Err(Error::bad_gateway(format!("{host} answered {}", status.as_u16())));
        }
        // A page that greets every visitor is no verdict.
        let verdict: Option<Verdict> = serde_json::from_slice(&response.bytes(LIMIT).await?).ok();
        Ok(verdict.filter(|verdict| verdict.module == module.as_str() && verdict.version == version.as_str()))
    }
}
