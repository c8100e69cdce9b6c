//! A released version that comes back different is never silent, and its files never come from two commits.

use std::sync::atomic::Ordering;

use chrono::DateTime;

use super::bench::{Bench, DAY, PATH, bench, bench_with, files, go_mod, query, zip};
use crate::error::{Error, Kind};
use crate::registry::doubles::{Apart, Reply, info_of};
use crate::registry::{Freshness, OnChange, Question, Validity};
use crate::spec::info::Info;
use crate::spec::resolution::Resolution;

const VERSION: &str = "v1.0.0";
const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";

/// What a version is after its tag was moved.
fn move_tag(bench: &Bench) {
    bench.source.publish(PATH, VERSION, b"another zip");
    let info = Info { time: DateTime::from_timestamp(1_600_000_000, 0), ..info_of(VERSION) };
    bench.source.teach(PATH, "@v/v1.0.0.info", Reply::info(Resolution::valid(VERSION, info)));
    bench.source.teach(PATH, "@v/v1.0.0.mod", Reply::Bytes("module example.com/Mod\n\ngo 1.21\n".into()));
    bench.source.commit(PATH, VERSION, NEW);
}

async fn first(on_change: OnChange, apart: Apart) -> Bench {
    let bench = bench_with(Validity::default(), on_change);
    bench.source.tell_apart_by(apart);
    bench.source.publish(PATH, VERSION, b"first zip");
    bench.source.commit(PATH, VERSION, OLD);
    bench
}

async fn text(bench: &Bench, question: Question) -> (String, Freshness) {
    bench.ask(question).await.expect("an answer")
}

#[tokio::test]
async fn by_default_the_first_content_is_served_and_the_difference_recorded() {
    for apart in [Apart::Nothing, Apart::Etag, Apart::Revision] {
        let bench = first(OnChange::Keep, apart).await;
        let mut was = Vec::new();
        for question in files(VERSION) {
            was.push(text(&bench, question).await.0);
        }
        move_tag(&bench);
        bench.clock.forward(DAY);
        for (question, was) in files(VERSION).into_iter().zip(was) {
            for _ in 0..2 {
                let again = text(&bench, question.clone()).await;
                assert_eq!(again, (was.clone(), Freshness::Stale), "{apart:?} {question:?}");
            }
            let mark = bench.meta(&question).changed.expect("a mark on the entry");
            let change = bench.changes().into_iter().find(|change| change.question == question.name());
            let change = change.unwrap_or_else(|| panic!("{apart:?} {question:?}: not recorded"));
            assert_eq!((change.module.as_str(), change.version.as_str()), (PATH, VERSION));
            assert_eq!((change.choice, change.seen_at), (OnChange::Keep, mark.seen_at));
            assert_eq!(change.found, mark.found, "{apart:?} {question:?}");
            assert_ne!(change.kept, change.found, "{apart:?} {question:?}");
        }
        assert_eq!(bench.changes().len(), 3, "{apart:?}");
        assert_eq!(bench.cached.counters().changes.load(Ordering::Relaxed), 3, "{apart:?}");
    }
}

#[tokio::test]
async fn a_record_names_what_was_kept_and_what_was_found() {
    let bench = first(OnChange::Keep, Apart::Revision).await;
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.entry(&query(VERSION)).await.expect("an info");
    move_tag(&bench);
    bench.clock.forward(DAY);
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.entry(&query(VERSION)).await.expect("an info");
    let changes = bench.changes();
    let of = |name: &str| changes.iter().find(|change| change.question == name).expect(name);
    let zip = of("zip");
    assert!(zip.kept.h1 != zip.found.h1 && zip.kept.sha256 != zip.found.sha256, "{zip:?}");
    assert_eq!((zip.kept.revision.as_deref(), zip.found.revision.as_deref()), (Some(OLD), Some(NEW)));
    let info = of("info");
    assert_eq!((info.kept.version.as_deref(), info.found.version.as_deref()), (Some(VERSION), Some(VERSION)));
    assert_eq!(info.found.time, DateTime::from_timestamp(1_600_000_000, 0));
    assert_ne!(info.kept.time, info.found.time);
}

#[tokio::test]
async fn the_same_difference_is_recorded_once_and_another_one_anew() {
    let bench = first(OnChange::Keep, Apart::Nothing).await;
    bench.entry(&zip(VERSION)).await.expect("a zip");
    for (content, records) in [("another zip", 1), ("another zip", 1), ("a third zip", 2)] {
        bench.source.publish(PATH, VERSION, content.as_bytes());
        bench.clock.forward(DAY);
        assert_eq!(text(&bench, zip(VERSION)).await, ("first zip".to_owned(), Freshness::Stale), "{content}");
        assert_eq!(bench.changes().len(), records, "{content}");
    }
    let seen = bench.changes().into_iter().map(|change| (change.last_seen_at - change.seen_at).num_days());
    let mut seen: Vec<i64> = seen.collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);
}

