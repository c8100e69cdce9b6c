//! `modvet config`: is the configuration right, and what does it say?

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::environment::{self, Sources};
use super::exit::{Exit, Failure};
use super::serve::exposure;
use super::tls;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::net::Secret;
use crate::registry::catalog::Seal;
use crate::registry::definition::SecretRef;

/// Check the configuration, or show what counts.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  modvet config check /etc/modvet.toml
  modvet config show --config /etc/modvet.toml
  modvet config show --json";

#[derive(Subcommand)]
enum Command {
    /// Say all that is wrong with a file, each with its line; exit code 2 if anything is
    ///
    /// Secrets that cannot be read here are warnings: they may well be there where the server runs. So are files of
    /// `[tls]` that this user may not read; what else is wrong with them is a fault, as for modvet serve.
    #[command(after_help = "Example:\n  modvet config check /etc/modvet.toml")]
    Check {
        /// The file [default: what counts without one]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The same, as other commands name it
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
    },
    /// Print the settings that count, every default included, secrets as references only
    #[command(after_help = "Example:\n  modvet config show --config /etc/modvet.toml")]
    Show {
        /// Read the configuration from this file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Ask these upstreams, in the syntax of GOPROXY
        #[arg(long, value_name = "LIST")]
        upstream: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Check { file, config } => check(file.or(config).as_deref()),
        Command::Show { config, upstream, json } => show(config.as_deref(), upstream.as_deref(), json),
    }
}

fn sources<'a>(config: Option<&'a Path>, upstream: Option<&'a str>) -> Sources<'a> {
    let store = environment::variable("MODVET_STORE").map_or_else(|| PathBuf::from("modvet-data"), PathBuf::from);
    Sources { config, upstream, store }
}

fn check(file: Option<&Path>) -> Result<Exit, Failure> {
    let text = file.map(environment::read).transpose().map_err(Failure::usage)?.unwrap_or_default();
    let name = file.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string());
    let settings = match environment::read_settings(&text, sources(None, None)) {
        Ok(settings) => settings,
        Err(faults) => {
            for fault in faults {
                println!("{name}: {fault}");
            }
            return Ok(Exit::Usage);
        }
    };
    let mut is_well = true;
    for (what, reference, is_key) in secrets(&settings) {
        match environment::secret(reference).map(|text| (text.is_empty(), Seal::new(&Secret::new(text)))) {
            Ok((_, Err(error))) if is_key => {
                println!("{name}: {what}: {error}");
                is_well = false;
            }
            Ok((true, _)) => println!("{name}: warning: {what}: it is empty (expected a token)"),
            Ok(_) => {}
            Err(error) => println!("{name}: warning: {what}: {error}"),
        }
    }
    if let Some(Err(error)) = settings.tls.files().map(|named| tls::files(named).check()) {
        // A key may be there for the server's user alone, who is another one than the one that checks.
        let is_hidden = error.kind() == Kind::Forbidden;
        println!("{name}: {}{error}", if is_hidden { "warning: " } else { "" });
        is_well &= is_hidden;
    }
    if let Some(error) = tls::missing_proxies(&settings) {
        println!("{name}: warning: {error}");
    }
    for definition in settings.mirrors.iter().map(|mirror| &mirror.definition) {
        if let Some(doubt) = definition.doubt() {
            println!("{name}: warning: mirror {}: {doubt}", definition.name);
        }
    }
    if let Err(error) = exposure(&settings).admit(None) {
        // `--open` may say otherwise.
        println!("{name}: warning: {error}");
    }
    if !is_well {
        return Ok(Exit::Usage);
    }
    let (upstreams, registries) = (settings.upstreams.len(), settings.file().registry.len());
    println!("{name}: well, upstreams: {upstreams}, registries: {registries}");
    Ok(Exit::Well)
}

/// Every secret that the settings name, and whether it is the store's key.
fn secrets(settings: &Settings) -> Vec<(String, &SecretRef, bool)> {
    let key = settings.store.key.iter().map(|key| ("store.key".to_owned(), key, true));
    let api = [("api.admin_token", &settings.api.admin_token), ("api.refresh_secret", &settings.api.refresh_secret)];
    let api = api.into_iter().filter_map(|(name, secret)| Some((name.to_owned(), secret.as_ref()?, false)));
    let auths = settings.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.auth.as_ref()?)));
    let auths = auths.map(|(upstream, auth)| (format!("upstream {}: auth", upstream.name), &auth.secret, false));
    key.chain(api).chain(auths).chain(mirrors(settings)).collect()
}

/// Those of mirrors.
fn mirrors(settings: &Settings) -> impl Iterator<Item = (String, &SecretRef, bool)> {
    settings.mirrors.iter().flat_map(|mirror| {
        let auths = [("source_auth", &mirror.source_auth), ("mirror_auth", &mirror.mirror_auth)];
        let named = auths.into_iter().filter_map(|(key, auth)| Some((key, auth.as_ref()?)));
        named.map(|(key, auth)| (format!("mirror {}: {key}", mirror.definition.name), &auth.secret, false))
    })
}

fn show(config: Option<&Path>, upstream: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let file = environment::settings(sources(config, upstream)).map_err(Failure::usage)?.file();
    let unprintable = |error: &dyn std::fmt::Display| Error::internal(format!("the settings do not print: {error}"));
    let text = match json {
        true => serde_json::to_string_pretty(&file).map_err(|error| unprintable(&error))? + "\n",
        false => toml::to_string(&file).map_err(|error| unprintable(&error))?,
    };
    print!("{text}");
    Ok(Exit::Well)
}
