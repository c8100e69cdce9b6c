//! Catalogs over sources in memory.

mod changes;
mod secrets;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::registry::definition::UpstreamKind;
use crate::registry::doubles::{Drawer, Hands, Known};
use crate::registry::{Shelf, Validity};

/// A registry as it was put together: its upstreams in order, and the patterns and sharing of each.
pub struct Line {
    upstreams: Vec<String>,
    shared: Vec<bool>,
    policy: Policy,
}

/// Builds upstreams over sources in memory, and remembers what they were built with.
#[derive(Default)]
pub struct Workshop {
    mark: String,
    /// Secrets by the names of variables.
    variables: HashMap<String, String>,
    /// Name and secret of each upstream that was built.
    built: Mutex<Vec<(String, Option<String>)>>,
    failing: Mutex<Vec<(String, String)>>,
    /// Registries in the order in which they were made (`+`) and forgotten (`-`).
    registries: Mutex<Vec<String>>,
}

impl Workshop {
    fn new() -> Arc<Workshop> {
        Arc::default()
    }

    fn with_variable(name: &str, value: &str) -> Arc<Workshop> {
        let variables = HashMap::from([(name.to_owned(), value.to_owned())]);
        Arc::new(Workshop { variables, ..Workshop::default() })
    }

    fn built(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.built.lock().expect("lock"))
    }

    fn failing(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.failing.lock().expect("lock"))
    }
}

fn offer(definition: &UpstreamDefinition) -> Offer {
    let shelf = Shelf::new(&definition.name, definition.kind.word(), &definition.kind.address());
    let cached = Cached::new(shelf, Known::new(), Drawer::new(), Hands::new(), Validity::default());
    Offer { cached: Arc::new(cached), judgement: Judgement::Believed, sumdb: None, line: None }
}

#[async_trait]
impl Build<Line> for Workshop {
    fn mark(&self) -> String {
        self.mark.clone()
    }

    fn mark_of(&self, _: &UpstreamDefinition) -> String {
        String::new()
    }

    fn secret(&self, reference: &SecretRef) -> Result<Secret> {
        let SecretRef::Environment(name) = reference else { return Err(Error::internal("a variable is meant")) };
        let value = self.variables.get(name);
        value.map(Secret::new).ok_or_else(|| Error::gone(format!("environment variable {name} is not set")))
    }

    fn upstream(&self, definition: &UpstreamDefinition, secret: Option<Secret>) -> Result<Offer> {
        let secret = secret.map(|secret| secret.expose().to_owned());
        self.built.lock().expect("lock").push((definition.name.clone(), secret));
        Ok(offer(definition))
    }

    fn failing(&self, definition: &UpstreamDefinition, error: Error) -> Offer {
        self.failing.lock().expect("lock").push((definition.name.clone(), error.what().to_owned()));
        offer(definition)
    }

    fn registry(
        &self,
        definition: &RegistryDefinition,
        policy: Policy,
        members: Vec<Member>,
        _: Vec<(String, Arc<dyn Sumdb>)>,
        _: &str,
    ) -> Line {
        self.registries.lock().expect("lock").push(format!("+{}", definition.name));
        let upstreams = members.iter().map(|member| member.source.name().to_owned()).collect();
        Line { upstreams, shared: members.iter().map(|member| member.shared).collect(), policy }
    }

    fn forget(&self, registry: &str) {
        self.registries.lock().expect("lock").push(format!("-{registry}"));
    }

    async fn admit(&self, _: &UpstreamDefinition) -> Result<()> {
        Ok(())
    }

    async fn test(&self, _: &UpstreamDefinition, _: Option<Secret>, _: Option<&ModulePath>) -> Result<Tested> {
        Err(Error::internal("nobody is there to be tested"))
    }
}

/// Builds nothing: for catalogs in which nothing changes.
pub(crate) struct Unbuilt;

#[async_trait]
impl<R: Send + Sync> Build<R> for Unbuilt {
    fn mark(&self) -> String {
        String::new()
    }

    fn mark_of(&self, _: &UpstreamDefinition) -> String {
        String::new()
    }

    fn secret(&self, _: &SecretRef) -> Result<Secret> {
        Err(Error::internal("nothing is built here"))
    }

    fn upstream(&self, _: &UpstreamDefinition, _: Option<Secret>) -> Result<Offer> {
        Err(Error::internal("nothing is built here"))
    }

    fn failing(&self, _: &UpstreamDefinition, _: Error) -> Offer {
        unreachable!("nothing is built here")
    }

