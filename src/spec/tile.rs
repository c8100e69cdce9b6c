//! Tiles of a transparency log: pieces of the tree as they are asked for, and what they prove.
//! Rules: golang.org/x/mod/sumdb/tlog (`Tile`, `TileHashReader`).

use std::collections::HashMap;
use std::fmt;

use super::tree::{Hash, Node, TreeHead, number, peaks, root};
use crate::error::{Error, Result};

/// The height that the go command asks for.
pub const HEIGHT: u32 = 8;

/// A row of hashes from every `height`th level of the tree, at most `1 << height` of them, or the records below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    height: u32,
    row: Row,
    number: u64,
    width: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    Hashes(u32),
    Data,
}

impl Tile {
    /// `tile/H/L/K[.p/W]`: height 1 to 30, level 0 to 63 or `data`, the number as `x001/x234/067`.
    pub fn parse(address: &str) -> Option<Tile> {
        let mut parts = address.strip_prefix("tile/")?.split('/').peekable();
        let height = number(parts.next()?).filter(|height| (1..=30).contains(height))?;
        let row = match parts.next()? {
            "data" => Row::Data,
            level => Row::Hashes(u32::try_from(number(level).filter(|level| *level <= 63)?).ok()?),
        };
        let (mut digits, mut value) = (0, 0_u64);
        let is_partial = loop {
            let part = parts.next()?;
            let (group, last) = match part.strip_prefix('x') {
                Some(group) => (group, None),
                None => (part.trim_end_matches(".p"), Some(part.ends_with(".p"))),
            };
            if group.len() != 3 || !group.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            value = value.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
            digits += 3;
            match last {
                Some(is_partial) => break is_partial,
                // Sixty-three bits have nineteen digits.
                None if digits > 18 => return None,
                None => {}
            }
        };
        let width = match is_partial {
            true => number(parts.next()?).filter(|width| (1..1 << height).contains(width))?,
            false => 1 << height,
        };
        let tile = Tile { height: u32::try_from(height).ok()?, row, number: value, width };
        // A number has one form only: no group of zeros in front.
        (parts.next().is_none() && tile.to_string() == address).then_some(tile)
    }

    pub fn is_full(&self) -> bool {
        self.width == 1 << self.height
    }

