//! Secrets: in no output of any command, answer, log or file of the store, whatever a server does with them; and new
//! ones count without a restart.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use support::client;
use support::double::{Double, Ticket};
use support::modvet::{Home, Modvet};
use support::plain::{Plain, Said};
use support::release::Release;

const BASIC: &str = "bas1c-pAssword-Zq81";
const BEARER: &str = "bearer-t0ken-Yx72";
const HEADER: &str = "header-va1ue-Wv63";
const NETRC: &str = "netrc-passw0rd-Ut54";
const REPLACED: &str = "rep1aced-password-Sr45";
const ADMIN: &str = "adm1n-token-Qp36";
const GUESSED: &str = "gue55ed-token-On27";
const SEALED: &str = "sea1ed-token-Ml18";
const GIT: &str = "g1t-password-Kj09";
/// 32 bytes.
const KEY: &str = "6b31d9f0c2a84e57b8d3f16a095c7e2db4f8a1603c5d9e72481fb06ad7c3e925";

const SECRETS: [&str; 10] = [BASIC, BEARER, HEADER, NETRC, REPLACED, ADMIN, GUESSED, SEALED, GIT, KEY];

/// What was found where it must not be.
#[derive(Default)]
struct Search {
    texts: Vec<(String, Vec<u8>)>,
}

/// A secret as it may be written: as it is, and in base64 at each of three alignments, without the edges that depend on
/// what stands beside it.
fn written(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec(), secret.bytes().rev().collect()];
    for before in 0..3 {
        let padded = [&vec![b'x'; before], secret.as_bytes()].concat();
        let whole = padded.len() / 3 * 4;
        let start = if before == 0 { 0 } else { 4 };
        forms.push(BASE64_STANDARD.encode(&padded).as_bytes()[start..whole].to_vec());
        forms.push(BASE64_URL_SAFE.encode(&padded).as_bytes()[start..whole].to_vec());
    }
    forms.push(hex::encode(secret).into_bytes());
    if let Ok(bytes) = hex::decode(secret) {
        forms.push(bytes);
    }
    forms
}

impl Search {
    fn add(&mut self, from: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.texts.push((from.into(), text.into()));
    }

    fn output(&mut self, from: &str, output: &Output) {
        self.add(format!("{from}: output"), output.stdout.clone());
        self.add(format!("{from}: errors"), output.stderr.clone());
    }

    /// Every file below a folder.
    fn folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            let kind = std::fs::symlink_metadata(&path).expect("there").file_type();
            if kind.is_dir() {
                self.folder(&path);
            } else if kind.is_file() {
                self.add(path.display().to_string(), std::fs::read(&path).expect("a readable file"));
            }
        }
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for secret in SECRETS {
            for form in written(secret) {
                let holds = |text: &Vec<u8>| memchr::memmem::find(text, &form).is_some();
                for (from, _) in self.texts.iter().filter(|(_, text)| holds(text)) {
                    found.push(format!("{secret} as {:?} in {from}", String::from_utf8_lossy(&form)));
                }
            }
        }
        found
    }
}

/// Repeats all that it was sent, in each place that a client may show.
fn echo(status: &'static str) -> Plain {
    Plain::start(move |heard| {
        let (authorization, token) = (heard.header("authorization"), heard.header("private-token"));
        let shown = format!("{authorization}{token}");
        let decoded = authorization.strip_prefix("Basic ").and_then(|pair| BASE64_STANDARD.decode(pair).ok());
        let decoded = String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default();
        let page = format!("invalid credentials: {shown}\n{decoded}\nuse {shown}@v1.0.0\n");
        Said::new(&format!("{status} {shown}"), &page)
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("ETag", "\"plain\"")
    })
}

struct World {
    home: Home,
    /// Held for their drops.
    _echoes: Vec<Plain>,
    _double: Double,
}

