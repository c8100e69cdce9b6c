//! `modvet mirror renew`

use chrono::NaiveDate;
use hyper::Method;
use serde_json::json;

use super::{open, read, refused, segment};
use crate::cli::cache::print::Output;
use crate::cli::control::{Missing, Place};
use crate::cli::environment::variable;
use crate::cli::exit::{Exit, Failure};
use crate::error::Error;
use crate::monitor::MirrorStatus;

/// Write down that what lapses was renewed; of this date and the file's the later one counts.
///
/// Without --until it holds for one more period, `every` of the configuration. Every renewal is kept with its moment
/// and who made it: `modvet mirror status NAME` shows them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[arg(value_name = "NAME")]
    name: String,
    /// The last day on which it holds
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<NaiveDate>,
    /// Who renewed it [default: who runs this command]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Also a day that is over, or no later than the one that counts now
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet mirror renew python-gitlab
  modvet mirror renew python-gitlab --until 2028-02-01 --by ann@example.com";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place, Missing::Make).await?;
    let by = arguments.by.clone().or_else(|| variable("USER"));
    let body = json!({ "until": arguments.until, "by": by, "force": arguments.force });
    let target = format!("/api/v1/mirrors/{}/renew", segment(&arguments.name));
    let answer = control.ask(Method::POST, &target, Some(&body)).await.map_err(refused)?;
    let status: MirrorStatus = read(answer)?;
    if arguments.json {
        output.json(&status)?;
        return Ok(Exit::Well);
    }
    let renewal = status.renewal.as_ref().ok_or_else(|| Error::internal("what was renewed is not there"))?;
    let written = renewal.history.first();
    let until = written.map_or(renewal.due, |written| written.until);
    let by = written.and_then(|written| written.by.as_ref()).map(|by| format!(" by {by}")).unwrap_or_default();
    output.line(&format!("{}: {} renewed until {until}{by}", status.name, renewal.what))?;
    if renewal.due != until {
        output.line(&format!("{} counts: it is the later one", renewal.due))?;
    }
    Ok(Exit::Well)
}
