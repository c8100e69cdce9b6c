//! `modvet check`, driven as CI drives it: files in a folder, histories behind a git server.

mod support;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::fixture;
use support::git_server::{Flavour, GitServer};
use support::modvet::Modvet;
use support::replay::replay;
use tempfile::TempDir;

const HOST: &str = "github.com/modvet-fixtures";

/// Histories, a git server in front of them, and a project that is checked.
struct World {
    server: GitServer,
    home: TempDir,
    /// `{dep}` and the like in files.
    names: Vec<(&'static str, String)>,
}

struct Checked {
    exit: i32,
    output: String,
    errors: String,
}

impl World {
    fn new() -> World {
        let home = tempfile::tempdir().expect("a temporary folder");
        let repositories = home.path().join("repositories");
        let mut names = Vec::new();
        let dep = replay(&fixture::parse("dep", DEP), &repositories);
        let pseudo = |text: &str| dep.expand(text);
        names.push(("WRONG-TIME", pseudo("v1.0.1-0.20180221000001-{tip:12}")));
        names.push(("WRONG-BASE", pseudo("v1.0.2-0.{tip.time}-{tip:12}")));
        names.push(("RIGHT", pseudo("v1.0.1-0.{tip.time}-{tip:12}")));
        names.push(("VALID", pseudo("v0.0.0-{tip.time}-{tip:12}")));
        names.push(("UNTAGGED", pseudo("v0.0.0-{first.time}-{first:12}")));
        names.push(("UNKNOWN", "v0.0.0-20180221000000-0123456789ab".to_owned()));
        let mid = MID.replace("{WRONG-BASE}", &names[1].1);
        replay(&fixture::parse("mid", &mid), &repositories);
        for (name, text) in [("taken-back", TAKEN_BACK), ("major", MAJOR)] {
            replay(&fixture::parse(name, text), &repositories);
        }
        let server = GitServer::start(&repositories, Flavour::Filters);
        let config = format!(
            "[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n\"https://github.com/\" = \"{}\"\n\n\
             [[upstream]]\nname = \"git\"\nkind = \"git\"\n",
            server.url()
        );
        std::fs::write(home.path().join("modvet.toml"), config).expect("a writable folder");
        std::fs::create_dir(home.path().join("project")).expect("a writable folder");
        World { server, home, names }
    }

    /// Writes a file of the project, with versions in the place of their names.
    fn file(&self, name: &str, text: &str) -> &World {
        let path = self.project().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
        let named = |text: String, (name, version): &(&str, String)| text.replace(&format!("{{{name}}}"), version);
        std::fs::write(path, self.names.iter().fold(text.to_owned(), named)).expect("a writable folder");
        self
    }

    fn project(&self) -> PathBuf {
        self.home.path().join("project")
    }

