//! How the upstreams of the registries are doing, as one table.

use chrono::{DateTime, Utc};

use super::words::Moment;
use crate::registry::Health;

/// A line of the table.
pub struct UpstreamLine {
    pub name: String,
    pub word: &'static str,
    pub class: &'static str,
    pub latency: Option<String>,
    pub last_success: Option<Moment>,
    pub last_failure: Option<Moment>,
    /// The words of the last failure, while it lasts.
    pub failure: Option<String>,
}

impl UpstreamLine {
    pub fn new(name: &str, health: Health, now: DateTime<Utc>) -> UpstreamLine {
        let was_asked = health.last_success.is_some() || health.last_failure.is_some();
        let (word, class) = match (was_asked, health.consecutive_failures) {
            (false, _) => ("not asked yet", "idle"),
            (true, 0) => ("reachable", "good"),
            (true, _) => ("failing", "bad"),
        };
        UpstreamLine {
            name: name.to_owned(),
            word,
            class,
            latency: health.latency_ms.map(|ms| format!("{ms} ms")),
            last_success: Moment::of(health.last_success, now),
            last_failure: Moment::of(health.last_failure, now),
            failure: health.failure.filter(|_| health.consecutive_failures > 0),
        }
    }
}
