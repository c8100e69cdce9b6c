//! Go string literals, and which characters Go prints.
//! Rules: `strconv.Quote`, `strconv.Unquote`, `unicode.IsPrint`, `unicode.IsSpace`.

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
        get_general_category(c),
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
