//! Putting on a mirror what its source has: the other side of git's receive-pack. There is no version 2 of a push.
//! Must not know why a ref is to change: nothing is pushed but the updates asked for, and never `HEAD`.
//! Rules: gitprotocol-pack(5) "Pushing Data To a Server", gitprotocol-http(5), gitprotocol-capabilities(5).
//!
//! No repository of ours lies between: the source is told what the mirror's refs hold and packs what the mirror lacks,
//! and that pack goes on as it came, checked and from the disk. So what may be left out is the mirror's own word, and
//! never what a history without files has here; nothing is packed anew, and memory does not grow with the pack.

mod commands;
mod exchange;
mod report;
mod spool;
mod steps;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::known::RawRef;
use super::remote::{Order, Remote};
use super::server::Server;
use super::transport::{Line, Service};
use crate::error::{Error, Kind, Result};
use crate::net::Upload;
use crate::ports::{RefUpdate, Side, Transfer, Updated};
use crate::spec::info::ObjectId;

use self::commands::Manner;
use self::spool::Pack;
use self::steps::Steps;

/// Of how many objects the source is told at most that the mirror has them.
const HAVES: usize = 4096;

/// Both repositories, and a place for what is on its way between them.
pub struct Sides<'a> {
    pub source: &'a Remote,
    pub mirror: &'a Remote,
    /// A folder that is there. What is left in it after a kill begins with `tmp-`.
    pub folder: &'a Path,
    /// The largest pack that is taken in, in bytes.
    pub pack_limit: u64,
}

/// What the mirror says of itself before anything is pushed.
struct Greeted {
    server: Server,
    /// Its refs, and what it has besides.
    held: Vec<RawRef>,
    is_shallow: bool,
    line: Line,
}

/// Puts on the mirror what these refs need, and then the refs. What became of each is in the order of `updates`.
///
/// An error leaves the mirror as it was, but for one: nobody knows what became of a push whose answer did not come.
pub fn sync(
    sides: &Sides<'_>,
    updates: &[RefUpdate],
    progress: &mut dyn FnMut(Transfer) -> bool,
) -> Result<Vec<Updated>> {
    let steps = Steps::new(progress);
    steps.report(Transfer::Fetching { bytes: 0 })?;
    // The mirror first: whoever may not write learns it before the source is bothered.
    let greeted = sides.greet().map_err(|error| told(Side::Mirror, error))?;
    let mut refused: HashMap<String, String> = HashMap::new();
    for update in updates {
        refused.extend(objection(update, &greeted.server).map(|why| (update.name.clone(), why.to_owned())));
    }
    let wanted: Vec<&RefUpdate> = updates.iter().filter(|update| !refused.contains_key(&update.name)).collect();
    if !wanted.is_empty() {
        let pack = sides.pack(&wanted, &greeted, &steps).map_err(|error| told(Side::Source, error))?;
        // The greeting would grow old while the source packs.
        drop(greeted);
        let pushed = sides.push_all(&wanted, pack.as_ref(), &steps);
        refused.extend(pushed.map_err(|error| told(Side::Mirror, error))?);
    }
    Ok(updates.iter().map(|update| judged(update, &refused)).collect())
}

/// Says on which side it went wrong, if it was not on ours.
fn told(side: Side, error: Error) -> Error {
    if error.kind() == Kind::Internal { error } else { error.about(side.as_str()) }
}

fn judged(update: &RefUpdate, refused: &HashMap<String, String>) -> Updated {
    Updated { name: update.name.clone(), refused: refused.get(&update.name).cloned() }
}

/// Why an update is not even asked for.
fn objection(update: &RefUpdate, server: &Server) -> Option<&'static str> {
    let is_ref = update.name.starts_with("refs/") && git2::Reference::is_valid_name(&update.name);
    match update.to {
        _ if !is_ref => Some("no ref that can be pushed (expected one below refs/)"),
        None if update.from.is_none() => Some("nothing to do"),
        None if !server.has("delete-refs") => Some("the server does not delete refs"),
        _ => None,
    }
}

