//! `/api/v1/upstreams`: which upstreams there are, whatever registries have them.

use std::sync::Arc;

use serde::Serialize;

use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::monitor::upstreams::UpstreamStatus;
use crate::registry::catalog::{Fields, UpstreamView};
use crate::registry::{Cached, Counters, Health};
use crate::spec::path::ModulePath;

/// An upstream as it is defined, and how it is doing.
#[derive(Serialize)]
struct Doing<'a> {
    #[serde(flatten)]
    defined: UpstreamView,
    /// Neither where it cannot be asked at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<&'a Counters>,
    /// How the watch finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    watch: Option<UpstreamStatus>,
}

impl Doing<'_> {
    fn of<'a>(defined: UpstreamView, cached: Option<&'a Arc<Cached>>, watched: &[UpstreamStatus]) -> Doing<'a> {
        Doing {
            watch: watched.iter().find(|status| status.name == defined.name()).cloned(),
            defined,
            health: cached.map(|cached| cached.health()),
            counters: cached.map(|cached| cached.counters()),
        }
    }
}

pub async fn list(call: Call) -> Result<Reply> {
    let catalog = call.site.catalog().clone();
    let current = catalog.current();
    let defined = blocking(move || Ok(catalog.list_upstreams())).await?;
    let watched = watched(&call);
    let doing = |view: UpstreamView| {
        let cached = current.upstreams.get(view.name());
        Doing::of(view, cached, &watched)
    };
    let upstreams: Vec<Doing<'_>> = defined.into_iter().map(doing).collect();
    Reply::json(&serde_json::json!({ "upstreams": upstreams }))
}

pub async fn show(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("upstream").to_owned());
    let current = catalog.current();
    let defined = blocking(move || catalog.show_upstream(&name)).await?;
    Reply::json(&Doing::of(defined, current.upstreams.get(call.name("upstream")), &watched(&call)))
}

fn watched(call: &Call) -> Vec<UpstreamStatus> {
    call.site.upstream_watch().map(|watch| watch.statuses()).unwrap_or_default()
}

pub async fn create(call: Call) -> Result<Reply> {
    let (catalog, fields) = (call.site.catalog().clone(), call.json::<Fields>()?);
    catalog.admit(None, &fields).await?;
    Reply::created(&blocking(move || catalog.create_upstream(&fields)).await?)
}

pub async fn change(call: Call) -> Result<Reply> {
    let (catalog, name) = (call.site.catalog().clone(), call.name("upstream").to_owned());
    let fields = call.json::<Fields>()?;
    catalog.admit(Some(&name), &fields).await?;
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
