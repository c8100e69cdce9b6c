//! Two git repositories in memory that a test moves by hand, a clock set by hand, a channel that remembers.

mod memory;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, Result};
use crate::ports::{
    Clock, Letter, Newest, Notifier, Pair, RefPair, RefRelation, RefUpdate, Relate, Relation, RemoteRef, Side,
    Transfer, Updated,
};
use crate::spec::info::ObjectId;

pub use memory::{DyingStore, MemoryStore};

/// A clock that stands still until it is set.
pub struct HandClock(Mutex<DateTime<Utc>>);

impl HandClock {
    pub fn at(text: &str) -> Arc<HandClock> {
        Arc::new(HandClock(Mutex::new(moment(text))))
    }

    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().expect("lock") = now;
    }

    pub fn forward(&self, by: TimeDelta) {
        *self.0.lock().expect("lock") += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("lock")
    }
}

/// `2027-02-01 09:30`
pub fn moment(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().expect(text)
}

/// The id of a commit of this name, or of an annotated tag (`b!`).
pub fn id(name: &str) -> ObjectId {
    let mut bytes = [0; 20];
    for (at, byte) in name.bytes().enumerate().take(20) {
        bytes[at] = byte;
    }
    ObjectId(bytes)
}

/// A source and its mirror in memory.
#[derive(Default)]
pub struct TwoSides(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    times: HashMap<ObjectId, DateTime<Utc>>,
    source: BTreeMap<String, RemoteRef>,
    mirror: BTreeMap<String, RemoteRef>,
    failing: HashMap<Side, Error>,
    has_no_histories: bool,
    /// So often refs move while they are compared.
    restless: u32,
    asked: u64,
}

impl TwoSides {
    /// Lines of commits: `a-b-c b-x`.
    pub fn new(lines: &str) -> Arc<TwoSides> {
        let sides = TwoSides::default();
        for line in lines.split(' ') {
            let names: Vec<&str> = line.split('-').collect();
            for pair in names.windows(2) {
                sides.0.lock().expect("lock").parents.entry(id(pair[1])).or_default().push(id(pair[0]));
            }
        }
        Arc::new(sides)
    }

    /// A commit on top of a branch of the source.
    pub fn commit(&self, branch: &str, name: &str, at: DateTime<Utc>) {
        let mut inner = self.0.lock().expect("lock");
        let reference = format!("refs/heads/{branch}");
        let parent = inner.source.get(&reference).map(|one| one.id);
        inner.parents.insert(id(name), parent.into_iter().collect());
        inner.times.insert(id(name), at);
        inner.source.insert(reference.clone(), RemoteRef { name: reference, id: id(name), peeled: None });
    }

    /// All refs of a side: `main=b v1=b!`, where names with a `v` are tags and `!` makes them annotated.
    pub fn set(&self, side: Side, refs: &str) {
        let refs = refs.split_whitespace().map(|one| {
            let (name, target) = one.split_once('=').expect(one);
            let family = if name.starts_with('v') { "tags" } else { "heads" };
            let name = format!("refs/{family}/{name}");
            let peeled = target.ends_with('!').then(|| id(target.trim_end_matches('!')));
            (name.clone(), RemoteRef { name, id: id(target), peeled })
        });
        *self.0.lock().expect("lock").side(side) = refs.collect();
    }

    /// The mirror takes everything over.
    pub fn mirror_all(&self) {
        let mut inner = self.0.lock().expect("lock");
        inner.mirror = inner.source.clone();
    }

    pub fn fail(&self, side: Side, error: Option<Error>) {
        let failing = &mut self.0.lock().expect("lock").failing;
        match error {
            Some(error) => drop(failing.insert(side, error)),
            None => drop(failing.remove(&side)),
        }
    }

    pub fn is_failing(&self, side: Side) -> bool {
        self.0.lock().expect("lock").failing.contains_key(&side)
    }

    pub fn lose_histories(&self) {
        self.0.lock().expect("lock").has_no_histories = true;
    }

    pub fn find_histories(&self) {
        self.0.lock().expect("lock").has_no_histories = false;
    }

    /// So many of the next comparisons find that refs moved meanwhile.
    pub fn move_meanwhile(&self, times: u32) {
        self.0.lock().expect("lock").restless = times;
    }

    /// How often refs were asked for.
    pub fn asked(&self) -> u64 {
        self.0.lock().expect("lock").asked
    }
}

