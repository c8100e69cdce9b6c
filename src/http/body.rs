//! Bodies of answers: in memory, or read from a blob no more than one frame ahead of the client.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};

use crate::error::{Error, Result};
use crate::ports::Blob;

/// The most that one frame holds, in bytes.
const FRAME: usize = 128 * 1024;

/// A body, of known length unless its end is still being worked on.
pub struct Body {
    /// The bytes still to come; `None` if nobody knows yet.
    left: Option<u64>,
    source: Source,
    /// The request's place among those that are answered at a time, given back with the last frame.
    _turn: Option<OwnedSemaphorePermit>,
}

enum Source {
    Memory(Bytes),
    Blob(Reads),
    Stream(BoxStream<'static, Result<Bytes>>),
}

impl Body {
    pub fn empty() -> Body {
        Body::from(Bytes::new())
    }

    /// Frames as they come, to their end.
    pub fn stream(frames: BoxStream<'static, Result<Bytes>>) -> Body {
        Body { left: None, source: Source::Stream(frames), _turn: None }
    }

    pub fn holding(self, turn: OwnedSemaphorePermit) -> Body {
        Body { _turn: Some(turn), ..self }
    }

    /// The bytes from `first` up to but not including `end`.
    ///
    /// A slow client holds memory for a frame or two and no thread.
    pub fn part(blob: &Blob, first: u64, end: u64) -> Body {
        let left = end.saturating_sub(first);
        if let Some(bytes) = blob.in_memory() {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            return Body { left: Some(left), source: Source::Memory(bytes.slice(at(first)..at(end))), _turn: None };
        }
        let reads = Reads { blob: blob.clone(), at: first, end, next: Next::Unknown };
        Body { left: Some(left), source: Source::Blob(reads), _turn: None }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body { left: Some(bytes.len() as u64), source: Source::Memory(bytes), _turn: None }
    }
}

/// A blob on its way to a client. What its store has at hand goes out at once. What has to come from the disk is read on
/// a thread that may block, and the next frame is asked for as soon as one came that way.
struct Reads {
    blob: Blob,
    /// What was read so far, up to the frame that is next.
    at: u64,
    end: u64,
    next: Next,
}

enum Next {
    Unknown,
    Ready(Bytes),
    Reading(JoinHandle<Result<Bytes>>),
}

impl Reads {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes>> {
        if let Next::Unknown = self.next {
            self.next = self.ahead();
        }
        match std::mem::replace(&mut self.next, Next::Unknown) {
            Next::Ready(bytes) => {
                self.at += bytes.len() as u64;
                Poll::Ready(Ok(bytes))
            }
            Next::Reading(mut reading) => match Pin::new(&mut reading).poll(context) {
                Poll::Pending => {
                    self.next = Next::Reading(reading);
                    Poll::Pending
                }
                Poll::Ready(read) => Poll::Ready(self.came(read)),
            },
            Next::Unknown => Poll::Ready(Err(Error::internal("reading from the store did not begin"))),
        }
    }

    fn came(&mut self, read: Result<Result<Bytes>, JoinError>) -> Result<Bytes> {
        let cut = |cause| Error::internal("reading from the store was cut short").because(cause);
        let bytes = read.map_err(cut)??;
        if bytes.is_empty() {
            let what = format!("the store ends at byte {} (expected {} bytes)", self.at, self.blob.size());
            return Err(Error::internal(what));
        }
        self.at += bytes.len() as u64;
        if self.at < self.end {
            self.next = self.ahead();
        }
        Ok(bytes)
    }

