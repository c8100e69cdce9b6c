//! Answers and errors into statuses and headers: the one place of statuses.

mod page;

use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT, ACCEPT_RANGES, AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::api::Reply;
use super::body::Body;
use super::metrics;
use super::range::Range;
use super::refusal::Refusal;
use super::text;
use crate::error::{Error, Kind, Said};
use crate::registry::{Answer, AnswerBody, Life, Question, Reach};
use crate::sumdb;
pub use page::{Shown, refused_on_page, shown};

const UPSTREAM: HeaderName = HeaderName::from_static("x-modvet-upstream");
const SUM: HeaderName = HeaderName::from_static("x-modvet-sum");
const CACHE: HeaderName = HeaderName::from_static("x-modvet-cache");
const MIRROR: HeaderName = HeaderName::from_static("x-modvet-mirror");

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const ZIP: &str = "application/zip";
const BYTES: &str = "application/octet-stream";
const LINES: &str = "application/x-ndjson";

const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
/// How long what never changes may be kept, by anybody and by who got it.
const FOREVER: &str = "public, max-age=31536000, immutable";
const FOREVER_FOR_ONE: &str = "private, max-age=31536000, immutable";

/// So many headers an answer may have before the map of them has to grow.
const USUAL_HEADERS: usize = 12;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What of a request shapes the answer beyond its address.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub headers: HeaderMap,
    pub peer: Peer,
    /// Where it comes from; `None` over the control socket.
    pub address: Option<IpAddr>,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Network,
    /// Over the control socket or from this very process: who may read the store's folder may do all.
    Control,
}

impl Asked {
    /// `Disable-Module-Fetch: true`.
    pub fn reach(&self) -> Reach {
        match self.headers.get("disable-module-fetch") {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"true") => Reach::Cache,
            _ => Reach::Upstream,
        }
    }

    /// Whether the client reads JSON and no text.
    pub fn wants_json(&self) -> bool {
        self.values(ACCEPT).any(|value| value.contains(JSON) && !value.contains("text/"))
    }

    fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// Whether the client has these very bytes already.
    fn has(&self, etag: &str) -> bool {
        let mut tags = self.values(IF_NONE_MATCH).flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }

    /// The part of a body of `size` bytes that is wanted.
    fn range(&self, etag: &str, size: u64) -> Range {
        let mut ranges = self.values(RANGE);
        let (Some(range), None) = (ranges.next(), ranges.next()) else { return Range::Whole };
        // Without an ETag of ours in If-Range the client may hold a part of something else.
        let same = !self.headers.contains_key(IF_RANGE) || self.values(IF_RANGE).any(|tag| tag.trim() == etag);
        match self.method == Method::GET && same {
            true => Range::parse(range, size),
            false => Range::Whole,
        }
    }
}

/// A registry's answer to a question.
pub fn answered(question: &Question, answer: Answer, asked: &Asked) -> Response<Body> {
    let media = match question {
        Question::Info(_) | Question::Latest => JSON,
        Question::List | Question::GoMod(_) => TEXT,
        Question::Zip(_) => ZIP,
    };
    let mut response = match answer.body {
        AnswerBody::Text(bytes) => whole(bytes, media, asked),
        AnswerBody::Blob(blob) => {
            let etag = etag(blob.sha256());
            let range = match question {
                Question::Zip(_) => asked.range(&etag, blob.size()),
                _ => Range::Whole,
            };
            let body = |first, end| Body::part(&blob, first, end);
            let mut response = part(body, blob.size(), range, &etag, media, asked);
            if matches!(question, Question::Zip(_)) {
                response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            response
        }
    };
    let life = match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => "no-store",
        _ => lifetime(answer.life),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(life));
    headers.insert(AGE, answer.age.as_secs().into());
    headers.insert(UPSTREAM, header(&answer.upstream));
    headers.insert(CACHE, HeaderValue::from_static(answer.freshness.as_str()));
    if let Some(via) = &answer.via {
        headers.insert(MIRROR, header(&via.to_string()));
    }
    if let Some(proof) = answer.proof {
        headers.insert(SUM, HeaderValue::from_static(proof.as_str()));
    }
    response
}

/// A checksum database's answer.
pub fn recorded(path: &sumdb::Path, record: sumdb::Record, asked: &Asked) -> Response<Body> {
    let media = if matches!(path.target, sumdb::Target::Tile(_)) { BYTES } else { TEXT };
    // A cache on the way would give what nobody proved to all who come later.
    let life = if path.is_lasting() && record.is_proven { Life::Forever } else { Life::Short };
    let mut response = whole(record.body, media, asked);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lifetime(life)));
    say(headers, &record.said);
    response
}

/// What the programming interface says.
pub fn replied(reply: Reply, asked: &Asked) -> Response<Body> {
    let mut response = match reply {
        Reply::Json(json) => whole(json.into(), JSON, asked),
        Reply::Created(json) => {
            let mut response = whole(json.into(), JSON, asked);
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Reply::Once(json) => return once(json),
        Reply::Done => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Reply::Lines(lines) => {
            let mut response = Response::new(Body::stream(lines));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lifetime(Life::Never)));
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    response
}

/// A secret: kept by nobody, and without anything that would tell it again.
fn once(json: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(json)));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    response
}

