//! Why a request is not even followed: no handler sees it.

use hyper::Method;

use crate::error::Error;

#[derive(Debug)]
pub enum Refusal {
    /// The address has no such method; `allowed` as in the header `Allow`.
    Method {
        asked: Method,
        allowed: String,
    },
    /// It came from this very process.
    Loop,
    /// There is no token, or none that opens this.
    Unauthorized(Error),
    /// A query string or a body that does not fit.
    Malformed(Error),
    /// A body in another form than this one.
    MediaType(Media),
    /// More bytes than these.
    TooLarge(usize),
    /// The body did not come in time.
    Slow,
    Error(Error),
}

/// In what form a body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    /// As browsers send it.
    Form,
}

impl Media {
    pub fn as_str(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Form => "application/x-www-form-urlencoded",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Media::Json => "JSON",
            Media::Form => "form",
        }
    }
}

impl Refusal {
    /// For the log, where there is more to say than the status.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Refusal::Error(error) | Refusal::Malformed(error) | Refusal::Unauthorized(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}
