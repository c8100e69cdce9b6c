//! Each bad value is named with its line, its key and what was expected.

use super::fault_tests::faults;

/// A file, and all that is said of it.
type Row = (&'static str, &'static str);

const VALUES: &[Row] = &[
    ("listen = 'here'", "line 1: listen: \"here\" (expected an address and a port such as 127.0.0.1:3000)"),
    ("listen = 3", "line 1: listen: 3 (expected a text)"),
    ("listen = ", "line 1: string values must be quoted, expected literal string"),
    ("\n[pseudo_versions]\nmode = 'lax'", "line 3: pseudo_versions.mode: \"lax\" (expected strict, rewrite or legacy)"),
    ("[store]\nkeep_days = -1", "line 2: store.keep_days: -1 (expected a whole number)"),
    ("[store]\nspill = 'much'", "line 2: store.spill: \"much\" (expected a size such as 8MiB)"),
    (
        "[store]\nkey_file = 'a'\nkey_env = 'B'",
        "line 3: store.key_env: key_file and key_env (expected only one of them)",
    ),
    ("[git]\nallow_insecure = 'x'", "line 2: git.allow_insecure: \"x\" (expected a list of hosts, or true)"),
    (
        "[git]\nallow_insecure = ['a.example',\n'https://b.example']",
        "line 3: git.allow_insecure: \"https://b.example\" (expected a host or host:port)",
    ),
    (
        "[net]\nallow_private = ['10.0.0.0/33']",
        "line 2: net.allow_private: \"10.0.0.0/33\" (expected a host name, an address or a range)",
    ),
    ("[audit]\nenabled = 'yes'", "line 2: audit.enabled: \"yes\" (expected true or false)"),
    ("[audit]\nmax_size = '10KiB'", "line 2: audit.max_size: \"10KiB\" (expected a size of at least 1MiB)"),
    ("[audit]\nkeep = 'long'", "line 2: audit.keep: \"long\" (expected a duration such as 30s, 1m or 24h)"),
    ("[audit]\nwhat = 'zips'", "line 2: audit.what: \"zips\" (expected versions or all)"),
    ("[sumdb]\nverify = 'on'", "line 2: sumdb.verify: \"on\" (expected auto, required or off)"),
    (
        "[sumdb]\nverify = 'required'\ndatabases = []",
        "line 2: sumdb.verify: \"required\" without a checksum database (expected one in databases or GOSUMDB)",
    ),
    (
        "[sumdb]\ndatabases = ['sum.golang.org',\n's.org']",
        "line 3: sumdb.databases: malformed verifier key \"s.org\" (expected NAME+HASH+KEY)",
    ),
    (
        "[sumdb]\ndatabases = ['sum.golang.org',\n'sum.golang.org https://x.example']",
        "line 3: sumdb.databases: \"sum.golang.org\" (expected each database once)",
    ),
    ("[sumdb]\nprivate = ['a,b']", "line 2: sumdb.private: \"a,b\" (expected a pattern such as corp.example/*)"),
    (
        "[api]\nadmin_token_file = 'a'\nadmin_token_env = 'B'",
        "line 3: api.admin_token_env: admin_token_file and admin_token_env (expected only one of them)",
    ),
    (
        "[api]\nrefresh_secret_file = 'a'\nrefresh_secret_env = 'B'",
        "line 3: api.refresh_secret_env: refresh_secret_file and refresh_secret_env (expected only one of them)",
    ),
];

/// The same behind an upstream of three lines.
const DEFINITIONS: &[Row] = &[
    ("[[upstream]]\nkind = 'git'", "line 4: upstream.name is missing"),
    ("[[upstream]]\nname = 'b'\nkind = 'svn'", "line 6: upstream.kind: \"svn\" (expected git, proxy or dir)"),
    (
        "[[upstream]]\nname = 'b'\nkind = 'proxy'\nurl = 'https://u:p@x.example'",
        "line 7: upstream.url: \"…@x.example\" (expected a URL without credentials; they stand in auth)",
    ),
    ("[[upstream]]\nname = 'b'\nkind = 'dir'", "line 4: upstream.path is missing"),
    (
        "auth = { host = 'x.example', token = 'hunter2' }",
        "line 4: unknown key `token` in [upstream.auth]\n\
         the secret itself never stands in the file: name it by token_file or token_env",
    ),
    (
        "[[upstream]]\nname = 'a'\nkind = 'git'",
        "line 5: upstream.name: \"a\" (expected a name that no other upstream has)",
    ),
    (
        "[[upstream]]\nname = 'b'\nkind = 'git'\nmirrors = ['m',\n'x']\n\
         [[mirror]]\nname = 'm'\nsource = 'https://a.example/m'\nmirror = 'https://b.example/m'",
        "line 8: upstream.mirrors: upstream b names the unknown mirror \"x\" (expected one of: m)",
    ),
    (
        "[[upstream]]\nname = 'b'\nkind = 'git'\nmirrors = ['m']",
        "line 7: upstream.mirrors: upstream b names the unknown mirror \"m\" (expected the name of a [[mirror]])",
    ),
    (
        "[[upstream]]\nname = 'b'\nkind = 'proxy'\nurl = 'https://b.example'\nmirrors = ['m']\n\
         [[mirror]]\nname = 'm'\nsource = 'https://a.example/m'\nmirror = 'https://b.example/m'",
        "line 8: upstream.mirrors: \"m\" is a mirror of kind git (expected one of kind proxy, as the upstream is)",
    ),
    (
        "[[upstream]]\nname = 'b'\nkind = 'git'\non_stale = 'panic'",
        "line 7: upstream.on_stale: \"panic\" (expected warn or refuse)",
    ),
    (
        "[[upstream]]\nname = 'b'\nkind = 'git'\non_stale = 'refuse'",
        "line 7: upstream.on_stale: \"refuse\" without mirrors (expected the names of those that it reads from in \
         mirrors)",
    ),
    (
        "[[registry]]\nname = 'ci'\nupstreams = ['a',\n'b']",
        "line 7: registry.upstreams: registry ci names the unknown upstream \"b\" (expected one of: a)",
    ),
    (
        "[[registry]]\nname = 'ci'\nupstreams = ['a', 'a']",
        "line 6: registry.upstreams: registry ci has \"a\" twice (expected each upstream once)",
    ),
    (
        "[[registry]]\nname = 'ci'\nupstreams = []\n[[registry]]\nname = 'ci'\nupstreams = []",
        "line 8: registry.name: \"ci\" (expected a name that no other registry has)",
    ),
    (
        "[[registry]]\nname = 'api'\nupstreams = ['a']",
        "line 5: registry.name: \"api\" (expected a name that is no word of modvet's own addresses)",
    ),
];

#[test]
fn every_bad_value_is_named_with_its_line_key_and_what_was_expected() {
    for (text, expected) in VALUES {
        assert_eq!(faults(text), [*expected], "{text}");
    }
    for (text, expected) in DEFINITIONS {
        let text = format!("[[upstream]]\nname = 'a'\nkind = 'git'\n{text}");
        assert_eq!(faults(&text), [*expected], "{text}");
    }
}

#[test]
fn a_rule_about_an_empty_list_is_not_one_about_everything() {
    let text = "[[rule]]\nname = 'a'\naction = 'allow'\nmodules = []\nregistries = []\n";
    assert_eq!(
        faults(text),
        [
            "line 4: rule.modules: [] (expected at least one; without the key it is about all)",
            "line 5: rule.registries: [] (expected at least one; without the key it is about all)",
        ]
    );
}
