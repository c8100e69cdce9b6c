//! A year with a lapse, a renewal and three outages, one of which flaps: every letter of it is golden.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::monitor::doubles::DyingStore;

/// What happens outside at a moment.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Somebody commits to the source.
    Commit,
    /// The forge updates the mirror, if it does at all.
    Update,
    /// It stops doing so, or begins again.
    Stop,
    Go,
    Refuse,
    Vanish(Side),
    Answer(Side),
    Renew,
    SyncByHand,
}

use Happening::{Answer, Commit, Go, Refuse, Renew, Stop, SyncByHand, Update, Vanish};

/// What happens in a year, in order: a commit a day, which the mirror has an hour later, and what goes wrong.
fn year() -> Vec<(DateTime<Utc>, Happening)> {
    let mut happenings: Vec<(DateTime<Utc>, Happening)> = Vec::new();
    let mut day = moment("2027-01-01 10:07");
    while day < moment("2028-01-03 00:00") {
        happenings.extend([(day, Commit), (day + TimeDelta::hours(1), Update)]);
        day += TimeDelta::days(1);
    }
    let mut add = |at: &str, happening: Happening| happenings.push((moment(at), happening));
    // The subscription lapses, and is renewed weeks later.
    add("2027-02-02 06:00", Refuse);
    add("2027-02-20 08:30", Renew);
    add("2027-02-20 09:00", Answer(Side::Mirror));
    // A network is away for ten minutes, which nobody needs to know, and later for hours.
    add("2027-03-05 04:00", Vanish(Side::Source));
    add("2027-03-05 04:10", Answer(Side::Source));
    add("2027-04-10 03:00", Vanish(Side::Source));
    add("2027-04-10 07:30", Answer(Side::Source));
    // The mirror is not updated any more; somebody syncs it by hand before that is repaired.
    add("2027-06-01 00:00", Stop);
    add("2027-06-12 14:00", SyncByHand);
    add("2027-06-12 18:00", Go);
    // A server comes and goes for two days.
    let mut at = moment("2027-09-05 00:00");
    while at < moment("2027-09-07 00:00") {
        happenings.extend([(at, Vanish(Side::Mirror)), (at + TimeDelta::hours(4), Answer(Side::Mirror))]);
        at += TimeDelta::hours(6);
    }
    happenings.sort_by_key(|(at, _)| *at);
    happenings
}

/// A world that lives through what happens.
struct Life {
    world: World,
    is_stopped: bool,
    commits: u32,
}

impl Life {
    fn new(store: Arc<dyn Store>) -> Life {
        let mut world = World { store, ..World::new("root-first") };
        world.definition.check_every = Duration::from_secs(3600);
        world.definition.renewal = Some(renewal("2027-02-01"));
        world.pair.set(Side::Source, "main=first v1=root");
        world.pair.set(Side::Mirror, "main=first v1=root");
        Life { world, is_stopped: false, commits: 0 }
    }

    async fn happen(&mut self, watch: &Watch, happening: Happening) {
        let pair = &self.world.pair;
        match happening {
            Commit => {
                self.commits += 1;
                pair.commit("main", &format!("c{}", self.commits), self.world.clock.now());
            }
            Update if self.is_stopped || pair.is_failing(Side::Mirror) => {}
            Update => pair.mirror_all(),
            Stop => self.is_stopped = true,
            Go => self.is_stopped = false,
            Refuse => {
                pair.fail(Side::Mirror, Some(Error::forbidden("mirror.example says 403 Forbidden").unauthorized()))
            }
            Vanish(side) => pair.fail(side, Some(Error::bad_gateway("no answer within 30s"))),
            Answer(side) => pair.fail(side, None),
            Renew => {
                let until = "2028-02-01".parse().expect("a day");
                drop(watch.renew(MIRROR, until, Some("alice".to_owned())).await);
            }
            SyncByHand => {
                let synced = watch.sync(MIRROR, Sync::default(), Box::new(|_| true)).await.expect("a sync");
                assert_eq!(synced.status.condition, Condition::InSync);
            }
        }
    }

