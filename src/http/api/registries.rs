//! `/api/v1/registries`: which registries there are, and in which order each asks its upstreams.

use serde::Deserialize;

use super::upstreams::blocking;
use super::{Call, Reply};
use crate::error::Result;
use crate::registry::catalog::Fields;

/// An upstream's place in a registry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    upstream: String,
    /// From 1; without one it is the last.
    #[serde(default)]
    position: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    position: u64,
}

pub async fn list(call: Call) -> Result<Reply> {
    let catalog = call.site.catalog().clone();
    let registries = blocking(move || Ok(catalog.list_registries())).await?;
    Reply::json(&serde_json::json!({ "registries": registries }))
}

pub async fn show(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    Reply::json(&blocking(move || catalog.show_registry(&name)).await?)
}

pub async fn create(call: Call) -> Result<Reply> {
    let (catalog, fields) = (call.site.catalog().clone(), call.json::<Fields>()?);
    Reply::created(&blocking(move || catalog.create_registry(&fields)).await?)
}

pub async fn change(call: Call) -> Result<Reply> {
    let (catalog, name, fields) =
        (call.site.catalog().clone(), call.name("registry").to_owned(), call.json::<Fields>()?);
    Reply::json(&blocking(move || catalog.change_registry(&name, &fields)).await?)
}

pub async fn delete(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    let tokens = call.site.tokens().clone();
    let revoked = blocking(move || {
        catalog.delete_registry(&name)?;
        // The one at `/` is there all the same when nobody defines it.
        let is_gone = !catalog.current().registries.contains_key(&name);
        if is_gone { tokens.revoke_of(&name) } else { Ok(0) }
    });
    match revoked.await? {
        0 => {}
        tokens => tracing::info!(registry = call.name("registry"), tokens, "the registry's tokens are revoked"),
    }
    Ok(Reply::Done)
}

/// The upstreams of one registry, in the order of the walk.
pub async fn upstreams(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    let upstreams = blocking(move || catalog.show_registry(&name)).await?.upstreams;
    Reply::json(&serde_json::json!({ "upstreams": upstreams }))
}

pub async fn associate(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    let Placed { upstream, position } = call.json()?;
    Reply::created(&blocking(move || catalog.associate(&name, &upstream, position)).await?)
}

pub async fn reposition(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    let (upstream, Moved { position }) = (call.name("upstream").to_owned(), call.json()?);
    Reply::json(&blocking(move || catalog.reposition(&name, &upstream, position)).await?)
}

pub async fn dissociate(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("registry").to_owned());
    let upstream = call.name("upstream").to_owned();
    blocking(move || catalog.dissociate(&name, &upstream)).await?;
    Ok(Reply::Done)
}

/// `POST /api/v1/reload`: the configuration is read again.
pub async fn reload(call: Call) -> Result<Reply> {
    Reply::json(&call.site.reload().await?)
}
