//! Which member answers, what is done about wrong names, and what the client is told when nobody answers.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::registry::doubles::{Apart, Drawer, Hands, Known, Reply, info_of, member, module, version};
use crate::registry::{Answer, AnswerBody, Book, Judgement, Life, Member, OnFailure, Question, Reach, Registry};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;
use crate::spec::scope::Scope;
use crate::vet::mode::Mode;

const PATH: &str = "example.com/m";
const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";

struct Bench {
    corp: Arc<Known>,
    public: Arc<Known>,
    clock: Arc<Hands>,
    registry: Registry,
}

/// Two members: `corp` reads git, `public` is another proxy.
fn bench(mode: Mode, change: impl FnOnce(&mut Member, &mut Member)) -> Bench {
    let (corp, public, store, clock) = (Known::new(), Known::new(), Drawer::new(), Hands::new());
    let mut first = member("corp", &corp, &store, &clock, Judgement::Own);
    let mut second = member("public", &public, &store, &clock, Judgement::Believed);
    change(&mut first, &mut second);
    let book = Book::new("default", store, clock.clone());
    Bench { corp, public, clock, registry: Registry::new("default", mode, vec![first, second], book) }
}

fn as_listed(_: &mut Member, _: &mut Member) {}

impl Bench {
    async fn ask(&self, question: Question) -> Result<Answer> {
        self.registry.answer(&module(PATH), &question, Reach::Upstream).await
    }

    async fn text(&self, question: Question) -> String {
        let bytes = match self.ask(question).await.expect("answer").body {
            AnswerBody::Text(bytes) => bytes,
            AnswerBody::Blob(blob) => blob.read_all(1 << 20).expect("blob"),
        };
        String::from_utf8(bytes.to_vec()).expect("text")
    }
}

fn info(text: &str) -> Question {
    Question::Info(Query::parse(text))
}

fn zip(text: &str) -> Question {
    Question::Zip(version(text))
}

fn go_mod(text: &str) -> Question {
    Question::GoMod(version(text))
}

#[tokio::test]
async fn only_an_absence_goes_on() {
    let bench = bench(Mode::Rewrite, as_listed);
    bench.public.publish(PATH, "v1.0.0", b"zip");
    assert_eq!(bench.ask(info("v1.0.0")).await.expect("answer").upstream, "public");
    let bench = self::bench(Mode::Rewrite, as_listed);
    bench.public.publish(PATH, "v1.1.0", b"zip");
    for (row, kind) in [("failure", Kind::BadGateway), ("forbidden", Kind::Forbidden), ("ours", Kind::Internal)] {
        bench.corp.fail(Some(Error::new(kind, "no answer")));
        let before = bench.public.total();
        assert_eq!(bench.ask(info("v1.1.0")).await.expect_err(row).kind(), kind, "{row}");
        assert_eq!(bench.public.total(), before, "{row}: a stranger was asked");
    }
}

#[tokio::test]
async fn the_bar_goes_on_after_a_failure_but_not_after_our_own() {
    let bench = bench(Mode::Rewrite, |corp, _| corp.on_failure = OnFailure::GoOn);
    bench.public.publish(PATH, "v1.0.0", b"zip");
    bench.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(bench.ask(info("v1.0.0")).await.expect("answer").upstream, "public");
    let other = module("example.com/other");
    let ask = || bench.registry.answer(&other, &Question::List, Reach::Upstream);
    let error = ask().await.expect_err("nobody knows it");
    assert_eq!(error.to_string(), "example.com/other: upstream corp: timed out", "a failure is no absence");
    bench.corp.fail(Some(Error::internal("the store cannot be read")));
    assert_eq!(ask().await.expect_err("ours").kind(), Kind::Internal);
}

#[tokio::test]
async fn a_wrong_name_never_reaches_the_next_member() {
    let bench = bench(Mode::Strict, |corp, _| corp.on_failure = OnFailure::GoOn);
    bench.corp.misname(PATH, WRONG, RIGHT);
    bench.public.publish(PATH, WRONG, b"somebody's zip");
    for question in [info(WRONG), zip(WRONG)] {
        assert_eq!(bench.ask(question).await.expect_err("wrong").kind(), Kind::Wrong);
    }
    assert_eq!(bench.public.total(), 0);
    assert_eq!(bench.corp.count(PATH, &format!("@v/{WRONG}.zip")), 0, "nothing is built under a refused name");
}

