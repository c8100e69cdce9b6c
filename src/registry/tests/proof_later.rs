//! What was given unverified is held against the witness again, without anybody waiting for it.

use super::bench::{go_mod, query, zip};
use super::court::{Court, RIGHT, VERSION, WRONG, files, misnamed};
use crate::error::Kind;
use crate::ports::ReleasedFile::Zip;
use crate::ports::{Body, Store as _};
use crate::registry::doubles::info_of;
use crate::registry::{Demand, Mark, Mode, Proof, Question};
use crate::spec::resolution::{Fault, Resolution};

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
    assert_eq!((court.notary.asked().len(), court.proofs.unverified()), (4, 2));
    court.lose(false);
    court.look().await;
    assert_eq!(court.notary.asked().len(), 4, "each waits as long as it has waited");
    court.clock.forward(60);
    court.look().await;
    assert_eq!(court.proofs.unverified(), 0);
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
    court.proofs.remember(&*court.store).expect("a store");
    assert_eq!(court.proofs.unverified(), 2);
    court.look().await;
    assert_eq!(court.proofs.unverified(), 0);
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
    assert_eq!((court.mismatches().len(), court.proofs.unverified()), (1, 0));
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
    assert_eq!((court.proofs.unverified(), court.notary.asked().len()), (0, 1));
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
    assert_eq!((court.notary.asked().len(), court.proofs.unverified()), (asked, 0));
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
    assert_eq!((court.notary.asked().len(), court.proofs.unverified()), (1, 1));
}
