//! How long what is kept is good, and what is done when it no longer is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench::{Bench, DAY, PATH, bench, bench_with, files, go_mod, impatient, query, zip};
use crate::error::{Error, Kind};
use crate::ports::Store as _;
use crate::registry::doubles::{Apart, Reply, info_of, module, version};
use crate::registry::{Freshness, OnChange, Question, Reach, Validity};
use crate::spec::info::{Info, Origin};
use crate::spec::resolution::Resolution;

const VERSION: &str = "v1.0.0";

/// All that goes stale.
fn listings() -> [Question; 4] {
    [Question::List, Question::Latest, query("main"), query("fde4db37ae7a")]
}

fn teach_listings(bench: &Bench, text: &str) {
    bench.list(&[text]);
    bench.source.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of(text))));
    for name in ["main", "fde4db37ae7a"] {
        bench.source.teach(PATH, &format!("@v/{name}.info"), Reply::info(Resolution::valid(name, info_of(text))));
    }
}

fn address(question: &Question) -> String {
    crate::spec::path::unescape(&question.address()).expect("escaped")
}

#[tokio::test]
async fn lists_latest_and_branches_are_fresh_for_a_minute() {
    let bench = bench();
    teach_listings(&bench, VERSION);
    for question in listings() {
        assert_eq!(bench.freshness(&question).await, Freshness::Absent, "{question:?}");
    }
    bench.clock.forward(59);
    for question in listings() {
        assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{question:?}");
        assert_eq!(bench.source.count(PATH, &address(&question)), 1, "{question:?}");
    }
}

#[tokio::test]
async fn past_their_minute_they_are_served_at_once_and_renewed_in_the_background() {
    for later in [60, DAY - 1] {
        let bench = bench();
        teach_listings(&bench, VERSION);
        for question in listings() {
            bench.entry(&question).await.expect("an answer");
        }
        teach_listings(&bench, "v1.1.0");
        bench.clock.forward(later);
        // Held, so that what is served at once waits for nobody.
        let gate = bench.source.hold();
        for question in listings() {
            for _ in 0..3 {
                let entry = bench.entry(&question).await.expect("an answer");
                assert_eq!(
                    (entry.freshness, entry.age),
                    (Freshness::Stale, Duration::from_secs(later)),
                    "{question:?}"
                );
            }
        }
        gate.add_permits(100);
        for question in listings() {
            let entry = bench.until(&question, Freshness::Fresh).await;
            let text = String::from_utf8(entry.blob.read_all(4096).expect("a body").to_vec()).expect("text");
            assert!(text.contains("v1.1.0"), "{question:?}: {text}");
            assert_eq!(bench.source.count(PATH, &address(&question)), 2, "{question:?}: one renewal at a time");
        }
    }
}

#[tokio::test]
async fn a_day_later_the_upstream_is_asked_first() {
    let bench = bench();
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("a list");
    bench.list(&["v1.0.0", "v1.1.0"]);
    bench.clock.forward(DAY);
    let renewed = bench.ask(Question::List).await.expect("a list");
    assert_eq!(renewed, ("v1.0.0\nv1.1.0\n".to_owned(), Freshness::Revalidated), "different: fetched again");
}

#[tokio::test]
async fn without_a_list_validity_the_upstream_is_always_asked_first() {
    let validity = Validity { listing: Duration::ZERO, ..Validity::default() };
    let bench = bench_with(validity, OnChange::Keep);
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("a list");
    bench.list(&["v1.1.0"]);
    assert_eq!(bench.ask(Question::List).await.expect("a list"), ("v1.1.0\n".to_owned(), Freshness::Revalidated));
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(bench.ask(Question::List).await.expect("kept"), ("v1.1.0\n".to_owned(), Freshness::Stale));
}

#[tokio::test]
async fn files_of_a_version_are_looked_at_again_after_a_day() {
    let bench = bench();
    bench.source.publish(PATH, VERSION, b"zip");
    for question in files(VERSION) {
        assert_eq!(bench.freshness(&question).await, Freshness::Absent, "{question:?}");
    }
    bench.clock.forward(DAY - 1);
    for question in files(VERSION) {
        assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{question:?}");
    }
    bench.clock.forward(1);
    for question in files(VERSION) {
        assert_eq!(bench.freshness(&question).await, Freshness::Revalidated, "{question:?}");
        assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{question:?}: its time is renewed");
        assert_eq!(bench.source.count(PATH, &address(&question)), 2, "{question:?}");
    }
    assert!(bench.changes().is_empty());
}

