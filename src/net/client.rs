//! The client: policy before every hop, one hop after the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use reqwest::tls::TlsInfo;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::address::{Guard, GuardedResolver};
use super::certificate::{Certificates, Validity};
use super::credentials::{Credential, CredentialKind, Keys, Renew, take_userinfo};
use super::environment::Proxies;
use super::failure::Trouble;
use super::gates::Gates;
use super::request::{Body, Request, Trust};
use super::response::Response;
use super::rewrite::{InsteadOf, replaced};
use super::settings::{AllowInsecure, Limits, Settings};
use super::upload::Patience;
use super::{failure, retry, tls};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// How fast a large request body may at least be expected to leave, in bytes per second.
const SLOWEST_UPLOAD: u64 = 64 << 10;

/// In bytes.
const SHORTEST_SECRET: usize = 4;

/// The one outgoing client. Clones share connections, limits and credentials.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    keys: Arc<Keys>,
    gates: Arc<Gates>,
    limits: Limits,
}

/// What all views of a client have in common.
#[derive(Debug)]
struct Shared {
    /// Connects to whatever a name resolves to.
    named: reqwest::Client,
    /// Connects only where the guard lets it; it shares no connection with the other.
    found: reqwest::Client,
    guard: Arc<Guard>,
    allow_insecure: AllowInsecure,
    instead_of: Vec<InsteadOf>,
    proxies: Proxies,
    certificates: Certificates,
}

/// One request of a chain of redirects.
#[derive(Debug)]
struct Hop {
    /// As written, before `instead_of`: what a relative `Location` is read against if nothing was replaced.
    request: Request,
    userinfo: Option<CredentialKind>,
}

/// A try that gave no answer.
struct Failure {
    error: Error,
    trouble: Trouble,
    is_passing: bool,
    may_have_arrived: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let trouble = if error.kind() == Kind::Forbidden { Trouble::Rules } else { Trouble::Other };
        Failure { error, trouble, is_passing: false, may_have_arrived: false }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct Unreached {
    pub error: Error,
    pub trouble: Trouble,
    /// Whether the other side may have the request all the same.
    pub may_have_arrived: bool,
}

impl From<Error> for Unreached {
    fn from(error: Error) -> Unreached {
        Failure::from(error).into()
    }
}

impl From<Failure> for Unreached {
    fn from(failure: Failure) -> Unreached {
        let Failure { error, trouble, may_have_arrived, .. } = failure;
        Unreached { error, trouble, may_have_arrived }
    }
}

impl Client {
    /// An error of `Kind::Internal` if TLS or a proxy cannot be set up.
    pub fn new(settings: Settings) -> Result<Client> {
        let tls = tls::config(&settings.extra_roots)?;
        let guard =
            Arc::new(Guard::new(&settings.allow_private, settings.proxies.hosts(), Arc::clone(&settings.names)));
        let shared = Shared {
            named: builder(&settings, tls.clone())?.build().map_err(setup)?,
            found: builder(&settings, tls)?
                .dns_resolver(Arc::new(GuardedResolver(Arc::clone(&guard))))
                .build()
                .map_err(setup)?,
            guard,
            allow_insecure: settings.allow_insecure,
            instead_of: settings.instead_of,
            proxies: settings.proxies,
            certificates: Certificates::default(),
        };
        let keys = Keys::new(settings.credentials, settings.netrc.as_ref());
        let gates = Arc::new(Gates::new(settings.limits.per_host));
        Ok(Client { shared: Arc::new(shared), keys: Arc::new(keys), gates, limits: settings.limits })
    }

    /// The same client for somebody else: connections, gates and address rules are shared, credentials are the
    /// new ones alone (a netrc file goes on counting), and a request may take other times. Where a host refuses the
    /// credentials (401), `renew` reads them again, and those that differ are shown it once.
    pub fn with(
        &self,
        credentials: Vec<Credential>,
        renew: Option<Renew>,
        first_byte: Duration,
        total: Duration,
    ) -> Client {
        Client {
            shared: Arc::clone(&self.shared),
            keys: Arc::new(self.keys.with(credentials, renew)),
            gates: Arc::clone(&self.gates),
            limits: Limits { first_byte, total, ..self.limits.clone() },
        }
    }

    /// The same client for one who may have so many requests under way to a host, not counting those of others.
    pub fn at_once(&self, requests: usize) -> Client {
        Client { gates: Arc::new(Gates::new(requests)), ..self.clone() }
    }

