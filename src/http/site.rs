//! What is served: registries by name, each with its checksum databases; and the way of one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hyper::header::VIA;
use hyper::{HeaderMap, Method, Response};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::api;
use super::body::Body;
use super::respond::{self, Asked};
use super::route::{RegistryName, Route};
use crate::error::{Error, Result};
use crate::registry::catalog::Catalog;
use crate::registry::definition::DEFAULT;
use crate::registry::{Question, Reach, Registry};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;
use crate::sumdb;

/// A registry and the checksum databases that its proxies hand through.
pub struct Counter {
    pub registry: Registry,
    pub sumdb: sumdb::Passed,
}

/// All registries.
pub struct Site {
    catalog: Arc<Catalog<Counter>>,
    reload: Option<Arc<dyn Reload>>,
}

/// Reads the configuration again.
#[async_trait]
pub trait Reload: Send + Sync {
    /// If it does not work, all stays as it was.
    async fn reload(&self) -> Result<Reloaded>;
}

/// A configuration that was read again.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Reloaded {
    pub upstreams: usize,
    pub registries: usize,
    /// The keys whose new values wait for a restart.
    pub waiting: Vec<String>,
}

impl Site {
    pub fn new(catalog: Arc<Catalog<Counter>>) -> Site {
        Site { catalog, reload: None }
    }

    /// The same, with somebody who reads the configuration again.
    pub fn reloaded_by(self, reload: Arc<dyn Reload>) -> Site {
        Site { reload: Some(reload), ..self }
    }

    pub async fn reload(&self) -> Result<Reloaded> {
        match &self.reload {
            Some(reload) => reload.reload().await,
            None => Err(Error::forbidden("there is no configuration to be read again")),
        }
    }

    /// What is defined, and by whom it is changed.
    pub fn catalog(&self) -> &Arc<Catalog<Counter>> {
        &self.catalog
    }

    /// The registry of a name, as it is now: changes do not disturb who holds it.
    pub fn counter(&self, name: &RegistryName) -> Result<Arc<Counter>> {
        let (name, unknown) = match name {
            RegistryName::Named(name) => (name.as_str(), Error::not_found("unknown registry")),
            RegistryName::Default => (DEFAULT, Error::internal("there is no default registry")),
        };
        let current = self.catalog.current();
        current.registries.get(name).cloned().ok_or_else(|| unknown.about(format!("registries/{name}")))
    }
}

/// The site once the store is open; until then requests wait at the door.
pub type Door = watch::Receiver<Option<Arc<Site>>>;

/// Answers requests.
pub struct Desk {
    door: Door,
    /// How long a request waits for the store to open.
    patience: Duration,
    /// Our name in `Via`: a request that bears it has been here before.
    pseudonym: String,
}

impl Desk {
    pub fn new(door: Door, patience: Duration, pseudonym: impl Into<String>) -> Desk {
        Desk { door, patience, pseudonym: pseudonym.into() }
    }

    /// Answers one request and leaves one line in the log. `turn` is the request's place among those
    /// that are answered at a time; `None` if all are taken.
    pub async fn answer(&self, asked: &Asked, target: &str, turn: Option<OwnedSemaphorePermit>) -> Response<Body> {
        let start = Instant::now();
        let mut line = Line::default();
        let response = match self.route(asked, target) {
            Ok(route) => self.follow(route, asked, turn, &mut line).await,
            Err(refusal) => refusal.respond(asked, &mut line),
        };
        line.write(asked, target, &response, start.elapsed());
        match asked.method == Method::HEAD {
            true => respond::without_body(response),
            false => response,
        }
    }

