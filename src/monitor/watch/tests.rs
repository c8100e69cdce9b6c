//! The watch over mirrors in memory, by a clock set by hand.

mod odd;
mod syncing;
mod year;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::monitor::definition::{MirrorKind, RefPattern, Renewal};
use crate::monitor::doubles::{HandClock, MemoryStore, Remembering, TwoSides, moment};
use crate::monitor::history::Event;
use crate::ports::{Condition, Letter, Side};

/// A watch over one mirror, with all that it needs.
struct World {
    store: Arc<dyn Store>,
    clock: Arc<HandClock>,
    pair: Arc<TwoSides>,
    chat: Arc<Remembering>,
    owners: Arc<Remembering>,
    definition: MirrorDefinition,
}

impl World {
    fn new(lines: &str) -> World {
        World {
            store: Arc::new(MemoryStore::new()),
            clock: HandClock::at("2027-01-01 00:00"),
            pair: TwoSides::new(lines),
            chat: Remembering::new("chat"),
            owners: Remembering::new("owner"),
            definition: definition("python-gitlab"),
        }
    }

    /// As after a start: all that is known comes from the store.
    fn watch(&self) -> Watch {
        self.open().expect("a store that takes writes")
    }

    fn open(&self) -> Result<Watch> {
        let outbox = Arc::new(Outbox::open(self.store.clone(), self.clock.clone())?);
        outbox.appoint(vec![self.chat.clone()], Some(self.owners.clone()));
        let watch = Watch::open(self.store.clone(), self.clock.clone(), outbox)?;
        watch.appoint(vec![self.watched()])?;
        Ok(watch)
    }

    fn watched(&self) -> Watched {
        Watched { definition: self.definition.clone(), way: Way::Git(self.pair.clone()) }
    }

    /// Subjects of all letters that the channel took.
    fn subjects(&self) -> Vec<String> {
        self.chat.taken.lock().expect("lock").iter().map(|letter| letter.subject.clone()).collect()
    }

    /// Goes on from one tick to the next until so much time is over.
    async fn pass(&self, watch: &Watch, time: TimeDelta) {
        let end = self.clock.now() + time;
        loop {
            let next = watch.tick().await;
            assert!(next > self.clock.now(), "it stands still at {next}");
            if next > end {
                self.clock.set(end);
                return;
            }
            self.clock.set(next);
        }
    }
}

fn definition(name: &str) -> MirrorDefinition {
    MirrorDefinition {
        name: name.to_owned(),
        kind: MirrorKind::Git {
            source: "https://git.example/python-gitlab.git".to_owned(),
            mirror: "https://mirror.example/python-gitlab.git".to_owned(),
            refs: RefPattern::defaults(),
        },
        check_every: Duration::from_secs(15 * 60),
        max_lag: Duration::from_secs(24 * 3600),
        renewal: None,
        notify: None,
        is_paused: false,
    }
}

const MIRROR: &str = "python-gitlab";

#[tokio::test]
async fn a_check_says_how_it_is_and_the_state_survives_a_restart() {
    let world = World::new("a-b-c");
    world.pair.set(Side::Source, "main=b v1=a");
    world.pair.set(Side::Mirror, "main=b v1=a");
    let watch = world.watch();
    assert_eq!(watch.status(MIRROR).expect("a status").condition, Condition::Unchecked);
    assert_eq!(watch.check(MIRROR).await.expect("a check").condition, Condition::InSync);
    world.clock.forward(TimeDelta::hours(1));
    world.pair.set(Side::Source, "main=c v1=a");
    let lagging = watch.check(MIRROR).await.expect("a check");
    assert_eq!(lagging.summary, "lagging: 1 ref, 1 commit behind for 0 seconds");
    world.clock.forward(TimeDelta::minutes(5));
    world.pair.fail(Side::Mirror, Some(Error::forbidden("401 Unauthorized").unauthorized()));
    let refused = watch.check(MIRROR).await.expect("a check");
    let moments = (refused.last_attempt, refused.last_success, refused.last_in_sync);
    let at = |text: &str| Some(moment(text));
    assert_eq!(moments, (at("2027-01-01 01:05"), at("2027-01-01 01:00"), at("2027-01-01 00:00")));
    assert_eq!(refused.summary, "refused: the mirror itself does not accept the credentials");
    assert_eq!(refused.error.as_deref(), Some("mirror: 401 Unauthorized"));
    assert!(refused.is_bad() && refused.difference == lagging.difference);
    let again = world.watch();
    assert_eq!(again.statuses(), vec![refused.clone()]);
    let standing = again.standing(MIRROR).expect("a standing");
    assert_eq!((standing.condition, standing.last_in_sync), (Condition::Refused, at("2027-01-01 00:00")));
    let changes: Vec<(Condition, Condition)> = again
        .history(MIRROR)
        .expect("a history")
        .into_iter()
        .filter_map(|row| match row.event {
            Event::Changed { from, to, .. } => Some((from, to)),
            _ => None,
        })
        .collect();
    use Condition::{InSync, Lagging, Refused, Unchecked};
    assert_eq!(changes, [(Lagging, Refused), (InSync, Lagging), (Unchecked, InSync)]);
}

