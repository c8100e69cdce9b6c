//! How bytes get to the server's git-upload-pack or git-receive-pack and back. Rules: gitprotocol-http(5).

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::runtime::Handle;
use url::Url;

use super::address::{Address, SshAddress};
use super::pktline::{Reader, Stream};
use super::server::{self, Greeting};
use super::ssh::{SshOptions, SshProcess};
use crate::error::{Error, Result};
use crate::net::{Client, Request, Response, Trust};

const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");
const VERSION_2: HeaderValue = HeaderValue::from_static("version=2");
const REQUEST: HeaderValue = HeaderValue::from_static("application/x-git-upload-pack-request");
const RESULT: HeaderValue = HeaderValue::from_static("application/x-git-upload-pack-result");

/// The program of git's that serves us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    pub fn name(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }
}

/// Reaches one repository.
pub struct Transport {
    pub address: Address,
    pub client: Client,
    pub runtime: Handle,
    pub trust: Trust,
    pub refusals: Refusals,
    pub ssh: SshOptions,
}

/// What it means that a server refuses a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusals {
    /// Forges say 401 of a repository that does not exist, so its own page decides, as for the go command.
    Doubted,
    /// Somebody says that it exists: who is refused may not see it.
    Believed,
}

/// The way to ask a server more that has greeted.
pub enum Line {
    /// Each request stands alone. The greeting's place at the host is given back by now: as many greetings as there
    /// are places would wait for each other for ever.
    Http(Base),
    /// One process serves one request, its answer follows the greeting.
    Ssh { process: Box<SshProcess>, answer: Reader },
}

/// Where a repository is asked for packs, once it is known where redirects lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub url: Url,
    pub trust: Trust,
    /// A redirect led away from those whom credentials are for.
    pub anonymous: bool,
}

impl Transport {
    pub fn host(&self) -> String {
        self.address.host()
    }

    /// Asks for the greeting: capabilities, and refs before protocol version 2.
    pub fn connect(&self, service: Service) -> Result<(Greeting, Line)> {
        match &self.address {
            Address::Http(url) => self.connect_http(url, service),
            Address::Ssh(ssh) => self.connect_ssh(ssh, service),
        }
    }

    fn connect_ssh(&self, address: &SshAddress, service: Service) -> Result<(Greeting, Line)> {
        let to = match self.trust {
            Trust::Named => None,
            Trust::Found => self.runtime.block_on(self.client.check_host(address.host()))?,
        };
        let process = Box::new(SshProcess::start(&self.runtime, &self.ssh, address, to, service)?);
        let mut answer = Reader::new(process.output());
        Ok((server::read(&mut answer)?, Line::Ssh { process, answer }))
    }

    fn connect_http(&self, base: &Url, service: Service) -> Result<(Greeting, Line)> {
        let name = service.name();
        let mut request = Request::get(below(base, "info/refs", Some(&format!("service={name}")))).trust(self.trust);
        // There is no version 2 of a push.
        if service == Service::UploadPack {
            request = request.header(GIT_PROTOCOL, VERSION_2);
        }
        let response = self.runtime.block_on(self.client.send(request))?;
        let kind = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if response.status == StatusCode::OK && kind == format!("application/x-{name}-advertisement") {
            let base = self.settled(base, &response);
            return Ok((server::read(&mut self.reader(response))?, Line::Http(base)));
        }
        let (status, dumb) = (response.status, kind.starts_with("text/plain"));
        drop(response);
        if service == Service::ReceivePack {
            return Err(self.unwritable(status));
        }
        Err(self.refusal(base, status, dumb)?)
    }

    /// Sends a request and gives its answer.
    pub fn ask(&self, line: Line, body: Bytes, version_2: bool) -> Result<Reader> {
        match line {
            Line::Ssh { mut process, answer } => {
                process.send(body);
                Ok(answer)
            }
            Line::Http(base) => self.post(&base, body, version_2),
        }
    }

