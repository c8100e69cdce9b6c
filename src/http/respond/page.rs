//! Pages and what goes wrong on them, with the headers that keep other sites away from them.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_FRAME_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{Asked, NO_STORE, NOSNIFF, declined, declining, header, plainly_refused};
use crate::error::{Error, Kind};
use crate::http::body::Body;
use crate::http::refusal::Refusal;
use crate::http::route::Page;
use crate::http::text;
use crate::ui;
use crate::ui::fault::FaultPage;

const HTML: &str = "text/html; charset=utf-8";

/// No script, no frame, nothing from elsewhere; of styles the one that stands in every page.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(ui::STYLE));
    header(&format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    ))
});

/// What became of a visit.
pub enum Shown {
    Page(String),
    /// What the form asked for is done; the address where that is seen.
    Elsewhere(String),
}

/// A page, or where to look next.
pub fn shown(shown: Shown) -> Response<Body> {
    match shown {
        Shown::Page(text) => page(StatusCode::OK, text),
        Shown::Elsewhere(to) => {
            let mut response = page(StatusCode::SEE_OTHER, String::new());
            response.headers_mut().insert(LOCATION, header(&to));
            response
        }
    }
}

/// An error as a page, with the status and the headers that it has everywhere.
pub fn refused_on_page(refusal: &Refusal, asked_for: &Page, asked: &Asked) -> Response<Body> {
    let (mut response, error) = match refusal {
        Refusal::Error(error) => (plainly_refused(error), error.clone()),
        _ => (declined(refusal, false), declining(refusal).1),
    };
    // A form that does not fit can be sent again, filled in better.
    let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
    if response.status() == StatusCode::GONE && !is_read {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    let error = match refusal {
        Refusal::Unauthorized(_) => error.remedy("in a browser: any user name, and the token as the password"),
        _ => error,
    };
    let (what, remedies) = text::in_full(&error);
    let title = title(response.status(), &error);
    let fault = ui::html(&FaultPage { title, what, remedies, back: asked_for.back() });
    // A page that cannot be written leaves the plain words.
    let Ok(fault) = fault else { return response };
    dress(&mut response, fault.len());
    response.map(|_| Body::from(Bytes::from(fault)))
}

/// In a few words, what to expect of what follows.
fn title(status: StatusCode, error: &Error) -> &'static str {
    match (status, error.kind()) {
        (StatusCode::UNAUTHORIZED, _) => "A token is wanted",
        (StatusCode::METHOD_NOT_ALLOWED, _) => "Nothing to see here",
        (_, Kind::NotFound) => "Not found",
        (_, Kind::Gone | Kind::Wrong) => "That does not fit",
        (_, Kind::Forbidden) => "Not allowed",
        (_, Kind::Conflict) => "Not as things are",
        (_, Kind::BadGateway) => "The other side did not answer",
        (_, Kind::Unavailable) => "Not now",
        (_, Kind::Internal) => "Something broke here",
    }
}

fn page(status: StatusCode, text: String) -> Response<Body> {
    let length = text.len();
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    dress(&mut response, length);
    response
}

fn dress(response: &mut Response<Body>, length: usize) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With `no-referrer` browsers would send `Origin: null` with our own forms, and those would be refused.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(NOSNIFF.0, NOSNIFF.1);
}