    fn registry(
        &self,
        _: &RegistryDefinition,
        _: Policy,
        _: Vec<Member>,
        _: Vec<(String, Arc<dyn Sumdb>)>,
        _: &str,
    ) -> R {
        unreachable!("nothing is built here")
    }

    fn forget(&self, _: &str) {}

    async fn admit(&self, _: &UpstreamDefinition) -> Result<()> {
        Err(Error::internal("nothing is built here"))
    }

    async fn test(&self, _: &UpstreamDefinition, _: Option<Secret>, _: Option<&ModulePath>) -> Result<Tested> {
        Err(Error::internal("nothing is built here"))
    }
}

fn git(name: &str) -> UpstreamDefinition {
    UpstreamDefinition::new(name, UpstreamKind::Git)
}

/// A configuration with git upstreams of these names.
fn written(names: &[&str]) -> Written {
    Written { upstreams: names.iter().map(|name| git(name)).collect(), ..Written::default() }
}

fn open(store: &Arc<Drawer>, written: Written, build: &Arc<Workshop>) -> Catalog<Line> {
    Catalog::open(store.clone(), written, build.clone(), None).expect("a catalog")
}

fn fields(value: Value) -> Fields {
    value.as_object().expect("an object").clone()
}

/// The upstreams of a registry, as requests find them.
fn order(catalog: &Catalog<Line>, registry: &str) -> String {
    catalog.current().registries[registry].upstreams.join(" ")
}

fn shown(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).expect("serializes")
}

#[test]
fn default_is_all_upstreams_of_the_configuration_in_order_until_one_is_defined() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["b", "a"]), &build);
    assert_eq!(order(&catalog, "default"), "b a");
    catalog.create_upstream(&fields(json!({ "name": "c", "kind": "git" }))).expect("created");
    assert_eq!(order(&catalog, "default"), "b a", "what is created at run time stands nowhere by itself");
    catalog.associate("default", "c", Some(2)).expect("associated");
    assert_eq!(order(&catalog, "default"), "b c a");
    catalog.delete_registry("default").expect("deleted");
    assert_eq!(order(&catalog, "default"), "b a");
    let error = catalog.delete_registry("default").expect_err("nobody defined it");
    assert_eq!(error.kind(), crate::error::Kind::Conflict);
}

#[test]
fn an_upstream_may_stand_in_several_registries_and_is_one_and_the_same() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let mut both = written(&["a", "b"]);
    both.registries = vec![RegistryDefinition::new("default", vec!["a".to_owned()])];
    let catalog = open(&store, both, &build);
    assert_eq!(catalog.current().registries["default"].shared, [false]);
    catalog
        .create_registry(&fields(json!({ "name": "ci", "upstreams": ["b", "a"], "mode": "strict" })))
        .expect("created");
    let current = catalog.current();
    assert_eq!(current.registries["ci"].shared, [false, true]);
    assert_eq!(current.registries["default"].shared, [true], "the one that was there before knows it, too");
    assert_eq!(current.registries["ci"].policy.mode, crate::registry::Mode::Strict);
    assert_eq!(build.built().len(), 2, "each upstream is made once");
}

#[test]
fn a_reload_keeps_what_is_the_same_and_makes_what_is_new() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["a", "b"]), &build);
    let before = catalog.current();
    build.built();
    let mut next = written(&["b", "c", "a"]);
    next.upstreams[0].description = "another text, the same upstream".to_owned();
    next.upstreams[2].list_validity = std::time::Duration::from_secs(5);
    catalog.reload(next, build.clone(), None).expect("reloaded");
    let after = catalog.current();
    assert_eq!(order(&catalog, "default"), "b c a");
    assert!(Arc::ptr_eq(&before.upstreams["b"], &after.upstreams["b"]), "b goes on");
    assert!(!Arc::ptr_eq(&before.upstreams["a"], &after.upstreams["a"]), "a is another one");
    let built: Vec<String> = build.built().into_iter().map(|(name, _)| name).collect();
    assert_eq!(built, ["c", "a"]);
    assert_eq!(before.registries["default"].upstreams, ["a", "b"], "whoever holds the old one is not disturbed");
}

#[test]
fn a_registry_that_did_not_change_is_not_made_anew() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["a", "b"]), &build);
    let before = catalog.current();
    catalog.create_upstream(&fields(json!({ "name": "c", "kind": "git" }))).expect("created");
    assert!(Arc::ptr_eq(&before.registries["default"], &catalog.current().registries["default"]));
    // Another way out of the machine is another one of everything.
    let other = Arc::new(Workshop { mark: "another client".to_owned(), ..Workshop::default() });
    catalog.reload(written(&["a", "b"]), other.clone(), None).expect("reloaded");
    assert_eq!(other.built().len(), 3);
}

