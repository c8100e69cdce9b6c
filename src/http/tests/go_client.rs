//! The real go command, with this server as its only proxy.

use std::io::{Cursor, Write as _};
use std::process::Output;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::{Running, World, start};
use crate::registry::doubles::{Reply, info_of, version};
use crate::spec::resolution::Resolution;

const PATH: &str = "example.com/Dep";
const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";
const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";

/// A go command that knows nothing of this machine.
struct Go {
    home: TempDir,
    proxy: String,
}

impl Go {
    fn new(running: &Running, below: &str) -> Go {
        let home = tempfile::tempdir().expect("a folder");
        let go_mod = "module example.org/main\n\ngo 1.21\n";
        std::fs::write(home.path().join("go.mod"), go_mod).expect("written");
        std::fs::write(home.path().join("main.go"), "package main\n\nimport _ \"example.com/Dep\"\n\nfunc main() {}\n")
            .expect("written");
        Go { home, proxy: format!("http://{}{below}", running.address) }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let home = self.home.path();
        let mut go = tokio::process::Command::new("go");
        go.args(arguments).current_dir(home).env_clear();
        go.env("PATH", std::env::var_os("PATH").expect("a PATH"));
        go.env("HOME", home).env("GOPATH", home.join("go")).env("GOCACHE", home.join("cache"));
        go.env("GOENV", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-modcacherw -mod=mod");
        go.env("GOPROXY", &self.proxy).env("GOSUMDB", "off").env("GOVCS", "*:off");
        go.kill_on_drop(true).output().await.expect("go runs")
    }

    async fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "go {arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "go {arguments:?} went well");
        String::from_utf8(output.stderr).expect("text")
    }
}

fn module_zip(text: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("go.mod", "module example.com/Dep\n"), ("dep.go", "package dep\n")] {
        zip.start_file(format!("{PATH}@{text}/{name}"), SimpleFileOptions::default()).expect("a file");
        zip.write_all(content.as_bytes()).expect("written");
    }
    zip.finish().expect("a zip").into_inner()
}

fn world() -> World {
    let world = World::new();
    for text in ["v1.0.0", "v1.1.0"] {
        world.corp.publish(PATH, text, &module_zip(text));
    }
    world.corp.misname(PATH, WRONG, RIGHT);
    for text in [WRONG, RIGHT] {
        world.corp.teach(PATH, &format!("@v/{text}.zip"), Reply::Bytes(module_zip(text).into()));
    }
    world.corp.point(PATH, "main", RIGHT);
    world.corp.teach(PATH, "@v/list", Reply::List(vec![version("v1.0.0"), version("v1.1.0")]));
    world.corp.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of("v1.1.0"))));
    world
}

#[tokio::test]
async fn it_lists_gets_and_loads() {
    let running = start(&world()).await;
    let go = Go::new(&running, "");
    assert_eq!(go.succeed(&["list", "-m", "-versions", PATH]).await, "example.com/Dep v1.0.0 v1.1.0\n");
    let table = [
        ("@v1.0.0", "v1.0.0"),
        ("@latest", "v1.1.0"),
        ("@main", RIGHT),
        ("@upgrade", "v1.1.0"),
        (&format!("@{RIGHT}"), RIGHT),
    ];
    for (query, expected) in table {
        go.succeed(&["get", &format!("{PATH}{query}")]).await;
        assert_eq!(go.succeed(&["list", "-m", PATH]).await, format!("example.com/Dep {expected}\n"), "{query}");
        assert!(go.succeed(&["list", "-deps", "."]).await.contains("example.com/Dep\n"), "{query}");
    }
    assert_eq!(go.succeed(&["mod", "verify"]).await, "all modules verified\n");
}

#[tokio::test]
async fn it_downloads_what_its_go_mod_names() {
    let running = start(&world()).await;
    let go = Go::new(&running, "/registries/ci");
    go.succeed(&["mod", "edit", &format!("-require={PATH}@v1.1.0")]).await;
    let json = go.succeed(&["mod", "download", "-json"]).await;
    assert!(json.contains(r#""Version": "v1.1.0""#) && json.contains(r#""Sum": "h1:"#), "{json}");
}

#[tokio::test]
async fn it_shows_the_right_version_of_a_wrong_one() {
    let running = start(&world()).await;
    let asked = format!("{PATH}@{WRONG}");
    let strict = Go::new(&running, "/registries/ci");
    for arguments in [["get", &asked], ["mod", "download"]] {
        if arguments[0] == "mod" {
            strict.succeed(&["mod", "edit", &format!("-require={asked}")]).await;
        }
        let shown = strict.fail(&arguments).await;
        for line in [
            "invalid pseudo-version: does not match version-control timestamp (expected 20190813064441)".to_owned(),
            format!("use {PATH}@{RIGHT}"),
            format!("go mod edit -replace={asked}={PATH}@{RIGHT}"),
        ] {
            assert!(shown.contains(&line), "{arguments:?} lacks {line:?}:\n{shown}");
        }
        assert!(!shown.contains("Truncated"), "{shown}");
    }
    let rewrite = Go::new(&running, "").fail(&["get", &asked]).await;
    let words = format!("proxy returned info for version {RIGHT} instead of requested version");
    assert!(rewrite.contains(&words), "{rewrite}");
    Go::new(&running, "/registries/old").succeed(&["get", &asked]).await;
}

#[tokio::test]
async fn it_shows_why_something_is_not_there() {
    let running = start(&world()).await;
    let shown = Go::new(&running, "").fail(&["get", &format!("{PATH}@v9.9.9")]).await;
    assert!(shown.contains("example.com/Dep@v9.9.9: unknown revision (asked corp, public)"), "{shown}");
}
