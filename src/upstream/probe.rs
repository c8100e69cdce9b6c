//! Whether an upstream answers, and if not, why not.

use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};
use url::Url;

use super::discover::Discover;
use crate::error::Error;
use crate::net::{Client, Request, Response, Trouble, Trust, Unreached};
use crate::spec::database::BUILT_IN;
use crate::spec::location::LocationKind;
use crate::spec::path::ModulePath;

/// How an upstream answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    pub ok: bool,
    /// One of the words below.
    pub kind: &'static str,
    /// As it was sent, if anything was.
    pub status: Option<u16>,
    pub what: String,
    pub remedy: Vec<String>,
}

/// What a repository says when no http address leads to it: asked by ssh, say.
pub type Refs<'a> = &'a (dyn Fn(String) -> Result<usize, Error> + Sync);

impl Probed {
    fn well(what: impl Into<String>, status: Option<u16>) -> Probed {
        Probed { ok: true, kind: "reachable", status, what: what.into(), remedy: Vec::new() }
    }

    fn failed(kind: &'static str, what: impl Into<String>) -> Probed {
        Probed { ok: false, kind, status: None, what: what.into(), remedy: Vec::new() }
    }

    fn remedy(mut self, line: impl Into<String>) -> Probed {
        self.remedy.push(line.into());
        self
    }

    /// No answer came.
    fn unreached(unreached: &Unreached) -> Probed {
        let kind = match unreached.trouble {
            Trouble::Certificate => "certificate",
            Trouble::Timeout => "timeout",
            Trouble::Unreachable => "unreachable",
            Trouble::Rules => "refused",
            Trouble::Other => "failed",
        };
        let mut probed = Probed::failed(kind, unreached.error.chain());
        probed.remedy.extend(unreached.error.remedies().iter().cloned());
        probed
    }

    fn error(error: &Error) -> Probed {
        let kind = if error.is_absence() { "not_found" } else { "failed" };
        let mut probed = Probed::failed(kind, error.chain());
        probed.remedy.extend(error.remedies().iter().cloned());
        probed
    }

    /// An answer came; `absent` is what it means if it says that nothing is there.
    fn answered(response: &Response, absent: Probed) -> Probed {
        let status = response.status;
        let host = response.url.host_str().unwrap_or_default();
        let says = |what: &str| format!("{host} answers {status}: {what}");
        let probed = match status {
            StatusCode::UNAUTHORIZED => Probed::failed("unauthorized", says("credentials are missing or wrong"))
                .remedy("look at auth: host, scheme, and whether the token still holds"),
            StatusCode::FORBIDDEN => Probed::failed("forbidden", says("these credentials may not read here")),
            StatusCode::NOT_FOUND | StatusCode::GONE => absent,
            StatusCode::TOO_MANY_REQUESTS => Probed::failed("throttled", says("too many requests")),
            status if status.is_server_error() => Probed::failed("failed", says("it is not well")),
            status if status.is_success() => Probed::well(format!("{host} answers"), None),
            _ => Probed::failed("failed", says("no answer of a module proxy or repository")),
        };
        Probed { status: Some(status.as_u16()), ..probed }
    }
}

/// Another proxy: its list of a module's versions, or without a module its address.
pub async fn proxy(client: &Client, base: &Url, module: Option<&ModulePath>) -> Probed {
    let mut url = base.clone();
    let mut request = match module {
        Some(module) => {
            url.set_path(&format!("{}/{}/@v/list", base.path().trim_end_matches('/'), module.escaped()));
            Request::get(url)
        }
        None => Request { method: Method::HEAD, ..Request::get(url) },
    };
    request.trust = Trust::Named;
    match client.reach(request).await {
        Ok(response) => {
            let absent = match module {
                Some(module) => Probed::failed("not_found", format!("it answers, but has no module {module}")),
                // There is nothing at the top of a module proxy.
                None => Probed::well("it answers", None),
            };
            // Neither is there always a HEAD.
            match response.status {
                StatusCode::METHOD_NOT_ALLOWED if module.is_none() => Probed::well("it answers", Some(405)),
                _ => Probed::answered(&response, absent),
            }
        }
        Err(unreached) => Probed::unreached(&unreached),
    }
}

