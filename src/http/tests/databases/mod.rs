//! What a registry gets of a checksum database that tells the truth, lies, or is gone.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::ports::{Clock, ReleasedFile, Store, Sumdb, Testimony, Witness};
use crate::registry::doubles::{Drawer, Hands};
use crate::spec::path::ModulePath;
use crate::spec::scope::Scope;
use crate::spec::version::Version;
use crate::sumdb::doubles::{Double, Lie};
use crate::sumdb::{Databases, Passed, Path, Proxy, Record};

mod lies;
mod reach;

const NAME: &str = "sum.example.org";

/// One database, reached directly and through proxies.
struct Bench {
    direct: Arc<Double>,
    store: Arc<Drawer>,
    clock: Arc<Hands>,
    proxies: Vec<Proxy>,
    private: String,
}

impl Bench {
    /// With ten records, the fourth of which is `example.com/m@v1.0.0`.
    fn new() -> Bench {
        let direct = Double::new(NAME);
        direct.grow(3);
        direct.enter("example.com/m", "v1.0.0");
        direct.grow(6);
        let (store, clock) = (Drawer::new(), Hands::new());
        Bench { direct, store, clock, proxies: Vec::new(), private: String::new() }
    }

    fn databases(&self) -> Arc<Databases> {
        let direct = self.direct.clone();
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (self.store.clone(), self.clock.clone());
        let open = move |_: &_| -> Result<Arc<dyn Sumdb>> { Ok(direct.clone()) };
        Arc::new(Databases::open(&[self.direct.named()], &open, &store, &clock).expect("an open store"))
    }

    /// As a process that starts now has it.
    fn open(&self) -> Passed {
        Passed::new(self.databases(), self.proxies.clone(), &self.private)
    }

    /// What is kept of it, without what stands before.
    fn kept(&self) -> Vec<String> {
        let keys = self.store.keys().into_iter();
        keys.map(|key| key.split_once(&format!("sumdb/{NAME}/")).map_or(key.clone(), |(_, file)| file.to_owned()))
            .collect()
    }
}

fn proxy(name: &str, sumdb: &Arc<Double>, not_modules: &str) -> Proxy {
    Proxy {
        name: name.to_owned(),
        shelf: format!("{name}~1"),
        sumdb: sumdb.clone(),
        scope: Scope::new("", not_modules),
    }
}

fn path(rest: &str) -> Path {
    Path::parse(&format!("{NAME}/{rest}")).expect("a path")
}

const LOOKUP: &str = "lookup/example.com/m@v1.0.0";

async fn record(passed: &Passed, rest: &str) -> Result<Record> {
    passed.record(&path(rest)).await
}

async fn testify(passed: &Passed, subject: &str, file: ReleasedFile, h1: &str) -> Result<Testimony> {
    let (module, version) = subject.split_once('@').expect("MODULE@VERSION");
    let (module, version) = (ModulePath::parse(module).expect(module), Version::parse(version).expect(version));
    passed.testify(&module, &version, file, h1).await
}

fn verified() -> Testimony {
    Testimony::Verified { database: NAME.to_owned() }
}

fn unverified(why: &str) -> Testimony {
    Testimony::Unverified { why: why.to_owned() }
}

#[tokio::test]
async fn a_version_is_held_against_its_record() {
    let bench = Bench::new();
    let passed = bench.open();
    for (file, h1) in [(ReleasedFile::Mod, "h1:mod="), (ReleasedFile::Zip, "h1:zip=")] {
        assert_eq!(testify(&passed, "example.com/m@v1.0.0", file, h1).await.expect("a record"), verified());
    }
    let refuted = |h1: &str| Testimony::Refuted { database: "sum.example.org".to_owned(), h1: h1.to_owned() };
    for (file, h1, other) in [(ReleasedFile::Zip, "h1:zip=", "h1:other="), (ReleasedFile::Mod, "h1:mod=", "h1:zip=")] {
        assert_eq!(testify(&passed, "example.com/m@v1.0.0", file, other).await.expect("a record"), refuted(h1));
    }
}

#[tokio::test]
async fn what_the_database_does_not_have_is_unverified() {
    let bench = Bench::new();
    let passed = bench.open();
    let found = testify(&passed, "example.com/m@v1.1.0", ReleasedFile::Mod, "h1:mod=").await.expect("no lie");
    assert_eq!(found, unverified("checksum database sum.example.org has no record of it"));
    let lookups = bench.direct.asked();
    assert_eq!(lookups, ["lookup/example.com/m@v1.1.0"]);
    // Nobody asks again at once, but soon.
    testify(&passed, "example.com/m@v1.1.0", ReleasedFile::Zip, "h1:zip=").await.expect("no lie");
    assert_eq!(bench.direct.asked(), [""; 0]);
    bench.direct.enter("example.com/m", "v1.1.0");
    bench.clock.forward(10);
    let found = testify(&passed, "example.com/m@v1.1.0", ReleasedFile::Zip, "h1:zip=").await;
    assert_eq!(found.expect("a record"), verified());
}

#[tokio::test]
async fn a_cold_lookup_costs_itself_and_the_tiles_that_are_not_kept() {
    let bench = Bench::new();
    bench.direct.grow(590);
    let passed = bench.open();
    record(&passed, LOOKUP).await.expect("a record");
    let mut asked = bench.direct.asked();
    asked.sort();
    assert_eq!(asked, [LOOKUP, "tile/8/0/000", "tile/8/0/002.p/88", "tile/8/1/000.p/2"]);
    // In the same tile nothing but the lookup is missing, in another one that tile.
    bench.direct.lie(Lie::OldHead(600));
    bench.direct.enter("example.com/late", "v1.0.0");
    bench.direct.lie(None);
    record(&passed, LOOKUP).await.expect("kept");
    assert_eq!(bench.direct.asked(), [""; 0]);
    // After a restart too.
    let passed = bench.open();
    record(&passed, LOOKUP).await.expect("kept");
    assert_eq!(bench.direct.asked(), [""; 0]);
    record(&passed, "lookup/example.com/late@v1.0.0").await.expect("a record");
    assert_eq!(bench.direct.asked(), ["lookup/example.com/late@v1.0.0", "tile/8/0/002.p/89"]);
}

