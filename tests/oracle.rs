//! modvet answers what the real go command answers in direct mode: version, time, origin, go.mod and zip of every fixture.
//!
//! What go says is read from `testdata/oracle/`; `tests/oracle_go.rs` keeps that true. Of histories made by rule go is asked here.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::fixture::{self, Fixture};
use support::git_server::{Flavour, GitServer};
use support::h1;
use support::histories;
use support::modvet::{Modvet, escaped};
use support::oracle::{self, Answer, ModuleRecord, Oracle};
use tempfile::TempDir;

#[test]
fn answers_are_gos_over_protocol_v2_with_filters() {
    compare(Flavour::Filters, "rewrite", rewritten);
}

#[test]
fn answers_are_gos_over_protocol_v2_without_filters() {
    compare(Flavour::NoFilters, "rewrite", rewritten);
}

#[test]
fn answers_are_gos_over_the_old_protocol() {
    compare(Flavour::Old, "rewrite", rewritten);
}

#[test]
fn strict_refusals_are_in_gos_words_and_name_the_right_version() {
    compare(Flavour::Filters, "strict", refused);
}

/// How many histories made by rule go is asked about; `HISTORIES` and `FIRST_HISTORY` ask about others and more.
const HISTORIES: u64 = 6;
/// How many of them at a time; each question starts a dozen processes.
const WORKERS: usize = 3;

#[test]
fn answers_are_gos_for_histories_made_by_rule() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let first = number("FIRST_HISTORY").unwrap_or(1);
    let last = first + number("HISTORIES").unwrap_or(HISTORIES);
    let (fixtures, texts): (Vec<Fixture>, Vec<String>) = (first..last).map(histories::by_rule).unzip();
    let (_folder, server) = serve(&fixtures, Flavour::Filters);
    let modvet = Modvet::over_git(&server.url(), "rewrite");
    let oracle = Oracle::over(&fixtures, Flavour::Filters);
    let (next, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || {
            let turns = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
            for (fixture, text) in turns.map_while(|turn| fixtures.get(turn).zip(texts.get(turn))) {
                let record = oracle.ask(fixture);
                let found: Vec<String> =
                    record.modules.iter().flat_map(|module| about_module(&modvet, module, rewritten)).collect();
                if !found.is_empty() {
                    differences.lock().expect("no thread panics with it").push(format!("{}\n{text}", found.join("\n")));
                }
            }
        };
        (0..WORKERS).for_each(|_| drop(scope.spawn(work)));
    });
    let differences = differences.into_inner().expect("no thread panicked");
    assert!(differences.is_empty(), "{} histories differ:\n{}", differences.len(), differences.join("\n"));
}

/// How a wrong pseudo-version is to be answered in the mode under test.
type Wrong = fn(&Modvet, &str, &Answer, &str) -> Vec<String>;

