//! The values in sled: an entry's record and a blob's manifest, and how they are written as bytes.

use bytes::Bytes;

use super::{META_LIMIT, Sha256};

/// No value in sled is larger: a leaf splits by count, and a page above a quarter of a segment
/// would go to a file that is never deleted.
pub(super) const VALUE_LIMIT: usize = 32 << 10;

/// tag, sha256, size of the body, size of the meta
const HEADER: usize = 1 + 32 + 8 + 4;

/// The largest body that lies beside its meta. It leaves room for any meta, so that a new meta
/// never moves a body.
pub(super) const INLINE_LIMIT: usize = VALUE_LIMIT - HEADER - META_LIMIT;

const INLINE: u8 = 1;
const BLOB: u8 = 2;

/// What an entry's key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) meta: Bytes,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    /// The body, where it is small; else it is the blob of that sha256.
    pub(super) inline: Option<Bytes>,
}

impl Record {
    /// The blob that this record refers to.
    pub(super) fn blob(&self) -> Option<Sha256> {
        self.inline.is_none().then_some(self.sha256)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let inline = self.inline.as_deref().unwrap_or_default();
        let mut value = Vec::with_capacity(HEADER + self.meta.len() + inline.len());
        value.push(if self.inline.is_some() { INLINE } else { BLOB });
        value.extend_from_slice(&self.sha256);
        value.extend_from_slice(&self.size.to_be_bytes());
        value.extend_from_slice(&(self.meta.len() as u32).to_be_bytes());
        value.extend_from_slice(&self.meta);
        value.extend_from_slice(inline);
        value
    }

    /// `None` if the bytes are no record.
    pub(super) fn decode(value: Bytes) -> Option<Record> {
        let (tag, rest) = value.split_first()?;
        let (sha256, rest) = rest.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (meta_size, rest) = rest.split_first_chunk::<4>()?;
        let (sha256, size) = (*sha256, u64::from_be_bytes(*size));
        let meta_size = u32::from_be_bytes(*meta_size) as usize;
        if meta_size > rest.len() {
            return None;
        }
        let meta = value.slice(HEADER..HEADER + meta_size);
        let body = value.slice(HEADER + meta_size..);
        let inline = match *tag {
            INLINE if body.len() as u64 == size => Some(body),
            BLOB if body.is_empty() => None,
            _ => return None,
        };
        Some(Record { meta, sha256, size, inline })
    }
}

/// Where a blob lies; readers trust nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manifest {
    /// Its pieces are being written or removed: none of them counts.
    Begun,
    Pieces {
        size: u64,
        count: u32,
    },
    File {
        size: u64,
    },
}

impl Manifest {
    pub(super) fn encode(self) -> Vec<u8> {
        let (tag, size, count) = match self {
            Manifest::Begun => (0, 0, 0),
            Manifest::Pieces { size, count } => (1, size, count),
            Manifest::File { size } => (2, size, 0),
        };
        let mut value = vec![tag];
        value.extend_from_slice(&size.to_be_bytes());
        value.extend_from_slice(&count.to_be_bytes());
        value
    }

    /// What is no manifest counts as one that was only begun: nothing is trusted, and a sweep removes it.
    pub(super) fn decode(value: &[u8]) -> Manifest {
        let Ok(value) = <&[u8; 13]>::try_from(value) else { return Manifest::Begun };
        let size = u64::from_be_bytes(value[1..9].try_into().expect("eight bytes"));
        let count = u32::from_be_bytes(value[9..13].try_into().expect("four bytes"));
        match value[0] {
            1 => Manifest::Pieces { size, count },
            2 => Manifest::File { size },
            _ => Manifest::Begun,
        }
    }

    pub(super) fn size(self) -> u64 {
        match self {
            Manifest::Begun => 0,
            Manifest::Pieces { size, .. } | Manifest::File { size } => size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(meta: &[u8], inline: Option<&[u8]>) -> Record {
        Record {
            meta: Bytes::copy_from_slice(meta),
            sha256: [7; 32],
            size: inline.map_or(1 << 40, |body| body.len() as u64),
            inline: inline.map(Bytes::copy_from_slice),
        }
    }

    #[test]
    fn records_come_back_as_written() {
        let rows = [
            ("a small body", record(b"meta", Some(b"body"))),
            ("an empty body", record(b"meta", Some(b""))),
            ("nothing at all", record(b"", Some(b""))),
            ("a blob", record(b"meta", None)),
        ];
        for (name, record) in rows {
            assert_eq!(Record::decode(record.encode().into()), Some(record), "{name}");
        }
    }

    #[test]
    fn the_largest_record_is_a_value_of_the_limit() {
        let largest = record(&[1; META_LIMIT], Some(&[2; INLINE_LIMIT]));
        assert_eq!(largest.encode().len(), VALUE_LIMIT);
    }

    #[test]
    fn what_is_cut_or_torn_is_no_record() {
        let whole = record(b"meta", Some(b"body")).encode();
        for end in 0..whole.len() {
            assert_eq!(Record::decode(Bytes::copy_from_slice(&whole[..end])), None, "cut at {end}");
        }
        let mut foreign = whole;
        foreign[0] = 9;
        assert_eq!(Record::decode(foreign.into()), None);
    }

    #[test]
    fn manifests_come_back_as_written() {
        for manifest in
            [Manifest::Begun, Manifest::Pieces { size: 70_000, count: 3 }, Manifest::File { size: u64::MAX }]
        {
            assert_eq!(Manifest::decode(&manifest.encode()), manifest);
        }
        assert_eq!(Manifest::decode(b"torn"), Manifest::Begun);
    }
}
