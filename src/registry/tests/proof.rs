//! No file is given before it was held against the witness; what cannot be is marked or refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bench::{go_mod, zip};
use super::court::{CONTENT, Court, DAY, PATH, VERSION, WRONG, files, misnamed, replacing};
use crate::access::Ledger;
use crate::error::Kind;
use crate::ports::ReleasedFile::{Mod, Zip};
use crate::registry::doubles::{Drawer, Hands, Known, Notary, h1_of, member, member_over, module};
use crate::registry::{
    Book, Cached, Demand, Freshness, Judgement, Life, Mark, Mode, OnFailure, Proof, Prover, Reach, Registry, Shelf,
    Validity,
};

#[tokio::test]
async fn what_the_witness_knows_is_given_and_asked_about_once() {
    for demand in [Demand::Auto, Demand::Required] {
        let court = Court::new(demand);
        for question in files() {
            for _ in 0..3 {
                let answer = court.ask(&question).await.expect("an answer");
                assert_eq!((answer.proof, answer.life), (Some(Proof::Verified), Life::Forever), "{question:?}");
            }
            let at = court.registry.book.now();
            assert_eq!(court.mark(&question), Some(Mark::Verified { database: "sum.test".to_owned(), at }));
        }
        let asked = [format!("{PATH}@{VERSION} Mod"), format!("{PATH}@{VERSION} Zip")];
        assert_eq!(court.notary.asked(), asked);
        let court = court.reopened(demand);
        court.lose(true);
        for question in files() {
            assert_eq!(court.proof(&question).await, Some(Proof::Verified), "kept, after a start, without the witness");
        }
        assert_eq!(court.notary.asked(), asked);
    }
}

#[tokio::test]
async fn a_warm_answer_reads_and_writes_nothing() {
    let court = Court::new(Demand::Auto);
    court.proof(&go_mod(VERSION)).await;
    let before = (court.store.reads.load(Ordering::SeqCst), court.store.writes.load(Ordering::SeqCst));
    assert_eq!(court.proof(&go_mod(VERSION)).await, Some(Proof::Verified));
    assert_eq!((court.store.reads.load(Ordering::SeqCst), court.store.writes.load(Ordering::SeqCst)), before);
}

#[tokio::test]
async fn without_a_prover_nobody_is_asked_and_nothing_is_marked() {
    let (source, store, clock) = (Known::new(), Drawer::new(), Hands::new());
    source.publish(PATH, VERSION, CONTENT);
    let members = vec![member("corp", &source, &store, &clock, Judgement::Believed)];
    let registry = Registry::new("default", Mode::Rewrite, members, Book::new("default", store.clone(), clock));
    let answer = registry.answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect("an answer");
    assert_eq!((answer.proof, answer.life), (None, Life::Forever));
}

const OTHER: &[u8] = b"what everybody else gets";

#[tokio::test]
async fn a_lie_is_never_given() {
    for demand in [Demand::Auto, Demand::Required] {
        for (question, file) in files().into_iter().zip([Mod, Zip]) {
            let court = Court::new(demand);
            let content = if file == Mod { format!("module {PATH}\n").into_bytes() } else { CONTENT.to_vec() };
            court.know(file, OTHER);
            for _ in 0..2 {
                let error = court.refusal(&question).await;
                assert_eq!(error.kind(), Kind::BadGateway);
                let text = error.to_string();
                let what = if file == Mod { "go.mod" } else { "module" };
                let (served, known) = (h1_of(&content), h1_of(OTHER));
                let expected = format!(
                    "{PATH}@{VERSION}: upstream corp: verifying {what}: checksum mismatch\n\
                     downloaded: {served}\nsum.test: {known}\n\
                     SECURITY ERROR: this is not what everybody else gets, so it is not served"
                );
                assert_eq!(text, expected);
            }
            assert_eq!(court.count(&question), 1, "not fetched again for a short time");
            assert_eq!(court.notary.asked().len(), 1);
            assert!(court.meta(&question).is_none(), "gone from the cache");
            // Nor is anything kept given without asking.
            let kept = court.registry.answer(&module(PATH), &question, Reach::Cache).await;
            assert_eq!(kept.expect_err("nothing is kept").kind(), Kind::NotFound);
            let court = court.reopened(demand);
            assert_eq!(court.refusal(&question).await.kind(), Kind::BadGateway, "after a start");
            let [mismatch] = court.mismatches().try_into().expect("one record");
            assert_eq!((mismatch.upstream.as_str(), mismatch.module.as_str()), ("corp", PATH));
            assert_eq!((mismatch.version.as_str(), mismatch.file.as_str()), (VERSION, question.name()));
            assert_eq!((mismatch.h1, mismatch.recorded), (h1_of(&content), h1_of(OTHER)));
            assert_eq!(mismatch.database, "sum.test");
            let counters = court.registry.members[0].source.counters();
            assert_eq!(counters.mismatches.load(Ordering::Relaxed), 1);
        }
    }
}

