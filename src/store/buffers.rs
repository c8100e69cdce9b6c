//! Buffers that bytes of files are read into, used again as soon as a client has taken them: memory fresh from the system
//! is zeroed and mapped page by page, which took as long as the reading.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::turns::locked;

/// What one buffer holds: it stays in a core's own cache between reading and sending.
pub(super) const BUFFER: usize = 128 << 10;
/// Buffers that are kept while nobody uses them.
const KEPT: usize = 32;

#[derive(Default)]
pub(super) struct Buffers {
    /// The last one given back is taken first: it is the warmest.
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// The bytes that `fill` writes at the start of a buffer of at most `limit` bytes; it says how many. `None` if none.
    pub(super) fn filled<E>(
        self: &Arc<Self>,
        limit: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<Bytes>, E> {
        let bytes = locked(&self.free).pop().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
        let mut lent = Lent { bytes, length: 0, home: self.clone() };
        let room = limit.min(BUFFER);
        lent.length = fill(&mut lent.bytes[..room])?.min(room);
        Ok((lent.length > 0).then(|| Bytes::from_owner(lent)))
    }
}

/// A buffer in use; its bytes go back when the last view of them is dropped.
struct Lent {
    bytes: Box<[u8]>,
    length: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = locked(&self.home.free);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn filled(buffers: &Arc<Buffers>, limit: usize, text: &[u8]) -> Option<Bytes> {
        let filled = buffers.filled::<Infallible>(limit, |buffer| {
            let length = buffer.len().min(text.len());
            buffer[..length].copy_from_slice(&text[..length]);
            Ok(length)
        });
        filled.expect("nothing fails")
    }

    #[test]
    fn a_buffer_in_use_is_never_filled_again() {
        let buffers = Arc::new(Buffers::default());
        let first = filled(&buffers, BUFFER, b"first").expect("bytes");
        let part = first.slice(1..3);
        drop(first);
        let second = filled(&buffers, BUFFER, b"other").expect("bytes");
        assert_eq!((&part[..], &second[..]), (&b"ir"[..], &b"other"[..]));
        drop(part);
        assert_eq!(locked(&buffers.free).len(), 1, "the first one came back with its last view");
        let third = filled(&buffers, 2, b"third").expect("bytes");
        assert_eq!((&third[..], locked(&buffers.free).len()), (&b"th"[..], 0));
    }

    #[test]
    fn few_are_kept() {
        let buffers = Arc::new(Buffers::default());
        let all: Vec<_> = (0..4 * KEPT).map(|_| filled(&buffers, 1, b"x")).collect();
        drop(all);
        assert_eq!(locked(&buffers.free).len(), KEPT);
    }

    #[test]
    fn what_fills_nothing_or_fails_gives_its_buffer_back() {
        let buffers = Arc::new(Buffers::default());
        assert_eq!(filled(&buffers, BUFFER, b""), None);
        assert_eq!(buffers.filled(BUFFER, |_| Err("torn")), Err("torn"));
        assert_eq!(locked(&buffers.free).len(), 1);
    }
}
