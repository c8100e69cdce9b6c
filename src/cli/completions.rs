//! `modvet completions`: what a shell completes.

use std::io::Write as _;

use clap_complete::Shell;

use super::exit::{Exit, Failure};
use crate::error::Error;

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Which one
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "Examples:
  modvet completions bash > ~/.local/share/bash-completion/completions/modvet
  modvet completions zsh > \"${fpath[1]}/_modvet\"
  modvet completions fish > ~/.config/fish/completions/modvet.fish
  modvet completions powershell >> $PROFILE";

/// `command` is all of modvet.
pub fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "modvet", &mut text);
    let written = std::io::stdout().lock().write_all(&text);
    written.map_err(|error| Failure::from(Error::internal("the completions cannot be written").because(error)))?;
    Ok(Exit::Well)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut crate::cli::program(), "modvet", &mut text);
            let text = String::from_utf8(text).expect("a script is text");
            for command in ["serve", "check", "resolve", "cache", "prune", "prefetch", "completions"] {
                assert!(text.contains(command), "{shell}: {command} is missing");
            }
            assert!(text.contains("keep-days"), "{shell}: a flag is missing");
        }
    }
}
