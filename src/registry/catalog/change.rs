//! Changes at run time: each is looked at whole, then kept in the store, then takes effect.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::compose::{State, scope};
use super::view::{RegistryView, UpstreamView};
use super::{Catalog, Current, Tested, kept};
use crate::error::{Error, Result};
use crate::registry::cached::blocking;
use crate::registry::definition::{
    Auth, DEFAULT, Fault, RegistryDefinition, RegistryTable, SecretRef, UpstreamDefinition, UpstreamTable, keys,
};
use crate::spec::path::ModulePath;
use crate::spec::scope::Bar;

/// The fields of a definition as somebody sent them.
pub type Fields = Map<String, Value>;

/// The keys of which exactly one names or gives a secret.
const SECRETS: [&str; 3] = ["token_file", "token_env", "token"];

impl Tested {
    /// Nobody was asked.
    fn unasked(kind: &str, what: String, remedy: Vec<String>) -> Tested {
        Tested { ok: false, kind: kind.to_owned(), status: None, ms: 0, what, remedy }
    }
}

impl<R: Send + Sync + 'static> Catalog<R> {
    /// What an upstream would be after a change, or as a new one where there is none yet. Blocking; what others
    /// wait for is not held while a folder is looked for, which on a dead mount takes for ever.
    fn intended(&self, name: Option<&str>, fields: &Fields) -> Result<UpstreamDefinition> {
        let definition = match name {
            None => read_upstream(fields.clone())?,
            Some(name) => {
                let before = changeable_upstream(&self.state(), name)?.clone();
                changed(&before, fields)?
            }
        };
        let mut faults = Vec::new();
        definition.look_for_folder(&mut faults);
        definition.look_for_mirrors(&self.state().written.mirrors, &mut faults);
        refuse(&faults)?;
        Ok(definition)
    }

    /// Refuses what must be no upstream, such as this process itself; without a name it is a new one.
    pub async fn admit(self: &Arc<Self>, name: Option<&str>, fields: &Fields) -> Result<()> {
        let (catalog, name, fields) = (self.clone(), name.map(str::to_owned), fields.clone());
        let looked = blocking(move || {
            let definition = catalog.intended(name.as_deref(), &fields)?;
            Ok((catalog.state().build.clone(), definition))
        });
        let (build, definition) = looked.await?;
        build.admit(&definition).await
    }

    /// Asks an upstream whether it answers.
    pub async fn test(self: &Arc<Self>, name: &str, module: Option<&ModulePath>) -> Result<Tested> {
        let (catalog, name) = (self.clone(), name.to_owned());
        let looked = blocking(move || {
            let state = catalog.state();
            let definition = state.upstream(&name).ok_or_else(|| unknown_upstream(&name))?.clone();
            let secret = state.secret(&definition);
            Ok((state.build.clone(), definition, secret))
        });
        let (build, definition, secret) = looked.await?;
        // A test must not tell an upstream a name that no request would.
        if let Some(bar) = module.and_then(|module| scope(&definition).bar(module)) {
            let what = match bar {
                Bar::Outside(_) => "its `modules` do not name the path",
                Bar::Excluded(_) => "its `not_modules` name the path",
            };
            return Ok(Tested::unasked("refused", what.to_owned(), Vec::new()));
        }
        match secret {
            Ok(secret) => build.test(&definition, secret, module).await,
            Err(error) => Ok(Tested::unasked("credentials", error.chain(), error.remedies().to_vec())),
        }
    }

    pub fn create_upstream(&self, fields: &Fields) -> Result<UpstreamView> {
        let definition = self.intended(None, fields)?;
        let mut state = self.state();
        let name = definition.name.clone();
        if state.upstream(&name).is_some() {
            return Err(Error::conflict("there is an upstream of this name").about(format!("name: {name:?}")));
        }
        let definition = sealed(&state, definition)?;
        let mut next = state.clone();
        next.kept.upstreams.insert(name.clone(), definition.clone());
        let current = next.compose()?;
        kept::put_upstream(&*self.store, &definition)?;
        self.take(&mut state, next, current);
        state.view_upstream(&name)
    }

    pub fn change_upstream(&self, name: &str, fields: &Fields) -> Result<UpstreamView> {
        self.intended(Some(name), fields)?;
        let mut state = self.state();
        let definition = sealed(&state, changed(changeable_upstream(&state, name)?, fields)?)?;
        let mut next = state.clone();
        next.kept.upstreams.insert(name.to_owned(), definition.clone());
        let current = next.compose()?;
        kept::put_upstream(&*self.store, &definition)?;
        self.take(&mut state, next, current);
        state.view_upstream(name)
    }

    pub fn delete_upstream(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        changeable_upstream(&state, name)?;
        let users = state.users(name);
        if !users.is_empty() {
            let what = format!("it stands in {}: {}", plural(users.len()), users.join(", "));
            let remedy = "take it out of them first: DELETE /api/v1/registries/NAME/upstreams/UPSTREAM";
            return Err(Error::conflict(what).about(format!("upstream {name}")).remedy(remedy));
        }
        let mut next = state.clone();
        next.kept.upstreams.remove(name);
        let current = next.compose()?;
        kept::delete_upstream(&*self.store, name)?;
        self.take(&mut state, next, current);
        Ok(())
    }

    pub fn create_registry(&self, fields: &Fields) -> Result<RegistryView> {
        let mut state = self.state();
        let definition = read_registry(&state, fields.clone())?;
        let name = definition.name.clone();
        let is_implied = !state.is_written_registry(&name) && !state.kept.registries.contains_key(&name);
        if !is_implied {
            return Err(Error::conflict("there is a registry of this name").about(format!("name: {name:?}")));
        }
        if name != DEFAULT {
            // Answers under way may have bound after their registry was deleted.
            state.forget_registry(&name);
            kept::delete_bindings(&*self.store, &name)?;
        }
        self.put_registry(&mut state, definition)
    }

    pub fn change_registry(&self, name: &str, fields: &Fields) -> Result<RegistryView> {
        let mut state = self.state();
        let before = changeable_registry(&state, name)?;
        refuse_renaming(name, fields)?;
        let faults = keys::registry_faults(fields);
        refuse(&faults)?;
        let merged = merged(&before.table(), fields)?;
        let definition = read_registry(&state, merged)?;
        self.put_registry(&mut state, definition)
    }

    pub fn delete_registry(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        changeable_registry(&state, name)?;
        if !state.kept.registries.contains_key(name) {
            let what = "it is all upstreams of the configuration, as long as nobody defines another";
            return Err(Error::conflict(what).about(format!("registry {name}")));
        }
        let mut next = state.clone();
        next.kept.registries.remove(name);
        // The one at `/` comes back at once as the implied one: with a book of its own, not that of the one before.
        next.forget_registry(name);
        let current = next.compose()?;
        // First: cut short in between, there is a registry that binds anew, and not the bindings of none.
        kept::delete_bindings(&*self.store, name)?;
        kept::delete_registry(&*self.store, name)?;
        self.take(&mut state, next, current);
        Ok(())
    }

    /// Puts an upstream into a registry; `position` counts from 1, without one it is the last.
    pub fn associate(&self, registry: &str, upstream: &str, position: Option<u64>) -> Result<RegistryView> {
        self.rearrange(registry, |names| {
            if let Some(at) = names.iter().position(|name| name == upstream) {
                let what = format!("upstream {upstream} stands there already, at position {}", at + 1);
                return Err(Error::conflict(what).about(format!("registry {registry}")));
            }
            let at = place(position.unwrap_or(names.len() as u64 + 1), names.len() + 1)?;
            names.insert(at, upstream.to_owned());
            Ok(())
        })
    }

    /// Moves an upstream of a registry to another position.
    pub fn reposition(&self, registry: &str, upstream: &str, position: u64) -> Result<RegistryView> {
        self.rearrange(registry, |names| {
            let from = standing(names, registry, upstream)?;
            let to = place(position, names.len())?;
            let name = names.remove(from);
            names.insert(to, name);
            Ok(())
        })
    }

    /// Takes an upstream out of a registry.
    pub fn dissociate(&self, registry: &str, upstream: &str) -> Result<RegistryView> {
        self.rearrange(registry, |names| {
            let at = standing(names, registry, upstream)?;
            names.remove(at);
            Ok(())
        })
    }

    fn rearrange(&self, registry: &str, change: impl FnOnce(&mut Vec<String>) -> Result<()>) -> Result<RegistryView> {
        let mut state = self.state();
        let mut definition = changeable_registry(&state, registry)?;
        change(&mut definition.upstreams)?;
        let table = as_fields(&definition.table())?;
        let definition = read_registry(&state, table)?;
        self.put_registry(&mut state, definition)
    }

    fn put_registry(&self, state: &mut State<R>, definition: RegistryDefinition) -> Result<RegistryView> {
        let name = definition.name.clone();
        let mut next = state.clone();
        // Kept, what the configuration says anyway would no longer follow it.
        let is_implied = definition == state.implied();
        match is_implied {
            true => drop(next.kept.registries.remove(&name)),
            false => drop(next.kept.registries.insert(name.clone(), definition.clone())),
        }
        let current = next.compose()?;
        match is_implied {
            true => kept::delete_registry(&*self.store, &name)?,
            false => kept::put_registry(&*self.store, &definition)?,
        }
        self.take(state, next, current);
        state.view_registry(&name)
    }

    fn take(&self, state: &mut State<R>, next: State<R>, current: Current<R>) {
        *state = next;
        self.publish(current);
    }
}

