//! The tokens of a go.mod file. One token is read ahead, so that the first error is the go command's.
//! Rules: `input.readToken` in golang.org/x/mod/modfile.

use std::fmt;
use std::ops::Range;

use crate::spec::literal::{decode, is_print, quote_char, trim_space};

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
    /// In bytes, from zero.
    pub offset: usize,
}

/// Why a go.mod cannot be read: the first thing that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
    pub what: String,
}

impl fmt::Display for SyntaxError {
    /// As the go command: the column only where it says something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            1 => write!(f, "{}:{}: {}", super::NAME, self.line, self.what),
            column => write!(f, "{}:{}:{column}: {}", super::NAME, self.line, self.what),
        }
    }
}

impl std::error::Error for SyntaxError {}

impl Position {
    pub(super) fn error(self, what: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, what: what.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Newline,
    /// A comment that has its line for itself.
    Comment,
    /// A comment after something else; it ends the line.
    Suffix,
    Mark(u8),
    Word,
    Literal,
}

impl Kind {
    pub(super) fn ends_line(self) -> bool {
        matches!(self, Kind::End | Kind::Newline | Kind::Suffix)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: Position,
    pub end: Position,
}

impl Token {
    pub(super) fn range(&self) -> Range<usize> {
        self.start.offset..self.end.offset
    }
}

pub(super) struct Lexer<'a> {
    data: &'a [u8],
    position: Position,
    next: Token,
    suffixes: Vec<Token>,
}

const BLOCK_COMMENT: &str = "mod files must use // comments (not /* */ comments)";

impl<'a> Lexer<'a> {
    pub(super) fn new(data: &'a [u8]) -> Result<Lexer<'a>, SyntaxError> {
        let position = Position { line: 1, column: 1, offset: 0 };
        let next = Token { kind: Kind::End, start: position, end: position };
        let mut lexer = Lexer { data, position, next, suffixes: Vec::new() };
        lexer.read()?;
        Ok(lexer)
    }

    pub(super) fn peek(&self) -> Kind {
        self.next.kind
    }

    pub(super) fn take(&mut self) -> Result<Token, SyntaxError> {
        let token = self.next;
        self.read()?;
        Ok(token)
    }

    /// An error where reading has come to, which is after the token read ahead.
    pub(super) fn error(&self, what: impl Into<String>) -> SyntaxError {
        self.position.error(what)
    }

    /// The comments after something, in their order.
    pub(super) fn into_suffixes(self) -> Vec<Token> {
        self.suffixes
    }

    fn rest(&self) -> &'a [u8] {
        &self.data[self.position.offset..]
    }

    fn char(&self) -> Option<char> {
        decode(self.rest()).map(|(c, _)| c)
    }

    fn advance(&mut self) {
        let Some((c, length)) = decode(self.rest()) else { return };
        self.position.offset += length;
        self.position.column += 1;
        if c == '\n' {
            self.position.line += 1;
            self.position.column = 1;
        }
    }

    fn read(&mut self) -> Result<(), SyntaxError> {
        while matches!(self.char(), Some(' ' | '\t' | '\r')) {
            self.advance();
        }
        let start = self.position;
        let kind = self.scan(start)?;
        self.next = Token { kind, start, end: self.position };
        if kind == Kind::Suffix {
            self.suffixes.push(self.next);
        }
        Ok(())
    }

    fn scan(&mut self, start: Position) -> Result<Kind, SyntaxError> {
        if self.rest().starts_with(b"//") {
            return Ok(self.comment());
        }
        if self.rest().starts_with(b"/*") {
            return Err(self.error(BLOCK_COMMENT));
        }
        match self.char() {
            None => Ok(Kind::End),
            Some('\n') => {
                self.advance();
                Ok(Kind::Newline)
            }
            Some(c @ ('(' | ')' | '[' | ']' | '{' | '}' | ',')) => {
                self.advance();
                Ok(Kind::Mark(c as u8))
            }
            Some(quote @ ('"' | '`')) => self.literal(start, quote),
            Some(c) if !is_word(c) => Err(self.error(format!("unexpected input character {}", quote_char(c)))),
            Some(_) => self.word(),
        }
    }

    fn comment(&mut self) -> Kind {
        let before = &self.data[..self.position.offset];
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let alone = trim_space(&before[line..]).is_empty();
        while let Some(c) = self.char() {
            self.advance();
            if c == '\n' {
                break;
            }
        }
        if alone { Kind::Comment } else { Kind::Suffix }
    }

    /// Finds the end of a literal; what it means, or whether it means anything, is seen later.
    fn literal(&mut self, start: Position, quote: char) -> Result<Kind, SyntaxError> {
        let unterminated = || start.error("unexpected EOF in string");
        self.advance();
        loop {
            let c = self.char().ok_or_else(unterminated)?;
            if c == '\n' {
                return Err(self.error("unexpected newline in string"));
            }
            self.advance();
            if c == quote {
                return Ok(Kind::Literal);
            }
            if c == '\\' && quote == '"' {
                self.char().ok_or_else(unterminated)?;
                self.advance();
            }
        }
    }

    fn word(&mut self) -> Result<Kind, SyntaxError> {
        while self.char().is_some_and(is_word) && !self.rest().starts_with(b"//") {
            if self.rest().starts_with(b"/*") {
                return Err(self.error(BLOCK_COMMENT));
            }
            self.advance();
        }
        Ok(Kind::Word)
    }
}

fn is_word(c: char) -> bool {
    !matches!(c, ' ' | '(' | ')' | '[' | ']' | '{' | '}' | ',') && is_print(c)
}
