//! The first content of a version is the only one that a registry serves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use crate::access::Ledger;
use crate::access::ledger::{Acceptance, Row};
use crate::error::{Error, Kind, Result};
use crate::ports::{Clock as _, ReleasedFile};
use crate::registry::doubles::{Apart, Drawer, Hands, Known, Reply, member_over, module, version};
use crate::registry::{
    Answer, AnswerBody, Book, Cached, Freshness, Judgement, OnChange, Question, Reach, Registry, Shelf, Validity,
};
use crate::vet::mode::Mode;

const PATH: &str = "example.com/m";
const V: &str = "v1.0.0";
const PSEUDO: &str = "v0.0.0-20190813064441-fde4db37ae7a";

/// One store under several registries, whose ledgers go with a restart only as far as they were in memory.
struct World {
    store: Arc<Drawer>,
    clock: Arc<Hands>,
    source: Arc<Known>,
    on_change: OnChange,
    judgement: Judgement,
}

impl World {
    fn new() -> World {
        let (store, clock, source) = (Drawer::new(), Hands::new(), Known::new());
        World { store, clock, source, on_change: OnChange::Keep, judgement: Judgement::Believed }
    }

    fn cached(&self, name: &str, address: &str, source: &Arc<Known>) -> Cached {
        let shelf = Shelf::new(name, "double", address);
        let cached = Cached::new(shelf, source.clone(), self.store.clone(), self.clock.clone(), Validity::default());
        cached.on_change(self.on_change)
    }

    fn over(&self, name: &str, cached: Cached) -> Registry {
        let book = Book::new(name, self.store.clone(), self.clock.clone());
        let ledger = Ledger::new(name, self.store.clone(), self.clock.clone());
        Registry::new(name, Mode::Rewrite, vec![member_over(cached, self.judgement)], book).with_ledger(ledger)
    }

    /// A registry as after a start: nothing of it in memory.
    fn registry(&self, name: &str) -> Registry {
        self.over(name, self.cached("corp", "", &self.source))
    }

    /// The same with an upstream of another address.
    fn moved(&self, source: &Arc<Known>) -> Registry {
        self.over("default", self.cached("corp", "elsewhere", source))
    }

    /// What eviction does.
    fn evict(&self) {
        use crate::ports::Store as _;
        let keys: Vec<String> = self.store.keys().into_iter().filter(|key| key.starts_with("upstream/")).collect();
        self.store.delete_many(&keys).expect("deleted");
    }

    fn row(&self, registry: &Registry, text: &str) -> Row {
        registry.ledger().expect("a ledger").row(&module(PATH), &version(text)).expect("read").expect("a row")
    }
}

fn zip(text: &str) -> Question {
    Question::Zip(version(text))
}

async fn ask(registry: &Registry, question: Question) -> Result<Answer> {
    registry.answer(&module(PATH), &question, Reach::Upstream).await
}

async fn body(registry: &Registry, question: Question) -> Vec<u8> {
    match ask(registry, question).await.expect("an answer").body {
        AnswerBody::Text(bytes) => bytes.to_vec(),
        AnswerBody::Blob(blob) => blob.read_all(1 << 20).expect("a body").to_vec(),
    }
}

/// A hash as the doubles make it: of so many letters that one can be told from another.
fn h1(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    format!("h1:{}=", hex::encode(&Sha256::digest(bytes)[..4]))
}

#[tokio::test]
async fn what_was_served_first_is_on_the_disk_before_it_goes_out() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    let registry = world.registry("default");
    assert_eq!(body(&registry, zip(V)).await, b"first");
    // A kill now: another process reads what this one wrote.
    let row = world.row(&world.registry("default"), V);
    let held = row.zip.expect("the zip");
    assert_eq!((held.h1, held.upstream.as_str(), held.since), (h1(b"first"), "corp", world.clock.now()));
    assert!(row.go_mod.is_none(), "only what was served");
    assert!(world.store.keys().contains(&format!("ledger/default/{PATH}/@v/{V}")));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_served() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    let registry = world.registry("default");
    // The entry and its binding can be written, the row cannot.
    world.store.end_after(1, true);
    let error = ask(&registry, zip(V)).await.expect_err("not written");
    assert_eq!(error.kind(), Kind::Internal, "{error}");
    world.store.mend();
    assert_eq!(body(&registry, zip(V)).await, b"first");
}

#[tokio::test]
async fn a_warm_answer_asks_the_store_nothing() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    let registry = world.registry("default");
    body(&registry, zip(V)).await;
    let counts = || (world.store.reads.load(Ordering::SeqCst), world.store.writes.load(Ordering::SeqCst));
    let before = counts();
    for _ in 0..10 {
        body(&registry, zip(V)).await;
    }
    assert_eq!(counts(), before);
}

