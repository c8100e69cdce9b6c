//! The walk as it is told.

use std::sync::Arc;

use serde_json::json;

use crate::error::Error;
use crate::registry::doubles::{Drawer, Hands, Known, Reply, info_of, member, module, version};
use crate::registry::steps::{Outcome, Walked, What};
use crate::registry::{Book, Judgement, Member, OnFailure, Question, Reach, Registry};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;
use crate::spec::scope::Scope;
use crate::vet::mode::Mode;

const PATH: &str = "example.com/m";

struct Row {
    sources: Vec<Arc<Known>>,
    clock: Arc<Hands>,
    registry: Registry,
}

/// Upstreams a, b, c, d; d serves other.org only.
fn row(mode: Mode, change: impl FnOnce(&mut [Member])) -> Row {
    let (store, clock) = (Drawer::new(), Hands::new());
    let sources: Vec<Arc<Known>> = (0..4).map(|_| Known::new()).collect();
    let names = ["a", "b", "c", "d"].iter().zip(&sources);
    let mut members: Vec<Member> =
        names.map(|(name, source)| member(name, source, &store, &clock, Judgement::Own)).collect();
    members[3].scope = Scope::new("other.org", "");
    change(&mut members);
    let registry = Registry::new("ci", mode, members, Book::new("ci", store, clock.clone()));
    Row { sources, clock, registry }
}

impl Row {
    async fn walk(&self, question: &Question) -> Walked {
        self.registry.walk(&module(PATH), question, Reach::Upstream).await.expect("a walk")
    }
}

fn info(text: &str) -> Question {
    Question::Info(Query::parse(text))
}

/// What became of each upstream, in a few words.
fn told(walked: &Walked) -> Vec<String> {
    let word = |what: &What| match what {
        What::Barred { why, patterns } => format!("barred: {why}: {}", patterns.as_deref().unwrap_or("?")),
        What::NotAsked { why } => format!("not asked: {why}"),
        What::Answered { cache, age_seconds, .. } => format!("answered: {cache} {age_seconds}"),
        What::Absent { why, remembered } => format!("absent: {why} {remembered}"),
        What::Failed { why, goes_on } => format!("failed: {why} {goes_on}"),
        What::Refused { why } => format!("refused: {why}"),
    };
    let turn = |turn: Option<usize>| turn.map_or("-".to_owned(), |turn| turn.to_string());
    walked.steps.iter().map(|step| format!("{} {} {}", turn(step.turn), step.upstream, word(&step.what))).collect()
}

#[tokio::test]
async fn a_walk_says_of_every_upstream_what_became_of_it() {
    let row = row(Mode::Rewrite, |members| members[1].on_failure = OnFailure::GoOn);
    row.sources[1].fail(Some(Error::bad_gateway("timed out")));
    row.sources[2].publish(PATH, "v1.0.0", b"zip");
    let walked = row.walk(&info("v1.0.0")).await;
    assert_eq!(
        told(&walked),
        [
            "1 a absent: unknown module false",
            "2 b failed: timed out true",
            "3 c answered: miss 0",
            "- d barred: its `modules` do not name the path: other.org",
        ]
    );
    assert_eq!((walked.registry.as_str(), walked.question.as_str()), ("ci", "@v/v1.0.0.info"));
    let Outcome::Answered { upstream, version, binds, .. } = &walked.outcome else { panic!("{walked:?}") };
    assert_eq!((upstream.as_str(), version.as_deref(), *binds), ("c", Some("v1.0.0"), true));
    assert!(row.registry.bindings().await.expect("bindings").is_empty(), "telling binds nothing");
    // What is kept now is given at once, and by whom.
    row.clock.forward(5);
    let walked = row.walk(&info("v1.0.0")).await;
    let (kept, step) = ("not asked: c keeps the answer", &walked.steps[2]);
    assert_eq!(told(&walked)[..3], [format!("- a {kept}"), format!("- b {kept}"), "1 c answered: hit 5".to_owned()]);
    assert!(step.kept.is_some_and(|kept| kept.is_fresh), "{step:?}");
}

