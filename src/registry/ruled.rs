//! What may pass, asked of every answer: rules before anybody is asked, the age of a version before a file is given,
//! and both again for what a list or a query names.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::definition::DEFAULT;
use super::sight::SightBook;
use super::walk::{Answer, AnswerBody, Life, Registry};
use super::{Question, Reach};
use crate::access::rules::{COOLDOWN, Relevant, Rulebook, Verdict, Whole};
use crate::error::{Error, Kind, Result};
use crate::spec::info::Info;
use crate::spec::path::{ModulePath, matches_patterns};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// What a registry goes by.
pub struct Gates {
    rulebook: Arc<Rulebook>,
    pub(super) sights: Arc<SightBook>,
    /// GOPRIVATE patterns: what they name is not from outside.
    private: String,
    /// The rules about the modules that are asked for most, with the number of the rules they are of.
    relevant: Cache<String, (u64, Arc<Relevant>), Weight>,
    /// Young versions whose upstreams said since when they have had them.
    said: Cache<String, ()>,
}

/// What a judgement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Serve,
    /// Nothing is counted, and out of reach is whatever is not kept.
    Tell,
}

const KNOWN: usize = 10_000;
/// Clients may name as many paths as they like, of 4 KiB each.
const KNOWN_BYTES: u64 = 8 << 20;
/// Of one module, beside its path, roughly.
const EACH: u64 = 256;
/// So many young versions of a list are looked at more closely, and so many versions are tried in the place of the
/// latest.
const CLOSELY: usize = 5;

#[derive(Clone)]
struct Weight;

impl Weighter<String, (u64, Arc<Relevant>)> for Weight {
    fn weight(&self, module: &String, _: &(u64, Arc<Relevant>)) -> u64 {
        module.len() as u64 + EACH
    }
}

impl Gates {
    /// `sights` is the registry's.
    pub fn new(rulebook: Arc<Rulebook>, sights: Arc<SightBook>, private: impl Into<String>) -> Gates {
        let relevant = Cache::with_weighter(KNOWN, KNOWN_BYTES, Weight);
        Gates { rulebook, sights, private: private.into(), relevant, said: Cache::new(KNOWN) }
    }

    pub(super) fn rulebook(&self) -> &Rulebook {
        &self.rulebook
    }

    pub(super) fn is_private(&self, module: &ModulePath) -> bool {
        matches_patterns(&self.private, module.as_str())
    }

    /// `None` where nothing is said of the module.
    fn relevant(&self, registry: &str, module: &ModulePath) -> Option<Arc<Relevant>> {
        let (number, rules) = self.rulebook.rules();
        if rules.is_empty() {
            return None;
        }
        let known = self.relevant.get(module.as_str()).filter(|(known, _)| *known == number);
        let relevant = known.map(|(_, relevant)| relevant).unwrap_or_else(|| {
            let relevant = Arc::new(rules.relevant(registry, module, self.is_private(module)));
            self.relevant.insert(module.as_str().to_owned(), (number, relevant.clone()));
            relevant
        });
        (!relevant.is_empty()).then_some(relevant)
    }
}

