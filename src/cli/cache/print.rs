//! Tables, sizes and ages as people read them.

use std::io::{self, Write as _};
use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::registry::stock::{Damage, Repository, Row, Said};

/// Standard output; whoever reads it may stop.
pub struct Output {
    is_closed: bool,
}

impl Output {
    pub fn new() -> Output {
        Output { is_closed: false }
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn line(&mut self, line: &str) -> Result<()> {
        self.write(&format!("{line}\n"))
    }

    /// On one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        self.line(&serde_json::to_string(value).map_err(|error| Error::internal("no JSON").because(error))?)
    }

    /// Columns as wide as they must be; numbers stand to the right.
    pub fn table(&mut self, rows: &[Vec<Cell>]) -> Result<()> {
        self.write(&aligned(rows))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let mut output = io::stdout().lock();
        let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        written.map_err(|error| {
            self.is_closed = error.kind() == io::ErrorKind::BrokenPipe;
            Error::internal("the output cannot be written").because(error)
        })
    }
}

/// One place of a table.
#[derive(Debug, Clone)]
pub enum Cell {
    Text(String),
    Number(String),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(plain(&text.into()))
    }

    pub fn number(number: impl ToString) -> Cell {
        Cell::Number(number.to_string())
    }

    pub fn size(bytes: u64) -> Cell {
        Cell::Number(size(bytes))
    }

    fn as_str(&self) -> &str {
        match self {
            Cell::Text(text) | Cell::Number(text) => text,
        }
    }
}

/// What others wrote must not steer the terminal, nor look like another line.
pub fn plain(text: &str) -> String {
    text.replace(is_hidden, "?")
}

/// Controls, and what turns the direction of writing.
fn is_hidden(c: char) -> bool {
    use unicode_general_category::{GeneralCategory as G, get_general_category};
    matches!(get_general_category(c), G::Control | G::Format | G::LineSeparator | G::ParagraphSeparator)
}

fn aligned(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.as_str().chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blank = " ".repeat(width - cell.as_str().chars().count());
            match cell {
                Cell::Text(text) => line.extend([text, blank.as_str(), "  "]),
                Cell::Number(number) => line.extend([blank.as_str(), number, "  "]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// How long ago, in its largest unit: `5d`.
pub fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds().max(0);
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let fits = units.into_iter().find(|(unit, _)| seconds >= *unit);
    let (unit, name) = fits.unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

/// What went or would go, a line each.
pub fn gone(said: &Said) -> Option<String> {
    match said {
        Said::Entry(row) => Some(format!("{}  {}  {}", row.upstream, named(row), size(row.size))),
        Said::Repository(Repository { name, url, bytes, upstream, .. }) => {
            let shown = url.as_deref().unwrap_or(name);
            Some(format!("{upstream}  git repository {shown}  {}", size(*bytes)))
        }
        Said::Damaged(Damage { key, why }) => Some(format!("{key}: {why}")),
        _ => None,
    }
}

/// An entry by its module and file.
pub fn named(row: &Row) -> String {
    format!("{}/{}", row.module, row.path)
}

/// `1 entry`, `2 entries`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A bar on a terminal, and nothing in a pipe.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new() -> Bar {
        let bar = ProgressBar::no_length();
        let template = ProgressStyle::with_template("{msg} {bar:30} {percent}%");
        bar.set_style(template.expect("a template that is right"));
        Bar(bar)
    }

    pub fn show(&self, done: u64, of: u64, what: &'static str) {
        if self.0.message() != what {
            self.0.set_message(what);
            self.0.enable_steady_tick(Duration::from_millis(120));
        }
        self.0.set_length(of.max(1));
        self.0.set_position(done);
    }

    /// Where nobody knows how much there is.
    pub fn spin(&self, what: &str) {
        self.0.enable_steady_tick(Duration::from_millis(120));
        self.0.set_message(what.to_owned());
    }

    pub fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// Prints between two states of the bar.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [
            vec![Cell::text("upstream"), Cell::number("entries"), Cell::text("limit")],
            vec![Cell::text("a"), Cell::number(12), Cell::text("")],
        ];
        assert_eq!(aligned(&rows), "upstream  entries  limit\na              12\n");
    }

    #[test]
    fn ages_and_sizes_are_short() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
        let ago = |seconds| age(now, now - chrono::Duration::seconds(seconds));
        assert_eq!([ago(-5), ago(59), ago(3599), ago(86_399), ago(10 * 86_400)], ["0s", "59s", "59m", "23h", "10d"]);
        assert_eq!([size(0), size(1536), size(20 << 30)], ["0 B", "1.5 KiB", "20.0 GiB"]);
    }
}
