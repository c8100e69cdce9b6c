//! Whether an answer still holds: what a proxy and a folder are asked, and what they say.

use std::fs;

use tempfile::TempDir;

use super::{client, module, packed, version};
use crate::error::Kind;
use crate::net::Trust;
use crate::net::double::{Answer, Asked, Server};
use crate::ports::{Source as _, Validators};
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::upstream::{DirSource, Limits, ProxySource};

const MODIFIED: &str = "Tue, 01 Jan 2019 00:00:00 GMT";
const INFO: &str = r#"{"Version":"v1.0.0","Time":"2019-01-01T00:00:00Z"}"#;

fn questions() -> Vec<Question> {
    vec![
        Question::List,
        Question::Latest,
        Question::Info(Query::parse("latest")),
        Question::Info(Query::parse("v1.0.0")),
        Question::Info(Query::parse("main")),
        Question::GoMod(version("v1.0.0")),
        Question::Zip(version("v1.0.0")),
    ]
}

fn body(target: &str) -> Answer {
    match target.rsplit('/').next().expect("a name") {
        "list" => Answer::ok("v1.0.0\n"),
        "v1.0.0.mod" => Answer::ok("module x.y/M\n"),
        "v1.0.0.zip" => Answer::ok(packed("x.y/M", "v1.0.0").0),
        _ => Answer::ok(INFO),
    }
}

/// Knows `"one"`, and what did not change since [`MODIFIED`].
fn by_etag(asked: &Asked) -> Answer {
    match asked.header("if-none-match") {
        Some("\"one\"") => Answer::new(304, ""),
        _ => body(&asked.target).header("etag", "\"one\""),
    }
}

fn by_time(asked: &Asked) -> Answer {
    match asked.header("if-modified-since") {
        Some(MODIFIED) => Answer::new(304, ""),
        _ => body(&asked.target).header("last-modified", MODIFIED),
    }
}

fn over(server: &Server, scratch: &TempDir) -> ProxySource {
    ProxySource::new(client(), server.url("/"), Trust::Named, scratch.path(), Limits::default()).expect("http")
}

/// What a source sends along with its answer to a question.
async fn validators(source: &impl crate::ports::Source, question: &Question) -> Validators {
    let path = module("x.y/M");
    match question {
        Question::List => source.list(&path).await.expect("a list").validators,
        Question::Latest => source.latest(&path).await.expect("latest").validators,
        Question::Info(query) => source.info(&path, query).await.expect("an info").validators,
        Question::GoMod(version) => source.go_mod(&path, version).await.expect("a go.mod").validators,
        Question::Zip(version) => source.zip(&path, version).await.expect("a zip").validators,
    }
}