impl Registry {
    /// Asks the members until one is not absent; what the rules do not let pass is refused, and left out of lists.
    pub async fn answer(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Answer> {
        let Some(gate) = self.gate(module, reach) else { return self.unruled(module, question, reach).await };
        // Boxed: what a gate takes would else be part of the state of every answer.
        let rule = Box::pin(gate.before(question)).await?;
        let answer = self.unruled(module, question, reach).await?;
        Box::pin(gate.after(question, Answer { rule, ..answer })).await
    }

    /// What a query stands for and what is wrong with it, whatever the mode would say.
    pub async fn resolve(&self, module: &ModulePath, query: &Query) -> Result<Resolution> {
        let Some(gate) = self.gate(module, Reach::Upstream) else { return self.resolve_unruled(module, query).await };
        gate.before(&Question::Info(query.clone())).await?;
        let resolution = self.resolve_unruled(module, query).await?;
        let right = version(module, &resolution.right.version)?;
        let verdict = gate.judge(&right).await?;
        gate.pass(verdict, query.as_str(), &right)?;
        Ok(resolution)
    }

    /// Whether a version is denied by its name, which costs no look at anything. Its age is not asked.
    pub(super) fn refuse_by_name(&self, module: &ModulePath, version: &Version) -> Result<()> {
        let Some(gate) = self.gate(module, Reach::Cache) else { return Ok(()) };
        gate.pass(gate.by_name(version), version.as_str(), version).map(drop)
    }

    /// The name, where it is not the one that commands ask without one.
    pub(super) fn to_be_named(&self) -> Option<&str> {
        Some(self.name()).filter(|name| *name != DEFAULT)
    }

    /// `None` where everything of a module passes.
    pub(super) fn gate<'r>(&'r self, module: &'r ModulePath, reach: Reach) -> Option<Gate<'r>> {
        let gates = self.gates.as_ref()?;
        let relevant = gates.relevant(self.name(), module)?;
        let (now, purpose) = (self.book.now(), Purpose::Serve);
        Some(Gate { registry: self, gates, relevant, module, reach, now, purpose })
    }

    /// The same for somebody who only wants to know.
    pub(super) fn gate_to_tell<'r>(&'r self, module: &'r ModulePath) -> Option<Gate<'r>> {
        let gate = self.gate(module, Reach::Cache)?;
        Some(Gate { purpose: Purpose::Tell, ..gate })
    }
}

/// One request before the rules that are about its module.
pub(super) struct Gate<'r> {
    registry: &'r Registry,
    gates: &'r Gates,
    relevant: Arc<Relevant>,
    module: &'r ModulePath,
    reach: Reach,
    now: DateTime<Utc>,
    purpose: Purpose,
}