impl Sides<'_> {
    fn greet(&self) -> Result<Greeted> {
        let (greeting, line) = self.mirror.transport().connect(Service::ReceivePack)?;
        if let Line::Http(base) = &line
            && base.anonymous
        {
            let other = base.url.host_str().unwrap_or_default();
            return Err(Error::bad_gateway(format!(
                "{}: redirects a push to another server ({other})",
                self.mirror.host()
            ))
            .remedy("name the address that it leads to, if it is meant"));
        }
        if !["report-status", "report-status-v2"].iter().any(|report| greeting.server.has(report)) {
            let what = format!("{}: the git server does not say what becomes of a push", self.mirror.host());
            return Err(Error::bad_gateway(what));
        }
        Ok(Greeted { server: greeting.server, held: greeting.refs, is_shallow: greeting.is_shallow, line })
    }

    /// What the mirror lacks; none where refs are deleted only.
    fn pack(&self, updates: &[&RefUpdate], greeted: &Greeted, steps: &Steps<'_>) -> Result<Option<Pack>> {
        let targets: Vec<ObjectId> = updates.iter().filter_map(|update| update.to).collect();
        if targets.is_empty() {
            return Ok(None);
        }
        let held: HashSet<ObjectId> = greeted.held.iter().map(|held| held.id).collect();
        let mut seen = HashSet::new();
        let wants: Vec<ObjectId> = targets.into_iter().filter(|id| !held.contains(id) && seen.insert(*id)).collect();
        if wants.is_empty() {
            return Pack::empty(self.folder).map(Some);
        }
        let order = Order {
            wants,
            haves: haves(updates, greeted),
            bases_by_id: !greeted.server.has("ofs-delta"),
            ..Order::default()
        };
        spool::fetch(self.source, &order, self.folder, self.pack_limit, steps).map(Some)
    }

    /// All refs or none where the server can do that; if that is none, each for itself: one protected branch must not
    /// keep all others from a mirror. Gives what was refused.
    fn push_all(
        &self,
        updates: &[&RefUpdate],
        pack: Option<&Pack>,
        steps: &Steps<'_>,
    ) -> Result<HashMap<String, String>> {
        let (refused, manner) = self.push(updates, pack, Manner::Together, steps)?;
        if refused.is_empty() || manner == Manner::Each || updates.len() == 1 {
            return Ok(refused);
        }
        Ok(self.push(updates, pack, Manner::Each, steps)?.0)
    }

    /// Pushes once; gives what was refused, and in which manner it was asked for.
    fn push(
        &self,
        updates: &[&RefUpdate],
        pack: Option<&Pack>,
        manner: Manner,
        steps: &Steps<'_>,
    ) -> Result<(HashMap<String, String>, Manner)> {
        let Greeted { server, line, .. } = self.greet()?;
        let manner = if server.has("atomic") { manner } else { Manner::Each };
        let file = pack.map(Pack::open).transpose()?;
        let upload = Upload::new(commands::write(&server, updates, manner), file)
            .map_err(|cause| Error::internal("a git pack cannot be read").because(cause))?;
        let transport = self.mirror.transport();
        let answer = transport.exchange(line, &upload, steps)?;
        let reworded = |text: &str| transport.client.without_secrets(text);
        let report = report::read(answer, server.has(commands::SIDE_BAND), &self.mirror.host(), &reworded)?;
        Ok((report.refused(updates), manner))
    }
}

/// What the source need not send, the likeliest first: what the updates replace, then branches, then all else.
fn haves(updates: &[&RefUpdate], greeted: &Greeted) -> Vec<ObjectId> {
    // A mirror without all of its history cannot vouch for what its refs hold.
    if greeted.is_shallow {
        return Vec::new();
    }
    let held: HashSet<ObjectId> = greeted.held.iter().map(|held| held.id).collect();
    let replaced = updates.iter().filter_map(|update| update.from).filter(|id| held.contains(id));
    let (heads, others): (Vec<&RawRef>, Vec<&RawRef>) =
        greeted.held.iter().partition(|held| held.name.starts_with("refs/heads/"));
    let mut seen = HashSet::new();
    let all = replaced.chain(heads.into_iter().map(|held| held.id)).chain(others.into_iter().rev().map(|held| held.id));
    all.filter(|id| seen.insert(*id)).take(HAVES).collect()
}