/// One upstream for each scheme before a server that repeats it, and one that takes its credentials.
fn world() -> World {
    let home = Home::new();
    for (file, secret) in
        [("basic", BASIC), ("header", HEADER), ("admin", ADMIN), ("key", KEY), ("git", GIT), ("bearer", BEARER)]
    {
        home.write(file, &format!("{secret}\n"));
    }
    home.write(".netrc", &format!("machine 127.0.0.1 login net password {NETRC}\n"));
    let file = |name: &str| home.path().join(name).display().to_string();
    let (basic, bearer, header) = (echo("403"), echo("401"), echo("500"));
    let (git, replaced) = (echo("401"), echo("404"));
    let double = Double::start();
    double.add(&Release::new("example.test/good", "v1.0.0"));
    double.require(Ticket::Bearer(BEARER));
    let text = format!(
        "listen = '127.0.0.1:0'\n\n[store]\npath = '{store}'\nkey_file = '{key}'\n\n[api]\nadmin_token_file = '{admin}'\n\n\
         [audit]\nwhat = 'all'\n\n[git]\nallow_insecure = true\n\n[git.instead_of]\n\
         'https://replaced.test/' = 'http://user:{REPLACED}@{replaced}/'\n'https://git.test/' = '{git}/'\n\n\
         [[upstream]]\nname = 'basic'\nkind = 'proxy'\nurl = '{basic}'\nmodules = ['basic.test/*']\n\
         auth = {{ username = 'ci', token_file = '{basic_file}' }}\n\n\
         [[upstream]]\nname = 'bearer'\nkind = 'proxy'\nurl = '{bearer}'\nmodules = ['bearer.test/*']\n\
         auth = {{ token_env = 'BEARER_TOKEN' }}\n\n\
         [[upstream]]\nname = 'header'\nkind = 'proxy'\nurl = '{header}'\nmodules = ['header.test/*']\n\
         auth = {{ header = 'Private-Token', token_file = '{header_file}' }}\n\n\
         [[upstream]]\nname = 'git'\nkind = 'git'\nmodules = ['git.test/*', 'replaced.test/*']\n\
         auth = {{ host = '127.0.0.1', username = 'ci', token_file = '{git_file}' }}\n\n\
         [[upstream]]\nname = 'good'\nkind = 'proxy'\nurl = '{good}'\nmodules = ['example.test/*']\n\
         auth = {{ token_file = '{bearer_file}' }}\n",
        store = home.store().display(),
        key = file("key"),
        admin = file("admin"),
        replaced = replaced.url().trim_start_matches("http://"),
        git = git.url(),
        basic = basic.url(),
        basic_file = file("basic"),
        bearer = bearer.url(),
        header = header.url(),
        header_file = file("header"),
        git_file = file("git"),
        good = double.url(),
        bearer_file = file("bearer"),
    );
    home.write("modvet.toml", &text);
    World { home, _echoes: vec![basic, bearer, header, git, replaced], _double: double }
}

fn command(home: &Home, arguments: &[&str]) -> std::process::Command {
    let mut command = home.command(arguments);
    command.env("BEARER_TOKEN", BEARER).env("MODVET_LOG", "trace");
    command
}

const MODULES: [&str; 6] =
    ["basic.test/m", "bearer.test/m", "header.test/m", "git.test/m", "replaced.test/m", "example.test/good"];