#[tokio::test]
async fn while_the_first_bytes_are_held_they_are_served() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.source.publish(PATH, V, b"second");
    world.clock.forward(25 * 3600);
    let registry = world.registry("default");
    assert_eq!(body(&registry, zip(V)).await, b"first");
    assert!(!world.row(&registry, V).is_refused(), "nothing else was about to be served");
}

#[tokio::test]
async fn another_content_is_refused_once_the_first_is_gone() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.source.publish(PATH, V, b"second");
    world.evict();
    world.clock.forward(60);
    let registry = world.registry("default");
    let error = ask(&registry, zip(V)).await.expect_err("another content");
    assert_eq!(error.kind(), Kind::BadGateway);
    let expected = format!(
        "{PATH}@{V}: upstream corp: the .zip is not what was first served: {} (expected {} from upstream corp, \
         2027-01-15)\nif that is the right one, on the proxy:\nmodvet cache accept {PATH}@{V} --h1 {}",
        h1(b"second"),
        h1(b"first"),
        h1(b"second")
    );
    assert_eq!(error.to_string(), expected);
    let row = world.row(&registry, V);
    let refusal = &row.zip.expect("the zip").refusals[0];
    assert_eq!((refusal.h1.clone(), refusal.count, refusal.first), (h1(b"second"), 1, world.clock.now()));
    assert!(!world.store.keys().iter().any(|key| key.ends_with(".zip")), "the refused bytes are gone");
    assert_eq!(registry.ledger().expect("a ledger").refusals(), 1);
}

#[tokio::test]
async fn a_refusal_is_given_again_without_asking_for_some_seconds() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.source.publish(PATH, V, b"second");
    world.evict();
    let registry = world.registry("default");
    let first = ask(&registry, zip(V)).await.expect_err("refused").to_string();
    let asked = world.source.count(PATH, "@v/v1.0.0.zip");
    for _ in 0..50 {
        assert_eq!(ask(&registry, zip(V)).await.expect_err("refused").to_string(), first);
    }
    assert_eq!(world.source.count(PATH, "@v/v1.0.0.zip"), asked, "nobody is asked");
    assert_eq!(registry.ledger().expect("a ledger").refusals(), 51, "but counted");
    world.clock.forward(11);
    ask(&registry, zip(V)).await.expect_err("refused");
    assert_eq!(world.source.count(PATH, "@v/v1.0.0.zip"), asked + 1);
    assert_eq!(world.row(&registry, V).zip.expect("the zip").refusals[0].count, 2);
    // The upstream comes to its senses.
    world.source.publish(PATH, V, b"first");
    world.clock.forward(11);
    assert_eq!(body(&registry, zip(V)).await, b"first");
}

#[tokio::test]
async fn a_refused_zip_leaves_the_go_mod_alone() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    let registry = world.registry("default");
    body(&registry, zip(V)).await;
    let go_mod = body(&registry, Question::GoMod(version(V))).await;
    world.source.publish(PATH, V, b"second");
    world.evict();
    let registry = world.registry("default");
    ask(&registry, zip(V)).await.expect_err("refused");
    assert_eq!(body(&registry, Question::GoMod(version(V))).await, go_mod);
    assert_eq!(
        ask(&registry, Question::Info(crate::spec::query::Query::parse(V))).await.expect("info").upstream,
        "corp"
    );
}

#[tokio::test]
async fn every_file_is_judged_also_of_what_was_a_wrong_name() {
    let world = World::new();
    for text in [V, PSEUDO, "v2.0.0+incompatible"] {
        world.source.publish(PATH, text, text.as_bytes());
        let registry = world.registry("default");
        body(&registry, zip(text)).await;
        body(&registry, Question::GoMod(version(text))).await;
        let row = world.row(&registry, text);
        assert!(row.zip.is_some() && row.go_mod.is_some(), "{text}");
    }
}

#[tokio::test]
async fn two_registries_do_not_disturb_each_other() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("one"), zip(V)).await;
    world.evict();
    world.source.publish(PATH, V, b"second");
    let (one, other) = (world.registry("one"), world.registry("other"));
    assert_eq!(body(&other, zip(V)).await, b"second");
    let error = ask(&one, zip(V)).await.expect_err("refused");
    assert!(error.to_string().ends_with(&format!("--h1 {} --registry one", h1(b"second"))), "{error}");
    // The other one fetches it again.
    assert_eq!(body(&world.registry("other"), zip(V)).await, b"second");
}

