//! All that is wrong with a file is named at once, and nothing that only follows from it.

use super::settings::{Given, Settings};
use crate::error::Error;

fn faults_with(text: &str, given: Given) -> Vec<String> {
    match Settings::read(text, given) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(Error::to_string).collect(),
    }
}

pub(super) fn faults(text: &str) -> Vec<String> {
    faults_with(text, Given::default())
}

/// What is tried, a file, and all that is said of it.
type Row = (&'static str, &'static str, &'static [&'static str]);

fn hold(table: &[Row]) {
    for (tried, text, expected) in table {
        assert_eq!(faults(text), *expected, "{tried}");
    }
}

const LISTS: &[Row] = &[
    (
        "a rule",
        "[[rule]]\nname = 'a'\nactoin = 'deny'\nmodules = 'example.com'\nversions = '>1'\n\
             [[rule]]\nname = 'b b'\naction = 'forbid'\ndry_run = 'yes'\nwhy = 'x'",
        &[
            "line 3: unknown key `actoin` in [rule]\ndid you mean `action`?",
            "line 4: rule.modules: \"example.com\" (expected a list of texts)",
            "line 5: rule.versions: \">1\" (expected all three numbers behind > and <=, not \"1\")",
            "line 7: rule.name: \"b b\" (expected letters, digits, dots, hyphens and underscores, the first a \
                 letter or digit)",
            "line 8: rule.action: \"forbid\" (expected allow or deny)",
            "line 9: rule.dry_run: \"yes\" (expected true or false)",
            "line 10: unknown key `why` in [rule]\nknown keys are: name, action, registries, modules, versions, \
                 reason, until, dry_run",
        ],
    ),
    (
        "an upstream",
        "[[upstream]]\nname = 'a'\nkind = 3\nurl = 'ftp://x.example'\nlist_validity = 'soon'\ndescripton = 'x'\n\
             auth = { host = 'a b', token_env = 3 }\n[upstream.timeouts]\ntotal = 5\nfirst_byte = '0s'",
        &[
            "line 3: upstream.kind: 3 (expected a text)",
            "line 4: upstream.url: \"ftp\" (expected https or http)",
            "line 5: upstream.list_validity: \"soon\" (expected a duration such as 30s, 1m or 24h)",
            "line 6: unknown key `descripton` in [upstream]\ndid you mean `description`?",
            "line 7: upstream.auth.token_env: 3 (expected a text)",
            "line 7: upstream.auth.host: \"a b\" (expected a host or host:port)",
            "line 9: upstream.timeouts.total: 5 (expected a text)",
            "line 10: upstream.timeouts.first_byte: \"0s\" (expected more than no time)",
        ],
    ),
    (
        "a registry",
        "[[upstream]]\nname = 'a'\nkind = 'git'\n[[registry]]\nname = 3\nupstreams = ['a', 7, 'a',\n'b']\n\
             mode = 'lax'\ndescripton = 'x'",
        &[
            "line 5: registry.name: 3 (expected a text)",
            "line 6: registry.upstreams: 7 (expected a list of texts)",
            "line 6: registry.upstreams: the registry has \"a\" twice (expected each upstream once)",
            "line 7: registry.upstreams: the registry names the unknown upstream \"b\" (expected one of: a)",
            "line 8: registry.mode: \"lax\" (expected strict, rewrite or legacy)",
            "line 9: unknown key `descripton` in [registry]\ndid you mean `description`?",
        ],
    ),
    (
        "two that share a name",
        "[[upstream]]\nname = 'a'\nkind = 'git'\n[[upstream]]\nname = 'a'\nkind = 'git'\n\
             [[registry]]\nname = 'ci'\nupstreams = ['b']",
        &[
            "line 5: upstream.name: \"a\" (expected a name that no other upstream has)",
            "line 9: registry.upstreams: registry ci names the unknown upstream \"b\" (expected one of: a)",
        ],
    ),
    (
        "a rule, where the file has the default registry",
        "[[upstream]]\nname = 'a'\nkind = 'git'\n[[registry]]\nname = 'default'\nupstreams = ['a']\n\
             [[rule]]\nname = 'r'\naction = 'deny'\nregistries = ['cii']",
        &["line 10: rule.registries: \"cii\" (expected registries of this file: default)"],
    ),
    (
        "a key that stands twice",
        "[[upstream]]\nname = 'a'\nkind = 'git'\nname = 'b'",
        &["line 4: duplicate key `name`"],
    ),
];