#[tokio::test]
async fn a_version_that_came_back_as_it_was_loses_its_mark_and_keeps_its_record() {
    let bench = first(OnChange::Keep, Apart::Nothing).await;
    bench.entry(&zip(VERSION)).await.expect("a zip");
    bench.source.publish(PATH, VERSION, b"another zip");
    bench.clock.forward(DAY);
    assert_eq!(bench.freshness(&zip(VERSION)).await, Freshness::Stale);
    bench.source.publish(PATH, VERSION, b"first zip");
    bench.clock.forward(DAY);
    assert_eq!(bench.freshness(&zip(VERSION)).await, Freshness::Revalidated);
    assert_eq!(bench.freshness(&zip(VERSION)).await, Freshness::Fresh);
    assert_eq!((bench.meta(&zip(VERSION)).changed, bench.changes().len()), (None, 1));
}

#[tokio::test]
async fn replace_overwrites_all_kept_files_of_the_version_and_records_it() {
    for apart in [Apart::Nothing, Apart::Etag, Apart::Revision] {
        let bench = first(OnChange::Replace, apart).await;
        for question in files(VERSION) {
            bench.entry(&question).await.expect("an answer");
        }
        move_tag(&bench);
        bench.clock.forward(DAY);
        let renewed = text(&bench, zip(VERSION)).await;
        assert_eq!(renewed, ("another zip".to_owned(), Freshness::Revalidated), "{apart:?}");
        bench.source.fail(Some(Error::bad_gateway("timed out")));
        let (go_mod, freshness) = text(&bench, go_mod(VERSION)).await;
        assert_eq!((go_mod.ends_with("go 1.21\n"), freshness), (true, Freshness::Fresh), "{apart:?}");
        let (info, freshness) = text(&bench, query(VERSION)).await;
        assert_eq!((info.contains("2020-09-13"), freshness), (true, Freshness::Fresh), "{apart:?}: {info}");
        let changes = bench.changes();
        assert_eq!(changes.len(), 3, "{apart:?}");
        assert!(changes.iter().all(|change| change.choice == OnChange::Replace), "{apart:?}");
        assert_eq!(bench.meta(&zip(VERSION)).changed, None, "{apart:?}");
    }
}

#[tokio::test]
async fn what_was_marked_is_replaced_at_once_when_the_choice_becomes_replace() {
    let bench = first(OnChange::Keep, Apart::Nothing).await;
    bench.entry(&zip(VERSION)).await.expect("a zip");
    move_tag(&bench);
    bench.clock.forward(DAY);
    assert_eq!(text(&bench, zip(VERSION)).await, ("first zip".to_owned(), Freshness::Stale));
    let bench = Bench { cached: bench.reopened_with(OnChange::Replace), ..bench };
    assert_eq!(text(&bench, zip(VERSION)).await, ("another zip".to_owned(), Freshness::Revalidated));
    assert_eq!(text(&bench, zip(VERSION)).await.1, Freshness::Fresh);
}

/// What was kept went first: where the new could not be written, nothing was left.
#[tokio::test]
async fn a_replacement_that_is_cut_short_leaves_all_of_the_old_or_only_new_and_never_nothing() {
    // A full disk still deletes; a killed process does nothing more until it is started again.
    for (writes, deletes_go) in (0..16).flat_map(|writes| [(writes, true), (writes, false)]) {
        let row = format!("after {writes} writes, {}", if deletes_go { "disk full" } else { "killed" });
        let bench = first(OnChange::Replace, Apart::Revision).await;
        for question in files(VERSION) {
            bench.entry(&question).await.expect("an answer");
        }
        bench.cached.flush().expect("uses");
        move_tag(&bench);
        bench.clock.forward(DAY);
        bench.store.end_after(writes, deletes_go);
        // Stale, new or an error: what counts is what is left.
        let _ = bench.entry(&query(VERSION)).await;
        bench.store.mend();
        if !deletes_go {
            bench.reopened_with(OnChange::Replace).settle().expect(&row);
        }
        let kept: Vec<_> =
            files(VERSION).into_iter().filter(|question| bench.store.keys().contains(&bench.key(question))).collect();
        let commits = kept.iter().map(|question| bench.meta(question).validators.revision.expect("a commit"));
        let commits: Vec<String> = commits.collect();
        assert!(!commits.is_empty(), "{row}: nothing is left");
        let old = commits.iter().filter(|commit| *commit == OLD).count();
        assert!(old == 0 || old == 3, "{row}: {old} of {} files are of the old commit", commits.len());
        assert!(writes > 3 || old == 3, "{row}: the notes come before the files");
        assert!(writes < 8 || (old, commits.len()) == (0, 3), "{row}: enough for all");
        assert!(!bench.store.keys().iter().any(|key| key.starts_with("replacing/")), "{row}");
    }
}

