//! Webhooks before a receiver that does as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::DateTime;
use serde_json::json;

use super::lookup::Lookup;
use super::outbox::{DeliveryState, Outbox};
use super::webhook::{Pass, PassScheme, Webhook, body};
use crate::error::{Error, Kind};
use crate::monitor::doubles::MemoryStore;
use crate::net::double::{Answer, Server, Step};
use crate::net::{AllowInsecure, Client, Limits, Proxies, Secret, Settings};
use crate::ports::{Clock, Letter, Notifier};

const HOOK: &str = "/services/T0WORKSPACE/B0CHANNEL0/s3cretOfTheHook";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        DateTime::parse_from_rfc3339("2027-02-02T12:00:00Z").expect("a time").to_utc()
    }
}

fn client() -> Client {
    let limits = Limits { first_byte: std::time::Duration::from_secs(5), ..Limits::default() };
    Client::new(Settings {
        proxies: Proxies::none(),
        allow_insecure: AllowInsecure::All,
        limits,
        ..Settings::default()
    })
    .expect("settings")
}

fn hook(server: &Server) -> Webhook {
    hook_at(server.url(HOOK).as_str())
}

fn hook_at(url: &str) -> Webhook {
    Webhook::new("chat", &client(), Lookup::of(Secret::new(url)), None)
}

fn letter() -> Letter {
    Letter {
        id: "python-gitlab-3".to_owned(),
        at: DateTime::parse_from_rfc3339("2027-02-02T09:15:00Z").expect("a time").to_utc(),
        subject: "python-gitlab is stale".to_owned(),
        text: "behind <https://x.example|click> & @channel, @all".to_owned(),
        data: json!({ "name": "python-gitlab", "condition": "stale" }),
        to: Vec::new(),
    }
}

#[tokio::test]
async fn a_letter_is_one_post_of_json_that_says_which_letter_it_is() {
    let server = Server::start(|_| Answer::ok("ok")).await;
    hook(&server).notify(&letter()).await.expect("taken");
    let [asked] = &server.asked()[..] else { panic!("one request") };
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", HOOK));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("idempotency-key"), Some("python-gitlab-3-1801559700"));
    assert_eq!(asked.header("authorization"), None);
    let found: serde_json::Value = serde_json::from_slice(&asked.body).expect("JSON");
    assert_eq!(
        found,
        json!({
            "text": "python-gitlab is stale\n\
                     behind &lt;https://x.example|click&gt; &amp; @\u{200b}channel, @\u{200b}all",
            "id": "python-gitlab-3",
            "at": "2027-02-02T09:15:00Z",
            "subject": "python-gitlab is stale",
            "data": { "name": "python-gitlab", "condition": "stale" },
        })
    );
}

#[tokio::test]
async fn every_answer_says_whether_to_try_again_and_shows_no_part_of_the_address() {
    let said = "no such hook: /services/T0WORKSPACE/B0CHANNEL0/s3cretOfTheHook (B0CHANNEL0)";
    let table = [
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
        (429, Kind::Unavailable),
        (400, Kind::Unavailable),
        (401, Kind::Unavailable),
        (403, Kind::Unavailable),
        (404, Kind::Unavailable),
        (410, Kind::Unavailable),
        (413, Kind::Gone),
        (415, Kind::Gone),
        (422, Kind::Gone),
    ];
    for (status, kind) in table {
        let server = Server::start(move |_| Answer::new(status, said).header("retry-after", "7200")).await;
        let error = hook(&server).notify(&letter()).await.expect_err("refused");
        assert_eq!((error.kind(), error.delay().map(|delay| delay.as_secs())), (kind, Some(7200)), "{status}");
        assert_eq!(error.to_string(), format!("127.0.0.1 answered {status}: no such hook: … (…)"));
        assert_eq!(server.asked().len(), 1, "{status}: who tries again is the outbox");
    }
    for status in [200, 201, 204, 299] {
        let server = Server::start(move |_| Answer::new(status, "")).await;
        hook(&server).notify(&letter()).await.unwrap_or_else(|error| panic!("{status}: {error}"));
    }
}

#[tokio::test]
async fn a_part_of_the_address_is_hidden_as_it_goes_over_the_wire_too() {
    let said = "no hook s3cret%2Bof%2Fhook, no s3cret+of/hook and no k3y%3D%3Dlong";
    let server = Server::start(move |_| Answer::new(404, said)).await;
    let url = server.url("/hooks/s3cret%2Bof%2Fhook?key=k3y%3D%3Dlong");
    let error = hook_at(url.as_str()).notify(&letter()).await.expect_err("refused");
    assert_eq!(error.to_string(), "127.0.0.1 answered 404: no hook …, no … and no …");
}

