//! What a zip says of a file that comes deflated already: found out by inflating it once, without keeping it.
//! Rules: RFC 1950 for the stream around the deflated bytes.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

use super::DEFLATED;
use super::write::Summary;

/// How much is read and inflated at once.
const STRIDE: usize = 64 << 10;
/// What a zlib stream has before the deflated bytes, and behind them.
pub(super) const HEAD: u64 = 2;
pub(super) const TAIL: u64 = 4;

/// How long a stream may be: whoever deflates makes what cannot be made shorter longer by less. Deflate can also say
/// nothing at any length, which would be carried into each zip.
fn longest(size: u64) -> u64 {
    size.saturating_add(size / 8).saturating_add(1024 + HEAD + TAIL)
}

/// A deflated file that was inflated once: it is what it claims.
#[derive(Debug, Clone)]
pub struct Inflated {
    pub(super) summary: Summary,
    /// Of the whole stream, which is read once more when it is copied.
    pub(super) stream_crc32: u32,
}

/// Inflates one stream after the other.
pub struct Inflater {
    state: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { state: Decompress::new(true), input: vec![0; STRIDE], output: vec![0; STRIDE] }
    }
}

impl Inflater {
    /// Reads a zlib stream of so many inflated bytes to its end, its checksum included; what follows it is not looked at.
    /// One that is far longer than what it holds is refused.
    pub fn inspect(&mut self, mut stream: impl Read, size: u64) -> io::Result<Inflated> {
        self.state.reset(true);
        let (mut sha256, mut crc, mut packed) = (Sha256::new(), flate2::Crc::new(), flate2::Crc::new());
        let (mut start, mut end) = (0, 0);
        loop {
            if start == end {
                start = 0;
                // Of a short stream not more is read than it can need: packs hold many of them.
                let likely = size.saturating_sub(self.state.total_out()).saturating_add(1024);
                let wanted = STRIDE.min(usize::try_from(likely).unwrap_or(STRIDE));
                end = read(&mut stream, &mut self.input[..wanted])?;
            }
            let (before, made) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(&self.input[start..end], &mut self.output, FlushDecompress::None)?;
            let (taken, given) = (self.state.total_in() - before, self.state.total_out() - made);
            packed.update(&self.input[start..start + taken as usize]);
            start += taken as usize;
            sha256.update(&self.output[..given as usize]);
            crc.update(&self.output[..given as usize]);
            if self.state.total_out() > size || self.state.total_in() > longest(size) {
                return Err(damaged());
            }
            match status {
                Status::StreamEnd => break,
                // Nothing more comes, or nothing comes of it.
                _ if taken == 0 && given == 0 => return Err(damaged()),
                _ => {}
            }
        }
        let compressed = self.state.total_in().checked_sub(HEAD + TAIL).ok_or_else(damaged)?;
        if self.state.total_out() != size {
            return Err(damaged());
        }
        let sha256 = sha256.finalize().into();
        let summary = Summary { method: DEFLATED, crc32: crc.sum(), size, compressed, sha256 };
        Ok(Inflated { summary, stream_crc32: packed.sum() })
    }
}

fn read(stream: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(to) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "damaged zlib stream")
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;
    use crate::spec::path::ModulePath;
    use crate::spec::version::Version;
    use crate::spec::zip::{ModuleZip, verify};

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn texts() -> [(&'static str, Vec<u8>); 4] {
        let noise = (0_u64..100_000).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let text = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        [("empty", Vec::new()), ("short", b"package m\n".to_vec()), ("text", text), ("noise", noise)]
    }

    #[test]
    fn says_of_a_stream_what_compressing_its_contents_says() {
        let mut inflater = Inflater::default();
        for (name, bytes) in texts() {
            let mut stream = packed(&bytes);
            let deflated = stream.len() as u64 - HEAD - TAIL;
            stream.extend(b"the next object of the pack");
            let found = inflater.inspect(&stream[..], bytes.len() as u64).expect(name).summary;
            assert_eq!((found.size, found.compressed), (bytes.len() as u64, deflated), "{name}");
            assert_eq!(found.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)), "{name}");
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            assert_eq!(found.crc32, crc.sum(), "{name}");
        }
    }

    #[test]
    fn a_zip_of_streams_is_the_zip_of_their_files() {
        let module = ModulePath::parse("example.com/m").expect("a path");
        let version = Version::parse("v1.0.0").expect("a version");
        let mut inflater = Inflater::default();
        let mut plain = ModuleZip::new(Cursor::new(Vec::new()), &module, &version);
        let mut taken = ModuleZip::new(Cursor::new(Vec::new()), &module, &version);
        for (name, bytes) in texts() {
            let stream = packed(&bytes);
            let inflated = inflater.inspect(&stream[..], bytes.len() as u64).expect(name);
            taken.append_inflated(name, &inflated, &stream[..]).expect(name);
            plain.add(name, &bytes).expect(name);
        }
        let (zip, sums) = taken.finish().expect("memory");
        let written = zip.get_ref();
        let expected = (written.len() as u64, <[u8; 32]>::from(Sha256::digest(written)));
        assert_eq!((sums.size, sums.sha256), expected, "what the store goes by");
        let verified = verify(zip, &module, &version).expect("a go command takes it");
        assert_eq!((verified.files, &verified.h1), (4, &sums.h1));
        assert_eq!(plain.finish().expect("memory").1.h1, sums.h1);
    }

    #[test]
    fn a_stream_that_changed_since_it_was_inflated_is_not_copied() {
        let module = ModulePath::parse("example.com/m").expect("a path");
        let version = Version::parse("v1.0.0").expect("a version");
        let stream = packed(b"package m\n");
        let inflated = Inflater::default().inspect(&stream[..], 10).expect("a stream");
        for at in 0..stream.len() {
            let mut changed = stream.clone();
            changed[at] ^= 1;
            let mut zip = ModuleZip::new(Cursor::new(Vec::new()), &module, &version);
            assert!(zip.append_inflated("m.go", &inflated, &changed[..]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_stream_that_says_nothing_at_great_length_is_refused() {
        let mut inflater = Inflater::default();
        for (blocks, is_taken) in [(0, true), (100, true), (1000, false)] {
            // Stored blocks of no bytes, then the end of an empty file and its checksum.
            let stream = [b"\x78\x9c".as_slice(), &b"\0\0\0\xff\xff".repeat(blocks), b"\x03\0\0\0\0\x01"].concat();
            assert_eq!(inflater.inspect(&stream[..], 0).is_ok(), is_taken, "{blocks} blocks");
        }
    }

    #[test]
    fn a_stream_that_is_not_what_it_claims_is_refused() {
        let mut inflater = Inflater::default();
        for (name, bytes) in texts() {
            let stream = packed(&bytes);
            let size = bytes.len() as u64;
            for wrong in [size + 1, size.wrapping_sub(1)] {
                assert!(inflater.inspect(&stream[..], wrong).is_err(), "{name}: {wrong} bytes");
            }
            for end in [0, 1, stream.len() - 1] {
                assert!(inflater.inspect(&stream[..end], size).is_err(), "{name}: cut at {end}");
            }
            let mut flipped = stream.clone();
            *flipped.last_mut().expect("a checksum") ^= 1;
            assert!(inflater.inspect(&flipped[..], size).is_err(), "{name}: another checksum");
            assert!(inflater.inspect(&stream[..], size).is_ok(), "{name}: what came before leaves no trace");
        }
    }
}
