//! What is done about a wrong pseudo-version: facts in, an answer or a refusal out.
//! Must not know where the facts come from, nor of statuses.
//! Rules: docs/protocol.md, "A wrong pseudo-version".

use crate::error::{Error, Kind, Result};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::resolution::Resolution;

/// How a registry treats wrong pseudo-versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    Strict,
    #[default]
    Rewrite,
    Legacy,
}

/// Which file of a version is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Info,
    GoMod,
    Zip,
}

/// What to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled {
    /// The version that was asked for, or what a query stands for.
    AsAsked(Info),
    /// Something else than the wrong version that was asked for.
    Rewritten(Info),
}

impl Mode {
    /// `Kind::Wrong` where the mode refuses.
    pub fn rule(self, module: &ModulePath, resolution: Resolution, what: Wanted) -> Result<Ruled> {
        if resolution.is_valid() {
            return Ok(Ruled::AsAsked(resolution.right));
        }
        match self {
            Mode::Strict if what != Wanted::GoMod => Err(refusal(module, &resolution)),
            Mode::Strict | Mode::Rewrite => Ok(Ruled::Rewritten(resolution.right)),
            Mode::Legacy => Ok(Ruled::AsAsked(Info { version: resolution.asked, ..resolution.right })),
        }
    }
}

fn refusal(module: &ModulePath, resolution: &Resolution) -> Error {
    let (asked, right) = (&resolution.asked, &resolution.right.version);
    let faults: Vec<String> = resolution.faults.iter().map(ToString::to_string).collect();
    Error::new(Kind::Wrong, format!("invalid pseudo-version: {}", faults.join("; ")))
        .about(format!("{module}@{asked}"))
        .right(right)
        .remedy(format!("use {module}@{right}"))
        .remedy(format!("in your own go.mod: go mod edit -require={module}@{right}"))
        .remedy(format!("in a dependency's: go mod edit -replace={module}@{asked}={module}@{right}"))
}