    /// Sends a request to a server whose greeting is known already.
    pub fn post(&self, base: &Base, body: Bytes, version_2: bool) -> Result<Reader> {
        let mut request = Request::post(below(&base.url, "git-upload-pack", None), body)
            .header(CONTENT_TYPE, REQUEST)
            .header(ACCEPT, RESULT)
            .trust(base.trust)
            .anonymous(base.anonymous);
        if version_2 {
            request = request.header(GIT_PROTOCOL, VERSION_2);
        }
        let response = self.runtime.block_on(self.client.send(request))?;
        match response.status {
            StatusCode::OK => Ok(self.reader(response)),
            status => Err(self.status(status)),
        }
    }

    /// Redirects are followed once. What the configuration put in place of the address it will put there again.
    fn settled(&self, base: &Url, answered: &Response) -> Base {
        let anonymous = answered.anonymous;
        let instead = self.client.instead_of(base.as_str()).and_then(|instead| Url::parse(instead.expose()).ok());
        let asked = instead.as_ref().unwrap_or(base);
        let place =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        let moved = above(&answered.url).filter(|to| {
            place(to) != place(asked) || to.path().trim_end_matches('/') != asked.path().trim_end_matches('/')
        });
        let Some(url) = moved else { return Base { url: base.clone(), trust: self.trust, anonymous } };
        // The configuration names a host; what a redirect names beyond it is only found.
        let named = (instead.is_some() || self.trust == Trust::Named) && url.host_str() == asked.host_str();
        Base { url, trust: if named { Trust::Named } else { Trust::Found }, anonymous }
    }

    fn reader(&self, response: Response) -> Reader {
        Reader::new(Box::new(HttpStream { response, runtime: self.runtime.clone() }))
    }

    pub fn status(&self, status: StatusCode) -> Error {
        let error = Error::bad_gateway(format!("{}: git server answered {status}", self.host()));
        if is_refusal(status) { error.unauthorized() } else { error }
    }

    /// What it means that the greeting is none.
    fn refusal(&self, base: &Url, status: StatusCode, dumb: bool) -> Result<Error> {
        let absent = |status| matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        let not_found = || Error::not_found(format!("{}: repository not found", self.host()));
        if absent(status) {
            return Ok(not_found());
        }
        if self.refusals == Refusals::Believed && is_refusal(status) {
            return Ok(self.status(status));
        }
        let page = self.runtime.block_on(self.client.send(Request::get(base.clone()).trust(self.trust)))?;
        Ok(match status {
            _ if absent(page.status) => not_found(),
            StatusCode::OK if dumb => Error::bad_gateway(format!(
                "{}: the server speaks git's dumb protocol only (expected the smart one)",
                self.host()
            )),
            StatusCode::OK => Error::bad_gateway(format!("{}: the answer is not a git repository's", self.host())),
            status => self.status(status),
        })
    }
}

/// Whether the server does not accept who we are; some hosts of private repositories name the reason, an unpaid bill.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN)
}

impl Transport {
    /// What it means that a push is not let begin. Forges answer 403 to who may read only.
    pub fn unwritable(&self, status: StatusCode) -> Error {
        let host = self.host();
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Error::not_found(format!("{host}: repository not found")),
            refused if is_refusal(refused) => {
                Error::bad_gateway(format!("{host}: git server answered {status} to a push"))
                    .remedy("the mirror's credentials must have the right to write")
                    .unauthorized()
            }
            StatusCode::OK => Error::bad_gateway(format!("{host}: the answer is not that of a server for pushes")),
            status => self.status(status),
        }
    }
}

struct HttpStream {
    response: Response,
    runtime: Handle,
}

impl Stream for HttpStream {
    fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.runtime.block_on(self.response.piece())? {
                Some(piece) if piece.is_empty() => {}
                piece => return Ok(piece),
            }
        }
    }
}

/// An address of a repository's service.
pub fn below(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url.set_fragment(None);
    url
}

/// The repository to which a redirected question for its refs led.
fn above(url: &Url) -> Option<Url> {
    let path = url.path().strip_suffix("/info/refs")?.to_owned();
    let mut base = url.clone();
    base.set_path(&path);
    base.set_query(None);
    Some(base)
}
