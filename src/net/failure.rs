//! What went wrong on the way, in words that name the host and nothing else.

use std::error::Error as StdError;
use std::io;

use chrono::{DateTime, Utc};
use rustls::CertificateError;
use url::Url;

use super::address::Refused;
use super::settings::Limits;
use crate::error::Error;

/// Of what sort it is that no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// TLS: the certificate is not one that we trust for this host.
    Certificate,
    Timeout,
    Unreachable,
    /// Our own rules do not let us go there.
    Rules,
    Other,
}

/// `host` or `host:port`: never the user, the path or the query of an address.
pub(super) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.scheme().to_owned(),
    }
}

/// A body that broke off.
pub(super) fn body(host: &str, cause: reqwest::Error) -> Error {
    Error::bad_gateway(format!("{host} broke off its answer: {}", root(&cause)))
}

/// A request that got no answer.
pub(super) fn request(host: &str, cause: &reqwest::Error, limits: &Limits) -> Error {
    if let Some(refused) = find::<Refused>(cause) {
        return self::refused(refused);
    }
    if cause.is_connect() && cause.is_timeout() {
        return Error::bad_gateway(format!("{host} could not be reached within {:?}", limits.connect));
    }
    let what = if cause.is_connect() { "could not be reached" } else { "did not answer" };
    let error = Error::bad_gateway(format!("{host} {what}: {}", root(cause)));
    match is_certificate(cause) {
        true => error.remedy("if the certificate is right, let SSL_CERT_FILE name that of its issuer"),
        false => error,
    }
}

/// When the certificate ended for which there is no answer.
pub(super) fn certificate_end(cause: &reqwest::Error) -> Option<DateTime<Utc>> {
    match tls(cause)? {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            DateTime::from_timestamp(i64::try_from(not_after.as_secs()).ok()?, 0)
        }
        _ => None,
    }
}

/// Of what sort a request's failure is.
pub(super) fn trouble(cause: &reqwest::Error) -> Trouble {
    match () {
        () if find::<Refused>(cause).is_some() => Trouble::Rules,
        () if is_certificate(cause) => Trouble::Certificate,
        () if cause.is_timeout() => Trouble::Timeout,
        () if cause.is_connect() => Trouble::Unreachable,
        () => Trouble::Other,
    }
}

fn is_certificate(cause: &reqwest::Error) -> bool {
    matches!(tls(cause), Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

fn tls(cause: &reqwest::Error) -> Option<&rustls::Error> {
    // An io::Error names the error in it as a part of itself, not as its source.
    let inside = find::<io::Error>(cause).and_then(innermost);
    find::<rustls::Error>(cause).or_else(|| inside?.downcast_ref())
}

fn innermost(error: &io::Error) -> Option<&(dyn StdError + Send + Sync + 'static)> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<io::Error>() {
        Some(deeper) => innermost(deeper),
        None => Some(inner),
    }
}

/// An address that the rules do not let us connect to.
pub(super) fn refused(refused: &Refused) -> Error {
    Error::forbidden(refused.to_string())
        .remedy("if it is meant to be reached, name the host or its range in [net] allow_private")
}

/// Whether nothing was sent yet or the connection was cut before an answer, so that another try may do better.
pub(super) fn is_passing(cause: &reqwest::Error) -> bool {
    use io::ErrorKind as K;
    let cut = find::<io::Error>(cause).is_some_and(|e| {
        matches!(
            e.kind(),
            K::ConnectionRefused | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof
        )
    });
    let gone = find::<hyper::Error>(cause).is_some_and(|e| e.is_incomplete_message() || e.is_canceled());
    find::<Refused>(cause).is_none() && (cut || gone)
}

/// Whether a request may have come to the other side although nothing came back.
pub(super) fn may_have_arrived(cause: &reqwest::Error) -> bool {
    let is_unsent = find::<hyper::Error>(cause).is_some_and(hyper::Error::is_canceled);
    !(cause.is_connect() || cause.is_builder() || is_unsent || find::<Refused>(cause).is_some())
}

/// The first cause of a type in the chain of causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let text = last.to_string();
    // io::Error adds a number that says nothing to people.
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}