    /// Checks with this configuration.
    fn check(&self, arguments: &[&str]) -> Checked {
        let config = self.home.path().join("modvet.toml");
        self.run(&[&["--config", config.to_str().expect("a path of ASCII")], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Checked {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
        command.arg("check").args(arguments).env_clear().env("HOME", self.home.path()).current_dir(self.project());
        command.env("MODVET_CACHE", self.home.path().join("cache")).env("GOSUMDB", "off").stdin(Stdio::null());
        let output = command.output().expect("the binary was built");
        let text = |bytes| String::from_utf8(bytes).expect("modvet prints text");
        Checked {
            exit: output.status.code().expect("it was not killed"),
            output: text(output.stdout),
            errors: text(output.stderr),
        }
    }

    fn forget(&self) {
        std::fs::remove_dir_all(self.home.path().join("cache")).expect("a cache that was filled");
    }
}

const DEP: &str = "# What others depend on.
at 2018-02-19T23:10:06Z
file go.mod
  module github.com/modvet-fixtures/dep
commit first; tag v1.0.0
at 2018-02-21T00:00:00Z
commit tip
";

const MID: &str = "# Asks for a wrong version.
at 2018-03-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/mid

  require github.com/modvet-fixtures/dep {WRONG-BASE}
commit first; tag v1.2.0
";

const TAKEN_BACK: &str = "# Takes a release back.
at 2018-03-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/taken-back
commit first; tag v1.0.0
at 2018-03-02T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/taken-back

  // Loses <data> & \"more\".
  retract v1.0.0
commit second; tag v1.1.0
";

const MAJOR: &str = "# Has a go.mod since v2.1.0.
at 2018-03-01T00:00:00Z
file m.go
  package m
commit first; tag v2.0.0
at 2018-03-02T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/major/v2
commit second; tag v2.1.0
";

const EVERYTHING: &str = "module example.com/app

go 1.22

require (
\tgithub.com/modvet-fixtures/dep {WRONG-TIME}
\tgithub.com/modvet-fixtures/mid v1.2.0
\tgithub.com/modvet-fixtures/taken-back v1.0.0
\tgithub.com/modvet-fixtures/major v2.0.0+incompatible
)

replace github.com/modvet-fixtures/elsewhere => github.com/modvet-fixtures/dep {UNTAGGED}

exclude github.com/modvet-fixtures/dep {UNKNOWN}
";

const EVERY_SUM: &str =
    "github.com/modvet-fixtures/dep {WRONG-BASE}/go.mod h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0=
github.com/modvet-fixtures/dep {WRONG-TIME} h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0=
github.com/modvet-fixtures/dep {WRONG-TIME}/go.mod h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0=
github.com/modvet-fixtures/taken-back v1.0.0/go.mod h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0=
";

/// Compares with `testdata/check/NAME`; `BLESS=1` rewrites it.
fn golden(name: &str, found: &str) {
    let path = support::top().join("testdata/check").join(name);
    let found = found.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
        std::fs::write(&path, &found).expect("a writable folder");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(found, expected, "testdata/check/{name}");
}

#[test]
fn everything_is_said_in_every_format() {
    let world = World::new();
    world.file("go.mod", EVERYTHING).file("go.sum", EVERY_SUM);
    world.file("nested/module/go.mod", "module example.com/nested\n\nrequire github.com/modvet-fixtures/dep {VALID}\n");
    for format in ["text", "json", "sarif", "github", "gitlab", "junit"] {
        let checked = world.check(&["--graph", "--format", format]);
        assert_eq!((checked.exit, checked.errors.as_str()), (1, ""), "{format}");
        let extension = match format {
            "text" | "github" => "txt",
            "gitlab" => "json",
            "junit" => "xml",
            same => same,
        };
        golden(&format!("{format}.{extension}"), &checked.output);
    }
    assert_eq!(world.check(&["--exit-zero"]).exit, 0);
    assert_eq!(world.check(&["--json", "--graph"]).output, world.check(&["--format", "json", "--graph"]).output);
}

#[test]
fn the_way_in_tells_whose_version_it_is() {
    let world = World::new();
    let app =
        |require: &str| format!("module example.com/app\n\n{require}require {HOST}/dep {{WRONG-BASE}} // indirect\n");
    world.file("sub/go.mod", &app(&format!("require {HOST}/mid v1.2.0\n")));
    let transitive = world.check(&["--graph", "--no-warnings"]);
    let (wrong, right) = (&world.names[1].1, &world.names[2].1);
    let replace = format!("    go mod edit -replace={HOST}/dep@{wrong}={HOST}/dep@{right} sub/go.mod\n");
    assert!(transitive.output.contains(&replace), "{}", transitive.output);
    let way = format!("    comes in by example.com/app -> {HOST}/mid@v1.2.0 -> {HOST}/dep@{wrong}\n");
    assert!(transitive.output.contains(&way), "{}", transitive.output);
    world.file("sub/go.mod", &app(""));
    let own = world.check(&["--graph", "--no-warnings"]);
    let require = format!("    go mod edit -require={HOST}/dep@{right} sub/go.mod\n");
    assert!(own.output.contains(&require), "{}", own.output);
    assert!(own.output.contains(&format!("    comes in by example.com/app -> {HOST}/dep@{wrong}\n")), "{}", own.output);
}

#[test]
fn the_exit_code_says_what_was_found() {
    let require = |version: &str| format!("module example.com/app\n\nrequire {HOST}/dep {version}\n");
    let world = World::new();
    let rows = [
        ("canonical", require("{RIGHT}"), 0, "1 file, 1 pseudo-version: all well"),
        ("valid", require("{VALID}"), 0, "1 file, 1 pseudo-version: all well"),
        ("no pseudo-version", require("v1.0.0"), 0, "1 file, 0 pseudo-versions: all well"),
        ("a warning", require("{UNTAGGED}"), 0, "1 file, 1 pseudo-version: 1 warning"),
        ("wrong", require("{WRONG-TIME}"), 1, "1 file, 1 pseudo-version: 1 wrong"),
        ("a revision that is gone", require("{UNKNOWN}"), 3, "1 file, 1 pseudo-version: 1 unverifiable"),
        (
            "wrong and gone",
            require("{WRONG-TIME}") + &format!("require {HOST}/mid {{UNKNOWN}}\n"),
            1,
            "1 file, 2 pseudo-versions: 1 wrong, 1 unverifiable",
        ),
        (
            "repaired by a replacement",
            require("{WRONG-TIME}") + &format!("replace {HOST}/dep {{WRONG-TIME}} => {HOST}/dep {{RIGHT}}\n"),
            0,
            "1 file, 2 pseudo-versions: 1 note",
        ),
        (
            "replaced by a folder",
            require("v0.0.0-00010101000000-000000000000") + &format!("replace {HOST}/dep => ../dep\n"),
            0,
            "1 file, 0 pseudo-versions: all well",
        ),
    ];
    for (name, text, exit, summary) in rows {
        world.file("go.mod", &text);
        let checked = world.check(&["--no-warnings"]);
        let checked = if name == "a warning" { world.check(&[]) } else { checked };
        assert_eq!(checked.exit, exit, "{name}: {}{}", checked.output, checked.errors);
        assert_eq!(checked.output.lines().last(), Some(summary), "{name}: {}", checked.output);
        assert_eq!(checked.errors, "", "{name}");
    }
    world.file("go.mod", &require("{UNKNOWN}"));
    assert_eq!(world.check(&["--exit-zero"]).exit, 0, "--exit-zero");
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    let world = World::new();
    world.file("syntax/go.mod", "module m\n\nrequire (\n\tx.y/z\n)\n");
    world.file("work/go.work", "go 1.22\nrequire x.y/z v1.0.0\n");
    world.file("sum/go.sum", "x.y/z v1.0.0 h1:a=\nx.y/z v1.0.0\n");
    world.file("rubbish/go.mod", "\u{0}\u{1}\u{2}\nELF\u{7f}\n").file("rubbish/go.sum", "\u{0}\u{1}\u{2}\nELF\u{7f}\n");
    world
        .file("none/README", "no module\n")
        .file("both/go.mod", &format!("module m\nrequire {HOST}/dep {{WRONG-TIME}}\n"));
    let rows = [
        ("syntax", "modvet: syntax/go.mod:4: usage: require module/path v1.2.3\n"),
        ("work", "modvet: work/go.work:2: unknown directive: require\n"),
        ("sum", "modvet: sum/go.sum:2: malformed go.sum: wrong number of fields 2 (expected 3)\n"),
        ("rubbish/go.sum", "modvet: rubbish/go.sum:1: malformed go.sum: wrong number of fields 1 (expected 3)\n"),
        ("none", "modvet: none: no go.mod, go.work or go.sum there\n"),
        ("none/README", "modvet: none/README: no go.mod, go.work or go.sum there\n"),
        ("gone", "modvet: gone: cannot be read: No such file or directory (os error 2)\n"),
    ];
    for (path, expected) in rows {
        let checked = world.check(&[path]);
        assert_eq!((checked.exit, checked.errors.as_str()), (2, expected), "{path}");
        assert_eq!(world.check(&["--exit-zero", path]).exit, 2, "{path} --exit-zero");
    }
    let rubbish = world.check(&["rubbish/go.mod"]);
    assert!(rubbish.errors.starts_with("modvet: rubbish/go.mod:1: "), "{}", rubbish.errors);
    assert_eq!((rubbish.exit, rubbish.errors.lines().count()), (2, 1));
    let both = world.check(&["syntax", "both"]);
    assert_eq!(both.exit, 2, "a broken file is worse than a wrong version");
    assert!(both.output.contains("both/go.mod:2:"), "and the rest is judged: {}", both.output);
}

#[test]
fn twenty_megabytes_of_sums_are_no_trouble() {
    let world = World::new();
    let mut text = String::new();
    for number in 0..200_000 {
        writeln!(
            text,
            "example.com/some/module{number} v1.{number}.0/go.mod h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0="
        )
        .expect("a string");
    }
    assert!(text.len() > 19_000_000, "{}", text.len());
    text.push_str("github.com/modvet-fixtures/dep {WRONG-TIME} h1:kCPHlwcPShxo/LiEKkkDHwuWAGGIl9Zuvw5EhZZP2v0=\n");
    world.file("go.sum", &text);
    let start = Instant::now();
    let checked = world.check(&[]);
    let took = start.elapsed();
    assert_eq!(checked.exit, 1, "{}", checked.errors);
    assert!(checked.output.starts_with("go.sum:200001: github.com/modvet-fixtures/dep@"), "{}", checked.output);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_repository_is_fetched_once_for_all_its_versions() {
    let world = World::new();
    let requests = |versions: &[&str]| {
        let requires = versions.iter().map(|version| format!("{HOST}/dep {version}/go.mod h1:a=\n"));
        world.file("go.sum", &requires.collect::<String>());
        let before = world.server.counts().requests();
        let checked = world.check(&["--no-warnings"]);
        assert_eq!(checked.errors, "");
        world.forget();
        world.server.counts().requests() - before
    };
    let one = requests(&["{WRONG-TIME}"]);
    let many = requests(&["{WRONG-TIME}", "{WRONG-BASE}", "{RIGHT}", "{VALID}", "{UNTAGGED}"]);
    assert!(one > 0);
    assert_eq!(one, many);
}

#[test]
fn a_running_modvet_gives_its_verdicts() {
    let world = World::new();
    let served = Modvet::over_git(&world.server.url(), "rewrite");
    world.file("go.mod", &format!("module example.com/app\n\nrequire {HOST}/dep {{VALID}}\n"));
    let valid = world.run(&["--proxy", &served.url()]);
    assert_eq!((valid.exit, valid.errors.as_str()), (0, ""), "{}", valid.output);
    assert_eq!(valid.output, "1 file, 1 pseudo-version: all well\n");
    world.file("go.mod", &format!("module example.com/app\n\nrequire {HOST}/dep {{WRONG-TIME}}\n"));
    let wrong = world.run(&["--proxy", &served.url()]);
    assert_eq!((wrong.exit, wrong.errors.as_str()), (1, ""), "{}", wrong.output);
    assert!(wrong.output.contains(&format!("    use {}\n", world.names[2].1)), "{}", wrong.output);
}

#[test]
fn a_proxy_that_gives_no_verdicts_is_asked_as_a_proxy() {
    let world = World::new();
    let (valid, right) = (world.names[3].1.clone(), world.names[2].1.clone());
    let revision = right.rsplit('-').next().expect("a revision").to_owned();
    let proxy = Plain::start(vec![
        (
            format!("/{HOST}/dep/@v/{valid}.info"),
            format!("{{\"Version\":\"{valid}\",\"Time\":\"2018-02-21T00:00:00Z\"}}"),
        ),
        (
            format!("/{HOST}/dep/@v/{revision}.info"),
            format!("{{\"Version\":\"{right}\",\"Time\":\"2018-02-21T00:00:00Z\"}}"),
        ),
    ]);
    for (name, exit) in [("{VALID}", 0), ("{WRONG-TIME}", 1), ("{UNKNOWN}", 3)] {
        world.file("go.mod", &format!("module example.com/app\n\nrequire {HOST}/dep {name}\n"));
        let checked = world.run(&["--no-warnings", "--proxy", &proxy.url]);
        assert_eq!((checked.exit, checked.errors.as_str()), (exit, ""), "{name}: {}", checked.output);
        assert_eq!(checked.output.contains(&format!("    use {right}\n")), exit == 1, "{name}: {}", checked.output);
    }
}

/// A server of a few files; it ends with the test's process.
struct Plain {
    url: String,
}

impl Plain {
    fn start(files: Vec<(String, String)>) -> Plain {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap_or(0);
                let line = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = line.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match files.iter().find(|(name, _)| name == path) {
                    Some((_, body)) => ("200 OK", body.as_str()),
                    None => ("404 Not Found", "not here\n"),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                // A client that went away is no concern of the server's.
                let _ = stream.write_all((head + body).as_bytes());
            }
        });
        Plain { url }
    }
}

#[test]
fn a_server_that_gives_verdicts_is_taken_at_its_word() {
    let world = World::new();
    world.file("go.mod", &format!("module example.com/app\n\nrequire {HOST}/dep {{WRONG-TIME}}\n"));
    let wrong = &world.names[0].1;
    let verdict = format!(
        "{{\"module\":\"{HOST}/dep\",\"version\":\"{wrong}\",\"standing\":\"wrong\",\
         \"canonical\":{{\"Version\":\"v9.9.9\"}},\"faults\":[\"major_without_base\"],\"require\":\"more\"}}"
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let length = stream.read(&mut request).expect("a request");
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{verdict}", verdict.len());
        stream.write_all(answer.as_bytes()).expect("the client listens");
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned()
    });
    let checked = world.run(&["--no-warnings", "--proxy", &format!("http://{address}/registries/ci")]);
    let asked = answering.join().expect("no panic");
    assert_eq!(asked, format!("GET /registries/ci/api/v1/verdicts/{HOST}/dep@{wrong} HTTP/1.1"));
    assert_eq!(checked.exit, 1, "{}{}", checked.output, checked.errors);
    assert!(checked.output.contains("    use v9.9.9\n"), "{}", checked.output);
}

#[test]
fn a_fingerprint_survives_moved_lines_and_other_folders() {
    let world = World::new();
    let text = format!("module example.com/app\n\nrequire {HOST}/dep {{WRONG-TIME}}\n");
    let fingerprint = |folder: &Path, text: &str| {
        world.file("a/go.mod", text);
        let config = world.home.path().join("modvet.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
        command.args(["check", "--json", "--no-warnings", "--config"]).arg(config).arg(world.project().join("a"));
        command.env_clear().env("HOME", world.home.path()).env("GOSUMDB", "off").current_dir(folder);
        let output = command.output().expect("the binary was built");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let finding = &report["findings"][0];
        (finding["fingerprint"].as_str().map(str::to_owned), finding["places"][0]["line"].as_u64())
    };
    let (first, line) = fingerprint(&world.project(), &text);
    assert_eq!((first.as_ref().map(String::len), line), (Some(64), Some(3)));
    let (moved, line) = fingerprint(&world.project(), &format!("// A comment.\n{text}"));
    assert_eq!((moved, line), (first.clone(), Some(4)));
    let (above, _) = fingerprint(world.home.path(), &text);
    assert_ne!(above, first, "the file's name is part of it");
}
