//! Many clients at once that keep their connections, in one thread, so that they take as little as they can of the
//! processor that the server under test needs. Every answer is looked at.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer's head and the start of its body fit in.
const BUFFER: usize = 256 * 1024;
/// How long a whole load may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is asked for, and what must come.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub expected: Expected,
}

/// The body that must come; the status must be 200.
#[derive(Debug, Clone)]
pub enum Expected {
    /// These very bytes.
    Bytes(Vec<u8>),
    /// A body of this length, whose bytes were compared before: looking at each would be most of what is timed.
    Length(u64),
}

/// What a load took.
#[derive(Debug)]
pub struct Took {
    pub whole: Duration,
    /// How long each answer took to come whole, the shortest first.
    pub answers: Vec<Duration>,
    /// Bytes of all bodies.
    pub bytes: u64,
}

impl Took {
    pub fn rate(&self) -> f64 {
        self.answers.len() as f64 / self.whole.as_secs_f64()
    }

    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.whole.as_secs_f64()
    }

    /// The time within which `share` of the answers came, 0.99 for p99.
    pub fn within(&self, share: f64) -> Duration {
        let place = ((self.answers.len() as f64 * share) as usize).min(self.answers.len().saturating_sub(1));
        self.answers.get(place).copied().unwrap_or_default()
    }
}

/// Lets `clients` connections ask for all of `asked` in turn, `times` requests on each. Each starts at another place of the
/// list. `headers` are further lines of every request, each with its line break.
pub fn load(server: SocketAddr, asked: &[Asked], headers: &str, clients: usize, times: usize) -> Took {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let requests: Vec<(Vec<u8>, Expected)> = asked
        .iter()
        .map(|asked| {
            let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n", asked.path);
            (request.into_bytes(), asked.expected.clone())
        })
        .collect();
    let work = async {
        let mut wires = Vec::new();
        for _ in 0..clients {
            let stream = TcpStream::connect(server).await.unwrap_or_else(|error| panic!("{server}: {error}"));
            stream.set_nodelay(true).expect("a TCP connection");
            wires.push(stream);
        }
        let requests = std::rc::Rc::new(requests);
        let start = Instant::now();
        let local = tokio::task::LocalSet::new();
        let all: Vec<_> = wires
            .into_iter()
            .enumerate()
            .map(|(number, stream)| local.spawn_local(client(stream, requests.clone(), number, times)))
            .collect();
        let mut took = Took { whole: Duration::ZERO, answers: Vec::with_capacity(clients * times), bytes: 0 };
        local.await;
        took.whole = start.elapsed();
        for one in all {
            let (answers, bytes) = one.await.expect("a client that got what it asked for");
            took.answers.extend(answers);
            took.bytes += bytes;
        }
        took.answers.sort_unstable();
        took
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("a load that ends in time") })
}

/// One client: how long each answer took, and the bytes of all bodies.
async fn client(
    mut stream: TcpStream,
    requests: std::rc::Rc<Vec<(Vec<u8>, Expected)>>,
    first: usize,
    times: usize,
) -> (Vec<Duration>, u64) {
    let mut buffer = vec![0; BUFFER];
    let (mut answers, mut bytes) = (Vec::with_capacity(times), 0);
    for turn in 0..times {
        let (request, expected) = &requests[(first + turn) % requests.len()];
        let start = Instant::now();
        stream.write_all(request).await.expect("the server listens");
        bytes += answer(&mut stream, &mut buffer, expected).await;
        answers.push(start.elapsed());
    }
    (answers, bytes)
}

/// Reads one answer: the length of its body.
pub(super) async fn answer(stream: &mut TcpStream, buffer: &mut [u8], expected: &Expected) -> u64 {
    let mut filled = 0;
    let body = loop {
        let more = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(more > 0, "the server closed the connection");
        filled += more;
        if let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let length = length(&buffer[..body]);
    match expected {
        Expected::Bytes(expected) => {
            assert_eq!(length, expected.len() as u64, "another length than before");
            let (begun, mut left) = expected.split_at(filled - body);
            let mut is_same = &buffer[body..filled] == begun;
            while !left.is_empty() {
                let more = stream.read(buffer).await.expect("a body");
                assert!(more > 0 && more <= left.len(), "the body ended {} bytes too soon", left.len());
                is_same &= buffer[..more] == left[..more];
                left = &left[more..];
            }
            assert!(is_same, "another answer than before");
        }
        Expected::Length(expected) => {
            assert_eq!(length, *expected, "another length than before");
            let mut left = length - (filled - body) as u64;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let more = stream.read(&mut buffer[..most]).await.expect("a body");
                assert!(more > 0, "the body ended {left} bytes too soon");
                left -= more as u64;
            }
        }
    }
    length
}

/// The length of the body that a head announces.
fn length(head: &[u8]) -> u64 {
    let head = std::str::from_utf8(head).expect("a head in ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    assert_eq!(status, Some("200"), "{head}");
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .expect("a content-length")
}
