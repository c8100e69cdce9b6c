use serde_json::json;

use super::*;
use crate::error::Kind;
use crate::ports::Store as _;

fn catalog() -> (Arc<Drawer>, Arc<Workshop>, Catalog<Line>) {
    let (store, build) = (Drawer::new(), Workshop::new());
    let mut both = written(&["a", "b", "c"]);
    both.registries = vec![RegistryDefinition::new("fixed", vec!["a".to_owned()])];
    let catalog = open(&store, both, &build);
    (store, build, catalog)
}

#[test]
fn the_order_changes_at_once_and_is_kept() {
    let (store, build, catalog) = catalog();
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["a", "b"] }))).expect("created");
    let held = catalog.current();
    let view = shown(&catalog.associate("ci", "c", None).expect("the last"));
    assert_eq!(view["upstreams"][2], json!({ "position": 3, "name": "c" }));
    assert_eq!(order(&catalog, "ci"), "a b c");
    catalog.reposition("ci", "c", 1).expect("the first");
    assert_eq!(order(&catalog, "ci"), "c a b");
    catalog.reposition("ci", "c", 3).expect("the last");
    assert_eq!(order(&catalog, "ci"), "a b c");
    catalog.dissociate("ci", "b").expect("taken out");
    assert_eq!(order(&catalog, "ci"), "a c");
    catalog.change_registry("ci", &fields(json!({ "upstreams": ["c", "b", "a"], "mode": "strict" }))).expect("changed");
    assert_eq!(held.registries["ci"].upstreams, ["a", "b"], "a request that runs keeps its order");
    drop(catalog);
    let catalog = open(&store, written(&["a", "b", "c"]), &build);
    assert_eq!(order(&catalog, "ci"), "c b a");
    let bound = ["binding/ci/example.com/m", "binding/other/example.com/m"];
    for key in bound {
        store.put(key, b"{}", crate::ports::Body::Bytes("".into())).expect("kept");
    }
    catalog.delete_registry("ci").expect("deleted");
    let left: Vec<String> = store.keys().into_iter().filter(|key| key.starts_with("binding/")).collect();
    assert_eq!(left, bound[1..], "its bindings go with it");
    drop(catalog);
    assert!(!open(&store, written(&["a"]), &build).current().registries.contains_key("ci"));
}

#[test]
fn a_position_out_of_range_is_refused_with_the_range() {
    let (_, _, catalog) = catalog();
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["a", "b"] }))).expect("created");
    let errors = [
        (catalog.associate("ci", "c", Some(0)).expect_err("0"), "position: 0 (expected 1 to 3)"),
        (catalog.associate("ci", "c", Some(4)).expect_err("4"), "position: 4 (expected 1 to 3)"),
        (catalog.reposition("ci", "a", 3).expect_err("3"), "position: 3 (expected 1 to 2)"),
    ];
    for (error, expected) in errors {
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Gone, expected));
    }
    assert_eq!(order(&catalog, "ci"), "a b");
}

#[test]
fn what_cannot_be_done_says_why() {
    let (_, _, catalog) = catalog();
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["a"] }))).expect("created");
    catalog.create_upstream(&fields(json!({ "name": "mine", "kind": "git" }))).expect("created");
    catalog.associate("ci", "mine", None).expect("associated");
    let written = "is defined in the configuration file, and only changed there";
    let table = [
        (catalog.delete_upstream("a").expect_err("written"), Kind::Conflict, format!("upstream a: {written}")),
        (
            catalog.change_upstream("a", &fields(json!({ "description": "x" }))).expect_err("written"),
            Kind::Conflict,
            format!("upstream a: {written}"),
        ),
        (catalog.delete_registry("fixed").expect_err("written"), Kind::Conflict, format!("registry fixed: {written}")),
        (
            catalog.associate("fixed", "b", None).expect_err("written"),
            Kind::Conflict,
            format!("registry fixed: {written}"),
        ),
        (
            catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": [] }))).expect_err("taken"),
            Kind::Conflict,
            "name: \"ci\": there is a registry of this name".to_owned(),
        ),
        (
            catalog.create_upstream(&fields(json!({ "name": "b", "kind": "git" }))).expect_err("taken"),
            Kind::Conflict,
            "name: \"b\": there is an upstream of this name".to_owned(),
        ),
        (
            catalog.delete_upstream("mine").expect_err("in use"),
            Kind::Conflict,
            "upstream mine: it stands in a registry: ci\n\
             take it out of them first: DELETE /api/v1/registries/NAME/upstreams/UPSTREAM"
                .to_owned(),
        ),
        (
            catalog.delete_upstream("zzz").expect_err("unknown"),
            Kind::NotFound,
            "upstreams/zzz: unknown upstream".to_owned(),
        ),
        (
            catalog.delete_registry("zzz").expect_err("unknown"),
            Kind::NotFound,
            "registries/zzz: unknown registry".to_owned(),
        ),
    ];
    for (error, kind, expected) in table {
        assert_eq!((error.kind(), error.to_string()), (kind, expected));
    }
}

#[test]
fn an_upstream_stands_in_a_registry_once_and_only_if_there_is_one() {
    let (_, _, catalog) = catalog();
    catalog.create_registry(&fields(json!({ "name": "ci", "upstreams": ["a"] }))).expect("created");
    let table = [
        (
            catalog.associate("ci", "a", None).expect_err("twice"),
            Kind::Conflict,
            "registry ci: upstream a stands there already, at position 1".to_owned(),
        ),
        (
            catalog.associate("ci", "zzz", None).expect_err("unknown"),
            Kind::Gone,
            "upstreams: registry ci names the unknown upstream \"zzz\" (expected one of: a, b, c)".to_owned(),
        ),
        (
            catalog.dissociate("ci", "b").expect_err("not there"),
            Kind::NotFound,
            "upstream b: it does not stand in the registry ci".to_owned(),
        ),
    ];
    for (error, kind, expected) in table {
        assert_eq!((error.kind(), error.to_string()), (kind, expected));
    }
}

