//! Bodies of answers: in memory, or read from a blob a few frames ahead of the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::error::{Error, Result};
use crate::ports::Blob;

/// The most that one frame holds, in bytes.
const FRAME: u64 = 256 * 1024;
/// How many frames are read before the client takes them.
const AHEAD: usize = 2;

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
    /// Frames are read on blocking threads, which are given back between two of them: a slow client
    /// holds memory for a few frames and no thread.
    pub fn part(blob: &Blob, first: u64, end: u64) -> Body {
        let left = end.saturating_sub(first);
        if let Some(bytes) = blob.in_memory() {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            return Body { left: Some(left), source: Source::Memory(bytes.slice(at(first)..at(end))), _turn: None };
        }
        let blob = blob.clone();
        let starts = (0..left.div_ceil(FRAME)).map(move |n| first + n * FRAME);
        let frames = stream::iter(starts).map(move |start| {
            let blob = blob.clone();
            tokio::task::spawn_blocking(move || frame(&blob, start, end.min(start + FRAME)))
        });
        let frames = frames.buffered(AHEAD).map(|read| match read {
            Ok(frame) => frame,
            Err(cause) => Err(Error::internal("reading from the store was cut short").because(cause)),
        });
        Body { left: Some(left), source: Source::Stream(frames.boxed()), _turn: None }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body { left: Some(bytes.len() as u64), source: Source::Memory(bytes), _turn: None }
    }
}

/// Blocking. Whole from `start` to `end`: a store gives pieces as they lie there.
fn frame(blob: &Blob, start: u64, end: u64) -> Result<Bytes> {
    let limit = |at: u64| usize::try_from(end - at).unwrap_or(usize::MAX);
    let first = blob.read_at(start, limit(start))?;
    let mut at = start + first.len() as u64;
    if at == end {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(limit(start));
    whole.extend_from_slice(&first);
    while at < end {
        let piece = blob.read_at(at, limit(at))?;
        if piece.is_empty() {
            return Err(Error::internal(format!("the store ends at byte {at} (expected {} bytes)", blob.size())));
        }
        at += piece.len() as u64;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
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

    /// A blob whose byte at an offset is the offset's, read in odd pieces, that may end too soon.
    struct Counting {
        read: AtomicU64,
        breaks_at: u64,
    }

    impl Pieces for Counting {
        fn read_at(&self, offset: u64, limit: usize) -> Result<Bytes> {
            if offset >= self.breaks_at {
                return Err(Error::internal("the piece is damaged"));
            }
            let length = limit.min(32_749);
            self.read.fetch_add(length as u64, Ordering::SeqCst);
            Ok((offset..offset + length as u64).map(|n| n as u8).collect::<Vec<u8>>().into())
        }
    }

    fn blob(size: u64, breaks_at: u64) -> (Blob, Arc<Counting>) {
        let pieces = Arc::new(Counting { read: AtomicU64::new(0), breaks_at });
        (Blob::new(size, [0; 32], pieces.clone()), pieces)
    }

    #[tokio::test]
    async fn gives_exactly_the_part_that_was_asked_for() {
        let size = 3 * FRAME + 17;
        for (first, end) in [(0, size), (0, 0), (5, 6), (FRAME - 1, FRAME + 1), (1, size), (size, size)] {
            let (blob, _) = blob(size, size);
            let bytes = Body::part(&blob, first, end).collect().await.expect("body").to_bytes();
            let expected: Vec<u8> = (first..end).map(|n| n as u8).collect();
            assert!(bytes == expected, "{first}..{end}: {} bytes", bytes.len());
        }
    }

    #[tokio::test]
    async fn reads_a_few_frames_ahead_and_no_more() {
        let size = 100 * FRAME;
        let (blob, pieces) = blob(size, size);
        let mut body = Body::part(&blob, 0, size);
        for taken in 1..=10 {
            let frame = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
            assert_eq!(frame.len() as u64, FRAME);
            let read = pieces.read.load(Ordering::SeqCst);
            assert!(read <= (taken + AHEAD as u64) * FRAME, "{read} bytes read for {taken} frames");
        }
    }

    #[tokio::test]
    async fn a_damaged_piece_breaks_the_body_off() {
        let (blob, _) = blob(3 * FRAME, FRAME + 1);
        let error = Body::part(&blob, 0, 3 * FRAME).collect().await.expect_err("damaged");
        assert_eq!(error.what(), "the piece is damaged");
    }
}