#[tokio::test]
async fn the_modes_give_what_the_design_says() {
    // Both with the commit's time.
    for (mode, body) in [(Mode::Rewrite, info_of(RIGHT).to_json()), (Mode::Legacy, info_of(WRONG).to_json())] {
        let bench = bench(mode, as_listed);
        bench.corp.misname(PATH, WRONG, RIGHT);
        assert_eq!(bench.text(info(WRONG)).await, body, "{mode:?}");
        assert_eq!(bench.text(zip(WRONG)).await, "zip as asked", "{mode:?}");
        for question in [info(WRONG), go_mod(WRONG), zip(WRONG)] {
            let answer = bench.ask(question.clone()).await.expect("answer");
            assert_eq!(answer.life, Life::Never, "{mode:?} {question:?}");
        }
    }
    let strict = bench(Mode::Strict, as_listed);
    strict.corp.misname(PATH, WRONG, RIGHT);
    assert_eq!(strict.ask(go_mod(WRONG)).await.expect("served in strict mode too").life, Life::Never);
}

#[tokio::test]
async fn only_what_never_changes_lives_forever() {
    let bench = bench(Mode::Strict, as_listed);
    bench.corp.publish(PATH, "v1.0.0", b"zip");
    bench.corp.publish(PATH, RIGHT, b"zip");
    bench.corp.point(PATH, "main", RIGHT);
    bench.corp.teach(PATH, "@v/v1.info", Reply::info(Resolution::valid("v1", info_of("v1.0.0"))));
    bench.corp.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of("v1.0.0"))));
    bench.corp.teach(PATH, "@v/list", Reply::List(vec![version("v1.0.0")]));
    // v2.0.0 is served as v2.0.0+incompatible: not what was asked for.
    let other = Resolution::valid("v2.0.0", info_of("v2.0.0+incompatible"));
    bench.corp.teach(PATH, "@v/v2.0.0.info", Reply::info(other));
    let table = [
        ("version", info("v1.0.0"), Life::Forever),
        ("go.mod", go_mod("v1.0.0"), Life::Forever),
        ("zip", zip("v1.0.0"), Life::Forever),
        ("valid pseudo-version", info(RIGHT), Life::Forever),
        ("its go.mod", go_mod(RIGHT), Life::Forever),
        ("its zip", zip(RIGHT), Life::Forever),
        ("branch", info("main"), Life::Short),
        ("prefix", info("v1"), Life::Short),
        ("latest", Question::Latest, Life::Short),
        ("list", Question::List, Life::Short),
        ("answered with another version", info("v2.0.0"), Life::Never),
    ];
    for (row, question, life) in table {
        assert_eq!(bench.ask(question).await.unwrap_or_else(|error| panic!("{row}: {error}")).life, life, "{row}");
    }
}

#[tokio::test]
async fn members_are_asked_only_for_what_they_may_serve() {
    let bench = bench(Mode::Rewrite, |corp, public| {
        corp.scope = Scope::new("corp.example/*,example.com/m", "");
        public.scope = Scope::new("", "example.com");
    });
    assert_eq!(bench.ask(info("v1.0.0")).await.expect_err("absent").kind(), Kind::NotFound);
    assert_eq!((bench.corp.total(), bench.public.total()), (1, 0));
    let other = bench.registry.answer(&module("example.com/other"), &Question::List, Reach::Upstream).await;
    let error = other.expect_err("served by nobody");
    assert_eq!(error.to_string(), "example.com/other: no upstream of this registry serves this module path");
    assert_eq!(bench.public.total(), 0);
}

#[tokio::test]
async fn the_most_telling_absence_is_told() {
    let known = |known: &Known| known.publish(PATH, "v0.1.0", b"zip");
    let both = "example.com/m@v1.0.0: unknown revision (asked corp, public)";
    let neither = "example.com/m: unknown module (asked corp, public)";
    for (row, at_corp, at_public, text) in [
        ("only the first knows the module", true, false, both),
        ("only the second knows the module", false, true, both),
        ("none knows the module", false, false, neither),
    ] {
        let bench = bench(Mode::Rewrite, as_listed);
        if at_corp {
            known(&bench.corp);
        }
        if at_public {
            known(&bench.public);
        }
        assert_eq!(bench.ask(info("v1.0.0")).await.expect_err(row).to_string(), text, "{row}");
    }
}

