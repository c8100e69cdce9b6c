//! What all jobs on one repository share: its folder, what is known of it, and who may fetch.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use git2::Repository;

use super::asking::{Asking, Turn};
use super::folder::Folder;
use super::history::{History, Reach};
use super::history_file::{self, Saved};
use super::known::Known;
use super::server::Server;
use super::transport::Base;
use super::usage::LastUse;
use crate::error::Result;

/// What a server said of itself and where.
pub type Greeted = Arc<Mutex<Option<(Server, Base)>>>;

/// One per repository and process.
pub struct Shared {
    path: PathBuf,
    usage: LastUse,
    folder: OnceLock<Folder>,
    state: Mutex<State>,
    /// Held while refs are asked for.
    asking: Asking,
    /// Held while packs are fetched.
    fetching: Mutex<()>,
    /// Held while the folder is made, and nothing else is waited for.
    making: Mutex<()>,
    pub greeted: Greeted,
    /// The same of its mirrors, by their addresses: a mirror may get another one.
    mirrors_greeted: Mutex<HashMap<String, Greeted>>,
    /// Since when the origin is out of reach, where a mirror takes its place.
    out_of_reach: Mutex<Option<DateTime<Utc>>>,
    /// Counts packs, so that whoever has the repository open knows that it must open it again.
    packs: AtomicU64,
    /// Whether all files of some commit are here: of another one few are missing.
    has_files: AtomicBool,
    /// The last job's open repository and how many packs it had: opening one takes longer than most questions do.
    idle: Mutex<Option<(u64, Repository)>>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    history: Option<Arc<History>>,
    /// How far the file holds the history; `None` if there is none.
    saved: Option<Saved>,
    view: Option<Arc<View>>,
}

/// The history as some refs show it.
pub struct View {
    pub known: Arc<Known>,
    pub history: Arc<History>,
    /// What heads and tags reach; what HEAD alone reaches is no module's revision.
    pub reach: Reach,
}

impl Shared {
    /// The address is shown to people: it holds no password.
    pub fn new(path: PathBuf, url: String) -> Shared {
        Shared {
            usage: LastUse::new(Folder::used_file(&path), url),
            path,
            folder: OnceLock::new(),
            state: Mutex::default(),
            asking: Asking::default(),
            fetching: Mutex::default(),
            making: Mutex::default(),
            greeted: Arc::default(),
            mirrors_greeted: Mutex::default(),
            out_of_reach: Mutex::default(),
            packs: AtomicU64::new(0),
            has_files: AtomicBool::new(false),
            idle: Mutex::default(),
        }
    }

    pub fn mirror_greeted(&self, url: &str) -> Greeted {
        lock(&self.mirrors_greeted).entry(url.to_owned()).or_default().clone()
    }

    /// When the origin last failed, if it has not answered since.
    pub fn failed_at(&self) -> Option<DateTime<Utc>> {
        *lock(&self.out_of_reach)
    }

    /// Notes whether the origin answered, and gives what was noted before.
    pub fn note_origin(&self, failed_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        std::mem::replace(&mut *lock(&self.out_of_reach), failed_at)
    }

    /// Only the holder may ask for refs.
    pub fn asking(&self) -> Turn<'_> {
        self.asking.turn()
    }

    /// How often asking for refs has failed so far.
    pub fn failures(&self) -> u64 {
        self.asking.failures()
    }

    /// Only the holder may fetch packs.
    pub fn fetching(&self) -> MutexGuard<'_, ()> {
        lock(&self.fetching)
    }

    /// The folder, made when it is first needed: an unknown repository leaves none behind.
    pub fn folder(&self) -> Result<&Folder> {
        let _making = lock(&self.making);
        if self.folder.get().is_none() {
            let folder = Folder::prepare(self.path.clone())?;
            let _ = self.folder.set(folder);
        }
        Ok(self.folder.get().expect("just set"))
    }

    /// The folder for who keeps no objects in it; rests of a process that was killed are removed.
    pub fn place(&self) -> Result<&Path> {
        let _making = lock(&self.making);
        Folder::clear(&self.path)?;
        Ok(&self.path)
    }

    /// Notes beside the repository that it is used now, if it is on disk at all.
    pub fn used(&self, now: DateTime<Utc>) {
        if self.folder.get().is_some() || self.path.is_dir() {
            self.usage.note(now);
        }
    }

    pub fn packs(&self) -> u64 {
        self.packs.load(Ordering::Acquire)
    }

    pub fn pack_came(&self) {
        self.packs.fetch_add(1, Ordering::AcqRel);
    }

    pub fn has_files(&self) -> bool {
        self.has_files.load(Ordering::Acquire)
    }

    /// All files of a commit were listed here.
    pub fn files_came(&self) {
        self.has_files.store(true, Ordering::Release);
    }

    /// A repository that a job before has left open, for one job alone.
    pub fn lend(&self) -> Option<(u64, Repository)> {
        lock(&self.idle).take()
    }

    /// Keeps an open repository for the next job, if it shows all packs.
    pub fn give_back(&self, packs: u64, repository: Repository) {
        if packs == self.packs() {
            *lock(&self.idle) = Some((packs, repository));
        }
    }

    /// The refs as last heard of, in this process or before.
    pub fn known(&self) -> Option<Arc<Known>> {
        let mut state = lock(&self.state);
        if state.known.is_none() {
            state.known = Known::load(&Folder::refs_file(&self.path)).map(Arc::new);
        }
        state.known.clone()
    }

    /// Keeps refs that were just heard.
    pub fn heard(&self, mut known: Known) -> Arc<Known> {
        let mut state = lock(&self.state);
        if let Some(old) = &state.known {
            known.adopt(old);
        }
        let known = Arc::new(known);
        state.known = Some(Arc::clone(&known));
        known
    }

    pub fn history(&self) -> Arc<History> {
        let mut state = lock(&self.state);
        if let Some(history) = &state.history {
            return Arc::clone(history);
        }
        let (history, saved) = history_file::load(&Folder::history_file(&self.path)).unzip();
        let history = Arc::new(history.unwrap_or_default());
        (state.history, state.saved) = (Some(Arc::clone(&history)), saved);
        history
    }

    /// Keeps a history that the one before grew to. Only who may fetch calls this.
    pub fn grown(&self, old: &History, history: Arc<History>) -> Result<()> {
        let file = Folder::history_file(&self.path);
        let saved = lock(&self.state).saved;
        let saved = match saved {
            Some(saved) => history_file::append(saved, old, &history, &file)?,
            None => history_file::save(&history, &file)?,
        };
        let mut state = lock(&self.state);
        (state.history, state.saved) = (Some(history), Some(saved));
        Ok(())
    }

    /// The history as these refs show it; `None` if it is not all here.
    pub fn view(&self, known: &Arc<Known>) -> Option<Arc<View>> {
        let history = self.history();
        let kept = lock(&self.state).view.clone();
        if let Some(view) = kept.filter(|view| Arc::ptr_eq(&view.history, &history) && view.known.same_refs(known)) {
            return Some(view);
        }
        if !known.tips().all(|tip| history.holds(tip.id)) {
            return None;
        }
        let reach = history.reach(known.heads_and_tags().map(|tip| tip.id));
        let view = Arc::new(View { known: Arc::clone(known), history, reach });
        lock(&self.state).view = Some(Arc::clone(&view));
        Some(view)
    }
}

/// A panic elsewhere leaves nothing half-made behind these locks.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
