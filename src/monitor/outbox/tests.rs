//! The outbox before channels that do as they are told, by a clock set by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::Notify;

use super::posted::PATIENCE;
use super::*;
use crate::error::Error;
use crate::monitor::doubles::MemoryStore;

struct Hand(Mutex<DateTime<Utc>>);

impl Hand {
    fn start() -> Arc<Hand> {
        let start = DateTime::parse_from_rfc3339("2027-02-01T09:00:00Z").expect("a time");
        Arc::new(Hand(Mutex::new(start.to_utc())))
    }

    fn forward(&self, by: TimeDelta) {
        *self.0.lock().expect("no holder panics") += by;
    }

    fn set(&self, to: DateTime<Utc>) {
        *self.0.lock().expect("no holder panics") = to;
    }
}

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("no holder panics")
    }
}

type Behaviour = dyn Fn(&Letter, usize) -> Result<()> + Send + Sync;

/// Does as it is told, and remembers what it was given: `ID` or `ID>ADDRESS`.
struct Channel {
    name: &'static str,
    addresses: Vec<String>,
    behaviour: Box<Behaviour>,
    given: Mutex<Vec<String>>,
    /// What it waits for before it answers.
    gate: Option<Arc<Notify>>,
}

impl Channel {
    /// The behaviour is told the number of the try, from 1.
    fn new(name: &'static str, behaviour: impl Fn(&Letter, usize) -> Result<()> + Send + Sync + 'static) -> Channel {
        Channel { name, addresses: Vec::new(), behaviour: Box::new(behaviour), given: Mutex::default(), gate: None }
    }

    fn good(name: &'static str) -> Channel {
        Channel::new(name, |_, _| Ok(()))
    }

    fn to(mut self, addresses: &[&str]) -> Channel {
        self.addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        self
    }

    fn given(&self) -> Vec<String> {
        self.given.lock().expect("no holder panics").clone()
    }
}

#[async_trait]
impl Notifier for Channel {
    fn name(&self) -> &str {
        self.name
    }

    fn addresses(&self) -> &[String] {
        &self.addresses
    }

    async fn notify(&self, letter: &Letter) -> Result<()> {
        let tries = {
            let mut given = self.given.lock().expect("no holder panics");
            let to: String = letter.to.iter().map(|address| format!(">{address}")).collect();
            given.push(format!("{}{to}", letter.id));
            given.len()
        };
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        (self.behaviour)(letter, tries)
    }
}

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
    outbox: Outbox,
}

impl World {
    fn new(channels: &[&Arc<Channel>]) -> World {
        let (store, clock) = (Arc::new(MemoryStore::new()), Hand::start());
        let outbox = Outbox::open(store.clone(), clock.clone()).expect("an empty store");
        let world = World { store, clock, outbox };
        world.appoint(channels);
        world
    }

    fn appoint(&self, channels: &[&Arc<Channel>]) {
        self.outbox.appoint(listed(channels), None);
    }

    /// As another process would find it.
    fn restarted(self, channels: &[&Arc<Channel>]) -> World {
        let outbox = Outbox::open(self.store.clone(), self.clock.clone()).expect("a readable store");
        let world = World { outbox, ..self };
        world.appoint(channels);
        world
    }

    fn post(&self, id: &str) {
        self.outbox.post(&letter(id, "a"), None).expect("posted");
    }

    /// Lets the time come when there is something to do, so often.
    async fn rounds(&self, times: usize) {
        for _ in 0..times {
            if let Some(next) = self.outbox.deliver_due().await {
                self.clock.set(next.max(self.clock.now()));
            }
        }
    }

    fn states(&self) -> Vec<String> {
        let unsettled = self.outbox.unsettled("a").into_iter();
        let told = |posted: Posted| {
            let states = posted.deliveries.iter().map(|found| format!("{} {}", found.channel, found.state.words()));
            format!("{}: {}", posted.letter.id, states.collect::<Vec<_>>().join(", "))
        };
        unsettled.map(told).collect()
    }
}

fn listed(channels: &[&Arc<Channel>]) -> Vec<Arc<dyn Notifier>> {
    channels.iter().map(|channel| (*channel).clone() as Arc<dyn Notifier>).collect()
}

fn letter(id: &str, about: &str) -> Letter {
    Letter {
        id: id.to_owned(),
        at: DateTime::UNIX_EPOCH,
        subject: format!("subject of {id}"),
        text: "text".to_owned(),
        data: json!({ "name": about }),
        to: Vec::new(),
    }
}

