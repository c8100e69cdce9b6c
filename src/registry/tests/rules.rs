//! What the rules let pass: denied versions, versions that are too young, lists and queries without either.

use std::sync::Arc;
use std::time::Duration;

use crate::access::rules::{Action, Cooldown, Exception, FirstSight, Range, Rule, Rulebook, Rules, Until};
use crate::error::{Error, Kind, Result};
use crate::registry::doubles::{Drawer, Hands, Known, Reply, info_of, member, module, version};
use crate::registry::{Answer, AnswerBody, Book, Gates, Judgement, Mode, Question, Reach, Registry, SightBook};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;

const PATH: &str = "example.com/m";
const DAY: u64 = 24 * 3600;

/// One proxy behind one registry, and the rules before it.
struct Bench {
    public: Arc<Known>,
    store: Arc<Drawer>,
    clock: Arc<Hands>,
    rulebook: Arc<Rulebook>,
    registry: Registry,
}

fn bench(rules: Rules) -> Bench {
    let (public, store, clock, rulebook) = (Known::new(), Drawer::new(), Hands::new(), Rulebook::new(rules));
    let registry = registry(&public, &store, &clock, &rulebook, Mode::Rewrite);
    Bench { public, store, clock, rulebook, registry }
}

fn registry(
    public: &Arc<Known>,
    store: &Arc<Drawer>,
    clock: &Arc<Hands>,
    rulebook: &Arc<Rulebook>,
    mode: Mode,
) -> Registry {
    let judgement = if mode == Mode::Rewrite { Judgement::Believed } else { Judgement::Own };
    judged_by(judgement, public, store, clock, rulebook, mode)
}

fn judged_by(
    judgement: Judgement,
    public: &Arc<Known>,
    store: &Arc<Drawer>,
    clock: &Arc<Hands>,
    rulebook: &Arc<Rulebook>,
    mode: Mode,
) -> Registry {
    let member = member("public", public, store, clock, judgement);
    let book = Book::new("default", store.clone(), clock.clone());
    let gates = Gates::new(rulebook.clone(), SightBook::new("default", store.clone()), "corp.example,*.corp.example");
    Registry::new("default", mode, vec![member], book).with_rules(gates)
}

impl Bench {
    async fn ask(&self, question: Question) -> Result<Answer> {
        self.registry.answer(&module(PATH), &question, Reach::Upstream).await
    }

    async fn text(&self, question: Question) -> String {
        text(self.ask(question).await.expect("answer"))
    }

    async fn refusal(&self, question: Question) -> Error {
        self.ask(question).await.expect_err("refused")
    }

    /// The versions and the list of them.
    fn publish(&self, versions: &[&str]) {
        for text in versions {
            self.public.publish(PATH, text, text.as_bytes());
        }
        let list = versions.iter().map(|text| version(text)).collect();
        self.public.teach(PATH, "@v/list", Reply::List(list));
        let latest = versions.last().expect("one");
        self.public.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of(latest))));
    }

    /// Later, when lists are asked for anew.
    fn days(&self, days: u64) {
        self.clock.forward(days * DAY);
    }

    /// The same store after a restart.
    fn restarted(self) -> Bench {
        let registry = registry(&self.public, &self.store, &self.clock, &self.rulebook, Mode::Rewrite);
        Bench { registry, ..self }
    }
}

