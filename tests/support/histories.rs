//! Histories made by rule: branches, merges, tags and go.mods that nobody thought of, each from a number, the same every time.

use std::fmt::Write as _;

use super::fixture::{Fixture, HOST, parse};

/// Names of tags: releases, pre-releases and majors, of the root and of folders, and some that only look like versions.
const TAGS: &[&str] = &[
    "v0.1.0",
    "v0.2.0",
    "v0.3.0-beta",
    "v1.0.0",
    "v1.0.1",
    "v1.1.0-rc.1",
    "v1.1.0",
    "v1.2.0",
    "v1.2.0+meta",
    "v1.3.0+a",
    "v1.4.0-0.x",
    "v1.4.0-alpha.1",
    "v1.9.0",
    "v1.10.0",
    "v2.0.0-pre",
    "v2.0.0",
    "v2.1.0",
    "v3.0.0",
    "v3.1.0+m",
    "v10.0.0",
    "v1",
    "v1.5",
    "v01.0.0",
    "release-1",
    "sub/v0.1.0",
    "sub/v1.0.0",
    "sub/v1.1.0",
    "sub/v1.2.0+x",
    "sub/v2.0.0",
    "sub/v2.1.0",
    "v0.0.0-20190101000000-abcdefabcdef",
    "sub/v1.9.1-0.20190101000000-abcdefabcdef",
];

const RETRACTED: &[&str] = &[
    "v1.0.0",
    "v1.2.0",
    "[v1.0.0, v1.3.0]",
    "v2.0.0",
    "v0.1.0",
    "[v0.0.0-0, v0.9.0]",
    "v1.10.0",
    "[v2.0.0, v2.9.9]",
    "v1.1.0 // bad",
];

/// What a pseudo-version that somebody made up begins with.
const STEMS: &[&str] = &[
    "v0.0.0-",
    "v1.0.0-",
    "v2.0.0-",
    "v0.1.1-0.",
    "v1.0.1-0.",
    "v1.2.1-0.",
    "v1.1.0-rc.1.0.",
    "v1.10.1-0.",
    "v2.0.1-0.",
    "v3.0.1-0.",
];

/// Numbers that look like chance (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn happens(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// The history of this number, and its text: what differs about it belongs among the fixtures.
pub fn by_rule(seed: u64) -> (Fixture, String) {
    let name = format!("by-rule-{seed}");
    let root = format!("{HOST}/{name}");
    let mut dice = Dice(seed);
    let mut text = format!("# A history made by rule, from the number {seed}.\n");
    let commits = 2 + dice.roll(9);
    let tags = commit_all(&mut text, &mut dice, &root, commits);
    ask_all(&mut text, &mut dice, &root, commits, &tags);
    (parse(&name, &text), text)
}

/// Writes the commits down, and gives the tags.
fn commit_all(text: &mut String, dice: &mut Dice, root: &str, commits: usize) -> Vec<&'static str> {
    let (mut tags, mut branches, mut seconds) = (Vec::new(), vec!["main"], 1_500_000_000);
    for number in 0..commits {
        if number > 0 {
            turn(text, dice, &mut branches, number);
        }
        // Clocks of those who commit are not in step.
        seconds += dice.roll(100_000);
        seconds -= dice.roll(5_000);
        line(text, &format!("at @{seconds}"));
        files(text, dice, root, number);
        line(text, &format!("commit c{number}"));
        for _ in 0..dice.roll(3) {
            let tag = dice.one(TAGS);
            if !tags.contains(&tag) {
                tags.push(tag);
                line(text, &format!("{}tag {tag}", if dice.happens(40) { "annotated " } else { "" }));
            }
        }
    }
    line(text, "head main");
    tags
}

/// On which branch the next commit is made, and what it merges.
fn turn(text: &mut String, dice: &mut Dice, branches: &mut Vec<&'static str>, number: usize) {
    let other = dice.one(&["side", "dev", "v1.7.0", "x1"]);
    if dice.happens(25) && !branches.contains(&other) {
        branches.push(other);
        line(text, &format!("branch {other}"));
    } else if dice.happens(40) {
        let branch = dice.one(branches);
        line(text, &format!("checkout {branch}"));
    }
    if dice.happens(25) {
        let other = dice.roll(number);
        line(text, &format!("merge c{other}"));
    }
}

/// What a commit changes. A go.mod may name another module than its place, and may go again.
fn files(text: &mut String, dice: &mut Dice, root: &str, number: usize) {
    let places = [
        ("go.mod", 40, ["", "", "/v2", "/v3"]),
        ("sub/go.mod", 30, ["/sub", "/sub", "/sub/v2", ""]),
        ("v2/go.mod", 15, ["/v2", "/v2", "/v2", ""]),
        ("sub/v2/go.mod", 12, ["/sub/v2", "/sub/v2", "/sub/v2", "/sub"]),
    ];
    for (path, percent, modules) in places {
        if dice.happens(percent) {
            line(text, &format!("file {path}\n  module {root}{}", dice.one(&modules)));
            if dice.happens(30) {
                line(text, "  go 1.20");
            }
            if dice.happens(25) {
                line(text, &format!("  retract {}", dice.one(RETRACTED)));
            }
        }
    }
    line(text, &format!("file a.go\n  package a // {number}"));
    for path in ["sub/b.go", "v2/x.go", "LICENSE", "sub/vendor/x/y.go"] {
        if dice.happens(25) {
            line(text, &format!("file {path}\n  package x // {number}"));
        }
    }
    if dice.happens(8) {
        let attributes = dice.one(&["* text=auto eol=crlf", "*.go ident", "LICENSE export-ignore", "*.go eol=crlf"]);
        line(text, &format!("file .gitattributes\n  {attributes}"));
    }
}

/// Writes the questions down, of some of the modules that there may be.
fn ask_all(text: &mut String, dice: &mut Dice, root: &str, commits: usize, tags: &[&str]) {
    for (below, percent) in [("", 100), ("/v2", 50), ("/sub", 60), ("/sub/v2", 30), ("/v3", 20)] {
        if !dice.happens(percent) {
            continue;
        }
        if !below.is_empty() {
            line(text, &format!("module {root}{below}"));
        }
        let mut queries = vec!["main".to_owned(), dice.one(&["v1", "v2", "v1.2", "v0", "v3"]).to_owned()];
        queries.extend((0..2).map(|_| format!("{{c{}:12}}", dice.roll(commits))));
        if !tags.is_empty() {
            queries.extend((0..2).map(|_| dice.one(tags).rsplit('/').next().unwrap_or_default().to_owned()));
        }
        for _ in 0..2 {
            let (stem, commit) = (dice.one(STEMS), dice.roll(commits));
            let digits = if dice.happens(20) { 11 } else { 12 };
            queries.push(format!("{stem}{{c{commit}.time}}-{{c{commit}:{digits}}}"));
        }
        queries.sort();
        queries.dedup();
        queries.iter().for_each(|query| line(text, &format!("query {query}")));
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("memory");
}
