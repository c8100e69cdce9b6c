//! `modvet mirror` and the watch of `modvet serve`, over two real git servers.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client;
use support::git_server::GitServer;
use support::mirrored::{Mirrored, NAME, Side};
use support::modvet::{Home, Modvet};

const PATIENCE: Duration = Duration::from_secs(60);

/// Looked at every second, and behind for two: stale.
const HASTY: &str = "check_every = \"1s\"\nmax_lag = \"2s\"";

fn home(mirrored: &Mirrored, more: &str) -> Home {
    let home = Home::new();
    home.configure(&mirrored.settings(more));
    home
}

fn mirror(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["mirror"], arguments, &["--config", "modvet.toml"]].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    format!("{}{}", out(output), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that ends with this code, and gives its output.
fn ends(home: &Home, arguments: &[&str], code: i32) -> String {
    let output = mirror(home, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", said(&output), home.log());
    out(&output)
}

/// What `--json` says of the one mirror.
fn json(home: &Home, arguments: &[&str]) -> Value {
    let output = mirror(home, &[arguments, &["--json"]].concat());
    serde_json::from_str(out(&output).trim()).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

fn status_of(modvet: &Modvet) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", &format!("/api/v1/mirrors/{NAME}"), "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    serde_json::from_slice(&answered.body).expect("JSON")
}

/// Waits until a server says so of the mirror.
fn until(modvet: &Modvet, condition: &str) -> Value {
    let start = Instant::now();
    loop {
        let status = status_of(modvet);
        if status["condition"] == condition {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "not {condition}: {status}\n{}", modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn a_mirror_that_stands_still_lags_and_goes_stale_until_it_is_carried_on() {
    let mirrored = Mirrored::new();
    let modvet = home(&mirrored, HASTY).serve();
    until(&modvet, "in_sync");
    ends(modvet.home(), &["status"], 0);
    mirrored.commit(Side::Source, "main");
    mirrored.commit(Side::Source, "main");
    let status = until(&modvet, "stale");
    assert_eq!((&status["difference"]["behind_refs"], &status["difference"]["behind_commits"]), (&1.into(), &2.into()));
    assert_eq!(status["difference"]["newest"]["source"], "2026-01-09T09:00:00Z");
    assert_eq!(status["difference"]["newest"]["mirror"], "2026-01-07T09:00:00Z");
    assert!(status["difference"]["since"].is_string() && status["last_in_sync"].is_string(), "{status}");
    let table = ends(modvet.home(), &["status"], 1);
    assert!(table.contains("stale") && table.contains("1 ref, 2 commits"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80 || line.contains(": ")), "{table}");
    let page = ends(modvet.home(), &["status", NAME, "--history"], 1);
    assert!(page.contains("refs/heads/main: source ") && page.contains("2 commits behind"), "{page}");
    assert!(page.contains("in sync -> "), "{page}");
    mirrored.carry(&["refs/heads/*:refs/heads/*"]);
    until(&modvet, "in_sync");
    ends(modvet.home(), &["status"], 0);
}

#[test]
fn a_mirroring_that_stopped_half_way_is_told_ref_by_ref() {
    let mirrored = Mirrored::new();
    let half = mirrored.commit(Side::Source, "main");
    mirrored.commit(Side::Source, "main");
    mirrored.commit(Side::Source, "release");
    mirrored.git(Side::Source, &["tag", "-a", "-m", "x", "v1.1.0", "main"]);
    // It got so far.
    mirrored.carry(&[&format!("{half}:refs/heads/main")]);
    let home = home(&mirrored, "");
    let found = json(&home, &["check"]);
    assert_eq!(found["condition"], "lagging", "{found}");
    let refs: Vec<(&str, &Value, &Value)> = found["difference"]["refs"]
        .as_array()
        .expect("refs")
        .iter()
        .map(|found| (found["name"].as_str().expect("a name"), &found["mirror"], &found["behind_commits"]))
        .collect();
    let names: Vec<&str> = refs.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, ["refs/heads/main", "refs/heads/release", "refs/tags/v1.1.0"], "{found}");
    assert_eq!(refs[0].1, &Value::String(half.clone()));
    assert_eq!(refs[0].2, &Value::from(1));
    assert!(refs[1].1.is_null() && refs[2].1.is_null());
    // As git counts them.
    let count = mirrored.git(Side::Source, &["rev-list", "--count", "--all", "--not", &half]);
    assert_eq!(found["difference"]["behind_commits"].to_string(), count, "{found}");
}

#[test]
fn what_the_mirror_has_alone_is_diverged_and_overwritten_by_force_only() {
    let mirrored = Mirrored::new();
    mirrored.commit(Side::Source, "main");
    let own = mirrored.commit(Side::Mirror, "main");
    mirrored.git(Side::Mirror, &["tag", "v9.9.9", "main"]);
    let home = home(&mirrored, "");
    let table = ends(&home, &["check"], 1);
    assert!(table.contains("diverged"), "{table}");
    let before = mirrored.refs(Side::Mirror);
    let output = mirror(&home, &["sync", NAME, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("refs/heads/main") && said(&output).contains("--force"), "{}", said(&output));
    assert_eq!(mirrored.refs(Side::Mirror), before, "nothing is done");
    ends(&home, &["sync", NAME, "--yes", "--force", "--prune"], 0);
    mirrored.are_the_same();
    assert!(!mirrored.refs(Side::Mirror).contains(&own));
    ends(&home, &["status"], 0);
}

#[test]
fn a_sync_shows_first_what_it_does_and_makes_the_mirror_what_its_source_is() {
    let mirrored = Mirrored::new();
    for branch in ["main", "main", "release"] {
        mirrored.commit(Side::Source, branch);
    }
    mirrored.git(Side::Source, &["tag", "-a", "-m", "x", "v1.1.0", "main"]);
    let home = home(&mirrored, "");
    let before = mirrored.refs(Side::Mirror);
    let plan = ends(&home, &["sync", NAME, "--dry-run"], 0);
    let rows: Vec<Vec<&str>> = plan.lines().skip(2).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(
        rows,
        [["forward", "refs/heads/main"], ["create", "refs/heads/release"], ["create", "refs/tags/v1.1.0"]],
        "{plan}"
    );
    let output = mirror(&home, &["sync", NAME]);
    assert_eq!(output.status.code(), Some(2), "nobody is there to be asked: {}", said(&output));
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    assert_eq!(mirrored.refs(Side::Mirror), before, "nothing is done");
    ends(&home, &["sync", NAME, "--yes"], 0);
    mirrored.are_the_same();
    let again = ends(&home, &["sync", NAME, "--yes"], 0);
    assert!(again.contains("nothing to do"), "{again}");
    mirrored.git(Side::Source, &["update-ref", "-d", "refs/heads/release"]);
    ends(&home, &["sync", NAME, "--yes"], 0);
    assert!(mirrored.refs(Side::Mirror).contains("refs/heads/release"), "without --prune nothing is deleted");
    ends(&home, &["sync", NAME, "--yes", "--prune"], 0);
    mirrored.are_the_same();
    let history = ends(&home, &["status", NAME, "--history"], 0);
    assert!(history.contains("synced: 3 refs"), "{history}");
}

#[test]
fn credentials_that_are_taken_back_are_refused_and_new_ones_count_at_once() {
    let mirrored = Mirrored::with(|folder| GitServer::guarded(folder, "ci", "g00d-Passw0rd"));
    let home = Home::new();
    home.write("password", "g00d-Passw0rd\n");
    let file = home.path().join("password").display().to_string();
    let auth = format!("{HASTY}\nmirror_auth = {{ username = \"ci\", token_file = '{file}' }}");
    home.configure(&mirrored.settings(&auth));
    let modvet = home.serve();
    until(&modvet, "in_sync");
    let success = status_of(&modvet)["last_success"].clone();
    modvet.home().write("password", "lapsed-Passw0rd\n");
    let answered = client::control(&modvet.home().store(), "POST", "/api/v1/reload", "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    let status = until(&modvet, "refused");
    assert!(status["error"].as_str().is_some_and(|error| error.contains("mirror")), "{status}");
    assert!(status["last_success"].as_str() >= success.as_str(), "{status}");
    assert!(status["last_attempt"].as_str() > status["last_success"].as_str(), "told apart: {status}");
    let table = ends(modvet.home(), &["status"], 1);
    assert!(table.contains("refused"), "{table}");
    modvet.home().write("password", "g00d-Passw0rd\n");
    until(&modvet, "in_sync");
    assert!(!modvet.log().contains("Passw0rd"), "{}", modvet.log());
}

#[test]
fn a_side_that_is_gone_is_unreachable_and_what_was_found_last_is_shown_on() {
    let mirrored = Mirrored::new();
    mirrored.commit(Side::Source, "main");
    let home = home(&mirrored, "");
    let lagging = json(&home, &["check"]);
    let Mirrored { source, .. } = mirrored;
    drop(source);
    let output = mirror(&home, &["check", NAME]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let found = json(&home, &["status"]);
    assert_eq!(found["condition"], "unreachable", "{found}");
    assert_eq!(found["difference"], lagging["difference"], "{found}");
    assert_eq!(found["last_success"], lagging["last_success"], "{found}");
    assert!(found["error"].is_string(), "{found}");
}

#[test]
fn without_a_server_the_states_of_the_store_are_told_with_their_age() {
    let mirrored = Mirrored::new();
    let home = home(&mirrored, "check_every = \"1h\"");
    let output = mirror(&home, &["status"]);
    assert_eq!(output.status.code(), Some(2), "there is no store yet: {}", said(&output));
    assert!(said(&output).contains("there is no store") && !home.store().exists(), "{}", said(&output));
    home.credentials("makes the store");
    let output = mirror(&home, &["status"]);
    assert_eq!(output.status.code(), Some(3), "nobody looked yet: {}", said(&output));
    assert!(said(&output).contains("unchecked") && said(&output).contains("never"), "{}", said(&output));
    ends(&home, &["check"], 0);
    let output = mirror(&home, &["status"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("no server is running"), "{}", said(&output));
    let output = mirror(&home, &["status", "python-gitlap"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("did you mean `python-gitlab`?"), "{}", said(&output));
}

#[test]
fn a_renewal_is_kept_with_its_history_and_the_later_date_counts() {
    let mirrored = Mirrored::new();
    let renewal = |date: &str| format!("renewal = {{ what = \"subscription\", date = \"{date}\", every = \"1y\" }}");
    let home = home(&mirrored, &renewal("2020-02-01"));
    let table = ends(&home, &["check"], 1);
    assert!(table.contains("subscription lapsed on 2020-02-01"), "{table}");
    let output = mirror(&home, &["renew", NAME, "--until", "2019-01-01"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("2019-01-01 is over") && said(&output).contains("force"), "{}", said(&output));
    ends(&home, &["renew", NAME, "--until", "2100-02-01", "--by", "ann"], 0);
    ends(&home, &["status"], 0);
    ends(&home, &["renew", NAME, "--by", "bob"], 0);
    let renewal_of = |home: &Home| json(home, &["status"])["renewal"].clone();
    let found = renewal_of(&home);
    assert_eq!(found["due"], "2101-02-01", "one more period: {found}");
    let history = found["history"].as_array().expect("a history");
    let kept: Vec<(&Value, &Value)> = history.iter().map(|one| (&one["until"], &one["by"])).collect();
    assert_eq!(
        kept,
        [(&"2101-02-01".into(), &"bob".into()), (&"2100-02-01".into(), &"ann".into())],
        "the newest first"
    );
    home.configure(&mirrored.settings(&renewal("2110-01-01")));
    assert_eq!(renewal_of(&home)["due"], "2110-01-01", "the file's is the later one");
}

#[test]
fn a_reload_pauses_a_mirror_and_brings_others() {
    let mirrored = Mirrored::new();
    let other = Mirrored::new();
    let modvet = home(&mirrored, HASTY).serve();
    until(&modvet, "in_sync");
    let table = other.table(HASTY).replace(NAME, "other").replace("other.git", &format!("{NAME}.git"));
    let paused = mirrored.settings(&format!("{HASTY}\npaused = true"));
    modvet.home().configure(&format!("{paused}{table}"));
    modvet.signal(libc::SIGHUP);
    let status = until(&modvet, "paused");
    assert!(status["next_check"].is_null() && status["last_success"].is_string(), "{status}");
    let start = Instant::now();
    while client::control(&modvet.home().store(), "GET", "/api/v1/mirrors/other", "").status != 200 {
        assert!(start.elapsed() < PATIENCE, "{}", modvet.log());
        std::thread::yield_now();
    }
    mirrored.commit(Side::Source, "main");
    let before = mirrored.source.counts().requests();
    ends(modvet.home(), &["check", "other"], 0);
    let told = ends(modvet.home(), &["check", NAME], 0);
    assert!(told.contains("it is paused: nobody looked"), "{told}");
    assert_eq!(mirrored.source.counts().requests(), before, "nobody looks");
    modvet.home().configure(&mirrored.settings(HASTY));
    modvet.signal(libc::SIGHUP);
    until(&modvet, "stale");
    let gone = client::control(&modvet.home().store(), "GET", "/api/v1/mirrors/other", "");
    assert_eq!(gone.status, 404, "{}", gone.text());
}

/// A mirror that takes a push in and does not come to its end with it as long as this is held.
struct Held(std::path::PathBuf);

impl Held {
    fn pushes_to(mirrored: &Mirrored) -> Held {
        let path = mirrored.path(Side::Mirror);
        let hook = path.join("hooks/pre-receive");
        std::fs::write(path.join("held"), "").expect("written");
        std::fs::write(&hook, "#!/bin/sh\n: > arrived\nwhile [ -e held ]; do sleep 0.05; done\n").expect("written");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("ours");
        Held(path)
    }

    fn until_one_arrives(&self, child: &mut Child) {
        let start = Instant::now();
        while !self.0.join("arrived").exists() {
            assert!(start.elapsed() < PATIENCE, "nobody pushes");
            assert!(child.try_wait().expect("our child").is_none(), "it ended before it pushed");
            std::thread::yield_now();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        std::fs::remove_file(self.0.join("held")).expect("it was held");
    }
}

fn interrupted_sync_leaves_the_mirror_whole(mirrored: &Mirrored, home: &Home) {
    mirrored.commit(Side::Source, "main");
    mirrored.git(Side::Source, &["tag", "v1.1.0", "main"]);
    let (before, source) = (mirrored.refs(Side::Mirror), mirrored.refs(Side::Source));
    let held = Held::pushes_to(mirrored);
    let mut command = home.command(&["mirror", "sync", NAME, "--yes", "--config", "modvet.toml"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary was built");
    held.until_one_arrives(&mut child);
    let process = i32::try_from(child.id()).expect("a process id");
    // SAFETY: a signal to a child of ours that was not waited for yet.
    assert_eq!(unsafe { libc::kill(process, libc::SIGINT) }, 0);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    drop(held);
    mirrored.git(Side::Mirror, &["fsck", "--full", "--strict"]);
    let found = mirrored.refs(Side::Mirror);
    assert!(found.lines().all(|line| before.contains(line) || source.contains(line)), "{found}");
    // What the mirror began may come to its end beside the next one, which is refused then.
    let start = Instant::now();
    while mirror(home, &["sync", NAME, "--yes"]).status.code() != Some(0) {
        assert!(start.elapsed() < PATIENCE, "no sync comes to its end: {}", home.log());
    }
    mirrored.are_the_same();
}

#[test]
fn ctrl_c_in_the_middle_of_a_sync_leaves_the_mirror_whole() {
    let mirrored = Mirrored::new();
    interrupted_sync_leaves_the_mirror_whole(&mirrored, &home(&mirrored, ""));
}

#[test]
fn ctrl_c_while_the_server_syncs_leaves_the_mirror_whole() {
    let mirrored = Mirrored::new();
    let modvet = home(&mirrored, "").serve();
    interrupted_sync_leaves_the_mirror_whole(&mirrored, modvet.home());
}
