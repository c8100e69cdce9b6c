//! To whom a module belongs: who is asked first, who alone, and who never.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Kind, Result};
use crate::ports::Store as _;
use crate::registry::doubles::{Drawer, Hands, Known, Reply, info_of, member, module, version};
use crate::registry::{Answer, Book, Judgement, Member, OnFailure, Question, Reach, Registry};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;
use crate::spec::scope::Scope;
use crate::vet::mode::Mode;

const PATH: &str = "example.com/m";

/// Two upstreams and one store; registries over them are made as a test needs them.
struct Shop {
    corp: Arc<Known>,
    public: Arc<Known>,
    store: Arc<Drawer>,
    clock: Arc<Hands>,
}

impl Shop {
    fn new() -> Shop {
        Shop { corp: Known::new(), public: Known::new(), store: Drawer::new(), clock: Hands::new() }
    }

    fn corp(&self) -> Member {
        member("corp", &self.corp, &self.store, &self.clock, Judgement::Believed)
    }

    fn public(&self) -> Member {
        member("public", &self.public, &self.store, &self.clock, Judgement::Believed)
    }

    fn open(&self, name: &str, members: Vec<Member>) -> Registry {
        Registry::new(name, Mode::Rewrite, members, Book::new(name, self.store.clone(), self.clock.clone()))
    }

    /// `corp` before `public`.
    fn both(&self) -> Registry {
        self.open("default", vec![self.corp(), self.public()])
    }

    /// Puts the public upstream's answers into the store, without a binding in the registry `default`.
    async fn warm(&self, questions: &[Question]) {
        let other = self.open("other", vec![self.public()]);
        for question in questions {
            ask(&other, question.clone()).await.expect("an answer");
        }
        assert_eq!(self.store.get("binding/default/example.com/m").expect("a store").map(|_| ()), None);
    }
}

/// Both versions of the module with a list and latest, so that each alone would be whole.
fn publish(known: &Known, text: &str) {
    known.publish(PATH, text, text.as_bytes());
    known.teach(PATH, "@v/list", Reply::List(vec![version(text)]));
    known.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of(text))));
}

async fn ask(registry: &Registry, question: Question) -> Result<Answer> {
    registry.answer(&module(PATH), &question, Reach::Upstream).await
}

async fn upstream(registry: &Registry, question: Question) -> String {
    ask(registry, question).await.expect("an answer").upstream
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

async fn bound_to(registry: &Registry) -> Vec<(String, bool)> {
    let bindings = registry.bindings().await.expect("bindings");
    bindings.into_iter().map(|bound| (bound.upstream, bound.stands)).collect()
}

#[tokio::test]
async fn list_latest_and_files_of_one_module_never_mix_sources() {
    let questions = [Question::List, Question::Latest, info("v1.0.0"), go_mod("v1.0.0"), zip("v1.0.0"), info("main")];
    for first in questions {
        let shop = Shop::new();
        let registry = shop.both();
        publish(&shop.public, "v1.0.0");
        shop.public.point(PATH, "main", "v1.0.0");
        assert_eq!(upstream(&registry, first.clone()).await, "public");
        // Now the one before it has the module too, in other versions.
        publish(&shop.corp, "v2.0.0");
        publish(&shop.corp, "v1.0.0");
        shop.clock.forward(3600);
        for second in [Question::List, Question::Latest, info("v1.0.0"), go_mod("v1.0.0"), zip("v1.0.0"), info("main")]
        {
            assert_eq!(upstream(&registry, second.clone()).await, "public", "{first:?}, then {second:?}");
        }
        let error = ask(&registry, info("v2.0.0")).await.expect_err("only corp has it");
        assert_eq!(error.kind(), Kind::NotFound);
    }
}

#[tokio::test]
async fn an_absence_says_to_whom_the_module_is_bound_and_the_way_out() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    let registry = shop.open("ci", vec![shop.corp(), shop.public()]);
    upstream(&registry, Question::List).await;
    let asked = shop.corp.total();
    let error = ask(&registry, info("v9.0.0")).await.expect_err("absent");
    let expected = "example.com/m@v9.0.0: unknown revision (asked public, which the module is bound to)\n\
        to have all asked anew: modvet cache rm --registry ci --binding example.com/m\n\
        to say whose it is: name it in the `modules` and `not_modules` of the upstreams";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::NotFound, expected));
    assert_eq!(shop.corp.total(), asked, "the other one was asked");
    assert_eq!(error.speaker().expect("public said so").upstream, "public");
    // Where nobody else may be asked, nothing is said of bindings.
    let alone = shop.open("alone", vec![shop.public()]);
    upstream(&alone, Question::List).await;
    let error = ask(&alone, info("v9.0.0")).await.expect_err("absent");
    assert_eq!(error.to_string(), "example.com/m@v9.0.0: unknown revision (asked public)");
}

