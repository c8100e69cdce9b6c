use std::collections::HashMap;
use std::time::Instant;

use super::*;
use crate::git::history::{History, Named};

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Feeds git two thousand commits with one to three parents each, often far apart, with dates out of order.
pub fn random_history(world: &World, dice: &mut Dice) -> Vec<String> {
    let mut stream = String::new();
    for n in 1..=2000 {
        let date = 1_000_000 + dice.below(1_000_000);
        stream.push_str(&format!("commit refs/heads/b{}\nmark :{n}\n", dice.below(6)));
        stream.push_str(&format!("committer C <c@example.com> {date} +0000\ndata {}\n{n}\n", n.to_string().len()));
        if n > 1 {
            let near = n - 1 - dice.below(20.min(n - 1));
            stream.push_str(&format!("from :{near}\n"));
            for _ in 0..dice.below(3) {
                stream.push_str(&format!("merge :{}\n", 1 + dice.below(n - 1)));
            }
        }
        stream.push('\n');
    }
    let marks = world.origin.path().join("marks");
    let export = format!("--export-marks={}", marks.display());
    world.origin.feed(&["fast-import", "--quiet", "--force", &export], &stream);
    let text = std::fs::read_to_string(marks).expect("marks");
    text.lines().map(|line| line.split(' ').nth(1).expect("an id").to_owned()).collect()
}

#[test]
fn walks_and_prefixes_agree_with_git() {
    let mut world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let mut dice = Dice(20_261_121);
    let commits = random_history(&world, &mut dice);
    for n in 0..40 {
        let on = &commits[dice.below(commits.len())];
        world.origin.git(&["tag", "-a", "-m", &n.to_string(), &format!("t{n}"), on]);
    }
    let repo = world.open();
    for _ in 0..60 {
        let of = &commits[dice.below(commits.len())];
        if !world.origin.says_yes(&["for-each-ref", "--count=1", "--contains", of]) {
            continue;
        }
        let reachable = !world.origin.git(&["for-each-ref", "--count=1", "--contains", of]).is_empty();
        assert_eq!(one(repo.find(of).expect("history")) == *of, reachable, "{of}");
        if !reachable {
            continue;
        }
        let candidates: Vec<_> = (0..20).map(|_| commits[dice.below(commits.len())].clone()).collect();
        let ids: Vec<_> = candidates.iter().map(|candidate| id(candidate)).collect();
        let answers = repo.ancestors(id(of), &ids).expect("history");
        let below = world.origin.git(&["rev-list", of]);
        for (candidate, answer) in candidates.iter().zip(answers) {
            assert_eq!(answer, below.contains(candidate.as_str()), "{candidate} below {of}");
        }
        steps_agree(&world, &*repo, of, &candidates);
    }
    times_agree(&world, &*repo, &commits, &mut dice);
    prefixes_agree(&world, &*world.open(), &commits, &mut dice);
    world.restart();
    prefixes_agree(&world, &*world.open(), &commits, &mut dice);
}

/// The steps to ancestors, as they are counted level by level in what git lists.
fn steps_agree(world: &World, repo: &dyn Repo, of: &str, candidates: &[String]) {
    let listed = world.origin.git(&["rev-list", "--parents", of]);
    let lines = listed.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let parents: HashMap<&str, Vec<&str>> = lines.map(|ids| (ids[0], ids[1..].to_vec())).collect();
    let mut steps: HashMap<&str, u32> = HashMap::new();
    let mut level = vec![of];
    for step in 0.. {
        level.retain(|id| !steps.contains_key(id));
        if level.is_empty() {
            break;
        }
        steps.extend(level.iter().map(|id| (*id, step)));
        level = level.iter().flat_map(|id| parents[id].clone()).collect();
    }
    let ids: Vec<_> = candidates.iter().map(|candidate| id(candidate)).collect();
    let expected: Vec<_> = candidates.iter().map(|candidate| steps.get(candidate.as_str()).copied()).collect();
    assert_eq!(repo.distances(id(of), &ids).expect("history"), expected, "before {of}");
}

