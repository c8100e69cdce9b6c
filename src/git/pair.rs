//! A mirror and its source on their servers: what refs they have, and how their histories relate.
//!
//! Commits are fetched to be counted and then thrown away: the history index is all that is kept of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use git2::Repository;
use tempfile::TempDir;

use super::acquire::{haves, unique};
use super::address::Address;
use super::folder::Folder;
use super::growth::{Growth, grow, unreadable};
use super::heads::Heads;
use super::history::History;
use super::history_pack::HistoryPack;
use super::known::RawRef;
use super::pack::Taken;
use super::push::{self, Sides};
use super::relation::relation;
use super::remote::{Failure, Filter, Order, Remote};
use super::repositories::{Lease, Repositories};
use super::transport::Refusals;
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Trust};
use crate::ports::{Pair, RefUpdate, Relate, Relation, RemoteRef, Side, Transfer, Updated};
use crate::spec::info::ObjectId;

/// What a forge may mean by 404.
const UNSEEN: &str =
    "forges say so too of a repository that a lapsed login may not see: look at address and credentials";

/// How long a server may say nothing while a whole repository comes or goes, as over ssh.
const SILENCE: Duration = Duration::from_secs(300);
/// How long that may take in all.
const WHOLE: Duration = Duration::from_secs(24 * 60 * 60);

/// One of the two, and the view of the client that has its credentials.
#[derive(Debug, Clone)]
pub struct Party {
    /// As git would take it, `git@host:path` too.
    pub url: String,
    pub client: Client,
}

/// Two repositories that should be the same. Nothing of them stays in memory between questions.
pub struct MirrorPair {
    source: Place,
    mirror: Place,
    /// What names of refs that are compared begin with.
    prefixes: Vec<String>,
    repositories: Arc<Repositories>,
}

struct Place {
    party: Party,
    address: Address,
}

impl Place {
    /// What the configuration names is taken at its word.
    fn new(side: Side, party: Party) -> Result<Place> {
        let instead = party.client.instead_of(&party.url);
        let target = instead.as_ref().map_or(party.url.as_str(), |instead| instead.expose());
        let address = Address::parse(&party.url, Some(target)).map_err(|error| error.about(side.as_str()))?;
        Ok(Place { party, address })
    }
}

impl MirrorPair {
    /// `repositories` are the pair's own; `prefixes` are what names of refs that are compared begin with.
    pub fn new(
        repositories: Arc<Repositories>,
        source: Party,
        mirror: Party,
        prefixes: Vec<String>,
    ) -> Result<MirrorPair> {
        let (source, mirror) = (Place::new(Side::Source, source)?, Place::new(Side::Mirror, mirror)?);
        Ok(MirrorPair { source, mirror, prefixes, repositories })
    }

    fn place(&self, side: Side) -> &Place {
        match side {
            Side::Source => &self.source,
            Side::Mirror => &self.mirror,
        }
    }

    /// The pair's folder, for one job at a time.
    fn lease(&self) -> Lease<'_> {
        self.repositories.lease("history", &self.source.party.url)
    }

    /// It has heard nothing of the server yet: what was heard at another check says nothing of now.
    fn remote(&self, side: Side) -> Remote {
        self.remote_by(side, &self.place(side).party.client)
    }

    /// The same for whole repositories: a server packs one as long as it likes, and may say nothing meanwhile.
    fn patient_remote(&self, side: Side) -> Remote {
        self.remote_by(side, &self.place(side).party.client.patient(SILENCE, WHOLE))
    }

    fn remote_by(&self, side: Side, client: &Client) -> Remote {
        let address = self.place(side).address.clone();
        let transport = self.repositories.transport(address, client, Trust::Named, Refusals::Believed);
        Remote::new(transport, Arc::new(Mutex::new(None)))
    }

    /// An error of one side, fit to be shown.
    fn fit(&self, side: Side, error: Error) -> Error {
        unseen(error.reworded(|text| self.place(side).party.client.without_secrets(text)))
    }

    /// The same for who asked about both sides.
    fn told(&self, side: Side, error: Error) -> Error {
        self.fit(side, error).about(side.as_str())
    }
}

