//! Go string literals, and which characters Go prints.
//! Rules: `strconv.Quote`, `strconv.Unquote`, `unicode.IsPrint`, `unicode.IsLetter`, `unicode.IsSpace`.

use std::ops::RangeInclusive;

use unicode_general_category::{GeneralCategory as G, get_general_category};

/// The first character and its length in bytes; a byte that is not UTF-8 counts as U+FFFD of length one.
pub fn decode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let chunk = bytes[..bytes.len().min(4)].utf8_chunks().next()?;
    Some(chunk.valid().chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}

/// The characters of a text with their lengths, as Go's `range` gives them.
fn characters(mut bytes: &[u8]) -> impl Iterator<Item = (char, &[u8])> {
    std::iter::from_fn(move || {
        let (c, length) = decode(bytes)?;
        let (raw, rest) = bytes.split_at(length);
        bytes = rest;
        Some((c, raw))
    })
}

/// The text with every byte that is not UTF-8 replaced by U+FFFD.
pub fn lossy(bytes: &[u8]) -> String {
    characters(bytes).map(|(c, _)| c).collect()
}

/// Letters, marks, numbers, punctuation, symbols and the plain space.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    !matches!(
        category(c),
        G::Control
            | G::Format
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
            | G::LineSeparator
            | G::ParagraphSeparator
            | G::SpaceSeparator
    )
}

/// Unicode's category L, as Go's `unicode.IsLetter`.
pub fn is_letter(c: char) -> bool {
    let letter = |category| {
        matches!(
            category,
            G::UppercaseLetter | G::LowercaseLetter | G::TitlecaseLetter | G::ModifierLetter | G::OtherLetter
        )
    };
    if c.is_ascii() { c.is_ascii_alphabetic() } else { letter(category(c)) }
}

fn category(c: char) -> G {
    let code = u32::from(c);
    let next = NEWER.partition_point(|range| *range.end() < code);
    if NEWER.get(next).is_some_and(|range| range.contains(&code)) { G::Unassigned } else { get_general_category(c) }
}

/// What Unicode 16 has and the Unicode 15.0 of Go's tables has not: the go command takes it for unassigned.
const NEWER: [RangeInclusive<u32>; 50] = [
    0x897..=0x897,
    0x1b4e..=0x1b4f,
    0x1b7f..=0x1b7f,
    0x1c89..=0x1c8a,
    0x2427..=0x2429,
    0x2ffc..=0x2fff,
    0x31e4..=0x31e5,
    0x31ef..=0x31ef,
    0xa7cb..=0xa7cd,
    0xa7da..=0xa7dc,
    0x105c0..=0x105f3,
    0x10d40..=0x10d65,
    0x10d69..=0x10d85,
    0x10d8e..=0x10d8f,
    0x10ec2..=0x10ec4,
    0x10efc..=0x10efc,
    0x11380..=0x11389,
    0x1138b..=0x1138b,
    0x1138e..=0x1138e,
    0x11390..=0x113b5,
    0x113b7..=0x113c0,
    0x113c2..=0x113c2,
    0x113c5..=0x113c5,
    0x113c7..=0x113ca,
    0x113cc..=0x113d5,
    0x113d7..=0x113d8,
    0x113e1..=0x113e2,
    0x116d0..=0x116e3,
    0x11bc0..=0x11be1,
    0x11bf0..=0x11bf9,
    0x11f5a..=0x11f5a,
    0x13460..=0x143fa,
    0x16100..=0x16139,
    0x16d40..=0x16d79,
    0x18cff..=0x18cff,
    0x1cc00..=0x1ccf9,
    0x1cd00..=0x1ceb3,
    0x1e5d0..=0x1e5fa,
    0x1e5ff..=0x1e5ff,
    0x1f8b2..=0x1f8bb,
    0x1f8c0..=0x1f8c1,
    0x1fa89..=0x1fa89,
    0x1fa8f..=0x1fa8f,
    0x1fabe..=0x1fabe,
    0x1fac6..=0x1fac6,
    0x1fadc..=0x1fadc,
    0x1fadf..=0x1fadf,
    0x1fae9..=0x1fae9,
    0x1fbcb..=0x1fbef,
    0x2ebf0..=0x2ee5d,
];

/// `bytes.TrimSpace`.
pub fn trim_space(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((c, length)) = decode(rest)
        && c.is_whitespace()
    {
        rest = &rest[length..];
    }
    while let Some(length) = trailing_space(rest) {
        rest = &rest[..rest.len() - length];
    }
    rest
}

/// The length of the white space character that ends the text; the longest has three bytes.
fn trailing_space(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len().min(3)).find(|length| {
        let tail = &bytes[bytes.len() - length..];
        decode(tail).is_some_and(|(c, whole)| whole == *length && c.is_whitespace())
    })
}

/// A double-quoted Go literal.
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for (c, raw) in characters(bytes) {
        match raw {
            [byte] if !byte.is_ascii() => text.push_str(&format!("\\x{byte:02x}")),
            _ => push_escaped(&mut text, c, '"'),
        }
    }
    text.push('"');
    text
}

