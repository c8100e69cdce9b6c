//! Who is let in over the wire, with which words everybody else is sent away, and that no cache gives it to others.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::golden::{compare, shown};
use super::tokens::wanted;
use super::{PSEUDONYM, Reply, Running, World, start, start_desk};
use crate::access::{Encryption, Exposure, Right};
use crate::http::admission::{Admission, Secrets};
use crate::http::desk::Desk;
use crate::http::serve::Limits;
use crate::http::site::Site;

const INFO: &str = "/example.com/m/@v/v1.0.0.info";
const OTHER: &str = "/registries/ci/example.com/m/@v/v1.0.0.info";

fn world() -> World {
    let world = World::new();
    world.public.publish("example.com/m", "v1.0.0", b"zip");
    world
}

async fn exposed(site: &Arc<Site>, open: Option<bool>, encryption: Encryption) -> Running {
    let exposure = Exposure { listen: ([127, 0, 0, 1], 0).into(), open, encryption };
    start_desk(Some(site.clone()), Limits::default(), |door| {
        Desk::new(door, Duration::from_secs(30), PSEUDONYM)
            .guarded_by(Arc::new(Admission::new(exposure, Secrets::default())))
    })
    .await
}

fn token(site: &Site, scope: Right, registry: Option<&str>, expires: &str) -> String {
    let (_, text) = site.tokens().create(wanted(scope, registry, expires)).expect("made");
    text.expose().to_owned()
}