/// The first member came back between `.info` and `.zip`, and the two did not fit together.
#[tokio::test]
async fn all_files_of_a_version_come_from_the_member_that_answered_first() {
    let bench = bench(Mode::Rewrite, |corp, _| corp.on_failure = OnFailure::GoOn);
    bench.public.publish(PATH, "v1.0.0", b"public zip");
    bench.corp.publish(PATH, "v1.0.0", b"corp zip");
    bench.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(bench.ask(info("v1.0.0")).await.expect("info").upstream, "public");
    bench.corp.fail(None);
    assert_eq!(bench.text(zip("v1.0.0")).await, "public zip");
    assert_eq!(bench.ask(go_mod("v1.0.0")).await.expect("mod").upstream, "public");
}

#[tokio::test]
async fn a_branch_binds_the_version_that_it_stands_for() {
    let bench = bench(Mode::Rewrite, as_listed);
    bench.public.point(PATH, "main", RIGHT);
    bench.public.publish(PATH, RIGHT, b"public zip");
    assert_eq!(bench.ask(info("main")).await.expect("info").upstream, "public");
    bench.corp.publish(PATH, RIGHT, b"corp zip");
    assert_eq!(bench.text(zip(RIGHT)).await, "public zip");
}

#[tokio::test]
async fn a_checksum_is_vouched_for_unless_the_name_is_wrong() {
    let table = [
        ("strict", Mode::Strict, WRONG, Some(Kind::NotFound)),
        ("rewrite", Mode::Rewrite, WRONG, Some(Kind::NotFound)),
        ("legacy", Mode::Legacy, WRONG, None),
        ("right name", Mode::Strict, RIGHT, None),
        ("release", Mode::Strict, "v1.0.0", None),
        ("known to nobody", Mode::Strict, "v0.0.0-20200101000000-abcdefabcdef", None),
    ];
    for (row, mode, asked, kind) in table {
        let bench = bench(mode, as_listed);
        bench.corp.misname(PATH, WRONG, RIGHT);
        let vouched = bench.registry.vouch(&module(PATH), &version(asked), Reach::Upstream).await;
        assert_eq!(vouched.err().map(|error| error.kind()), kind, "{row}");
    }
    let bench = bench(Mode::Strict, as_listed);
    bench.corp.fail(Some(Error::bad_gateway("timed out")));
    let vouched = bench.registry.vouch(&module(PATH), &version(RIGHT), Reach::Upstream).await;
    assert_eq!(vouched.expect_err("nobody knows").kind(), Kind::BadGateway);
}

#[tokio::test]
async fn a_proxys_version_is_looked_up_without_asking_for_more() {
    let bench = bench(Mode::Strict, as_listed);
    bench.public.publish(PATH, RIGHT, b"zip");
    bench.ask(zip(RIGHT)).await.expect("zip");
    let before = (bench.corp.total(), bench.public.total());
    bench.registry.vouch(&module(PATH), &version(RIGHT), Reach::Upstream).await.expect("believed");
    assert_eq!((bench.corp.total(), bench.public.total()), before);
}

#[tokio::test]
async fn a_delay_that_an_upstream_asks_for_is_passed_on() {
    let bench = bench(Mode::Rewrite, as_listed);
    let delay = std::time::Duration::from_secs(30);
    bench.corp.fail(Some(Error::bad_gateway("429 Too Many Requests").retry_after(delay)));
    assert_eq!(bench.ask(info("v1.0.0")).await.expect_err("failed").delay(), Some(delay));
    bench.clock.forward(60);
    bench.corp.fail(None);
    bench.corp.publish(PATH, "v1.0.0", b"zip");
    bench.ask(info("v1.0.0")).await.expect("answer");
}

