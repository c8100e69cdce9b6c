//! The lines and blocks of a go.mod file, with the comments that belong to each.
//! Rules: `input.parseFile` and `input.assignComments` in golang.org/x/mod/modfile.

use std::ops::Range;

use super::lex::{Kind, Lexer, Position, SyntaxError, Token};

/// Where a comment lies, without its line end; empty for a blank line that stands between comments.
pub(super) type Comment = Range<usize>;

/// A line of tokens.
#[derive(Debug)]
pub(super) struct Line {
    pub start: Position,
    pub end: Position,
    pub tokens: Vec<Range<usize>>,
    pub comments: Comments,
}

/// Lines in parentheses.
#[derive(Debug)]
pub(super) struct Block {
    pub start: Position,
    pub open: Position,
    pub close: Position,
    /// What stands before the parenthesis.
    pub tokens: Vec<Range<usize>>,
    pub lines: Vec<Line>,
    /// The comments before it; those behind its parentheses belong to nothing of interest.
    pub before: Vec<Comment>,
}

/// The comments before and after something.
#[derive(Debug, Default)]
pub(super) struct Comments {
    pub before: Vec<Comment>,
    pub suffix: Vec<Comment>,
}

#[derive(Debug)]
pub(super) enum Statement {
    Line(Line),
    Block(Block),
    /// Comments that belong to no statement, known by where they begin.
    Comments(usize),
}

pub(super) fn parse(data: &[u8]) -> Result<Vec<Statement>, SyntaxError> {
    let mut parser = Parser { data, lexer: Lexer::new(data)? };
    let mut statements = Vec::new();
    let mut before: Vec<Comment> = Vec::new();
    loop {
        match parser.lexer.peek() {
            Kind::End => break,
            Kind::Newline => {
                parser.lexer.take()?;
                statements.extend(before.first().map(|comment| Statement::Comments(comment.start)));
                before.clear();
            }
            Kind::Comment => before.push(parser.comment()?),
            _ => statements.push(parser.statement(std::mem::take(&mut before))?),
        }
    }
    let suffixes = parser.lexer.into_suffixes();
    assign(&mut statements, suffixes.iter().map(|token| (token.start.offset, text(data, token))).collect());
    Ok(statements)
}

/// A comment without its line end.
fn text(data: &[u8], token: &Token) -> Comment {
    let mut range = token.range();
    if data[range.clone()].ends_with(b"\n") {
        range.end -= 1;
        if data[range.clone()].ends_with(b"\r") {
            range.end -= 1;
        }
    }
    range
}

struct Parser<'a> {
    data: &'a [u8],
    lexer: Lexer<'a>,
}

impl Parser<'_> {
    fn comment(&mut self) -> Result<Comment, SyntaxError> {
        Ok(text(self.data, &self.lexer.take()?))
    }

    fn statement(&mut self, before: Vec<Comment>) -> Result<Statement, SyntaxError> {
        let first = self.lexer.take()?;
        let start = first.start;
        let mut end = first.end;
        let mut tokens = vec![first.range()];
        loop {
            let token = self.lexer.take()?;
            match token.kind {
                kind if kind.ends_line() => {
                    let comments = Comments { before, suffix: Vec::new() };
                    return Ok(Statement::Line(Line { start, end, tokens, comments }));
                }
                Kind::Mark(b'(') if self.lexer.peek().ends_line() => {
                    let lines = Vec::new();
                    let block = Block { start, open: token.start, close: token.start, tokens, lines, before };
                    return Ok(Statement::Block(self.block(block)?));
                }
                Kind::Mark(b'(') if self.lexer.peek() == Kind::Mark(b')') => {
                    let close = self.lexer.take()?;
                    if self.lexer.peek().ends_line() {
                        self.lexer.take()?;
                        let (open, close) = (token.start, close.start);
                        return Ok(Statement::Block(Block { start, open, close, tokens, lines: Vec::new(), before }));
                    }
                    tokens.extend([token.range(), close.range()]);
                }
                Kind::Mark(b'(') => tokens.push(token.range()),
                _ => {
                    tokens.push(token.range());
                    end = token.end;
                }
            }
        }
    }

    /// Reads the lines of a block up to its closing parenthesis.
    fn block(&mut self, mut block: Block) -> Result<Block, SyntaxError> {
        let mut before: Vec<Comment> = Vec::new();
        loop {
            match self.lexer.peek() {
                Kind::Suffix => {
                    self.lexer.take()?;
                }
                Kind::Newline => {
                    self.lexer.take()?;
                    if before.last().map_or(!block.lines.is_empty(), |comment| !comment.is_empty()) {
                        before.push(0..0);
                    }
                }
                Kind::Comment => before.push(self.comment()?),
                Kind::End => {
                    let start = format!("{}:{}:{}", super::NAME, block.start.line, block.start.column);
                    return Err(self.lexer.error(format!("syntax error (unterminated block started at {start})")));
                }
                Kind::Mark(b')') => {
                    block.close = self.lexer.take()?.start;
                    if !self.lexer.peek().ends_line() {
                        return Err(self.lexer.error("syntax error (expected newline after closing paren)"));
                    }
                    self.lexer.take()?;
                    return Ok(block);
                }
                _ => {
                    let mut line = self.line()?;
                    line.comments.before = std::mem::take(&mut before);
                    block.lines.push(line);
                }
            }
        }
    }

    fn line(&mut self) -> Result<Line, SyntaxError> {
        let first = self.lexer.take()?;
        let mut line =
            Line { start: first.start, end: first.end, tokens: vec![first.range()], comments: Comments::default() };
        loop {
            let token = self.lexer.take()?;
            if token.kind.ends_line() {
                return Ok(line);
            }
            line.tokens.push(token.range());
            line.end = token.end;
        }
    }
}

/// Something that a comment can stand behind.
struct Place<'a> {
    end: usize,
    suffix: Option<&'a mut Vec<Comment>>,
}

/// Gives each comment to the last thing that ends before it, if that thing is all on one line.
fn assign(statements: &mut [Statement], suffixes: Vec<(usize, Comment)>) {
    let mut places = Vec::new();
    for statement in statements.iter_mut() {
        match statement {
            Statement::Line(line) => places.extend(line.place()),
            Statement::Block(block) => block.places(&mut places),
            Statement::Comments(start) => places.push(Place { end: *start, suffix: None }),
        }
    }
    let mut places = places.into_iter().rev().peekable();
    for (offset, comment) in suffixes.into_iter().rev() {
        while places.peek().is_some_and(|place| place.end > offset) {
            places.next();
        }
        if let Some(Place { suffix: Some(suffix), .. }) = places.peek_mut() {
            suffix.insert(0, comment);
        }
    }
}

impl Line {
    fn place(&mut self) -> Option<Place<'_>> {
        let whole = self.start.line == self.end.line;
        whole.then_some(Place { end: self.end.offset, suffix: Some(&mut self.comments.suffix) })
    }
}

impl Block {
    fn places<'a>(&'a mut self, places: &mut Vec<Place<'a>>) {
        places.push(Place { end: self.open.offset + 1, suffix: None });
        places.extend(self.lines.iter_mut().filter_map(Line::place));
        places.push(Place { end: self.close.offset + 1, suffix: None });
    }
}
