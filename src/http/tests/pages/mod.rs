//! Pages over the wire: who sees them, what they may do in a browser, and that no other site can send our forms.

mod actions;
mod twins;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::golden::compare;
use super::tokens::wanted;
use super::{PSEUDONYM, Reply, Running, World, start_desk};
use crate::access::{Encryption, Exposure, Right};
use crate::http::admission::{Admission, Secrets};
use crate::http::desk::Desk;
use crate::http::serve::Limits;
use crate::http::site::Site;
use crate::ui::STYLE;
use twins::Twins;

/// A server that watches mirrors, and a token for administration.
pub struct Watching {
    pub running: Running,
    pub twins: Arc<Twins>,
    pub admin: String,
    pub site: Arc<Site>,
}

impl Watching {
    pub async fn start() -> Watching {
        Watching::start_with(Encryption::Nobody).await
    }

    pub async fn start_with(encryption: Encryption) -> Watching {
        let world = World::new();
        let twins = Twins::new();
        let site = Arc::into_inner(world.site()).expect("nobody else has it yet");
        let site = Arc::new(site.watched_by(twins.watch(&world)));
        let (_, token) = site.tokens().create(wanted(Right::Admin, None, "never")).expect("made");
        let exposure = Exposure { listen: ([127, 0, 0, 1], 0).into(), open: None, encryption };
        let running = start_desk(Some(site.clone()), Limits::default(), |door| {
            Desk::new(door, Duration::from_secs(30), PSEUDONYM)
                .guarded_by(Arc::new(Admission::new(exposure, Secrets::default())))
        })
        .await;
        Watching { running, twins, admin: basic(token.expose()), site }
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.running.ask("GET", target, &[("Authorization", &self.admin)]).await
    }

    /// As a browser sends a form of our own page.
    pub async fn post(&self, target: &str, form: &str) -> Reply {
        self.post_from(target, form, &[("Sec-Fetch-Site", "same-origin")]).await
    }

    pub async fn post_from(&self, target: &str, form: &str, from: &[(&str, &str)]) -> Reply {
        let own = [("Authorization", self.admin.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let headers: Vec<(&str, &str)> = own.iter().chain(from).copied().collect();
        self.running.send("POST", target, &headers, form.as_bytes()).await
    }
}

fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("anybody:{token}")))
}

/// What a browser sees, without what depends on the day or on the stylesheet.
pub fn seen(reply: &Reply) -> String {
    const LEFT_OUT: [&str; 4] = ["date", "connection", "content-length", "content-security-policy"];
    let headers = reply.headers.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let headers: String = headers.map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{}\n{headers}\n{}", reply.status_line, reply.text().replace(STYLE, ""))
}

#[tokio::test]
async fn a_browser_is_asked_for_a_token_before_any_mirror_is_named() {
    let watching = Watching::start().await;
    let world = World::new();
    for target in ["/mirrors", "/mirrors/library", "/mirrors/library/sync", "/mirrors/nothing"] {
        let reply = watching.running.get(target).await;
        assert_eq!(reply.status(), 401, "{target}");
        assert!(reply.header("www-authenticate").starts_with("Basic"), "{target}: browsers ask for Basic only");
        assert!(!reply.text().contains("example"), "{target}: {}", reply.text());
    }
    compare("page without token", &seen(&watching.running.get("/mirrors").await));
    for form in ["check", "renew", "sync"] {
        let target = format!("/mirrors/library/{form}");
        let headers = [("Sec-Fetch-Site", "same-origin")];
        assert_eq!(watching.running.send("POST", &target, &headers, b"").await.status(), 401, "{target}");
    }
    let (_, reader) = watching.site.tokens().create(wanted(Right::Read, None, "never")).expect("made");
    let (_, other) = watching.site.tokens().create(wanted(Right::Admin, Some("ci"), "never")).expect("made");
    for token in [reader, other] {
        let headers = [("Authorization", &*basic(token.expose()))];
        let reply = watching.running.ask("GET", "/mirrors", &headers).await;
        assert_eq!(reply.status(), 403, "{}", reply.text());
    }
    drop(world);
    assert_eq!(watching.get("/mirrors").await.status(), 200);
}

#[tokio::test]
async fn a_page_lets_a_browser_do_nothing_but_show_it() {
    let watching = Watching::start().await;
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let without_token = watching.running.get("/mirrors").await;
    let moved = watching.post("/mirrors/library/check", "").await;
    for reply in [
        watching.get("/").await,
        watching.get("/mirrors").await,
        watching.get("/mirrors/no").await,
        without_token,
        moved,
    ] {
        let expected = [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("content-security-policy", &policy),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ];
        for (name, value) in expected {
            assert_eq!(reply.header(name), value, "{} {name}", reply.status_line);
        }
    }
    let page = watching.get("/mirrors").await;
    let (_, style) = page.text().split_once("<style>").expect("a style");
    assert!(style.starts_with(&format!("{STYLE}</style>")), "the hash is of these very bytes");
    assert!(!page.text().contains("style=") && !page.text().contains("<script"), "the policy would not let it");
}

