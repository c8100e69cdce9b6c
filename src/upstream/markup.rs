//! The tokens of a page, read as forgivingly as the go command reads it.
//! Rules: `encoding/xml` of Go with `Strict` off: its `RawToken`, its errors and its line numbers.

use super::xml_names::is_name;

/// What a go-import search needs to know of a page's structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Start {
        name: String,
        attributes: Vec<Attribute>,
    },
    End {
        name: String,
    },
    /// Text, comments, directives, processing instructions.
    Other,
}

/// Names are without their namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub name: String,
    pub value: String,
}

/// Reads one token after the other.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    page: &'a [u8],
    at: usize,
    line: usize,
    /// The end that a self-closed element still owes.
    closing: Option<String>,
    /// Nothing more can be read: a defect, or the end (`None`) that was met between two tokens.
    ended: Option<Option<String>>,
}

/// Why a step could not be done; the reason is in `Tokens::ended`.
#[derive(Debug)]
struct Stop;

type Step<T> = Result<T, Stop>;

impl<'a> Tokens<'a> {
    pub(super) fn new(page: &'a [u8]) -> Tokens<'a> {
        Tokens { page, at: 0, line: 1, closing: None, ended: None }
    }

    /// The next token; `None` at the end; an error where nothing further can be read.
    pub(super) fn next(&mut self) -> Result<Option<Token>, String> {
        if let Some(name) = self.closing.take() {
            return Ok(Some(Token::End { name }));
        }
        match self.token() {
            Ok(token) => Ok(Some(token)),
            Err(Stop) => match self.ended.clone().flatten() {
                Some(defect) => Err(defect),
                None => Ok(None),
            },
        }
    }

    fn token(&mut self) -> Step<Token> {
        let Some(first) = self.byte() else { return Err(Stop) };
        if first != b'<' {
            self.back();
            self.text(None, false)?;
            return Ok(Token::Other);
        }
        match self.must()? {
            b'/' => self.end(),
            b'?' => self.instruction(),
            b'!' => self.declaration(),
            _ => {
                self.back();
                self.start()
            }
        }
    }

    fn end(&mut self) -> Step<Token> {
        let name = self.local_name("expected element name after </")?;
        self.spaces();
        match self.must()? {
            b'>' => Ok(Token::End { name }),
            _ => self.defect(&format!("invalid characters between </{name} and >")),
        }
    }

    fn start(&mut self) -> Step<Token> {
        let name = self.local_name("expected element name after <")?;
        let mut attributes = Vec::new();
        loop {
            self.spaces();
            match self.must()? {
                b'/' => {
                    if self.must()? != b'>' {
                        return self.defect("expected /> in element");
                    }
                    self.closing = Some(name.clone());
                    break;
                }
                b'>' => break,
                _ => self.back(),
            }
            attributes.push(self.attribute()?);
        }
        Ok(Token::Start { name, attributes })
    }

    fn attribute(&mut self) -> Step<Attribute> {
        let name = self.local_name("expected attribute name in element")?;
        self.spaces();
        if self.must()? != b'=' {
            self.back();
            return Ok(Attribute { value: name.clone(), name });
        }
        self.spaces();
        let value = match self.must()? {
            quote @ (b'"' | b'\'') => self.text(Some(quote), false)?,
            _ => {
                self.back();
                self.unquoted()?
            }
        };
        Ok(Attribute { name, value })
    }

    /// A value without quotes: letters, digits and `_:-`, as HTML 4 allowed.
    fn unquoted(&mut self) -> Step<String> {
        let mut value = String::new();
        loop {
            let byte = self.must()?;
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b':' | b'-') {
                self.back();
                return Ok(value);
            }
            value.push(char::from(byte));
        }
    }

    fn instruction(&mut self) -> Step<Token> {
        let target = self.name("expected target name after <?")?;
        self.spaces();
        let start = self.at;
        let mut before = 0;
        loop {
            let byte = self.must()?;
            if before == b'?' && byte == b'>' {
                break;
            }
            before = byte;
        }
        if target == "xml" {
            let content = String::from_utf8_lossy(&self.page[start..self.at - 2]).into_owned();
            self.xml_declaration(&content)?;
        }
        Ok(Token::Other)
    }

