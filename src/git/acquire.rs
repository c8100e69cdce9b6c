//! Getting what is missing: from the smallest request that may do to the largest.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::Repository;

use super::growth::{Growth, grow, unreadable};
use super::heads::Heads;
use super::history::History;
use super::history_pack::HistoryPack;
use super::known::Known;
use super::pack::{PackFile, Taken};
use super::remote::{Failure, Filter, Order};
use super::repo::{GitRepo, unknown};
use super::shared::View;
use super::trees::{Look, Missing};
use crate::error::{Error, Result};
use crate::spec::info::{Commit, ObjectId};

/// How many commits a server is told of at most.
const HAVES: usize = 512;
/// Of how many branches the way down is told too, in case they were forced elsewhere.
const TRAILS: usize = 16;
/// How many blobs are asked for by id at most; the whole tree is one id.
const BLOBS: usize = 4096;

/// How much of a commit is worth fetching for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is looked for lies at the root.
    RootTree,
    /// All trees, so that the next path is found without fetching, and single files.
    Trees,
    /// All files.
    Files,
}

/// The requests for the files of a commit, the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The commit's own tree and nothing else.
    RootTree,
    /// The commit's trees without file contents.
    Trees,
    /// Single file contents by their ids.
    Blobs,
    /// The commit with all its files.
    Commit,
    /// The nearest ref above with the history down to the commit: some servers give out only what refs hold.
    Ref,
    Everything,
}

const STEPS: [Step; 6] = [Step::RootTree, Step::Trees, Step::Blobs, Step::Commit, Step::Ref, Step::Everything];

