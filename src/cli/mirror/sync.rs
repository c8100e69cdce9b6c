//! `modvet mirror sync`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use hyper::Method;
use serde_json::json;
use tokio::sync::oneshot;

use super::print::short;
use super::{open, read, refused, segment};
use crate::cli::cache::print::{Bar, Cell, Output, count, plain, size};
use crate::cli::control::{Control, Missing, Place};
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};
use crate::monitor::{Plan, Planned, Said, Sync, Synced, UpdateKind};
use crate::ports::Transfer;

/// Make a mirror what its source is, by hand: fetch from the source, push to the mirror.
///
/// What would be done is shown first, and done when it is confirmed. A ref that diverged is overwritten with --force
/// alone, one that the source does not have is deleted with --prune alone. Ctrl-C leaves the mirror whole.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[arg(value_name = "NAME")]
    name: String,
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Overwrite what diverged: the mirror loses what its source does not have
    #[arg(long)]
    force: bool,
    /// Delete what the source does not have
    #[arg(long)]
    prune: bool,
    /// Print JSON: the plan, then what came of it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet mirror sync python-gitlab --dry-run
  modvet mirror sync python-gitlab
  modvet mirror sync python-gitlab --yes --prune

Exit codes: 0 the mirror is what its source is, or --dry-run; 1 something was left out, refused or has diverged; 2 bad
usage; 3 a side could not be reached, or Ctrl-C.";

/// So many refs are shown one by one.
const SHOWN: usize = 50;

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place, Missing::Make).await?;
    let target = format!("/api/v1/mirrors/{}/plan", segment(&arguments.name));
    let plan: Plan = read(control.ask(Method::POST, &target, None::<&()>).await.map_err(refused)?)?;
    match arguments.json {
        true => output.json(&json!({ "plan": plan }))?,
        false => show(&plan, arguments, output)?,
    }
    if arguments.dry_run {
        return Ok(Exit::Well);
    }
    let meant: Vec<&Planned> = plan.updates.iter().filter(|planned| arguments.means(planned)).collect();
    if meant.is_empty() {
        // What only --prune would delete was said, and is no fault.
        return Ok(Exit::Well);
    }
    // What will be refused needs no question: who refuses says why.
    if !meant.iter().any(|planned| arguments.loses(planned)) {
        confirm(arguments, meant.len()).await?;
    }
    // Whoever said beforehand that it may be done did not say it of this plan.
    let agreed = (!arguments.yes).then_some(&*plan.digest);
    let synced = sync(&control, arguments, agreed).await?;
    if arguments.json {
        output.json(&Said::Synced(Box::new(synced.clone())))?;
    } else {
        tell(&synced, output)?;
    }
    let is_refused = synced.updated.iter().any(|updated| updated.refused.is_some());
    Ok(if is_refused || synced.status.condition.is_bad() { Exit::Wrong } else { Exit::Well })
}

impl Arguments {
    /// Whether an update is asked for.
    fn means(&self, planned: &Planned) -> bool {
        self.prune || planned.kind != UpdateKind::Delete
    }

    /// Whether something would be lost that nobody said may be.
    fn loses(&self, planned: &Planned) -> bool {
        self.means(planned) && planned.is_diverged && !self.force
    }
}

fn show(plan: &Plan, arguments: &Arguments, output: &mut Output) -> Result<()> {
    output.line(&format!("{}: {} -> {}", plan.name, plan.source, plan.mirror))?;
    if plan.updates.is_empty() {
        return output.line("both are the same: there is nothing to do");
    }
    let mut rows = vec![["", "REF", "ON THE MIRROR", "TO BE", "COMMITS"].map(Cell::text).to_vec()];
    rows.extend(plan.updates.iter().take(SHOWN).map(|planned| row(planned, arguments)));
    output.table(&rows)?;
    if plan.updates.len() > SHOWN {
        output.line(&format!("and {} more", plan.updates.len() - SHOWN))?;
    }
    let number = |which: &dyn Fn(&Planned) -> bool| plan.updates.iter().filter(|planned| which(planned)).count();
    let (left, lost) = (number(&|planned| !arguments.means(planned)), number(&|planned| arguments.loses(planned)));
    if left > 0 {
        output.line(&format!("left: {} that the source does not have; --prune deletes them", refs(left)))?;
    }
    if lost > 0 {
        output.line(&format!("diverged: {}; --force overwrites what the mirror alone has", refs(lost)))?;
    }
    if plan.is_source_empty {
        output.line("the source has no such ref at all: is it the right address?")?;
    }
    Ok(())
}

