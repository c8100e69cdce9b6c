//! What was answered outlives a kill, although a file is not written to the disk on its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ports::Store as _;
use crate::registry::doubles::{Drawer, Hands, Known, member, module, version};
use crate::registry::{Book, Judgement, Question, Reach, Registry};
use crate::vet::mode::Mode;

const PATH: &str = "example.com/m";

struct World {
    store: Arc<Drawer>,
    clock: Arc<Hands>,
    registry: Registry,
}

impl World {
    fn new() -> World {
        let (store, clock, source) = (Drawer::new(), Hands::new(), Known::new());
        source.publish(PATH, "v1.0.0", b"first");
        source.publish(PATH, "v1.1.0", b"second");
        let member = member("corp", &source, &store, &clock, Judgement::Believed);
        let book = Book::new("default", store.clone(), clock.clone());
        let registry = Registry::new("default", Mode::Rewrite, vec![member], book);
        World { store, clock, registry }
    }

    /// Asks, and says whether all that was written for it lasts.
    async fn lasts_after(&self, question: Question) -> bool {
        let answer = self.registry.answer(&module(PATH), &question, Reach::Upstream).await;
        answer.unwrap_or_else(|error| panic!("{question:?}: {error}"));
        !self.store.is_unsettled.load(Ordering::SeqCst)
    }
}

/// Both files of the version, after another one to which the module was bound.
async fn both(world: &World) -> [bool; 2] {
    assert!(world.lasts_after(Question::Zip(version("v1.0.0"))).await);
    [
        world.lasts_after(Question::GoMod(version("v1.1.0"))).await,
        world.lasts_after(Question::Zip(version("v1.1.0"))).await,
    ]
}

#[tokio::test]
async fn a_file_lasts_before_it_is_given_where_no_ledger_is_kept() {
    assert_eq!(both(&World::new()).await, [true, true]);
}

#[tokio::test]
async fn a_file_lasts_before_it_is_given_also_where_its_row_is_known_already() {
    let mut world = World::new();
    let ledger = crate::access::Ledger::new("default", world.store.clone(), world.clock.clone());
    world.registry = world.registry.with_ledger(ledger);
    assert_eq!(both(&world).await, [true, true], "the row is written behind it");
    // What eviction does.
    let kept: Vec<String> = world.store.keys().into_iter().filter(|key| key.starts_with("upstream/")).collect();
    world.store.delete_many(&kept).expect("deleted");
    world.clock.forward(60);
    assert_eq!(both(&world).await, [true, true], "no row is written");
}

#[tokio::test]
async fn a_file_that_came_for_somebody_who_went_away_lasts_before_it_is_given_to_others() {
    let world = World::new();
    assert!(world.lasts_after(Question::Zip(version("v1.0.0"))).await);
    let question = Question::Zip(version("v1.1.0"));
    let source = &world.registry.members[0].source;
    source.ask(&module(PATH), &question, Reach::Upstream).await.expect("a file");
    assert!(world.store.is_unsettled.load(Ordering::SeqCst), "nobody has waited for it");
    assert!(world.lasts_after(question).await);
}
