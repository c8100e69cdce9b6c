//! Edits that keep every other byte: comments, order, blocks, blank lines, line ends.

use std::ops::Range;

use super::syntax::{Block, Statement, parse};
use super::{Span, SyntaxError, auto_quote};
use crate::spec::literal::trim_space;

/// A `replace` line to add, with the reason as a comment above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    pub module: String,
    pub wrong: String,
    pub right: String,
    pub reason: String,
}

/// Collects edits of one go.mod or go.work file.
pub struct Editor<'a> {
    data: &'a [u8],
    patches: Vec<(Range<usize>, Vec<u8>)>,
    additions: Vec<Addition>,
}

impl<'a> Editor<'a> {
    pub fn new(data: &'a [u8]) -> Editor<'a> {
        Editor { data, patches: Vec::new(), additions: Vec::new() }
    }

    /// Puts another version where one stands; one in quotes stays in quotes.
    pub fn set_version(&mut self, span: &Span, version: &str) {
        let quoted = self.data[span.clone()].starts_with(b"\"");
        let text = if quoted { format!("\"{version}\"") } else { version.to_owned() };
        self.patches.push((span.clone(), text.into_bytes()));
    }

    /// Adds a line to the last `replace` block, or at the end of a file that has none.
    pub fn add(&mut self, addition: Addition) {
        self.additions.push(addition);
    }

    /// The file with all edits made. Fails only for a file that could not be read in the first place.
    pub fn finish(mut self) -> Result<Vec<u8>, SyntaxError> {
        if !self.additions.is_empty() {
            let (at, text) = match last_block(self.data)? {
                Some(block) => self.in_block(&block),
                None => (self.data.len(), self.at_end()),
            };
            let text = text.replace('\n', self.line_end());
            self.patches.push((at..at, text.into_bytes()));
        }
        self.patches.sort_by_key(|(range, _)| range.start);
        let mut out = Vec::with_capacity(self.data.len() + 256);
        let mut kept = 0;
        for (range, text) in &self.patches {
            out.extend_from_slice(&self.data[kept..range.start]);
            out.extend_from_slice(text);
            kept = range.end;
        }
        out.extend_from_slice(&self.data[kept..]);
        Ok(out)
    }

    /// The line end of the file's first line.
    fn line_end(&self) -> &'static str {
        let first = self.data.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let whole = first.len() < self.data.len();
        if whole && first.ends_with(b"\r") { "\r\n" } else { "\n" }
    }

    /// Where the lines go in a block, and their text.
    fn in_block(&self, block: &Block) -> (usize, String) {
        let close = block.close.offset;
        let line = self.data[..close].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let lines: String = self.additions.iter().map(|addition| addition.lines("\t")).collect();
        if line <= block.open.offset {
            return (close, format!("\n{lines}"));
        }
        let above = self.data[..line - 1].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        // Next to a comment that is there already, the reason would read as a part of it.
        let gap = if trim_space(above).starts_with(b"//") { "\n" } else { "" };
        (line, format!("{gap}{lines}"))
    }

    /// The text to add after the last line.
    fn at_end(&self) -> String {
        let last = self.data.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut text = String::new();
        if !last.is_empty() {
            text.push('\n');
        }
        if !self.data.is_empty() {
            text.push('\n');
        }
        match &self.additions[..] {
            [addition] => {
                let reason = comment(&addition.reason);
                text.push_str(&format!("{reason}\nreplace {}\n", addition.directive()));
            }
            additions => {
                let lines: String = additions.iter().map(|addition| addition.lines("\t")).collect();
                text.push_str(&format!("replace (\n{lines})\n"));
            }
        }
        text
    }
}

impl Addition {
    fn directive(&self) -> String {
        let module = auto_quote(&self.module);
        format!("{module} {} => {module} {}", self.wrong, self.right)
    }

    fn lines(&self, indent: &str) -> String {
        format!("{indent}{}\n{indent}{}\n", comment(&self.reason), self.directive())
    }
}

/// A text as one comment line, whatever it holds.
fn comment(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    format!("// {}", words.join(" "))
}

fn last_block(data: &[u8]) -> Result<Option<Block>, SyntaxError> {
    let replace = |block: &Block| matches!(&block.tokens[..], [verb] if &data[verb.clone()] == b"replace");
    let blocks = parse(data)?.into_iter().filter_map(|statement| match statement {
        Statement::Block(block) => Some(block),
        Statement::Line(_) | Statement::Comments(_) => None,
    });
    Ok(blocks.rev().find(replace))
}

#[cfg(test)]
mod tests;
