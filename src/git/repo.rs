//! `Repo` over a remote git repository: what is not here yet is fetched.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use git2::{ErrorCode, ObjectType, Repository};

use super::acquire::Extent;
use super::attributes::Attributes;
use super::borrowed;
use super::convert::Conversion;
use super::folder::Folder;
use super::growth::{oid, unreadable};
use super::history::{History, Named};
use super::known::Known;
use super::objects::{commit_head, dated, signature, tag_head};
use super::packed::Packs;
use super::route::{Route, is_out_of_reach};
use super::shared::{Shared, View};
use super::trees::{self, Look, Missing};
use crate::error::{Error, Result};
use crate::ports::{Clock, Contents, FileMode, Found, Reading, Repo, TreeFile, Via};
use crate::spec::info::{Commit, ObjectId, Signature};
use crate::spec::refs::Refs;

/// A repository opened for one job.
pub struct GitRepo {
    pub(super) url: String,
    pub(super) route: Route,
    /// The mirror that the refs were heard of.
    pub(super) heard_via: RefCell<Option<Via>>,
    /// When they were asked for.
    pub(super) heard_at: Cell<Option<DateTime<Utc>>>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    /// The largest pack that is taken in, in bytes.
    pub(super) pack_limit: u64,
    /// The repository on disk and how many packs it had when it was opened.
    pub(super) opened: Cell<Option<(u64, Repository)>>,
    pub(super) listed: RefCell<Option<Listed>>,
}

/// The last listing: which files are converted on their way out, and where the others lie.
pub(super) struct Listed {
    commit: ObjectId,
    folder: String,
    conversions: HashMap<String, Conversion>,
    packs: Packs,
}

impl Repo for GitRepo {
    fn url(&self) -> &str {
        &self.url
    }

    fn refs(&self, max_age: Duration) -> Result<Arc<Refs>> {
        let known = self.known(max_age)?;
        // Not where `known` is asked for something else: what is told rests on the refs that were given.
        self.heard_at.set(Some(known.asked()));
        Ok(Arc::clone(known.refs()))
    }

    fn hear(&self) -> Result<(Option<Arc<Refs>>, Arc<Refs>)> {
        let asking = self.shared.asking();
        let before = self.shared.known().map(|known| Arc::clone(known.refs()));
        let heard = asking.note(self.ask())?;
        Ok((before, Arc::clone(heard.refs())))
    }

    fn heard_at(&self) -> Option<DateTime<Utc>> {
        self.heard_at.get()
    }

    fn via(&self) -> Option<Via> {
        match self.heard_via.borrow().clone() {
            // The refs may be worth less than the mirror is.
            Some(heard) if heard.is_doubtful() => Some(heard),
            heard => self.route.via().or(heard),
        }
    }

    fn commit(&self, id: ObjectId) -> Result<Option<Commit>> {
        let known = self.known(Duration::MAX)?;
        if let Some(answer) = self.commit_here(id)? {
            return Ok(answer);
        }
        if known.wanted_for(id).is_none() {
            let view = self.view()?;
            return view.history.peel(id).map(|position| view.history.commit(position)).transpose();
        }
        self.fetch_commit(&known, id)
    }

    fn find(&self, digits: &str) -> Result<Found> {
        let view = self.view()?;
        Ok(match view.history.find(digits, &view.reach) {
            Named::Nothing => Found::None,
            Named::Commit(position) => Found::One(view.history.commit(position)?),
            Named::Many => Found::Ambiguous,
        })
    }