fn down() -> Error {
    Error::unavailable("could not be reached")
}

#[tokio::test]
async fn a_channel_that_fails_twice_gets_a_letter_once_more_and_no_more() {
    let chat = Arc::new(Channel::new("chat", |_, tries| if tries <= 2 { Err(down()) } else { Ok(()) }));
    let world = World::new(&[&chat]);
    world.post("a-1");
    let next = world.outbox.deliver_due().await.expect("another try");
    let waited = next - world.clock.now();
    assert!((TimeDelta::seconds(10)..=TimeDelta::seconds(12)).contains(&waited), "{waited}");
    assert_eq!(world.outbox.deliver_due().await, Some(next), "nothing is due before");
    assert_eq!((chat.given().len(), world.outbox.undelivered("a")), (1, 1));
    world.rounds(4).await;
    assert_eq!((chat.given(), world.outbox.undelivered("a")), (vec!["a-1".to_owned(); 3], 0));
    assert_eq!(world.outbox.deliver_due().await, None);
}

#[tokio::test]
async fn a_letter_that_is_posted_twice_arrives_once_even_over_a_restart() {
    let chat = Arc::new(Channel::good("chat"));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.post("a-1");
    world.rounds(2).await;
    world.post("a-1");
    let world = world.restarted(&[&chat]);
    world.post("a-1");
    world.rounds(2).await;
    assert_eq!(chat.given(), ["a-1"]);
}

#[tokio::test]
async fn tries_and_their_pauses_outlive_a_restart() {
    let chat = Arc::new(Channel::new("chat", |_, _| Err(down())));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.rounds(4).await;
    let next = world.outbox.deliver_due().await.expect("another try");
    let tries = chat.given().len();
    let well = Arc::new(Channel::good("chat"));
    let world = world.restarted(&[&well]);
    assert_eq!(world.outbox.deliver_due().await, Some(next), "as it was before");
    assert_eq!(world.outbox.unsettled("a")[0].deliveries[0].tries as usize, tries);
    assert_eq!(well.given().len(), 0);
    world.clock.set(next);
    assert_eq!(world.outbox.deliver_due().await, None);
    assert_eq!(well.given(), ["a-1"]);
}

#[tokio::test]
async fn what_was_being_sent_at_a_kill_is_uncertain_and_not_sent_again() {
    let gate = Arc::new(Notify::new());
    let chat = Arc::new(Channel { gate: Some(gate), ..Channel::good("chat") });
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.post("a-2");
    let outbox = world.outbox.clone();
    let sending = tokio::spawn(async move { outbox.deliver_due().await });
    while chat.given().is_empty() {
        tokio::task::yield_now().await;
    }
    // The gate never opens: whoever reads the store now finds what a kill leaves.
    let well = Arc::new(Channel::good("chat"));
    let world = world.restarted(&[&well]);
    sending.abort();
    assert!(world.outbox.is_uncertain("a-1") && !world.outbox.is_uncertain("a-2"));
    world.rounds(2).await;
    assert_eq!(well.given(), ["a-2"]);
    assert_eq!((world.states(), world.outbox.undelivered("a")), (vec!["a-1: chat uncertain".to_owned()], 0));
    let world = world.restarted(&[&well]);
    assert!(world.outbox.is_uncertain("a-1"), "over the next restart too");
}

#[tokio::test]
async fn nobody_sends_again_what_may_have_arrived() {
    let chat = Arc::new(Channel::new("chat", |_, _| Err(Error::bad_gateway("broke off its answer"))));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.rounds(3).await;
    assert_eq!((chat.given(), world.states()), (vec!["a-1".to_owned()], vec!["a-1: chat uncertain".to_owned()]));
}

#[tokio::test]
async fn what_a_channel_will_never_take_is_shown_and_holds_up_nothing() {
    let chat = Arc::new(Channel::new("chat", |letter, _| match letter.id.as_str() {
        "a-1" => Err(Error::gone("too large")),
        _ => Ok(()),
    }));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.post("a-2");
    world.rounds(1).await;
    assert_eq!(
        (chat.given(), world.states()),
        (vec!["a-1".into(), "a-2".into()], vec!["a-1: chat refused".to_owned()])
    );
    assert_eq!(world.outbox.unsettled("a")[0].deliveries[0].error.as_deref(), Some("too large"));
}