/// Asks for everything that a server answers, over the network, with and without a token, and over its socket.
fn ask_everything(modvet: &Modvet, search: &mut Search) {
    let mut add = |from: String, answered: client::Answered| {
        let headers: String = answered.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        search.add(from, format!("{} {}\n{headers}\n{}", answered.status, answered.reason, answered.text()));
    };
    for module in MODULES {
        for tail in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip", "@v/main.info"] {
            add(format!("{module} {tail}"), modvet.get(module, tail));
        }
    }
    let store = modvet.home().store();
    let upstream = serde_json::json!({
        "name": "handed", "kind": "proxy", "url": "http://127.0.0.1:1/", "modules": ["handed.test/*"],
        "auth": { "token": SEALED },
    });
    let made = client::control(&store, "POST", "/api/v1/upstreams", &upstream.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    add("POST upstreams".to_owned(), made);
    let document = std::fs::read_to_string(support::top().join("docs/openapi.json")).expect("the description");
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    for (row, _) in support::openapi::operations(&document) {
        let (method, path) = row.split_once(' ').expect("a method");
        if method != "GET" {
            continue;
        }
        for module in MODULES {
            let path = path.replace("{subject}", &format!("{module}@v1.0.0"));
            let upstream = module.split('.').next().expect("a word");
            let path = path.replace("{upstream}", upstream).replace("{registry}", "default");
            let path = path.split('{').next().expect("a path").to_owned();
            add(row.clone(), client::control(&store, "GET", &path, ""));
            let bearer = format!("Bearer {ADMIN}");
            add(row.clone(), client::request(modvet.address(), "GET", &path, &[("Authorization", &bearer)]));
        }
    }
    for name in ["basic", "bearer", "header", "good", "handed"] {
        let path = format!("/api/v1/upstreams/{name}/test");
        add(path.clone(), client::control(&store, "POST", &path, ""));
    }
    let test = "/api/v1/upstreams/git/test?module=git.test%2Fm";
    add(test.to_owned(), client::control(&store, "POST", test, ""));
    let guess = format!("Bearer {GUESSED}");
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("any:{GUESSED}")));
    for header in [guess.as_str(), basic.as_str()] {
        let headers = [("Authorization", header)];
        add("a guess".to_owned(), client::request(modvet.address(), "GET", "/api/v1/upstreams", &headers));
        add("a guess".to_owned(), client::request(modvet.address(), "GET", "/example.test/good/@v/list", &headers));
    }
    add("reload".to_owned(), client::control(&store, "POST", "/api/v1/reload", ""));
    add("/metrics".to_owned(), client::get(modvet.address(), "/metrics"));
}

/// Every command that reads the configuration or the store.
const COMMANDS: &[&[&str]] = &[
    &["config", "show", "--config", "modvet.toml"],
    &["config", "show", "--config", "modvet.toml", "--json"],
    &["config", "check", "modvet.toml"],
    &["explain", "--config", "modvet.toml", "basic.test/m@v1.0.0"],
    &["explain", "--config", "modvet.toml", "--json", "git.test/m@v1.0.0"],
    &["explain", "--config", "modvet.toml", "--walk", "bearer.test/m@v1.0.0"],
    &["resolve", "--config", "modvet.toml", "header.test/m@latest"],
    &["resolve", "--config", "modvet.toml", "replaced.test/m@latest"],
    &["prefetch", "--config", "modvet.toml", "bearer.test/m@v1.0.0", "git.test/m@main"],
    &["cache", "stats", "--config", "modvet.toml", "--json"],
    &["cache", "list", "--config", "modvet.toml", "--long"],
    &["cache", "verify", "--config", "modvet.toml"],
    &["audit", "--config", "modvet.toml"],
    &["audit", "--config", "modvet.toml", "--json"],
];

