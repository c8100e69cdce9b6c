//! The contents of the last objects of a pack: what comes next is mostly based on one of them. Bounded whatever the pack.

use std::collections::VecDeque;

/// How much is worth keeping, in bytes.
pub const KEPT: usize = 8 << 20;
const CHUNK: usize = 1 << 20;

/// Where a content is, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    chunk: u32,
    start: u32,
    length: u32,
}

/// The last contents, the oldest of which go first.
pub struct Recent {
    /// How many bytes are kept at most; the last content is kept in any case.
    most: usize,
    chunks: VecDeque<Vec<u8>>,
    /// The number of the first chunk that is still here.
    first: u32,
    kept: usize,
}

impl Recent {
    pub fn new(most: usize) -> Recent {
        Recent { most, chunks: VecDeque::new(), first: 0, kept: 0 }
    }

    /// `None` if it went.
    pub fn content(&self, place: Place) -> Option<&[u8]> {
        let chunk = self.chunks.get(place.chunk.checked_sub(self.first)? as usize)?;
        Some(&chunk[place.start as usize..][..place.length as usize])
    }

    /// A content is smaller than 4 GiB.
    pub fn keep(&mut self, content: &[u8]) -> Place {
        let is_room = self.chunks.back().is_some_and(|chunk| chunk.len() + content.len() <= chunk.capacity());
        if !is_room {
            let room = CHUNK.min(self.most).max(content.len());
            let mut chunk = Vec::new();
            while self.kept + room > self.most
                && let Some(oldest) = self.chunks.pop_front()
            {
                self.first += 1;
                self.kept -= oldest.capacity();
                chunk = oldest;
            }
            // Memory that was touched before costs less than fresh one.
            chunk.clear();
            if chunk.capacity() != room {
                chunk = Vec::with_capacity(room);
            }
            self.kept += chunk.capacity();
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("just put there");
        let start = chunk.len() as u32;
        chunk.extend_from_slice(content);
        Place { chunk: self.first + self.chunks.len() as u32 - 1, start, length: content.len() as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_contents_are_here_and_the_first_went() {
        let mut recent = Recent::new(KEPT);
        let content = |n: u32| vec![n as u8; 300_000];
        let places: Vec<Place> = (0..200).map(|n| recent.keep(&content(n))).collect();
        assert_eq!(recent.content(places[0]), None);
        for n in 180..200 {
            assert_eq!(recent.content(places[n as usize]), Some(&content(n)[..]), "{n}");
        }
        assert!(recent.chunks.iter().map(Vec::capacity).sum::<usize>() <= KEPT);
        let large = recent.keep(&vec![1; 3 * CHUNK]);
        assert_eq!(recent.content(large).map(<[u8]>::len), Some(3 * CHUNK));
        let none = recent.keep(b"");
        assert_eq!(recent.content(none), Some(&b""[..]));
    }
}
