//! modvet beside other module proxies, over the same upstream, in turn: warm files and lists, and what is cold from git.
//!
//! `cargo bench --bench peers`; the rows of docs/performance.md are made of what it prints. The others are built once from
//! their sources, as far as the environment's GOPROXY serves them, and kept below cargo's folder for such files.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use measured::deep::{data, file, git, import, person};
use measured::load::{Asked, Expected};
use measured::peer::{self, Peer};
use measured::server::Server;
use measured::wire::Wire;
use measured::{compare, middle};
use support::double::Double;
use support::git_server::{Flavour, GitServer};
use support::modvet::Modvet;
use support::release::Release;

const MODULE: &str = "bench.test/team/module";
const CLIENTS: usize = 64;
/// Requests of each client in a turn: of what is kept by both, and of what a peer asks upstream for each time.
const TIMES: usize = 100;
const FEW: usize = 2;
const TURNS: usize = 5;
/// Bytes in the zip.
const BALLAST: usize = 2_000_000;
/// Commits of the cold repository.
const COMMITS: usize = 5_000;

fn main() {
    let upstream = Double::start();
    let ballast: String = (0..BALLAST / 8).map(|number| format!("{number:07}\n")).collect();
    let release = Release::new(MODULE, "v1.0.0").file("ballast.txt", &ballast);
    upstream.add(&release);
    let modvet = Modvet::start(&upstream.settings("double"));
    let peers: Vec<peer::Known> = peer::KNOWN.into_iter().filter(|known| known.built().is_some()).collect();
    for known in &peers {
        let Some(peer) = known.start(&upstream.url(), "") else { continue };
        warm(&modvet, &peer, &release);
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
    import(folder.path(), "cold", history, &[], &[]);
    let hash = tip(&folder.path().join("cold"));
    let server = GitServer::start(folder.path(), Flavour::Filters);
    for known in peers {
        cold(known, &server, &hash);
    }
}

fn warm(modvet: &Modvet, peer: &Peer, release: &Release) {
    let files = [
        ("@v/v1.0.0.info", release.info(), TIMES),
        ("@v/v1.0.0.mod", release.go_mod(), TIMES),
        ("@v/v1.0.0.zip", release.zip(), 1),
        ("@v/list", b"v1.0.0\n".to_vec(), FEW),
    ];
    for (file, body, times) in files {
        let path = format!("/{MODULE}/{file}");
        let expected = [same(modvet.address(), &path, file, &body), same(peer.address(), &path, file, &body)];
        let asked = expected.map(|body| [Asked { path: path.clone(), expected: Expected::Bytes(body) }]);
        let mut servers = [
            Server::new("modvet", modvet.address(), vec![modvet.id()]),
            Server::new(peer.name, peer.address(), vec![peer.id()]),
        ];
        for _ in 0..TURNS {
            for (server, asked) in servers.iter_mut().zip(&asked) {
                server.turn(asked, "", CLIENTS, times);
            }
        }
        let [ours, theirs] = &servers;
        ours.compare_requests(&format!("{file}, warm"), theirs);
    }
}

/// The answer, once it is the one that there must be: `.info` says the same, all else is the same but for a last line break.
fn same(server: SocketAddr, path: &str, file: &str, body: &[u8]) -> Vec<u8> {
    let mut wire = Wire::connect(server);
    let (status, answer) = wire.get(path);
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(answer));
    match file.ends_with(".info") {
        true => assert_eq!(info(answer), info(body), "{path}"),
        false => assert!(trimmed(answer) == trimmed(body), "{path}"),
    }
    answer.to_vec()
}

fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_suffix(b"\n").unwrap_or(body)
}

/// Version and time, by which the go command goes.
fn info(answer: &[u8]) -> (String, String) {
    let said: serde_json::Value = serde_json::from_slice(answer).expect("JSON");
    let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    (field("Version"), field("Time"))
}

/// A hash and a list that nobody has asked for, each time before servers with empty folders.
fn cold(known: peer::Known, server: &GitServer, hash: &str) {
    let mut took = (Vec::new(), Vec::new());
    let mut lists = (Vec::new(), Vec::new());
    let (by_hash, list) = (format!("/github.com/bench/cold/@v/{hash}.info"), "/github.com/bench/cold/@v/list");
    let gitconfig = format!("[url \"{}\"]\n\tinsteadOf = https://github.com/bench/\n", server.url());
    for _ in 0..3 {
        let modvet = Modvet::over_git(&server.url(), "rewrite");
        let Some(peer) = known.start("direct", &gitconfig) else { return };
        let (ours, ours_took) = asked(modvet.address(), &by_hash);
        let (theirs, theirs_took) = asked(peer.address(), &by_hash);
        assert_eq!(info(&ours), info(&theirs), "{by_hash}");
        took.0.push(ours_took);
        took.1.push(theirs_took);
        drop((modvet, peer));
        let modvet = Modvet::over_git(&server.url(), "rewrite");
        let Some(peer) = known.start("direct", &gitconfig) else { return };
        let (ours, ours_took) = asked(modvet.address(), list);
        let (theirs, theirs_took) = asked(peer.address(), list);
        assert_eq!(trimmed(&ours), trimmed(&theirs), "{list}");
        lists.0.push(ours_took);
        lists.1.push(theirs_took);
    }
    compare(&format!("pseudo-version of {COMMITS} commits, cold, to {}", known.name), middle(took.0), middle(took.1));
    compare(&format!("list, cold, to {}", known.name), middle(lists.0), middle(lists.1));
}

fn asked(server: SocketAddr, path: &str) -> (Vec<u8>, Duration) {
    let mut wire = Wire::connect(server);
    let start = Instant::now();
    let (status, body) = wire.get(path);
    let took = start.elapsed();
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(body));
    (body.to_vec(), took)
}

/// One line of commits with a tag on each hundredth.
fn history(out: &mut dyn Write) -> std::io::Result<()> {
    for number in 1..=COMMITS {
        writeln!(out, "commit refs/heads/main\nmark :{number}")?;
        person(out, number)?;
        data(out, b"")?;
        file(out, "go.mod", b"module github.com/bench/cold\n")?;
        let text = format!("package cold // {number}\n").repeat(200);
        file(out, &format!("f{}.go", number % 50), text.as_bytes())?;
        if number % 100 == 50 {
            writeln!(out, "reset refs/tags/v1.{}.0\nfrom :{number}\n", number / 100)?;
        }
    }
    Ok(())
}

/// The hash of a repository's last commit.
fn tip(repository: &Path) -> String {
    let output = git(repository).args(["rev-parse", "refs/heads/main"]).output().expect("git is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