fn row(planned: &Planned, arguments: &Arguments) -> Vec<Cell> {
    let Planned { update, kind, behind_commits, ahead_commits, .. } = planned;
    let id = |id: &Option<crate::spec::info::ObjectId>| {
        id.as_ref().map_or_else(|| "-".to_owned(), |id| short(&id.to_string()).to_owned())
    };
    let what = match () {
        () if arguments.loses(planned) => "diverged",
        () if !arguments.means(planned) => "left",
        () => kind.as_str(),
    };
    let commits = match (behind_commits, ahead_commits) {
        (None, None) => "?".to_owned(),
        (behind, ahead) => {
            let behind = behind.filter(|behind| *behind > 0).map(|behind| format!("+{behind}"));
            let ahead = ahead.filter(|ahead| *ahead > 0).map(|ahead| format!("-{ahead}"));
            behind.into_iter().chain(ahead).collect::<Vec<_>>().join(" ")
        }
    };
    vec![
        Cell::text(what),
        Cell::text(&update.name),
        Cell::text(id(&update.from)),
        Cell::text(id(&update.to)),
        Cell::text(commits),
    ]
}

fn refs(number: usize) -> String {
    count(number as u64, "ref", "refs")
}

/// Nothing is pushed that nobody agreed to.
async fn confirm(arguments: &Arguments, number: usize) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || arguments.json {
        let error = Error::gone("nobody is there to be asked").remedy("--yes does it, --dry-run only shows it");
        return Err(Failure::usage(error));
    }
    eprint!("update {} of the mirror? [y/N] ", refs(number));
    // Whether the question can be seen does not change the answer.
    let _ = std::io::stderr().flush();
    let (answered, answer) = oneshot::channel();
    // A thread that nobody waits for: Ctrl-C is an answer, too.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        // Whoever asked may be gone.
        let _ = answered.send(read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
    });
    match answer.await {
        Ok(true) => Ok(()),
        _ => Err(Failure { exit: Exit::Wrong, error: Error::unavailable("nothing was done") }),
    }
}

async fn sync(control: &Control, arguments: &Arguments, agreed: Option<&str>) -> Result<Synced, Failure> {
    let body = Sync { force: arguments.force, prune: arguments.prune, plan: agreed.map(str::to_owned) };
    let target = format!("/api/v1/mirrors/{}/sync", segment(&arguments.name));
    let (bar, mut synced) = (Bar::new(), None);
    let done = control.lines(Method::POST, &target, Some(&body), |line| {
        match read(line)? {
            Said::Progress(Transfer::Fetching { bytes }) => bar.spin(&format!("fetching {}", size(bytes))),
            Said::Progress(Transfer::Packing { done, all }) => bar.show(done, all, "packing"),
            Said::Progress(Transfer::Pushing { done, all }) => bar.show(done, all, "pushing"),
            Said::Synced(came) => synced = Some(*came),
            Said::Checked(_) => {}
        }
        Ok(())
    });
    let done = done.await;
    bar.clear();
    done.map_err(refused)?;
    Ok(synced.ok_or_else(|| Error::unavailable("the server did not say what came of it"))?)
}

fn tell(synced: &Synced, output: &mut Output) -> Result<()> {
    let (well, refused): (Vec<_>, Vec<_>) = synced.updated.iter().partition(|updated| updated.refused.is_none());
    for updated in &refused {
        let words = updated.refused.as_deref().unwrap_or_default();
        output.line(&plain(&format!("refused: {}: {words}", updated.name)))?;
    }
    output.line(&format!("updated: {}", refs(well.len())))?;
    output.line(&plain(&format!("{}: {}", synced.status.name, synced.status.summary)))
}