#[tokio::test]
async fn a_proxy_says_how_long_its_lists_are_given_before_it_is_asked() {
    let table: [(&str, Option<u64>); 9] = [
        ("public, max-age=60", None),
        ("max-age=60, stale-while-revalidate=30", Some(30)),
        ("stale-while-revalidate=\"30\"", Some(30)),
        ("no-cache", Some(0)),
        ("No-Store, must-revalidate", Some(0)),
        ("proxy-revalidate", Some(0)),
        ("stale-while-revalidate=30, no-cache", Some(0)),
        ("stale-while-revalidate=soon", Some(0)),
        ("stale-while-revalidate", Some(0)),
    ];
    let scratch = TempDir::new().expect("a folder");
    for (said, expected) in table {
        let server = Server::start(move |asked| body(&asked.target).header("cache-control", said)).await;
        let told = validators(&over(&server, &scratch), &Question::List).await;
        assert_eq!((told.stale_seconds, told.is_empty()), (expected, true), "{said}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_by_its_etag_or_its_last_modified() {
    let scratch = TempDir::new().expect("a folder");
    for (row, behaviour) in [("etag", by_etag as fn(&Asked) -> Answer), ("last-modified", by_time)] {
        let server = Server::start(behaviour).await;
        let source = over(&server, &scratch);
        for question in questions() {
            let told = validators(&source, &question).await;
            assert!(!told.is_empty(), "{row} {question:?}");
            let first = server.targets().pop().expect("asked");
            let same = source.unchanged(&module("x.y/M"), &question, &told).await.expect("an answer").what;
            assert!(same, "{row} {question:?}");
            assert_eq!(server.targets().pop(), Some(first), "{row} {question:?}: the same file");
        }
        let other =
            Validators { etag: Some("\"two\"".into()), last_modified: Some("then".into()), ..Validators::default() };
        let same = source.unchanged(&module("x.y/M"), &Question::List, &other).await.expect("an answer").what;
        assert!(!same, "{row}: a 200 is another answer");
    }
}

#[tokio::test]
async fn a_proxy_without_validators_is_not_asked_twice() {
    let scratch = TempDir::new().expect("a folder");
    let server = Server::start(|asked| body(&asked.target)).await;
    let source = over(&server, &scratch);
    let told = validators(&source, &Question::List).await;
    assert!(told.is_empty());
    assert!(!source.unchanged(&module("x.y/M"), &Question::List, &told).await.expect("no answer needed").what);
    assert_eq!(server.targets().len(), 1);
}

/// A prefix is found from list, go.mod and .info together: the list's ETag says nothing of the others.
#[tokio::test]
async fn what_rests_on_several_files_has_no_validators() {
    let scratch = TempDir::new().expect("a folder");
    let server = Server::start(|asked| match asked.target.ends_with("@latest") {
        true => Answer::new(404, ""),
        false => by_etag(asked),
    })
    .await;
    let source = over(&server, &scratch);
    for question in [Question::Info(Query::parse("v1")), Question::Latest] {
        assert!(validators(&source, &question).await.is_empty(), "{question:?}");
    }
}

#[tokio::test]
async fn a_file_that_went_is_an_absence_and_a_broken_proxy_a_failure() {
    let scratch = TempDir::new().expect("a folder");
    let told = Validators { etag: Some("\"one\"".into()), ..Validators::default() };
    for (status, kind) in [(404, Kind::NotFound), (410, Kind::Gone), (500, Kind::BadGateway), (401, Kind::BadGateway)] {
        let server = Server::start(move |_| Answer::new(status, "")).await;
        let question = Question::GoMod(version("v1.0.0"));
        let error = over(&server, &scratch).unchanged(&module("x.y/M"), &question, &told).await.expect_err("no");
        assert_eq!((error.kind(), error.subject()), (kind, Some("x.y/M@v1.0.0")), "{status}");
    }
}

#[tokio::test]
async fn a_folder_is_looked_at_for_sizes_and_times() {
    let (root, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let base = root.path().join("x.y/!m/@v");
    fs::create_dir_all(&base).expect("a folder");
    for name in ["list", "main.info", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"] {
        let Some(crate::net::double::Step::Send(bytes)) = body(name).steps.pop() else { panic!("a body") };
        fs::write(base.join(name), bytes).expect("a file");
    }
    fs::write(root.path().join("x.y/!m/@latest"), INFO).expect("a file");
    let source = DirSource::new(root.path(), scratch.path(), Limits::default());
    let path = module("x.y/M");
    for question in questions() {
        let told = validators(&source, &question).await;
        assert!(source.unchanged(&path, &question, &told).await.expect("an answer").what, "{question:?}");
    }
    let (list, mods) = (Question::List, Question::GoMod(version("v1.0.0")));
    let (told_list, told_mod) = (validators(&source, &list).await, validators(&source, &mods).await);
    fs::write(base.join("list"), "v1.0.0\nv1.1.0\n").expect("a file");
    assert!(!source.unchanged(&path, &list, &told_list).await.expect("an answer").what, "another size");
    let file = fs::File::options().write(true).open(base.join("v1.0.0.mod")).expect("a file");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time");
    assert!(!source.unchanged(&path, &mods, &told_mod).await.expect("an answer").what, "another time");
    fs::remove_file(base.join("v1.0.0.mod")).expect("there");
    assert_eq!(source.unchanged(&path, &mods, &told_mod).await.expect_err("gone").kind(), Kind::NotFound);
}