    /// The same client for what takes long: who is asked may be silent so long, and take so long in all.
    pub fn patient(&self, silence: Duration, total: Duration) -> Client {
        let limits = Limits { first_byte: silence, stall: silence, total, ..self.limits.clone() };
        Client { limits, ..self.clone() }
    }

    /// Whether another program may be let connect to a host that an answer or a page named. Gives the address that was
    /// checked, to connect to that very one; `None` where the configuration allows the host whatever its address is.
    pub async fn check_host(&self, host: &str) -> Result<Option<IpAddr>> {
        let guard = &self.shared.guard;
        if guard.allows_host(host) {
            return Ok(None);
        }
        let found = guard.check_name(host).await.map_err(|refused| failure::refused(&refused))?;
        let unknown = || Error::bad_gateway(format!("{host} could not be reached: it has no address"));
        found.first().copied().map(Some).ok_or_else(unknown)
    }

    /// Asks, following redirects of a GET (and of a POST where the status says that it stays one).
    ///
    /// Any status is an answer. `Kind::BadGateway` if there is none, with the host named;
    /// `Kind::Forbidden` if the rules do not let us go where the URL or a redirect leads.
    pub async fn send(&self, request: Request) -> Result<Response> {
        self.reach(request).await.map_err(|unreached| unreached.error)
    }

    /// The same; if there is no answer, it says of what sort the trouble is.
    pub async fn reach(&self, request: Request) -> Result<Response, Unreached> {
        let size = request.body.as_ref().map_or(0, Body::length);
        let deadline = Instant::now() + self.limits.total + Duration::from_secs(size / SLOWEST_UPLOAD);
        let mut hop = self.shared.prepare(request)?;
        for redirects in 0..=self.limits.redirects {
            let mut response = self.attempt(&hop, deadline).await?;
            match self.shared.next(&hop, &response)? {
                Some(next) => hop = next,
                None => {
                    response.redirected = redirects > 0;
                    response.anonymous = hop.request.anonymous;
                    return Ok(response);
                }
            }
        }
        let host = failure::host(&hop.request.url);
        Err(Error::bad_gateway(format!("{host}: stopped after {} redirects", self.limits.redirects)).into())
    }

    /// The address that the configuration puts in place of this one; `None` if it leaves it alone.
    /// [`Client::send`] does this by itself: ask only where the answer may be no http address, as for ssh.
    pub fn instead_of(&self, address: &str) -> Option<Secret> {
        replaced(&self.shared.instead_of, address)
    }

    /// How long the certificate holds that whoever answers for this address showed last, also where it was one that has
    /// ended. `None` where no TLS is spoken, or nobody asked yet.
    pub fn certificate(&self, url: &Url) -> Option<Validity> {
        let instead = replaced(&self.shared.instead_of, url.as_str());
        let instead = instead.and_then(|instead| Url::parse(instead.expose()).ok()).filter(is_http);
        self.shared.certificates.validity(instead.as_ref().unwrap_or(url))
    }

    /// The host that did not accept the credentials it was shown last (401), as long as none of its answers shows that
    /// it does.
    pub fn refused_credentials(&self) -> Option<String> {
        self.keys.refused()
    }

    /// Whether a found URL may be asked over plain http.
    pub fn allows_insecure(&self, url: &Url) -> bool {
        self.shared.allow_insecure.allows(url)
    }

