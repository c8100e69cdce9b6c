//! What a mirror needs, and what is said of one that cannot be meant.

use crate::config::{Given, Settings};
use crate::error::Error;

fn settings(text: &str) -> Result<Settings, Vec<String>> {
    Settings::read(text, Given::default()).map_err(|faults| faults.iter().map(Error::to_string).collect())
}

const WHOLE: &str = "[[mirror]]\nname = 'a'\nsource = 'https://git.example/a.git'\n\
                     mirror = 'https://mirror.example/a.git'\n";

#[test]
fn a_mirror_needs_a_name_and_two_addresses() {
    let settings = settings(WHOLE).expect("a mirror");
    let written = settings.file();
    let [mirror] = &written.mirror[..] else { panic!("one") };
    assert_eq!(
        toml::to_string(mirror).expect("TOML"),
        "name = \"a\"\nkind = \"git\"\nsource = \"https://git.example/a.git\"\n\
         mirror = \"https://mirror.example/a.git\"\nrefs = [\"refs/heads/*\", \"refs/tags/*\"]\n\
         check_every = \"15m\"\nmax_lag = \"24h\"\npaused = false\n"
    );
}

#[test]
fn what_is_printed_is_read_again_as_the_same() {
    let text = "[[mirror]]\nname = 'a'\nsource = 'ssh://git@git.example/a.git'\n\
                mirror = 'https://mirror.example:8443/a.git'\nrefs = ['refs/heads/main']\npaused = true\n\
                check_every = '90s'\nmax_lag = '2h'\nnotify = []\n\
                mirror_auth = { username = 'ci', token_env = 'MIRROR_TOKEN' }\n\
                renewal = { what = 'subscription', date = '2027-02-01', every = '1y', owner = 'ops@example.com', \
                url = 'https://shop.example/renew?id=7' }\n\
                [[mirror]]\nname = 'b'\nkind = 'proxy'\nsource = 'direct'\nmirror = 'https://proxy.example'\n\
                modules = ['example.com/m', 'example.com/n/v2']\n";
    let first = settings(text).expect("two mirrors");
    let auth = first.mirrors[0].mirror_auth.as_ref().expect("credentials");
    assert_eq!(auth.host, "mirror.example:8443", "they are for the mirror's own host");
    let again = settings(&toml::to_string(&first.file()).expect("TOML")).expect("the same");
    assert_eq!(first.mirrors, again.mirrors);
}

