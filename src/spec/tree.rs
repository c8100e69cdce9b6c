//! The transparency log of a checksum database: records are leaves of a Merkle tree that only grows.
//! Rules: golang.org/x/mod/sumdb/tlog (RFC 6962, section 2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The sum of a record or of the two nodes below.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; Hash::SIZE]);

impl Hash {
    pub const SIZE: usize = 32;

    pub fn of_record(text: &[u8]) -> Hash {
        Hash(Sha256::new().chain_update([0]).chain_update(text).finalize().into())
    }

    pub fn of_node(left: Hash, right: Hash) -> Hash {
        Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    fn parse(text: &str) -> Option<Hash> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A complete subtree: the records from `number << level` on, `1 << level` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    pub level: u32,
    pub number: u64,
}

impl Node {
    /// The leaf of a record.
    pub fn leaf(number: u64) -> Node {
        Node { level: 0, number }
    }
}

/// The tree as it was at some time: how many records, and the hash over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHead {
    pub size: u64,
    pub hash: Hash,
}

/// The first line of a tree's note.
pub const TREE: &str = "go.sum database tree\n";

impl TreeHead {
    /// Reads the text of a note. Further lines may follow one day.
    pub fn parse(text: &str) -> Result<TreeHead> {
        let read = || {
            let mut lines = text.strip_prefix(TREE)?.split('\n');
            let (size, hash) = (lines.next()?, lines.next()?);
            // The line of the hash ends too.
            lines.next()?;
            let head = TreeHead { size: number(size)?, hash: Hash::parse(hash)? };
            (head.size <= i64::MAX as u64).then_some(head)
        };
        read().ok_or_else(|| Error::bad_gateway("malformed tree note"))
    }
}

/// A decimal number as it is printed: no sign, no leading zero.
pub fn number(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// The complete subtrees that a tree of this size consists of, the largest first.
pub fn peaks(size: u64) -> Vec<Node> {
    let (mut peaks, mut done) = (Vec::new(), 0);
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        peaks.push(Node { level, number: done >> level });
        done += 1 << level;
    }
    peaks
}

/// The hash of a tree by those of its peaks, in their order.
pub fn root(peaks: &[Hash]) -> Hash {
    let joined = peaks.iter().rev().copied().reduce(|right, left| Hash::of_node(left, right));
    joined.unwrap_or_else(|| Hash(Sha256::digest([]).into()))
}

/// A record of the database, as a lookup answers it: its number, its lines, and a signed tree that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub number: u64,
    /// Lines as in go.sum.
    pub text: &'a str,
    pub note: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Record<'a>> {
        let read = || {
            let body = std::str::from_utf8(body).ok()?;
            let (id, rest) = body.split_once('\n')?;
            let at = rest.find("\n\n")?;
            let (text, note) = (&rest[..=at], &rest[at + 2..]);
            let plain = !text.starts_with('\n') && !text.chars().any(|c| c < ' ' && c != '\n');
            plain.then_some(Record { number: number(id)?, text, note: note.as_bytes() })
        };
        read().ok_or_else(|| Error::bad_gateway("malformed record data"))
    }

    /// The hash in the line of a module and a version, which may end in `/go.mod`.
    pub fn h1(&self, module: &str, version: &str) -> Option<&'a str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(module)?.strip_prefix(' ')?.strip_prefix(version)?.strip_prefix(' '))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_consists_of_the_powers_of_its_size() {
        let table: [(u64, &[(u32, u64)]); 5] =
            [(0, &[]), (1, &[(0, 0)]), (5, &[(2, 0), (0, 4)]), (7, &[(2, 0), (1, 2), (0, 6)]), (256, &[(8, 0)])];
        for (size, expected) in table {
            let found: Vec<_> = peaks(size).into_iter().map(|node| (node.level, node.number)).collect();
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_reference() {
        assert_eq!(root(&[]).to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        // The certificate transparency vectors of RFC 6962 for an empty record and one of a zero byte.
        let empty = Hash::of_record(b"");
        assert_eq!(hex::encode(empty.0), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let two = Hash::of_node(empty, Hash::of_record(&[0]));
        assert_eq!(hex::encode(two.0), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn a_tree_note_is_read_and_nothing_like_it() {
        let hash = Hash::of_record(b"x");
        let text = format!("{TREE}12\n{hash}\n");
        let head = TreeHead { size: 12, hash };
        assert_eq!(TreeHead::parse(&text).expect("a tree"), head);
        assert_eq!(TreeHead::parse(&format!("{text}more\n")).expect("a tree of tomorrow"), head);
        for (row, text) in [
            ("another first line", text.replace("tree", "tree v2")),
            ("a leading zero", text.replace("12", "012")),
            ("a sign", text.replace("12", "+12")),
            ("too many records", text.replace("12", "9223372036854775808")),
            ("a short hash", text.replace(&hash.to_string(), "c=")),
            ("no line feed", text.trim_end().to_owned()),
            ("no hash", format!("{TREE}12\n")),
        ] {
            assert_eq!(TreeHead::parse(&text).expect_err(row).what(), "malformed tree note", "{row}");
        }
    }

    #[test]
    fn a_record_is_read_and_nothing_like_it() {
        let body = "7\nexample.com/m v1.0.0 h1:a=\nexample.com/m v1.0.0/go.mod h1:b=\n\ngo.sum database tree\n9\n";
        let record = Record::parse(body.as_bytes()).expect("a record");
        assert_eq!((record.number, record.text.lines().count()), (7, 2));
        assert_eq!(record.note, b"go.sum database tree\n9\n");
        assert_eq!(record.h1("example.com/m", "v1.0.0"), Some("h1:a="));
        assert_eq!(record.h1("example.com/m", "v1.0.0/go.mod"), Some("h1:b="));
        assert_eq!(record.h1("example.com/m", "v1.0"), None);
        assert_eq!(record.h1("example.com", "v1.0.0"), None);
        for (row, body) in [
            ("a page", "<html>sign in first</html>".to_owned()),
            ("no number", body.replace("7\n", "\n")),
            ("no blank line", body.replace("\n\n", "\n")),
            ("nothing but a note", "7\n\n\ngo.sum".to_owned()),
            ("a control character", body.replace(" v1.0.0 ", " v1.0.0\t")),
        ] {
            assert_eq!(Record::parse(body.as_bytes()).expect_err(row).what(), "malformed record data", "{row}");
        }
    }
}
