//! Herds: 100 clients after one cold commit, and 300 cold versions behind an upstream far away while others get warm answers.
//!
//! `cargo bench --bench herd`; the table of docs/performance.md is made of what it prints. It ends with an error where more
//! is asked of git or of the upstream than for one client, where a process is run, or where memory grows beyond its bound.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use measured::bare::{Bare, serve_if_asked};
use measured::deep::{COMMITS, Deep};
use measured::load::{Asked, Expected};
use measured::process::{children, forget_peak, memory};
use measured::swarm::{at_once, now_and_then};
use measured::wire::Wire;
use measured::{compare, is_wanted, middle};
use support::authority::Authority;
use support::distant::Distant;
use support::git_server::{Flavour, GitServer};
use support::modvet::{Home, Modvet, over_git};
use support::release::Release;

const DEEP: &str = "github.com/bench/deep";
/// Clients after one cold commit.
const HERD: usize = 100;
/// Times each is run; by turns, so that whatever else this machine does falls on both.
const TURNS: usize = 3;

/// Cold versions at a time, the way to their upstream and back, and how large their zips are.
const VERSIONS: usize = 300;
const DELAY: Duration = Duration::from_millis(200);
const ZIP: usize = 200 << 10;
/// What all of them may take.
const IN_ALL: Duration = Duration::from_secs(5);
/// What modvet may take of memory meanwhile. It should be 100 MB, and is not yet: docs/performance.md says why.
const PEAK: u64 = 160 << 20;
/// The most requests under way to the upstream: the default of `upstream.requests`.
const BOUND: usize = 64;
/// Those who get warm answers meanwhile: each asks, rests, and asks again.
const READERS: usize = 16;
const REST: Duration = Duration::from_millis(10);
const WARM: usize = 50;

fn main() {
    if serve_if_asked() {
        return;
    }
    if is_wanted("commit") {
        one_commit();
    }
    if is_wanted("versions") {
        many_versions();
    }
}

/// What one run of a herd took: time, requests to git, and questions that were asked of the upstream.
struct Run {
    took: Duration,
    requests: u64,
    questions: u64,
}

fn one_commit() {
    let deep = Deep::made();
    let server = GitServer::start(&deep.folder, Flavour::Filters);
    let expected = deep.commit(COMMITS / 3);
    let Expectation { info, go_mod, zip } = Expectation::of(&server, &expected.hash, &expected.version);
    for (name, asked) in [(".info", info), (".mod", go_mod), (".zip", zip)] {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            one.push(herd(&server, &asked, 1));
            many.push(herd(&server, &asked, HERD));
        }
        let most = |of: fn(&Run) -> u64| {
            let among = |runs: &[Run]| runs.iter().map(of).max().expect("it ran");
            (among(&one), among(&many))
        };
        for (what, (single, herd)) in
            [("requests to git", most(|run| run.requests)), ("answers made", most(|run| run.questions))]
        {
            println!("count  {name}, {what}: for 1 client {single}, for {HERD} {herd}");
            assert!(single > 0, "{name}, {what}: none were counted");
            assert!(herd <= single, "{name}, {what}: more for {HERD} clients than for one");
        }
        let times = |runs: Vec<Run>| middle(runs.iter().map(|run| run.took).collect());
        let what = format!("{HERD} clients after one cold {name}, to one client (target 1.2)");
        compare(&what, times(many), times(one));
    }
}

/// The files of a commit's version.
struct Expectation {
    info: Asked,
    go_mod: Asked,
    zip: Asked,
}

impl Expectation {
    fn of(server: &GitServer, hash: &str, version: &str) -> Expectation {
        let modvet = Modvet::over_git(&server.url(), "rewrite");
        let mut wire = Wire::connect(modvet.address());
        let mut file = |name: String| {
            let path = format!("/{DEEP}/@v/{name}");
            let (status, body) = wire.get(&path);
            assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(body));
            Asked { expected: Expected::Bytes(body.to_vec()), path }
        };
        let info = file(format!("{hash}.info"));
        let Expected::Bytes(body) = &info.expected else { unreachable!("as it was made") };
        assert!(String::from_utf8_lossy(body).contains(version), "{}", String::from_utf8_lossy(body));
        Expectation { info, go_mod: file(format!("{version}.mod")), zip: file(format!("{version}.zip")) }
    }
}