#[tokio::test]
async fn a_walk_says_to_whom_the_module_is_bound() {
    let row = row(Mode::Rewrite, |_| ());
    row.sources[1].teach(PATH, "@v/list", Reply::List(vec![version("v1.0.0"), version("v1.1.0")]));
    row.registry.answer(&module(PATH), &Question::List, Reach::Upstream).await.expect("a list");
    let walked = row.walk(&Question::List).await;
    let bound = "not asked: the module is bound to b";
    assert_eq!(told(&walked)[..3], [format!("- a {bound}"), "1 b answered: hit 0".to_owned(), format!("- c {bound}")]);
    let Outcome::Answered { versions, binds, .. } = walked.outcome else { panic!("{walked:?}") };
    assert_eq!((versions, binds), (Some(2), false));
    let binding = walked.binding.expect("bound");
    assert_eq!((binding.upstream.as_str(), binding.stands), ("b", true));
    // Its absence is the end.
    let walked = row.walk(&info("v9.0.0")).await;
    assert_eq!(
        told(&walked)[..3],
        [format!("- a {bound}"), "1 b absent: unknown revision false".to_owned(), format!("- c {bound}")]
    );
    let Outcome::Refused { kind, error, remedy } = &walked.outcome else { panic!("{walked:?}") };
    assert_eq!(kind, "not_found");
    assert_eq!(error, "example.com/m@v9.0.0: unknown revision (asked b, which the module is bound to)");
    assert_eq!(remedy[0], "to have all asked anew: modvet cache rm --registry ci --binding example.com/m");
    // It said so just now.
    row.clock.forward(1);
    assert_eq!(told(&row.walk(&info("v9.0.0")).await)[1], "1 b absent: unknown revision true");
}

#[tokio::test]
async fn a_walk_says_who_ended_it() {
    let row = row(Mode::Strict, |_| ());
    row.sources[0].fail(Some(Error::bad_gateway("timed out")));
    let walked = row.walk(&Question::Latest).await;
    let end = "not asked: a ended the walk";
    assert_eq!(
        told(&walked)[..3],
        ["1 a failed: timed out false".to_owned(), format!("- b {end}"), format!("- c {end}")]
    );
    let Outcome::Refused { kind, error, .. } = &walked.outcome else { panic!("{walked:?}") };
    assert_eq!((kind.as_str(), error.as_str()), ("bad_gateway", "example.com/m@latest: upstream a: timed out"));
    // A wrong name.
    let (wrong, right) = ("v0.0.0-20190813064442-fde4db37ae7a", "v0.0.0-20190813064441-fde4db37ae7a");
    row.sources[0].fail(None);
    row.sources[0].misname(PATH, wrong, right);
    let walked = row.walk(&info(wrong)).await;
    assert!(told(&walked)[0].starts_with("1 a refused: invalid pseudo-version"), "{walked:?}");
    let Outcome::Refused { kind, .. } = &walked.outcome else { panic!("{walked:?}") };
    assert_eq!(kind, "wrong");
}

#[tokio::test]
async fn a_walk_is_the_same_after_a_way_over_json() {
    let row = row(Mode::Rewrite, |_| ());
    row.sources[1].teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of("v1.0.0"))));
    row.registry.answer(&module(PATH), &Question::Latest, Reach::Upstream).await.expect("latest");
    let walked = row.walk(&Question::Latest).await;
    let value = serde_json::to_value(&walked).expect("json");
    let expected = json!({
        "registry": "ci",
        "module": "example.com/m",
        "question": "@latest",
        "binding": { "module": "example.com/m", "upstream": "b", "since": "2027-01-15T08:00:00Z", "stands": true },
        "steps": [
            { "upstream": "a", "step": "not_asked", "why": "the module is bound to b" },
            {
                "upstream": "b", "turn": 1, "kept": { "fresh": true, "since": "2027-01-15T08:00:00Z" },
                "step": "answered", "cache": "hit", "age_seconds": 0,
            },
            { "upstream": "c", "step": "not_asked", "why": "the module is bound to b" },
            {
                "upstream": "d", "step": "barred", "why": "its `modules` do not name the path", "patterns": "other.org",
            },
        ],
        "outcome": { "outcome": "answered", "upstream": "b", "version": "v1.0.0", "binds": false },
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<Walked>(value).expect("a walk"), walked);
}

#[tokio::test]
async fn a_walk_told_to_clients_names_no_private_patterns() {
    let row = row(Mode::Rewrite, |members| {
        members[0].scope = Scope::new("", "example.com,corp.example/secret");
        members[3].scope = Scope::new("corp.example/secret", "");
    });
    let walked = row.walk(&Question::List).await.without_patterns();
    let text = serde_json::to_string(&walked).expect("json");
    assert!(!text.contains("corp.example"), "{text}");
    let told = told(&walked);
    assert_eq!(told[0], "- a barred: its `not_modules` name the path: ?");
    assert_eq!(told[3], "- d barred: its `modules` do not name the path: ?");
}
