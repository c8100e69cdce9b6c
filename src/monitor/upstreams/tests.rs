//! Upstreams that a test moves by hand, watched by a clock that is set by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::state::{Event, Look, State};
use super::{Traffic, Upstream, UpstreamStatus, UpstreamWatch};
use crate::error::{Error, Result};
use crate::monitor::doubles::MemoryStore;
use crate::monitor::doubles::{HandClock, Remembering, moment};
use crate::monitor::outbox::Outbox;
use crate::ports::{Answer, Certificate, Clock as _, Condition, Line};

const QUARTER: Duration = Duration::from_secs(15 * 60);

/// What a way to an upstream says.
#[derive(Clone, Default)]
struct Says {
    probe: Option<Result<Answer>>,
    refusing: Option<String>,
    certificate: Option<Certificate>,
    traffic: Traffic,
    probes: u32,
}

#[derive(Default)]
struct Way(Mutex<Says>);

impl Way {
    fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.0.lock().expect("lock"));
    }
}

#[async_trait]
impl Line for Way {
    async fn probe(&self) -> Option<Result<Answer>> {
        let mut says = self.0.lock().expect("lock");
        says.probes += 1;
        says.probe.clone()
    }

    fn refusing(&self) -> Option<String> {
        self.0.lock().expect("lock").refusing.clone()
    }

    fn certificate(&self) -> Option<Certificate> {
        self.0.lock().expect("lock").certificate.clone()
    }
}

/// One upstream, `corp`, and who is told of it.
struct World {
    store: Arc<MemoryStore>,
    clock: Arc<HandClock>,
    way: Arc<Way>,
    channel: Arc<Remembering>,
    watch: UpstreamWatch,
}

impl World {
    fn new(says: Says) -> World {
        let (store, clock) = (Arc::new(MemoryStore::new()), HandClock::at("2027-01-01 00:00"));
        let (way, channel) = (Arc::new(Way(Mutex::new(says))), Remembering::new("chat"));
        let watch = World::watch(&store, &clock, &way, &channel, QUARTER);
        World { store, clock, way, channel, watch }
    }

    fn watch(
        store: &Arc<MemoryStore>,
        clock: &Arc<HandClock>,
        way: &Arc<Way>,
        channel: &Arc<Remembering>,
        every: Duration,
    ) -> UpstreamWatch {
        let outbox = Arc::new(Outbox::open(store.clone(), clock.clone()).expect("a store"));
        outbox.appoint(vec![channel.clone()], None);
        let seen = way.clone();
        let upstreams = Arc::new(move || {
            let traffic = seen.0.lock().expect("lock").traffic.clone();
            let (name, kind, address) = ("corp".to_owned(), "proxy".to_owned(), Some("https://p.test/".to_owned()));
            vec![Upstream { name, kind, address, traffic, line: seen.clone() }]
        });
        UpstreamWatch::open(store.clone(), clock.clone(), outbox, upstreams, every).expect("a store")
    }

    fn restart(&mut self) {
        self.watch = World::watch(&self.store, &self.clock, &self.way, &self.channel, QUARTER);
    }

    /// Lets time go by as the watch wants it.
    async fn live(&self, time: TimeDelta) {
        let end = self.clock.now() + time;
        loop {
            let next = self.watch.tick().await;
            if next > end {
                self.clock.set(end);
                return;
            }
            self.clock.set(next.max(self.clock.now() + TimeDelta::seconds(1)));
        }
    }

    fn status(&self) -> UpstreamStatus {
        self.watch.statuses().pop().expect("one upstream")
    }

    /// The subjects of the letters since the last time.
    fn told(&self) -> Vec<String> {
        self.channel.taken.lock().expect("lock").drain(..).map(|letter| letter.subject).collect()
    }

    fn probes(&self) -> u32 {
        std::mem::take(&mut self.way.0.lock().expect("lock").probes)
    }
}

fn well() -> Says {
    Says { probe: Some(Ok(Answer::LetIn)), ..Says::default() }
}

#[tokio::test]
async fn an_outage_is_told_once_with_reminders_that_thin_out_and_one_letter_when_it_is_over() {
    let mut world = World::new(well());
    assert_eq!(world.status().summary, "nothing was asked of it yet");
    world.live(TimeDelta::hours(1)).await;
    let status = world.status();
    assert_eq!((status.condition, status.error, world.told()), (Condition::InSync, None, Vec::new()));
    assert!(status.summary.starts_with("reachable, answers within "), "{}", status.summary);
    let cut = Error::bad_gateway("p.test could not be reached: connection refused");
    world.way.says(|says| says.probe = Some(Err(cut)));
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.told(), ["upstream corp is unreachable"]);
    let status = world.status();
    assert_eq!(status.summary, "unreachable: p.test could not be reached: connection refused");
    assert!(!status.credential_refused);
    let mut days = Vec::new();
    for day in 1..=40 {
        world.restart();
        world.live(TimeDelta::days(1)).await;
        days.extend(world.told().into_iter().map(|subject| (day, subject)));
    }
    let still = |days: i64| format!("upstream corp is still unreachable ({})", plural(days));
    assert_eq!(days, [(1, still(1)), (3, still(3)), (7, still(7)), (21, still(21)), (35, still(35))]);
    world.way.says(|says| says.probe = Some(Ok(Answer::LetIn)));
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.told(), ["upstream corp is reachable again"]);
    world.live(TimeDelta::days(3)).await;
    assert_eq!(world.told(), Vec::<String>::new());
}