/// Whether another proxy answers, by what all of them answer at once and what names no module: whether it speaks for a
/// checksum database. Whatever it says to that but a failure is an answer; who is refused may be known by others, so
/// 403 counts only where we say who we are.
pub async fn answers(client: &Client, base: &Url, is_known: bool) -> Result<(), Error> {
    let mut url = base.clone();
    url.set_path(&format!("{}/sumdb/{}/supported", base.path().trim_end_matches('/'), database()));
    let response = client.send(Request::get(url).trust(Trust::Named)).await?;
    let status = response.status;
    let says = |what: &str| format!("{} answers {status}: {what}", response.url.host_str().unwrap_or_default());
    match status {
        StatusCode::UNAUTHORIZED => {
            let what = if is_known { "the credentials are not accepted" } else { "it wants credentials" };
            Err(Error::bad_gateway(says(what)).unauthorized())
        }
        StatusCode::FORBIDDEN if is_known => {
            Err(Error::forbidden(says("who we are may not read here (any more)")).unauthorized())
        }
        StatusCode::TOO_MANY_REQUESTS => Err(Error::bad_gateway(says("too many requests"))),
        status if status.is_server_error() => Err(Error::bad_gateway(says("it is not well"))),
        _ => Ok(()),
    }
}

/// The checksum database that every proxy has heard of.
fn database() -> &'static str {
    BUILT_IN.split('+').next().unwrap_or_default()
}

/// Whether a git server's host answers at all. It is not told who we are: nothing at its top asks for it.
pub async fn host(client: &Client, host: &str) -> Result<(), Error> {
    let mut failure = Error::gone(format!("{host} is no host"));
    for scheme in ["https", "http"] {
        let Ok(url) = Url::parse(&format!("{scheme}://{host}/")) else { break };
        if scheme == "http" && !client.allows_insecure(&url) {
            break;
        }
        let request = Request { method: Method::HEAD, ..Request::get(url) }.trust(Trust::Named).anonymous(true);
        match client.send(request).await {
            Ok(_) => return Ok(()),
            // Where plain http is allowed, nobody may speak TLS.
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Git: the refs of a module's repository. Without a module there is nobody to ask.
pub async fn git(client: &Client, discover: &Discover, module: Option<&ModulePath>, refs: Refs<'_>) -> Probed {
    let Some(module) = module else {
        return Probed::failed("not_asked", "git asks the hosts of modules, so which module is to be looked for?")
            .remedy("name one: ?module=example.com/module");
    };
    let location = match discover.locate(module).await {
        Ok(location) => location,
        Err(error) => return Probed::error(&error),
    };
    match location.kind {
        LocationKind::Git => {}
        LocationKind::Proxy => return Probed::well(format!("{module} comes from another module proxy"), None),
        LocationKind::Other(kind) => return Probed::failed("not_found", format!("{module} is in {kind}, not in git")),
    }
    let instead = client.instead_of(&location.url);
    let leads_to = instead.as_ref().map_or(location.url.as_str(), |instead| instead.expose());
    if !leads_to.starts_with("https://") && !leads_to.starts_with("http://") {
        return match refs(location.url) {
            Ok(count) => Probed::well(format!("the repository of {module} answers, {count} refs"), None),
            Err(error) => Probed::error(&error),
        };
    }
    let address = format!("{}/info/refs?service=git-upload-pack", location.url.trim_end_matches('/'));
    let url = match Url::parse(&address) {
        Ok(url) => url,
        Err(_) => return Probed::failed("not_found", format!("{module} leads to no valid repository address")),
    };
    match client.reach(Request::get(url)).await {
        Ok(response) => {
            let absent = Probed::failed("not_found", format!("there is no repository for {module}"))
                .remedy("many hosts say so, too, where credentials are missing");
            Probed::answered(&response, absent)
        }
        Err(unreached) => Probed::unreached(&unreached),
    }
}

/// A folder: whether it is there, can be read and, with a module, has it. A dead mount does not even say no.
pub async fn dir(folder: &Path, module: Option<&ModulePath>, limit: Duration) -> Probed {
    let (folder, module) = (folder.to_owned(), module.cloned());
    let looking = tokio::task::spawn_blocking(move || look_into(&folder, module.as_ref()));
    match tokio::time::timeout(limit, looking).await {
        Ok(Ok(probed)) => probed,
        Ok(Err(_)) => Probed::failed("failed", "looking into the folder was cut short"),
        Err(_) => Probed::failed("timeout", format!("the folder does not answer within {limit:?}")),
    }
}

fn look_into(folder: &Path, module: Option<&ModulePath>) -> Probed {
    if let Err(error) = std::fs::read_dir(folder) {
        return Probed::failed("unreachable", format!("the folder cannot be read: {}", error.kind()));
    }
    match module {
        Some(module) if !folder.join(module.escaped()).join("@v").is_dir() => {
            Probed::failed("not_found", format!("the folder has no module {module}"))
        }
        _ => Probed::well("the folder is there", None),
    }
}
