//! `POST /api/v1/refresh/MODULE`: what an upstream said of a module is asked anew, at once. Who may ask: docs/api.md.

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::http::route::{self, RegistryName};
use crate::registry::Reach;
use crate::registry::definition::DEFAULT;

pub async fn refresh(call: Call) -> Result<Reply> {
    let module = route::module_path(call.name("module"))?;
    if call.reach == Reach::Cache {
        return Err(Error::gone("nothing is asked anew where the request forbids asking").about(module));
    }
    let registry = match call.text("registry") {
        None | Some(DEFAULT) => RegistryName::Default,
        Some(name) => RegistryName::Named(name.to_owned()),
    };
    tracing::info!(%module, registry = registry.as_str(), by = call.guest.name, "renewal asked for");
    Reply::json(&call.site.counter(&registry)?.registry.refresh(&module).await?)
}
