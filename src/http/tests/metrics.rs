//! `/metrics` over the wire.

use std::time::Duration;

use super::{World, start, start_with};
use crate::http::metrics::MEDIA;
use crate::http::serve::Limits;

fn routes(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("modvet_requests_total")).collect()
}

#[tokio::test]
async fn requests_are_counted_by_their_route_whatever_clients_invent() {
    let world = World::new();
    world.corp.publish("example.com/m", "v1.0.0", b"zip");
    let running = start(&world).await;
    for _ in 0..3 {
        running.get("/example.com/m/@v/v1.0.0.zip").await;
    }
    for invented in ["/x", "/y?z=1", "/api/v1/nothing", "/%zz", "/registries/no/x"] {
        assert!(running.get(invented).await.status() >= 400, "{invented}");
    }
    running.ask("BREW", "/coffee", &[]).await;
    let page = running.get("/metrics").await;
    assert_eq!((page.status(), page.header("content-type")), (200, MEDIA));
    assert_eq!(page.header("cache-control"), "no-store");
    let mut found = routes(page.text());
    found.sort_unstable();
    let expected = [
        "modvet_requests_total{route=\"unknown\",status=\"404\"} 4",
        "modvet_requests_total{route=\"unknown\",status=\"405\"} 1",
        "modvet_requests_total{route=\"unknown\",status=\"410\"} 1",
        "modvet_requests_total{route=\"zip\",status=\"200\"} 3",
    ];
    assert_eq!(found, expected, "{}", page.text());
    assert!(page.text().contains("\nmodvet_ready 1\n"));
}

#[tokio::test]
async fn what_lies_in_the_store_is_told_as_last_counted() {
    let world = World::new();
    let site = world.site();
    let running = start_with(Some(site.clone()), Duration::from_secs(30), Limits::default()).await;
    let part = "modvet_store_bytes{part=\"live\"}";
    assert!(!running.get("/metrics").await.text().contains(part), "a scrape counts nothing");
    site.stock().expect("somebody looks after it").count().expect("figures");
    let page = running.get("/metrics").await;
    assert!(page.text().contains(part), "{}", page.text());
}

#[tokio::test]
async fn metrics_do_not_wait_for_the_store() {
    let running = start_with(None, Duration::from_secs(3600), Limits::default()).await;
    let page = running.get("/metrics").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().contains("\nmodvet_ready 0\n"), "{}", page.text());
}
