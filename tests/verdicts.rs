//! What is said of versions, over the built binary: as the real go command says it, and word for word as golden texts.
//!
//! `BLESS=1` writes the texts.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::client;
use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::modvet::{Modvet, escaped};
use support::oracle::{self, Answer, HOSTS};
use support::replay::{Names, replay};
use tempfile::TempDir;

/// The histories behind a git server.
struct World {
    _folder: TempDir,
    git: GitServer,
    names: BTreeMap<String, Names>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixtures = fixture::all();
        let names = fixtures.iter().map(|fixture| (fixture.name.clone(), replay(fixture, folder.path()))).collect();
        let git = GitServer::start(folder.path(), Flavour::Filters);
        World { _folder: folder, git, names }
    }

    /// A question of this page, as somebody would ask it.
    fn subject(&self, question: &Question) -> (String, String) {
        let module = match question.module {
            "" => format!("{}/{}", fixture::HOST, question.fixture),
            path => format!("{}/{}", fixture::HOST, path),
        };
        (module, self.names[question.fixture].expand(question.version))
    }
}

/// A version to be judged; `module` is below the fixtures' host, empty for the root of the fixture.
struct Question {
    row: &'static str,
    fixture: &'static str,
    module: &'static str,
    version: &'static str,
    standing: &'static str,
    exit: i32,
}

const fn wrong(row: &'static str, fixture: &'static str, version: &'static str) -> Question {
    Question { row, fixture, module: "", version, standing: "wrong", exit: 1 }
}

const WRONG: &str = "wrong-pseudo-versions";

/// Every reason of docs/verdicts.md.
const QUESTIONS: &[Question] = &[
    Question { standing: "canonical", exit: 0, ..wrong("canonical", WRONG, "v1.1.1-0.{tip.time}-{tip:12}") },
    Question { standing: "valid", exit: 0, ..wrong("valid", WRONG, "v0.0.0-{tip.time}-{tip:12}") },
    Question { standing: "canonical", exit: 0, ..wrong("release", WRONG, "v1.1.0") },
    wrong("base-missing", WRONG, "v1.3.1-0.{tip.time}-{tip:12}"),
    wrong("base-not-ancestor", WRONG, "v1.2.1-0.{tip.time}-{tip:12}"),
    wrong("base-on-revision", WRONG, "v1.1.1-0.{second.time}-{second:12}"),
    wrong("base-negative", WRONG, "v1.1.0-0.{tip.time}-{tip:12}"),
    wrong("v1-without-base", WRONG, "v1.0.0-{tip.time}-{tip:12}"),
    wrong("build-without-base", WRONG, "v2.0.0-{tip.time}-{tip:12}+incompatible"),
    wrong("other-major", WRONG, "v2.0.1-0.{tip.time}-{tip:12}"),
    Question { module: "v2-directory/v2", ..wrong("other-suffix", "v2-directory", "v1.0.1-0.{tip.time}-{tip:12}") },
    wrong("time-off", WRONG, "v1.1.1-0.20180222010204-{tip:12}"),
    wrong("time-of-another-commit", WRONG, "v1.1.1-0.{second.time}-{tip:12}"),
    wrong("time-of-a-zone", WRONG, "v1.1.1-0.20180222030203-{tip:12}"),
    wrong("time-malformed", WRONG, "v1.1.1-0.20181399000000-{tip:12}"),
    wrong("time-of-the-author", "author-date", "v0.0.0-20010101000000-{first:12}"),
    wrong("time-of-the-committer's-wall", "author-date", "v0.0.0-20180220044006-{first:12}"),
    wrong("time-of-the-author's-wall", "author-date", "v0.0.0-20001231160000-{first:12}"),
    wrong("revision-too-short", WRONG, "v1.1.1-0.{tip.time}-{tip:7}"),
    wrong("revision-far-too-short", WRONG, "v1.1.1-0.{tip.time}-{tip:5}"),
    wrong("revision-too-long", WRONG, "v1.1.1-0.{tip.time}-{tip}"),
    wrong("revision-in-upper-case", WRONG, "v1.1.1-0.{tip.time}-{tip:12 upper}"),
    wrong("revision-a-branch", WRONG, "v1.1.1-0.{tip.time}-main"),
    wrong("revision-not-hexadecimal", WRONG, "v1.1.1-0.{tip.time}-nothexnothex"),
    wrong("everything", WRONG, "v1.3.1-0.20180222010204-{tip:7 upper}"),
    wrong("incompatible-missing", "incompatible-pseudo", "v2.3.1-0.{second.time}-{second:12}"),
    wrong("incompatible-missing-on-a-release", "incompatible", "v2.0.0"),
    wrong("incompatible-not-allowed", WRONG, "v1.1.1-0.{tip.time}-{tip:12}+incompatible"),
    wrong("incompatible-not-allowed-on-a-release", WRONG, "v1.1.0+incompatible"),
    wrong("incompatible-with-go-mod", "incompatible-pseudo", "v2.3.1-0.{tip.time}-{tip:12}+incompatible"),
    Question {
        module: "wrong-major/v3",
        ..wrong("go-mod-of-another-major", "wrong-major", "v3.0.0-{third.time}-{third:12}")
    },
    Question {
        module: "sub-directory-comes-and-goes/sub",
        ..wrong("go-mod-missing", "sub-directory-comes-and-goes", "v0.2.1-0.{after.time}-{after:12}")
    },
    Question {
        module: "sub-directory-comes-and-goes/sub",
        ..wrong("go-mod-missing-at-a-tag", "sub-directory-comes-and-goes", "v0.3.0")
    },
    Question {
        standing: "unverifiable",
        exit: 3,
        ..wrong("unreachable", "pull-request", "v1.0.1-0.{proposed.time}-{proposed:12}")
    },
    Question { standing: "unverifiable", exit: 3, ..wrong("unknown", WRONG, "v1.1.1-0.{tip.time}-000000000000") },
    Question { standing: "unverifiable", exit: 3, ..wrong("unknown-release", WRONG, "v1.9.0") },
];