#[tokio::test]
async fn with_replace_the_ledger_follows_the_upstream_and_says_so() {
    let world = World { on_change: OnChange::Replace, ..World::new() };
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.source.publish(PATH, V, b"second");
    world.evict();
    let registry = world.registry("default");
    assert_eq!(body(&registry, zip(V)).await, b"second");
    let held = world.row(&registry, V).zip.expect("the zip");
    assert_eq!((held.h1.clone(), held.refusals.len()), (h1(b"second"), 0));
    assert_eq!((held.history[0].h1.clone(), held.history[0].by.as_str()), (h1(b"first"), "on_change = \"replace\""));
}

#[tokio::test]
async fn a_tag_that_was_followed_is_where_it_was() {
    let world = World { on_change: OnChange::Replace, judgement: Judgement::Own, ..World::new() };
    world.source.tell_apart_by(Apart::Revision);
    world.source.publish(PATH, V, b"first");
    tag(&world, "one");
    body(&world.registry("default"), zip(V)).await;
    world.source.publish(PATH, V, b"second");
    tag(&world, "two");
    let registry = world.registry("default");
    assert_eq!(registry.check_drift().await.expect("looked"), 1);
    world.evict();
    let registry = world.registry("default");
    assert_eq!(body(&registry, zip(V)).await, b"second");
    assert_eq!(world.row(&registry, V).drift, None);
    assert_eq!(registry.check_drift().await.expect("looked"), 0);
}

#[tokio::test]
async fn replace_lets_no_other_upstream_in() {
    let world = World { on_change: OnChange::Replace, ..World::new() };
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.evict();
    let stranger = Known::new();
    stranger.publish(PATH, V, b"second");
    let registry = world.over("default", world.cached("stranger", "", &stranger));
    let error = ask(&registry, zip(V)).await.expect_err("refused");
    assert!(error.what().contains("upstream stranger: the .zip is not what was first served"), "{error}");
}

#[tokio::test]
async fn an_edited_address_changes_no_version() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    let elsewhere = Known::new();
    elsewhere.publish(PATH, V, b"second");
    // What the old address gave is still held.
    let registry = world.moved(&elsewhere);
    let answer = ask(&registry, zip(V)).await.expect("the first one");
    assert_eq!((answer.freshness, answer.upstream.as_str()), (Freshness::Stale, "corp"));
    assert_eq!(body(&registry, zip(V)).await, b"first");
    assert!(world.row(&registry, V).is_refused(), "and written down that another one came");
    assert_eq!(registry.ledger().expect("a ledger").refusals(), 0, "nobody was refused");
    let writes = world.store.writes.load(Ordering::SeqCst);
    for _ in 0..20 {
        body(&registry, zip(V)).await;
    }
    assert_eq!(world.store.writes.load(Ordering::SeqCst), writes, "not for each answer");
    world.evict();
    let registry = world.moved(&elsewhere);
    assert_eq!(ask(&registry, zip(V)).await.expect_err("refused").kind(), Kind::BadGateway);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_lets_nothing_pass() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    body(&world.registry("default"), zip(V)).await;
    world.store.spoil(&format!("ledger/default/{PATH}/@v/{V}"));
    let error = ask(&world.registry("default"), zip(V)).await.expect_err("unreadable");
    assert_eq!(error.kind(), Kind::Internal, "{error}");
}

fn accepting(h1: &str) -> Acceptance {
    Acceptance { h1: h1.to_owned(), file: None, force: false, by: "ops".to_owned() }
}

/// Hashes as they are outside of tests, where the doubles' are too short to be accepted.
fn whole(letter: char) -> String {
    format!("h1:{}=", letter.to_string().repeat(42) + "A")
}

fn content(h1: &str, commit: Option<&str>) -> crate::access::ledger::Content {
    let (upstream, shelf) = ("corp".to_owned(), "corp~1".to_owned());
    crate::access::ledger::Content { h1: h1.to_owned(), upstream, shelf, commit: commit.map(str::to_owned) }
}

