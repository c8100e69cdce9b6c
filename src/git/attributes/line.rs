//! The lines of a `.gitattributes` file, as git reads them from an index.
//! Must not know what an attribute does, nor where the file lies.
//! Rules: gitattributes(5), and git 2.39's attr.c and quote.c by experiment.

use std::borrow::Cow;

/// A longer line is ignored, in bytes.
const LINE_LIMIT: usize = 2048;
const MACRO: &[u8] = b"[attr]";

/// What a line says: whom it means and what they get.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub subject: Subject<'a>,
    /// In the order of the line; the last one of a name counts.
    pub changes: Vec<(&'a [u8], State)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    Pattern(Cow<'a, [u8]>),
    Macro(Vec<u8>),
}

/// What an attribute is for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    True,
    False,
    /// Said to be unspecified, which hides what files above say.
    Unset,
    Value(Box<[u8]>),
}

/// Whether a file may define macros: only the one in the root may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macros {
    Allowed,
    Ignored,
}

/// The lines of a file that say something. git reads no further than the first NUL and, from an index,
/// takes a byte order mark for a part of the first pattern.
pub(super) fn lines(file: &[u8], macros: Macros) -> impl Iterator<Item = Line<'_>> {
    let text = file.split(|&byte| byte == 0).next().unwrap_or_default();
    text.split(|&byte| byte == b'\n').filter_map(move |line| parse(line, macros))
}

fn parse(line: &[u8], macros: Macros) -> Option<Line<'_>> {
    let text = skip_blanks(line);
    if text.is_empty() || text[0] == b'#' || line.len() >= LINE_LIMIT {
        return None;
    }
    let (name, rest) = match unquote(text) {
        Some((name, rest)) => (Cow::Owned(name), rest),
        None => {
            let (name, rest) = split_blank(text);
            (Cow::Borrowed(name), rest)
        }
    };
    let subject = match name.strip_prefix(MACRO) {
        Some(defined) if !defined.is_empty() => {
            let defined = split_blank(skip_blanks(defined)).0;
            if macros == Macros::Ignored || !is_attribute(defined) {
                return None;
            }
            Subject::Macro(defined.to_vec())
        }
        _ => Subject::Pattern(name),
    };
    Some(Line { subject, changes: changes(rest)? })
}

/// The changes of a line; one that is malformed spoils the whole line.
fn changes(mut rest: &[u8]) -> Option<Vec<(&[u8], State)>> {
    let mut changes = Vec::new();
    rest = skip_blanks(rest);
    while !rest.is_empty() {
        let (word, after) = split_blank(rest);
        let equals = word.iter().position(|&byte| byte == b'=');
        let name = &word[..equals.unwrap_or(word.len())];
        let (name, state) = match (name.first(), equals) {
            (Some(b'-'), _) => (&name[1..], State::False),
            (Some(b'!'), _) => (&name[1..], State::Unset),
            (_, Some(equals)) => (name, State::Value(word[equals + 1..].into())),
            (_, None) => (name, State::True),
        };
        if !is_attribute(name) {
            return None;
        }
        changes.push((name, state));
        rest = skip_blanks(after);
    }
    Some(changes)
}

fn is_attribute(name: &[u8]) -> bool {
    !name.is_empty()
        && name[0] != b'-'
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    &text[blanks..]
}

fn split_blank(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(is_blank).unwrap_or(text.len()))
}

/// Reads a text in double quotes with the escapes of C; `None` if it is no such text, which git then
/// takes as it stands, quotes included.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut plain = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((plain, rest)),
            b'\\' => {
                let (byte, after) = unescape(rest)?;
                plain.push(byte);
                rest = after;
            }
            byte => plain.push(byte),
        }
    }
}

/// Reads what follows a backslash.
fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&byte, rest) = text.split_first()?;
    let byte = match byte {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => byte,
        b'0'..=b'3' => {
            let digit = |at: usize| rest.get(at).filter(|byte| matches!(byte, b'0'..=b'7')).map(|byte| byte - b'0');
            let value = (byte - b'0') << 6 | digit(0)? << 3 | digit(1)?;
            return Some((value, &rest[2..]));
        }
        _ => return None,
    };
    Some((byte, rest))
}
