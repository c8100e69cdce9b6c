//! A client that hides nothing: one GET or HEAD over HTTP/1.1, the reason phrase kept.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, whole.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub reason: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Asks for a path, sent as it is.
pub fn get(server: SocketAddr, path: &str) -> Answered {
    request(server, "GET", path, &[])
}

/// Sends a request with headers of its own.
pub fn request(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
    send(server, method, path, headers, "")
}

/// The same with a body of JSON; none if it is empty.
pub fn send(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
    let stream = TcpStream::connect(server).unwrap_or_else(|error| panic!("{server}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit above zero");
    send_over(stream, method, path, headers, body)
}

/// The same over the socket in a store's folder, however deep that lies.
pub fn control(store: &Path, method: &str, path: &str, body: &str) -> Answered {
    let folder = File::open(store).unwrap_or_else(|error| panic!("{}: {error}", store.display()));
    let socket = format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd());
    let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", store.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit above zero");
    send_over(stream, method, path, &[], body)
}

/// One request over a connection that is there already.
pub fn request_over(stream: impl Read + Write, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
    send_over(stream, method, path, headers, "")
}

fn send_over(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answered {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: modvet\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    head.push_str(body);
    stream.write_all(head.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse(&bytes, method == "HEAD").unwrap_or_else(|| panic!("{path}: no answer: {}", String::from_utf8_lossy(&bytes)))
}

fn parse(bytes: &[u8], is_head: bool) -> Option<Answered> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let (_, status) = lines.next()?.split_once(' ')?;
    let (status, reason) = status.split_once(' ').unwrap_or((status, ""));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut answered =
        Answered { status: status.parse().ok()?, reason: reason.to_owned(), headers, body: bytes[end + 4..].to_vec() };
    if answered.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answered.body = dechunked(&answered.body)?;
    }
    let length = answered.header("content-length").and_then(|length| length.parse().ok());
    let is_whole = is_head || length.is_none_or(|length: usize| length == answered.body.len());
    is_whole.then_some(answered)
}

fn dechunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        bytes = &bytes[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}
