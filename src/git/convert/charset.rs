//! The encodings of `working-tree-encoding`: from UTF-8 as glibc's iconv does it under git.
//! Must not know when a file is encoded; never guesses: what it cannot do exactly is an error.
//! Rules: gitattributes(5), git 2.39's utf8.c by experiment, and glibc 2.36 asked for every character.

use encoding_rs::{
    EUC_KR, Encoder, EncoderResult, Encoding, GB18030, GBK, IBM866, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5,
    ISO_8859_6, ISO_8859_7, ISO_8859_8, ISO_8859_10, ISO_8859_13, ISO_8859_14, ISO_8859_15, ISO_8859_16, KOI8_R,
    KOI8_U, MACINTOSH, SHIFT_JIS, WINDOWS_874, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254,
    WINDOWS_1256, WINDOWS_1257, X_MAC_CYRILLIC,
};

use super::legacy::Difference;
use crate::error::{Error, Result};

/// Every name that glibc knows, in its own spelling. A line is an encoding that we know too, the name in
/// `known` first; or it begins with `-` and has names of encodings that git can write and we cannot.
const NAMES: &str = include_str!("iconv.txt");

/// An encoding that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Utf16(Order, Mark),
    Utf32(Order, Mark),
    /// UTF-16 without pairs.
    Ucs2(Order, Mark),
    Ascii,
    /// An encoding of the WHATWG, and how glibc's differs from it.
    Legacy(&'static Encoding, Difference),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// Whether a byte order mark is written first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Written,
    Omitted,
}

impl Charset {
    /// The encoding of a name; `None` if contents stay as they are, be it UTF-8 or a name that nobody
    /// knows: `git archive` only complains of those.
    ///
    /// # Errors
    /// `Kind::Internal` for an encoding that git may know and we do not.
    pub fn named(name: &[u8]) -> Result<Option<Charset>> {
        let name = String::from_utf8_lossy(name);
        // git's own names, which it compares before it asks iconv.
        match utf(&name).as_deref() {
            Some("8") => return Ok(None),
            Some("16LE-BOM") => return Ok(Some(Charset(Kind::Utf16(Order::Little, Mark::Written)))),
            Some("16BE-BOM") => return Ok(Some(Charset(Kind::Utf16(Order::Big, Mark::Written)))),
            _ => {}
        }
        let spelled = spelled(if name.eq_ignore_ascii_case("latin-1") { "ISO-8859-1" } else { &name });
        let Some(line) = NAMES.lines().find(|line| line.split(' ').any(|known| known == spelled)) else {
            // A suffix such as //TRANSLIT changes what is done, and no name at all means the user's locale.
            let unclear = spelled.is_empty() || spelled.contains('/');
            return if unclear { Err(unsupported(&name)) } else { Ok(None) };
        };
        match line.split(' ').next() {
            Some("UTF-8") => Ok(None),
            first => Ok(Some(Charset(first.and_then(known).ok_or_else(|| unsupported(&name))?))),
        }
    }

    /// The text in this encoding; `None` if it is not UTF-8 or has a character that the encoding has not.
    pub fn encode(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        let mut bytes = Vec::with_capacity(text.len());
        match self.0 {
            Kind::Utf16(order, mark) => {
                order.marked(mark, |unit| bytes.extend(order.two(unit)));
                text.encode_utf16().for_each(|unit| bytes.extend(order.two(unit)));
            }
            Kind::Utf32(order, mark) => {
                order.marked(mark, |unit| bytes.extend(order.four(unit.into())));
                text.chars().for_each(|character| bytes.extend(order.four(character.into())));
            }
            Kind::Ucs2(order, mark) => {
                order.marked(mark, |unit| bytes.extend(order.two(unit)));
                for character in without_tags(text) {
                    bytes.extend(order.two(u16::try_from(u32::from(character)).ok()?));
                }
            }
            Kind::Ascii => {
                for character in without_tags(text) {
                    bytes.push(u8::try_from(character).ok().filter(u8::is_ascii)?);
                }
            }
            Kind::Legacy(base, difference) => {
                let mut encoder = base.new_encoder();
                for character in without_tags_unless(base == GB18030, text) {
                    legacy(&mut encoder, difference, character, &mut bytes)?;
                }
            }
        }
        Some(bytes)
    }
}

impl Order {
    /// Gives the byte order mark, where it is written.
    fn marked(self, mark: Mark, write: impl FnOnce(u16)) {
        if mark == Mark::Written {
            write(0xfeff);
        }
    }

    fn two(self, unit: u16) -> [u8; 2] {
        match self {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        }
    }

    fn four(self, unit: u32) -> [u8; 4] {
        match self {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        }
    }
}

