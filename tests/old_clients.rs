//! What go commands from 1.12 to the newest make of a wrong pseudo-version, in each mode: all that they print, and the go.mod that they leave.
//!
//! `testdata/clients/` holds it, one file a release; `BLESS=1` writes it anew. A release that the environment's module
//! upstream does not give is left out, and said so on standard error.

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::go::run;
use support::modvet::Modvet;
use support::toolchain::Toolchain;
use tempfile::TempDir;

const MODES: [&str; 3] = ["rewrite", "strict", "legacy"];

const DEPENDENCY: &str = "github.com/modvet-fixtures/clients";
/// A module that requires the dependency by its wrong time.
const THROUGH: &str = "github.com/modvet-fixtures/clients-through";

const RIGHT: &str = "v1.0.1-0.20180221000000-bf6a9be52616";
const WRONG_TIME: &str = "v1.0.1-0.20180221000001-bf6a9be52616";
const WRONG_BASE: &str = "v1.0.2-0.20180221000000-bf6a9be52616";

/// A project and what is done in it.
struct Scenario {
    title: &'static str,
    /// The module that it imports and the version that its go.mod requires, if any.
    requires: (&'static str, Option<&'static str>),
    /// What go is called with, one after the other; see `written_out`.
    commands: &'static [&'static str],
}

const GET_TIME: &str = "get a version with a wrong time";
const GET_BASE: &str = "get a version with a wrong base";
const BUILD_TIME: &str = "build with a wrong time in go.mod";
const BUILD_BASE: &str = "build with a wrong base in go.mod";
const BUILD_THROUGH: &str = "build with a wrong time in a dependency's go.mod";
const TIDY: &str = "tidy with a wrong time in go.mod";
const LIST: &str = "list with a wrong time in go.mod";
const GET_HASH: &str = "get by hash with a wrong time in go.mod";
const EDIT_REQUIRE: &str = "edit -require repairs go.mod";
const EDIT_REPLACE: &str = "edit -replace repairs what a dependency requires";

const SCENARIOS: [Scenario; 10] = [
    Scenario { title: GET_TIME, requires: (DEPENDENCY, None), commands: &["get DEPENDENCY@WRONG_TIME"] },
    Scenario { title: GET_BASE, requires: (DEPENDENCY, None), commands: &["get DEPENDENCY@WRONG_BASE"] },
    Scenario { title: BUILD_TIME, requires: (DEPENDENCY, Some(WRONG_TIME)), commands: &["build ./..."] },
    Scenario { title: BUILD_BASE, requires: (DEPENDENCY, Some(WRONG_BASE)), commands: &["build ./..."] },
    Scenario { title: BUILD_THROUGH, requires: (THROUGH, Some("v1.0.0")), commands: &["build ./..."] },
    Scenario { title: TIDY, requires: (DEPENDENCY, Some(WRONG_TIME)), commands: &["mod tidy"] },
    Scenario { title: LIST, requires: (DEPENDENCY, Some(WRONG_TIME)), commands: &["list -m all"] },
    Scenario {
        title: GET_HASH,
        requires: (DEPENDENCY, Some(WRONG_TIME)),
        commands: &["get DEPENDENCY@bf6a9be52616", "build ./..."],
    },
    Scenario {
        title: EDIT_REQUIRE,
        requires: (DEPENDENCY, Some(WRONG_TIME)),
        commands: &["mod edit -require=DEPENDENCY@RIGHT", "mod tidy", "build ./..."],
    },
    Scenario {
        title: EDIT_REPLACE,
        requires: (THROUGH, Some("v1.0.0")),
        commands: &["mod edit -replace=DEPENDENCY@WRONG_TIME=DEPENDENCY@RIGHT", "mod tidy", "build ./..."],
    },
];

/// A command with the names of modules and versions replaced by what they stand for.
fn written_out(command: &str) -> String {
    let names = [("DEPENDENCY", DEPENDENCY), ("WRONG_TIME", WRONG_TIME), ("WRONG_BASE", WRONG_BASE), ("RIGHT", RIGHT)];
    names.into_iter().fold(command.to_owned(), |command, (name, value)| command.replace(name, value))
}

