//! Every lie is refused by its name, and nothing of it is kept.

use super::*;

/// A database that lies from the start.
async fn first_contact(lie: Lie) -> (Error, Vec<String>) {
    let bench = Bench::new();
    bench.direct.lie(lie);
    let passed = bench.open();
    let error = record(&passed, LOOKUP).await.expect_err("a lie");
    let testified = testify(&passed, "example.com/m@v1.0.0", ReleasedFile::Zip, "h1:zip=").await;
    if error.is_conclusive() {
        let told = testified.expect_err("a lie is no silence");
        assert!(told.is_conclusive() && told.what() == error.what(), "{told}");
        assert_eq!(told.subject(), Some("example.com/m@v1.0.0"));
    } else {
        assert!(matches!(testified, Ok(Testimony::Unverified { .. })), "{testified:?}");
    }
    (error, bench.kept())
}

#[tokio::test]
async fn every_lie_has_its_words() {
    let subject = "sumdb/sum.example.org/lookup/example.com/m@v1.0.0";
    let key = Double::new(NAME).named().key.shown();
    let table = [
        (
            Lie::OtherKey,
            format!("checksum database {NAME}: note has no verifiable signatures (expected one of {key})"),
            vec![],
        ),
        (
            Lie::Unrecorded,
            format!("checksum database {NAME}: record 3 is not what the signed tree of 10 records has there"),
            vec!["head"],
        ),
        (
            Lie::TooNew,
            format!("checksum database {NAME}: record 10 is not in the signed tree of 10 records"),
            vec!["head"],
        ),
    ];
    for (lie, what, kept) in table {
        let row = format!("{lie:?}");
        let (error, found) = first_contact(lie).await;
        assert_eq!((error.what(), error.kind()), (what.as_str(), Kind::BadGateway), "{row}");
        assert_eq!(error.subject(), Some(subject), "{row}");
        assert_eq!(found, kept, "{row}");
    }
}

#[tokio::test]
async fn a_tile_that_does_not_fit_is_refused() {
    let (error, kept) = first_contact(Lie::WrongTiles).await;
    let start = format!("checksum database {NAME}: inconsistent tile: tile/8/0/000.p/10 is no part of the signed tree");
    assert!(error.what().starts_with(&start), "{error}");
    assert_eq!(kept, ["head"]);
    // It is not held against the database for ever.
    let bench = Bench::new();
    let passed = bench.open();
    bench.direct.lie(Lie::WrongTiles);
    record(&passed, LOOKUP).await.expect_err("a lie");
    bench.direct.lie(None);
    record(&passed, LOOKUP).await.expect("the truth");
}

#[tokio::test]
async fn a_page_to_sign_in_at_is_no_record_and_no_lie() {
    let (error, kept) = first_contact(Lie::Page).await;
    let what = format!("checksum database {NAME}: the answer is no record of a checksum database");
    assert_eq!((error.what(), error.is_conclusive()), (what.as_str(), false));
    assert_eq!(kept, [""; 0]);
}

