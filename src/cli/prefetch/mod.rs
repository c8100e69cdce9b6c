//! `modvet prefetch`: fills the cache ahead of time.

mod fetch;
mod graph;
mod wanted;

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::error::{Error, Kind, Result};
use fetch::{Fetcher, Outcome};
use graph::Graph;
use wanted::{Files, Key, Wanted};

/// Fetch modules into the cache before anybody asks for them.
///
/// A go.sum names exactly what a build needs: it is fetched and compared with the hashes that stand there. A
/// go.mod without a go.sum beside it stands for what `go mod download` would fetch: the go.mod files of the module
/// graph, and the zips of the modules that it requires. A list names MODULE@VERSION or MODULE@QUERY, one a
/// line, as `go list -m all` prints them too. Beside a running server that one fetches; without one it is done here.
///
/// Exit code 1: something is refused or is not what go.sum says; 3: something could not be fetched.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// go.mod, go.sum, a folder that holds them, MODULE@QUERY, a file with a list, or - for a list on standard input
    #[arg(value_name = "WHAT", default_value = ".")]
    what: Vec<String>,
    /// Fetch through this registry
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Fetch the zips too; with =false only .info and .mod
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    zips: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet prefetch
  modvet prefetch services/api/go.sum --registry ci
  modvet prefetch example.com/module@v1.2.3 example.com/other@main
  go list -m all | tail -n +2 | modvet prefetch -";

/// How it went.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Files that were not there.
    fetched: u64,
    already_there: u64,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    /// `MODULE@VERSION`, with the file where it is about one.
    what: String,
    why: String,
    /// Refused or other than expected; else it could not be fetched.
    is_wrong: bool,
}

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    logging::start("error").map_err(Failure::usage)?;
    let wanted = Wanted::read(&arguments.what).map_err(Failure::usage)?;
    let settings = arguments.place.settings().map_err(Failure::usage)?;
    let summary = wiring::runtime()?.block_on(until_interrupted(async {
        let control = Control::open(settings, Missing::Make).await?;
        control.tell_made();
        let fetcher = Fetcher::new(&control, arguments.registry.as_deref());
        Ok(prefetch(&fetcher, wanted, arguments.zips).await)
    }))?;
    print(arguments, &summary)?;
    Ok(match () {
        () if summary.failed.iter().any(|failed| failed.is_wrong) => Exit::Wrong,
        () if !summary.failed.is_empty() => Exit::Unverified,
        () => Exit::Well,
    })
}

async fn prefetch(fetcher: &Fetcher<'_>, wanted: Wanted, zips: bool) -> Summary {
    let mut summary = Summary::default();
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}").expect("a template that is right"));
    let Wanted { mut files, queries, modules } = wanted;
    for (module, query) in queries {
        bar.set_message(format!("{module}@{query}"));
        match fetcher.resolve(&module, &query).await {
            Ok(version) => files.entry((module, version)).or_default().add(Files::all()),
            Err(error) => summary.failed.push(Failed::of(format!("{module}@{query}"), &error)),
        }
    }
    for module in &modules {
        let graph = Graph::load(fetcher, module, &bar).await;
        summary.failed.extend(graph.failed.iter().map(|(key, error)| Failed::of(named(key), error)));
        merge(&mut files, graph.files());
    }
    if !zips {
        files.values_mut().for_each(Files::leave_zip);
    }
    bar.set_length(files.len() as u64);
    bar.set_position(0);
    for (key, outcome) in fetcher.fetch(files, &bar).await {
        let Outcome { fetched, already_there, failed } = outcome;
        summary.fetched += fetched;
        summary.already_there += already_there;
        let failed = failed.into_iter().map(|(file, error)| Failed::of(format!("{}{file}", named(&key)), &error));
        summary.failed.extend(failed);
    }
    bar.finish_and_clear();
    summary
}

fn merge(files: &mut BTreeMap<Key, Files>, more: BTreeMap<Key, Files>) {
    for (key, wanted) in more {
        files.entry(key).or_default().add(wanted);
    }
}

fn named((module, version): &Key) -> String {
    format!("{module}@{version}")
}

impl Failed {
    fn of(what: String, error: &Error) -> Failed {
        let is_wrong = matches!(error.kind(), Kind::Wrong | Kind::Forbidden | Kind::Gone);
        let mut why = error.chain();
        for line in error.remedies() {
            why.push_str("; ");
            why.push_str(line);
        }
        Failed { what, why, is_wrong }
    }
}

fn print(arguments: &Arguments, summary: &Summary) -> Result<(), Failure> {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(summary).expect("strings and numbers always serialize"));
        return Ok(());
    }
    for failed in &summary.failed {
        let word = if failed.is_wrong { "wrong" } else { "failed" };
        println!("{word}  {}: {}", failed.what, failed.why);
    }
    let Summary { fetched, already_there, failed } = summary;
    println!("{fetched} fetched, {already_there} already there, {} failed", failed.len());
    Ok(())
}

/// The folder of a file, the current one for a bare name.
fn folder(path: &std::path::Path) -> PathBuf {
    path.parent().map(PathBuf::from).unwrap_or_default()
}