#[test]
fn every_reason_is_told_in_these_words() {
    let world = World::new();
    let home = tempfile::tempdir().expect("a temporary folder");
    let settings = settings(&world, home.path());
    let server = Modvet::over_git(&world.git.url(), "rewrite");
    let mut faults = Vec::new();
    for question in QUESTIONS {
        let (module, version) = world.subject(question);
        let subject = format!("{module}@{version}");
        let page = explain(home.path(), &["--config", &settings, &subject]);
        let json = explain(home.path(), &["--json", "--proxy", &server.url(), &subject]);
        let value: Value = serde_json::from_slice(&json.stdout).unwrap_or_default();
        if page.status.code() != Some(question.exit) || json.status.code() != Some(question.exit) {
            faults.push(format!("{}: exit {:?} {:?}: {}", question.row, page.status, json.status, text(&page.stderr)));
        }
        if value["standing"] != question.standing {
            faults.push(format!("{}: {} (expected {})", question.row, value["standing"], question.standing));
        }
        let golden = format!("$ modvet explain {subject}\n{}\n$ --json\n{}", text(&page.stdout), text(&json.stdout));
        faults.extend(compare(&format!("testdata/vet/{}.txt", question.row), &golden));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn verdicts_are_what_go_says() {
    let world = World::new();
    let modvet = Modvet::over_git(&world.git.url(), "rewrite");
    let mut differences = Vec::new();
    let mut judged = 0;
    for fixture in world.names.keys() {
        for module in &oracle::read(fixture).modules {
            for answer in module.answers.iter().filter(|answer| is_version(answer.asked())) {
                judged += 1;
                differences.extend(difference(&modvet, &module.module, answer));
            }
        }
    }
    assert!(judged > 100, "{judged} versions only");
    assert!(differences.is_empty(), "{} of {judged}:\n{}", differences.len(), differences.join("\n"));
}

/// Three numbers, and no metadata but `+incompatible`: what a go.mod may hold.
fn is_version(asked: &str) -> bool {
    let Some(rest) = asked.strip_prefix('v') else { return false };
    let core: Vec<&str> = rest.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    let is_core = core.len() == 3 && core.iter().all(|number| is_number(number));
    // v1.0.0-01 is none: numbers have no zeros before them.
    let is_part = |part: &str| !part.bytes().all(|b| b.is_ascii_digit()) || part.is_empty() || is_number(part);
    let is_plain = rest.split_once('+').is_none_or(|(_, build)| build == "incompatible");
    is_core && is_plain && pre_release(rest).split('.').all(is_part) && !asked.contains('/')
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

fn pre_release(rest: &str) -> &str {
    let without_build = rest.split('+').next().unwrap_or_default();
    without_build.split_once('-').map_or("", |(_, pre_release)| pre_release)
}

fn difference(modvet: &Modvet, module: &str, answer: &Answer) -> Option<String> {
    let asked = answer.asked();
    let said = client::get(modvet.address(), &format!("/api/v1/verdicts/{}@{}", escaped(module), escaped(asked)));
    let value: Value = serde_json::from_slice(&said.body).unwrap_or_default();
    let standing = value["standing"].as_str().unwrap_or_default();
    let canonical = value["canonical"]["Version"].as_str();
    let error = answer.error.as_deref().unwrap_or_default();
    // The path can be no module's.
    if said.status == 410 && error.contains("malformed module path") {
        return None;
    }
    let is_right = match (&answer.version, &answer.right) {
        // A zip that cannot be made is no matter of the name.
        (Some(version), _) if version == asked => matches!(standing, "canonical" | "valid"),
        (Some(version), _) => standing == "wrong" && canonical == Some(version),
        // Not a pseudo-version by its form: go would make something of its last digits, asked for them alone.
        (None, Some(_)) if error.contains("unknown revision v") => standing == "unverifiable",
        (None, Some(right)) => standing == "wrong" && canonical == Some(right),
        (None, None) if error.contains("unknown revision") => {
            // Misspelt revisions are unknown to go; here they are found.
            standing == "unverifiable" || (standing == "wrong" && asked.contains('-'))
        }
        (None, None) => matches!(standing, "wrong" | "unverifiable"),
    };
    let expected = format!("{:?} {:?} {error}", answer.version, answer.right);
    (!is_right).then(|| format!("{module}@{asked}: {} {} (expected {expected})", said.status, said.text()))
}

#[test]
fn the_address_takes_plain_and_escaped_names_and_answers_in_json() {
    let world = World::new();
    let modvet = Modvet::over_git(&world.git.url(), "legacy");
    let (module, version) = world.subject(&QUESTIONS[11]);
    let path = format!("/api/v1/verdicts/{module}@{version}");
    let ask =
        |method: &str, path: &str, headers: &[(&str, &str)]| client::request(modvet.address(), method, path, headers);
    let served =
        |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default()["registry"]["served_wrong"].clone();
    let first = ask("GET", &path, &[]);
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")), "{first:?}");
    assert_eq!(served(&first.text()), 0);
    let head = ask("HEAD", &path, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(modvet.get(&module, &format!("@v/{version}.info")).status, 200);
    assert_eq!(modvet.get(&module, &format!("@v/{version}.zip")).status, 200);
    let second = ask("GET", &path, &[]);
    let value: Value = serde_json::from_slice(&second.body).expect("json");
    assert_eq!(value["registry"]["served_wrong"], 2);
    assert_eq!((&value["registry"]["mode"], &value["registry"]["info"]), (&"legacy".into(), &"as_asked".into()));
    assert!(modvet.log().contains("wrong version served"), "{}", modvet.log());
    let upper = format!("{}/Upper-Case", fixture::HOST);
    let plain = ask("GET", &format!("/api/v1/verdicts/{upper}@v1.9.9"), &[]);
    let escaped = ask("GET", &format!("/api/v1/verdicts/{}@v1.9.9", escaped(&upper)), &[]);
    assert_eq!((plain.status, plain.text()), (200, escaped.text()));
    let branch = format!("/api/v1/verdicts/{module}@main");
    let refused = ask("GET", &branch, &[]);
    let error: Value = serde_json::from_slice(&refused.body).expect("json");
    assert_eq!((refused.status, &error["kind"]), (410, &"gone".into()));
    let expected = format!("{module}@main: version is not canonical");
    assert!(error["error"].as_str().is_some_and(|text| text.starts_with(&expected)), "{error}");
}

#[test]
fn bad_words_and_unreachable_hosts_have_their_exit_codes() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let cache = home.path().join("cache").display().to_string();
    let table: &[(&str, &[&str], i32)] = &[
        ("no version", &["example.com/m"], 2),
        ("a branch", &["example.com/m@main"], 2),
        ("unknown key", &["--config", "missing.toml", "example.com/m@v1.0.0"], 2),
        // Port 1 of this machine: nobody listens there.
        ("nobody there", &["--upstream", "http://127.0.0.1:1", "example.com/m@v1.0.0"], 3),
        ("no server", &["--proxy", "http://127.0.0.1:1", "example.com/m@v1.0.0"], 3),
    ];
    for (row, words, exit) in table {
        let done = explain(home.path(), &[&["--cache", &cache], *words].concat());
        assert_eq!(done.status.code(), Some(*exit), "{row}: {}{}", text(&done.stdout), text(&done.stderr));
    }
}

fn settings(world: &World, home: &Path) -> String {
    let instead: String = HOSTS.iter().map(|host| format!("\"https://{host}/\" = \"{}\"\n", world.git.url())).collect();
    let text = format!(
        "[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n{instead}\n[[upstream]]\nname = \"git\"\nkind = \"git\"\n"
    );
    let file = home.join("modvet.toml");
    std::fs::write(&file, text).expect("a writable folder");
    file.display().to_string()
}

fn explain(home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
    command.arg("explain").args(words).env_clear().env("HOME", home).env("GOSUMDB", "off");
    command.current_dir(home).stdin(Stdio::null());
    command.output().expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compares with a golden file; `BLESS=1` writes it.
fn compare(file: &str, found: &str) -> Option<String> {
    let path = support::top().join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    (golden != found).then(|| format!("{file} differs:\n{found}"))
}
