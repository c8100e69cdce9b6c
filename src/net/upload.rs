//! A request's body that may be too large for memory, and how long one waits for whoever takes it.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::{Instant, timeout_at};

use super::settings::Limits;

/// How much of a file is read at once.
const PIECE: u64 = 64 << 10;
/// How fast a server may at least be expected to look through what it was sent, in bytes per second.
const SLOWEST_LOOK: u64 = 1 << 20;

/// Some bytes, then those of a file, read while they leave. Clones share how far it is.
#[derive(Debug, Clone)]
pub struct Upload(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    head: Bytes,
    /// With its length.
    file: Option<(File, u64)>,
    sent: AtomicU64,
}

impl Upload {
    /// The file's length is that of now.
    pub fn new(head: Bytes, file: Option<File>) -> io::Result<Upload> {
        let file = match file {
            Some(file) => {
                let length = file.metadata()?.len();
                Some((file, length))
            }
            None => None,
        };
        Ok(Upload(Arc::new(Inner { head, file, sent: AtomicU64::new(0) })))
    }

    /// In bytes.
    pub fn length(&self) -> u64 {
        self.0.head.len() as u64 + self.0.file.as_ref().map_or(0, |(_, length)| *length)
    }

    /// How many bytes are on their way.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    pub fn is_sent(&self) -> bool {
        self.sent() >= self.length()
    }

    /// All of it from its beginning, to be read inside the runtime. A file that became shorter is an error.
    pub fn pieces(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        self.0.sent.store(0, Ordering::Relaxed);
        let inner = Arc::clone(&self.0);
        stream::unfold(Some(0_u64), move |at| {
            let inner = Arc::clone(&inner);
            async move {
                let at = at?;
                match Arc::clone(&inner).piece(at).await {
                    Ok(piece) if piece.is_empty() => None,
                    Ok(piece) => {
                        let next = at + piece.len() as u64;
                        inner.sent.store(next, Ordering::Relaxed);
                        Some((Ok(piece), Some(next)))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }

    /// What is said of a server that takes no more of it.
    pub(super) fn stuck(&self, host: &str) -> String {
        format!("{host} took only {} of {} bytes", self.sent(), self.length())
    }
}

impl Inner {
    async fn piece(self: Arc<Inner>, at: u64) -> io::Result<Bytes> {
        let head = self.head.len() as u64;
        if at < head {
            let from = usize::try_from(at).expect("below a length in memory");
            return Ok(self.head.slice(from..));
        }
        let Some((_, length)) = &self.file else { return Ok(Bytes::new()) };
        let (at, left) = (at - head, length - (at - head));
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(left.min(PIECE)).expect("a piece is small")];
            let (file, _) = self.file.as_ref().expect("it has a length");
            file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        });
        reading.await.map_err(io::Error::other)?
    }
}

/// How long the other side may say nothing. While it takes what is sent to it, it need not say anything.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    stall: Duration,
    upload: Option<Upload>,
    /// How long it may take no byte, and say none when it has taken all.
    taking: Duration,
    looking: Duration,
}

impl Patience {
    /// `stall` counts where nothing is uploaded.
    pub fn new(stall: Duration, upload: Option<&Upload>, limits: &Limits) -> Patience {
        let look = Duration::from_secs(upload.map_or(0, Upload::length) / SLOWEST_LOOK);
        Patience {
            stall,
            upload: upload.cloned(),
            taking: limits.stall,
            looking: limits.first_byte.max(limits.stall) + look,
        }
    }

    /// The same for what comes next.
    pub fn with(self, stall: Duration) -> Patience {
        Patience { stall, ..self }
    }

    /// How long it is by now.
    pub fn stall(&self) -> Duration {
        match &self.upload {
            None => self.stall,
            Some(upload) if upload.is_sent() => self.looking,
            Some(_) => self.taking,
        }
    }

    /// `None` if it takes too long.
    pub async fn wait<T>(&self, deadline: Instant, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        let sent = || self.upload.as_ref().map_or(0, Upload::sent);
        loop {
            let before = sent();
            let until = deadline.min(Instant::now() + self.stall());
            match timeout_at(until, &mut what).await {
                Ok(value) => return Some(value),
                Err(_) if Instant::now() < deadline && sent() != before => {}
                Err(_) => return None,
            }
        }
    }
}