    fn ancestors(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<bool>> {
        let (history, position) = self.history_of(of)?;
        let candidates: Vec<_> = candidates.iter().map(|candidate| history.peel(*candidate)).collect();
        Ok(history.ancestors(position, &candidates))
    }

    fn distances(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<Option<u32>>> {
        let (history, position) = self.history_of(of)?;
        let candidates: Vec<_> = candidates.iter().map(|candidate| history.peel(*candidate)).collect();
        Ok(history.distances(position, &candidates))
    }

    fn signature(&self, commit: ObjectId) -> Result<Option<Signature>> {
        // What is not here yet comes with this question.
        self.commit(commit)?.ok_or_else(|| unknown(commit))?;
        self.with(|repository| {
            let odb = repository.odb().map_err(unreadable)?;
            Ok(signature(odb.read(oid(commit)).map_err(unreadable)?.data()))
        })
    }

    fn dated(&self, time: DateTime<Utc>) -> Result<Vec<ObjectId>> {
        let view = self.view()?;
        Ok(view.history.dated(time.timestamp(), &view.reach))
    }

    fn read_file(&self, commit: ObjectId, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let look = |repository: &Repository| trees::blob_at(repository, commit, path);
        let extent = if path.contains('/') { Extent::Trees } else { Extent::RootTree };
        let Some((id, size)) = self.complete(commit, extent, &look)? else { return Ok(None) };
        if size > limit {
            return Err(Error::bad_gateway(format!("{path} has {size} bytes (expected at most {limit})")));
        }
        self.with(|repository| read_blob(repository, id)).map(|data| Some(data.into()))
    }

    fn files(&self, commit: ObjectId, folder: &str) -> Result<Vec<TreeFile>> {
        let look = |repository: &Repository| {
            let listing = match trees::list(repository, commit, folder)? {
                Look::Here(listing) => listing,
                Look::Missing(missing) => return Ok(Look::Missing(missing)),
            };
            let odb = repository.odb().map_err(unreadable)?;
            let missing = trees::missing_blobs(&odb, &listing);
            Ok(if missing.is_empty() { Look::Here(listing) } else { Look::Missing(Missing::Blobs(missing)) })
        };
        let listing = self.complete(commit, Extent::Files, &look)?;
        self.shared.files_came();
        let (files, conversions) = self.with(|repository| measured(repository, commit, folder, listing.entries))?;
        let packs = Packs::open(self.shared.folder()?.path());
        *self.listed.borrow_mut() = Some(Listed { commit, folder: folder.to_owned(), conversions, packs });
        Ok(files)
    }

    fn content(&self, commit: ObjectId, folder: &str, file: &TreeFile) -> Result<Contents> {
        if file.mode == FileMode::Submodule {
            return Ok(Contents::Plain(Bytes::new()));
        }
        let is_listed = matches!(&*self.listed.borrow(), Some(last) if last.commit == commit && last.folder == folder);
        if !is_listed {
            self.files(commit, folder)?;
        }
        let listed = self.listed.borrow();
        let conversion = listed.as_ref().and_then(|last| last.conversions.get(&file.path));
        if let (Some(last), None) = (&*listed, conversion)
            && let Some(packed) = last.packs.blob(file.id)?.filter(|packed| packed.size() == file.size)
        {
            return Ok(Contents::Packed(packed));
        }
        let data = self.with(|repository| read_blob(repository, file.id))?;
        Ok(Contents::Plain(match conversion {
            Some(conversion) => conversion.apply(data, file.id).into(),
            None => data.into(),
        }))
    }
}

impl GitRepo {
    /// The refs, asked for again if they are older than `max_age`.
    pub(super) fn known(&self, max_age: Duration) -> Result<Arc<Known>> {
        let known = self.known_by_anybody(max_age)?;
        self.heard_via.replace(known.via().cloned());
        Ok(known)
    }

    fn known_by_anybody(&self, max_age: Duration) -> Result<Arc<Known>> {
        let fresh = || self.shared.known().filter(|known| known.is_fresh(self.clock.now(), max_age));
        if let Some(known) = fresh() {
            return Ok(known);
        }
        let failures = self.shared.failures();
        let asking = self.shared.asking();
        // Somebody else may have asked while this job waited.
        if let Some(known) = fresh() {
            return Ok(known);
        }
        // Where many wait for a dead server, each would else wait as long as all before it together.
        let asked = match asking.failed_since(failures) {
            Some(error) => Err(error),
            None => asking.note(self.ask()),
        };
        match (asked, self.shared.known()) {
            // However old they are, they will do.
            (Err(error), Some(known)) if max_age == Duration::MAX && is_out_of_reach(&error) => Ok(known),
            (asked, _) => asked,
        }
    }

    /// Asks for the refs, however fresh the known ones are.
    pub(super) fn ask(&self) -> Result<Arc<Known>> {
        let asked = self.clock.now();
        let (raw, via) = self.route.refs()?;
        let known = match via {
            Some(via) if via.reading == Reading::Instead => self.borrowed(Known::new(raw, asked), via),
            via => Known::new(raw, asked).heard_via(via),
        };
        let known = self.shared.heard(known);
        known.save(&Folder::refs_file(self.shared.folder()?.path()))?;
        Ok(known)
    }

    /// What a mirror said, together with what is known better.
    fn borrowed(&self, heard: Known, via: Via) -> Known {
        borrowed::together(self.shared.known().as_deref(), heard, via, &self.shared.history())
    }

    /// The whole history of the refs as last heard of.
    fn view(&self) -> Result<Arc<View>> {
        let known = self.known(Duration::MAX)?;
        match self.shared.view(&known) {
            Some(view) => Ok(view),
            None => {
                let _fetching = self.shared.fetching();
                self.view_while_fetching()
            }
        }
    }

    /// A history that holds a commit, and where it stands there. A commit of the index has all its ancestors
    /// there, so no newer refs can change what is said of them.
    fn history_of(&self, commit: ObjectId) -> Result<(Arc<History>, u32)> {
        let mut history = self.shared.history();
        if history.peel(commit).is_none() {
            history = Arc::clone(&self.view()?.history);
        }
        let position = history.peel(commit).ok_or_else(|| unknown(commit))?;
        Ok((history, position))
    }

    /// Runs a job on the repository on disk, opened again if packs came since.
    pub(super) fn with<T>(&self, job: impl FnOnce(&Repository) -> Result<T>) -> Result<T> {
        let packs = self.shared.packs();
        let repository = match self.opened.take().or_else(|| self.shared.lend()) {
            Some((opened, repository)) if opened == packs => repository,
            _ => self.shared.folder()?.open()?,
        };
        let result = job(&repository);
        self.opened.set(Some((packs, repository)));
        result
    }

    /// What an object is, if that can be said without fetching: `Some(None)` if it is no commit.
    pub(super) fn commit_here(&self, id: ObjectId) -> Result<Option<Option<Commit>>> {
        let history = self.shared.history();
        if history.holds(id) {
            return Ok(Some(history.peel(id).map(|position| history.commit(position)).transpose()?));
        }
        self.with(|repository| peel(repository, id))
    }
}

impl Drop for GitRepo {
    fn drop(&mut self) {
        if let Some((packs, repository)) = self.opened.take() {
            self.shared.give_back(packs, repository);
        }
        self.shared.used(self.clock.now());
    }
}

pub(super) fn unknown(id: ObjectId) -> Error {
    Error::not_found(format!("unknown revision {id}"))
}

fn peel(repository: &Repository, id: ObjectId) -> Result<Option<Option<Commit>>> {
    let odb = repository.odb().map_err(unreadable)?;
    let mut next = id;
    loop {
        let kind = match odb.read_header(oid(next)) {
            Ok((_, kind)) => kind,
            Err(cause) if cause.code() == ErrorCode::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause)),
        };
        if !matches!(kind, ObjectType::Commit | ObjectType::Tag) {
            return Ok(Some(None));
        }
        let object = odb.read(oid(next)).map_err(unreadable)?;
        if kind == ObjectType::Commit {
            let head = commit_head(object.data()).ok_or_else(|| unknown(next))?;
            return Ok(Some(Some(dated(next, head.seconds)?)));
        }
        next = tag_head(object.data()).ok_or_else(|| unknown(next))?.target;
    }
}

