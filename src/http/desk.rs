//! The way of one request: where it leads, who may ask, and one line in the log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::header::VIA;
use hyper::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::admission::{self, Admission, Need, Secrets, refuse_foreign, refuse_foreign_form};
use super::api::{self, Access, ApiRoute, Call, Query, Reply};
use super::audited;
use super::body::Body;
use super::forwarded::TrustedProxies;
use super::hook;
use super::incoming::Incoming;
use super::known::{Known, Led, Wanted};
use super::line::Line;
use super::metrics::{Metrics, Reading};
use super::page::{self, Syncs, Visit};
use super::refusal::Refusal;
use super::respond::{self, Asked, Peer, Shown};
use super::route::{Page, RegistryName, Route};
use super::serve::Clerk;
use super::site::Site;
use super::tls::Certificates;
use crate::access::{Encryption, Exposure, Guest, Token};
use crate::error::{Error, Kind, Result};
use crate::registry::Reach;
use crate::registry::definition::DEFAULT;
use crate::sumdb;

/// The site once the store is open; until then requests wait at the door.
pub type Door = watch::Receiver<Option<Arc<Site>>>;

/// Answers requests.
pub struct Desk {
    door: Door,
    /// How long a request waits for the store to open.
    patience: Duration,
    /// Our name in `Via`: a request that bears it has been here before.
    pseudonym: String,
    routes: &'static [ApiRoute],
    known: Known,
    metrics: Metrics,
    admission: Arc<Admission>,
    /// Places of hooks that are being read.
    hooks: Semaphore,
    proxies: TrustedProxies,
    /// What was begun on pages.
    syncs: Arc<Syncs>,
    /// What clients are shown where TLS is spoken here.
    certificates: Option<Arc<Certificates>>,
}

impl Desk {
    /// A desk as on the loopback, where nobody says who may ask.
    pub fn new(door: Door, patience: Duration, pseudonym: impl Into<String>) -> Desk {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let exposure = Exposure { listen, open: None, encryption: Encryption::Nobody };
        Desk {
            door,
            patience,
            pseudonym: pseudonym.into(),
            routes: api::ROUTES,
            known: Known::default(),
            metrics: Metrics::new(None),
            admission: Arc::new(Admission::new(exposure, Secrets::default())),
            hooks: Semaphore::new(hook::AT_A_TIME),
            proxies: TrustedProxies::default(),
            syncs: Arc::default(),
            certificates: None,
        }
    }

    /// The same desk, which believes these proxies when they say for whom they ask.
    pub fn behind(self, proxies: TrustedProxies) -> Desk {
        Desk { proxies, ..self }
    }

    /// The same desk, which tells how long the certificate holds.
    pub fn with_certificates(self, certificates: Option<Arc<Certificates>>) -> Desk {
        Desk { certificates, ..self }
    }

    /// The same desk, at which somebody else says who may ask.
    pub fn guarded_by(self, admission: Arc<Admission>) -> Desk {
        Desk { admission, ..self }
    }

    /// The same desk, which says when it was opened.
    pub fn opened_at(self, time: DateTime<Utc>) -> Desk {
        Desk { metrics: Metrics::new(Some(time)), ..self }
    }

    /// The same desk with another interface.
    #[cfg(test)]
    pub fn with_routes(self, routes: &'static [ApiRoute]) -> Desk {
        Desk { routes, ..self }
    }

