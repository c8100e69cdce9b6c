//! `modvet check` of a go.mod with 500 requirements, 100 of them pseudo-versions over 40 repositories, all in the cache.
//!
//! `cargo bench --bench check`

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::replay::replay;

const REPOSITORIES: usize = 40;
const RELEASES: usize = 400;
/// One in so many pseudo-versions is wrong.
const WRONG: usize = 10;
const EXPECTED: &str = "1 file, 100 pseudo-versions: 10 wrong";
const LIMIT: Duration = Duration::from_secs(1);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pseudo_versions = repositories(&folder.path().join("repositories"));
    assert_eq!(pseudo_versions.len(), 100);
    let releases = releases(&folder.path().join("releases"));
    let project = folder.path().join("project");
    std::fs::create_dir(&project).expect("a writable folder");
    let requires: String =
        pseudo_versions.iter().chain(&releases).fold(String::new(), |text, line| text + "\t" + line + "\n");
    std::fs::write(project.join("go.mod"), format!("module example.com/app\n\ngo 1.22\n\nrequire (\n{requires})\n"))
        .expect("a writable folder");
    let server = GitServer::start(&folder.path().join("repositories"), Flavour::Filters);
    configure(folder.path(), &server.url());
    check(folder.path());
    let mut times: Vec<Duration> = (0..5).map(|_| check(folder.path())).collect();
    times.sort();
    println!("check of 500 requirements, all in the cache: median {:?}", times[2]);
    assert!(times[2] < LIMIT, "{:?} (expected less than {LIMIT:?})", times[2]);
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("check/500-requirements", |bencher| bencher.iter(|| check(folder.path())));
    criterion.final_summary();
}

/// Histories with two or three modules each; a requirement of each by its tip.
fn repositories(folder: &Path) -> Vec<String> {
    let mut requires = Vec::new();
    for number in 0..REPOSITORIES {
        let name = format!("r{number}");
        let module = format!("github.com/bench/{name}");
        let folders = if number % 2 == 0 { &["", "a", "b"][..] } else { &["", "a"][..] };
        let mut text = "# Modules of a bench.\nat 2018-02-19T23:10:06Z\n".to_owned();
        for inner in folders {
            let (path, slash) =
                if inner.is_empty() { (module.clone(), "") } else { (format!("{module}/{inner}"), "/") };
            writeln!(text, "file {inner}{slash}go.mod\n  module {path}").expect("a string");
        }
        writeln!(text, "commit first; tag v1.0.0\nat 2018-02-21T00:00:00Z\ncommit tip").expect("a string");
        let names = replay(&fixture::parse(&name, &text), folder);
        for inner in folders {
            let (path, base) = match *inner {
                "" => (module.clone(), "v1.0.1-0."),
                inner => (format!("{module}/{inner}"), "v0.0.0-"),
            };
            let is_wrong = requires.len() % WRONG == 0;
            let time = if is_wrong { "20180221000001" } else { "{tip.time}" };
            requires.push(format!("{path} {}", names.expand(&format!("{base}{time}-{{tip:12}}"))));
        }
    }
    requires
}

/// Released modules as a folder in GOPROXY layout.
fn releases(folder: &Path) -> Vec<String> {
    let module = |number: usize| {
        let path = format!("example.com/m{number}");
        let files = folder.join(&path).join("@v");
        std::fs::create_dir_all(&files).expect("a writable folder");
        let write = |name: &str, text: &str| std::fs::write(files.join(name), text).expect("a writable folder");
        write("list", "v1.0.0\nv1.1.0\n");
        for version in ["v1.0.0", "v1.1.0"] {
            write(
                &format!("{version}.info"),
                &format!("{{\"Version\":\"{version}\",\"Time\":\"2018-02-19T23:10:06Z\"}}"),
            );
            write(&format!("{version}.mod"), &format!("module {path}\n"));
        }
        format!("{path} v1.0.0")
    };
    (0..RELEASES).map(module).collect()
}

fn configure(folder: &Path, git: &str) {
    let text = format!(
        "[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n\"https://github.com/\" = \"{git}\"\n\n\
         [[upstream]]\nname = \"git\"\nkind = \"git\"\nmodules = [\"github.com/*\"]\nlist_validity = \"1h\"\n\n\
         [[upstream]]\nname = \"dir\"\nkind = \"dir\"\npath = '{}'\nlist_validity = \"1h\"\n",
        folder.join("releases").display()
    );
    std::fs::write(folder.join("modvet.toml"), text).expect("a writable folder");
}

/// Checks, looks at the answer, and says how long it took.
fn check(folder: &Path) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
    command.arg("check").arg("--config").arg(folder.join("modvet.toml")).current_dir(folder.join("project"));
    command
        .env_clear()
        .env("HOME", folder)
        .env("MODVET_CACHE", folder.join("cache"))
        .env("GOSUMDB", "off")
        .stdin(Stdio::null());
    let start = Instant::now();
    let output = command.output().expect("the binary was built");
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    assert_eq!((output.status.code(), last), (Some(1), EXPECTED), "{}", String::from_utf8_lossy(&output.stderr));
    took
}
