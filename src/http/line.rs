//! The line that each request leaves in the log.

use std::time::Duration;

use hyper::Response;

use super::audited::Audited;
use super::body::Body;
use super::refusal::Refusal;
use super::respond::Asked;
use crate::error::{Error, Said};

/// The name of the event that is the line of a request.
pub const REQUEST: &str = "request";

/// What the log says of a request.
#[derive(Default)]
pub struct Line {
    pub route: &'static str,
    /// A token's label or id.
    pub guest: String,
    pub subject: String,
    pub freshness: &'static str,
    pub upstream: String,
    pub error: Option<Error>,
    pub audited: Audited,
}

impl Line {
    pub fn about(&mut self, route: &'static str, subject: String) {
        self.route = route;
        self.subject = subject;
    }

    pub fn said(&mut self, said: &Said) {
        self.upstream.clone_from(&said.upstream);
        self.freshness = said.cache;
    }

    pub fn refused(&mut self, refusal: &Refusal) {
        self.error = refusal.error().cloned();
        if let Some(said) = refusal.error().and_then(Error::speaker) {
            self.upstream.clone_from(&said.upstream);
            self.freshness = said.cache;
        }
    }

    pub fn write(&self, asked: &Asked, target: &str, response: &Response<Body>, time: Duration) {
        let subject = match &self.audited.wanted {
            Some(wanted) => &wanted.subject,
            None if self.subject.is_empty() => target,
            None => &self.subject,
        };
        let error = self.error.as_ref().map(Error::chain).unwrap_or_default();
        tracing::info!(
            name: REQUEST,
            method = %asked.method,
            address = asked.address.map(tracing::field::display),
            route = self.route,
            guest = self.guest,
            subject,
            freshness = self.freshness,
            upstream = self.upstream,
            status = response.status().as_u16(),
            kind = self.error.as_ref().map(|error| tracing::field::display(error.kind().as_str())),
            error,
            ms = time.as_micros() as f64 / 1000.0,
            "request"
        );
    }
}