fn plural(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[tokio::test]
async fn one_that_comes_and_goes_is_no_news() {
    let world = World::new(well());
    for _ in 0..50 {
        world.way.says(|says| says.probe = Some(Err(Error::bad_gateway("cut"))));
        world.clock.forward(TimeDelta::minutes(16));
        world.watch.tick().await;
        world.way.says(|says| says.probe = Some(Ok(Answer::LetIn)));
        world.clock.forward(TimeDelta::minutes(16));
        world.watch.tick().await;
    }
    assert_eq!(world.told(), Vec::<String>::new());
}

#[tokio::test]
async fn credentials_that_lapse_are_told_as_what_they_are() {
    let world = World::new(well());
    world.live(TimeDelta::hours(1)).await;
    let lapsed = Error::bad_gateway("p.test answers 401 Unauthorized: the credentials are not accepted").unauthorized();
    world.way.says(|says| says.probe = Some(Err(lapsed)));
    world.live(TimeDelta::hours(1)).await;
    let letters = std::mem::take(&mut *world.channel.taken.lock().expect("lock"));
    let letter = letters.first().expect("somebody has to know");
    let born = moment("2027-01-01 00:00").timestamp();
    assert_eq!((letters.len(), letter.id.clone()), (1, format!("upstream~corp~{born}~1")));
    let since = world.status().since.expect("it was well").to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let lines: Vec<&str> = letter.text.lines().collect();
    assert_eq!(letter.subject, "upstream corp is refused");
    assert_eq!(
        lines[..4],
        [
            "p.test answers 401 Unauthorized: the credentials are not accepted",
            &format!("since: {since}"),
            "its credentials are not accepted (any more): did a token or a subscription lapse?",
            "what is kept of it is served meanwhile; what is new cannot be had",
        ]
    );
    assert_eq!(lines[5], "address: https://p.test/");
    assert_eq!((&letter.data["event"], &letter.data["upstream"]), (&"upstream_trouble".into(), &"corp".into()));
    assert!(world.status().credential_refused);
}

#[tokio::test]
async fn an_upstream_that_answers_clients_is_not_asked_besides() {
    let world = World::new(well());
    world.live(TimeDelta::minutes(2)).await;
    assert_eq!(world.probes(), 1);
    for _ in 0..8 {
        let traffic = Traffic { last_success: Some(world.clock.now()), latency_ms: Some(7), ..Traffic::default() };
        world.way.says(|says| says.traffic = traffic);
        world.live(TimeDelta::minutes(15)).await;
    }
    let status = world.status();
    assert_eq!((world.probes(), status.latency_ms, status.condition), (0, Some(7), Condition::InSync));
    // Quiet again: it is asked.
    world.live(TimeDelta::minutes(31)).await;
    assert!(world.probes() > 0);
}

#[tokio::test]
async fn of_git_without_a_host_only_what_clients_got_is_known() {
    let world = World::new(Says::default());
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.status().condition, Condition::Unchecked);
    let at = |world: &World| Some(world.clock.now());
    let fails = |world: &World, failures: u64| {
        let failure = Some("git.test could not be reached".to_owned());
        let last_failure = at(world);
        world.way.says(|says| says.traffic = Traffic { last_failure, failure, failures, ..Traffic::default() });
    };
    fails(&world, 1);
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.status().condition, Condition::Unchecked, "one module's host may be gone");
    for failures in 3..8 {
        fails(&world, failures);
        world.live(TimeDelta::minutes(31)).await;
    }
    assert_eq!(world.status().summary, "unreachable: git.test could not be reached");
    assert_eq!(world.told(), ["upstream corp is unreachable"]);
    for _ in 0..3 {
        let traffic = Traffic { last_success: at(&world), ..Traffic::default() };
        world.way.says(|says| (says.traffic, says.refusing) = (traffic, Some("git.test".to_owned())));
        world.live(TimeDelta::minutes(31)).await;
    }
    assert_eq!(world.status().summary, "refused: git.test does not accept the credentials");
}

#[tokio::test]
async fn clients_that_are_refused_count_though_a_probe_is_let_in() {
    let world = World::new(well());
    world.live(TimeDelta::hours(1)).await;
    let traffic = Traffic { last_failure: Some(world.clock.now()), failures: 1, ..Traffic::default() };
    world.way.says(|says| (says.traffic, says.refusing) = (traffic, Some("p.test".to_owned())));
    world.clock.forward(TimeDelta::minutes(16));
    world.watch.tick().await;
    assert_eq!(world.status().condition, Condition::Refused);
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.status().condition, Condition::InSync, "nobody was refused since");
}

