//! Lists and latest versions: from memory while they hold, at once when they do not, and how often an upstream is asked.
//!
//! `cargo bench --bench fresh`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use measured::load::{Asked, Expected, Took, load};
use measured::{compare, middle};
use support::client;
use support::double::{Conduct, Double};
use support::fixture::{self, Fixture};
use support::git_server;
use support::modvet::{self, Home, Modvet};
use support::release::Release;
use support::world::World;

const ROOT: &str = "github.com/modvet-fixtures/mono";
const NESTED: usize = 19;
const CLIENTS: usize = 64;
/// How often each client asks in a round.
const TIMES: usize = 200;
const ROUNDS: usize = 5;
/// How often each client asks for what is past its validity.
const EACH: usize = 10;
/// How long the upstream takes for each answer.
const DELAY: Duration = Duration::from_millis(200);
const VALIDITY: Duration = Duration::from_secs(1);

fn main() {
    let world = World::with(&[mono()], |git| {
        let home = Home::new();
        home.configure(&format!("{}list_validity = '1h'\n", modvet::over_git(&git.url(), "rewrite", "")));
        home.serve()
    });
    one_listing(&world);
    drop(world);
    at_once();
}

/// Twenty modules in one repository.
fn mono() -> Fixture {
    let files: String = (0..NESTED).map(|n| format!("file m{n}/go.mod\n  module {ROOT}/m{n}\n")).collect();
    let tags: String = (0..NESTED).map(|n| format!("; tag m{n}/v1.0.0")).collect();
    let text = format!(
        "# Twenty modules in one repository.\nat 2019-01-01T00:00:00Z\nfile go.mod\n  module {ROOT}\n{files}\
         commit first; tag v1.0.0{tags}"
    );
    fixture::parse("mono", &text)
}

/// Asks for a path, and takes what comes for what must come.
fn asked(modvet: &Modvet, path: String) -> Asked {
    let answered = client::get(modvet.address(), &path);
    assert_eq!(answered.status, 200, "{path}: {}", answered.text());
    Asked { path, expected: Expected::Bytes(answered.body) }
}

fn one_listing(world: &World) {
    let modules = std::iter::once(ROOT.to_owned()).chain((0..NESTED).map(|n| format!("{ROOT}/m{n}")));
    let modules: Vec<String> = modules.collect();
    let all = |tails: &[&str]| -> Vec<Asked> {
        let paths = modules.iter().flat_map(|module| tails.iter().map(move |tail| format!("/{module}/{tail}")));
        paths.map(|path| asked(&world.modvet, path)).collect()
    };
    let (changing, lasting) = (all(&["@v/list", "@latest"]), all(&["@v/v1.0.0.info"]));
    let server = world.modvet.address();
    let (mut ours, mut theirs): (Vec<Took>, Vec<Took>) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(load(server, &changing, "", CLIENTS, TIMES));
        theirs.push(load(server, &lasting, "", CLIENTS, TIMES));
    }
    let listings = world.server.counts().of(git_server::Asked::Refs);
    let answers = ROUNDS * CLIENTS * TIMES;
    println!("count  looks at the refs for {answers} lists and latest of 20 modules, {CLIENTS} clients: {listings}");
    assert_eq!(listings, 1, "one listing for a repository and a validity period");
    let whole = |all: &[Took]| middle(all.iter().map(|took| took.whole).collect());
    compare("list and latest within their validity, 64 clients, to .info of a version", whole(&ours), whole(&theirs));
    let late = |all: &[Took]| middle(all.iter().map(|took| took.within(0.99)).collect());
    compare("p99 of the same", late(&ours), late(&theirs));
}

/// What is past its validity, before an upstream that takes its time.
fn at_once() {
    let double = Double::start();
    double.add(&Release::new("bench.test/m", "v1.0.0"));
    double.set("@v/list", Conduct::Late(DELAY));
    let modvet = Modvet::start(&format!("{}list_validity = '{VALIDITY:?}'\n", double.settings("late")));
    let start = Instant::now();
    let list = asked(&modvet, "/bench.test/m/@v/list".to_owned());
    let cold = start.elapsed();
    let before = double.count("@v/list");
    let (mut slowest, mut half) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        // So long that the renewal of the round before is done, and what it brought is past its validity.
        std::thread::sleep(VALIDITY + DELAY + DELAY);
        let took = load(modvet.address(), std::slice::from_ref(&list), "", CLIENTS, EACH);
        assert!(took.whole < VALIDITY, "a round took {:?}: longer than a validity period", took.whole);
        double.wait_for("@v/list", before + round);
        assert_eq!(double.count("@v/list"), before + round, "one renewal behind the answers, however many ask");
        let last = took.within(1.0);
        assert!(last < DELAY, "an answer took {last:?}: nobody waits for the upstream");
        slowest.push(last);
        half.push(took.within(0.5));
    }
    println!("count  requests to the upstream for {CLIENTS} clients past the validity: 1 in each of {ROUNDS} rounds");
    let (half, slowest) = (middle(half), middle(slowest));
    compare("a list past its validity, the middle answer, to asking the upstream", half, Some(cold));
    let all = CLIENTS * EACH;
    compare(&format!("the slowest answer of {all}, {CLIENTS} clients at once, to the same"), slowest, Some(cold));
}