/// Who made a commit when, and which commits are of one second.
fn times_agree(world: &World, repo: &dyn Repo, commits: &[String], dice: &mut Dice) {
    let all = world.origin.git(&["log", "--branches", "--tags", "--format=%H %ct"]);
    for _ in 0..20 {
        let commit = &commits[dice.below(commits.len())];
        let Some(seconds) = all.lines().find_map(|line| line.strip_prefix(&format!("{commit} "))) else { continue };
        let time = DateTime::from_timestamp(seconds.parse().expect("a number"), 0).expect("a moment");
        let same = all.lines().filter_map(|line| line.strip_suffix(&format!(" {seconds}")));
        let mut expected: Vec<_> = same.map(id).collect();
        let mut found = repo.dated(time).expect("history");
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{commit} at {seconds}");
        let signature = repo.signature(id(commit)).expect("here").expect("times");
        assert_eq!((signature.author.to_utc(), signature.committer.to_utc()), (time, time), "{commit}");
    }
}

/// Short prefixes, so that many are ambiguous. The origin holds unreachable commits and trees too, so git is asked
/// in a clone.
fn prefixes_agree(world: &World, repo: &dyn Repo, commits: &[String], dice: &mut Dice) {
    if !world.origin.path().join("clone.git").exists() {
        let url = format!("file://{}", world.origin.repository().display());
        world.origin.git(&["clone", "-q", "--mirror", &url, "../clone.git"]);
    }
    let mut sorted = commits.to_vec();
    sorted.sort();
    let alike = sorted.windows(2).filter(|pair| pair[0][..4] == pair[1][..4]).map(|pair| pair[0][..4].to_owned());
    let any = (0..40).map(|_| commits[dice.below(commits.len())][..4 + dice.below(3)].to_owned());
    let mut kinds = [0; 3];
    for digits in any.chain(alike) {
        let digits = digits.as_str();
        let arguments = ["--git-dir=../clone.git", "log", "-n1", "--format=%H", digits, "--"];
        let expected = match world.origin.says_yes(&arguments) {
            true => world.origin.git(&arguments),
            false => String::new(),
        };
        let (found, kind) = match repo.find(digits).expect("history") {
            Found::One(commit) => (commit.id.to_string(), 0),
            Found::Ambiguous => (String::new(), 1),
            Found::None => (String::new(), 2),
        };
        kinds[kind] += 1;
        assert_eq!(found, expected, "{digits}");
    }
    assert!(kinds[0] > 10 && kinds[1] > 0, "one and ambiguous both occur: {kinds:?}");
}

#[test]
fn a_tag_object_and_a_commit_make_a_prefix_ambiguous() {
    let world = World::new(Serving::Newest);
    let tip = world.origin.commit("main", 1, &[("a", "1")]);
    // Among many tag objects one begins like the commit.
    let mut n = 0;
    let tag = loop {
        let message = n.to_string();
        world.origin.git(&["tag", "-f", "-a", "-m", &message, "t", &tip]);
        let tag = world.origin.id("refs/tags/t");
        if tag[..1] == tip[..1] {
            break tag;
        }
        n += 1;
    };
    let repo = world.open();
    assert_eq!(repo.find(&tip[..1]).expect("history"), Found::Ambiguous);
    assert_eq!(one(repo.find(&tip).expect("history")), tip);
    assert_eq!(one(repo.find(&tag).expect("history")), tip);
}

/// A main line with a side branch merged at every tenth commit.
pub fn large(count: u32) -> History {
    let mut history = History::default();
    for n in 0..count {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        history.ids.push(ObjectId(bytes));
        history.seconds.push(i64::from(n));
        if n > 0 {
            history.parents.push(n - 1);
        }
        if n % 10 == 0 && n > 20 {
            history.parents.push(n - 15);
        }
        history.ends.push(history.parents.len() as u32);
    }
    history.sort();
    history
}

#[test]
fn a_hundred_thousand_commits_are_walked_at_once() {
    let history = large(100_000);
    let candidates: Vec<_> = (0..1000).map(|n| Some(n * 100)).collect();
    let start = Instant::now();
    let answers = history.ancestors(99_999, &candidates);
    let reach = history.reach([history.ids[99_999]].into_iter());
    let elapsed = start.elapsed();
    assert!(answers.iter().all(|answer| *answer));
    assert_eq!(history.find(&history.ids[777].to_string(), &reach), Named::Commit(777));
    // Milliseconds when optimised; a slow machine without optimisation gets more.
    assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
}

#[test]
fn the_nearest_commit_above_is_found() {
    let history = large(100);
    assert_eq!(history.nearest(50, [99, 60, 55, 20].into_iter()), Some((55, 5)));
    // 70 has 55 as a parent: one generation instead of fifteen.
    assert_eq!(history.nearest(55, [70].into_iter()), Some((70, 1)));
    assert_eq!(history.nearest(50, [20].into_iter()), None);
    assert_eq!(history.nearest(50, [50].into_iter()), Some((50, 0)));
}
