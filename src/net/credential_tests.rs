//! Credentials on the way: to whom they go, that redirects do not carry them elsewhere, and that they are read again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use super::double::{Answer, Server, authority};
use super::*;
use crate::error::Error;

const SECRET: &str = "hunter2-and-more";

/// Each way to show a secret, and the header that shows it.
fn kinds() -> Vec<(&'static str, CredentialKind)> {
    let basic = CredentialKind::Basic { username: "ci".to_owned(), password: SECRET.into() };
    let header = CredentialKind::Header { name: "private-token".parse().expect("a name"), value: SECRET.into() };
    vec![("authorization", basic), ("authorization", CredentialKind::Bearer(SECRET.into())), ("private-token", header)]
}

fn base() -> Settings {
    let allow_private = vec!["127.0.0.0/8".parse().expect("range"), "localhost".parse().expect("host")];
    let extra_roots = vec![authority()];
    Settings {
        proxies: Proxies::none(),
        allow_insecure: AllowInsecure::All,
        allow_private,
        extra_roots,
        ..Settings::default()
    }
}

fn has(server: &Server, header: &str) -> Vec<bool> {
    server.asked().iter().map(|asked| asked.header(header).is_some()).collect()
}

#[tokio::test]
async fn no_scheme_of_credentials_follows_a_redirect_to_another_origin() {
    for (header, kind) in kinds() {
        let plain = Server::start(|_| Answer::ok("plain")).await;
        let other = Server::start_tls(|_| Answer::ok("other")).await;
        let to = Arc::new(Mutex::new(String::new()));
        let location = to.clone();
        let own = Server::start_tls(move |asked| match asked.target.as_str() {
            "/here" => Answer::redirect(302, "/end"),
            "/end" => Answer::ok("own"),
            _ => Answer::redirect(307, &*location.lock().expect("no panic")),
        })
        .await;
        // A server that leads back to the one that knows us.
        let back = own.url_as("localhost", "/end").to_string();
        let leading_back = Server::start_tls(move |_| Answer::redirect(302, &back)).await;
        let credentials = vec![Credential { host: "localhost".to_owned(), kind }];
        let client = Client::new(Settings { credentials, ..base() }).expect("settings");
        let ask = |path: &str| client.send(Request::get(own.url_as("localhost", path)));
        ask("/here").await.expect("an answer");
        assert_eq!(has(&own, header), [true, true], "{header}: the same origin");
        for (row, target, at) in [
            ("another host", other.url_as("127.0.0.1", "/"), &other),
            ("another port of the host", other.url_as("localhost", "/"), &other),
            ("from https to http", plain.url_as("localhost", "/"), &plain),
        ] {
            *to.lock().expect("no panic") = target.to_string();
            ask("/away").await.unwrap_or_else(|error| panic!("{row}: {error}"));
            assert_eq!(has(at, header).last(), Some(&false), "{header}: {row}");
            let post = Request::post(own.url_as("localhost", "/away"), "body".into());
            client.send(post).await.unwrap_or_else(|error| panic!("{row}: {error}"));
            assert_eq!(has(at, header).last(), Some(&false), "{header}: {row}, a POST");
        }
        *to.lock().expect("no panic") = leading_back.url_as("127.0.0.1", "/").to_string();
        let answer = ask("/away").await.expect("an answer");
        assert!(answer.anonymous, "{header}: whoever goes on from here must not show them either");
        assert_eq!(has(&own, header).last(), Some(&false), "{header}: away and back");
        let stranger = Server::start_tls(|_| Answer::ok("stranger")).await;
        client.send(Request::get(stranger.url_as("127.0.0.1", "/"))).await.expect("an answer");
        assert_eq!(has(&stranger, header), [false], "{header}: another host, asked for");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_read_again_once() {
    let right = Arc::new(Mutex::new("first".to_owned()));
    let wanted = right.clone();
    let server = Server::start(move |asked| {
        let expected = format!("Bearer {}", wanted.lock().expect("no panic"));
        match asked.header("authorization") == Some(expected.as_str()) {
            true => Answer::ok(asked.body.clone()),
            false => Answer::new(401, "no"),
        }
    })
    .await;
    let key =
        |token: &str| vec![Credential { host: "127.0.0.1".to_owned(), kind: CredentialKind::Bearer(token.into()) }];
    let (file, reads) = (Arc::new(Mutex::new(Ok("first".to_owned()))), Arc::new(AtomicUsize::new(0)));
    let (held, count) = (file.clone(), reads.clone());
    let renew = Renew(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let held = held.lock().expect("no panic").clone();
        held.map(|token: String| key(&token)).map_err(|()| Error::gone("the file cannot be read"))
    }));
    let limit = Duration::from_secs(30);
    let client = Client::new(base()).expect("settings").with(key("first"), Some(renew), limit, limit);
    let url = server.url("/");
    let status = async |body: Option<&'static str>| {
        let request = match body {
            Some(body) => Request::post(url.clone(), body.into()),
            None => Request::get(url.clone()),
        };
        client.send(request.trust(Trust::Named)).await.expect("an answer").status.as_u16()
    };
    assert_eq!((status(None).await, reads.load(Ordering::SeqCst)), (200, 0));
    *right.lock().expect("no panic") = "second".to_owned();
    assert_eq!((status(None).await, server.asked().len()), (401, 2), "the file holds what was refused: asked once");
    *file.lock().expect("no panic") = Err(());
    assert_eq!((status(None).await, server.asked().len()), (401, 3), "the file cannot be read");
    *file.lock().expect("no panic") = Ok("second".to_owned());
    assert_eq!((status(Some("pack")).await, server.asked().len()), (200, 5), "a POST as well");
    assert_eq!(server.asked()[4].body, "pack");
    let read = reads.load(Ordering::SeqCst);
    assert_eq!((status(None).await, server.asked().len()), (200, 6), "shown at once from then on");
    *right.lock().expect("no panic") = "third".to_owned();
    *file.lock().expect("no panic") = Ok("wrong".to_owned());
    assert_eq!((status(None).await, server.asked().len()), (401, 8), "read again and refused again: that is all");
    assert_eq!(reads.load(Ordering::SeqCst), read + 1);
}

