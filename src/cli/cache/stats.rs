//! `modvet cache stats`

use hyper::Method;

use super::print::{Cell, Output, age, count, size};
use super::{open, refused};
use crate::cli::clock::SystemClock;
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};
use crate::ports::Clock as _;
use crate::registry::stock::{Figures, Share, Total};

/// Say how much is kept, per upstream and in all.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache stats
  modvet cache stats --json | jq .total.disk";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place).await?;
    let answer = control.ask(Method::GET, "/api/v1/cache/stats", None::<&()>).await.map_err(refused)?;
    if arguments.json {
        output.line(&format!("{answer:#}"))?;
        return Ok(Exit::Well);
    }
    let figures: Figures =
        serde_json::from_value(answer).map_err(|error| Error::internal("figures of another modvet").because(error))?;
    show(&figures, output)?;
    Ok(Exit::Well)
}

fn show(figures: &Figures, output: &mut Output) -> Result<()> {
    let now = SystemClock.now();
    let heads = ["upstream", "entries", "size", "downloads", "git", "git size", "oldest use", "limit"];
    let mut rows: Vec<Vec<Cell>> = vec![
        heads
            .into_iter()
            .enumerate()
            .map(|(at, head)| if at == 0 { Cell::text(head) } else { Cell::number(head) })
            .collect(),
    ];
    for share in &figures.upstreams {
        let oldest = share.oldest_use.map(|oldest| age(now, oldest)).unwrap_or_default();
        let name = if share.configured { share.upstream.clone() } else { format!("{} (no more)", share.upstream) };
        rows.push(vec![
            Cell::text(name),
            Cell::number(share.entries),
            Cell::size(share.bytes),
            Cell::number(share.downloads),
            Cell::number(share.repositories),
            Cell::size(share.repository_bytes),
            Cell::number(oldest),
            Cell::number(limits(share.max_size, share.keep_days)),
        ]);
    }
    output.table(&rows)?;
    output.line("")?;
    output.table(&totals(&figures.total))?;
    let changed: Vec<&Share> = figures.upstreams.iter().filter(|share| share.changed > 0).collect();
    for share in changed {
        let (number, name) = (share.changed, &share.upstream);
        output.line(&format!(
            "{name}: {number} entries that the upstream now answers differently: modvet cache list --changed"
        ))?;
    }
    for share in figures.upstreams.iter().filter(|share| share.unverified > 0) {
        let (number, name) = (count(share.unverified, "file", "files"), &share.upstream);
        output.line(&format!(
            "{name}: {number} that no checksum database could vouch for yet: modvet cache list --unverified"
        ))?;
    }
    Ok(())
}

fn totals(total: &Total) -> Vec<Vec<Cell>> {
    let row = |name: &str, bytes: u64, note: String| vec![Cell::text(name), Cell::size(bytes), Cell::text(note)];
    vec![
        row("tables", total.tables, format!("of these dead: {}", size(total.dead))),
        row("files", total.files, String::new()),
        row("git", total.repository_bytes, String::new()),
        row("ledger", total.ledger_bytes, count(total.ledger_rows, "version", "versions")),
        row("on disk", total.disk, limits(total.max_size, total.keep_days)),
    ]
}

fn limits(max_size: Option<u64>, keep_days: Option<u64>) -> String {
    let limits = [max_size.map(size), keep_days.map(|days| format!("{days} days"))];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