pub(super) fn unknown_upstream(name: &str) -> Error {
    Error::not_found("unknown upstream").about(format!("upstreams/{name}"))
}

pub(super) fn unknown_registry(name: &str) -> Error {
    Error::not_found("unknown registry").about(format!("registries/{name}"))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "a registry" } else { "registries" }
}

fn written(what: String) -> Error {
    Error::conflict("is defined in the configuration file, and only changed there").about(what)
}

fn changeable_upstream<'a, R>(state: &'a State<R>, name: &str) -> Result<&'a UpstreamDefinition> {
    if state.is_written_upstream(name) {
        return Err(written(format!("upstream {name}")));
    }
    state.upstream(name).ok_or_else(|| unknown_upstream(name))
}

fn changeable_registry<R>(state: &State<R>, name: &str) -> Result<RegistryDefinition> {
    if state.is_written_registry(name) {
        return Err(written(format!("registry {name}")));
    }
    state.registry(name).ok_or_else(|| unknown_registry(name))
}

fn standing(names: &[String], registry: &str, upstream: &str) -> Result<usize> {
    let absent = || Error::not_found(format!("it does not stand in the registry {registry}"));
    names.iter().position(|name| name == upstream).ok_or_else(|| absent().about(format!("upstream {upstream}")))
}

