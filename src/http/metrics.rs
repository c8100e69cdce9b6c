//! `/metrics`: what was asked and answered since the start, for Prometheus (OpenMetrics text).
//! Label values come from tables and from the configuration, never from what clients send.

mod mirrors;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::access::Ledger;
use crate::access::audit::Auditor;
use crate::access::rules::Count;
use crate::error::{Error, Result};
use crate::monitor::MirrorStatus;
use crate::monitor::upstreams::UpstreamStatus;
use crate::registry::Cached;
use crate::registry::stock::Figures;
use crate::sumdb;

/// What is counted while requests are answered.
pub struct Metrics {
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, Durations>,
    started: Option<DateTime<Utc>>,
}

/// What is read where it is known, when somebody asks.
#[derive(Debug, Default)]
pub struct Reading {
    /// Whether the store is open.
    pub ready: bool,
    pub upstreams: Vec<UpstreamReading>,
    /// Registries and how many answers gave a wrong name as asked.
    pub wrong_served: Vec<(String, u64)>,
    /// The last moment of the certificate that clients are shown, if they are shown one.
    pub certificate_expiry: Option<DateTime<Utc>>,
    /// How often rules said no, or would have.
    pub denials: Vec<Count>,
    pub ledgers: Vec<LedgerReading>,
    /// `None` until somebody counted.
    pub store: Option<StoreReading>,
    /// `None` where no audit log is written.
    pub audit: Option<AuditReading>,
    /// Kept files that wait to be checked; `None` where nobody checks.
    pub unverified: Option<u64>,
    pub databases: Vec<sumdb::Status>,
    pub mirrors: Vec<MirrorStatus>,
}

/// Lines of the audit log since the start.
#[derive(Debug, Clone, Copy)]
pub struct AuditReading {
    pub written: u64,
    pub lost: u64,
}

impl AuditReading {
    pub fn of(auditor: &Auditor) -> AuditReading {
        AuditReading { written: auditor.written(), lost: auditor.lost() }
    }
}

/// One upstream since the start.
#[derive(Debug, Default, Clone)]
pub struct UpstreamReading {
    pub name: String,
    pub hits: u64,
    pub misses: u64,
    pub stale: u64,
    pub revalidated: u64,
    pub asked: u64,
    pub failures: u64,
    pub absences: u64,
    pub changes: u64,
    pub mismatches: u64,
    pub bytes: u64,
    /// `None` where nobody asked it yet.
    pub up: Option<bool>,
    pub latency: Option<Duration>,
    /// `None` where nobody watches it, or nothing was asked yet.
    pub credential_refused: Option<bool>,
    /// The end of the certificate that its server shows.
    pub certificate_expiry: Option<DateTime<Utc>>,
}

impl UpstreamReading {
    /// `status` is how the watch finds it: it asks where no client does.
    pub fn of(cached: &Cached, status: Option<&UpstreamStatus>) -> UpstreamReading {
        let (counters, health) = (cached.counters(), cached.health());
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let asked_at = health.last_success.max(health.last_failure);
        let told = asked_at.map(|_| health.consecutive_failures == 0);
        let looked = status.filter(|status| status.last_attempt.is_some());
        // Whoever asked last knows best.
        let found = looked.filter(|status| status.last_attempt > asked_at).map(|status| status.error.is_none());
        let latency = health.latency_ms.or_else(|| looked.and_then(|status| status.latency_ms));
        UpstreamReading {
            name: cached.name().to_owned(),
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            stale: read(&counters.stale),
            revalidated: read(&counters.revalidated),
            asked: read(&counters.asked),
            failures: read(&counters.failures),
            absences: read(&counters.absences),
            changes: read(&counters.changes),
            mismatches: read(&counters.mismatches),
            bytes: read(&counters.bytes),
            up: found.or(told),
            latency: latency.map(Duration::from_millis),
            credential_refused: looked.map(|status| status.credential_refused),
            certificate_expiry: looked.and_then(|status| status.certificate.as_ref()).map(|shown| shown.ends),
        }
    }
}

/// What one registry served first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerReading {
    pub registry: String,
    /// Answers that were refused since the start.
    pub refusals: u64,
    /// Tags that are not where they were.
    pub drifted: u64,
}

