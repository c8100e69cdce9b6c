//! `modvet token list`

use hyper::Method;
use serde::Deserialize;

use super::{open, refused, strange};
use crate::access::TokenView;
use crate::cli::cache::print::{Cell, Output, age};
use crate::cli::clock::SystemClock;
use crate::cli::control::{Missing, Place};
use crate::cli::exit::{Exit, Failure};
use crate::error::Result;
use crate::ports::Clock as _;

/// List the tokens: what they open, until when, when they were used last.
///
/// What has expired or was revoked is shown for 90 days more.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  modvet token list --config /etc/modvet.toml")]
pub struct Arguments {
    /// Print JSON, one token a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Listed {
    tokens: Vec<TokenView>,
}

pub async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let control = open(&arguments.place, Missing::Refuse).await?;
    let answer = control.ask(Method::GET, "/api/v1/tokens", None::<&()>).await.map_err(refused)?;
    let Listed { tokens } = serde_json::from_value(answer).map_err(strange)?;
    if arguments.json {
        for token in &tokens {
            output.json(token)?;
        }
        return Ok(Exit::Well);
    }
    if tokens.is_empty() {
        output.line("there is no token: modvet token create makes one")?;
        return Ok(Exit::Well);
    }
    let now = SystemClock.now();
    let head = ["ID", "STATE", "SCOPE", "REGISTRY", "UNTIL", "USED", "LABEL"];
    let mut rows = vec![head.map(Cell::text).to_vec()];
    rows.extend(tokens.iter().map(|token| {
        let until = token.revoked_at.or(token.expires_at);
        vec![
            Cell::text(&token.id),
            Cell::text(token.state.as_str()),
            Cell::text(token.scope.as_str()),
            Cell::text(token.registry.as_deref().unwrap_or("all")),
            Cell::text(until.map_or_else(|| "never".to_owned(), |end| end.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
            Cell::text(token.last_used.map_or_else(|| "never".to_owned(), |used| format!("{} ago", age(now, used)))),
            Cell::text(&token.label),
        ]
    }));
    output.table(&rows)?;
    Ok(Exit::Well)
}
