use std::time::Duration;

use serde_json::json;

use super::*;

fn upstream(value: serde_json::Value) -> (Option<UpstreamDefinition>, Vec<String>) {
    let mut faults = Vec::new();
    let table = serde_json::from_value(value).expect("the shapes are right");
    let read = UpstreamDefinition::read(table, &mut faults);
    (read, faults.iter().map(|fault| fault.error("").to_string()).collect())
}

fn registry(value: serde_json::Value) -> (Option<RegistryDefinition>, Vec<String>) {
    let mut faults = Vec::new();
    let table = serde_json::from_value(value).expect("the shapes are right");
    let read = RegistryDefinition::read(table, &mut faults);
    if let Some(registry) = &read {
        registry.look_for_upstreams(["corp", "public"].into_iter(), &mut faults);
    }
    (read, faults.iter().map(|fault| fault.error("").to_string()).collect())
}

#[test]
fn what_is_written_and_read_again_is_the_same() {
    let table = [
        json!({ "name": "git", "kind": "git" }),
        json!({
            "name": "corp", "kind": "proxy", "url": "https://proxy.example/path", "description": "ours",
            "modules": ["corp.example/*", "[a-c].example"], "not_modules": ["x.example"],
            "auth": { "username": "ci", "token_env": "TOKEN" },
            "timeouts": { "first_byte": "1500ms", "total": "90s" },
            "cache_validity_hours": 0, "list_validity": "0", "on_change": "replace", "on_failure": "next",
            "max_size": "3GiB", "keep_days": 30, "requests": 7,
        }),
        json!({ "name": "d", "kind": "dir", "path": "/srv/modules", "list_max_stale": "2h", "max_size": "1000B" }),
    ];
    for value in table {
        let (first, faults) = upstream(value.clone());
        assert_eq!(faults, Vec::<String>::new(), "{value}");
        let written = serde_json::to_value(first.as_ref().expect("read").table()).expect("serializes");
        let (second, faults) = upstream(written.clone());
        assert_eq!((second, faults), (first, Vec::new()), "{written}");
    }
    let (first, _) =
        registry(json!({ "name": "ci", "upstreams": ["public"], "mode": "strict", "strict_mod": "refuse" }));
    let written = serde_json::to_value(first.as_ref().expect("read").table()).expect("serializes");
    assert_eq!(registry(written), (first, Vec::new()));
}

#[test]
fn lists_that_are_always_asked_for_are_never_served_stale_at_once() {
    let stale = |value| upstream(value).0.expect("read").list_max_stale;
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(stale(json!({ "name": "a", "kind": "git" })), day);
    assert_eq!(stale(json!({ "name": "a", "kind": "git", "list_validity": "2m" })), day);
    assert_eq!(stale(json!({ "name": "a", "kind": "git", "list_validity": "0s" })), Duration::ZERO);
}

fn proxy(extra: serde_json::Value) -> serde_json::Value {
    let mut value = json!({ "name": "a", "kind": "proxy", "url": "https://x.example" });
    value.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    value
}

#[test]
fn what_no_upstream_may_have_is_named_by_its_key() {
    let bad = [
        (json!({ "kind": "git" }), "name is missing"),
        (json!({ "name": "a" }), "kind is missing"),
        (json!({ "name": "a", "kind": "proxy" }), "url is missing"),
        (json!({ "name": "a", "kind": "dir" }), "path is missing"),
        (
            json!({ "name": "a", "kind": "git", "url": "https://x.example" }),
            "url: a git upstream has none (expected no url)",
        ),
        (
            json!({ "name": "../a", "kind": "git" }),
            "name: \"../a\" (expected letters, digits, dots, hyphens and underscores, the first a letter or digit)",
        ),
        (
            json!({ "name": "a~b", "kind": "git" }),
            "name: \"a~b\" (expected letters, digits, dots, hyphens and underscores, the first a letter or digit)",
        ),
        (
            proxy(json!({ "url": "https://u:hunter2@x.example" })),
            "url: \"…@x.example\" (expected a URL without credentials; they stand in auth)",
        ),
        (
            proxy(json!({ "url": "https://u:hunter2@:x y" })),
            "url: \"…@…\" (expected a URL without credentials; they stand in auth)",
        ),
        (proxy(json!({ "url": "ftp://x.example" })), "url: \"ftp\" (expected https or http)"),
        (
            proxy(json!({ "not_modules": ["a.example", "corp.[" ] })),
            "not_modules: \"corp.[\" (expected a pattern such as corp.example/*)",
        ),
        (proxy(json!({ "modules": ["a,b"] })), "modules: \"a,b\" (expected a pattern such as corp.example/*)"),
        (
            proxy(json!({ "list_validity": "soon" })),
            "list_validity: \"soon\" (expected a duration such as 30s, 1m or 24h)",
        ),
        (
            json!({ "name": "a", "kind": "dir", "path": "/srv/modules", "requests": 1 }),
            "requests: a folder is sent none (expected no requests)",
        ),
        (proxy(json!({ "requests": 0 })), "requests: \"0\" (expected a number from 1 to 1000)"),
        (proxy(json!({ "requests": 1001 })), "requests: \"1001\" (expected a number from 1 to 1000)"),
        (proxy(json!({ "timeouts": { "total": "0s" } })), "timeouts.total: \"0s\" (expected more than no time)"),
        (proxy(json!({ "max_size": "lots" })), "max_size: \"lots\" (expected a size such as 8MiB)"),
        (proxy(json!({ "on_change": "ask" })), "on_change: \"ask\" (expected keep or replace)"),
    ];
    for (value, expected) in bad {
        let (_, faults) = upstream(value.clone());
        assert_eq!(faults, [expected], "{value}");
    }
}

