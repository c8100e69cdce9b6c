//! The commands. Knows everything; nothing knows it.
//! `wiring` alone names adapters; every command parses, calls, prints, and ends with an exit code.
//! Commands and exit codes: DESIGN.md; `modvet help`.

mod alternates;
mod audit;
mod auth;
mod build;
mod cache;
mod check;
mod clock;
mod completions;
mod config;
mod control;
mod drift;
mod environment;
mod exit;
mod explain;
mod files;
mod fix;
mod go_env;
mod heap;
mod identity;
mod logging;
mod mirror;
mod notices;
mod prefetch;
mod reach;
mod reload;
mod resolve;
mod rules;
mod serve;
mod server;
mod stock;
mod tls;
mod token;
mod upstreams;
mod watch;
mod wiring;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Exit;

/// A Go module proxy that vets every version it serves.
///
/// Set GOPROXY to a running `modvet serve` and work as before: public modules come through an
/// upstream proxy, private ones straight from git, commits get canonical pseudo-versions, and wrong
/// pseudo-versions are answered with the right one.
#[derive(Parser)]
#[command(name = "modvet", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  modvet serve --upstream \"$(go env GOPROXY)\"
  GOPROXY=http://127.0.0.1:3000 go get example.com/module@latest
  modvet check
  modvet resolve github.com/owner/repository@main
  modvet explain example.com/module@v1.0.1-0.20190813064442-fde4db37ae7a
  modvet fix --diff

Exit codes: 0 all well, 1 something is wrong with what was checked, 2 bad usage or configuration,
3 could not be verified (network, unknown revision).";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Check(check::Arguments),
    Explain(explain::Arguments),
    Resolve(resolve::Arguments),
    Fix(fix::Arguments),
    Config(config::Arguments),
    Cache(cache::Arguments),
    Rules(rules::Arguments),
    Prefetch(prefetch::Arguments),
    Mirror(mirror::Arguments),
    Token(token::Arguments),
    Auth(auth::Arguments),
    Audit(audit::Arguments),
    Completions(completions::Arguments),
}

/// All of modvet, as clap knows it.
fn program() -> clap::Command {
    Arguments::command()
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    heap::settle();
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Resolve(arguments) => resolve::run(arguments),
        Command::Fix(arguments) => fix::run(arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Cache(arguments) => cache::run(arguments),
        Command::Rules(arguments) => rules::run(arguments),
        Command::Prefetch(arguments) => prefetch::run(&arguments),
        Command::Mirror(arguments) => mirror::run(arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Auth(arguments) => auth::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut program()),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
