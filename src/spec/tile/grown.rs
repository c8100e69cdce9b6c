//! A log with all its hashes in memory.

use super::*;

/// Records, and every complete subtree over them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    levels: Vec<Vec<Hash>>,
}

impl Log {
    pub(crate) fn of(records: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Log {
        let mut log = Log::default();
        records.into_iter().for_each(|record| log.add(record.as_ref()));
        log
    }

    pub(crate) fn add(&mut self, record: &[u8]) {
        let (mut hash, mut level) = (Hash::of_record(record), 0);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            let row = &self.levels[level];
            let [.., left, right] = row[..] else { return };
            if row.len() % 2 == 1 {
                return;
            }
            (hash, level) = (Hash::of_node(left, right), level + 1);
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    fn hash(&self, node: Node) -> Hash {
        self.levels[node.level as usize][node.number as usize]
    }

    /// The tree when it had so many records.
    pub(crate) fn head(&self, size: u64) -> TreeHead {
        let hashes: Vec<Hash> = peaks(size).into_iter().map(|peak| self.hash(peak)).collect();
        TreeHead { size, hash: root(&hashes) }
    }

    /// The bytes of a tile; `None` where the log is too short.
    pub(crate) fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        let last = tile.last()?;
        let row = self.levels.get(last.level as usize)?;
        let (first, end) = ((last.number + 1 - tile.width) as usize, last.number as usize + 1);
        Some(row.get(first..end)?.iter().flat_map(|hash| hash.0).collect())
    }

    pub(crate) fn tiles(&self, plan: &Plan) -> Vec<Vec<u8>> {
        plan.tiles().iter().map(|tile| self.tile(tile).expect("the log is long enough")).collect()
    }
}