    fn ahead(&self) -> Next {
        let (at, limit) = (self.at, usize::try_from(self.end - self.at).unwrap_or(FRAME).min(FRAME));
        match self.blob.at_hand(at, limit).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Next::Ready(bytes),
            None => {
                let blob = self.blob.clone();
                Next::Reading(tokio::task::spawn_blocking(move || blob.read_at(at, limit)))
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        let read = match &mut self.source {
            Source::Memory(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Blob(reads) => match reads.poll(context) {
                Poll::Ready(read) => Some(read),
                Poll::Pending => return Poll::Pending,
            },
            Source::Stream(frames) => match frames.poll_next_unpin(context) {
                Poll::Ready(read) => read,
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some(Err(error)) = &read {
            tracing::error!(%error, "a body broke off");
        }
        let came = read.iter().flatten().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.left = self.left.map(|left| left - came);
        Poll::Ready(read.map(|read| read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::ports::Pieces;

    const SIZE: u64 = 3 * FRAME as u64 + 17;

    /// A blob whose byte at an offset is the offset's, given in odd pieces. Some of it is at hand; it may end too soon.
    struct Counting {
        read: AtomicU64,
        blocked: AtomicU64,
        /// Of three pieces so many.
        at_hand: u64,
        breaks_at: u64,
    }

    impl Counting {
        fn piece(&self, offset: u64, limit: usize) -> Bytes {
            let length = limit.min(32_749);
            self.read.fetch_add(length as u64, Ordering::SeqCst);
            (offset..offset + length as u64).map(|n| n as u8).collect::<Vec<u8>>().into()
        }
    }

    impl Pieces for Counting {
        fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
            if offset >= self.breaks_at {
                return Err(Error::internal("the piece is damaged"));
            }
            self.blocked.fetch_add(1, Ordering::SeqCst);
            Ok(self.piece(offset, limit))
        }

        fn at_hand(&self, offset: u64, limit: usize) -> Option<Bytes> {
            (offset < self.breaks_at && offset / 32_749 % 3 < self.at_hand).then(|| self.piece(offset, limit))
        }
    }

    fn blob(size: u64, at_hand: u64, breaks_at: u64) -> (Blob, Arc<Counting>) {
        let pieces = Counting { read: AtomicU64::new(0), blocked: AtomicU64::new(0), at_hand, breaks_at };
        let pieces = Arc::new(pieces);
        (Blob::new(size, [0; 32], pieces.clone()), pieces)
    }

    #[tokio::test]
    async fn gives_exactly_the_part_that_was_asked_for() {
        let frame = FRAME as u64;
        for at_hand in 0..=3 {
            for (first, end) in [(0, SIZE), (0, 0), (5, 6), (frame - 1, frame + 1), (1, SIZE), (SIZE, SIZE)] {
                let (blob, _) = blob(SIZE, at_hand, SIZE);
                let bytes = Body::part(&blob, first, end).collect().await.expect("body").to_bytes();
                let expected: Vec<u8> = (first..end).map(|n| n as u8).collect();
                assert!(bytes == expected, "{first}..{end}, {at_hand} of 3 at hand: {} bytes", bytes.len());
            }
        }
    }

    #[tokio::test]
    async fn what_is_at_hand_waits_for_no_thread() {
        let (blob, pieces) = blob(SIZE, 3, SIZE);
        Body::part(&blob, 0, SIZE).collect().await.expect("body");
        assert_eq!(pieces.blocked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn reads_one_frame_ahead_and_no_more() {
        for at_hand in 0..=3 {
            let (blob, pieces) = blob(100 * SIZE, at_hand, 100 * SIZE);
            let mut body = Body::part(&blob, 0, 100 * SIZE);
            let mut taken = 0;
            for _ in 0..10 {
                let frame = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
                taken += frame.len() as u64;
                let read = pieces.read.load(Ordering::SeqCst);
                assert!(read <= taken + FRAME as u64, "{read} bytes read for {taken}, {at_hand} of 3 at hand");
            }
        }
    }

    #[tokio::test]
    async fn a_damaged_piece_breaks_the_body_off() {
        for at_hand in [0, 2, 3] {
            let (blob, _) = blob(SIZE, at_hand, FRAME as u64 + 1);
            let error = Body::part(&blob, 0, SIZE).collect().await.expect_err("damaged");
            assert_eq!(error.what(), "the piece is damaged");
        }
    }
}