/// What is tried, what stands behind a whole mirror of four lines, and all that is said of it.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "a strange name",
        "[[mirror]]\nname = 'a/b'\nsource = 'https://x.example/a'\nmirror = 'https://y.example/a'",
        "line 6: mirror.name: \"a/b\" (expected letters, digits, dots, hyphens and underscores, the first a letter \
         or digit)",
    ),
    (
        "twice the name",
        "[[mirror]]\nname = 'a'\nsource = 'https://x.example/a'\nmirror = 'https://y.example/a'",
        "line 6: mirror.name: \"a\" (expected a name that no other mirror has)",
    ),
    (
        "one that instead_of leads to its own source",
        "[[mirror]]\nname = 'b'\nsource = 'https://b.example/b'\nmirror = 'https://c.example/b.git'\n\
        [git.instead_of]\n'https://b.example/' = 'https://c.example/'",
        "line 8: mirror.mirror: \"https://c.example/b.git\" (expected another place than the source's, also after \
         [git] instead_of)",
    ),
    (
        "a proxy that instead_of leads to its own source",
        "[[mirror]]\nname = 'b'\nkind = 'proxy'\nsource = 'https://b.example'\nmirror = 'https://c.example/go/'\n\
        modules = ['b.example/m']\n[git.instead_of]\n'https://b.example/' = 'https://c.example/go'",
        "line 9: mirror.mirror: \"https://c.example/go/\" (expected another place than the source's, also after \
         [git] instead_of)",
    ),
    (
        "twice the pair",
        "[[mirror]]\nname = 'b'\nsource = 'https://git.example/a.git'\n\
        mirror = 'https://mirror.example/a.git'",
        "line 8: mirror.mirror: \"https://mirror.example/a.git\" (expected not the two addresses of mirror a)",
    ),
    (
        "a mirror of itself",
        "[[mirror]]\nname = 'b'\nsource = 'https://x.example/a'\nmirror = 'https://x.example/a'",
        "line 8: mirror.mirror: \"https://x.example/a\" (expected another address than the source's)",
    ),
    (
        "credentials",
        "[[mirror]]\nname = 'b'\nsource = 'https://u:p@x.example/a'\nmirror = 'https://y.example/a'",
        "line 7: mirror.source: \"…@x.example\" (expected an address without credentials; they stand in source_auth)",
    ),
    (
        "the short form",
        "[[mirror]]\nname = 'b'\nsource = 'git@x example:a'\nmirror = 'https://y.example/a'",
        "line 7: mirror.source: \"…@…\" (expected an address such as https://git.example/repository.git)",
    ),
    (
        "the short form and credentials",
        "[[mirror]]\nname = 'b'\nsource = 'git@x.example:a'\nmirror = 'https://y.example/a'\n\
         source_auth = { token_env = 'A' }",
        "line 9: mirror.source_auth: ssh has its own keys and needs none (expected no source_auth)",
    ),
    (
        "a folder",
        "[[mirror]]\nname = 'b'\nsource = 'file:///srv/a'\nmirror = 'https://y.example/a'",
        "line 7: mirror.source: \"file:///srv/a\" (expected an address that begins with https://, http:// or ssh://)",
    ),
    ("no mirror", "[[mirror]]\nname = 'b'\nsource = 'https://x.example/a'", "line 5: mirror.mirror is missing"),
    ("a kind", "kind = 'svn'", "line 5: mirror.kind: \"svn\" (expected git or proxy)"),
    (
        "a ref",
        "refs = ['main']",
        "line 5: mirror.refs: \"main\" (expected a ref such as refs/heads/main, or a pattern with one * such as \
         refs/tags/*)",
    ),
    ("no refs", "refs = []", "line 5: mirror.refs: an empty list (expected at least one)"),
    (
        "modules of git",
        "modules = ['example.com/m']",
        "line 5: mirror.modules: a git mirror has none (expected no modules)",
    ),
    ("too often", "check_every = '0'", "line 5: mirror.check_every: \"0\" (expected at least 1s)"),
    ("a lag", "max_lag = 'long'", "line 5: mirror.max_lag: \"long\" (expected a duration such as 30s, 1m or 24h)"),
    (
        "a secret",
        "mirror_auth = { token = 'hunter2' }",
        "line 5: unknown key `token` in [mirror.mirror_auth]\n\
         the secret itself never stands in the file: name it by token_file or token_env",
    ),
    (
        "two secrets",
        "mirror_auth = { token_env = 'A', token_file = 'b' }",
        "line 5: mirror.mirror_auth: token_file and token_env (expected exactly one of token_file and token_env)",
    ),
    (
        "credentials for ssh",
        "[[mirror]]\nname = 'b'\nsource = 'ssh://x.example/a'\nmirror = 'https://y.example/a'\n\
        source_auth = { token_env = 'A' }",
        "line 9: mirror.source_auth: ssh has its own keys and needs none (expected no source_auth)",
    ),
    ("a renewal of nothing", "renewal = { date = '2027-02-01' }", "line 5: mirror.renewal.what is missing"),
    ("a renewal at no time", "renewal = { what = 'x' }", "line 5: mirror.renewal.date is missing"),
    (
        "a date",
        "renewal = { what = 'x', date = '1.2.2027' }",
        "line 5: mirror.renewal.date: \"1.2.2027\" (expected the last day on which it holds, such as 2027-02-01)",
    ),
    (
        "a period",
        "renewal = { what = 'x', date = '2027-02-01', every = 'year' }",
        "line 5: mirror.renewal.every: \"year\" (expected a period such as 30d, 2w, 6m or 1y)",
    ),
    (
        "an owner",
        "renewal = { what = 'x', date = '2027-02-01', owner = 'ops' }",
        "line 5: mirror.renewal.owner: \"ops\" (expected an e-mail address such as ops@example.com)",
    ),
    (
        "an owner to whom no mail can be sent",
        "renewal = { what = 'x', date = '2027-02-01', owner = 'öps@example..com' }",
        "line 5: mirror.renewal.owner: \"öps@example..com\" (expected an e-mail address such as ops@example.com)",
    ),
    (
        "where",
        "renewal = { what = 'x', date = '2027-02-01', url = 'shop' }",
        "line 5: mirror.renewal.url: \"shop\" (expected a URL such as https://shop.example/renew)",
    ),
];

/// The same of proxies.
const PROXIES: &[(&str, &str, &str)] = &[
    (
        "refs",
        "source = 'direct'\nmodules = ['x.example/m']\nrefs = ['refs/heads/*']",
        "line 6: mirror.refs: a proxy has none (expected modules)",
    ),
    (
        "no modules",
        "source = 'direct'",
        "line 1: mirror.modules is missing\nname a few modules whose versions are compared",
    ),
    (
        "a module",
        "source = 'direct'\nmodules = ['x.example/m', 'x']",
        "line 5: mirror.modules: \"x\" (expected a module path such as example.com/m)",
    ),
    (
        "a source",
        "source = 'git'\nmodules = ['x.example/m']",
        "line 4: mirror.source: \"git\" (expected direct, or a URL such as https://proxy.example)",
    ),
    (
        "whose credentials",
        "source = 'direct'\nmodules = ['x.example/m']\nsource_auth = { token_env = 'A' }",
        "line 6: mirror.source_auth.host is missing",
    ),
];

#[test]
fn whatever_cannot_be_meant_is_named_with_its_line() {
    for (tried, text, expected) in FAULTS {
        assert_eq!(settings(&format!("{WHOLE}{text}")).expect_err(tried), [*expected], "{tried}");
    }
    for (tried, text, expected) in PROXIES {
        let text = format!("[[mirror]]\nname = 'p'\nkind = 'proxy'\n{text}\nmirror = 'https://p.example'");
        assert_eq!(settings(&text).expect_err(tried), [*expected], "{tried}");
    }
}
