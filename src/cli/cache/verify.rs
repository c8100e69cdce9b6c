//! `modvet cache verify`

use serde_json::json;

use super::print::{Bar, Output, count, gone, named, size};
use super::{open, work};
use crate::access::ledger::{Entered, Refusal};
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::Result;
use crate::registry::proof::Mismatch;
use crate::registry::stock::{Checkup, Row, Said};
use crate::registry::{Change, Mark};

/// Read everything that is kept and compare it with its hashes; what is damaged is removed.
///
/// Also shown are the files that no checksum database could vouch for yet, and what is on record: released versions
/// that came back different; files that were refused since the checksum database knows others, or since another
/// content was served first; and tags that are not where they were. Exit code 1 says that something was damaged, was
/// refused because another content was served first and not accepted since, or that a tag moved.
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
    let mut bad = 0;
    let done = work(&control, "/api/v1/cache/verify", &body, |said| {
        if let Said::Verified(checkup) = &said {
            bad = checkup.damaged + checkup.refused + checkup.drifted;
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
            Said::Unverified(row) => bar.aside(|| output.line(&unverified(row))),
            Said::Mismatch(mismatch) => bar.aside(|| output.line(&refused(mismatch))),
            Said::Ledger(entered) => bar.aside(|| marked(entered).iter().try_for_each(|line| output.line(line))),
            Said::Verified(checkup) => bar.aside(|| output.line(&summary(checkup))),
            _ => Ok(()),
        }
    });
    let done = done.await;
    bar.clear();
    done.map(|()| if bad > 0 { Exit::Wrong } else { Exit::Well })
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

fn unverified(row: &Row) -> String {
    let why = match &row.meta.sum {
        Some(Mark::Unverified { why, .. }) => why.as_str(),
        _ => "no database was asked",
    };
    format!("unverified: {}  {}: {why}", row.upstream, named(row))
}

fn refused(mismatch: &Mismatch) -> String {
    let Mismatch { upstream, module, version, file, h1, database, recorded, seen_at, .. } = mismatch;
    let day = seen_at.format("%Y-%m-%d");
    format!(
        "refused of upstream {upstream} on {day}: {module}@{version} .{file}: {h1} (expected {recorded} by {database})"
    )
}

/// What has to be looked at of a version.
fn marked(entered: &Entered) -> Vec<String> {
    let Entered { registry, module, version, row } = entered;
    let mut lines = Vec::new();
    for (file, held) in row.files() {
        for Refusal { h1, upstream, first, last, count: times, .. } in &held.refusals {
            let (first, last, file) = (first.format("%F"), last.format("%F"), file.as_str());
            let times = count(*times, "time", "times");
            lines.push(format!(
                "refused in registry {registry}: {module}@{version} .{file}: {h1} from upstream {upstream}, {times} \
                 from {first} to {last} (expected {})",
                held.h1
            ));
        }
    }
    if let Some(drift) = &row.drift {
        lines.push(format!("tag moved in registry {registry}: {module}@{version}: {}", drift.reason()));
    }
    lines
}

fn summary(checkup: &Checkup) -> String {
    let entries = count(checkup.entries, "entry", "entries");
    let mut text = format!("{entries} ({}) looked at, {} damaged", size(checkup.bytes), checkup.damaged);
    if checkup.unverified > 0 {
        text.push_str(&format!(", {} unverified", checkup.unverified));
    }
    if checkup.mismatches > 0 {
        text.push_str(&format!("; {} on record", count(checkup.mismatches, "refused file", "refused files")));
    }
    if checkup.changed > 0 {
        text.push_str(&format!("; {} on record", count(checkup.changed, "change", "changes")));
    }
    if checkup.refused > 0 {
        text.push_str(&format!("; {} refused", count(checkup.refused, "version", "versions")));
    }
    if checkup.drifted > 0 {
        text.push_str(&format!("; {} moved", count(checkup.drifted, "tag", "tags")));
    }
    text
}