#[tokio::test]
async fn letters_about_one_mirror_keep_their_order_and_hold_up_no_other_mirror() {
    // The channel does not like a-1 for a while.
    let chat = Arc::new(Channel::new("chat", |letter, tries| match letter.id.as_str() {
        "a-1" if tries < 5 => Err(down()),
        _ => Ok(()),
    }));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.post("a-2");
    world.outbox.post(&letter("b-1", "b"), None).expect("posted");
    world.post("a-3");
    world.rounds(9).await;
    let given = chat.given();
    let mut arrived = given.clone();
    arrived.dedup();
    assert_eq!(arrived, ["a-1", "b-1", "a-1", "a-2", "a-3"], "{given:?}");
}

#[tokio::test]
async fn a_slow_channel_does_not_hold_up_another() {
    let gate = Arc::new(Notify::new());
    let slow = Arc::new(Channel { gate: Some(gate.clone()), ..Channel::good("slow") });
    let quick = Arc::new(Channel::good("quick"));
    let world = World::new(&[&slow, &quick]);
    world.post("a-1");
    let outbox = world.outbox.clone();
    let sending = tokio::spawn(async move { outbox.deliver_due().await });
    while quick.given().is_empty() || slow.given().is_empty() {
        tokio::task::yield_now().await;
    }
    // Another round passes by the slow one, too.
    world.post("a-2");
    world.outbox.deliver_due().await;
    // Who brought the first one and has not left yet takes the second one along.
    while quick.given().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!((quick.given(), slow.given()), (vec!["a-1".into(), "a-2".into()], vec!["a-1".to_owned()]));
    gate.notify_one();
    while slow.given().len() < 2 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(sending.await.expect("ended"), None);
    assert_eq!(slow.given(), ["a-1", "a-2"], "whoever sends takes what comes in meanwhile along");
}

#[tokio::test]
async fn a_dead_channel_is_tried_ever_more_seldom_however_many_letters_wait() {
    let alive = Arc::new(AtomicUsize::new(0));
    let is_alive = alive.clone();
    let chat = Arc::new(Channel::new("chat", move |_, _| match is_alive.load(Ordering::SeqCst) {
        0 => Err(down()),
        _ => Ok(()),
    }));
    let world = World::new(&[&chat]);
    for number in 0..50 {
        world.outbox.post(&letter(&format!("{number}-1"), &number.to_string()), None).expect("posted");
    }
    let end = world.clock.now() + TimeDelta::hours(12);
    while world.clock.now() < end {
        world.rounds(1).await;
    }
    let tries = chat.given().len();
    assert!((15..=25).contains(&tries), "{tries}");
    alive.store(1, Ordering::SeqCst);
    world.rounds(1).await;
    world.rounds(1).await;
    assert_eq!(chat.given().len(), tries + 50, "the first success lets all others go at once");
}

#[tokio::test]
async fn a_letter_is_given_up_after_days_and_stays_visible() {
    let chat = Arc::new(Channel::new("chat", |_, _| Err(down())));
    let world = World::new(&[&chat]);
    world.post("a-1");
    let posted = world.clock.now();
    while let Some(next) = world.outbox.deliver_due().await {
        assert!(next <= posted + PATIENCE + TimeDelta::hours(2), "{next}");
        world.clock.set(next);
    }
    assert_eq!((world.states(), world.outbox.undelivered("a")), (vec!["a-1: chat given up".to_owned()], 0));
    let world = world.restarted(&[&chat]);
    assert_eq!(world.states(), ["a-1: chat given up"]);
    world.clock.forward(TimeDelta::days(90));
    world.outbox.deliver_due().await;
    assert_eq!(world.states(), [""; 0]);
}

#[tokio::test]
async fn ids_are_known_for_90_days_and_then_thinned_out() {
    let chat = Arc::new(Channel::good("chat"));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.rounds(1).await;
    world.clock.forward(TimeDelta::days(89));
    let world = world.restarted(&[&chat]);
    world.post("a-1");
    world.rounds(1).await;
    assert_eq!((chat.given().len(), world.store.usage().expect("memory").entries), (1, 1));
    world.clock.forward(TimeDelta::days(1));
    world.rounds(1).await;
    assert_eq!(world.store.usage().expect("memory").entries, 0);
}