    /// Answers one request and leaves one line in the log. `target` may have a query string. `turn` is
    /// the request's place among those that are answered at a time; `None` if all are taken.
    pub async fn answer(
        &self,
        asked: &Asked,
        target: &str,
        body: Incoming,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        let start = Instant::now();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut line = Line::default();
        let known = self.known.find(path);
        let response = match self.route(asked, path, known.as_ref()) {
            Ok(Led::Module(wanted)) => {
                let response = self.wanted(&wanted, asked, turn, &mut line).await;
                if known.is_none() && response.status() == StatusCode::OK {
                    self.known.keep(path, &wanted);
                }
                response
            }
            // Boxed: what this takes would else be part of the state of every request, those for files too.
            Ok(Led::Elsewhere(route)) => Box::pin(self.elsewhere(route, query, asked, body, turn, &mut line)).await,
            Err(refusal) => {
                line.refused(&refusal);
                respond::not_followed(&refusal, asked)
            }
        };
        let site = self.opened();
        audit(site.as_deref(), asked, &mut line, response.status());
        let time = start.elapsed();
        // Whether anybody may read what is answered.
        let response = match site.is_some_and(|site| self.admission.is_open(Some(site.tokens()))) {
            true => response,
            false => respond::for_one(response),
        };
        self.metrics.answered(line.route, response.status().as_u16(), time);
        line.write(asked, path, &response, time);
        match asked.method == Method::HEAD {
            true => respond::without_body(response),
            false => response,
        }
    }

    /// What is no file of a registry.
    async fn elsewhere(
        &self,
        route: Route,
        query: &str,
        asked: &Asked,
        body: Incoming,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        match route {
            Route::Api(address) => self.called(&address, query, asked, body, turn, line).await,
            Route::Page(page) => self.visited(&page, query, asked, body, turn, line).await,
            route => self.follow(route, asked, turn, line).await,
        }
    }

    /// `known`: what the address wants, where it was read before.
    fn route(&self, asked: &Asked, path: &str, known: Option<&Arc<Wanted>>) -> Result<Led, Refusal> {
        if names(&asked.headers, &self.pseudonym) {
            return Err(Refusal::Loop);
        }
        let route = match known {
            Some(wanted) => Ok(Led::Module(wanted.clone())),
            None => Route::parse(path).map(Led::to),
        };
        // What the interface and pages take is said by tables of their own.
        let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
        if !is_read && !matches!(route, Ok(Led::Elsewhere(Route::Api(_) | Route::Page(_)))) {
            return Err(Refusal::Method { asked: asked.method.clone(), allowed: "GET, HEAD".to_owned() });
        }
        route.map_err(Refusal::Error)
    }

    /// A call of the interface.
    async fn called(
        &self,
        address: &str,
        query: &str,
        asked: &Asked,
        body: Incoming,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        let answered = match turn {
            Some(turn) => {
                let reply = self.call(address, query, asked, body, line).await;
                reply.map(|reply| respond::replied(reply, asked).map(|body| body.holding(turn)))
            }
            None => Err(Refusal::Error(busy())),
        };
        answered.unwrap_or_else(|refusal| {
            line.refused(&refusal);
            respond::refused_in_api(&refusal, asked)
        })
    }

    async fn call(
        &self,
        address: &str,
        query: &str,
        asked: &Asked,
        body: Incoming,
        line: &mut Line,
    ) -> Result<Reply, Refusal> {
        let (row, names) = api::find(self.routes, &asked.method, address)?;
        line.about(row.path, Token::hidden_in(address).into_owned());
        line.audited.called = Some(row.method.clone());
        let query = Query::parse(row, query)?;
        let registry = names.iter().find(|(name, _)| *name == "registry").map(|(_, registry)| registry.as_str());
        let registry = registry.or_else(|| query.text("registry"));
        line.audited.registry = registry.map(str::to_owned);
        let registry = registry.unwrap_or(DEFAULT);
        let site = self.site().await?;
        if row.access == Access::AdminOrForge && asked.peer == Peer::Network && hook::is_sent(&asked.headers) {
            let secret = self.admission.hook_secret().ok_or_else(hook::unknown)?;
            let place = self.hooks.try_acquire().map_err(|_| busy())?;
            let guest = secret.admit(&asked.headers, body).await?;
            drop(place);
            line.guest.clone_from(&guest.name);
            if !hook::is_about_refs(&asked.headers) {
                return Ok(Reply::Done);
            }
            return Ok((row.handler)(Call::new(site, guest, asked.reach(), names, query, Bytes::new())).await?);
        }
        let guest = self.admit(row.access.need(registry), asked, &site, line)?;
        refuse_foreign(asked)?;
        let body = match row.method {
            Method::POST | Method::PUT | Method::PATCH => body.read_json(asked).await?,
            _ => Bytes::new(),
        };
        let call = Call::new(site, guest, asked.reach(), names, query, body);
        Ok((row.handler)(call).await?)
    }

