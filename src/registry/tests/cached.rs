//! What is kept, how long it is good, and who is asked how often.

use std::sync::atomic::Ordering;

use super::bench::{PATH, bench, query};
use crate::error::{Error, Kind};
use crate::ports::Store as _;
use crate::registry::doubles::{Reply, module, version};
use crate::registry::{Freshness, Question, Reach};

#[tokio::test]
async fn an_absence_is_remembered_for_ten_seconds() {
    let bench = bench();
    for _ in 0..2 {
        assert_eq!(bench.ask(query("main")).await.expect_err("absent").kind(), Kind::NotFound);
    }
    assert_eq!(bench.source.total(), 1);
    bench.source.point(PATH, "main", "v1.0.0");
    bench.clock.forward(10);
    bench.ask(query("main")).await.expect("there now");
}

#[tokio::test]
async fn a_failure_with_nothing_kept_is_asked_again_at_once() {
    let bench = bench();
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(bench.ask(Question::List).await.expect_err("failed").kind(), Kind::BadGateway);
    bench.source.fail(None);
    bench.list(&[]);
    assert_eq!(bench.ask(Question::List).await.expect("list"), (String::new(), Freshness::Absent));
}

#[tokio::test]
async fn a_version_is_fetched_once_and_kept_over_a_restart() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", &[7; 100_000]);
    let questions = || [query("v1.0.0"), Question::GoMod(version("v1.0.0")), Question::Zip(version("v1.0.0"))];
    for question in questions() {
        assert_eq!(bench.ask(question).await.expect("answer").1, Freshness::Absent);
    }
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    bench.clock.forward(24 * 3600 - 1);
    let reopened = bench.reopened();
    for question in questions() {
        let entry = reopened.ask(&module(PATH), &question, Reach::Upstream).await.expect("answer");
        assert_eq!(entry.freshness, Freshness::Fresh, "{question:?}");
    }
    assert_eq!(bench.source.total(), 3);
    let mut keys = bench.store.keys();
    keys.sort();
    let shelf = bench.cached.shelf().as_str();
    let base = format!("upstream/{shelf}/example.com/!mod/@v/v1.0.0");
    assert_eq!(keys, [".info", ".mod", ".zip"].map(|ending| format!("{base}{ending}")));
}

#[tokio::test]
async fn many_clients_make_one_fetch() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    let gate = bench.source.hold();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let cached = bench.cached.clone();
        clients
            .spawn(async move { cached.ask(&module(PATH), &Question::Zip(version("v1.0.0")), Reach::Upstream).await });
    }
    while bench.source.total() == 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    while let Some(entry) = clients.join_next().await {
        assert_eq!(entry.expect("no panic").expect("answer").blob.size(), 3);
    }
    assert_eq!(bench.source.total(), 1);
}

#[tokio::test]
async fn a_branch_makes_its_version_known() {
    const PSEUDO: &str = "v0.0.0-20190813064441-fde4db37ae7a";
    let bench = bench();
    bench.source.point(PATH, "main", PSEUDO);
    bench.ask(query("main")).await.expect("branch");
    let entry = bench.cached.ask(&module(PATH), &query(PSEUDO), Reach::Upstream).await.expect("version");
    assert_eq!(entry.freshness, Freshness::Fresh);
    let resolution = entry.into_resolution().expect("resolution");
    let origin = resolution.right.origin.expect("origin");
    assert_eq!((origin.reference.as_str(), origin.tag_sum.as_str()), ("", ""), "what only the branch rests on");
    assert_eq!(origin.hash, "fde4db37ae7ad8191b03d30d27f258b5291ae4e3");
    assert_eq!(bench.source.total(), 1);
}

/// A tag that was moved away and came back made a verdict wrong for a minute longer than needed.
#[tokio::test]
async fn what_a_branch_stands_for_now_replaces_an_older_verdict_on_its_name() {
    const ASKED: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    let bench = bench();
    bench.source.misname(PATH, ASKED, "v0.0.0-20190813064441-fde4db37ae7a");
    bench.ask(query(ASKED)).await.expect("verdict");
    bench.source.point(PATH, "main", ASKED);
    bench.ask(query("main")).await.expect("branch");
    let entry = bench.cached.ask(&module(PATH), &query(ASKED), Reach::Upstream).await.expect("version");
    assert!(entry.into_resolution().expect("resolution").is_valid());
}

#[tokio::test]
async fn without_fetching_only_what_is_kept_is_served() {
    let bench = bench();
    bench.list(&["v1.0.0"]);
    let path = module(PATH);
    let ask = || bench.cached.ask(&path, &Question::List, Reach::Cache);
    assert_eq!(ask().await.expect_err("nothing kept").kind(), Kind::NotFound);
    assert_eq!(bench.source.total(), 0);
    bench.ask(Question::List).await.expect("list");
    assert_eq!(ask().await.expect("kept").freshness, Freshness::Fresh);
    bench.clock.forward(60);
    assert_eq!(ask().await.expect("kept").freshness, Freshness::Stale);
    assert_eq!(bench.source.total(), 1);
}

#[tokio::test]
async fn small_answers_come_from_memory_but_not_for_long() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.ask(query("v1.0.0")).await.expect("info");
    let reads = || bench.store.reads.load(Ordering::SeqCst);
    let before = reads();
    bench.ask(query("v1.0.0")).await.expect("info");
    assert_eq!(reads(), before);
    bench.clock.forward(10);
    bench.store.delete(&bench.store.keys()[0]).expect("delete");
    assert_eq!(bench.ask(query("v1.0.0")).await.expect("info").1, Freshness::Absent, "taken out by somebody else");
}

#[tokio::test]
async fn an_entry_that_does_not_read_as_one_is_fetched_anew() {
    let bench = bench();
    bench.source.publish(PATH, "v1.0.0", b"zip");
    bench.ask(query("v1.0.0")).await.expect("info");
    bench.store.spoil(&bench.store.keys()[0]);
    bench.clock.forward(10);
    assert_eq!(bench.ask(query("v1.0.0")).await.expect("info").1, Freshness::Absent);
}

#[tokio::test]
async fn a_source_that_panics_costs_its_own_question_only() {
    let bench = bench();
    bench.source.teach(PATH, "@v/list", Reply::Panic);
    assert_eq!(bench.ask(Question::List).await.expect_err("panic").kind(), Kind::Internal);
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("list");
}

/// They were counted and not weighed: 10,000 long paths were 80 MB for each upstream.
#[tokio::test]
async fn what_the_upstream_does_not_have_is_remembered_within_its_bytes() {
    let bench = bench();
    let long = "x".repeat(2000);
    for number in 0..3_000 {
        let absent = module(&format!("example.com/{long}/{number}"));
        let error = bench.cached.ask(&absent, &Question::List, Reach::Upstream).await.expect_err("absent");
        assert_eq!(error.kind(), Kind::NotFound);
    }
    let refusals = &bench.cached.inner.refusals;
    assert!(refusals.weight() <= 4 << 20, "{}", refusals.weight());
    assert!(refusals.len() > 300, "the latest are remembered: {}", refusals.len());
}
