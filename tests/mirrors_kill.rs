//! `kill -9` while a mirror is checked and while people are told: no state is lost, nobody is told twice.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client;
use support::mirrored::{Mirrored, NAME, Side};
use support::modvet::{Home, Modvet};
use support::plain::{Plain, Said};
use support::relay::{Passage, Relay};

const PATIENCE: Duration = Duration::from_secs(60);
const HASTY: &str = "check_every = \"1s\"\nmax_lag = \"2s\"";

fn ask(modvet: &Modvet, tail: &str) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", &format!("/api/v1/mirrors/{NAME}{tail}"), "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    serde_json::from_slice(&answered.body).expect("JSON")
}

fn until(what: &str, modvet: &Modvet, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = ask(modvet, "");
        if is_so(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "not {what}: {status}\n{}", modvet.log());
        std::thread::yield_now();
    }
}

/// What was found from check to check: each change begins where the one before ended.
fn chain(modvet: &Modvet) -> Vec<String> {
    let history = ask(modvet, "/history");
    let rows = history["history"].as_array().expect("rows").iter().rev();
    let changes = rows.filter(|row| row["event"] == "changed");
    let mut chain = vec!["unchecked".to_owned()];
    for row in changes {
        assert_eq!(chain.last().map(String::as_str), row["from"].as_str(), "a gap: {history}");
        chain.push(row["to"].as_str().expect("a condition").to_owned());
    }
    chain
}