/// A position from 1 as an index from 0.
fn place(position: u64, last: usize) -> Result<usize> {
    let at = usize::try_from(position).ok().filter(|at| (1..=last).contains(at));
    let fault = || Fault::other("position", format!("{position} (expected 1 to {last})"));
    at.map(|at| at - 1).ok_or_else(|| fault().error(""))
}

fn refuse(faults: &[Fault]) -> Result<()> {
    match faults.split_first() {
        None => Ok(()),
        Some((first, others)) => {
            let error = first.error("");
            Err(others.iter().fold(error, |error, other| error.remedy(other.error("").what())))
        }
    }
}

fn refuse_renaming(name: &str, fields: &Fields) -> Result<()> {
    match fields.get("name") {
        Some(Value::String(new)) if new != name => Err(Fault::wrong("name", new, "the name it has").error("")),
        _ => Ok(()),
    }
}

fn read_upstream(fields: Fields) -> Result<UpstreamDefinition> {
    let mut faults = keys::upstream_faults(&fields);
    refuse(&faults)?;
    let table: UpstreamTable = serde_json::from_value(Value::Object(fields)).map_err(|e| misread(&e))?;
    let read = UpstreamDefinition::read(table, &mut faults);
    refuse(&faults)?;
    read.ok_or_else(|| Error::internal("a definition without faults is none"))
}

fn read_registry<R>(state: &State<R>, fields: Fields) -> Result<RegistryDefinition> {
    let mut faults = keys::registry_faults(&fields);
    refuse(&faults)?;
    let table: RegistryTable = serde_json::from_value(Value::Object(fields)).map_err(|e| misread(&e))?;
    let read = RegistryDefinition::read(table, &mut faults);
    if let Some(definition) = &read {
        let upstreams = state.upstreams();
        // One that stands there and was lost keeps nobody from changing the rest.
        let stood = state.registry(&definition.name).map(|before| before.upstreams).unwrap_or_default();
        let mut known: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        known.extend(stood.iter().map(String::as_str).filter(|name| state.upstream(name).is_none()));
        definition.look_for_upstreams(known.iter().copied(), &mut faults);
    }
    refuse(&faults)?;
    read.ok_or_else(|| Error::internal("a definition without faults is none"))
}

