//! `modvet mirror status`

use hyper::Method;
use serde::Deserialize;

use super::{exit, open, print, read, refused, upstreams};
use crate::cli::cache::print::Output;
use crate::cli::clock::SystemClock;
use crate::cli::control::{Control, Missing, Place};
use crate::cli::exit::{Exit, Failure};
use crate::monitor::upstreams::UpstreamStatus;
use crate::monitor::{HistoryRow, MirrorStatus};
use crate::ports::Clock as _;

/// Say how mirrors stood at their last check, without asking anybody.
///
/// Exit code 1 where any is stale, diverged, unreachable or refused, or a renewal is overdue; 3 where one was never
/// checked, or not for more than twice its `check_every`. The upstreams of the registries are shown below the mirrors;
/// the exit code is not about them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// All that is known of these mirrors
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Also what became of them in the last 90 days
    #[arg(long, requires = "names")]
    history: bool,
    /// Only the upstreams of the registries, which are watched without being configured
    #[arg(long, conflicts_with_all = ["names", "history"])]
    upstreams: bool,
    /// Print JSON, one mirror a line; with --upstreams, one upstream a line
    #[arg(long, conflicts_with = "history")]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet mirror status
  modvet mirror status python-gitlab --history
  modvet mirror status --json | jq -r 'select(.condition == \"stale\") | .name'";

#[derive(Deserialize)]
pub struct Listed {
    pub mirrors: Vec<MirrorStatus>,
}

#[derive(Deserialize)]
struct Became {
    history: Vec<HistoryRow>,
}

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place, Missing::Refuse).await?;
    if arguments.upstreams {
        let statuses = upstreams::statuses(&control).await?;
        match arguments.json {
            true => statuses.iter().try_for_each(|status| output.json(status))?,
            false => show_upstreams(&statuses, output)?,
        }
        return Ok(Exit::Well);
    }
    let statuses = statuses(&control, &arguments.names).await?;
    let now = SystemClock.now();
    if arguments.json {
        for status in &statuses {
            output.json(status)?;
        }
        return Ok(exit(&statuses, now));
    }
    if statuses.is_empty() {
        output.line("no mirror is configured: see [[mirror]]")?;
    } else if arguments.names.is_empty() {
        show(&statuses, output)?;
    }
    if arguments.names.is_empty() {
        let statuses = upstreams::statuses(&control).await?;
        if !statuses.is_empty() {
            output.line("")?;
            show_upstreams(&statuses, output)?;
        }
    }
    for status in statuses.iter().filter(|_| !arguments.names.is_empty()) {
        for line in print::page(status, now) {
            output.line(&line)?;
        }
        if arguments.history {
            let target = format!("/api/v1/mirrors/{}/history", status.name);
            let Became { history } = read(control.ask(Method::GET, &target, None::<&()>).await.map_err(refused)?)?;
            output.line("  history:")?;
            for line in print::history(&history) {
                output.line(&line)?;
            }
        }
    }
    if !control.is_server() {
        eprintln!("no server is running: this is how they stood at their last check");
    }
    Ok(exit(&statuses, now))
}

async fn statuses(control: &Control, names: &[String]) -> Result<Vec<MirrorStatus>, Failure> {
    if names.is_empty() {
        let answer = control.ask(Method::GET, "/api/v1/mirrors", None::<&()>).await.map_err(refused)?;
        return Ok(read::<Listed>(answer)?.mirrors);
    }
    let mut statuses = Vec::new();
    for name in names {
        let target = format!("/api/v1/mirrors/{}", super::segment(name));
        statuses.push(read(control.ask(Method::GET, &target, None::<&()>).await.map_err(refused)?)?);
    }
    Ok(statuses)
}

fn show_upstreams(statuses: &[UpstreamStatus], output: &mut Output) -> Result<(), Failure> {
    output.table(&upstreams::table(statuses, SystemClock.now()))?;
    for line in statuses.iter().filter_map(upstreams::remark) {
        output.line(&line)?;
    }
    Ok(())
}

/// The table, and below it what it has no room for.
pub fn show(statuses: &[MirrorStatus], output: &mut Output) -> Result<(), Failure> {
    let now = SystemClock.now();
    output.table(&print::table(statuses, now))?;
    for line in statuses.iter().filter_map(|status| print::remark(status, now)) {
        output.line(&line)?;
    }
    Ok(())
}
