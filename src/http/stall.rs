//! A connection that gives up on a client who takes nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A head and its body of up to so many bytes leave as one piece: to copy them costs less than to hand out two.
const SMALL: usize = 2048;

/// A stream whose writes fail when the other side takes nothing for some time; reads have limits of
/// their own elsewhere.
pub struct Impatient<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    pub fn new(stream: S, limit: Duration) -> Impatient<S> {
        Impatient { stream, limit, stalled: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The slices as one, where that is cheaper than to hand out several; `None` where there is nothing to join.
fn joined<'w>(slices: &[io::IoSlice<'_>], whole: &'w mut [u8; SMALL]) -> Option<&'w [u8]> {
    let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
    if slices.len() < 2 || length > SMALL {
        return None;
    }
    let mut at = 0;
    for slice in slices {
        whole[at..at + slice.len()].copy_from_slice(slice);
        at += slice.len();
    }
    Some(&whole[..length])
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut whole = [0; SMALL];
        let written = match joined(slices, &mut whole) {
            Some(whole) => Pin::new(&mut self.stream).poll_write(context, whole),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        };
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_head_and_a_small_body_leave_as_one_piece_and_all_else_as_it_is() {
        let (head, body) = (vec![b'h'; 300], vec![b'b'; SMALL - 300]);
        let mut whole = [0; SMALL];
        let both = [head.as_slice(), body.as_slice()].concat();
        let slices = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
        assert_eq!(joined(&slices, &mut whole), Some(both.as_slice()));
        let large = [IoSlice::new(&head), IoSlice::new(&body), IoSlice::new(b"x")];
        assert_eq!(joined(&large, &mut whole), None);
        assert_eq!(joined(&[IoSlice::new(&head)], &mut whole), None, "one piece is one piece");
        assert_eq!(joined(&[], &mut whole), None);
    }

    #[tokio::test]
    async fn of_what_is_taken_in_part_the_rest_follows() {
        let (near, mut far) = tokio::io::duplex(7);
        let whole: Vec<u8> = (0..100).collect();
        let mut left = whole.clone();
        let sending = async move {
            let mut stream = Impatient::new(near, Duration::from_secs(60));
            while !left.is_empty() {
                let (head, body) = left.split_at(left.len() / 2);
                let taken = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await.expect("taken");
                left.drain(..taken);
            }
        };
        let mut came = Vec::new();
        let ((), read) = tokio::join!(sending, far.read_to_end(&mut came));
        read.expect("the other side ends");
        assert_eq!(came, whole);
    }
}
