//! By what git answers are told to hold: commits of versions, and the refs for all that rests on more than one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::error::{Error, Kind};
use crate::ports::{Repo, Source as _, Validators};
use crate::registry::direct::Direct;
use crate::registry::doubles::{Drawer, Hands, module, version};
use crate::registry::{Cached, Freshness, Named, OnChange, Question, Reach, Shelf, Validity};
use crate::spec::location::{Location, LocationKind};
use crate::spec::query::Query;
use crate::vet::budget::Budget;
use crate::vet::memory::{Memory, id};

const PATH: &str = "example.com/m";
const GO_MOD: (&str, &str) = ("go.mod", "module example.com/m\n");

/// A repository at one of several moments.
type Moment = Arc<Mutex<fn() -> Memory>>;

fn tagged() -> Memory {
    Memory::new().commit("one", &[], &[GO_MOD]).tag("v1.0.0", "one")
}

fn pushed() -> Memory {
    tagged().commit("two", &["one"], &[("b.go", "package m\n")])
}

/// What a moved tag and a commit that no ref reaches any more look like.
fn rewritten() -> Memory {
    Memory::new().commit("other", &[], &[GO_MOD, ("c.go", "package m\n")]).tag("v1.0.0", "other")
}

fn emptied() -> Memory {
    Memory::new().commit("other", &[], &[GO_MOD])
}

fn direct(moment: &Moment, store: &Arc<Drawer>) -> Direct {
    located(moment, store, false)
}

fn located(moment: &Moment, store: &Arc<Drawer>, is_guess: bool) -> Direct {
    let moment = moment.clone();
    Direct {
        shelf: Shelf::new("git", "git", "").as_str().to_owned(),
        locate: Arc::new(move |_| {
            let url = "https://git.example.com/m".to_owned();
            let location =
                Location { root: PATH.to_owned(), kind: LocationKind::Git, url, subdir: String::new(), is_guess };
            Box::pin(async { Ok(location) })
        }),
        open: Arc::new(move |_| Ok(Box::new(moment.lock().expect("lock")()) as Box<dyn Repo>)),
        open_proxy: Arc::new(|_| Err(Error::internal("no proxy is named"))),
        store: store.clone(),
        turns: Arc::new(Semaphore::new(8)),
        memory: Arc::new(Budget::new(1 << 20)),
        list_validity: Duration::ZERO,
        hearings: Arc::default(),
    }
}

/// The page of a module was out of reach, and the repository of the path above it took its place.
#[tokio::test]
async fn what_is_not_in_a_repository_that_was_only_guessed_is_no_absence() {
    let below = module("example.com/m/plugin");
    for (is_guess, expected) in [(false, Kind::NotFound), (true, Kind::BadGateway)] {
        let direct = located(&at(tagged), &Drawer::new(), is_guess);
        assert_eq!(direct.list(&below).await.expect_err("nothing there").kind(), expected, "guessed: {is_guess}");
        let info = direct.info(&below, &Query::parse("v1.0.0")).await;
        assert_eq!(info.expect_err("nothing there").kind(), expected, "guessed: {is_guess}");
        let versions = direct.list(&module(PATH)).await.expect("a list").what;
        assert_eq!(versions, [version("v1.0.0")], "guessed: {is_guess}");
    }
}

fn at(moment: fn() -> Memory) -> Moment {
    Arc::new(Mutex::new(moment))
}

fn query(text: &str) -> Question {
    Question::Info(Query::parse(text))
}

fn zip() -> Question {
    Question::Zip(version("v1.0.0"))
}

async fn told(direct: &Direct, question: &Question) -> Validators {
    let path = module(PATH);
    match question {
        Question::List => direct.list(&path).await.expect("a list").validators,
        Question::Latest => direct.latest(&path).await.expect("latest").validators,
        Question::Info(query) => direct.info(&path, query).await.expect("an info").validators,
        Question::GoMod(version) => direct.go_mod(&path, version).await.expect("a go.mod").validators,
        Question::Zip(version) => direct.zip(&path, version).await.expect("a zip").validators,
    }
}

/// Tags that were pushed twenty and five seconds ago, seen from refs that hold for a minute.
fn pushed_lately() -> Memory {
    let since = Duration::from_secs;
    pushed().tag_since(since(20), "v1.1.0", "two").tag_since(since(5), "v1.2.0", "two")
}

