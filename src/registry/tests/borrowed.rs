//! What is kept beside what a mirror says while its source is out of reach.

use crate::error::{Error, Kind};
use crate::ports::{Condition, Reading, Staleness, Via};
use crate::registry::doubles::{Apart, Reply, info_of};
use crate::registry::tests::bench::{Bench, PATH, bench, bench_with, files, go_mod, query, zip};
use crate::registry::{Freshness, OnChange, Question, Validity};
use crate::spec::resolution::Resolution;

fn mirror(condition: Condition) -> Option<Via> {
    let stale = (condition != Condition::InSync).then_some(Staleness { condition, since: None });
    Some(Via { mirror: "gitlab".to_owned(), reading: Reading::Instead, stale, as_of: None })
}

async fn told(bench: &Bench, question: &Question) -> (String, Freshness, Option<String>) {
    let entry = bench.entry(question).await.expect("an answer");
    let text = String::from_utf8(entry.blob.read_all(1 << 20).expect("a body").to_vec()).expect("text");
    (text, entry.freshness, entry.via.map(|via| via.to_string()))
}

#[tokio::test]
async fn a_list_that_knows_fewer_versions_takes_no_place() {
    let bench = bench();
    bench.list(&["v1.0.0", "v1.1.0"]);
    bench.ask(Question::List).await.expect("a list");
    bench.clock.forward(24 * 3600);
    bench.source.read_from(mirror(Condition::Stale));
    bench.list(&["v1.0.0"]);
    let kept = ("v1.0.0\nv1.1.0\n".to_owned(), Freshness::Stale, None);
    assert_eq!(told(&bench, &Question::List).await, kept);
    assert_eq!(told(&bench, &Question::List).await, kept, "and is not asked for again at once");
    assert_eq!(bench.source.count(PATH, "@v/list"), 2);
}

#[tokio::test]
async fn a_list_that_knows_more_is_given_and_marked_and_does_not_outlive_the_origins_return() {
    let bench = bench();
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("a list");
    bench.clock.forward(24 * 3600);
    bench.source.read_from(mirror(Condition::Lagging));
    bench.list(&["v1.0.0", "v1.1.0"]);
    let marked = Some("gitlab; stale; condition=lagging".to_owned());
    let newer = ("v1.0.0\nv1.1.0\n".to_owned(), Freshness::Stale, marked);
    assert_eq!(told(&bench, &Question::List).await, newer);
    assert_eq!(told(&bench, &Question::List).await, newer);
    // The origin is back, and took a version away.
    bench.source.read_from(None);
    bench.list(&["v1.1.0"]);
    bench.clock.forward(10);
    assert_eq!(told(&bench, &Question::List).await, ("v1.1.0\n".to_owned(), Freshness::Revalidated, None));
}

#[tokio::test]
async fn latest_and_branches_go_no_step_back() {
    let bench = bench();
    let teach = |address: &str, version: &str| {
        bench.source.teach(PATH, address, Reply::info(Resolution::valid("latest", info_of(version))));
    };
    teach("@latest", "v1.1.0");
    let first = told(&bench, &Question::Latest).await;
    bench.clock.forward(24 * 3600);
    bench.source.read_from(mirror(Condition::Stale));
    teach("@latest", "v1.0.0");
    assert_eq!(told(&bench, &Question::Latest).await, (first.0, Freshness::Stale, None));
    bench.clock.forward(10);
    teach("@latest", "v1.2.0");
    let (text, freshness, via) = told(&bench, &Question::Latest).await;
    assert!(text.contains("v1.2.0"), "{text}");
    assert_eq!((freshness, via.is_some()), (Freshness::Stale, true));
}

#[tokio::test]
async fn files_of_a_mirror_in_sync_are_as_good_as_the_origins_and_looked_at_again_after_a_minute() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.source.read_from(mirror(Condition::InSync));
    for question in files("v1.0.0") {
        assert_eq!(told(&bench, &question).await.2.as_deref(), Some("gitlab"), "{question:?}");
        assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{question:?}");
    }
    bench.source.read_from(None);
    bench.clock.forward(60);
    for question in files("v1.0.0") {
        let (_, freshness, via) = told(&bench, &question).await;
        assert_eq!((freshness, via), (Freshness::Revalidated, None), "{question:?}");
    }
}

