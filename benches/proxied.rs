//! `go mod download` of many modules through modvet, beside the same straight from its upstream: cold, with nothing kept, and
//! warm. The upstream is one of the bench's own, 20 ms away, and then the machine's, where that serves the modules.
//!
//! `cargo bench --bench proxied`; the table of docs/performance.md is made of what it prints. It ends with an error where a file
//! costs its upstream more than one request.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use measured::process::processor_time;
use measured::{compare, is_wanted, middle};
use support::authority::Authority;
use support::distant::Distant;
use support::go::{Fresh, Go, run};
use support::modvet::{Home, Modvet};
use support::outside::Outside;
use support::release::Release;

/// Modules of the bench's own, and the way to them and back.
const MODULES: usize = 160;
const DELAY: Duration = Duration::from_millis(20);
/// Public modules, as a go.mod requires them.
const PUBLIC: &str = include_str!("measured/set.mod");
/// Times each is run; by turns, so that whatever else this machine and the way out do falls on all.
const TURNS: usize = 3;

fn main() {
    if is_wanted("far") {
        far_away();
    }
    if is_wanted("outside") {
        outside();
    }
}

/// A project that requires many modules.
struct Project<'a> {
    go: &'a Go,
    folder: tempfile::TempDir,
    modules: usize,
    let_out: &'a dyn Fn(&mut Command),
}

impl<'a> Project<'a> {
    fn new(go: &'a Go, go_mod: &str, let_out: &'a dyn Fn(&mut Command)) -> Project<'a> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("go.mod"), go_mod).expect("a writable folder");
        let modules = go_mod.lines().filter(|line| line.starts_with('\t')).count();
        Project { go, folder, modules, let_out }
    }

    /// How long it takes to download all of them into an empty cache; what go said where it could not.
    ///
    /// The first time go writes down their hashes, and from then on it holds what comes against them.
    fn download(&self, goproxy: &str) -> Result<(Duration, Fresh), String> {
        let cache = self.go.fresh();
        let mut command = self.go.command(&cache);
        (self.let_out)(&mut command);
        command.current_dir(self.folder.path()).env("GOPROXY", goproxy).env("GOSUMDB", "off");
        command.env("GOFLAGS", "-modcacherw -mod=mod").args(["mod", "download"]);
        let start = Instant::now();
        let output = run(&mut command);
        let took = start.elapsed();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        assert_eq!(zips(&cache.path().join("cache/download")), self.modules, "zips in the module cache");
        Ok((took, cache))
    }

    fn timed(&self, goproxy: &str) -> Duration {
        self.download(goproxy).unwrap_or_else(|why| panic!("{goproxy}: {why}")).0
    }
}

fn zips(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .map(|path| match path.is_dir() {
            true => zips(&path),
            false => usize::from(path.extension().is_some_and(|extension| extension == "zip")),
        })
        .sum()
}

/// Straight, cold and warm by turns.
fn compared(name: &str, project: &Project<'_>, upstream: &str, start: &dyn Fn() -> Modvet, each: &dyn Fn(&Modvet)) {
    let (mut straight, mut cold, mut warm, mut spent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        straight.push(project.timed(upstream));
        let modvet = start();
        let before = processor_time(modvet.id());
        cold.push(project.timed(&modvet.url()));
        spent.extend(processor_time(modvet.id()).zip(before).map(|(after, before)| after - before));
        each(&modvet);
        warm.push(project.timed(&modvet.url()));
    }
    let straight = middle(straight);
    let modules = project.modules;
    compare(&format!("{name}, {modules} modules, cold through modvet (target 1.15)"), middle(cold), straight);
    compare(&format!("{name}, {modules} modules, warm through modvet (target 1.0)"), middle(warm), straight);
    if let Some(spent) = middle(spent) {
        println!("time   {name}, processor time of modvet for all of it, cold: {spent:.2?}");
    }
}

fn far_away() {
    let authority = Authority::new();
    let distant = Distant::start_tls(DELAY, &authority, &["h2", "http/1.1"]);
    let releases: Vec<Release> = (0..MODULES).map(release).collect();
    releases.iter().for_each(|release| distant.add(release));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).expect("a writable folder");
    let (go, let_out) = (Go::new("http://127.0.0.1:9/", &[]), |command: &mut Command| {
        command.env("SSL_CERT_FILE", &trusted);
    });
    let require: String =
        releases.iter().map(|release| format!("\t{} {}\n", release.module, release.version)).collect();
    let project = Project::new(&go, &format!("module bench.test/app\n\ngo 1.21\n\nrequire (\n{require})\n"), &let_out);
    project.timed(&distant.url());
    let files = distant.asked().len();
    let start = || {
        distant.forget();
        distant.modvet_before(&authority)
    };
    let each = |modvet: &Modvet| {
        let (asked, connections) = (distant.asked(), distant.connections());
        println!("count  requests to the upstream: {} for {files} files, {connections} connections", asked.len());
        assert_eq!(asked.len(), files, "each file costs one request: {}", modvet.log());
        assert!(asked.iter().all(|asked| asked.version == http::Version::HTTP_2 && asked.method == "GET"));
        assert!(connections <= 2, "{connections} connections");
    };
    compared(&format!("an upstream {DELAY:?} away"), &project, &distant.url(), &start, &each);
}

/// Versions of different sizes, most of them small, as modules are.
fn release(number: usize) -> Release {
    let size = match number % 16 {
        0 => 2_000_000,
        1..=4 => 200_000,
        _ => 20_000,
    };
    let release = Release::new(&format!("bench.test/m{number}"), "v1.0.0");
    (0..10).fold(release, |release, file| {
        release.noise(&format!("noise{file}.txt"), (number * 10 + file) as u32, size / 10)
    })
}

fn outside() {
    let outside = match Outside::find() {
        Ok(outside) => outside,
        Err(why) => return println!("skip   the machine's module proxy: {why}"),
    };
    let upstream = outside.first().expect("it was looked for").to_owned();
    let (go, let_out) = (Go::new("http://127.0.0.1:9/", &[]), |command: &mut Command| outside.let_out(command));
    let project = Project::new(&go, PUBLIC, &let_out);
    if let Err(why) = project.download(&upstream) {
        let first = why.lines().next().unwrap_or_default();
        return println!("skip   the machine's module proxy does not serve all modules: {first}");
    }
    let start = || {
        let home = Home::new();
        home.configure("");
        let mut serve = home.command(&["serve", "--config", "modvet.toml", "--upstream", &upstream]);
        outside.let_out(&mut serve);
        serve.env("GOSUMDB", "off");
        home.serve_by(serve)
    };
    compared("the machine's module proxy", &project, &upstream, &start, &|_| {});
}
