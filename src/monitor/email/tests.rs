//! E-mail before a mail server that behaves and one that does not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::DateTime;

use super::*;
use crate::error::Kind;
use crate::net::Secret;

#[path = "../../../tests/support/smtp.rs"]
#[allow(dead_code)]
mod smtp;

use smtp::{Account, Fault, Smtp, Tls};

const PAIR: (&str, &str) =
    (include_str!("../../../testdata/net/server.pem"), include_str!("../../../testdata/net/server.key"));
const AUTHORITY: &str = include_str!("../../../testdata/net/authority.pem");
const PASSWORD: &str = "sm7p-pAssword";

fn letter() -> Letter {
    Letter {
        id: "python-gitlab-3".to_owned(),
        at: DateTime::parse_from_rfc3339("2027-02-02T09:15:00Z").expect("a time").to_utc(),
        subject: "python-gitlab is stale".to_owned(),
        text: "first\n.\n..two\n.".to_owned(),
        data: serde_json::Value::Null,
        to: vec!["ops@example.com".to_owned()],
    }
}

fn account(mechanism: &'static str, password: &str) -> Account {
    Account { mechanism, username: "modvet".to_owned(), password: password.to_owned() }
}

fn settings(server: &Smtp, security: Security) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        security,
        from: "modvet <modvet@example.com>".to_owned(),
        login: None,
        extra_roots: vec![AUTHORITY.to_owned()],
    }
}

fn email(settings: MailSettings) -> Email {
    Email::new("post", &MailServer::new(settings).expect("settings"), Vec::new())
}

fn with_login(settings: MailSettings, password: Lookup) -> MailSettings {
    MailSettings { login: Some(Login { username: "modvet".to_owned(), password }), ..settings }
}

