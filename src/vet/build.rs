//! The module zip of a version: which files of the tree go in, under which names.
//! Rules: `Zip` in `cmd/go/internal/modfetch/coderepo.go`; what a zip may hold is `spec::zip`'s.
//! The go command also refuses a module whose go line is newer than itself; modvet has no such limit.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;

use super::budget::{Budget, Share};
use super::module::{Module, Root};
use crate::error::{Error, Result};
use crate::ports::{Contents, FileMode, Packed, TreeFile};
use crate::spec::version::Version;
use crate::spec::zip::{self, Candidate, Compressor, Deflated, FileKind, Inflated, Inflater, ModuleZip, Sums};

const LICENSE: &str = "LICENSE";

/// How many files are worked on at a time.
const LANES: usize = 2;
/// How many files wait before a lane, and how many behind it. What bounds memory is the budget.
const WAITING: usize = 16;
/// Up to so many bytes a file is deflated anew whose stream is not fit for a zip; its memory is not taken from the budget.
const ANEW: u64 = 1 << 20;

/// The module's files as the tree has them; not all of them need go into the zip.
struct Listing {
    root: Root,
    files: Vec<TreeFile>,
    /// The repository's own, for a module in a folder that has none.
    license: Option<Bytes>,
}

/// A file on its way to a lane.
struct Raw<'b> {
    contents: Contents,
    share: Share<'b>,
}

/// A file on its way from a lane into the zip.
struct Ready<'b> {
    form: Form,
    _share: Share<'b>,
}

enum Form {
    Deflated(Deflated),
    /// As the repository keeps it.
    Packed(Inflated, Packed),
}

/// Writes the zip of `version` under exactly that name, also if it is a wrong pseudo-version.
/// What is held in memory meanwhile is taken from `budget`.
pub fn module_zip<W: Write + Send>(
    module: &Module<'_>,
    version: &Version,
    out: W,
    budget: &Budget,
) -> Result<(W, Sums)> {
    let suffix = module.place.suffix();
    if !suffix.matches(version.semver()) {
        let expected = suffix.expected();
        return Err(Error::not_found(format!("invalid version: should be {expected}, not {}", version.major())));
    }
    let listing = list(module, version)?;
    let chosen = choose(module, &listing)?;
    write(module, &listing, &chosen, ModuleZip::new(out, module.place.module(), version), budget)
}

fn list(module: &Module<'_>, version: &Version) -> Result<Listing> {
    let root = module.root(version.as_str())?;
    let mut files = module.snapshot.repo.files(root.commit, &root.folder)?;
    // A submodule is an empty folder in what git archives.
    files.retain(|file| file.mode != FileMode::Submodule);
    let inherits = !root.folder.is_empty() && !files.iter().any(|file| file.path == LICENSE);
    let license = if inherits { module.read(root.commit, LICENSE)? } else { None };
    Ok(Listing { root, files, license })
}

/// The files that go in, by their place in the tree's order; the inherited licence comes last.
fn choose(module: &Module<'_>, listing: &Listing) -> Result<Vec<usize>> {
    let mut candidates: Vec<Candidate<'_>> = listing
        .files
        .iter()
        .map(|file| Candidate {
            path: &file.path,
            kind: if file.mode == FileMode::Symlink { FileKind::Symlink } else { FileKind::Regular },
            size: file.size,
        })
        .collect();
    if let Some(license) = &listing.license {
        candidates.push(Candidate { path: LICENSE, kind: FileKind::Regular, size: license.len() as u64 });
    }
    // Which vendor rule holds is read from go.mod as it stands in the zip, attributes applied.
    let go_mod = listing.files.iter().position(|file| file.path == "go.mod" && file.mode != FileMode::Symlink);
    let small = |at: &usize| listing.files[*at].size <= zip::MAX_GO_MOD;
    let go_mod = go_mod.filter(small).map(|at| content(module, listing, at)?.plain()).transpose()?;
    let checked = zip::check(&candidates, go_mod.as_deref());
    checked.error().map_or(Ok(checked.valid), Err)
}

fn content(module: &Module<'_>, listing: &Listing, at: usize) -> Result<Contents> {
    match (listing.files.get(at), &listing.license) {
        (Some(file), _) => module.snapshot.repo.content(listing.root.commit, &listing.root.folder, file),
        (None, Some(license)) => Ok(Contents::Plain(license.clone())),
        (None, None) => Err(Error::internal("a file was chosen that is not in the tree")),
    }
}

fn name(listing: &Listing, at: usize) -> &str {
    listing.files.get(at).map_or(LICENSE, |file| &file.path)
}

