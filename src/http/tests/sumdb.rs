//! The checksum database behind the registries.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{World, start};
use crate::error::{Error, Kind};
use crate::http::tests::Running;
use crate::registry::doubles::Ledger;
use crate::registry::stock::{Limits, Pruning, Removal, Stock, Wanted};
use crate::spec::scope::Scope;
use crate::sumdb::{Passed, Path, Proxy};

const NAME: &str = "sum.example.org";
const RECORD: &str =
    "7\nexample.com/Dep v1.0.0 h1:a=\nexample.com/Dep v1.0.0/go.mod h1:b=\n\ngo.sum database tree\n9\nc=\n";

fn world() -> World {
    let world = World::new();
    world.ledger.enter(&format!("{NAME}/supported"), "");
    world.ledger.enter(&format!("{NAME}/latest"), "go.sum database tree\n9\nc=\n\n— signed\n");
    world.ledger.enter(&format!("{NAME}/lookup/example.com/!dep@v1.0.0"), RECORD);
    world.ledger.enter(&format!("{NAME}/tile/8/0/000"), vec![1; 8192]);
    world.ledger.enter(&format!("{NAME}/tile/8/0/001.p/3"), vec![2; 96]);
    world
}

async fn get(running: &Running, path: &str) -> super::Reply {
    running.get(&format!("/sumdb/{NAME}/{path}")).await
}

#[tokio::test]
async fn records_are_passed_through_and_kept() {
    let world = world();
    let running = start(&world).await;
    let forever = "public, max-age=31536000, immutable";
    let table = [
        ("supported", 0, "public, max-age=60"),
        ("latest", 38, "public, max-age=60"),
        ("lookup/example.com/!dep@v1.0.0", RECORD.len(), forever),
        ("lookup/example.com/%21dep@v1.0.0", RECORD.len(), forever),
        ("tile/8/0/000", 8192, forever),
        ("tile/8/0/001.p/3", 96, "public, max-age=60"),
    ];
    for (path, size, life) in table {
        let reply = get(&running, path).await;
        assert_eq!((reply.status(), reply.body.len()), (200, size), "{path}");
        assert_eq!((reply.header("cache-control"), reply.header("x-modvet-upstream")), (life, "public"), "{path}");
    }
    // One more server over the same store, the upstream cut off.
    world.ledger.fail(Some(Error::bad_gateway("timed out")));
    let offline = start(&world).await;
    for (path, size, _) in table {
        let reply = offline.get(&format!("/registries/ci/sumdb/{NAME}/{path}")).await;
        assert_eq!((reply.status(), reply.body.len()), (200, size), "{path} offline");
    }
    assert_eq!(get(&offline, "lookup/example.com/other@v1.0.0").await.status(), 502);
}

#[tokio::test]
async fn support_is_asked_for_once() {
    let world = world();
    let running = start(&world).await;
    for _ in 0..5 {
        assert_eq!(get(&running, "supported").await.status(), 200);
        assert_eq!(running.get("/sumdb/other.example.org/supported").await.status(), 404);
    }
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 2);
    world.clock.forward(60);
    assert_eq!(running.get("/sumdb/other.example.org/supported").await.status(), 404);
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_failed_proxy_is_not_said_to_lack_the_database() {
    let world = world();
    world.ledger.fail(Some(Error::bad_gateway("timed out")));
    let running = start(&world).await;
    assert_eq!(get(&running, "supported").await.status(), 502, "404 would send the client to the database itself");
}

#[tokio::test]
async fn what_is_no_record_is_neither_served_nor_kept() {
    let world = world();
    let address = format!("{NAME}/lookup/example.com/portal@v1.0.0");
    world.ledger.enter(&address, "<html>sign in first</html>");
    let running = start(&world).await;
    let portal = get(&running, "lookup/example.com/portal@v1.0.0").await;
    assert_eq!(portal.status(), 502);
    world.ledger.enter(&address, RECORD.replace("example.com/Dep", "example.com/portal"));
    assert_eq!(get(&running, "lookup/example.com/portal@v1.0.0").await.status(), 200);
}

#[tokio::test]
async fn a_wrong_name_is_looked_up_in_legacy_mode_only() {
    const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    let world = world();
    world.corp.misname("example.com/dep", WRONG, "v0.0.0-20190813064441-fde4db37ae7a");
    let record = RECORD.replace("example.com/Dep v1.0.0", &format!("example.com/dep {WRONG}"));
    world.ledger.enter(&format!("{NAME}/lookup/example.com/dep@{WRONG}"), record);
    let running = start(&world).await;
    for (registry, status) in [("", 404), ("/registries/ci", 404), ("/registries/old", 200)] {
        let reply = running.get(&format!("{registry}/sumdb/{NAME}/lookup/example.com/dep@{WRONG}")).await;
        assert_eq!(reply.status(), status, "{registry}");
    }
}

