//! `modvet cache verify`

use serde_json::json;

use super::print::{Bar, Output, count, gone, size};
use super::{open, work};
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::Result;
use crate::registry::Change;
use crate::registry::stock::{Checkup, Said};

/// Read everything that is kept and compare it with its hashes; what is damaged is removed.
///
/// Also shown are the recorded changes: released versions that came back different. Exit code 1
/// says that something was damaged.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only what this upstream said
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Print JSON, one finding a line, then a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache verify
  modvet cache verify --upstream corp --json";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place).await?;
    let body = json!({"upstream": arguments.upstream});
    let bar = Bar::new();
    let mut damaged = 0;
    let done = work(&control, "/api/v1/cache/verify", &body, |said| {
        if let Said::Verified(checkup) = &said {
            damaged = checkup.damaged;
        }
        match &said {
            Said::Progress { done, of, what } => {
                bar.show(*done, *of, what.as_str());
                Ok(())
            }
            _ if arguments.json => bar.aside(|| output.json(&said)),
            Said::Damaged(_) => {
                let line = gone(&said).unwrap_or_default();
                bar.aside(|| output.line(&format!("damaged, removed: {line}")))
            }
            Said::Changed(change) => bar.aside(|| output.line(&shown(change))),
            Said::Verified(checkup) => bar.aside(|| output.line(&summary(checkup))),
            _ => Ok(()),
        }
    });
    let done = done.await;
    bar.clear();
    done.map(|()| if damaged > 0 { Exit::Wrong } else { Exit::Well })
}

fn shown(change: &Change) -> String {
    let Change { upstream, module, version, question, seen_at, .. } = change;
    let told = match (&change.kept.h1, &change.found.h1) {
        (Some(kept), Some(found)) => format!(": {kept} was kept, {found} found"),
        _ => String::new(),
    };
    let day = seen_at.format("%Y-%m-%d");
    format!("changed at upstream {upstream} on {day}: {module}@{version} .{question}{told}")
}

fn summary(checkup: &Checkup) -> String {
    let entries = count(checkup.entries, "entry", "entries");
    let mut text = format!("{entries} ({}) looked at, {} damaged", size(checkup.bytes), checkup.damaged);
    if checkup.changed > 0 {
        text.push_str(&format!("; {} on record", count(checkup.changed, "change", "changes")));
    }
    text
}