#[test]
fn what_is_accepted_stands_and_what_was_is_told() {
    use crate::access::ledger::{OnOther, Ruling};
    let (world, module, version) = (World::new(), module(PATH), version(V));
    let ledger = Ledger::new("default", world.store.clone(), world.clock.clone());
    let (first, second) = (whole('A'), whole('B'));
    let enter =
        |h1: &str, file| ledger.enter(&module, &version, file, content(h1, None), OnOther::Refuse).expect("ruled");
    let none = ledger.accept(&module, &version, &accepting(&second)).expect_err("never served");
    assert_eq!(none.to_string(), "example.com/m@v1.0.0: registry default never served it");
    assert_eq!(enter(&first, ReleasedFile::Zip), Ruling::First);
    let unseen = ledger.accept(&module, &version, &accepting(&second)).expect_err("nobody saw it");
    assert_eq!(
        unseen.to_string(),
        format!(
            "example.com/m@v1.0.0: {second} was never refused in registry default\n\
             a content that never came is accepted with --force and --file mod or --file zip"
        )
    );
    ledger.refuse(&module, &version, ReleasedFile::Zip, content(&second, Some("two"))).expect("written");
    let unseen = ledger.accept(&module, &version, &accepting(&whole('C'))).expect_err("nobody saw it");
    assert_eq!(unseen.remedies()[0], format!("refused .zip: {second}"));
    for malformed in ["h1:short=", "nonsense", "h1:"] {
        assert_eq!(ledger.accept(&module, &version, &accepting(malformed)).expect_err(malformed).kind(), Kind::Gone);
    }
    let of_mod = Acceptance { file: Some(ReleasedFile::Mod), ..accepting(&second) };
    assert_eq!(ledger.accept(&module, &version, &of_mod).expect_err("another file").kind(), Kind::NotFound);
    let accepted = ledger.accept(&module, &version, &accepting(&second)).expect("accepted");
    assert_eq!((&accepted.was, &accepted.now, accepted.file), (&first, &second, ReleasedFile::Zip));
    assert_eq!(enter(&second, ReleasedFile::Zip), Ruling::Same);
    assert!(matches!(enter(&first, ReleasedFile::Zip), Ruling::Other(_)), "the first one is another one now");
    let row = ledger.row(&module, &version).expect("read").expect("a row");
    let held = row.zip.expect("the zip");
    assert_eq!((held.commit.as_deref(), held.refusals.len()), (Some("two"), 0));
    assert_eq!((&held.history[0].h1, held.history[0].by.as_str()), (&first, "ops"));
    let forced = Acceptance { force: true, file: Some(ReleasedFile::Zip), ..accepting(&whole('D')) };
    assert_eq!(ledger.accept(&module, &version, &forced).expect("forced").now, whole('D'));
}

#[test]
fn a_refusal_is_settled_by_who_says_that_the_first_one_is_right() {
    use crate::access::ledger::OnOther;
    let (world, module, version) = (World::new(), module(PATH), version(V));
    let ledger = Ledger::new("default", world.store.clone(), world.clock.clone());
    let first = whole('A');
    let entered = content(&first, Some("one"));
    ledger.enter(&module, &version, ReleasedFile::Zip, entered, OnOther::Refuse).expect("entered");
    ledger.note_commit(&module, &version, Some("two")).expect("noted");
    ledger.refuse(&module, &version, ReleasedFile::Zip, content(&whole('B'), Some("two"))).expect("written");
    let is_refused = || ledger.row(&module, &version).expect("read").expect("a row").is_refused();
    assert!(is_refused(), "also once the upstream gives the first one again");
    let accepted = ledger.accept(&module, &version, &accepting(&first)).expect("accepted");
    assert!(!is_refused());
    assert_eq!((accepted.commit.as_deref(), ledger.drifted()), (Some("one"), 1), "the tag is not where it was still");
}

#[test]
fn the_commit_of_what_was_forced_in_is_learned_when_it_comes() {
    use crate::access::ledger::{OnOther, Ruling};
    let (world, module, version) = (World::new(), module(PATH), version(V));
    let ledger = Ledger::new("default", world.store.clone(), world.clock.clone());
    let enter = |content| ledger.enter(&module, &version, ReleasedFile::Zip, content, OnOther::Refuse).expect("ruled");
    enter(content(&whole('A'), Some("one")));
    let forced = Acceptance { force: true, file: Some(ReleasedFile::Zip), ..accepting(&whole('D')) };
    assert_eq!(ledger.accept(&module, &version, &forced).expect("forced").commit, None);
    assert!(!ledger.is_known(&module, &version, ReleasedFile::Zip, &whole('D')), "there is more to know");
    assert_eq!(enter(content(&whole('D'), Some("two"))), Ruling::Same);
    let row = ledger.row(&module, &version).expect("read").expect("a row");
    assert_eq!(row.tagged().map(|(_, commit)| commit), Some("two"), "its tag is looked after again");
}