#[tokio::test]
async fn a_database_that_contradicts_itself_lets_nothing_through_and_nothing_is_lost() {
    for demand in [Demand::Auto, Demand::Required] {
        let court = Court::new(demand);
        court.notary.is_forked.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let error = court.refusal(&zip(VERSION)).await;
            let expected = format!("{PATH}@{VERSION}: upstream corp: sum.test contradicts itself");
            assert_eq!((error.kind(), error.to_string()), (Kind::BadGateway, expected));
        }
        assert_eq!((court.mark(&zip(VERSION)), court.mismatches().len()), (None, 0));
        court.notary.is_forked.store(false, Ordering::SeqCst);
        assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
        assert_eq!(court.count(&zip(VERSION)), 1, "the file was not to blame");
    }
}

#[tokio::test]
async fn an_upstream_that_mends_its_lie_is_believed_a_little_later() {
    let court = Court::new(Demand::Auto);
    court.know(Zip, b"the true zip");
    court.refusal(&zip(VERSION)).await;
    court.source.publish(PATH, VERSION, b"the true zip");
    court.refusal(&zip(VERSION)).await;
    court.clock.forward(11);
    assert_eq!(court.text(&zip(VERSION)).await, "the true zip");
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
}

#[tokio::test]
async fn many_clients_after_one_cold_file_ask_the_witness_once() {
    let court = Arc::new(Court::new(Demand::Auto));
    let gate = court.notary.hold();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let court = court.clone();
        clients.spawn(async move { court.proof(&zip(VERSION)).await });
    }
    while court.notary.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(clients.try_join_next().is_none(), "nobody is given anything before the witness spoke");
    gate.add_permits(1);
    let proofs = clients.join_all().await;
    assert_eq!(proofs, vec![Some(Proof::Verified); 20]);
    assert_eq!((court.notary.asked().len(), court.count(&zip(VERSION))), (1, 1));
}

#[tokio::test]
async fn who_waited_for_a_lie_does_not_get_it_either() {
    let court = Arc::new(Court::new(Demand::Auto));
    court.know(Zip, b"another");
    let gate = court.notary.hold();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let court = court.clone();
        clients.spawn(async move { court.ask(&zip(VERSION)).await.map(|_| ()) });
    }
    while court.notary.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    gate.add_permits(20);
    for outcome in clients.join_all().await {
        assert_eq!(outcome.expect_err("refused").kind(), Kind::BadGateway);
    }
    assert!(court.meta(&zip(VERSION)).is_none());
}

#[tokio::test]
async fn auto_gives_what_nobody_can_vouch_for_and_marks_it() {
    let court = Court::new(Demand::Auto);
    court.lose(true);
    for question in files() {
        for _ in 0..3 {
            let answer = court.ask(&question).await.expect("an answer");
            assert_eq!((answer.proof, answer.life), (Some(Proof::Unverified), Life::Short));
        }
        let since = court.registry.book.now();
        let why = "sum.test: connection refused".to_owned();
        assert_eq!(court.mark(&question), Some(Mark::Unverified { why, since }));
    }
    assert_eq!(court.notary.asked().len(), 2, "clients do not wait for a second try");
    assert_eq!(court.proofs.unverified(), 2);
    let [first, _] = court.proofs.waiting(10).try_into().expect("two");
    assert_eq!((first.upstream.as_str(), first.module.as_str()), ("corp", PATH));
    assert_eq!((first.version.as_str(), first.file.as_str()), (VERSION, "mod"));
}

#[tokio::test]
async fn required_refuses_what_nobody_can_vouch_for_until_somebody_can() {
    let court = Court::new(Demand::Required);
    court.lose(true);
    for question in files() {
        let error = court.refusal(&question).await;
        let expected = format!(
            "{PATH}@{VERSION}: upstream corp: the .{} is not verified: sum.test: connection refused\n\
             try again when the checksum database answers\n\
             to serve it meanwhile: verify = \"auto\" below [sumdb]\n\
             a module that no checksum database may know: name it in `private` below [sumdb]",
            question.name()
        );
        assert_eq!((error.kind(), error.to_string()), (Kind::BadGateway, expected));
        assert_eq!(court.refusal(&question).await.kind(), Kind::BadGateway, "kept, and unverified still");
    }
    court.lose(false);
    for question in files() {
        assert_eq!(court.proof(&question).await, Some(Proof::Verified), "at once");
        assert_eq!(court.count(&question), 1, "what was kept is given");
    }
    assert_eq!(court.proofs.unverified(), 0);
}

