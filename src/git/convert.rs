//! What `git archive` does to the contents of a regular file: ident, line ends, encoding, in this order.
//! Must not know where attributes come from; symlinks are never converted, and whoever asks sees to that.
//! Rules: gitattributes(5), and what git 2.39 does, by experiment: the differential tests of `attributes`.

use memchr::{memchr, memchr_iter};

use crate::spec::info::ObjectId;

pub use self::charset::Charset;

mod charset;
mod legacy;
#[cfg(test)]
mod tests;

/// A larger blob, in bytes, goes through `git archive` as a stream, which nothing converts: `core.bigFileThreshold`.
const STREAMED_ABOVE: usize = 512 << 20;

/// What becomes of a regular file's contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversion {
    ident: bool,
    line_ends: LineEnds,
    charset: Option<Charset>,
}

/// What becomes of line ends. git never takes a carriage return away here: blobs hold what they should hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineEnds {
    #[default]
    Kept,
    /// Bare line feeds get a carriage return.
    Crlf,
    /// The same, if the contents look like text and have no carriage return yet.
    CrlfInText,
}

impl Conversion {
    pub fn new(ident: bool, line_ends: LineEnds, charset: Option<Charset>) -> Conversion {
        Conversion { ident, line_ends, charset }
    }

    /// Whether every blob stays as it is.
    pub fn is_none(&self) -> bool {
        *self == Conversion::default()
    }

    /// The contents of a file from its blob and the blob's id. What cannot be encoded is not encoded, as with git.
    pub fn apply(&self, blob: Vec<u8>, id: ObjectId) -> Vec<u8> {
        if self.is_none() || blob.is_empty() || blob.len() > STREAMED_ABOVE {
            return blob;
        }
        let content = if self.ident { with_ident(blob, id) } else { blob };
        let content = match self.line_ends {
            LineEnds::Crlf => with_crlf(content),
            LineEnds::CrlfInText if looks_like_unix_text(&content) => with_crlf(content),
            _ => content,
        };
        match self.charset.and_then(|charset| charset.encode(&content)) {
            Some(encoded) => encoded,
            None => content,
        }
    }
}

/// Expands `$Id$` and `$Id: … $` to the blob's id. An expanded one of another system, told by a space inside, stays;
/// one that does not end on its line is none; one that never ends hides all others after it.
fn with_ident(blob: Vec<u8>, id: ObjectId) -> Vec<u8> {
    let mut content = Vec::new();
    let mut rest = &blob[..];
    while let Some(dollar) = memchr(b'$', rest) {
        let (before, after) = rest.split_at(dollar + 1);
        content.extend_from_slice(before);
        rest = after;
        let length = match after {
            [b'I', b'd', b'$', ..] => 3,
            [b'I', b'd', b':', text @ ..] => match memchr(b'$', text) {
                None => break,
                Some(end) if is_foreign(&text[..end]) => continue,
                Some(end) => end + 4,
            },
            _ => continue,
        };
        content.extend_from_slice(format!("Id: {id} $").as_bytes());
        rest = &after[length..];
    }
    if content.is_empty() {
        return blob;
    }
    content.extend_from_slice(rest);
    content
}

/// Whether what stands between `$Id:` and `$` is left alone: git's own has no space but one at each end.
fn is_foreign(text: &[u8]) -> bool {
    let inner = text.get(1..).unwrap_or_default();
    memchr(b'\n', text).is_some() || memchr(b' ', inner).is_some_and(|space| space + 1 < inner.len())
}

/// Whether all lines end in a bare line feed and the rest is text by git's measure: no NUL, and not more than one
/// unprintable byte for each 128 printable ones.
fn looks_like_unix_text(content: &[u8]) -> bool {
    if memchr(b'\r', content).is_some() || memchr(0, content).is_some() {
        return false;
    }
    // A DOS end-of-file mark at the very end is not held against a text.
    let counted = content.strip_suffix(b"\x1a").unwrap_or(content);
    let is_unprintable =
        |byte: u8| byte == 0x7f || (byte < 0x20 && !matches!(byte, 0x08 | b'\t' | b'\n' | 0x0c | 0x1b));
    let unprintable = counted.iter().filter(|&&byte| is_unprintable(byte)).count();
    let line_feeds = memchr_iter(b'\n', counted).count();
    unprintable <= (counted.len() - unprintable - line_feeds) / 128
}

/// Puts a carriage return before each line feed that has none.
fn with_crlf(content: Vec<u8>) -> Vec<u8> {
    let is_bare = |&feed: &usize| feed == 0 || content[feed - 1] != b'\r';
    let bare = memchr_iter(b'\n', &content).filter(is_bare).count();
    if bare == 0 {
        return content;
    }
    let mut converted = Vec::with_capacity(content.len() + bare);
    let mut start = 0;
    for feed in memchr_iter(b'\n', &content).filter(is_bare) {
        converted.extend_from_slice(&content[start..feed]);
        converted.push(b'\r');
        start = feed;
    }
    converted.extend_from_slice(&content[start..]);
    converted
}