impl GitRepo {
    /// Looks until what is looked for is here.
    pub(super) fn complete<T>(
        &self,
        commit: ObjectId,
        extent: Extent,
        look: &dyn Fn(&Repository) -> Result<Look<T>>,
    ) -> Result<T> {
        if let Look::Here(value) = self.with(look)? {
            return Ok(value);
        }
        let _fetching = self.shared.fetching();
        let mut refused = None;
        for step in STEPS {
            // Somebody else may have fetched it while this job waited.
            let missing = match self.with(look)? {
                Look::Here(value) => return Ok(value),
                Look::Missing(missing) => missing,
            };
            let Some(order) = self.order(step, commit, extent, missing)? else { continue };
            match self.fetch(&order) {
                Ok(()) => {}
                Err(Failure::Refused(message)) => {
                    let said = self.route.without_secrets(&message);
                    tracing::debug!(url = %self.url, ?step, "git: refused: {said}");
                    refused = Some(message);
                }
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
        match (self.with(look)?, refused) {
            (Look::Here(value), _) => Ok(value),
            (Look::Missing(_), Some(message)) => Err(Failure::Refused(message).into_error(&self.route.host())),
            (Look::Missing(_), None) => Err(unknown(commit)),
        }
    }

    /// What a step asks for; `None` if it does not help.
    fn order(&self, step: Step, commit: ObjectId, extent: Extent, missing: Missing) -> Result<Option<Order>> {
        let known = self.known(Duration::MAX)?;
        let commit_order = |filter| {
            let want = known.wanted_for(commit).unwrap_or(commit);
            Order { wants: vec![want], depth: Some(1), filter, ..Order::default() }
        };
        Ok(match (step, missing) {
            // In older protocols only what refs hold may be asked for.
            (Step::RootTree, Missing::RootTree(id))
                if extent == Extent::RootTree && self.route.server()?.gives_any() =>
            {
                Some(Order { wants: vec![id], filter: Some(Filter::Trees), ..Order::default() })
            }
            (Step::Trees, Missing::RootTree(_) | Missing::Trees)
                if (extent != Extent::Files || self.shared.has_files()) && self.route.server()?.filters() =>
            {
                Some(commit_order(Some(Filter::Blobs)))
            }
            (Step::Blobs, Missing::Blobs(ids)) if ids.len() <= BLOBS => Some(Order { wants: ids, ..Order::default() }),
            (Step::RootTree | Step::Trees | Step::Blobs, _) => None,
            (Step::Commit, _) => Some(commit_order(None)),
            (Step::Ref, _) => self.ref_order(commit)?,
            (Step::Everything, _) => {
                let wants = unique(known.tips().map(|tip| tip.id));
                Some(Order { wants, ..Order::default() })
            }
        })
    }

    fn ref_order(&self, commit: ObjectId) -> Result<Option<Order>> {
        let view = self.view_while_fetching()?;
        let position = view.history.position(commit).ok_or_else(|| unknown(commit))?;
        let tips = || view.known.tips().filter_map(|tip| Some((view.history.peel(tip.id)?, tip.id)));
        let nearest = view.history.nearest(position, tips().map(|(position, _)| position));
        // What no ref reaches any more is nowhere to be had.
        let (tip, generations) = nearest.ok_or_else(|| unknown(commit))?;
        Ok(tips().find(|(position, _)| *position == tip).map(|(_, id)| Order {
            wants: vec![id],
            depth: Some(generations + 1),
            ..Order::default()
        }))
    }

    /// Fetches a commit that a ref holds or peels to, and its trees, which are mostly asked for next.
    pub(super) fn fetch_commit(&self, known: &Arc<Known>, id: ObjectId) -> Result<Option<Commit>> {
        let _fetching = self.shared.fetching();
        if let Some(answer) = self.commit_here(id)? {
            return Ok(answer);
        }
        let want = known.wanted_for(id).ok_or_else(|| unknown(id))?;
        let filter = Some(Filter::Blobs);
        match self.fetch_filtered(Order { wants: vec![want], depth: Some(1), filter, ..Order::default() }) {
            Ok(()) => {}
            Err(Failure::Failed(error)) => return Err(error),
            Err(Failure::Refused(_)) => {
                self.view_while_fetching()?;
            }
        }
        match self.commit_here(id)? {
            Some(answer) => Ok(answer),
            // A filter may leave out even what was asked for, if it is a tree or a blob.
            None if known.only_tags_hold(id) => Ok(None),
            None => Err(unknown(id)),
        }
    }

    /// The whole history of the refs as last heard of, for the holder of `fetching`.
    pub(super) fn view_while_fetching(&self) -> Result<Arc<View>> {
        match self.view_of(&self.known(Duration::MAX)?) {
            Ok(view) => Ok(view),
            Err(Failure::Failed(error)) => Err(error),
            // A ref may have moved since the refs were asked for.
            Err(Failure::Refused(_)) => {
                // Whoever waits for a turn meanwhile is told what comes of it.
                let asking = self.shared.asking();
                let asked = asking.note(self.ask())?;
                self.view_of(&asked).map_err(|failure| failure.into_error(&self.route.host()))
            }
        }
    }

    fn view_of(&self, known: &Arc<Known>) -> Result<Arc<View>, Failure> {
        if let Some(view) = self.shared.view(known) {
            return Ok(view);
        }
        let old = self.shared.history();
        let begun = Instant::now();
        let history = self.extend(&old, known)?;
        let (commits, more) = (history.len(), history.len() - old.len());
        tracing::info!(url = %self.url, commits, more, ms = begun.elapsed().as_millis() as u64, "git: history grew");
        self.shared.grown(&old, Arc::new(history))?;
        let view = self.shared.view(known);
        view.ok_or_else(|| Error::internal("the history index lacks a ref").into())
    }

    /// The history with all that the refs hold, fetched where it is not here.
    fn extend(&self, history: &History, known: &Known) -> Result<History, Failure> {
        let tips = unique(known.tips().map(|tip| tip.id));
        let wants: Vec<ObjectId> = tips.iter().copied().filter(|id| !history.holds(*id)).collect();
        let haves = haves(history, &tips);
        let mut others = HashSet::new();
        // Nothing may be missing: the index was lost, or the process died before it was written.
        let mut orders = vec![
            Order { wants: wants.clone(), filter: Some(Filter::Trees), ..Order::default() },
            Order { wants, haves, filter: Some(Filter::Trees), ..Order::default() },
        ];
        let mut fetched = None;
        loop {
            let grown = self.with(|repository| {
                let odb = repository.odb().map_err(unreadable)?;
                grow(history, &odb, fetched.as_ref().unwrap_or(&Heads::default()), &tips, &others)
            })?;
            let missing = match grown {
                Growth::Whole(history) => return Ok(history),
                Growth::Missing(missing) => missing,
            };
            // Filtered packs leave out a tree or blob even if it is what a tag is on.
            if fetched.is_some() && tips.contains(&missing) && known.only_tags_hold(missing) {
                others.insert(missing);
                continue;
            }
            let Some(order) = orders.pop() else {
                return Err(Error::bad_gateway(format!("{}: git history lacks {missing}", self.route.host())).into());
            };
            if order.haves.is_empty() {
                orders.clear();
            }
            fetched = Some(self.fetch_history(order)?);
        }
    }

    /// Fetches a filtered pack, or an unfiltered one from a server that offers filters and refuses this one.
    fn fetch_filtered(&self, order: Order) -> Result<(), Failure> {
        match self.fetch(&order) {
            Err(Failure::Refused(_)) if self.route.server()?.filters() => self.fetch(&Order { filter: None, ..order }),
            result => result,
        }
    }

    /// Fetches a pack of commits and tags, and gives what the history needs of them; an unfiltered one from a server
    /// that offers filters and refuses this one.
    fn fetch_history(&self, order: Order) -> Result<Heads, Failure> {
        match self.pack(&order, HistoryPack::new, HistoryPack::write) {
            Err(Failure::Refused(_)) if self.route.server()?.filters() => {
                self.fetch(&Order { filter: None, ..order })?;
                Ok(Heads::default())
            }
            pack => {
                let (taken, heads) = pack?.finish()?;
                self.take(taken)?;
                Ok(heads)
            }
        }
    }

    /// Fetches one pack, whole or not at all.
    fn fetch(&self, order: &Order) -> Result<(), Failure> {
        let pack = self.pack(order, PackFile::new, PackFile::write)?;
        Ok(self.take(pack.finish()?)?)
    }

    /// What came of an order, not yet finished.
    fn pack<P>(
        &self,
        order: &Order,
        new: impl Fn(&Path, u64) -> Result<P>,
        write: impl Fn(&mut P, &[u8]) -> Result<()>,
    ) -> Result<P, Failure> {
        let folder = self.shared.folder()?;
        self.route.ask(|remote| {
            // What came of a pack that broke off goes with it.
            let mut pack = new(folder.path(), self.pack_limit)?;
            let result = remote.fetch(order, &mut |bytes| write(&mut pack, bytes));
            if matches!(result, Err(Failure::Failed(_))) {
                remote.forget();
            }
            result.map(|()| pack)
        })
    }

    fn take(&self, taken: Taken) -> Result<()> {
        match taken {
            Taken::Pack => self.shared.pack_came(),
            Taken::Loose(objects) => self.with(|repository| objects.put(repository))?,
        }
        Ok(())
    }
}

/// What a server is told that it need not send: refs that are here, and the last commits that are.
pub(super) fn haves(history: &History, tips: &[ObjectId]) -> Vec<ObjectId> {
    let held = tips.iter().filter_map(|id| history.peel(*id));
    let leaves = history.leaves();
    let trails = leaves.iter().take(TRAILS).flat_map(|leaf| trail(history, *leaf));
    let mut seen = HashSet::new();
    held.chain(leaves.iter().copied())
        .take(HAVES)
        .chain(trails)
        .filter(|position| seen.insert(*position))
        .map(|position| history.id(position))
        .collect()
}

/// Ancestors at growing distances, so that one is known to a server that has forgotten the last ones.
fn trail(history: &History, from: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let (mut position, mut distance, mut next) = (from, 0_u32, 1);
    while let Some(&parent) = history.parents(position).first() {
        (position, distance) = (parent, distance + 1);
        if distance == next {
            found.push(position);
            next *= 2;
        }
    }
    found
}

pub(super) fn unique(ids: impl Iterator<Item = ObjectId>) -> Vec<ObjectId> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}