#[tokio::test]
async fn a_forced_acceptance_lets_the_kept_bytes_go() {
    let world = World::new();
    world.source.publish(PATH, V, b"first");
    let registry = world.registry("default");
    body(&registry, zip(V)).await;
    let forced = Acceptance { force: true, file: Some(ReleasedFile::Zip), ..accepting(&whole('D')) };
    registry.ledger().expect("a ledger").accept(&module(PATH), &version(V), &forced).expect("forced");
    registry.forget_others(&module(PATH), &version(V)).expect("forgotten");
    assert!(!world.store.keys().iter().any(|key| key.ends_with(".zip")));
}

/// A world over git, whose version is of the commit `one` and was served.
async fn over_git() -> (World, Registry, DateTime<Utc>) {
    let world = World { judgement: Judgement::Own, ..World::new() };
    world.source.tell_apart_by(Apart::Revision);
    world.source.publish(PATH, V, b"first");
    tag(&world, "one");
    let registry = world.registry("default");
    body(&registry, zip(V)).await;
    let since = world.clock.now();
    world.clock.forward(60);
    (world, registry, since)
}

fn tag(world: &World, commit: &str) {
    use crate::registry::doubles::info_of;
    use crate::spec::info::Origin;
    use crate::spec::resolution::Resolution;
    world.source.commit(PATH, V, commit);
    let origin = Some(Origin { hash: commit.to_owned(), ..Origin::default() });
    let info = crate::spec::info::Info { origin, ..info_of(V) };
    world.source.teach(PATH, "@v/v1.0.0.info", Reply::info(Resolution::valid(V, info)));
}

#[tokio::test]
async fn a_tag_that_moves_is_found_out_though_nobody_asks() {
    let (world, registry, _) = over_git().await;
    assert_eq!(registry.check_drift().await.expect("looked"), 0);
    tag(&world, "two");
    assert_eq!(registry.check_drift().await.expect("looked"), 1);
    let drift = world.row(&registry, V).drift.expect("written down");
    assert_eq!((drift.was.as_str(), drift.now.as_deref(), drift.seen_at), ("one", Some("two"), world.clock.now()));
    let ledger = registry.ledger().expect("a ledger");
    assert_eq!(ledger.drifted(), 1);
    // Seen again it is no news.
    world.clock.forward(60);
    let writes = world.store.writes.load(Ordering::SeqCst);
    assert_eq!(registry.check_drift().await.expect("looked"), 1);
    assert_eq!(world.store.writes.load(Ordering::SeqCst), writes);
    // Taken away, it is.
    world.source.forget(PATH, "@v/v1.0.0.info");
    assert_eq!(registry.check_drift().await.expect("looked"), 1);
    assert_eq!(world.row(&registry, V).drift.expect("written down").now, None);
    // After a start it is counted without asking.
    assert_eq!(world.registry("default").count_drift().await.expect("counted"), 1);
    tag(&world, "one");
    assert_eq!(registry.check_drift().await.expect("looked"), 0);
    assert_eq!((world.row(&registry, V).drift, ledger.drifted()), (None, 0));
}

#[tokio::test]
async fn who_cannot_be_asked_says_nothing_of_a_tag() {
    let (world, registry, _) = over_git().await;
    world.source.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(registry.check_drift().await.expect("looked"), 0);
    world.source.fail(None);
    tag(&world, "two");
    registry.check_drift().await.expect("looked");
    world.source.fail(Some(Error::bad_gateway("timed out")));
    assert_eq!(registry.check_drift().await.expect("looked"), 1, "nor that it is back");
    let verdict = registry.verdict(&module(PATH), &version(V)).await.expect("a verdict");
    assert_eq!(verdict.drift.expect("as it was seen").now.as_deref(), Some("two"));
}

#[tokio::test]
async fn the_hash_that_stands_confirms_the_commit_of_a_moved_tag() {
    let (world, module, version) = (World::new(), module(PATH), version(V));
    let ledger = Ledger::new("default", world.store.clone(), world.clock.clone());
    let first = whole('A');
    let content = content(&first, Some("one"));
    ledger
        .enter(&module, &version, ReleasedFile::Zip, content, crate::access::ledger::OnOther::Refuse)
        .expect("entered");
    assert!(ledger.note_commit(&module, &version, Some("two")).expect("noted").is_some());
    assert_eq!(ledger.drifted(), 1);
    let accepted = ledger.accept(&module, &version, &accepting(&first)).expect("accepted");
    assert_eq!((accepted.commit.as_deref(), ledger.drifted()), (Some("two"), 0));
    assert_eq!(ledger.note_commit(&module, &version, Some("two")).expect("noted"), None);
}