    /// What somebody else said, without any secret of ours: a server may repeat what it was shown.
    pub fn without_secrets(&self, text: &str) -> String {
        let shared = self.shared.instead_of.iter().filter_map(|rule| Url::parse(&rule.replacement).ok());
        let replacements = shared.filter_map(|mut url| take_userinfo(&mut url)).flat_map(|user| user.secrets());
        let mut text = text.to_owned();
        for secret in self.keys.secrets().into_iter().chain(replacements) {
            // A text of a few characters is no secret, and would be found everywhere.
            if secret.expose().len() >= SHORTEST_SECRET && text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "…");
            }
        }
        text
    }

    /// Asks one address until it answers or the tries are used up.
    async fn attempt(&self, hop: &Hop, deadline: Instant) -> Result<Response, Unreached> {
        self.shared.check(&hop.request).await?;
        let tries = if hop.request.is_repeatable() { self.limits.tries.max(1) } else { 1 };
        let mut patience = self.limits.pauses;
        for tried in 1..=tries {
            let answer = self.admitted(hop, deadline).await;
            let pause = match &answer {
                Ok(response) if retry::is_passing(response.status) => {
                    retry::asked_for(&response.headers).unwrap_or_else(|| retry::back_off(tried))
                }
                Err(failure) if failure.is_passing => retry::back_off(tried),
                _ => Duration::MAX,
            };
            if tried == tries || pause > patience {
                return answer.map_err(Unreached::from);
            }
            drop(answer);
            patience -= pause;
            tokio::time::sleep(pause).await;
        }
        unreachable!("the last try returns")
    }

    /// Asks once; once more where credentials are refused that somebody has replaced by others meanwhile.
    async fn admitted(&self, hop: &Hop, deadline: Instant) -> Result<Response, Failure> {
        let shown = self.keys.configured();
        let answer = self.once(hop, &shown, deadline).await;
        let is_refused = answer.as_ref().is_ok_and(|response| response.status == StatusCode::UNAUTHORIZED);
        let is_once = hop.request.uploads().is_some();
        if !is_refused || is_once || hop.userinfo.is_some() || hop.request.anonymous {
            return answer;
        }
        if !self.keys.renewed(&hop.request.url, &shown).await {
            return answer;
        }
        // It counts among the requests to its host as long as it lives.
        drop(answer);
        self.once(hop, &self.keys.configured(), deadline).await
    }

    async fn once(&self, hop: &Hop, shown: &[Credential], deadline: Instant) -> Result<Response, Failure> {
        let request = &hop.request;
        let host = failure::host(&request.url);
        let entering = self.gates.enter(&host, request.url.scheme() == "https");
        let mut pass = timeout_at(deadline, entering)
            .await
            .map_err(|_| Error::bad_gateway(format!("{host} has too many requests under way")))?;
        let mut outgoing = reqwest::Request::new(request.method.clone(), request.url.clone());
        let mut headers = request.headers.clone();
        let is_known = (!request.anonymous || hop.userinfo.is_some())
            && self.keys.add(&request.url, shown, hop.userinfo.as_ref(), &mut headers)?;
        let size = request.body.as_ref().map_or(0, Body::length);
        *outgoing.body_mut() = request.body.clone().map(|body| match body {
            Body::Bytes(bytes) => bytes.into(),
            Body::Upload(upload) => {
                // Else it would go in chunks, which some servers take only up to a size.
                headers.insert(CONTENT_LENGTH, size.into());
                reqwest::Body::wrap_stream(upload.pieces())
            }
        });
        *outgoing.headers_mut() = headers;
        let client = if request.trust == Trust::Named { &self.shared.named } else { &self.shared.found };
        let wait = self.limits.first_byte + Duration::from_secs(size / SLOWEST_UPLOAD);
        let patience = Patience::new(wait, request.uploads(), &self.limits);
        match patience.wait(deadline, client.execute(outgoing)).await {
            Some(Ok(answer)) => {
                pass.answered(answer.version());
                if is_known {
                    self.keys.heard(&host, answer.status());
                }
                if let Some(der) = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate) {
                    self.shared.certificates.note(&request.url, der);
                }
                let patience = patience.with(self.limits.stall);
                Ok(Response::new(answer, request.url.clone(), patience, deadline, pass))
            }
            Some(Err(cause)) => Err(self.failed(&request.url, &cause)),
            None => {
                let error = Error::bad_gateway(match request.uploads().filter(|upload| !upload.is_sent()) {
                    Some(upload) => upload.stuck(&host),
                    None => format!("{host} did not answer within {:?}", patience.stall()),
                });
                Err(Failure { error, trouble: Trouble::Timeout, is_passing: false, may_have_arrived: true })
            }
        }
    }

    fn failed(&self, url: &Url, cause: &reqwest::Error) -> Failure {
        if let Some(end) = failure::certificate_end(cause) {
            self.shared.certificates.note_end(url, end);
        }
        Failure {
            is_passing: failure::is_passing(cause),
            trouble: failure::trouble(cause),
            may_have_arrived: failure::may_have_arrived(cause),
            error: failure::request(&failure::host(url), cause, &self.limits),
        }
    }
}

