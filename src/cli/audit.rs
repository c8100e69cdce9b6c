//! `modvet audit`: who got what.

use hyper::Method;
use serde_json::Value;

use super::cache::print::{Cell, Output};
use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::access::audit::Line;
use crate::error::{Error, Kind, Result};

/// Say who got a version, when, and from where; the newest first.
///
/// Beside a running server its control socket is asked; without one the log is read here. Of both the configuration
/// says which store it is, as for `modvet serve`. That nobody got it is exit code 0 as well.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What they got; a module without a version is all its versions, MODULE/... all modules below [default: everything]
    #[arg(value_name = "MODULE[@VERSION]")]
    subject: Option<String>,
    /// Only from then on: so long ago, a day, or a second (30d, 2026-11-21, 2026-11-21T17:58:05Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only with the token of this label
    #[arg(long, value_name = "LABEL")]
    who: Option<String>,
    /// Only through this registry
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Print JSON, one line of the log a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet audit example.com/module@v1.2.3
  modvet audit example.com/module --since 30d
  modvet audit --who ci-runner --since 2026-11-21 --json";

/// Lines that are asked for at a time.
const PAGE: u64 = 1000;

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let settings = arguments.place.settings().map_err(Failure::usage)?;
    let mut output = Output::new();
    let done = wiring::runtime()?.block_on(until_interrupted(async {
        let control = Control::open(settings, Missing::Refuse).await?;
        if arguments.json {
            each(&control, arguments, |line| output.json(line)).await?;
        } else {
            print(&control, arguments, &mut output).await?;
        }
        Ok(Exit::Well)
    }));
    // Who reads only the first lines has what was wanted.
    if output.is_closed() { Ok(Exit::Well) } else { done }
}

async fn print(control: &Control, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    each(control, arguments, |line| {
        let line: Line = serde_json::from_value(line.clone())
            .map_err(|error| Error::internal("a line of another modvet").because(error))?;
        rows.push(row(&line));
        Ok(())
    })
    .await?;
    if rows.is_empty() {
        let subject = arguments.subject.as_deref().unwrap_or("anything");
        let since = arguments.since.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
        return Ok(output.line(&format!("nobody got {subject}{since}"))?);
    }
    let heads = ["time", "who", "address", "registry", "module", "version", "file", "status", "verdict", "upstream"];
    rows.insert(0, heads.map(Cell::text).into());
    Ok(output.table(&rows)?)
}

/// An empty place in a table is a hyphen, so that every column can be counted on.
fn row(line: &Line) -> Vec<Cell> {
    let shown = |text: &str| Cell::text(if text.is_empty() { "-" } else { text });
    let version = match (&line.asked, line.version.as_str()) {
        (Some(asked), "") => asked.clone(),
        (Some(asked), version) => format!("{version} ({asked})"),
        (None, version) => version.to_owned(),
    };
    let verdict = match (&line.right, &line.rule) {
        (Some(right), _) => format!("{}, use {right}", line.verdict),
        (None, Some(rule)) => format!("{} by {rule}", line.verdict),
        (None, None) => line.verdict.to_string(),
    };
    vec![
        Cell::text(line.time.format("%Y-%m-%d %H:%M:%S").to_string()),
        shown(&line.who),
        shown(&line.address.map(|address| address.to_string()).unwrap_or_default()),
        shown(&line.registry),
        shown(&line.module),
        shown(&version),
        shown(&line.file),
        Cell::number(line.status),
        shown(&verdict),
        shown(&line.upstream),
    ]
}

/// Hands on each line, page after page.
async fn each(
    control: &Control,
    arguments: &Arguments,
    mut each: impl FnMut(&Value) -> Result<()>,
) -> Result<(), Failure> {
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut after = None;
    while left > 0 {
        let target = address(arguments, left.min(PAGE), after.as_deref());
        let page = control.ask(Method::GET, &target, None::<&()>).await.map_err(refused)?;
        for line in page["lines"].as_array().into_iter().flatten() {
            each(line)?;
            left -= 1;
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(())
}

fn address(arguments: &Arguments, limit: u64, after: Option<&str>) -> String {
    let subject = arguments.subject.as_deref();
    let (module, version) = match subject.and_then(|subject| subject.split_once('@')) {
        Some((module, version)) => (Some(module), Some(version)),
        None => (subject, None),
    };
    let (since, until) = (arguments.since.as_deref(), arguments.until.as_deref());
    let (who, registry) = (arguments.who.as_deref(), arguments.registry.as_deref());
    let given = [
        ("module", module),
        ("version", version),
        ("since", since),
        ("until", until),
        ("who", who),
        ("registry", registry),
        ("after", after),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    for (name, value) in given {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("/api/v1/audit?{}", query.finish())
}

/// What is named and not there was named wrongly, as is a log that nobody keeps.
fn refused(error: Error) -> Failure {
    match error.kind() {
        Kind::NotFound | Kind::Gone => Failure::usage(error),
        _ => error.into(),
    }
}
