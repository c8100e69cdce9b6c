//! `modvet cache prune`

use serde_json::json;

use super::print::{Bar, Output, count, gone, size};
use super::{open, work};
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::Result;
use crate::registry::stock::{Freed, Said};

/// Bring what is kept within its limits, least recently used first, and give the space back to the disk.
///
/// Without flags the configured limits count: max_size and keep_days of the store and of each upstream.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Keep at most so much in all, such as 20GiB
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    /// Keep only what was downloaded within so many days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Say what would go, and leave it
    #[arg(long)]
    dry_run: bool,
    /// Compact the store in any case
    #[arg(long)]
    compact: bool,
    /// Print JSON, one entry a line, then a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache prune
  modvet cache prune --max-size 20GiB --dry-run
  modvet cache prune --keep-days 90 --compact";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place).await?;
    let body = json!({
        "max_size": arguments.max_size,
        "keep_days": arguments.keep_days,
        "dry_run": arguments.dry_run,
        "compact": arguments.compact,
    });
    let bar = Bar::new();
    let done = work(&control, "/api/v1/cache/prune", &body, |said| {
        if let Said::Progress { done, of, what } = said {
            bar.show(done, of, what.as_str());
        }
        if arguments.json {
            return bar.aside(|| output.json(&said));
        }
        if let (true, Some(line)) = (arguments.dry_run, gone(&said)) {
            bar.aside(|| output.line(&line))?;
        }
        if let Said::Pruned(freed) = said {
            bar.aside(|| output.line(&summary(&freed)))?;
        }
        Ok(())
    });
    let done = done.await;
    bar.clear();
    done.map(|()| Exit::Well)
}

fn summary(freed: &Freed) -> String {
    let mut parts = vec![format!("{} ({})", count(freed.entries, "entry", "entries"), size(freed.bytes))];
    if freed.repositories > 0 {
        let number = count(freed.repositories, "git repository", "git repositories");
        parts.push(format!("{number} ({})", size(freed.repository_bytes)));
    }
    if freed.compacted {
        parts.push("tables compacted".to_owned());
    }
    let what = parts.join(", ");
    let before = size(freed.before);
    match freed.dry_run {
        true => format!("would go: {what}; {before} on disk"),
        false => {
            let back = size(freed.before.saturating_sub(freed.after));
            format!("gone: {what}; {before} on disk before, {} after: {back} freed", size(freed.after))
        }
    }
}
