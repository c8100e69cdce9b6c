//! What people are told of an upstream.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Upstream;
use super::state::{Event, State};
use super::status::{CertificateStatus, words};
use crate::ports::{Condition, Letter};

/// The letter of an event, numbered: `state` is what it was after the event.
pub fn letter(upstream: &Upstream, state: &mut State, event: &Event, at: DateTime<Utc>) -> Letter {
    state.letters += 1;
    // No name holds this sign: the letters of a mirror of the same name are others.
    let id = format!("upstream~{}~{}~{}", upstream.name, state.born.timestamp(), state.letters);
    let (subject, mut lines) = told(upstream, state, event, at);
    lines.extend(upstream.address.iter().map(|address| format!("address: {address}")));
    if let Some(success) = state.last_success.filter(|_| state.condition.is_bad()) {
        lines.push(format!("answered well last: {}", printed(success)));
    }
    let data = data(upstream, state, event, at);
    Letter { id, at, subject, text: lines.join("\n"), data, to: Vec::new() }
}

fn told(upstream: &Upstream, state: &State, event: &Event, at: DateTime<Utc>) -> (String, Vec<String>) {
    let name = &upstream.name;
    let why = state.error.clone().unwrap_or_else(|| words(state.condition).to_owned());
    let end = |state: &State| {
        let seen = state.certificate.as_ref();
        seen.map_or_else(Default::default, |seen| (seen.host.clone(), printed(seen.ends)))
    };
    match event {
        Event::Trouble | Event::Reminder(_) => {
            let condition = words(state.condition);
            let since = state.trouble.as_ref().map_or(at, |trouble| trouble.since);
            let subject = match event {
                Event::Reminder(_) => format!("upstream {name} is still {condition} ({})", lasted(at - since)),
                _ => format!("upstream {name} is {condition}"),
            };
            let mut lines = vec![why, format!("since: {}", printed(since))];
            if state.condition == Condition::Refused {
                lines.push("its credentials are not accepted (any more): did a token or a subscription lapse?".into());
            }
            lines.push("what is kept of it is served meanwhile; what is new cannot be had".to_owned());
            if let Some(trouble) = &state.trouble {
                lines.push(format!("next reminder: {}", printed(trouble.next_reminder)));
            }
            (subject, lines)
        }
        Event::Recovery(trouble) => {
            let was = words(trouble.condition);
            let lines =
                vec![format!("it was {was} for {}, since {}", lasted(at - trouble.since), printed(trouble.since))];
            (format!("upstream {name} is reachable again"), lines)
        }
        Event::Ends(_) => {
            let (host, ends) = end(state);
            let left = CertificateStatus::of(state, at).map_or(0, |certificate| certificate.days_left);
            let days = match left {
                0 => "less than a day".to_owned(),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            };
            let subject = format!("the certificate of upstream {name} ends in {days}");
            (subject, vec![format!("{host} shows a certificate that ends {ends}; nobody renewed it yet")])
        }
        Event::Ended => {
            let (host, ends) = end(state);
            let subject = format!("the certificate of upstream {name} has ended");
            (subject, vec![format!("{host} shows a certificate that ended {ends}: nothing can be had from it")])
        }
    }
}

fn data(upstream: &Upstream, state: &State, event: &Event, at: DateTime<Utc>) -> Value {
    let event = match event {
        Event::Trouble => "upstream_trouble",
        Event::Reminder(_) => "upstream_reminder",
        Event::Recovery(_) => "upstream_recovery",
        Event::Ends(_) => "upstream_certificate_ends",
        Event::Ended => "upstream_certificate_ended",
    };
    json!({
        "event": event,
        "name": about(&upstream.name),
        "upstream": upstream.name,
        "condition": state.condition,
        "since": state.since,
        "error": state.error,
        "certificate": CertificateStatus::of(state, at),
    })
}

/// What the letters about an upstream are counted under: a mirror may have the same name.
pub fn about(upstream: &str) -> String {
    format!("upstream {upstream}")
}

fn printed(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A stretch of time in its largest unit.
fn lasted(time: TimeDelta) -> String {
    let counted = |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match (time.num_days(), time.num_hours(), time.num_minutes()) {
        (0, 0, minutes) => counted(minutes.max(1), "minute"),
        (0, hours, _) => counted(hours, "hour"),
        (days, _, _) => counted(days, "day"),
    }
}
