//! The upstreams of the registries, which are watched without being configured as mirrors.

use chrono::{DateTime, Utc};
use hyper::Method;
use serde::Deserialize;

use super::{read, refused};
use crate::cli::cache::print::{Cell, age, count, plain};
use crate::cli::control::Control;
use crate::cli::exit::Failure;
use crate::monitor::upstreams::{CertificateStatus, UpstreamStatus, status::words};

#[derive(Deserialize)]
struct Listed {
    upstreams: Vec<Upstream>,
}

/// Of all that is said of an upstream, how the watch finds it.
#[derive(Deserialize)]
struct Upstream {
    watch: Option<UpstreamStatus>,
}

/// How they stood at their last look, by name.
pub async fn statuses(control: &Control) -> Result<Vec<UpstreamStatus>, Failure> {
    let answer = control.ask(Method::GET, "/api/v1/upstreams", None::<&()>).await.map_err(refused)?;
    let mut statuses: Vec<_> = read::<Listed>(answer)?.upstreams.into_iter().filter_map(|one| one.watch).collect();
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(statuses)
}

/// One line for each upstream.
pub fn table(statuses: &[UpstreamStatus], now: DateTime<Utc>) -> Vec<Vec<Cell>> {
    let head = ["UPSTREAM", "CONDITION", "SINCE", "LATENCY", "LOOKED AT", "CERTIFICATE"];
    let ago = |then: Option<DateTime<Utc>>| then.map_or_else(|| "-".to_owned(), |then| age(now, then));
    let mut rows = vec![head.map(Cell::text).to_vec()];
    rows.extend(statuses.iter().map(|status| {
        vec![
            Cell::text(&status.name),
            Cell::text(words(status.condition)),
            Cell::text(ago(status.since)),
            Cell::text(status.latency_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"))),
            Cell::text(
                status.last_attempt.map_or_else(|| "never".to_owned(), |then| format!("{} ago", age(now, then))),
            ),
            Cell::text(status.certificate.as_ref().map_or_else(|| "-".to_owned(), certificate)),
        ]
    }));
    rows
}

fn certificate(shown: &CertificateStatus) -> String {
    let day = shown.ends.format("%Y-%m-%d");
    match shown.days_left {
        left if left < 0 => format!("{day} (ended)"),
        0 => format!("{day} (within a day)"),
        left => format!("{day} ({left}d)"),
    }
}

/// What the table has no room for; nothing where all is well.
pub fn remark(status: &UpstreamStatus) -> Option<String> {
    let name = &status.name;
    let bad = status.condition.is_bad().then(|| plain(&format!("{name}: {}", status.summary)));
    let undelivered = (status.undelivered > 0)
        .then(|| format!("{name}: {} not delivered yet", count(status.undelivered, "notice", "notices")));
    let lines: Vec<String> = bad.into_iter().chain(undelivered).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_a_certificate_are_counted_to_its_end() {
        let shown = |days_left| CertificateStatus {
            host: "p.test".to_owned(),
            ends: "2027-02-01T12:00:00Z".parse().expect("a moment"),
            days_left,
        };
        let table = [(31, "2027-02-01 (31d)"), (0, "2027-02-01 (within a day)"), (-1, "2027-02-01 (ended)")];
        for (days_left, expected) in table {
            assert_eq!(certificate(&shown(days_left)), expected);
        }
    }
}
