//! `modvet mirror`: how mirrors stand and what is done about them, beside a running server or without one.

mod check;
mod print;
mod renew;
mod status;
mod sync;
mod upstreams;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cache::print::Output;
use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::error::{Error, Kind, Result};
use crate::monitor::MirrorStatus;
use crate::ports::Condition;

/// See how mirrors stand, check and sync them, write down that what lapses was renewed.
///
/// Mirrors are those of the configuration, [[mirror]]. Beside a running server its control socket is asked; without one
/// the store is opened here, and the states in it are as old as their last check.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    work: Work,
}

const EXAMPLES: &str = "Examples:
  modvet mirror status
  modvet mirror check python-gitlab
  modvet mirror check --notify-test
  modvet mirror sync python-gitlab --dry-run
  modvet mirror renew python-gitlab --until 2028-02-01 --by ann@example.com

Exit codes: 0 all well, 1 a mirror is stale, diverged, unreachable or refused or a renewal is overdue, 2 bad usage or
configuration, 3 nobody can say: not checked, or not for too long.";

#[derive(Subcommand)]
enum Work {
    Status(status::Arguments),
    Check(check::Arguments),
    Sync(sync::Arguments),
    Renew(renew::Arguments),
}

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let mut output = Output::new();
    let done = wiring::runtime()?.block_on(until_interrupted(async {
        match arguments.work {
            Work::Status(arguments) => status::run(&arguments, &mut output).await,
            Work::Check(arguments) => check::run(&arguments, &mut output).await,
            Work::Sync(arguments) => sync::run(&arguments, &mut output).await,
            Work::Renew(arguments) => renew::run(&arguments, &mut output).await,
        }
    }));
    // Who reads only the first lines has what was wanted.
    if output.is_closed() { Ok(Exit::Well) } else { done }
}

async fn open(place: &Place, missing: Missing) -> Result<Control, Failure> {
    let control = Control::open_watch(place.settings().map_err(Failure::usage)?, missing).await?;
    control.tell_made();
    Ok(control)
}

/// What is named and not there was named wrongly; what stands against it is what is wrong.
fn refused(error: Error) -> Failure {
    match error.kind() {
        Kind::NotFound | Kind::Gone => Failure::usage(error),
        Kind::Conflict => Failure { exit: Exit::Wrong, error },
        _ => error.into(),
    }
}

/// What another modvet answered.
fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| Error::internal("the server says what this modvet does not know").because(error))
}

/// A name as one segment of an address.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// What some mirrors are worth together.
fn exit(statuses: &[MirrorStatus], now: DateTime<Utc>) -> Exit {
    if statuses.iter().any(MirrorStatus::is_bad) {
        return Exit::Wrong;
    }
    let is_unknown = |status: &MirrorStatus| status.condition == Condition::Unchecked || is_outdated(status, now);
    if statuses.iter().any(is_unknown) { Exit::Unverified } else { Exit::Well }
}

/// Whether the last check is so long ago that it says nothing any more: a watch that stands still would let a mirror go
/// stale in silence.
fn is_outdated(status: &MirrorStatus, now: DateTime<Utc>) -> bool {
    let Some(last) = status.last_attempt.filter(|_| status.condition != Condition::Paused) else { return false };
    let age = (now - last).num_seconds();
    // As much again and some time for the check itself.
    age > i64::try_from(status.check_every_seconds.saturating_mul(2).saturating_add(600)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::RenewalStatus;

    fn status(condition: Condition, minutes_ago: i64) -> MirrorStatus {
        let last = (condition != Condition::Unchecked).then(|| now() - chrono::TimeDelta::minutes(minutes_ago));
        MirrorStatus { condition, last_attempt: last, check_every_seconds: 900, ..MirrorStatus::default() }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
    }

    #[test]
    fn the_worst_of_all_mirrors_decides() {
        use Condition::{Diverged, InSync, Lagging, Paused, Refused, Stale, Unchecked, Unreachable};
        type Row = (&'static str, &'static [(Condition, i64)], Exit);
        let table: [Row; 10] = [
            ("none", &[], Exit::Well),
            ("well", &[(InSync, 1), (Lagging, 1), (Paused, 100_000)], Exit::Well),
            ("stale", &[(InSync, 1), (Stale, 1)], Exit::Wrong),
            ("diverged", &[(Diverged, 1)], Exit::Wrong),
            ("refused", &[(Refused, 1)], Exit::Wrong),
            ("unreachable", &[(Unreachable, 1)], Exit::Wrong),
            ("not checked", &[(InSync, 1), (Unchecked, 1)], Exit::Unverified),
            ("checked long ago", &[(InSync, 41)], Exit::Unverified),
            ("checked a while ago", &[(InSync, 39)], Exit::Well),
            ("bad and not checked", &[(Unchecked, 1), (Stale, 1)], Exit::Wrong),
        ];
        for (row, mirrors, expected) in table {
            let statuses: Vec<MirrorStatus> = mirrors.iter().map(|(condition, ago)| status(*condition, *ago)).collect();
            assert_eq!(exit(&statuses, now()), expected, "{row}");
        }
    }

    #[test]
    fn an_overdue_renewal_is_wrong_whatever_the_mirror_is() {
        let due = now().date_naive();
        let renewal = RenewalStatus {
            what: "subscription".to_owned(),
            due,
            days_left: -1,
            is_overdue: true,
            every: None,
            owner: None,
            is_owner_told: false,
            url: None,
            history: Vec::new(),
        };
        let overdue = MirrorStatus { renewal: Some(renewal), ..status(Condition::InSync, 1) };
        assert_eq!(exit(&[overdue], now()), Exit::Wrong);
    }
}
