//! What the mirror watch costs: 500 mirrors, each side of each asked anew. Most are in sync, on a server that has refs
//! only; some are real repositories behind `git http-backend`, behind their source or with commits of their own; some
//! are refused, some out of reach.
//!
//! `cargo bench --bench mirrors`; the row of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use measured::forge::Forge;
use measured::process::{memory, processor_time};
use serde_json::Value;
use support::client::control;
use support::git_server::{Flavour, GitServer};
use support::modvet::Modvet;
use support::tree::Tree;

const MIRRORS: usize = 500;
/// Of each repository without commits.
const REFS: usize = 100;
/// Of the real ones.
const COMMITS: usize = 2_000;
/// So many mirrors of every other kind than in sync.
const OF_EACH: usize = 10;
/// How often all are looked at in a day like any other.
const PERIOD: Duration = Duration::from_secs(15 * 60);
const ROUNDS: u32 = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    repositories(folder.path());
    let (forge, git) = (Forge::start(REFS), GitServer::start(folder.path(), Flavour::Filters));
    let tree = Tree::new();
    let bare = memory(Modvet::start(&tree.settings()).id());
    let (settings, expected) = mirrors(&forge.url(), &git.url());
    let modvet = Modvet::start(&format!("{}{settings}", tree.settings()));
    // Histories are fetched once.
    let first = round(&modvet, &expected);
    println!("time   the first check of {MIRRORS} mirrors: {first:.2?}");
    let (asked, spent) = (forge.counts(), processor_time(modvet.id()));
    let rounds: Vec<Duration> = (0..ROUNDS).map(|_| round(&modvet, &expected)).collect();
    let (after, spent) = (forge.counts(), processor_time(modvet.id()).zip(spent).map(|(after, before)| after - before));
    let in_sync = count(&expected, "in_sync") - OF_EACH;
    let (refused, unreachable) = (count(&expected, "refused"), count(&expected, "unreachable"));
    // Greeting and refs of each side; a side that refuses says so at the greeting, and its source is asked all the same.
    let expected_requests = 4 * in_sync + 3 * refused + 2 * unreachable;
    let (requests, bytes) = (after.0 - asked.0, after.1 - asked.1);
    println!("time   a later check of all of them: {:.2?}", rounds.iter().min().expect("rounds"));
    let refs_only = in_sync + refused + unreachable;
    println!("count  mirrors of refs only: {refs_only}, {requests} requests and {bytes} bytes in {ROUNDS} checks");
    if let Some(spent) = spent {
        let each = spent / ROUNDS / MIRRORS as u32;
        let share = (spent / ROUNDS).as_secs_f64() / PERIOD.as_secs_f64();
        println!("cpu    a check: {each:.2?}; {MIRRORS} mirrors every 15 minutes: {:.3} % of a core", share * 100.0);
    }
    if let (Some((bare, bare_peak)), Some((now, peak))) = (bare, memory(modvet.id())) {
        let each = (now.saturating_sub(bare) / MIRRORS as u64) >> 10;
        println!("memory without mirrors: {} KiB, {} at most", bare >> 10, bare_peak >> 10);
        println!("memory with {MIRRORS}: {} KiB, {} at most; {each} KiB a mirror", now >> 10, peak >> 10);
        assert!(each < 200, "what is kept of a mirror in memory is small");
    }
    assert!(requests <= u64::from(ROUNDS) * expected_requests as u64, "two requests for each side");
}

fn count(expected: &BTreeMap<String, &str>, condition: &str) -> usize {
    expected.values().filter(|found| **found == condition).count()
}

/// Settings of all mirrors, and how each of them must be found.
fn mirrors(forge: &str, git: &str) -> (String, BTreeMap<String, &'static str>) {
    // Nobody listens there any more.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let closed = closed.expect("a free port");
    let mut settings = String::new();
    let mut expected = BTreeMap::new();
    for number in 0..MIRRORS {
        let name = format!("m{number:03}");
        // The same address twice would be one mirror too many, so each has its own folder that the server overlooks.
        let real = |of: &str| format!("{git}{name}/{of}");
        let (source, mirror) = (format!("{forge}{name}/source"), format!("{forge}{name}/mirror"));
        let (source, mirror, condition) = match number / OF_EACH {
            0 => (real("source"), real("behind"), "lagging"),
            1 => (real("source"), real("own"), "diverged"),
            2 => (real("source"), real("same"), "in_sync"),
            3 => (source, format!("{forge}refused/{name}"), "refused"),
            4 => (source, format!("http://{closed}/{name}"), "unreachable"),
            _ => (source, mirror, "in_sync"),
        };
        writeln!(settings, "[[mirror]]\nname = '{name}'\nsource = '{source}'\nmirror = '{mirror}'").expect("memory");
        expected.insert(name, condition);
    }
    (settings, expected)
}

/// Has all mirrors checked, looks at what was found, and says how long it took.
fn round(modvet: &Modvet, expected: &BTreeMap<String, &str>) -> Duration {
    let start = Instant::now();
    let answered = control(&modvet.home().store(), "POST", "/api/v1/mirrors/check", "{}");
    let took = start.elapsed();
    assert_eq!(answered.status, 200, "{}", answered.text());
    let mut found = BTreeMap::new();
    for line in answered.text().lines() {
        let said: Value = serde_json::from_str(line).expect("a line of JSON");
        let status = &said["checked"];
        let text = |key: &str| status[key].as_str().map(str::to_owned).unwrap_or_else(|| panic!("{key}: {line}"));
        found.insert(text("name"), text("condition"));
    }
    for (name, condition) in expected {
        assert_eq!(found.get(name).map(String::as_str), Some(*condition), "{name}: {}", modvet.log());
    }
    took
}

/// A source, and mirrors of it: the same, behind, and with a commit of its own.
fn repositories(folder: &Path) {
    let mut stream = String::new();
    for number in 1..=COMMITS {
        let branch = if number == COMMITS { "refs/heads/own" } else { "refs/heads/main" };
        let from = if number == COMMITS { format!("from :{}\n", COMMITS - 100) } else { String::new() };
        let seconds = 1_600_000_000 + number * 60;
        let commit =
            format!("commit {branch}\nmark :{number}\ncommitter C <c@bench.test> {seconds} +0000\ndata 1\nx\n");
        write!(stream, "{commit}{from}M 100644 inline file\ndata <<end\n{number}\nend\n\n").expect("memory");
    }
    writeln!(stream, "reset refs/heads/behind\nfrom :{}\n", COMMITS - 100).expect("memory");
    for name in ["source", "same", "behind", "own"] {
        let repository = folder.join(name);
        git(folder, &["init", "-q", "--bare", "-b", "main", name], "");
        git(&repository, &["fast-import", "--quiet"], &stream);
        if matches!(name, "behind" | "own") {
            git(&repository, &["update-ref", "refs/heads/main", &format!("refs/heads/{name}")], "");
        }
        git(&repository, &["update-ref", "--stdin"], "delete refs/heads/own\ndelete refs/heads/behind\n");
    }
}

fn git(folder: &Path, arguments: &[&str], input: &str) {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("git is installed");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin is piped"), input.as_bytes()).expect("git reads");
    assert!(child.wait().expect("git ends").success(), "git {arguments:?}");
}
