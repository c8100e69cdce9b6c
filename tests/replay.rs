//! What the other tests stand on holds: histories replay to the same hashes, the git server and the relay do what they say.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use support::fixture::{self, Statement, Target};
use support::git_server::{Asked, Flavour, GitServer, refuse_ref};
use support::relay::{Passage, Relay};
use support::{client, go, h1, replay};

/// Runs git on a repository, with nobody's configuration.
fn git(folder: &std::path::Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = go::run(&mut command);
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git prints text")
}

#[test]
fn a_history_always_has_the_same_hashes() {
    let fixture = fixture::named("side-branch");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names = replay::replay(&fixture, folder.path());
    assert_eq!(names.commit("tip"), "633c27990c82a5478dec48cc84bd239690852a86");
    assert_eq!(names.expand("v1.0.1-0.{tip.time}-{tip:12}"), "v1.0.1-0.20180221000000-633c27990c82");
    assert_eq!(names.expand("{tip:7 upper}"), "633C279");
    let repository = folder.path().join("side-branch");
    let refs = git(&repository, &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(
        refs.lines().collect::<Vec<_>>(),
        ["refs/heads/main", "refs/heads/side", "refs/tags/v1.0.0", "refs/tags/v1.0.1"]
    );
    git(&repository, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn git_finds_every_commit_of_every_history() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for fixture in fixture::all() {
        replay::replay(&fixture, folder.path());
        let repository = folder.path().join(&fixture.name);
        git(&repository, &["rev-list", "--objects", "--all"]);
    }
}

#[test]
fn trees_are_sorted_as_git_sorts_them() {
    let text = "# A folder sorts as if its name ended in a slash.\nat 2018-02-19T23:10:06Z\nfile a/b\n  1\nfile a.b\n  2\nfile a0\n  3\n\
                file run executable\nlink to -> a.b\nsubmodule s 0123456789012345678901234567890123456789\ncommit one\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    replay::replay(&fixture::parse("sorted", text), folder.path());
    let repository = folder.path().join("sorted");
    let tree = git(&repository, &["ls-tree", "--format=%(objectmode) %(path)", "main"]);
    let expected = ["100644 a.b", "040000 a", "100644 a0", "100755 run", "160000 s", "120000 to"];
    assert_eq!(tree.lines().collect::<Vec<_>>(), expected);
    git(&repository, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn statements_are_read_as_they_are_meant() {
    let file = |path: &[u8], executable, content: &[u8]| Statement::File {
        path: path.to_vec(),
        executable,
        content: content.to_vec(),
    };
    let table: &[(&str, &str, Statement)] = &[
        ("unknown option", "file a b", file(b"a", false, b"")),
        ("content", "file a\n  one\n\n    two", file(b"a", false, b"one\n\n  two\n")),
        ("options", "file a executable crlf unterminated\n  one\n  two", file(b"a", true, b"one\r\ntwo")),
        ("escaped", "file a escaped\n  \\x00\\t\\\\", file(b"a", false, b"\0\t\\\n")),
        ("base64", "file a base64\n  AAEC", file(b"a", false, &[0, 1, 2])),
        ("byte order mark", "file a bom\n  x", file(b"a", false, b"\xef\xbb\xbfx\n")),
        ("quoted path", "file \"a b\\xe9\"\n  x", file(b"a b\xe9", false, b"x\n")),
        ("seconds", "at @-1", Statement::At(-1)),
        ("zone of a time", "at 2018-02-20T01:10:06+02:00", Statement::At(1_519_081_806)),
        ("message", "commit one message try 5", Statement::Commit { name: "one".into(), message: "try 5".into() }),
        (
            "nested tag",
            "annotated tag b on tag a",
            Statement::AnnotatedTag { name: "b".into(), target: Target::Tag("a".into()) },
        ),
        (
            "tag on a blob",
            "tag b on blob a/c",
            Statement::Tag { name: "b".into(), target: Target::Blob(b"a/c".to_vec()) },
        ),
    ];
    for (name, text, expected) in &table[1..] {
        let fixture = fixture::parse("table", &format!("# why\n{text}\n"));
        assert_eq!(&fixture.steps[0].statement, expected, "{name}");
    }
    let (name, text, _) = &table[0];
    let refused = std::panic::catch_unwind(|| fixture::parse("table", &format!("# why\n{text}\n")));
    assert!(refused.is_err(), "{name}: an option that is none is refused");
}

#[test]
fn the_server_is_as_able_as_its_flavour() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    replay::replay(&fixture::named("side-branch"), folder.path());
    for (flavour, is_v2, has_filter) in
        [(Flavour::Filters, true, true), (Flavour::NoFilters, true, false), (Flavour::Old, false, false)]
    {
        let server = GitServer::start(folder.path(), flavour);
        let path = "/group/side-branch.git/info/refs?service=git-upload-pack";
        let answered = client::request(server.address(), "GET", path, &[("Git-Protocol", "version=2")]);
        let text = answered.text();
        assert_eq!(answered.status, 200, "{flavour:?}");
        assert_eq!(text.contains("version 2"), is_v2, "{flavour:?}: {text}");
        assert_eq!(text.contains("filter"), has_filter, "{flavour:?}: {text}");
        assert_eq!(text.contains("refs/heads/main"), !is_v2, "{flavour:?}: {text}");
        assert_eq!(client::get(server.address(), "/group/nothing/info/refs?service=git-upload-pack").status, 404);
        let clone = folder.path().join(format!("clone-{flavour:?}"));
        let url = format!("{}group/side-branch", server.url());
        git(folder.path(), &["clone", "--quiet", "--bare", &url, clone.to_str().expect("a path of text")]);
        assert_eq!(git(&clone, &["rev-list", "--all", "--count"]).trim(), "3", "{flavour:?}");
        assert!(server.counts().requests() >= 4 && server.counts().bytes() > 0, "{flavour:?}: {:?}", server.counts());
    }
}

#[test]
fn the_server_takes_pushes_unless_it_is_told_not_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    replay::replay(&fixture::named("side-branch"), folder.path());
    let from = folder.path().join("side-branch");
    let to = folder.path().join("mirror");
    git(folder.path(), &["init", "--quiet", "--bare", "mirror"]);
    let server = GitServer::start(folder.path(), Flavour::Filters);
    let url = format!("{}mirror.git", server.url());
    let push = |what: &str| {
        let mut push = Command::new("git");
        push.args(["push", "--quiet", &url, what]).current_dir(&from).env("HOME", folder.path());
        let output = push.env("GIT_CONFIG_NOSYSTEM", "1").output().expect("git is installed");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    server.let_push(false);
    let (done, said) = push("main");
    assert!(!done && said.contains("403"), "{said}");
    server.let_push(true);
    server.cut_pushes(Some(40));
    assert!(!push("main").0);
    assert_eq!(git(&to, &["for-each-ref"]), "", "nothing half");
    server.cut_pushes(None);
    refuse_ref(&to, "refs/heads/main", "main is protected");
    let (done, said) = push("main");
    assert!(!done && said.contains("remote: main is protected"), "{said}");
    assert!(push("main:refs/heads/other").0);
    assert_eq!(git(&to, &["rev-parse", "other"]), git(&from, &["rev-parse", "main"]));
    assert_eq!(server.counts().of(Asked::Push), 3);
}

#[test]
fn the_relay_stalls_cuts_and_restores() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let server = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) && stream.write_all(b"0123456789").is_ok() {}
            });
        }
    });
    let relay = Relay::to(server);
    let connect = || {
        let stream = TcpStream::connect(relay.address()).expect("the relay takes connections");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit above zero");
        stream
    };
    let ask = |mut stream: &TcpStream| {
        let mut answer = [0; 10];
        let mut length = 0;
        if stream.write_all(b"?").is_err() {
            return length;
        }
        while length < answer.len() {
            match stream.read(&mut answer[length..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => length += read,
            }
        }
        length
    };
    let open = connect();
    assert_eq!(ask(&open), 10, "open");
    relay.set(Passage::Stalled);
    open.set_read_timeout(Some(Duration::from_millis(200))).expect("a time limit above zero");
    assert_eq!(ask(&open), 0, "stalled");
    relay.set(Passage::Open);
    open.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit above zero");
    let mut late = [0; 10];
    (&open).read_exact(&mut late).expect("what was held back comes");
    relay.set(Passage::CutAfter(4));
    assert_eq!(ask(&connect()), 4, "cut after four bytes");
    relay.set(Passage::Cut);
    assert_eq!(ask(&open), 0, "an open connection ends");
    assert_eq!(ask(&connect()), 0, "a new one too");
    relay.set(Passage::Open);
    assert_eq!(ask(&connect()), 10, "restored");
    assert_eq!(relay.connections(), 4);
}

#[test]
fn h1_is_gos() {
    assert_eq!(
        h1::of_go_mod(b"module github.com/modvet-fixtures/side-branch\n"),
        "h1:bULgytQPstalksYvLcy5qGA9tLojWTu3dPe+yaDnYgA="
    );
    assert!(h1::of_zip(b"no zip").is_err_and(|error| error.starts_with("not a zip")));
}
