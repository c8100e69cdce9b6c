//! The log: one line an event on standard error.

mod gathered;
mod request;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

pub use gathered::before_sleep;

use crate::error::{Error, Result};

/// The variable that says what is logged.
const VARIABLE: &str = "MODVET_LOG";

/// Starts logging at `default` unless the environment says otherwise.
pub fn start(default: &str) -> Result<()> {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Error::gone(format!("{VARIABLE}: {wanted:?}"))
            .because(error)
            .remedy("write a level or filter such as info or modvet=debug")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(gathered::Lines)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(request::Lines::new(tracing_subscriber::fmt::format().with_target(false)));
    log.try_init().map_err(|_| Error::internal("the log was started twice"))
}
