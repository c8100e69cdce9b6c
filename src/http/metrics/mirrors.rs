//! Mirrors in the metrics. What is not known is not there: no figure stands for "nobody looked yet".

use chrono::{DateTime, NaiveTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Seconds;
use crate::monitor::{MirrorStatus, RenewalStatus};
use crate::ports::Condition;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mirror {
    mirror: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stands {
    mirror: String,
    condition: &'static str,
}

/// The figures of all mirrors. Each has the mirror's name for a label and keeps it, whatever becomes of the mirror.
pub(super) fn register(page: &mut Registry, mirrors: &[MirrorStatus]) {
    conditions(page, mirrors);
    differences(page, mirrors);
    times(page, mirrors);
    let renewals = gauges(mirrors, |status| status.renewal.as_ref().map(end));
    let help = "The end of the last day on which it holds, since the epoch";
    page.register_with_unit("renewal_due_timestamp", help, Unit::Seconds, renewals);
    let undelivered = gauges(mirrors, |status| i64::try_from(status.undelivered).ok());
    page.register("mirror_undelivered_notices", "Notices about a mirror that are still on their way", undelivered);
}

fn conditions(page: &mut Registry, mirrors: &[MirrorStatus]) {
    let is_known = |status: &&MirrorStatus| !matches!(status.condition, Condition::Unchecked | Condition::Paused);
    let in_sync = gauges(mirrors, |status| {
        Some(status).filter(is_known).map(|status| i64::from(status.condition == Condition::InSync))
    });
    page.register("mirror_in_sync", "Whether a mirror was what its source is when it was last looked at", in_sync);
    let stands = Family::<Stands, Gauge>::default();
    for status in mirrors {
        for condition in Condition::ALL {
            let labels = Stands { mirror: status.name.clone(), condition: condition.as_str() };
            stands.get_or_create(&labels).set(i64::from(status.condition == condition));
        }
    }
    page.register("mirror_condition", "1 for the condition in which a mirror is, 0 for all others", stands);
}

fn differences(page: &mut Registry, mirrors: &[MirrorStatus]) {
    let figure = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let refs = gauges(mirrors, |status| {
        status.last_success?;
        Some(status.difference.as_ref().map_or(0, |difference| figure(difference.behind_refs)))
    });
    page.register("mirror_behind_refs", "Refs (of a proxy: versions) that a mirror has to take over", refs);
    let commits = gauges(mirrors, |status| {
        status.last_success?;
        status.difference.as_ref().map_or(Some(0), |difference| difference.behind_commits.map(figure))
    });
    page.register("mirror_behind_commits", "Commits that a mirror lacks", commits);
}

fn times(page: &mut Registry, mirrors: &[MirrorStatus]) {
    type Moment = fn(&MirrorStatus) -> Option<DateTime<Utc>>;
    let moments: [(&str, &str, Moment); 3] = [
        ("mirror_last_attempt_timestamp", "When a mirror was last looked at, since the epoch", |status| {
            status.last_attempt
        }),
        ("mirror_last_success_timestamp", "When both sides last answered, since the epoch", |status| {
            status.last_success
        }),
        ("mirror_last_in_sync_timestamp", "When both sides were last the same, since the epoch", |status| {
            status.last_in_sync
        }),
    ];
    for (name, help, moment) in moments {
        let seconds = Family::<Mirror, Seconds>::default();
        for status in mirrors {
            if let Some(at) = moment(status) {
                let gauge = seconds.get_or_create(&labels(status));
                gauge.set(at.timestamp_millis() as f64 / 1000.0);
            }
        }
        page.register_with_unit(name, help, Unit::Seconds, seconds);
    }
    let every = gauges(mirrors, |status| {
        let is_watched = status.condition != Condition::Paused;
        is_watched.then(|| i64::try_from(status.check_every_seconds).unwrap_or(i64::MAX))
    });
    let help = "How often a mirror is to be looked at; not there while it is paused";
    page.register_with_unit("mirror_check_every", help, Unit::Seconds, every);
}

/// The last day still holds, so what is due is overdue when the next one begins.
fn end(renewal: &RenewalStatus) -> i64 {
    let next = renewal.due.succ_opt().unwrap_or(renewal.due);
    next.and_time(NaiveTime::MIN).and_utc().timestamp()
}

fn gauges(mirrors: &[MirrorStatus], read: impl Fn(&MirrorStatus) -> Option<i64>) -> Family<Mirror, Gauge> {
    let family = Family::<Mirror, Gauge>::default();
    for status in mirrors {
        if let Some(value) = read(status) {
            family.get_or_create(&labels(status)).set(value);
        }
    }
    family
}

fn labels(status: &MirrorStatus) -> Mirror {
    Mirror { mirror: status.name.clone() }
}
