//! What is said of an upstream: by the interface, by commands, on pages and in metrics alike.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::ports::Condition;

/// An upstream as it was found last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    pub name: String,
    /// `git`, `proxy` or `dir`.
    pub kind: String,
    /// Without credentials; git has none.
    pub address: Option<String>,
    /// `in_sync` says that it answers and lets us in.
    pub condition: Condition,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// One line for people.
    pub summary: String,
    /// It answers, and does not accept our credentials (any more).
    pub credential_refused: bool,
    /// Why the last look came to nothing.
    pub error: Option<String>,
    /// The last look, be it a request of our own or one of a client.
    pub last_attempt: Option<DateTime<Utc>>,
    /// The last look that found it well.
    pub last_success: Option<DateTime<Utc>>,
    /// How long the last answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// `None` where nobody looks.
    pub next_check: Option<DateTime<Utc>>,
    /// `None` where no TLS is spoken, or nothing was asked yet.
    pub certificate: Option<CertificateStatus>,
    /// Letters that are not with everybody yet.
    pub undelivered: u64,
}

/// Until when its server's certificate holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub host: String,
    pub ends: DateTime<Utc>,
    /// Whole days from now; negative: it has ended.
    pub days_left: i64,
}

/// The word for an upstream's condition.
pub fn words(condition: Condition) -> &'static str {
    match condition {
        Condition::InSync => "reachable",
        other => other.words(),
    }
}

impl CertificateStatus {
    pub(super) fn of(state: &State, now: DateTime<Utc>) -> Option<CertificateStatus> {
        let seen = state.certificate.as_ref()?;
        let days_left = (seen.ends - now).num_seconds().div_euclid(24 * 3600);
        Some(CertificateStatus { host: seen.host.clone(), ends: seen.ends, days_left })
    }
}

/// One line for people.
pub(super) fn summary(state: &State, is_paused: bool) -> String {
    if is_paused {
        return "nobody looks: [monitor] check_upstreams is 0".to_owned();
    }
    let why = state.error.as_deref().unwrap_or("no answer");
    match (state.condition, state.latency_ms) {
        (Condition::Unchecked, _) => "nothing was asked of it yet".to_owned(),
        (Condition::InSync, Some(ms)) => format!("reachable, answers within {ms} ms"),
        (Condition::InSync, None) => "reachable".to_owned(),
        (condition, _) => format!("{}: {why}", words(condition)),
    }
}
