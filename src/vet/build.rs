//! The module zip of a version: which files of the tree go in, under which names.
//! Rules: `Zip` in `cmd/go/internal/modfetch/coderepo.go`; what a zip may hold is `spec::zip`'s.
//! The go command also refuses a module whose go line is newer than itself; modvet has no such limit.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;

use super::module::{Module, Root};
use crate::error::{Error, Result};
use crate::ports::{FileMode, TreeFile};
use crate::spec::version::Version;
use crate::spec::zip::{self, Candidate, Deflated, FileKind, ModuleZip, Sums, compress};

const LICENSE: &str = "LICENSE";

/// How many files are compressed at a time.
const LANES: usize = 2;
/// How many files wait before a lane, and how many behind it: this bounds memory.
const WAITING: usize = 2;

/// What goes into a zip.
struct Contents {
    root: Root,
    files: Vec<TreeFile>,
    /// The repository's own, for a module in a folder that has none.
    license: Option<Bytes>,
}

/// Writes the zip of `version` under exactly that name, also if it is a wrong pseudo-version.
pub fn module_zip<W: Write + Send>(module: &Module<'_>, version: &Version, out: W) -> Result<(W, Sums)> {
    let suffix = module.place.suffix();
    if !suffix.matches(version.semver()) {
        let expected = suffix.expected();
        return Err(Error::not_found(format!("invalid version: should be {expected}, not {}", version.major())));
    }
    let contents = contents(module, version)?;
    let chosen = choose(module, &contents)?;
    write(module, &contents, &chosen, ModuleZip::new(out, module.place.module(), version))
}

fn contents(module: &Module<'_>, version: &Version) -> Result<Contents> {
    let root = module.root(version.as_str())?;
    let mut files = module.snapshot.repo.files(root.commit, &root.folder)?;
    // A submodule is an empty folder in what git archives.
    files.retain(|file| file.mode != FileMode::Submodule);
    let inherits = !root.folder.is_empty() && !files.iter().any(|file| file.path == LICENSE);
    let license = if inherits { module.read(root.commit, LICENSE)? } else { None };
    Ok(Contents { root, files, license })
}

/// The files that go in, by their place in the tree's order; the inherited licence comes last.
fn choose(module: &Module<'_>, contents: &Contents) -> Result<Vec<usize>> {
    let mut candidates: Vec<Candidate<'_>> = contents
        .files
        .iter()
        .map(|file| Candidate {
            path: &file.path,
            kind: if file.mode == FileMode::Symlink { FileKind::Symlink } else { FileKind::Regular },
            size: file.size,
        })
        .collect();
    if let Some(license) = &contents.license {
        candidates.push(Candidate { path: LICENSE, kind: FileKind::Regular, size: license.len() as u64 });
    }
    // Which vendor rule holds is read from go.mod as it stands in the zip, attributes applied.
    let go_mod = contents.files.iter().position(|file| file.path == "go.mod" && file.mode != FileMode::Symlink);
    let small = |at: &usize| contents.files[*at].size <= zip::MAX_GO_MOD;
    let go_mod = go_mod.filter(small).map(|at| content(module, contents, at)).transpose()?;
    let checked = zip::check(&candidates, go_mod.as_deref());
    checked.error().map_or(Ok(checked.valid), Err)
}

fn content(module: &Module<'_>, contents: &Contents, at: usize) -> Result<Bytes> {
    match (contents.files.get(at), &contents.license) {
        (Some(file), _) => module.snapshot.repo.content(contents.root.commit, &contents.root.folder, file),
        (None, Some(license)) => Ok(license.clone()),
        (None, None) => Err(Error::internal("a file was chosen that is not in the tree")),
    }
}

fn name(contents: &Contents, at: usize) -> &str {
    contents.files.get(at).map_or(LICENSE, |file| &file.path)
}

/// Reads here, compresses on lanes in turn, writes in order on a thread of its own.
fn write<W: Write + Send>(
    module: &Module<'_>,
    contents: &Contents,
    chosen: &[usize],
    zip: ModuleZip<W>,
) -> Result<(W, Sums)> {
    thread::scope(|scope| {
        let mut to_lanes: Vec<SyncSender<Bytes>> = Vec::new();
        let mut from_lanes: Vec<Receiver<Deflated>> = Vec::new();
        for _ in 0..LANES {
            let (to_lane, raw) = sync_channel::<Bytes>(WAITING);
            let (done, from_lane) = sync_channel(WAITING);
            scope.spawn(move || raw.iter().map(|bytes| compress(&bytes)).try_for_each(|deflated| done.send(deflated)));
            to_lanes.push(to_lane);
            from_lanes.push(from_lane);
        }
        let writing = scope.spawn(move || append(contents, chosen, zip, &from_lanes));
        let mut read = Ok(());
        for (turn, at) in chosen.iter().enumerate() {
            let sent = content(module, contents, *at).map(|bytes| to_lanes[turn % LANES].send(bytes));
            match sent {
                Ok(Ok(())) => {}
                // The writer has stopped; what stopped it comes with it.
                Ok(Err(_)) => break,
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
        }
        drop(to_lanes);
        let written = writing.join().map_err(|_| Error::internal("writing the zip ended early"))?;
        read.and(written)
    })
}

fn append<W: Write>(
    contents: &Contents,
    chosen: &[usize],
    mut zip: ModuleZip<W>,
    lanes: &[Receiver<Deflated>],
) -> Result<(W, Sums)> {
    for (turn, at) in chosen.iter().enumerate() {
        let deflated = lanes[turn % LANES].recv().map_err(|_| Error::internal("compressing ended early"))?;
        zip.append(name(contents, *at), &deflated)?;
    }
    zip.finish()
}
