//! The letters that the year does not bring, whole.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::monitor::definition::{MirrorKind, Origin, RefPattern};
use crate::monitor::doubles::moment;
use crate::monitor::state::Found;
use crate::monitor::status::{Difference, RefDifference};
use crate::monitor::telling;
use crate::ports::Newest;

fn definition(kind: MirrorKind) -> MirrorDefinition {
    MirrorDefinition {
        name: "python-gitlab".to_owned(),
        kind,
        check_every: Duration::from_secs(900),
        max_lag: Duration::from_secs(24 * 3600),
        renewal: None,
        notify: None,
        is_paused: false,
    }
}

fn git() -> MirrorDefinition {
    definition(MirrorKind::Git {
        source: "https://git.example/python-gitlab.git".to_owned(),
        mirror: "https://mirror.example/python-gitlab.git".to_owned(),
        refs: RefPattern::defaults(),
    })
}

fn proxy() -> MirrorDefinition {
    definition(MirrorKind::Proxy {
        source: Origin::Git,
        mirror: "https://proxy.example/".parse().expect("a URL"),
        modules: Vec::new(),
    })
}

fn one(name: &str, source: Option<&str>, mirror: Option<&str>, is_diverged: bool) -> RefDifference {
    RefDifference {
        name: name.to_owned(),
        source: source.map(str::to_owned),
        mirror: mirror.map(str::to_owned),
        behind_commits: Some(2),
        ahead_commits: Some(1),
        is_diverged,
        since: None,
    }
}

fn difference(refs: Vec<RefDifference>) -> Difference {
    Difference {
        since: Some(moment("2027-01-01 09:15")),
        behind_refs: refs.iter().filter(|one| one.source.is_some()).count() as u64,
        behind_commits: Some(17),
        ahead_refs: refs.iter().filter(|one| one.is_diverged).count() as u64,
        ahead_commits: Some(1),
        newest: Newest { source: Some(moment("2027-01-01 09:12")), mirror: Some(moment("2026-12-24 18:00")) },
        refs,
        refs_left_out: 0,
    }
}

/// What is told once this was found often enough.
fn told(definition: &MirrorDefinition, looks: &[(&str, Condition, Option<Difference>)]) -> Letter {
    let mut state = State::new(definition.source(), definition.mirror(), moment("2027-01-01 00:00"));
    let mut last = None;
    for (at, condition, difference) in looks {
        let at = moment(at);
        let is_reached = difference.is_some();
        let found = Found {
            condition: *condition,
            difference: is_reached.then(|| difference.clone()),
            error: (!is_reached).then(|| "mirror: no answer within 30s".to_owned()),
            failed: (!is_reached).then_some(Side::Mirror),
        };
        for _ in 0..5 {
            state.observe(found.clone(), at);
            last = telling::after_check(&mut state, at).map(|tidings| (tidings, at)).or(last);
        }
    }
    let (tidings, at) = last.expect("tidings");
    write("id".to_owned(), &tidings, &About { definition, state: &state, renewal: None, at })
}

#[test]
fn letters_say_what_is_the_matter_and_what_to_do() {
    let own = || {
        difference(vec![one("refs/heads/main", Some("b"), Some("x"), true), one("refs/tags/v9", None, Some("x"), true)])
    };
    let many = || {
        let refs = (0..12).map(|number| one(&format!("refs/tags/v1.{number}.0"), Some("b"), None, false));
        difference(refs.collect())
    };
    let versions = || {
        difference(vec![
            one("example.com/m@latest", Some("v1.3.0"), Some("v1.2.0"), false),
            one("example.com/m@v1.3.0", Some("v1.3.0"), None, false),
        ])
    };
    use Condition::{Diverged, Stale, Unreachable};
    let table = [
        ("diverged", told(&git(), &[("2027-01-02 10:00", Diverged, Some(own()))])),
        ("stale with many refs", told(&git(), &[("2027-01-04 10:00", Stale, Some(many()))])),
        (
            "unreachable after stale",
            told(&git(), &[("2027-01-04 10:00", Stale, Some(many())), ("2027-01-04 12:00", Unreachable, None)]),
        ),
        ("a proxy that is stale", told(&proxy(), &[("2027-01-04 10:00", Stale, Some(versions()))])),
    ];
    let mut text = String::new();
    for (name, letter) in table {
        writeln!(text, "== {name}: {}\n{}\n", letter.subject, letter.text).expect("a string takes all");
        if name == "diverged" {
            let data = serde_json::to_string_pretty(&letter.data).expect("json");
            writeln!(text, "{data}\n").expect("a string takes all");
        }
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/monitor/letters.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(&file, &text).expect("a writable golden file");
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap_or_default(), "BLESS=1 rewrites the golden files");
}

#[test]
fn stretches_and_days_read_well() {
    let stretches = [(1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (172_800, "2 days")];
    for (seconds, words) in stretches {
        assert_eq!(stretch(TimeDelta::seconds(seconds)), words);
    }
    let date = "2027-02-01".parse().expect("a day");
    let days = [(-2, "2 days ago"), (-1, "1 day ago"), (0, "today"), (1, "tomorrow"), (14, "in 14 days")];
    for (left, words) in days {
        assert_eq!(day(left, date), format!("{words} (2027-02-01)"));
    }
}
