//! From a module path to its repository.
//! Rules: go.dev/ref/mod#vcs-find; `RepoRootForImportPath` in `cmd/go/internal/vcs` with modules preferred.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use url::Url;

use super::hosts::{self, Place};
use super::import::{self, Import, NoMatch};
use super::memory::Memory;
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Request, Response};
use crate::ports::Clock;
use crate::spec::location::{Location, LocationKind};
use crate::spec::path::ModulePath;

/// How long a found answer holds.
const FOUND: Duration = Duration::from_secs(600);
/// How long an absence holds.
const ABSENT: Duration = Duration::from_secs(60);
/// How long a failure is told to those who ask for the same; it must not be asked again for each of them.
const FAILED: Duration = Duration::from_secs(5);
/// A page with more than this in its tags is asked for again each time: thousands of pages are kept, and whoever has a host
/// says what stands in them.
const HEAVY: usize = 16 << 10;
/// How much of a page is looked at, in bytes: tags stand in its head.
const PAGE: usize = 4 << 20;

/// Finds repositories; what it found it knows for a while.
pub struct Discover {
    client: Client,
    pages: Memory<Arc<Page>>,
    pings: Memory<Option<&'static str>>,
}

/// What a page said.
#[derive(Debug)]
struct Page {
    /// As asked, before redirects.
    url: String,
    imports: Vec<Import>,
    /// Why there are no tags, if the page was not read to its end.
    defect: Option<String>,
}

impl Page {
    /// Bytes of what it said.
    fn weight(&self) -> usize {
        let of = |import: &Import| {
            let Import { prefix, vcs, root, subdir } = import;
            size_of::<Import>() + prefix.len() + vcs.len() + root.len() + subdir.len()
        };
        self.imports.iter().map(of).sum::<usize>() + self.defect.as_ref().map_or(0, String::len)
    }
}

impl Discover {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Discover { client, pages: Memory::new(Arc::clone(&clock)), pings: Memory::new(clock) }
    }

    /// Where the code of a module lies.
    ///
    /// `Kind::NotFound` where the go command says `unrecognized import path`; `Kind::BadGateway` if a host that
    /// must be asked does not answer; `Kind::Forbidden` if the rules do not let us ask it.
    pub async fn locate(&self, path: &ModulePath) -> Result<Location> {
        let path = path.as_str();
        match hosts::place(path).map_err(Error::not_found)? {
            Place::Known(location) => Ok(location),
            Place::Suffixed { root, repository, kind } => self.suffixed(root, &repository, kind).await,
            Place::Unknown => {
                let found = self.by_page(path).await;
                let found = found.map_err(|error| outer(&format!("unrecognized import path {path:?}"), &error));
                // Such hosts are asked first so that they may leave the fixed rule behind.
                match (found, hosts::launchpad(path)) {
                    (Err(_), Some(location)) => Ok(location),
                    (found, _) => found,
                }
            }
        }
    }

    /// Finds the scheme of `host/path.git` as the go command does; what is not served needs none.
    async fn suffixed(&self, root: String, repository: &str, kind: LocationKind) -> Result<Location> {
        let scheme = if kind == LocationKind::Git { self.scheme(repository).await? } else { "https" };
        Ok(Location { root, kind, url: format!("{scheme}://{repository}"), subdir: String::new(), is_guess: false })
    }

    async fn scheme(&self, repository: &str) -> Result<&'static str> {
        // If the configuration leads elsewhere (to ssh, say), there is nothing to try at this address.
        let https = format!("https://{repository}");
        if self.client.instead_of(&https).is_some() {
            return Ok("https");
        }
        let validity = |answer: &Result<Option<&'static str>>| match answer {
            Ok(Some(_)) => FOUND,
            Ok(None) => ABSENT,
            Err(_) => FAILED,
        };
        let found = self.pings.get(repository, validity, async {
            let secure = self.ping(&https).await;
            if matches!(secure, Ok(true)) {
                return Ok(Some("https"));
            }
            let http = format!("http://{repository}");
            let insecure = Url::parse(&http).is_ok_and(|url| self.client.allows_insecure(&url));
            if insecure && self.ping(&http).await? {
                return Ok(Some("http"));
            }
            secure.map(|_| None)
        });
        found.await?.ok_or_else(|| Error::not_found("no secure protocol found for repository"))
    }

    /// Whether a git repository answers at this address.
    async fn ping(&self, repository: &str) -> Result<bool> {
        let url = format!("{repository}/info/refs?service=git-upload-pack");
        let url = Url::parse(&url).map_err(|e| Error::not_found("invalid repository address").because(e))?;
        let response = self.client.send(Request::get(url)).await?;
        if is_failure(response.status) {
            let host = response.url.host_str().unwrap_or_default();
            return Err(Error::bad_gateway(format!("{host} answers {}", response.status)));
        }
        // A site that answers anything with a page is no repository.
        let kind = response.headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        Ok(response.status == StatusCode::OK && !kind.to_ascii_lowercase().starts_with(b"text/html"))
    }

    async fn by_page(&self, path: &str) -> Result<Location> {
        let page = self.page(path).await?;
        let url = &page.url;
        if let Some(defect) = &page.defect {
            return Err(Error::not_found(defect));
        }
        let import = import::choose(&page.imports, path).map_err(|e| Error::not_found(no_match(e, url, path)))?;
        if import.prefix != path {
            self.verify(&page, import, path).await?;
        }
        if let Err(why) = check_subdir(&import.subdir) {
            return Err(Error::not_found(format!("{url}: invalid subdirectory {:?}: {why}", import.subdir)));
        }
        if let Err(why) = check_root(&import.root) {
            return Err(Error::not_found(format!("{url}: invalid repo root {:?}: {why}", import.root)));
        }
        let unknown = || Error::not_found(format!("{url}: unknown vcs {:?}", import.vcs));
        Ok(Location {
            root: import.prefix.clone(),
            kind: hosts::kind(&import.vcs).ok_or_else(unknown)?,
            url: import.root.clone(),
            subdir: import.subdir.clone(),
            is_guess: false,
        })
    }

    /// A page that speaks for its parent must be borne out by the parent's own.
    async fn verify(&self, page: &Page, import: &Import, path: &str) -> Result<()> {
        let prefix = &import.prefix;
        let parent = self.page(prefix).await?;
        if let Some(defect) = &parent.defect {
            return Err(Error::not_found(defect));
        }
        if parent.imports.is_empty() {
            let what = format!("fetching {prefix}: no go-import meta tag found in {}", parent.url);
            return Err(Error::not_found(what));
        }
        match import::choose(&parent.imports, path) {
            Ok(same) if same == import => Ok(()),
            _ => {
                let own = without_scheme(&parent.url);
                Err(Error::not_found(format!("{} and {own} disagree about go-import for {prefix}", page.url)))
            }
        }
    }

    async fn page(&self, path: &str) -> Result<Arc<Page>> {
        let validity = |answer: &Result<Arc<Page>>| match answer {
            Ok(page) if page.weight() > HEAVY => Duration::ZERO,
            Ok(page) if page.imports.is_empty() => ABSENT,
            Ok(_) => FOUND,
            Err(_) => FAILED,
        };
        self.pages.get(path, validity, async { self.ask(path).await.map(Arc::new) }).await
    }

    async fn ask(&self, path: &str) -> Result<Page> {
        let host = path.split('/').next().unwrap_or_default();
        if !host.contains('.') {
            return Err(Error::not_found("import path does not begin with hostname"));
        }
        let secure = address("https", path)?;
        let plain = address("http", path)?;
        let fetch = async |url: &Url| self.client.send(Request::get(url.clone())).await;
        let (response, url) = match fetch(&secure).await {
            Err(e) if e.kind() == Kind::BadGateway && self.client.allows_insecure(&plain) => {
                (fetch(&plain).await.map_err(|error| outer("http/https fetch", &error))?, plain)
            }
            response => (response.map_err(|error| outer("https fetch", &error))?, secure),
        };
        let status = response.status;
        let (body, broken) = read(response).await;
        let parsed = import::parse(&body);
        let defect = match (&parsed, broken) {
            (Ok(imports), _) if !imports.is_empty() => None,
            (_, Some(error)) => return Err(error),
            _ if is_failure(status) => return Err(Error::bad_gateway(format!("reading {url}: {status}"))),
            _ if status != StatusCode::OK => Some(format!("reading {url}: {status}")),
            (Err(defect), _) => Some(format!("parsing {path}: {defect}")),
            (Ok(_), _) => None,
        };
        Ok(Page { url: url.to_string(), imports: parsed.unwrap_or_default(), defect })
    }
}

