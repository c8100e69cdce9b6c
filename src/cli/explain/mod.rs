//! `modvet explain`: why a version is right or wrong, and which is the right one.

mod page;
mod walk;

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;

use super::exit::{Exit, Failure};
use super::reach::Reach;
use super::{environment, logging, server, wiring};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::spec::explanation::Explanation;
use crate::spec::path::ModulePath;
use crate::spec::verdict::Standing;
use crate::spec::version::Version;
use page::Ink;

/// Say why a version is right or wrong, and which is the right one.
///
/// Takes the version apart, shows every rule with what was found, the tags around the commit, and the
/// commands that put the right version in. Exit code 1 for a wrong version, 3 for one that could not be
/// verified. Colours are left out in a pipe and where NO_COLOR is set.
///
/// With --walk it says instead which upstreams a request for MODULE@QUERY asks, which not, and why; MODULE
/// alone is the list of its versions. Exit code 1 for a wrong version, 3 where nobody answers.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The version to explain, such as example.com/module@v0.0.0-20190813064441-fde4db37ae7a
    #[arg(value_name = "MODULE@VERSION")]
    subject: String,
    /// Tell the walk over the upstreams to the answer
    #[arg(long)]
    walk: bool,
    /// Print JSON: the verdict as /api/v1/verdicts/ answers it, the walk as /api/v1/walk/
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

const EXAMPLES: &str = "Examples:
  modvet explain example.com/module@v1.0.1-0.20190813064442-fde4db37ae7a
  modvet explain --json --proxy http://127.0.0.1:3000 example.com/module@v1.2.3
  modvet explain --walk --proxy http://127.0.0.1:3000/registries/ci example.com/module@latest";

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    if arguments.walk {
        return walk::run(&arguments);
    }
    let (module, version) = parse(&arguments.subject).map_err(Failure::usage)?;
    let settings = arguments.reach.settings().map_err(Failure::usage)?;
    let runtime = wiring::runtime()?;
    let explanation = runtime.block_on(explain(settings, arguments.reach.proxy.as_deref(), &module, &version))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&explanation).expect("strings and times always serialize"));
    } else {
        let plain = environment::variable("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
        print!("{}", page::of(&explanation, if plain { Ink::Plain } else { Ink::Colour }));
    }
    Ok(match explanation.verdict.standing {
        Standing::Canonical | Standing::Valid => Exit::Well,
        Standing::Wrong => Exit::Wrong,
        Standing::Unverifiable => Exit::Unverified,
    })
}

/// Splits `MODULE@VERSION`.
fn parse(subject: &str) -> Result<(ModulePath, Version)> {
    let remedy = "write for example example.com/module@v0.0.0-20190813064441-fde4db37ae7a";
    let Some((module, version)) = subject.split_once('@').filter(|(_, version)| !version.is_empty()) else {
        return Err(Error::gone(format!("{subject:?}: no version (expected MODULE@VERSION)")).remedy(remedy));
    };
    let module = ModulePath::parse(module)?;
    let parsed = Version::parse(version).ok_or_else(|| {
        Error::gone(format!("{version:?} is no canonical version"))
            .about(&module)
            .remedy(format!("modvet resolve {subject} says which version it stands for"))
    })?;
    Ok((module, parsed))
}

async fn explain(
    settings: Settings,
    proxy: Option<&str>,
    module: &ModulePath,
    version: &Version,
) -> Result<Explanation> {
    let looking = spinner(format!("looking at {module}@{version}"));
    let explanation = asked_or_found(settings, proxy, module, version).await;
    looking.finish_and_clear();
    explanation
}

/// A sign of life on a terminal, nothing in a pipe.
fn spinner(message: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

async fn asked_or_found(
    settings: Settings,
    proxy: Option<&str>,
    module: &ModulePath,
    version: &Version,
) -> Result<Explanation> {
    if let Some(base) = proxy
        && let Some(explanation) = server::explanation(&wiring::client(&settings)?, base, module, version).await?
    {
        return Ok(explanation);
    }
    wiring::open(settings, wiring::Lock::Wait).await?.counter.registry.explain(module, version).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_a_module_and_a_version() {
        let (module, version) = parse("example.com/M@v1.2.3").expect("both");
        assert_eq!((module.as_str(), version.as_str()), ("example.com/M", "v1.2.3"));
        for (subject, expected) in [
            ("example.com/m", "\"example.com/m\": no version (expected MODULE@VERSION)"),
            ("example.com/m@main", "\"main\" is no canonical version"),
            ("example.com/m@v1", "\"v1\" is no canonical version"),
            ("m@v1.0.0", "malformed module path \"m\": missing dot in first path element"),
        ] {
            assert_eq!(parse(subject).expect_err(subject).what(), expected);
        }
    }
}
