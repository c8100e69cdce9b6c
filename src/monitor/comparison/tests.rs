use super::*;
use crate::monitor::doubles::{TwoSides, moment};
use crate::ports::{Pair as _, Relate, Side};

const START: &str = "2027-02-01 00:00";

/// A look at both sides: the hour, the refs of the source and of the mirror, and what is to be found.
type Look = (i64, &'static str, &'static str, &'static str);

struct Row {
    name: &'static str,
    history: &'static str,
    looks: &'static [Look],
}

/// One row for each sentence of the rules; lag of more than 24 hours is stale.
const ROWS: &[Row] = &[
    Row { name: "the same is in sync", history: "a-b", looks: &[(0, "main=b v1=a", "main=b v1=a", "in_sync")] },
    Row { name: "two empty repositories are in sync", history: "a-b", looks: &[(0, "", "", "in_sync")] },
    Row {
        name: "an empty mirror is behind by all",
        history: "a-b",
        looks: &[(0, "main=b v1=a", "", "lagging since 0: behind 2 refs 2 commits, ahead 0 refs 0 commits")],
    },
    Row {
        name: "an empty source that had all of it is lag",
        history: "a-b",
        looks: &[
            (0, "main=b v1=a", "main=b v1=a", "in_sync"),
            (1, "", "main=b v1=a", "lagging since 1: behind 2 refs 0 commits, ahead 0 refs 2 commits"),
        ],
    },
    Row {
        name: "lagging turns stale after max_lag",
        history: "a-b-c-d",
        looks: &[
            (0, "main=b", "main=a", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
            (20, "main=c", "main=a", "lagging since 0: behind 1 refs 2 commits, ahead 0 refs 0 commits"),
            (24, "main=c", "main=a", "lagging since 0: behind 1 refs 2 commits, ahead 0 refs 0 commits"),
            (25, "main=d", "main=a", "stale since 0: behind 1 refs 3 commits, ahead 0 refs 0 commits"),
            (26, "main=d", "main=d", "in_sync"),
        ],
    },
    Row {
        name: "a busy source whose mirror keeps up is never stale",
        history: "a-b-c-d-e-f",
        looks: &[
            (0, "main=b", "main=a", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
            (20, "main=c", "main=b", "lagging since 20: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
            (40, "main=e", "main=c", "lagging since 40: behind 1 refs 2 commits, ahead 0 refs 0 commits"),
            // A state that nobody saw at the source; what was seen before it is reached all the same.
            (60, "main=f", "main=d", "lagging since 40: behind 1 refs 2 commits, ahead 0 refs 0 commits"),
            (70, "main=f", "main=e", "lagging since 60: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
        ],
    },
    Row {
        name: "a branch that stands still is stale although another branch has its commits",
        history: "a-b-c-d-e",
        looks: &[
            (0, "main=b next=b", "main=a next=b", "lagging since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits"),
            (20, "main=c next=c", "main=a next=c", "lagging since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits"),
            (30, "main=d next=d", "main=a next=d", "stale since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits"),
        ],
    },
    Row {
        name: "commits of its own are divergence",
        history: "a-b-c a-x",
        looks: &[
            (0, "main=b", "main=a", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
            (
                1,
                "main=b",
                "main=x",
                "diverged since 0: behind 1 refs 1 commits, ahead 1 refs 1 commits: refs/heads/main",
            ),
            (
                2,
                "main=c",
                "main=x",
                "diverged since 0: behind 1 refs 2 commits, ahead 1 refs 1 commits: refs/heads/main",
            ),
        ],
    },
    Row {
        name: "a branch of its own with commits of its own is divergence",
        history: "a-b a-x",
        looks: &[(
            0,
            "main=b",
            "main=b own=x",
            "diverged since 0: behind 0 refs 0 commits, ahead 1 refs 1 commits: refs/heads/own",
        )],
    },
    Row {
        name: "a branch of its own on the source's commits is one to delete",
        history: "a-b",
        looks: &[(0, "main=b", "main=b own=a", "lagging since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits")],
    },
    Row {
        name: "a tag that moved is divergence, whoever moved it",
        history: "a-b-c",
        looks: &[
            (0, "main=b v1=a", "main=b v1=a", "in_sync"),
            (
                1,
                "main=b v1=b",
                "main=b v1=a",
                "diverged since 1: behind 1 refs 0 commits, ahead 1 refs 0 commits: refs/tags/v1",
            ),
        ],
    },
    Row {
        name: "a tag that the source never had is divergence",
        history: "a-b",
        looks: &[(
            0,
            "main=b",
            "main=b v1=a",
            "diverged since 0: behind 0 refs 0 commits, ahead 1 refs 0 commits: refs/tags/v1",
        )],
    },
    Row {
        name: "a forced push at the source is lag",
        history: "a-b-c a-x",
        looks: &[
            (0, "main=c", "main=c", "in_sync"),
            (1, "main=x", "main=c", "lagging since 1: behind 1 refs 1 commits, ahead 0 refs 2 commits"),
            (26, "main=x", "main=c", "stale since 1: behind 1 refs 1 commits, ahead 0 refs 2 commits"),
            (27, "main=x", "main=x", "in_sync"),
        ],
    },
    Row {
        name: "a forced push while the mirror held a state that nobody saw at the source is lag",
        history: "a-b-c a-x",
        looks: &[
            (0, "main=c", "main=b", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
            (1, "main=x", "main=b", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 1 commits"),
            (2, "main=x", "main=b", "lagging since 0: behind 1 refs 1 commits, ahead 0 refs 1 commits"),
        ],
    },
    Row {
        name: "what was deleted at the source is lag",
        history: "a-b a-x",
        looks: &[
            (0, "main=b old=x v1=a", "main=b old=x v1=a", "in_sync"),
            (1, "main=b", "main=b old=x v1=a", "lagging since 1: behind 2 refs 0 commits, ahead 0 refs 1 commits"),
            (2, "main=b", "main=b old=x", "lagging since 1: behind 1 refs 0 commits, ahead 0 refs 1 commits"),
            (30, "main=b", "main=b old=x", "stale since 1: behind 1 refs 0 commits, ahead 0 refs 1 commits"),
            (31, "main=b", "main=b", "in_sync"),
        ],
    },
    Row {
        name: "a tag against an annotated tag of the same commit is lag",
        history: "a-b",
        looks: &[
            (0, "v1=a!", "v1=a", "lagging since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits"),
            (1, "v1=a!", "v1=a!", "in_sync"),
        ],
    },
    Row {
        name: "the oldest difference counts, also when another one is over",
        history: "a-b-c",
        looks: &[
            (0, "main=b side=b", "main=a side=b", "lagging since 0: behind 1 refs 0 commits, ahead 0 refs 0 commits"),
            (5, "main=b side=c", "main=a side=b", "lagging since 0: behind 2 refs 1 commits, ahead 0 refs 0 commits"),
            (6, "main=b side=c", "main=b side=b", "lagging since 5: behind 1 refs 1 commits, ahead 0 refs 0 commits"),
        ],
    },
];

fn at(hour: i64) -> DateTime<Utc> {
    moment(START) + TimeDelta::hours(hour)
}

/// What is found, in a line.
fn line(compared: &Compared, now: DateTime<Utc>) -> String {
    let condition = condition(compared, Duration::from_secs(24 * 3600), now);
    let Some(difference) = &compared.difference else { return condition.as_str().to_owned() };
    let since = difference.since.map_or(-1, |since| (since - moment(START)).num_hours());
    let diverged: Vec<&str> =
        difference.refs.iter().filter(|one| one.is_diverged).map(|one| one.name.as_str()).collect();
    let names = if diverged.is_empty() { String::new() } else { format!(": {}", diverged.join(" ")) };
    format!(
        "{} since {since}: behind {} refs {} commits, ahead {} refs {} commits{names}",
        condition.as_str(),
        difference.behind_refs,
        difference.behind_commits.map_or("?".to_owned(), |commits| commits.to_string()),
        difference.ahead_refs,
        difference.ahead_commits.map_or("?".to_owned(), |commits| commits.to_string()),
    )
}

fn look(pair: &TwoSides, patterns: &[RefPattern], seen: &Seen, now: DateTime<Utc>) -> (Compared, Seen) {
    let refs = |side| pair.refs(side).expect("refs");
    let sides = Sides::new(refs(Side::Source), refs(Side::Mirror), patterns);
    let differing = sides.differing();
    let awaited = awaited(&differing, seen);
    let question = Relate { source: &sides.source, mirror: &sides.mirror, differing: &differing, awaited: &awaited };
    let relation = pair.relate(&question).ok();
    let related = relation.as_ref().map(|relation| Related { relation, awaited: &awaited });
    compare(&sides, related, seen, now)
}

#[test]
fn differences_mean_what_the_rules_say() {
    for row in ROWS {
        let pair = TwoSides::new(row.history);
        let mut seen = Seen::default();
        for (hour, source, mirror, expected) in row.looks {
            pair.set(Side::Source, source);
            pair.set(Side::Mirror, mirror);
            let (compared, after) = look(&pair, &RefPattern::defaults(), &seen, at(*hour));
            assert_eq!(line(&compared, at(*hour)), *expected, "{}, hour {hour}", row.name);
            let json = serde_json::to_string(&after).expect("json");
            seen = serde_json::from_str(&json).expect("what was written");
            assert_eq!(seen, after, "{}, hour {hour}", row.name);
        }
    }
}

#[test]
fn what_no_pattern_means_is_not_compared() {
    let pair = TwoSides::new("a-b a-x");
    pair.set(Side::Source, "main=b topic=b v1=a");
    pair.set(Side::Mirror, "main=b own=x v1=b");
    let patterns = ["refs/heads/main".parse().expect("a pattern")];
    assert_eq!(look(&pair, &patterns, &Seen::default(), at(0)).0.difference, None);
    let (compared, _) = look(&pair, &RefPattern::defaults(), &Seen::default(), at(0));
    assert_eq!(compared.difference.map(|difference| difference.ahead_refs), Some(2));
}

#[test]
fn without_histories_refs_alone_are_compared() {
    let pair = TwoSides::new("a-b-c a-x");
    pair.lose_histories();
    pair.set(Side::Source, "main=b");
    pair.set(Side::Mirror, "main=x");
    let (compared, seen) = look(&pair, &RefPattern::defaults(), &Seen::default(), at(0));
    let expected = "lagging since 0: behind 1 refs ? commits, ahead 0 refs ? commits";
    assert_eq!(line(&compared, at(1)), expected);
    pair.set(Side::Source, "main=c");
    pair.set(Side::Mirror, "main=b");
    let (compared, _) = look(&pair, &RefPattern::defaults(), &seen, at(2));
    let expected = "lagging since 2: behind 1 refs ? commits, ahead 0 refs ? commits";
    assert_eq!(line(&compared, at(2)), expected, "the mirror holds what the source held");
}

#[test]
fn what_is_kept_of_a_busy_source_is_bounded() {
    let (mut seen, mut last) = (RefSeen::default(), 0);
    for step in 0..1000 {
        let source = Some(format!("{step}"));
        seen = seen.follow((source, Some("never".to_owned())), true, at(step), &|_| false);
        last = step;
        assert!(seen.pending.len() <= 64 && seen.past.len() <= 8, "{}", seen.pending.len());
    }
    assert_eq!(seen.since(), Some(at(0)));
    assert_eq!(seen.pending.last().and_then(|one| one.id.clone()), Some(last.to_string()));
}
