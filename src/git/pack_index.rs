//! The index of a pack, so that git and libgit2 find what is in it. Rules: gitformat-pack(5), version 2.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::unpack::{Odd, Result, Unpacked};

const MAGIC: &[u8] = b"\xfftOc\0\0\0\x02";
/// Offsets from here on have a table of their own; so large a pack is libgit2's business.
const FAR: u64 = 1 << 31;

/// The bytes of the index; none for a pack that holds an object twice.
pub fn index(mut pack: Unpacked) -> Result<Vec<u8>> {
    let entries = &mut pack.entries;
    entries.sort_unstable_by_key(|entry| entry.id);
    let is_twice = entries.windows(2).any(|pair| pair[0].id == pair[1].id);
    if is_twice || entries.iter().any(|entry| entry.offset >= FAR) {
        return Err(Odd);
    }
    let mut bytes = Vec::with_capacity(MAGIC.len() + 1024 + entries.len() * 28 + 40);
    bytes.extend_from_slice(MAGIC);
    for first in 0..=u8::MAX {
        let up_to = entries.partition_point(|entry| entry.id.0[0] <= first) as u32;
        bytes.extend_from_slice(&up_to.to_be_bytes());
    }
    entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.id.0));
    entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.crc.to_be_bytes()));
    entries.iter().for_each(|entry| bytes.extend_from_slice(&(entry.offset as u32).to_be_bytes()));
    bytes.extend_from_slice(&pack.sum);
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    bytes.extend_from_slice(sum.as_ref());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;
    use crate::git::unpack::Unpack;

    /// A pack of blobs of up to 15 bytes, read to its end.
    fn unpacked(blobs: &[&[u8]]) -> Unpacked {
        const BLOB: u8 = 3 << 4;
        let mut pack = [b"PACK\0\0\0\x02".as_slice(), &(blobs.len() as u32).to_be_bytes()].concat();
        for blob in blobs {
            pack.push(BLOB | blob.len() as u8);
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(blob).expect("memory");
            pack.extend(encoder.finish().expect("memory"));
        }
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack);
        pack.extend_from_slice(sum.as_ref());
        let mut unpack = Unpack::new(0);
        let older = |_: u64, _: &mut [u8]| Ok(());
        unpack.write(&pack, &older, &mut |_, _, _| Ok(())).expect("a pack");
        unpack.finish().expect("a whole pack")
    }

    #[test]
    fn a_pack_that_holds_an_object_twice_has_no_index() {
        assert!(index(unpacked(&[b"one", b"two"])).is_ok());
        assert_eq!(index(unpacked(&[b"one", b"two", b"one"])), Err(Odd));
    }

    #[test]
    fn a_pack_whose_objects_lie_far_behind_its_beginning_has_no_index() {
        for (offset, is_near) in [(FAR - 1, true), (FAR, false)] {
            let mut pack = unpacked(&[b"one"]);
            pack.entries[0].offset = offset;
            assert_eq!(index(pack).is_ok(), is_near, "{offset}");
        }
    }
}