/// A build right after a push was told for a minute that its version does not exist.
#[tokio::test]
async fn nobody_is_told_from_refs_older_than_ten_seconds_that_a_revision_is_unknown() {
    let direct = Direct { list_validity: Duration::from_secs(60), ..direct(&at(pushed_lately), &Drawer::new()) };
    let path = module(PATH);
    let info = direct.info(&path, &Query::parse("v1.1.0")).await.expect("pushed twenty seconds ago").what;
    assert_eq!(info.right.version, "v1.1.0");
    direct.zip(&path, &version("v1.1.0")).await.expect("its zip");
    let error = direct.info(&path, &Query::parse("v1.2.0")).await.expect_err("pushed five seconds ago");
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let versions = direct.list(&path).await.expect("a list").what;
    assert_eq!(versions, [version("v1.0.0")], "a list holds for its minute");
}

#[tokio::test]
async fn the_refs_say_whether_a_git_answer_still_holds() {
    let pseudo = format!("v1.0.0-20200101000000-{}", id("one").short());
    let versions = [query("v1.0.0"), Question::GoMod(version("v1.0.0")), zip()];
    let others = [Question::List, Question::Latest, query("main"), query("v1"), query(&pseudo)];
    let moment = at(tagged);
    let direct = direct(&moment, &Drawer::new());
    let mut all = Vec::new();
    for question in versions.iter().chain(&others) {
        let told = told(&direct, question).await;
        assert!(told.revision.is_some(), "{question:?}");
        all.push((question, told));
    }
    let hold = async |row: &str, expected: &dyn Fn(&Question) -> Option<bool>| {
        for (question, told) in &all {
            let holds = direct.unchanged(&module(PATH), question, told).await;
            match expected(question) {
                Some(expected) => assert_eq!(holds.expect(row).what, expected, "{row}: {question:?}"),
                None => assert_eq!(holds.expect_err(row).kind(), Kind::NotFound, "{row}: {question:?}"),
            }
        }
    };
    hold("the same refs", &|_| Some(true)).await;
    *moment.lock().expect("lock") = pushed;
    hold("a push", &|question| Some(versions.contains(question))).await;
    *moment.lock().expect("lock") = rewritten;
    hold("a moved tag", &|question| if *question == query(&pseudo) { None } else { Some(false) }).await;
    *moment.lock().expect("lock") = emptied;
    hold("a tag that is gone", &|question| question.version().is_none().then_some(false)).await;
    let none = Validators::default();
    assert!(!direct.unchanged(&module(PATH), &zip(), &none).await.expect("nothing to tell by").what);
}

fn cached(moment: &Moment, on_change: OnChange) -> (Cached, Arc<Hands>) {
    let (store, clock) = (Drawer::new(), Hands::new());
    let direct = Arc::new(direct(moment, &store));
    let cached = Cached::new(Shelf::new("git", "git", ""), direct, store, clock.clone(), Validity::default());
    (cached.named(Named::Asked).on_change(on_change), clock)
}

#[tokio::test]
async fn a_moved_tag_never_gives_info_and_zip_of_two_commits() {
    for on_change in [OnChange::Keep, OnChange::Replace] {
        let moment = at(tagged);
        let (cached, _) = cached(&moment, on_change);
        let ask = async |question: &Question| cached.ask(&module(PATH), question, Reach::Upstream).await;
        ask(&query("v1.0.0")).await.expect("an info");
        *moment.lock().expect("lock") = rewritten;
        let zip = ask(&zip()).await;
        let info = ask(&query("v1.0.0")).await.expect("an info").into_resolution().expect("a resolution");
        let commit = info.right.origin.expect("an origin").hash;
        match on_change {
            OnChange::Keep => {
                let error = zip.expect_err("of another commit").to_string();
                for name in ["one", "other"] {
                    assert!(error.contains(&id(name).to_string()), "{error}");
                }
                assert_eq!(commit, id("one").to_string());
            }
            OnChange::Replace => {
                assert_eq!(zip.expect("a zip").freshness, Freshness::Absent);
                assert_eq!(commit, id("other").to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_git_version_is_looked_at_again_without_being_made_again() {
    let moment = at(tagged);
    let (cached, clock) = cached(&moment, OnChange::Keep);
    let ask = async |question: &Question| {
        cached.ask(&module(PATH), question, Reach::Upstream).await.expect("an answer").freshness
    };
    for question in [query("v1.0.0"), zip()] {
        ask(&question).await;
    }
    *moment.lock().expect("lock") = pushed;
    clock.forward(24 * 3600);
    for question in [query("v1.0.0"), zip()] {
        assert_eq!(ask(&question).await, Freshness::Revalidated, "{question:?}");
    }
    *moment.lock().expect("lock") = rewritten;
    clock.forward(24 * 3600);
    assert_eq!(ask(&zip()).await, Freshness::Stale, "other files under the same tag");
}
