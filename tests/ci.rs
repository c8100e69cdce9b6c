//! The recipes of docs/ci.md do what that page says: its code blocks are run as they stand there.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::go::{Go, run};
use support::modvet::Modvet;
use tempfile::TempDir;

const DEPENDENCY: &str = "github.com/modvet-fixtures/clients";
const RIGHT: &str = "v1.0.1-0.20180221000000-bf6a9be52616";
const WRONG: &str = "v1.0.1-0.20180221000001-bf6a9be52616";

/// What a GOPROXY list is to say where nobody answers.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn the_shell_recipe_ends_as_check_does() {
    let job = Job::new();
    let recipe = block("Plain shell", "sh", 0);
    for (row, version, upstream, expected) in [
        ("right", RIGHT, job.upstream.url(), 0),
        ("wrong", WRONG, job.upstream.url(), 1),
        ("out of reach", RIGHT, NOBODY.to_owned(), 3),
    ] {
        job.require(version);
        let output = job.shell(&recipe, &upstream, row);
        assert_eq!(output.status.code(), Some(expected), "{row}: {}", text(&output));
    }
    job.require(WRONG);
    assert!(text(&job.shell(&recipe, &job.upstream.url(), "named")).contains(RIGHT), "the right version is named");
}

#[test]
fn the_lenient_shell_recipe_passes_what_nobody_could_verify() {
    let job = Job::new();
    let recipe = block("Plain shell", "sh", 1);
    for (row, version, upstream, expected) in [
        ("right", RIGHT, job.upstream.url(), 0),
        ("wrong", WRONG, job.upstream.url(), 1),
        ("out of reach", RIGHT, NOBODY.to_owned(), 0),
    ] {
        job.require(version);
        let output = job.shell(&recipe, &upstream, row);
        assert_eq!(output.status.code(), Some(expected), "{row}: {}", text(&output));
    }
}

#[test]
fn a_modvet_is_asked_for_its_verdicts_in_every_mode() {
    let recipe = block("Plain shell", "sh", 2);
    for mode in ["rewrite", "strict", "legacy"] {
        let job = Job::over(mode);
        for (version, expected) in [(RIGHT, 0), (WRONG, 1)] {
            job.require(version);
            let output = job.shell(&recipe, &job.upstream.url(), version);
            assert_eq!(output.status.code(), Some(expected), "{mode}: {version}: {}", text(&output));
        }
    }
}

#[test]
fn the_hook_stops_a_commit_that_brings_a_wrong_version() {
    use std::os::unix::fs::PermissionsExt as _;
    let job = Job::new();
    assert_commits(&job, &["init", "--quiet"], true);
    let hook = job.path().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().expect("a hook lies in a folder")).expect("a writable folder");
    std::fs::write(&hook, block("Pre-commit hook", "sh", 0)).expect("a writable folder");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("an own file");
    let commit = ["commit", "--quiet", "--all", "--message", "change"];

    job.require(WRONG);
    assert_commits(&job, &["add", "--all"], true);
    let refused = job.git(&commit, &job.upstream.url());
    assert!(!refused.status.success() && text(&refused).contains(RIGHT), "{}", text(&refused));
    let offline = job.git(&commit, NOBODY);
    assert!(offline.status.success() && text(&offline).contains("committed all the same"), "{}", text(&offline));

    job.require(RIGHT);
    assert_commits(&job, &["add", "--all"], true);
    assert_commits(&job, &commit, true);
    // The commit touches none of the files: nobody is asked.
    std::fs::write(job.path().join("README"), "text\n").expect("a writable folder");
    assert_commits(&job, &["add", "--all"], true);
    let untouched = job.git(&commit, "off");
    assert!(untouched.status.success(), "{}", text(&untouched));
}

