//! What is read out of commits and tags. Rules: git's `commit.c` and `tag.c`, gitformat documents.
//!
//! libgit2's own parser is stricter than git's and refuses some commits that git reads.

use chrono::{DateTime, FixedOffset};

use crate::error::{Error, Result};
use crate::spec::info::{Commit, ObjectId, Signature};

/// What the history needs of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHead {
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    /// The committer's time in seconds since 1970, [`NO_TIME`] where it cannot be read.
    pub seconds: i64,
}

/// The object a tag is for, and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagHead {
    pub target: ObjectId,
    pub kind: git2::ObjectType,
}

/// `None` where the bytes are no commit.
pub fn commit_head(data: &[u8]) -> Option<CommitHead> {
    let mut lines = data.split(|&b| b == b'\n').peekable();
    let tree = id_after(lines.next()?, b"tree ")?;
    let mut parents = Vec::new();
    // Right behind the tree: git takes none that stands elsewhere, and no commit with one that it cannot read.
    while let Some(line) = lines.next_if(|line| line.starts_with(b"parent ")) {
        parents.push(id_after(line, b"parent ")?);
    }
    let mut seconds = NO_TIME;
    for line in lines.take_while(|line| !line.is_empty()) {
        // Of two the last one counts.
        if let Some(who) = line.strip_prefix(b"committer ") {
            seconds = time_of(who);
        }
    }
    Some(CommitHead { tree, parents, seconds })
}

/// `None` where the bytes are no tag.
pub fn tag_head(data: &[u8]) -> Option<TagHead> {
    let mut lines = data.split(|&b| b == b'\n');
    let target = id_after(lines.next()?, b"object ")?;
    let kind = std::str::from_utf8(lines.next()?.strip_prefix(b"type ")?).ok()?;
    Some(TagHead { target, kind: git2::ObjectType::from_str(kind)? })
}

fn id_after(line: &[u8], name: &[u8]) -> Option<ObjectId> {
    ObjectId::from_hex(line.strip_prefix(name)?)
}

/// Stands for a time that git cannot read, one before 1970 for example: fixtures/before-the-epoch.repo
pub const NO_TIME: i64 = i64::MIN;

/// A commit with its time; one without has no version, as for the go command.
pub fn dated(id: ObjectId, seconds: i64) -> Result<Commit> {
    let time = chrono::DateTime::from_timestamp(seconds, 0);
    time.map(|time| Commit { id, time }).ok_or_else(|| Error::not_found(format!("commit {id} has no valid time")))
}

/// Who made a commit when; `None` where one of the times cannot be read.
pub fn signature(data: &[u8]) -> Option<Signature> {
    let head = data.split(|&b| b == b'\n').take_while(|line| !line.is_empty());
    let (mut author, mut committer) = (None, None);
    for line in head {
        if let Some(who) = line.strip_prefix(b"author ") {
            author = author.or_else(|| moment(who));
        } else if let Some(who) = line.strip_prefix(b"committer ") {
            committer = committer.or_else(|| moment(who));
        }
    }
    Some(Signature { author: author?, committer: committer? })
}

fn moment(who: &[u8]) -> Option<DateTime<FixedOffset>> {
    Some(DateTime::from_timestamp(time_of(who), 0)?.with_timezone(&zone_of(who)))
}

/// The last word, `+0530`; UTC where it cannot be read.
fn zone_of(who: &[u8]) -> FixedOffset {
    let utc = FixedOffset::east_opt(0).expect("zero is in range");
    let word = who.rsplit(|&b| b == b' ').next().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("");
    let number: i32 = word.parse().unwrap_or(0);
    let minutes = number / 100 * 60 + number % 100;
    FixedOffset::east_opt(minutes * 60).unwrap_or(utc)
}