/// What was given for a token is for who bears it: without this a shared cache may give what is public to anybody.
pub fn for_one(mut response: Response<Body>) -> Response<Body> {
    let Some(control) = response.headers_mut().get_mut(CACHE_CONTROL) else { return response };
    if control == FOREVER {
        *control = HeaderValue::from_static(FOREVER_FOR_ONE);
    } else if let Some(rest) = control.to_str().ok().and_then(|control| control.strip_prefix("public"))
        && let Ok(value) = HeaderValue::try_from(format!("private{rest}"))
    {
        *control = value;
    }
    response
}

/// An error as JSON.
#[derive(Debug, Serialize)]
pub struct ErrorFields {
    /// What is the matter with what.
    error: String,
    kind: &'static str,
    /// Lines that say the way out.
    remedy: Vec<String>,
}

pub fn error_fields(error: &Error) -> ErrorFields {
    let (what, remedy) = text::in_full(error);
    ErrorFields { error: what, kind: error.kind().as_str(), remedy }
}

/// An error in the form that the client reads, and with the life that it may have.
pub fn refused(error: &Error, asked: &Asked) -> Response<Body> {
    let mut response = match asked.wants_json() {
        true => in_json(plainly_refused(error), &error_fields(error)),
        false => plainly_refused(error),
    };
    // A request that only wanted what is kept: others may ask for more, so no cache may give them this.
    if asked.reach() == Reach::Cache {
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    }
    response
}

/// The same of the programming interface: always JSON, kept by nobody.
pub fn refused_in_api(refusal: &Refusal, asked: &Asked) -> Response<Body> {
    let Refusal::Error(error) = refusal else { return declined(refusal, true) };
    let mut response = in_json(plainly_refused(error), &error_fields(error));
    // What a request says beyond its address can be said better at the same address.
    let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
    if error.kind() == Kind::Gone && !is_read {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A request that nobody follows.
pub fn not_followed(refusal: &Refusal, asked: &Asked) -> Response<Body> {
    match refusal {
        Refusal::Error(error) => refused(error, asked),
        _ => declined(refusal, asked.wants_json()),
    }
}

/// The same headers around the fields of an error.
fn in_json(mut response: Response<Body>, fields: &ErrorFields) -> Response<Body> {
    let mut json = serde_json::to_vec(fields).expect("strings always serialize");
    json.push(b'\n');
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CONTENT_LENGTH, json.len().into());
    // No cache may give it to a client that reads text.
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    response.map(|_| Body::from(Bytes::from(json)))
}

/// What plain http is answered at a port where TLS is spoken, whole.
pub const SPEAKS_HTTPS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 80\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
    this port speaks https, and was asked in plain http\nuse https:// in the address\n";

/// The same address elsewhere; `None` where the request does not say whom it asks.
pub fn moved(to: Option<String>, asked: &Asked) -> Response<Body> {
    let location = to.as_deref().and_then(|to| HeaderValue::from_str(to).ok());
    let mut response = match &location {
        Some(_) => plain(StatusCode::PERMANENT_REDIRECT, "this server speaks https\n".to_owned(), "no-cache"),
        None => {
            let what = "this server speaks https, and the request names no host\nuse https:// in the address\n";
            plain(StatusCode::BAD_REQUEST, what.to_owned(), "no-store")
        }
    };
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    match asked.method == Method::HEAD {
        true => without_body(response),
        false => response,
    }
}

/// `/healthz`, and `/readyz` once the store is open.
pub fn well() -> Response<Body> {
    plain(StatusCode::OK, "ok\n".to_owned(), "no-store")
}

/// `/metrics`.
pub fn measured(page: String) -> Response<Body> {
    let mut response = plain(StatusCode::OK, page, "no-store");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::MEDIA));
    response
}

/// An error: its kind becomes a status, its words a text that the go command shows.
fn plainly_refused(error: &Error) -> Response<Body> {
    let (status, life) = match error.kind() {
        Kind::NotFound => (StatusCode::NOT_FOUND, "public, max-age=10"),
        Kind::Gone => (StatusCode::GONE, "public, max-age=3600"),
        Kind::Wrong => (StatusCode::FORBIDDEN, "no-cache"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "no-store"),
        Kind::Conflict => (StatusCode::CONFLICT, "no-store"),
        Kind::BadGateway => (StatusCode::BAD_GATEWAY, "no-store"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "no-store"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "no-store"),
    };
    let mut response = plain(status, text::of(error), life);
    let delay = match error.kind() {
        Kind::Unavailable => Some(error.delay().unwrap_or(Duration::from_secs(5))),
        Kind::BadGateway | Kind::Forbidden => error.delay(),
        _ => None,
    };
    if let Some(delay) = delay {
        response.headers_mut().insert(RETRY_AFTER, delay.as_secs().max(1).into());
    }
    if let Some(said) = error.speaker() {
        say(response.headers_mut(), said);
    }
    // Every go command since 1.11 shows the reason phrase of HTTP/1.1, older ones nothing else.
    let phrase = match (error.kind(), error.right_version(), error.rule_name()) {
        (Kind::Wrong, Some(right), _) => Some(format!("Invalid pseudo-version, use {right}")),
        (Kind::Forbidden, _, Some(rule)) => Some(format!("Denied by rule {rule}")),
        _ => None,
    };
    if let Some(phrase) = phrase.and_then(|phrase| ReasonPhrase::try_from(phrase).ok()) {
        response.extensions_mut().insert(phrase);
    }
    response
}