#[tokio::test]
async fn an_unknown_name_is_told_with_the_nearest() {
    let world = World::new("a-b");
    let error = world.watch().check("pyton-gitlab").await.expect_err("no such mirror");
    assert_eq!(error.to_string(), "pyton-gitlab: unknown mirror\ndid you mean `python-gitlab`?");
}

#[tokio::test]
async fn checks_at_the_same_time_are_one() {
    let world = World::new("a-b");
    let watch = Arc::new(world.watch());
    let checks: Vec<_> = (0..20).map(|_| watch.check(MIRROR)).collect();
    for checked in futures_util::future::join_all(checks).await {
        assert_eq!(checked.expect("a check").condition, Condition::InSync);
    }
    assert_eq!(world.pair.asked(), 2, "once each side");
}

#[tokio::test]
async fn a_paused_mirror_is_shown_and_left_alone() {
    let mut world = World::new("a-b");
    world.definition.is_paused = true;
    world.definition.renewal = Some(renewal("2027-01-02"));
    let watch = world.watch();
    world.pair.fail(Side::Mirror, Some(Error::bad_gateway("no answer")));
    let checked = watch.check(MIRROR).await.expect("a status");
    assert_eq!((checked.condition, checked.next_check, checked.is_bad()), (Condition::Paused, None, false));
    world.pass(&watch, TimeDelta::days(10)).await;
    assert_eq!((world.pair.asked(), world.subjects()), (0, Vec::<String>::new()));
    world.definition.is_paused = false;
    watch.appoint(vec![world.watched()]).expect("a reload");
    world.pass(&watch, TimeDelta::hours(1)).await;
    let expected = [
        "python-gitlab: open source subscription lapsed 9 days ago (2027-01-02)",
        "python-gitlab is unreachable: the mirror itself does not answer as it should",
    ];
    assert_eq!(world.subjects(), expected);
}

#[tokio::test]
async fn refs_that_no_pattern_means_are_not_in_sync() {
    let mut world = World::new("a-b");
    world.definition.kind = MirrorKind::Git {
        source: "https://git.example/python-gitlab.git".to_owned(),
        mirror: "https://mirror.example/python-gitlab.git".to_owned(),
        refs: vec!["refs/heads/master".parse().expect("a pattern")],
    };
    world.pair.set(Side::Source, "main=b");
    let status = world.watch().check(MIRROR).await.expect("a check");
    let expected = "source: no ref is compared: it has refs such as refs/heads/main (expected refs/heads/master)\n\
                    name refs that the source has in `refs` of the [[mirror]]";
    assert_eq!((status.condition, status.error.as_deref()), (Condition::Unreachable, Some(expected)));
}

#[tokio::test]
async fn another_address_under_the_name_is_another_mirror() {
    let mut world = World::new("a-b");
    let watch = world.watch();
    watch.check(MIRROR).await.expect("a check");
    world.definition.kind = MirrorKind::Git {
        source: "https://git.example/python-gitlab.git".to_owned(),
        mirror: "https://elsewhere.example/python-gitlab.git".to_owned(),
        refs: RefPattern::defaults(),
    };
    watch.appoint(vec![world.watched()]).expect("a reload");
    assert_eq!(watch.status(MIRROR).expect("a status").condition, Condition::Unchecked);
    assert_eq!(world.watch().status(MIRROR).expect("a status").condition, Condition::Unchecked);
}