    fn xml_declaration(&mut self, content: &str) -> Step<()> {
        match parameter(content, "version") {
            Some(version) if !version.is_empty() && version != "1.0" => {
                return self.stop(format!("xml: unsupported version {version:?}; only version 1.0 is supported"));
            }
            _ => {}
        }
        match parameter(content, "encoding") {
            Some(charset) if !matches!(charset.to_lowercase().as_str(), "" | "utf-8" | "ascii") => {
                let why = format!("can't decode XML document using charset {charset:?}");
                self.stop(format!("xml: opening charset {charset:?}: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// What begins with `<!`: a comment, CDATA, or a directive such as a document type.
    fn declaration(&mut self) -> Step<Token> {
        match self.must()? {
            b'-' => {
                if self.must()? != b'-' {
                    return self.defect("invalid sequence <!- not part of <!--");
                }
                self.comment()?;
            }
            b'[' => {
                for expected in b"CDATA[" {
                    if self.must()? != *expected {
                        return self.defect("invalid <![ sequence");
                    }
                }
                self.text(None, true)?;
            }
            _ => self.directive()?,
        }
        Ok(Token::Other)
    }

    fn comment(&mut self) -> Step<()> {
        let mut before = [0; 2];
        loop {
            let byte = self.must()?;
            if before == *b"--" {
                return match byte {
                    b'>' => Ok(()),
                    _ => self.defect("invalid sequence \"--\" not allowed in comments"),
                };
            }
            before = [before[1], byte];
        }
    }

    /// Angle brackets nest, but not within quotes; a comment inside is skipped.
    fn directive(&mut self) -> Step<()> {
        let mut quote = None;
        let mut depth = 0;
        loop {
            let mut byte = self.must()?;
            if quote.is_none() && byte == b'>' && depth == 0 {
                return Ok(());
            }
            // A `<` that turns out to begin no comment leaves a byte to be looked at in its turn.
            while let Some(left) = self.in_directive(byte, &mut quote, &mut depth)? {
                byte = left;
            }
        }
    }

    fn in_directive(&mut self, byte: u8, quote: &mut Option<u8>, depth: &mut i64) -> Step<Option<u8>> {
        match (byte, *quote) {
            (_, Some(open)) if byte == open => *quote = None,
            (_, Some(_)) => {}
            (b'\'' | b'"', None) => *quote = Some(byte),
            (b'>', None) => *depth -= 1,
            (b'<', None) => {
                for expected in b"!--" {
                    let byte = self.must()?;
                    if byte != *expected {
                        *depth += 1;
                        return Ok(Some(byte));
                    }
                }
                self.directive_comment()?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn directive_comment(&mut self) -> Step<()> {
        let mut before = [0; 2];
        loop {
            let byte = self.must()?;
            if before == *b"--" && byte == b'>' {
                return Ok(());
            }
            before = [before[1], byte];
        }
    }

    /// Text up to its quote, up to `<` without one, up to `]]>` in CDATA; entities resolved, line ends made one.
    fn text(&mut self, quote: Option<u8>, cdata: bool) -> Step<String> {
        let mut text = Vec::new();
        let mut before = [0; 2];
        loop {
            let Some(byte) = self.byte() else {
                if cdata {
                    return self.defect("unexpected EOF in CDATA section");
                }
                break;
            };
            if quote.is_none() && before == *b"]]" && byte == b'>' {
                if !cdata {
                    return self.defect("unescaped ]]> not in CDATA section");
                }
                text.truncate(text.len() - 2);
                break;
            }
            match byte {
                b'<' if !cdata => {
                    if quote.is_some() {
                        return self.defect("unescaped < inside quoted string");
                    }
                    self.back();
                    break;
                }
                _ if quote == Some(byte) => break,
                b'&' if !cdata => {
                    self.entity(&mut text)?;
                    before = [0; 2];
                    continue;
                }
                b'\r' => text.push(b'\n'),
                // Its `\r` is a line end already.
                b'\n' if before[1] == b'\r' => {}
                _ => text.push(byte),
            }
            before = [before[1], byte];
        }
        self.checked(text)
    }

    fn checked(&mut self, text: Vec<u8>) -> Step<String> {
        // What comes before the first defect decides which one is told.
        let (valid, broken) = match std::str::from_utf8(&text) {
            Ok(valid) => (valid, false),
            Err(e) => (std::str::from_utf8(&text[..e.valid_up_to()]).expect("valid up to here"), true),
        };
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        if let Some(c) = valid.chars().find(|c| !allowed(*c)) {
            return self.defect(&format!("illegal character code U+{:04X}", u32::from(c)));
        }
        if broken {
            return self.defect("invalid UTF-8");
        }
        Ok(valid.to_owned())
    }

    /// What `&` begins; an entity that is none stays as it was written.
    fn entity(&mut self, text: &mut Vec<u8>) -> Step<()> {
        let start = self.at;
        let found = match self.must()? {
            b'#' => self.numeric_entity()?,
            _ => {
                self.back();
                self.named_entity()?
            }
        };
        match found {
            Some(c) => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                text.push(b'&');
                text.extend_from_slice(&self.page[start..self.at]);
            }
        }
        Ok(())
    }

    fn numeric_entity(&mut self) -> Step<Option<char>> {
        let mut byte = self.must()?;
        let base = if byte == b'x' { 16 } else { 10 };
        if base == 16 {
            byte = self.must()?;
        }
        let start = self.at - 1;
        while char::from(byte).is_digit(base) {
            byte = self.must()?;
        }
        if byte != b';' {
            self.back();
            return Ok(None);
        }
        let digits = String::from_utf8_lossy(&self.page[start..self.at - 1]);
        let number = u64::from_str_radix(&digits, base).ok().filter(|n| *n <= u64::from(u32::from(char::MAX)));
        // A surrogate is no character: Go writes the replacement character for it.
        Ok(number.and_then(|n| u32::try_from(n).ok()).map(|n| char::from_u32(n).unwrap_or('\u{fffd}')))
    }

    fn named_entity(&mut self) -> Step<Option<char>> {
        let start = self.at;
        self.read_name()?;
        if self.must()? != b';' {
            self.back();
            return Ok(None);
        }
        Ok(match &self.page[start..self.at - 1] {
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"amp" => Some('&'),
            b"apos" => Some('\''),
            b"quot" => Some('"'),
            _ => None,
        })
    }

    /// A name without its namespace: `b` of `a:b`.
    fn local_name(&mut self, missing: &str) -> Step<String> {
        let name = self.name(missing)?;
        match name.split_once(':') {
            Some((_, local)) if local.contains(':') => self.defect(missing),
            Some((space, local)) if !space.is_empty() && !local.is_empty() => Ok(local.to_owned()),
            _ => Ok(name),
        }
    }

    fn name(&mut self, missing: &str) -> Step<String> {
        let start = self.at;
        if !self.read_name()? {
            return self.defect(missing);
        }
        let bytes = &self.page[start..self.at];
        match std::str::from_utf8(bytes) {
            Ok(name) if is_name(name) => Ok(name.to_owned()),
            _ => self.defect(&format!("invalid XML name: {}", String::from_utf8_lossy(bytes))),
        }
    }

    /// Goes over what a name may be made of; `false` if there is nothing of it.
    fn read_name(&mut self) -> Step<bool> {
        let start = self.at;
        loop {
            let byte = self.must()?;
            if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b':' | b'.' | b'-') {
                self.back();
                return Ok(self.at > start);
            }
        }
    }

    fn spaces(&mut self) {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\r' | b'\n' | b'\t') {
                return self.back();
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.ended.is_some() {
            return None;
        }
        let Some(byte) = self.page.get(self.at).copied() else {
            self.ended = Some(None);
            return None;
        };
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// A byte, where the page may not end.
    fn must(&mut self) -> Step<u8> {
        match self.byte() {
            Some(byte) => Ok(byte),
            None if self.ended == Some(None) => self.defect("unexpected EOF"),
            None => Err(Stop),
        }
    }

    /// Takes the last byte back.
    fn back(&mut self) {
        self.at -= 1;
        self.line -= usize::from(self.page[self.at] == b'\n');
    }

    fn defect<T>(&mut self, what: &str) -> Step<T> {
        self.stop(format!("XML syntax error on line {}: {what}", self.line))
    }

    fn stop<T>(&mut self, defect: String) -> Step<T> {
        self.ended = Some(Some(defect));
        Err(Stop)
    }
}

/// The value of `name="…"` or `name='…'` in an XML declaration.
fn parameter<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    let key = format!("{name}=");
    let mut rest = content;
    loop {
        let after = &rest[rest.find(&key)? + key.len()..];
        let quote = after.chars().next()?;
        let value = &after[quote.len_utf8()..];
        if matches!(quote, '\'' | '"') {
            return value.split_once(quote).map(|(value, _)| value);
        }
        rest = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panics_and_comes_to_an_end(page in proptest::collection::vec(
            prop_oneof!["[<>!?/='\"&;#xa-]{0,3}", "[ \r\n\u{e9}\u{0}:\\]\\[]{0,2}", "<meta |<!--|-->|<!\\[CDATA\\[|\\]\\]>|&lt;"], 0..40)
        ) {
            let page = page.concat();
            let mut tokens = Tokens::new(page.as_bytes());
            let mut count = 0;
            while let Ok(Some(_)) = tokens.next() {
                count += 1;
                prop_assert!(count <= 2 * page.len());
            }
        }
    }
}
