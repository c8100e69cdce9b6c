//! No file is given before it was held against the witness; what cannot be is marked, refused or checked later.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bench::{go_mod, query, zip};
use crate::error::{Error, Kind, Result};
use crate::ports::ReleasedFile::{self, Mod, Zip};
use crate::ports::{Body, Store as _};
use crate::registry::doubles::{Drawer, Hands, Known, Notary, info_of, member, member_over, module};
use crate::registry::proof::{Later, Mismatch, mismatch};
use crate::registry::{
    Answer, AnswerBody, Book, Cached, Demand, Judgement, Life, Mark, Meta, Mode, OnChange, OnFailure, Proof, Prover,
    Question, Reach, Registry, Shelf, Validity,
};
use crate::spec::resolution::{Fault, Resolution};

const PATH: &str = "example.com/m";
const VERSION: &str = "v1.0.0";
const CONTENT: &[u8] = b"the zip";
const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";

/// One upstream in one registry, and a witness.
struct Court {
    source: Arc<Known>,
    store: Arc<Drawer>,
    clock: Arc<Hands>,
    notary: Arc<Notary>,
    prover: Arc<Prover>,
    registry: Arc<Registry>,
}

impl Court {
    /// The upstream has one version, and the witness knows its files.
    fn new(demand: Demand) -> Court {
        let court = Court::over(demand, Judgement::Believed, Mode::Rewrite, Known::new(), Drawer::new(), Notary::new());
        court.source.publish(PATH, VERSION, CONTENT);
        court.know(Mod, format!("module {PATH}\n").as_bytes());
        court.know(Zip, CONTENT);
        court
    }

    fn over(
        demand: Demand,
        judgement: Judgement,
        mode: Mode,
        source: Arc<Known>,
        store: Arc<Drawer>,
        notary: Arc<Notary>,
    ) -> Court {
        let clock = Hands::new();
        let prover = Arc::new(Prover::new(notary.clone(), demand, clock.clone()));
        let members = vec![member("corp", &source, &store, &clock, judgement)];
        let book = Book::new("default", store.clone(), clock.clone());
        let registry = Arc::new(Registry::new("default", mode, members, book).with_prover(prover.clone()));
        Court { source, store, clock, notary, prover, registry }
    }

    /// As after a start: nothing in memory.
    fn reopened(self, demand: Demand) -> Court {
        let Court { source, store, notary, registry, .. } = self;
        let judgement = registry.members[0].judgement;
        Court::over(demand, judgement, registry.mode(), source, store, notary)
    }

    fn know(&self, file: ReleasedFile, content: &[u8]) {
        self.notary.enter(&format!("{PATH}@{VERSION}"), file, content);
    }

    fn lose(&self, is_gone: bool) {
        self.notary.is_gone.store(is_gone, Ordering::SeqCst);
    }

    async fn ask(&self, question: &Question) -> Result<Answer> {
        self.registry.answer(&module(PATH), question, Reach::Upstream).await
    }

    async fn proof(&self, question: &Question) -> Option<Proof> {
        self.ask(question).await.expect("an answer").proof
    }

    async fn text(&self, question: &Question) -> String {
        let AnswerBody::Blob(blob) = self.ask(question).await.expect("an answer").body else { panic!("a file") };
        String::from_utf8(blob.read_all(1 << 20).expect("a blob").to_vec()).expect("text")
    }

    async fn refusal(&self, question: &Question) -> Error {
        self.ask(question).await.expect_err("refused")
    }

    fn key(&self, question: &Question) -> String {
        self.registry.members[0].source.inner.key(&module(PATH), question)
    }

    fn meta(&self, question: &Question) -> Option<Meta> {
        let stored = self.store.get(&self.key(question)).expect("a store")?;
        Some(Meta::parse(&stored.meta).expect("a meta"))
    }

    fn mark(&self, question: &Question) -> Option<Mark> {
        self.meta(question)?.sum
    }

    fn mismatches(&self) -> Vec<Mismatch> {
        let mut all = Vec::new();
        let visited = mismatch::visit(&*self.store, Some("corp"), &mut |one| {
            all.push(one);
            true
        });
        visited.expect("a store");
        all
    }

    fn count(&self, question: &Question) -> usize {
        self.source.count(PATH, &question.address())
    }

    /// The later check of all whose turn it is.
    async fn look(&self) {
        let registry = self.registry.clone();
        let later: Later = Arc::new(move |unproven| {
            let registry = registry.clone();
            Box::pin(async move { registry.prove_kept(&unproven).await })
        });
        self.prover.look(&later).await;
    }
}

fn files() -> [Question; 2] {
    [go_mod(VERSION), zip(VERSION)]
}

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