#[tokio::test]
async fn a_letter_waits_for_a_channel_that_a_reload_took_away_and_brings_back() {
    let dead = Arc::new(Channel::new("chat", |_, _| Err(down())));
    let world = World::new(&[&dead]);
    world.post("a-1");
    world.rounds(1).await;
    world.appoint(&[]);
    world.rounds(1).await;
    assert_eq!((dead.given().len(), world.outbox.undelivered("a")), (1, 1));
    assert_eq!(world.states(), ["a-1: chat not delivered yet"]);
    world.clock.forward(TimeDelta::hours(1));
    let well = Arc::new(Channel::good("chat"));
    world.appoint(&[&well]);
    world.rounds(1).await;
    assert_eq!(well.given(), ["a-1"]);
    world.appoint(&[&dead]);
    world.post("a-2");
    world.rounds(1).await;
    world.appoint(&[]);
    world.rounds(1).await;
    world.rounds(1).await;
    assert_eq!(world.states(), ["a-2: chat given up"], "not for ever");
}

#[tokio::test]
async fn a_reload_tries_at_once_what_waited_for_a_better_moment() {
    let dead = Arc::new(Channel::new("chat", |_, _| Err(down())));
    let world = World::new(&[&dead]);
    world.post("a-1");
    world.rounds(5).await;
    let well = Arc::new(Channel::good("chat"));
    world.appoint(&[&well]);
    assert_eq!(world.outbox.deliver_due().await, None);
    assert_eq!(well.given(), ["a-1"]);
}

#[tokio::test]
async fn no_address_gets_a_letter_twice() {
    let post = Arc::new(Channel::good("post").to(&["ops@example.com", "dev@example.com"]));
    let boss = Arc::new(Channel::good("boss").to(&["OPS@example.com", "boss@example.com"]));
    let chat = Arc::new(Channel::good("chat"));
    let owners = Arc::new(Channel::good(OWNER).to(&["ops@example.com", "owner@example.com"]));
    let world = World::new(&[]);
    world.outbox.appoint(listed(&[&post, &boss, &chat]), Some(owners.clone()));
    let to = |id: &str, to: &[&str]| {
        let to = to.iter().map(|address| (*address).to_owned()).collect();
        Letter { to, ..letter(id, "a") }
    };
    world
        .outbox
        .post(&to("a-1", &["Ops@example.com", "owner@example.com", "owner@example.com"]), None)
        .expect("posted");
    world.rounds(1).await;
    // Each address is a way of its own: none waits for another.
    let mut addresses = post.given();
    addresses.sort();
    assert_eq!(addresses, ["a-1>dev@example.com", "a-1>ops@example.com"]);
    assert_eq!((boss.given(), chat.given()), (vec!["a-1>boss@example.com".to_owned()], vec!["a-1".to_owned()]));
    assert_eq!(owners.given(), ["a-1>owner@example.com"]);
    world.outbox.post(&to("a-2", &["ops@example.com"]), Some(&["chat".to_owned()])).expect("posted");
    world.rounds(1).await;
    assert_eq!(
        (post.given().len(), chat.given().len(), owners.given().len()),
        (2, 2, 2),
        "where no channel leads there"
    );
}

#[tokio::test]
async fn a_test_letter_goes_to_every_channel_and_every_address_and_is_not_kept() {
    let chat = Arc::new(Channel::new("chat", |_, _| Err(Error::unavailable("chat.example answered 404"))));
    let post = Arc::new(Channel::good("post").to(&["ops@example.com"]));
    let owners = Arc::new(Channel::good(OWNER).to(&["ops@example.com", "owner@example.com"]));
    let world = World::new(&[]);
    world.outbox.appoint(listed(&[&chat, &post]), Some(owners));
    let tested = |channel: &str, address: Option<&str>, error: Option<&str>| Tested {
        channel: channel.to_owned(),
        address: address.map(str::to_owned),
        error: error.map(str::to_owned),
    };
    assert_eq!(
        world.outbox.test().await,
        [
            tested("chat", None, Some("chat.example answered 404")),
            tested("post", Some("ops@example.com"), None),
            tested(OWNER, Some("owner@example.com"), None),
        ]
    );
    assert_eq!(world.store.usage().expect("memory").entries, 0);
}

#[tokio::test]
async fn a_channel_that_panics_ends_neither_its_lane_nor_the_others() {
    let chat = Arc::new(Channel::new("chat", |_, tries| if tries == 1 { panic!("told to") } else { Ok(()) }));
    let world = World::new(&[&chat]);
    world.post("a-1");
    world.post("a-2");
    world.rounds(3).await;
    assert_eq!(
        (chat.given(), world.states()),
        (vec!["a-1".into(), "a-2".into()], vec!["a-1: chat uncertain".to_owned()])
    );
}
