//! One upstream in one registry, and a witness.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bench::{go_mod, zip};
use crate::error::{Error, Result};
use crate::ports::ReleasedFile::{self, Mod, Zip};
use crate::ports::Store as _;
use crate::registry::doubles::{Drawer, Hands, Known, Notary, member, member_over, module};
use crate::registry::proof::{Later, Mismatch, mismatch};
use crate::registry::{
    Answer, AnswerBody, Book, Cached, Demand, Judgement, Mark, Meta, Mode, OnChange, Proof, Proofs, Prover, Question,
    Reach, Registry, Shelf, Validity,
};

pub const PATH: &str = "example.com/m";
pub const VERSION: &str = "v1.0.0";
pub const DAY: u64 = 24 * 3600;
pub const CONTENT: &[u8] = b"the zip";
pub const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
pub const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";

/// One upstream in one registry, and a witness.
pub struct Court {
    pub source: Arc<Known>,
    pub store: Arc<Drawer>,
    pub clock: Arc<Hands>,
    pub notary: Arc<Notary>,
    pub proofs: Arc<Proofs>,
    pub prover: Prover,
    pub registry: Arc<Registry>,
}

impl Court {
    /// The upstream has one version, and the witness knows its files.
    pub fn new(demand: Demand) -> Court {
        let court = Court::over(demand, Judgement::Believed, Mode::Rewrite, Known::new(), Drawer::new(), Notary::new());
        court.source.publish(PATH, VERSION, CONTENT);
        court.know(Mod, format!("module {PATH}\n").as_bytes());
        court.know(Zip, CONTENT);
        court
    }

    pub fn over(
        demand: Demand,
        judgement: Judgement,
        mode: Mode,
        source: Arc<Known>,
        store: Arc<Drawer>,
        notary: Arc<Notary>,
    ) -> Court {
        let clock = Hands::new();
        let proofs = Arc::new(Proofs::new(clock.clone()));
        let prover = Prover::new(proofs.clone(), notary.clone(), demand);
        let members = vec![member("corp", &source, &store, &clock, judgement)];
        let book = Book::new("default", store.clone(), clock.clone());
        let registry = Arc::new(Registry::new("default", mode, members, book).with_prover(prover.clone()));
        Court { source, store, clock, notary, proofs, prover, registry }
    }

    /// As after a start: nothing in memory.
    pub fn reopened(self, demand: Demand) -> Court {
        let Court { source, store, notary, registry, .. } = self;
        let judgement = registry.members[0].judgement;
        Court::over(demand, judgement, registry.mode(), source, store, notary)
    }

    pub fn know(&self, file: ReleasedFile, content: &[u8]) {
        self.notary.enter(&format!("{PATH}@{VERSION}"), file, content);
    }

    pub fn lose(&self, is_gone: bool) {
        self.notary.is_gone.store(is_gone, Ordering::SeqCst);
    }

    pub async fn ask(&self, question: &Question) -> Result<Answer> {
        self.registry.answer(&module(PATH), question, Reach::Upstream).await
    }

    pub async fn proof(&self, question: &Question) -> Option<Proof> {
        self.ask(question).await.expect("an answer").proof
    }

    pub async fn text(&self, question: &Question) -> String {
        let AnswerBody::Blob(blob) = self.ask(question).await.expect("an answer").body else { panic!("a file") };
        String::from_utf8(blob.read_all(1 << 20).expect("a blob").to_vec()).expect("text")
    }

    pub async fn refusal(&self, question: &Question) -> Error {
        self.ask(question).await.expect_err("refused")
    }

    pub fn key(&self, question: &Question) -> String {
        self.registry.members[0].source.inner.key(&module(PATH), question)
    }

    pub fn meta(&self, question: &Question) -> Option<Meta> {
        let stored = self.store.get(&self.key(question)).expect("a store")?;
        Some(Meta::parse(&stored.meta).expect("a meta"))
    }

    pub fn mark(&self, question: &Question) -> Option<Mark> {
        self.meta(question)?.sum
    }

    pub fn mismatches(&self) -> Vec<Mismatch> {
        let mut all = Vec::new();
        let visited = mismatch::visit(&*self.store, Some("corp"), &mut |one| {
            all.push(one);
            true
        });
        visited.expect("a store");
        all
    }

    pub fn count(&self, question: &Question) -> usize {
        self.source.count(PATH, &question.address())
    }

    /// The later check of all whose turn it is.
    pub async fn look(&self) {
        let registry = self.registry.clone();
        let later: Later = Arc::new(move |unproven| {
            let registry = registry.clone();
            Box::pin(async move { registry.prove_kept(&unproven).await })
        });
        self.proofs.look(&later).await;
    }
}

pub fn files() -> [Question; 2] {
    [go_mod(VERSION), zip(VERSION)]
}

/// An upstream that reads git and knows a wrong version and the right one.
pub fn misnamed(demand: Demand, mode: Mode) -> Court {
    let court = Court::over(demand, Judgement::Own, mode, Known::new(), Drawer::new(), Notary::new());
    court.source.misname(PATH, WRONG, RIGHT);
    court
}

/// A court whose upstream replaces what comes back different.
pub fn replacing(demand: Demand) -> Court {
    let court = Court::new(demand);
    let Court { source, store, clock, notary, proofs, prover, .. } = court;
    let shelf = Shelf::new("corp", "double", "");
    let cached = Cached::new(shelf, source.clone(), store.clone(), clock.clone(), Validity::default());
    let members = vec![member_over(cached.on_change(OnChange::Replace), Judgement::Believed)];
    let book = Book::new("default", store.clone(), clock.clone());
    let registry = Arc::new(Registry::new("default", Mode::Rewrite, members, book).with_prover(prover.clone()));
    Court { source, store, clock, notary, proofs, prover, registry }
}