async fn bearing(running: &Running, target: &str, token: &str) -> Reply {
    running.ask("GET", target, &[("Authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn reading_is_open_until_the_first_token_for_reading_is_made() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    for target in [INFO, "/metrics", "/api/v1/openapi.json"] {
        assert_eq!(running.get(target).await.status(), 200, "{target}");
    }
    token(&site, Right::Admin, None, "never");
    assert_eq!(running.get(INFO).await.status(), 200, "a token for administration shuts nothing");
    let read = token(&site, Right::Read, None, "never");
    for target in [INFO, "/metrics", "/api/v1/openapi.json", "/sumdb/sum.example.org/supported"] {
        assert_eq!(running.get(target).await.status(), 401, "{target}");
        let answered = bearing(&running, target, &read).await.status();
        assert!(matches!(answered, 200 | 404), "{target}: {answered}");
    }
    for target in ["/healthz", "/readyz"] {
        assert_eq!(running.get(target).await.status(), 200, "{target}");
    }
    let id = site.tokens().list().last().expect("one").id.clone();
    site.tokens().revoke(&id).expect("revoked");
    assert_eq!(running.get(INFO).await.status(), 401, "the last token that is revoked opens nothing");
    let open = exposed(&site, Some(true), Encryption::InFront).await;
    assert_eq!(open.get(INFO).await.status(), 200, "unless it is said");
}

#[tokio::test]
async fn behind_a_proxy_and_where_it_is_said_nobody_reads_without_a_token() {
    for (open, encryption) in [(None, Encryption::InFront), (Some(false), Encryption::Nobody)] {
        let site = world().site();
        let running = exposed(&site, open, encryption).await;
        assert_eq!(running.get(INFO).await.status(), 401, "{encryption:?}");
        let read = token(&site, Right::Read, None, "1h");
        assert_eq!(bearing(&running, INFO, &read).await.status(), 200, "{encryption:?}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_the_way_in() {
    let world = world();
    let site = world.site();
    let running = exposed(&site, None, Encryption::Own).await;
    let (short, ci) = (token(&site, Right::Read, None, "1h"), token(&site, Right::Read, Some("ci"), "2h"));
    let gone = token(&site, Right::Read, None, "never");
    let id = gone.split('_').nth(1).expect("an id").to_owned();
    site.tokens().revoke(&id).expect("revoked");
    world.clock.forward(3600);
    let strange = token(&super::World::new().site(), Right::Read, None, "never");
    compare("access without token", &shown(&running.get(INFO).await));
    for (row, token) in [
        ("access malformed token", "hunter2"),
        ("access unknown token", &strange),
        ("access expired token", &short),
        ("access revoked token", &gone),
        ("access token of another registry", &ci),
    ] {
        let refused = bearing(&running, INFO, token).await;
        assert!(!refused.text().contains(token), "{row}");
        compare(row, &shown(&refused));
    }
    compare(
        "access token of another registry in the API",
        &shown(&bearing(&running, "/api/v1/walk/example.com/m", &ci).await),
    );
    compare("access reader at the admin API", &shown(&bearing(&running, "/api/v1/upstreams", &ci).await));
    let admin = token(&site, Right::Admin, Some("ci"), "1h");
    compare("access admin of one registry", &shown(&bearing(&running, "/api/v1/upstreams", &admin).await));
    let plain = exposed(&site, None, Encryption::Nobody).await;
    let refused = plain.get(INFO).await;
    compare("access without token over plain http", &shown(&refused));
    assert!(!refused.text().contains("~/.netrc"), "the go command reads it, and sends nothing of it over plain http");
}

#[tokio::test]
async fn of_another_registry_not_even_its_existence_shows() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    for scope in [Right::Read, Right::Admin] {
        let ci = token(&site, scope, Some("ci"), "1h");
        assert_eq!(bearing(&running, OTHER, &ci).await.status(), 200);
        for tail in [
            "example.com/m/@v/list",
            "example.com/m/@v/v9.0.0.zip",
            "sumdb/sum.example.org/latest",
            "api/v1/walk/example.com/m",
        ] {
            let mut texts = Vec::new();
            for registry in ["/registries/old", "/registries/none", "/registries/default", ""] {
                let refused = bearing(&running, &format!("{registry}/{tail}"), &ci).await;
                assert_eq!(refused.status(), 403, "{registry}/{tail}");
                texts.push(shown(&refused));
            }
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
        }
        assert_eq!(bearing(&running, "/metrics", &ci).await.status(), 403);
        assert_eq!(bearing(&running, "/api/v1/openapi.json", &ci).await.status(), 200);
    }
}

#[tokio::test]
async fn a_token_comes_as_password_of_any_user_or_as_bearer() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    let read = token(&site, Right::Read, None, "1h");
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let table = [
        ("bearer", format!("Bearer {read}"), 200),
        ("bearer in another case", format!("bEARER  {read}"), 200),
        ("a user", basic(&format!("go:{read}")), 200),
        ("no user", basic(&format!(":{read}")), 200),
        ("basic in another case", basic(&format!("x:{read}")).replace("Basic", "basic"), 200),
        ("as the user", basic(&format!("{read}:")), 401),
        ("without a colon", basic(&read), 401),
        ("no base64", "Basic ***".to_owned(), 401),
        ("no text", format!("Basic {}", STANDARD.encode([0xff, b':', 0xfe])), 401),
        ("too long", basic(&format!("{}:{read}", "u".repeat(2000))), 401),
        ("another scheme", format!("Digest {read}"), 401),
        ("no scheme", read.clone(), 401),
        ("empty", String::new(), 401),
        ("two tokens", format!("Bearer {read} {read}"), 401),
    ];
    for (row, value, expected) in table {
        let answered = running.ask("GET", INFO, &[("Authorization", &value)]).await;
        assert_eq!(answered.status(), expected, "{row}: {answered:?}");
    }
}

#[tokio::test]
async fn where_reading_is_open_only_a_token_that_was_one_is_refused() {
    let world = world();
    let site = world.site();
    let running = exposed(&site, Some(true), Encryption::Nobody).await;
    let short = token(&site, Right::Read, None, "1h");
    world.clock.forward(3600);
    assert_eq!(bearing(&running, INFO, &short).await.status(), 401, "its holder must learn of it");
    let elsewhere = [("Authorization", "Basic dXNlcjpwYXNz")];
    assert_eq!(running.ask("GET", INFO, &elsewhere).await.status(), 200, "meant for a proxy in front");
    let ci = token(&site, Right::Read, Some("ci"), "1h");
    assert_eq!(bearing(&running, INFO, &ci).await.status(), 403, "a token of one registry stays one");
    assert_eq!(running.get("/api/v1/upstreams").await.status(), 401, "the admin API is never open");
}

#[tokio::test]
async fn what_was_given_for_a_token_is_kept_by_no_shared_cache() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    let absent = "/example.com/none/@v/list";
    assert_eq!(running.get(INFO).await.header("cache-control"), "public, max-age=31536000, immutable");
    let read = token(&site, Right::Read, None, "1h");
    let table = [(INFO, "private, max-age=31536000, immutable"), (absent, "private, max-age=10")];
    for (target, expected) in table {
        assert_eq!(bearing(&running, target, &read).await.header("cache-control"), expected, "{target}");
    }
    for target in [INFO, absent] {
        assert_eq!(running.get(target).await.header("cache-control"), "no-store", "{target}");
    }
}

#[tokio::test]
async fn a_token_that_is_shown_once_is_kept_by_nobody() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    let admin = token(&site, Right::Admin, None, "1h");
    let authorization = format!("Bearer {admin}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let made = running.send("POST", "/api/v1/tokens", &headers, br#"{"scope":"read"}"#).await;
    assert_eq!((made.status(), made.header("cache-control"), made.header("etag")), (201, "no-store", ""), "{made:?}");
    let body: serde_json::Value = serde_json::from_slice(&made.body).expect("JSON");
    let text = body["token"].as_str().expect("a token");
    assert_eq!(bearing(&running, INFO, text).await.status(), 200);
    let listed = bearing(&running, "/api/v1/tokens", &admin).await;
    assert!(!listed.text().contains(text) && listed.text().contains(body["id"].as_str().expect("an id")));
    let unknown = running.send("POST", "/api/v1/tokens", &headers, br#"{"scope":"read","registry":"co"}"#).await;
    compare("token of an unknown registry", &shown(&unknown));
}

/// A browser sends Basic credentials that it was once given along with whatever any page sends.
#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_a_browsers_credentials() {
    let site = world().site();
    let running = exposed(&site, None, Encryption::Nobody).await;
    let admin = token(&site, Right::Admin, None, "1h");
    let basic = format!("Basic {}", STANDARD.encode(format!("admin:{admin}")));
    let table = [
        ("a script", vec![], 200),
        ("another site", vec![("Sec-Fetch-Site", "cross-site")], 403),
        ("a neighbour", vec![("Sec-Fetch-Site", "same-site")], 403),
        ("a page of its own", vec![("Sec-Fetch-Site", "same-origin"), ("Origin", "http://elsewhere.test")], 200),
        ("an older browser", vec![("Origin", "http://evil.test")], 403),
        ("an older browser, hidden", vec![("Origin", "null")], 403),
        ("an older browser, a page of its own", vec![("Origin", "http://modvet.test")], 200),
    ];
    for (row, mut headers, expected) in table {
        headers.push(("Authorization", &basic));
        let answered = running.send("POST", "/api/v1/cache/verify", &headers, b"").await;
        assert_eq!(answered.status(), expected, "{row}: {}", answered.text());
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_it_is_not_known_who_may() {
    let exposure = Exposure { listen: ([127, 0, 0, 1], 0).into(), open: None, encryption: Encryption::InFront };
    let running = start_desk(None, Limits::default(), |door| {
        Desk::new(door, Duration::ZERO, PSEUDONYM).guarded_by(Arc::new(Admission::new(exposure, Secrets::default())))
    })
    .await;
    for target in [INFO, "/metrics", "/api/v1/openapi.json"] {
        assert_eq!(running.get(target).await.status(), 503, "{target}");
    }
    assert_eq!(running.get("/healthz").await.status(), 200);
    assert_eq!(start(&world()).await.get(INFO).await.status(), 200);
}