const TABLES: &[Row] = &[
    (
        "TLS",
        "[tls]\ncertificat = 'c'\nhttp2 = 1\nredirect = ':80'",
        &[
            "line 1: tls.key is missing\nname a PEM file: key = \"FILE\"",
            "line 2: unknown key `certificat` in [tls]\ndid you mean `certificate`?",
            "line 3: tls.http2: 1 (expected true or false)",
            "line 4: tls.redirect: \":80\" (expected an address and a port such as 127.0.0.1:3000)",
        ],
    ),
    (
        "the cooldown",
        "[cooldown]\nmin_age = 7\nfirst_sight = 'hope'\nmodule = ['x']\n[[cooldown.exception]]\nmodules = 'x'\n\
             until = 'soon'\n[[cooldown.exception]]\nversion = '1'",
        &[
            "line 2: cooldown.min_age: 7 (expected a text)",
            "line 3: cooldown.first_sight: \"hope\" (expected trust or wait)",
            "line 4: unknown key `module` in [cooldown]\ndid you mean `modules`?",
            "line 6: cooldown.exception.modules: \"x\" (expected a list of texts)",
            "line 7: cooldown.exception.until: \"soon\" (expected a date such as 2027-01-31, or a time such as \
                 2027-01-31T12:00:00Z)",
            "line 8: cooldown.exception.modules is missing",
            "line 9: unknown key `version` in [cooldown.exception]\ndid you mean `versions`?",
        ],
    ),
    (
        "the rest",
        "listen = 'here'\nopen = 'yes'\ntrusted_proxies = [1,\n'x']\nstroe = {}\n[net]\nallow_private = [2,\n\
             '10.0.0.0/33']\n[git]\nallow_insecure = [3,\n'https://x']\n[audit]\nkeep = 9\nwhat = 'zips'",
        &[
            "line 1: listen: \"here\" (expected an address and a port such as 127.0.0.1:3000)",
            "line 2: open: \"yes\" (expected true or false)",
            "line 3: trusted_proxies: 1 (expected a list of texts)",
            "line 4: trusted_proxies: \"x\" (expected an address or a range such as 10.0.0.0/8)",
            "line 5: unknown key `stroe` at the top level\ndid you mean `store`?",
            "line 7: net.allow_private: 2 (expected a list of texts)",
            "line 8: net.allow_private: \"10.0.0.0/33\" (expected a host name, an address or a range)",
            "line 10: git.allow_insecure: 3 (expected a list of hosts, or true)",
            "line 11: git.allow_insecure: \"https://x\" (expected a host or host:port)",
            "line 13: audit.keep: 9 (expected a text)",
            "line 14: audit.what: \"zips\" (expected versions or all)",
        ],
    ),
];

#[test]
fn unknown_keys_other_types_and_bad_values_are_named_together() {
    hold(LISTS);
    hold(TABLES);
}

#[test]
fn what_was_left_out_moves_no_line() {
    hold(&[
        (
            "an upstream that is no table",
            "upstream = [\n3,\n{ name = 'b', kind = 'svn' },\n]",
            &["line 2: upstream: 3 (expected a table)", "line 3: upstream.kind: \"svn\" (expected git, proxy or dir)"],
        ),
        (
            "strangers among patterns",
            "[[rule]]\nname = 'a'\naction = 'deny'\nmodules = [\n1,\n'x,y',\ntrue,\n'[']",
            &[
                "line 5: rule.modules: 1 (expected a list of texts)",
                "line 6: rule.modules: \"x,y\" (expected a pattern such as corp.example/*)",
                "line 7: rule.modules: true (expected a list of texts)",
                "line 8: rule.modules: \"[\" (expected a pattern such as corp.example/*)",
            ],
        ),
        (
            "strangers among databases",
            "[sumdb]\nverify = 'required'\ndatabases = [\n1,\n's.org']",
            &[
                "line 4: sumdb.databases: 1 (expected a list of texts)",
                "line 5: sumdb.databases: malformed verifier key \"s.org\" (expected NAME+HASH+KEY)",
            ],
        ),
    ]);
}

