//! A module proxy held against its source by canary modules: what both sides say to `list` and `latest`.
//!
//! A proxy keeps what its source deleted, and is right to: versions that only the mirror has are shown, and are no
//! divergence. The same version with another time or from another commit is one.

mod compare;
#[cfg(test)]
mod tests;

use futures_util::{StreamExt as _, stream};

pub use compare::{Compared, Seen};

use crate::error::{Error, Result};
use crate::ports::{Side, Source};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// Modules that are asked for at a time, each with up to four questions.
const AT_A_TIME: usize = 4;

/// So many failures are told one by one.
const TOLD: usize = 3;

/// What both sides said of every canary module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// In the order of their paths.
    modules: Vec<Canary>,
}

/// What both sides said of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Canary {
    module: ModulePath,
    source: Known,
    mirror: Known,
}

/// What one side knows of a module; of one that it does not know at all, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// Ascending.
    versions: Vec<Version>,
    latest: Option<Info>,
}

impl Known {
    fn is_nothing(&self) -> bool {
        self.versions.is_empty() && self.latest.is_none()
    }
}

/// Asks both sides for all canary modules.
///
/// An error if not every module could be compared: a canary that cannot be asked for must not pass for one that is
/// well. It is [`unauthorized`](Error::is_unauthorized) where a side does not accept who we are. A module that neither
/// side knows is no canary, so it is an error too.
pub async fn look(source: &dyn Source, mirror: &dyn Source, modules: &[ModulePath]) -> Result<Sight> {
    let mut modules = modules.to_vec();
    modules.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    modules.dedup();
    let asked = modules.iter().map(|module| async move {
        let both = tokio::join!(ask(source, Side::Source, module), ask(mirror, Side::Mirror, module));
        match both {
            (Ok(source), Ok(mirror)) if source.is_nothing() && mirror.is_nothing() => Err(unknown(module)),
            (Ok(source), Ok(mirror)) => Ok(Canary { module: module.clone(), source, mirror }),
            (Err(error), Err(other)) if other.is_unauthorized() && !error.is_unauthorized() => Err(other),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    });
    // Boxed: the compiler does not see through borrowed modules in a buffered stream.
    let asked: Vec<Result<Canary>> = stream::iter(asked).buffered(AT_A_TIME).boxed().collect().await;
    let (mut seen, mut failures) = (Vec::new(), Vec::new());
    for canary in asked {
        match canary {
            Ok(canary) => seen.push(canary),
            Err(error) => failures.push(error),
        }
    }
    match failures.is_empty() {
        true => Ok(Sight { modules: seen }),
        false => Err(together(failures, modules.len())),
    }
}

async fn ask(side: &dyn Source, which: Side, module: &ModulePath) -> Result<Known> {
    let (list, latest) = tokio::join!(side.list(module), side.latest(module));
    let said = |error: Error| of_side(&error, which, module);
    let versions = unless_absent(list.map(|told| told.what)).map_err(said)?.unwrap_or_default();
    let latest = unless_absent(latest.map(|told| told.what)).map_err(said)?;
    Ok(Known { versions, latest })
}

fn unless_absent<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same failure, told of one side.
fn of_side(error: &Error, which: Side, module: &ModulePath) -> Error {
    let told = Error::new(error.kind(), format!("{}: {}", which.as_str(), error.chain())).about(module);
    let told = error.remedies().iter().fold(told, |told, line| told.remedy(line));
    if error.is_unauthorized() { told.unauthorized() } else { told }
}

fn unknown(module: &ModulePath) -> Error {
    Error::not_found("neither the source nor the mirror knows it, so it says nothing of the mirror")
        .about(module)
        .remedy("name modules in `modules` of the [[mirror]] that its source has")
}

/// What is the matter with several modules as one error: whether we are let in decides.
fn together(failures: Vec<Error>, asked: usize) -> Error {
    let count = failures.len();
    let leading = failures.iter().find(|error| error.is_unauthorized()).unwrap_or(&failures[0]).clone();
    if count == 1 && asked == 1 {
        return leading;
    }
    let told = |error: &Error| format!("{}: {}", error.subject().unwrap_or_default(), error.chain());
    let others = failures.iter().filter(|error| error.subject() != leading.subject());
    let mut words: Vec<String> = std::iter::once(&leading).chain(others).take(TOLD).map(told).collect();
    if count > TOLD {
        words.push(format!("and {} more", count - TOLD));
    }
    let what = format!("{count} of {asked} canary modules could not be compared: {}", words.join("; "));
    let error = Error::new(leading.kind(), what);
    let error = leading.remedies().iter().fold(error, |error, line| error.remedy(line));
    if leading.is_unauthorized() { error.unauthorized() } else { error }
}