#[test]
fn what_no_credentials_may_have_is_named_by_its_key() {
    let bad = [
        (
            proxy(json!({ "auth": { "username": "ci" } })),
            "auth: no secret (expected exactly one of token_file and token_env)",
        ),
        (
            proxy(json!({ "auth": { "token_env": "A", "token_file": "b" } })),
            "auth: token_file and token_env (expected exactly one of token_file and token_env)",
        ),
        (
            proxy(json!({ "auth": { "host": "u:hunter2@x", "token_env": "A" } })),
            "auth.host: \"…@…\" (expected a host or host:port without credentials)",
        ),
        (
            proxy(json!({ "auth": { "header": "a b", "token_env": "A" } })),
            "auth.header: \"a b\" (expected a header's name such as Private-Token)",
        ),
        (
            proxy(json!({ "auth": { "scheme": "digest", "token_env": "A" } })),
            "auth.scheme: \"digest\" (expected basic with username, bearer, or header with header)",
        ),
        (json!({ "name": "a", "kind": "git", "auth": { "token_env": "A" } }), "auth.host is missing"),
    ];
    for (value, expected) in bad {
        let (_, faults) = upstream(value.clone());
        assert_eq!(faults, [expected], "{value}");
    }
}

#[test]
fn what_no_registry_may_have_is_named_by_its_key() {
    let many: Vec<String> = (1..=21).map(|number| format!("u{number}")).collect();
    let (_, faults) = registry(json!({ "name": "ci", "upstreams": many }));
    assert_eq!(faults[0], "upstreams: registry ci has 21 upstreams (expected at most 20)");
    let table = [
        (json!({ "upstreams": [] }), "name is missing"),
        (json!({ "name": "ci" }), "upstreams is missing"),
        (
            json!({ "name": "sumdb", "upstreams": [] }),
            "name: \"sumdb\" (expected a name that is no word of modvet's own addresses)",
        ),
        (
            json!({ "name": "ci", "upstreams": ["corp", "nobody"] }),
            "upstreams: registry ci names the unknown upstream \"nobody\" (expected one of: corp, public)",
        ),
        (
            json!({ "name": "ci", "upstreams": ["corp", "corp"] }),
            "upstreams: registry ci has \"corp\" twice (expected each upstream once)",
        ),
        (json!({ "name": "ci", "upstreams": [], "mode": "lax" }), "mode: \"lax\" (expected strict, rewrite or legacy)"),
    ];
    for (value, expected) in table {
        let (_, faults) = registry(value.clone());
        assert_eq!(faults, [expected], "{value}");
    }
}

#[test]
fn hosts_are_told_from_what_is_none() {
    for host in ["git.example", "localhost", "git.example:8443", "127.0.0.1", "::1", "[::1]:8080", "xn--a.example"] {
        assert!(is_host(host), "{host}");
    }
    for text in
        ["", "https://git.example", "git.example/x", "a b", "u@git.example", "git.example:x", "-a", "git.example:"]
    {
        assert!(!is_host(text), "{text}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_known_one() {
    let faults = |value: serde_json::Value| -> Vec<String> {
        let faults = keys::upstream_faults(value.as_object().expect("an object"));
        faults.iter().map(|fault| fault.error("").to_string()).collect()
    };
    let table = [
        (json!({ "nam": "a" }), "nam: unknown key\ndid you mean `name`?"),
        (json!({ "auth": { "tokn": "a" } }), "auth.tokn: unknown key\ndid you mean `token`?"),
        (json!({ "auth": "Bearer hunter2" }), "auth: a text (expected an object)"),
        (json!({ "modules": "a" }), "modules: a text (expected a list of texts)"),
        (json!({ "keep_days": -1 }), "keep_days: a number (expected a whole number)"),
        (json!({ "requests": "many" }), "requests: a text (expected a whole number)"),
    ];
    for (value, expected) in table {
        assert_eq!(faults(value.clone()), [expected], "{value}");
    }
    assert_eq!(faults(json!({ "name": null, "auth": { "token": "x" } })), Vec::<String>::new());
}