/// Reads here, works on lanes in turn, writes in order on a thread of its own.
fn write<W: Write + Send>(
    module: &Module<'_>,
    listing: &Listing,
    chosen: &[usize],
    zip: ModuleZip<W>,
    budget: &Budget,
) -> Result<(W, Sums)> {
    thread::scope(|scope| {
        let mut to_lanes: Vec<SyncSender<Raw<'_>>> = Vec::new();
        let mut from_lanes: Vec<Receiver<Result<Ready<'_>>>> = Vec::new();
        for _ in 0..LANES {
            let (to_lane, raw) = sync_channel(WAITING);
            let (done, from_lane) = sync_channel(WAITING);
            scope.spawn(move || lane(&raw, &done));
            to_lanes.push(to_lane);
            from_lanes.push(from_lane);
        }
        let writing = scope.spawn(move || append(listing, chosen, zip, &from_lanes));
        let mut read = Ok(());
        for (turn, at) in chosen.iter().enumerate() {
            match raw(module, listing, *at, budget).map(|raw| to_lanes[turn % LANES].send(raw)) {
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

/// A file with its share of memory, which is waited for before it is read.
fn raw<'b>(module: &Module<'_>, listing: &Listing, at: usize, budget: &'b Budget) -> Result<Raw<'b>> {
    let share = budget.take(listing.files.get(at).map_or(0, |file| file.size));
    let contents = content(module, listing, at)?;
    let share = if contents.held() > 0 { share } else { budget.take(0) };
    Ok(Raw { contents, share })
}

fn lane<'b>(raw: &Receiver<Raw<'b>>, done: &SyncSender<Result<Ready<'b>>>) {
    let (mut compressor, mut inflater) = (Compressor::default(), Inflater::default());
    for Raw { contents, share } in raw {
        let form = match contents {
            Contents::Plain(bytes) => Ok(Form::Deflated(compressor.compress(&bytes))),
            Contents::Packed(packed) => taken_over(packed, &mut compressor, &mut inflater),
        };
        if done.send(form.map(|form| Ready { form, _share: share })).is_err() {
            return;
        }
    }
}

fn taken_over(packed: Packed, compressor: &mut Compressor, inflater: &mut Inflater) -> Result<Form> {
    match inflater.inspect(packed.reader(), packed.size()) {
        Ok(inflated) => Ok(Form::Packed(inflated, packed)),
        // Longer than it need be; if it is damaged, it is found out here.
        Err(_) if packed.size() <= ANEW => Ok(Form::Deflated(compressor.compress(&Contents::Packed(packed).plain()?))),
        Err(cause) => Err(Error::internal("a file of a git repository cannot be read").because(cause)),
    }
}

fn append<W: Write>(
    listing: &Listing,
    chosen: &[usize],
    mut zip: ModuleZip<W>,
    lanes: &[Receiver<Result<Ready<'_>>>],
) -> Result<(W, Sums)> {
    for (turn, at) in chosen.iter().enumerate() {
        let ready = lanes[turn % LANES].recv().map_err(|_| Error::internal("compressing ended early"))??;
        let name = name(listing, *at);
        match &ready.form {
            Form::Deflated(deflated) => zip.append(name, deflated)?,
            Form::Packed(inflated, packed) => zip.append_inflated(name, inflated, packed.reader())?,
        }
    }
    zip.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const TEXT: &[u8] = b"package m\n";

    /// What becomes of a file of so many bytes that lies in a pack as this stream.
    fn form(stream: &[u8], size: u64) -> Result<Form> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(stream).expect("written");
        taken_over(Packed::new(Arc::new(file), 0, size), &mut Compressor::default(), &mut Inflater::default())
    }

    #[test]
    fn a_stream_is_taken_over_unless_it_is_longer_than_it_need_be_or_damaged() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(TEXT).expect("memory");
        let mut stream = encoder.finish().expect("memory");
        assert!(matches!(form(&stream, 10), Ok(Form::Packed(..))));
        assert!(form(&stream, 11).is_err(), "another size");
        *stream.last_mut().expect("a checksum") ^= 1;
        assert!(form(&stream, 10).is_err(), "another checksum");
        // Stored blocks of no bytes, then the end of an empty file and its checksum.
        let long = [b"\x78\x9c".as_slice(), &b"\0\0\0\xff\xff".repeat(1000), b"\x03\0\0\0\0\x01"].concat();
        assert!(matches!(form(&long, 0), Ok(Form::Deflated(_))));
    }
}