#[tokio::test]
async fn a_failure_of_the_bound_upstream_is_a_failure() {
    let shop = Shop::new();
    publish(&shop.corp, "v1.0.0");
    let registry = shop.both();
    upstream(&registry, Question::List).await;
    publish(&shop.public, "v1.1.0");
    shop.corp.fail(Some(Error::bad_gateway("timed out")));
    let error = ask(&registry, info("v1.1.0")).await.expect_err("corp is out of reach");
    assert_eq!((error.kind(), error.what()), (Kind::BadGateway, "upstream corp: timed out"));
    assert_eq!(shop.public.total(), 0);
    // Configured to go on, those behind it are asked, and nothing is bound anew.
    let goes_on = Member { on_failure: OnFailure::GoOn, ..shop.corp() };
    let registry = shop.open("default", vec![goes_on, shop.public()]);
    assert_eq!(upstream(&registry, info("v1.1.0")).await, "public");
    shop.corp.fail(None);
    assert_eq!(upstream(&registry, Question::Latest).await, "corp");
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
}

#[tokio::test]
async fn what_names_no_version_binds_nothing() {
    let shop = Shop::new();
    shop.public.teach(PATH, "@v/list", Reply::List(Vec::new()));
    let registry = shop.both();
    assert_eq!(upstream(&registry, Question::List).await, "public");
    assert_eq!(bound_to(&registry).await, []);
    publish(&shop.corp, "v1.0.0");
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "corp");
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
}

#[tokio::test]
async fn an_answer_from_the_cache_alone_binds_nothing() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    shop.warm(&[info("v1.0.0")]).await;
    let registry = shop.both();
    let kept = registry.answer(&module(PATH), &info("v1.0.0"), Reach::Cache).await.expect("kept");
    assert_eq!(kept.upstream, "public");
    assert_eq!(bound_to(&registry).await, []);
}

#[tokio::test]
async fn a_restart_keeps_the_binding() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    assert_eq!(upstream(&shop.both(), Question::Latest).await, "public");
    publish(&shop.corp, "v1.0.0");
    shop.clock.forward(86_400);
    // All memory is new, the store is the same.
    let registry = shop.both();
    let before = shop.corp.total();
    for question in [Question::List, Question::Latest, info("v1.0.0"), zip("v1.0.0")] {
        assert_eq!(upstream(&registry, question).await, "public");
    }
    assert_eq!(shop.corp.total(), before);
}

#[tokio::test]
async fn a_cached_entry_below_wins_and_binds_while_the_one_above_has_it_uncached() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    publish(&shop.corp, "v1.0.0");
    shop.warm(&[info("v1.0.0")]).await;
    let registry = shop.both();
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    assert_eq!(shop.corp.total(), 0, "nobody needs to be asked");
    assert_eq!(bound_to(&registry).await, [("public".to_owned(), true)]);
    // What both keep is the first one's.
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    publish(&shop.corp, "v1.0.0");
    shop.warm(&[info("v1.0.0")]).await;
    upstream(&shop.open("corp alone", vec![shop.corp()]), info("v1.0.0")).await;
    assert_eq!(upstream(&shop.both(), info("v1.0.0")).await, "corp");
}

