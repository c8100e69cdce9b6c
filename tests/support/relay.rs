//! A relay of TCP connections that can cut them, stall them and let them go again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Connections are taken, nothing is passed on until the passage opens.
    Stalled,
    /// Open connections end at once, new ones right after they were taken.
    Cut,
    /// A connection ends after so many bytes of answer.
    CutAfter(u64),
}

/// A relay to one server, on a port of its own; dropping it ends it.
pub struct Relay {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    connections: Arc<AtomicU64>,
    // Held for its drop: the tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let (runtime, listener, address) = super::listener(1);
        let (passage, watched) = watch::channel(Passage::Open);
        let connections = Arc::new(AtomicU64::new(0));
        let counter = connections.clone();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(client, server, watched.clone()));
            }
        });
        Relay { address, passage, connections, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Takes effect on open connections too.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, mut passage: watch::Receiver<Passage>) {
    if *passage.borrow() == Passage::Cut {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let mut answered = 0;
    let (mut asked, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let now = *passage.borrow_and_update();
        tokio::select! {
            changed = passage.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            read = client.read(&mut asked), if now != Passage::Stalled => {
                let length = read.unwrap_or(0);
                if length == 0 || server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer), if now != Passage::Stalled => {
                let mut length = read.unwrap_or(0);
                if let Passage::CutAfter(limit) = now {
                    length = length.min(limit.saturating_sub(answered) as usize);
                }
                if length == 0 || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
                answered += length as u64;
                if matches!(now, Passage::CutAfter(limit) if answered >= limit) {
                    return;
                }
            }
        }
        if *passage.borrow() == Passage::Cut {
            return;
        }
    }
}
