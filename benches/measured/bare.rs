//! What hyper alone takes to hand out the same bytes from memory: no routes, no store, no log. It runs in a process of its
//! own, like the server that it is compared with.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Says that this process is to be the server.
const ROLE: &str = "MODVET_BENCH_BARE";

/// A running server; dropping it ends it.
pub struct Bare {
    child: Child,
    address: SocketAddr,
}

/// The server, if this process was started to be it.
pub fn serve_if_asked() -> bool {
    if std::env::var_os(ROLE).is_none() {
        return false;
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body).expect("the body comes in through stdin");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(body.into()));
    true
}

async fn serve(body: Bytes) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP connection");
        let body = body.clone();
        let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
            let body = body.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        });
        // A client that went away is no concern of the server's.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

impl Bare {
    /// Answers every request with this body.
    pub fn start(body: &[u8]) -> Bare {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program runs");
        let mut input = child.stdin.take().expect("stdin is piped");
        std::io::Write::write_all(&mut input, body).expect("the server reads its body");
        drop(input);
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        output.read_line(&mut line).expect("the server says where it listens");
        let address = line.trim().parse().expect("an address");
        Bare { child, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