/// As much of a body as is looked at, and why it broke off.
async fn read(mut response: Response) -> (BytesMut, Option<Error>) {
    let mut body = BytesMut::new();
    while body.len() < PAGE {
        match response.piece().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (body, None),
            Err(error) => return (body, Some(error)),
        }
    }
    (body, None)
}

fn address(scheme: &str, path: &str) -> Result<Url> {
    Url::parse(&format!("{scheme}://{path}?go-get=1"))
        .map_err(|e| Error::not_found("import path does not begin with hostname").because(e))
}

/// A status by which a server says that it cannot answer now; any other says that it has nothing.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// Puts words in front of an error and keeps what it promises.
fn outer(what: &str, error: &Error) -> Error {
    let wrapped = Error::new(error.kind(), format!("{what}: {}", error.chain()));
    error.remedies().iter().fold(wrapped, |wrapped, line| wrapped.remedy(line))
}

fn no_match(why: NoMatch, url: &str, path: &str) -> String {
    match why {
        NoMatch::Several => format!("parse {}: multiple meta tags match import path {path:?}", without_scheme(url)),
        NoMatch::None(prefixes) => {
            let each = |prefix: &String| format!("meta tag {prefix} did not match import path {path}");
            let mismatches: Vec<_> = prefixes.iter().map(each).collect();
            format!("parse {url}: no go-import meta tags ({})", mismatches.join(", "))
        }
    }
}

/// The address as the go command prints it where it has not chosen a scheme.
fn without_scheme(url: &str) -> &str {
    url.find(':').map_or(url, |colon| &url[colon + 1..])
}

fn check_subdir(subdir: &str) -> Result<(), &'static str> {
    match subdir.as_bytes().first() {
        Some(b'/') => Err("leading slash"),
        Some(b'-') => Err("leading hyphen"),
        _ => Ok(()),
    }
}

/// A repository must be a URL with a scheme, and not a file.
fn check_root(root: &str) -> Result<(), String> {
    let malformed = |why: &str| Err(format!("parse {root:?}: {why}"));
    if root.bytes().any(|b| b.is_ascii_control()) {
        return malformed("net/url: invalid control character in URL");
    }
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    match root.split_once(':') {
        Some(("", _)) => malformed("missing protocol scheme"),
        Some((path, _)) if path.contains('/') => Err("no scheme".to_owned()),
        Some((scheme, _)) if !is_scheme(scheme) => malformed("first path segment in URL cannot contain colon"),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => Err("file scheme disallowed".to_owned()),
        Some((scheme, _)) if is_web(scheme) && Url::parse(root).is_err() => malformed("invalid URL"),
        Some(_) => Ok(()),
        None => Err("no scheme".to_owned()),
    }
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}