#[tokio::test]
async fn required_refuses_what_auto_had_given() {
    let court = Court::new(Demand::Auto);
    court.lose(true);
    court.proof(&zip(VERSION)).await;
    let court = court.reopened(Demand::Required);
    assert_eq!(court.refusal(&zip(VERSION)).await.kind(), Kind::BadGateway);
    court.lose(false);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
}

#[tokio::test]
async fn a_file_without_a_mark_is_held_against_the_witness_before_it_is_given() {
    let court = Court::new(Demand::Auto);
    court.know(Zip, b"what everybody else gets");
    // As an older modvet kept it, or one that was killed between two writes.
    let source = &court.registry.members[0].source;
    source.ask(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect("an entry");
    source.ask(&module(PATH), &go_mod(VERSION), Reach::Upstream).await.expect("an entry");
    assert_eq!(court.mark(&zip(VERSION)), None);
    let court = court.reopened(Demand::Auto);
    assert_eq!(court.proof(&go_mod(VERSION)).await, Some(Proof::Verified));
    for reach in [Reach::Cache, Reach::Upstream] {
        let asked = court.registry.answer(&module(PATH), &zip(VERSION), reach).await;
        assert!(asked.is_err(), "{reach:?}");
    }
    assert!(court.meta(&zip(VERSION)).is_none());
}

#[tokio::test]
async fn a_mark_that_cannot_be_written_is_made_again() {
    let court = Court::new(Demand::Auto);
    court.store.is_full.store(true, Ordering::SeqCst);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
    assert_eq!(court.mark(&zip(VERSION)), None);
    court.store.is_full.store(false, Ordering::SeqCst);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
    assert!(court.mark(&zip(VERSION)).is_some());
    assert_eq!(court.notary.asked().len(), 2);
}

#[tokio::test]
async fn a_lie_that_cannot_be_removed_is_refused_all_the_same() {
    let court = Court::new(Demand::Auto);
    court.know(Zip, b"another");
    court.registry.members[0].source.ask(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect("an entry");
    court.store.end_after(0, false);
    for _ in 0..2 {
        assert_eq!(court.refusal(&zip(VERSION)).await.kind(), Kind::BadGateway);
    }
    court.store.mend();
    court.clock.forward(11);
    court.refusal(&zip(VERSION)).await;
    assert!(court.meta(&zip(VERSION)).is_none());
}

#[tokio::test]
async fn private_modules_are_exempt_and_their_exemption_is_looked_at_again() {
    for demand in [Demand::Auto, Demand::Required] {
        let court = Court::new(demand);
        court.notary.is_private.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let answer = court.ask(&zip(VERSION)).await.expect("an answer");
            assert_eq!((answer.proof, answer.life), (Some(Proof::Exempt), Life::Forever));
        }
        assert_eq!(court.mark(&zip(VERSION)), Some(Mark::Exempt { why: "private".to_owned() }));
        assert!(court.notary.asked().is_empty());
        // It is private no more.
        court.notary.is_private.store(false, Ordering::SeqCst);
        assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Exempt));
        court.clock.forward(61);
        assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
    }
}

#[tokio::test]
async fn bytes_of_an_address_that_is_no_more_are_held_against_the_witness_too() {
    let court = Court::new(Demand::Auto);
    let (store, clock, elsewhere) = (&court.store, &court.clock, Known::new());
    let over = |member| {
        let (book, ledger) =
            (Book::new("default", store.clone(), clock.clone()), Ledger::new("default", store.clone(), clock.clone()));
        Registry::new("default", Mode::Rewrite, vec![member], book).with_ledger(ledger)
    };
    // First served while nobody verified.
    let old = over(member("corp", &court.source, store, clock, Judgement::Believed));
    old.answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect("an answer");
    elsewhere.publish(PATH, VERSION, b"second");
    let moved = || {
        let shelf = Shelf::new("corp", "double", "elsewhere");
        let cached = Cached::new(shelf, elsewhere.clone(), store.clone(), clock.clone(), Validity::default());
        over(member_over(cached, Judgement::Believed)).with_prover(court.prover.clone())
    };
    court.lose(true);
    let given = moved().answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect("the first one");
    assert_eq!((given.freshness, given.proof), (Freshness::Stale, Some(Proof::Unverified)));
    court.lose(false);
    court.know(Zip, b"second");
    let refused = moved().answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect_err("another file");
    assert!(refused.what().contains("is not what was first served"), "{refused}");
}

