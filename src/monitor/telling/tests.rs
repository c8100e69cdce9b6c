use super::*;
use crate::monitor::doubles::moment;
use crate::monitor::state::Found;

/// Checks a quarter of an hour apart, by the first letters of what they find, and what is told of each.
const ROWS: &[(&str, &str, &str)] = &[
    ("a network that is away for a while is not told", "..uuuu...", "         "),
    ("one that stays away is, and that it is back once that lasts", "uuuuu...", "    T  R"),
    ("refused and diverged are told sooner", "rr...", " T  R"),
    ("one strange look is none", "d.s.r.", "      "),
    ("lagging is no letter", "..ll..", "      "),
    ("lagging is well enough", "ssll.", " T  R"),
    ("in another way is told", "ssrr...", " T C  R"),
    ("what is not well in changing ways is told all the same", "ururu", "    T"),
    ("what comes and goes is told once", "uuuuu..uuuuu..uuuuu...........", "    T                         "),
    ("and is over once it was well for long", "uuuuu..uuuuu............", "    T            R      "),
    ("what comes back soon has to be well for longer", "uuuuu...uuuuu......", "    T  R    T     R"),
    ("going to and fro between two is told of each once", "ssuuuuussuuuuuss", " T    C         "),
];

fn found(letter: char) -> Found {
    let condition = match letter {
        'u' => Condition::Unreachable,
        'r' => Condition::Refused,
        'd' => Condition::Diverged,
        's' => Condition::Stale,
        'l' => Condition::Lagging,
        _ => Condition::InSync,
    };
    Found { condition, difference: None, error: None, failed: None }
}

#[test]
fn what_lasts_is_told_once() {
    for (name, looks, expected) in ROWS {
        let mut at = moment("2027-01-01 00:00");
        let mut state = State::new(String::new(), String::new(), at);
        let mut told = String::new();
        for letter in looks.chars() {
            state.observe(found(letter), at);
            told.push(match after_check(&mut state, at) {
                None => ' ',
                Some(Tidings::Trouble) => 'T',
                Some(Tidings::Changed { .. }) => 'C',
                Some(Tidings::Recovered(_)) => 'R',
                Some(other) => panic!("{name}: {other:?}"),
            });
            at += TimeDelta::minutes(15);
        }
        assert_eq!(told, *expected, "{name}");
    }
}

#[test]
fn reminders_thin_out_and_what_was_missed_is_not_made_up_for() {
    let told = moment("2027-01-01 00:00");
    let mut days = Vec::new();
    let mut at = told;
    while days.len() < 6 {
        at = reminder_after(told, at);
        days.push((at - told).num_days());
    }
    assert_eq!(days, [1, 3, 7, 21, 35, 49]);
    assert_eq!(reminder_after(told, told + TimeDelta::days(30)), told + TimeDelta::days(35));
}

#[test]
fn who_may_not_have_the_letter_is_reminded_after_an_hour_and_nobody_of_what_may_be_over() {
    let start = moment("2027-01-01 00:00");
    let mut state = State::new(String::new(), String::new(), start);
    for _ in 0..2 {
        state.observe(found('r'), start);
        after_check(&mut state, start);
    }
    let (hour, day) = (start + TimeDelta::hours(1), start + TimeDelta::days(1));
    assert_eq!(next_reminder(&state, false), Some(day));
    assert_eq!(next_reminder(&state, true), Some(hour));
    assert_eq!(reminder(&mut state, false, true, hour), None);
    assert_eq!(reminder(&mut state, false, false, day), None, "nobody looked of late");
    assert_eq!(reminder(&mut state, true, true, hour), Some(Tidings::Reminder));
    assert_eq!(next_reminder(&state, true), Some(day), "once");
    state.observe(found('.'), hour);
    assert_eq!(next_reminder(&state, false), None, "it is well at the moment");
}
