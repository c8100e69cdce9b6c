//! `modvet fix` on modules of all kinds, and what the go command makes of them afterwards.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::go::{Go, run};
use support::modvet::Modvet;
use support::oracle::HOSTS;
use support::replay::replay;
use tempfile::TempDir;

const DEP: &str = "# A module whose versions others get wrong.
at 2019-08-13T06:44:41Z
file go.mod
  module github.com/modvet-fixtures/fix-dep

  go 1.18
file dep.go
  package dep

  func Word() string { return \"first\" }
commit first; tag v1.0.0
at 2019-09-01T10:20:30Z
file dep.go
  package dep

  func Word() string { return \"second\" }
commit second
";

/// A module that requires one of `dep`.
fn mid(version: &str) -> String {
    format!(
        "# A module that requires a wrong version.
at 2020-01-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/fix-mid

  go 1.18

  require github.com/modvet-fixtures/fix-dep {version}
file mid.go
  package mid

  import \"github.com/modvet-fixtures/fix-dep\"

  func Word() string {{ return dep.Word() }}
commit first; tag v1.0.0
"
    )
}

/// Repositories, a strict modvet before them, the go command behind it, and a module to work on.
struct World {
    folder: TempDir,
    git: GitServer,
    modvet: Modvet,
    go: Go,
    hash: String,
    first: String,
}

/// The second of the commit, one too late, one too early.
const RIGHT: &str = "20190901102030";
const LATE: &str = "20190901102031";
const EARLY: &str = "20190901102029";

impl World {
    /// `mid` requires the version of `dep` with this time.
    fn new(time: &str) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repositories = folder.path().join("repositories");
        let names = replay(&fixture::parse("fix-dep", DEP), &repositories);
        let [first, hash] = ["first", "second"].map(|name| names.commit(name)[..12].to_owned());
        replay(&fixture::parse("fix-mid", &mid(&format!("v1.0.1-0.{time}-{hash}"))), &repositories);
        let git = GitServer::start(&repositories, Flavour::Filters);
        let modvet = Modvet::over_git(&git.url(), "strict");
        let go = Go::new(&git.url(), &HOSTS);
        let world = World { folder, git, modvet, go, hash, first };
        std::fs::create_dir(world.app()).expect("a writable folder");
        let instead: String =
            HOSTS.iter().map(|host| format!("\"https://{host}/\" = \"{}\"\n", world.git.url())).collect();
        let settings = format!("[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n{instead}");
        std::fs::write(world.folder.path().join("modvet.toml"), settings).expect("a writable folder");
        world
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    fn version(&self, time: &str) -> String {
        format!("v1.0.1-0.{time}-{}", self.hash)
    }

    /// Writes a file of the module; `@LATE@` and its like stand for versions of `dep`.
    fn write(&self, name: &str, text: &str) {
        let path = self.app().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(path, self.expand(text)).expect("a writable folder");
    }

    fn expand(&self, text: &str) -> String {
        let times = [("@RIGHT@", RIGHT), ("@LATE@", LATE), ("@EARLY@", EARLY)];
        times.into_iter().fold(text.to_owned(), |text, (name, time)| text.replace(name, &self.version(time)))
    }

    #[track_caller]
    fn assert_file(&self, name: &str, expected: &str) {
        assert_eq!(self.read(name), self.expand(expected), "{name}");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.app().join(name)).unwrap_or_default()
    }

    /// `modvet fix` in the module's folder, in a closed environment.
    fn fix(&self, arguments: &[&str]) -> Fixed {
        let top = self.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
        command.arg("fix").args(arguments).arg("--config").arg(top.join("modvet.toml"));
        command.arg("--cache").arg(top.join("cache")).current_dir(self.app());
        Fixed::from(run(command.env_clear().env("HOME", top).env("GOPROXY", "direct").env("GOSUMDB", "off")))
    }

    /// The go command by way of the strict modvet.
    fn go(&self, cache: &support::go::Fresh, folder: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.go.command(cache);
        command.env("GOPROXY", self.modvet.url()).env("GONOSUMDB", "*").current_dir(folder).args(arguments);
        // A workspace allows no -mod=mod.
        match self.app().join("go.work").is_file() {
            true => command.env_remove("GOWORK"),
            false => command.env("GOFLAGS", "-mod=mod -modcacherw"),
        };
        let output = run(&mut command);
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Whether `go mod tidy && go build ./...` works with an empty cache; else what the go command says.
    fn builds(&self) -> Result<(), String> {
        let cache = self.go.fresh();
        self.go(&cache, &self.app(), &["mod", "tidy"])?;
        self.go(&cache, &self.app(), &["build", "./..."])
    }
}

/// How a run ended.
#[derive(Debug)]
struct Fixed {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Fixed {
    fn from(output: Output) -> Fixed {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let code = output.status.code().expect("it ended by itself");
        Fixed { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

const USES_DEP: &str =
    "package main\n\nimport \"github.com/modvet-fixtures/fix-dep\"\n\nfunc main() { println(dep.Word()) }\n";
const USES_MID: &str =
    "package main\n\nimport \"github.com/modvet-fixtures/fix-mid\"\n\nfunc main() { println(mid.Word()) }\n";

#[test]
fn a_wrong_version_of_ones_own_is_corrected() {
    let world = World::new(RIGHT);
    world.write("main.go", USES_DEP);
    let go_mod = "// The app.\nmodule example.com/app\n\ngo 1.18\n\nrequire (\n\n\t// two lines\n\t\
                  github.com/modvet-fixtures/fix-dep   @LATE@ // why not\n)\n\n\n// end";
    world.write("go.mod", go_mod);
    world.write(
        "go.sum",
        "github.com/modvet-fixtures/fix-dep v1.0.0/go.mod h1:x=\ngithub.com/modvet-fixtures/fix-dep @LATE@ h1:x=\n\
         github.com/modvet-fixtures/fix-dep @LATE@/go.mod h1:x=\n",
    );
    let why = world.builds().expect_err("strict mode refuses the wrong version");
    assert!(why.contains("does not match version-control timestamp"), "{why}");
    world.write("go.mod", go_mod);
    let fixed = world.fix(&[]);
    assert_eq!((fixed.code, fixed.err.as_str()), (0, ""), "{fixed:?}");
    let expected = "go.mod:9: github.com/modvet-fixtures/fix-dep@@LATE@ -> @RIGHT@\n    \
                    does not match version-control timestamp (expected 20190901102030)\n\
                    go.sum: 2 lines of github.com/modvet-fixtures/fix-dep@@LATE@ dropped\n\
                    fixed 2 files\nnext: go mod tidy\n";
    assert_eq!(fixed.out, world.expand(expected));
    world.assert_file("go.mod", &go_mod.replace("@LATE@", "@RIGHT@"));
    world.assert_file("go.sum", "github.com/modvet-fixtures/fix-dep v1.0.0/go.mod h1:x=\n");
    world.write("go.sum", "");
    assert_eq!(world.builds(), Ok(()));
    let again = world.fix(&[]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to fix: 1 pseudo-version looked at\n"), "{again:?}");
}

#[test]
fn a_dependencys_wrong_version_is_replaced() {
    // Whether the wrong one sorts higher or lower than the right one makes a difference to the go command.
    for time in [LATE, EARLY] {
        let world = World::new(time);
        let wrong = world.version(time);
        world.write("main.go", USES_MID);
        let go_mod = format!(
            "module example.com/app\r\n\r\ngo 1.18\r\n\r\nrequire github.com/modvet-fixtures/fix-mid v1.0.0\r\n\r\n\
             require github.com/modvet-fixtures/fix-dep {wrong} // indirect\r\n"
        );
        world.write("go.mod", &go_mod);
        world.write("go.sum", &format!("github.com/modvet-fixtures/fix-dep {wrong}/go.mod h1:x=\n"));
        let why = world.builds().expect_err("strict mode refuses the wrong version");
        assert!(why.contains("does not match version-control timestamp"), "{why}");
        world.write("go.mod", &go_mod);
        let fixed = world.fix(&[]);
        assert_eq!((fixed.code, fixed.err.as_str()), (0, ""), "{fixed:?}");
        let added = "since github.com/modvet-fixtures/fix-mid@v1.0.0 requires it\n";
        assert!(fixed.out.contains(added), "{}", fixed.out);
        // The higher one is selected, so a requirement of the lower one would not stay.
        let kept = if time == LATE { go_mod.clone() } else { go_mod.replace(&wrong, &world.version(RIGHT)) };
        let replaced = format!(
            "{kept}\r\n// github.com/modvet-fixtures/fix-mid@v1.0.0 requires a wrong version: does not match \
             version-control timestamp (expected 20190901102030)\r\nreplace github.com/modvet-fixtures/fix-dep {wrong} \
             => github.com/modvet-fixtures/fix-dep @RIGHT@\r\n"
        );
        world.assert_file("go.mod", &replaced);
        world.assert_file("go.sum", "");
        assert_eq!(world.builds(), Ok(()));
        let tidied = world.read("go.mod");
        assert!(tidied.contains("requires a wrong version"), "tidy keeps the reason: {tidied}");
        let again = world.fix(&[]);
        assert_eq!((again.code, world.read("go.mod")), (0, tidied), "{again:?}");
        assert!(again.out.starts_with("nothing to fix: "), "{again:?}");
    }
}

#[test]
fn a_module_without_go_sum_is_searched() {
    let world = World::new(LATE);
    world.write("main.go", USES_MID);
    let go_mod = "module example.com/app\n\ngo 1.18\n\nrequire github.com/modvet-fixtures/fix-mid v1.0.0\n\nreplace (\n\
                  \texample.com/x => ./x\n)\n";
    world.write("go.mod", go_mod);
    let fixed = world.fix(&["--json"]);
    assert_eq!(fixed.code, 0, "{fixed:?}");
    let answer: serde_json::Value = serde_json::from_str(&fixed.out).expect("JSON");
    let change = &answer["files"][0]["changes"][0];
    assert_eq!(answer["files"][0]["path"], "go.mod");
    assert_eq!(change["change"], "replaced");
    assert_eq!(change["required_by"], "github.com/modvet-fixtures/fix-mid@v1.0.0");
    assert_eq!(change["right"], world.version(RIGHT));
    assert_eq!(answer["next"], serde_json::json!(["go mod tidy"]));
    let line = "\tgithub.com/modvet-fixtures/fix-dep @LATE@ => github.com/modvet-fixtures/fix-dep @RIGHT@\n)\n";
    assert!(world.read("go.mod").ends_with(&world.expand(line)), "{}", world.read("go.mod"));
    assert_eq!(world.builds(), Ok(()));
}

#[test]
fn a_workspace_and_both_sides_of_a_replacement_are_corrected() {
    let world = World::new(RIGHT);
    let dep = "github.com/modvet-fixtures/fix-dep";
    world.write("go.work", &format!("go 1.18\n\nuse ./a\n\nreplace example.com/fork => {dep} @LATE@ // fork\n"));
    let tagged = format!("v1.0.1-0.20190813064441-{}", world.first);
    let go_mod = format!(
        "module example.com/a\n\ngo 1.18\n\nrequire (\n\t{dep} @LATE@\n\texample.com/gone v0.0.0-00010101000000-000000000000\n)\n\n\
         exclude {dep} {tagged}\n\nexclude {dep} @EARLY@\n\nreplace (\n\texample.com/gone => ../gone\n\t{dep} @LATE@ => ../local\n)\n"
    );
    world.write("a/go.mod", &go_mod);
    world.write("gone/go.mod", "module example.com/gone\n");
    world.write("local/go.mod", &format!("module {dep}\n"));
    world.write("vendor/x/go.mod", &format!("module x.y/z\n\nrequire {dep} @LATE@\n"));
    let fixed = world.fix(&["--json"]);
    assert_eq!((fixed.code, fixed.err.as_str()), (0, ""), "{fixed:?}");
    world.assert_file("go.work", &format!("go 1.18\n\nuse ./a\n\nreplace example.com/fork => {dep} @RIGHT@ // fork\n"));
    world.assert_file("a/go.mod", &go_mod.replace("@LATE@", "@RIGHT@").replace(&tagged, "v1.0.0"));
    world.assert_file("vendor/x/go.mod", &format!("module x.y/z\n\nrequire {dep} @LATE@\n"));
    let answer: serde_json::Value = serde_json::from_str(&fixed.out).expect("JSON");
    assert_eq!(answer["next"], serde_json::json!(["(cd a && go mod tidy)", "go work sync"]));
}

#[test]
fn a_workspace_builds_afterwards() {
    let world = World::new(LATE);
    world.write("go.work", "go 1.18\n\nuse (\n\t./a\n\t./b\n)\n");
    world.write("a/main.go", USES_MID);
    world.write("a/go.mod", "module example.com/a\n\ngo 1.18\n\nrequire github.com/modvet-fixtures/fix-mid v1.0.0\n");
    world.write("b/main.go", USES_DEP);
    world.write("b/go.mod", "module example.com/b\n\ngo 1.18\n\nrequire github.com/modvet-fixtures/fix-dep @EARLY@\n");
    let fixed = world.fix(&["--graph"]);
    assert_eq!((fixed.code, fixed.err.as_str()), (0, ""), "{fixed:?}");
    world.assert_file("go.work", "go 1.18\n\nuse (\n\t./a\n\t./b\n)\n");
    assert!(world.read("a/go.mod").contains("\nreplace "), "{}", world.read("a/go.mod"));
    world.assert_file(
        "b/go.mod",
        "module example.com/b\n\ngo 1.18\n\nrequire github.com/modvet-fixtures/fix-dep @RIGHT@\n",
    );
    let cache = world.go.fresh();
    for (folder, arguments) in [
        ("a", &["mod", "tidy"][..]),
        ("b", &["mod", "tidy"]),
        (".", &["work", "sync"]),
        (".", &["build", "./a", "./b"]),
    ] {
        assert_eq!(world.go(&cache, &world.app().join(folder), arguments), Ok(()), "{folder}: {arguments:?}");
    }
}

#[test]
fn a_diff_writes_nothing_and_can_be_applied() {
    let world = World::new(RIGHT);
    let go_mod = "module example.com/app\n\ngo 1.18\n\nrequire github.com/modvet-fixtures/fix-dep @EARLY@";
    world.write("go.mod", go_mod);
    world.write("b/go.mod", &go_mod.replace("/app", "/b"));
    let diff = world.fix(&["--diff"]);
    assert_eq!((diff.code, diff.err.as_str()), (1, ""), "{diff:?}");
    world.assert_file("go.mod", go_mod);
    std::fs::write(world.folder.path().join("fix.diff"), &diff.out).expect("a writable folder");
    let mut git = Command::new("git");
    git.args(["apply", "--unsafe-paths", "../fix.diff"]).current_dir(world.app());
    let applied = run(git.env("GIT_CEILING_DIRECTORIES", world.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1"));
    assert!(applied.status.success(), "{}{}", String::from_utf8_lossy(&applied.stderr), diff.out);
    world.assert_file("go.mod", &go_mod.replace("@EARLY@", "@RIGHT@"));
    world.assert_file("b/go.mod", &go_mod.replace("@EARLY@", "@RIGHT@").replace("/app", "/b"));
    let well = world.fix(&["--diff"]);
    assert_eq!((well.code, well.out.as_str()), (0, ""), "{well:?}");
}

#[test]
fn nothing_is_written_if_one_file_is_broken() {
    let world = World::new(RIGHT);
    let go_mod = "module example.com/app\n\nrequire github.com/modvet-fixtures/fix-dep @EARLY@\n";
    world.write("go.mod", go_mod);
    world.write("b/go.mod", "module example.com/b\n\nrequire (\n");
    world.write("c/go.sum", "a b c\n\0\u{1}rubbish\n");
    let refused = world.fix(&[]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{refused:?}");
    let expected = "modvet: b/go.mod:4: syntax error (unterminated block started at go.mod:3:1)\n\
                    modvet: c/go.sum:2: malformed go.sum: wrong number of fields 1\nmodvet: nothing was written\n";
    assert_eq!(refused.err, expected);
    world.assert_file("go.mod", go_mod);
    let one = world.fix(&["go.mod"]);
    assert_eq!(one.code, 0, "{one:?}");
    world.assert_file("go.mod", &go_mod.replace("@EARLY@", "@RIGHT@"));
}

#[test]
fn what_nobody_knows_is_left_and_said() {
    let world = World::new(RIGHT);
    let dep = "github.com/modvet-fixtures/fix-dep";
    let go_mod = format!(
        "module example.com/app\n\nrequire {dep} @LATE@\n\nexclude {dep} v1.0.1-0.20190901102030-000000000000\n"
    );
    world.write("go.mod", &go_mod);
    let fixed = world.fix(&[]);
    assert_eq!(fixed.code, 3, "{fixed:?}");
    let start = format!("go.mod:5: {dep}@v1.0.1-0.20190901102030-000000000000: could not be verified: ");
    assert!(fixed.err.starts_with(&start), "{}", fixed.err);
    assert!(fixed.err.contains("unknown revision"), "{}", fixed.err);
    world.assert_file("go.mod", &go_mod.replace("@LATE@", "@RIGHT@"));
}

#[test]
fn a_path_without_modules_is_bad_usage() {
    let world = World::new(RIGHT);
    let refused = world.fix(&["."]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    let expected = "modvet: .: no go.mod, go.work or go.sum there\n";
    assert!(refused.err.starts_with(expected), "{}", refused.err);
    world.write("go.mod", "module example.com/app\n\ngo 1.18\n");
    let well = world.fix(&["."]);
    assert_eq!((well.code, well.out.as_str()), (0, "nothing to fix: 0 pseudo-versions looked at\n"), "{well:?}");
}
