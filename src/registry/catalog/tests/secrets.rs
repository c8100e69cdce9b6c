use serde_json::json;

use super::*;
use crate::ports::Store as _;

fn seal(digit: &str) -> Option<Seal> {
    Some(Seal::new(&Secret::new(digit.repeat(64))).expect("a key"))
}

fn sealing(store: &Arc<Drawer>, build: &Arc<Workshop>, digit: &str) -> Catalog<Line> {
    Catalog::open(store.clone(), written(&["a"]), build.clone(), seal(digit)).expect("a catalog")
}

fn corp() -> Value {
    json!({
        "name": "corp", "kind": "proxy", "url": "https://proxy.example",
        "auth": { "username": "ci", "token": "hunter2" },
    })
}

/// All that the store holds, as text.
fn bytes(store: &Arc<Drawer>) -> String {
    let read = |key: String| {
        let stored = store.get(&key).expect("readable").expect("there");
        let body = stored.blob.read_all(1 << 20).expect("readable");
        format!("{key} {} {}", String::from_utf8_lossy(&stored.meta), String::from_utf8_lossy(&body))
    };
    store.keys().into_iter().map(read).collect()
}

#[test]
fn a_secret_that_was_handed_over_is_used_and_neither_shown_nor_kept_as_it_is() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = sealing(&store, &build, "a");
    let view = shown(&catalog.create_upstream(&fields(corp())).expect("created"));
    let auth = json!({ "host": "proxy.example", "scheme": "basic", "username": "ci", "set": true });
    assert_eq!(view["auth"], auth);
    assert_eq!(build.built().last(), Some(&("corp".to_owned(), Some("hunter2".to_owned()))));
    assert!(!bytes(&store).contains("hunter2"), "{}", bytes(&store));
    assert!(!shown(&catalog.list_upstreams()).to_string().contains("hunter2"));
    assert!(!format!("{:?}", catalog.upstreams()).contains("hunter2"));
    drop(catalog);
    let catalog = sealing(&store, &build, "a");
    assert_eq!(build.built().last(), Some(&("corp".to_owned(), Some("hunter2".to_owned()))));
    catalog
        .change_upstream("corp", &fields(json!({ "auth": { "username": "bot" }, "description": "x" })))
        .expect("changed");
    assert_eq!(build.built().last(), Some(&("corp".to_owned(), Some("hunter2".to_owned()))), "the token stays");
    catalog.change_upstream("corp", &fields(json!({ "auth": null }))).expect("changed");
    assert_eq!(build.built().last(), Some(&("corp".to_owned(), None)));
    assert!(!bytes(&store).contains("sealed"), "{}", bytes(&store));
}

#[test]
fn without_a_key_no_secret_is_taken_and_the_way_out_is_said() {
    let (store, build) = (Drawer::new(), Workshop::with_variable("CORP_TOKEN", "hunter2"));
    let catalog = open(&store, written(&["a"]), &build);
    let error = catalog.create_upstream(&fields(corp())).expect_err("no key");
    assert_eq!(
        error.to_string(),
        "auth.token: there is no key to seal it with (expected [store] key_file or key_env)\n\
         make a key with: head -c 32 /dev/urandom | base64\n\
         or name the secret by auth.token_file or auth.token_env"
    );
    assert!(catalog.show_upstream("corp").is_err());
    let mut named = corp();
    named["auth"] = json!({ "token_env": "CORP_TOKEN" });
    let view = shown(&catalog.create_upstream(&fields(named.clone())).expect("by reference"));
    assert_eq!(
        view["auth"],
        json!({ "host": "proxy.example", "scheme": "bearer", "token_env": "CORP_TOKEN", "set": true })
    );
    named["name"] = json!("other");
    named["auth"] = json!({ "token_env": "NO_SUCH_TOKEN" });
    let error = catalog.create_upstream(&fields(named)).expect_err("no variable");
    assert_eq!(error.to_string(), "auth: environment variable NO_SUCH_TOKEN is not set");
}

#[test]
fn a_key_that_does_not_fit_fails_only_the_upstreams_whose_secrets_it_does_not_open() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = sealing(&store, &build, "a");
    catalog.create_upstream(&fields(corp())).expect("created");
    catalog.create_upstream(&fields(json!({ "name": "open", "kind": "git" }))).expect("created");
    drop(catalog);
    build.built();
    let catalog = sealing(&store, &build, "b");
    let expected = "its credentials cannot be read: the key of [store] does not fit".to_owned();
    assert_eq!(build.failing(), [("corp".to_owned(), expected)]);
    let built: Vec<String> = build.built().into_iter().map(|(name, _)| name).collect();
    assert_eq!(built, ["a", "open"]);
    // It is mended by a new token, or by the right key.
    let patch = json!({ "auth": { "token": "hunter3" } });
    catalog.change_upstream("corp", &fields(patch)).expect("changed");
    assert_eq!(build.built(), [("corp".to_owned(), Some("hunter3".to_owned()))]);
    assert_eq!(build.failing(), []);
    drop(catalog);
    open(&store, written(&["a"]), &build);
    let expected = "its credentials are sealed, and there is no key".to_owned();
    assert_eq!(build.failing(), [("corp".to_owned(), expected)]);
}

#[test]
fn a_kept_secret_does_not_follow_its_upstream_to_another_host() {
    let (store, build) = (Drawer::new(), Workshop::new());
    let catalog = sealing(&store, &build, "a");
    catalog.create_upstream(&fields(corp())).expect("created");
    let refused = "auth.token: the kept one is for proxy.example (expected one for evil.example)\n\
                   give the token anew, or auth = null";
    for patch in [json!({ "url": "https://evil.example" }), json!({ "auth": { "host": "evil.example" } })] {
        let error = catalog.change_upstream("corp", &fields(patch.clone())).expect_err("another host");
        assert_eq!(error.to_string(), refused, "{patch}");
    }
    let patch = json!({ "url": "https://new.example", "auth": { "token": "hunter3" } });
    let view = shown(&catalog.change_upstream("corp", &fields(patch)).expect("with a new token"));
    assert_eq!(view["auth"]["host"], json!("new.example"));
    let patch = json!({ "url": "https://new.example/another/path" });
    catalog.change_upstream("corp", &fields(patch)).expect("the same host");
}
