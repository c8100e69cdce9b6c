//! How a command ends.

use std::process::ExitCode;

use crate::error::{Error, Kind};

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Well = 0,
    /// Something is wrong with what was checked.
    Wrong = 1,
    /// Bad usage or configuration.
    Usage = 2,
    /// Could not be verified, and nothing was found wrong.
    Unverified = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub error: Error,
}

impl Failure {
    /// The user's own words or files are at fault.
    pub fn usage(error: Error) -> Failure {
        Failure { exit: Exit::Usage, error }
    }

    /// Prints `modvet: …` on standard error.
    pub fn report(self) -> ExitCode {
        eprintln!("modvet: {}", self.error);
        self.exit.into()
    }
}

/// What went wrong while working: a name that is wrong, or something that could not be found out.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = match error.kind() {
            Kind::Wrong => Exit::Wrong,
            Kind::Gone => Exit::Usage,
            _ => Exit::Unverified,
        };
        Failure { exit, error }
    }
}