#[tokio::test]
async fn without_fetching_only_kept_records_are_given() {
    let world = world();
    let running = start(&world).await;
    let paths = ["supported", "latest", "lookup/example.com/!dep@v1.0.0", "tile/8/0/000"];
    let kept = async |path: &str| {
        let target = format!("/sumdb/{NAME}/{path}");
        running.ask("GET", &target, &[("Disable-Module-Fetch", "true")]).await
    };
    for path in paths {
        let absent = kept(path).await;
        assert_eq!((absent.status(), absent.header("cache-control")), (404, "no-store"), "{path}");
    }
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 0);
    for path in paths {
        assert_eq!(get(&running, path).await.status(), 200, "{path}");
    }
    let asked = world.ledger.asked.load(Ordering::SeqCst);
    for path in paths {
        assert_eq!(kept(path).await.status(), 200, "{path}");
    }
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), asked);
}

/// What is not there today may be published tomorrow.
#[tokio::test]
async fn what_a_database_does_not_have_is_kept_by_no_cache_for_an_hour() {
    let world = world();
    world.ledger.fail(Some(Error::gone("410 Gone")));
    let running = start(&world).await;
    let absent = get(&running, "lookup/example.com/tomorrow@v1.0.0").await;
    assert_eq!((absent.status(), absent.header("cache-control")), (404, "public, max-age=10"));
}

/// The database's server learns every name that it is asked for.
#[tokio::test]
async fn a_private_name_never_reaches_a_public_proxys_database() {
    let world = world();
    let other = Ledger::new();
    other.enter(&format!("{NAME}/supported"), "");
    other.enter(&format!("{NAME}/lookup/corp.example/m@v1.0.0"), RECORD.replace("example.com/Dep", "corp.example/m"));
    let proxy = |name: &str, sumdb: &Arc<Ledger>, not_modules: &str| Proxy {
        name: name.to_owned(),
        shelf: format!("{name}~1"),
        sumdb: sumdb.clone(),
        scope: Scope::new("", not_modules),
    };
    let public = proxy("public", &world.ledger, "corp.example,*.corp.example");
    let lookup = Path::parse(&format!("{NAME}/lookup/corp.example/m@v1.0.0")).expect("a path");
    // Alone: refused, since an absence would send the client to the database itself.
    let passed = Passed::new(vec![public.clone()], world.store.clone(), world.clock.clone());
    assert_eq!(passed.record(&lookup).await.expect_err("private").kind(), Kind::Forbidden);
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 0);
    // Others may be asked.
    let proxies = vec![public, proxy("inner", &other, "")];
    let passed = Passed::new(proxies, world.store.clone(), world.clock.clone());
    assert_eq!(passed.record(&lookup).await.expect("a record").said.upstream, "inner");
    assert_eq!(world.ledger.asked.load(Ordering::SeqCst), 0);
    let open = Path::parse(&format!("{NAME}/lookup/example.com/!dep@v1.0.0")).expect("a path");
    assert_eq!(passed.record(&open).await.expect("a record").said.upstream, "public");
}

#[tokio::test]
async fn a_record_says_where_it_comes_from_and_how_old_it_is() {
    let world = world();
    let running = start(&world).await;
    let said =
        |reply: &super::Reply| ["x-modvet-upstream", "x-modvet-cache", "age"].map(|name| reply.header(name).to_owned());
    for path in ["supported", "lookup/example.com/!dep@v1.0.0", "tile/8/0/000"] {
        assert_eq!(said(&get(&running, path).await)[0], "public", "{path}");
    }
    assert_eq!(said(&get(&running, "latest").await), ["public", "miss", "0"]);
    world.clock.forward(7);
    world.ledger.fail(Some(Error::bad_gateway("timed out")));
    for path in ["supported", "lookup/example.com/!dep@v1.0.0", "tile/8/0/000"] {
        assert_eq!(said(&get(&running, path).await), ["public", "hit", "7"], "{path}");
    }
    assert_eq!(said(&get(&running, "latest").await), ["public", "stale", "7"]);
    let failed = get(&running, "lookup/example.com/other@v1.0.0").await;
    assert_eq!((failed.status(), said(&failed)), (502, ["public", "miss", "0"].map(str::to_owned)));
}

fn behind(name: &str, shelf: &str, ledger: &Arc<Ledger>) -> Proxy {
    Proxy { name: name.to_owned(), shelf: shelf.to_owned(), sumdb: ledger.clone(), scope: Scope::default() }
}

fn passed(world: &World, proxies: &[Proxy]) -> Passed {
    Passed::new(proxies.to_vec(), world.store.clone(), world.clock.clone())
}

fn path(rest: &str) -> Path {
    Path::parse(&format!("{NAME}/{rest}")).expect("a path")
}

