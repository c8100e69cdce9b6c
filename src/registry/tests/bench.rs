//! One cached source over doubles, with a clock set by hand.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::ports::Store as _;
use crate::registry::change::{self, Change};
use crate::registry::doubles::{Drawer, Hands, Known, Reply, module, version};
use crate::registry::{Cached, Entry, Freshness, Meta, Named, OnChange, Question, Reach, Shelf, Validity};
use crate::spec::query::Query;

pub const PATH: &str = "example.com/Mod";
pub const DAY: u64 = 24 * 3600;

pub struct Bench {
    pub source: Arc<Known>,
    pub store: Arc<Drawer>,
    pub clock: Arc<Hands>,
    pub cached: Arc<Cached>,
}

pub fn bench() -> Bench {
    bench_with(Validity::default(), OnChange::Keep)
}

/// A request waits for nobody longer than this, where something is kept: the tests hold upstreams for ever.
pub fn impatient() -> Validity {
    Validity { patience: Duration::from_millis(20), ..Validity::default() }
}

pub fn bench_with(validity: Validity, on_change: OnChange) -> Bench {
    let (source, store, clock) = (Known::new(), Drawer::new(), Hands::new());
    let cached = opened(&source, &store, &clock, validity, on_change);
    Bench { source, store, clock, cached }
}

fn opened(
    source: &Arc<Known>,
    store: &Arc<Drawer>,
    clock: &Arc<Hands>,
    validity: Validity,
    on_change: OnChange,
) -> Arc<Cached> {
    let shelf = Shelf::new("corp", "double", "");
    let cached = Cached::new(shelf, source.clone(), store.clone(), clock.clone(), validity);
    Arc::new(cached.named(Named::Kept).on_change(on_change))
}

impl Bench {
    /// As after a start: nothing in memory.
    pub fn reopened(&self) -> Arc<Cached> {
        self.reopened_with(OnChange::Keep)
    }

    pub fn reopened_with(&self, on_change: OnChange) -> Arc<Cached> {
        opened(&self.source, &self.store, &self.clock, Validity::default(), on_change)
    }

    pub async fn entry(&self, question: &Question) -> Result<Entry> {
        self.cached.ask(&module(PATH), question, Reach::Upstream).await
    }

    pub async fn ask(&self, question: Question) -> Result<(String, Freshness)> {
        let entry = self.entry(&question).await?;
        let bytes = entry.blob.read_all(1 << 20)?;
        Ok((String::from_utf8(bytes.to_vec()).expect("text"), entry.freshness))
    }

    pub async fn freshness(&self, question: &Question) -> Freshness {
        self.entry(question).await.expect("an answer").freshness
    }

    /// Asks until the answer is as fresh as that: what is renewed behind is there some time.
    pub async fn until(&self, question: &Question, freshness: Freshness) -> Entry {
        loop {
            let entry = self.entry(question).await.expect("an answer");
            if entry.freshness == freshness {
                return entry;
            }
            tokio::task::yield_now().await;
        }
    }

    pub fn list(&self, versions: &[&str]) {
        let versions = versions.iter().map(|text| version(text)).collect();
        self.source.teach(PATH, "@v/list", Reply::List(versions));
    }

    pub fn key(&self, question: &Question) -> String {
        let shelf = self.cached.shelf().as_str();
        format!("upstream/{shelf}/{}/{}", module(PATH).escaped(), question.address())
    }

    /// What stands beside an answer in the store.
    pub fn meta(&self, question: &Question) -> Meta {
        let stored = self.store.get(&self.key(question)).expect("a store").expect("an entry");
        Meta::parse(&stored.meta).expect("a meta")
    }

    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        let all = change::visit(&*self.store, Some("corp"), &mut |change| {
            changes.push(change);
            true
        });
        all.expect("a store");
        changes
    }
}

pub fn query(text: &str) -> Question {
    Question::Info(Query::parse(text))
}

pub fn go_mod(text: &str) -> Question {
    Question::GoMod(version(text))
}

pub fn zip(text: &str) -> Question {
    Question::Zip(version(text))
}

pub fn files(text: &str) -> [Question; 3] {
    [query(text), go_mod(text), zip(text)]
}