#[tokio::test]
async fn a_stale_mirrors_other_content_of_a_version_is_neither_given_nor_recorded() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    let first = told(&bench, &go_mod("v1.0.0")).await;
    bench.clock.forward(24 * 3600);
    bench.source.read_from(mirror(Condition::Diverged));
    bench.source.teach(PATH, "@v/v1.0.0.mod", Reply::Bytes("module another.example/m\n".into()));
    assert_eq!(told(&bench, &go_mod("v1.0.0")).await, (first.0, Freshness::Stale, None));
    assert!(bench.changes().is_empty());
}

#[tokio::test]
async fn a_failure_of_both_gives_what_is_kept_and_how_it_was_read() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.source.read_from(mirror(Condition::Stale));
    let first = told(&bench, &query("v1.0.0")).await;
    assert_eq!((first.1, first.2.as_deref()), (Freshness::Stale, Some("gitlab; stale; condition=stale")));
    bench.clock.forward(3600);
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(told(&bench, &query("v1.0.0")).await, first);
    assert_eq!(bench.entry(&go_mod("v1.0.0")).await.expect_err("not kept").kind(), Kind::BadGateway);
}

#[tokio::test]
async fn a_doubtful_content_of_a_version_does_not_outlive_the_origins_return() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.source.read_from(mirror(Condition::Diverged));
    bench.source.teach(PATH, "@v/v1.0.0.mod", Reply::Bytes("module another.example/m\n".into()));
    assert_eq!(told(&bench, &go_mod("v1.0.0")).await.1, Freshness::Stale);
    bench.source.read_from(None);
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.clock.forward(10);
    let right = format!("module {PATH}\n");
    assert_eq!(told(&bench, &go_mod("v1.0.0")).await, (right.clone(), Freshness::Revalidated, None));
    assert_eq!(told(&bench, &go_mod("v1.0.0")).await, (right, Freshness::Fresh, None));
    assert_eq!(bench.changes().len(), 1, "and it is no secret that it changed");
}

#[tokio::test]
async fn a_stale_mirrors_file_of_another_commit_neither_replaces_what_is_kept_nor_is_recorded() {
    for on_change in [OnChange::Keep, OnChange::Replace] {
        let bench = bench_with(Validity::default(), on_change);
        bench.source.tell_apart_by(Apart::Revision);
        bench.source.publish(PATH, "v1.0.0", b"zip");
        bench.source.commit(PATH, "v1.0.0", &"1".repeat(40));
        let first = told(&bench, &query("v1.0.0")).await.0;
        bench.source.read_from(mirror(Condition::Diverged));
        bench.source.commit(PATH, "v1.0.0", &"2".repeat(40));
        let error = bench.entry(&zip("v1.0.0")).await.expect_err("of another commit");
        assert_eq!(error.kind(), Kind::BadGateway);
        assert!(error.to_string().contains("out of reach"), "{error}");
        assert_eq!(told(&bench, &query("v1.0.0")).await, (first, Freshness::Fresh, None), "{on_change:?}");
        assert!(bench.changes().is_empty(), "{on_change:?}");
    }
}

#[tokio::test]
async fn an_info_of_a_stale_mirror_does_not_keep_the_origins_files_away() {
    let bench = bench();
    bench.source.tell_apart_by(Apart::Revision);
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.source.commit(PATH, "v1.0.0", &"1".repeat(40));
    bench.source.read_from(mirror(Condition::Diverged));
    assert_eq!(told(&bench, &query("v1.0.0")).await.1, Freshness::Stale);
    bench.source.read_from(None);
    bench.source.commit(PATH, "v1.0.0", &"2".repeat(40));
    assert_eq!(told(&bench, &zip("v1.0.0")).await.0, "zip");
    for question in [query("v1.0.0"), zip("v1.0.0")] {
        assert_eq!(bench.meta(&question).validators.revision, Some("2".repeat(40)), "{question:?}");
    }
}