    fn route(&self, asked: &Asked, target: &str) -> Result<Route, Refusal> {
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return Err(Refusal::Method(asked.method.clone()));
        }
        if names(&asked.headers, &self.pseudonym) {
            return Err(Refusal::Loop);
        }
        Route::parse(target).map_err(Refusal::Error)
    }

    async fn follow(
        &self,
        route: Route,
        asked: &Asked,
        turn: Option<OwnedSemaphorePermit>,
        line: &mut Line,
    ) -> Response<Body> {
        let busy = || Error::unavailable("too many requests at a time");
        let result = match route {
            Route::Alive => Ok(respond::well()),
            Route::Ready => self.door.borrow().as_ref().map(|_| respond::well()).ok_or_else(not_ready),
            Route::Module { registry, module, question } => {
                line.about(question.name(), question.subject(&module));
                match turn {
                    Some(turn) => {
                        let answered = self.module(&registry, &module, &question, asked, line).await;
                        answered.map(|response| response.map(|body| body.holding(turn)))
                    }
                    None => Err(busy()),
                }
            }
            Route::Verdict { registry, module, version } => {
                line.about("verdict", format!("{module}@{version}"));
                match turn {
                    Some(_turn) => self.verdict(&registry, &module, &version, asked).await,
                    None => Err(busy()),
                }
            }
            Route::Sumdb { registry, path } => {
                line.about("sumdb", path.address());
                match turn {
                    Some(_turn) => self.sumdb(&registry, &path, asked, line).await,
                    None => Err(busy()),
                }
            }
        };
        result.unwrap_or_else(|error| {
            line.failed(&error);
            match asked.reach() {
                _ if asked.wants_json() => respond::refused_in_json(&error),
                Reach::Upstream => respond::refused(&error),
                Reach::Cache => respond::refused_from_cache(&error),
            }
        })
    }

    async fn module(
        &self,
        registry: &RegistryName,
        module: &ModulePath,
        question: &Question,
        asked: &Asked,
        line: &mut Line,
    ) -> Result<Response<Body>> {
        let site = self.site().await?;
        let answer = site.counter(registry)?.registry.answer(module, question, asked.reach()).await?;
        line.freshness = answer.freshness.as_str();
        line.upstream = answer.upstream.clone();
        Ok(respond::answered(question, answer, asked))
    }

    async fn verdict(
        &self,
        registry: &RegistryName,
        module: &ModulePath,
        version: &Version,
        asked: &Asked,
    ) -> Result<Response<Body>> {
        let site = self.site().await?;
        let json = api::verdict(&site.counter(registry)?.registry, module, version).await?;
        Ok(respond::described(json, asked))
    }

    async fn sumdb(
        &self,
        registry: &RegistryName,
        path: &sumdb::Path,
        asked: &Asked,
        line: &mut Line,
    ) -> Result<Response<Body>> {
        let site = self.site().await?;
        let counter = site.counter(registry)?;
        if let sumdb::Target::Lookup { module, version } = &path.target {
            counter.registry.vouch(module, version, asked.reach()).await?;
        }
        let record = counter.sumdb.record(path).await?;
        line.upstream = record.upstream.clone();
        Ok(respond::recorded(path, record, asked))
    }

    /// Waits for the store to open. No go client tries again, so waiting is better than refusing.
    async fn site(&self) -> Result<Arc<Site>> {
        let mut door = self.door.clone();
        let opened = tokio::time::timeout(self.patience, door.wait_for(Option::is_some)).await;
        opened.ok().and_then(|opened| opened.ok()?.clone()).ok_or_else(not_ready)
    }
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

/// Why a request is not even routed.
enum Refusal {
    Method(Method),
    Loop,
    Error(Error),
}

impl Refusal {
    fn respond(self, asked: &Asked, line: &mut Line) -> Response<Body> {
        match self {
            Refusal::Method(method) => respond::not_allowed(&method),
            Refusal::Loop => respond::looped(),
            Refusal::Error(error) => {
                line.failed(&error);
                match asked.wants_json() {
                    true => respond::refused_in_json(&error),
                    false => respond::refused(&error),
                }
            }
        }
    }
}

/// What the log says of a request.
#[derive(Default)]
struct Line {
    route: &'static str,
    subject: String,
    freshness: &'static str,
    upstream: String,
    error: Option<Error>,
}

impl Line {
    fn about(&mut self, route: &'static str, subject: String) {
        self.route = route;
        self.subject = subject;
    }

    fn failed(&mut self, error: &Error) {
        self.error = Some(error.clone());
    }

    fn write(&self, asked: &Asked, target: &str, response: &Response<Body>, time: Duration) {
        let subject = if self.subject.is_empty() { target } else { &self.subject };
        let error = self.error.as_ref().map(Error::chain).unwrap_or_default();
        tracing::info!(
            method = %asked.method,
            route = self.route,
            subject = ?subject,
            freshness = self.freshness,
            upstream = self.upstream,
            status = response.status().as_u16(),
            kind = ?self.error.as_ref().map(Error::kind),
            error = ?error,
            ms = time.as_secs_f64() * 1000.0,
            "request"
        );
    }
}
