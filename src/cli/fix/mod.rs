//! `modvet fix`: the right pseudo-versions in the place of wrong ones.

mod documents;
mod graph;
mod judge;
mod plan;
mod print;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::documents::{Directives, Pinned, Project};
use self::graph::Own;
use self::judge::{Finding, Judge};
use self::plan::{Change, Demand, Fixed, Unverified};
use self::print::Summary;
use super::exit::{Exit, Failure};
use super::files::{self, FileKind};
use super::reach::Reach;
use super::{logging, wiring};
use crate::config::Settings;
use crate::error::Result;

/// Put the right pseudo-versions into go.mod and go.work.
///
/// Wrong versions that a file asks for itself are corrected where they stand: require, replace,
/// exclude. Where a dependency's go.mod requires a wrong one, a `replace` line with the reason is
/// added. Lines of go.sum about wrong versions are dropped. All else stays byte for byte. Nothing is
/// written if any of the files has a syntax error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folders to look through, except vendor, testdata, node_modules and .git, or single files
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Print a unified diff and write nothing; exit code 1 if there is one
    #[arg(long)]
    diff: bool,
    /// Also look for wrong versions that no file names: in the go.mod files of all dependencies, as is done
    /// anyway for a module without go.sum
    #[arg(long)]
    graph: bool,
    /// Print JSON: files with their changes, unverified versions, the next commands
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

const EXAMPLES: &str = "Examples:
  modvet fix
  modvet fix --diff services/
  modvet fix --proxy http://127.0.0.1:3000 && go mod tidy

Exit codes: 0 all well or fixed, 1 --diff would change something, 2 bad usage or a file that cannot be
read, 3 some versions could not be verified (the others are fixed).";

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let found = files::find(&arguments.paths).map_err(Failure::usage)?;
    let projects = match documents::read(&found) {
        Ok(projects) => projects,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("modvet: {error}"));
            eprintln!("modvet: nothing was written");
            return Ok(Exit::Usage);
        }
    };
    let settings = arguments.reach.settings().map_err(Failure::usage)?;
    let outcome = if is_without_questions(&projects, arguments.graph) {
        Outcome::default()
    } else {
        wiring::runtime()?.block_on(consider(settings, &projects, arguments.graph))?
    };
    finish(&arguments, &outcome)
}

/// What is to be done.
#[derive(Default)]
struct Outcome {
    fixed: Vec<Fixed>,
    unverified: Vec<Unverified>,
    judged: usize,
}

/// Whether nobody needs to be asked.
fn is_without_questions(projects: &[Project], graph: bool) -> bool {
    projects.iter().all(|project| plan::candidates(project).is_empty() && !is_searched(project, graph))
}

/// Whether a project's dependencies may ask for versions that no file names: go.sum knows them all.
fn is_searched(project: &Project, graph: bool) -> bool {
    let requires = project.directives.as_ref().is_some_and(|file| !file.require.is_empty());
    requires && (graph || project.sums.is_none())
}

async fn consider(settings: Settings, projects: &[Project], search: bool) -> Result<Outcome> {
    let style =
        ProgressStyle::with_template("{spinner} {msg} {pos}/{len}").expect("a template that is always the same");
    let progress = ProgressBar::new(0).with_style(style).with_message("verifying pseudo-versions");
    progress.enable_steady_tick(Duration::from_millis(120));
    let works = wiring::open(settings, wiring::Lock::Wait).await?;
    let judge = Judge::new(&works.counter.registry, progress.clone());
    let candidates: BTreeSet<Pinned> =
        projects.iter().flat_map(|project| plan::candidates(project).into_keys()).collect();
    judge.judge_all(candidates).await;
    let demands = demands(&judge, projects, search).await;
    let found: BTreeSet<Pinned> = demands.iter().flat_map(|demand| demand.also.iter().cloned()).collect();
    judge.judge_all(found).await;
    progress.finish_and_clear();
    decide(projects, demands, &judge.findings())
}

