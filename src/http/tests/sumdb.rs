//! The checksum database behind the registries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{World, start};
use crate::error::{Error, Kind};
use crate::http::tests::Running;
use crate::registry::doubles::Ledger;
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