#[tokio::test]
async fn zero_never_checks_files_again_and_lists_still_renew() {
    let bench = bench_with(Validity { content: None, ..Validity::default() }, OnChange::Keep);
    bench.source.publish(PATH, VERSION, b"zip");
    bench.list(&[VERSION]);
    for question in files(VERSION) {
        bench.entry(&question).await.expect("an answer");
    }
    bench.entry(&Question::List).await.expect("a list");
    bench.clock.forward(365 * DAY);
    for question in files(VERSION) {
        assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{question:?}");
        assert_eq!(bench.source.count(PATH, &address(&question)), 1, "{question:?}");
    }
    assert_eq!(bench.freshness(&Question::List).await, Freshness::Revalidated);
}

#[tokio::test]
async fn the_same_etag_last_modified_or_revision_keeps_the_entry_and_renews_its_time() {
    for apart in [Apart::Etag, Apart::LastModified, Apart::Revision] {
        let bench = bench();
        bench.source.tell_apart_by(apart);
        bench.source.publish(PATH, VERSION, b"zip");
        bench.source.commit(PATH, VERSION, "fde4db37ae7a");
        bench.list(&[VERSION]);
        let questions = files(VERSION).into_iter().chain([Question::List]);
        for question in questions.clone() {
            bench.entry(&question).await.expect("an answer");
        }
        bench.clock.forward(DAY);
        for question in questions {
            let before = bench.meta(&question);
            assert!(!before.validators.is_empty(), "{apart:?} {question:?}");
            assert_eq!(bench.freshness(&question).await, Freshness::Revalidated, "{apart:?} {question:?}");
            assert_eq!(bench.source.count(PATH, &address(&question)), 1, "{apart:?} {question:?}: not fetched again");
            assert_eq!(bench.source.checks(PATH, &address(&question)), 1, "{apart:?} {question:?}");
            let after = bench.meta(&question);
            assert_eq!(after.fetched_at, before.fetched_at, "{apart:?} {question:?}");
            assert_eq!((after.checked_at - before.checked_at).num_hours(), 24, "{apart:?} {question:?}");
            assert_eq!(bench.freshness(&question).await, Freshness::Fresh, "{apart:?} {question:?}");
        }
    }
}

#[tokio::test]
async fn a_list_with_another_etag_is_fetched_again_and_replaced() {
    let bench = bench();
    bench.source.tell_apart_by(Apart::Etag);
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("a list");
    let before = bench.meta(&Question::List).validators;
    bench.list(&["v1.0.0", "v1.1.0"]);
    bench.clock.forward(DAY);
    assert_eq!(bench.ask(Question::List).await.expect("a list").0, "v1.0.0\nv1.1.0\n");
    assert_eq!((bench.source.checks(PATH, "@v/list"), bench.source.count(PATH, "@v/list")), (1, 2));
    assert_ne!(bench.meta(&Question::List).validators, before);
}

#[tokio::test]
async fn an_info_that_differs_in_origin_only_is_the_same() {
    let bench = bench();
    let teach = |hash: &str| {
        let origin = Origin { vcs: "git".to_owned(), hash: hash.to_owned(), ..Origin::default() };
        let info = Info { origin: Some(origin), ..info_of(VERSION) };
        bench.source.teach(PATH, "@v/v1.0.0.info", Reply::info(Resolution::valid(VERSION, info)));
    };
    teach("one");
    let first = bench.ask(query(VERSION)).await.expect("an info").0;
    teach("two");
    bench.clock.forward(DAY);
    let again = bench.ask(query(VERSION)).await.expect("an info");
    assert_eq!(again, (first, Freshness::Revalidated));
    assert!(bench.changes().is_empty());
}

