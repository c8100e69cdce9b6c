//! Small pages by which sled lets go of large ones.
//! Must not know what the pages in use hold: small ones are rows of its own, in sled's default tree.
//!
//! sled deals its pages out to 256 shards by their number. A shard evicts what it saw longest ago until it is within its
//! share of the cache, but never the page it saw last, however large. Pages of pieces have 256 to 512 KiB, so 64 to
//! 128 MB stayed in memory whatever the limit was. Here each shard is shown a small page last.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards of sled's page cache.
const SHARDS: usize = 256;

/// sled looks at what to evict only when so many accesses of pages of one shard have come together.
pub(super) const ACCESSES: usize = 64;

/// What a page keeps of 17 rows when it splits; rows that come in order leave no page fuller than that.
const ROWS_PER_PAGE: usize = 9;

/// sled numbers new pages one after the other, but for those of an index between them and what it had given up before.
const PAGES: usize = SHARDS + 32;

/// Pieces that are written between two turns: 8 MB of them.
const PIECES: usize = 256;
/// A piece that is read counts less: what is read may well be read again, and a turn is 20,000 looks at pages.
const WRITTEN: usize = 4;
const READ: usize = 1;

pub(super) struct SmallPages {
    tree: sled::Tree,
    passed: AtomicUsize,
}

/// How a piece came into sled's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Written,
    Read,
}

impl SmallPages {
    /// Makes them unless they are there.
    pub(super) fn open(tree: sled::Tree) -> sled::Result<SmallPages> {
        // The last one is made last: a kill before it leaves the rest to be made again.
        if !tree.contains_key(key(PAGES * ROWS_PER_PAGE - 1))? {
            (0..PAGES * ROWS_PER_PAGE).try_for_each(|number| tree.insert(key(number), "").map(drop))?;
        }
        Ok(SmallPages { tree, passed: AtomicUsize::new(0) })
    }

    /// To be called for each piece.
    pub(super) fn after_piece(&self, passed: Passed) -> sled::Result<()> {
        if self.is_turn(passed) { self.show() } else { Ok(()) }
    }

    fn is_turn(&self, passed: Passed) -> bool {
        let weight = match passed {
            Passed::Written => WRITTEN,
            Passed::Read => READ,
        };
        let before = self.passed.fetch_add(weight, Ordering::Relaxed);
        let turn = PIECES * WRITTEN;
        before / turn != (before + weight) / turn
    }

    /// Shows each shard a small page, often enough for it to look at what it may evict.
    fn show(&self) -> sled::Result<()> {
        // Where one page ends and the next begins is sled's; one row less than a page has is on the safe side.
        let times = ACCESSES.div_ceil(ROWS_PER_PAGE - 1);
        (0..PAGES * ROWS_PER_PAGE).try_for_each(|number| {
            let key = key(number);
            (0..times).try_for_each(|_| self.tree.contains_key(key).map(drop))
        })
    }
}

fn key(number: usize) -> [u8; 7] {
    let [high, low] = (number as u16).to_be_bytes();
    [b's', b'm', b'a', b'l', b'l', high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, sled::Db) {
        let folder = tempfile::tempdir().expect("a folder");
        let sled = sled::open(folder.path()).expect("a sled");
        (folder, sled)
    }

    #[test]
    fn what_a_kill_left_out_is_made_again() {
        let (_folder, sled) = opened();
        let all = PAGES * ROWS_PER_PAGE;
        SmallPages::open(sled::Tree::clone(&sled)).expect("made");
        assert_eq!(sled.len(), all);
        (all / 2..all).for_each(|number| drop(sled.remove(key(number)).expect("removed")));
        SmallPages::open(sled::Tree::clone(&sled)).expect("made again");
        assert_eq!(sled.len(), all);
    }

    #[test]
    fn a_turn_comes_after_so_many_pieces() {
        let (_folder, sled) = opened();
        let pages = SmallPages::open(sled::Tree::clone(&sled)).expect("made");
        let turns = |passed, pieces| (0..pieces).filter(|_| pages.is_turn(passed)).count();
        assert_eq!(turns(Passed::Written, PIECES - 1), 0);
        assert_eq!(turns(Passed::Written, 1), 1);
        assert_eq!(turns(Passed::Read, PIECES * WRITTEN - 1), 0);
        assert_eq!(turns(Passed::Written, 1), 1);
    }
}
