//! The checksum database behind the registries.

use std::sync::Arc;
use std::time::Duration;

use super::{LOG, World, start};
use crate::error::Error;
use crate::http::tests::Running;
use crate::registry::stock::{Limits, Pruning, Removal, Stock, Tenant, Wanted};
use crate::sumdb::doubles::Lie;

/// Ten records, of which number 3 is looked up.
fn world() -> World {
    let world = World::new();
    world.log.grow(3);
    world.log.enter("example.com/Dep", "v1.0.0");
    world.log.grow(296);
    world
}

async fn get(running: &Running, path: &str) -> super::Reply {
    running.get(&format!("/sumdb/{LOG}/{path}")).await
}

#[tokio::test]
async fn records_are_passed_through_and_kept() {
    let world = world();
    let running = start(&world).await;
    let forever = "public, max-age=31536000, immutable";
    let short = "public, max-age=60";
    let table = [
        ("supported", LOG, short),
        ("latest", "public", short),
        ("lookup/example.com/!dep@v1.0.0", "public", forever),
        ("lookup/example.com/%21dep@v1.0.0", "public", forever),
        ("tile/8/0/000", LOG, forever),
        ("tile/8/0/001.p/3", LOG, short),
    ];
    let mut bodies = Vec::new();
    for (path, upstream, life) in table {
        let reply = get(&running, path).await;
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!((reply.header("cache-control"), reply.header("x-modvet-upstream")), (life, upstream), "{path}");
        bodies.push(reply.body.clone());
    }
    // Full as well, but of a height at which nothing is proven here.
    assert_eq!(get(&running, "tile/2/0/000").await.header("cache-control"), short);
    // One more server over the same store, the upstream cut off.
    world.log.fail(Some(Error::bad_gateway("timed out")));
    let offline = start(&world).await;
    for ((path, ..), body) in table.iter().zip(bodies) {
        let reply = offline.get(&format!("/registries/ci/sumdb/{LOG}/{path}")).await;
        assert_eq!((reply.status(), &reply.body), (200, &body), "{path} offline");
    }
    assert_eq!(get(&offline, "lookup/example.com/other@v1.0.0").await.status(), 502);
}