#[tokio::test]
async fn an_absence_names_all_that_were_asked_however_many() {
    let (store, clock) = (Drawer::new(), Hands::new());
    let names: Vec<String> = (1..=20).map(|n| format!("upstream-number-{n:02}")).collect();
    let members = names.iter().map(|name| member(name, &Known::new(), &store, &clock, Judgement::Believed)).collect();
    let registry = Registry::new("default", Mode::Rewrite, members, Book::new("default", store, clock));
    let error = registry.answer(&module(PATH), &Question::List, Reach::Upstream).await.expect_err("nobody has it");
    assert_eq!((error.kind(), error.what()), (Kind::NotFound, "unknown module (asked 20 upstreams)"));
    let text = error.to_string();
    // The go command shows no more than this of a text, and only whole lines.
    assert!(text.lines().count() <= 8 && text.len() + text.lines().count() <= 600, "{} bytes", text.len());
    for name in &names {
        assert!(text.contains(name.as_str()), "{name} is missing: {text}");
    }
    assert_eq!(error.speaker().expect("they said so").upstream, names.join(", "));
}

/// What a chained modvet in strict mode refuses, it refuses in the same words as we do.
#[tokio::test]
async fn a_wrong_name_of_another_modvet_is_an_absence_to_a_checksum_database() {
    let bench = bench(Mode::Rewrite, as_listed);
    let wrong = Error::new(Kind::Wrong, "invalid pseudo-version").right(RIGHT).remedy(format!("use {PATH}@{RIGHT}"));
    bench.public.fail(Some(wrong));
    let error = bench.registry.vouch(&module(PATH), &version(WRONG), Reach::Upstream).await.expect_err("wrong");
    assert_eq!((error.kind(), error.right_version()), (Kind::NotFound, Some(RIGHT)));
    assert_eq!(error.remedies(), [format!("use {PATH}@{RIGHT}")]);
    // Clients are still told that it is wrong.
    assert_eq!(bench.ask(info(WRONG)).await.expect_err("wrong").kind(), Kind::Wrong);
}

#[tokio::test]
async fn a_refusal_says_whose_word_it_is_and_how_old() {
    let said = |error: Error| error.speaker().map(|said| (said.upstream.clone(), said.cache, said.age.as_secs()));
    let of = |name: &str, cache, age| Some((name.to_owned(), cache, age));
    let bench = bench(Mode::Strict, as_listed);
    bench.corp.misname(PATH, WRONG, RIGHT);
    assert_eq!(said(bench.ask(info(WRONG)).await.expect_err("wrong")), of("corp", "miss", 0));
    bench.clock.forward(5);
    assert_eq!(said(bench.ask(zip(WRONG)).await.expect_err("wrong")), of("corp", "hit", 5));
    let other = module("example.com/other");
    let ask = || async { bench.registry.answer(&other, &Question::List, Reach::Upstream).await.expect_err("absent") };
    assert_eq!(said(ask().await), of("corp, public", "miss", 0));
    bench.clock.forward(3);
    assert_eq!(said(ask().await), of("corp, public", "hit", 3));
    bench.clock.forward(60);
    bench.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(said(ask().await), of("corp", "miss", 0));
    let kept = bench.registry.answer(&other, &Question::Latest, Reach::Cache).await.expect_err("not kept");
    assert_eq!(said(kept), None, "nobody was asked");
}

/// The tag of a release moved between `.info` and `.zip`, and the next upstream gave a `.zip` of its own.
#[tokio::test]
async fn a_release_of_two_commits_is_had_from_nobody_else_even_where_failures_go_on() {
    let bench = bench(Mode::Rewrite, |corp, _| corp.on_failure = OnFailure::GoOn);
    bench.corp.tell_apart_by(Apart::Revision);
    for source in [&bench.corp, &bench.public] {
        source.publish(PATH, "v1.0.0", b"zip");
    }
    bench.corp.commit(PATH, "v1.0.0", "1111111111111111111111111111111111111111");
    bench.ask(info("v1.0.0")).await.expect("an info");
    bench.corp.commit(PATH, "v1.0.0", "2222222222222222222222222222222222222222");
    let error = bench.ask(zip("v1.0.0")).await.expect_err("of another commit");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert!(error.what().starts_with("upstream corp"), "{error}");
    assert_eq!(bench.public.count(PATH, "@v/v1.0.0.zip"), 0);
}
