//! Whom a name reaches: proxies in their order, then the database itself, and for private names nobody.

use super::*;

fn timed_out() -> Option<Error> {
    Some(Error::bad_gateway("timed out"))
}

#[tokio::test]
async fn a_proxy_that_hands_it_through_is_asked_first() {
    let mut bench = Bench::new();
    bench.proxies = vec![proxy("without", &Double::new("other.example.org"), ""), proxy("public", &bench.direct, "")];
    let passed = bench.open();
    assert_eq!(record(&passed, LOOKUP).await.expect("a record").said.upstream, "public");
    assert_eq!(bench.direct.asked(), ["supported", LOOKUP, "tile/8/0/000.p/10"]);
    assert_eq!(record(&passed, LOOKUP).await.expect("kept").said.upstream, "public");
    bench.proxies.pop();
    let passed = bench.open();
    assert_eq!(record(&passed, "lookup/filler.example/m@v1.0.0").await.expect("a record").said.upstream, NAME);
}

#[tokio::test]
async fn what_a_proxy_says_is_not_there_is_asked_of_nobody_else() {
    let mut bench = Bench::new();
    let public = Double::new(NAME);
    public.grow(1);
    bench.proxies = vec![proxy("public", &public, "")];
    let error = record(&bench.open(), LOOKUP).await.expect_err("absent");
    assert!(error.is_absence());
    assert_eq!(bench.direct.asked(), [""; 0]);
    // Nor is the name given away where a proxy forbids it.
    public.fail(Some(Error::forbidden("private module")));
    let error = record(&bench.open(), LOOKUP).await.expect_err("forbidden");
    assert_eq!((error.kind(), bench.direct.asked()), (Kind::Forbidden, vec![]));
}

#[tokio::test]
async fn a_proxy_that_stopped_handing_it_through_says_nothing_of_a_record() {
    let mut bench = Bench::new();
    let public = Double::new(NAME);
    public.enter("example.com/o", "v1.0.0");
    bench.proxies = vec![proxy("public", &public, "")];
    let passed = bench.open();
    assert!(record(&passed, LOOKUP).await.expect_err("absent").is_absence());
    public.fail(Some(Error::not_found("404 page not found")));
    bench.clock.forward(61);
    assert_eq!(record(&passed, LOOKUP).await.expect("a record").said.upstream, NAME);
    public.asked();
    record(&passed, "lookup/filler.example/m@v1.0.0").await.expect("a record");
    assert_eq!(public.asked(), [""; 0], "it is known now");
}

#[tokio::test]
async fn where_a_proxy_fails_the_next_way_is_taken() {
    let mut bench = Bench::new();
    let broken = Double::new(NAME);
    broken.fail(timed_out());
    bench.proxies = vec![proxy("broken", &broken, "")];
    let passed = bench.open();
    assert_eq!(record(&passed, LOOKUP).await.expect("a record").said.upstream, NAME);
    assert_eq!(broken.asked(), ["supported"], "the tiles did not try it again");
}

