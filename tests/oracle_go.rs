//! The recorded answers are those of the real go command: every fixture is asked again.
//!
//! `BLESS=1` records what go says, `FIXTURE=NAME` asks about one fixture only.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::fixture::{self, Fixture};
use support::git_server::Flavour;
use support::oracle::{self, Oracle};

/// How many questions go answers at a time; each starts a dozen processes.
const WORKERS: usize = 3;

#[test]
fn the_go_command_still_says_what_is_recorded() {
    let bless = std::env::var_os("BLESS").is_some();
    let only = std::env::var("FIXTURE").ok();
    let fixtures: Vec<Fixture> =
        fixture::all().into_iter().filter(|fixture| only.as_ref().is_none_or(|only| *only == fixture.name)).collect();
    assert!(!fixtures.is_empty(), "no fixture {only:?}");
    let oracle = Oracle::over(&fixtures, Flavour::Filters);
    let next = AtomicUsize::new(0);
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(fixture) = fixtures.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let asked = oracle.ask(fixture);
                    if bless {
                        oracle::write(&oracle::path(&fixture.name), &asked);
                        continue;
                    }
                    let found = oracle::differences(&fixture.name, &oracle::read(&fixture.name), &asked);
                    differences.lock().expect("no thread panics with it").extend(found);
                }
            });
        }
    });
    let differences = differences.into_inner().expect("no thread panicked");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_fixture_has_a_record_and_every_record_a_fixture() {
    let stems = |folder: &str, extension: &str| -> BTreeSet<String> {
        let files = support::files_in(folder, extension);
        files.iter().map(|path| path.file_stem().expect("a file has a name").display().to_string()).collect()
    };
    assert_eq!(stems("fixtures", "repo"), stems("testdata/oracle", "json"));
}
