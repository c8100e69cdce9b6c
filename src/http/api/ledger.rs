//! What every registry served first, what came later and was refused, and how it is let in; see docs/ledger.md.

use std::sync::Arc;

use serde::Deserialize;

use super::cache::{PAGE, blocking};
use super::{Call, Parameter, Reply};
use crate::access::Ledgers;
use crate::access::ledger::{Acceptance, Entered, Wanted};
use crate::error::{Error, Result};
use crate::http::route;
use crate::ports::ReleasedFile;
use crate::registry::definition::DEFAULT;

/// What may stand behind the `?` of the list of all.
pub const QUERY: &[Parameter] = &[
    Parameter::text("registry"),
    Parameter::text("module"),
    Parameter::flag("refused"),
    Parameter::flag("drifted"),
    Parameter::text("after"),
    Parameter::number("limit"),
];

/// The same of one registry.
pub const OF_REGISTRY: &[Parameter] = &[
    Parameter::text("module"),
    Parameter::flag("refused"),
    Parameter::flag("drifted"),
    Parameter::text("after"),
    Parameter::number("limit"),
];

pub async fn list(call: Call) -> Result<Reply> {
    let ledgers = ledgers(&call)?;
    let wanted = Wanted {
        registry: registry(&call).map(str::to_owned),
        module: call.text("module").map(route::module_path).transpose()?,
        refused: call.flag("refused"),
        drifted: call.flag("drifted"),
    };
    let after = call.text("after").map(str::to_owned);
    let limit = usize::try_from(call.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX);
    Reply::json(&blocking(move || ledgers.page(&wanted, after.as_deref(), limit)).await?)
}

pub async fn show(call: Call) -> Result<Reply> {
    let ledgers = ledgers(&call)?;
    let (module, version) = route::module_version(call.name("subject"))?;
    let registry = registry(&call).unwrap_or(DEFAULT).to_owned();
    let found = blocking(move || {
        let Some(row) = ledgers.row(&registry, &module, &version)? else {
            let what = format!("registry {registry} never served it");
            return Err(Error::not_found(what).about(format!("{module}@{version}")));
        };
        Ok(Entered { registry, module: module.to_string(), version: version.to_string(), row })
    });
    Reply::json(&found.await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    subject: String,
    h1: String,
    #[serde(default)]
    file: Option<ReleasedFile>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    force: bool,
}

pub async fn accept(call: Call) -> Result<Reply> {
    let Accept { subject, h1, file, registry, force } = call.json()?;
    let (module, version) = route::module_version(&subject).map_err(|error| error.about("subject"))?;
    let registry = registry.unwrap_or_else(|| DEFAULT.to_owned());
    let acceptance = Acceptance { h1, file, force, by: call.guest.name.clone() };
    let (ledgers, current) = (ledgers(&call)?, call.site.catalog().current());
    let accepted = blocking(move || {
        if ledgers.row(&registry, &module, &version)?.is_none() {
            let what = format!("registry {registry} never served it");
            return Err(Error::not_found(what).about(format!("{module}@{version}")));
        }
        let accepted = ledgers.of(&registry).accept(&module, &version, &acceptance)?;
        if let Some(counter) = current.registries.get(&registry) {
            counter.registry.forget_others(&module, &version)?;
        }
        Ok(accepted)
    });
    Reply::json(&accepted.await?)
}

/// The registry that the address names, or what stands behind the `?`.
fn registry(call: &Call) -> Option<&str> {
    match call.name("registry") {
        "" => call.text("registry"),
        name => Some(name),
    }
}

fn ledgers(call: &Call) -> Result<Arc<Ledgers>> {
    call.site.ledgers().ok_or_else(|| Error::not_found("nothing is kept here"))
}