#[tokio::test]
async fn a_certificate_that_ends_is_told_ahead_once_for_each_step() {
    let ends = moment("2027-02-05 00:00");
    let begins = Some(ends - TimeDelta::days(365));
    let certificate = Some(Certificate { host: "p.test".to_owned(), begins, ends });
    let mut world = World::new(Says { certificate, ..well() });
    let mut told = Vec::new();
    for _ in 0..40 {
        world.restart();
        world.live(TimeDelta::days(1)).await;
        let left = (ends - world.clock.now()).num_days();
        told.extend(world.told().into_iter().map(|subject| (left, subject)));
    }
    let in_days = |days: &str| format!("the certificate of upstream corp ends in {days}");
    let expected = [
        (29, in_days("29 days")),
        (13, in_days("13 days")),
        (6, in_days("6 days")),
        (0, in_days("less than a day")),
        (0, "the certificate of upstream corp has ended".to_owned()),
    ];
    assert_eq!(
        told.iter().map(|(_, subject)| subject).collect::<Vec<_>>(),
        expected.each_ref().map(|(_, subject)| subject)
    );
    assert_eq!(world.status().certificate.map(|shown| shown.days_left < 0), Some(true));
    let renewed = ends + TimeDelta::days(365);
    let shown = Certificate { host: "p.test".to_owned(), begins: Some(ends), ends: renewed };
    world.way.says(|says| says.certificate = Some(shown));
    world.live(TimeDelta::days(1)).await;
    assert_eq!(world.status().certificate.map(|shown| shown.ends), Some(renewed));
    assert_eq!(world.told(), Vec::<String>::new());
}

#[test]
fn a_certificate_that_machines_renew_is_told_of_when_they_should_have() {
    let begins = moment("2027-01-01 00:00");
    // Days that it holds, days before its end on which something is told.
    let table: [(i64, &[i64]); 4] =
        [(365, &[30, 14, 7, 1, -1]), (90, &[14, 7, 1, -1]), (47, &[7, 1, -1]), (6, &[1, -1])];
    for (holds, expected) in table {
        let ends = begins + TimeDelta::days(holds);
        let shown = Certificate { host: "p.test".to_owned(), begins: Some(begins), ends };
        let mut state = State::new("proxy", "", begins);
        let mut told = Vec::new();
        for hour in 0..=holds * 24 + 1 {
            match state.certify(Some(shown.clone()), begins + TimeDelta::hours(hour)) {
                Some(Event::Ends(days)) => told.push(days),
                Some(Event::Ended) => told.push(-1),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        assert_eq!(told, expected, "{holds} days");
    }
}

#[test]
fn two_servers_behind_one_name_are_told_of_once_each() {
    let start = moment("2027-01-01 00:00");
    let begins = Some(start - TimeDelta::days(345));
    let mut state = State::new("proxy", "", start);
    let mut told = Vec::new();
    for look in 0..96 {
        let ends = start + TimeDelta::days(if look % 2 == 0 { 20 } else { 25 });
        let shown = Certificate { host: "p.test".to_owned(), begins, ends };
        told.extend(state.certify(Some(shown), start + TimeDelta::minutes(15 * look)));
    }
    assert_eq!(told, [Event::Ends(30), Event::Ends(30)]);
}

#[test]
fn an_unreachable_upstream_that_turns_out_to_refuse_us_is_told_as_one_trouble() {
    let start = moment("2027-01-01 00:00");
    let mut state = State::new("proxy", "", start);
    let mut told = Vec::new();
    let look = |condition| Look { condition, error: None, latency_ms: None };
    let looks = [(Condition::InSync, 3), (Condition::Unreachable, 5), (Condition::Refused, 3), (Condition::InSync, 3)];
    let mut at: DateTime<Utc> = start;
    for (condition, times) in looks {
        for _ in 0..times {
            at += TimeDelta::minutes(15);
            told.extend(state.note(look(condition), at).map(|event| (event, at)));
        }
    }
    let minutes = |count: i64| start + TimeDelta::minutes(15 * count);
    let [(first, _), (second, _), (Event::Recovery(trouble), over)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((first, second), (&Event::Trouble, &Event::Trouble));
    assert_eq!((trouble.condition, trouble.since, *over), (Condition::Refused, minutes(4), minutes(13)));
}

#[tokio::test]
async fn nobody_looks_where_nobody_is_to() {
    let world = World::new(well());
    world.watch.look_every(Duration::ZERO);
    world.live(TimeDelta::hours(1)).await;
    let status = world.status();
    assert_eq!((world.probes(), status.condition, status.next_check), (0, Condition::Paused, None));
    assert_eq!(status.summary, "nobody looks: [monitor] check_upstreams is 0");
    world.watch.look_every(QUARTER);
    world.live(TimeDelta::hours(1)).await;
    assert_eq!(world.status().condition, Condition::InSync);
}
