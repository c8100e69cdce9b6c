//! What is done from pages: a check, a renewal, a sync.

use std::sync::mpsc;

use super::{Watching, seen};
use crate::error::Error;
use crate::http::tests::golden::compare;
use crate::ports::Side;
use crate::ui::STYLE;

#[tokio::test]
async fn a_check_by_hand_is_seen_on_the_page_after_it() {
    let watching = Watching::start().await;
    let reply = watching.post("/mirrors/library/check", "").await;
    assert_eq!((reply.status(), reply.header("location")), (303, "/mirrors/library?done=checked"));
    let page = watching.get(reply.header("location")).await;
    assert!(page.text().contains("It was checked just now"), "{}", page.text());
    assert!(page.text().contains("1 ref, 1 commit"), "{}", page.text());
    assert!(watching.get("/mirrors").await.text().contains("1 ref, 1 commit"));
    let invented = watching.get("/mirrors/library?done=%3Cb%3E").await;
    assert!(!invented.text().contains("class=\"note\""), "only our own words are shown");
}

#[tokio::test]
async fn a_check_that_reaches_nobody_is_no_failure_of_the_page() {
    let watching = Watching::start().await;
    watching.twins.fail(Some(Error::bad_gateway("https://mirror.example: timed out")));
    let reply = watching.post("/mirrors/library/check", "").await;
    assert_eq!(reply.status(), 303, "{}", reply.text());
    let page = watching.get(reply.header("location")).await;
    assert!(page.text().contains("timed out"), "{}", page.text());
}

#[tokio::test]
async fn a_renewal_is_written_down_with_who_did_it() {
    let watching = Watching::start().await;
    let reply = watching.post("/mirrors/library/renew", "until=2028-02-01&by=Ada+Lovelace").await;
    assert_eq!((reply.status(), reply.header("location")), (303, "/mirrors/library?done=renewed"), "{}", reply.text());
    let page = watching.get(reply.header("location")).await;
    for expected in ["The renewal is written down", "due 2028-02-01", "Ada Lovelace"] {
        assert!(page.text().contains(expected), "{expected}: {}", page.text());
    }
    let reply = watching.post("/mirrors/library/renew", "until=2029-02-01&by=").await;
    assert_eq!(reply.status(), 303, "{}", reply.text());
    let page = watching.get("/mirrors/library").await;
    assert!(page.text().contains("renewed until 2029-02-01 by ci"), "else the token's label: {}", page.text());
}

#[tokio::test]
async fn a_sync_shows_first_what_it_would_do() {
    let watching = Watching::start().await;
    let refs = [("refs/heads/main", 2), ("refs/heads/new", 3), ("refs/tags/v1.0.0", 1)];
    watching.twins.set(Side::Source, &refs);
    let old = [("refs/heads/main", 1), ("refs/heads/old", 1), ("refs/tags/v1.0.0", 4)];
    watching.twins.set(Side::Mirror, &old);
    let before = watching.twins.names(Side::Mirror);
    compare("page sync plan", &seen(&watching.get("/mirrors/library/sync").await));
    assert_eq!(watching.twins.names(Side::Mirror), before, "a plan changes nothing");
}

/// Waits until a page says something.
async fn wait_for(watching: &Watching, target: &str, words: &str) -> String {
    for _ in 0..1000 {
        let page = watching.get(target).await.text().replace(STYLE, "");
        if page.contains(words) {
            return page;
        }
        tokio::task::yield_now().await;
    }
    panic!("{target} never said {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_goes_on_while_nobody_looks_and_tells_how_it_ended() {
    let watching = Watching::start().await;
    let (open, gate) = mpsc::channel();
    *watching.twins.gate.lock().expect("lock") = Some(gate);
    let reply = watching.post("/mirrors/library/sync", "").await;
    assert_eq!((reply.status(), reply.header("location")), (303, "/mirrors/library/sync"), "{}", reply.text());
    let page = wait_for(&watching, "/mirrors/library/sync", "1 of 3 objects are packed").await;
    assert!(page.contains("http-equiv=\"refresh\""), "it looks again by itself: {page}");
    assert_eq!(watching.post("/mirrors/library/sync", "").await.status(), 409, "one at a time");
    drop(open);
    let page = wait_for(&watching, "/mirrors/library/sync", "The last sync ended").await;
    for expected in ["1 ref updated", "in sync", "there is nothing to do"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert!(!page.contains("http-equiv=\"refresh\""), "{page}");
    assert_eq!(watching.twins.names(Side::Mirror), watching.twins.names(Side::Source));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_diverged_is_overwritten_and_deleted_only_where_the_boxes_say_so() {
    let watching = Watching::start().await;
    watching.twins.set(Side::Mirror, &[("refs/heads/main", 2), ("refs/heads/own", 9), ("refs/tags/v1.0.0", 1)]);
    assert_eq!(watching.post("/mirrors/library/sync", "prune=1").await.status(), 303);
    wait_for(&watching, "/mirrors/library/sync", "The last sync ended").await;
    assert_eq!(watching.twins.names(Side::Mirror).len(), 3, "what only it has stays");
    assert_eq!(watching.post("/mirrors/library/sync", "force=1&prune=1").await.status(), 303);
    wait_for(&watching, "/mirrors/library/sync", "there is nothing to do").await;
    assert_eq!(watching.twins.names(Side::Mirror), watching.twins.names(Side::Source));
}

#[tokio::test]
async fn nothing_is_begun_for_a_mirror_that_is_not_there() {
    let watching = Watching::start().await;
    for form in ["check", "sync"] {
        let reply = watching.post(&format!("/mirrors/nobody/{form}"), "").await;
        assert_eq!(reply.status(), 404, "{form}: {}", reply.text());
    }
}
