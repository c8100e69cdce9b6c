//! Connections that are opened by TLS. Each is opened by its own task, so that who is slow keeps nobody waiting;
//! the time until its first request is limited where it is served.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::Certificates;
use crate::http::respond::{self, Peer};
use crate::http::serve::Accept;

/// The first byte that a client of TLS sends: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// The most that is read of a request in plain http before it is answered.
const PLAIN_LIMIT: u64 = 64 * 1024;

/// A listener whose connections speak TLS.
pub struct TlsListener {
    listener: TcpListener,
    certificates: Arc<Certificates>,
}

impl TlsListener {
    pub fn new(listener: TcpListener, certificates: Arc<Certificates>) -> TlsListener {
        TlsListener { listener, certificates }
    }
}

impl Accept for TlsListener {
    type Stream = Opening;
    const PEER: Peer = Peer::Network;

    async fn accept(&self) -> io::Result<(Opening, Option<IpAddr>)> {
        let (stream, address) = Accept::accept(&self.listener).await?;
        let opening = open(stream, self.certificates.current());
        Ok((Opening(State::Opening(Box::pin(opening))), address))
    }
}

/// A connection that is opened by whoever reads from it first.
pub struct Opening(State);

enum State {
    Opening(Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>),
    Open(Box<TlsStream<TcpStream>>),
    /// It could not be opened, and who was told so may ask again.
    Failed,
}

async fn open(mut stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first[0] == HANDSHAKE => return TlsAcceptor::from(config).accept(stream).await,
        _ => {}
    }
    if first[0].is_ascii_uppercase() {
        refuse(&mut stream).await?;
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks no TLS"))
}

/// Answers a request in plain http once its head has come: a connection that is closed with something unread
/// takes the answer with it.
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = PLAIN_LIMIT.saturating_sub(head.len() as u64);
        if (&mut *stream).take(left).read_buf(&mut head).await? == 0 {
            break;
        }
    }
    stream.write_all(respond::SPEAKS_HTTPS.as_bytes()).await?;
    stream.shutdown().await
}

impl Opening {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<TcpStream>>>> {
        if let State::Opening(opening) = &mut self.0 {
            match ready!(opening.as_mut().poll(context)) {
                Ok(stream) => self.0 = State::Open(Box::new(stream)),
                Err(error) => {
                    self.0 = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        match &mut self.0 {
            State::Open(stream) => Poll::Ready(Ok(Pin::new(stream.as_mut()))),
            State::Opening(_) => Poll::Pending,
            State::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Opening {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_read(context, to)
    }
}

impl AsyncWrite for Opening {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            State::Opening(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            // Nothing was said yet that would want an end.
            State::Opening(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::time::Duration;

    use tokio::sync::{oneshot, watch};
    use tokio::task::JoinHandle;

    use super::super::pair::Files;
    use super::*;
    use crate::http::desk::Desk;
    use crate::http::serve::{Limits, serve};
    use crate::registry::doubles::Hands;

    const LONG: Duration = Duration::from_secs(30);

    /// Nothing, the beginning of a record, a record whose end never comes, the beginning of plain http.
    const BEGINNINGS: [&[u8]; 4] = [&[], &[22], &[22, 3, 1, 2, 0, 1], b"GET / HTTP/1.1\r\n"];

    async fn start(limits: Limits) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/net");
        let files = Files { certificate: folder.join("server.pem"), key: folder.join("server.key"), http2: true };
        let certificates = Certificates::open(files, Hands::new()).await.expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (_, door) = watch::channel(None);
        let desk = Arc::new(Desk::new(door, Duration::ZERO, "modvet-test"));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(TlsListener::new(listener, certificates), desk, limits, async move {
            // A dropped sender stops the server as well: no test leaves one behind.
            let _ = stopped.await;
        }));
        (address, stop, task)
    }

    #[tokio::test]
    async fn who_never_ends_a_handshake_is_let_go() {
        let limits = Limits { head_time: Duration::from_millis(20), ..Limits::default() };
        let (address, _stop, _task) = start(limits).await;
        for said in BEGINNINGS {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(said).await.expect("sent");
            let mut answer = Vec::new();
            let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("it is not kept");
            assert!(ended.is_err() || answer.is_empty(), "{said:?}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_could_not_be_opened_fails_however_often_it_is_read() {
        let refused = async { Err(io::ErrorKind::InvalidData.into()) };
        let mut opening = Opening(State::Opening(Box::pin(refused)));
        for expected in [io::ErrorKind::InvalidData, io::ErrorKind::NotConnected, io::ErrorKind::NotConnected] {
            assert_eq!(opening.read(&mut [0]).await.expect_err("nothing to read").kind(), expected);
        }
        opening.shutdown().await.expect("there is nothing to end");
    }

    #[tokio::test]
    async fn the_end_does_not_wait_for_who_is_shaking_hands() {
        let (address, stop, task) = start(Limits { drain: 4 * LONG, ..Limits::default() }).await;
        let mut open = Vec::new();
        for said in BEGINNINGS {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(said).await.expect("sent");
            open.push(stream);
        }
        stop.send(()).expect("it serves");
        tokio::time::timeout(LONG, task).await.expect("nobody is waited for").expect("no panic");
    }
}