impl Gate<'_> {
    /// What is said before the question is asked; gives the rule that lets a version pass.
    pub async fn before(&self, question: &Question) -> Result<Option<Arc<str>>> {
        if let Some(version) = question.version() {
            let verdict = self.judge(version).await?;
            return self.pass(verdict, version.as_str(), version);
        }
        if let Whole::Denied(denial) = self.relevant.whole(self.now) {
            let asked = match question {
                Question::Latest => "latest",
                Question::Info(query) => query.as_str(),
                _ => "",
            };
            self.count(&denial.rule);
            return Err(denial.error(self.registry.to_be_named(), self.module, asked, None));
        }
        Ok(None)
    }

    /// What is said of the answer.
    pub async fn after(&self, question: &Question, answer: Answer) -> Result<Answer> {
        match question {
            Question::List => self.list(answer).await,
            // Asked for by this address it is no query that stands for something.
            Question::Latest => Ok(Answer { right: None, ..self.latest("latest", answer).await? }),
            Question::Info(Query::Latest) => self.latest("latest", answer).await,
            // The right version stands in the place of a wrong name.
            Question::Info(Query::Version(asked)) if answer.life == Life::Never => {
                self.named(asked.as_str(), answer).await
            }
            Question::Info(query @ (Query::Prefix(_) | Query::Revision(_))) => self.named(query.as_str(), answer).await,
            Question::GoMod(asked) | Question::Zip(asked) => self.misnamed(asked.as_str(), answer),
            Question::Info(Query::Version(_)) => Ok(answer),
        }
    }

    /// What becomes of a version. Its age may have to be found out, outside.
    pub async fn judge(&self, version: &Version) -> Result<Verdict> {
        let verdict = self.by_name(version);
        let Verdict::Allowed(_) = verdict else { return Ok(verdict) };
        let Some(cooldown) = self.relevant.waits(version, self.now) else { return Ok(verdict) };
        let seen = match self.seen(version).await {
            Ok(seen) => seen,
            // The mode refuses it, and says which one is right.
            Err(error) if error.kind() == Kind::Wrong => return Ok(verdict),
            // On trial, it must not be the reason of a failure.
            Err(_) if cooldown.dry_run => return Ok(verdict),
            Err(error) => return Err(error),
        };
        if cooldown.young(seen, self.now).is_none() {
            return Ok(verdict);
        }
        let seen = self.seen_outside(version, seen).await;
        match cooldown.young(seen, self.now) {
            Some(_) if cooldown.dry_run => {
                self.note_trial(&COOLDOWN.into(), version.as_str());
                Ok(verdict)
            }
            Some(young) => Ok(Verdict::Young(young)),
            None => Ok(verdict),
        }
    }

    /// What rules by name make of a version.
    fn by_name(&self, version: &Version) -> Verdict {
        let judged = self.relevant.judge(version, self.now);
        for rule in &judged.would {
            self.note_trial(rule, version.as_str());
        }
        match judged.denial {
            Some(denial) => Verdict::Denied(denial),
            None => Verdict::Allowed(judged.allowed_by),
        }
    }

    /// A refusal is counted; `asked` is what stood behind the `@`.
    pub fn pass(&self, verdict: Verdict, asked: &str, version: &Version) -> Result<Option<Arc<str>>> {
        let right = Some(version.as_str());
        match verdict {
            Verdict::Allowed(rule) => Ok(rule),
            Verdict::Denied(denial) => {
                self.count(&denial.rule);
                Err(denial.error(self.registry.to_be_named(), self.module, asked, right))
            }
            Verdict::Young(young) => {
                self.count(&COOLDOWN.into());
                Err(young.error(self.registry.to_be_named(), self.module, asked, right, self.now))
            }
        }
    }

    fn count(&self, rule: &Arc<str>) {
        if self.purpose == Purpose::Serve {
            self.gates.rulebook.count_denied(self.registry.name(), rule);
        }
    }

    fn note_trial(&self, rule: &Arc<str>, what: &str) {
        if self.purpose == Purpose::Tell {
            return;
        }
        let registry = self.registry.name();
        self.gates.rulebook.count_would_deny(registry, rule);
        tracing::info!(registry, subject = %format!("{}@{what}", self.module), rule = %rule, "would be denied");
    }

    /// The version that an answer names has to pass, too.
    async fn named(&self, asked: &str, answer: Answer) -> Result<Answer> {
        let (named, answer) = self.read_info(answer).await?;
        if named.as_str() == asked {
            return self.misnamed(asked, answer);
        }
        let verdict = self.judge(&named).await?;
        let rule = self.pass(verdict, asked, &named)?;
        Ok(Answer { rule, ..answer })
    }

    /// A file that is given under a wrong name is that of the right version: what denies the one denies the other,
    /// else any slip in a denied version's name would open it. Its age is that of the name.
    fn misnamed(&self, asked: &str, answer: Answer) -> Result<Answer> {
        if let Some(right) = &answer.right {
            let right = version(self.module, right)?;
            self.pass(self.by_name(&right), asked, &right)?;
        }
        Ok(answer)
    }

    /// Where the latest version does not pass, the highest one below it that does stands in its place.
    async fn latest(&self, asked: &str, answer: Answer) -> Result<Answer> {
        let (named, answer) = self.read_info(answer).await?;
        match self.judge(&named).await? {
            Verdict::Allowed(rule) => Ok(Answer { rule, ..answer }),
            verdict => match self.moved_back(&named).await? {
                Some(answer) => Ok(answer),
                None => Err(self
                    .pass(verdict, asked, &named)
                    .err()
                    .unwrap_or_else(|| Error::internal("what does not pass is an error").about(self.module))),
            },
        }
    }

    async fn moved_back(&self, from: &Version) -> Result<Option<Answer>> {
        let list = match self.registry.unruled(self.module, &Question::List, self.reach).await {
            Ok(list) => self.list(list).await?,
            Err(error) if error.is_absence() => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut versions, _) = read_list(list).await?;
        // What is listed above the latest version was taken back, or is of a time before go.mod.
        versions.retain(|version| version < from);
        // As the go command chooses: a release before any pre-release.
        versions.sort_by(|a, b| (b.is_release(), b).cmp(&(a.is_release(), a)));
        for version in versions.into_iter().take(CLOSELY) {
            let right = Some(version.to_string());
            let question = Question::Info(Query::Version(version));
            match self.registry.unruled(self.module, &question, self.reach).await {
                Ok(answer) if answer.life == Life::Forever => {
                    return Ok(Some(Answer { life: Life::Short, right, ..answer }));
                }
                Ok(_) => {}
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Leaves out what does not pass.
    async fn list(&self, answer: Answer) -> Result<Answer> {
        let (versions, answer) = read_list(answer).await?;
        if self.relevant.cooldown().is_some() {
            let at = self.listed_at(&answer.upstream).await?;
            self.gates.sights.note_list(self.module, versions.clone(), at).await?;
        }
        let (mut passing, mut young, mut trials) = (Vec::new(), Vec::new(), BTreeSet::new());
        for version in &versions {
            let judged = self.relevant.judge(version, self.now);
            trials.extend(judged.would);
            match judged.denial {
                Some(_) => {}
                None if self.is_young_at_sight(version).await? => young.push(version),
                None => passing.push(version),
            }
        }
        young.sort_by(|a, b| (b.is_release(), b).cmp(&(a.is_release(), a)));
        for (at, version) in young.into_iter().enumerate() {
            // Those that clients would take.
            if at < CLOSELY && !self.is_young(version).await? {
                passing.push(version);
            } else if self.relevant.cooldown().is_some_and(|cooldown| cooldown.dry_run) {
                trials.insert(COOLDOWN.into());
                passing.push(version);
            }
        }
        trials.iter().for_each(|rule| self.note_trial(rule, "list"));
        if passing.len() == versions.len() {
            return Ok(answer);
        }
        passing.sort();
        let text: String = passing.iter().map(|version| format!("{version}\n")).collect();
        Ok(Answer { body: AnswerBody::Text(text.into()), life: Life::Short, ..answer })
    }

    async fn read_info(&self, answer: Answer) -> Result<(Version, Answer)> {
        let (text, answer) = answer.read().await?;
        let info: Info = serde_json::from_str(&text).map_err(|error| {
            Error::new(Kind::BadGateway, "the answer is no .info").because(error).about(self.module)
        })?;
        Ok((version(self.module, &info.version)?, answer))
    }
}

impl Gate<'_> {
    pub(super) fn registry(&self) -> &Registry {
        self.registry
    }

    pub(super) fn sights(&self) -> &Arc<SightBook> {
        &self.gates.sights
    }

    /// Whether a young version's upstream has said all that it says of its age.
    pub(super) fn has_said(&self, version: &Version) -> bool {
        self.gates.said.get(&format!("{}@{version}", self.module)).is_some()
    }

    pub(super) fn note_said(&self, version: &Version) {
        self.gates.said.insert(format!("{}@{version}", self.module), ());
    }

    pub(super) fn relevant(&self) -> &Relevant {
        &self.relevant
    }

    pub(super) fn module(&self) -> &ModulePath {
        self.module
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }
}

/// The versions of a list, and the list.
pub(super) async fn read_list(answer: Answer) -> Result<(Vec<Version>, Answer)> {
    let (text, answer) = answer.read().await?;
    Ok((text.lines().filter_map(Version::parse).collect(), answer))
}

/// What does not read as a version cannot be let pass by a rule about versions.
fn version(module: &ModulePath, text: &str) -> Result<Version> {
    Version::parse(text).ok_or_else(|| {
        let what = format!("the answer names {text:?} (expected a canonical version)");
        Error::new(Kind::BadGateway, what).about(module).conclusive()
    })
}
