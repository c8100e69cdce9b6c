//! `modvet resolve`: what a query stands for.

use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::reach::Reach;
use super::{logging, wiring};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;

/// Say which version a query stands for: a branch, a tag, a hash, v1, latest.
///
/// The answer is the go command's in direct mode. For a pseudo-version that is wrong it is the right
/// one, with the reasons, and exit code 1.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What to resolve, such as example.com/module@main
    #[arg(value_name = "MODULE@QUERY")]
    subject: String,
    /// Print JSON: Path, Query, Version, Time, Origin and, for a wrong pseudo-version, Faults
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

const EXAMPLES: &str = "Examples:
  modvet resolve github.com/owner/repository@main
  modvet resolve --json example.com/module@0123456789ab
  modvet resolve --proxy http://127.0.0.1:3000 example.com/module@latest";

/// What `--json` prints. The names are those of `go list -m -json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    path: &'a str,
    query: &'a str,
    #[serde(flatten)]
    info: &'a Info,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let (module, query) = parse(&arguments.subject).map_err(Failure::usage)?;
    let settings = arguments.reach.settings().map_err(Failure::usage)?;
    let runtime = wiring::runtime()?;
    let resolution = runtime.block_on(resolve(settings, &module, &query))?;
    print(&arguments, &module, &query, &resolution);
    Ok(if resolution.is_valid() { Exit::Well } else { Exit::Wrong })
}

/// Splits `MODULE@QUERY`.
fn parse(subject: &str) -> Result<(ModulePath, Query)> {
    match subject.split_once('@') {
        Some((module, query)) if !query.is_empty() => Ok((ModulePath::parse(module)?, Query::parse(query))),
        _ => Err(Error::gone(format!("{subject:?}: no query (expected MODULE@QUERY)"))
            .remedy("write for example example.com/module@latest")),
    }
}

async fn resolve(settings: Settings, module: &ModulePath, query: &Query) -> Result<Resolution> {
    let progress = ProgressBar::new_spinner().with_message(format!("resolving {module}@{query}"));
    progress.enable_steady_tick(Duration::from_millis(120));
    let works = wiring::open(settings, wiring::Lock::Wait).await?;
    let resolution = works.counter.registry.resolve(module, query).await;
    progress.finish_and_clear();
    resolution
}

fn print(arguments: &Arguments, module: &ModulePath, query: &Query, resolution: &Resolution) {
    let info = &resolution.right;
    let faults: Vec<String> = resolution.faults.iter().map(ToString::to_string).collect();
    if arguments.json {
        let answer = Answer { path: module.as_str(), query: query.as_str(), info, faults };
        println!("{}", serde_json::to_string_pretty(&answer).expect("strings and times always serialize"));
        return;
    }
    println!("{module}@{}", info.version);
    for fault in &faults {
        println!("wrong   {query}: {fault}");
    }
    if let Some(time) = info.time {
        println!("time    {}", time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    }
    let origin = info.origin.clone().unwrap_or_default();
    for (label, value) in
        [("commit", origin.hash), ("ref", origin.reference), ("url", origin.url), ("folder", origin.subdir)]
    {
        if !value.is_empty() {
            println!("{label:<7} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_a_module_and_a_query() {
        let (module, query) = parse("example.com/m@feature/x").expect("both");
        assert_eq!((module.as_str(), query.as_str()), ("example.com/m", "feature/x"));
        for (subject, expected) in [
            ("example.com/m", "\"example.com/m\": no query (expected MODULE@QUERY)"),
            ("example.com/m@", "\"example.com/m@\": no query (expected MODULE@QUERY)"),
            ("m@v1", "malformed module path \"m\": missing dot in first path element"),
        ] {
            assert_eq!(parse(subject).expect_err(subject).what(), expected);
        }
    }
}
