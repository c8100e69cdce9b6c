//! `modvet cache accept`

use hyper::Method;
use serde_json::json;

use super::print::Output;
use super::{open, refused};
use crate::access::ledger::Accepted;
use crate::cli::control::Place;
use crate::cli::exit::{Exit, Failure};
use crate::error::{Error, Result};

/// Let another content of a version in than the one that was served first.
///
/// A registry serves only the first content of a version and refuses any other. This puts the one with
/// the given hash in its place, for a file of which it was refused; `modvet cache verify` shows
/// the refusals. The hash that stands there already confirms the commit of a tag that moved, and settles what was refused.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The version
    #[arg(value_name = "MODULE@VERSION")]
    subject: String,
    /// The hash of the content that is right, as the refusal and go.sum have it
    #[arg(long, value_name = "HASH")]
    h1: String,
    /// Only of this file; found from the refusals if left out
    #[arg(long, value_name = "FILE", value_parser = ["mod", "zip"])]
    file: Option<String>,
    /// In this registry
    #[arg(long, value_name = "NAME", default_value = "default")]
    registry: String,
    /// Also a hash that never came; it wants --file
    #[arg(long, requires = "file")]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet cache accept example.com/m@v1.2.3 --h1 h1:wGRKDxbQEWgB6HfG8Yq6MThKvQ0rYxCnpqdyiVCCZsE=
  modvet cache accept example.com/m@v1.2.3 --h1 h1:wGRKDxbQEWgB6HfG8Yq6MThKvQ0rYxCnpqdyiVCCZsE= --registry ci";

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place).await?;
    let body = json!({
        "subject": arguments.subject,
        "h1": arguments.h1,
        "file": arguments.file,
        "registry": arguments.registry,
        "force": arguments.force,
    });
    let answer = control.ask(Method::POST, "/api/v1/cache/accept", Some(&body)).await.map_err(refused)?;
    if arguments.json {
        output.line(&format!("{answer:#}"))?;
        return Ok(Exit::Well);
    }
    let accepted: Accepted = serde_json::from_value(answer)
        .map_err(|error| Error::internal("the server says what this modvet does not know").because(error))?;
    let Accepted { registry, module, version, file, was, now, commit } = accepted;
    output.line(&format!("{module}@{version} .{} in registry {registry}", file.as_str()))?;
    output.line(&format!("  was {was}\n  now {now}"))?;
    if let Some(commit) = commit {
        output.line(&format!("  of commit {commit}"))?;
    }
    Ok(Exit::Well)
}