#[tokio::test]
async fn a_redirect_carries_the_letter_to_nobody() {
    let other = Server::start(|_| Answer::ok("mine")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = other.url("/take");
        let server = Server::start(move |_| Answer::redirect(status, to.as_str())).await;
        let error = hook(&server).notify(&letter()).await.expect_err("not there");
        assert_eq!(error.kind(), Kind::Unavailable, "{status}");
        assert_eq!(error.remedies(), ["a letter is not carried on: name the address that it is to go to"], "{status}");
        let own = Server::start(move |asked| match asked.target.as_str() {
            HOOK => Answer::redirect(status, "/elsewhere"),
            _ => Answer::ok(""),
        })
        .await;
        hook(&own).notify(&letter()).await.expect_err("nor elsewhere on the same host");
        assert_eq!(own.asked().len(), 1, "{status}");
    }
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn who_died_after_reading_may_have_it_and_who_was_never_there_has_not() {
    // Reads the head, and hangs up without a word.
    let dies = Server::start_raw("").await;
    let error = hook(&dies).notify(&letter()).await.expect_err("no answer");
    assert_eq!(error.kind(), Kind::BadGateway, "{error}");
    let half = Server::start_raw("HTTP/1.1 2").await;
    assert_eq!(hook(&half).notify(&letter()).await.expect_err("half an answer").kind(), Kind::BadGateway);
    let gone = {
        let server = Server::start(|_| Answer::ok("")).await;
        server.url(HOOK)
    };
    let error = hook_at(gone.as_str()).notify(&letter()).await.expect_err("nobody is there");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    // The verdict is in the status; who does not end its page has said it.
    let slow = Server::start(|_| Answer::ok("o").then(Step::Stall)).await;
    hook(&slow).notify(&letter()).await.expect("taken");
}

#[tokio::test]
async fn a_stranger_in_the_receivers_place_never_sees_the_letter() {
    let server = Server::start_tls(|_| Answer::ok("")).await;
    let error = hook(&server).notify(&letter()).await.expect_err("a certificate of nobody we know");
    assert_eq!((error.kind(), server.asked().len()), (Kind::Unavailable, 0), "{error}");
    assert!(!format!("{error} {:?}", hook(&server)).contains("s3cret"), "{error}");
}

#[tokio::test]
async fn an_address_that_cannot_be_read_or_is_none_waits_to_be_mended() {
    let unreadable = Lookup::new(|| Err(Error::gone("/run/hook cannot be read")));
    let error = Webhook::new("chat", &client(), unreadable, None).notify(&letter()).await.expect_err("no file");
    assert_eq!(
        (error.kind(), error.to_string()),
        (Kind::Unavailable, "a secret cannot be read: /run/hook cannot be read".to_owned())
    );
    for text in ["", "s3cret", "ftp://s3cret.example/x"] {
        let error = hook_at(text).notify(&letter()).await.expect_err(text);
        assert_eq!((error.kind(), error.what()), (Kind::Unavailable, "its address is no URL (expected https://…)"));
    }
}

#[tokio::test]
async fn a_receiver_may_want_to_be_shown_something() {
    let server = Server::start(|asked| match asked.header("x-token").or(asked.header("authorization")) {
        Some(shown) => Answer::new(403, format!("{shown} is wrong")),
        None => Answer::ok(""),
    })
    .await;
    let schemes = [
        PassScheme::Bearer,
        PassScheme::Basic { username: "ci".to_owned() },
        PassScheme::Header { name: "x-token".parse().expect("a name") },
    ];
    for scheme in schemes {
        let pass =
            Pass { host: "127.0.0.1".to_owned(), scheme, secret: Lookup::of(Secret::new("pAss-of-the-receiver")) };
        let address = Lookup::of(Secret::new(server.url(HOOK).as_str()));
        let error = Webhook::new("chat", &client(), address, Some(pass)).notify(&letter()).await.expect_err("shown");
        assert!(error.what().ends_with("… is wrong"), "{error}");
    }
}

#[tokio::test]
async fn a_receiver_that_fails_twice_counts_one_letter() {
    let (tries, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (asked, taken) = (tries.clone(), counted.clone());
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Answer::new(500, "not now"),
        _ => {
            taken.fetch_add(1, Ordering::SeqCst);
            Answer::ok("ok")
        }
    })
    .await;
    let outbox = Outbox::open(Arc::new(MemoryStore::new()), Arc::new(Noon)).expect("an empty store");
    let appoint = || outbox.appoint(vec![Arc::new(hook(&server))], None);
    appoint();
    outbox.post(&letter(), None).expect("posted");
    for _ in 0..5 {
        outbox.deliver_due().await;
        // A reload lets nothing wait, so that no clock has to be moved.
        appoint();
    }
    assert_eq!((tries.load(Ordering::SeqCst), counted.load(Ordering::SeqCst)), (3, 1));
    let ids: Vec<String> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap_or("").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_receiver_that_died_after_reading_is_not_told_twice() {
    let dies = Server::start_raw("").await;
    let outbox = Outbox::open(Arc::new(MemoryStore::new()), Arc::new(Noon)).expect("an empty store");
    outbox.appoint(vec![Arc::new(hook(&dies))], None);
    outbox.post(&letter(), None).expect("posted");
    assert_eq!(outbox.deliver_due().await, None);
    let [posted] = &outbox.unsettled("python-gitlab")[..] else { panic!("one letter") };
    assert_eq!(posted.deliveries[0].state, DeliveryState::Uncertain);
    assert!(outbox.is_uncertain("python-gitlab-3"));
}

#[test]
fn the_body_on_the_page_is_what_is_sent() {
    let page = include_str!("../../docs/notices.md");
    let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let letter = Letter { text: "behind by 2 refs since 2027-02-01 09:15 UTC".to_owned(), ..letter() };
    let sent = serde_json::to_string_pretty(&body(&letter)).expect("JSON");
    let (found, expected): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&sent).expect("JSON"), serde_json::from_str(example).expect("JSON"));
    assert_eq!(found, expected);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = body(&Letter { text: "é".repeat(9000), ..letter() })["text"].as_str().expect("text").to_owned();
    assert!(text.ends_with("é…") && text.chars().count() == 4001, "{}", text.chars().count());
}