/// Another registry's clients made the public upstream say something under a private name.
#[tokio::test]
async fn a_strangers_cached_entry_does_not_answer_for_a_private_name() {
    let shared = |shop: &Shop, corp: Member| {
        shop.open("default", vec![Member { shared: true, ..corp }, Member { shared: true, ..shop.public() }])
    };
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    publish(&shop.corp, "v1.0.0");
    shop.warm(&[info("v1.0.0"), zip("v1.0.0")]).await;
    let registry = shared(&shop, shop.corp());
    let kept = registry.answer(&module(PATH), &info("v1.0.0"), Reach::Cache).await;
    assert_eq!(kept.expect_err("nobody may say whether corp has it").kind(), Kind::NotFound);
    // Nor while the private one is out of reach.
    shop.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(ask(&registry, info("v1.0.0")).await.expect_err("unknown").kind(), Kind::BadGateway);
    shop.corp.fail(None);
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "corp");

    // It does where the one above is barred for the path,
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    shop.warm(&[info("v1.0.0")]).await;
    let elsewhere = Member { scope: Scope::new("corp.example/*", ""), ..shop.corp() };
    assert_eq!(upstream(&shared(&shop, elsewhere), info("v1.0.0")).await, "public");
    assert_eq!(shop.corp.total(), 0);

    // or said just now that it has no such thing,
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    shop.warm(&[info("v1.0.0")]).await;
    let registry = shared(&shop, shop.corp());
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    assert_eq!(shop.corp.total(), 1);
    assert!(registry.unbind(&module(PATH)).await.expect("unbound"));
    shop.clock.forward(9);
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    assert_eq!(shop.corp.total(), 1, "its absence is still remembered");

    // or the module is bound.
    shop.clock.forward(60);
    publish(&shop.corp, "v1.0.0");
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    assert_eq!(shop.corp.total(), 1);
}

#[tokio::test]
async fn a_newly_added_upstream_above_is_asked() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    let before = shop.open("default", vec![shop.public()]);
    for question in [Question::List, info("v1.0.0"), zip("v1.0.0")] {
        assert_eq!(upstream(&before, question).await, "public");
    }
    publish(&shop.corp, "v1.0.0");
    let registry = shop.both();
    assert_eq!(bound_to(&registry).await, [("public".to_owned(), false)], "it has lapsed");
    assert_eq!(upstream(&registry, zip("v1.0.0")).await, "corp", "although the other one has it cached");
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
    // One below is not.
    let last = member("last", &Known::new(), &shop.store, &shop.clock, Judgement::Believed);
    let registry = shop.open("default", vec![shop.corp(), shop.public(), last]);
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
    // Nor is one that may not serve the path; but it is when that changes.
    let barred = |scope| Member { scope, ..member("new", &Known::new(), &shop.store, &shop.clock, Judgement::Own) };
    let registry = shop.open("default", vec![barred(Scope::new("other.org", "")), shop.corp(), shop.public()]);
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
    let registry = shop.open("default", vec![barred(Scope::default()), shop.corp(), shop.public()]);
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), false)]);
}

#[tokio::test]
async fn the_removal_of_an_upstream_unbinds_its_modules() {
    let shop = Shop::new();
    publish(&shop.corp, "v1.0.0");
    publish(&shop.public, "v1.0.0");
    assert_eq!(upstream(&shop.both(), Question::List).await, "corp");
    let without = shop.open("default", vec![shop.public()]);
    assert_eq!(upstream(&without, Question::List).await, "public");
    assert_eq!(bound_to(&without).await, [("public".to_owned(), true)]);
    // The same where its patterns do not let it serve the path any more.
    let shop = Shop::new();
    publish(&shop.corp, "v1.0.0");
    publish(&shop.public, "v1.0.0");
    assert_eq!(upstream(&shop.both(), Question::List).await, "corp");
    let barred = Member { scope: Scope::new("", "example.com"), ..shop.corp() };
    assert_eq!(upstream(&shop.open("default", vec![barred, shop.public()]), Question::List).await, "public");
}

#[tokio::test]
async fn who_takes_a_binding_away_has_all_asked_anew() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    let registry = shop.both();
    assert!(!registry.unbind(&module(PATH)).await.expect("nothing to do"));
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    publish(&shop.corp, "v1.0.0");
    shop.clock.forward(60);
    assert!(registry.unbind(&module(PATH)).await.expect("unbound"));
    assert_eq!(bound_to(&registry).await, []);
    // Although the other one keeps the answer, also after a restart.
    assert_eq!(upstream(&shop.both(), info("v1.0.0")).await, "corp");
    assert!(registry.unbind(&module("example.com/other")).await.is_ok_and(|done| !done));
}

