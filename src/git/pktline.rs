//! Packets of git's wire format. Rules: gitprotocol-common(5).

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result};

/// Ends a request or a section.
pub const FLUSH: &[u8] = b"0000";
/// Stands between a command's capabilities and its arguments.
pub const DELIMITER: &[u8] = b"0001";

/// Appends one line; the line feed that ends text lines is added.
pub fn line(to: &mut BytesMut, text: &str) {
    to.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
}

/// Bytes of an answer as they come in. Blocking.
pub trait Stream: Send {
    /// At least one byte; `None` at the end.
    fn piece(&mut self) -> Result<Option<Bytes>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Data(Bytes),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// Cuts a stream into packets.
pub struct Reader {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

impl Reader {
    pub fn new(stream: Box<dyn Stream>) -> Reader {
        Reader { stream, buffer: BytesMut::new() }
    }

    /// The next packet; `None` at an orderly end of the stream.
    pub fn packet(&mut self) -> Result<Option<Packet>> {
        if !self.fill(4)? {
            return match self.buffer.is_empty() {
                true => Ok(None),
                false => Err(cut_off()),
            };
        }
        let length = length(&self.buffer[..4])?;
        match length {
            0..=2 => {
                let _ = self.buffer.split_to(4);
                Ok(Some([Packet::Flush, Packet::Delimiter, Packet::ResponseEnd][length].clone()))
            }
            3 => Err(Error::bad_gateway("invalid packet length in git's answer")),
            _ => {
                if !self.fill(length)? {
                    return Err(cut_off());
                }
                let mut packet = self.buffer.split_to(length);
                let _ = packet.split_to(4);
                Ok(Some(Packet::Data(packet.freeze())))
            }
        }
    }

    /// The next packet, where there must be one.
    pub fn expect(&mut self) -> Result<Packet> {
        self.packet()?.ok_or_else(cut_off)
    }

    /// The first bytes of what comes next, without taking them; fewer at the end.
    pub fn peek(&mut self, count: usize) -> Result<&[u8]> {
        self.fill(count)?;
        Ok(&self.buffer[..count.min(self.buffer.len())])
    }

    /// Bytes that are not in packets.
    pub fn raw(&mut self) -> Result<Option<Bytes>> {
        if self.buffer.is_empty() {
            return self.stream.piece();
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    /// Whether so many bytes are in the buffer.
    fn fill(&mut self, count: usize) -> Result<bool> {
        while self.buffer.len() < count {
            match self.stream.piece()? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Packet text without the line feed that may end it.
pub fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data.strip_suffix(b"\n").unwrap_or(data)).into_owned()
}

pub fn cut_off() -> Error {
    Error::bad_gateway("connection closed in the middle of git's answer")
}

fn length(digits: &[u8]) -> Result<usize> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .ok_or_else(|| Error::bad_gateway("the answer is not in git's packet format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of a fixed length.
    struct Pieces(Bytes, usize);

    impl Stream for Pieces {
        fn piece(&mut self) -> Result<Option<Bytes>> {
            let length = self.1.min(self.0.len());
            Ok((length > 0).then(|| self.0.split_to(length)))
        }
    }

    fn read(bytes: &'static [u8], piece: usize) -> Result<Vec<Packet>> {
        let mut reader = Reader::new(Box::new(Pieces(Bytes::from_static(bytes), piece)));
        let mut packets = Vec::new();
        while let Some(packet) = reader.packet()? {
            packets.push(packet);
        }
        Ok(packets)
    }

    #[test]
    fn packets_are_the_same_however_the_bytes_come_in() {
        let expected = vec![
            Packet::Data(Bytes::from_static(b"hello\n")),
            Packet::Delimiter,
            Packet::Data(Bytes::new()),
            Packet::ResponseEnd,
            Packet::Flush,
        ];
        for piece in [1, 3, 7, 100] {
            assert_eq!(read(b"000ahello\n0001000400020000", piece).expect("valid"), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let table: [(&str, &'static [u8], &str); 4] = [
            ("cut in the length", b"00", "in the middle"),
            ("cut in the data", b"000ahell", "in the middle"),
            ("a page", b"<html>", "packet format"),
            ("length three", b"0003", "packet length"),
        ];
        for (name, bytes, expected) in table {
            let error = read(bytes, 100).expect_err(name);
            assert!(error.what().contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn writes_lines() {
        let mut bytes = BytesMut::new();
        line(&mut bytes, "done");
        assert_eq!(&bytes[..], b"0009done\n");
    }
}