/// Says something about the fork that everything is refused with.
async fn assert_refused(passed: &Passed, row: &str) {
    for rest in [LOOKUP, "latest", "tile/8/0/000.p/3", "lookup/example.com/other@v1.0.0"] {
        let error = record(passed, rest).await.expect_err(rest);
        assert_eq!(error.what(), format!("SECURITY ERROR: checksum database {NAME} contradicts its own past"), "{row}");
        assert_eq!(error.kind(), Kind::BadGateway, "{row}");
        let kept = passed.kept_record(&path(rest)).await.expect_err(rest);
        assert_eq!(kept.what(), error.what(), "{row}: {rest} out of what is kept");
    }
    // Else clients would turn to the database itself.
    record(passed, "supported").await.expect("a promise");
    let told = testify(passed, "example.com/n@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect_err(row);
    assert!(told.is_conclusive(), "{row}");
}

#[tokio::test]
async fn a_fork_is_an_alarm_and_ends_all_belief() {
    for (row, grown, asked) in [
        ("another tree of the same size", 0, "latest"),
        ("a longer tree of another past", 5, "latest"),
        ("in a lookup", 5, "lookup/filler.example/m@v1.0.0"),
        ("much longer", 700, "latest"),
    ] {
        let bench = Bench::new();
        let databases = bench.databases();
        let passed = Passed::new(databases.clone(), Vec::new(), "");
        record(&passed, LOOKUP).await.expect("a record");
        let before = bench.kept();
        bench.direct.grow(grown);
        bench.direct.fork(5);
        record(&passed, asked).await.expect_err(row);
        assert_refused(&passed, row).await;
        let fork = databases.status()[0].fork.clone().expect(row);
        assert!(fork.ours.starts_with("go.sum database tree\n10\n"), "{row}: {}", fork.ours);
        assert!(fork.theirs.starts_with(&format!("go.sum database tree\n{}\n", 10 + grown)), "{row}: {}", fork.theirs);
        let mut after = bench.kept();
        after.retain(|file| file != "fork");
        assert_eq!(after, before, "{row}: nothing of the other past is kept");
        assert_refused(&bench.open(), "after a restart").await;
    }
}

#[tokio::test]
async fn an_older_tree_of_another_past_is_a_fork_too() {
    let bench = Bench::new();
    let passed = bench.open();
    record(&passed, LOOKUP).await.expect("a record");
    bench.direct.fork(2);
    bench.direct.lie(Lie::OldHead(7));
    record(&passed, "latest").await.expect_err("another past");
    assert_refused(&passed, "older").await;
}

#[tokio::test]
async fn a_fork_stays_until_somebody_clears_it() {
    let bench = Bench::new();
    let databases = bench.databases();
    let passed = Passed::new(databases.clone(), Vec::new(), "");
    let database = databases.find(NAME).expect("on the list");
    assert!(!database.clear_fork(false).await.expect("a store"), "there is none");
    record(&passed, LOOKUP).await.expect("a record");
    bench.direct.fork(5);
    bench.clock.forward(60);
    record(&passed, "latest").await.expect_err("a fork");
    // Believed again, it contradicts what is still remembered.
    assert!(database.clear_fork(false).await.expect("a store"));
    assert_eq!(record(&passed, LOOKUP).await.expect("kept").said.cache, "hit");
    record(&passed, "latest").await.expect_err("a fork once more");
    // With the tree forgotten, the new past is the one.
    assert!(database.clear_fork(true).await.expect("a store"));
    assert_eq!(bench.kept(), [""; 0]);
    assert_eq!(record(&passed, LOOKUP).await.expect("a record").said.cache, "miss");
    record(&bench.open(), "latest").await.expect("a tree");
}

#[tokio::test]
async fn a_contradiction_is_the_old_keys_and_not_the_new_ones() {
    let bench = Bench::new();
    let passed = bench.open();
    record(&passed, LOOKUP).await.expect("a record");
    bench.direct.fork(5);
    record(&passed, "latest").await.expect_err("a fork");
    let other = crate::spec::note::signer::Signer::new(NAME, 2).key.to_string();
    let named = crate::spec::database::NamedDatabase::parse(&other).expect("a key");
    let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (bench.store.clone(), bench.clock.clone());
    let direct = bench.direct.clone();
    let open = move |_: &_| -> Result<Arc<dyn Sumdb>> { Ok(direct.clone()) };
    let databases = Arc::new(Databases::open(&[named], &open, &store, &clock).expect("an open store"));
    assert!(databases.status()[0].fork.is_none(), "another database");
    bench.direct.lie(Lie::OtherKey);
    record(&Passed::new(databases, Vec::new(), ""), LOOKUP).await.expect("signed by the new key");
    // The old one is as bad as it was.
    bench.direct.lie(None);
    assert_refused(&bench.open(), "the old key").await;
}