#[tokio::test]
async fn a_dead_proxy_without_the_database_does_not_stand_before_kept_records() {
    let world = world();
    let without = Ledger::new();
    let proxies = [behind("without", "without~1", &without), behind("public", "public~1", &world.ledger)];
    let paths = ["supported", "lookup/example.com/!dep@v1.0.0", "tile/8/0/000"].map(path);
    for path in &paths {
        assert_eq!(passed(&world, &proxies).record(path).await.expect("a record").said.upstream, "public");
    }
    assert_eq!(without.asked.load(Ordering::SeqCst), 1, "its no is kept over restarts");
    without.fail(Some(Error::bad_gateway("timed out")));
    world.clock.forward(3600);
    for path in &paths {
        passed(&world, &proxies).record(path).await.expect("a record");
    }
    assert_eq!(without.asked.load(Ordering::SeqCst), 1, "everything was kept");
    // Past a day both are asked: the old no does not stop the walk to the old yes.
    world.clock.forward(24 * 3600);
    world.ledger.fail(Some(Error::bad_gateway("timed out")));
    let passed = passed(&world, &proxies);
    for _ in 0..3 {
        assert_eq!(passed.record(&paths[0]).await.expect("an old yes").said.cache, "stale");
    }
    assert_eq!(without.asked.load(Ordering::SeqCst), 2, "a failure is remembered");
}

#[tokio::test]
async fn an_old_no_outweighs_a_failure() {
    let world = world();
    let without = Ledger::new();
    let proxies = [behind("without", "without~1", &without)];
    let supported = path("supported");
    assert_eq!(passed(&world, &proxies).record(&supported).await.expect_err("no").kind(), Kind::NotFound);
    without.fail(Some(Error::bad_gateway("timed out")));
    world.clock.forward(61);
    let after = passed(&world, &proxies);
    assert_eq!(after.record(&supported).await.expect_err("no").kind(), Kind::NotFound);
    assert_eq!(after.kept_record(&supported).await.expect_err("no").kind(), Kind::NotFound);
    // It serves the database now, and is back.
    without.fail(None);
    without.enter(&format!("{NAME}/supported"), "");
    world.clock.forward(61);
    after.record(&supported).await.expect("a yes");
}

#[tokio::test]
async fn a_yes_does_not_hold_for_ever() {
    let world = world();
    let passed = passed(&world, &[behind("public", "public~1", &world.ledger)]);
    let supported = path("supported");
    passed.record(&supported).await.expect("a yes");
    world.clock.forward(25 * 3600);
    world.ledger.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(passed.record(&supported).await.expect("an old yes").said.cache, "stale");
    world.clock.forward(61);
    world.ledger.fail(Some(Error::not_found("404 Not Found")));
    assert_eq!(passed.record(&supported).await.expect_err("no more").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_page_to_sign_in_at_is_no_yes() {
    let world = World::new();
    world.ledger.enter(&format!("{NAME}/supported"), "\n<html>sign in first</html>");
    let passed = passed(&world, &[behind("public", "public~1", &world.ledger)]);
    assert_eq!(passed.record(&path("supported")).await.expect_err("a page").kind(), Kind::BadGateway);
}

#[tokio::test]
async fn an_edited_address_gets_no_records_of_the_old_one() {
    let world = world();
    let lookup = path("lookup/example.com/!dep@v1.0.0");
    passed(&world, &[behind("public", "public~1", &world.ledger)]).record(&lookup).await.expect("a record");
    let moved = passed(&world, &[behind("public", "public~2", &Ledger::new())]);
    assert_eq!(moved.record(&lookup).await.expect_err("nothing is there").kind(), Kind::NotFound);
}

#[tokio::test]
async fn housekeeping_sees_records_and_removes_them() {
    let world = world();
    let passed = passed(&world, &[behind("public", "public~1", &world.ledger)]);
    let lookup = path("lookup/example.com/!dep@v1.0.0");
    for path in [&lookup, &path("tile/8/0/000")] {
        passed.record(path).await.expect("a record");
    }
    let day = 24 * 3600;
    world.clock.forward(2 * day);
    passed.record(&lookup).await.expect("a record");
    let limits = Limits { max_size: None, keep: Some(Duration::from_secs(day)) };
    let stock = Stock::new(world.store.clone(), world.clock.clone(), limits, Arc::new(Vec::new));
    let shown = || {
        let page = stock.list(&Wanted::of(Some("public")), None, 10).expect("a page");
        page.rows.iter().map(|row| format!("{}/{}", row.module, row.path)).collect::<Vec<_>>()
    };
    let used = format!("sumdb/{NAME}/lookup/example.com/Dep@v1.0.0");
    assert_eq!(shown(), [used.clone(), format!("sumdb/{NAME}/supported"), format!("sumdb/{NAME}/tile/8/0/000")]);
    // What was used stays.
    stock.prune(&Pruning::default(), &mut |_| Ok(())).expect("pruned");
    assert_eq!(shown(), [used]);
    let removal = Removal { wanted: Some(Wanted::of(Some("public"))), ..Removal::default() };
    stock.remove(&removal, &mut |_| Ok(())).expect("removed");
    assert_eq!(world.store.keys(), Vec::<String>::new());
}