#[tokio::test]
async fn a_head_is_a_page_without_its_text() {
    let watching = Watching::start().await;
    for target in ["/", "/mirrors", "/mirrors/library", "/mirrors/nothing"] {
        let (get, head) = (
            watching.get(target).await,
            watching.running.ask("HEAD", target, &[("Authorization", &watching.admin)]).await,
        );
        assert_eq!((head.status(), head.text()), (get.status(), ""), "{target}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{target}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let watching = Watching::start().await;
    type From<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, From<'_>, bool); 9] = [
        ("our own page", &[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://modvet.test")], true),
        ("our own page over plain http, where browsers say no site", &[("Origin", "http://modvet.test")], true),
        ("another site", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")], false),
        ("another host of our domain", &[("Sec-Fetch-Site", "same-site"), ("Origin", "http://a.modvet.test")], false),
        ("another site in an old browser", &[("Origin", "https://evil.example")], false),
        ("another port", &[("Origin", "http://modvet.test:8080")], false),
        ("a frame without an origin", &[("Origin", "null")], false),
        ("a page that says nothing", &[], false),
        ("a referrer alone", &[("Referer", "http://modvet.test/mirrors")], false),
    ];
    for (row, from, is_own) in table {
        let before = watching.twins.asked();
        let reply = watching.post_from("/mirrors/library/check", "", from).await;
        assert_eq!(reply.status() == 303, is_own, "{row}: {}", reply.text());
        assert_eq!(watching.twins.asked() > before, is_own, "{row}");
        if !is_own {
            assert_eq!(reply.status(), 403, "{row}");
        }
    }
    compare("page form of another site", &seen(&watching.post_from("/mirrors/library/check", "", &[]).await));
}

#[tokio::test]
async fn what_goes_wrong_is_a_page_with_a_way_out() {
    let watching = Watching::start().await;
    let shown = |reply: Reply| seen(&reply);
    compare("page unknown mirror", &shown(watching.get("/mirrors/librari").await));
    compare("page method", &shown(watching.get("/mirrors/library/check").await));
    compare("page unknown field", &shown(watching.post("/mirrors/library/check", "force=1").await));
    compare("page no date", &shown(watching.post("/mirrors/library/renew", "until=soon").await));
    let own = [("Authorization", watching.admin.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let json = own.iter().chain(&[("Content-Type", "application/json")]).copied().collect::<Vec<_>>();
    compare("page no form", &shown(watching.running.send("POST", "/mirrors/library/renew", &json, b"{}").await));
    let large = "by=".to_owned() + &"x".repeat(1 << 20);
    assert_eq!(watching.post("/mirrors/library/renew", &large).await.status(), 413);
    let put = watching.running.ask("PUT", "/mirrors", &[("Authorization", &watching.admin)]).await;
    assert_eq!((put.status(), put.header("allow")), (405, "GET, HEAD"));
    for target in ["/mirrors/", "/mirrors/library/delete", "/mirrors/a/b/check"] {
        assert_eq!(watching.get(target).await.status(), 404, "{target}");
    }
}

#[tokio::test]
async fn the_start_page_says_what_to_write_into_goproxy() {
    let watching = Watching::start().await;
    let page = watching.running.get("/").await;
    assert_eq!(page.status(), 200, "who may read the registries may see it");
    for address in ["http://modvet.test<", "http://modvet.test/registries/ci<", "http://modvet.test/registries/old<"] {
        assert!(page.text().contains(&format!("GOPROXY={address}")), "{address}: {}", page.text());
    }
    let (_, own) = watching.site.tokens().create(wanted(Right::Read, Some("ci"), "never")).expect("made");
    assert_eq!(watching.running.get("/").await.status(), 401, "reading is shut now");
    let page = watching.running.ask("GET", "/", &[("Authorization", &basic(own.expose()))]).await;
    assert!(page.text().contains("GOPROXY=http://modvet.test/registries/ci<"), "{}", page.text());
    assert!(!page.text().contains("registries/old"), "a token of one registry: {}", page.text());

    let secure = Watching::start_with(Encryption::InFront).await;
    let page = secure.get("/").await;
    assert!(page.text().contains("GOPROXY=https://modvet.test<"), "{}", page.text());
}