#[test]
fn a_kill_during_a_check_loses_no_state() {
    let mirrored = Mirrored::new();
    let relay = Relay::to(mirrored.source.address());
    let home = Home::new();
    home.configure(&mirrored.settings(HASTY).replace(&mirrored.source.url(), &relay.url()));
    let modvet = home.serve();
    until("in sync", &modvet, |status| status["condition"] == "in_sync");
    mirrored.commit(Side::Source, "main");
    until("stale", &modvet, |status| status["condition"] == "stale");
    relay.set(Passage::Cut);
    let before = until("unreachable", &modvet, |status| status["condition"] == "unreachable");
    let known = relay.connections();
    relay.set(Passage::Stalled);
    let start = Instant::now();
    while relay.connections() == known {
        assert!(start.elapsed() < PATIENCE, "nobody checks: {}", modvet.log());
        std::thread::yield_now();
    }
    let home = modvet.killed();
    let modvet = home.serve();
    let after = ask(&modvet, "");
    for field in ["condition", "since", "difference", "last_success", "last_in_sync"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    relay.set(Passage::Open);
    let after = until("stale again", &modvet, |status| status["condition"] == "stale");
    assert_eq!(after["difference"]["since"], before["difference"]["since"], "lag goes on from where it was");
    let home = modvet.killed();
    mirrored.carry(&["refs/heads/*:refs/heads/*"]);
    let modvet = home.serve();
    until("in sync again", &modvet, |status| status["condition"] == "in_sync");
    let chain = chain(&modvet);
    let tail = &chain[chain.len() - 4..];
    assert_eq!(tail, ["stale", "unreachable", "stale", "in_sync"], "{chain:?}");
}

/// A webhook's receiver that notes every letter and, as long as it is told to, answers none.
fn receiver() -> (Plain, Arc<AtomicBool>, Arc<Mutex<Vec<String>>>) {
    let (stalls, letters) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (stalling, noted) = (stalls.clone(), letters.clone());
    let plain = Plain::start(move |heard| {
        noted.lock().expect("no holder panics").push(heard.header("idempotency-key").to_owned());
        let start = Instant::now();
        while stalling.load(Ordering::SeqCst) && start.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        Said::new("200 OK", "ok")
    });
    (plain, stalls, letters)
}

#[test]
fn a_kill_during_a_letter_tells_nobody_twice() {
    let mirrored = Mirrored::new();
    let (plain, stalls, letters) = receiver();
    let home = Home::new();
    let channel = format!("[[notify]]\nname = \"chat\"\nkind = \"webhook\"\nurl = \"{}/hook\"\n", plain.url());
    home.configure(&format!("{}{channel}", mirrored.settings(HASTY)));
    let modvet = home.serve();
    until("in sync", &modvet, |status| status["condition"] == "in_sync");
    stalls.store(true, Ordering::SeqCst);
    mirrored.commit(Side::Source, "main");
    let start = Instant::now();
    while letters.lock().expect("no holder panics").is_empty() {
        assert!(start.elapsed() < PATIENCE, "no letter: {}", modvet.log());
        std::thread::yield_now();
    }
    let home = modvet.killed();
    stalls.store(false, Ordering::SeqCst);
    let modvet = home.serve();
    until("stale", &modvet, |status| status["condition"] == "stale");
    mirrored.carry(&["refs/heads/*:refs/heads/*"]);
    // The letter of the recovery is the sign that everything before it went out.
    let start = Instant::now();
    while letters.lock().expect("no holder panics").len() < 2 {
        assert!(start.elapsed() < PATIENCE, "no recovery: {}", modvet.log());
        std::thread::yield_now();
    }
    until("nothing on its way", &modvet, |status| status["undelivered"] == 0);
    let letters = letters.lock().expect("no holder panics").clone();
    let mut once = letters.clone();
    once.dedup();
    assert_eq!(letters, once, "a letter came twice");
    assert_eq!(letters.len(), 2, "stale, and in sync again: {letters:?}");
}

#[test]
fn a_kill_while_a_letter_waits_for_its_next_try_loses_nothing() {
    let mirrored = Mirrored::new();
    let (is_out, taken) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
    let (out, noted) = (is_out.clone(), taken.clone());
    let plain = Plain::start(move |heard| {
        if out.load(Ordering::SeqCst) {
            return Said::new("503 Service Unavailable", "not now");
        }
        noted.lock().expect("no holder panics").push(heard.header("idempotency-key").to_owned());
        Said::new("200 OK", "ok")
    });
    let home = Home::new();
    let channel = format!("[[notify]]\nname = \"chat\"\nkind = \"webhook\"\nurl = \"{}/hook\"\n", plain.url());
    home.configure(&format!("{}{channel}", mirrored.settings(HASTY)));
    let modvet = home.serve();
    until("in sync", &modvet, |status| status["condition"] == "in_sync");
    mirrored.commit(Side::Source, "main");
    let is_tried = |status: &Value| status["notices"][0]["error"].is_string();
    let status = until("tried", &modvet, |status| is_tried(status) && status["notices"][0]["state"] == "waiting");
    assert_eq!(status["notices"][0]["channel"], "chat", "{status}");
    assert_eq!(status["notices"][0]["error"], "127.0.0.1 answered 503: not now", "{status}");
    let key = status["notices"][0]["id"].clone();
    let home = modvet.killed();
    is_out.store(false, Ordering::SeqCst);
    let modvet = home.serve();
    until("delivered", &modvet, |status| status["undelivered"] == 0);
    let taken = taken.lock().expect("no holder panics").clone();
    let id = key.as_str().expect("an id");
    assert!(taken.len() == 1 && taken[0].starts_with(id), "{id}: {taken:?}");
    assert_eq!(ask(&modvet, "")["notices"], Value::Array(Vec::new()), "nothing is left to say");
}

#[test]
fn a_check_that_hangs_holds_up_no_end() {
    let mirrored = Mirrored::new();
    let relay = Relay::to(mirrored.source.address());
    relay.set(Passage::Stalled);
    let home = Home::new();
    home.configure(&mirrored.settings(HASTY).replace(&mirrored.source.url(), &relay.url()));
    let modvet = home.serve();
    let start = Instant::now();
    while relay.connections() == 0 {
        assert!(start.elapsed() < PATIENCE, "nobody checks: {}", modvet.log());
        std::thread::yield_now();
    }
    let start = Instant::now();
    modvet.signal(libc::SIGTERM);
    let (status, home) = modvet.ended();
    assert!(status.success(), "{}", home.log());
    assert!(start.elapsed() < Duration::from_secs(15), "it took {:?}: {}", start.elapsed(), home.log());
}