#[test]
fn what_only_follows_is_not_named() {
    const CI: &str = "[[registry]]\nname = 'ci'\nupstreams = ['a']\n[[rule]]\nname = 'r'\naction = 'deny'\n\
                      registries = ['ci']\n";
    let with_ci: &[(&str, &str)] = &[
        ("upstream = 3\n", "line 1: upstream: 3 (expected [[upstream]])"),
        ("upstream = [3]\n", "line 1: upstream: 3 (expected a table)"),
        ("[[upstreem]]\nname = 'a'\n", "line 1: unknown key `upstreem` at the top level\ndid you mean `upstream`?"),
        ("[[upstream]]\nname = 3\nkind = 'git'\n", "line 2: upstream.name: 3 (expected a text)"),
        ("[[upstream]]\nname = 'a'\nkind = 'svn'\n", "line 3: upstream.kind: \"svn\" (expected git, proxy or dir)"),
        (
            "[[upstream]]\nname = 'b'\nkind = 'git'\n[[upstreem]]\nname = 'a'\n",
            "line 4: unknown key `upstreem` at the top level\ndid you mean `upstream`?",
        ),
    ];
    for (text, expected) in with_ci {
        assert_eq!(faults(&format!("{text}{CI}")), [*expected], "{text}");
    }
    let rule = "[[rule]]\nname = 'r'\naction = 'deny'\nregistries = ['ci']\n";
    let with_rule: &[(&str, &str)] = &[
        ("registry = 3\n", "line 1: registry: 3 (expected [[registry]])"),
        ("[[registry]]\nname = 3\nupstreams = []\n", "line 2: registry.name: 3 (expected a text)"),
        ("[[registry]]\nname = 'ci'\nupstreams = 3\n", "line 3: registry.upstreams: 3 (expected a list of texts)"),
        (
            "[[registry]]\nname = 'x'\nupstreams = []\n[[registri]]\nname = 'ci'\n",
            "line 4: unknown key `registri` at the top level\ndid you mean `registry`?",
        ),
    ];
    for (text, expected) in with_rule {
        assert_eq!(faults(&format!("{text}{rule}")), [*expected], "{text}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_missing() {
    let upstream = |rest: &str| format!("[[upstream]]\nname = 'a'\nkind = 'git'\n{rest}");
    let table = [
        ("[[rule]]\nname = 'r'\naction = 3".to_owned(), "line 3: rule.action: 3 (expected a text)"),
        ("[[rule]]\nname = 3\naction = 'deny'".to_owned(), "line 2: rule.name: 3 (expected a text)"),
        ("rule = ['deny']".to_owned(), "line 1: rule: a text (expected a table)"),
        // It may be a secret in the wrong place: it is not repeated.
        (upstream("auth = 'hunter2'"), "line 4: upstream.auth: a text (expected a table)"),
        ("[tls]\ncertificate = 3\nkey = 'k'".to_owned(), "line 2: tls.certificate: 3 (expected a text)"),
        ("[cooldown]\nmin_age = 3".to_owned(), "line 2: cooldown.min_age: 3 (expected a text)"),
        ("[[upstream]]\nname = 'a'\nkind = 'proxy'\nurl = 3".to_owned(), "line 4: upstream.url: 3 (expected a text)"),
        (
            "[[upstream]]\nname = 'a'\nkind = 'dir'\npth = '/x'".to_owned(),
            "line 4: unknown key `pth` in [upstream]\ndid you mean `path`?",
        ),
        (
            "[[upstream]]\nname = 'a'\nkind = 3\nauth = { token_env = 'A' }".to_owned(),
            "line 3: upstream.kind: 3 (expected a text)",
        ),
        (upstream("auth = { host = 3, token_env = 'A' }"), "line 4: upstream.auth.host: 3 (expected a text)"),
        (upstream("auth = { host = 'x', token_file = 3 }"), "line 4: upstream.auth.token_file: 3 (expected a text)"),
        (
            upstream("auth = { host = 'x', token_env = 'A', scheme = 'basic', username = 3 }"),
            "line 4: upstream.auth.username: 3 (expected a text)",
        ),
        (
            upstream("auth = { host = 'x', token_env = 'A', scheme = 'header', header = 3 }"),
            "line 4: upstream.auth.header: 3 (expected a text)",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(faults(&text), [expected], "{text}");
    }
}

#[test]
fn what_stands_in_for_a_key_that_cannot_be_read_is_not_blamed() {
    let nothing = || Given { databases: Ok(Vec::new()), ..Given::default() };
    let text = "[sumdb]\nverify = 'required'\ndatabases = 3";
    assert_eq!(faults_with(text, nothing()), ["line 3: sumdb.databases: 3 (expected a list of texts)"]);
    let broken = || Given {
        databases: Err(Error::gone("GOSUMDB: malformed")),
        otherwise: Err(Error::gone("GOPROXY: malformed")),
        ..Given::default()
    };
    let text = "upstream = 3\n[sumdb]\ndatabases = 3";
    let expected =
        ["line 1: upstream: 3 (expected [[upstream]])", "line 3: sumdb.databases: 3 (expected a list of texts)"];
    assert_eq!(faults_with(text, broken()), expected);
    let text = "[[registry]]\nname = 'ci'\nupstreams = ['a']";
    assert_eq!(faults_with(text, broken()), ["line 1: GOSUMDB: malformed", "line 1: GOPROXY: malformed"]);
}

#[test]
fn what_is_wrong_beside_a_gap_is_named_all_the_same() {
    hold(&[
        (
            "the same name twice, one of another kind",
            "[[upstream]]\nname = 'a'\nkind = 'svn'\n[[upstream]]\nname = 'a'\nkind = 'git'",
            &[
                "line 3: upstream.kind: \"svn\" (expected git, proxy or dir)",
                "line 5: upstream.name: \"a\" (expected a name that no other upstream has)",
            ],
        ),
        (
            "a registry that nobody has, beside one that cannot be meant",
            "[[registry]]\nname = 'ci'\nupstreams = 3\n[[rule]]\nname = 'r'\naction = 'deny'\nregistries = ['cii']",
            &[
                "line 3: registry.upstreams: 3 (expected a list of texts)",
                "line 7: rule.registries: \"cii\" (expected registries of this file: ci, default)",
            ],
        ),
        (
            "an unknown key beside the one that it is like",
            "[[rule]]\nname = ''\nnames = 'x'\naction = 'deny'",
            &[
                "line 2: rule.name: \"\" (expected letters, digits, dots, hyphens and underscores, the first a letter \
                 or digit)",
                "line 3: unknown key `names` in [rule]\ndid you mean `name`?",
            ],
        ),
        (
            "no TOML",
            "lisen = 3\nlisten = \nopen = 3",
            &["line 2: string values must be quoted, expected literal string"],
        ),
    ]);
}

#[test]
fn all_that_is_wrong_with_rules_is_named_at_once() {
    let text = "[rules]\ndefault = 'maybe'\n[[rule]]\nname = 'a'\naction = 'forbid'\nregistries = ['cii']\n\
                modules = ['example.com/[a']\nversions = '1.2.0, 1.3.0'\nuntil = 'soon'\n[[rule]]\nname = 'a'\n\
                action = 'allow'\ndry_run = true\n[[rule]]\nname = 'cooldown'\n[cooldown]\nmin_age = 'long'\n\
                first_sight = 'hope'\ndry_run = 'no'\n[[cooldown.exception]]\nversions = '>1'\n";
    assert_eq!(
        faults(text),
        [
            "line 2: rules.default: \"maybe\" (expected allow or deny)",
            "line 5: rule.action: \"forbid\" (expected allow or deny)",
            "line 6: rule.registries: \"cii\" (expected registries of this file: default)",
            "line 7: rule.modules: \"example.com/[a\" (expected a pattern such as corp.example/*)",
            "line 8: rule.versions: \"1.2.0, 1.3.0\" (expected a range that some version is in; `,` means and, \
             `||` means or: nothing is in \"1.2.0, 1.3.0\")",
            "line 9: rule.until: \"soon\" (expected a date such as 2027-01-31, or a time such as \
             2027-01-31T12:00:00Z)",
            "line 11: rule.name: \"a\" (expected a name that no other rule has)",
            "line 13: rule.dry_run: true (expected it of a deny rule only: to allow refuses nothing)",
            "line 14: rule.action is missing",
            "line 15: rule.name: \"cooldown\" (expected a name that is no word of modvet's own refusals)",
            "line 17: cooldown.min_age: \"long\" (expected a duration such as 30s, 1m or 24h)",
            "line 18: cooldown.first_sight: \"hope\" (expected trust or wait)",
            "line 19: cooldown.dry_run: \"no\" (expected true or false)",
            "line 20: cooldown.exception.modules is missing",
            "line 21: cooldown.exception.versions: \">1\" (expected all three numbers behind > and <=, not \"1\")",
        ]
    );
}
