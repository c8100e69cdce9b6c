//! `modvet check`: are the versions in go.mod, go.work and go.sum right?

mod compose;
mod find;
mod finding;
mod format;
mod graph;
mod judge;
mod read;
mod report;
mod subject;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Exit, Failure};
use super::reach::Reach;
use super::{environment, logging, wiring};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::spec::verdict::Verdict;
use crate::vet::mode::{Mode, Policy};
use compose::Compose;
use finding::Severity;
use format::Format;
use judge::{Judge, Key, Server};
use read::Reading;
use report::{Judged, Report};
use subject::{Fate, Subject};
use warnings::{Used, Warnings};

/// Say whether the versions in go.mod, go.work and go.sum are right.
///
/// Every pseudo-version below the paths is judged: required, indirect, on both sides of a replacement,
/// excluded, or in a go.sum. Folders named vendor, testdata, .git and node_modules are left out.
/// Exit code 0: all well, perhaps with warnings; 1: something is wrong; 2: a file cannot be read;
/// 3: something could not be verified and nothing is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folders to look through, or files
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Say by which way a version of a dependency comes in
    #[arg(long)]
    graph: bool,
    /// Ask for verdicts only: nothing about retractions, moved tags, +incompatible, later releases
    #[arg(long)]
    no_warnings: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// End with 0 whatever the verdicts are; a file that cannot be read is still 2
    #[arg(long)]
    exit_zero: bool,
    #[command(flatten)]
    reach: Reach,
}

const EXAMPLES: &str = "Examples:
  modvet check
  modvet check --graph --proxy http://127.0.0.1:3000 services/api
  modvet check --format sarif > modvet.sarif";

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("error").map_err(Failure::usage)?;
    let settings = arguments.reach.settings().map_err(Failure::usage)?;
    let current = std::env::current_dir()
        .map_err(|error| Failure::usage(Error::gone("the current folder is not there").because(error)))?;
    let (files, mut broken) = find::below(&arguments.paths, &current);
    let mut reading = read::read(&files);
    broken.append(&mut reading.faults);
    let subjects = subject::subjects(&reading);
    let asked = Asked::of(&subjects, arguments.no_warnings);
    let facts = if asked.is_empty() {
        Facts::default()
    } else {
        wiring::runtime()?.block_on(ask(settings, &arguments, &reading, asked))?
    };
    let names = files.into_iter().map(|file| file.name).collect();
    let report = facts.report(names, &subjects, broken);
    print(&arguments, &report)?;
    Ok(exit(&report, arguments.exit_zero))
}

/// What there is to ask.
struct Asked<'a> {
    subjects: &'a [Subject],
    keys: BTreeSet<Key>,
    used: BTreeMap<String, Vec<Used>>,
}

impl<'a> Asked<'a> {
    fn of(subjects: &'a [Subject], no_warnings: bool) -> Asked<'a> {
        let is_judged = |subject: &&Subject| subject.version.is_pseudo() && subject.fate != Fate::Local;
        let keys = subjects.iter().filter(is_judged).map(Subject::key).collect();
        let mut used: BTreeMap<String, Vec<Used>> = BTreeMap::new();
        for subject in subjects.iter().filter(|subject| !no_warnings && subject.is_used()) {
            let of_module = used.entry(subject.module.clone()).or_default();
            of_module.push(Used { version: subject.version.clone(), go_mod_h1: subject.go_mod_h1.clone() });
        }
        used.values_mut().for_each(|used| {
            used.sort();
            used.dedup();
        });
        Asked { subjects, keys, used }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.used.is_empty()
    }
}

/// What was found out.
#[derive(Default)]
struct Facts {
    verdicts: HashMap<Key, Verdict>,
    warnings: Warnings,
    /// By folder and version.
    ways: HashMap<(String, Key), compose::Way>,
    no_warnings: bool,
}

async fn ask(mut settings: Settings, arguments: &Arguments, reading: &Reading, asked: Asked<'_>) -> Result<Facts> {
    // The go.mod files of wrong versions belong to the graph, whatever a server would do.
    settings.policy = Policy { mode: Mode::Rewrite, refuse_mod: false };
    let server = match &arguments.reach.proxy {
        Some(base) => Some(Server::new(wiring::client(&settings)?, base)),
        None => None,
    };
    let progress = ProgressBar::new((asked.keys.len() + asked.used.len()) as u64);
    progress
        .set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}").expect("a template that is right"));
    let works = wiring::open(settings, wiring::Lock::Wait).await?;
    let judge = Judge::new(works.counter, server);
    let verdicts = judge.verdicts(asked.keys, &progress).await;
    let warnings = warnings::look(&judge, asked.used, &progress).await;
    let ways = match arguments.graph {
        true => compose::ways(&judge, reading, asked.subjects, &verdicts, &warnings).await,
        false => HashMap::new(),
    };
    progress.finish_and_clear();
    Ok(Facts { verdicts, warnings, ways, no_warnings: arguments.no_warnings })
}

impl Facts {
    fn report(&self, files: Vec<String>, subjects: &[Subject], broken: Vec<finding::Finding>) -> Report {
        let mut judged = Vec::new();
        let mut findings = broken;
        for subject in subjects {
            let key = subject.key();
            let verdict = self.verdicts.get(&key).filter(|_| subject.fate != Fate::Local);
            let way = self.ways.get(&(subject.folder.clone(), key.clone()));
            if let Some(verdict) = verdict {
                judged.push(Judged::new(subject, verdict));
            }
            let compose = Compose { subject, way };
            findings.extend(verdict.and_then(|verdict| compose.verdict(verdict)));
            if subject.is_used() {
                let kept = self.warnings.of.get(&key).into_iter().flatten().cloned();
                let released = verdict.and_then(warnings::released).filter(|_| !self.no_warnings);
                findings.extend(kept.chain(released).map(|warning| compose.warning(warning)));
            }
        }
        Report { files, judged, findings, unseen: self.warnings.unseen.clone() }
    }
}

/// Prints the report, and on standard error what kept it from being whole.
fn print(arguments: &Arguments, report: &Report) -> Result<(), Failure> {
    for finding in report.findings.iter().filter(|finding| finding.rule.severity() == Severity::Broken) {
        eprintln!("modvet: {}: {}", finding.place(), finding.message());
    }
    let mut output = std::io::stdout().lock();
    let is_coloured = output.is_terminal() && environment::variable("NO_COLOR").is_none();
    let format = if arguments.json { Format::Json } else { arguments.format };
    let text = format.render(report, is_coloured);
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::from(Error::internal("the report cannot be written").because(error)))
}

fn exit(report: &Report, exit_zero: bool) -> Exit {
    let worst = report.findings.iter().map(|finding| finding.rule.severity()).min();
    match worst {
        Some(Severity::Broken) => Exit::Usage,
        _ if exit_zero => Exit::Well,
        Some(Severity::Wrong) => Exit::Wrong,
        Some(Severity::Unverifiable) => Exit::Unverified,
        Some(Severity::Warning | Severity::Note) | None => Exit::Well,
    }
}