#[test]
fn a_reload_that_does_not_work_leaves_all_as_it_was() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["a", "b"]), &build);
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["b"] }))).expect("created");
    let before = catalog.current();
    let mut without_token = written(&["a", "b"]);
    without_token.upstreams[0].auth = Some(crate::registry::definition::Auth {
        host: "git.example".to_owned(),
        scheme: crate::registry::definition::AuthScheme::Bearer,
        secret: SecretRef::Environment("NO_SUCH_TOKEN".to_owned()),
    });
    let error = catalog.reload(without_token, build.clone(), None).expect_err("no token");
    assert_eq!(error.to_string(), "upstream a: environment variable NO_SUCH_TOKEN is not set");
    assert!(Arc::ptr_eq(&before, &catalog.current()));
}

#[test]
fn an_upstream_that_the_configuration_lost_stops_no_reload_and_fails_in_its_place() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["corp", "public"]), &build);
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["corp", "public"] }))).expect("created");
    catalog.create_registry(&fields(json!({ "name": "own", "upstreams": ["corp"] }))).expect("created");
    catalog.reload(written(&["public"]), build.clone(), None).expect("reloaded");
    assert_eq!(order(&catalog, "ci"), "corp public", "left out, its modules would be asked of public");
    drop(catalog);
    let catalog = open(&store, written(&["public"]), &build);
    assert_eq!(order(&catalog, "ci"), "corp public", "after a restart too");
    assert!(build.failing().contains(&("corp".to_owned(), "it is defined no more".to_owned())));
    let view = shown(&catalog.show_registry("ci").expect("shown"));
    assert_eq!(view["upstreams"][0], json!({ "position": 1, "name": "corp", "missing": true }));
    catalog.change_registry("ci", &fields(json!({ "description": "x" }))).expect("the rest can be changed");
    catalog.dissociate("ci", "corp").expect("taken out");
    catalog.reload(written(&["corp", "public"]), build.clone(), None).expect("reloaded");
    assert_eq!((order(&catalog, "ci").as_str(), order(&catalog, "own").as_str()), ("public", "corp"));
}

#[test]
fn an_upstream_whose_definition_cannot_be_read_fails_in_its_place() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["public"]), &build);
    catalog.create_upstream(&fields(json!({ "name": "corp", "kind": "git" }))).expect("created");
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["corp", "public"] }))).expect("created");
    drop(catalog);
    store.put("definition/upstream/corp", b"{}", crate::ports::Body::Bytes("[]".into())).expect("put");
    let catalog = open(&store, written(&["public"]), &build);
    assert_eq!(order(&catalog, "ci"), "corp public", "left out, its modules would be asked of public");
}

#[test]
fn default_follows_the_file_again_once_it_is_what_the_file_says() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["a", "b"]), &build);
    catalog.create_upstream(&fields(json!({ "name": "extra", "kind": "git" }))).expect("created");
    catalog.associate("default", "extra", None).expect("associated");
    catalog.dissociate("default", "extra").expect("taken out");
    assert_eq!(shown(&catalog.show_registry("default").expect("shown"))["source"], json!("implied"));
    catalog.reload(written(&["b", "c"]), build.clone(), None).expect("reloaded");
    assert_eq!(order(&catalog, "default"), "b c");
    drop(catalog);
    assert_eq!(order(&open(&store, written(&["d"]), &build), "default"), "d", "nothing is kept of it");
}

#[test]
fn of_a_name_in_both_the_configuration_counts_and_the_view_says_so() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = open(&store, written(&["a"]), &build);
    catalog.create_upstream(&fields(json!({ "name": "b", "kind": "git", "description": "ours" }))).expect("created");
    drop(catalog);
    let mut both = written(&["a", "b"]);
    both.upstreams[1].description = "the file's".to_owned();
    let catalog = open(&store, both, &build);
    let view = shown(&catalog.show_upstream("b").expect("shown"));
    assert_eq!(
        (&view["source"], &view["description"], &view["hides_another"]),
        (&json!("file"), &json!("the file's"), &json!(true))
    );
    drop(catalog);
    let catalog = open(&store, written(&["a"]), &build);
    let view = shown(&catalog.show_upstream("b").expect("shown"));
    assert_eq!((&view["source"], &view["description"]), (&json!("api"), &json!("ours")));
}