    /// A page, or what a form on one sends.
    async fn visited(
        &self,
        page: &Page,
        query: &str,
        asked: &Asked,
        body: Incoming,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        let answered = match turn {
            Some(turn) => {
                let shown = self.visit(page, query, asked, body, line).await;
                shown.map(|shown| respond::shown(shown).map(|body| body.holding(turn)))
            }
            None => Err(Refusal::Error(busy())),
        };
        answered.unwrap_or_else(|refusal| {
            line.refused(&refusal);
            respond::refused_on_page(&refusal, page, asked)
        })
    }

    async fn visit(
        &self,
        page: &Page,
        query: &str,
        asked: &Asked,
        body: Incoming,
        line: &mut Line,
    ) -> Result<Shown, Refusal> {
        line.about(page.path(), page.address());
        let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
        if !page.allowed().split(", ").any(|allowed| allowed == asked.method.as_str()) {
            return Err(Refusal::Method { asked: asked.method.clone(), allowed: page.allowed().to_owned() });
        }
        if !is_read {
            line.audited.called = Some(asked.method.clone());
        }
        let site = self.site().await?;
        let guest = self.admit(page.need(), asked, &site, line)?;
        let root = format!("{}://{}", self.admission.scheme(), admission::host(&asked.headers));
        let visit = Visit { site: &site, guest: &guest, syncs: &self.syncs, root, query };
        if is_read {
            return Ok(page::show(page, &visit).await?);
        }
        refuse_foreign_form(asked)?;
        Ok(page::act(page, &visit, &body.read_form(asked).await?).await?)
    }

    /// Who asks, if they may.
    fn admit(&self, need: Need<'_>, asked: &Asked, site: &Site, line: &mut Line) -> Result<Guest, Refusal> {
        self.admission.admit(need, asked, site.tokens(), &mut line.guest)
    }

    async fn follow(
        &self,
        route: Route,
        asked: &Asked,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        let result = match route {
            Route::Alive => {
                line.route = "healthz";
                Ok(respond::well())
            }
            Route::Metrics => {
                line.route = "metrics";
                self.measured(asked, line)
            }
            Route::Ready => {
                line.route = "readyz";
                self.opened().map(|_| respond::well()).ok_or_else(|| not_ready().into())
            }
            Route::Sumdb { registry, path } => {
                line.about("sumdb", path.address());
                match turn {
                    Some(_turn) => self.sumdb(&registry, &path, asked, line).await,
                    None => Err(busy().into()),
                }
            }
            Route::Api(address) => {
                Err(Error::internal(format!("{address}: the interface has a way of its own")).into())
            }
            Route::Module { module, .. } => {
                Err(Error::internal(format!("{module}: files of registries have a way of their own")).into())
            }
            Route::Page(page) => Err(Error::internal(format!("{}: pages have a way of their own", page.path())).into()),
        };
        result.unwrap_or_else(|refusal| {
            line.refused(&refusal);
            respond::not_followed(&refusal, asked)
        })
    }

    /// Figures, without waiting for the store: until it is open nothing is known of any registry, nor who may ask.
    fn measured(&self, asked: &Asked, line: &mut Line) -> Result<Response<Body>, Refusal> {
        let reading = match self.opened() {
            Some(site) => {
                self.admit(Need::Everything, asked, &site, line)?;
                site.reading()
            }
            None if self.admission.is_open(None) => Reading::default(),
            None => return Err(not_ready().into()),
        };
        let certificate_expiry = self.certificates.as_ref().map(|certificates| certificates.not_after());
        let reading = Reading { certificate_expiry, ..reading };
        Ok(self.metrics.page(&reading).map(respond::measured)?)
    }

    fn opened(&self) -> Option<Arc<Site>> {
        self.door.borrow().clone()
    }