#[test]
fn the_strict_recipe_builds_right_versions_only() {
    let job = Job::new();
    let settings = block("`GOPROXY` in `strict` mode", "toml", 0);
    let recipe = block("`GOPROXY` in `strict` mode", "sh", 0);
    let reached = format!(
        "\n[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n\"https://github.com/\" = \"{}\"\n",
        job.server.url()
    );
    std::fs::write(job.path().join("modvet-ci.toml"), settings + &reached).expect("a writable folder");
    std::fs::write(
        job.path().join("app.go"),
        format!("package app\n\nimport \"{DEPENDENCY}\"\n\nconst Answer = clients.Answer\n"),
    )
    .expect("a writable folder");
    for (version, passes) in [(RIGHT, true), (WRONG, false)] {
        job.require(version);
        let output = job.shell(&recipe, "off", version);
        assert_eq!(output.status.success(), passes, "{version}: {}", text(&output));
        assert!(passes || text(&output).contains(&format!("use {DEPENDENCY}@{RIGHT}")), "{}", text(&output));
    }
}

/// A folder in which a job runs, and a modvet over the git server of the fixtures as its upstream.
struct Job {
    folder: TempDir,
    // Held for its drop: the repositories lie in it.
    _repositories: TempDir,
    server: GitServer,
    upstream: Modvet,
    go: Go,
}

impl Job {
    /// With an upstream that answers as other proxies do.
    fn new() -> Job {
        Job::over("legacy")
    }

    fn over(mode: &str) -> Job {
        let repositories = tempfile::tempdir().expect("a temporary folder");
        support::replay::replay(&fixture::named("clients"), repositories.path());
        let server = GitServer::start(repositories.path(), Flavour::Filters);
        let upstream = Modvet::over_git(&server.url(), mode);
        let go = Go::new(&server.url(), &[]);
        Job {
            folder: tempfile::tempdir().expect("a temporary folder"),
            _repositories: repositories,
            server,
            upstream,
            go,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn require(&self, version: &str) {
        let go_mod = format!("module example.com/app\n\ngo 1.12\n\nrequire {DEPENDENCY} {version}\n");
        std::fs::write(self.path().join("go.mod"), go_mod).expect("a writable folder");
    }

    /// Runs a recipe as runners of CI do: any command that fails ends it. `cache` names a cache of its own.
    fn shell(&self, recipe: &str, upstream: &str, cache: &str) -> Output {
        let modules = self.go.fresh();
        let mut command = self.command("sh", upstream);
        command.args(["-e", "-c", recipe]).env("GOMODCACHE", modules.path()).env("GOFLAGS", "-modcacherw -mod=mod");
        command.env("MODVET_CACHE", self.path().join(".git").join(format!("cache {cache}")));
        run(&mut command)
    }

    fn git(&self, arguments: &[&str], upstream: &str) -> Output {
        let mut command = self.command("git", upstream);
        command.args(["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]).args(arguments);
        command.env("MODVET_CACHE", self.path().join(".git/cache").join(upstream.replace(['/', ':'], "-")));
        run(&mut command)
    }

    /// In the closed environment of the go command, with the built modvet before all else in PATH.
    fn command(&self, program: &str, upstream: &str) -> Command {
        let template = self.go.command(&self.go.fresh());
        let mut command = Command::new(program);
        command.env_clear();
        for (name, value) in template.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_modvet"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = binary.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).expect("folders of a PATH make a PATH"));
        command.env("GOPROXY", upstream).current_dir(self.path());
        command
    }
}

fn assert_commits(job: &Job, arguments: &[&str], expected: bool) {
    let output = job.git(arguments, &job.upstream.url());
    assert_eq!(output.status.success(), expected, "git {arguments:?}: {}", text(&output));
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The code block of a language below a heading of docs/ci.md, counted from 0.
fn block(heading: &str, language: &str, number: usize) -> String {
    let path = support::top().join("docs/ci.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let is_heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
    let below = page.lines().skip_while(|line| !is_heading(line)).skip(1);
    let mut blocks = Vec::new();
    let mut inside: Option<String> = None;
    for line in below {
        match &mut inside {
            // A comment of a shell begins as a heading does.
            None if line.starts_with("## ") || line.starts_with("### ") => break,
            None => inside = (line == format!("```{language}")).then(String::new),
            Some(_) if line == "```" => blocks.extend(inside.take()),
            Some(block) => *block += &format!("{line}\n"),
        }
    }
    blocks.into_iter().nth(number).unwrap_or_else(|| panic!("docs/ci.md: {heading}: no {language} block {number}"))
}
