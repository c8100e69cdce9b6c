//! Definitions of run time as they lie in the store: `definition/upstream/NAME`, `definition/registry/NAME`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ports::{Body, Store};
use crate::registry::definition::{
    RegistryDefinition, RegistryTable, Sealed, SecretRef, UpstreamDefinition, UpstreamTable,
};

const UPSTREAMS: &str = "definition/upstream/";
const REGISTRIES: &str = "definition/registry/";

/// The largest definition that is read back.
const LIMIT: u64 = 1 << 20;

/// All that was defined at run time.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) upstreams: BTreeMap<String, UpstreamDefinition>,
    pub(super) registries: BTreeMap<String, RegistryDefinition>,
    /// Upstreams whose definitions are there and cannot be read.
    pub(super) unreadable: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    definition: UpstreamTable,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sealed: Option<Sealed>,
}

/// Reads everything; what cannot be read is logged and left alone.
pub(super) fn read(store: &dyn Store) -> Result<Kept> {
    let mut kept = Kept::default();
    for key in keys(store, UPSTREAMS)? {
        match bytes(store, &key)?.map(|bytes| upstream(&bytes)) {
            Some(Ok(definition)) => drop(kept.upstreams.insert(definition.name.clone(), definition)),
            Some(Err(error)) => {
                tracing::error!(key, %error, "a kept definition cannot be read");
                kept.unreadable.insert(key.trim_start_matches(UPSTREAMS).to_owned());
            }
            None => {}
        }
    }
    for key in keys(store, REGISTRIES)? {
        match bytes(store, &key)?.map(|bytes| registry(&bytes)) {
            Some(Ok(definition)) => drop(kept.registries.insert(definition.name.clone(), definition)),
            Some(Err(error)) => tracing::error!(key, %error, "a kept definition cannot be read"),
            None => {}
        }
    }
    Ok(kept)
}

pub(super) fn put_upstream(store: &dyn Store, definition: &UpstreamDefinition) -> Result<()> {
    let mut table = definition.table();
    let sealed = match definition.auth.as_ref().map(|auth| &auth.secret) {
        Some(SecretRef::Sealed(sealed)) => Some(sealed.clone()),
        Some(SecretRef::Given(_)) => return Err(Error::internal("a secret is not sealed")),
        _ => None,
    };
    if let (Some(auth), true) = (&mut table.auth, sealed.is_some()) {
        auth.token = None;
    }
    put(store, &format!("{UPSTREAMS}{}", definition.name), &Record { definition: table, sealed })
}

pub(super) fn put_registry(store: &dyn Store, definition: &RegistryDefinition) -> Result<()> {
    put(store, &format!("{REGISTRIES}{}", definition.name), &definition.table())
}

pub(super) fn delete_upstream(store: &dyn Store, name: &str) -> Result<()> {
    store.delete(&format!("{UPSTREAMS}{name}")).map(drop)
}

pub(super) fn delete_registry(store: &dyn Store, name: &str) -> Result<()> {
    store.delete(&format!("{REGISTRIES}{name}")).map(drop)
}

/// What a registry wrote down of modules goes with it.
pub(super) fn delete_bindings(store: &dyn Store, registry: &str) -> Result<()> {
    store.delete_many(&keys(store, &format!("binding/{registry}/"))?).map(drop)
}

fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    store.scan(prefix, &mut |key, _| {
        keys.push(key.to_owned());
        true
    })?;
    Ok(keys)
}

fn bytes(store: &dyn Store, key: &str) -> Result<Option<Bytes>> {
    store.get(key)?.map(|stored| stored.blob.read_all(LIMIT)).transpose()
}

fn put(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal("a definition does not serialize").because(e))?;
    store.put(key, b"{}", Body::Bytes(json.into())).map(drop)
}

fn upstream(bytes: &[u8]) -> Result<UpstreamDefinition> {
    let Record { definition, sealed } = serde_json::from_slice(bytes).map_err(|e| unreadable(&e))?;
    let mut faults = Vec::new();
    let mut table = definition;
    // Its place is held while the rest is read.
    if let (Some(auth), Some(_)) = (&mut table.auth, &sealed) {
        auth.token = Some("sealed".into());
    }
    let read = UpstreamDefinition::read(table, &mut faults);
    let Some(mut definition) = read.filter(|_| faults.is_empty()) else { return Err(first(&faults)) };
    if let (Some(auth), Some(sealed)) = (&mut definition.auth, sealed) {
        auth.secret = SecretRef::Sealed(sealed);
    }
    Ok(definition)
}

fn registry(bytes: &[u8]) -> Result<RegistryDefinition> {
    let table: RegistryTable = serde_json::from_slice(bytes).map_err(|e| unreadable(&e))?;
    let mut faults = Vec::new();
    let read = RegistryDefinition::read(table, &mut faults);
    read.filter(|_| faults.is_empty()).ok_or_else(|| first(&faults))
}

fn first(faults: &[crate::registry::definition::Fault]) -> Error {
    faults.first().map_or_else(|| Error::internal("no definition"), |fault| fault.error(""))
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::internal(format!("no definition: {error}"))
}