impl Inner {
    fn side(&mut self, side: Side) -> &mut BTreeMap<String, RemoteRef> {
        match side {
            Side::Source => &mut self.source,
            Side::Mirror => &mut self.mirror,
        }
    }

    fn reach<'a>(&self, from: impl Iterator<Item = &'a RemoteRef>) -> BTreeSet<[u8; 20]> {
        let mut found = BTreeSet::new();
        let mut open: Vec<ObjectId> = from.map(|one| one.peeled.unwrap_or(one.id)).collect();
        while let Some(commit) = open.pop() {
            if found.insert(commit.0) {
                open.extend(self.parents.get(&commit).into_iter().flatten());
            }
        }
        found
    }

    fn newest(&self, refs: &[RemoteRef]) -> Option<DateTime<Utc>> {
        self.reach(refs.iter()).into_iter().filter_map(|bytes| self.times.get(&ObjectId(bytes)).copied()).max()
    }

    fn relation(&self, pair: &RefPair, source: &BTreeSet<[u8; 20]>, mirror: &BTreeSet<[u8; 20]>) -> RefRelation {
        let commits = |id: Option<ObjectId>| {
            let peel = |id: ObjectId| ObjectId(id.0.map(|byte| if byte == b'!' { 0 } else { byte }));
            let one = id.map(|id| RemoteRef { name: String::new(), id: peel(id), peeled: None });
            self.reach(one.iter())
        };
        let (ours, theirs) = (commits(pair.source), commits(pair.mirror));
        RefRelation {
            behind: ours.difference(mirror).count() as u64,
            ahead: theirs.difference(source).count() as u64,
            is_forward: pair.mirror.is_some() && theirs.is_subset(&ours),
        }
    }
}

impl Pair for TwoSides {
    fn refs(&self, side: Side) -> Result<Vec<RemoteRef>> {
        let mut inner = self.0.lock().expect("lock");
        inner.asked += 1;
        match inner.failing.get(&side) {
            Some(error) => Err(error.clone()),
            None => Ok(inner.side(side).values().cloned().collect()),
        }
    }

    fn relate(&self, question: &Relate<'_>) -> Result<Relation> {
        let mut inner = self.0.lock().expect("lock");
        if inner.restless > 0 {
            inner.restless -= 1;
            return Err(Error::unavailable("refs moved while they were compared"));
        }
        if inner.has_no_histories {
            return Err(Error::bad_gateway("a pack that is cut short"));
        }
        let (source, mirror) = (inner.reach(question.source.iter()), inner.reach(question.mirror.iter()));
        Ok(Relation {
            behind: source.difference(&mirror).count() as u64,
            ahead: mirror.difference(&source).count() as u64,
            refs: question.differing.iter().map(|pair| inner.relation(pair, &source, &mirror)).collect(),
            newest: Newest { source: inner.newest(question.source), mirror: inner.newest(question.mirror) },
            reached: question.awaited.iter().map(|id| mirror.contains(&id.0)).collect(),
        })
    }

    fn sync(&self, updates: &[RefUpdate], progress: &mut dyn FnMut(Transfer) -> bool) -> Result<Vec<Updated>> {
        if !progress(Transfer::Fetching { bytes: 1 }) {
            return Err(Error::unavailable("given up"));
        }
        let mut inner = self.0.lock().expect("lock");
        let mut updated = Vec::new();
        for update in updates {
            let now = inner.mirror.get(&update.name).map(|one| one.id);
            let refused = (now != update.from).then(|| "stale info".to_owned());
            if refused.is_none() {
                match inner.source.get(&update.name).cloned() {
                    Some(one) => drop(inner.mirror.insert(update.name.clone(), one)),
                    None => drop(inner.mirror.remove(&update.name)),
                }
            }
            updated.push(Updated { name: update.name.clone(), refused });
        }
        Ok(updated)
    }
}

/// A channel that remembers what it took.
pub struct Remembering {
    name: String,
    pub taken: Mutex<Vec<Letter>>,
}

impl Remembering {
    pub fn new(name: &str) -> Arc<Remembering> {
        Arc::new(Remembering { name: name.to_owned(), taken: Mutex::default() })
    }
}

#[async_trait]
impl Notifier for Remembering {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> &[String] {
        &[]
    }

    async fn notify(&self, letter: &Letter) -> Result<()> {
        self.taken.lock().expect("lock").push(letter.clone());
        Ok(())
    }
}