impl Shared {
    /// Replaces the address and takes the user out of it.
    fn prepare(&self, mut request: Request) -> Result<Hop> {
        if let Some(instead) = replaced(&self.instead_of, request.url.as_str()) {
            let url = Url::parse(instead.expose())
                .map_err(|e| Error::internal("instead_of gives no valid address").because(e))?;
            // A page cannot be asked for by ssh: such a replacement is meant for git alone.
            if is_http(&url) {
                request.url = url;
                request.trust = Trust::Named;
                request.anonymous = false;
            }
        }
        let userinfo = take_userinfo(&mut request.url);
        Ok(Hop { request, userinfo })
    }

    /// Checks scheme and address; a name's addresses are checked when it is connected to.
    async fn check(&self, request: &Request) -> Result<()> {
        let url = &request.url;
        let host = failure::host(url);
        if !is_http(url) || url.host_str().is_none() {
            return Err(Error::forbidden(format!("{host}: unsupported scheme {:?} (expected https)", url.scheme())));
        }
        if request.trust == Trust::Named {
            return Ok(());
        }
        if url.scheme() == "http" && !self.allow_insecure.allows(url) {
            let error = Error::forbidden(format!("insecure URL http://{host} (expected https)"));
            return Err(error.remedy("if plain http is meant, name the host in [git] allow_insecure"));
        }
        self.guard.check_literal(url).map_err(|e| failure::refused(&e))?;
        let Some(name) = url.domain() else { return Ok(()) };
        if self.proxies.for_scheme(url.scheme()).is_some() || self.guard.is_proxy(name) {
            self.guard.check_name(name).await.map_err(|e| failure::refused(&e))?;
        }
        Ok(())
    }

    /// Where a redirect leads; `None` if the answer is the last one.
    fn next(&self, hop: &Hop, response: &Response) -> Result<Option<Hop>> {
        use StatusCode as S;
        let request = &hop.request;
        let follows = match response.status {
            // What was sent to one address is not for another.
            _ if request.uploads().is_some() => false,
            S::MOVED_PERMANENTLY | S::FOUND | S::SEE_OTHER => request.is_repeatable(),
            S::TEMPORARY_REDIRECT | S::PERMANENT_REDIRECT => request.is_repeatable() || request.method == Method::POST,
            _ => false,
        } && !request.stays;
        let Some(location) = response.headers.get(LOCATION).filter(|_| follows) else { return Ok(None) };
        let host = failure::host(&request.url);
        let location = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| request.url.join(text).ok());
        let url = location.ok_or_else(|| Error::bad_gateway(format!("{host} redirects to no valid address")))?;
        let same = is_same_origin(&request.url, &url);
        let mut next = self.prepare(Request {
            trust: if same { request.trust } else { Trust::Found },
            headers: if same { request.headers.clone() } else { without_credentials(&request.headers) },
            // Whoever redirects could have us show them to any address of their host, with any path.
            anonymous: request.anonymous || !(same || is_upgrade(&request.url, &url)),
            url,
            ..request.clone()
        })?;
        if is_same_origin(&request.url, &next.request.url) && next.userinfo.is_none() {
            next.userinfo = hop.userinfo.clone();
        }
        Ok(Some(next))
    }
}

fn builder(settings: &Settings, tls: rustls::ClientConfig) -> Result<reqwest::ClientBuilder> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .gzip(true)
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.limits.connect)
        .no_proxy();
    let exceptions = reqwest::NoProxy::from_string(&settings.proxies.exceptions());
    if let Some(proxy) = &settings.proxies.http {
        builder = builder.proxy(reqwest::Proxy::http(proxy.clone()).map_err(setup)?.no_proxy(exceptions.clone()));
    }
    if let Some(proxy) = &settings.proxies.https {
        builder = builder.proxy(reqwest::Proxy::https(proxy.clone()).map_err(setup)?.no_proxy(exceptions));
    }
    Ok(builder)
}

fn setup(cause: reqwest::Error) -> Error {
    Error::internal("the outgoing client cannot be set up").because(cause.without_url())
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Same scheme, host and port: what was said of the one holds for the other.
fn is_same_origin(a: &Url, b: &Url) -> bool {
    let key = |url: &Url| (url.scheme().to_owned(), url[Position::BeforeHost..Position::AfterHost].to_owned());
    key(a) == key(b) && a.port_or_known_default() == b.port_or_known_default()
}

/// The same host over https, each at its own port.
pub(super) fn is_upgrade(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    (from.scheme(), to.scheme()) == ("http", "https")
        && from.host_str() == to.host_str()
        && ports == (Some(80), Some(443))
}

fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(AUTHORIZATION);
    headers.remove(COOKIE);
    headers
}