#[tokio::test]
async fn a_letter_arrives_as_it_was_by_every_way_of_tls_and_login() {
    let ways = [
        (Tls::Implicit, Security::Tls, Some("PLAIN")),
        (Tls::Implicit, Security::Tls, Some("LOGIN")),
        (Tls::Offered, Security::StartTls, Some("PLAIN")),
        (Tls::Offered, Security::StartTls, None),
        (Tls::Never, Security::Plain, None),
    ];
    for (tls, security, mechanism) in ways {
        let accounts = mechanism.map(|mechanism| account(mechanism, PASSWORD)).into_iter().collect();
        let server = Smtp::start(tls, PAIR, accounts, |_| None);
        let mut settings = settings(&server, security);
        if mechanism.is_some() {
            settings = with_login(settings, Lookup::of(Secret::new(PASSWORD)));
        }
        let row = format!("{security:?} {mechanism:?}");
        email(settings).notify(&letter()).await.unwrap_or_else(|error| panic!("{row}: {error}"));
        let [mail] = &server.mails()[..] else { panic!("{row}: one mail") };
        assert_eq!(
            (mail.from.as_str(), &mail.to[..]),
            ("modvet@example.com", &["ops@example.com".to_owned()][..]),
            "{row}"
        );
        assert_eq!((mail.encrypted, mail.user.is_some()), (tls != Tls::Never, mechanism.is_some()), "{row}");
        assert_eq!(mail.header("subject"), "python-gitlab is stale", "{row}");
        assert_eq!(mail.body().trim_end_matches("\r\n"), "first\r\n.\r\n..two\r\n.", "{row}: dots are its own");
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_hides_nothing_or_is_not_who_it_should_be() {
    let plain = Smtp::start(Tls::Never, PAIR, vec![account("PLAIN", PASSWORD)], |_| None);
    let password = || Lookup::of(Secret::new(PASSWORD));
    let error = email(with_login(settings(&plain, Security::StartTls), password())).notify(&letter()).await;
    let error = error.expect_err("no STARTTLS");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.what(), "127.0.0.1 offers no STARTTLS (expected it)");
    assert!(plain.said().iter().all(|said| said == "CONNECT" || said.starts_with("EHLO")), "{:?}", plain.said());
    for (tls, security) in [(Tls::Implicit, Security::Tls), (Tls::Offered, Security::StartTls)] {
        let server = Smtp::start(tls, PAIR, vec![account("PLAIN", PASSWORD)], |_| None);
        let settings = MailSettings { extra_roots: Vec::new(), ..settings(&server, security) };
        let error = email(with_login(settings, password())).notify(&letter()).await.expect_err("a stranger");
        assert_eq!((error.kind(), server.mails().len()), (Kind::Unavailable, 0), "{error}");
        assert!(error.to_string().contains("SSL_CERT_FILE") && !error.to_string().contains(PASSWORD), "{error}");
        assert!(!server.said().iter().any(|said| said.starts_with("AUTH")), "{:?}", server.said());
    }
}

#[tokio::test]
async fn every_step_that_fails_says_whether_to_try_again() {
    let says = |text: &'static str| move || Fault::Says(text.to_owned());
    let cuts = || || Fault::Cuts;
    type Row = (&'static str, Box<dyn Fn() -> Fault + Send + Sync>, Kind, usize, &'static str);
    let table: Vec<Row> = vec![
        ("CONNECT", Box::new(says("421 too busy")), Kind::Unavailable, 0, "could not be reached: 421 too busy"),
        ("CONNECT", Box::new(cuts()), Kind::Unavailable, 0, "could not be reached: incomplete response"),
        ("EHLO", Box::new(says("550 go away")), Kind::Unavailable, 0, "could not be reached: 550 go away"),
        (
            "MAIL",
            Box::new(says("550 5.7.1 not you")),
            Kind::Unavailable,
            0,
            "does not take our sender: 550 5.7.1 not you",
        ),
        (
            "RCPT",
            Box::new(says("450 4.2.0 greylisted")),
            Kind::Unavailable,
            0,
            "does not take mail for ops@example.com: 450 4.2.0 greylisted",
        ),
        (
            "RCPT",
            Box::new(says("550 5.1.1 no such user")),
            Kind::Gone,
            0,
            "does not take mail for ops@example.com: 550 5.1.1 no such user",
        ),
        ("DATA", Box::new(says("451 later")), Kind::Unavailable, 0, "does not take the letter: 451 later"),
        ("DATA", Box::new(cuts()), Kind::Unavailable, 0, "does not take the letter: incomplete response"),
        ("MESSAGE", Box::new(says("452 4.3.1 full")), Kind::Unavailable, 0, "does not take the letter: 452 4.3.1 full"),
        ("MESSAGE", Box::new(says("554 5.6.0 spam")), Kind::Gone, 0, "does not take the letter: 554 5.6.0 spam"),
        // It has read everything and says nothing: it may have it, and here it does.
        (
            "MESSAGE",
            Box::new(cuts()),
            Kind::BadGateway,
            1,
            "did not say whether it took the letter: incomplete response",
        ),
    ];
    for (step, fault, kind, taken, what) in table {
        let server = Smtp::start(Tls::Never, PAIR, Vec::new(), move |said| said.starts_with(step).then(&fault));
        let error = email(settings(&server, Security::Plain)).notify(&letter()).await.expect_err(what);
        assert_eq!((error.kind(), error.what()), (kind, format!("127.0.0.1 {what}").as_str()), "{step}");
        assert_eq!(server.mails().len(), taken, "{step}: {what}");
    }
    let server = Smtp::start(Tls::Never, PAIR, Vec::new(), |said| said.starts_with("QUIT").then_some(Fault::Cuts));
    email(settings(&server, Security::Plain)).notify(&letter()).await.expect("it has it, whatever comes behind");
}

#[tokio::test]
async fn nobody_listening_is_no_refusal() {
    let port = {
        let server = Smtp::start(Tls::Never, PAIR, Vec::new(), |_| None);
        server.port()
    };
    let server = Smtp::start(Tls::Never, PAIR, Vec::new(), |_| None);
    let settings = MailSettings { port, ..settings(&server, Security::Plain) };
    let error = email(settings).notify(&letter()).await.expect_err("nobody is there");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.what().starts_with("127.0.0.1 could not be reached: "), "{error}");
}

#[tokio::test]
async fn a_password_that_is_refused_is_read_again_and_never_said() {
    let server = Smtp::start(Tls::Implicit, PAIR, vec![account("PLAIN", PASSWORD)], |_| None);
    let (held, reads) = (Arc::new(Mutex::new("0ld-password")), Arc::new(AtomicUsize::new(0)));
    let (file, count) = (held.clone(), reads.clone());
    let lookup = Lookup::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Secret::new(*file.lock().expect("no holder panics")))
    });
    let email = email(with_login(settings(&server, Security::Tls), lookup));
    let error = email.notify(&letter()).await.expect_err("the old one");
    assert!(error.kind() == Kind::Unavailable && error.is_unauthorized(), "{error}");
    assert_eq!(error.to_string(), "127.0.0.1 does not let us in: 535 5.7.8 modvet with … is not let in");
    *held.lock().expect("no holder panics") = PASSWORD;
    email.notify(&letter()).await.expect("the new one");
    assert_eq!((server.mails().len(), reads.load(Ordering::SeqCst)), (1, 2));
    assert!(!format!("{email:?}").contains(PASSWORD));
}