impl LedgerReading {
    pub fn of(ledger: &Ledger) -> LedgerReading {
        let registry = ledger.registry().to_owned();
        LedgerReading { registry, refusals: ledger.refusals(), drifted: ledger.drifted() }
    }
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy)]
pub struct StoreReading {
    /// What lives in the tables.
    pub live: u64,
    /// What would go from the tables if they were compacted.
    pub dead: u64,
    /// Large bodies beside the tables.
    pub files: u64,
    pub git: u64,
}

impl StoreReading {
    pub fn of(figures: &Figures) -> StoreReading {
        let total = &figures.total;
        let live = total.tables.saturating_sub(total.dead);
        StoreReading { live, dead: total.dead, files: total.files, git: total.repository_bytes }
    }
}

pub const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Upstream {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    upstream: String,
    cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Registered {
    registry: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    database: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    database: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denied {
    registry: String,
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    part: &'static str,
}

/// From a warm answer in memory to a history that has to be fetched.
#[derive(Clone)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0])
    }
}

type Seconds = Gauge<f64, AtomicU64>;

impl Metrics {
    pub fn new(started: Option<DateTime<Utc>>) -> Metrics {
        Metrics { requests: Family::default(), durations: Family::new_with_constructor(Durations), started }
    }

    /// `route` is a word of a table; an address would be a label of its own for each client's fancy.
    pub fn answered(&self, route: &'static str, status: u16, time: Duration) {
        let route = if route.is_empty() { "unknown" } else { route };
        self.requests.get_or_create(&Request { route, status: u32::from(status) }).inc();
        self.durations.get_or_create(&Route { route }).observe(time.as_secs_f64());
    }