#[tokio::test]
async fn a_lie_is_never_given() {
    for demand in [Demand::Auto, Demand::Required] {
        for (question, file) in files().into_iter().zip([Mod, Zip]) {
            let court = Court::new(demand);
            court.know(file, b"what everybody else gets");
            for _ in 0..2 {
                let error = court.refusal(&question).await;
                assert_eq!(error.kind(), Kind::BadGateway);
                let text = error.to_string();
                let begin = format!("{PATH}@{VERSION}: upstream corp: checksum mismatch: h1:");
                assert!(text.starts_with(&begin) && text.contains("sum.test has h1:"), "{text}");
                assert!(text.ends_with("\nSECURITY ERROR"), "{text}");
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
            assert!(mismatch.why.contains(&mismatch.h1) && mismatch.why.contains("sum.test"), "{mismatch:?}");
            let counters = court.registry.members[0].source.counters();
            assert_eq!(counters.mismatches.load(Ordering::Relaxed), 1);
        }
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
    assert_eq!(court.prover.unverified(), 2);
    let [first, _] = court.prover.waiting(10).try_into().expect("two");
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
    assert_eq!(court.prover.unverified(), 0);
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
async fn the_later_check_heals_what_was_given_unverified() {
    let court = Court::new(Demand::Auto);
    court.lose(true);
    for question in files() {
        court.proof(&question).await;
    }
    let downloads = |question: &Question| court.meta(question).map(|meta| (meta.downloads, meta.last_used));
    let before = files().map(|question| downloads(&question));
    court.look().await;
    assert_eq!(court.notary.asked().len(), 2, "not before their minute is over");
    court.clock.forward(60);
    court.look().await;
    assert_eq!((court.notary.asked().len(), court.prover.unverified()), (4, 2));
    court.lose(false);
    court.look().await;
    assert_eq!(court.notary.asked().len(), 4, "each waits as long as it has waited");
    court.clock.forward(60);
    court.look().await;
    assert_eq!(court.prover.unverified(), 0);
    assert_eq!(files().map(|question| downloads(&question)), before, "nobody wanted it");
    for question in files() {
        assert!(matches!(court.mark(&question), Some(Mark::Verified { .. })), "{question:?}");
        assert_eq!(court.proof(&question).await, Some(Proof::Verified));
        assert_eq!(court.count(&question), 1);
    }
}

#[tokio::test]
async fn the_later_check_after_a_start_finds_what_was_left_unverified() {
    let court = Court::new(Demand::Auto);
    court.lose(true);
    court.proof(&zip(VERSION)).await;
    court.proof(&go_mod(VERSION)).await;
    let court = court.reopened(Demand::Auto);
    court.lose(false);
    court.prover.remember(&*court.store).expect("a store");
    assert_eq!(court.prover.unverified(), 2);
    court.look().await;
    assert_eq!(court.prover.unverified(), 0);
    assert!(files().iter().all(|question| matches!(court.mark(question), Some(Mark::Verified { .. }))));
}

#[tokio::test]
async fn a_lie_that_the_later_check_finds_is_given_no_more() {
    let court = Court::new(Demand::Auto);
    court.know(Zip, b"what everybody else gets");
    court.lose(true);
    assert_eq!(court.proof(&zip(VERSION)).await, Some(Proof::Unverified));
    court.lose(false);
    court.clock.forward(60);
    court.look().await;
    assert!(court.meta(&zip(VERSION)).is_none(), "gone from the cache");
    assert_eq!((court.mismatches().len(), court.prover.unverified()), (1, 0));
    assert_eq!(court.refusal(&zip(VERSION)).await.kind(), Kind::BadGateway);
    assert_eq!(court.count(&zip(VERSION)), 1, "nor is it fetched again at once");
}

#[tokio::test]
async fn what_went_meanwhile_is_checked_no_more() {
    let court = Court::new(Demand::Auto);
    court.lose(true);
    court.proof(&zip(VERSION)).await;
    court.store.delete(&court.key(&zip(VERSION))).expect("a store");
    court.clock.forward(60);
    court.look().await;
    assert_eq!((court.prover.unverified(), court.notary.asked().len()), (0, 1));
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

/// An upstream that reads git and knows a wrong version and the right one.
fn misnamed(demand: Demand, mode: Mode) -> Court {
    let court = Court::over(demand, Judgement::Own, mode, Known::new(), Drawer::new(), Notary::new());
    court.source.misname(PATH, WRONG, RIGHT);
    court
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
async fn a_version_that_became_wrong_is_not_asked_about_later() {
    let court = misnamed(Demand::Auto, Mode::Legacy);
    court.lose(true);
    assert_eq!(court.proof(&zip(RIGHT)).await, Some(Proof::Unverified));
    let asked = court.notary.asked().len();
    // As if tags had moved since.
    let info = court.key(&query(RIGHT));
    let (found, expected) = ("20190813064441".to_owned(), "20190813064442".to_owned());
    let faults = vec![Fault::TimeDiffers { found, expected, note: None }];
    let resolution = Resolution { asked: RIGHT.to_owned(), right: info_of(WRONG), faults };
    let meta = court.store.get(&info).expect("a store").expect("an info").meta;
    let json = serde_json::to_vec(&resolution).expect("JSON");
    court.store.put(&info, &meta, Body::Bytes(json.into())).expect("kept");
    court.lose(false);
    court.clock.forward(60);
    court.look().await;
    assert_eq!((court.notary.asked().len(), court.prover.unverified()), (asked, 0));
    assert_eq!(court.mark(&zip(RIGHT)), Some(Mark::Exempt { why: "wrong version".to_owned() }));
}

#[tokio::test]
async fn a_version_whose_name_cannot_be_judged_is_not_asked_about_later() {
    let court = misnamed(Demand::Auto, Mode::Rewrite);
    court.lose(true);
    assert_eq!(court.proof(&zip(RIGHT)).await, Some(Proof::Unverified));
    court.store.delete(&court.key(&query(RIGHT))).expect("a store");
    court.clock.forward(60);
    court.look().await;
    assert_eq!((court.notary.asked().len(), court.prover.unverified()), (1, 1));
}

/// A court whose upstream replaces what comes back different.
fn replacing(demand: Demand) -> Court {
    let court = Court::new(demand);
    let Court { source, store, clock, notary, prover, .. } = court;
    let shelf = Shelf::new("corp", "double", "");
    let cached = Cached::new(shelf, source.clone(), store.clone(), clock.clone(), Validity::default());
    let members = vec![member_over(cached.on_change(OnChange::Replace), Judgement::Believed)];
    let book = Book::new("default", store.clone(), clock.clone());
    let registry = Arc::new(Registry::new("default", Mode::Rewrite, members, book).with_prover(prover.clone()));
    Court { source, store, clock, notary, prover, registry }
}

const DAY: u64 = 24 * 3600;

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
