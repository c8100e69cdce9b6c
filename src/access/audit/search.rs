//! Finding lines: from the newest back, page by page, and never more than a bounded part of the files at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use memchr::{memmem, memrchr};

use super::Line;
use super::journal::{CURRENT, before, begun};
use super::line::{stamp, stamp_of};
use crate::error::{Error, Result};

/// The most bytes that are looked through for one page.
const REACH: u64 = 256 << 20;

/// Bytes that are read at once.
const PIECE: u64 = 256 * 1024;

/// Which lines are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A module path, or `PATH/...` for all below.
    pub module: Option<String>,
    /// As it went out, as it was asked for, or as it is right.
    pub version: Option<String>,
    pub registry: Option<String>,
    pub who: Option<String>,
    pub since: Option<DateTime<Utc>>,
    /// Up to but not including.
    pub until: Option<DateTime<Utc>>,
    /// The `next` of the page before.
    pub after: Option<String>,
    pub limit: usize,
}

/// A page.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest first.
    pub lines: Vec<Line>,
    /// Where the next page begins; `None` if there is nothing more.
    pub next: Option<String>,
}

/// A place in the log: all before a byte of a file, and all files before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// When the file begins, in milliseconds.
    file: i64,
    byte: u64,
}

impl Mark {
    fn parse(text: &str) -> Result<Mark> {
        let read = || {
            let (file, byte) = text.split_once('.')?;
            Some(Mark { file: file.parse().ok()?, byte: byte.parse().ok()? })
        };
        read().ok_or_else(|| Error::gone(format!("after: {text:?} (expected the next of a page)")))
    }

    fn text(self) -> String {
        format!("{}.{}", self.file, self.byte)
    }
}

/// Looks for lines. Blocking. A folder that is not there holds none.
pub(super) fn search(folder: &Path, wanted: &Wanted) -> Result<Found> {
    let after = wanted.after.as_deref().map(Mark::parse).transpose()?;
    let unreadable = |error| Error::internal("the audit log cannot be read").because(error);
    Search::new(wanted, after).run(folder).map_err(unreadable)
}

struct Search<'a> {
    wanted: &'a Wanted,
    after: Option<Mark>,
    /// What a line's bytes must hold to be worth reading.
    needle: Option<memmem::Finder<'static>>,
    since: Option<String>,
    until: Option<String>,
    left: u64,
    found: Found,
}

/// Whether to go on.
enum Turn {
    On,
    Enough,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a Wanted, after: Option<Mark>) -> Search<'a> {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let needle = wanted.module.as_deref().map(|module| match module.strip_suffix("/...") {
            Some(above) => format!("\"module\":{}", quoted(above).trim_end_matches('"')),
            None => format!("\"module\":{}", quoted(module)),
        });
        Search {
            wanted,
            after,
            needle: needle.map(|needle| memmem::Finder::new(needle.as_bytes()).into_owned()),
            since: wanted.since.map(stamp),
            until: wanted.until.map(stamp),
            left: REACH,
            found: Found::default(),
        }
    }

    fn run(mut self, folder: &Path) -> io::Result<Found> {
        for (start, file) in files(folder)? {
            let id = start.timestamp_millis();
            let size = file.metadata()?.len();
            let end = match self.after {
                Some(after) if id > after.file => continue,
                Some(after) if id == after.file => after.byte.min(size),
                _ => size,
            };
            // Not a line of it is older than its first.
            if self.wanted.until.is_some_and(|until| until <= start) {
                continue;
            }
            if let Turn::Enough = self.look(&file, id, end)? {
                return Ok(self.found);
            }
        }
        Ok(self.found)
    }

    /// Goes through the lines that end at or before `end`, from the last one back.
    fn look(&mut self, file: &File, id: i64, end: u64) -> io::Result<Turn> {
        // What was read of lines that begin before the piece.
        let (mut held, mut at) = (Vec::new(), end);
        while at > 0 {
            let size = PIECE.min(at);
            if size > self.left {
                let byte = at + held.len() as u64;
                self.found.next = Some(Mark { file: id, byte }.text());
                return Ok(Turn::Enough);
            }
            self.left -= size;
            at -= size;
            let mut piece = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut piece, at)?;
            piece.append(&mut held);
            let mut rest = piece.as_slice();
            // The end of the line before is the beginning of this one.
            while let Some(cut) = memrchr(b'\n', rest.strip_suffix(b"\n").unwrap_or(rest)) {
                let (before, line) = rest.split_at(cut + 1);
                if let Turn::Enough = self.take(line, id, at + before.len() as u64) {
                    return Ok(Turn::Enough);
                }
                rest = before;
            }
            held = rest.to_vec();
        }
        match held.is_empty() {
            true => Ok(Turn::On),
            false => Ok(self.take(&held, id, 0)),
        }
    }

    /// Looks at one line, which begins at a byte of its file.
    fn take(&mut self, line: &[u8], id: i64, byte: u64) -> Turn {
        let Some(time) = stamp_of(line) else { return Turn::On };
        if self.since.as_ref().is_some_and(|since| time < since.as_bytes()) {
            return Turn::Enough;
        }
        if self.until.as_ref().is_some_and(|until| time >= until.as_bytes())
            || self.needle.as_ref().is_some_and(|needle| needle.find(line).is_none())
        {
            return Turn::On;
        }
        // Half a line that a killed process left is none.
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return Turn::On };
        if !fits(self.wanted, &line) {
            return Turn::On;
        }
        self.found.lines.push(line);
        if self.found.lines.len() < self.wanted.limit.max(1) {
            return Turn::On;
        }
        self.found.next = Some(Mark { file: id, byte }.text());
        Turn::Enough
    }
}

fn fits(wanted: &Wanted, line: &Line) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let module = wanted.module.as_deref().is_none_or(|module| match module.strip_suffix("/...") {
        Some(above) => line.module.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => line.module == module,
    });
    let version = wanted.version.as_deref().is_none_or(|version| {
        let names = [Some(line.version.as_str()), line.asked.as_deref(), line.right.as_deref()];
        names.contains(&Some(version))
    });
    module && version && is(&wanted.registry, &line.registry) && is(&wanted.who, &line.who)
}

/// All files, the newest first, with the time of their first line.
fn files(folder: &Path) -> io::Result<Vec<(DateTime<Utc>, File)>> {
    let mut files = Vec::new();
    // First the one that is written: closed in between it is among the others as well.
    match File::open(folder.join(CURRENT)) {
        Ok(file) => files.push((begun(&file)?, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let before = match before(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        found => found?,
    };
    let inode = |file: &File| file.metadata().map(|metadata| metadata.ino());
    let current = files.first().map(|(_, file)| inode(file)).transpose()?;
    for (start, path) in before {
        match File::open(path) {
            Ok(file) if current == Some(inode(&file)?) => {}
            Ok(file) => files.push((start, file)),
            // It was just removed, being old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}