/// What the dependencies of each project ask for, in the order of the projects; looked at only where it matters.
async fn demands(judge: &Judge<'_>, projects: &[Project], search: bool) -> Vec<Demand> {
    let mut own: Own<'_> = BTreeMap::new();
    for project in projects {
        if let (Some(file), Ok(folder)) = (&project.directives, whole(&project.folder).canonicalize())
            && file.kind == FileKind::Mod
        {
            own.insert(folder, file);
        }
    }
    let mut demands = Vec::new();
    for project in projects {
        let searched = is_searched(project, search);
        let findings = judge.findings();
        let is_wrong = |pinned: &Pinned| matches!(findings.get(pinned), Some(Finding::Wrong { .. }));
        let named: BTreeSet<Pinned> = plan::candidates(project).into_keys().collect();
        let Some(file) = project.directives.as_ref().filter(|_| searched || named.iter().any(is_wrong)) else {
            demands.push(Demand::default());
            continue;
        };
        let graph = graph::walk(judge, file, whole(&project.folder), &roots(project, file, &own), &own).await;
        let unnamed = |pinned: &&Pinned| searched && !named.contains(*pinned) && file.replaced(pinned).is_none();
        let also = graph.askers.keys().filter(unnamed).cloned().collect();
        demands.push(Demand { graph, also, covered: BTreeSet::new() });
    }
    demands
}

/// The main modules: of a workspace, those of its modules that lie below the paths.
fn roots<'a>(project: &Project, file: &'a Directives, own: &Own<'a>) -> Vec<&'a Directives> {
    if file.kind == FileKind::Mod {
        return vec![file];
    }
    let folders = file.folders.iter().map(|folder| whole(&project.folder).join(folder));
    folders.filter_map(|folder| own.get(&folder.canonicalize().ok()?).copied()).collect()
}

/// The folder of a file that was named without one.
fn whole(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn decide(projects: &[Project], mut demands: Vec<Demand>, findings: &plan::Findings) -> Result<Outcome> {
    let mut outcome = Outcome { judged: findings.len(), ..Outcome::default() };
    let is_work = |project: &Project| project.directives.as_ref().is_some_and(|file| file.kind == FileKind::Work);
    // A workspace comes last: what its modules replace is replaced for it too.
    let mut order: Vec<usize> = (0..projects.len()).collect();
    order.sort_by_key(|at| is_work(&projects[*at]));
    let mut covered: BTreeSet<Pinned> = BTreeSet::new();
    for at in order {
        let (project, demand) = (&projects[at], &mut demands[at]);
        if is_work(project) {
            demand.covered.clone_from(&covered);
        }
        let fixed = plan::directives(project, findings, demand)?;
        covered.extend(fixed.iter().flat_map(|fixed| fixed.changes.iter().filter_map(Change::replaced)));
        outcome.fixed.extend(fixed);
        outcome.fixed.extend(plan::sums(project, findings));
        outcome.unverified.extend(plan::unverified(project, findings));
    }
    Ok(outcome)
}

fn finish(arguments: &Arguments, outcome: &Outcome) -> Result<Exit, Failure> {
    let Outcome { fixed, unverified, judged } = outcome;
    let written = !arguments.diff && !fixed.is_empty();
    if written {
        write::write(fixed).map_err(Failure::usage)?;
    }
    let summary = Summary { fixed, unverified, judged: *judged, written };
    match (arguments.json, arguments.diff) {
        (true, diff) => println!("{}", summary.json(diff)),
        (false, true) => print::raw(&print::diff(fixed)),
        (false, false) => print!("{}", summary.text()),
    }
    if !arguments.json {
        print::warn(unverified);
    }
    Ok(match () {
        () if arguments.diff && !fixed.is_empty() => Exit::Wrong,
        () if !unverified.is_empty() => Exit::Unverified,
        () => Exit::Well,
    })
}