fn unseen(error: Error) -> Error {
    if error.kind() == Kind::NotFound { error.remedy(UNSEEN) } else { error }
}

impl Pair for MirrorPair {
    fn refs(&self, side: Side) -> Result<Vec<RemoteRef>> {
        let below = |prefixes: &[String]| {
            let raw = self.remote(side).refs_below(prefixes).map_err(|error| self.fit(side, error))?;
            Ok(named(raw, prefixes))
        };
        let refs = below(&self.prefixes)?;
        // Where there are none, it is known to be empty only when all were asked for: the names may be wrong.
        if refs.is_empty() { below(&["refs/".to_owned()]) } else { Ok(refs) }
    }

    fn relate(&self, question: &Relate<'_>) -> Result<Relation> {
        let lease = self.lease();
        let _fetching = lease.fetching();
        let history =
            Gathering { pair: self, lease: &lease, history: lease.history(), scratch: None, fetched: HashSet::new() }
                .gathered(question)?;
        Ok(relation(&history, question))
    }

    fn sync(&self, updates: &[RefUpdate], progress: &mut dyn FnMut(Transfer) -> bool) -> Result<Vec<Updated>> {
        let lease = self.lease();
        let _fetching = lease.fetching();
        let (source, mirror) = (self.patient_remote(Side::Source), self.patient_remote(Side::Mirror));
        let pack_limit = self.repositories.pack_limit();
        let sides = Sides { source: &source, mirror: &mirror, folder: lease.place()?, pack_limit };
        let secretless = |text: &str| {
            let text = self.source.party.client.without_secrets(text);
            self.mirror.party.client.without_secrets(&text)
        };
        push::sync(&sides, updates, progress).map_err(|error| unseen(error.reworded(secretless)))
    }
}

/// Refs with what they peel to, without those that nobody asked for.
fn named(raw: Vec<RawRef>, prefixes: &[String]) -> Vec<RemoteRef> {
    let mut refs: Vec<RemoteRef> = Vec::new();
    for RawRef { name, id } in raw {
        match name.strip_suffix("^{}") {
            // It follows its tag.
            Some(tag) => {
                if let Some(tag) = refs.last_mut().filter(|last| last.name == tag) {
                    tag.peeled = Some(id);
                }
            }
            None if prefixes.iter().any(|prefix| name.starts_with(prefix)) => {
                refs.push(RemoteRef { name, id, peeled: None });
            }
            None => {}
        }
    }
    refs.sort_by(|one, other| one.name.cmp(&other.name));
    refs
}

/// The histories of both sides on their way into one index.
struct Gathering<'a> {
    pair: &'a MirrorPair,
    lease: &'a Lease<'a>,
    history: Arc<History>,
    /// Where packs are until the index knows what is in them; made when something is missing.
    scratch: Option<Scratch>,
    /// Nobody is asked twice.
    fetched: HashSet<Side>,
}

struct Scratch {
    repository: Repository,
    folder: TempDir,
    /// What the last pack brought.
    heads: Heads,
}

