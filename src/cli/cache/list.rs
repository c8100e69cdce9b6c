//! `modvet cache list`

use hyper::Method;

use super::print::{Output, age, named, size};
use super::{open, refused};
use crate::cli::clock::SystemClock;
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};
use crate::ports::Clock as _;
use crate::registry::stock::Row;

/// List what is kept: entry, size, age, last use, downloads.
///
/// An entry is one answer of one upstream to one question. `!` stands before those of which the upstream now says
/// something else.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only this module, or one version of it; MODULE/... is all modules below
    #[arg(value_name = "MODULE[@VERSION]")]
    subject: Option<String>,
    /// Only what this upstream said
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Only those of which the upstream now says something else
    #[arg(long)]
    changed: bool,
    /// Only those that no checksum database could vouch for yet
    #[arg(long)]
    unverified: bool,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// The sha256 of the body too
    #[arg(long)]
    long: bool,
    /// Print JSON, one entry a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache list
  modvet cache list --long example.com/module@v1.2.3
  modvet cache list --upstream corp corp.example/...
  modvet cache list --changed --json
  modvet cache list --unverified";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place).await?;
    let now = SystemClock.now();
    let address = address(arguments);
    let lines = control.lines(Method::GET, &address, None::<&()>, |line| {
        if arguments.json {
            return output.json(&line);
        }
        let row: Row =
            serde_json::from_value(line).map_err(|error| Error::internal("entry of another modvet").because(error))?;
        let mark = if row.meta.changed.is_some() { "! " } else { "" };
        let used = row.meta.last_used.map_or_else(|| "never".to_owned(), |used| age(now, used));
        let mut shown = format!(
            "{mark}{}  {}  {}  fetched {} ago  used {used}{}  {}",
            row.upstream,
            named(&row),
            size(row.size),
            age(now, row.meta.fetched_at),
            if row.meta.last_used.is_some() { " ago" } else { "" },
            super::print::count(row.meta.downloads, "download", "downloads"),
        );
        if let Some(sum) = &row.meta.sum {
            shown.push_str(&format!("  {}", sum.proof().as_str()));
        }
        if arguments.long {
            shown.push_str(&format!("  sha256:{}", row.sha256));
        }
        output.line(&shown)
    });
    lines.await.map_err(refused)?;
    Ok(Exit::Well)
}

fn address(arguments: &Arguments) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("stream", "true");
    for (name, value) in [("upstream", &arguments.upstream), ("subject", &arguments.subject)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if arguments.changed {
        query.append_pair("changed", "true");
    }
    if arguments.unverified {
        query.append_pair("unverified", "true");
    }
    if let Some(limit) = arguments.limit {
        query.append_pair("limit", &limit.to_string());
    }
    format!("/api/v1/cache/entries?{}", query.finish())
}
