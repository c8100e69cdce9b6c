//! `modvet token`: who may ask, beside a running server or without one.

mod create;
mod list;

use clap::Subcommand;
use hyper::Method;

use super::cache::print::Output;
use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::error::{Error, Kind};

/// Make, list and revoke the tokens with which clients ask.
///
/// Beside a running server its control socket is asked, and what changes counts at once; without one the store is
/// opened here. With the first token for reading, nobody reads without one any more, unless `open` says so.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    work: Work,
}

const EXAMPLES: &str = "Examples:
  modvet token create --scope read --label ci
  modvet token create --scope read --registry ci --expires 30d
  modvet token create --scope admin --expires never --json
  modvet token list
  modvet token revoke 0a1b2c3d";

#[derive(Subcommand)]
enum Work {
    Create(create::Arguments),
    List(list::Arguments),
    Revoke(Revoke),
}

/// Take a token back, at once and for ever.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  modvet token revoke 0a1b2c3d")]
struct Revoke {
    /// As `modvet token list` shows it: the digits between the first two underscores
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
}

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let mut output = Output::new();
    let done = wiring::runtime()?.block_on(until_interrupted(async {
        match arguments.work {
            Work::Create(arguments) => create::run(&arguments, &mut output).await,
            Work::List(arguments) => list::run(&arguments, &mut output).await,
            Work::Revoke(arguments) => revoke(&arguments, &mut output).await,
        }
    }));
    // Who reads only the first lines has what was wanted.
    if output.is_closed() { Ok(Exit::Well) } else { done }
}

async fn revoke(arguments: &Revoke, output: &mut Output) -> Result<Exit, Failure> {
    let id = arguments.id.trim();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        // A whole token is never repeated.
        let error = Error::gone("this is no id (expected 8 digits)").remedy("modvet token list shows all of them");
        return Err(Failure::usage(error));
    }
    let control = open(&arguments.place, Missing::Refuse).await?;
    let done = control.ask(Method::DELETE, &format!("/api/v1/tokens/{id}"), None::<&()>).await;
    done.map_err(|error| refused(error.remedy("modvet token list shows all of them")))?;
    output.line(&format!("revoked: {id}"))?;
    Ok(Exit::Well)
}

async fn open(place: &Place, missing: Missing) -> Result<Control, Failure> {
    Control::open(place.settings().map_err(Failure::usage)?, missing).await
}

/// What is named and not there was named wrongly.
fn refused(error: Error) -> Failure {
    match error.kind() {
        Kind::NotFound | Kind::Gone => Failure::usage(error),
        _ => error.into(),
    }
}

/// An answer of another modvet.
fn strange(error: serde_json::Error) -> Error {
    Error::internal("the server says what this modvet does not know").because(error)
}