fn compare(flavour: Flavour, mode: &str, wrong: Wrong) {
    let fixtures = fixture::all();
    let (_folder, server) = serve(&fixtures, flavour);
    let modvet = Modvet::over_git(&server.url(), mode);
    let mut differences = Vec::new();
    for fixture in &fixtures {
        for module in &oracle::read(&fixture.name).modules {
            differences.extend(about_module(&modvet, module, wrong));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn serve(fixtures: &[Fixture], flavour: Flavour) -> (TempDir, GitServer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for fixture in fixtures {
        support::replay::replay(fixture, folder.path());
    }
    let server = GitServer::start(folder.path(), flavour);
    (folder, server)
}

fn about_module(modvet: &Modvet, module: &ModuleRecord, wrong: Wrong) -> Vec<String> {
    let mut differences = about_list(modvet, module);
    // What is refused by its own name has no files either, although go has some that a branch brought in.
    let refused_names = module.answers.iter().filter(|answer| answer.version.is_none());
    let mut built: BTreeSet<String> = refused_names.map(|answer| answer.asked().to_owned()).collect();
    // What go refuses comes first: it was asked with empty caches, and a version that a branch resolved to is known
    // ever after, to go as well (fixtures/branch-like-hash.repo, fixtures/ambiguous-twelve.repo).
    let (found, refused): (Vec<_>, Vec<_>) = module.answers.iter().partition(|answer| answer.version.is_some());
    for answer in refused.into_iter().chain(found) {
        // The go command never asks a proxy for a revision with a slash.
        if answer.asked().contains('/') {
            continue;
        }
        let mut found = match (&answer.version, &answer.right) {
            (Some(version), _) => about_version(modvet, &module.module, answer, version, &mut built),
            (None, Some(right)) if is_fault(answer) => wrong(modvet, &module.module, answer, right),
            // go knows no revision in upper case or of few digits; modvet names the right version.
            (None, None) if is_misspelt(answer.asked()) => Vec::new(),
            _ => about_absence(modvet, &module.module, answer),
        };
        differences.append(&mut found);
    }
    differences
}

/// Whether a pseudo-version's revision is in upper case or of four to six digits.
fn is_misspelt(asked: &str) -> bool {
    let Some((head, revision)) = asked.rsplit_once('-') else { return false };
    let is_time = head.len() > 14 && head.bytes().rev().take(14).all(|b| b.is_ascii_digit());
    let is_hex = revision.bytes().all(|b| b.is_ascii_hexdigit());
    let is_upper = revision.bytes().any(|b| b.is_ascii_uppercase());
    is_time && is_hex && (is_upper || (4..7).contains(&revision.len()))
}

/// Whether go refuses a pseudo-version whose revision is there.
fn is_fault(answer: &Answer) -> bool {
    answer.error.as_ref().is_some_and(|error| !error.contains("unknown revision"))
}

fn info_tail(answer: &Answer) -> String {
    match answer.asked() {
        "latest" => "@latest".to_owned(),
        asked => format!("@v/{}.info", escaped(asked)),
    }
}

fn about_list(modvet: &Modvet, module: &ModuleRecord) -> Vec<String> {
    let answered = modvet.get(&module.module, "@v/list");
    let status = answered.status;
    let text = answered.text();
    // go lists nothing for a path that is no module; a proxy may as well say that it is none.
    let is_no_module = module.answers.iter().any(|answer| answer.query == "latest" && answer.version.is_none());
    let is_right = match &module.list {
        Some(list) if list.is_empty() && is_no_module => status == 404 || (status == 200 && text.is_empty()),
        Some(list) => status == 200 && text.lines().eq(list),
        None => status == 404 || status == 410,
    };
    if is_right {
        return Vec::new();
    }
    vec![format!("{}: list: {status} {text:?} (expected {:?} {:?})", module.module, module.list, module.list_error)]
}

fn about_version(
    modvet: &Modvet,
    module: &str,
    answer: &Answer,
    version: &str,
    built: &mut BTreeSet<String>,
) -> Vec<String> {
    let subject = format!("{module}@{}", answer.asked());
    let mut differences = about_info(modvet, module, answer, version);
    if !built.insert(version.to_owned()) {
        return differences;
    }
    if let Some(sum) = &answer.go_mod_h1 {
        let answered = modvet.get(module, &format!("@v/{}.mod", escaped(version)));
        if answered.status != 200 || h1::of_go_mod(&answered.body) != *sum {
            let start: String = answered.text().chars().take(200).collect();
            differences.push(format!(
                "{subject}: .mod of {version}: {} {start:?} (expected {:?})",
                answered.status, answer.go_mod
            ));
        }
    }
    differences
        .extend(about_zip(modvet, module, answer, version).map(|what| format!("{subject}: .zip of {version}: {what}")));
    differences
}

fn about_info(modvet: &Modvet, module: &str, answer: &Answer, version: &str) -> Vec<String> {
    let subject = format!("{module}@{}: .info", answer.asked());
    let answered = modvet.get(module, &info_tail(answer));
    if answered.status != 200 {
        return vec![format!("{subject}: {} {:?} (expected {version})", answered.status, answered.text())];
    }
    let Ok(info) = serde_json::from_slice::<serde_json::Value>(&answered.body) else {
        return vec![format!("{subject}: no json: {:?}", answered.text())];
    };
    let mut differences = Vec::new();
    if info["Version"].as_str() != Some(version) {
        differences.push(format!("{subject}: {} (expected {version})", info["Version"]));
    }
    if info["Time"].as_str() != answer.time.as_deref() {
        differences.push(format!("{subject}: {} (expected {:?})", info["Time"], answer.time));
    }
    let origin = info.get("Origin");
    if origin != answer.origin.as_ref() && (answer.info_origin.is_none() || origin != answer.info_origin.as_ref()) {
        differences.push(format!("{subject}: {origin:?} (expected {:?} or {:?})", answer.origin, answer.info_origin));
    }
    differences
}

fn about_zip(modvet: &Modvet, module: &str, answer: &Answer, version: &str) -> Option<String> {
    let error = answer.error.as_deref().unwrap_or_default();
    let refusal = error.strip_prefix("create zip: ");
    if answer.h1.is_none() && refusal.is_none() {
        return None;
    }
    let answered = modvet.get(module, &format!("@v/{}.zip", escaped(version)));
    if let Some(refusal) = refusal {
        // The file is named before the first colon that a space follows.
        let name: String = refusal.split(": ").next()?.chars().filter(|c| c.is_ascii_graphic()).collect();
        let text: String = answered.text().chars().filter(|c| c.is_ascii_graphic()).collect();
        let is_right = (400..500).contains(&answered.status) && text.contains(&name);
        return (!is_right).then(|| format!("{} {:?} (expected {refusal})", answered.status, answered.text()));
    }
    if answered.status != 200 {
        return Some(format!("{} {:?} (expected {:?})", answered.status, answered.text(), answer.h1));
    }
    match (h1::of_zip(&answered.body), h1::contents(&answered.body)) {
        (Ok(found), _) if Some(&found) == answer.h1.as_ref() => None,
        (Ok(found), Ok(files)) => Some(format!("{found} {files:?} (expected {:?} {:?})", answer.h1, answer.files)),
        (Err(error), _) | (_, Err(error)) => Some(error),
    }
}

/// `rewrite`: the right version is given instead of the wrong one.
fn rewritten(modvet: &Modvet, module: &str, answer: &Answer, right: &str) -> Vec<String> {
    let answered = modvet.get(module, &info_tail(answer));
    let info: serde_json::Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    if answered.status == 200 && info["Version"].as_str() == Some(right) {
        return Vec::new();
    }
    vec![format!("{module}@{}: .info: {} {:?} (expected {right})", answer.asked(), answered.status, answered.text())]
}

/// `strict`: 403, the go command's reason in the first line, the right version in the second and in the reason phrase.
fn refused(modvet: &Modvet, module: &str, answer: &Answer, right: &str) -> Vec<String> {
    let answered = modvet.get(module, &info_tail(answer));
    let error = answer.error.as_deref().unwrap_or_default();
    let reason = error.rsplit_once("invalid pseudo-version: ").or_else(|| error.rsplit_once("invalid version: "));
    let reason = reason.map_or(error, |(_, reason)| reason);
    let text = answered.text();
    let mut lines = text.lines();
    let is_right = answered.status == 403
        && lines.next().is_some_and(|line| line.contains(reason))
        && lines.next() == Some(&format!("use {module}@{right}"))
        && answered.reason.ends_with(&format!("use {right}"));
    if is_right {
        return Vec::new();
    }
    vec![format!(
        "{module}@{}: .info: {} {} {text:?} (expected {reason}; use {right})",
        answer.asked(),
        answered.status,
        answered.reason
    )]
}

fn about_absence(modvet: &Modvet, module: &str, answer: &Answer) -> Vec<String> {
    let answered = modvet.get(module, &info_tail(answer));
    if (400..500).contains(&answered.status) && !answered.body.is_empty() {
        return Vec::new();
    }
    let expected = answer.error.as_deref().unwrap_or_default();
    vec![format!("{module}@{}: .info: {} {:?} (expected {expected})", answer.asked(), answered.status, answered.text())]
}
