//! Odd times: sides that are away, clocks that jump, letters that may be lost.

use super::*;
use crate::monitor::history::HistoryRow;
use crate::monitor::{kept, seen::Seen};

fn no_answer() -> Option<Error> {
    Some(Error::bad_gateway("no answer"))
}

#[tokio::test]
async fn what_the_source_rewrites_while_the_mirror_is_away_is_no_divergence() {
    let world = World::new("a-b-c b-x");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=b");
    watch.check(MIRROR).await.expect("a check");
    world.pair.fail(Side::Mirror, no_answer());
    for source in ["main=c", "main=x"] {
        world.pair.set(Side::Source, source);
        world.clock.forward(TimeDelta::hours(1));
        assert_eq!(watch.check(MIRROR).await.expect("a check").condition, Condition::Unreachable);
    }
    // It went on while nobody reached it.
    world.pair.set(Side::Mirror, "main=c");
    world.pair.fail(Side::Mirror, None);
    let found = watch.check(MIRROR).await.expect("a check");
    let since = found.difference.expect("a difference").since;
    assert_eq!((found.condition, since), (Condition::Lagging, Some(moment("2027-01-01 02:00"))));
}

#[tokio::test]
async fn a_mirror_that_stood_still_while_it_was_away_is_not_said_to_keep_up() {
    let world = World::new("a-b-c");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=b");
    watch.check(MIRROR).await.expect("a check");
    world.pair.fail(Side::Mirror, Some(Error::forbidden("403 Forbidden").unauthorized()));
    world.pair.set(Side::Source, "main=c");
    world.pass(&watch, TimeDelta::days(6)).await;
    world.pair.fail(Side::Mirror, None);
    world.pass(&watch, TimeDelta::hours(2)).await;
    let last = world.subjects().pop().expect("letters");
    assert_eq!(last, "python-gitlab was refused, now stale: 1 ref, 1 commit behind for 6 days");
}

#[tokio::test]
async fn refs_that_move_while_they_are_compared_are_asked_for_again() {
    let world = World::new("a-b a-x");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=x");
    world.pair.move_meanwhile(1);
    let found = watch.check(MIRROR).await.expect("a check");
    assert_eq!((found.condition, found.error), (Condition::Diverged, None));
}

#[tokio::test]
async fn a_move_of_the_mirror_counts_though_histories_could_not_be_had_at_that_moment() {
    let world = World::new("a-b-c-d-e-f");
    let watch = world.watch();
    let look = async |hours: i64, source: &str, mirror: &str| {
        world.clock.set(moment("2027-01-01 00:00") + TimeDelta::hours(hours));
        world.pair.set(Side::Source, source);
        world.pair.set(Side::Mirror, mirror);
        watch.check(MIRROR).await.expect("a check")
    };
    look(0, "main=b", "main=a").await;
    look(10, "main=d", "main=a").await;
    world.pair.lose_histories();
    // A state that nobody saw at the source: only the histories tell that it has what was awaited.
    look(20, "main=f", "main=c").await;
    world.pair.find_histories();
    let found = look(30, "main=f", "main=c").await;
    let since = found.difference.expect("a difference").since;
    assert_eq!((found.condition, since), (Condition::Lagging, Some(moment("2027-01-01 10:00"))));
}

#[tokio::test]
async fn what_becomes_stale_long_before_the_next_look_is_told_in_time() {
    let mut world = World::new("a-b");
    world.definition.check_every = Duration::from_secs(7 * 24 * 3600);
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=a");
    let watch = world.watch();
    world.pass(&watch, TimeDelta::hours(25)).await;
    assert_eq!(world.subjects(), ["python-gitlab is stale: 1 ref, 1 commit behind for 24 hours"]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_silences_nothing() {
    let mut world = World::new("a-b-c");
    world.definition.renewal = Some(renewal("2027-03-15"));
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=b");
    world.pass(&watch, TimeDelta::hours(1)).await;
    let before = world.clock.now();
    // For an hour it is next year: something happens, and is told.
    world.clock.set(moment("2028-01-01 00:00"));
    world.pair.set(Side::Source, "main=c");
    world.pass(&watch, TimeDelta::hours(1)).await;
    world.clock.set(before + TimeDelta::hours(1));
    let told = world.subjects().len();
    world.pass(&watch, TimeDelta::days(2)).await;
    let stale = "python-gitlab is stale: 1 ref, 1 commit behind for 24 hours".to_owned();
    assert!(world.subjects()[told..].contains(&stale), "{:?}", &world.subjects()[told..]);
    world.pair.mirror_all();
    let told = world.subjects().len();
    world.pass(&watch, TimeDelta::days(80)).await;
    let renewals = world.subjects()[told..].iter().filter(|subject| subject.contains("subscription")).count();
    // Four ahead, and that it lapsed, with its reminders.
    assert!(renewals >= 5, "{:?}", &world.subjects()[told..]);
    let days: Vec<HistoryRow> = watch.history(MIRROR).expect("a history");
    let first = days.iter().any(|row| matches!(row.event, Event::Changed { from: Condition::Unchecked, .. }));
    assert!(first, "the first days are not thrown away by a day that was never there");
}

#[tokio::test]
async fn a_letter_of_what_lapsed_that_may_be_lost_is_reminded_of_after_an_hour() {
    let due = "2027-03-01".parse().expect("a day");
    let mut state = State::new(String::new(), String::new(), moment("2027-03-02 00:00"));
    let at = |hour: &str| moment(&format!("2027-03-02 {hour}"));
    use crate::monitor::renewal::{next, tell};
    use crate::monitor::telling::Tidings;
    assert_eq!(tell(&mut state, due, false, at("00:00")), Some(Tidings::RenewalOverdue));
    assert_eq!(
        (next(&state, true, at("00:00")), next(&state, false, at("00:00"))),
        (at("01:00"), moment("2027-03-03 00:00"))
    );
    assert_eq!(tell(&mut state, due, true, at("00:59")), None);
    assert_eq!(tell(&mut state, due, true, at("01:00")), Some(Tidings::RenewalReminder));
    assert_eq!(tell(&mut state, due, true, at("02:30")), None, "once");
    assert_eq!(tell(&mut state, due, true, moment("2027-03-03 00:00")), Some(Tidings::RenewalReminder));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_known_until_it_does() {
    let world = World::new("a-b");
    let watch = world.watch();
    let is_silent = || watch.world.places.is_silent("mirror.example");
    world.pair.fail(Side::Mirror, no_answer());
    watch.check(MIRROR).await.expect("a check");
    assert!(is_silent());
    world.pair.fail(Side::Mirror, None);
    watch.check(MIRROR).await.expect("a check");
    assert!(!is_silent());
}

#[tokio::test]
async fn refs_that_nobody_can_ask_the_mirror_about_are_kept_once() {
    let world = World::new("a-b");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b old=a");
    world.pair.set(Side::Mirror, "main=b old=a");
    watch.check(MIRROR).await.expect("a check");
    world.pair.fail(Side::Mirror, no_answer());
    world.pair.set(Side::Source, "main=b");
    let mut before: Option<Seen> = None;
    for _ in 0..3 {
        world.clock.forward(TimeDelta::hours(1));
        watch.check(MIRROR).await.expect("a check");
        let now: Seen = kept::seen(&*world.store, MIRROR);
        assert!(before.replace(now.clone()).is_none_or(|before| before == now), "{now:?}");
    }
    world.pair.fail(Side::Mirror, None);
    world.pair.set(Side::Mirror, "main=b");
    assert_eq!(watch.check(MIRROR).await.expect("a check").condition, Condition::InSync);
}
