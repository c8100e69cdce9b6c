use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Which protocol the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Whatever is asked for.
    Newest,
    /// As servers that do not know the Git-Protocol header.
    Oldest,
}

/// One request and how much was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub line: String,
    pub body: String,
    pub answered: usize,
}

/// `git http-backend` behind a small loopback server.
pub struct WebServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    serving: Serving,
    log: Mutex<Vec<Exchange>>,
    ended: AtomicBool,
    /// Answers to POST requests are cut off after so many bytes.
    cut: AtomicU64,
    /// So much of a POST request is read before the server hangs up.
    swallowed: AtomicU64,
    /// The `Authorization` that every request has to bear.
    ticket: Mutex<Option<String>>,
}

impl WebServer {
    pub fn start(root: &Path, serving: Serving) -> WebServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            serving,
            log: Mutex::default(),
            ended: AtomicBool::new(false),
            cut: AtomicU64::new(u64::MAX),
            swallowed: AtomicU64::new(u64::MAX),
            ticket: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::SeqCst) {
                    break;
                }
                // A client that goes away is no failure of the server.
                let _ = serving.serve(stream.expect("a connection"));
            }
        });
        WebServer { address, shared, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn cut_after(&self, bytes: u64) {
        self.shared.cut.store(bytes, Ordering::SeqCst);
    }

    pub fn hang_up_after(&self, bytes: u64) {
        self.shared.swallowed.store(bytes, Ordering::SeqCst);
    }

    /// From now on requests need this `Authorization`.
    pub fn guard(&self, ticket: &str) {
        *self.shared.ticket.lock().expect("no panic") = Some(ticket.to_owned());
    }

    /// The requests since the last call.
    pub fn log(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.shared.log.lock().expect("no panic"))
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn read(stream: &TcpStream, limit: u64) -> std::io::Result<Asked> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut asked = Asked { method, target, headers, body: Vec::new() };
        let length: u64 = asked.header("content-length").parse().unwrap_or(0);
        if length > limit {
            std::io::copy(&mut reader.take(limit), &mut std::io::sink())?;
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        asked.body = vec![0; length as usize];
        reader.read_exact(&mut asked.body)?;
        Ok(asked)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let asked = Asked::read(&stream, self.swallowed.load(Ordering::SeqCst))?;
        let ticket = self.ticket.lock().expect("no panic").clone();
        let (head, body) = match self.staged(&asked) {
            _ if ticket.is_some_and(|ticket| asked.header("authorization") != ticket) => {
                ("401 Unauthorized".to_owned(), Vec::new())
            }
            Some((head, body)) => (head.to_owned(), body.to_vec()),
            None => self.backend(&asked)?,
        };
        let exchange = Exchange {
            line: format!("{} {}", asked.method, asked.target),
            body: String::from_utf8_lossy(&asked.body).into_owned(),
            answered: body.len(),
        };
        self.log.lock().expect("no panic").push(exchange);
        write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
        let cut = if asked.method == "POST" { self.cut.load(Ordering::SeqCst) } else { u64::MAX };
        stream.write_all(&body[..body.len().min(usize::try_from(cut).unwrap_or(usize::MAX))])
    }

    /// Answers of servers that are no git servers, or not for everybody.
    fn staged(&self, asked: &Asked) -> Option<(&'static str, &'static [u8])> {
        let asks_refs = asked.target.contains("/info/refs");
        match asked.target.split('/').nth(1)? {
            "ghost" if asks_refs => Some(("401 Unauthorized", b"")),
            "ghost" => Some(("404 Not Found", b"")),
            "echo" => Some((
                "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement",
                b"0025ERR one-of-ann may not read this\n0000",
            )),
            "forbidden" if asks_refs => Some(("403 Forbidden", b"")),
            "unpaid" if asks_refs => Some(("402 Payment Required", b"")),
            "private" if asks_refs => Some(("401 Unauthorized", b"")),
            "private" => Some(("200 OK", b"log in")),
            "broken" => Some(("503 Service Unavailable", b"")),
            "page" => Some(("200 OK\r\nContent-Type: text/html", b"<html>")),
            "dumb" => Some(("200 OK\r\nContent-Type: text/plain; charset=utf-8", b"abc\trefs/heads/main\n")),
            "sha256" => Some((
                "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement",
                b"000eversion 2\n0019object-format=sha256\n0000",
            )),
            "odd" => Some(("200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement", b"<html>")),
            "renamed" => Some(("301 Moved Permanently\r\nLocation: /repo.git/info/refs?service=git-receive-pack", b"")),
            "moved" => Some(("302 Found\r\nLocation: /repo.git/info/refs?service=git-upload-pack", b"")),
            _ => None,
        }
    }

    fn backend(&self, asked: &Asked) -> std::io::Result<(String, Vec<u8>)> {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env("HOME", &self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &asked.method)
            .env("CONTENT_TYPE", asked.header("content-type"))
            .env("CONTENT_LENGTH", asked.body.len().to_string());
        if self.serving == Serving::Newest {
            command.env("GIT_PROTOCOL", asked.header("git-protocol"));
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("git starts");
        let mut stdin = child.stdin.take().expect("piped");
        let body = asked.body.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&body));
        let output = child.wait_with_output()?.stdout;
        let _ = writer.join().expect("no panic");
        let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("CGI headers");
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
        let others: Vec<&str> = head.lines().filter(|line| !line.starts_with("Status: ")).collect();
        let head = [&[status.as_str()], others.as_slice()].concat().join("\r\n");
        Ok((head, output[end + 4..].to_vec()))
    }
}