#[tokio::test]
async fn many_who_want_the_same_ask_once() {
    let bench = Bench::new();
    let (passed, gate) = (Arc::new(bench.open()), bench.direct.hold());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let passed = passed.clone();
        clients.spawn(async move { record(&passed, LOOKUP).await });
    }
    gate.add_permits(100);
    while let Some(answered) = clients.join_next().await {
        answered.expect("no panic").expect("a record");
    }
    assert_eq!(bench.direct.asked(), [LOOKUP, "tile/8/0/000.p/10"]);
}

#[tokio::test]
async fn a_narrow_tile_is_the_beginning_of_a_wide_one() {
    let bench = Bench::new();
    let passed = bench.open();
    record(&passed, LOOKUP).await.expect("a record");
    bench.direct.asked();
    for width in [1, 5, 10] {
        let tile = record(&passed, &format!("tile/8/0/000.p/{width}")).await.expect("kept");
        assert_eq!((tile.body.len(), tile.said.cache), (32 * width, "hit"));
    }
    assert_eq!(bench.direct.asked(), [""; 0]);
    // A client that knows a newer tree makes us know it too.
    bench.direct.grow(300);
    let tile = record(&passed, "tile/8/0/000").await.expect("proven");
    assert_eq!((tile.body.len(), tile.said.cache), (8192, "miss"));
    let mut asked = bench.direct.asked();
    asked.sort();
    assert_eq!(asked, ["latest", "tile/8/0/000", "tile/8/0/001.p/54", "tile/8/1/000.p/1"]);
    assert!(bench.kept().iter().any(|file| file == "tile/8/0/000"), "{:?}", bench.kept());
}

#[tokio::test]
async fn what_nothing_proves_is_passed_on_and_not_kept() {
    let bench = Bench::new();
    let passed = bench.open();
    for (rest, size) in [("tile/2/0/000", 128), ("tile/2/0/001.p/2", 64)] {
        let tile = record(&passed, rest).await.expect("a tile");
        assert_eq!((tile.body.len(), tile.is_proven), (size, false), "{rest}");
    }
    assert_eq!(bench.kept(), [""; 0]);
}

#[tokio::test]
async fn latest_is_never_older_than_before() {
    let bench = Bench::new();
    let passed = bench.open();
    let first = record(&passed, "latest").await.expect("a tree");
    assert_eq!(first.said.cache, "miss");
    assert_eq!(record(&passed, "latest").await.expect("a tree").said.cache, "hit");
    assert_eq!(bench.direct.asked(), ["latest"], "nobody asks again for a minute");
    bench.clock.forward(60);
    bench.direct.lie(Lie::OldHead(4));
    let again = record(&passed, "latest").await.expect("a tree");
    assert_eq!((again.body, again.said.cache), (first.body.clone(), "miss"), "an old head is of the same past");
    bench.clock.forward(60);
    bench.direct.fail(Some(Error::bad_gateway("timed out")));
    let stale = record(&passed, "latest").await.expect("a tree");
    assert_eq!((&stale.body, stale.said.cache), (&first.body, "stale"));
    let after = bench.open();
    assert_eq!(record(&after, "latest").await.expect("over a restart").body, first.body);
}

#[tokio::test]
async fn the_head_only_moves_forward() {
    let bench = Bench::new();
    let databases = bench.databases();
    let passed = Passed::new(databases.clone(), Vec::new(), "");
    let size = || databases.status()[0].head.as_ref().map(|head| head.size);
    assert_eq!(size(), None);
    record(&passed, LOOKUP).await.expect("a record");
    assert_eq!(size(), Some(10));
    bench.direct.grow(20);
    bench.direct.enter("example.com/n", "v1.0.0");
    record(&passed, "lookup/example.com/n@v1.0.0").await.expect("a record");
    assert_eq!(size(), Some(31));
    // A note of an older tree counts for what it says, and takes nothing back.
    bench.direct.enter("example.com/o", "v1.0.0");
    bench.direct.lie(Lie::OldHead(5));
    bench.direct.enter("filler.example/m", "v1.1.0");
    record(&passed, "lookup/filler.example/m@v1.0.0").await.expect("a record");
    assert_eq!(size(), Some(31));
}

#[tokio::test]
async fn the_newest_head_outlasts_a_restart_and_a_new_key_begins_anew() {
    let bench = Bench::new();
    record(&bench.open(), LOOKUP).await.expect("a record");
    let head = bench.databases().status()[0].head.clone().expect("a head");
    assert_eq!(head.size, 10);
    let other = crate::spec::note::signer::Signer::new(NAME, 9).key.to_string();
    let named = crate::spec::database::NamedDatabase::parse(&other).expect("a key");
    let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (bench.store.clone(), bench.clock.clone());
    let direct = bench.direct.clone();
    let open = move |_: &_| -> Result<Arc<dyn Sumdb>> { Ok(direct.clone()) };
    let databases = Arc::new(Databases::open(&[named], &open, &store, &clock).expect("an open store"));
    assert!(databases.status()[0].head.is_none());
    let passed = Passed::new(databases, Vec::new(), "");
    let error = record(&passed, LOOKUP).await.expect_err("signed by the old key");
    assert!(error.what().contains("note has no verifiable signatures"), "{error}");
}
