//! `/api/v1/upstreams`: which upstreams there are, whatever registries have them.

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::registry::catalog::Fields;
use crate::spec::path::ModulePath;

pub async fn list(call: Call) -> Result<Reply> {
    let catalog = call.site.catalog().clone();
    let upstreams = blocking(move || Ok(catalog.list_upstreams())).await?;
    Reply::json(&serde_json::json!({ "upstreams": upstreams }))
}

pub async fn show(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("upstream").to_owned());
    Reply::json(&blocking(move || catalog.show_upstream(&name)).await?)
}

pub async fn create(call: Call) -> Result<Reply> {
    let (catalog, fields) = (call.site.catalog().clone(), call.json::<Fields>()?);
    let intended = catalog.intended(None, &fields)?;
    catalog.admit(&intended).await?;
    Reply::created(&blocking(move || catalog.create_upstream(&fields)).await?)
}

pub async fn change(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("upstream").to_owned());
    let fields = call.json::<Fields>()?;
    let intended = catalog.intended(Some(&name), &fields)?;
    catalog.admit(&intended).await?;
    Reply::json(&blocking(move || catalog.change_upstream(&name, &fields)).await?)
}

pub async fn delete(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("upstream").to_owned());
    blocking(move || catalog.delete_upstream(&name)).await?;
    Ok(Reply::Done)
}

/// Asks the upstream now, past everything that is kept. That it does not answer is no failure of this request.
pub async fn test(call: Call) -> Result<Reply> {
    let module = call.text("module").map(ModulePath::parse).transpose()?;
    Reply::json(&call.site.catalog().test(call.name("upstream"), module.as_ref()).await?)
}

/// Changes read and write the store, and secrets lie in files.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("a change was cut short").because(error))?
}
