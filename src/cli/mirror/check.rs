//! `modvet mirror check`

use std::collections::BTreeSet;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::status::{self, Listed};
use super::{exit, open, print, read, refused};
use crate::cli::cache::print::{Bar, Cell, Output};
use crate::cli::clock::SystemClock;
use crate::cli::control::{Control, Missing, Place};
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};
use crate::monitor::{MirrorStatus, Said, Tested};
use crate::ports::{Clock as _, Condition};

/// Check mirrors now: ask both sides, compare, and tell people as the schedule would.
///
/// What comes of it is kept, so a cron job needs no server. The exit code is that of `modvet mirror status`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only these [default: all that are not paused]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Send a test letter through every channel instead; exit code 1 if one does not take it
    #[arg(long, conflicts_with = "names")]
    notify_test: bool,
    /// Print JSON, one mirror a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet mirror check
  modvet mirror check python-gitlab --json
  modvet mirror check --notify-test";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place, Missing::Make).await?;
    if arguments.notify_test {
        return test(&control, arguments.json, output).await;
    }
    let statuses = check(&control, &arguments.names).await?;
    if arguments.json {
        for status in &statuses {
            output.json(status)?;
        }
    } else if statuses.is_empty() {
        output.line("there is nothing to check: no [[mirror]] is configured, or all are paused")?;
    } else {
        status::show(&statuses, output)?;
        for status in statuses.iter().filter(|status| status.condition == Condition::Paused) {
            output.line(&format!("{}: it is paused: nobody looked", status.name))?;
        }
    }
    Ok(exit(&statuses, SystemClock.now()))
}

/// By name.
async fn check(control: &Control, names: &[String]) -> Result<Vec<MirrorStatus>, Failure> {
    let body = match names {
        [] => json!({}),
        names => json!({ "mirrors": names }),
    };
    let all = match names.len() {
        0 => watched(&control.ask(Method::GET, "/api/v1/mirrors", None::<&()>).await.map_err(refused)?),
        named => named as u64,
    };
    let (bar, mut checked) = (Bar::new(), BTreeSet::new());
    let done = control.lines(Method::POST, "/api/v1/mirrors/check", Some(&body), |line| {
        if let Said::Checked(status) = read(line)? {
            checked.insert(status.name);
            bar.show(checked.len() as u64, all, "checking");
        }
        Ok(())
    });
    let done = done.await;
    bar.clear();
    done.map_err(refused)?;
    // Each was told as soon as it was known; people were told of it after that.
    let Listed { mirrors } = read(control.ask(Method::GET, "/api/v1/mirrors", None::<&()>).await.map_err(refused)?)?;
    Ok(mirrors.into_iter().filter(|mirror| checked.contains(&mirror.name)).collect())
}

/// How many of a list will be checked.
fn watched(listed: &Value) -> u64 {
    let mirrors = listed["mirrors"].as_array().into_iter().flatten();
    mirrors.filter(|mirror| mirror["condition"] != "paused").count() as u64
}

#[derive(Deserialize)]
struct Channels {
    tested: Vec<Tested>,
}

async fn test(control: &Control, is_json: bool, output: &mut Output) -> Result<Exit, Failure> {
    let answer = control.ask(Method::POST, "/api/v1/mirrors/notify-test", None::<&()>).await.map_err(refused)?;
    let Channels { tested } = read(answer)?;
    if tested.is_empty() {
        let error = Error::unavailable("there is no channel to test").remedy("configure one by [[notify]]");
        return Err(Failure { exit: Exit::Unverified, error });
    }
    if is_json {
        tested.iter().try_for_each(|tested| output.json(tested))?;
    } else {
        let mut rows = vec![["CHANNEL", "TO", "TEST LETTER"].map(Cell::text).to_vec()];
        rows.extend(tested.iter().map(|Tested { channel, address, error }| {
            let came = error.as_deref().map_or_else(|| "delivered".to_owned(), |error| error.replace('\n', "; "));
            let to = address.as_deref().unwrap_or("-");
            vec![Cell::text(channel), Cell::text(to), Cell::text(came)]
        }));
        output.table(&rows)?;
        for line in untold(control).await? {
            output.line(&line)?;
        }
    }
    Ok(if tested.iter().any(|tested| tested.error.is_some()) { Exit::Wrong } else { Exit::Well })
}

/// Owners to whom no test letter could be sent either.
async fn untold(control: &Control) -> Result<BTreeSet<String>, Failure> {
    let Listed { mirrors } = read(control.ask(Method::GET, "/api/v1/mirrors", None::<&()>).await.map_err(refused)?)?;
    let renewals = mirrors.iter().filter_map(|mirror| mirror.renewal.as_ref());
    Ok(renewals.filter_map(print::untold).collect())
}
