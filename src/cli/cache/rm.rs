//! `modvet cache rm`

use indicatif::ProgressBar;
use serde_json::json;

use super::print::{Output, count, gone, size};
use super::{open, work};
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};
use crate::registry::stock::{Removed, Said};

/// Remove what is kept of a module, of one version, or of an upstream; it is fetched anew when somebody asks.
///
/// A module is bound, per registry, to the upstream that answered first; --binding takes that away, so that
/// all upstreams are asked again.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What is kept of this module, or of one version of it; MODULE/... is all modules below
    #[arg(value_name = "MODULE[@VERSION]")]
    subject: Option<String>,
    /// Only what this upstream said; without a module all of it, its git repositories too
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// The binding of this module, in every registry if none is named
    #[arg(long, value_name = "MODULE")]
    binding: Option<String>,
    /// Only the binding in this registry
    #[arg(long, value_name = "NAME", requires = "binding")]
    registry: Option<String>,
    /// Say what would go, and leave it
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one entry a line, then a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache rm example.com/module@v1.2.3
  modvet cache rm --upstream corp --dry-run
  modvet cache rm --binding example.com/module
  modvet cache rm --registry ci --binding example.com/module";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.subject.is_none() && arguments.upstream.is_none() && arguments.binding.is_none() {
        let error = Error::gone("nothing is named that is to go");
        return Err(Failure::usage(error.remedy("name MODULE[@VERSION], --upstream NAME or --binding MODULE")));
    }
    let control = open(&arguments.place).await?;
    let body = json!({
        "subject": arguments.subject,
        "upstream": arguments.upstream,
        "binding": arguments.binding,
        "registry": arguments.registry,
        "dry_run": arguments.dry_run,
    });
    let bar = ProgressBar::new_spinner().with_message("removing");
    let done = work(&control, "/api/v1/cache/rm", &body, |said| {
        bar.tick();
        if arguments.json {
            return bar.suspend(|| output.json(&said));
        }
        if let (true, Some(line)) = (arguments.dry_run, gone(&said)) {
            bar.suspend(|| output.line(&line))?;
        }
        if let Said::Removed(removed) = said {
            bar.suspend(|| output.line(&summary(&removed)))?;
        }
        Ok(())
    });
    let done = done.await;
    bar.finish_and_clear();
    done.map(|()| Exit::Well)
}

fn summary(removed: &Removed) -> String {
    let mut parts = Vec::new();
    if removed.entries > 0 {
        parts.push(format!("{} ({})", count(removed.entries, "entry", "entries"), size(removed.bytes)));
    }
    if removed.repositories > 0 {
        let number = count(removed.repositories, "git repository", "git repositories");
        parts.push(format!("{number} ({})", size(removed.repository_bytes)));
    }
    if !removed.bindings.is_empty() {
        parts.push(format!("the binding in {}", removed.bindings.join(", ")));
    }
    match (parts.is_empty(), removed.dry_run) {
        (true, _) => "nothing of it is kept".to_owned(),
        (false, true) => format!("would be removed: {}", parts.join(", ")),
        (false, false) => format!("removed: {}", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;
    use crate::http::tests::{World, start};

    #[tokio::test]
    async fn the_command_that_clients_of_a_named_registry_are_told_is_one() {
        let world = World::new();
        world.public.publish("example.com/m", "v1.0.0", b"zip");
        let running = start(&world).await;
        for (base, registry) in [("", None), ("/registries/ci", Some("ci"))] {
            running.get(&format!("{base}/example.com/m/@v/v1.0.0.info")).await;
            let refused = running.get(&format!("{base}/example.com/m/@v/v9.0.0.info")).await;
            let text = refused.text().to_owned();
            let (_, told) = text.split_once("modvet cache rm").expect("the way out");
            let line = told.lines().next().expect("a line");
            let matches = Arguments::augment_args(Command::new("rm")).no_binary_name(true);
            let matches = matches.try_get_matches_from(line.split_whitespace()).expect("a command that there is");
            let arguments = Arguments::from_arg_matches(&matches).expect("its arguments");
            assert_eq!(arguments.binding.as_deref(), Some("example.com/m"), "{text}");
            assert_eq!(arguments.registry.as_deref(), registry, "{text}");
        }
    }
}
