//! The way to an upstream, looked at apart from what clients ask of it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::Result;

/// The way to an upstream.
#[async_trait]
pub trait Line: Send + Sync {
    /// Whether it answers: one small request that names no module. `None` where there is nobody who could be asked
    /// without one.
    ///
    /// An error that is [`unauthorized`](crate::error::Error::is_unauthorized) says that it answers and does not accept
    /// who we are (any more).
    async fn probe(&self) -> Option<Result<Answer>>;
    /// The host that did not accept the credentials it was shown last, whoever asked.
    fn refusing(&self) -> Option<String>;
    /// What its server shows over TLS; `None` where none is spoken, or nobody asked yet.
    fn certificate(&self) -> Option<Certificate>;
}

/// What an answer to a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was shown who we are, and had nothing against it.
    LetIn,
    /// Somebody is there; who we are was not asked.
    Heard,
}

/// How long a server's certificate holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub host: String,
    /// `None` where only its end is known.
    pub begins: Option<DateTime<Utc>>,
    pub ends: DateTime<Utc>,
}