/// The encoding that a line of the names begins with. Where glibc takes the machine's order, ours is that of
/// the machines that run it: little.
fn known(name: &str) -> Option<Kind> {
    use Difference::*;
    Some(match name {
        "UTF-16" => Kind::Utf16(Order::Little, Mark::Written),
        "UTF-16LE" => Kind::Utf16(Order::Little, Mark::Omitted),
        "UTF-16BE" => Kind::Utf16(Order::Big, Mark::Omitted),
        "UTF-32" => Kind::Utf32(Order::Little, Mark::Written),
        "UTF-32LE" => Kind::Utf32(Order::Little, Mark::Omitted),
        "UTF-32BE" => Kind::Utf32(Order::Big, Mark::Omitted),
        "UNICODE" => Kind::Ucs2(Order::Little, Mark::Written),
        "UCS-2" => Kind::Ucs2(Order::Little, Mark::Omitted),
        "UCS-2BE" => Kind::Ucs2(Order::Big, Mark::Omitted),
        "ASCII" => Kind::Ascii,
        "ISO-8859-1" => Kind::Legacy(WINDOWS_1252, OwnControls),
        "ISO-8859-2" => Kind::Legacy(ISO_8859_2, Nothing),
        "ISO-8859-3" => Kind::Legacy(ISO_8859_3, Nothing),
        "ISO-8859-4" => Kind::Legacy(ISO_8859_4, Nothing),
        "ISO-8859-5" => Kind::Legacy(ISO_8859_5, Nothing),
        "ISO-8859-6" => Kind::Legacy(ISO_8859_6, Nothing),
        "ISO-8859-7" => Kind::Legacy(ISO_8859_7, Nothing),
        "ISO-8859-8" => Kind::Legacy(ISO_8859_8, Nothing),
        "ISO-8859-9" => Kind::Legacy(WINDOWS_1254, OwnControls),
        "ISO-8859-10" => Kind::Legacy(ISO_8859_10, Nothing),
        "ISO-8859-11" => Kind::Legacy(WINDOWS_874, OwnControls),
        "ISO-8859-13" => Kind::Legacy(ISO_8859_13, Nothing),
        "ISO-8859-14" => Kind::Legacy(ISO_8859_14, Nothing),
        "ISO-8859-15" => Kind::Legacy(ISO_8859_15, Nothing),
        "ISO-8859-16" => Kind::Legacy(ISO_8859_16, Nothing),
        "TIS-620" => Kind::Legacy(WINDOWS_874, Tis620),
        "KOI8-R" => Kind::Legacy(KOI8_R, Nothing),
        "KOI8-U" => Kind::Legacy(KOI8_U, Koi8U),
        "CP866" => Kind::Legacy(IBM866, Nothing),
        "CP874" => Kind::Legacy(WINDOWS_874, NoControls),
        "CP1250" => Kind::Legacy(WINDOWS_1250, NoControls),
        "CP1251" => Kind::Legacy(WINDOWS_1251, NoControls),
        "CP1252" => Kind::Legacy(WINDOWS_1252, NoControls),
        "CP1253" => Kind::Legacy(WINDOWS_1253, NoControls),
        "CP1254" => Kind::Legacy(WINDOWS_1254, NoControls),
        "CP1256" => Kind::Legacy(WINDOWS_1256, Nothing),
        "CP1257" => Kind::Legacy(WINDOWS_1257, NoControls),
        "MACINTOSH" => Kind::Legacy(MACINTOSH, Macintosh),
        "MAC-CYRILLIC" => Kind::Legacy(X_MAC_CYRILLIC, MacCyrillic),
        "SHIFT_JIS" => Kind::Legacy(SHIFT_JIS, ShiftJis),
        "CP932" => Kind::Legacy(SHIFT_JIS, Cp932),
        "EUC-KR" => Kind::Legacy(EUC_KR, EucKr),
        "CP949" => Kind::Legacy(EUC_KR, Nothing),
        "GB2312" => Kind::Legacy(GBK, Gb2312),
        "GBK" => Kind::Legacy(GBK, Gbk),
        "GB18030" => Kind::Legacy(GB18030, Gb18030),
        _ => return None,
    })
}

/// Writes a character; `None` if the encoding does not have it.
fn legacy(encoder: &mut Encoder, difference: Difference, character: char, bytes: &mut Vec<u8>) -> Option<()> {
    if let Some(own) = difference.own(character) {
        let leading = usize::from(own < 0x100);
        bytes.extend(&own.to_be_bytes()[leading..]);
        return Some(());
    }
    let mut buffer = [0; 16];
    let mut utf8 = [0; 4];
    let text = &*character.encode_utf8(&mut utf8);
    let (result, _, length) = encoder.encode_from_utf8_without_replacement(text, &mut buffer, false);
    let shared = result == EncoderResult::InputEmpty && difference.shares(character, &buffer[..length]);
    shared.then(|| bytes.extend(&buffer[..length]))
}

/// The characters of a text but the tags: glibc drops those wherever they cannot be written.
fn without_tags(text: &str) -> impl Iterator<Item = char> {
    without_tags_unless(false, text)
}

fn without_tags_unless(written: bool, text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(move |character| written || !matches!(character, '\u{e0000}'..='\u{e007f}'))
}

/// What stands after `UTF` or `UTF-`, in upper case.
fn utf(name: &str) -> Option<String> {
    let (utf, rest) = name.split_at_checked(3)?;
    utf.eq_ignore_ascii_case("utf").then(|| rest.strip_prefix('-').unwrap_or(rest).to_ascii_uppercase())
}

/// A name as glibc spells it before it looks it up: nothing but certain characters, in upper case, and no
/// separators at the end.
fn spelled(name: &str) -> String {
    let name = name.trim_end_matches(['/', ',', '\x0b', '\x0c']);
    let kept =
        |character: &char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | ',' | ':' | '/');
    name.chars().filter(kept).map(|character| character.to_ascii_uppercase()).collect()
}

fn unsupported(name: &str) -> Error {
    Error::internal(format!("working-tree-encoding {name:?} is not supported"))
        .remedy("let this module be served by a proxy that runs the go command")
}