/// A single-quoted Go literal.
pub fn quote_char(c: char) -> String {
    let mut text = String::from("'");
    push_escaped(&mut text, c, '\'');
    text.push('\'');
    text
}

fn push_escaped(text: &mut String, c: char, quote: char) {
    match c {
        '\\' => text.push_str("\\\\"),
        _ if c == quote => text.extend(['\\', c]),
        _ if is_print(c) => text.push(c),
        '\x07' => text.push_str("\\a"),
        '\x08' => text.push_str("\\b"),
        '\x0c' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\x0b' => text.push_str("\\v"),
        ..' ' | '\x7f' => text.push_str(&format!("\\x{:02x}", c as u32)),
        ..='\u{ffff}' => text.push_str(&format!("\\u{:04x}", c as u32)),
        _ => text.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

/// What a literal in double quotes or backquotes means; `None` where it is malformed.
pub fn unquote(literal: &[u8]) -> Option<Vec<u8>> {
    match literal {
        [b'`', inner @ .., b'`'] if !inner.contains(&b'`') => {
            Some(inner.iter().copied().filter(|byte| *byte != b'\r').collect())
        }
        [b'"', inner @ .., b'"'] => unescape(inner),
        _ => None,
    }
}

fn unescape(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(rest.len());
    while let Some((c, length)) = decode(rest) {
        match c {
            '"' | '\n' => return None,
            '\\' => rest = push_escape(&mut text, &rest[1..])?,
            _ => {
                push_char(&mut text, c);
                rest = &rest[length..];
            }
        }
    }
    Some(text)
}

/// Reads what stands after a backslash, returns what follows it.
fn push_escape<'a>(text: &mut Vec<u8>, rest: &'a [u8]) -> Option<&'a [u8]> {
    let (letter, rest) = rest.split_first()?;
    let byte = match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'"' => *letter,
        b'x' => {
            text.push(u8::try_from(number(rest, 2, 16)?).ok()?);
            return Some(&rest[2..]);
        }
        b'u' | b'U' => {
            let digits = if *letter == b'u' { 4 } else { 8 };
            push_char(text, char::from_u32(number(rest, digits, 16)?)?);
            return Some(&rest[digits..]);
        }
        b'0'..=b'7' => {
            let value = u32::from(letter - b'0') * 64 + number(rest, 2, 8)?;
            text.push(u8::try_from(value).ok()?);
            return Some(&rest[2..]);
        }
        _ => return None,
    };
    text.push(byte);
    Some(rest)
}

fn number(text: &[u8], digits: usize, radix: u32) -> Option<u32> {
    let fold = |value: u32, byte: &u8| Some(value.checked_mul(radix)? + char::from(*byte).to_digit(radix)?);
    text.get(..digits)?.iter().try_fold(0, fold)
}

fn push_char(text: &mut Vec<u8>, c: char) {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_as_go_does() {
        let table: [(&[u8], &str); 7] = [
            (b"plain", r#""plain""#),
            (b"tab\tand\\\"", r#""tab\tand\\\"""#),
            (b"\xff\x00\x7f", r#""\xff\x00\x7f""#),
            ("é\u{feff}\u{a0}".as_bytes(), r#""é\ufeff\u00a0""#),
            ("\u{e0001}".as_bytes(), r#""\U000e0001""#),
            ("\u{fffd}".as_bytes(), "\"\u{fffd}\""),
            (b"'`", r#""'`""#),
        ];
        for (bytes, literal) in table {
            assert_eq!(quote(bytes), literal);
        }
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('"'), "'\"'");
    }

    #[test]
    fn unquotes_as_go_does() {
        let table: [(&[u8], Option<&[u8]>); 16] = [
            (b"\"a\"", Some(b"a")),
            (b"`a\\n\rb`", Some(b"a\\nb")),
            (br#""\x41\101\u0041\U00000041""#, Some(b"AAAA")),
            (br#""\xff""#, Some(b"\xff")),
            (b"\"\xff\"", Some("\u{fffd}".as_bytes())),
            (br#""\'""#, None),
            (br#""\400""#, None),
            (br#""\ud800""#, None),
            (br#""\x4""#, None),
            (br#""a"b""#, None),
            (br#""a\""#, None),
            (b"`a`b`", None),
            (b"\"", None),
            (b"`", None),
            (b"'a'", None),
            (b"\"a\nb\"", None),
        ];
        for (literal, text) in table {
            assert_eq!(unquote(literal).as_deref(), text, "{}", quote(literal));
        }
    }

    #[test]
    fn trims_unicode_space() {
        assert_eq!(trim_space("\u{a0}\r\n a \u{2003}\u{85}".as_bytes()), b"a");
        assert_eq!(trim_space(b"\xa0a\xa0"), b"\xa0a\xa0");
        assert_eq!(trim_space(b" "), b"");
    }

    proptest! {
        #[test]
        fn unquotes_what_it_quoted(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unquote(quote(&bytes).as_bytes()), Some(bytes));
        }
    }
}