fn text(answer: Answer) -> String {
    let bytes = match answer.body {
        AnswerBody::Text(bytes) => bytes,
        AnswerBody::Blob(blob) => blob.read_all(1 << 20).expect("blob"),
    };
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn info(text: &str) -> Question {
    Question::Info(Query::parse(text))
}

fn go_mod(text: &str) -> Question {
    Question::GoMod(version(text))
}

fn zip(text: &str) -> Question {
    Question::Zip(version(text))
}

fn deny(name: &str, versions: Option<&str>) -> Rule {
    Rule {
        name: name.into(),
        action: Action::Deny,
        registries: Vec::new(),
        modules: vec![PATH.to_owned()],
        versions: versions.map(|text| Range::parse(text).expect(text)),
        reason: "CVE-2026-1".to_owned(),
        until: None,
        dry_run: false,
    }
}

fn rules(rules: Vec<Rule>) -> Rules {
    Rules { rules: rules.into_iter().map(Arc::new).collect(), ..Rules::default() }
}

fn cooldown(first_sight: FirstSight) -> Cooldown {
    Cooldown {
        min_age: Duration::from_secs(7 * DAY),
        first_sight,
        registries: Vec::new(),
        modules: Vec::new(),
        not_modules: Vec::new(),
        exceptions: Vec::new(),
        dry_run: false,
    }
}

fn cooling(cooldown: Cooldown) -> Rules {
    Rules { cooldown: Some(Arc::new(cooldown)), ..Rules::default() }
}

#[tokio::test]
async fn what_is_denied_by_its_name_is_asked_of_nobody() {
    let bench = bench(rules(vec![deny("no-m", Some(">=1.2.0, <1.4.0"))]));
    bench.publish(&["v1.1.0", "v1.2.0", "v1.4.0"]);
    for question in [info("v1.2.0"), go_mod("v1.2.0"), zip("v1.2.0")] {
        let error = bench.refusal(question).await;
        assert_eq!((error.kind(), error.rule_name(), error.is_conclusive()), (Kind::Forbidden, Some("no-m"), true));
        assert_eq!(
            error.to_string(),
            "example.com/m@v1.2.0: denied by rule no-m: CVE-2026-1\n\
             versions that pass: go list -m -versions example.com/m\n\
             why: modvet rules test example.com/m@v1.2.0"
        );
    }
    assert_eq!(bench.public.total(), 0, "a name left the house");
    assert_eq!(bench.text(zip("v1.4.0")).await, "v1.4.0");
    assert_eq!(bench.text(Question::List).await, "v1.1.0\nv1.4.0\n");
    let [count] = &bench.rulebook.counts()[..] else { panic!("one rule said no") };
    assert_eq!((count.registry.as_str(), count.rule.as_str(), count.denied), ("default", "no-m", 3));
}

#[tokio::test]
async fn a_refusal_names_the_registry_whose_rules_they_are() {
    let bench = bench(rules(vec![deny("no-m", None)]));
    let book = Book::new("ci", bench.store.clone(), bench.clock.clone());
    let gates = Gates::new(bench.rulebook.clone(), SightBook::new("ci", bench.store.clone()), "");
    let ci = Registry::new("ci", Mode::Rewrite, Vec::new(), book).with_rules(gates);
    let error = ci.answer(&module(PATH), &zip("v1.2.0"), Reach::Upstream).await.expect_err("denied");
    assert_eq!(error.remedies(), ["why: modvet rules test example.com/m@v1.2.0 --registry ci"]);
}

#[tokio::test]
async fn a_module_that_is_denied_as_a_whole_has_no_list_and_no_latest() {
    let bench = bench(rules(vec![Rule { until: Until::parse("2100-01-01"), ..deny("no-m", None) }]));
    bench.publish(&["v1.0.0"]);
    for question in [Question::List, Question::Latest, info("latest"), info("v1"), info("main"), zip("v1.0.0")] {
        let error = bench.refusal(question.clone()).await;
        let subject = question.subject(&module(PATH));
        assert_eq!(
            error.to_string(),
            format!("{subject}: denied by rule no-m until 2100-01-01: CVE-2026-1\nwhy: modvet rules test {subject}")
        );
    }
    assert_eq!(bench.public.total(), 0);
}

#[tokio::test]
async fn latest_moves_back_to_the_highest_release_that_passes() {
    let bench = bench(rules(vec![deny("no-m", Some(">=1.4.0"))]));
    bench.publish(&["v1.2.0", "v1.3.0", "v1.4.0-rc.1", "v1.4.0"]);
    assert_eq!(bench.text(Question::Latest).await, info_of("v1.3.0").to_json());
    bench.public.point(PATH, "latest", "v1.4.0");
    let answer = bench.ask(info("latest")).await.expect("answer");
    assert_eq!(answer.right.as_deref(), Some("v1.3.0"), "the audit log names what went out");
    assert_eq!(text(answer), info_of("v1.3.0").to_json());
    bench.public.point(PATH, "main", "v1.4.0");
    let error = bench.refusal(info("main")).await;
    assert_eq!(
        error.to_string(),
        "example.com/m@main: v1.4.0 is denied by rule no-m: CVE-2026-1\n\
         versions that pass: go list -m -versions example.com/m\n\
         why: modvet rules test example.com/m@v1.4.0"
    );
    bench.rulebook.replace(rules(vec![deny("no-m", Some(">=1.0.0"))]));
    assert_eq!(bench.text(Question::List).await, "");
    let error = bench.refusal(Question::Latest).await;
    assert_eq!(error.what(), "v1.4.0 is denied by rule no-m: CVE-2026-1", "403, so that nobody goes on to direct");
}

#[tokio::test]
async fn latest_does_not_move_to_what_is_listed_above_it() {
    let bench = bench(rules(vec![deny("no-m", Some("=1.4.0"))]));
    // A list does not say that v1.9.0 is retracted; latest does.
    bench.publish(&["v1.3.0", "v1.9.0", "v1.4.0"]);
    assert_eq!(bench.text(Question::Latest).await, info_of("v1.3.0").to_json());
}

#[tokio::test]
async fn the_first_rule_in_the_file_says_what_becomes_of_a_version() {
    let allow = Rule { action: Action::Allow, reason: String::new(), ..deny("but-this", Some("=1.3.0")) };
    let all = rules(vec![allow, deny("no-m", None)]);
    let bench = bench(Rules { default: Action::Deny, ..all });
    bench.publish(&["v1.2.0", "v1.3.0"]);
    assert_eq!(bench.text(Question::List).await, "v1.3.0\n");
    assert_eq!(bench.ask(zip("v1.3.0")).await.expect("allowed").rule.as_deref(), Some("but-this"));
    assert_eq!(bench.refusal(zip("v1.2.0")).await.rule_name(), Some("no-m"));
    let other = module("example.org/other");
    let error = bench.registry.answer(&other, &Question::List, Reach::Upstream).await.expect_err("no rule names it");
    assert_eq!(
        error.to_string(),
        "example.org/other: denied by rule default: no rule lets it pass\n\
         why: modvet rules test example.org/other"
    );
}

#[tokio::test]
async fn a_rule_on_trial_counts_and_lets_pass() {
    let bench = bench(rules(vec![Rule { dry_run: true, ..deny("no-m", None) }]));
    bench.publish(&["v1.0.0"]);
    assert_eq!(bench.text(zip("v1.0.0")).await, "v1.0.0");
    assert_eq!(bench.text(Question::List).await, "v1.0.0\n");
    let [count] = &bench.rulebook.counts()[..] else { panic!("one rule") };
    assert_eq!((count.denied, count.would_deny), (0, 2));
}

#[tokio::test]
async fn the_right_version_in_the_place_of_a_wrong_name_has_to_pass_too() {
    const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";
    let bench = bench(rules(vec![deny("not-that", Some(RIGHT))]));
    bench.public.misname(PATH, WRONG, RIGHT);
    let error = bench.refusal(info(WRONG)).await;
    assert_eq!(error.what(), format!("{RIGHT} is denied by rule not-that: CVE-2026-1"));
    let resolved = bench.registry.resolve(&module(PATH), &Query::parse(WRONG)).await.expect_err("the same");
    assert_eq!(resolved.rule_name(), Some("not-that"));
}

#[tokio::test]
async fn a_slip_in_a_denied_name_opens_none_of_its_files() {
    const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";
    let bench = bench(rules(vec![deny("not-that", Some(RIGHT))]));
    bench.public.misname(PATH, WRONG, RIGHT);
    for mode in [Mode::Rewrite, Mode::Legacy] {
        let git = judged_by(Judgement::Own, &bench.public, &bench.store, &bench.clock, &bench.rulebook, mode);
        for question in [info(WRONG), go_mod(WRONG), zip(WRONG)] {
            let answer = git.answer(&module(PATH), &question, Reach::Upstream).await;
            let error = answer.expect_err("the same commit under another name");
            assert_eq!(error.rule_name(), Some("not-that"), "{mode:?} {question:?}");
            assert_eq!(error.what(), format!("{RIGHT} is denied by rule not-that: CVE-2026-1"));
        }
        bench.rulebook.replace(rules(vec![deny("another", Some("=1.0.0"))]));
        git.answer(&module(PATH), &zip(WRONG), Reach::Upstream).await.expect("no rule is about it");
        bench.rulebook.replace(rules(vec![deny("not-that", Some(RIGHT))]));
    }
}

#[tokio::test]
async fn the_toolchain_passes_but_where_a_rule_names_it() {
    let all = Rule { modules: vec!["golang.org/*".to_owned()], ..deny("no-golang", None) };
    let bench = bench(Rules { default: Action::Deny, ..cooling(cooldown(FirstSight::Wait)) });
    let (path, tool) = ("golang.org/toolchain", "v0.0.1-go1.26.1.linux-amd64");
    bench.public.publish(path, tool, b"go");
    let (toolchain, question) = (module(path), zip(tool));
    let ask = || bench.registry.answer(&toolchain, &question, Reach::Upstream);
    for rules in [Rules { default: Action::Deny, ..Rules::default() }, rules(vec![all.clone()])] {
        bench.rulebook.replace(Rules { cooldown: cooling(cooldown(FirstSight::Wait)).cooldown, ..rules });
        assert_eq!(text(ask().await.expect("go switches")), "go");
    }
    bench.rulebook.replace(rules(vec![Rule { modules: vec![path.to_owned()], ..all }]));
    assert_eq!(ask().await.expect_err("named").rule_name(), Some("no-golang"));
}

#[tokio::test]
async fn a_year_of_cooldown() {
    let bench = bench(cooling(cooldown(FirstSight::Trust)));
    bench.publish(&["v1.0.0", "v1.1.0"]);
    assert_eq!(bench.text(Question::List).await, "v1.0.0\nv1.1.0\n", "the first list is trusted");
    assert_eq!(bench.text(zip("v1.1.0")).await, "v1.1.0");
    bench.days(100);
    bench.publish(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    assert_eq!(bench.text(Question::List).await, "v1.0.0\nv1.1.0\n");
    assert_eq!(bench.text(Question::Latest).await, info_of("v1.1.0").to_json());
    for question in [info("v1.2.0"), go_mod("v1.2.0"), zip("v1.2.0")] {
        let error = bench.refusal(question).await;
        assert_eq!((error.kind(), error.delay()), (Kind::Forbidden, Some(Duration::from_secs(7 * DAY))));
        assert_eq!(
            error.to_string(),
            "example.com/m@v1.2.0: too young: first seen 2027-04-25T08:00:00Z, passes from 2027-05-02T08:00:00Z on \
             (rule cooldown: 7days)\n\
             versions that pass: go list -m -versions example.com/m\n\
             who runs this proxy can let it pass now: [[cooldown.exception]]\n\
             why: modvet rules test example.com/m@v1.2.0"
        );
    }
    bench.days(6);
    let bench = bench.restarted();
    assert_eq!(bench.refusal(zip("v1.2.0")).await.delay(), Some(Duration::from_secs(DAY)), "a restart forgets nothing");
    bench.days(1);
    assert_eq!(bench.text(zip("v1.2.0")).await, "v1.2.0");
    assert_eq!(bench.text(Question::List).await, "v1.0.0\nv1.1.0\nv1.2.0\n");
    assert_eq!(bench.text(Question::Latest).await, info_of("v1.2.0").to_json());
    bench.days(250);
    assert_eq!(bench.text(zip("v1.2.0")).await, "v1.2.0", "what was old stays old");
}

#[tokio::test]
async fn a_version_asked_for_by_its_name_first_is_looked_for_in_the_list() {
    let bench = bench(cooling(cooldown(FirstSight::Trust)));
    bench.publish(&["v1.0.0"]);
    assert_eq!(bench.text(zip("v1.0.0")).await, "v1.0.0");
    assert_eq!(bench.public.count(PATH, "@v/list"), 1);
    // Published between two lists.
    bench.public.publish(PATH, "v1.1.0", b"new");
    assert_eq!(bench.refusal(zip("v1.1.0")).await.rule_name(), Some("cooldown"));
    assert_eq!(bench.refusal(zip("v1.9.0")).await.kind(), Kind::NotFound, "what is not there is not young");
    let pseudo = "v0.0.0-20190813064441-fde4db37ae7a";
    bench.public.publish(PATH, pseudo, b"pseudo");
    assert_eq!(bench.refusal(zip(pseudo)).await.rule_name(), Some("cooldown"), "its time is its author's word");
    bench.days(7);
    assert_eq!(bench.text(zip(pseudo)).await, "pseudo");
}

#[tokio::test]
async fn a_first_list_that_is_not_trusted_waits() {
    let bench = bench(cooling(cooldown(FirstSight::Wait)));
    bench.publish(&["v1.0.0"]);
    assert_eq!(bench.text(Question::List).await, "");
    assert_eq!(bench.refusal(Question::Latest).await.rule_name(), Some("cooldown"));
    bench.rulebook.replace(cooling(cooldown(FirstSight::Trust)));
    assert_eq!(bench.text(Question::List).await, "v1.0.0\n", "what was seen is a fact, what it means a rule");
}

#[tokio::test]
async fn an_exception_lets_pass_until_it_ends() {
    // The clock begins in January 2027.
    let exception = |until: &str| Exception {
        modules: vec![PATH.to_owned()],
        versions: Some(Range::parse("=1.1.0").expect("range")),
        until: Until::parse(until),
        reason: "a fix that we wait for".to_owned(),
    };
    let with = |until| cooling(Cooldown { exceptions: vec![exception(until)], ..cooldown(FirstSight::Trust) });
    let bench = bench(with("2027-01-16"));
    bench.publish(&["v1.0.0"]);
    bench.text(Question::List).await;
    bench.days(1);
    bench.publish(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    assert_eq!(bench.text(Question::List).await, "v1.0.0\nv1.1.0\n");
    assert_eq!(bench.text(zip("v1.1.0")).await, "v1.1.0");
    bench.days(1);
    assert_eq!(bench.refusal(zip("v1.1.0")).await.rule_name(), Some("cooldown"));
    bench.rulebook.replace(with("2027-02-01"));
    assert_eq!(bench.text(zip("v1.1.0")).await, "v1.1.0");
}

#[tokio::test]
async fn what_is_private_or_on_trial_does_not_wait() {
    let bench = bench(cooling(cooldown(FirstSight::Wait)));
    bench.public.publish("git.corp.example/m", "v1.0.0", b"ours");
    let ours = module("git.corp.example/m");
    assert_eq!(text(bench.registry.answer(&ours, &zip("v1.0.0"), Reach::Upstream).await.expect("ours")), "ours");
    bench.rulebook.replace(cooling(Cooldown { dry_run: true, ..cooldown(FirstSight::Wait) }));
    bench.publish(&["v1.0.0"]);
    assert_eq!(bench.text(Question::List).await, "v1.0.0\n");
    assert_eq!(bench.text(zip("v1.0.0")).await, "v1.0.0");
    let [count] = &bench.rulebook.counts()[..] else { panic!("the cooldown") };
    assert_eq!((count.rule.as_str(), count.denied, count.would_deny), ("cooldown", 0, 2));
    let pseudo = "v0.0.0-20190813064441-fde4db37ae7a";
    bench.public.publish(PATH, pseudo, b"pseudo");
    assert_eq!(bench.text(zip(pseudo)).await, "pseudo");
    bench.days(7);
    bench.rulebook.replace(cooling(cooldown(FirstSight::Wait)));
    assert_eq!(bench.text(zip(pseudo)).await, "pseudo", "what was seen on trial is old when it counts");
}

#[tokio::test]
async fn what_was_kept_before_there_was_a_cooldown_is_as_old_as_it_is() {
    let bench = bench(Rules::default());
    let pseudo = "v0.0.0-20190813064441-fde4db37ae7a";
    bench.public.publish(PATH, pseudo, b"pseudo");
    bench.text(zip(pseudo)).await;
    bench.days(8);
    bench.rulebook.replace(cooling(cooldown(FirstSight::Wait)));
    bench.public.fail(Some(Error::bad_gateway("gone")));
    assert_eq!(bench.text(zip(pseudo)).await, "pseudo", "and nobody outside has to say so");
}

#[tokio::test]
async fn warm_answers_ask_neither_the_store_nor_anybody() {
    let all = (0..100).map(|number| Rule { name: format!("r{number}").into(), ..deny("", Some("=9.9.9")) });
    let bench = bench(Rules { cooldown: cooling(cooldown(FirstSight::Trust)).cooldown, ..rules(all.collect()) });
    bench.publish(&["v1.0.0"]);
    bench.text(zip("v1.0.0")).await;
    let reads = || bench.store.reads.load(std::sync::atomic::Ordering::SeqCst);
    let (before, asked) = (reads(), bench.public.total());
    let started = std::time::Instant::now();
    const TIMES: u32 = 1000;
    for _ in 0..TIMES {
        bench.ask(zip("v1.0.0")).await.expect("answer");
    }
    assert_eq!((reads(), bench.public.total()), (before, asked));
    let each = started.elapsed() / TIMES;
    // Unoptimized, on a machine that does other things: a look at the store or at all patterns takes far longer.
    assert!(each < Duration::from_millis(2), "{each:?} for an answer under 100 rules");
}

#[tokio::test]
async fn a_walk_tells_what_the_rules_make_of_it_and_counts_nothing() {
    use crate::registry::steps::{Outcome, What};

    let bench = bench(Rules {
        cooldown: cooling(cooldown(FirstSight::Trust)).cooldown,
        ..rules(vec![deny("no-m", Some("=1.1.0"))])
    });
    bench.publish(&["v1.0.0", "v1.1.0"]);
    let walk = async |question| bench.registry.walk(&module(PATH), &question, Reach::Upstream).await.expect("a walk");
    let denied = walk(zip("v1.1.0")).await;
    assert_eq!(denied.steps[0].what, What::NotAsked { why: "the rule no-m does not let it pass".to_owned() });
    let Outcome::Refused { error, .. } = denied.outcome else { panic!("it is denied") };
    assert_eq!(error, "example.com/m@v1.1.0: denied by rule no-m: CVE-2026-1");
    assert_eq!(bench.public.total(), 0);
    let listed = walk(Question::List).await;
    assert!(matches!(listed.outcome, Outcome::Answered { versions: Some(1), .. }), "{:?}", listed.outcome);
    bench.text(Question::List).await;
    bench.publish(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    bench.days(1);
    bench.text(Question::List).await;
    let young = walk(zip("v1.2.0")).await;
    assert!(matches!(&young.outcome, Outcome::Refused { error, .. } if error.contains("too young")), "{young:?}");
    assert!(bench.rulebook.counts().is_empty(), "{:?}", bench.rulebook.counts());
    assert!(
        bench.registry.vouch(&module(PATH), &version("v1.1.0"), Reach::Upstream).await.is_err(),
        "a name would leave"
    );
}

#[tokio::test]
async fn what_is_not_there_costs_no_list() {
    let bench = bench(cooling(cooldown(FirstSight::Trust)));
    assert_eq!(bench.refusal(info("v1.0.0")).await.kind(), Kind::NotFound);
    assert_eq!(bench.public.count(PATH, "@v/list"), 0, "the go command asks for every parent path");
}

#[tokio::test]
async fn a_wrong_name_is_called_wrong_and_not_young() {
    const WRONG: &str = "v0.0.0-20190813064442-fde4db37ae7a";
    const RIGHT: &str = "v0.0.0-20190813064441-fde4db37ae7a";
    let bench = bench(cooling(cooldown(FirstSight::Trust)));
    bench.public.misname(PATH, WRONG, RIGHT);
    let strict = registry(&bench.public, &bench.store, &bench.clock, &bench.rulebook, Mode::Strict);
    for question in [info(WRONG), zip(WRONG)] {
        let error = strict.answer(&module(PATH), &question, Reach::Upstream).await.expect_err("wrong");
        assert_eq!((error.kind(), error.right_version()), (Kind::Wrong, Some(RIGHT)));
    }
}

#[tokio::test]
async fn who_asks_at_the_same_time_sees_the_same() {
    let bench = bench(cooling(cooldown(FirstSight::Trust)));
    bench.publish(&["v1.0.0"]);
    bench.public.publish(PATH, "v1.1.0", b"not listed");
    let path = module(PATH);
    let (old, new) = (zip("v1.0.0"), zip("v1.1.0"));
    let ask = |question| bench.registry.answer(&path, question, Reach::Upstream);
    let (a, b, c, d) = tokio::join!(ask(&old), ask(&new), ask(&old), ask(&new));
    assert!(a.is_ok() && c.is_ok());
    assert!([b, d].iter().all(|young| young.as_ref().is_err_and(|error| error.rule_name() == Some("cooldown"))));
    assert_eq!(bench.public.count(PATH, "@v/list"), 1);
}
