//! The files of the log: one is written, those before it bear the time of their first line in their name.
//! A file is begun anew each day (UTC) and when it is full; files whose last line is too old go.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::line::stamp_of;

/// The file that is written.
pub(super) const CURRENT: &str = "audit.jsonl";

/// The time in a file's name.
const NAME: &str = "%Y%m%dT%H%M%S%3fZ";

/// The longest first line that is read to find out when a file begins.
const FIRST_LINE: u64 = 64 * 1024;

pub(super) struct Journal {
    folder: PathBuf,
    max_size: u64,
    keep: Duration,
    open: Option<Open>,
}

struct Open {
    file: File,
    size: u64,
    inode: u64,
    /// The time of its first line; `None` while there is none.
    begun: Option<DateTime<Utc>>,
}

impl Journal {
    /// Makes the folder; an error if it cannot be written.
    pub fn new(folder: &Path, max_size: u64, keep: Duration) -> io::Result<Journal> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut journal = Journal { folder: folder.to_owned(), max_size, keep, open: None };
        journal.file()?;
        Ok(journal)
    }

    /// Adds whole lines, the first of which is of this time. On an error nothing of them is there.
    pub fn append(&mut self, lines: &[u8], time: DateTime<Utc>) -> io::Result<()> {
        self.turn(lines.len() as u64, time)?;
        let open = self.file()?;
        match open.file.write_all(lines) {
            Ok(()) => {
                open.size += lines.len() as u64;
                open.begun.get_or_insert(time);
                Ok(())
            }
            Err(error) => {
                // What cannot be cut off either is half a line, which the next opening ends.
                let _ = open.file.set_len(open.size);
                self.open = None;
                Err(error)
            }
        }
    }

    /// Puts everything on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    /// Removes what is kept long enough: the files whose last line is older.
    pub fn expire(&self, now: DateTime<Utc>) -> io::Result<()> {
        let Some(oldest) = SystemTime::from(now).checked_sub(self.keep) else { return Ok(()) };
        for (_, path) in before(&self.folder)? {
            if fs::metadata(&path)?.modified()? < oldest {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Begins a new file where the one that is written is full or of another day.
    pub fn turn(&mut self, more: u64, now: DateTime<Utc>) -> io::Result<()> {
        let max_size = self.max_size;
        let open = self.file()?;
        let Some(begun) = open.begun else { return Ok(()) };
        if open.size + more <= max_size && begun.date_naive() == now.date_naive() {
            return Ok(());
        }
        open.file.sync_data()?;
        self.open = None;
        let name = (0..).map(|more| self.folder.join(name(begun + Duration::from_millis(more))));
        let free = name.into_iter().find(|path| !path.exists());
        fs::rename(self.folder.join(CURRENT), free.expect("there is a moment without a file"))?;
        File::open(&self.folder)?.sync_all()?;
        self.expire(now)
    }

    /// The file that is written; opened again if somebody moved it away.
    fn file(&mut self) -> io::Result<&mut Open> {
        let path = self.folder.join(CURRENT);
        let is_ours = |open: &Open| fs::metadata(&path).is_ok_and(|metadata| metadata.ino() == open.inode);
        if !self.open.as_ref().is_some_and(is_ours) {
            self.open = Some(open(&path)?);
        }
        Ok(self.open.as_mut().expect("it was opened above"))
    }
}

/// Opens a file to add to it. Half a line, which a killed process left, is ended.
fn open(path: &Path) -> io::Result<Open> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    let mut size = metadata.len();
    if size > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    let begun = if size == 0 { None } else { Some(begun(&file)?) };
    Ok(Open { file, size, inode: metadata.ino(), begun })
}

/// When a file begins: by its first whole line, else by when it was last written.
pub(super) fn begun(mut file: &File) -> io::Result<DateTime<Utc>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    BufReader::new(file.take(FIRST_LINE)).read_until(b'\n', &mut line)?;
    let stamp = stamp_of(&line).and_then(|stamp| std::str::from_utf8(stamp).ok());
    match stamp.and_then(|stamp| DateTime::parse_from_rfc3339(stamp).ok()) {
        Some(time) => Ok(time.to_utc()),
        None => Ok(file.metadata()?.modified()?.into()),
    }
}

fn name(begun: DateTime<Utc>) -> String {
    format!("audit-{}.jsonl", begun.format(NAME))
}

/// The files before the one that is written, the newest first, each with the time in its name.
pub(super) fn before(folder: &Path) -> io::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        let text = file.to_str().and_then(|file| file.strip_prefix("audit-")?.strip_suffix(".jsonl"));
        if let Some(begun) = text.and_then(|text| NaiveDateTime::parse_from_str(text, NAME).ok()) {
            found.push((begun.and_utc(), entry.path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}