/// So many clients at once after one file, nothing kept.
fn herd(server: &GitServer, asked: &Asked, clients: usize) -> Run {
    let home = Home::new();
    home.configure(&over_git(&server.url(), "rewrite", ""));
    let mut command = home.command(&["serve", "--config", "modvet.toml"]);
    command.env("MODVET_LOG", "info,modvet::registry::bring=debug");
    let modvet = home.serve_by(command);
    let before = server.counts().requests();
    let took = at_once(modvet.address(), vec![vec![asked.clone()]; clients]);
    assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
    let requests = server.counts().requests() - before;
    Run { took, requests, questions: modvet.log().matches(" asking ").count() as u64 }
}

fn many_versions() {
    let authority = Authority::new();
    let distant = Distant::start_tls(DELAY, &authority, &["h2", "http/1.1"]);
    let releases: Vec<Release> = (0..VERSIONS + WARM).map(release).collect();
    releases.iter().for_each(|release| distant.add(release));
    let modvet = distant.modvet_before(&authority);
    let (warm, cold) = releases.split_at(WARM);
    at_once(modvet.address(), warm.iter().map(files).collect());
    let infos: Vec<Asked> = warm.iter().map(|release| files(release).swap_remove(0)).collect();
    let Expected::Bytes(body) = &infos[0].expected else { unreachable!("as it was made") };
    let bare = Bare::start(body);
    let reading = [(modvet.address(), infos.clone()), (bare.address(), infos[..1].to_vec())];
    let alone = readers(&reading, || std::thread::sleep(Duration::from_secs(3))).1;

    distant.forget();
    forget_peak(modvet.id());
    let wanted: Vec<Vec<Asked>> = cold.iter().map(files).collect();
    let (took, meanwhile) = readers(&reading, || at_once(modvet.address(), wanted));
    let (now, peak) = memory(modvet.id()).unwrap_or_default();
    println!("time   {VERSIONS} cold versions, 3 files each, {DELAY:?} away: {took:.2?} (target {IN_ALL:?})");
    println!("memory meanwhile: {} MB at most, {} MB at the end (target 100 MB)", peak >> 20, now >> 20);
    println!(
        "count  requests to the upstream: {}, {} at once at most, over {} connections",
        distant.asked().len(),
        distant.most_at_once(),
        distant.connections()
    );
    let p99 = |answers: &[Duration]| answers.get(answers.len() * 99 / 100).copied();
    println!("count  warm answers: {} alone, {} meanwhile", alone[0].len(), meanwhile[0].len());
    compare("p99 of warm .info meanwhile, to alone (target 2)", p99(&meanwhile[0]), p99(&alone[0]));
    compare("the same of a bare server on the same machine", p99(&meanwhile[1]), p99(&alone[1]));
    compare("p99 of warm .info meanwhile, to the bare server's", p99(&meanwhile[0]), p99(&meanwhile[1]));
    assert_eq!(distant.asked().len(), 3 * VERSIONS, "each file costs one request");
    assert!(distant.most_at_once() <= BOUND, "{} requests at once", distant.most_at_once());
    assert!(distant.connections() <= 2, "{} connections", distant.connections());
    assert!(peak <= PEAK, "{peak} bytes of memory");
    assert!(took <= 2 * IN_ALL, "{took:?}");
    assert!(children(modvet.id()).is_empty(), "modvet runs no processes");
}

/// A version whose zip does not shrink.
fn release(number: usize) -> Release {
    Release::new(&format!("bench.test/m{number}"), "v1.0.0").noise("noise.txt", number as u32, ZIP)
}

/// Its files in the order in which the go command wants them.
fn files(release: &Release) -> Vec<Asked> {
    let asked = |(ending, content): (&str, Vec<u8>)| Asked {
        path: format!("/{}/{}.{ending}", release.folder(), release.version),
        expected: Expected::Bytes(content),
    };
    release.endings().into_iter().map(asked).collect()
}

/// Does something while others get warm answers of each server, and gives the times of those answers, server by server.
fn readers<T>(servers: &[(SocketAddr, Vec<Asked>)], work: impl FnOnce() -> T) -> (T, Vec<Vec<Duration>>) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = |(server, asked): &(SocketAddr, Vec<Asked>)| {
            let (server, asked, stop) = (*server, asked.clone(), &stop);
            scope.spawn(move || now_and_then(server, asked, READERS, REST, stop))
        };
        let reading: Vec<_> = servers.iter().map(read).collect();
        let start = Instant::now();
        let done = work();
        stop.store(true, Ordering::SeqCst);
        let answers = reading.into_iter().map(|one| one.join().expect("warm answers go on")).collect::<Vec<_>>();
        assert!(answers.iter().all(|one| one.len() > 10), "hardly a warm answer in {:?}", start.elapsed());
        (done, answers)
    })
}