    /// A file of a registry.
    async fn wanted(
        &self,
        wanted: &Arc<Wanted>,
        asked: &Asked,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        line.route = wanted.question.name();
        line.audited.wanted = Some(wanted.clone());
        let answered = match turn {
            Some(turn) => {
                let answered = self.file(wanted, asked, line).await;
                answered.map(|response| response.map(|body| body.holding(turn)))
            }
            None => Err(busy().into()),
        };
        answered.unwrap_or_else(|refusal| {
            line.refused(&refusal);
            respond::not_followed(&refusal, asked)
        })
    }

    async fn file(&self, wanted: &Wanted, asked: &Asked, line: &mut Line) -> Result<Response<Body>, Refusal> {
        let Wanted { registry, module, question, .. } = wanted;
        let site = self.site().await?;
        self.admit(Need::Registry(registry.as_str()), asked, &site, line)?;
        let answer = site.counter(registry)?.registry.answer(module, question, asked.reach()).await?;
        line.freshness = answer.freshness.as_str();
        line.upstream = answer.upstream.clone();
        line.audited.served(&answer);
        Ok(respond::answered(question, answer, asked))
    }

    async fn sumdb(
        &self,
        registry: &RegistryName,
        path: &sumdb::Path,
        asked: &Asked,
        line: &mut Line,
    ) -> Result<Response<Body>, Refusal> {
        let site = self.site().await?;
        self.admit(Need::Registry(registry.as_str()), asked, &site, line)?;
        let counter = site.counter(registry)?;
        if let sumdb::Target::Lookup { module, version } = &path.target {
            counter.registry.vouch(module, version, asked.reach()).await?;
        }
        let record = match asked.reach() {
            Reach::Upstream => counter.sumdb.record(path).await.map_err(for_now)?,
            Reach::Cache => counter.sumdb.kept_record(path).await?,
        };
        line.said(&record.said);
        Ok(respond::recorded(path, record, asked))
    }

    /// Waits for the store to open. No go client tries again, so waiting is better than refusing.
    async fn site(&self) -> Result<Arc<Site>> {
        if let Some(site) = self.opened() {
            return Ok(site);
        }
        let mut door = self.door.clone();
        let opened = tokio::time::timeout(self.patience, door.wait_for(Option::is_some)).await;
        opened.ok().and_then(|opened| opened.ok()?.clone()).ok_or_else(not_ready)
    }
}

impl Clerk for Desk {
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.origin(peer, headers)
    }

    async fn answer(
        &self,
        asked: &Asked,
        target: &str,
        body: Incoming,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        Desk::answer(self, asked, target, body, turn).await
    }
}

/// Writes down who got what, where that is worth a line and somebody keeps a log.
fn audit(site: Option<&Site>, asked: &Asked, line: &mut Line, status: StatusCode) {
    let Some(auditor) = site.and_then(|site| site.records()?.auditor.as_ref()) else { return };
    let Line { audited, route, guest, subject, freshness, upstream, error } = line;
    let wanted = audited.wanted.clone();
    let subject = wanted.as_ref().map_or(subject.as_str(), |wanted| &wanted.subject);
    let said = audited::Said { route, guest, status, subject, cache: freshness, upstream, error: error.as_ref() };
    if let Some(line) = audited.line(auditor.what(), asked, &said) {
        auditor.note(line);
    }
}

fn busy() -> Error {
    Error::unavailable("too many requests at a time")
}

fn not_ready() -> Error {
    Error::unavailable("the store is still opening").retry_after(Duration::from_secs(5))
}

/// Whether one of the `Via` headers holds a pseudonym: `1.1 NAME (comment), 2 OTHER`.
fn names(headers: &HeaderMap, pseudonym: &str) -> bool {
    let values = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
    let mut hops = values.flat_map(|value| value.split(','));
    hops.any(|hop| hop.split_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case(pseudonym)))
}

/// What a checksum database says it does not have may well come: that no cache may keep for an hour.
fn for_now(error: Error) -> Error {
    if error.kind() != Kind::Gone {
        return error;
    }
    let mut absent = Error::not_found(error.chain());
    if let Some(said) = error.speaker() {
        absent = absent.said(said.clone());
    }
    match error.subject() {
        Some(subject) => absent.about(subject),
        None => absent,
    }
}
