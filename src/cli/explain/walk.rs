//! `modvet explain --walk`: which upstreams a request asks, which not, and why.

use std::fmt::Write as _;

use super::{Arguments, spinner};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{server, wiring};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::registry::steps::{Outcome, Step, Walked, What};
use crate::registry::{Question, Reach};
use crate::spec::path::{ModulePath, check_version_element};
use crate::spec::query::Query;

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (module, query) = parse(&arguments.subject).map_err(Failure::usage)?;
    let settings = arguments.reach.settings().map_err(Failure::usage)?;
    let runtime = wiring::runtime()?;
    let looking = spinner(format!("walking to {}", arguments.subject));
    let walked = runtime.block_on(asked_or_walked(settings, arguments.reach.proxy.as_deref(), &module, query));
    looking.finish_and_clear();
    let walked = walked?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&walked).expect("times and strings always serialize"));
    } else {
        print!("{}", page(&walked));
    }
    Ok(match &walked.outcome {
        Outcome::Answered { .. } => Exit::Well,
        Outcome::Refused { kind, .. } if kind == Kind::Wrong.as_str() => Exit::Wrong,
        Outcome::Refused { .. } => Exit::Unverified,
    })
}

/// Splits `MODULE` or `MODULE@QUERY`.
fn parse(subject: &str) -> Result<(ModulePath, Option<&str>)> {
    let (module, query) = match subject.split_once('@') {
        Some((module, query)) => (module, Some(query)),
        None => (subject, None),
    };
    let module = ModulePath::parse(module)?;
    for element in query.into_iter().flat_map(|query| query.split('/')) {
        check_version_element(element)
            .map_err(|why| Error::gone(format!("disallowed version string {element:?}: {why}")).about(&module))?;
    }
    Ok((module, query))
}

async fn asked_or_walked(
    settings: Settings,
    proxy: Option<&str>,
    module: &ModulePath,
    query: Option<&str>,
) -> Result<Walked> {
    if let Some(base) = proxy {
        let walked = server::walked(&wiring::client(&settings)?, base, module, query).await?;
        return walked.ok_or_else(|| {
            Error::bad_gateway(format!("{base} tells no walk (expected a running modvet)"))
                .remedy("without --proxy the walk is told over the upstreams of the configuration")
        });
    }
    let question = match query.map(Query::parse) {
        None => Question::List,
        Some(Query::Latest) => Question::Latest,
        Some(query) => Question::Info(query),
    };
    let works = wiring::open(settings, wiring::Lock::Wait).await?;
    works.counter.registry.walk(module, &question, Reach::Upstream).await
}

/// The page that people read.
fn page(walked: &Walked) -> String {
    let mut page = format!("{}/{} in registry {}\n", walked.module, walked.question, walked.registry);
    if let Some(binding) = &walked.binding {
        let time = binding.since.format("%FT%TZ");
        let until = binding.until.map(|until| format!(", until {}", until.format("%FT%TZ"))).unwrap_or_default();
        let lapsed = if binding.stands { "" } else { "; lapsed, so all are asked" };
        line(&mut page, &format!("bound to {} since {time}{until}{lapsed}", binding.upstream));
    }
    page.push('\n');
    let rows: Vec<[String; 4]> = walked.steps.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    for [turn, upstream, what, why] in &rows {
        let [turns, upstreams, whats] = widths;
        line(&mut page, &format!("  {turn:>turns$}  {upstream:<upstreams$}  {what:<whats$}  {why}"));
    }
    page.push('\n');
    match &walked.outcome {
        Outcome::Answered { upstream, version, versions, binds } => {
            let says = match (version, versions) {
                (Some(version), _) => format!(": {version}"),
                (None, Some(1)) => ": 1 version".to_owned(),
                (None, Some(count)) => format!(": {count} versions"),
                (None, None) => String::new(),
            };
            line(&mut page, &format!("answered by {upstream}{says}"));
            if *binds {
                line(&mut page, &format!("a request binds {} to {upstream}", walked.module));
            }
        }
        Outcome::Refused { error, remedy, .. } => {
            for text in error.lines().chain(remedy.iter().flat_map(|remedy| remedy.lines())) {
                line(&mut page, text);
            }
        }
    }
    page
}

/// When it was asked, its name, what came of it, and why.
fn row(step: &Step) -> [String; 4] {
    let kept = step.kept.map(|kept| {
        let freshness = if kept.is_fresh { "fresh" } else { "stale" };
        format!("kept since {}, {freshness}", kept.since.format("%FT%TZ"))
    });
    let (what, why) = match &step.what {
        What::Barred { why, patterns: None } => ("barred", why.clone()),
        What::Barred { why, patterns: Some(patterns) } => ("barred", format!("{why}: {patterns}")),
        What::NotAsked { why } => ("not asked", why.clone()),
        What::Answered { cache, age_seconds, mirror } => {
            let from = mirror.as_ref().map(|mirror| format!(", from the mirror {mirror}")).unwrap_or_default();
            ("answered", format!("{cache}, {age_seconds} s old{from}"))
        }
        What::Absent { why, remembered: false } => ("absent", why.clone()),
        What::Absent { why, remembered: true } => ("absent", format!("{why} (said before)")),
        What::Failed { why, goes_on: false } => ("failed", why.clone()),
        What::Failed { why, goes_on: true } => ("failed", format!("{why} (on_failure = \"next\")")),
        What::Refused { why } => ("refused", why.clone()),
    };
    let why = [Some(why), kept].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let turn = step.turn.map(|turn| turn.to_string()).unwrap_or_else(|| "-".to_owned());
    [turn, step.upstream.clone(), what.to_owned(), why]
}

/// One line; what an upstream said must not command the terminal.
fn line(page: &mut String, text: &str) {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    writeln!(page, "{}", clean.trim_end()).expect("a string takes all");
}