fn declined(refusal: &Refusal, in_json_form: bool) -> Response<Body> {
    let (status, error) = declining(refusal);
    let mut response = plain(status, text::of(&error), "no-store");
    if in_json_form {
        response = in_json(response, &error_fields(&error));
    }
    let headers = response.headers_mut();
    match refusal {
        Refusal::Method { allowed, .. } => {
            headers.insert(ALLOW, header(allowed));
        }
        Refusal::Unauthorized(_) => {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"modvet\""));
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"modvet\""));
        }
        _ => {}
    }
    response
}

fn declining(refusal: &Refusal) -> (StatusCode, Error) {
    let gone = |what: &str| Error::gone(what);
    match refusal {
        Refusal::Error(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.clone()),
        Refusal::Malformed(error) => (StatusCode::BAD_REQUEST, error.clone()),
        Refusal::Method { asked, allowed } => {
            let expected = allowed.replace(", ", " or ");
            let what = format!("method not allowed (expected {expected})");
            (StatusCode::METHOD_NOT_ALLOWED, Error::gone(what).about(asked))
        }
        Refusal::Loop => {
            let what = "this request came through this proxy already: its upstreams lead back to it";
            let remedy = "take its own address out of the list of upstreams";
            (StatusCode::LOOP_DETECTED, Error::bad_gateway(what).remedy(remedy))
        }
        Refusal::Unauthorized(error) => (StatusCode::UNAUTHORIZED, error.clone()),
        Refusal::MediaType(media) => {
            let error = Error::gone(format!("the body is no {} by its Content-Type", media.word()));
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, error.remedy(format!("send Content-Type: {}", media.as_str())))
        }
        Refusal::TooLarge(limit) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Error::gone(format!("the body is larger than {} MiB", limit >> 20)))
        }
        Refusal::Slow => (StatusCode::REQUEST_TIMEOUT, gone("the body did not come in time")),
    }
}

/// A HEAD gets all of a GET but the body.
pub fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::empty())
}

/// Whose word it is, how it was had, and how old it is.
fn say(headers: &mut HeaderMap, said: &Said) {
    headers.insert(UPSTREAM, header(&said.upstream));
    headers.insert(CACHE, HeaderValue::from_static(said.cache));
    headers.insert(AGE, said.age.as_secs().into());
}

fn lifetime(life: Life) -> &'static str {
    match life {
        Life::Forever => FOREVER,
        Life::Short => "public, max-age=60",
        Life::Never => "no-cache",
    }
}

fn whole(bytes: Bytes, media: &'static str, asked: &Asked) -> Response<Body> {
    let etag = etag(Sha256::digest(&bytes).into());
    let size = bytes.len() as u64;
    part(|_, _| Body::from(bytes), size, Range::Whole, &etag, media, asked)
}

/// `body` gives the bytes from a first one up to but not including an end.
fn part(
    body: impl FnOnce(u64, u64) -> Body,
    size: u64,
    range: Range,
    etag: &str,
    media: &'static str,
    asked: &Asked,
) -> Response<Body> {
    let (status, body, length, place) = match range {
        _ if asked.has(etag) => (StatusCode::NOT_MODIFIED, Body::empty(), None, None),
        Range::Whole => (StatusCode::OK, body(0, size), Some(size), None),
        Range::Part { first, last } => {
            let place = format!("bytes {first}-{last}/{size}");
            (StatusCode::PARTIAL_CONTENT, body(first, last + 1), Some(last + 1 - first), Some(place))
        }
        Range::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), Some(0), Some(format!("bytes */{size}")))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    headers.insert(ETAG, header(etag));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if let Some(place) = place {
        headers.insert(CONTENT_RANGE, header(&place));
    }
    if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    response
}

fn plain(status: StatusCode, text: String, life: &'static str) -> Response<Body> {
    let length = text.len();
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(life));
    // A text for people is no page: what it quotes is somebody's input.
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    response
}

fn etag(sha256: [u8; 32]) -> Etag {
    let mut etag = [b'"'; 66];
    hex::encode_to_slice(sha256, &mut etag[1..65]).expect("64 digits of 32 bytes");
    Etag(etag)
}

/// The sum of a body's bytes in quotation marks.
struct Etag([u8; 66]);

impl Deref for Etag {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"))
}
