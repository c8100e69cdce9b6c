//! A client that keeps its connection, as the go command does, and takes next to no time of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
    /// Reused for every answer.
    body: Vec<u8>,
    line: String,
    /// Further lines of every request.
    headers: String,
}

impl Wire {
    pub fn connect(server: SocketAddr) -> Wire {
        let stream = TcpStream::connect(server).unwrap_or_else(|error| panic!("{server}: {error}"));
        stream.set_nodelay(true).expect("a TCP connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit above zero");
        Wire {
            stream: BufReader::with_capacity(64 * 1024, stream),
            body: Vec::new(),
            line: String::new(),
            headers: String::new(),
        }
    }

    /// The same connection, on which every request bears these credentials.
    pub fn bearing(self, authorization: &str) -> Wire {
        Wire { headers: format!("Authorization: {authorization}\r\n"), ..self }
    }

    /// Asks for a path: the status and the body's length.
    pub fn ask(&mut self, path: &str) -> (u16, u64) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", self.headers);
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server listens");
        let status = self.next_line().split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut length = None;
        loop {
            let line = self.next_line();
            if line.is_empty() {
                return (status, length.expect("a content-length"));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
    }

    fn next_line(&mut self) -> &str {
        self.line.clear();
        self.stream.read_line(&mut self.line).expect("an answer in time");
        assert!(!self.line.is_empty(), "the server closed the connection");
        self.line.trim_end()
    }

    /// The status and the body.
    pub fn get(&mut self, path: &str) -> (u16, &[u8]) {
        let (status, length) = self.ask(path);
        self.body.resize(usize::try_from(length).expect("a body that fits into memory"), 0);
        self.stream.read_exact(&mut self.body).expect("a whole body");
        (status, &self.body)
    }

    /// The status; the body is read and not looked at.
    pub fn drain(&mut self, path: &str) -> (u16, u64) {
        let (status, length) = self.ask(path);
        let mut left = length;
        while left > 0 {
            let some = self.stream.fill_buf().expect("a whole body").len();
            assert!(some > 0, "the body ended {left} bytes too soon");
            let taken = some.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.stream.consume(taken);
            left -= taken as u64;
        }
        (status, length)
    }
}

/// The status and the body, on a connection of its own.
pub fn answer(server: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut wire = Wire::connect(server);
    let (status, body) = wire.get(path);
    (status, body.to_vec())
}

/// How long `clients` connections take to ask for a path `times` times each, all answered 200.
pub fn storm(server: SocketAddr, path: &str, clients: usize, times: usize) -> Duration {
    let mut wires: Vec<Wire> = (0..clients).map(|_| Wire::connect(server)).collect();
    wires.iter_mut().for_each(|wire| assert_eq!(wire.drain(path).0, 200, "{path}"));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for wire in &mut wires {
            scope.spawn(move || (0..times).for_each(|_| assert_eq!(wire.drain(path).0, 200, "{path}")));
        }
    });
    start.elapsed()
}