#[test]
fn go_1_12() {
    ask("go1.12.17");
}

#[test]
fn go_1_13() {
    ask("go1.13.15");
}

#[test]
fn go_1_14() {
    ask("go1.14.15");
}

#[test]
fn go_1_18() {
    ask("go1.18.10");
}

#[test]
fn go_1_21() {
    ask("go1.21.13");
}

#[test]
fn go_1_27() {
    ask("go1.27.4");
}

/// A release's go command with all that it caches.
struct Client {
    toolchain: Toolchain,
    /// The second number of the release.
    minor: u32,
    home: TempDir,
}

/// What happened in a project.
struct Told {
    is_success: bool,
    /// All that was printed.
    printed: String,
    go_mod: String,
    /// All of it as a page for people.
    page: String,
}

fn ask(release: &str) {
    let toolchain = match Toolchain::of(release) {
        Ok(toolchain) => toolchain,
        Err(why) => return skip(release, &why),
    };
    let minor = release.split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("a release has two numbers");
    let client = Client { toolchain, minor, home: tempfile::tempdir().expect("a temporary folder") };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["clients", "clients-through"] {
        support::replay::replay(&fixture::named(name), folder.path());
    }
    let server = GitServer::start(folder.path(), Flavour::Filters);
    let mut pages = format!("{release}\n");
    let mut faults = Vec::new();
    for mode in MODES {
        let modvet = Modvet::over_git(&server.url(), mode);
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            let told = client.tell(scenario, &modvet, &format!("{mode}-{number}"));
            write!(pages, "\n== {mode}: {}\n{}", scenario.title, told.page).expect("strings take all");
            faults.extend(
                fault(mode, scenario.title, minor, &told).map(|what| format!("{mode}: {}: {what}", scenario.title)),
            );
        }
    }
    assert!(faults.is_empty(), "{release}:\n{}", faults.join("\n"));
    compare(&format!("testdata/clients/go1.{minor}.txt"), &pages);
}

/// Past the test's own capture: a test that did nothing must not look like one that did.
fn skip(release: &str, why: &str) {
    writeln!(std::io::stderr(), "skipped: {release} is not to be had: {why}").expect("standard error is open");
}

/// What of the promises in docs/protocol.md was not kept; the golden texts show how it looks.
fn fault(mode: &str, title: &str, minor: u32, told: &Told) -> Option<String> {
    let stopped = format!("proxy returned info for version {RIGHT} instead of requested version");
    let is_wrong = |text: &str| text.contains(WRONG_TIME) || text.contains(WRONG_BASE);
    let is_kept = match (title, mode) {
        (GET_TIME | GET_BASE, "rewrite") if minor <= 12 => {
            told.is_success && told.go_mod.contains(RIGHT) && !is_wrong(&told.go_mod)
        }
        (GET_TIME | GET_BASE, "rewrite") => {
            !told.is_success && told.printed.contains(&stopped) && !is_wrong(&told.go_mod)
        }
        (GET_TIME | GET_BASE, "strict") => {
            !told.is_success && told.printed.contains(&format!("use {RIGHT}")) && !is_wrong(&told.go_mod)
        }
        (GET_TIME | GET_BASE, _) => told.is_success && is_wrong(&told.go_mod),
        (BUILD_TIME | BUILD_BASE | BUILD_THROUGH, "strict") => !told.is_success && told.printed.contains(RIGHT),
        (BUILD_TIME | BUILD_BASE | BUILD_THROUGH | TIDY, "rewrite" | "legacy") => told.is_success,
        // Go 1.12 asks for what go.mod holds first, and then believes whatever it kept under that hash.
        (GET_HASH, "strict") if minor <= 12 => !told.is_success && told.printed.contains(RIGHT),
        (GET_HASH, "legacy") if minor <= 12 => told.is_success && is_wrong(&told.go_mod),
        (GET_HASH | EDIT_REQUIRE, _) => told.is_success && told.go_mod.contains(RIGHT) && !is_wrong(&told.go_mod),
        (EDIT_REPLACE, _) => told.is_success,
        _ => true,
    };
    (!is_kept).then(|| format!("not as promised:\n{}", told.page))
}