#[test]
fn at_run_time_too_a_registry_has_at_most_20_upstreams() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let names: Vec<String> = (1..=20).map(|number| format!("u{number}")).collect();
    let catalog = open(&store, written(&names.iter().map(String::as_str).collect::<Vec<_>>()), &build);
    catalog.create_upstream(&fields(json!({ "name": "one-more", "kind": "git" }))).expect("created");
    let error = catalog.associate("default", "one-more", None).expect_err("21");
    assert_eq!(error.to_string(), "upstreams: registry default has 21 upstreams (expected at most 20)");
    assert_eq!(catalog.current().registries["default"].upstreams.len(), 20);
}

#[test]
fn a_change_of_an_upstream_keeps_what_is_not_named_and_null_gives_back_the_default() {
    let (_, build, catalog) = catalog();
    let made = json!({
        "name": "public", "kind": "proxy", "url": "https://proxy.example", "description": "first", "keep_days": 3,
        "timeouts": { "first_byte": "5s", "total": "1m" },
    });
    catalog.create_upstream(&fields(made)).expect("created");
    build.built();
    let patch = json!({ "description": "second", "keep_days": null, "timeouts": { "total": "2m" } });
    let view = shown(&catalog.change_upstream("public", &fields(patch)).expect("changed"));
    assert_eq!((&view["url"], &view["description"]), (&json!("https://proxy.example/"), &json!("second")));
    assert_eq!(view["timeouts"], json!({ "first_byte": "5s", "total": "2m" }));
    assert!(view.get("keep_days").is_none(), "{view}");
    assert_eq!(build.built().len(), 1, "other times are another view of the client");
    catalog.change_upstream("public", &fields(json!({ "description": "third", "max_size": "1GiB" }))).expect("changed");
    assert_eq!(build.built().len(), 0, "a description changes nothing of how it is asked");
    assert_eq!(catalog.current().definitions["public"].max_size, Some(1 << 30));
    let error = catalog.change_upstream("public", &fields(json!({ "name": "other" }))).expect_err("renamed");
    assert_eq!(error.to_string(), "name: \"other\" (expected the name it has)");
    let error = catalog.change_upstream("public", &fields(json!({ "modles": [] }))).expect_err("unknown");
    assert_eq!(error.to_string(), "modles: unknown key\ndid you mean `modules`?");
}

#[tokio::test]
async fn whoever_waits_for_a_change_to_end_holds_up_no_worker() {
    let (_, _, catalog) = catalog();
    let catalog = Arc::new(catalog);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let changing = catalog.clone();
    let holder = std::thread::spawn(move || {
        let _state = changing.state();
        locked.send(()).expect("somebody waits");
        released.recv_timeout(std::time::Duration::from_secs(5)).is_ok()
    });
    is_locked.recv().expect("locked");
    let (admitting, testing) = (catalog.clone(), catalog.clone());
    let admitted =
        tokio::spawn(async move { admitting.admit(None, &fields(json!({ "name": "x", "kind": "git" }))).await });
    let tested = tokio::spawn(async move { testing.test("a", None).await.map(drop) });
    tokio::task::yield_now().await;
    let _ = release.send(());
    assert!(holder.join().expect("ended"), "nobody else could run");
    admitted.await.expect("ended").expect("admitted");
    let error = tested.await.expect("ended").expect_err("the workshop tests nothing");
    assert_eq!(error.kind(), Kind::Internal);
}

#[test]
fn a_registry_inherits_nothing_from_one_of_its_name() {
    let (store, build, catalog) = catalog();
    let order_of_work = || std::mem::take(&mut *build.registries.lock().expect("lock"));
    catalog.change_registry("default", &fields(json!({ "mode": "strict" }))).expect("changed");
    order_of_work();
    catalog.delete_registry("default").expect("deleted");
    assert_eq!(order_of_work(), ["-default", "+default"], "the implied one has no book of the one before");
    store.put("binding/late/example.com/m", b"{}", crate::ports::Body::Bytes("".into())).expect("kept");
    catalog.create_registry(&fields(json!({ "name": "late", "upstreams": ["a"] }))).expect("created");
    assert!(!store.keys().iter().any(|key| key.starts_with("binding/late/")), "what a process left that was killed");
}

#[tokio::test]
async fn a_test_tells_no_upstream_a_name_that_its_patterns_keep_from_it() {
    let (_, _, catalog) = catalog();
    let catalog = Arc::new(catalog);
    let public = json!({ "name": "public", "kind": "git", "not_modules": ["corp.example"] });
    catalog.create_upstream(&fields(public)).expect("created");
    let only = json!({ "name": "corp", "kind": "git", "modules": ["corp.example"] });
    catalog.create_upstream(&fields(only)).expect("created");
    for (upstream, path, expected) in [
        ("public", "corp.example/x", "its `not_modules` name the path"),
        ("corp", "other.org/x", "its `modules` do not name the path"),
    ] {
        let module = ModulePath::parse(path).expect(path);
        let tested = catalog.test(upstream, Some(&module)).await.expect("nobody is asked");
        assert_eq!((tested.ok, tested.kind.as_str(), tested.what.as_str()), (false, "refused", expected), "{upstream}");
    }
    // What may be asked is.
    let module = ModulePath::parse("corp.example/x").expect("a path");
    let asked = catalog.test("corp", Some(&module)).await.expect_err("the workshop asks nobody");
    assert_eq!(asked.what(), "nobody is there to be tested");
}