#[tokio::test]
async fn a_binding_made_behind_a_failure_holds_an_hour() {
    let shop = Shop::new();
    publish(&shop.corp, "v1.0.0");
    publish(&shop.public, "v1.0.0");
    let goes_on = Member { on_failure: OnFailure::GoOn, ..shop.corp() };
    let registry = shop.open("default", vec![goes_on, shop.public()]);
    shop.corp.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(upstream(&registry, Question::List).await, "public");
    shop.corp.fail(None);
    shop.clock.forward(3599);
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "public");
    // Those that were out of reach are asked before it is said that nobody has it.
    let error = ask(&registry, info("v9.0.0")).await.expect_err("absent");
    assert!(error.is_absence() && error.what().ends_with("(asked public, corp)"), "{error}");
    shop.corp.fail(Some(Error::bad_gateway("timed out")));
    let error = ask(&registry, info("v9.1.0")).await.expect_err("corp may have it");
    assert_eq!((error.kind(), error.what()), (Kind::BadGateway, "upstream corp: timed out"));
    shop.corp.fail(None);
    shop.clock.forward(1);
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "corp", "although the other one keeps it");
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
}

#[tokio::test]
async fn who_is_bound_meanwhile_is_asked_instead() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    let registry = Arc::new(shop.both());
    let gate = shop.public.hold();
    let listing = tokio::spawn({
        let registry = registry.clone();
        async move { ask(&registry, Question::List).await }
    });
    while shop.public.total() == 0 {
        tokio::task::yield_now().await;
    }
    // The first one said it has no list; now it answers for a version.
    shop.corp.publish(PATH, "v1.0.0", b"zip");
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "corp");
    gate.add_permits(1);
    let error = listing.await.expect("no panic").expect_err("the list of another upstream");
    assert!(error.what().ends_with("(asked corp, which the module is bound to)"), "{error}");
}

#[tokio::test]
async fn a_warm_answer_reads_nothing_from_the_store() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    let registry = shop.both();
    upstream(&registry, info("v1.0.0")).await;
    let before = shop.store.reads.load(Ordering::SeqCst);
    for _ in 0..10 {
        upstream(&registry, info("v1.0.0")).await;
    }
    assert_eq!(shop.store.reads.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_binding_that_cannot_be_read_has_all_asked_anew() {
    let shop = Shop::new();
    publish(&shop.public, "v1.0.0");
    upstream(&shop.both(), info("v1.0.0")).await;
    publish(&shop.corp, "v1.0.0");
    shop.clock.forward(60);
    shop.store.spoil("binding/default/example.com/m");
    let registry = shop.both();
    assert_eq!(upstream(&registry, info("v1.0.0")).await, "corp");
    assert_eq!(bound_to(&registry).await, [("corp".to_owned(), true)]);
}

#[tokio::test]
async fn each_registry_has_its_own_bindings() {
    let shop = Shop::new();
    publish(&shop.corp, "v1.0.0");
    publish(&shop.public, "v1.0.0");
    let (one, other) = (shop.both(), shop.open("other", vec![shop.public(), shop.corp()]));
    assert_eq!(upstream(&one, info("v1.0.0")).await, "corp");
    assert_eq!(bound_to(&other).await, []);
    // What the other one keeps wins where nobody else knows of it; a list is kept by none.
    assert_eq!(upstream(&other, Question::List).await, "public");
    assert_eq!((bound_to(&one).await, bound_to(&other).await), {
        (vec![("corp".to_owned(), true)], vec![("public".to_owned(), true)])
    });
}

#[tokio::test]
async fn bindings_are_told_page_by_page_and_each_once() {
    let shop = Shop::new();
    let registry = shop.both();
    let paths = ["example.com/Upper", "example.com/a", "example.com/a/b", "example.com/b", "example.com/gone"];
    for path in paths {
        shop.corp.teach(path, "@v/list", Reply::List(vec![version("v1.0.0")]));
        registry.answer(&module(path), &Question::List, Reach::Upstream).await.expect("a list");
    }
    assert!(registry.unbind(&module("example.com/gone")).await.expect("a store"));
    let (mut told, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = registry.bindings_after(after.as_deref(), 2).await.expect("a page");
        assert!(page.len() <= 2, "{page:?}");
        let Some(last) = page.last() else { break };
        after = Some(last.module.clone());
        told.extend(page.into_iter().map(|bound| bound.module));
    }
    assert_eq!(told, paths[..4]);
}