    /// Lives through it; `reopen` says before each step whether the program starts anew.
    async fn live(
        &mut self,
        happenings: Vec<(DateTime<Utc>, Happening)>,
        end: DateTime<Utc>,
        reopen: impl Fn() -> bool,
    ) {
        let mut watch = self.world.watch();
        let mut happenings = happenings.into_iter().peekable();
        while self.world.clock.now() < end {
            let mut next = watch.tick().await;
            if reopen() {
                drop(watch);
                watch = self.world.watch();
                next = watch.next().min(next);
            }
            let until = happenings.peek().map_or(end, |(at, _)| *at);
            let now = self.world.clock.now();
            self.world.clock.set(next.clamp(now, until.max(now)).min(end));
            while let Some((_, happening)) = happenings.next_if(|(at, _)| *at <= self.world.clock.now()) {
                self.happen(&watch, happening).await;
            }
        }
        watch.tick().await;
    }

    /// All letters, with who took them.
    fn letters(&self) -> String {
        let mut letters: Vec<(Letter, Vec<&str>)> = Vec::new();
        for (channel, taken) in [("chat", &self.world.chat.taken), ("owner", &self.world.owners.taken)] {
            for letter in taken.lock().expect("lock").iter() {
                match letters.iter_mut().find(|(known, _)| known.id == letter.id) {
                    Some((_, channels)) => channels.push(channel),
                    None => letters.push((letter.clone(), vec![channel])),
                }
            }
        }
        letters.sort_by_key(|(letter, _)| letter.at);
        let mut text = String::new();
        for (letter, channels) in letters {
            let at = letter.at.format("%Y-%m-%d %H:%M:%S");
            writeln!(text, "== {at} to {}: {}", channels.join(", "), letter.subject).expect("a string takes all");
            writeln!(text, "{}\n", letter.text).expect("a string takes all");
        }
        text
    }

    /// What each channel took, without reminders: one that comes sooner doubles nothing.
    fn news(&self) -> Vec<(&'static str, String)> {
        let mut news = Vec::new();
        for (channel, taken) in [("chat", &self.world.chat.taken), ("owner", &self.world.owners.taken)] {
            let taken = taken.lock().expect("lock");
            let subjects = taken.iter().map(|letter| letter.subject.clone());
            news.extend(subjects.filter(|subject| !subject.starts_with("still: ")).map(|subject| (channel, subject)));
        }
        news
    }
}

pub fn golden(name: &str, found: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/monitor").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(&file, found).expect("a writable golden file");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, golden, "{name}: BLESS=1 rewrites the golden files");
}

#[tokio::test]
async fn a_year_with_a_lapse_a_renewal_and_three_outages() {
    let mut life = Life::new(Arc::new(MemoryStore::new()));
    life.live(year(), moment("2028-01-03 00:00"), || false).await;
    golden("year.txt", &life.letters());
    let history = life.world.watch().history(MIRROR).expect("a history");
    let days = history.iter().filter(|row| matches!(row.event, Event::Day { .. })).count();
    assert!((90..=92).contains(&days), "{days} days are kept");
    assert!(history.is_sorted_by(|a, b| a.at >= b.at), "the newest first");
}

#[tokio::test]
async fn a_start_at_every_step_of_the_year_tells_the_very_same() {
    let mut life = Life::new(Arc::new(MemoryStore::new()));
    life.live(year(), moment("2028-01-03 00:00"), || true).await;
    golden("year.txt", &life.letters());
}

#[tokio::test]
async fn a_kill_after_any_write_loses_no_letter_and_doubles_none() {
    let happenings = || {
        let at = |text: &str| moment(text);
        vec![
            (at("2027-01-01 03:30"), Vanish(Side::Mirror)),
            (at("2027-01-01 09:30"), Answer(Side::Mirror)),
            (at("2027-01-01 14:00"), Refuse),
            (at("2027-01-01 20:00"), Answer(Side::Mirror)),
        ]
    };
    let end = moment("2027-01-02 06:00");
    let whole = Arc::new(DyingStore::after(u64::MAX));
    let mut life = Life::new(whole.clone());
    life.live(happenings(), end, || false).await;
    let expected = life.news();
    assert!(expected.len() >= 8, "{expected:?}");
    for writes in 0..whole.writes() {
        let store = Arc::new(DyingStore::after(writes));
        let mut life = Life::new(store.clone());
        if writes < 1 {
            // Nothing was ever there.
            store.revive();
        }
        life.live(happenings(), end, || store.is_dead() && store.revive()).await;
        assert_eq!(life.news(), expected, "killed after {writes} writes");
        for taken in [&life.world.chat.taken, &life.world.owners.taken] {
            let mut ids: Vec<String> = taken.lock().expect("lock").iter().map(|letter| letter.id.clone()).collect();
            let all = ids.len();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), all, "killed after {writes} writes");
        }
    }
}