impl Gathering<'_> {
    /// A history that holds all refs of both sides.
    fn gathered(mut self, question: &Relate<'_>) -> Result<Arc<History>> {
        // Where the source's own history has a lower end, the mirror may know what lies below.
        for (side, refs) in [(Side::Source, question.source), (Side::Mirror, question.mirror)] {
            self.gather(side, refs)?;
        }
        if !self.gather(Side::Source, question.source)? {
            return Err(cut(Side::Source));
        }
        if !self.gather(Side::Mirror, question.mirror)? {
            return Err(cut(Side::Mirror));
        }
        if self.scratch.is_some() {
            self.lease.grown(&self.lease.history(), Arc::clone(&self.history))?;
        }
        Ok(self.history)
    }

    /// Takes in what refs of one side hold, fetching at most once; `false` where something is missing then.
    fn gather(&mut self, side: Side, refs: &[RemoteRef]) -> Result<bool> {
        let tips = unique(refs.iter().map(|one| one.id));
        let wants: Vec<ObjectId> = tips.iter().copied().filter(|id| !self.history.holds(*id)).collect();
        if wants.is_empty() {
            return Ok(true);
        }
        let mut others = HashSet::new();
        loop {
            let missing = match self.grown(&tips, &others)? {
                Growth::Whole(history) => {
                    self.history = Arc::new(history);
                    return Ok(true);
                }
                Growth::Missing(missing) => missing,
            };
            if self.fetched.insert(side) {
                let order = Order {
                    wants: wants.clone(),
                    haves: haves(&self.history, &tips),
                    filter: Some(Filter::Trees),
                    ..Order::default()
                };
                self.fetch(side, order)?;
            } else if tips.contains(&missing) && may_be_no_commit(refs, missing) {
                // Filtered packs leave out a tree or blob even if it is what a ref holds.
                others.insert(missing);
            } else {
                return Ok(false);
            }
        }
    }

    fn grown(&mut self, tips: &[ObjectId], others: &HashSet<ObjectId>) -> Result<Growth> {
        let Scratch { repository, heads, .. } = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(Scratch::new(self.lease)?),
        };
        grow(&self.history, &repository.odb().map_err(unreadable)?, heads, tips, others)
    }

    fn fetch(&mut self, side: Side, order: Order) -> Result<()> {
        let remote = self.pair.remote(side);
        let told = |error| self.pair.told(side, error);
        let fetched = match self.fetch_pack(&remote, &order) {
            Err(Failure::Refused(_)) if remote.server().map_err(told)?.filters() => {
                self.fetch_pack(&remote, &Order { filter: None, ..order.clone() })
            }
            fetched => fetched,
        };
        match fetched {
            Ok(()) => {}
            Err(Failure::Failed(error)) => return Err(told(error)),
            Err(refused @ Failure::Refused(_)) => {
                let refs = self.pair.refs(side).map_err(|error| error.about(side.as_str()))?;
                let moved = order.wants.iter().any(|id| !refs.iter().any(|one| one.id == *id));
                return Err(match moved {
                    true => Error::unavailable("refs moved while they were compared").about(side.as_str()),
                    false => told(refused.into_error(&remote.host())),
                });
            }
        }
        // What was opened before the pack came does not show it.
        if let Some(Scratch { repository, folder, .. }) = &mut self.scratch {
            *repository = Repository::open_bare(folder.path()).map_err(unreadable)?;
        }
        Ok(())
    }

    fn fetch_pack(&mut self, remote: &Remote, order: &Order) -> Result<(), Failure> {
        let Scratch { folder, repository, heads } = self.scratch.as_mut().expect("made before anything is missing");
        let mut pack = HistoryPack::new(folder.path(), self.pair.repositories.pack_limit())?;
        remote.fetch(order, &mut |bytes| pack.write(bytes))?;
        let (taken, read) = pack.finish()?;
        match taken {
            Taken::Pack => {}
            Taken::Loose(objects) => objects.put(repository)?,
        }
        *heads = read;
        Ok(())
    }
}

impl Scratch {
    fn new(lease: &Lease<'_>) -> Result<Scratch> {
        let place = lease.place()?;
        let (folder, repository) = Folder::scratch(place)?;
        Ok(Scratch { repository, folder, heads: Heads::default() })
    }
}

/// A branch is a commit, whatever else a ref may be.
fn may_be_no_commit(refs: &[RemoteRef], id: ObjectId) -> bool {
    refs.iter().filter(|one| one.id == id).all(|one| !one.name.starts_with("refs/heads/"))
}

fn cut(side: Side) -> Error {
    let error =
        Error::bad_gateway("its history has a lower end: the repository is a shallow copy").about(side.as_str());
    error.remedy("fetch the rest into it: git fetch --unshallow")
}
