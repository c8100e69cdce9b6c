//! How the upstreams of the registries are doing, as one table.

use chrono::{DateTime, Utc};

use super::words::{self, Moment};
use crate::monitor::upstreams::{self, UpstreamStatus};
use crate::registry::Health;

/// A line of the table.
pub struct UpstreamLine {
    pub name: String,
    pub word: &'static str,
    pub class: &'static str,
    pub since: Option<Moment>,
    /// Why it is not well.
    pub failure: Option<String>,
    pub latency: Option<String>,
    pub last_success: Option<Moment>,
    pub last_failure: Option<Moment>,
    pub certificate: Option<CertificateLine>,
}

/// Until when its server's certificate holds.
pub struct CertificateLine {
    pub ends: Moment,
    pub word: String,
    pub class: &'static str,
}

impl UpstreamLine {
    /// What clients met in `health`, and how the watch finds it, where there is one.
    pub fn new(name: &str, health: Health, status: Option<&UpstreamStatus>, now: DateTime<Utc>) -> UpstreamLine {
        let was_asked = health.last_success.is_some() || health.last_failure.is_some();
        let (word, class) = match (status, was_asked, health.consecutive_failures) {
            (Some(status), ..) => (upstreams::status::words(status.condition), words::class(status.condition)),
            (None, false, _) => ("not asked yet", "idle"),
            (None, true, 0) => ("reachable", "good"),
            (None, true, _) => ("failing", "bad"),
        };
        let met = health.failure.filter(|_| health.consecutive_failures > 0);
        let latency = health.latency_ms.or_else(|| status.and_then(|status| status.latency_ms));
        let certificate = status.and_then(|status| status.certificate.as_ref());
        UpstreamLine {
            name: name.to_owned(),
            word,
            class,
            since: status.and_then(|status| Moment::of(status.since, now)),
            failure: status.and_then(|status| status.error.clone()).or(met),
            latency: latency.map(|ms| format!("{ms} ms")),
            last_success: Moment::of(health.last_success.max(status.and_then(|status| status.last_success)), now),
            last_failure: Moment::of(health.last_failure, now),
            certificate: certificate.map(|shown| CertificateLine::new(shown.days_left, shown.ends, now)),
        }
    }
}

impl CertificateLine {
    fn new(days_left: i64, ends: DateTime<Utc>, now: DateTime<Utc>) -> CertificateLine {
        let (word, class) = match days_left {
            ..0 => ("ended".to_owned(), "bad"),
            0..=30 => (format!("{} left", words::counted(days_left.unsigned_abs(), "day")), "warn"),
            _ => (format!("{days_left} days left"), "good"),
        };
        CertificateLine { ends: Moment::new(ends, now), word, class }
    }
}
