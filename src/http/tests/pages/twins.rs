//! Two repositories in memory that should be the same, and a watch over them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::World;
use crate::error::{Error, Result};
use crate::http::site::Watching;
use crate::monitor::{MirrorDefinition, MirrorKind, Outbox, Period, RefPattern, Renewal, Watch, Watched, Way};
use crate::ports::{Newest, Pair, RefRelation, RefUpdate, Relate, Relation, RemoteRef, Side, Transfer, Updated};
use crate::spec::info::ObjectId;

/// The refs of both sides: a name and the one byte that all of its id is.
#[derive(Default)]
pub struct Twins {
    source: Mutex<Vec<(String, u8)>>,
    mirror: Mutex<Vec<(String, u8)>>,
    asked: AtomicUsize,
    failure: Mutex<Option<Error>>,
    /// A sync waits until it may go on.
    pub gate: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

impl Twins {
    pub fn new() -> Arc<Twins> {
        let twins = Twins::default();
        twins.set(Side::Source, &[("refs/heads/main", 2), ("refs/tags/v1.0.0", 1)]);
        twins.set(Side::Mirror, &[("refs/heads/main", 1), ("refs/tags/v1.0.0", 1)]);
        Arc::new(twins)
    }

    pub fn set(&self, side: Side, refs: &[(&str, u8)]) {
        *self.side(side).lock().expect("lock") = refs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
    }

    pub fn names(&self, side: Side) -> Vec<(String, u8)> {
        self.side(side).lock().expect("lock").clone()
    }

    pub fn fail(&self, error: Option<Error>) {
        *self.failure.lock().expect("lock") = error;
    }

    /// How often somebody asked for refs.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// `library` is the twins; it rests on something that lapses.
    pub fn watch(self: &Arc<Twins>, world: &World) -> Watching {
        let outbox = Arc::new(Outbox::open(world.store.clone(), world.clock.clone()).expect("an empty store"));
        let watch = Watch::open(world.store.clone(), world.clock.clone(), outbox.clone()).expect("an empty store");
        let kind = MirrorKind::Git {
            source: "https://git.example/library.git".to_owned(),
            mirror: "https://mirror.example/library.git".to_owned(),
            refs: RefPattern::defaults(),
        };
        let renewal = Renewal {
            what: "subscription".to_owned(),
            date: "2027-02-01".parse().expect("a date"),
            every: Some(Period::Months(12)),
            owner: None,
            url: None,
        };
        let definition = MirrorDefinition {
            name: "library".to_owned(),
            kind,
            check_every: Duration::from_secs(900),
            max_lag: Duration::from_secs(86400),
            renewal: Some(renewal),
            notify: None,
            is_paused: false,
        };
        watch.appoint(vec![Watched { definition, way: Way::Git(self.clone()) }]).expect("an empty store");
        Watching { watch: Arc::new(watch), outbox, is_kept: true }
    }

    fn side(&self, side: Side) -> &Mutex<Vec<(String, u8)>> {
        match side {
            Side::Source => &self.source,
            Side::Mirror => &self.mirror,
        }
    }
}

impl Pair for Twins {
    fn refs(&self, side: Side) -> Result<Vec<RemoteRef>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = &*self.failure.lock().expect("lock") {
            return Err(error.clone());
        }
        let named = |(name, id): (String, u8)| RemoteRef { name, id: ObjectId([id; 20]), peeled: None };
        Ok(self.names(side).into_iter().map(named).collect())
    }

    /// A greater id is a later commit of one line of history.
    fn relate(&self, question: &Relate<'_>) -> Result<Relation> {
        let number = |id: Option<ObjectId>| u64::from(id.map_or(0, |id| id.0[0]));
        let refs: Vec<RefRelation> = question
            .differing
            .iter()
            .map(|pair| {
                let (source, mirror) = (number(pair.source), number(pair.mirror));
                let (behind, ahead) = (source.saturating_sub(mirror), mirror.saturating_sub(source));
                RefRelation { behind, ahead, is_forward: source > mirror && mirror > 0 }
            })
            .collect();
        Ok(Relation {
            behind: refs.iter().map(|related| related.behind).sum(),
            ahead: refs.iter().map(|related| related.ahead).sum(),
            newest: Newest::default(),
            reached: vec![false; question.awaited.len()],
            refs,
        })
    }

    fn sync(&self, updates: &[RefUpdate], progress: &mut dyn FnMut(Transfer) -> bool) -> Result<Vec<Updated>> {
        assert!(progress(Transfer::Packing { done: 1, all: 3 }), "nobody gives it up");
        if let Some(gate) = self.gate.lock().expect("lock").take() {
            // A sender that is gone opens it as well.
            let _ = gate.recv();
        }
        let mut mirror = self.mirror.lock().expect("lock");
        for update in updates {
            mirror.retain(|(name, _)| *name != update.name);
            if let Some(to) = update.to {
                mirror.push((update.name.clone(), to.0[0]));
            }
        }
        mirror.sort();
        Ok(updates.iter().map(|update| Updated { name: update.name.clone(), refused: None }).collect())
    }
}
