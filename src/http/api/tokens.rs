//! `/api/v1/tokens`: who may ask.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cache::blocking;
use super::{Call, Reply};
use crate::access::{Lifetime, Right, TokenView, Tokens, Wanted};
use crate::error::{Error, Result};

/// How long a token opens anything if nobody says.
pub const LIFE: &str = "90d";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    scope: Right,
    #[serde(default)]
    registry: Option<String>,
    /// `90d`, or `never`.
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    label: Option<String>,
}

/// A token and its text, this once.
#[derive(Serialize)]
struct Created<'a> {
    token: &'a str,
    #[serde(flatten)]
    view: TokenView,
}

pub async fn list(call: Call) -> Result<Reply> {
    Reply::json(&serde_json::json!({ "tokens": call.site.tokens().list() }))
}

pub async fn create(call: Call) -> Result<Reply> {
    let Create { scope, registry, expires, label } = call.json()?;
    if let Some(registry) = &registry {
        known(&call, registry)?;
    }
    let life: Lifetime = expires.as_deref().unwrap_or(LIFE).parse().map_err(|error: Error| error.about("expires"))?;
    let wanted = Wanted { label: label.unwrap_or_default(), scope, registry, life };
    let tokens: Arc<Tokens> = call.site.tokens().clone();
    let (view, text) = blocking(move || tokens.create(wanted)).await?;
    tracing::info!(id = view.id, label = view.label, scope = scope.as_str(), by = call.guest.name, "token created");
    Reply::once(&Created { token: text.expose(), view })
}

pub async fn revoke(call: Call) -> Result<Reply> {
    let (tokens, id) = (call.site.tokens().clone(), call.name("id").to_owned());
    blocking(move || tokens.revoke(&id)).await?;
    tracing::info!(id = call.name("id"), by = call.guest.name, "token revoked");
    Ok(Reply::Done)
}

/// A token for what is not there would open nothing, and nobody would know why.
fn known(call: &Call, registry: &str) -> Result<()> {
    let current = call.site.catalog().current();
    if current.registries.contains_key(registry) {
        return Ok(());
    }
    let names: Vec<&str> = current.registries.keys().map(String::as_str).collect();
    let error = Error::gone(format!("unknown registry {registry:?}")).about("registry");
    Err(error.remedy(format!("known are: {}", names.join(", "))))
}