#[tokio::test]
async fn what_one_registry_keeps_to_itself_is_verified_in_another_one() {
    let court = Court::new(Demand::Auto);
    court.notary.is_private.store(true, Ordering::SeqCst);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Exempt));
    // To the other registry the module is public, and what everybody else gets is not this.
    let public = Notary::new();
    public.enter(&format!("{PATH}@{VERSION}"), Zip, b"another");
    let Court { source, store, clock, proofs, .. } = &court;
    let members = vec![member("corp", source, store, clock, Judgement::Believed)];
    let book = Book::new("other", store.clone(), clock.clone());
    let prover = Prover::new(proofs.clone(), public, Demand::Auto);
    let other = Registry::new("other", Mode::Rewrite, members, book).with_prover(prover);
    let refused = other.answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect_err("another file");
    assert_eq!(refused.kind(), Kind::BadGateway, "{refused}");
}

#[tokio::test]
async fn a_wrong_version_is_exempt_and_its_name_is_told_nobody() {
    for demand in [Demand::Auto, Demand::Required] {
        for mode in [Mode::Legacy, Mode::Rewrite] {
            let court = misnamed(demand, mode);
            for question in [go_mod(WRONG), zip(WRONG)] {
                for _ in 0..2 {
                    let answer = court.ask(&question).await.expect("an answer");
                    assert_eq!((answer.proof, answer.life), (Some(Proof::Exempt), Life::Never), "{mode:?}");
                }
                assert_eq!(court.mark(&question), Some(Mark::Exempt { why: "wrong version".to_owned() }));
            }
            court.clock.forward(3600);
            court.look().await;
            assert!(court.notary.asked().is_empty(), "{:?}", court.notary.asked());
        }
    }
}

#[tokio::test]
async fn a_content_that_is_replaced_loses_its_mark() {
    let court = replacing(Demand::Auto);
    court.notary.is_private.store(true, Ordering::SeqCst);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Exempt));
    court.notary.is_private.store(false, Ordering::SeqCst);
    court.source.publish(PATH, VERSION, b"a new zip");
    court.clock.forward(DAY);
    assert_eq!(
        court.refusal(&zip(VERSION)).await.kind(),
        Kind::BadGateway,
        "the new one is not what the witness knows"
    );
    assert!(court.meta(&zip(VERSION)).is_none());
}

#[tokio::test]
async fn a_verified_content_is_replaced_by_nothing() {
    let court = replacing(Demand::Auto);
    court.proof(&zip(VERSION)).await;
    court.source.publish(PATH, VERSION, b"a new zip");
    court.clock.forward(DAY);
    for _ in 0..2 {
        assert_eq!(court.text(&zip(VERSION)).await.as_bytes(), CONTENT);
        assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
    }
    assert_eq!(court.count(&zip(VERSION)), 2, "asked for once a day");
    assert!(court.meta(&zip(VERSION)).and_then(|meta| meta.changed).is_some(), "and it shows");
}

#[tokio::test]
async fn what_is_the_same_after_a_renewal_keeps_its_mark() {
    let court = Court::new(Demand::Auto);
    court.proof(&zip(VERSION)).await;
    court.clock.forward(DAY);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Verified));
    assert_eq!((court.count(&zip(VERSION)), court.notary.asked().len()), (2, 1));
}

#[tokio::test]
async fn a_mismatch_ends_the_walk_whatever_may_be_passed() {
    let court = Court::new(Demand::Auto);
    court.know(Zip, b"another");
    let other = Known::new();
    other.publish(PATH, VERSION, b"another");
    let mut first = member("corp", &court.source, &court.store, &court.clock, Judgement::Believed);
    first.on_failure = OnFailure::GoOn;
    let second = member("public", &other, &court.store, &court.clock, Judgement::Believed);
    let book = Book::new("ci", court.store.clone(), court.clock.clone());
    let registry = Registry::new("ci", Mode::Rewrite, vec![first, second], book).with_prover(court.prover.clone());
    for _ in 0..2 {
        let error = registry.answer(&module(PATH), &zip(VERSION), Reach::Upstream).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::BadGateway);
    }
    assert_eq!(other.total(), 0);
    assert_eq!(registry.bindings().await.expect("bindings"), []);
}
