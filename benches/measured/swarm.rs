//! Many clients that each want things of their own, one after the other, or now and then: all in one thread, so that they
//! leave the processors to the server under test. Every answer is looked at.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::load::{Asked, answer};

/// An answer's head and the start of its body fit in.
const BUFFER: usize = 64 << 10;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lets each client ask for what it wants, all at once: how long it took until the last had everything.
pub fn at_once(server: SocketAddr, wanted: Vec<Vec<Asked>>) -> Duration {
    run(async move {
        let mut clients = Vec::new();
        for asked in wanted {
            clients.push((connect(server).await, asked));
        }
        let start = Instant::now();
        let local = LocalSet::new();
        let all: Vec<_> = clients
            .into_iter()
            .map(|(mut stream, asked)| {
                local.spawn_local(async move {
                    let mut buffer = vec![0; BUFFER];
                    for asked in &asked {
                        ask(&mut stream, &mut buffer, asked).await;
                    }
                })
            })
            .collect();
        local.await;
        let took = start.elapsed();
        for one in all {
            one.await.expect("a client that got what it asked for");
        }
        took
    })
}

/// Lets some clients ask for one thing after the other with a pause after each, until they are to stop: how long each answer
/// took, the shortest first.
pub fn now_and_then(
    server: SocketAddr,
    asked: Vec<Asked>,
    clients: usize,
    pause: Duration,
    stop: &AtomicBool,
) -> Vec<Duration> {
    run(async move {
        let asked = Rc::new(asked);
        let mut streams = Vec::new();
        for _ in 0..clients {
            streams.push(connect(server).await);
        }
        let all = streams.into_iter().enumerate().map(|(first, mut stream)| {
            let asked = asked.clone();
            async move {
                let (mut buffer, mut took, mut turn) = (vec![0; BUFFER], Vec::new(), first);
                while !stop.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    ask(&mut stream, &mut buffer, &asked[turn % asked.len()]).await;
                    took.push(start.elapsed());
                    turn += 1;
                    tokio::time::sleep(pause).await;
                }
                took
            }
        });
        let mut took = futures_util::future::join_all(all).await.concat();
        took.sort_unstable();
        took
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("a swarm that ends in time") })
}

async fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).await.unwrap_or_else(|error| panic!("{server}: {error}"));
    stream.set_nodelay(true).expect("a TCP connection");
    stream
}

async fn ask(stream: &mut TcpStream, buffer: &mut [u8], asked: &Asked) {
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", asked.path);
    stream.write_all(request.as_bytes()).await.expect("the server listens");
    answer(stream, buffer, &asked.expected).await;
}