#[test]
fn no_secret_is_in_anything_that_modvet_wrote() {
    let World { home, _echoes, _double } = world();
    let mut search = Search::default();
    let command_line = command(&home, &["serve", "--config", "modvet.toml"]);
    let modvet = home.serve_by(command_line);
    assert_eq!(modvet.get("example.test/good", "@v/v1.0.0.info").status, 200, "{}", modvet.log());
    ask_everything(&modvet, &mut search);
    for arguments in COMMANDS {
        let output = command(modvet.home(), arguments).output().expect("the binary was built");
        search.output(&format!("{arguments:?} beside a server"), &output);
    }
    modvet.signal(libc::SIGTERM);
    let (_, home) = modvet.ended();
    for arguments in COMMANDS {
        let output = command(&home, arguments).output().expect("the binary was built");
        search.output(&format!("{arguments:?}"), &output);
    }
    search.add("the log", home.log());
    search.folder(&home.store());
    for echo in &_echoes {
        assert!(!echo.heard().is_empty(), "an upstream was never asked");
    }
    let wanted = ["trace", "TRACE"].iter().any(|word| home.log().contains(word));
    assert!(wanted, "the log says everything: {}", home.log().lines().take(5).collect::<String>());
    // What the servers repeated did get that far.
    for repeated in ["invalid credentials: Basic …", "invalid credentials: Bearer …"] {
        let told = search.texts.iter().any(|(_, text)| memchr::memmem::find(text, repeated.as_bytes()).is_some());
        assert!(told, "nobody was told {repeated:?}");
    }
    let found = search.found();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// It is asked without any proxy, so by nobody's upstream.
#[test]
fn a_checksum_database_that_repeats_what_it_was_shown_is_told_without_it() {
    let (home, echo) = (Home::new(), echo("404"));
    let folder = home.path().display().to_string();
    home.configure(&format!(
        "[sumdb]\ndatabases = ['sum.golang.org https://replaced.test/']\n\n[git]\nallow_insecure = true\n\n\
         [git.instead_of]\n'https://replaced.test/' = 'http://user:{REPLACED}@{}/'\n\n\
         [[upstream]]\nname = 'folder'\nkind = 'dir'\npath = '{folder}'\n",
        echo.url().trim_start_matches("http://"),
    ));
    let command_line = command(&home, &["serve", "--config", "modvet.toml"]);
    let modvet = home.serve_by(command_line);
    let mut search = Search::default();
    for tail in ["latest", "lookup/example.test/m@v1.0.0", "tile/8/0/000"] {
        let answered = client::get(modvet.address(), &format!("/sumdb/sum.golang.org/{tail}"));
        search.add(tail, answered.text());
    }
    assert!(echo.heard().iter().all(|heard| heard.header("authorization").starts_with("Basic ")));
    let texts: Vec<_> = search.texts.iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect();
    assert!(texts.concat().contains("invalid credentials: Basic …"), "{texts:?}");
    search.add("the log", modvet.log());
    let found = search.found();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_search_finds_secrets_however_they_are_written() {
    for (row, text) in [
        ("plain", format!("a token {BASIC} here").into_bytes()),
        ("with a user", BASE64_STANDARD.encode(format!("ci:{BASIC}")).into_bytes()),
        ("with a longer user", BASE64_STANDARD.encode(format!("abcd:{BASIC}")).into_bytes()),
        ("with another one", BASE64_STANDARD.encode(format!("abc:{BASIC}x")).into_bytes()),
        ("in hexadecimal", hex::encode(BASIC).into_bytes()),
        ("a key's bytes", hex::decode(KEY).expect("hexadecimal")),
    ] {
        let mut search = Search::default();
        search.add(row, text);
        assert!(!search.found().is_empty(), "{row}");
    }
}

#[test]
fn a_new_secret_in_the_file_counts_as_soon_as_the_old_one_is_refused() {
    let home = Home::new();
    home.write("token", "first-token");
    let double = Double::start();
    double.add(&Release::new("example.test/m", "v1.0.0"));
    double.add(&Release::new("example.test/m", "v1.1.0"));
    double.require(Ticket::Bearer("first-token"));
    let token = home.path().join("token").display().to_string();
    home.configure(&format!(
        "[[upstream]]\nname = 'double'\nkind = 'proxy'\nurl = '{}'\nauth = {{ token_file = '{token}' }}\n",
        double.url()
    ));
    let modvet = home.serve();
    assert_eq!(modvet.get("example.test/m", "@v/v1.0.0.mod").status, 200, "{}", modvet.log());
    double.require(Ticket::Bearer("second-token"));
    assert_eq!(modvet.get("example.test/m", "@v/v1.1.0.mod").status, 502, "the file holds the old one");
    modvet.home().write("token", "second-token\n");
    assert_eq!(modvet.get("example.test/m", "@v/v1.1.0.zip").status, 200, "{}", modvet.log());
    let log = modvet.log();
    assert!(log.contains("credentials were refused; the file holds others by now"), "{log}");
    assert!(!log.contains("first-token") && !log.contains("second-token"), "{log}");

    // A reload reads it too, before anybody is refused.
    double.require(Ticket::Bearer("third-token"));
    modvet.home().write("token", "third-token\n");
    let reloaded = client::control(&modvet.home().store(), "POST", "/api/v1/reload", "");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    double.forget();
    assert_eq!(modvet.get("example.test/m", "@v/list").status, 200, "{}", modvet.log());
    let refused = double.asked().iter().filter(|asked| asked.status == 401).count();
    assert_eq!(refused, 0, "{:?}", double.asked());
}
