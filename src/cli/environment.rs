//! What the environment says, read once at the edge.

use std::path::{Path, PathBuf};

use super::go_env::go_variable;
use crate::config::{Given, Settings, list};
use crate::error::{Error, Result};
use crate::registry::definition::{SecretRef, UpstreamDefinition, UpstreamKind};
use crate::spec::database::NamedDatabase;

/// The largest configuration, netrc or secret file that is read.
const FILE_LIMIT: u64 = 1 << 20;

/// Where the settings of a command come from.
pub struct Sources<'a> {
    pub config: Option<&'a Path>,
    pub upstream: Option<&'a str>,
    /// Where the store lies if the file does not say.
    pub store: PathBuf,
}

/// The settings, with the upstreams in the order of the walk.
pub fn settings(sources: Sources<'_>) -> Result<Settings> {
    let text = match sources.config {
        Some(path) => read(path)?,
        None => String::new(),
    };
    let path = sources.config;
    read_settings(&text, sources).map_err(|faults| {
        let mut faults = faults.into_iter();
        let first = faults.next().unwrap_or_else(|| Error::internal("no fault is none"));
        let Some(path) = path else { return first };
        // Who mends one by one restarts or reloads as often.
        faults.fold(first.about(path.display()), |first, fault| {
            fault.about(path.display()).to_string().lines().fold(first, |first, line| first.remedy(line))
        })
    })
}

/// The settings that a file's text stands for, or all that is wrong with it.
pub fn read_settings(text: &str, sources: Sources<'_>) -> Result<Settings, Vec<Error>> {
    let listed = sources.upstream.map(from_list).transpose().map_err(|error| vec![error])?;
    let otherwise = match go_variable("GOPROXY") {
        Some(list) => from_list(&list).map_err(|error| error.about("GOPROXY")),
        None => Ok(vec![UpstreamDefinition::new("direct", UpstreamKind::Git)]),
    };
    Settings::read(text, Given { store: sources.store, upstreams: listed, otherwise, databases: checksum_databases() })
}

/// The upstreams of a list, whose proxies are kept from what the environment calls private.
fn from_list(text: &str) -> Result<Vec<UpstreamDefinition>> {
    let private = go_variable("GONOPROXY").or_else(|| go_variable("GOPRIVATE")).unwrap_or_default();
    let patterns: Vec<String> =
        private.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
    let mut upstreams = list::parse(text)?;
    for upstream in upstreams.iter_mut().filter(|upstream| upstream.kind != UpstreamKind::Git) {
        upstream.not_modules = patterns.clone();
    }
    Ok(upstreams)
}

/// The checksum database that the go command would ask: `GOSUMDB`, else the one that is built in; none if it is off.
fn checksum_databases() -> Result<Vec<NamedDatabase>> {
    match go_variable("GOSUMDB").as_deref() {
        Some("off") => Ok(Vec::new()),
        Some(named) => Ok(vec![NamedDatabase::parse(named).map_err(|error| error.about("GOSUMDB"))?]),
        None => Ok(vec![NamedDatabase::built_in()]),
    }
}

/// The modules that the go command would not ask it for.
pub fn private_patterns() -> String {
    go_variable("GONOSUMDB").or_else(|| go_variable("GOPRIVATE")).unwrap_or_default()
}

/// The text of the user's netrc file, if there is one.
pub fn netrc() -> Result<Option<String>> {
    let named = variable("NETRC").map(PathBuf::from);
    let Some(path) = named.or_else(|| Some(dirs::home_dir()?.join(".netrc"))) else { return Ok(None) };
    if path.is_file() { read(&path).map(Some) } else { Ok(None) }
}

/// Reads a secret where the configuration says that it lies; white space around it does not count.
pub fn secret(reference: &SecretRef) -> Result<String> {
    let text = match reference {
        SecretRef::File(path) => read(path)?,
        SecretRef::Environment(name) => variable(name).ok_or_else(|| {
            Error::gone(format!("environment variable {name} is not set")).remedy("set it to the token")
        })?,
        SecretRef::Given(secret) => secret.expose().to_owned(),
        SecretRef::Sealed(_) => return Err(Error::internal("a sealed secret is opened by the catalog")),
    };
    Ok(text.trim().to_owned())
}

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a small file.
pub fn read(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Error::gone(format!("{}: cannot be read", path.display())).because(error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_LIMIT {
        return Err(Error::gone(format!("{}: {size} bytes (expected at most {FILE_LIMIT})", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}