fn read_blob(repository: &Repository, id: ObjectId) -> Result<Vec<u8>> {
    let odb = repository.odb().map_err(unreadable)?;
    Ok(odb.read(oid(id)).map_err(unreadable)?.data().to_vec())
}

/// The files with their sizes after conversion, and the conversions.
fn measured(
    repository: &Repository,
    commit: ObjectId,
    folder: &str,
    entries: Vec<trees::Entry>,
) -> Result<(Vec<TreeFile>, HashMap<String, Conversion>)> {
    let odb = repository.odb().map_err(unreadable)?;
    let attributes = Attributes::at(repository, commit)?;
    let mut conversions = HashMap::new();
    let mut files = Vec::with_capacity(entries.len());
    for trees::Entry { path, mode, id } in entries {
        let size = match mode {
            FileMode::Submodule => 0,
            FileMode::Symlink => odb.read_header(oid(id)).map_err(unreadable)?.0 as u64,
            FileMode::Regular | FileMode::Executable => {
                let from_root = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
                let conversion = attributes.of(&from_root)?;
                if conversion.is_none() {
                    odb.read_header(oid(id)).map_err(unreadable)?.0 as u64
                } else {
                    let size = conversion.apply(read_blob(repository, id)?, id).len() as u64;
                    conversions.insert(path.clone(), conversion);
                    size
                }
            }
        };
        files.push(TreeFile { path, mode, id, size });
    }
    Ok((files, conversions))
}