#[tokio::test]
async fn a_private_name_reaches_nobody() {
    let mut bench = Bench::new();
    let inner = Double::new(NAME);
    inner.enter("corp.example/m", "v1.0.0");
    bench.private = "corp.example,golang.org".to_owned();
    bench.proxies = vec![proxy("public", &bench.direct, ""), proxy("inner", &inner, "")];
    let passed = bench.open();
    let lookup = path("lookup/corp.example/m@v1.0.0");
    for error in [passed.record(&lookup).await, passed.kept_record(&lookup).await] {
        let error = error.expect_err("private");
        assert_eq!(
            error.to_string(),
            "corp.example/m: private module: no checksum database is asked for it\n\
             go env -w GONOSUMDB=corp.example/m\n\
             it takes the place of what go env GONOSUMDB shows: keep that, with a comma between"
        );
        assert_eq!(error.kind(), Kind::Forbidden);
    }
    let exempt = Testimony::Exempt { why: "private module".to_owned() };
    let found = testify(&passed, "corp.example/m@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(found, exempt);
    assert_eq!((bench.direct.asked(), inner.asked()), (vec![], vec![]));
    // What the go command downloads of itself is public whatever the patterns say.
    record(&passed, "lookup/golang.org/toolchain@v0.0.1-go1.26.linux-amd64").await.expect_err("no record");
    assert_eq!(bench.direct.asked(), ["supported", "lookup/golang.org/toolchain@v0.0.1-go1.26.linux-amd64"]);
}

#[tokio::test]
async fn a_name_that_no_proxy_may_be_asked_for_is_not_asked_directly_either() {
    let mut bench = Bench::new();
    let other = Double::new(NAME);
    other.enter("corp.example/m", "v1.0.0");
    bench.proxies = vec![proxy("public", &bench.direct, "corp.example")];
    let lookup = "lookup/corp.example/m@v1.0.0";
    assert_eq!(record(&bench.open(), lookup).await.expect_err("private").kind(), Kind::Forbidden);
    let found = testify(&bench.open(), "corp.example/m@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(found, Testimony::Exempt { why: "private module".to_owned() });
    assert_eq!(bench.direct.asked(), [""; 0]);
    // Another proxy may be.
    bench.proxies.push(proxy("inner", &other, ""));
    assert_eq!(record(&bench.open(), lookup).await.expect("a record").said.upstream, "inner");
    assert_eq!(bench.direct.asked(), [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_not_on_the_list_is_not_asked_for() {
    let bench = Bench::new();
    let other = Path::parse("other.example.org/supported").expect("a path");
    let error = bench.open().record(&other).await.expect_err("not on the list");
    assert_eq!(
        error.to_string(),
        "sumdb/other.example.org: no such checksum database is passed on\n\
         those of [sumdb] databases are: sum.example.org"
    );
    let none = Passed::new(Arc::default(), Vec::new(), "");
    let error = none.record(&path("supported")).await.expect_err("none");
    assert_eq!(error.remedies(), ["none is: GOSUMDB is off, or [sumdb] databases is empty"]);
    let found = testify(&none, "example.com/m@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(found, Testimony::Exempt { why: "no checksum database is configured".to_owned() });
}

#[tokio::test]
async fn a_database_that_fails_is_left_alone_for_a_while_by_those_who_can_do_without() {
    let bench = Bench::new();
    bench.direct.fail(timed_out());
    let databases = bench.databases();
    let passed = Passed::new(databases.clone(), Vec::new(), "");
    let ask = async || testify(&passed, "example.com/m@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(ask().await, unverified(&format!("checksum database {NAME}: timed out")));
    let since = databases.status()[0].out_of_reach_since.expect("out of reach");
    let alone = unverified(&format!("checksum database {NAME} failed lately and is left alone for a while"));
    for (row, wait) in [("at once", 0), ("after a moment", 29)] {
        bench.clock.forward(wait);
        assert_eq!(ask().await, alone, "{row}");
    }
    assert_eq!(bench.direct.asked().len(), 1);
    // Twice as long after each failure, but never longer than five minutes.
    for pause in [1, 60, 120, 240, 300, 300] {
        bench.clock.forward(pause - 1);
        assert_eq!(ask().await, alone, "one second before {pause} are over");
        bench.clock.forward(1);
        ask().await;
        assert_eq!(bench.direct.asked().len(), 1, "{pause}");
    }
    assert_eq!(databases.status()[0].out_of_reach_since, Some(since));
    let verdict = passed.get(&format!("{NAME}/{LOOKUP}")).await.expect_err("a verdict does without");
    assert!(verdict.what().contains("left alone"), "{verdict}");
    // A client gets nothing otherwise: for it the database is tried at once, and what works again is known to all.
    record(&passed, LOOKUP).await.expect_err("timed out");
    bench.direct.fail(None);
    record(&passed, "lookup/filler.example/m@v1.0.0").await.expect("a record");
    assert_eq!(databases.status()[0].out_of_reach_since, None);
    assert_eq!(ask().await, verified());
}

#[tokio::test]
async fn a_silent_database_holds_nobody_up_for_long() {
    let bench = Bench::new();
    let _gate = bench.direct.hold();
    let passed = bench.open();
    let start = std::time::Instant::now();
    let ask = async || testify(&passed, "example.com/m@v1.0.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(ask().await, unverified(&format!("checksum database {NAME}: no answer within 4s")));
    ask().await;
    assert!(start.elapsed().as_secs() < 8, "the second one did not wait: {:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_kept_is_given_when_the_outside_is_gone() {
    let bench = Bench::new();
    bench.direct.grow(300);
    let online = bench.open();
    let paths = [LOOKUP, "latest", "tile/8/0/000", "tile/8/0/001.p/54", "tile/8/1/000.p/1", "supported"];
    for rest in paths {
        record(&online, rest).await.expect(rest);
    }
    bench.direct.fail(timed_out());
    bench.clock.forward(3600);
    let offline = bench.open();
    for rest in paths {
        record(&offline, rest).await.unwrap_or_else(|error| panic!("{rest}: {error}"));
        offline.kept_record(&path(rest)).await.unwrap_or_else(|error| panic!("{rest}: {error}"));
    }
    let error = record(&offline, "lookup/filler.example/m@v1.0.0").await.expect_err("never asked for");
    assert_eq!(error.kind(), Kind::BadGateway);
    let absent = offline.kept_record(&path("lookup/filler.example/m@v1.0.0")).await.expect_err("never asked for");
    assert_eq!(absent.what(), "nothing is kept that answers this");
}

/// Whoever built online once builds offline, whatever was looked up in between and in whichever order.
#[tokio::test]
async fn every_tile_that_a_kept_record_needs_is_kept_though_the_tree_grew() {
    let bench = Bench::new();
    let passed = bench.open();
    let mut versions = Vec::new();
    for (round, growth) in [0, 3, 250, 1, 17, 260, 700, 5].into_iter().enumerate() {
        bench.direct.grow(growth);
        let version = format!("v1.{round}.0");
        bench.direct.enter("example.com/grown", &version);
        record(&passed, &format!("lookup/example.com/grown@{version}")).await.expect("a record");
        versions.push(version);
    }
    let size = 10 + 1236 + versions.len() as u64;
    bench.direct.fail(timed_out());
    let offline = bench.open();
    for number in [10, 14, 265, 267, 285, 546, 1247, size - 1] {
        let full = if (number >> 8) < (size >> 8) { String::new() } else { format!(".p/{}", size % 256) };
        let leaf = format!("tile/8/0/{:03}{full}", number >> 8);
        record(&offline, &leaf).await.unwrap_or_else(|error| panic!("{number} of {size}: {error}"));
    }
    record(&offline, &format!("tile/8/1/000.p/{}", size >> 8)).await.expect("the level above");
}
