//! Looking into the tree of a commit, of which only a part may be here.

use std::collections::HashSet;

use git2::{ErrorCode, ObjectType, Odb, OdbLookupFlags, Repository, Tree, TreeEntry};

use super::growth::{object_id, oid, unreadable};
use super::objects::commit_head;
use crate::error::{Error, Result};
use crate::ports::FileMode;
use crate::spec::info::ObjectId;

/// How deep folders may lie in each other, and how many files there may be: trees that hold the same tree many times
/// are small and make endless listings.
const DEPTH: usize = 500;
const ENTRIES: usize = 1_000_000;

/// What was looked for, or what has to be fetched before it can be said.
#[derive(Debug)]
pub enum Look<T> {
    Here(T),
    Missing(Missing),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The tree of the commit, which itself is here.
    RootTree(ObjectId),
    /// The commit itself or a tree of it.
    Trees,
    Blobs(Vec<ObjectId>),
}

/// All that lies below a folder.
#[derive(Debug, Default)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// The attribute files of the folders above, which count below too.
    attributes_above: Vec<ObjectId>,
}

#[derive(Debug)]
pub struct Entry {
    /// Relative to the folder.
    pub path: String,
    pub mode: FileMode,
    pub id: ObjectId,
}

/// Gives the value of a `Look` or returns with what is missing.
macro_rules! here {
    ($look:expr) => {
        match $look {
            Look::Here(value) => value,
            Look::Missing(missing) => return Ok(Look::Missing(missing)),
        }
    };
}

/// The blob at a path, whatever its mode, with its size.
pub fn blob_at(repository: &Repository, commit: ObjectId, path: &str) -> Result<Look<Option<(ObjectId, u64)>>> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(tree) = here!(folder_tree(repository, commit, folder, |_| {})?) else { return Ok(Look::Here(None)) };
    let Some((FileMode::Regular | FileMode::Executable | FileMode::Symlink, id)) = file(&tree, name) else {
        return Ok(Look::Here(None));
    };
    let odb = repository.odb().map_err(unreadable)?;
    match odb.read_header(oid(id)) {
        Ok((size, ObjectType::Blob)) => Ok(Look::Here(Some((id, size as u64)))),
        Ok(_) => Err(Error::bad_gateway(format!("malformed git tree of {commit}"))),
        Err(cause) if cause.code() == ErrorCode::NotFound => Ok(Look::Missing(Missing::Blobs(vec![id]))),
        Err(cause) => Err(unreadable(cause)),
    }
}

/// All that is below a folder, in git's order; nothing if there is no such folder.
pub fn list(repository: &Repository, commit: ObjectId, folder: &str) -> Result<Look<Listing>> {
    let mut listing = Listing::default();
    let mut attributes = Vec::new();
    let tree = here!(folder_tree(repository, commit, folder, |tree| {
        let found = file(tree, ".gitattributes").filter(|(mode, _)| *mode != FileMode::Submodule);
        attributes.extend(found.map(|(_, id)| id));
    })?);
    let Some(tree) = tree else { return Ok(Look::Here(listing)) };
    listing.attributes_above = attributes;
    here!(walk(repository, &tree, "", DEPTH, &mut listing.entries)?);
    Ok(Look::Here(listing))
}

/// Which files of a listing are not here.
pub fn missing_blobs(odb: &Odb<'_>, listing: &Listing) -> Vec<ObjectId> {
    let files = listing.entries.iter().filter(|entry| entry.mode != FileMode::Submodule).map(|entry| entry.id);
    let mut asked = HashSet::new();
    // Without refreshing: libgit2 would read the folder of packs again for each missing object.
    files
        .chain(listing.attributes_above.iter().copied())
        .filter(|id| asked.insert(*id) && !odb.exists_ext(oid(*id), OdbLookupFlags::NO_REFRESH))
        .collect()
}

fn walk(repository: &Repository, tree: &Tree<'_>, above: &str, depth: usize, to: &mut Vec<Entry>) -> Result<Look<()>> {
    if depth == 0 || to.len() > ENTRIES {
        return Err(Error::bad_gateway(format!(
            "a git tree is too large (expected at most {ENTRIES} files and folders {DEPTH} deep)"
        )));
    }
    for item in tree.iter() {
        let path = format!("{above}{}", String::from_utf8_lossy(item.name_bytes()));
        let id = object_id(item.id());
        match mode_of(item.filemode_raw()) {
            Some(mode) => to.push(Entry { path, mode, id }),
            None => {
                let below = here!(tree_by_id(repository, id)?);
                here!(walk(repository, &below, &format!("{path}/"), depth - 1, to)?);
            }
        }
    }
    Ok(Look::Here(()))
}

/// The tree of a folder; each tree above it is shown on the way.
fn folder_tree<'r>(
    repository: &'r Repository,
    commit: ObjectId,
    folder: &str,
    mut above: impl FnMut(&Tree<'r>),
) -> Result<Look<Option<Tree<'r>>>> {
    let odb = repository.odb().map_err(unreadable)?;
    let root = match odb.read(oid(commit)) {
        Ok(object) => commit_head(object.data()).map(|head| head.tree),
        Err(cause) if cause.code() == ErrorCode::NotFound => return Ok(Look::Missing(Missing::Trees)),
        Err(cause) => return Err(unreadable(cause)),
    };
    let root = root.ok_or_else(|| Error::not_found(format!("{commit} is not a commit")))?;
    let mut tree = match tree_by_id(repository, root)? {
        Look::Here(tree) => tree,
        Look::Missing(_) => return Ok(Look::Missing(Missing::RootTree(root))),
    };
    for name in folder.split('/').filter(|_| !folder.is_empty()) {
        above(&tree);
        let below = child(&tree, name).filter(|item| mode_of(item.filemode_raw()).is_none());
        let Some(id) = below.map(|item| object_id(item.id())) else { return Ok(Look::Here(None)) };
        tree = here!(tree_by_id(repository, id)?);
    }
    Ok(Look::Here(Some(tree)))
}

fn tree_by_id(repository: &Repository, id: ObjectId) -> Result<Look<Tree<'_>>> {
    match repository.find_tree(oid(id)) {
        Ok(tree) => Ok(Look::Here(tree)),
        Err(cause) if cause.code() == ErrorCode::NotFound => Ok(Look::Missing(Missing::Trees)),
        Err(cause) => Err(unreadable(cause)),
    }
}

fn child<'t>(tree: &'t Tree<'_>, name: &str) -> Option<TreeEntry<'t>> {
    // git2 panics at a zero byte.
    if name.contains('\0') { None } else { tree.get_name_bytes(name.as_bytes()) }
}

/// An entry that is no tree.
fn file(tree: &Tree<'_>, name: &str) -> Option<(FileMode, ObjectId)> {
    let item = child(tree, name)?;
    Some((mode_of(item.filemode_raw())?, object_id(item.id())))
}

/// What git makes of a mode; `None` for a tree.
fn mode_of(raw: i32) -> Option<FileMode> {
    match raw & 0o170_000 {
        0o040_000 => None,
        0o100_000 if raw & 0o100 != 0 => Some(FileMode::Executable),
        0o100_000 => Some(FileMode::Regular),
        0o120_000 => Some(FileMode::Symlink),
        _ => Some(FileMode::Submodule),
    }
}
