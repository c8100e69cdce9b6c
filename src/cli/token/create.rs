//! `modvet token create`

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{open, refused, strange};
use crate::access::{Lifetime, Right, TokenView};
use crate::cli::cache::print::Output;
use crate::cli::control::{Missing, Place};
use crate::cli::exit::{Exit, Failure};
use crate::error::Result;

/// Make a token; it is shown this once and never again.
///
/// The token alone goes to standard output, what it opens to standard error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What it opens: `read` gets modules, `admin` changes what is served too
    #[arg(long, value_name = "SCOPE")]
    scope: Scope,
    /// Only this registry; it sees nothing of any other
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// For how long: a time such as 90d, or never
    #[arg(long, value_name = "TIME", default_value = "90d")]
    expires: String,
    /// For people, and for the log
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Print JSON, the token in it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet token create --scope read --label ci
  modvet token create --scope read --registry ci --expires 30d > token
  modvet token create --scope admin --expires never --json";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Scope {
    Read,
    Admin,
}

#[derive(Deserialize)]
struct Created {
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let scope = match arguments.scope {
        Scope::Read => Right::Read,
        Scope::Admin => Right::Admin,
    };
    let life: Result<Lifetime> = arguments.expires.parse();
    life.map_err(|error| Failure::usage(error.about("--expires")))?;
    let control = open(&arguments.place, Missing::Make).await?;
    let body = json!({
        "scope": scope,
        "registry": arguments.registry,
        "expires": arguments.expires,
        "label": arguments.label,
    });
    let answer = control.ask(Method::POST, "/api/v1/tokens", Some(&body)).await.map_err(refused)?;
    control.tell_made();
    if arguments.json {
        output.json(&answer)?;
        return Ok(Exit::Well);
    }
    let Created { token, view } = serde_json::from_value(answer).map_err(strange)?;
    output.line(&token)?;
    eprintln!("{}", described(&view));
    Ok(Exit::Well)
}

fn described(view: &TokenView) -> String {
    let mut text = format!("token {}", view.id);
    if !view.label.is_empty() {
        text.push_str(&format!(" ({})", view.label));
    }
    text.push_str(&format!(": scope {}", view.scope.as_str()));
    match &view.registry {
        Some(registry) => text.push_str(&format!(", registry {registry} alone")),
        None => text.push_str(", all registries"),
    }
    match view.expires_at {
        Some(end) => text.push_str(&format!(", until {}", end.format("%Y-%m-%dT%H:%M:%SZ"))),
        None => text.push_str(", never expires"),
    }
    text.push_str("\nit is shown this once: keep it where only its user reads it");
    if view.scope == Right::Read {
        text.push_str("\nfrom now on nobody reads without a token, unless open = true or --open says so");
    }
    text
}
