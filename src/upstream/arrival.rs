//! A file on its way in: written and hashed in strides while it comes, on threads that may block, never whole in memory.

use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use super::protocol::disk;
use crate::error::{Error, Result};

/// Bytes that are written at once; while they are, as many come. The frames of HTTP/2 are smaller by far, and each would be
/// a turn on another thread.
const STRIDE: usize = 128 << 10;

/// What came so far.
pub(super) struct Arrival {
    waiting: Vec<Bytes>,
    bytes: usize,
    writing: Writing,
}

enum Writing {
    Rests(Written),
    Runs(JoinHandle<Result<Written>>),
    /// It failed, and that was told.
    Over,
}

/// The file as far as it is written, and its hash.
struct Written {
    file: NamedTempFile,
    sha256: Sha256,
}

impl Written {
    fn take(mut self, pieces: &[Bytes]) -> Result<Written> {
        for piece in pieces {
            self.sha256.update(piece);
            self.file.write_all(piece).map_err(disk)?;
        }
        Ok(self)
    }
}

impl Arrival {
    /// Into an empty file.
    pub(super) fn new(file: NamedTempFile) -> Arrival {
        let written = Written { file, sha256: Sha256::new() };
        Arrival { waiting: Vec::new(), bytes: 0, writing: Writing::Rests(written) }
    }

    /// Takes what came; it waits where the disk is slower than the network.
    pub(super) async fn take(&mut self, piece: Bytes) -> Result<()> {
        self.bytes += piece.len();
        self.waiting.push(piece);
        if self.bytes < STRIDE {
            return Ok(());
        }
        let written = self.rest().await?;
        let pieces = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        self.writing = Writing::Runs(tokio::task::spawn_blocking(move || written.take(&pieces)));
        Ok(())
    }

    /// The whole file and its sha256.
    pub(super) async fn end(mut self) -> Result<(NamedTempFile, [u8; 32])> {
        let written = self.rest().await?;
        let pieces = std::mem::take(&mut self.waiting);
        let Written { file, sha256 } = match pieces.is_empty() {
            true => written,
            false => joined(tokio::task::spawn_blocking(move || written.take(&pieces))).await?,
        };
        Ok((file, sha256.finalize().into()))
    }

    async fn rest(&mut self) -> Result<Written> {
        match std::mem::replace(&mut self.writing, Writing::Over) {
            Writing::Rests(written) => Ok(written),
            Writing::Runs(running) => joined(running).await,
            Writing::Over => Err(Error::internal("a file that could not be written goes on")),
        }
    }
}

async fn joined(running: JoinHandle<Result<Written>>) -> Result<Written> {
    running.await.map_err(|cause| Error::internal("a file was not written").because(cause))?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn arrived(pieces: &[Bytes]) -> (Vec<u8>, [u8; 32]) {
        let mut arrival = Arrival::new(NamedTempFile::new().expect("a file"));
        for piece in pieces {
            arrival.take(piece.clone()).await.expect("taken");
            assert!(arrival.bytes < STRIDE, "more than a stride waits in memory");
        }
        let (file, sha256) = arrival.end().await.expect("written");
        (std::fs::read(file.path()).expect("read"), sha256)
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_whole_in_the_end() {
        let table = [
            ("nothing", vec![]),
            ("one small piece", vec![7]),
            ("a stride to the byte", vec![STRIDE]),
            ("many frames", vec![16 << 10; 40]),
            ("one piece of several strides and a rest", vec![5 * STRIDE + 1, 3]),
        ];
        for (name, sizes) in table {
            let pieces: Vec<Bytes> = (0..).zip(&sizes).map(|(number, size)| vec![number; *size].into()).collect();
            let whole = pieces.concat();
            let (read, sha256) = arrived(&pieces).await;
            assert!(read == whole, "{name}: {} bytes of {}", read.len(), whole.len());
            assert_eq!(sha256, <[u8; 32]>::from(Sha256::digest(&whole)), "{name}");
        }
    }
}