#[tokio::test]
async fn who_leaves_the_configuration_is_remembered_for_a_month() {
    let world = World::new("a-b");
    let watch = world.watch();
    watch.check(MIRROR).await.expect("a check");
    watch.appoint(Vec::new()).expect("a reload");
    assert!(watch.statuses().is_empty());
    world.clock.forward(TimeDelta::days(29));
    watch.tick().await;
    assert_eq!(world.watch().status(MIRROR).expect("a status").condition, Condition::InSync, "it came back");
    watch.appoint(Vec::new()).expect("a reload");
    world.clock.forward(TimeDelta::days(31));
    watch.tick().await;
    let mut keys = 0;
    let count = &mut |_: &str, _: &[u8]| {
        keys += 1;
        true
    };
    world.store.scan("mirror/", count).expect("keys");
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn a_state_that_cannot_be_read_begins_anew_and_its_letters_too() {
    let world = World::new("a-b");
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=b own=a v1=a");
    let watch = world.watch();
    world.pass(&watch, TimeDelta::hours(1)).await;
    assert_eq!(world.subjects(), ["python-gitlab is diverged: refs/tags/v1"]);
    let broken = crate::ports::Body::Bytes("{".into());
    world.store.put("mirror/python-gitlab/state", b"{}", broken).expect("a store");
    let watch = world.watch();
    assert_eq!(watch.status(MIRROR).expect("a status").condition, Condition::Unchecked);
    world.pass(&watch, TimeDelta::hours(1)).await;
    assert_eq!(world.subjects().len(), 2, "a new state does not take the ids of the old one");
}

#[tokio::test]
async fn a_hanging_check_does_not_hold_up_others() {
    let world = World::new("a-b");
    let hanging = Arc::new(Hanging::default());
    let slow = Watched { definition: definition("slow"), way: Way::Git(hanging.clone()) };
    let watch = Arc::new(world.watch());
    watch.appoint(vec![slow, world.watched()]).expect("mirrors");
    world.clock.forward(TimeDelta::minutes(2));
    let keeper = tokio::spawn(keep(watch.clone()));
    while watch.status(MIRROR).expect("a status").last_success.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(watch.status("slow").expect("a status").condition, Condition::Unchecked);
    hanging.0.send_replace(true);
    while watch.status("slow").expect("a status").condition == Condition::Unchecked {
        tokio::task::yield_now().await;
    }
    keeper.abort();
}

/// A server that is silent until it is told to answer.
struct Hanging(tokio::sync::watch::Sender<bool>);

impl Default for Hanging {
    fn default() -> Hanging {
        Hanging(tokio::sync::watch::Sender::new(false))
    }
}

impl Pair for Hanging {
    fn refs(&self, _side: Side) -> Result<Vec<crate::ports::RemoteRef>> {
        let mut released = self.0.subscribe();
        let release = async { released.wait_for(|released| *released).await.map(drop) };
        tokio::runtime::Handle::current().block_on(release).expect("held");
        Err(Error::bad_gateway("no answer in time"))
    }

    fn relate(&self, _question: &crate::ports::Relate<'_>) -> Result<crate::ports::Relation> {
        Err(Error::bad_gateway("no answer in time"))
    }

    fn sync(
        &self,
        _updates: &[crate::ports::RefUpdate],
        _progress: &mut dyn FnMut(crate::ports::Transfer) -> bool,
    ) -> Result<Vec<crate::ports::Updated>> {
        Err(Error::bad_gateway("no answer in time"))
    }
}

fn renewal(date: &str) -> Renewal {
    Renewal {
        what: "open source subscription".to_owned(),
        date: date.parse().expect(date),
        every: "1y".parse().ok(),
        owner: Some("ops@example.com".to_owned()),
        url: Some("https://forge.example/subscription".to_owned()),
    }
}
