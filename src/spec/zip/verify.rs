//! Is somebody else's module zip one that a go command would take?
//! Rules: `checkZip` in golang.org/x/mod/zip, `HashZip` in golang.org/x/mod/sumdb/dirhash.

use std::io::{self, ErrorKind, Read, Seek};

use super::archive::{Archive, Member};
use super::check::{base, is_clean};
use super::names::{Entry, Names};
use super::{MAX_GO_MOD, MAX_LICENSE, MAX_ZIP, Why, prefix};
use crate::error::{Error, Result};
use crate::spec::dirhash::Hash1;
use crate::spec::literal::quote;
use crate::spec::path::{ModulePath, check_file};
use crate::spec::version::Version;

/// A module zip in which nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The `h1:` hash over all its entries.
    pub h1: String,
    /// How many files it has.
    pub files: usize,
    /// The sum of the sizes of its files, in bytes.
    pub content: u64,
}

/// Reads the whole zip of `module@version`, one piece in memory at a time.
///
/// Fails with `Kind::BadGateway`, in the go command's words, where the go command would refuse the zip, and with
/// `Kind::Internal` where it cannot be read.
pub fn verify<R: Read + Seek>(mut reader: R, module: &ModulePath, version: &Version) -> Result<Verified> {
    let wrong = |what: String| Error::bad_gateway(what).about(format!("{module}@{version}"));
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => wrong(error.to_string()),
        _ => Error::internal("module zip cannot be read").because(error),
    };
    if !module.major_suffix().matches(version.semver()) {
        let expected = module.major_suffix().expected();
        return Err(wrong(format!("invalid version: should be {expected}, not {}", version.major())));
    }
    let size = Archive::measure(&mut reader).map_err(unreadable)?;
    if size > MAX_ZIP {
        return Err(wrong(format!("module zip file is too large ({size} bytes; limit is {MAX_ZIP} bytes)")));
    }
    let mut archive = Archive::open(reader).map_err(unreadable)?;
    let (files, content) = check(&archive.members, &prefix(module, version)).map_err(wrong)?;
    let mut hash = Hash1::new();
    for index in 0..archive.members.len() {
        let sha256 = archive.sha256(index).map_err(unreadable)?;
        let name = String::from_utf8(archive.members[index].name.clone()).expect("names were checked to be UTF-8");
        hash.add(name, sha256)?;
    }
    Ok(Verified { h1: hash.finish(), files, content })
}

/// Looks at names and declared sizes: how many files, and how large together.
fn check(members: &[Member], prefix: &str) -> Result<(usize, u64), String> {
    let mut names = Names::default();
    let mut wrong = Vec::new();
    let (mut files, mut content, mut too_large) = (0, 0, false);
    for member in members {
        match look(member, prefix, &mut names) {
            Ok(None) => continue,
            Ok(Some(name)) => {
                files += 1;
                match member.size {
                    size if size <= MAX_ZIP - content => content += size,
                    _ => too_large = true,
                }
                let why = match name {
                    "go.mod" if member.size > MAX_GO_MOD => Why::GoModTooLarge,
                    "LICENSE" if member.size > MAX_LICENSE => Why::LicenseTooLarge,
                    _ => continue,
                };
                wrong.push(format!("{prefix}{name}: {why}"));
            }
            Err(why) => wrong.push(format!("{}: {why}", String::from_utf8_lossy(&member.name))),
        }
    }
    if too_large {
        return Err(format!("total uncompressed size of module contents too large (max size is {MAX_ZIP} bytes)"));
    }
    if wrong.is_empty() { Ok((files, content)) } else { Err(wrong.join("\n")) }
}

/// The name below the module's root; `None` if it is a folder's.
fn look<'a>(member: &'a Member, prefix: &str, names: &mut Names<'a>) -> Result<Option<&'a str>, String> {
    let Some(name) = member.name.strip_prefix(prefix.as_bytes()) else {
        return Err(format!("path does not have prefix {}", quote(prefix.as_bytes())));
    };
    if name.is_empty() {
        return Ok(None);
    }
    let (name, entry) = match name.strip_suffix(b"/") {
        Some(name) => (name, Entry::Folder),
        None => (name, Entry::File),
    };
    let Ok(name) = std::str::from_utf8(name) else {
        return Err(format!("malformed file path {}: invalid UTF-8", quote(name)));
    };
    if !is_clean(name) {
        return Err(Why::NotClean.to_string());
    }
    check_file(name)?;
    names.add(name, entry).map_err(|collision| collision.to_string())?;
    if entry == Entry::Folder {
        return Ok(None);
    }
    if base(name).eq_ignore_ascii_case("go.mod") {
        if name.contains('/') {
            return Err("go.mod file not in module root directory".to_owned());
        }
        if name != "go.mod" {
            return Err(Why::GoModCase.to_string());
        }
    }
    Ok(Some(name))
}
