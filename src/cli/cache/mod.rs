//! `modvet cache`: what is kept, beside a running server or without one.

mod accept;
mod list;
pub(super) mod print;
mod prune;
mod rm;
mod stats;
mod verify;

use clap::Subcommand;
use hyper::Method;
use serde::Serialize;

use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::error::{Error, Kind, Result};
use crate::registry::stock::Said;
use print::Output;

/// Look after what is kept: figures, entries, removal, eviction, a look at every body, what is served first.
///
/// Beside a running server its control socket is asked; without one the store is opened here. Of both the
/// configuration says which store it is, as for `modvet serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    work: Work,
}

const EXAMPLES: &str = "Examples:
  modvet cache stats
  modvet cache list --upstream corp example.com/module
  modvet cache rm example.com/module@v1.2.3
  modvet cache prune --max-size 20GiB --dry-run
  modvet cache verify
  modvet cache accept example.com/module@v1.2.3 --h1 h1:wGRKDxbQEWgB6HfG8Yq6MThKvQ0rYxCnpqdyiVCCZsE=";

#[derive(Subcommand)]
enum Work {
    Stats(stats::Arguments),
    List(list::Arguments),
    Rm(rm::Arguments),
    Prune(prune::Arguments),
    Verify(verify::Arguments),
    Accept(accept::Arguments),
}

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let mut output = Output::new();
    let done = wiring::runtime()?.block_on(until_interrupted(async {
        match arguments.work {
            Work::Stats(arguments) => stats::run(&arguments, &mut output).await,
            Work::List(arguments) => list::run(&arguments, &mut output).await,
            Work::Rm(arguments) => rm::run(&arguments, &mut output).await,
            Work::Prune(arguments) => prune::run(&arguments, &mut output).await,
            Work::Verify(arguments) => verify::run(&arguments, &mut output).await,
            Work::Accept(arguments) => accept::run(&arguments, &mut output).await,
        }
    }));
    // Who reads only the first lines has what was wanted.
    if output.is_closed() { Ok(Exit::Well) } else { done }
}

async fn open(place: &Place) -> Result<Control, Failure> {
    Control::open(place.settings().map_err(Failure::usage)?, Missing::Refuse).await
}

/// Asks for work that tells how it goes.
async fn work(
    control: &Control,
    address: &str,
    body: &impl Serialize,
    mut each: impl FnMut(Said) -> Result<()>,
) -> Result<(), Failure> {
    let lines = control.lines(Method::POST, address, Some(body), |line| {
        let said = serde_json::from_value(line);
        each(said.map_err(|error| Error::internal("the server says what this modvet does not know").because(error))?)
    });
    lines.await.map_err(refused)
}

/// What is named and not there was named wrongly.
fn refused(error: Error) -> Failure {
    match error.kind() {
        Kind::NotFound | Kind::Gone => Failure::usage(error),
        _ => error.into(),
    }
}