#[tokio::test]
async fn half_of_a_version_is_never_replaced() {
    let bench = first(OnChange::Replace, Apart::Nothing).await;
    for question in files(VERSION) {
        bench.entry(&question).await.expect("an answer");
    }
    move_tag(&bench);
    bench.source.forget(PATH, "@v/v1.0.0.mod");
    bench.clock.forward(DAY);
    assert_eq!(text(&bench, zip(VERSION)).await, ("first zip".to_owned(), Freshness::Stale));
    assert_eq!(text(&bench, go_mod(VERSION)).await.1, Freshness::Stale);
    assert_eq!(bench.store.keys().iter().filter(|key| key.starts_with("upstream/")).count(), 3);
}

/// A tag moved between two requests of one client, which then had the `.info` of one commit and the `.zip` of another.
#[tokio::test]
async fn a_tag_that_moves_between_info_and_zip_is_refused_with_both_commits_and_the_way_out() {
    let bench = first(OnChange::Keep, Apart::Revision).await;
    bench.entry(&query(VERSION)).await.expect("an info");
    move_tag(&bench);
    for _ in 0..2 {
        let error = bench.entry(&zip(VERSION)).await.expect_err("of another commit");
        assert_eq!(error.kind(), Kind::BadGateway);
        let expected = format!(
            "example.com/Mod@v1.0.0: upstream corp makes the .zip of commit {NEW}, and the .info kept here is of \
             commit {OLD} (expected all files of a version from one commit)"
        );
        assert_eq!(error.to_string().lines().next(), Some(expected.as_str()));
        let remedies: Vec<&str> = error.remedies().iter().map(|line| &**line).collect();
        assert_eq!(
            remedies,
            [
                "to take what the upstream has now: modvet cache rm example.com/Mod@v1.0.0",
                "to always do so: on_change = \"replace\" for upstream corp",
            ]
        );
    }
    assert_eq!(bench.source.count(PATH, "@v/v1.0.0.zip"), 1, "built once, not for every request");
    assert_eq!((bench.changes().len(), bench.changes()[0].question.as_str()), (1, "zip"));
    assert_eq!(bench.freshness(&query(VERSION)).await, Freshness::Fresh, "what was served first stays");
}

#[tokio::test]
async fn with_replace_a_tag_that_moves_between_info_and_zip_takes_the_info_along() {
    let bench = first(OnChange::Replace, Apart::Revision).await;
    bench.entry(&query(VERSION)).await.expect("an info");
    move_tag(&bench);
    assert_eq!(text(&bench, zip(VERSION)).await, ("another zip".to_owned(), Freshness::Absent));
    bench.source.fail(Some(Error::bad_gateway("timed out")));
    assert!(text(&bench, query(VERSION)).await.0.contains("2020-09-13"));
    for question in [query(VERSION), zip(VERSION)] {
        assert_eq!(bench.meta(&question).validators.revision.as_deref(), Some(NEW), "{question:?}");
    }
    assert_eq!(bench.changes().len(), 1, "the .info's");
}

#[tokio::test]
async fn files_that_are_the_same_stay_of_the_commit_of_their_siblings() {
    let bench = first(OnChange::Keep, Apart::Revision).await;
    for question in [query(VERSION), go_mod(VERSION)] {
        bench.entry(&question).await.expect("an answer");
    }
    // The tag moved to a commit that differs in neither of them.
    bench.source.commit(PATH, VERSION, NEW);
    bench.clock.forward(DAY);
    for question in [query(VERSION), go_mod(VERSION)] {
        assert_eq!(bench.freshness(&question).await, Freshness::Revalidated, "{question:?}");
        assert_eq!(bench.meta(&question).validators.revision.as_deref(), Some(OLD), "{question:?}");
    }
    assert!(bench.changes().is_empty());
    assert_eq!(bench.entry(&zip(VERSION)).await.expect_err("of another commit").kind(), Kind::BadGateway);
}

#[tokio::test]
async fn a_wrong_name_has_its_files_beside_a_verdict_that_rests_on_the_tags() {
    const ASKED: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    let bench = bench();
    bench.source.tell_apart_by(Apart::Revision);
    bench.source.misname(PATH, ASKED, "v0.0.0-20190813064441-fde4db37ae7a");
    bench.source.commit(PATH, ASKED, OLD);
    for question in files(ASKED) {
        assert_eq!(bench.freshness(&question).await, Freshness::Absent, "{question:?}");
    }
}