    /// Whether it holds records instead of hashes.
    pub fn is_data(&self) -> bool {
        self.row == Row::Data
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// How many hashes or records it holds.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Bytes of a tile of hashes.
    pub fn size(&self) -> usize {
        self.width as usize * Hash::SIZE
    }

    /// The same with all that it will hold one day.
    pub fn full(self) -> Tile {
        Tile { width: 1 << self.height, ..self }
    }

    /// The node that its last hash is; `None` for records and where there is no such level.
    pub fn last(&self) -> Option<Node> {
        let Row::Hashes(level) = self.row else { return None };
        let number = self.number.checked_mul(1 << self.height)?.checked_add(self.width - 1)?;
        let level = level.checked_mul(self.height).filter(|level| *level < i64::BITS)?;
        (number <= i64::MAX as u64 >> level).then_some(Node { level, number })
    }

    /// The tile that a node lies in, as wide as a tree of `size` records has it; `None` where the tree has no such node.
    fn holding(node: Node, height: u32, size: u64) -> Option<Tile> {
        let (level, within) = (node.level / height, node.level % height);
        let there = size >> (level * height);
        if node.number >= size >> node.level {
            return None;
        }
        let number = (node.number << within) >> height;
        let width = (there - (number << height)).min(1 << height);
        Some(Tile { height, row: Row::Hashes(level), number, width })
    }

    /// The node that a full tile is the subtree of.
    fn top(&self) -> Option<Node> {
        let Row::Hashes(level) = self.row else { return None };
        self.is_full().then_some(Node { level: (level + 1) * self.height, number: self.number })
    }

    /// The hash of a node that lies in this tile, of which these are the bytes.
    fn hash(&self, bytes: &[u8], node: Node) -> Hash {
        let within = node.level % self.height;
        let first = ((node.number << within) - (self.number << self.height)) as usize;
        subtree(&bytes[first * Hash::SIZE..(first + (1 << within)) * Hash::SIZE])
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Row::Hashes(level) => write!(f, "tile/{}/{level}/", self.height)?,
            Row::Data => write!(f, "tile/{}/data/", self.height)?,
        }
        let mut groups = vec![self.number % 1000];
        let mut rest = self.number / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// The hash over a row of hashes, whose number is a power of two.
fn subtree(bytes: &[u8]) -> Hash {
    if let Ok(hash) = bytes.try_into() {
        return Hash(hash);
    }
    let (left, right) = bytes.split_at(bytes.len() / 2);
    Hash::of_node(subtree(left), subtree(right))
}

/// Which tiles it takes to know some nodes of a tree for certain.
#[derive(Debug)]
pub struct Plan {
    tree: TreeHead,
    height: u32,
    /// Those that the tree's hash is made from, then each behind the one that holds its top.
    tiles: Vec<Tile>,
}

/// Tiles that the signed tree is made from.
#[derive(Debug)]
pub struct Proven<'a> {
    plan: &'a Plan,
    bytes: HashMap<Tile, &'a [u8]>,
}

impl Plan {
    /// `None` where the tree does not have one of the nodes.
    pub fn new(tree: TreeHead, nodes: &[Node], height: u32) -> Option<Plan> {
        let mut tiles: Vec<Tile> = Vec::new();
        for peak in peaks(tree.size) {
            let tile = Tile::holding(peak, height, tree.size)?;
            if !tiles.contains(&tile) {
                tiles.push(tile);
            }
        }
        for node in nodes {
            let mut above = Vec::new();
            let mut tile = Tile::holding(*node, height, tree.size)?;
            while !tiles.contains(&tile) {
                above.push(tile);
                // One that is not full is at the edge, where a peak lies in it; of the others the tree has the top.
                tile = Tile::holding(tile.top()?, height, tree.size)?;
            }
            tiles.extend(above.into_iter().rev());
        }
        Some(Plan { tree, height, tiles })
    }

    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Checks the bytes of all tiles, in their order, against the tree's hash.
    pub fn prove<'a>(&'a self, bytes: &'a [impl AsRef<[u8]>]) -> Result<Proven<'a>> {
        let sized = self.tiles.iter().zip(bytes).filter(|(tile, bytes)| bytes.as_ref().len() == tile.size());
        let bytes: HashMap<Tile, &[u8]> = sized.map(|(tile, bytes)| (*tile, bytes.as_ref())).collect();
        if let Some(missing) = self.tiles.iter().find(|tile| !bytes.contains_key(tile)) {
            return Err(Error::bad_gateway(format!(
                "{missing} is not what it claims (expected {} bytes)",
                missing.size()
            )));
        }
        let proven = Proven { plan: self, bytes };
        let hashes: Option<Vec<Hash>> = peaks(self.tree.size).into_iter().map(|peak| proven.hash(peak)).collect();
        let edge = self.tiles.first().map(Tile::to_string).unwrap_or_default();
        if hashes.is_none_or(|hashes| root(&hashes) != self.tree.hash) {
            return Err(self.inconsistent(&edge));
        }
        for tile in self.tiles.iter().filter(|tile| tile.is_full()) {
            let above = tile.top().and_then(|top| proven.hash(top));
            if above != Some(subtree(proven.bytes[tile])) {
                return Err(self.inconsistent(&tile.to_string()));
            }
        }
        Ok(proven)
    }

    fn inconsistent(&self, tile: &str) -> Error {
        let TreeHead { size, hash } = self.tree;
        Error::bad_gateway(format!("inconsistent tile: {tile} is no part of the signed tree of {size} records, {hash}"))
    }
}

impl Proven<'_> {
    /// The hash of a node that was planned for.
    pub fn hash(&self, node: Node) -> Option<Hash> {
        let tile = Tile::holding(node, self.plan.height, self.plan.tree.size)?;
        Some(tile.hash(self.bytes.get(&tile)?, node))
    }

    /// The bytes of a tile that was planned for.
    pub fn bytes(&self, tile: Tile) -> Option<&[u8]> {
        self.bytes.get(&tile).copied()
    }
}

#[cfg(test)]
pub(crate) mod grown;
#[cfg(test)]
mod tests;
