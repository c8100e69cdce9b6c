//! Uploads to servers on port 0.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use super::double::{Answer, Server};
use super::upload::Patience;
use super::*;
use crate::error::Kind;

fn file(length: usize) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    file.write_all(&bytes).expect("written");
    file
}

fn client(credentials: Vec<Credential>, limits: Limits) -> Client {
    Client::new(Settings { proxies: Proxies::none(), credentials, limits, ..Settings::default() }).expect("a client")
}

fn upload(length: usize) -> Upload {
    Upload::new(Bytes::from_static(b"head"), Some(file(length))).expect("a file")
}

async fn send(client: &Client, url: Url, upload: &Upload) -> crate::error::Result<Response> {
    client.send(Request::upload(url, upload.clone()).trust(Trust::Named)).await
}

#[tokio::test]
async fn an_upload_arrives_whole_and_says_how_long_it_is() {
    let server = Server::start(|_| Answer::ok("thanks")).await;
    let upload = upload(300_000);
    assert_eq!((upload.length(), upload.sent()), (300_004, 0));
    let response = send(&client(Vec::new(), Limits::default()), server.url("/x"), &upload).await.expect("an answer");
    assert_eq!(response.status, StatusCode::OK);
    let asked = server.asked();
    assert_eq!(asked[0].header("content-length"), Some("300004"));
    assert_eq!(asked[0].body.len(), 300_004);
    assert_eq!((&asked[0].body[..4], asked[0].body[4 + 251 * 1000]), (&b"head"[..], 0));
    assert!(upload.is_sent());
}

#[tokio::test]
async fn an_upload_goes_to_the_address_asked_and_only_once() {
    let other = Server::start(|_| Answer::ok("here")).await;
    let elsewhere = other.url("/y");
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/moved" => Answer::redirect(307, &elsewhere),
        "/busy" => Answer::new(503, "").header("retry-after", "0"),
        _ => Answer::new(401, ""),
    })
    .await;
    let key = |word: &str| {
        let host = server.url("").host_str().expect("a host").to_owned();
        Credential { host, kind: CredentialKind::Bearer(word.into()) }
    };
    let renewed = vec![key("new")];
    let renew = Renew(Arc::new(move || Ok(renewed.clone())));
    let first = client(Vec::new(), Limits::default());
    let minute = Duration::from_secs(60);
    let client = first.with(vec![key("old")], Some(renew), minute, minute);
    for (path, status) in [("/moved", 307), ("/busy", 503), ("/closed", 401)] {
        let response = send(&client, server.url(path), &upload(10)).await.expect("an answer");
        assert_eq!(response.status.as_u16(), status, "{path}");
    }
    assert_eq!(server.asked().len(), 3);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_takes_no_more_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port 0");
    let address = listener.local_addr().expect("bound");
    let limits = Limits { stall: Duration::from_millis(200), ..Limits::default() };
    let upload = upload(64 << 20);
    let url = Url::parse(&format!("http://{address}/")).expect("a URL");
    let error = send(&client(Vec::new(), limits), url, &upload).await.expect_err("stuck");
    let expected = format!("{address} took only {} of {} bytes", upload.sent(), (64 << 20) + 4);
    assert_eq!((error.kind(), error.what()), (Kind::BadGateway, expected.as_str()));
    drop(listener);
}

#[tokio::test]
async fn who_takes_bytes_need_not_say_any() {
    let limits = Limits { stall: Duration::from_millis(50), ..Limits::default() };
    let upload = upload(640 << 10);
    let patience = Patience::new(limits.stall, Some(&upload), &limits);
    let mut pieces = std::pin::pin!(upload.pieces());
    let begun = Instant::now();
    // Longer than the stall in all, and never in one piece.
    let taking = async {
        while let Some(piece) = pieces.try_next().await.expect("a file") {
            assert!(!piece.is_empty());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let deadline = begun + Duration::from_secs(600);
    assert!(patience.wait(deadline, taking).await.is_some());
    assert!(begun.elapsed() > limits.stall * 2);
    let never = std::future::pending::<()>();
    assert!(patience.wait(Instant::now() + limits.stall, never).await.is_none(), "the deadline counts");
}

#[tokio::test]
async fn a_file_that_became_shorter_is_an_error() {
    let file = file(100_000);
    let upload = Upload::new(Bytes::new(), Some(file.try_clone().expect("a file"))).expect("a file");
    file.set_len(70_000).expect("cut");
    let pieces: Result<Vec<Bytes>, _> = upload.pieces().try_collect().await;
    assert_eq!(pieces.expect_err("short").kind(), std::io::ErrorKind::UnexpectedEof);
}