    pub fn page(&self, reading: &Reading) -> Result<String> {
        let mut page = Registry::default();
        if let Some(started) = self.started {
            let start = Seconds::default();
            start.set(started.timestamp_millis() as f64 / 1000.0);
            page.register("process_start_time_seconds", "When this process started, since the epoch", start);
        }
        let own = page.sub_registry_with_prefix("modvet");
        own.register("build", "Which modvet this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        own.register("ready", "Whether the store is open", gauge(i64::from(reading.ready)));
        own.register("requests", "Requests by route and status", self.requests.clone());
        let help = "From a request's head to its answer's head";
        own.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        upstreams(own, &reading.upstreams);
        let wrong = Family::<Registered, Counter>::default();
        for (registry, count) in &reading.wrong_served {
            wrong.get_or_create(&Registered { registry: registry.clone() }).inc_by(*count);
        }
        own.register("wrong_versions_served", "Answers that gave a wrong pseudo-version as asked", wrong);
        if let Some(unverified) = reading.unverified {
            let gauge = gauge(i64::try_from(unverified).unwrap_or(i64::MAX));
            own.register("sumdb_unverified", "Kept files that no checksum database could vouch for yet", gauge);
        }
        denials(own, &reading.denials);
        ledgers(own, &reading.ledgers);
        let store = Family::<Part, Gauge>::default();
        if let Some(StoreReading { live, dead, files, git }) = reading.store {
            for (part, bytes) in [("live", live), ("dead", dead), ("files", files), ("git", git)] {
                store.get_or_create(&Part { part }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
        own.register_with_unit("store", "What lies in the store, as last counted", Unit::Bytes, store);
        if let Some(expiry) = reading.certificate_expiry {
            let seconds = gauge(expiry.timestamp());
            let help = "The last moment of the certificate that clients are shown, since the epoch";
            own.register_with_unit("tls_certificate_expiry_timestamp", help, Unit::Seconds, seconds);
        }
        if let Some(AuditReading { written, lost }) = reading.audit {
            let counter = |count: u64| {
                let counter = <Counter>::default();
                counter.inc_by(count);
                counter
            };
            own.register("audit_lines", "Lines written to the audit log", counter(written));
            own.register("audit_lost", "Lines that the audit log could not take", counter(lost));
        }
        databases(own, &reading.databases);
        mirrors::register(own, &reading.mirrors);
        let mut text = String::new();
        text::encode(&mut text, &page).map_err(|cause| Error::internal("metrics cannot be written").because(cause))?;
        Ok(text)
    }
}

fn upstreams(page: &mut Registry, upstreams: &[UpstreamReading]) {
    let answers = Family::<Answer, Counter>::default();
    let count = |read: fn(&UpstreamReading) -> u64| {
        let family = Family::<Upstream, Counter>::default();
        for upstream in upstreams {
            family.get_or_create(&Upstream { upstream: upstream.name.clone() }).inc_by(read(upstream));
        }
        family
    };
    let up = Family::<Upstream, Gauge>::default();
    let latency = Family::<Upstream, Seconds>::default();
    let (refused, expiry) = (Family::<Upstream, Gauge>::default(), Family::<Upstream, Gauge>::default());
    for reading in upstreams {
        let words = [
            ("hit", reading.hits),
            ("miss", reading.misses),
            ("stale", reading.stale),
            ("revalidated", reading.revalidated),
        ];
        for (cache, count) in words {
            answers.get_or_create(&Answer { upstream: reading.name.clone(), cache }).inc_by(count);
        }
        let labels = Upstream { upstream: reading.name.clone() };
        if let Some(is_up) = reading.up {
            up.get_or_create(&labels).set(i64::from(is_up));
        }
        if let Some(took) = reading.latency {
            latency.get_or_create(&labels).set(took.as_secs_f64());
        }
        if let Some(is_refused) = reading.credential_refused {
            refused.get_or_create(&labels).set(i64::from(is_refused));
        }
        if let Some(end) = reading.certificate_expiry {
            expiry.get_or_create(&labels).set(end.timestamp());
        }
    }
    page.register("answers", "Answers by upstream and X-Modvet-Cache", answers);
    page.register_with_unit("answered", "Bytes of the answers given", Unit::Bytes, count(|u| u.bytes));
    page.register("upstream_requests", "How often an upstream was asked", count(|u| u.asked));
    page.register("upstream_failures", "How often an upstream failed", count(|u| u.failures));
    page.register("upstream_absences", "How often an upstream had no answer", count(|u| u.absences));
    page.register("released_changes", "Released versions that came back different", count(|u| u.changes));
    let help = "Files that are not what the checksum database knows";
    page.register("sumdb_mismatches", help, count(|u| u.mismatches));
    page.register("upstream_up", "Whether an upstream answered when it was last asked", up);
    page.register_with_unit("upstream_latency", "How long its last answer took", Unit::Seconds, latency);
    let help = "Whether an upstream does not accept our credentials (any more)";
    page.register("upstream_credential_refused", help, refused);
    let help = "The last moment of the certificate that an upstream's server shows, since the epoch";
    page.register_with_unit("upstream_certificate_expiry_timestamp", help, Unit::Seconds, expiry);
}

fn databases(page: &mut Registry, databases: &[sumdb::Status]) {
    let lookups = Family::<Looked, Counter>::default();
    let (sizes, forks) = (Family::<Named, Gauge>::default(), Family::<Named, Gauge>::default());
    for status in databases {
        let labels = Named { database: status.name.clone() };
        for (result, count) in status.lookups.by_result() {
            lookups.get_or_create(&Looked { database: status.name.clone(), result }).inc_by(count);
        }
        if let Some(head) = &status.head {
            sizes.get_or_create(&labels).set(i64::try_from(head.size).unwrap_or(i64::MAX));
        }
        forks.get_or_create(&labels).set(i64::from(status.fork.is_some()));
    }
    page.register("sumdb_lookups", "Lookups in checksum databases by what became of them", lookups);
    page.register("sumdb_head_size", "Records of the newest tree that a checksum database signed", sizes);
    page.register("sumdb_fork", "Whether a checksum database contradicted its own past", forks);
}

fn denials(page: &mut Registry, denials: &[Count]) {
    let (denied, would) = (Family::<Denied, Counter>::default(), Family::<Denied, Counter>::default());
    for Count { registry, rule, denied: refused, would_deny } in denials {
        let labels = Denied { registry: registry.clone(), rule: rule.clone() };
        denied.get_or_create(&labels).inc_by(*refused);
        would.get_or_create(&labels).inc_by(*would_deny);
    }
    page.register("rules_denied", "Requests that a rule refused", denied);
    page.register("rules_would_deny", "Requests that a rule on trial would have refused", would);
}

fn ledgers(page: &mut Registry, readings: &[LedgerReading]) {
    let refusals = Family::<Registered, Counter>::default();
    let drift = Family::<Registered, Gauge>::default();
    for LedgerReading { registry, refusals: refused, drifted } in readings {
        let labels = Registered { registry: registry.clone() };
        refusals.get_or_create(&labels).inc_by(*refused);
        drift.get_or_create(&labels).set(i64::try_from(*drifted).unwrap_or(i64::MAX));
    }
    page.register("ledger_refusals", "Answers refused because a version was not what was first served", refusals);
    page.register("tag_drift", "Tags that are not where they were when their version was first served", drift);
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

#[cfg(test)]
mod tests;
