//! A server that answers each request as a test says, and notices who comes, even who asks nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Heard {
    pub target: String,
    /// As it came, line by line.
    pub head: String,
    pub body: String,
}

impl Heard {
    /// Empty where the header is missing.
    pub fn header(&self, name: &str) -> &str {
        let named = |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        let line = self.head.lines().skip(1).find(named).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value.trim())
    }
}

/// What is answered: a status line without its version, further headers, and a body.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Said {
    pub fn new(status: &str, body: &str) -> Said {
        Said { status: status.to_owned(), headers: Vec::new(), body: body.to_owned() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Said {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn redirect(to: &str) -> Said {
        Said::new("302 Found", "").header("Location", to)
    }
}

type Behaviour = dyn Fn(&Heard) -> Said + Send + Sync;

/// On a port of its own; dropping it ends it.
pub struct Plain {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Plain {
    pub fn start(behaviour: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Plain {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (heard, connections, ends) = (Arc::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let (log, counted, ended) = (Arc::clone(&heard), connections.clone(), ends.clone());
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let (behaviour, log) = (behaviour.clone(), Arc::clone(&log));
                std::thread::spawn(move || answer(stream, &*behaviour, &log));
            }
        });
        Plain { address, heard, connections, ends, serving: Some(serving) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no holder panics").clone()
    }

    /// How many came, whether they asked something or not.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the listener, which sees that it is to end.
        let _ = TcpStream::connect(self.address);
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, behaviour: &Behaviour, log: &Mutex<Vec<Heard>>) {
    // Who connects and says nothing is not waited for longer than a test may take.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut heard = Heard { target, head, body: String::new() };
    let mut body = vec![0; heard.header("content-length").parse().unwrap_or_default()];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    heard.body = String::from_utf8_lossy(&body).into_owned();
    let Said { status, headers, body } = behaviour(&heard);
    log.lock().expect("no holder panics").push(heard);
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    // A client that went away is no concern of the server's.
    let _ = stream.write_all(format!("{answer}\r\n{body}").as_bytes());
}
