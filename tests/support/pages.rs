//! A server of the pages that say where a module's repository is; also a proxy that answers for their hosts itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Pages on a port of its own; dropping it ends it.
pub struct Pages {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Pages {
    /// A path such as `example.test/team` and the contents of the go-import tags of its page.
    pub fn serving(pages: &[(&str, &[&str])]) -> Pages {
        let page = |tags: &[&str]| -> String {
            tags.iter().map(|tag| format!("<meta name=\"go-import\" content=\"{tag}\">\n")).collect()
        };
        let pages: Vec<(String, String)> = pages.iter().map(|(path, tags)| ((*path).to_owned(), page(tags))).collect();
        let (runtime, listener, address) = super::listener(1);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (pages, log) = (Arc::new(pages), asked.clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, pages.clone(), log.clone()));
            }
        });
        Pages { address, asked, _runtime: runtime }
    }

    /// `http://127.0.0.1:PORT/`: `HOST/PATH` lies below it, and a client may take it for its proxy.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Every path that was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no holder panics").clone()
    }
}

async fn answer(mut stream: TcpStream, pages: Arc<Vec<(String, String)>>, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => head.extend(&buffer[..length]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.trim_start_matches("http:").trim_start_matches('/').split('?').next().unwrap_or_default();
    log.lock().expect("no holder panics").push(path.to_owned());
    let (status, body) = match pages.iter().find(|(known, _)| known == path) {
        Some((_, page)) => ("200 OK", page.as_str()),
        None => ("404 Not Found", "no such page\n"),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // A client that went away is no concern of the server's.
    let _ = stream.write_all(answer.as_bytes()).await;
}