#[tokio::test]
async fn a_stranger_who_refuses_makes_nobody_read_secrets() {
    let server = Server::start(|_| Answer::new(401, "no")).await;
    let reads = Arc::new(AtomicUsize::new(0));
    let count = reads.clone();
    let renew = Renew(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Vec::new())
    }));
    let other = Credential { host: "git.example".to_owned(), kind: CredentialKind::Bearer(SECRET.into()) };
    let limit = Duration::from_secs(30);
    let client = Client::new(base()).expect("settings").with(vec![other], Some(renew), limit, limit);
    let response = client.send(Request::get(server.url("/")).trust(Trust::Named)).await.expect("an answer");
    assert_eq!((response.status.as_u16(), reads.load(Ordering::SeqCst)), (401, 0));
}

#[test]
fn what_others_say_is_told_without_our_secrets() {
    let netrc = Some("machine net.example login n password netrc-password".into());
    let instead =
        |replacement: &str| InsteadOf { prefix: "https://a/".to_owned(), replacement: replacement.to_owned() };
    let instead_of = vec![instead("https://u:replaced-password@b/"), instead("https://token-as-user@c/")];
    for (_, kind) in kinds() {
        let credentials = vec![Credential { host: "h".to_owned(), kind }];
        let settings = Settings { credentials, netrc: netrc.clone(), instead_of: instead_of.clone(), ..base() };
        let client = Client::new(settings).expect("settings");
        let said = format!("{SECRET} netrc-password replaced-password token-as-user bjpuZXRyYy1wYXNzd29yZA==");
        assert_eq!(client.without_secrets(&said), "… … … … …");
        assert_eq!(client.without_secrets("nothing of ours"), "nothing of ours");
    }
    let basic = kinds().swap_remove(0).1;
    let settings = Settings { credentials: vec![Credential { host: "h".to_owned(), kind: basic }], ..base() };
    // ci:hunter2-and-more
    let said = "you sent Basic Y2k6aHVudGVyMi1hbmQtbW9yZQ==";
    assert_eq!(Client::new(settings).expect("settings").without_secrets(said), "you sent Basic …");
}

#[test]
fn an_upgrade_to_https_keeps_to_the_host() {
    let url = |text: &str| Url::parse(text).expect(text);
    let table = [
        ("http://a.example/x", "https://a.example/y", true),
        ("https://a.example/x", "http://a.example/y", false),
        ("http://a.example/x", "https://b.example/x", false),
        ("http://a.example:8080/x", "https://a.example/x", false),
        ("http://a.example/x", "https://a.example:8443/x", false),
    ];
    for (from, to, expected) in table {
        assert_eq!(super::client::is_upgrade(&url(from), &url(to)), expected, "{from} {to}");
    }
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_known_until_they_are() {
    let lapsed = Arc::new(Mutex::new(false));
    let state = lapsed.clone();
    let server = Server::start_tls(move |asked| match asked.target.as_str() {
        "/forbidden" => Answer::new(403, ""),
        "/absent" => Answer::new(404, ""),
        _ if *state.lock().expect("no panic") => Answer::new(401, ""),
        _ => Answer::ok("well"),
    })
    .await;
    let kind = CredentialKind::Bearer(SECRET.into());
    let credentials = vec![Credential { host: "localhost".to_owned(), kind }];
    let client = Client::new(Settings { credentials, ..base() }).expect("settings");
    let ask = async |host: &str, path: &str| {
        client.send(Request::get(server.url_as(host, path))).await.expect("an answer");
        client.refused_credentials()
    };
    assert_eq!(ask("localhost", "/").await, None);
    assert_eq!(ask("localhost", "/forbidden").await, None, "much is forbidden to who is known");
    *lapsed.lock().expect("no panic") = true;
    assert_eq!(ask("127.0.0.1", "/").await, None, "it was shown none");
    let refused = Some(format!("localhost:{}", server.port()));
    assert_eq!(ask("localhost", "/").await, refused);
    assert_eq!(ask("localhost", "/absent").await, refused, "many hosts say so to strangers");
    let other = client.with(Vec::new(), None, Duration::from_secs(30), Duration::from_secs(30));
    assert_eq!(other.refused_credentials(), None, "they are not its own");
    *lapsed.lock().expect("no panic") = false;
    assert_eq!(ask("127.0.0.1", "/").await, refused, "another host");
    assert_eq!(ask("localhost", "/").await, None);
}