#[tokio::test]
async fn unreachable_serves_what_is_kept_and_marks_it() {
    for (row, error) in [
        ("failed", Error::bad_gateway("timed out")),
        ("refused", Error::forbidden("not for you")),
        ("full", Error::unavailable("come back later")),
    ] {
        let bench = bench();
        bench.source.publish(PATH, VERSION, b"zip");
        teach_listings(&bench, VERSION);
        let questions = || files(VERSION).into_iter().chain(listings());
        for question in questions() {
            bench.entry(&question).await.expect("an answer");
        }
        bench.source.fail(Some(error));
        bench.clock.forward(30 * DAY);
        let before = bench.source.total();
        for question in questions() {
            for _ in 0..3 {
                let entry = bench.entry(&question).await.expect("what is kept");
                assert_eq!((entry.freshness, entry.age.as_secs()), (Freshness::Stale, 30 * DAY), "{row} {question:?}");
            }
        }
        assert_eq!(bench.source.total() - before, 7, "{row}: a failed upstream is left alone for a while");
        bench.clock.forward(10);
        bench.source.fail(None);
        for question in questions() {
            assert_eq!(bench.freshness(&question).await, Freshness::Revalidated, "{row} {question:?}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_gone_upstream_is_served_while_it_is_held() {
    for (row, apart) in [("asked in full", Apart::Nothing), ("asked by etag", Apart::Etag)] {
        let bench = bench();
        bench.source.tell_apart_by(apart);
        bench.source.publish(PATH, VERSION, b"zip");
        for question in files(VERSION) {
            bench.entry(&question).await.expect("an answer");
        }
        for question in files(VERSION) {
            bench.source.forget(PATH, &address(&question));
        }
        bench.clock.forward(DAY);
        for question in files(VERSION) {
            assert_eq!(bench.freshness(&question).await, Freshness::Stale, "{row} {question:?}");
        }
        assert_eq!(bench.store.keys().len(), 3, "{row}");
    }
}

#[tokio::test]
async fn a_hanging_upstream_lets_nobody_wait_who_can_be_served() {
    let patience = Validity::default().patience;
    assert!(patience <= Duration::from_millis(800), "a stale answer within a second");
    let bench = bench_with(impatient(), OnChange::Keep);
    bench.source.publish(PATH, VERSION, b"zip");
    teach_listings(&bench, VERSION);
    let questions = || files(VERSION).into_iter().chain(listings());
    for question in questions() {
        bench.entry(&question).await.expect("an answer");
    }
    bench.clock.forward(2 * DAY);
    let gate = bench.source.hold();
    for question in questions() {
        assert_eq!(bench.freshness(&question).await, Freshness::Stale, "{question:?}");
    }
    // The work has gone on behind.
    gate.add_permits(100);
    for question in questions() {
        bench.until(&question, Freshness::Fresh).await;
    }
}

#[tokio::test]
async fn after_one_request_waited_for_a_hanging_upstream_the_others_do_not() {
    let validity = Validity { patience: Duration::from_millis(300), ..Validity::default() };
    let bench = bench_with(validity, OnChange::Keep);
    for number in 0..20 {
        bench.source.publish(PATH, &format!("v1.{number}.0"), b"zip");
        bench.entry(&zip(&format!("v1.{number}.0"))).await.expect("a zip");
    }
    bench.clock.forward(DAY);
    let _gate = bench.source.hold();
    let start = std::time::Instant::now();
    for number in 0..20 {
        assert_eq!(bench.freshness(&zip(&format!("v1.{number}.0"))).await, Freshness::Stale);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "half of what they would wait together");
}

#[tokio::test]
async fn an_absence_takes_a_list_or_a_branch_away_and_is_cached_for_a_short_time() {
    let bench = bench();
    teach_listings(&bench, VERSION);
    for question in listings() {
        bench.entry(&question).await.expect("an answer");
    }
    bench.clock.forward(DAY);
    for question in listings() {
        bench.source.forget(PATH, &address(&question));
        for _ in 0..2 {
            let error = bench.entry(&question).await.expect_err("gone");
            assert_eq!(error.kind(), Kind::NotFound, "{question:?}");
        }
        assert_eq!(bench.source.count(PATH, &address(&question)), 2, "{question:?}: remembered");
        assert_eq!(bench.store.get(&bench.key(&question)).expect("a store").map(drop), None, "{question:?}");
    }
    bench.clock.forward(10);
    teach_listings(&bench, VERSION);
    for question in listings() {
        assert_eq!(bench.freshness(&question).await, Freshness::Absent, "{question:?}");
    }
}

#[tokio::test]
async fn an_absence_found_out_in_the_background_takes_the_list_away_too() {
    let bench = bench();
    bench.list(&["v1.0.0"]);
    bench.ask(Question::List).await.expect("a list");
    bench.source.forget(PATH, "@v/list");
    bench.clock.forward(60);
    assert_eq!(bench.freshness(&Question::List).await, Freshness::Stale);
    while bench.entry(&Question::List).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.store.keys(), [""; 0]);
}

#[tokio::test]
async fn an_entry_says_what_it_is_and_who_wanted_it() {
    let bench = bench();
    bench.source.tell_apart_by(Apart::Etag);
    bench.source.publish(PATH, VERSION, &[7; 100_000]);
    let since = bench.meta_of(&zip(VERSION)).await;
    assert_eq!((since.downloads, since.last_used), (0, None), "not yet written down");
    for _ in 0..4 {
        bench.clock.forward(1);
        bench.entry(&zip(VERSION)).await.expect("a zip");
        bench.entry(&go_mod(VERSION)).await.expect("a go.mod");
    }
    bench.cached.flush().expect("a store");
    let meta = bench.meta(&zip(VERSION));
    assert_eq!(meta.content_type, "application/zip");
    assert_eq!((meta.fetched_at, meta.checked_at), (since.fetched_at, since.checked_at));
    assert_eq!(meta.downloads, 5);
    assert_eq!(meta.last_used.map(|used| (used - meta.fetched_at).num_seconds()), Some(4));
    assert!(meta.validators.etag.is_some() && meta.h1.is_some(), "{meta:?}");
    assert_eq!(bench.meta(&go_mod(VERSION)).downloads, 4);
    // Nor is a use lost when the entry is renewed or nobody flushes.
    bench.clock.forward(DAY);
    bench.entry(&zip(VERSION)).await.expect("a zip");
    let Bench { store, cached, .. } = bench;
    // Not on the thread that answers requests: until then nothing else runs on it.
    let writes = store.writes.load(Ordering::SeqCst);
    drop(cached);
    while store.writes.load(Ordering::SeqCst) == writes {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let key = store.keys().into_iter().find(|key| key.ends_with(".zip")).expect("a zip");
    let meta = crate::registry::Meta::parse(&store.get(&key).expect("a store").expect("an entry").meta);
    assert_eq!(meta.map(|meta| meta.downloads), Some(6));
}

#[tokio::test]
async fn a_warm_answer_neither_reads_nor_writes_the_store() {
    let bench = bench();
    bench.source.publish(PATH, VERSION, b"zip");
    bench.entry(&query(VERSION)).await.expect("an info");
    let counts = || (bench.store.reads.load(Ordering::SeqCst), bench.store.writes.load(Ordering::SeqCst));
    let before = counts();
    for _ in 0..100 {
        bench.entry(&query(VERSION)).await.expect("an info");
    }
    assert_eq!(counts(), before);
    bench.cached.flush().expect("a store");
    assert_eq!(bench.meta(&query(VERSION)).downloads, 101);
}

#[tokio::test]
async fn what_was_taken_out_is_forgotten_at_once() {
    let bench = bench();
    bench.source.publish(PATH, VERSION, b"zip");
    bench.entry(&query(VERSION)).await.expect("an info");
    let key = bench.key(&query(VERSION));
    bench.store.delete(&key).expect("a store");
    bench.cached.forget(&key);
    assert_eq!(bench.freshness(&query(VERSION)).await, Freshness::Absent);
    bench.store.delete(&key).expect("a store");
    bench.cached.forget_all();
    let error = bench.cached.ask(&module(PATH), &query(VERSION), Reach::Cache).await.expect_err("nothing kept");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn what_an_upstream_was_asked_is_counted() {
    let bench = bench();
    bench.source.publish(PATH, VERSION, b"0123456789");
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.entry(&query("nowhere")).await.expect_err("no such branch");
    bench.clock.forward(DAY);
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.clock.forward(DAY);
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    bench.entry(&zip(VERSION)).await.expect("a zip");
    let counters = bench.cached.counters();
    let numbers = [
        &counters.misses,
        &counters.hits,
        &counters.revalidated,
        &counters.stale,
        &counters.asked,
        &counters.absences,
        &counters.failures,
        &counters.changes,
        &counters.bytes,
    ];
    assert_eq!(numbers.map(|number| number.load(Ordering::Relaxed)), [1, 1, 1, 1, 4, 1, 1, 0, 40]);
    let health = bench.cached.health();
    assert_eq!((health.consecutive_failures, health.failure.as_deref()), (1, Some("timed out")));
    assert!(health.last_failure > health.last_success);
}

impl Bench {
    /// After a first answer.
    async fn meta_of(&self, question: &Question) -> crate::registry::Meta {
        self.entry(question).await.expect("an answer");
        self.meta(question)
    }
}

/// A verdict on a wrong name rests on the tags, as a list does.
#[tokio::test]
async fn a_verdict_on_a_wrong_name_is_renewed_as_a_list_is() {
    const ASKED: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    let bench = bench();
    bench.source.misname(PATH, ASKED, "v0.0.0-20190813064441-fde4db37ae7a");
    assert_eq!(bench.freshness(&query(ASKED)).await, Freshness::Absent);
    bench.clock.forward(60);
    assert_eq!(bench.freshness(&query(ASKED)).await, Freshness::Stale);
    bench.until(&query(ASKED), Freshness::Fresh).await;
    bench.clock.forward(DAY);
    assert_eq!(bench.freshness(&query(ASKED)).await, Freshness::Revalidated);
    assert_eq!(bench.freshness(&zip(version(ASKED).as_str())).await, Freshness::Absent);
}