/// Shapes were looked at before: what is left is a duplicate or a null in a list.
fn misread(error: &serde_json::Error) -> Error {
    Error::gone(format!("no definition: {error}"))
}

fn as_fields(table: &impl serde::Serialize) -> Result<Fields> {
    match serde_json::to_value(table) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Error::internal("a definition does not serialize")),
    }
}

/// RFC 7386: what is given replaces, `null` gives back the default, the rest stays.
fn merged(before: &impl serde::Serialize, fields: &Fields) -> Result<Fields> {
    let mut merged = as_fields(before)?;
    for (key, value) in fields {
        match (merged.get_mut(key), value) {
            (_, Value::Null) => drop(merged.remove(key)),
            (Some(Value::Object(below)), Value::Object(given)) => {
                for (key, value) in given {
                    match value {
                        Value::Null => drop(below.remove(key)),
                        value => drop(below.insert(key.clone(), value.clone())),
                    }
                }
            }
            (_, value) => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    Ok(merged)
}

fn changed(before: &UpstreamDefinition, fields: &Fields) -> Result<UpstreamDefinition> {
    refuse_renaming(&before.name, fields)?;
    refuse(&keys::upstream_faults(fields))?;
    let mut table = before.table();
    let given = fields.get("auth").and_then(Value::as_object);
    let gives = |key: &&str| given.is_some_and(|auth| auth.get(*key).is_some_and(|value| !value.is_null()));
    let kept = match before.auth.as_ref().map(|auth| &auth.secret) {
        Some(SecretRef::Sealed(sealed)) if !SECRETS.iter().any(gives) => Some(sealed.clone()),
        _ => None,
    };
    if let Some(auth) = table.auth.as_mut().filter(|_| SECRETS.iter().any(gives)) {
        (auth.token_file, auth.token_env) = (None, None);
    }
    // A proxy's host goes with its address, unless it is told apart.
    if let (Some(auth), Some(old)) = (table.auth.as_mut(), before.auth.as_ref())
        && fields.contains_key("url")
        && given.is_none_or(|auth| !auth.contains_key("host"))
        && follows(before, old)
    {
        auth.host = None;
    }
    let mut merged = merged(&table, fields)?;
    let has_auth = merged.get("auth").is_some_and(|auth| !auth.is_null());
    if let (Some(Value::Object(auth)), Some(_)) = (merged.get_mut("auth"), &kept) {
        // It holds the place of what only the store's key opens.
        auth.insert("token".to_owned(), Value::String("sealed".to_owned()));
    }
    let mut definition = read_upstream(merged)?;
    if let (Some(auth), Some(sealed), Some(old), true) = (&mut definition.auth, kept, &before.auth, has_auth) {
        if auth.host != old.host {
            let what = format!("the kept one is for {} (expected one for {})", old.host, auth.host);
            return Err(Fault::other("auth.token", what).remedy("give the token anew, or auth = null").error(""));
        }
        auth.secret = SecretRef::Sealed(sealed);
    }
    Ok(definition)
}

/// Whether the host of the credentials was the address's.
fn follows(definition: &UpstreamDefinition, auth: &Auth) -> bool {
    let bare = UpstreamTable { auth: None, ..definition.table() };
    let url = bare.url.as_deref().and_then(|url| url::Url::parse(url).ok());
    url.and_then(|url| {
        let host = url.host_str()?.to_owned();
        Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
    })
    .is_some_and(|host| host == auth.host)
}

/// Looks whether the secret is there, and seals the one that was handed over.
fn sealed<R>(state: &State<R>, mut definition: UpstreamDefinition) -> Result<UpstreamDefinition> {
    let in_auth = |error: Error| {
        let told = Error::gone(error.chain()).about("auth");
        error.remedies().iter().fold(told, |told, line| told.remedy(line))
    };
    state.secret(&definition).map_err(in_auth)?;
    let name = definition.name.clone();
    if let Some(auth) = &mut definition.auth
        && let SecretRef::Given(secret) = &auth.secret
    {
        let Some(seal) = &state.seal else {
            let fault =
                Fault::other("auth.token", "there is no key to seal it with (expected [store] key_file or key_env)");
            return Err(fault
                .remedy("make a key with: head -c 32 /dev/urandom | base64")
                .remedy("or name the secret by auth.token_file or auth.token_env")
                .error(""));
        };
        auth.secret = SecretRef::Sealed(seal.seal(&name, secret)?);
    }
    Ok(definition)
}
