//! `modvet resolve`: what it prints, and how it ends.

mod support;

use std::process::Output;

use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::modvet::{Home, Modvet, over_git};
use support::replay::{Names, replay};
use tempfile::TempDir;

const MODULE: &str = "github.com/modvet-fixtures/wrong-pseudo-versions";

struct Desk {
    // Held for its drop: the repository lies in it.
    _folder: TempDir,
    git: GitServer,
    names: Names,
    home: Home,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = replay(&fixture::named("wrong-pseudo-versions"), folder.path());
        let git = GitServer::start(folder.path(), Flavour::Filters);
        let home = Home::new();
        home.write("modvet.toml", &over_git(&git.url(), "rewrite", ""));
        Desk { _folder: folder, git, names, home }
    }

    fn resolve(&self, query: &str, further: &[&str]) -> Output {
        let subject = format!("{MODULE}@{}", self.names.expand(query));
        self.home.run(&[&["resolve", &subject][..], further].concat())
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_right_is_printed_and_ends_with_0() {
    let desk = Desk::new();
    let output = desk.resolve("{tip:12}", &["--config", "modvet.toml"]);
    let expected = format!(
        "{MODULE}@v1.1.1-0.20180222010203-{{tip:12}}\ntime    2018-02-22T01:02:03Z\ncommit  {{tip}}\nurl     https://{MODULE}\n"
    );
    assert_eq!((stdout(&output), code(&output)), (desk.names.expand(&expected), 0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "", "nothing but the answer, in a pipe");
}

#[test]
fn what_is_wrong_is_named_with_the_right_version_and_ends_with_1() {
    let desk = Desk::new();
    let query = "v1.1.1-0.20180222010204-{tip:12}";
    let output = desk.resolve(query, &["--config", "modvet.toml"]);
    let text = stdout(&output);
    let lines = [
        format!("{MODULE}@v1.1.1-0.20180222010203-{{tip:12}}"),
        format!("wrong   {query}: does not match version-control timestamp (expected 20180222010203)"),
    ];
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    for line in lines.map(|line| desk.names.expand(&line)) {
        assert!(text.lines().any(|found| found == line), "{text:?} (expected {line})");
    }
}

#[test]
fn json_says_the_same() {
    let desk = Desk::new();
    let answer = |query: &str| -> serde_json::Value {
        let output = desk.resolve(query, &["--config", "modvet.toml", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{query}: {error}: {}", stderr(&output)))
    };
    let right = answer("main");
    assert_eq!(right["Path"], MODULE);
    assert_eq!(right["Query"], "main");
    assert_eq!(right["Version"], desk.names.expand("v1.1.1-0.20180222010203-{tip:12}").as_str());
    assert_eq!(right["Time"], "2018-02-22T01:02:03Z");
    assert_eq!(right["Origin"]["Hash"], desk.names.expand("{tip}").as_str());
    assert!(right.get("Faults").is_none(), "{right}");
    let wrong = answer("v1.1.1-0.20180222010203-{tip:7}");
    assert_eq!(wrong["Version"], right["Version"]);
    let fault = desk.names.expand("revision is shorter than canonical (expected {tip:12})");
    assert_eq!(wrong["Faults"], serde_json::json!([fault]));
}

#[test]
fn a_running_proxy_can_be_asked() {
    let desk = Desk::new();
    let modvet = Modvet::over_git(&desk.git.url(), "rewrite");
    let output = desk.resolve("main", &["--proxy", &modvet.url()]);
    let expected = desk.names.expand(&format!("{MODULE}@v1.1.1-0.20180222010203-{{tip:12}}\n"));
    assert!(stdout(&output).starts_with(&expected), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(code(&output), 0);
}

#[test]
fn bad_usage_ends_with_2_and_says_what_was_expected() {
    let desk = Desk::new();
    desk.home.write("wrong.toml", "[[upstream]]\nnam = \"git\"\n");
    let subject = format!("{MODULE}@main");
    let table: [(&[&str], &str); 6] = [
        (&["resolve", MODULE], "no query (expected MODULE@QUERY)"),
        (&["resolve", "nodot@v1"], "malformed module path \"nodot\": missing dot in first path element"),
        (&["resolve", &subject, "--config", "wrong.toml"], "wrong.toml: line 2: unknown key `nam` in [upstream]"),
        (&["resolve", &subject, "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (&["resolve", &subject, "--upstream", "ftp://a.example"], "scheme ftp (expected https, http or file)"),
        (&["resolve", &subject, "--frobnicate"], "unexpected argument '--frobnicate'"),
    ];
    for (arguments, expected) in table {
        let output = desk.home.run(arguments);
        assert!(stderr(&output).contains(expected), "{arguments:?}: {:?} (expected {expected})", stderr(&output));
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_found_out_ends_with_3() {
    let desk = Desk::new();
    let config = ["--config", "modvet.toml"];
    let unknown = desk.resolve("nowhere", &config);
    assert!(stderr(&unknown).contains("unknown revision nowhere"), "{}", stderr(&unknown));
    assert_eq!(code(&unknown), 3);
    let unknown = desk.resolve("v1.1.1-0.20180222010203-000000000000", &config);
    assert!(stderr(&unknown).contains("unknown revision 000000000000"), "{}", stderr(&unknown));
    assert_eq!(code(&unknown), 3);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("a bound socket has an address"))
    };
    let unreachable = desk.resolve("main", &["--upstream", &closed]);
    assert!(stderr(&unreachable).contains("127.0.0.1"), "{}", stderr(&unreachable));
    assert_eq!(code(&unreachable), 3);
}