#[tokio::test]
async fn that_a_database_is_passed_on_is_said_without_asking() {
    let world = world();
    world.log.fail(Some(Error::bad_gateway("timed out")));
    let running = start(&world).await;
    assert_eq!(get(&running, "supported").await.status(), 200, "else the client turns to the database itself");
    assert_eq!(running.get("/sumdb/other.example.org/supported").await.status(), 404);
    assert_eq!(world.log.asked(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_record_is_neither_served_nor_kept() {
    let world = world();
    world.log.lie(Lie::Page);
    let running = start(&world).await;
    assert_eq!(get(&running, "lookup/example.com/!dep@v1.0.0").await.status(), 502);
    world.log.lie(None);
    assert_eq!(get(&running, "lookup/example.com/!dep@v1.0.0").await.status(), 200);
}

#[tokio::test]
async fn a_lie_is_a_bad_gateway_that_says_which() {
    let world = world();
    world.log.lie(Lie::Unrecorded);
    let running = start(&world).await;
    let refused = get(&running, "lookup/example.com/!dep@v1.0.0").await;
    assert_eq!(refused.status(), 502);
    assert_eq!(
        refused.text(),
        "sumdb/sum.example.org/lookup/example.com/!dep@v1.0.0: checksum database sum.example.org: \
         record 3 is not what the signed tree of 300 records has there\n"
    );
}

#[tokio::test]
async fn a_wrong_name_is_looked_up_in_legacy_mode_only() {
    const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    let world = world();
    world.corp.misname("example.com/dep", WRONG, "v0.0.0-20190813064441-fde4db37ae7a");
    world.log.enter("example.com/dep", WRONG);
    let running = start(&world).await;
    for (registry, status) in [("", 404), ("/registries/ci", 404), ("/registries/old", 200)] {
        let reply = running.get(&format!("{registry}/sumdb/{LOG}/lookup/example.com/dep@{WRONG}")).await;
        assert_eq!(reply.status(), status, "{registry}");
    }
}

#[tokio::test]
async fn without_fetching_only_kept_records_are_given() {
    let world = world();
    let running = start(&world).await;
    let paths = ["latest", "lookup/example.com/!dep@v1.0.0", "tile/8/0/000"];
    let kept = async |path: &str| {
        let target = format!("/sumdb/{LOG}/{path}");
        running.ask("GET", &target, &[("Disable-Module-Fetch", "true")]).await
    };
    for path in paths {
        let absent = kept(path).await;
        assert_eq!((absent.status(), absent.header("cache-control")), (404, "no-store"), "{path}");
    }
    assert_eq!(kept("supported").await.status(), 200);
    assert_eq!(world.log.asked(), [""; 0]);
    for path in paths {
        assert_eq!(get(&running, path).await.status(), 200, "{path}");
    }
    assert!(!world.log.asked().is_empty());
    for path in paths {
        assert_eq!(kept(path).await.status(), 200, "{path}");
    }
    assert_eq!(world.log.asked(), [""; 0]);
}

/// What is not there today may be published tomorrow.
#[tokio::test]
async fn what_a_database_does_not_have_is_kept_by_no_cache_for_an_hour() {
    let world = world();
    let running = start(&world).await;
    get(&running, "supported").await;
    let absent = get(&running, "lookup/example.com/tomorrow@v1.0.0").await;
    assert_eq!((absent.status(), absent.header("cache-control")), (404, "public, max-age=10"));
}

/// The database's server learns every name that it is asked for.
#[tokio::test]
async fn a_private_name_is_refused_with_the_variable_that_helps() {
    let world = world();
    let running = start(&world).await;
    let refused = get(&running, "lookup/private.example/m@v1.0.0").await;
    assert_eq!(refused.status(), 403, "an absence would send the client to the database itself");
    assert_eq!(
        refused.text(),
        "private.example/m: private module: no checksum database is asked for it\n\
         go env -w GONOSUMDB=private.example/m\n\
         it takes the place of what go env GONOSUMDB shows: keep that, with a comma between\n"
    );
    assert_eq!(world.log.asked(), [""; 0]);
}

#[tokio::test]
async fn a_record_says_where_it_comes_from_and_how_old_it_is() {
    let world = world();
    let running = start(&world).await;
    let said =
        |reply: &super::Reply| ["x-modvet-upstream", "x-modvet-cache", "age"].map(|name| reply.header(name).to_owned());
    let lookup = "lookup/example.com/!dep@v1.0.0";
    assert_eq!(said(&get(&running, lookup).await), ["public", "miss", "0"]);
    assert_eq!(said(&get(&running, "latest").await), ["public", "miss", "0"]);
    world.clock.forward(61);
    world.log.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(said(&get(&running, lookup).await), ["public", "hit", "61"]);
    assert_eq!(said(&get(&running, "latest").await), [LOG, "stale", "61"]);
    let failed = get(&running, "lookup/example.com/other@v1.0.0").await;
    assert_eq!((failed.status(), said(&failed)), (502, ["public", "miss", "0"].map(str::to_owned)));
}

#[tokio::test]
async fn housekeeping_sees_records_and_removes_them() {
    let world = world();
    let databases = world.databases();
    let passed = crate::sumdb::Passed::new(databases.clone(), vec![world.proxy()], "");
    let lookup = crate::sumdb::Path::parse(&format!("{LOG}/lookup/example.com/!dep@v1.0.0")).expect("a path");
    passed.record(&lookup).await.expect("a record");
    let day = 24 * 3600;
    world.clock.forward(2 * day);
    passed.record(&lookup).await.expect("a record");
    let limits = Limits { max_size: None, keep: Some(Duration::from_secs(day)) };
    let shelf = databases.first().expect("two").shelf().to_owned();
    let tenant = Tenant { shelf, in_memory: None, max_size: None, keep: None, repositories: None };
    let stock = Stock::new(world.store.clone(), world.clock.clone(), limits, Arc::new(move || vec![tenant.clone()]));
    let shown = || {
        let page = stock.list(&Wanted::of(Some("sumdb")), None, 10).expect("a page");
        page.rows.iter().map(|row| format!("{}/{}", row.module, row.path)).collect::<Vec<_>>()
    };
    let used = format!("sumdb/{LOG}/lookup/example.com/Dep@v1.0.0");
    let tiles = ["tile/8/0/000", "tile/8/0/001", "tile/8/1/000"].map(|tile| format!("sumdb/{LOG}/{tile}"));
    assert_eq!(shown(), [&[used.clone()][..], &tiles].concat());
    // What was used stays.
    stock.prune(&Pruning::default(), &mut |_| Ok(())).expect("pruned");
    assert_eq!(shown(), [used]);
    let removal = Removal { wanted: Some(Wanted::of(Some("sumdb"))), ..Removal::default() };
    stock.remove(&removal, &mut |_| Ok(())).expect("removed");
    // The tree that was seen is no entry: it is remembered for ever.
    assert_eq!(world.store.keys(), [format!("sumdb/{LOG}/head")]);
}