/// The digits behind the last `>`: a name may hold one too. Without an address before it or a zone behind it, git has
/// no time for `%ct`, and the go command no version.
fn time_of(who: &[u8]) -> i64 {
    let Some(end) = who.iter().rposition(|&b| b == b'>') else { return NO_TIME };
    let rest = behind_spaces(&who[end + 1..]);
    let (digits, zone) = rest.split_at(rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let has_zone = matches!(behind_spaces(zone), [b'+' | b'-', digit, ..] if digit.is_ascii_digit());
    let seconds: Option<i64> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    seconds.filter(|_| has_zone && who[..end].contains(&b'<')).unwrap_or(NO_TIME)
}

fn behind_spaces(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|b| matches!(**b, b' ' | b'\t' | b'\r')).count();
    &bytes[spaces..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

    fn id(digit: u8) -> ObjectId {
        ObjectId([digit; 20])
    }

    #[test]
    fn reads_commits_that_git_reads() {
        let parents = format!("parent {}\nparent {}\n", id(1), id(2));
        // name, lines after the tree, number of parents, time
        let table = [
            ("usual", format!("{parents}author A <a> 5 +0100\ncommitter C <c> 1519081806 -0800\n\nx"), 2, 1519081806),
            ("no parents", "author A <a> 5 +0000\ncommitter C <c> 7 +0000\n\nx".to_owned(), 0, 7),
            ("bracket in the name", "author A <a> 5 +0000\ncommitter C> D <c> 7 +0000\n\nx".to_owned(), 0, 7),
            ("no time", "author A <a>\ncommitter C <c>\n\nx".to_owned(), 0, NO_TIME),
            ("no committer", "author A <a> 5 +0000\n\ncommitter C <c> 7 +0000".to_owned(), 0, NO_TIME),
            ("before 1970", "author A <a> 5 +0000\ncommitter C <c> -7 +0000\n".to_owned(), 0, NO_TIME),
            // What `git log --format=%ct` says of these, git 2.39.
            ("no zone", "author A <a> 5 +0000\ncommitter C <c> 7\n\nx".to_owned(), 0, NO_TIME),
            ("a zone that is none", "author A <a> 5 +0000\ncommitter C <c> 7 east\n\nx".to_owned(), 0, NO_TIME),
            ("a fraction", "author A <a> 5 +0000\ncommitter C <c> 7.5 +0000\n\nx".to_owned(), 0, NO_TIME),
            ("no address", "author A <a> 5 +0000\ncommitter C> 7 +0000\n\nx".to_owned(), 0, NO_TIME),
            ("no spaces", "author A <a> 5 +0000\ncommitter C <c>7+0000\n\nx".to_owned(), 0, 7),
            ("a word more", "author A <a> 5 +0000\ncommitter C <c> 7 +0000 x\n\nx".to_owned(), 0, 7),
            ("beyond 64 bits", "committer C <c> 99999999999999999999 +0000\n\nx".to_owned(), 0, NO_TIME),
            ("two committers", "committer C <c> 7 +0000\ncommitter C <c> 9 +0000\n\nx".to_owned(), 0, 9),
            ("parents elsewhere", format!("author A <a> 5 +0000\n{parents}committer C <c> 8 +0000\n\nx"), 0, 8),
        ];
        for (name, lines, parents, seconds) in table {
            let head = commit_head(format!("{TREE}{lines}").as_bytes()).expect(name);
            assert_eq!((head.parents.len(), head.seconds), (parents, seconds), "{name}");
        }
        assert_eq!(commit_head(b"blob"), None);
        assert_eq!(commit_head(format!("{TREE}parent x\ncommitter C <c> 7 +0000\n\nx").as_bytes()), None);
    }

    #[test]
    fn reads_who_made_a_commit_when() {
        let text = format!("{TREE}author A <a> 5 +0530\ncommitter C <c> 1519081806 -0800\n\nauthor X <x> 9 +0000");
        let Signature { author, committer } = signature(text.as_bytes()).expect("both times");
        assert_eq!(author.to_rfc3339(), "1970-01-01T05:30:05+05:30");
        assert_eq!(committer.to_rfc3339(), "2018-02-19T15:10:06-08:00");
        let odd = format!("{TREE}author A <a> 5 +9999999\ncommitter C <c> 7 +99999\n");
        assert_eq!(signature(odd.as_bytes()).expect("times").author.to_rfc3339(), "1970-01-01T00:00:05+00:00");
        assert_eq!(signature(format!("{TREE}committer C <c> 7 +0000\n").as_bytes()), None);
    }

    #[test]
    fn reads_tags() {
        let text = format!("object {}\ntype commit\ntag v1\n\nx", id(3));
        assert_eq!(tag_head(text.as_bytes()), Some(TagHead { target: id(3), kind: git2::ObjectType::Commit }));
        assert_eq!(tag_head(b"object x\ntype commit\n"), None);
    }
}