impl Client {
    fn tell(&self, scenario: &Scenario, modvet: &Modvet, name: &str) -> Told {
        let project = self.home.path().join(name);
        write_project(&project, scenario);
        let mut told = Told { is_success: true, printed: String::new(), go_mod: String::new(), page: String::new() };
        for command in scenario.commands {
            let command = written_out(command);
            let output = run(self.command(modvet, &project).args(command.split(' ')));
            let printed = [output.stdout, output.stderr].concat();
            let printed = self.public(&String::from_utf8_lossy(&printed), modvet, &project);
            let exit = output.status.code().expect("no signal ended it");
            told.is_success = output.status.success();
            write!(told.page, "$ go {command}\n{}exit {exit}\n", indented(&printed)).expect("strings take all");
            told.printed.push_str(&printed);
        }
        told.go_mod = std::fs::read_to_string(project.join("work/go.mod")).expect("go leaves a go.mod");
        write!(told.page, "go.mod\n{}", indented(&told.go_mod)).expect("strings take all");
        // Go 1.12 and 1.13 know no -modcacherw: only go itself clears what they wrote.
        run(self.command(modvet, &project).args(["clean", "-modcache"]));
        told
    }

    fn command(&self, modvet: &Modvet, project: &Path) -> std::process::Command {
        let mut command = self.toolchain.command();
        let home = self.home.path();
        command.current_dir(project.join("work")).env("HOME", home).env("TMPDIR", project.join("tmp"));
        command.env("GOPATH", project.join("gopath")).env("GOCACHE", home.join("gocache")).env("GOENV", "off");
        command.env("GOPROXY", modvet.url()).env("GOSUMDB", "off").env("GO111MODULE", "on").env("GOTELEMETRY", "off");
        // Without it 1.16 and newer ask for a go.sum before they ask for the module; 1.13 and older do not know it.
        command.env("GOFLAGS", if self.minor >= 14 { "-mod=mod" } else { "" });
        command.env("GOWORK", "off").env("CGO_ENABLED", "0").env("LC_ALL", "C");
        // Whatever is not on the loopback is answered by nobody.
        command.env("HTTP_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
        command.env("NO_PROXY", "127.0.0.1");
        command
    }

    /// A text without what differs from run to run.
    fn public(&self, text: &str, modvet: &Modvet, project: &Path) -> String {
        let text = text
            .replace(&modvet.url(), "http://127.0.0.1:PORT")
            .replace(&project.display().to_string(), "$PROJECT")
            .replace(&self.home.path().display().to_string(), "$HOME");
        let mut lines: Vec<&str> = text.lines().collect();
        // go asks for several modules at a time: which of them it names first is chance.
        for run in lines.chunk_by_mut(|one, next| is_progress(one) && is_progress(next)) {
            run.sort_unstable();
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn is_progress(line: &str) -> bool {
    ["finding", "downloading", "extracting"].iter().any(|verb| line.starts_with(&format!("go: {verb} ")))
}

fn write_project(project: &Path, scenario: &Scenario) {
    let work = project.join("work");
    for folder in [&work, &project.join("tmp"), &project.join("gopath")] {
        std::fs::create_dir_all(folder).expect("a writable folder");
    }
    let (module, version) = scenario.requires;
    let requirement = version.map(|version| format!("\nrequire {module} {version}\n")).unwrap_or_default();
    std::fs::write(work.join("go.mod"), format!("module example.com/app\n\ngo 1.12\n{requirement}"))
        .expect("a writable folder");
    let source = format!("package app\n\nimport dependency \"{module}\"\n\nconst Answer = dependency.Answer\n");
    std::fs::write(work.join("app.go"), source).expect("a writable folder");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

fn compare(golden: &str, found: &str) {
    let path: PathBuf = support::top().join(golden);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a writable folder");
        std::fs::write(&path, found).expect("a writable folder");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{golden}: {error}"));
    let differing = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert_eq!(expected, found, "{golden}: {differing:?}");
}
